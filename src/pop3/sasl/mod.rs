//! SASL (RFC 4422) as POP3 carries it (RFC 5034), without a socket.
//!
//! A [`Mechanism`] makes responses out of challenges and knows nothing of POP3; an [`Exchange`]
//! carries it through AUTH: base64, the initial response and the form without it, cancelling, and
//! what servers do differently.

mod cram_md5;
mod exchange;
mod external;
mod login;
mod message;
mod oauthbearer;
mod plain;
mod prepare;
mod scram;
mod xoauth2;

use std::borrow::Cow;

use zeroize::Zeroizing;

use super::Excerpt;
use super::limits;

pub use cram_md5::CramMd5;
pub use exchange::{Exchange, Next};
pub use external::External;
pub use login::Login;
pub use oauthbearer::OauthBearer;
pub use plain::Plain;
pub use prepare::prepared;
pub use scram::{Binding, Hash, Scram, nonce};
pub use xoauth2::Xoauth2;

/// One run of a SASL mechanism with one set of credentials.
pub trait Mechanism {
    /// Its name as the server lists it, in upper case.
    fn name(&self) -> &'static str;

    /// What the client says before the server does; none where the server speaks first. Asked once,
    /// at the beginning.
    fn initial(&mut self) -> Option<Zeroizing<Vec<u8>>>;

    /// The response to a challenge. The empty challenge that asks for the initial response does not
    /// come here.
    ///
    /// # Errors
    ///
    /// The mechanism has no response to this; the exchange is then cancelled.
    fn respond(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refused>;

    /// The server says that the login succeeded. A mechanism that proves the server to the client
    /// says no unless that proof was given.
    ///
    /// # Errors
    ///
    /// The server did not prove what it had to; it must not be trusted.
    fn accept(&self) -> Result<(), Refused>;

    /// Why the server will refuse, where it has said so in a challenge: its words, to be shown escaped.
    fn complaint(&self) -> Option<&Excerpt> {
        None
    }
}

/// Why the client broke an exchange off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A challenge that cannot be decoded (RFC 5034 section 4).
    #[error("the server's challenge is not base64: \"{0}\"")]
    NotBase64(Excerpt),
    /// Something else where the server had to ask for the initial response.
    #[error("the server put a question where {mechanism} has none: \"{challenge}\"")]
    Unexpected {
        /// The mechanism's name.
        mechanism: &'static str,
        /// The challenge, decoded.
        challenge: Excerpt,
    },
    /// More than [`limits::CHALLENGES`].
    #[error("the server put more than {} challenges", limits::CHALLENGES)]
    TooManyChallenges,
    /// `+OK` to the line that cancels the exchange.
    #[error("the server answered +OK to the cancelled login")]
    NotCancelled,
    /// `+OK` before the credentials were sent: whoever that is, it did not look at them.
    #[error("the server answered +OK before {mechanism} was complete")]
    TooEarly {
        /// The mechanism's name.
        mechanism: &'static str,
    },
    /// The server's own words for wrong credentials, where the mechanism has some (RFC 5802 section 7).
    #[error("the server broke {mechanism} off: \"{error}\"")]
    Credentials {
        /// The mechanism's name.
        mechanism: &'static str,
        /// What it said.
        error: Excerpt,
    },
    /// A number of rounds that is not among [`limits::SCRAM_ITERATIONS`].
    #[error(
        "the server wants the password hashed \"{wanted}\" times; popfetch does so {} to {} times",
        limits::SCRAM_ITERATIONS.start(),
        limits::SCRAM_ITERATIONS.end()
    )]
    Iterations {
        /// What it said.
        wanted: Excerpt,
        /// It is a number, and too high: that takes us time, but makes no password easier to guess.
        too_many: bool,
    },
    /// What a mechanism says about it: a clause; the server's words in it are escaped.
    #[error("{0}")]
    Mechanism(Cow<'static, str>),
}

/// All of it, in a buffer that does not grow: a growing one leaves copies of a secret behind.
fn joined(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut message = Zeroizing::new(Vec::with_capacity(length));
    parts
        .iter()
        .for_each(|part| message.extend_from_slice(part));
    message
}
