//! From the file as it is written to accounts that can be used: each value is checked where it
//! stands, then `[defaults]` fill what an account leaves open, then nothing may be missing.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;

use super::account::{Account, DEFAULT_TIMEOUT, MOST_PIPE_JOBS, Tls};
use super::diagnose::Complaint;
use super::raw::{self, Destinations};
use super::{Overrides, values};
use crate::deliver::{self, Spec};
use crate::mail::Retention;
use crate::net::{ClientCertificate, Fingerprint, TlsVersion};
use crate::pop3::login::Rule;
use crate::secret::SecretSource;

type Result<T> = std::result::Result<T, Complaint>;

/// Where paths of the configuration begin.
#[derive(Clone, Copy)]
pub(super) struct Directories<'a> {
    /// What `~` stands for.
    pub(super) home: &'a Path,
    /// The directory of the configuration file; absolute.
    pub(super) base: &'a Path,
}

/// The accounts of this file, in its order.
pub(super) fn accounts(
    file: &raw::File,
    directories: Directories<'_>,
    overrides: &Overrides,
) -> Result<Vec<Account>> {
    let defaults = Settings::checked(&file.defaults, directories)?;
    let mut accounts = Vec::new();
    for (name, settings) in &file.accounts.0 {
        check_name(name)?;
        let settings = Settings::checked(settings, directories)?;
        let account = settings.or(&defaults).complete(name, overrides)?;
        accounts.push((name.span(), account));
    }
    if accounts.is_empty() {
        return Err(Complaint::new("no account is configured")
            .hint("An account begins with a line [accounts.NAME]."));
    }
    one_account_a_mailbox(&accounts)?;
    Ok(accounts.into_iter().map(|(_, account)| account).collect())
}

fn check_name(name: &Spanned<String>) -> Result<()> {
    let label = if name.get_ref().trim().is_empty() {
        "the name is empty"
    } else if name.get_ref().chars().any(char::is_control) {
        "a name has no control characters"
    } else {
        return Ok(());
    };
    Err(Complaint::new("an account needs a name").at(name.span(), label))
}

/// Values that are right, each for itself.
#[derive(Debug, Clone)]
struct Settings {
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    tls: Option<Tls>,
    tls_min_version: Option<TlsVersion>,
    ca_file: Option<PathBuf>,
    tls_fingerprints: Option<Vec<Fingerprint>>,
    tls_server_name: Option<String>,
    client_certificate: Option<ClientCertificate>,
    secret: Option<SecretSource>,
    auth: Option<Rule>,
    allow_cleartext_password: Option<bool>,
    deliver: Option<Vec<Spec>>,
    leave_on_server: Option<Retention>,
    timeout: Option<Duration>,
    pipe_jobs: Option<NonZeroUsize>,
    quiet_temporary: Option<Quiet>,
    after_new: Option<String>,
}

/// How long a server that is away is not spoken of; in a type of its own, so that an account can say
/// `off` where the defaults say otherwise.
#[derive(Debug, Clone, Copy)]
enum Quiet {
    Off,
    For(Duration),
}

impl Settings {
    fn checked(raw: &raw::Settings, directories: Directories<'_>) -> Result<Self> {
        Ok(Settings {
            host: checked("host", raw.host.as_ref(), |text| {
                values::host(text).map(str::to_owned)
            })?,
            port: checked("port", raw.port.as_ref(), |&number| values::port(number))?,
            user: checked("user", raw.user.as_ref(), |text| {
                values::user(text).map(str::to_owned)
            })?,
            tls: raw.tls.map(|word| word.0),
            tls_min_version: checked("tls_min_version", raw.tls_min_version.as_ref(), |text| {
                text.parse::<TlsVersion>()
            })?,
            ca_file: checked("ca_file", raw.ca_file.as_ref(), |text| {
                directories.path(text)
            })?,
            tls_fingerprints: raw
                .tls_fingerprints
                .as_ref()
                .map(fingerprints)
                .transpose()?,
            tls_server_name: checked("tls_server_name", raw.tls_server_name.as_ref(), |text| {
                values::host(text).map(str::to_owned)
            })?,
            client_certificate: client_certificate(raw, directories)?,
            secret: secret(raw, directories)?,
            auth: raw.auth.map(|word| word.0),
            allow_cleartext_password: raw.allow_cleartext_password,
            deliver: raw
                .deliver
                .as_ref()
                .map(|written| destinations(written, directories))
                .transpose()?,
            leave_on_server: checked("leave_on_server", raw.leave_on_server.as_ref(), |text| {
                values::retention(text)
            })?,
            timeout: checked("timeout", raw.timeout.as_ref(), |text| timeout(text))?,
            pipe_jobs: checked("pipe_jobs", raw.pipe_jobs.as_ref(), |&number| {
                pipe_jobs(number)
            })?,
            quiet_temporary: checked("quiet_temporary", raw.quiet_temporary.as_ref(), |text| {
                quiet(text)
            })?,
            after_new: checked("after_new", raw.after_new.as_ref(), |text| command(text))?,
        })
    }

    /// These, and those of the defaults where nothing is said. The places for a password go together:
    /// an account that names one has no use for another.
    fn or(self, defaults: &Settings) -> Settings {
        let defaults = defaults.clone();
        Settings {
            host: self.host.or(defaults.host),
            port: self.port.or(defaults.port),
            user: self.user.or(defaults.user),
            tls: self.tls.or(defaults.tls),
            tls_min_version: self.tls_min_version.or(defaults.tls_min_version),
            ca_file: self.ca_file.or(defaults.ca_file),
            tls_fingerprints: self.tls_fingerprints.or(defaults.tls_fingerprints),
            tls_server_name: self.tls_server_name.or(defaults.tls_server_name),
            client_certificate: self.client_certificate.or(defaults.client_certificate),
            secret: self.secret.or(defaults.secret),
            auth: self.auth.or(defaults.auth),
            allow_cleartext_password: self
                .allow_cleartext_password
                .or(defaults.allow_cleartext_password),
            deliver: self.deliver.or(defaults.deliver),
            leave_on_server: self.leave_on_server.or(defaults.leave_on_server),
            timeout: self.timeout.or(defaults.timeout),
            pipe_jobs: self.pipe_jobs.or(defaults.pipe_jobs),
            quiet_temporary: self.quiet_temporary.or(defaults.quiet_temporary),
            after_new: self.after_new.or(defaults.after_new),
        }
    }

    fn complete(self, name: &Spanned<String>, overrides: &Overrides) -> Result<Account> {
        let missing = |key: &str, example: &str| {
            Complaint::new(format!("`{key}` is missing"))
                .at(name.span(), format!("this account has no `{key}`"))
                .hint(format!("Add a line such as {key} = \"{example}\"."))
        };
        let tls = self.tls.unwrap_or(Tls::Implicit);
        let (deliver, deliver_otherwise) = match &overrides.deliver {
            Some(destination) => (Some(vec![destination.clone()]), self.deliver),
            None => (self.deliver, None),
        };
        let auth = self.auth.unwrap_or(Rule::Auto);
        let certified = self.client_certificate.is_some() && tls != Tls::None;
        if !auth.needs_secret() && !certified {
            return Err(
                Complaint::new("auth = \"external\" needs TLS and a client certificate")
                    .at(name.span(), "this account lacks one of them")
                    .hint("Name its files with client_cert and client_key."),
            );
        }
        Ok(Account {
            name: name.get_ref().clone(),
            host: self
                .host
                .ok_or_else(|| missing("host", "pop.example.com"))?,
            port: self.port.unwrap_or_else(|| tls.default_port()),
            user: self
                .user
                .ok_or_else(|| missing("user", "alice@example.com"))?,
            tls,
            tls_min_version: self.tls_min_version.unwrap_or_default(),
            ca_files: self
                .ca_file
                .into_iter()
                .chain(overrides.ca_file.clone())
                .collect(),
            tls_fingerprints: self.tls_fingerprints.unwrap_or_default(),
            tls_server_name: self.tls_server_name,
            client_certificate: self.client_certificate,
            secret: self.secret.unwrap_or(SecretSource::Keyring),
            auth,
            allow_cleartext_password: self.allow_cleartext_password.unwrap_or(false),
            deliver: deliver.ok_or_else(|| missing("deliver", "maildir:~/Mail"))?,
            deliver_otherwise: deliver_otherwise.unwrap_or_default(),
            leave_on_server: overrides
                .leave_on_server
                .or(self.leave_on_server)
                .unwrap_or(Retention::Always),
            timeout: self.timeout.unwrap_or(DEFAULT_TIMEOUT),
            pipe_jobs: self.pipe_jobs.unwrap_or(NonZeroUsize::MIN),
            quiet_temporary: match self.quiet_temporary {
                Some(Quiet::For(duration)) => Some(duration),
                Some(Quiet::Off) | None => None,
            },
            after_new: self.after_new,
        })
    }
}

/// The value of this key, if there is one and it passes.
fn checked<T, U, E: std::fmt::Display>(
    key: &str,
    written: Option<&Spanned<T>>,
    check: impl FnOnce(&T) -> std::result::Result<U, E>,
) -> Result<Option<U>> {
    let Some(written) = written else {
        return Ok(None);
    };
    check(written.get_ref())
        .map(Some)
        .map_err(|error| Complaint::value(key, written.span(), error))
}

impl Directories<'_> {
    fn path(self, text: &str) -> std::result::Result<PathBuf, &'static str> {
        if text.is_empty() {
            return Err("the path is empty");
        }
        Ok(deliver::absolute(text, self.home, self.base))
    }
}

fn timeout(text: &str) -> std::result::Result<Duration, String> {
    let timeout = values::duration(text).map_err(|error| error.to_string())?;
    if (Duration::from_secs(1)..=Duration::from_secs(60 * 60)).contains(&timeout) {
        Ok(timeout)
    } else {
        Err("a timeout is from 1s to 1h".to_owned())
    }
}

fn pipe_jobs(number: i64) -> std::result::Result<NonZeroUsize, String> {
    let jobs = usize::try_from(number).ok().and_then(NonZeroUsize::new);
    jobs.filter(|jobs| jobs.get() <= MOST_PIPE_JOBS)
        .ok_or_else(|| format!("this is a number from 1 to {MOST_PIPE_JOBS}"))
}

fn quiet(text: &str) -> std::result::Result<Quiet, String> {
    match text {
        "off" => Ok(Quiet::Off),
        _ => match values::duration(text) {
            Ok(duration) => Ok(Quiet::For(duration)),
            Err(values::NotADuration::Unreadable) => Err("write off or a time such as 6h".into()),
            Err(error) => Err(error.to_string()),
        },
    }
}

/// A command line for the shell.
fn command(text: &str) -> std::result::Result<String, &'static str> {
    if text.trim().is_empty() {
        return Err("the command is empty");
    }
    if text.contains('\0') {
        return Err("a command cannot contain a NUL character");
    }
    Ok(text.to_owned())
}

/// Where the password comes from; at most one of three keys says so.
fn secret(raw: &raw::Settings, directories: Directories<'_>) -> Result<Option<SecretSource>> {
    let file = checked("password_file", raw.password_file.as_ref(), |text| {
        directories.path(text).map(SecretSource::File)
    })?;
    let command = checked("password_command", raw.password_command.as_ref(), |text| {
        command(text).map(SecretSource::Command)
    })?;
    let variable = checked("password_env", raw.password_env.as_ref(), |text| {
        if text.is_empty() || text.contains(['=', '\0']) {
            return Err("this is not the name of an environment variable");
        }
        Ok(SecretSource::Variable(text.clone()))
    })?;

    let written = [&raw.password_file, &raw.password_command, &raw.password_env];
    let mut places = written.into_iter().flatten().map(Spanned::span);
    if let (Some(one), Some(other)) = (places.next(), places.next()) {
        return Err(Complaint::new("the password has more than one source")
            .at(one, "it comes from here")
            .at(other, "and from here")
            .hint("Keep one of password_file, password_command and password_env."));
    }
    Ok(file.or(command).or(variable))
}

/// The certificates that are trusted alone. An empty list could be taken for "none" or "any".
fn fingerprints(written: &Spanned<Vec<Spanned<String>>>) -> Result<Vec<Fingerprint>> {
    if written.get_ref().is_empty() {
        let error = "the list is empty";
        return Err(Complaint::value("tls_fingerprints", written.span(), error));
    }
    let each = written.get_ref().iter();
    each.map(|text| {
        let parsed = text.get_ref().parse::<Fingerprint>();
        parsed.map_err(|error| Complaint::value("tls_fingerprints", text.span(), error))
    })
    .collect()
}

/// The client certificate and its key.
fn client_certificate(
    raw: &raw::Settings,
    directories: Directories<'_>,
) -> Result<Option<ClientCertificate>> {
    let path = |key, written: &Option<_>| {
        checked(key, written.as_ref(), |text: &String| {
            directories.path(text)
        })
    };
    let certificate = path("client_cert", &raw.client_cert)?;
    let key = path("client_key", &raw.client_key)?;
    match (certificate, key, &raw.client_key) {
        (None, Some(_), Some(written)) => Err(Complaint::new("`client_cert` is missing")
            .at(written.span(), "a key without its certificate")
            .hint("Name the file with the certificate as client_cert.")),
        (certificate, key, _) => {
            Ok(certificate.map(|certificate| ClientCertificate { certificate, key }))
        }
    }
}

fn destinations(
    written: &Spanned<Destinations>,
    directories: Directories<'_>,
) -> Result<Vec<Spec>> {
    let mut places: Vec<(Spec, Range<usize>)> = Vec::new();
    for (text, span) in Destinations::each(written) {
        let spec = Spec::parse(text, directories.home, directories.base)
            .map_err(|error| Complaint::value("deliver", span.clone(), error))?;
        let same = |(other, _): &&(Spec, _)| spec.is_same_place(other);
        if let Some((_, first)) = places.iter().find(same) {
            return Err(Complaint::new("the same destination twice")
                .at(span, "again here")
                .at(first.clone(), "already here")
                .hint("Keep one of them: both lead to the same place."));
        }
        places.push((spec, span));
    }
    if places.is_empty() {
        return Err(Complaint::value(
            "deliver",
            written.span(),
            "the list is empty",
        ));
    }
    Ok(places.into_iter().map(|(spec, _)| spec).collect())
}

/// Two accounts for one mailbox would share a journal and wait for each other's lock.
fn one_account_a_mailbox(accounts: &[(Range<usize>, Account)]) -> Result<()> {
    let mut seen = HashMap::new();
    for (span, account) in accounts {
        if let Some(first) = seen.insert(mailbox(account), span) {
            return Err(Complaint::new("two accounts name the same mailbox")
                .at(span.clone(), "this account has the same host and user")
                .at(first.clone(), "as this one")
                .hint("To deliver to several places, give one account a list: deliver = [\"…\", \"…\"]."));
        }
    }
    Ok(())
}

/// What tells one mailbox from another: the host without regard to case and final dot, the user, and
/// the port only where it is not one of the usual two.
fn mailbox(account: &Account) -> (String, &str, Option<u16>) {
    let host = account.host.strip_suffix('.').unwrap_or(&account.host);
    let port = Some(account.port).filter(|port| ![110, 995].contains(port));
    (host.to_lowercase(), &account.user, port)
}
