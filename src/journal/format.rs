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

use std::borrow::Cow;
use std::fmt;
use std::io::Write as _;
use std::marker::PhantomData;
use std::str::FromStr;

use jiff::Timestamp;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::record::{Fact, Intent, Record};
use crate::mail::Mailbox;
use crate::mail::{Digest, Identity, Place, UniqueId};

/// The version this program writes. A reader refuses a higher one.
pub(super) const VERSION: u32 = 2;

/// Why a line cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadLine {
    #[error("its checksum is wrong")]
    Checksum,
    #[error("it is no text")]
    Text(#[from] std::str::Utf8Error),
    #[error("it is no record: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it lacks \"{0}\"")]
    Lacks(&'static str),
    #[error("its \"{0}\" makes no sense")]
    Nonsense(&'static str),
}

/// The first line: which format this is, and whose maildrop.
#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    /// The version of the format.
    pub(super) popfetch: u32,
    #[serde(flatten)]
    pub(super) mailbox: Mailbox,
}

/// A string, borrowed from its line where nothing in it is escaped: serde borrows a `Cow` that stands alone,
/// not one in an `Option`.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a, T: Into<Cow<'a, str>>> From<T> for Text<'a> {
    fn from(text: T) -> Self {
        Text(text.into())
    }
}

/// What a line has as a string in the form it displays: written and read without another string in between, since
/// a journal may have very many lines.
struct DisplayStr<T>(T);

impl<T: fmt::Display> Serialize for DisplayStr<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for DisplayStr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Speller(PhantomData))
    }
}

struct Speller<T>(PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Speller<T> {
    type Value = DisplayStr<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<DisplayStr<T>, E> {
        text.parse().map(DisplayStr).map_err(E::custom)
    }
}

/// Any record, flat: a person can read it, and a parser is quick.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Line<'a> {
    is: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<DisplayStr<UniqueId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", borrow)]
    name: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<DisplayStr<Digest>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<DisplayStr<Identity>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    octets: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listed: Option<u64>,
    /// The place in a Maildir.
    #[serde(skip_serializing_if = "Option::is_none", borrow)]
    file: Option<Text<'a>>,
    /// The place in an mbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<Range<'a>>,
    /// Left out where it is just `to`.
    #[serde(skip_serializing_if = "Option::is_none", borrow)]
    owed: Option<List<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holds: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none", borrow)]
    connection: Option<Text<'a>>,
}

/// Some numbers.
type List<'a> = Cow<'a, [u32]>;

#[derive(Serialize, Deserialize)]
struct Range<'a> {
    offset: u64,
    length: u64,
    digest: DisplayStr<Digest>,
    #[serde(borrow)]
    marks: List<'a>,
}

/// Appends a record's line.
pub(super) fn write(record: &Record, into: &mut Vec<u8>) {
    let line = match record {
        Record::Destination { id, name } => Line {
            to: Some(*id),
            name: Some(name.into()),
            ..Line::that_is("destination")
        },
        Record::Intend(intent) => Line::of_intent("intend", intent),
        Record::IntentAborted { uid, to } => Line {
            to: Some(*to),
            ..Line::of("void", uid)
        },
        Record::Stored { intent, at } => Line {
            at: Some(*at),
            ..Line::of_intent("stored", intent)
        },
        Record::Seen {
            uid,
            to,
            digest,
            owed,
            at,
        } => Line {
            to: *to,
            digest: digest.map(DisplayStr),
            owed: (!owed.is_empty()).then(|| owed.into()),
            at: Some(*at),
            ..Line::of("seen", uid)
        },
        Record::Alias { uid, stored_as } => Line {
            name: Some(stored_as.to_string().into()),
            ..Line::of("same", uid)
        },
        Record::Asked { uid } => Line::of("asked", uid),
        Record::Deleted { uid, at } => Line {
            at: Some(*at),
            ..Line::of("deleted", uid)
        },
        Record::Shared { uid } => Line::of("shared", uid),
        Record::Refused { uid } => Line::of("refused", uid),
        Record::Dropped { uid } => Line::of("dropped", uid),
        Record::Overrun { uid, at } => Line {
            at: Some(*at),
            ..Line::of("overrun", uid)
        },
        Record::Short { uid, at } => Line {
            at: Some(*at),
            ..Line::of("short", uid)
        },
        Record::Listed { uid, octets } => Line {
            octets: Some(*octets),
            ..Line::of("listed", uid)
        },
        Record::Unproven { uid } => Line::of("unproven", uid),
        Record::Undeletable { uid } => Line::of("undeletable", uid),
        Record::LoggedIn { way, over_tls } => Line {
            name: Some(way.into()),
            tls: Some(*over_tls),
            ..Line::that_is("logged-in")
        },
        Record::Announced {
            connection,
            capabilities,
            at,
        } => Line {
            at: Some(*at),
            name: Some(capabilities.into()),
            connection: Some(connection.into()),
            ..Line::that_is("capabilities")
        },
        Record::Fact { fact, holds } => Line {
            name: Some(fact.name().into()),
            holds: Some(*holds),
            ..Line::that_is("fact")
        },
    };
    seal(&line, into);
}

impl<'a> Line<'a> {
    fn that_is(is: &'a str) -> Self {
        Line {
            is,
            ..Line::default()
        }
    }

    fn of(is: &'a str, uid: &UniqueId) -> Self {
        Line {
            uid: Some(DisplayStr(uid.clone())),
            ..Line::that_is(is)
        }
    }

    fn of_intent(is: &'a str, intent: &'a Intent) -> Self {
        let (file, range) = match &intent.place {
            Place::Maildir { name } => (Some(name.into()), None),
            Place::Mbox {
                offset,
                length,
                digest,
                marks,
            } => {
                let range = Range {
                    offset: *offset,
                    length: *length,
                    digest: DisplayStr(*digest),
                    marks: marks.into(),
                };
                (None, Some(range))
            }
            Place::Untracked => (None, None),
        };
        Line {
            to: Some(intent.to),
            digest: Some(DisplayStr(intent.digest)),
            identity: intent.identity.map(DisplayStr),
            octets: Some(intent.octets),
            listed: intent.listed,
            file,
            range,
            owed: (intent.owed != [intent.to]).then(|| (&intent.owed).into()),
            ..Line::of(is, &intent.uid)
        }
    }
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
    // Plain structs of strings and numbers: writing them to memory cannot fail.
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
    let line: Line<'_> = serde_json::from_str(str::from_utf8(line)?)?;
    line.record()
}

impl Line<'_> {
    fn record(self) -> Result<Record, BadLine> {
        Ok(match self.is {
            "destination" => Record::Destination {
                id: self.to.ok_or(BadLine::Lacks("to"))?,
                name: self.name.ok_or(BadLine::Lacks("name"))?.0.into_owned(),
            },
            "intend" => Record::Intend(self.intent()?),
            "void" => Record::IntentAborted {
                to: self.to.ok_or(BadLine::Lacks("to"))?,
                uid: self.uid()?,
            },
            "stored" => Record::Stored {
                at: self.at()?,
                intent: self.intent()?,
            },
            "seen" => Record::Seen {
                to: self.to,
                digest: self.digest.as_ref().map(|digest| digest.0),
                at: self.at()?,
                owed: self.owed.as_deref().unwrap_or_default().to_vec(),
                uid: self.uid()?,
            },
            "same" => Record::Alias {
                stored_as: {
                    let name = self.name.as_ref().ok_or(BadLine::Lacks("name"))?;
                    name.0.parse().map_err(|_| BadLine::Nonsense("name"))?
                },
                uid: self.uid()?,
            },
            "asked" => Record::Asked { uid: self.uid()? },
            "deleted" => Record::Deleted {
                at: self.at()?,
                uid: self.uid()?,
            },
            "shared" => Record::Shared { uid: self.uid()? },
            "refused" => Record::Refused { uid: self.uid()? },
            "dropped" => Record::Dropped { uid: self.uid()? },
            "overrun" => Record::Overrun {
                at: self.at()?,
                uid: self.uid()?,
            },
            "short" => Record::Short {
                at: self.at()?,
                uid: self.uid()?,
            },
            "listed" => Record::Listed {
                octets: self.octets.ok_or(BadLine::Lacks("octets"))?,
                uid: self.uid()?,
            },
            "unproven" => Record::Unproven { uid: self.uid()? },
            "undeletable" => Record::Undeletable { uid: self.uid()? },
            "logged-in" => Record::LoggedIn {
                way: self.name.ok_or(BadLine::Lacks("name"))?.0.into_owned(),
                over_tls: self.tls.ok_or(BadLine::Lacks("tls"))?,
            },
            "capabilities" => Record::Announced {
                at: self.at()?,
                connection: {
                    let connection = self.connection.ok_or(BadLine::Lacks("connection"))?;
                    connection.0.into_owned()
                },
                capabilities: self.name.ok_or(BadLine::Lacks("name"))?.0.into_owned(),
            },
            "fact" => Record::Fact {
                fact: self.fact()?,
                holds: self.holds.ok_or(BadLine::Lacks("holds"))?,
            },
            _ => return Err(BadLine::Nonsense("is")),
        })
    }

    fn uid(self) -> Result<UniqueId, BadLine> {
        self.uid.map(|uid| uid.0).ok_or(BadLine::Lacks("uid"))
    }

    fn at(&self) -> Result<Timestamp, BadLine> {
        self.at.ok_or(BadLine::Lacks("at"))
    }

    fn fact(&self) -> Result<Fact, BadLine> {
        let name = self.name.as_ref().ok_or(BadLine::Lacks("name"))?;
        Fact::ALL
            .into_iter()
            .find(|fact| fact.name() == name.0)
            .ok_or(BadLine::Nonsense("name"))
    }

    fn intent(self) -> Result<Intent, BadLine> {
        let to = self.to.ok_or(BadLine::Lacks("to"))?;
        let place = match (self.file, self.range) {
            (Some(file), _) => Place::Maildir {
                name: file.0.into_owned(),
            },
            (None, Some(range)) => Place::Mbox {
                offset: range.offset,
                length: range.length,
                digest: range.digest.0,
                marks: range.marks.into_owned(),
            },
            (None, None) => Place::Untracked,
        };
        Ok(Intent {
            uid: self.uid.ok_or(BadLine::Lacks("uid"))?.0,
            to,
            digest: self.digest.ok_or(BadLine::Lacks("digest"))?.0,
            identity: self.identity.map(|identity| identity.0),
            octets: self.octets.ok_or(BadLine::Lacks("octets"))?,
            listed: self.listed,
            place,
            owed: self.owed.map_or_else(|| vec![to], Cow::into_owned),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mail::HeaderIdentity;

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
            (0..Fact::ALL.len(), any::<bool>()).prop_map(|(fact, holds)| Record::Fact {
                fact: Fact::ALL[fact],
                holds
            }),
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
