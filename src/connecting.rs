//! From nothing to an open maildrop.

use std::cell::{Cell, RefCell};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::cancel::CancelToken;
use crate::client::{Authorization, Censor, LoggedIn, Login, Parties, Refusal, Transaction};
use crate::config::{Account, Server, Tls};
use crate::error::{Failure, Kind, Result};
use crate::monitor::{Monitor, Phase, Phases};
use crate::net::{
    self, Certificate, Endpoint, Step, Stream, TlsConnector, TlsConnectors, TlsPolicy,
};
use crate::pop3::login::{LastLogin, Rule};
use crate::secret::Secret;

/// What it takes to log in to an account's server, as often as needed.
pub struct Connecting<'a> {
    account: &'a Account,
    secret: Option<&'a Secret>,
    monitor: &'a dyn Monitor,
    token: &'a CancelToken,
    /// None where the account has no TLS.
    connector: Option<TlsConnector>,
    /// The authentication mechanism that worked last.
    worked: Cell<Option<LastLogin>>,
    /// What an earlier run knows of the server. Used once: every further session of a run asks.
    known: RefCell<Option<Announced>>,
    /// What the server announced in the last session.
    announced: RefCell<Option<Announced>>,
    /// A server that has greeted us and waits for the login, or why there is none.
    reached: RefCell<Option<Result<Authorization>>>,
}

/// Whether the account's password may be sent at all: asked before anything is looked up, and once
/// more by [`Authorization::log_in`] right before it would be.
///
/// # Errors
///
/// [`Kind::Config`]: it would cross the network in clear, and the account does not allow that.
pub fn check_protection(account: &Account) -> Result<()> {
    let Server {
        tls,
        auth,
        host,
        allow_cleartext_password,
        ..
    } = &account.server;
    let hidden = matches!(auth, Rule::Only(method) if !method.exposes_secret());
    if *tls != Tls::None || *allow_cleartext_password || hidden {
        return Ok(());
    }
    let message = format!("the password for {host} would cross the network in clear");
    Err(Failure::new(Kind::Config, message).hint(
        "Use tls = \"implicit\" or \"starttls\". A server without TLS may have an authentication mechanism that does not send the password, such as auth = \"scram-sha-256\" or \"cram-md5\". If you accept that anybody on the way can read it, set allow_cleartext_password = true.",
    ))
}

/// What a server announced before the login, and on which connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// TLS mode, port and certificate.
    pub connection: String,
    /// The capabilities.
    pub capabilities: String,
}

impl<'a> Connecting<'a> {
    /// Prepares for an account; nothing is sent yet. The trusted roots, which may take a while, are read in a thread
    /// from now on. The secret is none where the account needs none ([`needs_secret`]).
    ///
    /// # Errors
    ///
    /// A file of the account's for TLS cannot be used.
    pub fn new(
        account: &'a Account,
        secret: Option<&'a Secret>,
        monitor: &'a dyn Monitor,
        token: &'a CancelToken,
        connectors: &TlsConnectors,
    ) -> Result<Self> {
        let connector = match account.server.tls {
            Tls::Implicit | Tls::StartTls => Some(connectors.get(&TlsPolicy {
                ca_files: account.server.ca_files.clone(),
                fingerprints: account.server.tls_fingerprints.clone(),
                client: account.server.client_certificate.clone(),
                least: account.server.tls_min_version,
            })?),
            Tls::None => None,
        };
        Ok(Connecting {
            account,
            secret,
            monitor,
            token,
            connector,
            worked: Cell::new(None),
            known: RefCell::default(),
            announced: RefCell::default(),
            reached: RefCell::new(None),
        })
    }

    /// Connects, up to where the client speaks first. [`Connecting::open`] reports what comes of it, and then only has
    /// to log in.
    pub fn begin(&self) {
        let reached = self.reach(&mut self.phases());
        self.reached.replace(Some(reached));
    }

    /// Presumes that the server still announces this on such a connection.
    pub fn presume(&self, known: Announced) {
        self.known.replace(Some(known));
    }

    /// What the server announced before the last login that asked it, where that may be presumed another time.
    #[must_use]
    pub fn announced(&self) -> Option<Announced> {
        self.announced.borrow().clone()
    }

    /// Prefers this authentication mechanism, as far as that is safe: it worked before.
    pub fn remember(&self, worked: LastLogin) {
        self.worked.set(Some(worked));
    }

    /// The authentication mechanism that worked last.
    #[must_use]
    pub fn worked(&self) -> Option<LastLogin> {
        self.worked.get()
    }

    /// Connects and logs in. Where the server refuses the first mechanism and hangs up, the second
    /// has a connection of its own.
    ///
    /// # Errors
    ///
    /// As [`net::open`], [`Authorization::start_tls`] and [`Authorization::log_in`].
    pub fn open(&self) -> Result<Transaction> {
        let mut refused = None;
        loop {
            match self.log_in(refused.as_ref())? {
                LoggedIn::Open(opened) => {
                    self.remember(opened.login);
                    return Ok(opened.transaction);
                }
                LoggedIn::HungUp(first) => refused = Some(first),
            }
        }
    }

    fn phases(&self) -> Phases<'_> {
        Phases::new(&self.account.name, self.monitor)
    }

    fn log_in(&self, refused: Option<&Refusal>) -> Result<LoggedIn> {
        let mut phases = self.phases();
        let reached = self.reached.take();
        let reached = reached.unwrap_or_else(|| self.reach(&mut phases));
        let server = reached.map_err(|failure| match refused {
            Some(refused) => refused.left_alone(&failure),
            None => failure,
        })?;
        phases.begin(Phase::Auth);
        self.log_in_at(server, refused)
    }

    fn log_in_at(&self, server: Authorization, refused: Option<&Refusal>) -> Result<LoggedIn> {
        let account = self.account;
        let connection = self.connection(&server);
        let known = self.known.take();
        let known = known.filter(|known| Some(&known.connection) == connection.as_ref());
        let logged_in = server.log_in(&Login {
            user: &account.server.user,
            secret: self.secret,
            host: &account.server.host,
            port: account.server.port,
            rule: account.server.auth,
            allow_cleartext: account.server.allow_cleartext_password,
            worked: self.worked(),
            known: known.and_then(|known| known.capabilities.parse().ok()),
            refused,
        })?;
        if let (LoggedIn::Open(opened), Some(connection)) = (&logged_in, connection) {
            let capabilities = opened.announced.as_ref();
            self.announced
                .replace(capabilities.map(|capabilities| Announced {
                    connection,
                    capabilities: capabilities.to_string(),
                }));
        }
        Ok(logged_in)
    }

    /// What the announcements of a server depend on: how TLS begins, the port, and the certificate that was verified.
    /// None where no certificate was, or where it cannot be told from others.
    fn connection(&self, server: &Authorization) -> Option<String> {
        let certificate = BASE64_STANDARD.encode(server.certificate_hash()?);
        let mode = match self.account.server.tls {
            Tls::Implicit => "implicit",
            Tls::StartTls => "starttls",
            Tls::None => return None,
        };
        Some(format!("{mode} {} {certificate}", self.account.server.port))
    }

    /// The server, once it can be logged in to.
    fn reach(&self, phases: &mut Phases<'_>) -> Result<Authorization> {
        self.reach_once(phases)
            .map_err(|failure| self.censor().clean_failure(failure))
    }

    /// The server, once it has greeted us, over TLS where the account wants that.
    fn reach_once(&self, phases: &mut Phases<'_>) -> Result<Authorization> {
        let account = self.account;
        let stream = self.connect(phases).map_err(|error| self.explain(error))?;
        let server = Authorization::greet(stream, self.parties(), self.censor(), |failure| {
            self.explain_silence(failure)
        })?;
        match (account.server.tls, &self.connector) {
            (Tls::StartTls, Some(connector)) => {
                phases.begin(Phase::Tls);
                let secured = server.start_tls()?.secure(connector, self.server_name());
                secured.map_err(|error| self.explain(error))
            }
            _ => Ok(server),
        }
    }

    /// What no word of the server's may show, from its greeting on.
    fn censor(&self) -> Censor {
        Censor::new(&self.account.server.user, self.secret)
    }

    fn parties(&self) -> Parties {
        Parties {
            account: self.account.name.as_str().into(),
            host: self.account.server.host.as_str().into(),
        }
    }

    fn endpoint(&self) -> Endpoint<'_> {
        let account = self.account;
        Endpoint {
            host: &account.server.host,
            port: account.server.port,
            server_name: self.server_name(),
            timeout: account.server.timeout,
        }
    }

    /// The name that the server's certificate must be made for.
    fn server_name(&self) -> &str {
        let Server {
            host,
            tls_server_name,
            ..
        } = &self.account.server;
        tls_server_name.as_ref().unwrap_or(host)
    }

    /// The failure of a connection. A refusal does not show the certificate that it is about: another connection looks
    /// at it, and ends there.
    fn explain(&self, error: net::Error) -> Failure {
        let net::Error::Certificate(mut refused) = error else {
            return error.into();
        };
        refused.certificate = self.look_at_certificate().ok().flatten();
        net::Error::Certificate(refused).into()
    }

    fn look_at_certificate(&self) -> Result<Option<Certificate>> {
        let stream = net::open(&self.endpoint(), None, self.token, &mut |_| {})?;
        match self.account.server.tls {
            Tls::Implicit => Ok(stream.certificate(self.server_name())?),
            Tls::StartTls => {
                let censor = self.censor();
                let server =
                    Authorization::greet(stream, self.parties(), censor, |failure| failure)?;
                Ok(server.start_tls()?.certificate(self.server_name())?)
            }
            Tls::None => Ok(None),
        }
    }

    /// A server that does not greet on a connection without TLS may be waiting for TLS to begin.
    fn explain_silence(&self, failure: Failure) -> Failure {
        let Server {
            tls, host, port, ..
        } = &self.account.server;
        let silent = failure.kind() == Kind::Temporary && *tls != Tls::Implicit;
        if !silent || self.token.is_cancelled() || !net::speaks_tls(&self.endpoint(), self.token) {
            return failure;
        }
        Failure::new(Kind::Tls, format!("{host} did not greet us: port {port} speaks TLS from the first byte"))
            .hint("Use tls = \"implicit\" for this port, or the port for connections without TLS (usually 110).")
    }

    fn connect(&self, phases: &mut Phases<'_>) -> net::Result<Stream> {
        let account = self.account;
        let at_once = self
            .connector
            .as_ref()
            .filter(|_| account.server.tls == Tls::Implicit);
        net::open(&self.endpoint(), at_once, self.token, &mut |step| {
            phases.begin(step.into())
        })
    }
}

impl From<Step> for Phase {
    fn from(step: Step) -> Self {
        match step {
            Step::Resolve => Phase::Resolve,
            Step::Connect => Phase::Connect,
            Step::Tls => Phase::Tls,
        }
    }
}

/// Whether the account's owner has to be asked for a password: not where a certificate says who it is.
#[must_use]
pub fn needs_secret(account: &Account) -> bool {
    account.server.auth.needs_secret()
}
