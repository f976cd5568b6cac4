//! Which message one is, now that it is here whole: its content may say that it is stored already.

use std::collections::HashMap;

use super::batch::Message;
use super::survey::Unlisted;
use super::without_uids;
use crate::journal::{Memory, Record, Remembered};
use crate::mail::{Digest, Identity, UniqueId};
use crate::plan::Purpose;

/// What messages are recognised by, besides what is remembered of them.
pub(super) struct Recognition {
    /// What is stored but not listed: a new message with such content is an old one, renumbered.
    pub(super) unlisted: Unlisted,
    /// What stored copies are known by, where that was not recorded.
    pub(super) copies: HashMap<Digest, Identity>,
    /// How many messages may be stored that turn out to be new; none where there is no limit.
    pub(super) most_new: Option<u64>,
}

/// Whether a message is to be stored.
pub(super) enum Recognised {
    /// It is: nothing says that it is stored already, or where it is missing it is wanted.
    New,
    /// It is new, but one more than may be stored.
    BeyondLimit,
    /// It is stored already; this is what the journal must learn of it.
    Stored(Vec<Record>),
    /// It was written before to where nothing is durable; this is what the journal must learn of it.
    Seen(Vec<Record>),
    /// It came incomplete before, and again.
    ShortAgain,
    /// Nothing says whether it is what is stored under its id.
    Unproven,
}

impl Recognition {
    /// What this message is, where a run has these destinations; a run that stores everything may have stored it.
    pub(super) fn of(
        &mut self,
        message: &Message,
        is_stored_again: bool,
        memory: &Memory,
        here: &[u32],
    ) -> Recognised {
        let Message { incoming, key, .. } = message;
        let remembered = memory.recall(key.as_bytes());
        let is_other = |known: &Remembered| known.is_stored() && !known.is(&message.hashes);
        match incoming.purpose {
            Purpose::StoreAgain if is_stored_again => Recognised::Stored(Vec::new()),
            Purpose::FillGaps if message.is_short() && remembered.is_some_and(is_other) => {
                Recognised::ShortAgain
            }
            Purpose::StoreAgain | Purpose::FillGaps => Recognised::New,
            Purpose::Compare => remembered.map_or(Recognised::New, |remembered| {
                self.compare(message, remembered)
            }),
            Purpose::Store if incoming.key.is_some() => self.find_unlisted(message, |_| true),
            Purpose::Store | Purpose::StoreIfNew => match remembered {
                Some(known) if known.lacks(here) => Recognised::New,
                Some(known) if known.is_stored() && message.is_short() => Recognised::ShortAgain,
                Some(known) if known.is_stored() => Recognised::Stored(Vec::new()),
                Some(known) if known.is_seen() => Recognised::Seen(Vec::new()),
                // Those without a unique-id of the server's are not listed by what we call them.
                _ => match self.find_unlisted(message, |uid| !without_uids::is_generated(uid)) {
                    Recognised::New => self.within_limit(incoming.purpose),
                    known => known,
                },
            },
        }
    }

    /// What a message is that is fetched to be compared with this one, which has its id.
    fn compare(&self, message: &Message, known: &Remembered) -> Recognised {
        if !known.is_stored() && !known.is_seen() {
            return Recognised::New;
        }
        let copy = known.digest().and_then(|digest| self.copies.get(&digest));
        let is_same = known.is(&message.hashes) || copy == Some(&message.hashes.identity);
        // A part of what is stored says nothing.
        let is_part = !is_same && known.is_stored() && !known.is_deleted();
        if message.is_short() && (is_part || known.is_short()) {
            return Recognised::ShortAgain;
        }
        if is_same && known.is_stored() {
            Recognised::Stored(learnt(message, known))
        } else if is_same {
            Recognised::Seen(learnt(message, known))
        } else if copy.is_some() || can_be_told_apart(known) {
            Recognised::New
        } else {
            Recognised::Unproven
        }
    }

    /// Whether such a message is stored under an id that is listed no more.
    fn find_unlisted(
        &mut self,
        message: &Message,
        counts: impl Fn(&UniqueId) -> bool,
    ) -> Recognised {
        // What came of it may be what came of another one.
        if message.is_short() {
            return Recognised::New;
        }
        let Message { key, hashes, .. } = message;
        let found = self.unlisted.get_mut(&hashes.digest).and_then(|ids| {
            let index = ids.iter().position(counts)?;
            Some(ids.swap_remove(index))
        });
        match found {
            Some(stored_as) => Recognised::Stored(vec![same_as(key, &stored_as)]),
            None => Recognised::New,
        }
    }

    /// A message that turned out to be new counts.
    fn within_limit(&mut self, purpose: Purpose) -> Recognised {
        let counts = purpose == Purpose::StoreIfNew;
        match self.most_new.as_mut().filter(|_| counts) {
            None => Recognised::New,
            Some(0) => Recognised::BeyondLimit,
            Some(left) => {
                *left -= 1;
                Recognised::New
            }
        }
    }
}

/// What the journal must learn of a message that turned out to be the one that it knows.
fn learnt(message: &Message, known: &Remembered) -> Vec<Record> {
    let uid = &message.key;
    let was_given_up = known.is_deleted() || known.is_asked() || known.is_overrun();
    let same = was_given_up.then(|| same_as(uid, uid));
    let listed = message.incoming.listed;
    let listed = listed.filter(|_| listed != known.listed());
    let listed = listed.map(|octets| Record::Listed {
        uid: uid.clone(),
        octets,
    });
    same.into_iter().chain(listed).collect()
}

/// Whether a message that is another one than is stored, byte by byte, is another message. A popfetch that recorded
/// no identity left nothing to see by whether only its header has changed; what was deleted, or may be stored in part
/// only, is stored anew.
fn can_be_told_apart(known: &Remembered) -> bool {
    let is_certain = known.identity().is_some() || !known.is_stored();
    is_certain || known.is_deleted() || known.may_be_a_part()
}

fn same_as(uid: &UniqueId, stored_as: &UniqueId) -> Record {
    Record::Alias {
        uid: uid.clone(),
        stored_as: stored_as.clone(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::parcel::Incoming;
    use super::*;
    use crate::journal::Intent;
    use crate::mail::Place;
    use crate::message::{Hasher, Hashes};

    const TEXT: &str = "Subject: a\n\nbody\n";
    const VARIED: &str = "X-Scan: 2\nSubject: a\n\nbody\n";
    const OTHER: &str = "Subject: a\n\nanother\n";

    fn hashes(text: &str) -> Hashes {
        let mut hasher = Hasher::default();
        hasher.update(text.as_bytes());
        hasher.hashes()
    }

    fn uid() -> UniqueId {
        UniqueId::new(b"uid")
    }

    /// A message of this text was stored, with so many octets of 100.
    fn stored(text: &str, octets: u64, records_identity: bool) -> Vec<Record> {
        let Hashes { digest, identity } = hashes(text);
        let intent = Intent {
            uid: uid(),
            to: 0,
            digest,
            identity: Some(identity).filter(|_| records_identity),
            octets,
            listed: Some(100),
            place: Place::Untracked,
            owed: vec![0],
        };
        let at = Timestamp::UNIX_EPOCH;
        vec![Record::Stored { intent, at }]
    }

    /// A message of this text came, with so many octets of 100.
    fn message(purpose: Purpose, text: &str, octets: u64) -> Message {
        let incoming = Incoming {
            number: 1,
            key: Some(uid()),
            certain: true,
            listed: Some(100),
            due: true,
            purpose,
        };
        Message::new(incoming, uid(), hashes(text), octets)
    }

    /// The same, of a server without unique-ids.
    fn without_uid(purpose: Purpose, text: &str) -> Message {
        let mut message = message(purpose, text, 100);
        message.incoming.key = None;
        message
    }

    fn recognition() -> Recognition {
        Recognition {
            unlisted: Unlisted::new(),
            copies: HashMap::new(),
            most_new: None,
        }
    }

    fn recognised(
        recognition: &mut Recognition,
        message: &Message,
        known: Vec<Record>,
    ) -> &'static str {
        let mut memory = Memory::default();
        known.into_iter().for_each(|record| memory.apply(record));
        match recognition.of(message, false, &memory, &[0]) {
            Recognised::New => "new",
            Recognised::BeyondLimit => "beyond the limit",
            Recognised::Stored(_) => "stored",
            Recognised::Seen(_) => "seen",
            Recognised::ShortAgain => "short again",
            Recognised::Unproven => "unproven",
        }
    }

    /// What becomes of a message of this text that is fetched to be compared, with so many octets of 100.
    fn compared(
        known: Vec<Record>,
        text: &str,
        octets: u64,
        copies: &[(&str, &str)],
    ) -> &'static str {
        let copies = copies
            .iter()
            .map(|(known, copy)| (hashes(known).digest, hashes(copy).identity));
        let mut recognition = Recognition {
            copies: copies.collect(),
            ..recognition()
        };
        let message = message(Purpose::Compare, text, octets);
        recognised(&mut recognition, &message, known)
    }

    #[test]
    fn a_message_that_is_compared_is_the_same_by_its_text_or_by_what_does_not_vary() {
        let known = || stored(TEXT, 100, true);
        assert_eq!(compared(known(), TEXT, 100, &[]), "stored");
        assert_eq!(compared(known(), VARIED, 110, &[]), "stored");
        assert_eq!(compared(known(), OTHER, 100, &[]), "new");
        assert_eq!(compared(Vec::new(), TEXT, 100, &[]), "new");
    }

    #[test]
    fn where_no_identity_was_recorded_the_stored_copy_says_whether_it_is_the_same() {
        let known = || stored(TEXT, 100, false);
        assert_eq!(compared(known(), TEXT, 100, &[]), "stored");
        assert_eq!(compared(known(), VARIED, 110, &[(TEXT, TEXT)]), "stored");
        assert_eq!(compared(known(), OTHER, 100, &[(TEXT, TEXT)]), "new");
        assert_eq!(compared(known(), VARIED, 110, &[]), "unproven");
        // It may have been broken off, or is another message for sure.
        assert_eq!(compared(stored(TEXT, 60, false), OTHER, 100, &[]), "new");
        let at = Timestamp::UNIX_EPOCH;
        let deleted = [known(), vec![Record::Deleted { uid: uid(), at }]].concat();
        assert_eq!(compared(deleted, VARIED, 110, &[]), "new");
    }

    #[test]
    fn a_part_of_a_message_says_nothing() {
        let (short, whole) = (|| stored("", 0, true), || stored(TEXT, 100, true));
        assert_eq!(compared(short(), "", 0, &[]), "short again");
        assert_eq!(compared(short(), "Subject: a\n", 12, &[]), "short again");
        assert_eq!(compared(short(), TEXT, 100, &[]), "new");
        assert_eq!(compared(whole(), "", 0, &[]), "short again");
    }

    #[test]
    fn a_new_id_is_an_old_message_once_for_each_that_is_listed_no_more() {
        let old = [b"one", b"two"].map(|id| UniqueId::new(id));
        let mut recognition = Recognition {
            unlisted: Unlisted::from([(hashes(TEXT).digest, old.to_vec())]),
            ..recognition()
        };
        let mut store = |text, octets| {
            let message = message(Purpose::Store, text, octets);
            recognised(&mut recognition, &message, Vec::new())
        };
        assert_eq!(store(OTHER, 100), "new");
        assert_eq!(store(TEXT, 12), "new", "what came may be a part of another");
        let known = [100; 3].map(|octets| store(TEXT, octets));
        assert_eq!(known, ["stored", "stored", "new"]);
    }

    #[test]
    fn a_message_without_a_unique_id_is_no_other_one_that_has_none() {
        let generated = without_uids::GeneratedIds::default().id(&hashes(TEXT), &Memory::default());
        let mut recognition = Recognition {
            unlisted: Unlisted::from([(hashes(TEXT).digest, vec![generated])]),
            ..recognition()
        };
        let message = without_uid(Purpose::Store, TEXT);
        assert_eq!(recognised(&mut recognition, &message, Vec::new()), "new");
    }

    #[test]
    fn a_limit_counts_those_that_turn_out_to_be_new() {
        let mut recognition = Recognition {
            most_new: Some(1),
            ..recognition()
        };
        let mut recognise = |text, known| {
            let message = without_uid(Purpose::StoreIfNew, text);
            recognised(&mut recognition, &message, known)
        };
        assert_eq!(recognise(TEXT, stored(TEXT, 100, true)), "stored");
        assert_eq!(recognise(TEXT, Vec::new()), "new");
        assert_eq!(recognise(OTHER, Vec::new()), "beyond the limit");
        assert_eq!(recognise(TEXT, stored(TEXT, 100, true)), "stored");
    }

    #[test]
    fn what_fills_gaps_is_stored_unless_it_is_a_part_of_something() {
        let fill = |text, octets, known| {
            let message = message(Purpose::FillGaps, text, octets);
            recognised(&mut recognition(), &message, known)
        };
        let known = || stored(TEXT, 100, true);
        assert_eq!(fill(TEXT, 100, known()), "new");
        assert_eq!(fill(OTHER, 100, known()), "new");
        assert_eq!(fill("", 0, known()), "short again");
        assert_eq!(fill("", 0, Vec::new()), "new");
    }

    #[test]
    fn a_run_that_stores_everything_stores_it_once() {
        let message = message(Purpose::StoreAgain, TEXT, 100);
        let of =
            |is_stored_again| recognition().of(&message, is_stored_again, &Memory::default(), &[0]);
        assert!(matches!(of(false), Recognised::New));
        assert!(matches!(of(true), Recognised::Stored(learnt) if learnt.is_empty()));
    }
}
