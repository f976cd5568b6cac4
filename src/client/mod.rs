//! A POP3 client: drives [`crate::pop3`] over a [`crate::net::Stream`].
//!
//! The states of a session (RFC 1939 section 3) are types, so that what is not allowed cannot be written:
//!
//! ```text
//! Authorization::greet → [start_tls] → log_in → Transaction: listing, retrieve, delete → quit or close
//! ```

mod authorization;
mod censor;
mod login;
mod refusal;
mod transaction;
mod wire;

pub use authorization::{Authorization, TlsAgreed};
pub use censor::Censor;
pub use login::{LoggedIn, Login, OpenMaildrop, Refusal};
pub use refusal::is_too_soon;
pub use transaction::{Answer, Ask, Broken, BrokenDeletion, Probe, Transaction, Wanted, Watcher};
pub use wire::Parties;
