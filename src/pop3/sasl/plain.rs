//! PLAIN (RFC 4616): name and password as they are. Only for connections that nobody reads.

use super::joined;
use super::message::{Message, OneMessage};
use crate::pop3::command::{Unsendable, check};

/// The mechanism PLAIN.
pub struct Plain(Message);

impl Plain {
    /// The mechanism's name.
    pub const NAME: &'static str = "PLAIN";

    /// PLAIN with these credentials; RFC 4616 wants them in UTF-8.
    ///
    /// # Errors
    ///
    /// One is empty or contains NUL, which would move the border between the two; CR and LF, which USER and
    /// PASS cannot carry, are refused alike.
    pub fn new(user: &[u8], password: &[u8]) -> Result<Self, Unsendable> {
        check("AUTH PLAIN", user)?;
        check("AUTH PLAIN", password)?;
        // Nobody is acted for but the user.
        let text = joined(&[b"\0", user, b"\0", password]);
        Ok(Plain(Message::new(Self::NAME, text)))
    }
}

impl OneMessage for Plain {
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
    fn the_message_is_name_and_password_behind_nuls() {
        let mut plain = Plain::new(b"tim", "t\u{e4}nstaaf ".as_bytes()).expect("credentials");
        let message = plain.initial().expect("the client speaks first");
        assert_eq!(message.as_slice(), "\0tim\0t\u{e4}nstaaf ".as_bytes());
    }

    #[test]
    fn what_would_move_the_border_between_name_and_password_is_refused() {
        for (user, password) in [
            ("a\0b", "c"),
            ("a", "b\0c"),
            ("a\n", "b"),
            ("a", "b\r"),
            ("", "b"),
            ("a", ""),
        ] {
            assert!(
                Plain::new(user.as_bytes(), password.as_bytes()).is_err(),
                "{user:?} {password:?}"
            );
        }
    }
}
