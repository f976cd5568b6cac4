//! A maildrop, seen whole: what is listed, what we know of it, and what will be done.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::identify::{Identity, identify};
use crate::journal::{Found, Memory, Record, Remembered};
use crate::mail::{Digest, Listed, Number, UniqueId};
use crate::plan::{Candidate, Known, Plan, Reason, Rules, Step};
use crate::pop3::Listing;

/// A maildrop as it is listed, what we know of each message, and what will be done with it: three
/// lists in the same order.
pub(super) struct Survey {
    pub(super) listing: Listing,
    identities: Vec<Identity>,
    pub(super) plan: Plan,
}

impl Survey {
    /// Identifies these messages and plans what to do with each. `destinations` are the account's, by
    /// the journal's names; `found` are copies of [`Survey::missing_copies`].
    pub(super) fn new(
        listing: Listing,
        memory: &Memory,
        destinations: &[u32],
        found: &Found,
        rules: &Rules,
        now: Timestamp,
    ) -> Self {
        let identities = identify(&listing, memory, destinations, found);
        let candidate = |(listed, identity): (_, &Identity)| Candidate {
            listed,
            known: identity.known,
            troublesome: identity.troublesome,
        };
        let candidates = listing.messages.iter().zip(&identities).map(candidate);
        let plan = Plan::new(&candidates.collect::<Vec<_>>(), rules, now);
        Survey {
            listing,
            identities,
            plan,
        }
    }

    /// Whether sizes must be asked for before it can be relied on.
    pub(super) fn wants_sizes(&self) -> bool {
        let told_apart_by_size = self.identities.iter().any(Identity::is_shared);
        (told_apart_by_size || self.plan.wants_sizes()) && !self.listing.has_sizes()
    }

    /// The contents of the messages that the rule would delete if their copies were found.
    pub(super) fn missing_copies(&self, memory: &Memory) -> HashSet<Digest> {
        let messages = (0..self.plan.steps.len()).map(|index| self.message(index));
        let missing = messages.filter(|(_, _, step)| matches!(step.reason, Reason::Renumbered(_)));
        let digest = |(listed, identity, _): (&Listed, &Identity, _)| {
            memory.recall(identity.key(listed)?.as_bytes())?.digest()
        };
        missing.filter_map(digest).collect()
    }

    /// A message, who it is, and what will be done with it.
    pub(super) fn message(&self, index: usize) -> (&Listed, &Identity, &Step) {
        (
            &self.listing.messages[index],
            &self.identities[index],
            &self.plan.steps[index],
        )
    }

    /// The ids under which the journal knows these messages.
    fn keys(&self) -> impl Iterator<Item = &UniqueId> {
        let pairs = self.listing.messages.iter().zip(&self.identities);
        pairs.filter_map(|(listed, identity)| identity.key(listed))
    }

    /// Whether there are messages that are stored, and left on the server, and none of them is listed.
    pub(super) fn lists_nothing_of(&self, memory: &Memory) -> bool {
        let new = |identity: &Identity| identity.known == Known::New;
        let is_left = |message: &Remembered| {
            message.is_stored() && !message.is_deleted() && !message.is_asked()
        };
        let mut remembered = memory.messages();
        self.identities.iter().all(new) && remembered.any(|(_, message)| is_left(message))
    }

    /// The unique-ids that turned out to stand for several messages.
    pub(super) fn shared_ids(&self, memory: &Memory) -> Vec<Record> {
        let repeated = self.listing.repeated();
        let new = repeated
            .into_iter()
            .filter(|uid| !memory.is_shared(uid.as_bytes()));
        new.map(|uid| Record::Shared { uid: uid.clone() }).collect()
    }

    /// The messages that are stored but not listed, by their content. A server that has renumbered its
    /// maildrop lists them under other ids. One that was found under an id that is listed is not here.
    pub(super) fn vanished(&self, memory: &Memory) -> HashMap<Digest, UniqueId> {
        let listed: HashSet<&UniqueId> = self.keys().collect();
        let found = memory
            .messages()
            .filter(|(uid, message)| message.is_known_by_content() && listed.contains(uid));
        let found: HashSet<Digest> = found.filter_map(|(_, message)| message.digest()).collect();
        let gone = memory.messages().filter(|(uid, message)| {
            message.is_stored() && !message.is_deleted() && !listed.contains(uid)
        });
        let by_content = gone.filter_map(|(uid, message)| Some((message.digest()?, uid.clone())));
        by_content
            .filter(|(digest, _)| !found.contains(digest))
            .collect()
    }

    /// A message's size by LIST; 0 where it is not known.
    pub(super) fn octets(&self, number: Number) -> u64 {
        // A listing is in the order of its numbers.
        let messages = &self.listing.messages;
        let found = messages.binary_search_by_key(&number, |listed| listed.number);
        found
            .ok()
            .and_then(|index| messages[index].octets)
            .unwrap_or(0)
    }
}
