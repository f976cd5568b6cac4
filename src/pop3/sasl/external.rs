//! EXTERNAL (RFC 4422 appendix A): the client certificate of the TLS connection says who we are.

use super::joined;
use super::message::{Message, OneMessage};
use crate::pop3::command::{Unsendable, check};

/// The mechanism EXTERNAL.
pub struct External(Message);

impl External {
    /// The mechanism's name.
    pub const NAME: &'static str = "EXTERNAL";

    /// EXTERNAL as this user. The name is said though the certificate holds one: it may hold several,
    /// and then the server wants to know.
    ///
    /// # Errors
    ///
    /// The name is empty or contains CR, LF or NUL.
    pub fn new(user: &[u8]) -> Result<Self, Unsendable> {
        check("AUTH EXTERNAL", user)?;
        Ok(External(Message::new(Self::NAME, joined(&[user]))))
    }
}

impl OneMessage for External {
    fn message(&self) -> &Message {
        &self.0
    }

    fn message_mut(&mut self) -> &mut Message {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop3::sasl::Mechanism as _;

    #[test]
    fn the_name_is_all_that_is_said() {
        let mut external = External::new(b"alice").expect("a name");
        assert_eq!(
            external.initial().as_deref().map(Vec::as_slice),
            Some(&b"alice"[..])
        );
        assert!(external.respond(b"more?").is_err());
        assert!(External::new(b"ali\0ce").is_err());
    }
}
