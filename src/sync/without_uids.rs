//! Messages to which the server gives no unique-id: they are known by their content, and by which one of those with
//! that content they are.

use std::collections::{HashMap, HashSet};

use crate::journal::Memory;
use crate::mail::{Digest, Identity, UniqueId};
use crate::message::Hashes;

/// What an id begins with that is not the server's.
const PREFIX: &str = "sha256:";

/// Gives the messages of one listing the ids under which the journal knows them.
#[derive(Default)]
pub(super) struct GeneratedIds {
    /// The remembered ones, by what they are known by where header lines come and go.
    by_identity: HashMap<Identity, Vec<UniqueId>>,
    given: HashSet<UniqueId>,
    /// How many ids were tried for each content.
    tried: HashMap<Digest, u32>,
}

impl GeneratedIds {
    /// For a listing of which nothing is given yet.
    pub(super) fn new(memory: &Memory) -> Self {
        let mut by_identity: HashMap<_, Vec<_>> = HashMap::new();
        for (_, uid, message) in memory.messages() {
            let identity = message.identity().filter(|_| is_generated(uid));
            if let Some(identity) = identity {
                by_identity.entry(identity).or_default().push(uid.clone());
            }
        }
        GeneratedIds {
            by_identity,
            given: HashSet::new(),
            tried: HashMap::new(),
        }
    }

    /// The id of a message that came: a remembered one of the same content, or of the same identity, that no other
    /// message of the listing has; else a new one.
    pub(super) fn id(&mut self, hashes: &Hashes, memory: &Memory) -> UniqueId {
        let tried = self.tried.entry(hashes.digest).or_default();
        let exact = loop {
            *tried = tried.saturating_add(1);
            let id = id(hashes.digest, *tried);
            if !self.given.contains(&id) {
                break id;
            }
        };
        let alike = || {
            let ids = self.by_identity.get(&hashes.identity)?;
            ids.iter().find(|id| !self.given.contains(*id)).cloned()
        };
        let id = match memory.recall(exact.as_bytes()) {
            Some(_) => exact,
            None => alike().unwrap_or(exact),
        };
        self.given.insert(id.clone());
        id
    }
}

fn id(digest: Digest, nth: u32) -> UniqueId {
    let id = match nth {
        1 => format!("{PREFIX}{digest}"),
        nth => format!("{PREFIX}{digest}#{nth}"),
    };
    UniqueId::new(id.as_bytes())
}

/// Whether an id is not the server's but made here.
pub(super) fn is_generated(uid: &UniqueId) -> bool {
    uid.as_bytes().starts_with(PREFIX.as_bytes())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::journal::{Intent, Record};
    use crate::mail::Place;
    use crate::message::Hasher;

    fn hashes(text: &str) -> Hashes {
        let mut hasher = Hasher::default();
        hasher.update(text.as_bytes());
        hasher.hashes()
    }

    /// These ids are known to be messages of these texts.
    fn memory(known: &[(&UniqueId, &str)]) -> Memory {
        let mut memory = Memory::default();
        for (uid, text) in known {
            let Hashes { digest, identity } = hashes(text);
            let intent = Intent {
                uid: (*uid).clone(),
                to: 0,
                digest,
                identity: Some(identity),
                octets: 10,
                listed: None,
                place: Place::Untracked,
                owed: vec![0],
            };
            let at = Timestamp::UNIX_EPOCH;
            memory.apply(Record::Stored { intent, at });
        }
        memory
    }

    #[test]
    fn equal_messages_have_ids_of_their_own_and_the_same_in_each_listing() {
        let ids = |memory: &Memory| -> Vec<UniqueId> {
            let mut ids = GeneratedIds::new(memory);
            let texts = ["one\n", "two\n", "one\n", "one\n"];
            texts
                .iter()
                .map(|text| ids.id(&hashes(text), memory))
                .collect()
        };
        let first = ids(&Memory::default());
        let distinct: HashSet<_> = first.iter().collect();
        assert_eq!(distinct.len(), 4);
        let known = memory(&[(&first[0], "one\n"), (&first[2], "one\n")]);
        assert_eq!(ids(&known), first);
    }

    #[test]
    fn a_text_with_other_header_lines_takes_the_place_of_one_that_is_known() {
        let [text, varied, other] = [
            "Subject: a\n\nb\n",
            "Status: RO\nSubject: a\n\nb\n",
            "Subject: a\n\nc\n",
        ];
        let first = GeneratedIds::default().id(&hashes(text), &Memory::default());
        let memory = memory(&[(&first, text)]);
        let mut ids = GeneratedIds::new(&memory);
        assert_ne!(ids.id(&hashes(other), &memory), first);
        assert_eq!(ids.id(&hashes(varied), &memory), first);
        assert_ne!(
            ids.id(&hashes(varied), &memory),
            first,
            "it is given already"
        );
    }
}
