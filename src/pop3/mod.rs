//! The protocol, without a socket: bytes in, events out.
//!
//! Knows no socket, file, account or clock. A session is driven like this (RFC 1939 section 3):
//!
//! ```text
//!   we                                                      the server
//!   ──────────────────────────────────────────────────────────────────────────────────
//!   AUTHORIZATION                              ←  Greeting   +OK ready <timestamp@host>
//!     Capa                                     →
//!                                              ←  Listing    +OK, entries          Capabilities
//!     Stls                                     →
//!                                              ←  Line       +OK     then TLS, and Capa again
//!     Utf8                                     →             where it is announced
//!                                              ←  Line       +OK, or not
//!     login::methods: which mechanisms, in which order
//!       SASL    Auth, Respond …                →             driven by sasl::Exchange
//!                                              ←  Challenge  + …, at last +OK
//!       User    User, then Pass                →
//!       Apop    Apop                           →
//!                                              ←  Line       +OK
//!   TRANSACTION
//!     Capa Stat Uidl List                      →
//!                                              ←  Listing    +OK, entries          Uids, Sizes → Listing
//!     Retr Retr Retr …                         →
//!                                              ←  Message    +OK, text             Decoder
//!     Dele Dele …                              →
//!                                              ←  Line       +OK
//!     Quit                                     →
//!   UPDATE                                     ←  Line       +OK     what was marked is deleted
//! ```
//!
//! [`Command::encode`] makes every line that is sent, and [`Receiver::receive`] takes everything apart
//! that comes: it holds the [`Shape`] of each answer that is still to come, in the order of the
//! commands, so commands may be in flight by the hundred:
//!
//! ```
//! use popfetch::pop3::{Command, Event, Receiver};
//!
//! let mut receiver = Receiver::new();
//! let mut sent = Vec::new();
//! for command in [Command::Retr(1), Command::Dele(1)] {
//!     command.encode(&mut sent)?;
//!     receiver.expect(command.shape());
//! }
//! assert_eq!(sent, b"RETR 1\r\nDELE 1\r\n");
//!
//! let mut input = &b"+OK 7 octets\r\n..hello\r\n.\r\n-ERR no\r\n"[..];
//! let (mut text, mut events) = (Vec::new(), Vec::new());
//! while receiver.outstanding() > 0 {
//!     let (used, event) = receiver.receive(input, &mut text)?;
//!     input = &input[used..];
//!     events.push(event);
//! }
//! assert_eq!(text, b".hello\n");
//! assert!(matches!(
//!     events[..],
//!     [Event::Reply(_), Event::Text { octets: 8 }, Event::EndOfMessage { octets: 8 }, Event::Reply(refused)]
//!         if !refused.is_ok()
//! ));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A server repeats what it likes, a password too. What is kept of its words, in a [`Reply`] or an
//! [`Excerpt`](crate::text::Excerpt), may be shown only after secrets were masked in it.

pub mod apop;
mod capability;
mod command;
pub mod limits;
mod listing;
pub mod login;
mod multiline;
mod receiver;
mod reply;
mod window;

pub use capability::{Capabilities, Expire, TooManyCapabilities};
pub use command::{Command, Unsendable, carries_initial};
pub use listing::{
    BadListing, Disagreement, Listing, Sizes, Stat, Uids, merge, parse_size, parse_stat, parse_uid,
};
pub use multiline::{Decoder, Progress};
pub use receiver::{Event, Receiver, Shape, Violation};
pub use reply::{Dialect, Reply, ResponseCode, Status, says_busy};
pub use window::Window;

/// What follows a prefix whose letter case does not matter.
fn without_prefix<'a>(bytes: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Digits and nothing else, as a number; `u64::MAX` where it is larger.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: u64, digit: &u8| {
        sum.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    };
    Some(digits.iter().fold(0, add))
}
