//! LOGIN and CRAM-MD5: the server speaks first.

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;
use zeroize::Zeroizing;

use super::{Aborted, Client, Mechanism, Parameters};
use crate::text::Excerpt;

/// LOGIN: name and password, each after a question.
///
/// The questions (`Username:` and `Password:`, in many spellings) are not looked at: their order is all that counts.
pub(super) struct Login {
    /// What is still to be said, the next one last.
    unsaid: Vec<Zeroizing<Vec<u8>>>,
}

impl Login {
    pub(super) fn new(with: &Parameters<'_>) -> Self {
        let unsaid = [with.secret, with.user].map(|text| Zeroizing::new(text.to_vec()));
        Login {
            unsaid: unsaid.into(),
        }
    }
}

impl Client for Login {
    fn mechanism(&self) -> Mechanism {
        Mechanism::Login
    }

    fn initial(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        None
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, Aborted> {
        let next = self.unsaid.pop();
        next.ok_or_else(|| unexpected(Mechanism::Login, challenge))
    }

    fn accept(&self) -> Result<(), Aborted> {
        complete(Mechanism::Login, self.unsaid.is_empty())
    }
}

/// CRAM-MD5: the password proves itself by a digest over what the server says. Better than a password in clear, and no
/// more than that: a listener can try passwords at leisure, and the server proves nothing.
pub(super) struct CramMd5 {
    user: Vec<u8>,
    /// Taken when it is used: there is one challenge.
    password: Option<Zeroizing<Vec<u8>>>,
}

impl CramMd5 {
    pub(super) fn new(with: &Parameters<'_>) -> Self {
        CramMd5 {
            user: with.user.to_vec(),
            password: Some(Zeroizing::new(with.secret.to_vec())),
        }
    }
}

impl Client for CramMd5 {
    fn mechanism(&self) -> Mechanism {
        Mechanism::CramMd5
    }

    fn initial(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        None
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, Aborted> {
        // A digest over nothing would be the same each time.
        let password = self.password.take().filter(|_| !challenge.is_empty());
        let password = password.ok_or_else(|| unexpected(Mechanism::CramMd5, challenge))?;
        let mac = Hmac::<Md5>::new_from_slice(&password).expect("HMAC takes any key");
        let digest = mac.chain_update(challenge).finalize().into_bytes();
        let digest = Zeroizing::new(format!("{:032x}", u128::from_be_bytes(digest.into())));
        Ok(super::joined(&[&self.user, b" ", digest.as_bytes()]))
    }

    fn accept(&self) -> Result<(), Aborted> {
        complete(Mechanism::CramMd5, self.password.is_none())
    }
}

fn unexpected(mechanism: Mechanism, challenge: &[u8]) -> Aborted {
    let challenge = Excerpt::of(challenge);
    Aborted::Unexpected {
        mechanism,
        challenge,
    }
}

fn complete(mechanism: Mechanism, is_complete: bool) -> Result<(), Aborted> {
    if is_complete {
        Ok(())
    } else {
        Err(Aborted::TooEarly { mechanism })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<'a>(secret: &'a [u8]) -> Parameters<'a> {
        Parameters {
            user: b"tim",
            secret,
            ..Parameters::default()
        }
    }

    #[test]
    fn the_name_comes_first_and_then_the_password_whatever_the_server_asks() {
        let mut login = Login::new(&with(b" tanstaaf "));
        assert_eq!(login.initial(), None);
        let name = login.respond(b"User Name\0").expect("the name");
        assert_eq!(name.as_slice(), b"tim");
        assert!(login.accept().is_err(), "the password was not sent yet");
        let password = login.respond(b"").expect("the password");
        assert_eq!(password.as_slice(), b" tanstaaf ");
        assert_eq!(login.accept(), Ok(()));
        assert!(login.respond(b"And your shoe size?").is_err());
    }

    #[test]
    fn the_digest_is_the_one_of_the_rfc() {
        let mut cram = CramMd5::new(&with(b"tanstaaftanstaaf"));
        assert_eq!(cram.initial(), None);
        let response = cram
            .respond(b"<1896.697170952@postoffice.reston.mci.net>")
            .expect("a response");
        assert_eq!(response.as_slice(), b"tim b913a602c7eda7a495b4e6e7334d3890");
        assert_eq!(cram.accept(), Ok(()));
    }

    #[test]
    fn there_is_one_challenge_and_it_says_something() {
        let mut cram = CramMd5::new(&with(b"secret"));
        assert!(cram.respond(b"").is_err());
        let mut cram = CramMd5::new(&with(b"secret"));
        assert!(cram.accept().is_err());
        assert!(cram.respond(b"<1@a>").is_ok());
        assert!(cram.respond(b"<2@a>").is_err());
    }
}
