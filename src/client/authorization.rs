//! From the greeting to the login: AUTHORIZATION state (RFC 1939 section 4).

use super::censor::Censor;
use super::refusal::When;
use super::wire::{Parties, Wire};
use crate::error::{Failure, Kind, Result};
use crate::net::{self, Awaited, Certificate, Stream, TlsConnector};
use crate::pop3::{Capabilities, Command, apop};

/// A server that has greeted us and does not know us yet.
pub struct Authorization {
    pub(super) wire: Wire,
    pub(super) timestamp: Option<String>,
    pub(super) capabilities: Option<Capabilities>,
    /// The capabilities are those of an earlier session: the server was not asked yet.
    pub(super) presumes: bool,
}

impl Authorization {
    /// Takes the server's greeting; the server may know from before what the censor hides. Where no greeting
    /// comes, `explain` may know more of why.
    ///
    /// # Errors
    ///
    /// The server refuses to talk, does not speak POP3, or is silent.
    pub fn greet(
        stream: Stream,
        parties: Parties,
        censor: Censor,
        explain: impl FnOnce(Failure) -> Failure,
    ) -> Result<Self> {
        let mut wire = Wire::new(stream, parties, censor);
        let greeting = wire.reply(Awaited::GREETING, |said| {
            if said.reply.is_ok() {
                Ok(apop::timestamp(said.reply.text).map(str::to_owned))
            } else {
                Err(said.failure("the connection", When::Greeting))
            }
        });
        let timestamp = greeting.map_err(explain)??;
        Ok(Authorization {
            wire,
            timestamp,
            capabilities: None,
            presumes: false,
        })
    }

    /// Asks what the server can do (RFC 2449). A server may well not know CAPA.
    ///
    /// # Errors
    ///
    /// The connection broke; `-ERR` is no error.
    pub(super) fn ask_capabilities(&mut self) -> Result<()> {
        self.wire.send(&Command::Capa)?;
        self.capabilities = self.wire.capabilities()?;
        self.presumes = false;
        Ok(())
    }

    /// A hash of the certificate with which the server has proven who it is; none without TLS, and for a certificate
    /// whose signature has no hash of its own.
    #[must_use]
    pub fn certificate_hash(&self) -> Option<Vec<u8>> {
        self.wire.end_point()
    }

    /// Asks for messages as they are, where the server announces that it has to be asked (RFC 6856
    /// section 2.1). Otherwise it may hide one whose header is not ASCII in a note about that, as
    /// Courier does, with another boundary in each session: what is stored would not be the message,
    /// and would not be known again. After this no TLS can begin.
    ///
    /// # Errors
    ///
    /// The connection broke; `-ERR` is no error.
    pub(super) fn turn_to_utf8(&mut self) -> Result<()> {
        if !self.announced(|capabilities| capabilities.utf8) {
            return Ok(());
        }
        self.wire.send(&Command::Utf8)?;
        self.wire
            .reply(Awaited::named("the answer to UTF8"), |_| ())
    }

    /// Whether the server announces this.
    pub(super) fn announced(&self, this: impl FnOnce(&Capabilities) -> bool) -> bool {
        self.capabilities.as_ref().is_some_and(this)
    }

    /// Agrees with the server to begin with TLS (RFC 2595 section 4).
    ///
    /// STLS is asked for whatever CAPA says: servers hide it, or have no CAPA, and who has forged the
    /// answer to one can forge the other.
    ///
    /// # Errors
    ///
    /// The server refuses STLS, or says something after its answer.
    pub fn start_tls(mut self) -> Result<TlsAgreed> {
        self.agree_on_tls()?;
        Ok(TlsAgreed(self))
    }

    fn agree_on_tls(&mut self) -> Result<()> {
        self.wire.send(&Command::Stls)?;
        self.wire
            .reply(Awaited::named("the answer to STLS"), |said| {
                said.accepted("STLS").map_err(no_stls)
            })??;
        if self.wire.has_leftover() {
            let message = format!(
                "{} sent something after its answer to STLS, before TLS began",
                self.wire.host()
            );
            return Err(Failure::new(Kind::Tls, message)
                .hint("Somebody may be tampering with the connection. No password was sent."));
        }
        Ok(())
    }
}

/// A server that has agreed to begin with TLS. There is no way back to the clear connection.
pub struct TlsAgreed(Authorization);

impl TlsAgreed {
    /// Goes on over TLS. What was said before is forgotten: anybody could have said it. A forged timestamp does no
    /// harm, since what answers it goes to the true server alone.
    ///
    /// # Errors
    ///
    /// As [`Stream::secure`].
    pub fn secure(self, connector: &TlsConnector, name: &str) -> net::Result<Authorization> {
        let TlsAgreed(server) = self;
        Ok(Authorization {
            wire: server.wire.secure(connector, name)?,
            capabilities: None,
            presumes: false,
            ..server
        })
    }

    /// The certificate that the server shows, whether or not it can be trusted. The connection ends.
    ///
    /// # Errors
    ///
    /// As [`Stream::certificate`].
    pub fn certificate(self, name: &str) -> net::Result<Option<Certificate>> {
        self.0.wire.certificate(name)
    }
}

fn no_stls(refused: Failure) -> Failure {
    Failure::new(Kind::Tls, refused.message()).hint(
        "The connection cannot be protected this way, and popfetch never goes on without. Try tls = \"implicit\" (port 995).",
    )
}
