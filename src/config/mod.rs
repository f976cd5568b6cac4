//! What a person wrote, checked and typed.
//!
//! [`load`] reads the configuration file, [`one_off`] the URL that stands for one; both give
//! complete [`Account`]s. [`values`] reads single values, for the file and the command line alike.

mod account;
mod diagnostic;
mod entry;
mod error;
mod file;
mod keys;
mod nearest;
mod url;
pub mod values;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::deliver::Spec;
use crate::environment::Environment;
use crate::mail::Retention;
use crate::text::Untrusted;
use diagnostic::{Diagnostic, Source};
use entry::Directories;
use nearest::nearest;

pub use account::{Account, DEFAULT_TIMEOUT, MAX_PIPE_JOBS, Server, Tls};
pub use error::{Error, Problem};
pub use url::{NotAUrl, one_off};

type Result<T, E = Error> = std::result::Result<T, E>;

/// The largest configuration file that is read, in bytes; a longer one was not written by a person.
pub const MAX_FILE: u64 = 1024 * 1024;

/// The accounts of a configuration file.
#[derive(Debug, Clone)]
pub struct Config {
    /// Every account, in the order of the file; at least one, and no two for the same mailbox.
    pub accounts: Vec<Account>,
    /// The file.
    pub path: PathBuf,
}

/// What the command line says of every account. It takes the place of what the configuration says; only roots
/// are added.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The only destination (`--to`).
    pub deliver: Option<Spec>,
    /// The retention rule (`--leave-on-server`).
    pub leave_on_server: Option<Retention>,
    /// Extra trusted roots (`--ca-file`).
    pub ca_file: Option<PathBuf>,
}

/// Reads and checks a configuration: this file, or `config.toml` in the environment's configuration
/// directory.
///
/// In the file, `~` is the home directory, and paths that are not absolute begin in the file's directory.
/// An account that has no destination is complete if the overrides have one.
///
/// # Errors
///
/// The file cannot be read, or something in it is wrong. No error repeats a value that may be a secret.
pub fn load(
    path: Option<&Path>,
    environment: &Environment,
    overrides: &Overrides,
) -> Result<Config> {
    let default = environment.config_dir.join("config.toml");
    let path = std::path::absolute(path.unwrap_or(&default)).map_err(Error::Path)?;
    let text = read(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound if path == default => Error::Missing(shown(&path)),
        _ => Error::Unreadable {
            path: shown(&path),
            source,
        },
    })?;
    Ok(Config {
        accounts: parse(&text, &path, &environment.home, overrides)?,
        path,
    })
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?
        .take(MAX_FILE + 1)
        .read_to_string(&mut text)?;
    if u64::try_from(read).is_ok_and(|length| length <= MAX_FILE) {
        Ok(text)
    } else {
        Err(io::Error::other("it is larger than 1 MiB"))
    }
}

fn shown(path: &Path) -> String {
    Untrusted(path.as_os_str().as_encoded_bytes()).to_string()
}

fn sanitized(name: &str) -> String {
    Untrusted(name.as_bytes()).to_string()
}

/// The accounts of a configuration with this text; the path is absolute.
fn parse(text: &str, path: &Path, home: &Path, overrides: &Overrides) -> Result<Vec<Account>> {
    let directories = Directories {
        home,
        base: path.parent().unwrap_or(path),
    };
    let tables = DeTable::parse(text)
        .map_err(|error| Source::broken(path, text).error(Diagnostic::of_syntax(&error, text)))?;
    file::accounts(tables.get_ref(), directories, overrides)
        .map_err(|diagnostic| Source::new(path, text, tables.get_ref()).error(diagnostic))
}

impl Config {
    /// The accounts of these names, in this order, each once; with no name, every account.
    ///
    /// # Errors
    ///
    /// No account has one of the names.
    pub fn select(&self, names: &[String]) -> Result<Vec<Account>> {
        if names.is_empty() {
            return Ok(self.accounts.clone());
        }
        let mut selected: Vec<Account> = Vec::new();
        for name in names {
            if selected.iter().any(|account| account.name == *name) {
                continue;
            }
            let account = self.accounts.iter().find(|account| account.name == *name);
            selected.push(account.ok_or_else(|| self.no_such_account(name))?.clone());
        }
        Ok(selected)
    }

    fn no_such_account(&self, name: &str) -> Error {
        let path = shown(&self.path);
        let names = self.accounts.iter().map(|account| account.name.as_str());
        let nearest = nearest(name, names.clone()).map(sanitized);
        let accounts = names.map(sanitized).collect();
        if is_url(name) {
            return Error::UrlForAccount { path, accounts };
        }
        Error::UnknownAccount {
            path,
            name: sanitized(name),
            nearest,
            accounts,
        }
    }
}

/// Whether this was meant for `--url`, with or without a scheme. There may be a password in it, so that it
/// is not to be repeated.
fn is_url(name: &str) -> bool {
    let user = name.rsplit_once('@').map_or("", |(user, _)| user);
    name.contains("://") || user.contains(':')
}

#[cfg(test)]
mod tests;
