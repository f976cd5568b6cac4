//! CRAM-MD5 (RFC 2195): the password proves itself by a digest over what the server says. Better than
//! a password in clear, and no more than that: whoever hears it can try passwords at leisure, and the
//! server proves nothing.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;
use zeroize::Zeroizing;

use super::{Mechanism, Refused};
use crate::pop3::Excerpt;
use crate::pop3::command::{Unsendable, check};

/// The mechanism CRAM-MD5.
pub struct CramMd5 {
    user: Vec<u8>,
    /// Taken when it is used: there is one challenge.
    password: Option<Zeroizing<Vec<u8>>>,
}

impl CramMd5 {
    /// The mechanism's name.
    pub const NAME: &'static str = "CRAM-MD5";

    /// CRAM-MD5 with these credentials.
    ///
    /// # Errors
    ///
    /// One is empty or contains CR, LF or NUL.
    pub fn new(user: &[u8], password: &[u8]) -> Result<Self, Unsendable> {
        check("AUTH CRAM-MD5", user)?;
        check("AUTH CRAM-MD5", password)?;
        Ok(CramMd5 {
            user: user.to_vec(),
            password: Some(Zeroizing::new(password.to_vec())),
        })
    }
}

impl Mechanism for CramMd5 {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn initial(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        None
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refused> {
        // A digest over nothing would be the same each time.
        let password = self.password.take().filter(|_| !challenge.is_empty());
        let password = password.ok_or_else(|| Refused::Unexpected {
            mechanism: Self::NAME,
            challenge: Excerpt::of(challenge),
        })?;
        let mac = Hmac::<Md5>::new_from_slice(&password).expect("HMAC takes any key");
        let digest = mac.chain_update(challenge).finalize().into_bytes();
        let mut response = Zeroizing::new(self.user.clone());
        let hex = digest.iter().fold(String::from(" "), |mut hex, byte| {
            // A String takes what is written.
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        response.extend_from_slice(hex.as_bytes());
        Ok(response)
    }

    fn accept(&self) -> Result<(), Refused> {
        match self.password {
            None => Ok(()),
            Some(_) => Err(Refused::TooEarly {
                mechanism: Self::NAME,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_response_is_the_one_of_the_rfc() {
        let mut cram = CramMd5::new(b"tim", b"tanstaaftanstaaf").expect("credentials");
        assert_eq!(cram.initial(), None);
        let response = cram
            .respond(b"<1896.697170952@postoffice.reston.mci.net>")
            .expect("a response");
        assert_eq!(response.as_slice(), b"tim b913a602c7eda7a495b4e6e7334d3890");
        assert_eq!(cram.accept(), Ok(()));
    }

    #[test]
    fn there_is_one_challenge_and_it_says_something() {
        let mut cram = CramMd5::new(b"tim", b"secret").expect("credentials");
        assert!(cram.respond(b"").is_err());
        let mut cram = CramMd5::new(b"tim", b"secret").expect("credentials");
        assert!(cram.accept().is_err());
        assert!(cram.respond(b"<1@a>").is_ok());
        assert!(cram.respond(b"<2@a>").is_err());
    }
}
