//! The plain words every room uses: unique-ids, digests, what a maildrop lists.

use std::fmt;

use jiff::SignedDuration;

use crate::text::Foreign;

/// The number a message has in one session, from 1 (RFC 1939 section 4). Means nothing in the next.
pub type Number = u32;

/// A message's unique-id as the server gave it (RFC 1939 section 7): any bytes but line ends, at most
/// [`crate::pop3::limits::UNIQUE_ID`]. Never a path, never shown raw.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UniqueId(Box<[u8]>);

impl UniqueId {
    /// The id made of these bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        UniqueId(bytes.into())
    }

    /// The bytes the server gave.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// So that a map keyed by unique-ids can be asked with the bytes of a listing.
impl std::borrow::Borrow<[u8]> for UniqueId {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// As the journal and reports write it: bytes outside 0x21–0x7E and `%` as `%XX`.
impl fmt::Display for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |byte: &u8| matches!(byte, 0x21..=0x7e) && *byte != b'%';
        for run in self.0.chunk_by(|one, next| is_plain(one) && is_plain(next)) {
            match (run, str::from_utf8(run)) {
                ([byte], _) if !is_plain(byte) => write!(f, "%{byte:02X}")?,
                (_, Ok(plain)) => f.write_str(plain)?,
                (_, Err(_)) => return Err(fmt::Error), // What is plain is ASCII.
            }
        }
        Ok(())
    }
}

impl fmt::Debug for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UniqueId({self})")
    }
}

/// A string that is no unique-id in the form [`UniqueId`] displays.
#[derive(Debug, thiserror::Error)]
#[error("«{}» is not a unique-id: a % must be followed by two hexadecimal digits", Foreign(.0.as_bytes()))]
pub struct NotAUniqueId(String);

impl std::str::FromStr for UniqueId {
    type Err = NotAUniqueId;

    /// Reads what [`fmt::Display`] wrote.
    fn from_str(text: &str) -> Result<Self, NotAUniqueId> {
        let refused = || NotAUniqueId(text.to_owned());
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((&first, behind)) = rest.split_first() {
            if first == b'%' {
                let digits = behind
                    .get(..2)
                    .and_then(|two| str::from_utf8(two).ok())
                    .ok_or_else(refused)?;
                bytes.push(u8::from_str_radix(digits, 16).map_err(|_| refused())?);
                rest = &behind[2..];
            } else {
                bytes.push(first);
                rest = behind;
            }
        }
        Ok(UniqueId(bytes.into()))
    }
}

/// SHA-256 of a message as it is stored: CRLF turned into LF, nothing else changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digits = |byte: u8| [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
        let mut text = [0; 64];
        for (pair, &byte) in text.chunks_exact_mut(2).zip(&self.0) {
            pair.copy_from_slice(&digits(byte));
        }
        // Digits are ASCII.
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
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(NotADigest);
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            let (high, low) = (
                char::from(pair[0]).to_digit(16),
                char::from(pair[1]).to_digit(16),
            );
            let (high, low) = high.zip(low).ok_or(NotADigest)?;
            *byte = u8::try_from(high << 4 | low).map_err(|_| NotADigest)?;
        }
        Ok(Digest(digest))
    }
}

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The base name of a Maildir file: without folder and without flags.
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
    /// Handed to somebody else; there is nothing to find again.
    Handed,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_unique_id_reads_as_the_journal_writes_it() {
        let uid = UniqueId::new(b"a%b c\xff\x1b");
        assert_eq!(uid.to_string(), "a%25b%20c%FF%1B");
        assert!("bad%2".parse::<UniqueId>().is_err());
        assert!("bad%zz".parse::<UniqueId>().is_err());
    }

    proptest! {
        #[test]
        fn any_unique_id_comes_back(bytes: Vec<u8>) {
            let uid = UniqueId::new(&bytes);
            prop_assert_eq!(uid.to_string().parse::<UniqueId>().expect("own form"), uid);
        }

        #[test]
        fn any_digest_comes_back(bytes: [u8; 32]) {
            prop_assert_eq!(Digest(bytes).to_string().parse::<Digest>().expect("own form"), Digest(bytes));
        }
    }
}
