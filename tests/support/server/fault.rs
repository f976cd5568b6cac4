//! What can go wrong at a step, and the names of the steps that are no commands.

use std::time::Duration;

/// Any step.
pub(crate) const ANY: &str = "(any)";
/// The greeting.
pub(crate) const GREETING: &str = "(greeting)";
/// The TLS handshake. Of the faults only [`Fault::CloseBefore`] and [`Fault::Stall`] make sense here.
pub(crate) const HANDSHAKE: &str = "(handshake)";
/// The command whose answer decides about the login: PASS, APOP, AUTH with an initial response, or
/// the response to the challenge.
pub(crate) const LOGIN: &str = "(login)";
/// A response to a challenge of AUTH.
pub(crate) const RESPONSE: &str = "(response)";

/// What happens instead of a good answer.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The command is not carried out; these bytes are the answer.
    Reply(Vec<u8>),
    /// The same, and the connection ends.
    LastWords(Vec<u8>),
    /// The command is carried out, but these bytes are the answer.
    Say(Vec<u8>),
    /// The good answer, and these bytes right after it.
    Inject(Vec<u8>),
    /// The connection ends; the command is not carried out.
    CloseBefore,
    /// The command is carried out; the connection ends without an answer.
    CloseUnanswered,
    /// The connection ends after the good answer.
    CloseAfter,
    /// The connection ends after this many bytes of the good answer.
    CloseWithin(usize),
    /// The same, with a reset instead of an orderly end.
    ResetWithin(usize),
    /// The command is not carried out, and nothing is ever sent again, though the connection stays.
    Stall,
    /// Nothing is sent after this many bytes of the good answer, though the connection stays.
    StallWithin(usize),
    /// The good answer without its last line, and then these bytes over and over until the client ends
    /// the connection.
    Flood(Vec<u8>),
    /// The good answer, one byte a packet.
    Trickle,
    /// The good answer, one byte each time this has passed.
    Drip(Duration),
    /// The good answer, but so much later.
    Delay(Duration),
}

impl Fault {
    /// Not carried out, and answered with this line.
    pub(crate) fn reply(line: &str) -> Self {
        Fault::Reply(with_line_end(line))
    }

    /// Not carried out, answered with this line, and then the connection ends.
    pub(crate) fn last_words(line: &str) -> Self {
        Fault::LastWords(with_line_end(line))
    }

    /// Carried out, but answered with this line.
    pub(crate) fn say(line: &str) -> Self {
        Fault::Say(with_line_end(line))
    }
}

fn with_line_end(line: &str) -> Vec<u8> {
    let end = if line.ends_with('\n') { "" } else { "\r\n" };
    format!("{line}{end}").into_bytes()
}
