//! One batch on its way through the steps of storing: sync, intend, place, record.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::crash;
use crate::deliver::{DeliveryError, Destination};
use crate::error::{Failure, Kind, Result};
use crate::journal::{Intent, Journal, Record};
use crate::mail::{Digest, Number, Place, UniqueId};
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
        self.destination.discard();
        self.failure = Some(failure);
    }
}

/// Whether there is a destination left.
///
/// # Errors
///
/// There is none; why the first one is broken.
pub(super) fn some_works(slots: &[Slot]) -> Result<()> {
    match slots.iter().any(Slot::works) {
        true => Ok(()),
        false => slots
            .iter()
            .find_map(|slot| slot.failure.clone())
            .map_or(Ok(()), Err),
    }
}

/// The destinations, by the journal's names.
pub(super) fn numbers(slots: &[Slot]) -> Vec<u32> {
    slots.iter().map(|slot| slot.id).collect()
}

/// A message that came in whole.
pub(super) struct Message {
    pub(super) number: Number,
    /// Under which id the journal remembers it.
    pub(super) key: UniqueId,
    pub(super) hashes: Hashes,
    /// On the wire, with CRLF counted as two.
    pub(super) octets: u64,
    /// By LIST.
    pub(super) listed: Option<u64>,
    /// It is to be deleted on the server in this session.
    pub(super) due: bool,
    /// The server gives it a unique-id.
    pub(super) has_uid: bool,
    /// It is stored whatever is remembered.
    pub(super) again: bool,
    /// What came of it before was incomplete, and this.
    pub(super) completes: Option<Digest>,
    /// The destinations that are to have it in the end, by the journal's names.
    pub(super) owed: Vec<u32>,
    /// One of them at least has it now.
    pub(super) placed: bool,
    /// Why one of them lacks it.
    pub(super) lack: Option<DeliveryGap>,
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
    /// The journal cannot be written: nothing more may be stored in this run. What was placed is
    /// settled at the next start.
    pub(super) fn commit(
        &mut self,
        slots: &mut [Slot],
        journal: &mut Journal,
        now: Timestamp,
    ) -> Result<()> {
        crash::point("batch: before sync");
        let placed = prepare(slots, &mut self.messages);
        crash::point("batch: synced, not intended");
        journal
            .commit(intents(&placed, slots, &self.messages))
            .inspect_err(|_| {
                slots.iter_mut().for_each(|slot| slot.destination.discard());
            })?;
        crash::point("batch: intended, not placed");
        let stored = place(placed, slots, &mut self.messages);
        crash::point("batch: placed, not recorded");
        for placed in &stored {
            self.messages[placed.message].placed = true;
        }
        journal.append(records(&stored, slots, &self.messages, now))?;
        crash::point("batch: recorded");
        Ok(())
    }
}

/// A message of the batch, in a destination: both as indices, and the place it has there.
struct Placed {
    slot: usize,
    message: usize,
    place: Place,
}

impl Placed {
    fn intent(&self, slots: &[Slot], messages: &[Message]) -> Intent {
        let message = &messages[self.message];
        Intent {
            uid: message.key.clone(),
            to: slots[self.slot].id,
            digest: message.hashes.digest,
            identity: Some(message.hashes.identity),
            octets: message.octets,
            listed: message.listed,
            place: self.place.clone(),
            owed: message.owed.clone(),
        }
    }
}

/// Step 2: the data is made durable, the places are known.
fn prepare(slots: &mut [Slot], messages: &mut [Message]) -> Vec<Placed> {
    let mut placed = Vec::new();
    for (index, slot) in slots.iter_mut().enumerate() {
        let members = std::mem::take(&mut slot.members);
        if members.is_empty() {
            continue;
        }
        let prepared = slot.destination.prepare().and_then(|places| {
            let complete = places.len() == members.len();
            complete.then_some(places).ok_or_else(miscounted)
        });
        match prepared {
            Ok(places) => {
                let with_place = members.into_iter().zip(places);
                placed.extend(with_place.map(|(message, place)| Placed {
                    slot: index,
                    message,
                    place,
                }));
            }
            Err(failure) => {
                for message in members {
                    messages[message].lack = Some(DeliveryGap::Broken);
                }
                slot.fail(failure);
            }
        }
    }
    placed
}

/// Step 3: what the journal is told before anything is placed.
fn intents(placed: &[Placed], slots: &[Slot], messages: &[Message]) -> Vec<Record> {
    let findable = placed
        .iter()
        .filter(|placed| placed.place != Place::Untracked);
    findable
        .map(|placed| Record::Intend(placed.intent(slots, messages)))
        .collect()
}

/// Step 4: every message gets its place. What stays in the list is stored: its destination has said so.
fn place(mut placed: Vec<Placed>, slots: &mut [Slot], messages: &mut [Message]) -> Vec<Placed> {
    let mut stored = HashSet::new();
    for (index, slot) in slots.iter_mut().enumerate() {
        let members: Vec<_> = placed
            .iter()
            .filter(|placed| placed.slot == index)
            .map(|placed| placed.message)
            .collect();
        if members.is_empty() {
            continue;
        }
        let results = slot.destination.place();
        if results.len() != members.len() {
            slot.failure.get_or_insert_with(miscounted);
            members
                .iter()
                .for_each(|&message| messages[message].lack = Some(DeliveryGap::Broken));
            continue;
        }
        for (message, result) in members.into_iter().zip(results) {
            messages[message].lack = Some(match result {
                Ok(()) => {
                    stored.insert((index, message));
                    continue;
                }
                Err(DeliveryError::Message(failure)) => DeliveryGap::Refused(failure),
                Err(DeliveryError::Destination(failure)) => {
                    slot.failure.get_or_insert(failure);
                    DeliveryGap::Broken
                }
            });
        }
    }
    placed.retain(|placed| stored.contains(&(placed.slot, placed.message)));
    placed
}

/// It is not known then which of its messages a destination has.
fn miscounted() -> Failure {
    let what = "a destination did not say of each message whether it is stored";
    Failure::new(Kind::Io, what).hint("This is a mistake in popfetch: please report it. What is not known to be stored stays on the server.")
}

/// Step 5: what the journal is told once everything is in its place.
fn records(stored: &[Placed], slots: &[Slot], messages: &[Message], at: Timestamp) -> Vec<Record> {
    let record = |placed: &Placed| {
        let intent = placed.intent(slots, messages);
        match slots[placed.slot].destination.is_durable() {
            true => Record::Stored { intent, at },
            false => {
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
            }
        }
    };
    stored.iter().map(record).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::deliver::{Complete, StoredRef};
    use crate::journal::{Destinations, Found, Mailbox};
    use crate::message::Hasher;

    /// How many are named of so many.
    type Count = fn(usize) -> usize;

    /// A destination that does not keep its word: it names so many places and so many results.
    struct Forgetful {
        messages: usize,
        places: Count,
        results: Count,
    }

    impl Destination for Forgetful {
        fn is_durable(&self) -> bool {
            true
        }
        fn begin(&mut self) -> Result<(), DeliveryError> {
            Ok(())
        }
        fn write(&mut self, _: &[u8]) -> Result<(), DeliveryError> {
            Ok(())
        }
        fn end(&mut self, _: &Complete<'_>) -> Result<(), DeliveryError> {
            self.messages += 1;
            Ok(())
        }
        fn abandon(&mut self) {}
        fn prepare(&mut self) -> Result<Vec<Place>> {
            Ok(vec![Place::Untracked; (self.places)(self.messages)])
        }
        fn place(&mut self) -> Vec<Result<(), DeliveryError>> {
            (0..(self.results)(self.messages)).map(|_| Ok(())).collect()
        }
        fn discard(&mut self) {}
        fn settle(&mut self, unsettled: &[StoredRef<'_>], _: bool) -> Result<Vec<bool>> {
            Ok(vec![false; unsettled.len()])
        }
    }

    fn message(number: Number) -> Message {
        Message {
            number,
            key: UniqueId::new(&[b'a' + number as u8]),
            hashes: Hasher::default().hashes(),
            octets: 10,
            listed: Some(10),
            due: true,
            has_uid: true,
            again: false,
            completes: None,
            owed: vec![0],
            placed: false,
            lack: None,
        }
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
            slots[0].destination.end(&complete).expect("taken");
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
            assert_eq!(proof.is_some(), message.lack.is_none() && message.placed);
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
