//! Commands out, answers in, over one stream.

use std::sync::Arc;

use log::trace;
use zeroize::{Zeroize, Zeroizing};

use super::censor::Censor;
use super::refusal::{Said, When};
use crate::error::{Failure, Kind, Result};
use crate::net::{self, Awaited, Certificate, Stream, TlsConnector};
use crate::pop3::{
    Capabilities, Command, Dialect, Event, Receiver, Shape, Unsendable, Violation, limits,
};

/// Room for the longest line and then some, so that a message passes in large pieces.
const INPUT: usize = 2 * limits::LINE;

/// What came from the server.
pub(super) enum Heard<'a> {
    /// A status line.
    Said(Said<'a>),
    /// A line of a listing.
    Entry(&'a [u8]),
    /// The listing is complete.
    EndOfListing,
    /// More text of a message, which has brought so many octets with it. The handler leaves the
    /// buffer empty.
    Text { text: &'a mut Vec<u8>, octets: u64 },
    /// The message is complete, having taken so many octets.
    EndOfMessage { octets: u64 },
}

/// What came of asking for a listing.
pub(super) enum Listed {
    /// All of it came.
    Whole,
    /// The server refused it.
    Refused(Failure),
}

/// Who talks to whom: by these names errors and the log tell one dialogue from the others.
#[derive(Debug, Clone)]
pub struct Parties {
    /// The account, as the person calls it.
    pub account: Arc<str>,
    /// The server, as the person wrote it.
    pub host: Arc<str>,
}

/// One end of the dialogue with a server.
pub(super) struct Wire {
    stream: Stream,
    parties: Parties,
    awaited: Awaited,
    /// A command was sent while no answer was due: its answer has the whole timeout, whatever it is called.
    begins: bool,
    receiver: Receiver,
    input: Box<[u8]>,
    start: usize,
    end: usize,
    output: Zeroizing<Vec<u8>>,
    text: Vec<u8>,
    censor: Censor,
}

impl Wire {
    /// The dialogue begins with the server's greeting.
    pub(super) fn new(stream: Stream, parties: Parties, censor: Censor) -> Self {
        let mut wire = Wire::silent(stream, parties, censor);
        wire.receiver.expect(Shape::Greeting);
        wire
    }

    fn silent(stream: Stream, parties: Parties, censor: Censor) -> Self {
        Wire {
            stream,
            parties,
            awaited: Awaited::GREETING,
            begins: false,
            receiver: Receiver::new(),
            input: vec![0; INPUT].into_boxed_slice(),
            start: 0,
            end: 0,
            output: Zeroizing::default(),
            text: Vec::new(),
            censor,
        }
    }

    /// The server's name, as the person wrote it.
    pub(super) fn host(&self) -> Arc<str> {
        Arc::clone(&self.parties.host)
    }

    /// The account's name.
    pub(super) fn account(&self) -> Arc<str> {
        Arc::clone(&self.parties.account)
    }

    /// Whether TLS protects the dialogue.
    pub(super) fn is_protected(&self) -> bool {
        self.stream.is_protected()
    }

    /// What ties a login to this connection: a hash of the server's certificate (RFC 5929 section 4).
    pub(super) fn end_point(&self) -> Option<Vec<u8>> {
        self.stream.end_point()
    }

    /// What the server may repeat and must never be shown: more of it with every response.
    pub(super) fn censor(&mut self) -> &mut Censor {
        &mut self.censor
    }

    /// A text with the server's words in it, ready to be shown.
    pub(super) fn clean(&self, text: &dyn std::fmt::Display) -> String {
        self.censor.clean(text.to_string())
    }

    /// Writes a command after what [`Wire::flush`] will send next. Returns its length in bytes.
    ///
    /// # Errors
    ///
    /// An argument cannot be sent, or the server said more than it was asked: what lies there would be
    /// taken for the answer. Nothing was written.
    pub(super) fn put(&mut self, command: &Command<'_>) -> Result<usize> {
        if self.receiver.outstanding() == 0 && self.has_leftover() {
            let message = format!(
                "unsolicited data from {} (broken server or command injection)",
                self.parties.host
            );
            return Err(Failure::new(Kind::Protocol, message));
        }
        let before = self.output.len();
        command.encode(&mut self.output).map_err(unsendable)?;
        self.begins |= self.receiver.outstanding() == 0;
        self.receiver.expect(command.shape());
        trace!("{}: > {command}", self.parties.account);
        Ok(self.output.len() - before)
    }

    /// Sends what was put, in one write.
    pub(super) fn flush(&mut self) -> Result<()> {
        let sent = self.stream.send(&self.output);
        // Passwords pass through here.
        self.output.zeroize();
        self.output.clear();
        Ok(sent?)
    }

    /// Sends one command alone.
    pub(super) fn send(&mut self, command: &Command<'_>) -> Result<()> {
        self.put(command)?;
        self.flush()
    }

    /// Waits for the next thing the server says and hands it on.
    ///
    /// # Errors
    ///
    /// The connection is lost, the server is silent too long, or it breaks the protocol.
    pub(super) fn receive<R>(
        &mut self,
        awaited: Awaited,
        handle: impl FnOnce(Heard<'_>) -> R,
    ) -> Result<R> {
        if std::mem::take(&mut self.begins) || awaited != self.awaited {
            self.awaited = awaited;
            self.stream.wait_for(awaited);
        }
        loop {
            let input = &self.input[self.start..self.end];
            let received = self.receiver.receive(input, &mut self.text);
            let (used, event) = received
                .map_err(|violation| broken(&self.parties.host, &violation, &self.censor))?;
            self.start += used;
            let heard = match event {
                Event::Incomplete => {
                    self.fill()?;
                    continue;
                }
                Event::Reply(reply) => {
                    let said = Said {
                        reply,
                        host: &self.parties.host,
                        censor: &self.censor,
                    };
                    trace!("{}: < {said}", self.parties.account);
                    Heard::Said(said)
                }
                Event::Entry(entry) => {
                    trace!("{}: < {}", self.parties.account, self.censor.show(entry));
                    Heard::Entry(entry)
                }
                Event::EndOfListing => Heard::EndOfListing,
                Event::Text { octets } => Heard::Text {
                    text: &mut self.text,
                    octets,
                },
                Event::EndOfMessage { octets } => Heard::EndOfMessage { octets },
            };
            return Ok(handle(heard));
        }
    }

    /// Waits for a status line.
    ///
    /// # Errors
    ///
    /// As [`Wire::receive`].
    pub(super) fn reply<R>(
        &mut self,
        awaited: Awaited,
        handle: impl FnOnce(Said<'_>) -> R,
    ) -> Result<R> {
        let heard = self.receive(awaited, |heard| match heard {
            Heard::Said(said) => Some(handle(said)),
            _ => None,
        })?;
        heard.ok_or_else(|| self.mismatched())
    }

    /// Waits for a listing. A listing that makes no sense ends the session: nothing on this connection can be
    /// relied on then.
    ///
    /// # Errors
    ///
    /// As [`Wire::receive`]; or an entry makes no sense.
    pub(super) fn listing<E: std::fmt::Display>(
        &mut self,
        awaited: Awaited,
        mut entry: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Listed> {
        let what = awaited.to_string();
        let refused = self.reply(awaited, |said| {
            (!said.reply.is_ok())
                .then(|| said.failure(what.trim_start_matches("the answer to "), When::Command))
        })?;
        if let Some(failure) = refused {
            return Ok(Listed::Refused(failure));
        }
        let mut nonsense = None;
        loop {
            let ended = self.receive(awaited, |heard| match heard {
                Heard::Entry(line) => {
                    if nonsense.is_none() {
                        nonsense = entry(line).err();
                    }
                    Some(false)
                }
                Heard::EndOfListing => Some(true),
                _ => None,
            })?;
            match (ended, nonsense.take()) {
                (None, _) => return Err(self.mismatched()),
                (_, Some(nonsense)) => return Err(self.nonsense(&nonsense)),
                (Some(true), None) => return Ok(Listed::Whole),
                (Some(false), None) => {}
            }
        }
    }

    /// Waits for the answer to CAPA; none where the server does not know the command.
    ///
    /// # Errors
    ///
    /// As [`Wire::receive`]; or there are too many of them.
    pub(super) fn capabilities(&mut self) -> Result<Option<Capabilities>> {
        let mut capabilities = Capabilities::default();
        let awaited = Awaited::named("the answer to CAPA");
        match self.listing(awaited, |entry| capabilities.add(entry))? {
            Listed::Whole => Ok(Some(capabilities)),
            Listed::Refused(_) => Ok(None),
        }
    }

    /// The failure that what the server lists makes no sense.
    pub(super) fn nonsense(&self, what: &dyn std::fmt::Display) -> Failure {
        Failure::new(
            Kind::Data,
            format!("{}: {}", self.parties.host, self.clean(what)),
        )
    }

    /// The failure that an answer came which cannot follow the command.
    pub(super) fn mismatched(&self) -> Failure {
        Failure::new(
            Kind::Protocol,
            format!(
                "{}: the response does not match the command",
                self.parties.host
            ),
        )
    }

    /// Reads more from the stream. An end of the stream is never the end of an answer.
    fn fill(&mut self) -> Result<()> {
        self.input.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let count = self.stream.read(&mut self.input[self.end..])?;
        if count == 0 {
            let message = format!(
                "{} closed the connection while we waited for {}",
                self.parties.host, self.awaited
            );
            return Err(Failure::new(Kind::Unreachable, message));
        }
        self.end += count;
        Ok(())
    }

    /// How many commands wait for their answers, the one that is being answered included.
    pub(super) fn outstanding(&self) -> usize {
        self.receiver.outstanding()
    }

    /// Whether the server said more than it was asked.
    pub(super) fn has_leftover(&self) -> bool {
        self.start < self.end
    }

    /// Whether all that came so far was taken in, so that we are about to wait for the server. (What is
    /// left may also be the beginning of something, whose end then is on its way.)
    pub(super) fn is_drained(&self) -> bool {
        !self.has_leftover() && self.stream.is_drained()
    }

    /// Goes on over TLS. Nothing that was read before is carried over.
    ///
    /// # Errors
    ///
    /// As [`Stream::secure`].
    pub(super) fn secure(self, connector: &TlsConnector, name: &str) -> net::Result<Self> {
        let stream = self.stream.secure(connector, name)?;
        Ok(Wire::silent(stream, self.parties, self.censor))
    }

    /// The certificate that the server shows where TLS begins. The connection ends.
    ///
    /// # Errors
    ///
    /// As [`Stream::certificate`].
    pub(super) fn certificate(self, name: &str) -> net::Result<Option<Certificate>> {
        self.stream.certificate(name)
    }

    /// Ends the connection without another word of the protocol.
    pub(super) fn close(self) {
        self.stream.close();
    }
}

fn unsendable(why: Unsendable) -> Failure {
    Failure::new(Kind::Config, why.to_string())
}

fn broken(host: &str, violation: &Violation, censor: &Censor) -> Failure {
    let message = format!("{host} broke the protocol: {violation}");
    let failure = Failure::new(Kind::Protocol, censor.clean(message));
    match violation {
        Violation::NoStatus {
            dialect: Dialect::Tls,
            ..
        } => failure.hint(
            "This port speaks TLS from the first byte: use tls = \"implicit\", or another port.",
        ),
        Violation::NoStatus { .. } => failure.hint("Is this the port of a POP3 server?"),
        _ => failure,
    }
}
