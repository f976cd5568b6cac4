//! XOAUTH2 (Google's and Microsoft's, older than RFC 7628): an access token. Only for connections that
//! nobody reads.

use super::joined;
use super::message::{Message, OneMessage};
use super::oauthbearer::no_separator;
use crate::pop3::command::{Unsendable, check};

/// The mechanism XOAUTH2.
pub struct Xoauth2(Message);

impl Xoauth2 {
    /// The mechanism's name.
    pub const NAME: &'static str = "XOAUTH2";

    /// XOAUTH2 as this user, with this access token.
    ///
    /// # Errors
    ///
    /// One is empty, contains CR, LF or NUL, or the byte 0x01 that separates the parts.
    pub fn new(user: &[u8], token: &[u8]) -> Result<Self, Unsendable> {
        for part in [user, token] {
            check("AUTH XOAUTH2", part)?;
            no_separator("AUTH XOAUTH2", part)?;
        }
        let parts: [&[u8]; 5] = [b"user=", user, b"\x01auth=Bearer ", token, b"\x01\x01"];
        // An empty line makes the server say in its answer to AUTH, too, that it refuses the token.
        let message = Message::new(Self::NAME, joined(&parts));
        Ok(Xoauth2(message.acknowledging(b"")))
    }
}

impl OneMessage for Xoauth2 {
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
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    #[test]
    fn the_message_is_the_one_that_google_publishes() {
        let token = b"ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg";
        let mut xoauth2 = Xoauth2::new(b"someuser@example.com", token).expect("credentials");
        let message = xoauth2.initial().expect("the client speaks first");
        assert_eq!(
            BASE64_STANDARD.encode(message.as_slice()),
            "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQm\
             hkSFJoZG1semRHRXVZMjl0Q2cBAQ=="
        );
    }

    #[test]
    fn the_servers_complaint_is_acknowledged_with_nothing_and_never_followed_by_success() {
        let mut xoauth2 = Xoauth2::new(b"u", b"t").expect("credentials");
        let response = xoauth2.respond(br#"{"status":"401"}"#);
        assert_eq!(response.expect("an acknowledgement").as_slice(), b"");
        assert!(xoauth2.complaint().is_some());
        assert!(xoauth2.accept().is_err());
        assert!(xoauth2.respond(b"again").is_err());
    }

    #[test]
    fn nothing_can_add_parts_to_the_message() {
        assert!(Xoauth2::new(b"u\x01", b"t").is_err());
        assert!(Xoauth2::new(b"u", b"t\x01\x01").is_err());
        assert!(Xoauth2::new(b"u", b"t\n").is_err());
    }
}
