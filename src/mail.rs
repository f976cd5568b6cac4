//! The plain words every module uses: unique-ids, digests, what a maildrop lists.

mod mailbox;
mod message_name;
mod unique_id;

use std::borrow::Cow;
use std::fmt;

use jiff::SignedDuration;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use mailbox::Mailbox;
pub use message_name::{MessageName, NotAMessageName};
pub use unique_id::{NotAUniqueId, UniqueId};

/// The number a message has in one session, from 1 (RFC 1939 section 4). Means nothing in the next.
pub type Number = u32;

/// SHA-256 of a message as it is stored: CRLF turned into LF, nothing else changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 64];
        hex::encode_to_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// A string that is no digest: 64 hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("a digest has 64 hexadecimal digits")]
pub struct NotADigest;

impl std::str::FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest).map_err(|_| NotADigest)?;
        Ok(Digest(digest))
    }
}

/// What stays of a message where other header lines come and go: proxies and old servers add some, and other
/// ones at each retrieval. Two messages of one identity under one unique-id are one message.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity([u8; 32]);

/// The part of an [`Identity`] that comes from the header alone: its Message-ID, Date, From and Subject, hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HeaderIdentity(pub [u8; 16]);

impl HeaderIdentity {
    /// That of a header without any of these fields, which many messages may have.
    pub const NONE: HeaderIdentity = HeaderIdentity([0; 16]);
}

impl Identity {
    /// The identity of a message with this header and this SHA-256 of its body.
    #[must_use]
    pub fn new(header: HeaderIdentity, body: [u8; 32]) -> Self {
        let mut identity = [0; 32];
        identity[..16].copy_from_slice(&header.0);
        identity[16..].copy_from_slice(&body[..16]);
        Identity(identity)
    }

    /// Its part that comes from the header.
    #[must_use]
    pub fn header(&self) -> HeaderIdentity {
        let mut header = [0; 16];
        header.copy_from_slice(&self.0[..16]);
        HeaderIdentity(header)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Digest(self.0), f)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({self})")
    }
}

impl std::str::FromStr for Identity {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        text.parse().map(|Digest(bytes)| Identity(bytes))
    }
}

/// In JSON these are the strings that they display as.
macro_rules! serialize_as_text {
    ($($kind:ty),+) => {$(
        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'_, str>::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    )+};
}

serialize_as_text!(UniqueId, Digest, Identity);

/// One message as the maildrop lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its number in this session.
    pub number: Number,
    /// Its unique-id; none where the server has no UIDL.
    pub uid: Option<UniqueId>,
    /// Its size by LIST, in octets with CRLF counted as two; a hint. None where LIST was not asked.
    pub octets: Option<u64>,
}

/// What happens on the server to messages that are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// They stay.
    Always,
    /// They are deleted in the session that stored them.
    Never,
    /// They are deleted so long after they were stored here.
    For(SignedDuration),
}

/// The exact place a message was given in a destination, so that it can be found again after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// The base name of a Maildir file: without directory and without flags.
    Maildir {
        /// The unique name, `,S=` and all, before any `:2,`.
        name: String,
    },
    /// A range of an mbox.
    Mbox {
        /// Where the bytes begin, from the start of the file.
        offset: u64,
        /// How many bytes: a missing last newline of the file before, the From_ line, the quoted message, the empty line.
        length: u64,
        /// SHA-256 of exactly those bytes.
        digest: Digest,
        /// CRC-32 of the first 16, 32, 48 … 256, 512, 1024 … of those bytes, as far as there are so many: after a crash a part of
        /// them is known again by these, and only what is known for ours is ever cut back.
        marks: Vec<u32>,
    },
    /// Handed over to another program; there is nothing to find again.
    Untracked,
}

impl Place {
    /// Whether what was put there can be found again.
    #[must_use]
    pub fn can_be_found(&self) -> bool {
        !matches!(self, Place::Untracked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_digest_comes_back(bytes: [u8; 32]) {
            prop_assert_eq!(Digest(bytes).to_string().parse::<Digest>().expect("own form"), Digest(bytes));
        }

        #[test]
        fn any_identity_comes_back_with_its_header(header: [u8; 16], body: [u8; 32]) {
            let identity = Identity::new(HeaderIdentity(header), body);
            prop_assert_eq!(identity.to_string().parse::<Identity>().expect("own form"), identity);
            prop_assert_eq!(identity.header(), HeaderIdentity(header));
        }
    }
}
