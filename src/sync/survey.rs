//! A maildrop, seen whole: what is listed, what we know of it, and what will be done.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::identify::Identities;
use crate::journal::{Destinations, Fact, Found, Memory, Record, Remembered};
use crate::mail::{Digest, HeaderIdentity, Listed, Number, UniqueId};
use crate::plan::{Candidate, Header, Known, Plan, Purpose, Rules, Step};
use crate::pop3::Listing;

/// A maildrop as it is listed, what we know of each message, and what will be done with it: three
/// lists in the same order.
pub(super) struct Survey {
    pub(super) listing: Listing,
    identities: Identities,
    /// What the headers of some say, by index.
    headers: HashMap<usize, Header>,
    /// Whether a size that has changed shows that a message may be another one.
    sizes_count: bool,
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
    /// Everything is to be stored, whatever is remembered; none where only the new is.
    pub(super) again: Option<&'a Again>,
    pub(super) now: Timestamp,
}

/// What has been stored in a run that stores everything, by the journal's ids: another session of the run is not
/// to store it once more.
pub(super) type Again = HashSet<UniqueId>;

/// Messages that are stored but not listed, by their content.
pub(super) type Vanished = HashMap<Digest, Vec<UniqueId>>;

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
    pub(super) fn new(listing: Listing, memory: &Memory, terms: &PlanInputs<'_>) -> Self {
        let mut survey = Survey {
            identities: Identities::of(&listing, memory),
            listing,
            headers: HashMap::new(),
            sizes_count: false,
            knows_some: false,
            plan: Plan::default(),
        };
        survey.plan(memory, terms);
        survey
    }

    /// Plans once more, with sizes or copies that were not known before.
    pub(super) fn update(&mut self, memory: &Memory, terms: &PlanInputs<'_>) {
        self.identities.update(&self.listing, memory);
        self.plan(memory, terms);
    }

    fn plan(&mut self, memory: &Memory, terms: &PlanInputs<'_>) {
        let PlanInputs {
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
                priority: identities.priority(index, memory),
                header: self.headers.get(&index).copied().unwrap_or_default(),
                size_counts: self.sizes_count,
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
    pub(super) fn count_sizes(&mut self) {
        self.sizes_count = true;
    }

    /// What the sizes tell that were asked for because STAT says something else than is remembered: that this server's
    /// STAT is not to be relied on, and the sizes of messages that were never listed with one.
    pub(super) fn learnt_of_sizes(&self, memory: &Memory) -> Vec<Record> {
        if !self.sizes_count {
            return Vec::new();
        }
        let messages = &self.listing.messages;
        let sum: Option<u64> = messages.iter().map(|listed| listed.octets).sum();
        let is_no_sum = sum != self.listing.octets;
        let fact = is_no_sum.then_some(Record::Fact {
            fact: Fact::StatIsNoSum,
            holds: true,
        });
        let unsized_before = messages.iter().enumerate().filter_map(|(index, listed)| {
            let remembered = self.identities.remembered(index, memory)?;
            let uid = self.identities.key(index, listed)?.clone();
            let octets = listed.octets.filter(|_| remembered.listed().is_none())?;
            Some(Record::Listed { uid, octets })
        });
        fact.into_iter().chain(unsized_before).collect()
    }

    /// The messages whose headers must be asked for before they are deleted, as indices.
    pub(super) fn wanting_headers(&self) -> Vec<usize> {
        let unasked = |index: &usize| !self.headers.contains_key(index);
        self.plan.wanting_headers().filter(unasked).collect()
    }

    /// Whether there is something to compare the header of the message at this index with.
    pub(super) fn knows_header(&self, index: usize, memory: &Memory) -> bool {
        let remembered = self.identities.remembered(index, memory);
        remembered.is_some_and(|message| message.identity().is_some())
    }

    /// What was found out about the header of the message at this index; none where the server refuses to show it.
    pub(super) fn add_header(
        &mut self,
        index: usize,
        found: Option<HeaderIdentity>,
        memory: &Memory,
    ) {
        let remembered = self.identities.remembered(index, memory);
        let known = remembered.and_then(|message| Some(message.identity()?.header()));
        let says_something = found.is_some_and(|header| header != HeaderIdentity::NONE);
        let header = match says_something && found == known {
            true => Header::Same,
            false => Header::Doubtful,
        };
        self.headers.insert(index, header);
    }

    /// The server has no TOP: the headers of these cannot be had.
    pub(super) fn lack_headers(&mut self, indices: &[usize]) {
        let lacking = indices.iter().map(|index| (*index, Header::Unavailable));
        self.headers.extend(lacking);
    }

    /// The contents of stored messages that are fetched to be compared, and of which nothing but their stored copies says
    /// what they are known by.
    pub(super) fn wanting_identities(&self, memory: &Memory) -> HashSet<Digest> {
        let compares = |index: &usize| self.plan.steps[*index].purpose() == Some(Purpose::Compare);
        let indices = (0..self.plan.steps.len()).filter(compares);
        let remembered = indices.filter_map(|index| self.identities.remembered(index, memory));
        let unknown = remembered.filter(|message| message.identity().is_none());
        unknown.filter_map(Remembered::digest).collect()
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
    /// maildrop lists them under other ids. For each that was found under an id that is listed, one is not here.
    pub(super) fn vanished(&self, memory: &Memory) -> Vanished {
        let listed = self.identities.met();
        let mut vanished = Vanished::default();
        for (position, uid, message) in memory.messages() {
            let is_left = message.is_stored() && !message.is_deleted();
            if let Some(digest) = message.digest()
                && is_left
                && !listed.contains(position)
            {
                vanished.entry(digest).or_default().push(uid.clone());
            }
        }
        let found = memory.messages().filter(|(position, _, message)| {
            message.is_known_by_content() && listed.contains(*position)
        });
        for digest in found.filter_map(|(_, _, message)| message.digest()) {
            vanished.get_mut(&digest).and_then(Vec::pop);
        }
        vanished
    }

    /// A message with a unique-id of its own, one of them all for each number given.
    pub(super) fn some_uid(&self, random: u64) -> Option<(Number, &UniqueId)> {
        let messages = &self.listing.messages;
        let length = messages.len() as u64;
        let first = random.checked_rem(length).map_or(0, |first| first as usize);
        let indices = (first..messages.len()).chain(0..first);
        let own = |index: usize| {
            let listed = &messages[index];
            let is_own = self.identities.is_certain(index, listed);
            Some((listed.number, listed.uid.as_ref().filter(|_| is_own)?))
        };
        indices.into_iter().find_map(own)
    }

    /// The unique-id of the message with this number.
    pub(super) fn uid_of(&self, number: Number) -> Option<&UniqueId> {
        self.listing.messages[self.index_of(number)?].uid.as_ref()
    }

    /// A listing is in the order of its numbers.
    fn index_of(&self, number: Number) -> Option<usize> {
        let messages = &self.listing.messages;
        let found = messages.binary_search_by_key(&number, |listed| listed.number);
        found.ok()
    }

    /// A message's size by LIST; 0 where it is not known.
    pub(super) fn octets(&self, number: Number) -> u64 {
        let index = self.index_of(number);
        index
            .and_then(|index| self.listing.messages[index].octets)
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
