//! One batch on its way through the steps of storing: sync, intend, commit, record.

use jiff::Timestamp;

use super::parcel::Incoming;
use crate::crash;
use crate::deliver::{DeliveryError, Destination, PreparedBatch};
use crate::error::{Failure, Kind, Result};
use crate::journal::{Intent, Journal, Record, is_short};
use crate::mail::{Digest, Place, UniqueId};
use crate::message::Hashes;

/// A destination in this run.
pub(super) struct Slot {
    /// What the journal calls it.
    pub(super) id: u32,
    pub(super) destination: Box<dyn Destination>,
    /// Why nothing more can be stored there in this run.
    pub(super) failure: Option<Failure>,
    /// The messages of the batch that it has, as indices, in the order they came.
    members: Vec<usize>,
}

impl Slot {
    pub(super) fn new(id: u32, destination: Box<dyn Destination>) -> Self {
        Slot {
            id,
            destination,
            failure: None,
            members: Vec::new(),
        }
    }

    /// Whether messages can still be stored there.
    pub(super) fn works(&self) -> bool {
        self.failure.is_none()
    }

    /// Nothing of the batch is stored there.
    pub(super) fn discard(&mut self) {
        self.destination.discard();
        self.members.clear();
    }

    /// Nothing more is stored there in this run, and nothing of the batch.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.discard();
        self.failure = Some(failure);
    }
}

/// Whether there is a destination left.
///
/// # Errors
///
/// There is none; why the first one is broken.
pub(super) fn some_works(slots: &[Slot]) -> Result<()> {
    if slots.iter().any(Slot::works) {
        return Ok(());
    }
    let mut failures = slots.iter().filter_map(|slot| slot.failure.clone());
    failures.next().map_or(Ok(()), Err)
}

/// The destinations, by the journal's names.
pub(super) fn numbers(slots: &[Slot]) -> Vec<u32> {
    slots.iter().map(|slot| slot.id).collect()
}

/// A message that came in whole.
pub(super) struct Message {
    pub(super) incoming: Incoming,
    /// Under which id the journal remembers it.
    pub(super) key: UniqueId,
    pub(super) hashes: Hashes,
    /// On the wire, with CRLF counted as two.
    pub(super) octets: u64,
    /// What came of it before was incomplete, and this.
    pub(super) completes: Option<Digest>,
    /// The destinations that are to have it in the end, by the journal's numbers.
    pub(super) owed: Vec<u32>,
    /// One of them at least has it now.
    pub(super) placed: bool,
    /// Why one of them lacks it.
    pub(super) gap: Option<DeliveryGap>,
}

impl Message {
    /// One that is in no destination yet.
    pub(super) fn new(incoming: Incoming, key: UniqueId, hashes: Hashes, octets: u64) -> Self {
        Message {
            incoming,
            key,
            hashes,
            octets,
            completes: None,
            owed: Vec::new(),
            placed: false,
            gap: None,
        }
    }

    /// Whether less than half of what LIST says came of it.
    pub(super) fn is_short(&self) -> bool {
        is_short(Some(self.octets), self.incoming.listed)
    }

    /// What the journal has of it in a destination.
    fn intent(&self, to: u32, place: Place) -> Intent {
        Intent {
            uid: self.key.clone(),
            to,
            digest: self.hashes.digest,
            identity: Some(self.hashes.identity),
            octets: self.octets,
            listed: self.incoming.listed,
            place,
            owed: self.owed.clone(),
        }
    }
}

/// Why a destination lacks a message.
#[derive(Clone)]
pub(super) enum DeliveryGap {
    /// It could not take this one.
    Refused(Failure),
    /// It can take none any more, which is reported once, not for each message.
    Broken,
}

/// The messages that will be committed together.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) messages: Vec<Message>,
    pub(super) bytes: u64,
}

impl Batch {
    /// Adds a complete message, which these destinations have taken in.
    pub(super) fn add(
        &mut self,
        message: Message,
        length: u64,
        slots: &mut [Slot],
        taken_by: &[usize],
    ) {
        for &slot in taken_by {
            slots[slot].members.push(self.messages.len());
        }
        self.bytes += length;
        self.messages.push(message);
    }

    /// Makes the batch durable in every destination and in the journal. A message that a destination
    /// lacks then says why.
    ///
    /// # Errors
    ///
    /// The journal cannot be written: nothing more may be stored in this run. What was committed is
    /// recovered at the next start.
    pub(super) fn commit(
        &mut self,
        slots: &mut [Slot],
        journal: &mut Journal,
        now: Timestamp,
    ) -> Result<()> {
        let committed = self.commit_to(slots, journal, now);
        let failed = slots.iter_mut().filter(|slot| !slot.works());
        failed.for_each(Slot::discard);
        committed
    }

    fn commit_to(
        &mut self,
        slots: &mut [Slot],
        journal: &mut Journal,
        now: Timestamp,
    ) -> Result<()> {
        crash::point("batch: before sync");
        let prepared = prepare(slots, &mut self.messages);
        crash::point("batch: synced, not intended");
        journal.commit(intents(&prepared, &self.messages))?;
        crash::point("batch: intended, not placed");
        let mut stored = Vec::new();
        for part in prepared {
            stored.extend(part.commit(&mut self.messages));
        }
        crash::point("batch: placed, not recorded");
        for stored in &stored {
            self.messages[stored.message].placed = true;
        }
        journal.append(records(stored, &self.messages, now))?;
        crash::point("batch: recorded");
        Ok(())
    }
}

/// The part of the batch that goes to one destination.
struct Part<'a> {
    /// What the journal calls the destination.
    to: u32,
    is_durable: bool,
    failure: &'a mut Option<Failure>,
    prepared: Box<dyn PreparedBatch + 'a>,
    /// The messages, as indices, in the order of their places.
    members: Vec<usize>,
}

/// A message that a destination says it has stored.
struct Stored {
    to: u32,
    is_durable: bool,
    message: usize,
    place: Place,
}

/// Step 2: the data is made durable, the places are known.
fn prepare<'a>(slots: &'a mut [Slot], messages: &mut [Message]) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    for slot in slots {
        let members = std::mem::take(&mut slot.members);
        if members.is_empty() {
            continue;
        }
        let is_durable = slot.destination.is_durable();
        let prepared = slot.destination.prepare().and_then(|prepared| {
            let is_complete = prepared.places().len() == members.len();
            is_complete.then_some(prepared).ok_or_else(miscounted)
        });
        match prepared {
            Ok(prepared) => parts.push(Part {
                to: slot.id,
                is_durable,
                failure: &mut slot.failure,
                prepared,
                members,
            }),
            Err(failure) => {
                lack(&members, messages);
                slot.failure = Some(failure);
            }
        }
    }
    parts
}

/// Step 3: what the journal has before any message is in its place.
fn intents(parts: &[Part<'_>], messages: &[Message]) -> Vec<Record> {
    let planned = parts.iter().flat_map(|part| {
        let places = part.members.iter().zip(part.prepared.places());
        places.map(|(&message, place)| (part.to, message, place))
    });
    planned
        .filter(|(_, _, place)| place.can_be_found())
        .map(|(to, message, place)| Record::Intend(messages[message].intent(to, place.clone())))
        .collect()
}

impl Part<'_> {
    /// Step 4: every message gets its place. Only what its destination says is stored.
    fn commit(self, messages: &mut [Message]) -> Vec<Stored> {
        let results = self.prepared.commit();
        if results.len() != self.members.len() {
            self.failure.get_or_insert_with(miscounted);
            lack(&self.members, messages);
            return Vec::new();
        }
        let mut stored = Vec::new();
        for (&message, result) in self.members.iter().zip(results) {
            match result {
                Ok(place) => stored.push(Stored {
                    to: self.to,
                    is_durable: self.is_durable,
                    message,
                    place,
                }),
                Err(DeliveryError::Message(failure)) => {
                    messages[message].gap = Some(DeliveryGap::Refused(failure));
                }
                Err(DeliveryError::Destination(failure)) => {
                    self.failure.get_or_insert(failure);
                    messages[message].gap = Some(DeliveryGap::Broken);
                }
            }
        }
        stored
    }
}

/// A destination that is broken lacks these messages.
fn lack(members: &[usize], messages: &mut [Message]) {
    for &message in members {
        messages[message].gap = Some(DeliveryGap::Broken);
    }
}

/// It is not known then which of its messages a destination has.
fn miscounted() -> Failure {
    let what = "a destination did not say of each message whether it is stored";
    Failure::new(Kind::Io, what).hint("This is a mistake in popfetch: please report it. What is not known to be stored stays on the server.")
}

/// Step 5: what the journal has once everything is in its place.
fn records(stored: Vec<Stored>, messages: &[Message], at: Timestamp) -> Vec<Record> {
    let record = |stored: Stored| {
        let intent = messages[stored.message].intent(stored.to, stored.place);
        if stored.is_durable {
            return Record::Stored { intent, at };
        }
        let Intent {
            uid,
            to,
            digest,
            owed,
            ..
        } = intent;
        Record::Seen {
            uid,
            to: Some(to),
            digest: Some(digest),
            owed,
            at,
        }
    };
    stored.into_iter().map(record).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::deliver::{Complete, MessageWriter};
    use crate::journal::{Destinations, Found};
    use crate::mail::{Mailbox, Number};
    use crate::message::Hasher;
    use crate::plan::Purpose;

    /// How many are named of this number of messages.
    type Count = fn(usize) -> usize;

    /// A destination that does not keep its word: how many places it names, and how many results.
    struct Forgetful {
        messages: usize,
        places: Count,
        results: Count,
    }

    impl Destination for Forgetful {
        fn is_durable(&self) -> bool {
            true
        }
        fn begin(&mut self) -> Result<Box<dyn MessageWriter + '_>, DeliveryError> {
            Ok(Box::new(self))
        }
        fn prepare(&mut self) -> Result<Box<dyn PreparedBatch + '_>> {
            Ok(Box::new(Promised {
                places: vec![Place::Untracked; (self.places)(self.messages)],
                results: (self.results)(self.messages),
            }))
        }
        fn discard(&mut self) {}
    }

    impl MessageWriter for &mut Forgetful {
        fn write(&mut self, _: &[u8]) -> Result<(), DeliveryError> {
            Ok(())
        }
        fn finish(self: Box<Self>, _: &Complete<'_>) -> Result<(), DeliveryError> {
            self.messages += 1;
            Ok(())
        }
    }

    struct Promised {
        places: Vec<Place>,
        results: usize,
    }

    impl PreparedBatch for Promised {
        fn places(&self) -> &[Place] {
            &self.places
        }
        fn commit(self: Box<Self>) -> Vec<Result<Place, DeliveryError>> {
            (0..self.results).map(|_| Ok(Place::Untracked)).collect()
        }
    }

    fn message(number: Number) -> Message {
        let key = UniqueId::new(&[b'a' + number as u8]);
        let incoming = Incoming {
            number,
            key: Some(key.clone()),
            certain: true,
            listed: Some(10),
            due: true,
            purpose: Purpose::Store,
        };
        let mut message = Message::new(incoming, key, Hasher::default().hashes(), 10);
        message.owed = vec![0];
        message
    }

    /// How many of three messages count as stored by such a destination, and whether it is still used.
    fn stored(directory: &Path, places: Count, results: Count) -> (usize, bool) {
        let mailbox = Mailbox::new("alice", "pop.example.com", 110);
        let mut journal = Journal::open(directory, &mailbox).expect("a journal");
        let destination = Forgetful {
            messages: 0,
            places,
            results,
        };
        let mut slots = [Slot::new(0, Box::new(destination))];
        let mut batch = Batch::default();
        for number in 0..3 {
            let text = Hasher::default();
            let complete = Complete {
                digest: text.hashes().digest,
                length: 0,
                sender: None,
                uid: None,
            };
            let writer = slots[0].destination.begin().expect("begun");
            writer.finish(&complete).expect("finished");
            batch.add(message(number), 0, &mut slots, &[0]);
        }
        batch
            .commit(&mut slots, &mut journal, Timestamp::UNIX_EPOCH)
            .expect("a journal");
        journal.sync().expect("a journal");
        let to = Destinations {
            here: vec![0],
            elsewhere: Vec::new(),
        };
        let proven = batch.messages.iter().filter(|message| {
            let proof = journal.prove(1, &message.key, &to, &Found::default());
            assert_eq!(proof.is_some(), message.gap.is_none() && message.placed);
            proof.is_some()
        });
        (proven.count(), slots[0].works())
    }

    #[test]
    fn only_what_a_destination_says_that_it_stored_counts_as_stored() {
        let (all, fewer): (Count, Count) = (|all| all, |all| all - 1);
        let (more, none): (Count, Count) = (|all| all + 1, |_| 0);
        for (places, results, expected) in [
            (all, all, (3, true)),
            (all, fewer, (0, false)),
            (all, more, (0, false)),
            (all, none, (0, false)),
            (fewer, all, (0, false)),
            (more, all, (0, false)),
            (none, all, (0, false)),
        ] {
            let directory = tempfile::tempdir().expect("tempdir");
            assert_eq!(stored(directory.path(), places, results), expected);
        }
    }
}
