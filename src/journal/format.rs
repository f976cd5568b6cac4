//! A journal's lines: JSON, one record each, closed by a checksum.
//!
//! ```text
//! {"popfetch":2,"user":"alice","host":"pop.example.com","port":110,"crc":"…"}
//! {"is":"destination","to":0,"name":"maildir:/home/alice/Mail","crc":"…"}
//! {"is":"intend","uid":"0001","to":0,"digest":"…","identity":"…","octets":1234,"listed":1234,"file":"…","crc":"…"}
//! {"is":"stored","uid":"0001","to":0,"digest":"…","identity":"…","octets":1234,"listed":1234,"file":"…","at":"2026-03-01T06:00:00Z","crc":"…"}
//! {"is":"deleted","uid":"0001","at":"2026-03-31T06:00:00Z","crc":"…"}
//! ```
//!
//! # Versions
//!
//! The first line names the version of the format. A new kind of record, or a new key without which a record
//! means something else, makes a new version: a popfetch that does not know it refuses the journal, instead of
//! passing over lines. Every older version is read for ever. An older journal is rewritten whole, as compaction
//! does, before anything is appended to it; its lines stay as they are, so that the lines of an older version
//! are part of every newer one.
//!
//! | version | written by | what is new |
//! |---|---|---|
//! | 1 | 0.1.0 | |
//! | 2 | later ones | `identity`; the records `overrun`, `short`, `listed`, `unproven`, `undeletable`, `capabilities`; two facts |
//!
//! Any JSON with these keys is read; [`quick`] knows the lines of which there are many, word for word as they
//! are written here.
//!
//! The checksum (CRC-32 of all bytes before `,"crc"`) finds lines that a disk or an editor changed;
//! it protects against accidents, not against people.

mod quick;

use std::io::Write as _;

use serde::{Deserialize, Serialize};

use super::record::Record;
use crate::mail::Mailbox;
use crate::text::Untrusted;

/// The version this program writes. A reader refuses a higher one.
pub(super) const VERSION: u32 = 2;

impl From<serde_json::Error> for BadLine {
    fn from(error: serde_json::Error) -> Self {
        BadLine::Json(error)
    }
}

/// Why a line cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadLine {
    #[error("its checksum is wrong")]
    Checksum,
    #[error("it is no text")]
    Text(#[from] std::str::Utf8Error),
    /// Its text may repeat what the line says.
    #[error("it is no record: {}", Untrusted(.0.to_string().as_bytes()))]
    Json(serde_json::Error),
}

/// The first line: which format this is, and whose maildrop.
#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    /// The version of the format.
    pub(super) popfetch: u32,
    #[serde(flatten)]
    pub(super) mailbox: Mailbox,
}

/// Appends a record's line.
pub(super) fn write(record: &Record, into: &mut Vec<u8>) {
    seal(record, into);
}

/// The first line of a journal of this version.
pub(super) fn header(version: u32, mailbox: &Mailbox) -> Vec<u8> {
    let header = Header {
        popfetch: version,
        mailbox: mailbox.clone(),
    };
    let mut line = Vec::new();
    seal(&header, &mut line);
    line
}

/// What stands between a line's content and its checksum.
const SEAL: &str = ",\"crc\":\"";

fn seal(content: &impl Serialize, into: &mut Vec<u8>) {
    let from = into.len();
    // Plain values of strings and numbers: writing them to memory cannot fail.
    if serde_json::to_writer(&mut *into, content).is_err() {
        into.truncate(from);
        return;
    }
    into.pop();
    let checksum = crc32fast::hash(&into[from..]);
    // Nor can this.
    let _ = writeln!(into, "{SEAL}{checksum:08x}\"}}");
}

/// A line's content, without its checksum, if that says that it is what was written.
fn check_seal(line: &[u8]) -> Result<&[u8], BadLine> {
    let digits = line.strip_suffix(b"\"}").ok_or(BadLine::Checksum)?;
    let (sealed, digits) = digits
        .split_at_checked(digits.len().saturating_sub(8))
        .ok_or(BadLine::Checksum)?;
    let content = sealed
        .strip_suffix(SEAL.as_bytes())
        .ok_or(BadLine::Checksum)?;
    let written = str::from_utf8(digits)
        .ok()
        .and_then(|digits| u32::from_str_radix(digits, 16).ok());
    if written != Some(crc32fast::hash(content)) {
        return Err(BadLine::Checksum);
    }
    Ok(content)
}

/// Reads the first line.
pub(super) fn read_header(line: &[u8]) -> Result<Header, BadLine> {
    check_seal(line)?;
    Ok(serde_json::from_slice(line)?)
}

/// Reads any other line, without its line end.
pub(super) fn read(line: &[u8]) -> Result<Record, BadLine> {
    let content = check_seal(line)?;
    if let Some(record) = quick::read(content) {
        return Ok(record);
    }
    Ok(serde_json::from_str(str::from_utf8(line)?)?)
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use jiff::Timestamp;
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::*;
    use crate::journal::record::{Fact, Intent};
    use crate::mail::{Digest, HeaderIdentity, Identity, Place, UniqueId};

    fn manual() -> String {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/man/popfetch-journal.5");
        std::fs::read_to_string(page).expect("the manual")
    }

    pub(in crate::journal) fn any_uid() -> impl Strategy<Value = UniqueId> {
        prop_oneof![
            (0..6u8).prop_map(|n| UniqueId::new(&[b'u', n + b'0'])),
            prop::collection::vec(any::<u8>(), 1..12).prop_map(|bytes| UniqueId::new(&bytes)),
        ]
    }

    fn any_time() -> impl Strategy<Value = Timestamp> {
        (0..4_000_000_000i64).prop_map(|second| Timestamp::from_second(second).expect("in range"))
    }

    fn any_place() -> impl Strategy<Value = Place> {
        prop_oneof![
            "[ -~é\"]{1,20}".prop_map(|name| Place::Maildir { name }),
            any::<(u64, u64, [u8; 32], Vec<u32>)>().prop_map(|(offset, length, digest, marks)| {
                Place::Mbox {
                    offset,
                    length,
                    digest: Digest(digest),
                    marks,
                }
            }),
            Just(Place::Untracked),
        ]
    }

    prop_compose! {
        fn any_intent()(
            uid in any_uid(), to in 0..3u32, digest in 0..3u8, identity in prop::option::of(0..3u8), octets: u64,
            listed: Option<u64>, place in any_place(), others in prop::collection::vec(0..3u32, 0..3),
        ) -> Intent {
            let owed = std::iter::once(to).chain(others).collect();
            let identity = identity.map(|n| Identity::new(HeaderIdentity([n; 16]), [n; 32]));
            Intent { uid, to, digest: Digest([digest; 32]), identity, octets, listed, place, owed }
        }
    }

    pub(in crate::journal) fn any_record() -> impl Strategy<Value = Record> {
        prop_oneof![
            (0..3u32, ".{0,20}").prop_map(|(id, name)| Record::Destination { id, name }),
            any_intent().prop_map(Record::Intend),
            (any_uid(), 0..3u32).prop_map(|(uid, to)| Record::IntentAborted { uid, to }),
            (any_intent(), any_time()).prop_map(|(intent, at)| Record::Stored { intent, at }),
            (
                any_uid(),
                any::<Option<bool>>(),
                any::<Option<[u8; 32]>>(),
                any_time()
            )
                .prop_map(|(uid, to, digest, at)| Record::Seen {
                    uid,
                    to: to.map(u32::from),
                    digest: digest.map(Digest),
                    owed: to.map(u32::from).into_iter().collect(),
                    at
                }),
            (any_uid(), any_uid()).prop_map(|(uid, stored_as)| Record::Alias { uid, stored_as }),
            any_uid().prop_map(|uid| Record::Asked { uid }),
            (any_uid(), any_time()).prop_map(|(uid, at)| Record::Deleted { uid, at }),
            any_uid().prop_map(|uid| Record::Shared { uid }),
            any_uid().prop_map(|uid| Record::Refused { uid }),
            any_uid().prop_map(|uid| Record::Dropped { uid }),
            (any_uid(), any_time()).prop_map(|(uid, at)| Record::Overrun { uid, at }),
            (any_uid(), any_time()).prop_map(|(uid, at)| Record::Short { uid, at }),
            (any_uid(), any::<u64>()).prop_map(|(uid, octets)| Record::Listed { uid, octets }),
            any_uid().prop_map(|uid| Record::Unproven { uid }),
            any_uid().prop_map(|uid| Record::Undeletable { uid }),
            ("[A-Z0-9-]{1,20}", any::<bool>())
                .prop_map(|(way, over_tls)| Record::LoggedIn { way, over_tls }),
            ("[a-z0-9 ]{1,20}", "[ -~\n]{0,20}", any_time()).prop_map(
                |(connection, capabilities, at)| Record::Announced {
                    connection,
                    capabilities,
                    at,
                }
            ),
            (prop::sample::select(&Fact::ALL), any::<bool>())
                .prop_map(|(fact, holds)| Record::Fact { fact, holds }),
        ]
    }

    /// The content of a line in which some values are others of the same type, or missing.
    fn any_edited_content() -> impl Strategy<Value = Vec<u8>> {
        let number = prop_oneof![0..9u64, any::<u64>()];
        let edit = (
            any::<prop::sample::Index>(),
            number,
            "[0-9a-f%]{0,6}",
            prop::bool::weighted(0.1),
        );
        (any_record(), prop::collection::vec(edit, 1..3)).prop_map(|(record, edits)| {
            let mut line: serde_json::Value = serde_json::from_slice(&line(&record)).expect("JSON");
            let values = line.as_object_mut().expect("an object");
            values.remove("crc");
            for (at, number, text, is_removed) in edits {
                let key = values
                    .keys()
                    .nth(at.index(values.len()))
                    .expect("a key")
                    .clone();
                if is_removed && values.len() > 1 {
                    values.remove(&key);
                    continue;
                }
                let value = &mut values[&key];
                *value = match &*value {
                    serde_json::Value::Number(_) => number.into(),
                    serde_json::Value::Bool(_) => number.is_multiple_of(2).into(),
                    serde_json::Value::Array(_) => vec![number].into(),
                    serde_json::Value::String(_) if key != "is" => text.into(),
                    other => other.clone(),
                };
            }
            let mut content = serde_json::to_vec(&line).expect("JSON");
            content.pop();
            content
        })
    }

    /// Writes this digit in the place of one of those that are there, if there are any.
    pub(in crate::journal) fn replace_digit(
        content: &mut [u8],
        at: prop::sample::Index,
        digit: u8,
    ) {
        let places = 0..content.len();
        let digits: Vec<usize> = places.filter(|&at| content[at].is_ascii_digit()).collect();
        if !digits.is_empty() {
            content[digits[at.index(digits.len())]] = digit;
        }
    }

    /// A line with this content and the checksum of it.
    fn sealed(content: &[u8]) -> Vec<u8> {
        let checksum = crc32fast::hash(content);
        let end = format!("{SEAL}{checksum:08x}\"}}");
        [content, end.as_bytes()].concat()
    }

    /// A record of the kinds that are many: of a message in a Maildir, with nothing owed to another destination.
    pub(in crate::journal) fn any_frequent_record() -> impl Strategy<Value = Record> {
        let name = "[ -~]{1,20}".prop_map(|name| Place::Maildir { name });
        (any_intent(), name, any_time(), any::<bool>()).prop_map(
            |(intent, place, at, is_stored)| {
                let intent = Intent {
                    owed: vec![intent.to],
                    place,
                    ..intent
                };
                if is_stored {
                    Record::Stored { intent, at }
                } else {
                    Record::Intend(intent)
                }
            },
        )
    }

    pub(super) fn line(record: &Record) -> Vec<u8> {
        let mut line = Vec::new();
        write(record, &mut line);
        line
    }

    /// The words that serde expects where it finds another one.
    fn expected(error: serde_json::Error) -> BTreeSet<String> {
        let message = error.to_string();
        let (_, list) = message.split_once("expected one of").expect("a list");
        list.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    }

    /// The keys that every record of a kind has, and those that some have, by kind.
    fn keys_by_kind() -> BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> {
        let mut kinds = BTreeMap::new();
        let mut runner = TestRunner::deterministic();
        for _ in 0..5_000 {
            let record = any_record()
                .new_tree(&mut runner)
                .expect("a record")
                .current();
            let json = serde_json::to_value(record).expect("JSON");
            let object = json.as_object().expect("an object");
            let kind = object["is"].as_str().expect("a kind").to_owned();
            let keys: BTreeSet<_> = object.keys().filter(|key| *key != "is").cloned().collect();
            let (always, ever): &mut (BTreeSet<_>, BTreeSet<_>) = kinds
                .entry(kind)
                .or_insert_with(|| (keys.clone(), BTreeSet::new()));
            always.retain(|key| keys.contains(key));
            ever.extend(keys);
        }
        kinds
    }

    #[test]
    fn the_manual_has_every_kind_of_record_with_its_keys() {
        let kinds = keys_by_kind();
        let unknown = serde_json::from_str::<Record>(r#"{"is":"?"}"#).expect_err("no kind");
        assert_eq!(
            kinds.keys().cloned().collect::<BTreeSet<_>>(),
            expected(unknown)
        );
        let manual = manual();
        let (_, kinds_on) = manual
            .split_once(".SH KINDS OF RECORDS")
            .expect("a section");
        let (kinds_on, keys_on) = kinds_on.split_once(".SH KEYS").expect("a section");
        for (kind, (always, ever)) in kinds {
            let heading = format!("\n.BR {} \" (", kind.replace('-', "\\-"));
            let (_, documented) = kinds_on.split_once(&heading).expect(&kind);
            let (documented, _) = documented.split_once(")\"\n").expect(&kind);
            let (mut required, mut all) = (BTreeSet::new(), BTreeSet::new());
            for key in documented.split(", ") {
                let name = key.trim_matches(['[', ']']).to_owned();
                if name == key {
                    required.insert(name.clone());
                }
                assert!(keys_on.contains(&format!("\n.BR {name} \" (")), "{name}");
                all.insert(name);
            }
            assert_eq!((required, all), (always, ever), "{kind}");
        }
    }

    #[test]
    fn the_manual_has_every_fact_and_the_version() {
        let unknown = serde_json::from_str::<Fact>("\"?\"").expect_err("no fact");
        let manual = manual();
        for fact in expected(unknown) {
            let word = format!("\n.BR {}\n", fact.replace('-', "\\-"));
            assert!(manual.contains(&word), "{fact}");
        }
        let example = String::from_utf8(header(
            VERSION,
            &Mailbox::new("alice", "pop.example.com", 995),
        ));
        let example = example.expect("text");
        let (identity, _) = example.split_once("crc").expect("a checksum");
        assert!(manual.contains(identity), "{identity}");
        assert!(manual.contains(&format!("\n.TP\n.B {VERSION}\nadds\n")));
    }

    proptest! {
        #[test]
        fn every_record_comes_back(record in any_record()) {
            let line = line(&record);
            let content = line.strip_suffix(b"\n").expect("a line end");
            prop_assert!(!content.contains(&b'\n'));
            serde_json::from_slice::<serde_json::Value>(content).expect("JSON");
            prop_assert_eq!(read(content).expect("own line"), record);
        }

        #[test]
        fn a_changed_line_is_never_believed(record in any_record(), at: prop::sample::Index, bit in 0..8u8) {
            let mut line = line(&record);
            line.pop();
            let at = at.index(line.len());
            line[at] ^= 1 << bit;
            // Only the letter case of the checksum's own digits may change without harm.
            if let Ok(read) = read(&line) {
                prop_assert_eq!(read, record);
            }
        }

        #[test]
        fn bytes_without_a_checksum_are_no_line(line: Vec<u8>) {
            prop_assert!(read(&line).is_err() && read_header(&line).is_err());
        }

        #[test]
        fn whatever_has_its_checksum_is_refused_or_means_something(content in any_edited_content()) {
            let line = sealed(&content);
            if let Ok(record) = read(&line) {
                let again = self::line(&record);
                prop_assert_eq!(read(again.trim_ascii_end()).expect("own line"), record);
            }
        }
    }
}
