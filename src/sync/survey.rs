//! A maildrop, seen whole: what is listed, what we know of it, and what will be done.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::identify::Identities;
use crate::journal::{Destinations, Found, Memory, Record, Remembered};
use crate::mail::{Digest, Listed, Number, UniqueId};
use crate::plan::{Candidate, Known, Plan, Rules, Step};
use crate::pop3::Listing;

/// A maildrop as it is listed, what we know of each message, and what will be done with it: three
/// lists in the same order.
pub(super) struct Survey {
    pub(super) listing: Listing,
    identities: Identities,
    /// Whether something is remembered of any of these messages.
    knows_some: bool,
    pub(super) plan: Plan,
}

/// What decides about messages besides what is listed and remembered.
pub(super) struct Terms<'a> {
    pub(super) destinations: Destinations,
    /// Copies of [`Survey::missing_copies`].
    pub(super) found: Found,
    pub(super) rules: &'a Rules,
    /// Everything is to be stored, whatever is remembered; none where only the new is.
    pub(super) again: Option<&'a Again>,
    pub(super) now: Timestamp,
}

/// What has been stored in a run that stores everything, by the journal's ids: another session of the run is not
/// to store it once more.
pub(super) type Again = HashSet<UniqueId>;

/// A message of a survey.
pub(super) struct Surveyed<'a> {
    pub(super) listed: &'a Listed,
    /// The id under which the journal knows it; none before it was fetched, where it has no unique-id.
    pub(super) key: Option<&'a UniqueId>,
    /// Its unique-id says, all by itself and in every session, which message it is.
    pub(super) certain: bool,
    pub(super) step: &'a Step,
}

impl Survey {
    /// Identifies these messages and plans what to do with each.
    pub(super) fn new(listing: Listing, memory: &Memory, terms: &Terms<'_>) -> Self {
        let mut survey = Survey {
            identities: Identities::of(&listing, memory),
            listing,
            knows_some: false,
            plan: Plan::default(),
        };
        survey.plan(memory, terms);
        survey
    }

    /// Plans once more, with sizes or copies that were not known before.
    pub(super) fn update(&mut self, memory: &Memory, terms: &Terms<'_>) {
        self.identities.update(&self.listing, memory);
        self.plan(memory, terms);
    }

    fn plan(&mut self, memory: &Memory, terms: &Terms<'_>) {
        let Terms {
            destinations,
            found,
            rules,
            again,
            now,
        } = terms;
        let mut knows_some = false;
        let candidate = |(index, listed)| {
            let identities = &self.identities;
            let known = identities.known((index, listed), memory, destinations, found);
            knows_some |= known != Known::New;
            let is_done = |again: &Again| {
                let key = identities.key(index, listed);
                key.is_some_and(|key| again.contains(key))
            };
            Candidate {
                listed,
                known,
                again: again.is_some_and(|again| !is_done(again)),
                turn: identities.turn(index, memory),
            }
        };
        let candidates = self.listing.messages.iter().enumerate().map(candidate);
        self.plan = Plan::new(candidates, rules, *now);
        self.knows_some = knows_some;
    }

    /// The messages whose sizes must be asked for before the plan can be relied on, by their numbers.
    pub(super) fn wanting_sizes(&self) -> Wanting {
        if self.identities.are_told_apart() {
            return Wanting::All;
        }
        let number = |index: usize| self.listing.messages[index].number;
        Wanting::These(self.plan.wanting_sizes().map(number).collect())
    }

    /// The contents of the messages that the rule would delete if their copies were found.
    pub(super) fn missing_copies(&self, memory: &Memory) -> HashSet<Digest> {
        let steps = self.plan.steps.iter().enumerate();
        let missing = steps.filter(|(_, step)| step.reason.wants_copies());
        let remembered = |(index, _)| self.identities.remembered(index, memory)?.digest();
        missing.filter_map(remembered).collect()
    }

    /// The message at this index.
    pub(super) fn message(&self, index: usize) -> Surveyed<'_> {
        let listed = &self.listing.messages[index];
        Surveyed {
            listed,
            key: self.identities.key(index, listed),
            certain: self.identities.is_certain(index, listed),
            step: &self.plan.steps[index],
        }
    }

    /// Whether there are messages that are stored, and left on the server, and none of them is listed. Where
    /// nothing has a unique-id, nobody can tell.
    pub(super) fn lists_nothing_of(&self, memory: &Memory) -> bool {
        let messages = &self.listing.messages;
        if !messages.is_empty() && messages.iter().all(|listed| listed.uid.is_none()) {
            return false;
        }
        let is_left = |message: &Remembered| {
            message.is_stored() && !message.is_deleted() && !message.is_asked()
        };
        !self.knows_some && memory.messages().any(|(_, _, message)| is_left(message))
    }

    /// The unique-ids that turned out to stand for several messages.
    pub(super) fn shared_ids(&self, memory: &Memory) -> Vec<Record> {
        let repeated = self.identities.listed_again();
        let new = repeated.filter(|uid| !memory.is_shared(uid.as_bytes()));
        new.map(|uid| Record::Shared { uid: uid.clone() }).collect()
    }

    /// The messages that are stored but not listed, by their content. A server that has renumbered its
    /// maildrop lists them under other ids. One that was found under an id that is listed is not here.
    pub(super) fn vanished(&self, memory: &Memory) -> HashMap<Digest, UniqueId> {
        let listed = self.identities.met();
        let found = memory
            .messages()
            .filter(|(position, _, message)| {
                message.is_known_by_content() && listed.contains(*position)
            })
            .filter_map(|(_, _, message)| message.digest());
        let found: HashSet<Digest> = found.collect();
        let gone = memory.messages().filter(|(position, _, message)| {
            message.is_stored() && !message.is_deleted() && !listed.contains(*position)
        });
        let by_content =
            gone.filter_map(|(_, uid, message)| Some((message.digest()?, uid.clone())));
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

/// Whose sizes are wanted.
pub(super) enum Wanting {
    /// All, since some messages are told apart by their sizes.
    All,
    /// These, by number; mostly a few that are new, or none.
    These(Vec<Number>),
}
