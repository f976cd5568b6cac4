//! What authorises a deletion: a message's copies in the account's destinations, and nothing else.

use std::collections::HashSet;

use super::Journal;
use crate::mail::{Digest, Number, UniqueId};

/// The destinations of an account, by the numbers that its journal has for them.
#[derive(Debug, Clone, Default)]
pub struct Destinations {
    /// Those of this run.
    pub here: Vec<u32>,
    /// Those that others take the place of for this run. They are owed what is stored meanwhile, and fetch it later.
    pub elsewhere: Vec<u32>,
}

/// Copies of messages that only their content identifies, which were just found, whole, in the places where the journal
/// says that they were put. True of one session: what a mailbox holds is not ours alone.
#[derive(Debug, Default)]
pub struct Found(HashSet<(Digest, u32)>);

impl Found {
    /// A copy of the message with this content was found in this destination.
    pub fn add(&mut self, digest: Digest, to: u32) {
        self.0.insert((digest, to));
    }

    /// Whether there was one.
    pub(super) fn has(&self, digest: Digest, to: u32) -> bool {
        self.0.contains(&(digest, to))
    }
}

/// Proof that a message is stored durably in every destination that it is owed, and that the journal
/// says so durably. Only a journal makes one, each is good for one DELE.
#[derive(Debug)]
pub struct Proof {
    number: Number,
    uid: UniqueId,
}

impl Proof {
    /// The message's number in this session.
    #[must_use]
    pub fn number(&self) -> Number {
        self.number
    }

    /// Under which id the journal knows it.
    #[must_use]
    pub fn uid(&self) -> &UniqueId {
        &self.uid
    }
}

impl Journal {
    /// Proof that the message which has this number in the session, and which the journal knows by
    /// this id, may be deleted: it is stored durably in every destination of this run that it is owed (where
    /// none of these has it, in those that the run leaves out), and the record of that is durable. None
    /// otherwise. A copy that only its content says to be this message's counts only where it was just found.
    #[must_use]
    pub fn prove(
        &self,
        number: Number,
        uid: &UniqueId,
        destinations: &Destinations,
        found: &Found,
    ) -> Option<Proof> {
        let remembered = self.memory.recall(uid.as_bytes())?;
        let here = &destinations.here;
        let lacking = remembered.lacks(here) || remembered.is_wanted_elsewhere(destinations);
        let stored = remembered.is_stored() && !lacking;
        let whole = !remembered.is_short() && !remembered.is_overrun();
        let same = !remembered.is_unproven();
        let stored = stored && whole && same && remembered.has_its_copies(here, found);
        let certain = self.file.is_synced() && !self.memory.is_shared(uid.as_bytes());
        (stored && certain).then(|| Proof {
            number,
            uid: uid.clone(),
        })
    }
}
