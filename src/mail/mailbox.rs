//! What tells one maildrop from another, and what the files are called that are kept for it.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The longest file name, without its ending; file systems allow 255 bytes.
const MAX_STEM: usize = 200;

/// The port that is meant where none is named. POP3 and POP3 over TLS (995) lead to one maildrop.
const USUAL_PORT: u16 = 110;

/// What is written `%XX` in a file's name: all but `[A-Za-z0-9._+-]`.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'.')
    .remove(b'_')
    .remove(b'+')
    .remove(b'-');

/// A maildrop: that of a user at a server. The host is in lower case and without a final dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mailbox {
    user: String,
    host: String,
    port: u16,
}

impl Mailbox {
    /// The maildrop of this user at this server. Letter case and a final dot of the host do not matter.
    #[must_use]
    pub fn new(user: &str, host: &str, port: u16) -> Self {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let port = if port == 995 { USUAL_PORT } else { port };
        Mailbox {
            user: user.to_owned(),
            host,
            port,
        }
    }

    /// The name of the files kept for it, without their ending: `user@host`, then `@port` where that is unusual.
    /// No two maildrops have the same: an `@` inside of a part is escaped.
    #[must_use]
    pub fn file_stem(&self) -> String {
        let escaped = |part| utf8_percent_encode(part, &ESCAPED);
        let mut stem = format!("{}@{}", escaped(&self.user), escaped(&self.host));
        if self.port != USUAL_PORT {
            stem += &format!("@{}", self.port);
        }
        if stem.len() <= MAX_STEM {
            return stem;
        }
        let hashed = hex::encode(&Sha256::digest(&stem)[..16]);
        // An ASCII string can be cut anywhere.
        stem.truncate(MAX_STEM - hashed.len() - 1);
        format!("{stem}~{hashed}")
    }
}

/// As a person and the key ring know it: `user@host`, then `:port` where that is unusual.
impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.host)?;
        if self.port != USUAL_PORT {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_file_is_called_after_user_and_host() {
        assert_eq!(
            Mailbox::new("alice", "Pop.Example.COM.", 995).file_stem(),
            "alice@pop.example.com"
        );
        assert_eq!(
            Mailbox::new("alice", "pop.example.com", 110).file_stem(),
            "alice@pop.example.com"
        );
        assert_eq!(
            Mailbox::new("a@b c/é", "h", 2995).file_stem(),
            "a%40b%20c%2F%C3%A9@h@2995"
        );
        assert_eq!(Mailbox::new("..", "::1", 110).file_stem(), "..@%3A%3A1");
    }

    #[test]
    fn a_long_name_is_hashed_and_stays_unique() {
        let one = Mailbox::new(&"a".repeat(300), "host", 110).file_stem();
        let other = Mailbox::new(&"a".repeat(301), "host", 110).file_stem();
        assert_eq!(one.len(), MAX_STEM);
        assert_ne!(one, other);
    }

    proptest! {
        #[test]
        fn no_two_maildrops_share_a_file(a in any::<(String, String, u16)>(), b in any::<(String, String, u16)>()) {
            let (a, b) = (Mailbox::new(&a.0, &a.1, a.2), Mailbox::new(&b.0, &b.1, b.2));
            prop_assert_eq!(a == b, a.file_stem() == b.file_stem());
            prop_assert!(!a.file_stem().contains('/') && a.file_stem().len() <= MAX_STEM);
        }
    }
}
