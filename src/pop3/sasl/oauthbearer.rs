//! OAUTHBEARER (RFC 7628): an access token. Only for connections that nobody reads.

use super::joined;
use super::message::{Message, OneMessage};
use super::prepare::escaped_name;
use crate::pop3::command::{Unsendable, check};

/// The mechanism OAUTHBEARER.
pub struct OauthBearer(Message);

impl OauthBearer {
    /// The mechanism's name.
    pub const NAME: &'static str = "OAUTHBEARER";

    /// OAUTHBEARER as this user, with this access token, for the server at this host and port: a server
    /// that is somebody else cannot use the token elsewhere without saying so.
    ///
    /// # Errors
    ///
    /// Something is empty, contains CR, LF or NUL, or the byte 0x01 that separates the parts.
    pub fn new(user: &[u8], token: &[u8], host: &str, port: u16) -> Result<Self, Unsendable> {
        for part in [user, token, host.as_bytes()] {
            check("AUTH OAUTHBEARER", part)?;
            no_separator("AUTH OAUTHBEARER", part)?;
        }
        let port = port.to_string();
        let name = escaped_name(user);
        let parts: [&[u8]; 9] = [
            b"n,a=",
            &name,
            b",\x01host=",
            host.as_bytes(),
            b"\x01port=",
            port.as_bytes(),
            b"\x01auth=Bearer ",
            token,
            b"\x01\x01",
        ];
        // A lone 0x01 makes the server say in its answer to AUTH, too, that it refuses the token (RFC 7628
        // section 3.2.3).
        let message = Message::new(Self::NAME, joined(&parts));
        Ok(OauthBearer(message.acknowledging(b"\x01")))
    }
}

/// The byte that separates the parts of a message must not be in one.
pub(super) fn no_separator(command: &'static str, part: &[u8]) -> Result<(), Unsendable> {
    match part.contains(&1) {
        true => Err(Unsendable::Forbidden { command, byte: 1 }),
        false => Ok(()),
    }
}

impl OneMessage for OauthBearer {
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

    fn bearer() -> OauthBearer {
        let token = b"vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==";
        OauthBearer::new(b"user@example.com", token, "server.example.com", 143)
            .expect("credentials")
    }

    #[test]
    fn the_message_is_the_one_of_the_rfc() {
        let message = bearer().initial().expect("the client speaks first");
        assert_eq!(
            message.escape_ascii().to_string(),
            "n,a=user@example.com,\\x01host=server.example.com\\x01port=143\\x01\
             auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\\x01\\x01"
        );
    }

    #[test]
    fn a_name_with_a_comma_is_escaped() {
        let mut bearer = OauthBearer::new(b"a,b=c", b"t", "h", 1).expect("credentials");
        let message = bearer.initial().expect("the client speaks first");
        assert!(message.starts_with(b"n,a=a=2Cb=3Dc,\x01"));
    }

    #[test]
    fn the_servers_complaint_is_acknowledged_kept_and_never_followed_by_success() {
        let mut bearer = bearer();
        assert_eq!(bearer.accept(), Ok(()));
        let response = bearer.respond(br#"{"status":"invalid_token"}"#);
        assert_eq!(response.expect("an acknowledgement").as_slice(), b"\x01");
        let complaint = bearer.complaint().expect("it complained").to_string();
        assert_eq!(complaint, r#"{"status":"invalid_token"}"#);
        assert!(bearer.accept().is_err());
        assert!(bearer.respond(b"again").is_err());
    }

    #[test]
    fn nothing_can_add_parts_to_the_message() {
        assert!(OauthBearer::new(b"u\x01auth=", b"t", "h", 1).is_err());
        assert!(OauthBearer::new(b"u", b"t\x01", "h", 1).is_err());
        assert!(OauthBearer::new(b"u", b"t\r\n", "h", 1).is_err());
    }
}
