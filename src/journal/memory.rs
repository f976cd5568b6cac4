//! What a journal says, all its lines together: pure, in memory.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU32;

use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};
use tinyvec::TinyVec;

use super::proof::{Destinations, Found};
use super::record::{Fact, Intent, Record};
use crate::mail::{Digest, Identity, UniqueId};
use crate::message::Hashes;

/// How long what a server announced may be presumed: it may have learnt more since.
const MAX_AGE_OF_CAPABILITIES: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Everything that is remembered of a maildrop.
#[derive(Debug, Default, PartialEq)]
pub struct Memory {
    messages: IndexMap<UniqueId, Remembered>,
    destinations: Vec<(u32, String)>,
    /// Messages that were about to be placed, of which nothing more is known, in their order: seldom more than a batch.
    intents: Vec<Intent>,
    shared: HashSet<UniqueId>,
    facts: BTreeSet<Fact>,
    /// The mechanism of the last successful login, in the clear and over TLS.
    logins: [Option<String>; 2],
    /// On which connection the server announced what, and when.
    announced: Option<(String, String, Timestamp)>,
}

/// Which of the messages of a [`Memory`] one is: a number that stays, whatever is remembered besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position(NonZeroU32);

impl Position {
    fn new(index: usize) -> Option<Self> {
        let number = u32::try_from(index).ok()?.checked_add(1)?;
        NonZeroU32::new(number).map(Position)
    }

    /// The number, from 0.
    #[must_use]
    pub fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Everything that is remembered of a message. A hundred thousand of these are held at once.
#[derive(Debug, Default, Clone, PartialEq, Hash)]
pub struct Remembered {
    digest: Option<Digest>,
    identity: Option<Identity>,
    /// By LIST.
    listed: Option<u64>,
    /// As it came.
    octets: Option<u64>,
    /// Seconds since 1970.
    first_stored: i64,
    /// When it came otherwise than it should, the last time; 0 where it did not. Seconds since 1970.
    tried: i64,
    /// Nearly always one.
    deliveries: TinyVec<[Delivery; 1]>,
    /// How many connections ended while it was fetched; no more than [`DROPS_COUNTED`].
    drops: u8,
    marked_by_hand: bool,
    asked: bool,
    deleted: bool,
    refused: bool,
    overrun: bool,
    unproven: bool,
    undeletable: bool,
}

/// Once may be chance, twice is the message: more is not counted.
pub(super) const DROPS_COUNTED: u8 = 2;

/// What is known of a message in one destination.
#[derive(Debug, Default, Clone, Copy, PartialEq, Hash)]
struct Delivery {
    to: u32,
    /// The destination was to have it when it was first stored.
    is_owed: bool,
    is_durable: bool,
    /// It was written there, where nothing is durable.
    is_seen: bool,
    /// It is durable, but only its content says that it is a copy of the message that has this id.
    is_known_by_content: bool,
}

impl Remembered {
    /// SHA-256 of its text, where it was fetched.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Whether a message with these hashes is this one.
    #[must_use]
    pub fn is(&self, hashes: &Hashes) -> bool {
        self.digest == Some(hashes.digest) || self.identity == Some(hashes.identity)
    }

    /// What it is known by where header lines come and go; none where a popfetch stored it that did not record that.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Its size by LIST, as far as it was ever listed.
    #[must_use]
    pub fn listed(&self) -> Option<u64> {
        self.listed
    }

    /// The same, where it is certain that the whole message came. A popfetch that recorded no identity did not
    /// look whether the answers were in step: what came in another size than was listed may be a part.
    #[must_use]
    pub fn listed_whole(&self) -> Option<u64> {
        let is_certain = self.identity.is_some() || self.octets == self.listed;
        self.listed.filter(|_| is_certain)
    }

    /// Whether fewer octets came than LIST says when it was stored by a popfetch that did not look whether the answers
    /// were in step: it may have been broken off.
    #[must_use]
    pub fn may_be_a_part(&self) -> bool {
        let came_whole = self.octets >= self.listed;
        self.identity.is_none() && !came_whole
    }

    /// Whether it is stored, but less than half of what LIST says came of it.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.is_stored() && is_short(self.octets, self.listed)
    }

    /// Whether more came after its end, so that nothing of it is stored.
    #[must_use]
    pub fn is_overrun(&self) -> bool {
        self.overrun
    }

    /// When it was last fetched, if it came otherwise than it should.
    #[must_use]
    pub fn tried(&self) -> Option<Timestamp> {
        let tried = Timestamp::from_second(self.tried.max(self.first_stored)).ok();
        tried.filter(|_| self.is_overrun() || self.is_short())
    }

    /// When it came otherwise than it should, the last time, in seconds since 1970; 0 where it did not.
    pub(super) fn last_tried(&self) -> i64 {
        self.tried
    }

    /// Whether nothing can say if what is listed under its id is what is stored.
    #[must_use]
    pub fn is_unproven(&self) -> bool {
        self.unproven
    }

    /// Whether asking for its deletion ended the session.
    #[must_use]
    pub fn is_undeletable(&self) -> bool {
        self.undeletable
    }

    /// When it was first stored durably; none if it never was.
    #[must_use]
    pub fn first_stored(&self) -> Option<Timestamp> {
        if !self.is_stored() {
            return None;
        }
        Timestamp::from_second(self.first_stored).ok()
    }

    /// Whether it is stored durably somewhere.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.deliveries.iter().any(|delivery| delivery.is_durable)
    }

    /// Whether it was written to where nothing is durable, or marked by hand.
    #[must_use]
    pub fn is_seen(&self) -> bool {
        self.marked_by_hand || self.deliveries.iter().any(|delivery| delivery.is_seen)
    }

    /// Whether it was deleted, and the deletion confirmed.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// Whether there is a copy of it that only its content says to be this message's: it was stored under another
    /// id, or before the message was deleted. Its reader may have removed such a copy long ago.
    #[must_use]
    pub fn is_known_by_content(&self) -> bool {
        self.deliveries
            .iter()
            .any(|delivery| delivery.is_known_by_content)
    }

    /// Whether it is only stored where this run stores nothing, and not everywhere there.
    #[must_use]
    pub fn is_wanted_elsewhere(&self, destinations: &Destinations) -> bool {
        let Destinations { here, elsewhere } = destinations;
        let is_here = self.durable().any(|delivery| here.contains(&delivery.to));
        !is_here && self.lacks(elsewhere)
    }

    /// Whether its copies in these destinations stand for it: each is known for this message's, or was found
    /// again. Where some are known by content alone, at least one has to.
    #[must_use]
    pub fn has_its_copies(&self, destinations: &[u32], found: &Found) -> bool {
        let was_found = |to| self.digest.is_some_and(|digest| found.has(digest, to));
        let stands = |delivery: &Delivery| !delivery.is_known_by_content || was_found(delivery.to);
        let here = |delivery: &&Delivery| destinations.contains(&delivery.to);
        let mut held = self.durable().filter(here).peekable();
        !self.is_known_by_content() || held.peek().is_some() && held.all(stands)
    }

    fn durable(&self) -> impl Iterator<Item = &Delivery> {
        self.deliveries
            .iter()
            .filter(|delivery| delivery.is_durable)
    }

    /// Whether its deletion was asked for, and never confirmed.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.asked
    }

    /// Whether the server refused to send it.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.refused
    }

    /// Whether fetching it ended a connection.
    #[must_use]
    pub fn is_dropped(&self) -> bool {
        self.drops > 0
    }

    /// Whether fetching it ended one connection after the other.
    #[must_use]
    pub fn is_dropped_again(&self) -> bool {
        self.drops == DROPS_COUNTED
    }

    /// The destinations that were to have it when it was first stored.
    pub fn owed(&self) -> impl Iterator<Item = u32> {
        let owed = self.deliveries.iter().filter(|delivery| delivery.is_owed);
        owed.map(|delivery| delivery.to)
    }

    /// Whether one of these destinations was to have it, when it was first stored, and does not.
    #[must_use]
    pub fn lacks(&self, destinations: &[u32]) -> bool {
        self.deliveries.iter().any(|delivery| {
            let is_there = delivery.is_durable || delivery.is_seen;
            delivery.is_owed && !is_there && destinations.contains(&delivery.to)
        })
    }

    fn delivery(&mut self, to: u32) -> &mut Delivery {
        let known = self.deliveries.iter().position(|known| known.to == to);
        let index = known.unwrap_or_else(|| {
            self.deliveries.push(Delivery {
                to,
                ..Delivery::default()
            });
            self.deliveries.len() - 1
        });
        &mut self.deliveries[index]
    }

    fn owe(&mut self, destinations: &[u32]) {
        for &to in destinations {
            self.delivery(to).is_owed = true;
        }
    }

    /// It has another id now, or is there again after it was deleted: only their content says what its copies are.
    fn is_now_known_by_content(&mut self) {
        for delivery in &mut self.deliveries {
            delivery.is_known_by_content = delivery.is_durable;
        }
    }
}

impl Memory {
    /// Makes room for so many messages more.
    pub(super) fn make_room(&mut self, messages: usize) {
        self.messages.reserve(messages);
    }

    /// What is remembered of the message with this id.
    #[must_use]
    pub fn recall(&self, uid: &[u8]) -> Option<&Remembered> {
        self.messages.get(uid)
    }

    /// Which of the messages has this id.
    #[must_use]
    pub fn position(&self, uid: &[u8]) -> Option<Position> {
        Position::new(self.messages.get_index_of(uid)?)
    }

    /// What is remembered of the message at this position.
    #[must_use]
    pub fn at(&self, position: Position) -> Option<&Remembered> {
        let found = self.messages.get_index(position.index());
        found.map(|(_, message)| message)
    }

    /// Every message and its position, in their order.
    pub fn messages(&self) -> impl Iterator<Item = (Position, &UniqueId, &Remembered)> {
        let message = |(index, (uid, message))| Some((Position::new(index)?, uid, message));
        self.messages.iter().enumerate().filter_map(message)
    }

    /// Whether this unique-id was ever listed more than once in one listing.
    #[must_use]
    pub fn is_shared(&self, uid: &[u8]) -> bool {
        self.shared.contains(uid)
    }

    /// The number that stands for this destination.
    #[must_use]
    pub fn destination(&self, name: &str) -> Option<u32> {
        self.destinations
            .iter()
            .find(|(_, known)| known == name)
            .map(|(id, _)| *id)
    }

    /// The destination that this number stands for.
    #[must_use]
    pub fn destination_name(&self, id: u32) -> Option<&str> {
        let mut destinations = self.destinations.iter();
        let found = destinations.find(|(known, _)| *known == id);
        found.map(|(_, name)| name.as_str())
    }

    /// The same, given now if it has none. The journal does not learn of it: for rehearsals.
    pub fn number_destination(&mut self, name: &str) -> u32 {
        self.destination(name).unwrap_or_else(|| {
            let id = self.free_destination();
            self.destinations.push((id, name.to_owned()));
            id
        })
    }

    /// Whether a message was ever stored durably in this destination, or was about to be: then it was there.
    #[must_use]
    pub fn has_used(&self, destination: u32) -> bool {
        let holds = |message: &Remembered| message.durable().any(|known| known.to == destination);
        let intends = |intent: &Intent| intent.to == destination;
        self.messages.values().any(holds) || self.intents.iter().any(intends)
    }

    /// A number that stands for no destination yet.
    pub(super) fn free_destination(&self) -> u32 {
        let taken = || self.destinations.iter().map(|(id, _)| *id);
        let after_all = taken().max().map_or(Some(0), |last| last.checked_add(1));
        // The last number of all is only ever taken in a journal that another program wrote.
        let first_free = || (0..u32::MAX).find(|id| taken().all(|taken| taken != *id));
        after_all.or_else(first_free).unwrap_or(u32::MAX)
    }

    /// Whether this was learnt of the server.
    #[must_use]
    pub fn fact(&self, fact: Fact) -> bool {
        self.facts.contains(&fact)
    }

    /// The name of the mechanism of the last successful login on such a connection.
    #[must_use]
    pub fn login(&self, over_tls: bool) -> Option<&str> {
        self.logins[usize::from(over_tls)].as_deref()
    }

    /// Whether this is what the server announced last.
    pub(super) fn announced_last(
        &self,
        connection: &str,
        capabilities: &str,
        at: Timestamp,
    ) -> bool {
        self.announced
            .as_ref()
            .is_some_and(|last| (&*last.0, &*last.1, last.2) == (connection, capabilities, at))
    }

    /// On which connection the server announced which capabilities before the login, where that is not too long ago to
    /// be presumed.
    #[must_use]
    pub fn announced(&self, now: Timestamp) -> Option<(&str, &str)> {
        let (connection, capabilities, at) = self.announced.as_ref()?;
        let age = now.duration_since(*at);
        let is_recent = !age.is_negative() && age <= MAX_AGE_OF_CAPABILITIES;
        is_recent.then_some((connection, capabilities))
    }

    /// Messages that were about to be placed, of which nothing more is known: the run was cut off.
    #[must_use]
    pub fn unsettled(&self) -> &[Intent] {
        &self.intents
    }

    /// Whether this is one of them.
    pub(super) fn is_unsettled(&self, intent: &Intent) -> bool {
        self.intents.contains(intent)
    }

    /// How many lines that only matter until another one follows still do.
    pub(super) fn transient_lines(&self) -> u64 {
        let of = |message: &Remembered| {
            let flags = [
                message.asked,
                message.refused,
                message.undeletable,
                message.tried != 0,
            ];
            usize::from(message.drops) + flags.map(usize::from).iter().sum::<usize>()
        };
        let of_messages: usize = self.messages.values().map(of).sum();
        (of_messages + self.intents.len() + usize::from(self.announced.is_some())) as u64
    }

    /// A number that is the same for memories that say the same, and for no others that an accident makes.
    pub(super) fn fingerprint(&self) -> u64 {
        // What has no order is added up.
        let messages = self.messages.iter().map(|message| hash(&message));
        let shared = self.shared.iter().map(hash);
        hash(&(
            messages.fold(0, u64::wrapping_add),
            shared.fold(0, u64::wrapping_add),
            &self.destinations,
            &self.intents,
            &self.facts,
            &self.logins,
            &self.announced,
        ))
    }

    /// How many messages are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Adds what a record says to what is known.
    pub fn apply(&mut self, record: Record) {
        match record {
            Record::Destination { id, name } => {
                self.destinations.retain(|(known, _)| *known != id);
                self.destinations.push((id, name));
            }
            Record::Intend(intent) => {
                self.settle(&intent.uid, intent.to);
                self.intents.push(intent);
            }
            Record::IntentAborted { uid, to } => self.settle(&uid, to),
            Record::Stored { intent, at } => {
                self.settle(&intent.uid, intent.to);
                self.message(&intent.uid).stored(&intent, at);
            }
            Record::Seen {
                uid,
                to,
                digest,
                owed,
                ..
            } => self.message(&uid).seen(to, digest, &owed),
            // It was to be deleted, or was, and is there.
            Record::Alias { uid, stored_as } if uid == stored_as => {
                let message = self.message(&uid);
                (message.deleted, message.asked) = (false, false);
                message.undeletable = false;
                message.came_well();
            }
            Record::Alias { uid, stored_as } => {
                let known = self
                    .recall(stored_as.as_bytes())
                    .filter(|known| known.is_stored());
                let known = known.cloned().unwrap_or_default();
                let message = self.message(&uid);
                *message = Remembered {
                    digest: known.digest,
                    identity: known.identity,
                    listed: known.listed,
                    octets: known.octets,
                    first_stored: known.first_stored,
                    deliveries: known.deliveries,
                    ..Remembered::default()
                };
                message.is_now_known_by_content();
            }
            Record::Asked { uid } => self.message(&uid).asked = true,
            Record::Deleted { uid, .. } => {
                let message = self.message(&uid);
                (message.deleted, message.asked) = (true, false);
                message.undeletable = false;
                // Should it be listed again, its copies may have been removed meanwhile.
                message.is_now_known_by_content();
            }
            Record::Shared { uid } => {
                self.shared.insert(uid);
            }
            Record::Refused { uid } => self.message(&uid).refused = true,
            Record::Dropped { uid } => {
                let message = self.message(&uid);
                message.drops = (message.drops + 1).min(DROPS_COUNTED);
            }
            Record::Overrun { uid, at } => {
                let message = self.message(&uid);
                (message.overrun, message.tried) = (true, at.as_second());
            }
            Record::Short { uid, at } => {
                let message = self.message(&uid);
                (message.overrun, message.tried) = (false, at.as_second());
            }
            Record::Listed { uid, octets } => {
                self.message(&uid).listed = Some(octets);
            }
            Record::Unproven { uid } => self.message(&uid).unproven = true,
            Record::Undeletable { uid } => self.message(&uid).undeletable = true,
            Record::LoggedIn { way, over_tls } => {
                self.logins[usize::from(over_tls)] = Some(way);
            }
            Record::Announced {
                connection,
                capabilities,
                at,
            } => self.announced = Some((connection, capabilities, at)),
            Record::Fact { fact, holds: true } => drop(self.facts.insert(fact)),
            Record::Fact { fact, holds: false } => drop(self.facts.remove(&fact)),
        }
    }

    /// More is known now of what was to be placed.
    fn settle(&mut self, uid: &UniqueId, to: u32) {
        let is_meant = |intent: &Intent| intent.to == to && intent.uid == *uid;
        if let Some(at) = self.intents.iter().position(is_meant) {
            self.intents.remove(at);
        }
    }

    fn message(&mut self, uid: &UniqueId) -> &mut Remembered {
        self.messages.entry(uid.clone()).or_default()
    }
}

fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

impl Remembered {
    fn stored(&mut self, intent: &Intent, at: Timestamp) {
        let is_same = self.digest == Some(intent.digest)
            || self.identity.is_some() && self.identity == intent.identity;
        if self.digest.is_some() && !is_same || self.deleted {
            // The id was given to another message, or is back after a deletion: old copies are not copies of this one.
            *self = Remembered::default();
        }
        if !self.is_stored() {
            self.first_stored = at.as_second();
        }
        self.digest = self.digest.or(Some(intent.digest));
        self.identity = self.identity.or(intent.identity);
        self.listed = intent.listed;
        self.octets = Some(intent.octets);
        let delivery = self.delivery(intent.to);
        (delivery.is_durable, delivery.is_known_by_content) = (true, false);
        self.owe(&intent.owed);
        // It is there, and stored anew: what was asked for before is void.
        (self.asked, self.undeletable) = (false, false);
        self.came_well();
    }

    /// It came as it should, whatever was before.
    fn came_well(&mut self) {
        (self.refused, self.overrun, self.unproven) = (false, false, false);
        (self.drops, self.tried) = (0, 0);
    }

    fn seen(&mut self, to: Option<u32>, digest: Option<Digest>, owed: &[u32]) {
        let other = self
            .digest
            .zip(digest)
            .is_some_and(|(known, seen)| known != seen);
        if other || self.deleted {
            *self = Remembered::default();
        }
        self.digest = self.digest.or(digest);
        match to {
            Some(to) => {
                self.delivery(to).is_seen = true;
                self.owe(owed);
            }
            None => self.marked_by_hand = true,
        }
        self.came_well();
    }
}

/// Whether less than half of what LIST says came of a message. A server that does not know a size says 0.
#[must_use]
pub fn is_short(came: Option<u64>, listed: Option<u64>) -> bool {
    came.zip(listed)
        .is_some_and(|(came, listed)| came.saturating_mul(2) < listed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{HeaderIdentity, Place};

    fn intent(uid: &str, to: u32, digest: u8, owed: &[u32]) -> Intent {
        Intent {
            uid: UniqueId::new(uid.as_bytes()),
            to,
            digest: Digest([digest; 32]),
            identity: None,
            octets: 10,
            listed: Some(10),
            place: Place::Maildir { name: "1.x".into() },
            owed: owed.to_vec(),
        }
    }

    fn stored(uid: &str, to: u32, digest: u8, owed: &[u32]) -> Record {
        Record::Stored {
            intent: intent(uid, to, digest, owed),
            at: Timestamp::UNIX_EPOCH,
        }
    }

    fn memory(records: &[Record]) -> Memory {
        let mut memory = Memory::default();
        records
            .iter()
            .for_each(|record| memory.apply(record.clone()));
        memory
    }

    #[test]
    fn a_message_lacks_only_destinations_it_was_meant_for() {
        let memory = memory(&[stored("a", 0, 1, &[0, 1])]);
        let message = memory.recall(b"a").expect("stored");
        assert!(message.lacks(&[0, 1]));
        assert!(!message.lacks(&[0]), "the other destination was taken away");
        assert!(
            !message.lacks(&[0, 2]),
            "a destination added later is owed nothing old"
        );
    }

    #[test]
    fn less_than_half_of_what_was_listed_is_short() {
        for (came, listed, expected) in [
            (Some(0), Some(1), true),
            (Some(49), Some(100), true),
            (Some(50), Some(100), false),
            (Some(200), Some(100), false),
            // Servers that do not know a size say 0, or nothing.
            (Some(0), Some(0), false),
            (Some(0), None, false),
            (None, Some(100), false),
        ] {
            assert_eq!(is_short(came, listed), expected, "{came:?} of {listed:?}");
        }
    }

    #[test]
    fn a_message_that_ends_connections_is_to_blame_from_the_second_on() {
        let uid = || UniqueId::new(b"a");
        let dropped = || Record::Dropped { uid: uid() };
        let counts = |records: &[Record]| {
            let memory = memory(records);
            let message = memory.recall(b"a").expect("remembered");
            (message.is_dropped(), message.is_dropped_again())
        };
        assert_eq!(counts(&[dropped()]), (true, false));
        assert_eq!(counts(&[dropped(), dropped()]), (true, true));
        let came = stored("a", 0, 1, &[0]);
        assert_eq!(counts(&[dropped(), dropped(), came]), (false, false));
    }

    #[test]
    fn what_is_renumbered_came_no_more_whole_for_that() {
        let incomplete = Record::Stored {
            intent: Intent {
                octets: 4,
                ..intent("a", 0, 1, &[0])
            },
            at: Timestamp::UNIX_EPOCH,
        };
        let same = Record::Alias {
            uid: UniqueId::new(b"b"),
            stored_as: UniqueId::new(b"a"),
        };
        let memory = memory(&[incomplete, same]);
        assert!(memory.recall(b"b").expect("remembered").is_short());
    }

    #[test]
    fn a_text_with_other_header_lines_is_the_same_message() {
        let identity = Some(Identity::new(HeaderIdentity([1; 16]), [2; 32]));
        let known = |digest| Record::Stored {
            intent: Intent {
                identity,
                ..intent("a", 0, digest, &[0, 1])
            },
            at: Timestamp::UNIX_EPOCH,
        };
        let gap = |digest, identity| Record::Stored {
            intent: Intent {
                identity,
                ..intent("a", 1, digest, &[0, 1])
            },
            at: Timestamp::UNIX_EPOCH,
        };
        let filled = memory(&[known(1), gap(9, identity)]);
        assert!(!filled.recall(b"a").expect("stored").lacks(&[0, 1]));
        let replaced = memory(&[known(1), gap(9, None)]);
        assert!(replaced.recall(b"a").expect("stored").lacks(&[0, 1]));
    }

    #[test]
    fn a_retry_fills_the_gap() {
        let memory = memory(&[stored("a", 0, 1, &[0, 1]), stored("a", 1, 1, &[1])]);
        assert!(!memory.recall(b"a").expect("stored").lacks(&[0, 1]));
    }

    #[test]
    fn a_gap_that_is_filled_later_does_not_make_a_message_younger() {
        let at = Timestamp::from_second(86_400).expect("a time");
        let filled = Record::Stored {
            intent: intent("a", 1, 1, &[1]),
            at,
        };
        let memory = memory(&[stored("a", 0, 1, &[0, 1]), filled]);
        let message = memory.recall(b"a").expect("stored");
        assert_eq!(message.first_stored(), Some(Timestamp::UNIX_EPOCH));
    }

    #[test]
    fn a_destination_is_used_once_a_message_was_stored_there_or_was_about_to_be() {
        let uid = || UniqueId::new(b"a");
        let at = Timestamp::UNIX_EPOCH;
        let seen = Record::Seen {
            uid: uid(),
            to: Some(0),
            digest: None,
            owed: vec![0, 1],
            at,
        };
        let intend = Record::Intend(intent("a", 1, 1, &[0, 1]));
        let void = Record::IntentAborted { uid: uid(), to: 1 };
        let deleted = Record::Deleted { uid: uid(), at };
        let stored = stored("a", 1, 1, &[1, 2]);
        for (records, is_used) in [
            (vec![], false),
            (vec![seen], false),
            (vec![intend.clone()], true),
            (vec![intend, void], false),
            (vec![stored.clone()], true),
            (vec![stored, deleted], true),
        ] {
            let memory = memory(&records);
            assert_eq!(memory.has_used(1), is_used, "{records:?}");
            assert!(!memory.has_used(0) && !memory.has_used(2), "{records:?}");
        }
    }

    #[test]
    fn an_intent_stays_until_it_is_settled() {
        let intend = |uid| Record::Intend(intent(uid, 0, 1, &[0]));
        let void = Record::IntentAborted {
            uid: UniqueId::new(b"b"),
            to: 0,
        };
        let memory = memory(&[
            intend("a"),
            intend("b"),
            intend("c"),
            stored("a", 0, 1, &[0]),
            void,
        ]);
        let left: Vec<_> = memory
            .unsettled()
            .iter()
            .map(|intent| intent.uid.as_bytes())
            .collect();
        assert_eq!(left, [b"c"]);
    }

    #[test]
    fn an_id_given_to_another_message_forgets_the_first() {
        let memory = memory(&[stored("a", 0, 1, &[0, 1]), stored("a", 1, 2, &[1])]);
        let message = memory.recall(b"a").expect("stored");
        assert_eq!(message.digest(), Some(Digest([2; 32])));
        assert!(
            !message.lacks(&[0, 1]),
            "the second message was meant for the second destination alone"
        );
    }

    #[test]
    fn a_new_destination_gets_a_number_of_its_own() {
        let named = |id, name: &str| Record::Destination {
            id,
            name: name.to_owned(),
        };
        assert_eq!(memory(&[]).free_destination(), 0);
        let few = memory(&[named(4, "a"), named(0, "b")]);
        assert_eq!(few.free_destination(), 5, "a lost line may have had 1 to 3");
        let last = memory(&[named(u32::MAX, "a"), named(0, "b")]);
        assert_eq!(last.free_destination(), 1);
    }

    #[test]
    fn a_deleted_message_that_is_stored_again_is_no_longer_deleted() {
        let deleted = Record::Deleted {
            uid: UniqueId::new(b"a"),
            at: Timestamp::UNIX_EPOCH,
        };
        let before = memory(&[stored("a", 0, 1, &[0]), deleted.clone()]);
        let message = before.recall(b"a").expect("remembered");
        assert!(message.is_deleted());
        assert_eq!(
            message.digest(),
            Some(Digest([1; 32])),
            "to compare with what is listed again"
        );
        let after = memory(&[stored("a", 0, 1, &[0]), deleted, stored("a", 0, 1, &[0])]);
        assert!(!after.recall(b"a").expect("remembered").is_deleted());
    }

    #[test]
    fn what_is_there_again_after_its_deletion_needs_its_copy() {
        let uid = || UniqueId::new(b"a");
        let back = || Record::Alias {
            uid: uid(),
            stored_as: uid(),
        };
        let at = Timestamp::UNIX_EPOCH;
        let stands = |records: &[Record], copies: &[u32]| {
            let memory = memory(records);
            let message = memory.recall(b"a").expect("stored");
            let mut found = Found::default();
            copies.iter().for_each(|to| found.add(Digest([1; 32]), *to));
            message.has_its_copies(&[0], &found)
        };
        let asked = [stored("a", 0, 1, &[0]), Record::Asked { uid: uid() }];
        let kept = [&asked[..], &[back()]].concat();
        assert!(stands(&asked, &[]) && stands(&kept, &[]));
        let deleted = [&asked[..], &[Record::Deleted { uid: uid(), at }]].concat();
        let returned = [&deleted[..], &[back()]].concat();
        for records in [&deleted, &returned] {
            assert!(!stands(records, &[]) && stands(records, &[0]));
        }
        let again = [&returned[..], &[stored("a", 0, 1, &[0])]].concat();
        assert!(stands(&again, &[]), "stored anew");
    }

    #[test]
    fn what_is_stored_again_is_no_longer_to_be_deleted() {
        let asked = Record::Asked {
            uid: UniqueId::new(b"a"),
        };
        let memory = memory(&[stored("a", 0, 1, &[0]), asked, stored("a", 0, 1, &[0])]);
        assert!(!memory.recall(b"a").expect("remembered").is_asked());
    }

    #[test]
    fn what_is_known_by_content_needs_every_copy_that_a_destination_holds_by_it() {
        let renumbered = Record::Alias {
            uid: UniqueId::new(b"b"),
            stored_as: UniqueId::new(b"a"),
        };
        let has = |records: &[Record], destinations: &[u32], copies: &[u32]| {
            let memory = memory(records);
            let message = memory.recall(b"b").expect("stored");
            let mut found = Found::default();
            copies.iter().for_each(|to| found.add(Digest([1; 32]), *to));
            message.has_its_copies(destinations, &found)
        };
        let one = [stored("a", 0, 1, &[0]), renumbered.clone()];
        assert!(!has(&one, &[0], &[]) && has(&one, &[0], &[0]));
        assert!(
            !has(&one, &[1], &[]) && !has(&one, &[1], &[0]),
            "a destination that was taken away cannot be looked into"
        );
        let both = [
            stored("a", 0, 1, &[0, 1]),
            stored("a", 1, 1, &[0, 1]),
            renumbered.clone(),
        ];
        assert!(!has(&both, &[0, 1], &[1]) && has(&both, &[0, 1], &[0, 1]));
        assert!(has(&both, &[1], &[1]));
        let filled = [
            stored("a", 0, 1, &[0, 1]),
            renumbered,
            stored("b", 1, 1, &[0, 1]),
        ];
        assert!(!has(&filled, &[0, 1], &[]) && has(&filled, &[0, 1], &[0]));
        let again = [&filled[..], &[stored("b", 0, 1, &[0, 1])]].concat();
        assert!(has(&again, &[0, 1], &[]), "stored anew in every one");
    }

    #[test]
    fn what_was_only_seen_is_not_stored() {
        let seen = Record::Seen {
            uid: UniqueId::new(b"a"),
            to: Some(0),
            digest: None,
            owed: vec![0],
            at: Timestamp::UNIX_EPOCH,
        };
        let memory = memory(&[seen]);
        let message = memory.recall(b"a").expect("remembered");
        assert!(message.is_seen() && !message.is_stored() && message.first_stored().is_none());
    }
}
