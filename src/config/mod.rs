//! What a person wrote, checked and typed.
//!
//! [`load`] reads the configuration file, [`one_off`] the URL that stands for one; both give
//! complete [`Account`]s. [`values`] reads single values, for the file and the command line alike.

mod account;
mod check;
mod diagnose;
mod mask;
mod nearest;
mod raw;
mod url;
pub mod values;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::deliver::Spec;
use crate::environment::Environment;
use crate::error::{Failure, Kind, OrFail, Result};
use crate::mail::Retention;
use crate::text::Untrusted;
use diagnose::Source;
use nearest::nearest;

pub use account::{Account, DEFAULT_TIMEOUT, MOST_PIPE_JOBS, Tls};
pub use url::one_off;

/// The largest configuration file that is read, in bytes; what is longer was not written by a person.
pub const LARGEST_FILE: u64 = 1024 * 1024;

/// The accounts of a configuration file.
#[derive(Debug, Clone)]
pub struct Config {
    /// Every account, in the order of the file; at least one, and no two for the same mailbox.
    pub accounts: Vec<Account>,
    /// The file.
    pub path: PathBuf,
}

/// What the command line says of every account; it takes the place of what the configuration says, but
/// for the roots, which are added.
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
/// [`Kind::Config`]: the file cannot be read, or something in it is wrong. The message then has
/// several lines: what is wrong, the place, the line, and a caret under what is meant. Secrets that
/// were written into the file are never part of it.
pub fn load(
    path: Option<&Path>,
    environment: &Environment,
    overrides: &Overrides,
) -> Result<Config> {
    let default = environment.config_dir.join("config.toml");
    let path = std::path::absolute(path.unwrap_or(&default))
        .or_fail(Kind::Config, || "the configuration has no usable path")?;
    let text = match read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && path == default => {
            return Err(nothing_configured(&path));
        }
        Err(error) => {
            let message = format!("cannot read the configuration {}", shown(&path));
            return Err(Failure::new(Kind::Config, message).because(error));
        }
    };
    Ok(Config {
        accounts: parse(&text, &path, &environment.home, overrides)?,
        path,
    })
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?
        .take(LARGEST_FILE + 1)
        .read_to_string(&mut text)?;
    if u64::try_from(read).is_ok_and(|length| length <= LARGEST_FILE) {
        Ok(text)
    } else {
        Err(io::Error::other("it is larger than a mebibyte"))
    }
}

fn nothing_configured(path: &Path) -> Failure {
    let path = shown(path);
    Failure::new(
        Kind::Config,
        format!("there is no configuration: {path} does not exist"),
    )
    .hint(
        "Write it, for example:\n\
             [accounts.work]\n\
             host = \"pop.example.com\"\n\
             user = \"alice\"\n\
             deliver = \"maildir:~/Mail/work\"",
    )
    .hint("Or name a mailbox without one, with `--url pops://user@host --to maildir:~/Mail`.")
}

fn shown(path: &Path) -> String {
    Untrusted(path.as_os_str().as_encoded_bytes()).to_string()
}

/// The accounts of a configuration that says this and stands there; the path is absolute.
fn parse(text: &str, path: &Path, home: &Path, overrides: &Overrides) -> Result<Vec<Account>> {
    let source = Source { path, text };
    let directories = check::Directories {
        home,
        base: path.parent().unwrap_or(path),
    };
    toml::from_str(text)
        .map_err(|error| diagnose::from_toml(&error))
        .and_then(|file| check::accounts(&file, directories, overrides))
        .map_err(|complaint| source.failure(complaint))
}

impl Config {
    /// The accounts of these names, in this order, each once; with no name, every account.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`]: no account has one of the names.
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

    fn no_such_account(&self, name: &str) -> Failure {
        let path = shown(&self.path);
        if is_url(name) {
            let what = format!("a URL stands where the name of an account in {path} belongs");
            return Failure::new(Kind::Usage, what)
                .hint("A mailbox without an account is named so: `popfetch sync --url pops://user@host --to maildir:~/Mail`.")
                .hint(self.names());
        }
        let names = self.accounts.iter().map(|account| account.name.as_str());
        let hint = match nearest(name, names) {
            Some(near) => format!("Did you mean {}?", Untrusted(near.as_bytes())),
            None => self.names(),
        };
        let name = Untrusted(name.as_bytes());
        Failure::new(
            Kind::Usage,
            format!("no account in {path} is called \"{name}\""),
        )
        .hint(hint)
    }

    fn names(&self) -> String {
        let names = self.accounts.iter().map(|account| &account.name);
        let shown: Vec<_> = names
            .map(|name| Untrusted(name.as_bytes()).to_string())
            .collect();
        format!("There are: {}.", shown.join(", "))
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
