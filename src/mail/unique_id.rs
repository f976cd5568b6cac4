//! Unique-ids: what a server says that a message is, for ever.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use crate::text::{self, Untrusted};

/// A message's unique-id as the server gave it (RFC 1939 section 7): any bytes but line ends, at most
/// [`crate::pop3::limits::UNIQUE_ID`]. Never a path, never shown raw.
#[derive(Clone)]
pub struct UniqueId(Bytes);

/// A hundred thousand ids are held at once, in several places, and nearly all are short: those have no
/// piece of memory of their own.
#[derive(Clone)]
enum Bytes {
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Box<[u8]>),
}

/// So many bytes take as much room as a pointer to more of them does, with its length and the choice
/// between the two.
const SHORT: usize = 22;

impl UniqueId {
    /// The id made of these bytes.
    #[must_use]
    pub fn new(given: &[u8]) -> Self {
        let mut bytes = [0; SHORT];
        let short = bytes
            .get_mut(..given.len())
            .zip(given.len().try_into().ok());
        let Some((room, length)) = short else {
            return UniqueId(Bytes::Long(given.into()));
        };
        room.copy_from_slice(given);
        UniqueId(Bytes::Short { length, bytes })
    }

    /// The bytes the server gave.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Short { length, bytes } => &bytes[..usize::from(*length)],
            Bytes::Long(bytes) => bytes,
        }
    }
}

/// So that a map keyed by unique-ids can be asked with the bytes of a listing.
impl Borrow<[u8]> for UniqueId {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl PartialEq for UniqueId {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for UniqueId {}

impl Hash for UniqueId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl PartialOrd for UniqueId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UniqueId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

/// What is written `%XX`: bytes outside 0x21–0x7E, and `%` itself.
const ESCAPED: AsciiSet = CONTROLS.add(b' ').add(b'%');

/// As the journal and reports write it.
impl fmt::Display for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&percent_encode(self.as_bytes(), &ESCAPED), f)
    }
}

impl fmt::Debug for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UniqueId({self})")
    }
}

/// A string that is no unique-id in the form [`UniqueId`] displays.
#[derive(Debug, thiserror::Error)]
#[error("\"{}\" is not a unique-id: a % must be followed by two hexadecimal digits", Untrusted(.0.as_bytes()))]
pub struct NotAUniqueId(String);

impl FromStr for UniqueId {
    type Err = NotAUniqueId;

    /// Reads what [`fmt::Display`] wrote.
    fn from_str(text: &str) -> Result<Self, NotAUniqueId> {
        let bytes = text::percent_decoded(text).ok_or_else(|| NotAUniqueId(text.to_owned()))?;
        Ok(UniqueId::new(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_unique_id_reads_as_the_journal_writes_it() {
        let uid = UniqueId::new(b"a%b c\xff\x1b");
        assert_eq!(uid.to_string(), "a%25b%20c%FF%1B");
        for text in ["bad%2", "bad%", "bad%zz", "bad%+1", "bad%%20"] {
            assert!(text.parse::<UniqueId>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_id_that_is_not_there_takes_no_room() {
        assert_eq!(size_of::<Option<UniqueId>>(), SHORT + 2);
    }

    proptest! {
        #[test]
        fn any_unique_id_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..3 * SHORT)) {
            let uid = UniqueId::new(&bytes);
            prop_assert_eq!(uid.as_bytes(), &bytes);
            prop_assert_eq!(uid.to_string().parse::<UniqueId>().expect("own form"), uid);
        }

        #[test]
        fn an_id_is_in_every_way_what_its_bytes_are(
            one in prop::collection::vec(0..3u8, 0..2 * SHORT),
            other in prop::collection::vec(0..3u8, 0..2 * SHORT),
        ) {
            let state = RandomState::new();
            let (a, b) = (UniqueId::new(&one), UniqueId::new(&other));
            prop_assert_eq!(a == b, one == other);
            prop_assert_eq!(a.cmp(&b), one.cmp(&other));
            prop_assert_eq!(state.hash_one(&a), state.hash_one(&one[..]));
        }
    }
}
