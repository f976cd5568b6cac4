//! Reading the lines of which a journal has very many: a message that is about to be placed, or stored. For 100,000 of
//! them serde takes 370 ms, and this 25: a run that finds ten new messages after those takes half a second in all.

use jiff::Timestamp;

use crate::journal::record::{Intent, Record};
use crate::mail::Place;

/// The record of such a line, without its checksum; none for a line of any other form, which may be just
/// as good.
pub(super) fn read(content: &[u8]) -> Option<Record> {
    let mut rest = Rest(str::from_utf8(content).ok()?);
    if rest.skip(r#"{"is":"stored""#) {
        let intent = rest.intent()?;
        let at = rest.string(r#","at":""#)?.parse::<Timestamp>().ok()?;
        return rest.is_empty().then_some(Record::Stored { intent, at });
    }
    if rest.skip(r#"{"is":"intend""#) {
        let intent = rest.intent()?;
        return rest.is_empty().then_some(Record::Intend(intent));
    }
    None
}

/// What is left of a line.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Passes over this, if it is what comes next.
    fn skip(&mut self, expected: &str) -> bool {
        let after = self.0.strip_prefix(expected);
        self.0 = after.unwrap_or(self.0);
        after.is_some()
    }

    /// A string after its key. None where something in it is escaped.
    fn string(&mut self, key: &str) -> Option<&'a str> {
        let text = self.0.strip_prefix(key)?;
        let end = memchr::memchr2(b'"', b'\\', text.as_bytes())?;
        let (string, after) = text.split_at(end);
        self.0 = after.strip_prefix('"')?;
        Some(string)
    }

    /// A number after its key.
    fn number(&mut self, key: &str) -> Option<u64> {
        let text = self.0.strip_prefix(key)?;
        let end = text.bytes().position(|byte| !byte.is_ascii_digit());
        let (digits, after) = text.split_at(end.unwrap_or(text.len()));
        // Not even JSON has it.
        if digits.len() > 1 && digits.starts_with('0') {
            return None;
        }
        let number = digits.parse().ok()?;
        self.0 = after;
        Some(number)
    }

    /// A list of numbers after its key; none without that key.
    fn numbers(&mut self, key: &str) -> Option<Option<Vec<u32>>> {
        if !self.skip(key) {
            return Some(None);
        }
        let (mut numbers, mut separator) = (Vec::new(), "");
        while !self.skip("]") {
            numbers.push(self.number(separator)?.try_into().ok()?);
            separator = ",";
        }
        Some(Some(numbers))
    }

    /// The place of a message, whatever kind of destination it is in.
    fn place(&mut self) -> Option<Place> {
        if let Some(name) = self.string(r#","file":""#) {
            let name = name.to_owned();
            return Some(Place::Maildir { name });
        }
        let Some(offset) = self.number(r#","range":{"offset":"#) else {
            return Some(Place::Untracked);
        };
        let place = Place::Mbox {
            offset,
            length: self.number(r#","length":"#)?,
            digest: self.string(r#","digest":""#)?.parse().ok()?,
            marks: self.numbers(r#","marks":["#)??,
        };
        self.skip("}").then_some(place)
    }

    fn intent(&mut self) -> Option<Intent> {
        let uid = self.string(r#","uid":""#)?.parse().ok()?;
        let to = self.number(r#","to":"#)?.try_into().ok()?;
        let digest = self.string(r#","digest":""#)?.parse().ok()?;
        let identity = self
            .string(r#","identity":""#)
            .map(str::parse)
            .transpose()
            .ok()?;
        let octets = self.number(r#","octets":"#)?;
        let listed = self.number(r#","listed":"#);
        let place = self.place()?;
        let owed = self.numbers(r#","owed":["#)?;
        Some(Intent {
            uid,
            to,
            digest,
            identity,
            octets,
            listed,
            place,
            owed: owed.unwrap_or_else(|| vec![to]),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::check_seal;
    use super::super::tests::{any_frequent_record, any_record, line, replace_digit};
    use super::*;
    use crate::mail::{HeaderIdentity, Identity};

    #[test]
    fn the_lines_that_are_many_are_read_quickly() {
        let intent = Intent {
            uid: "0000%25a".parse().expect("an id"),
            to: 3,
            digest: crate::mail::Digest([0xa5; 32]),
            identity: None,
            octets: 0,
            listed: None,
            place: Place::Maildir {
                name: "1.M2P3Q4.host,S=5".into(),
            },
            owed: vec![3],
        };
        let identity = Identity::new(HeaderIdentity([1; 16]), [2; 32]);
        let listed = Intent {
            listed: Some(u64::MAX),
            identity: Some(identity),
            ..intent.clone()
        };
        let at = Timestamp::UNIX_EPOCH;
        let place = Place::Mbox {
            offset: 0,
            length: 1_000,
            digest: crate::mail::Digest([0x5a; 32]),
            marks: vec![0, u32::MAX],
        };
        let owed = vec![3, 0];
        let in_mbox = Intent {
            place,
            owed,
            ..listed.clone()
        };
        for record in [
            Record::Intend(intent.clone()),
            Record::Stored { intent, at },
            Record::Stored { intent: listed, at },
            Record::Stored {
                intent: in_mbox,
                at,
            },
        ] {
            let line = line(&record);
            let content = check_seal(line.trim_ascii_end()).expect("whole");
            assert_eq!(read(content), Some(record));
        }
    }

    proptest! {
        #[test]
        fn what_is_read_quickly_is_what_it_says(record in prop_oneof![any_record(), any_frequent_record()]) {
            let line = line(&record);
            let content = check_seal(line.trim_ascii_end()).expect("whole");
            prop_assert!(read(content).is_none_or(|read| read == record));
        }

        #[test]
        fn what_is_read_quickly_is_read_the_same_in_general(
            record in any_frequent_record(),
            at: prop::sample::Index,
            (digit, mark) in (b'0'..=b'9', prop::option::weighted(0.25, prop::sample::select(b"0\"\\{},:9 ".to_vec()))),
        ) {
            let line = line(&record);
            let mut content = check_seal(line.trim_ascii_end()).expect("whole").to_vec();
            replace_digit(&mut content, at, digit);
            if let Some(mark) = mark {
                let at = at.index(content.len());
                content[at] = mark;
            }
            if let Some(read) = read(&content) {
                content.push(b'}');
                let text = str::from_utf8(&content).expect("text");
                let general: Record = serde_json::from_str(text).expect("a record");
                prop_assert_eq!(read, general);
            }
        }
    }
}
