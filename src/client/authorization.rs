//! From the greeting to the open maildrop: AUTHORIZATION state (RFC 1939 section 4).

use log::debug;

use super::censor::Censor;
use super::refusal::When;
use super::transaction::Transaction;
use super::wire::{Listed, Said, Wire};
use crate::error::{Failure, Kind, OrFail, Result};
use crate::net::{Awaited, Stream, TlsConnector};
use crate::pop3::login::{Method, Offer, Protection, Rule, methods};
use crate::pop3::sasl::{Exchange, Next, Plain};
use crate::pop3::{Capabilities, Command, apop};
use crate::secret::Secret;

/// A server that has greeted us and does not know us yet.
pub struct Authorization {
    wire: Wire,
    stamp: Option<String>,
    capabilities: Option<Capabilities>,
}

/// Who logs in, and how it may be done.
pub struct Login<'a> {
    /// The user's name at the server.
    pub user: &'a str,
    /// The password.
    pub secret: &'a Secret,
    /// Which ways are allowed.
    pub rule: Rule,
    /// Whether a password may cross a connection without TLS.
    pub allow_cleartext: bool,
}

impl Authorization {
    /// Takes the server's greeting. `host` is the server's name as a person wrote it.
    ///
    /// # Errors
    ///
    /// The server refuses to talk, does not speak POP3, or is silent.
    pub fn greet(stream: Stream, host: &str) -> Result<Self> {
        let mut wire = Wire::new(stream, host);
        let stamp = wire.reply(Awaited::GREETING, |said| match said.reply.is_ok() {
            true => Ok(apop::stamp(said.reply.text).map(str::to_owned)),
            false => Err(said.failure("the connection", When::Greeting)),
        })??;
        Ok(Authorization {
            wire,
            stamp,
            capabilities: None,
        })
    }

    /// Asks what the server can do (RFC 2449). A server may well not know CAPA.
    ///
    /// # Errors
    ///
    /// The connection broke; `-ERR` is no error.
    pub fn ask_capabilities(&mut self) -> Result<()> {
        self.wire.send(&Command::Capa)?;
        self.capabilities = receive_capabilities(&mut self.wire)?;
        Ok(())
    }

    /// Turns to TLS (RFC 2595 section 4). There is no way back to the clear connection.
    ///
    /// STLS is asked for whatever CAPA says: servers hide it, or have no CAPA, and who has forged the
    /// answer to one can forge the other.
    ///
    /// # Errors
    ///
    /// The server refuses STLS, says something behind its answer, or TLS fails.
    pub fn start_tls(mut self, connector: &TlsConnector, name: &str) -> Result<Self> {
        self.wire.send(&Command::Stls)?;
        self.wire
            .reply(Awaited::named("the answer to STLS"), |said| {
                match said.reply.is_ok() {
                    true => Ok(()),
                    false => Err(no_stls(&said)),
                }
            })??;
        if self.wire.has_leftover() {
            let message = format!(
                "{} sent something behind its answer to STLS, before TLS began",
                self.wire.host()
            );
            return Err(Failure::new(Kind::Tls, message)
                .hint("Somebody may be tampering with the connection. No password was sent."));
        }
        // What was said before TLS is forgotten: anybody could have said it. A forged stamp does no
        // harm, since what answers it goes to the true server alone.
        let wire = self.wire.secure(connector, name)?;
        Ok(Authorization {
            wire,
            stamp: self.stamp,
            capabilities: None,
        })
    }

    /// Logs in, with the first way that is allowed, safe on this connection and offered. Another one
    /// is tried only where the first did not show the password to the server.
    ///
    /// # Errors
    ///
    /// No such way is left, or the server refused.
    pub fn log_in(mut self, login: &Login<'_>) -> Result<Transaction> {
        self.wire
            .conceal(Censor::of(login.user.as_bytes(), login.secret.expose()));
        let offer = Offer {
            capabilities: self.capabilities.as_ref(),
            stamp: self.stamp.is_some(),
        };
        let methods = methods(login.rule, offer, self.protection(login));
        let mut failure = self.no_way(login);
        for method in methods {
            debug!("{}: logging in with {method}", self.wire.host());
            match self.attempt(method, login)? {
                Attempt::Accepted => return Ok(Transaction::new(self.wire, self.capabilities)),
                Attempt::Unusable(refused) => failure = refused,
                Attempt::Denied(denied) => return Err(denied),
            }
        }
        Err(failure)
    }

    fn protection(&self, login: &Login<'_>) -> Protection {
        match (self.wire.is_protected(), login.allow_cleartext) {
            (true, _) => Protection::Tls,
            (false, true) => Protection::ClearAccepted,
            (false, false) => Protection::Clear,
        }
    }

    /// There is nothing to try.
    fn no_way(&self, login: &Login<'_>) -> Failure {
        let host = self.wire.host();
        match (login.rule, self.protection(login)) {
            (Rule::Only(Method::Apop), _) => Failure::new(
                Kind::Auth,
                format!("{host} does not offer APOP: its greeting has no usable stamp"),
            )
            .hint("Use auth = \"auto\"."),
            (_, Protection::Clear) => Failure::new(
                Kind::Config,
                format!("the connection to {host} is not protected, so no password is sent"),
            )
            .hint("Use tls = \"implicit\" or \"starttls\"."),
            _ => Failure::new(
                Kind::Auth,
                format!("{host} offers no way to log in that is allowed here"),
            ),
        }
    }
}

/// What came of one way to log in.
enum Attempt {
    Accepted,
    /// This way does not work here, and the password was not shown: the next may be tried.
    Unusable(Failure),
    /// The server refused.
    Denied(Failure),
}

impl Authorization {
    fn attempt(&mut self, method: Method, login: &Login<'_>) -> Result<Attempt> {
        let (user, secret) = (login.user.as_bytes(), login.secret.expose());
        match method {
            Method::Plain => {
                let plain = Plain::new(user, secret)
                    .or_fail(Kind::Config, || "this user and password cannot be sent")?;
                let announced = self
                    .capabilities
                    .as_ref()
                    .is_some_and(Capabilities::has_sasl);
                self.exchange(Exchange::new(Box::new(plain), announced))
            }
            Method::User => match self.ask(&Command::User(user), "the answer to USER")? {
                Attempt::Accepted => self.ask(&Command::Pass(secret), "the answer to PASS"),
                refused => Ok(refused),
            },
            Method::Apop => {
                let stamp = self.stamp.clone().unwrap_or_default();
                let digest = apop::digest(&stamp, secret);
                self.wire
                    .conceal(Censor::of(user, secret).and(digest.as_bytes()));
                // Some servers show a stamp without having the secret that APOP needs.
                Ok(
                    match self.ask(
                        &Command::Apop {
                            user,
                            digest: &digest,
                        },
                        "the answer to APOP",
                    )? {
                        Attempt::Denied(failure) if failure.kind() == Kind::Auth => {
                            Attempt::Unusable(failure)
                        }
                        answer => answer,
                    },
                )
            }
        }
    }

    /// One command of the login and its answer.
    fn ask(&mut self, command: &Command<'_>, awaited: &'static str) -> Result<Attempt> {
        self.wire.send(command)?;
        self.wire
            .reply(Awaited::named(awaited), |said| match said.reply.is_ok() {
                true => Attempt::Accepted,
                false => Attempt::Denied(said.failure("the login", When::Login)),
            })
    }

    fn exchange(&mut self, mut exchange: Exchange) -> Result<Attempt> {
        self.wire.send(&exchange.command())?;
        loop {
            let (next, denied) = self
                .wire
                .reply(Awaited::named("the answer to AUTH"), |said| {
                    (
                        exchange.proceed(&said.reply),
                        said.failure("the login", When::Login),
                    )
                })?;
            match next {
                Next::Send(command) => self.wire.send(&command)?,
                Next::Done => return Ok(Attempt::Accepted),
                Next::Denied => return Ok(Attempt::Denied(denied)),
                Next::Cancelled(refused) => {
                    let failure = Failure::new(
                        Kind::Protocol,
                        format!("the login at {} failed", self.wire.host()),
                    );
                    return Ok(Attempt::Unusable(failure.because(refused)));
                }
                Next::Untrusted(refused) => {
                    let message = format!("{} cannot be trusted", self.wire.host());
                    return Err(Failure::new(Kind::Protocol, message).because(refused));
                }
            }
        }
    }
}

fn no_stls(said: &Said<'_>) -> Failure {
    let refused = said.failure("STLS", When::Command);
    Failure::new(Kind::Tls, refused.message()).hint(
        "The connection cannot be protected this way, and popfetch never goes on without. Try tls = \"implicit\" (port 995).",
    )
}

/// The answer to CAPA; none where the server does not know the command.
pub(super) fn receive_capabilities(wire: &mut Wire) -> Result<Option<Capabilities>> {
    let mut capabilities = Capabilities::default();
    let awaited = Awaited::named("the answer to CAPA");
    match wire.listing(awaited, |entry| capabilities.add(entry))? {
        Listed::Whole => Ok(Some(capabilities)),
        Listed::Refused(_) => Ok(None),
    }
}
