//! A maildrop, seen whole: what is listed, what we know of it, and what will be done.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::blame::MessageKey;
use super::identify::Identities;
use crate::error::Failure;
use crate::journal::{Destinations, Fact, Found, Memory, Record, Remembered};
use crate::mail::{Digest, HeaderIdentity, Listed, Number, UniqueId};
use crate::monitor::FailedMessage;
use crate::plan::{Candidate, Header, Known, ListingIndex, Plan, Purpose, Rules, Step, Trust};
use crate::pop3::Listing;

/// A maildrop as it is listed, what we know of each message, and what will be done with it: three
/// lists in the same order.
pub(super) struct Survey {
    pub(super) listing: Listing,
    identities: Identities,
    /// What the headers of some say.
    headers: HashMap<ListingIndex, Header>,
    trust: Trust,
    /// Whether something is remembered of any of these messages.
    knows_some: bool,
    pub(super) plan: Plan,
}

/// What decides about messages besides what is listed and remembered.
pub(super) struct PlanInputs<'a> {
    pub(super) destinations: Destinations,
    /// Copies of [`Survey::missing_copies`].
    pub(super) found: Found,
    pub(super) rules: &'a Rules,
    /// Everything is to be stored, whatever is remembered, but for what this run has stored, by the journal's ids; none
    /// where only the new is.
    pub(super) stored_again: Option<&'a HashSet<UniqueId>>,
    pub(super) now: Timestamp,
}

/// Messages that are stored but not listed, by their content.
pub(super) type Unlisted = HashMap<Digest, Vec<UniqueId>>;

/// A message of a survey.
#[derive(Clone, Copy)]
pub(super) struct Surveyed<'a> {
    pub(super) index: ListingIndex,
    pub(super) listed: &'a Listed,
    /// The id under which the journal knows it; none before it was fetched, where it has no unique-id.
    pub(super) key: Option<&'a UniqueId>,
    /// Its unique-id says, all by itself and in every session, which message it is.
    pub(super) certain: bool,
    pub(super) step: &'a Step,
}

impl Surveyed<'_> {
    /// Which message it is, from one session to the next.
    pub(super) fn across_sessions(&self) -> MessageKey {
        MessageKey::new(self.listed.number, self.key)
    }

    /// Its size by LIST; 0 where it is not known.
    pub(super) fn octets(&self) -> u64 {
        self.listed.octets.unwrap_or(0)
    }

    /// The same, having failed in this way.
    pub(super) fn failed(&self, failure: Failure) -> FailedMessage {
        FailedMessage {
            number: self.listed.number,
            uid: self.key.cloned(),
            failure,
        }
    }
}

impl Survey {
    /// Identifies these messages and plans what to do with each.
    pub(super) fn new(listing: Listing, memory: &Memory, inputs: &PlanInputs<'_>) -> Self {
        let mut survey = Survey {
            identities: Identities::of(&listing, memory),
            listing,
            headers: HashMap::new(),
            trust: Trust::default(),
            knows_some: false,
            plan: Plan::default(),
        };
        survey.plan(memory, inputs);
        survey
    }

    /// Plans once more, with sizes or copies that were not known before.
    pub(super) fn update(&mut self, memory: &Memory, inputs: &PlanInputs<'_>) {
        self.identities.update(&self.listing, memory);
        self.plan(memory, inputs);
    }

    fn plan(&mut self, memory: &Memory, inputs: &PlanInputs<'_>) {
        let PlanInputs {
            destinations,
            found,
            rules,
            stored_again,
            now,
        } = inputs;
        let mut knows_some = false;
        let candidate = |(index, listed)| {
            let identities = &self.identities;
            let index = ListingIndex(index);
            let known = identities.known((index, listed), memory, destinations, found);
            knows_some |= known != Known::New;
            let is_done = |stored: &HashSet<UniqueId>| {
                let key = identities.key(index, listed);
                key.is_some_and(|key| stored.contains(key))
            };
            let trust = match stored_again {
                Some(stored) if !is_done(stored) => Trust::Nothing,
                _ => self.trust,
            };
            Candidate {
                listed,
                known,
                trust,
                priority: identities.priority(index, memory),
                header: self.headers.get(&index).copied().unwrap_or_default(),
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
        let number = |index| self.message(index).listed.number;
        Wanting::These(self.plan.wanting_sizes().map(number).collect())
    }

    /// Whether what STAT says shows that a message is another one than is remembered under its id, though no id is new
    /// (RFC 1939 forbids to give an id once more only as long as the first message exists). Also where a size was
    /// never listed: then it is time to ask for it.
    pub(super) fn has_changed(&self, memory: &Memory) -> bool {
        let Some(octets) = self
            .listing
            .octets
            .filter(|_| self.identities.are_all_known())
        else {
            return false;
        };
        !memory.fact(Fact::StatIsNoSum) && self.identities.remembered_octets(memory) != Some(octets)
    }

    /// From now on a size that is not the remembered one counts.
    pub(super) fn compare_sizes(&mut self) {
        self.trust = Trust::IdAndSize;
    }

    /// What the sizes show that were asked for because STAT says something else than is remembered: that this server's
    /// STAT is not to be relied on, and the sizes of messages that were never listed with one.
    pub(super) fn learnt_of_sizes(&self, memory: &Memory) -> Vec<Record> {
        if self.trust != Trust::IdAndSize {
            return Vec::new();
        }
        let messages = &self.listing.messages;
        let sum: Option<u64> = messages.iter().map(|listed| listed.octets).sum();
        let is_no_sum = sum != self.listing.octets;
        let fact = is_no_sum.then_some(Record::Fact {
            fact: Fact::StatIsNoSum,
            holds: true,
        });
        let unsized_before = self.messages().filter_map(|message| {
            let remembered = self.identities.remembered(message.index, memory)?;
            let uid = message.key?.clone();
            let octets = message.listed.octets;
            let octets = octets.filter(|_| remembered.listed().is_none())?;
            Some(Record::Listed { uid, octets })
        });
        fact.into_iter().chain(unsized_before).collect()
    }

    /// The messages whose headers must be asked for before they are deleted.
    pub(super) fn wanting_headers(&self) -> Vec<ListingIndex> {
        let unasked = |index: &ListingIndex| !self.headers.contains_key(index);
        self.plan.wanting_headers().filter(unasked).collect()
    }

    /// Whether there is something to compare the header of the message at this index with.
    pub(super) fn knows_header(&self, index: ListingIndex, memory: &Memory) -> bool {
        let remembered = self.identities.remembered(index, memory);
        remembered.is_some_and(|message| message.identity().is_some())
    }

    /// What was found out about the header of the message at this index; none where the server refuses to show it.
    pub(super) fn add_header(
        &mut self,
        index: ListingIndex,
        found: Option<HeaderIdentity>,
        memory: &Memory,
    ) {
        let remembered = self.identities.remembered(index, memory);
        let known = remembered.and_then(|message| Some(message.identity()?.header()));
        let says_something = found.is_some_and(|header| header != HeaderIdentity::NONE);
        let header = if says_something && found == known {
            Header::Same
        } else {
            Header::Doubtful
        };
        self.headers.insert(index, header);
    }

    /// The server has no TOP: the headers of these cannot be had.
    pub(super) fn lack_headers(&mut self, indices: &[ListingIndex]) {
        let lacking = indices.iter().map(|index| (*index, Header::Unavailable));
        self.headers.extend(lacking);
    }

    /// The contents of stored messages that are fetched to be compared, and of which nothing but their stored copies says
    /// what they are known by.
    pub(super) fn wanting_identities(&self, memory: &Memory) -> HashSet<Digest> {
        let compared = self
            .messages()
            .filter(|message| message.step.purpose() == Some(Purpose::Compare));
        let remembered =
            compared.filter_map(|message| self.identities.remembered(message.index, memory));
        let unknown = remembered.filter(|message| message.identity().is_none());
        unknown.filter_map(Remembered::digest).collect()
    }

    /// The contents of the messages that the rule would delete if their copies were found.
    pub(super) fn missing_copies(&self, memory: &Memory) -> HashSet<Digest> {
        let missing = self
            .messages()
            .filter(|message| message.step.reason.wants_copies());
        let digest =
            |message: Surveyed<'_>| self.identities.remembered(message.index, memory)?.digest();
        missing.filter_map(digest).collect()
    }

    /// Every message, in the order of the listing.
    pub(super) fn messages(&self) -> impl Iterator<Item = Surveyed<'_>> {
        (0..self.plan.steps.len()).map(|index| self.message(ListingIndex(index)))
    }

    /// The message at this index.
    pub(super) fn message(&self, index: ListingIndex) -> Surveyed<'_> {
        let listed = &self.listing.messages[index.0];
        Surveyed {
            index,
            listed,
            key: self.identities.key(index, listed),
            certain: self.identities.is_certain(index, listed),
            step: &self.plan.steps[index.0],
        }
    }

    /// Whether there are messages that are stored, and left on the server, and none of them is listed. Where
    /// nothing has a unique-id, this cannot be known.
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
    /// maildrop lists them under other ids. For each that was found under an id that is listed, one is not here.
    pub(super) fn unlisted(&self, memory: &Memory) -> Unlisted {
        let listed = self.identities.positions();
        let mut unlisted = Unlisted::default();
        for (position, uid, message) in memory.messages() {
            let is_left = message.is_stored() && !message.is_deleted();
            if let Some(digest) = message.digest()
                && is_left
                && !listed.contains(position)
            {
                unlisted.entry(digest).or_default().push(uid.clone());
            }
        }
        let found = memory.messages().filter(|(position, _, message)| {
            message.is_known_by_content() && listed.contains(*position)
        });
        for digest in found.filter_map(|(_, _, message)| message.digest()) {
            unlisted.get_mut(&digest).and_then(Vec::pop);
        }
        unlisted
    }

    /// A message with a unique-id of its own, one of them all for each number given.
    pub(super) fn some_uid(&self, random: u64) -> Option<(Number, &UniqueId)> {
        let length = self.plan.steps.len();
        let first = random.checked_rem(length as u64).unwrap_or(0) as usize;
        let mut messages = (first..length)
            .chain(0..first)
            .map(|index| self.message(ListingIndex(index)));
        messages.find_map(|message| {
            let uid = message.listed.uid.as_ref().filter(|_| message.certain)?;
            Some((message.listed.number, uid))
        })
    }

    /// The unique-id of the message with this number.
    pub(super) fn uid_of(&self, number: Number) -> Option<&UniqueId> {
        self.listed(number)?.uid.as_ref()
    }

    /// A listing is in the order of its numbers.
    fn listed(&self, number: Number) -> Option<&Listed> {
        let messages = &self.listing.messages;
        let found = messages.binary_search_by_key(&number, |listed| listed.number);
        Some(&messages[found.ok()?])
    }

    /// A message's size by LIST; 0 where it is not known.
    pub(super) fn octets(&self, number: Number) -> u64 {
        self.listed(number)
            .and_then(|listed| listed.octets)
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
