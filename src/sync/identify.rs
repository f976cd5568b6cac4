//! Which messages of a listing are known: a listing and the memory become plain values for the plan.

use std::collections::{HashMap, HashSet};

use crate::journal::{Destinations, Found, Memory, Position, Remembered};
use crate::mail::{Listed, UniqueId};
use crate::plan::{Known, ListingIndex, Priority};
use crate::pop3::Listing;

/// Which messages those of a listing are, as far as is known. Mostly their unique-ids say that, and the memory
/// is asked for each of these once.
#[derive(Default)]
pub(super) struct Identities {
    /// Where the memory has each message, in the listing's order.
    positions: Vec<Option<Position>>,
    /// The unique-ids that are listed more than once.
    repeated: HashSet<UniqueId>,
    /// The ids under which the journal knows messages whose unique-ids stand for several, by index.
    shared: HashMap<ListingIndex, UniqueId>,
}

impl Identities {
    /// Those of these messages.
    ///
    /// Messages that share a unique-id (popa3d makes them of headers) are told apart by their size and,
    /// where that is the same too, by their order: good enough to fetch none in vain, not to delete one.
    pub(super) fn of(listing: &Listing, memory: &Memory) -> Self {
        let position = |listed: &Listed| memory.position(listed.uid.as_ref()?.as_bytes());
        let mut identities = Identities {
            positions: listing.messages.iter().map(position).collect(),
            ..Identities::default()
        };
        identities.repeated = identities.repeated(listing);
        identities.tell_apart(listing, memory);
        identities
    }

    /// Once more, where sizes were not known before that some are told apart by.
    pub(super) fn update(&mut self, listing: &Listing, memory: &Memory) {
        if !self.shared.is_empty() {
            self.shared.clear();
            self.tell_apart(listing, memory);
        }
    }

    /// The unique-ids that more than one message has (RFC 1939 section 7 allows it for equal messages; some
    /// servers do it for different ones). They identify nothing.
    fn repeated(&self, listing: &Listing) -> HashSet<UniqueId> {
        let (mut met, mut met_ids) = (PositionSet::default(), HashSet::new());
        let mut repeated = HashSet::new();
        for (listed, position) in listing.messages.iter().zip(&self.positions) {
            let Some(uid) = &listed.uid else { continue };
            let is_new = match position {
                Some(position) => met.insert(*position),
                None => met_ids.insert(uid),
            };
            if !is_new {
                repeated.insert(uid.clone());
            }
        }
        repeated
    }

    fn tell_apart(&mut self, listing: &Listing, memory: &Memory) {
        let mut met: HashMap<(&UniqueId, Option<u64>), u32> = HashMap::new();
        for (index, listed) in listing.messages.iter().enumerate() {
            let shared =
                |uid: &&UniqueId| self.repeated.contains(*uid) || memory.is_shared(uid.as_bytes());
            let Some(uid) = listed.uid.as_ref().filter(shared) else {
                continue;
            };
            let nth = met.entry((uid, listed.octets)).or_default();
            *nth += 1;
            let key = key(uid, listed.octets, *nth);
            self.positions[index] = memory.position(key.as_bytes());
            self.shared.insert(ListingIndex(index), key);
        }
    }

    /// The id under which the journal knows the message at this index; none where it has no unique-id and is
    /// known by its digest, once it was fetched.
    pub(super) fn key<'a>(
        &'a self,
        index: ListingIndex,
        listed: &'a Listed,
    ) -> Option<&'a UniqueId> {
        self.shared.get(&index).or(listed.uid.as_ref())
    }

    /// Whether its unique-id says, all by itself and in every session, which message it is.
    pub(super) fn is_certain(&self, index: ListingIndex, listed: &Listed) -> bool {
        listed.uid.is_some() && !self.shared.contains_key(&index)
    }

    /// Whether some are told apart by their sizes.
    pub(super) fn are_told_apart(&self) -> bool {
        !self.shared.is_empty()
    }

    /// The unique-ids that are listed more than once.
    pub(super) fn listed_again(&self) -> impl Iterator<Item = &UniqueId> {
        self.repeated.iter()
    }

    /// What is remembered of the message at this index.
    pub(super) fn remembered<'m>(
        &self,
        index: ListingIndex,
        memory: &'m Memory,
    ) -> Option<&'m Remembered> {
        memory.at(self.positions[index.0]?)
    }

    /// When to ask for the message at this index.
    pub(super) fn priority(&self, index: ListingIndex, memory: &Memory) -> Priority {
        let remembered = self.remembered(index, memory);
        match remembered {
            Some(message) if message.is_dropped() || message.is_overrun() => {
                Priority::BreaksConnection
            }
            Some(message) if message.is_refused() => Priority::Refused,
            _ => Priority::InOrder,
        }
    }

    /// Whether something is remembered of each message, by an id that is its own.
    pub(super) fn are_all_known(&self) -> bool {
        self.shared.is_empty() && self.positions.iter().all(Option::is_some)
    }

    /// What the messages of the listing add up to by the sizes that are remembered of them; none where one of them
    /// is new, or was never listed with a size.
    pub(super) fn remembered_octets(&self, memory: &Memory) -> Option<u64> {
        let size = |position: &Option<Position>| memory.at((*position)?)?.listed();
        let sizes = self.positions.iter().map(size);
        sizes.sum()
    }

    /// Where the memory has those that it knows.
    pub(super) fn positions(&self) -> PositionSet {
        let mut known = PositionSet::default();
        for position in self.positions.iter().flatten() {
            known.insert(*position);
        }
        known
    }

    /// What we know of the message at this index. `found` are copies of those that are known by their content.
    pub(super) fn known(
        &self,
        (index, listed): (ListingIndex, &Listed),
        memory: &Memory,
        destinations: &Destinations,
        found: &Found,
    ) -> Known {
        let certain = self.is_certain(index, listed);
        match self.remembered(index, memory) {
            Some(remembered) => known(remembered, certain, destinations, found),
            None if listed.uid.is_none() && !memory.is_empty() => Known::WithoutUid,
            None => Known::New,
        }
    }
}

/// Some messages of the memory.
#[derive(Default)]
pub(super) struct PositionSet(Vec<bool>);

impl PositionSet {
    /// Adds one; whether it was not there yet.
    fn insert(&mut self, position: Position) -> bool {
        let index = position.index();
        if index >= self.0.len() {
            self.0.resize(index + 1, false);
        }
        !std::mem::replace(&mut self.0[index], true)
    }

    pub(super) fn contains(&self, position: Position) -> bool {
        self.0.get(position.index()) == Some(&true)
    }
}

fn key(uid: &UniqueId, octets: Option<u64>, nth: u32) -> UniqueId {
    let size = octets.map_or_else(|| "?".to_owned(), |octets| octets.to_string());
    // No line of a listing has a line feed in it, so this is no other message's unique-id.
    let told_apart = format!("\n{size}\n{nth}");
    UniqueId::new(&[uid.as_bytes(), told_apart.as_bytes()].concat())
}

fn known(
    remembered: &Remembered,
    certain: bool,
    destinations: &Destinations,
    found: &Found,
) -> Known {
    let by_content = remembered.is_known_by_content();
    // Of what is known by its content alone, a header proves nothing.
    let may_be_gone = remembered.is_deleted() || remembered.is_asked() && by_content;
    let lacks_here = remembered.lacks(&destinations.here);
    let in_place = || remembered.has_its_copies(&destinations.here, found);
    match (remembered.first_stored(), remembered.tried()) {
        (_, Some(tried)) if remembered.is_overrun() => Known::Overrun { tried },
        (_, Some(tried)) if !lacks_here => Known::Short { tried },
        (Some(at), _) if may_be_gone => Known::Deleted {
            at,
            in_place: in_place(),
        },
        _ if lacks_here => Known::PartiallyDelivered,
        (Some(_), _) if remembered.is_wanted_elsewhere(destinations) => Known::OwedElsewhere,
        (Some(at), _) if certain && by_content => Known::Renumbered {
            at,
            in_place: in_place(),
        },
        (Some(_), _) if remembered.is_unproven() => Known::Unproven,
        (Some(at), _) if !certain => Known::Shared { at },
        (Some(at), _) => Known::Stored {
            at,
            octets: remembered.listed(),
            whole: remembered.listed_whole().is_some(),
            asked: remembered.is_asked(),
        },
        (None, _) if remembered.is_seen() => Known::Seen {
            octets: remembered.listed(),
        },
        (None, _) => Known::New,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::journal::Record;
    use crate::mail::Number;
    use jiff::Timestamp;

    fn uid(n: u8) -> UniqueId {
        UniqueId::new(&[b'a' + n])
    }

    /// These ids are known.
    fn memory(known: &[u8]) -> Memory {
        let mut memory = Memory::default();
        for n in known {
            let at = Timestamp::UNIX_EPOCH;
            let (digest, owed) = (None, Vec::new());
            let (uid, to) = (uid(*n), None);
            memory.apply(Record::Seen {
                uid,
                to,
                digest,
                owed,
                at,
            });
        }
        memory
    }

    /// Messages with these ids.
    fn listing(ids: &[Option<u8>]) -> Listing {
        let messages = ids.iter().zip(1..).map(|(id, number): (_, Number)| Listed {
            number,
            uid: id.map(uid),
            octets: None,
        });
        let mut listing = Listing::default();
        listing.messages = messages.collect();
        listing
    }

    proptest! {
        #[test]
        fn ids_listed_twice_are_found_known_or_not(
            known in prop::collection::vec(0..6u8, 0..6),
            ids in prop::collection::vec(prop::option::of(0..6u8), 0..12),
        ) {
            let (memory, listing) = (memory(&known), listing(&ids));
            let identities = Identities::of(&listing, &memory);
            let mut times: BTreeMap<u8, u32> = BTreeMap::new();
            ids.iter().flatten().for_each(|id| *times.entry(*id).or_default() += 1);
            for (index, (id, listed)) in ids.iter().zip(&listing.messages).enumerate() {
                let is_single = id.is_some_and(|id| times[&id] == 1);
                prop_assert_eq!(identities.is_certain(ListingIndex(index), listed), is_single);
                let is_known = is_single && id.is_some_and(|id| known.contains(&id));
                prop_assert_eq!(identities.remembered(ListingIndex(index), &memory).is_some(), is_known);
            }
            let repeated: HashSet<UniqueId> = identities.listed_again().cloned().collect();
            let expected = times.iter().filter(|(_, times)| **times > 1);
            prop_assert_eq!(repeated, expected.map(|(id, _)| uid(*id)).collect());
        }
    }
}
