//! Accounts as the rest of the program sees them: complete, checked, typed.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::deliver::Spec;
use crate::mail::Retention;
use crate::net::{ClientCertificate, Fingerprint, TlsVersion};
use crate::pop3::login::Rule;
use crate::secret::{SecretSource, Who};

/// The longest silence of a server where nothing else is said.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// The largest number of commands of a `pipe:` at the same time.
pub const MOST_PIPE_JOBS: usize = 64;

/// One account: a maildrop, how to reach it, and what to do with its mail.
#[derive(Debug, Clone)]
pub struct Account {
    /// What the person calls it; for `--url`, `user@host`.
    pub name: String,
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
    /// Who we are, for servers that ask for a certificate.
    pub client_certificate: Option<ClientCertificate>,
    /// Where the password comes from.
    pub secret: SecretSource,
    /// Which authentication mechanisms are allowed.
    pub auth: Rule,
    /// Whether a password may cross a connection without TLS.
    pub allow_cleartext_password: bool,
    /// Where messages go; each destination gets every message once. Never empty, none twice.
    pub deliver: Vec<Spec>,
    /// Where they go in other runs: the destinations that `--to` takes the place of in this one.
    pub deliver_otherwise: Vec<Spec>,
    /// What happens on the server to messages that are stored.
    pub leave_on_server: Retention,
    /// The longest silence of the server: from a second to an hour.
    pub timeout: Duration,
    /// How many commands of a `pipe:` run at the same time, at most [`MOST_PIPE_JOBS`].
    pub pipe_jobs: NonZeroUsize,
    /// So long a server may be away before anything is said of it; none where everything is said at once.
    pub quiet_temporary: Option<Duration>,
    /// A command for `/bin/sh -c`, to be run once after a run that stored something.
    pub after_new: Option<String>,
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// TLS from the first byte (RFC 8314), port 995.
    Implicit,
    /// STLS (RFC 2595), required, port 110.
    StartTls,
    /// Not at all, port 110.
    None,
}

impl Tls {
    /// The port that is usual for it.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Tls::Implicit => 995,
            Tls::StartTls | Tls::None => 110,
        }
    }
}

impl<'a> From<&'a Account> for Who<'a> {
    fn from(account: &'a Account) -> Self {
        Who {
            account: &account.name,
            host: &account.host,
            port: account.port,
            user: &account.user,
        }
    }
}
