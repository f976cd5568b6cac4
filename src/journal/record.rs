//! What a journal can say. In JSON a record is an object: `is` names its kind, the other keys are its fields, as
//! popfetch-journal(5) has them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::mail::{Digest, Identity, Place, UniqueId};

/// One line of a journal. Messages are named by unique-id, destinations by a number that [`Record::Destination`] gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Record {
    /// From here on this number stands for this destination.
    Destination {
        /// The number.
        #[serde(rename = "to")]
        id: u32,
        /// The destination as reports write it.
        name: String,
    },
    /// A message is about to be placed.
    Intend(Intent),
    /// What was intended came to nothing: the message is not there.
    #[serde(rename = "void")]
    IntentAborted {
        /// The message.
        uid: UniqueId,
        /// The destination.
        to: u32,
    },
    /// A message is stored durably.
    Stored {
        /// What was intended came true.
        #[serde(flatten)]
        intent: Intent,
        /// When.
        at: Timestamp,
    },
    /// A message was written to where nothing is durable, or marked by hand. Stops fetching, never authorises a deletion.
    Seen {
        /// The message.
        uid: UniqueId,
        /// The destination; none where a person marked it.
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<u32>,
        /// SHA-256 of its text, where it was fetched.
        #[serde(skip_serializing_if = "Option::is_none")]
        digest: Option<Digest>,
        /// Every destination that was to have it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        owed: Vec<u32>,
        /// When.
        at: Timestamp,
    },
    /// A message that was stored under another id: the server has renumbered its maildrop. Only its
    /// content says so, which alone does not authorise a deletion. With the same id twice: it was
    /// to be deleted, and is there unchanged; or it was deleted, and is there again, which only its content says.
    #[serde(rename = "same")]
    Alias {
        /// The id it has now.
        uid: UniqueId,
        /// The id it was stored under.
        #[serde(rename = "name")]
        stored_as: UniqueId,
    },
    /// Its deletion will be asked for. Not a fact before QUIT is answered.
    Asked {
        /// The message.
        uid: UniqueId,
    },
    /// It was deleted: QUIT was answered `+OK`.
    Deleted {
        /// The message.
        uid: UniqueId,
        /// When.
        at: Timestamp,
    },
    /// This unique-id was listed more than once in one listing. It identifies nothing, for ever.
    Shared {
        /// The unique-id.
        uid: UniqueId,
    },
    /// The server refused to send it.
    Refused {
        /// The message.
        uid: UniqueId,
    },
    /// Fetching it ended the connection.
    Dropped {
        /// The message.
        uid: UniqueId,
    },
    /// More came after its end: a line of one dot that the server did not stuff (RFC 1939 section 3). Nothing of it
    /// is stored.
    Overrun {
        /// The message.
        uid: UniqueId,
        /// When.
        at: Timestamp,
    },
    /// It was fetched once more, and again less than half of what LIST says came.
    Short {
        /// The message.
        uid: UniqueId,
        /// When.
        at: Timestamp,
    },
    /// This is its size by LIST now, or the first that was listed.
    Listed {
        /// The message.
        uid: UniqueId,
        /// In octets.
        octets: u64,
    },
    /// It was fetched to be compared with what is stored under its id, and nothing can say whether it is the same. It
    /// was reported.
    Unproven {
        /// The message.
        uid: UniqueId,
    },
    /// The session ended where its deletion was asked for.
    Undeletable {
        /// The message.
        uid: UniqueId,
    },
    /// This way to log in worked.
    LoggedIn {
        /// Its name, and that of the one it worked instead of.
        #[serde(rename = "name")]
        way: String,
        /// Whether it was over TLS.
        #[serde(rename = "tls")]
        over_tls: bool,
    },
    /// What the server announced before the login.
    #[serde(rename = "capabilities")]
    Announced {
        /// On which connection: TLS mode, port and certificate.
        connection: String,
        /// The capabilities.
        #[serde(rename = "name")]
        capabilities: String,
        /// When.
        at: Timestamp,
    },
    /// Something was learnt of the server.
    Fact {
        /// What.
        #[serde(rename = "name")]
        fact: Fact,
        /// Whether it is so.
        holds: bool,
    },
}

impl Record {
    /// Whether it only matters until another one follows.
    pub(super) fn is_transient(&self) -> bool {
        matches!(
            self,
            Record::Intend(_)
                | Record::IntentAborted { .. }
                | Record::Asked { .. }
                | Record::Refused { .. }
                | Record::Dropped { .. }
                | Record::Overrun { .. }
                | Record::Short { .. }
                | Record::Undeletable { .. }
                | Record::Announced { .. }
        )
    }
}

/// A message on its way to a place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Fields", into = "Fields")]
pub struct Intent {
    /// The message.
    pub uid: UniqueId,
    /// The destination.
    pub to: u32,
    /// SHA-256 of its text.
    pub digest: Digest,
    /// What it is known by where header lines come and go; none in a journal of version 1.
    pub identity: Option<Identity>,
    /// Its size as it came, with CRLF counted as two.
    pub octets: u64,
    /// Its size by LIST.
    pub listed: Option<u64>,
    /// Where it will be.
    pub place: Place,
    /// Every destination that is to have it. One that is added to the account later is owed nothing old.
    pub owed: Vec<u32>,
}

/// An [`Intent`] as the journal has it.
#[derive(Serialize, Deserialize)]
struct Fields {
    uid: UniqueId,
    to: u32,
    digest: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<Identity>,
    octets: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    listed: Option<u64>,
    /// The place in a Maildir.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// The place in an mbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<Range>,
    /// Left out where it is just `to`.
    #[serde(skip_serializing_if = "Option::is_none")]
    owed: Option<Vec<u32>>,
}

#[derive(Serialize, Deserialize)]
struct Range {
    offset: u64,
    length: u64,
    digest: Digest,
    marks: Vec<u32>,
}

impl From<Intent> for Fields {
    fn from(intent: Intent) -> Self {
        let (file, range) = match intent.place {
            Place::Maildir { name } => (Some(name), None),
            Place::Mbox {
                offset,
                length,
                digest,
                marks,
            } => {
                let range = Range {
                    offset,
                    length,
                    digest,
                    marks,
                };
                (None, Some(range))
            }
            Place::Untracked => (None, None),
        };
        Fields {
            uid: intent.uid,
            to: intent.to,
            digest: intent.digest,
            identity: intent.identity,
            octets: intent.octets,
            listed: intent.listed,
            file,
            range,
            owed: Some(intent.owed).filter(|owed| *owed != [intent.to]),
        }
    }
}

impl From<Fields> for Intent {
    fn from(fields: Fields) -> Self {
        let place = match (fields.file, fields.range) {
            (Some(name), _) => Place::Maildir { name },
            (None, Some(range)) => Place::Mbox {
                offset: range.offset,
                length: range.length,
                digest: range.digest,
                marks: range.marks,
            },
            (None, None) => Place::Untracked,
        };
        Intent {
            uid: fields.uid,
            to: fields.to,
            digest: fields.digest,
            identity: fields.identity,
            octets: fields.octets,
            listed: fields.listed,
            place,
            owed: fields.owed.unwrap_or_else(|| vec![fields.to]),
        }
    }
}

/// Something learnt of a server that no capability tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// It says PIPELINING but mixes answers up.
    PipeliningBroken,
    /// The sizes of its LIST are not those of the messages.
    SizesWrong,
    /// It lists a part of the maildrop at a time.
    ShowsWindows,
    /// It refuses a login that comes too soon after another.
    RefusesSoonLogins,
    /// What STAT says is not what the sizes of LIST add up to.
    StatIsNoSum,
    /// It knows UIDL, but not for one message.
    NoSingleUidl,
}

impl Fact {
    /// Every fact.
    pub const ALL: [Fact; 6] = [
        Fact::PipeliningBroken,
        Fact::SizesWrong,
        Fact::ShowsWindows,
        Fact::RefusesSoonLogins,
        Fact::StatIsNoSum,
        Fact::NoSingleUidl,
    ];
}
