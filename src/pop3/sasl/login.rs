//! LOGIN (never a standard; draft-murchison-sasl-login): name and password, each after a question.
//! Only for connections that nobody reads.

use zeroize::Zeroizing;

use super::{Mechanism, Refused};
use crate::pop3::Excerpt;
use crate::pop3::command::{Unsendable, check};

/// The mechanism LOGIN.
///
/// The server's questions (`Username:` and `Password:`, in many spellings) are not looked at: their
/// order is all that counts.
pub struct Login {
    /// What is still to be said, the next one last.
    unsaid: Vec<Zeroizing<Vec<u8>>>,
}

impl Login {
    /// The mechanism's name.
    pub const NAME: &'static str = "LOGIN";

    /// LOGIN with these credentials.
    ///
    /// # Errors
    ///
    /// One is empty or contains CR, LF or NUL.
    pub fn new(user: &[u8], password: &[u8]) -> Result<Self, Unsendable> {
        check("AUTH LOGIN", user)?;
        check("AUTH LOGIN", password)?;
        let unsaid = [password, user].map(|text| Zeroizing::new(text.to_vec()));
        Ok(Login {
            unsaid: unsaid.into(),
        })
    }
}

impl Mechanism for Login {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn initial(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        None
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refused> {
        self.unsaid.pop().ok_or_else(|| Refused::Unexpected {
            mechanism: Self::NAME,
            challenge: Excerpt::of(challenge),
        })
    }

    fn accept(&self) -> Result<(), Refused> {
        match self.unsaid[..] {
            [] => Ok(()),
            _ => Err(Refused::TooEarly {
                mechanism: Self::NAME,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_comes_first_and_then_the_password_whatever_the_server_asks() {
        let mut login = Login::new(b"tim", b" tanstaaf ").expect("credentials");
        assert_eq!(login.initial(), None);
        let name = login.respond(b"User Name\0").expect("the name");
        assert_eq!(name.as_slice(), b"tim");
        assert!(login.accept().is_err(), "nobody has the password yet");
        let password = login.respond(b"").expect("the password");
        assert_eq!(password.as_slice(), b" tanstaaf ");
        assert_eq!(login.accept(), Ok(()));
        assert!(login.respond(b"And your shoe size?").is_err());
    }

    #[test]
    fn line_ends_are_no_part_of_credentials() {
        assert!(Login::new(b"tim\r", b"x").is_err());
        assert!(Login::new(b"tim", b"x\0").is_err());
        assert!(Login::new(b"tim", b"").is_err());
    }
}
