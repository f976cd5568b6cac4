//! Accounts as the rest of the program sees them: complete, checked, typed.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::Overrides;
use crate::deliver::Spec;
use crate::mail::{Mailbox, Retention};
use crate::net::{ClientCertificate, Fingerprint, TlsVersion};
use crate::pop3::login::Rule;
use crate::secret::{AccountRef, SecretSource};

/// The longest silence of a server where nothing else is configured.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// The largest number of commands of a `pipe:` at the same time.
pub const MAX_PIPE_JOBS: usize = 64;

/// A server: how to reach it, and how to log in there.
#[derive(Debug, Clone)]
pub struct Server {
    /// The server's host name or address, as written; an IPv6 address without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// The user's name at the server.
    pub user: String,
    /// How the connection is protected.
    pub tls: Tls,
    /// The oldest version of TLS that is accepted.
    pub tls_min_version: TlsVersion,
    /// Files of extra trusted roots, PEM.
    pub ca_files: Vec<PathBuf>,
    /// The only certificates the server may show, in place of all other checks; with none, those are made.
    pub tls_fingerprints: Vec<Fingerprint>,
    /// The name that the server's certificate must be made for, where that is not the host.
    pub tls_server_name: Option<String>,
    /// Our own certificate, for servers that ask for one.
    pub client_certificate: Option<ClientCertificate>,
    /// Where the password comes from.
    pub secret: SecretSource,
    /// Which authentication mechanisms are allowed.
    pub auth: Rule,
    /// Whether a password may cross a connection without TLS.
    pub allow_cleartext_password: bool,
    /// The longest silence of the server: from a second to an hour.
    pub timeout: Duration,
}

/// One account: a maildrop, how to reach it, and what to do with its mail.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its name in the configuration; for `--url`, `user@host`.
    pub name: String,
    /// The server that holds the maildrop.
    pub server: Server,
    /// Where messages go; each destination gets every message once. Never empty, none twice.
    pub deliver: Vec<Spec>,
    /// Where they go in other runs: the destinations that `--to` takes the place of in this one.
    pub deliver_otherwise: Vec<Spec>,
    /// What happens on the server to messages that are stored.
    pub leave_on_server: Retention,
    /// How many commands of a `pipe:` run at the same time, at most [`MAX_PIPE_JOBS`].
    pub pipe_jobs: NonZeroUsize,
    /// How long a server may be away before that is reported; none where it is reported at once.
    pub quiet_temporary: Option<Duration>,
    /// A command for `/bin/sh -c`, to be run once after a run that stored something.
    pub after_new: Option<String>,
}

impl Default for Server {
    /// Every optional key at its default. `host` and `user` are empty and `port` is 0 until they are known.
    fn default() -> Self {
        Server {
            host: String::new(),
            port: 0,
            user: String::new(),
            tls: Tls::Implicit,
            tls_min_version: TlsVersion::default(),
            ca_files: Vec::new(),
            tls_fingerprints: Vec::new(),
            tls_server_name: None,
            client_certificate: None,
            secret: SecretSource::Keyring,
            auth: Rule::Auto,
            allow_cleartext_password: false,
            timeout: DEFAULT_TIMEOUT,
        }
    }
}

impl Default for Account {
    /// Every optional key at its default. `name` and `deliver` are empty until they are known.
    fn default() -> Self {
        Account {
            name: String::new(),
            server: Server::default(),
            deliver: Vec::new(),
            deliver_otherwise: Vec::new(),
            leave_on_server: Retention::Always,
            pipe_jobs: NonZeroUsize::MIN,
            quiet_temporary: None,
            after_new: None,
        }
    }
}

impl Account {
    /// The maildrop that it is about.
    #[must_use]
    pub fn mailbox(&self) -> Mailbox {
        let Server {
            user, host, port, ..
        } = &self.server;
        Mailbox::new(user, host, *port)
    }

    /// The same account as the command line wants it for this run.
    #[must_use]
    pub(super) fn overridden(mut self, overrides: &Overrides) -> Self {
        if let Some(destination) = &overrides.deliver {
            self.deliver_otherwise =
                std::mem::replace(&mut self.deliver, vec![destination.clone()]);
        }
        if let Some(rule) = overrides.leave_on_server {
            self.leave_on_server = rule;
        }
        self.server.ca_files.extend(overrides.ca_file.clone());
        self
    }
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// TLS from the first byte (RFC 8314), port 995.
    Implicit,
    /// STLS (RFC 2595), required, port 110.
    StartTls,
    /// Not at all, port 110.
    None,
}

impl Tls {
    /// The names of all of them, in the configuration.
    pub(super) const NAMES: [&str; 3] = ["implicit", "starttls", "none"];

    /// The port that is usual for it.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Tls::Implicit => 995,
            Tls::StartTls | Tls::None => 110,
        }
    }
}

/// One of `Tls::NAMES`.
impl FromStr for Tls {
    type Err = UnknownTls;

    fn from_str(text: &str) -> Result<Self, UnknownTls> {
        match text {
            "implicit" => Ok(Tls::Implicit),
            "starttls" => Ok(Tls::StartTls),
            "none" => Ok(Tls::None),
            _ => Err(UnknownTls),
        }
    }
}

/// A text that names no way to protect a connection.
#[derive(Debug, thiserror::Error)]
#[error("this is not implicit, starttls or none")]
pub struct UnknownTls;

impl<'a> From<&'a Account> for AccountRef<'a> {
    fn from(account: &'a Account) -> Self {
        AccountRef {
            name: &account.name,
            host: &account.server.host,
            port: account.server.port,
            user: &account.server.user,
        }
    }
}
