//! PLAIN, EXTERNAL, XOAUTH2 and OAUTHBEARER: all that the client says is one message, and it speaks first.

use zeroize::Zeroizing;

use super::prepare::escaped_name;
use super::{Aborted, Client, Mechanism, Parameters, joined};
use crate::text::Excerpt;

/// The run of a mechanism that is one message.
pub(super) struct OneMessage {
    mechanism: Mechanism,
    text: Zeroizing<Vec<u8>>,
    /// What is said to the only challenge there may be, which says why the message will be refused.
    /// None where there may be no challenge.
    acknowledgement: Option<&'static [u8]>,
    complaint: Option<Excerpt>,
}

impl OneMessage {
    fn new(mechanism: Mechanism, parts: &[&[u8]]) -> Self {
        OneMessage {
            mechanism,
            text: joined(parts),
            acknowledgement: None,
            complaint: None,
        }
    }

    /// No name stands before the first NUL: we act for the user alone.
    pub(super) fn plain(with: &Parameters<'_>) -> Self {
        let parts: [&[u8]; 4] = [b"\0", with.user, b"\0", with.secret];
        OneMessage::new(Mechanism::Plain, &parts)
    }

    /// The name is said though the certificate holds one: it may hold several, and then the server wants to know.
    pub(super) fn external(with: &Parameters<'_>) -> Self {
        OneMessage::new(Mechanism::External, &[with.user])
    }

    /// An empty line makes the server say in its final answer, too, that it refuses the token.
    pub(super) fn xoauth2(with: &Parameters<'_>) -> Self {
        let parts: [&[u8]; 5] = [
            b"user=",
            with.user,
            b"\x01auth=Bearer ",
            with.secret,
            b"\x01\x01",
        ];
        OneMessage {
            acknowledgement: Some(b""),
            ..OneMessage::new(Mechanism::Xoauth2, &parts)
        }
    }

    /// A lone 0x01 makes the server say in its final answer, too, that it refuses the token (RFC 7628 section
    /// 3.2.3).
    pub(super) fn oauthbearer(with: &Parameters<'_>) -> Self {
        let (name, port) = (escaped_name(with.user), with.port.to_string());
        let parts: [&[u8]; 9] = [
            b"n,a=",
            &name,
            b",\x01host=",
            with.host.as_bytes(),
            b"\x01port=",
            port.as_bytes(),
            b"\x01auth=Bearer ",
            with.secret,
            b"\x01\x01",
        ];
        OneMessage {
            acknowledgement: Some(b"\x01"),
            ..OneMessage::new(Mechanism::OauthBearer, &parts)
        }
    }
}

impl Client for OneMessage {
    fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    fn initial(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        Some(self.text.clone())
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, Aborted> {
        match (self.acknowledgement, &self.complaint) {
            (Some(acknowledgement), None) => {
                self.complaint = Some(Excerpt::of(challenge));
                Ok(Zeroizing::new(acknowledgement.to_vec()))
            }
            _ => Err(Aborted::Unexpected {
                mechanism: self.mechanism,
                challenge: Excerpt::of(challenge),
            }),
        }
    }

    fn accept(&self) -> Result<(), Aborted> {
        match self.complaint {
            None => Ok(()),
            Some(_) => Err(Aborted::Mechanism(
                "the server accepted the login though it had refused the token".into(),
            )),
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

    fn with<'a>(user: &'a [u8], secret: &'a [u8]) -> Parameters<'a> {
        Parameters {
            user,
            secret,
            host: "server.example.com",
            port: 143,
            ..Parameters::default()
        }
    }

    #[test]
    fn plain_is_name_and_password_after_nuls() {
        let message = OneMessage::plain(&with(b"tim", "t\u{e4}nstaaf ".as_bytes()));
        assert_eq!(message.text.as_slice(), "\0tim\0t\u{e4}nstaaf ".as_bytes());
    }

    #[test]
    fn external_is_the_name_and_nothing_else() {
        let mut external = OneMessage::external(&with(b"alice", b""));
        let message = external.initial().expect("the client speaks first");
        assert_eq!(message.as_slice(), b"alice");
        assert!(external.respond(b"more?").is_err());
    }

    #[test]
    fn oauthbearer_is_the_message_of_the_rfc() {
        let token = b"vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==";
        let bearer = OneMessage::oauthbearer(&with(b"user@example.com", token));
        assert_eq!(
            bearer.text.escape_ascii().to_string(),
            "n,a=user@example.com,\\x01host=server.example.com\\x01port=143\\x01\
             auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\\x01\\x01"
        );
        let bearer = OneMessage::oauthbearer(&with(b"a,b=c", b"t"));
        assert!(bearer.text.starts_with(b"n,a=a=2Cb=3Dc,\x01"));
    }

    #[test]
    fn xoauth2_is_the_message_that_google_publishes() {
        let token = b"ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg";
        let xoauth2 = OneMessage::xoauth2(&with(b"someuser@example.com", token));
        assert_eq!(
            BASE64_STANDARD.encode(xoauth2.text.as_slice()),
            "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQm\
             hkSFJoZG1semRHRXVZMjl0Q2cBAQ=="
        );
    }

    #[test]
    fn a_complaint_about_a_token_is_acknowledged_kept_and_never_followed_by_success() {
        let with = with(b"u", b"t");
        for (mut client, acknowledgement) in [
            (OneMessage::xoauth2(&with), &b""[..]),
            (OneMessage::oauthbearer(&with), b"\x01"),
        ] {
            assert_eq!(client.accept(), Ok(()));
            let response = client.respond(br#"{"status":"invalid_token"}"#);
            let response = response.expect("an acknowledgement");
            assert_eq!(response.as_slice(), acknowledgement);
            let complaint = client.complaint().expect("it complained").to_string();
            assert_eq!(complaint, r#"{"status":"invalid_token"}"#);
            assert!(client.accept().is_err());
            assert!(client.respond(b"again").is_err());
        }
    }
}
