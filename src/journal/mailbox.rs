//! Whose maildrop a journal is about, and what its file is called.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The longest file name, without its ending; file systems allow 255 bytes.
const LONGEST: usize = 200;

/// A maildrop: somebody's, at a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
        // POP3 and POP3 over TLS are two doors to one maildrop.
        let port = if port == 995 { 110 } else { port };
        Mailbox {
            user: user.to_owned(),
            host,
            port,
        }
    }

    /// The journal's file name, without its ending: `user@host`, then `@port` where that is unusual.
    /// No two maildrops have the same: an `@` inside of a part is escaped.
    #[must_use]
    pub fn file_stem(&self) -> String {
        let mut stem = String::new();
        escape(&self.user, &mut stem);
        stem.push('@');
        escape(&self.host, &mut stem);
        if self.port != 110 {
            let _ = write!(stem, "@{}", self.port);
        }
        if stem.len() <= LONGEST {
            return stem;
        }
        let digest = Sha256::digest(&stem);
        let hashed = digest
            .iter()
            .take(16)
            .fold(String::new(), |mut hashed, byte| {
                let _ = write!(hashed, "{byte:02x}");
                hashed
            });
        // An ASCII string can be cut anywhere.
        stem.truncate(LONGEST - hashed.len() - 1);
        format!("{stem}~{hashed}")
    }
}

/// Bytes outside `[A-Za-z0-9._+-]` as `%XX`.
fn escape(part: &str, into: &mut String) {
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"._+-".contains(&byte) {
            into.push(char::from(byte));
        } else {
            let _ = write!(into, "%{byte:02X}");
        }
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
        assert_eq!(one.len(), LONGEST);
        assert_ne!(one, other);
    }

    proptest! {
        #[test]
        fn no_two_maildrops_share_a_file(a in any::<(String, String, u16)>(), b in any::<(String, String, u16)>()) {
            let (a, b) = (Mailbox::new(&a.0, &a.1, a.2), Mailbox::new(&b.0, &b.1, b.2));
            prop_assert_eq!(a == b, a.file_stem() == b.file_stem());
            prop_assert!(!a.file_stem().contains('/') && a.file_stem().len() <= LONGEST);
        }
    }
}
