//! SASL (RFC 4422), the client's side: authentication mechanisms for any protocol that carries them.
//!
//! A [`Mechanism`] is a name and what is known of its safety; with [`Parameters`] it gives a [`Client`], which
//! makes responses out of challenges; an [`Exchange`] drives that, from the initial response to the end. How a
//! challenge is framed (`+ …` after AUTH in POP3, after AUTHENTICATE in IMAP) is the protocol's business.
//!
//! ```
//! use popfetch::sasl::{Answer, Exchange, Mechanism, Next, Parameters};
//!
//! let parameters = Parameters { user: b"tim", secret: b"tanstaaftanstaaf", ..Parameters::default() };
//! let mut exchange = Exchange::new(Mechanism::CramMd5.client(&parameters)?, |_| true);
//! let challenge = b"PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+";
//! let Next::Respond(response) = exchange.proceed(Answer::Challenge(challenge)) else { panic!() };
//! assert_eq!(response, b"tim b913a602c7eda7a495b4e6e7334d3890");
//! assert_eq!(exchange.proceed(Answer::Accepted), Next::Done);
//! # Ok::<(), popfetch::sasl::Unfit>(())
//! ```

mod client_first;
mod exchange;
mod mechanism;
mod prepare;
mod scram;
mod server_first;

use std::borrow::Cow;
use std::ops::RangeInclusive;

use zeroize::Zeroizing;

use crate::text::Excerpt;

pub use exchange::{Answer, Exchange, Next};
pub use mechanism::{Mechanism, Parameters, Unfit};
pub use prepare::prepared;
pub use scram::Hash;

/// The most challenges in one exchange.
pub const MAX_CHALLENGES: usize = 8;

/// How often SCRAM hashes a password. Less would make the password cheap to guess for a server that is not the
/// true one (RFC 7677 section 4), more would keep us busy: this many take a fraction of a second.
pub const SCRAM_ITERATIONS: RangeInclusive<u32> = 4_096..=600_000;

/// One run of a mechanism with one set of credentials.
pub trait Client {
    /// Which mechanism this is.
    fn mechanism(&self) -> Mechanism;

    /// What the client says before the server does; none where the server speaks first. Asked once,
    /// at the beginning.
    fn initial(&mut self) -> Option<Zeroizing<Vec<u8>>>;

    /// The response to a challenge. The empty challenge that asks for the initial response does not
    /// come here.
    ///
    /// # Errors
    ///
    /// The mechanism has no response to this; the exchange is then cancelled.
    fn respond(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, Aborted>;

    /// The server says that the login succeeded. A mechanism that proves the server to the client
    /// says no unless that proof was given.
    ///
    /// # Errors
    ///
    /// The server did not prove what it had to; it must not be trusted.
    fn accept(&self) -> Result<(), Aborted>;

    /// Why the server will refuse, where it has said so in a challenge.
    fn complaint(&self) -> Option<&Excerpt> {
        None
    }
}

/// Why the client broke an exchange off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Aborted {
    /// A challenge that cannot be decoded (RFC 5034 section 4).
    #[error("the server's challenge is not base64: \"{0}\"")]
    NotBase64(Excerpt),
    /// Something else where the server had to ask for the initial response.
    #[error("the server put a question where {mechanism} has none: \"{challenge}\"")]
    Unexpected {
        /// The mechanism.
        mechanism: Mechanism,
        /// The challenge, decoded.
        challenge: Excerpt,
    },
    /// More than [`MAX_CHALLENGES`].
    #[error("the server put more than {MAX_CHALLENGES} challenges")]
    TooManyChallenges,
    /// Success, in answer to the line that cancels the exchange.
    #[error("the server accepted the login that was cancelled")]
    NotCancelled,
    /// Success before the credentials were sent: the server did not look at them.
    #[error("the server accepted the login before {mechanism} was complete")]
    TooEarly {
        /// The mechanism.
        mechanism: Mechanism,
    },
    /// The server's own words for wrong credentials, where the mechanism has some (RFC 5802 section 7).
    #[error("the server broke SCRAM off: \"{0}\"")]
    Credentials(Excerpt),
    /// A number of rounds that is not among [`SCRAM_ITERATIONS`].
    #[error(
        "the server wants the password hashed \"{wanted}\" times; popfetch does so {} to {} times",
        SCRAM_ITERATIONS.start(),
        SCRAM_ITERATIONS.end()
    )]
    Iterations {
        /// What it said.
        wanted: Excerpt,
        /// It is a number, and too high: that takes us time, but makes no password easier to guess.
        too_many: bool,
    },
    /// What a mechanism says about it: a clause; the server's words in it are sanitized.
    #[error("{0}")]
    Mechanism(Cow<'static, str>),
}

/// All of it, in a buffer that does not grow: a growing one would leave copies of a secret in memory.
fn joined(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut message = Zeroizing::new(Vec::with_capacity(length));
    parts
        .iter()
        .for_each(|part| message.extend_from_slice(part));
    message
}
