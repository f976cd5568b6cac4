//! EXTERNAL (RFC 4422 appendix A): the client certificate of the TLS connection says who we are.

use zeroize::Zeroizing;

use super::{Mechanism, Refused};
use crate::pop3::Excerpt;
use crate::pop3::command::{Unsendable, check};

/// The mechanism EXTERNAL.
pub struct External {
    user: Zeroizing<Vec<u8>>,
}

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
        Ok(External {
            user: Zeroizing::new(user.to_vec()),
        })
    }
}

impl Mechanism for External {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn initial(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        Some(self.user.clone())
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refused> {
        Err(Refused::Unexpected {
            mechanism: Self::NAME,
            challenge: Excerpt::of(challenge),
        })
    }

    fn accept(&self) -> Result<(), Refused> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
