//! XOAUTH2 (Google's and Microsoft's, older than RFC 7628): an access token. Only for connections that
//! nobody reads.

use zeroize::Zeroizing;

use super::oauthbearer::{no_separator, refused_before};
use super::{Mechanism, Refused, joined};
use crate::pop3::Excerpt;
use crate::pop3::command::{Unsendable, check};

/// The mechanism XOAUTH2.
pub struct Xoauth2 {
    message: Zeroizing<Vec<u8>>,
    complaint: Option<Excerpt>,
}

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
        Ok(Xoauth2 {
            message: joined(&parts),
            complaint: None,
        })
    }
}

impl Mechanism for Xoauth2 {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn initial(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        Some(self.message.clone())
    }

    /// The only challenge says why the token was refused; an empty line makes the server say so in its
    /// answer to AUTH as well.
    fn respond(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refused> {
        if self.complaint.is_some() {
            return Err(Refused::Unexpected {
                mechanism: Self::NAME,
                challenge: Excerpt::of(challenge),
            });
        }
        self.complaint = Some(Excerpt::of(challenge));
        Ok(Zeroizing::default())
    }

    fn accept(&self) -> Result<(), Refused> {
        match self.complaint {
            None => Ok(()),
            Some(_) => Err(refused_before()),
        }
    }

    fn complaint(&self) -> Option<&Excerpt> {
        self.complaint.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
