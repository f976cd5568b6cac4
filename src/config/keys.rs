//! The keys of the configuration, each in one place: its name, whether errors may show its value, and how the
//! value is read. A new key is an entry here and a field of [`Server`] or [`Account`] with its default.
//!
//! `[defaults]` are read into an account first, and an account's own table then into a copy of that.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::time::Duration;

use toml::de::DeTable;

use super::account::{Account, MAX_PIPE_JOBS, Server, Tls};
use super::diagnostic::Diagnostic;
use super::entry::{Directories, Entry, Result, wrong_kind};
use super::error::Problem;
use super::values;
use crate::deliver::Spec;
use crate::net::{ClientCertificate, Fingerprint, TlsVersion};
use crate::pop3::login::Rule;
use crate::secret::SecretSource;

/// A key that says something of a `T`.
struct Key<T: 'static> {
    name: &'static str,
    is_shown: bool,
    read: fn(&mut T, &Entry<'_>) -> Result<()>,
}

impl<T> Key<T> {
    /// A key whose wrong value errors may show, since nobody takes it for the place of a password.
    const fn shown(name: &'static str, read: fn(&mut T, &Entry<'_>) -> Result<()>) -> Self {
        Key {
            name,
            is_shown: true,
            read,
        }
    }

    /// A key whose value errors never show: a URL with a password, a command with one among its arguments, or a
    /// password alone may stand there, by mistake or not.
    const fn hidden(name: &'static str, read: fn(&mut T, &Entry<'_>) -> Result<()>) -> Self {
        Key {
            name,
            is_shown: false,
            read,
        }
    }
}

/// How to reach a server and log in there.
const SERVER: &[Key<Server>] = &[
    Key::hidden("host", |to, entry| {
        entry
            .text(values::host)
            .map(|host| to.host = host.to_owned())
    }),
    Key::shown("port", |to, entry| {
        entry.number(values::port).map(|port| to.port = port)
    }),
    Key::hidden("user", |to, entry| {
        entry
            .text(values::user)
            .map(|user| to.user = user.to_owned())
    }),
    Key::shown("tls", |to, entry| {
        entry.word(&Tls::NAMES).map(|tls| to.tls = tls)
    }),
    Key::shown("tls_min_version", |to, entry| {
        let version = entry.text(str::parse::<TlsVersion>);
        version.map(|version| to.tls_min_version = version)
    }),
    Key::hidden("ca_file", |to, entry| {
        entry.path().map(|path| to.ca_files = vec![path])
    }),
    Key::shown("tls_fingerprints", |to, entry| {
        let each = |item: Entry<'_>| item.text(str::parse::<Fingerprint>);
        let all = entry.items()?.into_iter().map(each);
        to.tls_fingerprints = all.collect::<Result<_>>()?;
        Ok(())
    }),
    Key::hidden("tls_server_name", |to, entry| {
        let name = entry.text(values::host);
        name.map(|name| to.tls_server_name = Some(name.to_owned()))
    }),
    Key::hidden("client_cert", |to, entry| {
        let certificate = entry.path()?;
        let key = None;
        to.client_certificate = Some(ClientCertificate { certificate, key });
        Ok(())
    }),
    // Below client_cert, to which it belongs: keys are read in the order of these tables.
    Key::hidden("client_key", |to, entry| {
        let path = entry.path()?;
        let certificate = to.client_certificate.as_mut();
        certificate
            .map(|certificate| certificate.key = Some(path))
            .ok_or_else(|| {
                Diagnostic::new(Problem::KeyWithoutCertificate)
                    .at(entry.span(), "a key without its certificate")
            })
    }),
    Key::hidden("password_file", |to, entry| {
        entry
            .path()
            .map(|path| to.secret = SecretSource::File(path))
    }),
    Key::hidden("password_command", |to, entry| {
        let command = entry.command();
        command.map(|command| to.secret = SecretSource::Command(command))
    }),
    Key::hidden("password_env", |to, entry| {
        let name = entry.text(values::variable);
        name.map(|name| to.secret = SecretSource::Variable(name.to_owned()))
    }),
    Key::hidden("auth", |to, entry| {
        entry.word(&Rule::NAMES).map(|auth| to.auth = auth)
    }),
    Key::hidden("allow_cleartext_password", |to, entry| {
        let allowed = entry.boolean();
        allowed.map(|allowed| to.allow_cleartext_password = allowed)
    }),
    Key::shown("timeout", |to, entry| {
        entry.text(timeout).map(|timeout| to.timeout = timeout)
    }),
];

/// What an account has besides its server.
const ACCOUNT: &[Key<Account>] = &[
    Key::hidden("deliver", |to, entry| {
        destinations(entry).map(|destinations| to.deliver = destinations)
    }),
    Key::shown("leave_on_server", |to, entry| {
        let rule = entry.text(values::retention);
        rule.map(|rule| to.leave_on_server = rule)
    }),
    Key::shown("pipe_jobs", |to, entry| {
        entry.number(pipe_jobs).map(|jobs| to.pipe_jobs = jobs)
    }),
    Key::shown("quiet_temporary", |to, entry| {
        let limit = entry.text(quiet_temporary);
        limit.map(|limit| to.quiet_temporary = limit)
    }),
    Key::hidden("after_new", |to, entry| {
        let command = entry.command();
        command.map(|command| to.after_new = Some(command))
    }),
];

/// At most one of these says where the password comes from.
const PASSWORD_SOURCES: [&str; 3] = ["password_file", "password_command", "password_env"];

/// The names of all keys of an account.
pub(super) fn names() -> Vec<&'static str> {
    let of_server = SERVER.iter().map(|key| key.name);
    of_server
        .chain(ACCOUNT.iter().map(|key| key.name))
        .collect()
}

/// The account with what this table says of it; the table has no unknown key.
pub(super) fn read(
    mut account: Account,
    table: &DeTable<'_>,
    directories: Directories<'_>,
) -> Result<Account> {
    one_password_source(table)?;
    read_each(SERVER, &mut account.server, table, directories)?;
    read_each(ACCOUNT, &mut account, table, directories)?;
    Ok(account)
}

fn read_each<T>(
    keys: &[Key<T>],
    to: &mut T,
    table: &DeTable<'_>,
    directories: Directories<'_>,
) -> Result<()> {
    for key in keys {
        if let Some(value) = table.get(key.name) {
            let entry = Entry {
                key: key.name,
                is_shown: key.is_shown,
                value,
                directories,
            };
            (key.read)(to, &entry)?;
        }
    }
    Ok(())
}

fn one_password_source(table: &DeTable<'_>) -> Result<()> {
    let mut written = PASSWORD_SOURCES.iter().filter_map(|key| table.get(*key));
    match (written.next(), written.next()) {
        (Some(one), Some(other)) => Err(Diagnostic::new(Problem::SeveralPasswordSources)
            .at(one.span(), "it comes from here")
            .at(other.span(), "and from here")),
        _ => Ok(()),
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = values::duration(text).map_err(|error| error.to_string())?;
    if (Duration::from_secs(1)..=Duration::from_secs(60 * 60)).contains(&timeout) {
        Ok(timeout)
    } else {
        Err("a timeout is from 1s to 1h".to_owned())
    }
}

fn pipe_jobs(number: i64) -> Result<NonZeroUsize, String> {
    let jobs = usize::try_from(number).ok().and_then(NonZeroUsize::new);
    jobs.filter(|jobs| jobs.get() <= MAX_PIPE_JOBS)
        .ok_or_else(|| format!("this is a number from 1 to {MAX_PIPE_JOBS}"))
}

/// `off` is there for an account where the defaults say otherwise.
fn quiet_temporary(text: &str) -> Result<Option<Duration>, String> {
    match (text, values::duration(text)) {
        ("off", _) => Ok(None),
        (_, Ok(duration)) => Ok(Some(duration)),
        (_, Err(values::NotADuration::Unreadable)) => {
            Err("expected \"off\" or a duration such as \"6h\"".to_owned())
        }
        (_, Err(error)) => Err(error.to_string()),
    }
}

/// One destination or a list of them, none of them twice.
fn destinations(entry: &Entry<'_>) -> Result<Vec<Spec>> {
    let items = match entry.value.get_ref() {
        toml::de::DeValue::String(_) => vec![*entry],
        toml::de::DeValue::Array(_) => entry.items()?,
        _ => {
            let expected = "a destination such as \"maildir:~/Mail\", or a list of them";
            return Err(wrong_kind(entry.value, expected));
        }
    };
    let Directories { home, base } = entry.directories;
    let mut places: Vec<(Spec, Range<usize>)> = Vec::new();
    for item in items {
        let spec = item.text(|text| Spec::parse(text, home, base))?;
        let first = places.iter().find(|(other, _)| spec.is_same_place(other));
        if let Some((_, first)) = first {
            return Err(Diagnostic::new(Problem::SameDestination)
                .at(item.span(), "again here")
                .at(first.clone(), "already here"));
        }
        places.push((spec, item.span()));
    }
    Ok(places.into_iter().map(|(spec, _)| spec).collect())
}
