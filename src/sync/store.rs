//! The store thread: takes messages from the queue, writes them into the destinations, and commits
//! them in batches (see [`super::batch`]).

use std::collections::HashMap;
use std::sync::mpsc::{RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::account_run::AccountRun;
use super::batch::{Batch, DeliveryGap, Message, Slot};
use super::delivery::{Delivered, Delivery};
use super::parcel::{Incoming, Item, ParcelReceiver};
use super::recognition::{Recognised, Recognition};
use super::stop::StopFlag;
use super::without_uids::GeneratedIds;
use crate::deliver::Complete;
use crate::environment::Environment;
use crate::error::{Failure, Kind};
use crate::journal::{Destinations, Memory, Record, Remembered};
use crate::mail::{Digest, Number, UniqueId};
use crate::message::{Hasher, Hashes};
use crate::monitor::{Event, Problem};
use crate::plan::Purpose;

/// A batch closes when it has so many messages.
const BATCH_MESSAGES: usize = 256;

/// Or when it has so many bytes.
pub(super) const BATCH_BYTES: u64 = 32 * 1024 * 1024;

/// Or when its first message waits so long: on a slow line messages are not held back.
pub(super) const BATCH_TIME: Duration = Duration::from_secs(1);

/// What came of the messages.
#[derive(Default)]
pub(super) struct StoreOutcome {
    /// The messages of this session that are due for deletion, and stored for certain.
    pub(super) certain: Vec<CertainlyStored>,
    /// What was learnt about those that were not stored again, to be recorded.
    learnt: Vec<Record>,
    /// How many of those that were fetched are stored durably, now or already.
    pub(super) settled: u64,
    /// Those that came whole after they were stored incomplete.
    pub(super) completed: Vec<Completed>,
    /// Those that came, but not as they should.
    withheld: Vec<Problem>,
    /// Why what was stored could not be recorded.
    pub(super) failure: Option<Failure>,
}

/// A message that is stored for certain.
pub(super) struct CertainlyStored {
    /// Its number in this session.
    pub(super) number: Number,
    /// The id the journal knows it by.
    pub(super) key: UniqueId,
    pub(super) when: StoredWhen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StoredWhen {
    InThisSession,
    /// It was the same as the one that was stored then.
    Earlier,
}

/// A message that came whole after it was stored incomplete.
pub(super) struct Completed {
    pub(super) number: Number,
    pub(super) uid: UniqueId,
    /// The content of what was stored then.
    pub(super) incomplete: Digest,
}

/// What the store thread works with.
pub(super) struct Store<'s, 'a> {
    run: &'s mut AccountRun<'a>,
    /// The account's destinations, by the journal's numbers.
    numbers: Destinations,
    recognition: Recognition,
    parcels: ParcelReceiver,
    /// Says how much can no longer be stored.
    stop: &'s StopFlag,
    /// Says of each message that was withheld and fetched again whether it was the same.
    verdicts: Sender<bool>,
    ids: GeneratedIds,
    /// What came of the messages that were withheld for their size, when they were fetched first.
    withheld: HashMap<Number, Hashes>,
    /// The batch that is being filled.
    batch: Batch,
    /// When it closes at the latest.
    closes: Option<Instant>,
    /// Something came since it was last certain that the answers are in step; here is what of it is not to be stored.
    /// All of it counts once that is certain again.
    unconfirmed: Option<Vec<(Message, Recognised)>>,
    outcome: StoreOutcome,
}

impl<'s, 'a> Store<'s, 'a> {
    pub(super) fn new(
        run: &'s mut AccountRun<'a>,
        recognition: Recognition,
        parcels: ParcelReceiver,
        stop: &'s StopFlag,
        verdicts: Sender<bool>,
    ) -> Self {
        Store {
            numbers: run.numbers(),
            ids: GeneratedIds::new(run.memory()),
            run,
            recognition,
            parcels,
            stop,
            verdicts,
            withheld: HashMap::new(),
            batch: Batch::default(),
            closes: None,
            unconfirmed: None,
            outcome: StoreOutcome::default(),
        }
    }

    /// Stores what is sent, until nothing more is.
    pub(super) fn run(mut self) -> StoreOutcome {
        loop {
            // A batch closes between two messages, when nothing in it is in doubt.
            let until = self.closes.filter(|_| self.unconfirmed.is_none());
            match self.parcels.next(until) {
                Ok(Item::Begin(incoming)) => self.receive(incoming),
                Ok(Item::Confirm { pauses }) => self.confirm(pauses),
                // Of a message that is not stored.
                Ok(Item::Text { .. } | Item::End { .. } | Item::Withhold) => {}
                Err(RecvTimeoutError::Timeout) => self.commit(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if self.unconfirmed.is_some() {
            // Some of it may be what a sender made up.
            self.batch = Batch::default();
            self.run.destinations.iter_mut().for_each(Slot::discard);
        }
        self.commit();
        self.finish()
    }

    /// What came so far is what was asked for.
    fn confirm(&mut self, pauses: bool) {
        let now = self.run.job.environment.now();
        for (message, recognised) in self.unconfirmed.take().into_iter().flatten() {
            self.outcome.pass_over(message, recognised, now);
        }
        let is_full =
            self.batch.messages.len() >= self.batch_messages() || self.batch.bytes >= BATCH_BYTES;
        if pauses || is_full || self.is_overdue() {
            self.commit();
        }
    }

    fn is_overdue(&self) -> bool {
        self.closes.is_some_and(|closes| closes <= Instant::now())
    }

    /// Whether the run is to stop, and this message would hold that up. It stays on the server for the next.
    fn is_to_stop_before(&self, incoming: &Incoming) -> bool {
        let mut slots = self.run.destinations.iter().filter(|slot| slot.works());
        self.run.is_interrupted()
            && slots.any(|slot| slot.destination.waits_for_others())
            // The wire thread waits for what comes of such a one.
            && !self.withheld.contains_key(&incoming.number)
    }

    /// Takes a message in, up to its end.
    fn receive(&mut self, incoming: Incoming) {
        if self.is_overdue() && self.unconfirmed.is_none() {
            self.commit();
        }
        if self.is_to_stop_before(&incoming) {
            return;
        }
        let mut hasher = Hasher::default();
        let mut delivery = Delivery::begin(&mut self.run.destinations, self.stop);
        let octets = loop {
            match self.parcels.next(None) {
                Ok(Item::Text { .. }) => {
                    hasher.update(self.parcels.text());
                    delivery.write(self.parcels.text());
                }
                Ok(Item::End { octets }) => break octets,
                Ok(Item::Withhold) => {
                    self.withheld.insert(incoming.number, hasher.hashes());
                    return;
                }
                // A message that was cut off is not whole, whatever came of it.
                Ok(Item::Begin(_) | Item::Confirm { .. }) | Err(_) => return,
            }
        };
        let hashes = hasher.hashes();
        // A message that was withheld for its size is here for the second time, fetched alone: was the first fetch right
        // after all?
        if let Some(first) = self.withheld.remove(&incoming.number) {
            let is_same = first.digest == hashes.digest || first.identity == hashes.identity;
            // The wire thread waits for this; if it is gone, so is the question.
            let _ = self.verdicts.send(is_same);
        }
        let memory = self.run.journal.memory();
        let key = incoming.key.clone();
        let key = key.unwrap_or_else(|| self.ids.id(&hashes, memory));
        let is_stored_again = self.run.stored_again.contains(&key);
        let mut message = Message::new(incoming, key, hashes, octets);
        let here = &self.numbers.here;
        let recognised = self.recognition.of(&message, is_stored_again, memory, here);
        let unconfirmed = self.unconfirmed.get_or_insert_default();
        if matches!(recognised, Recognised::BeyondLimit) {
            // All that comes after it is left for the next run as well.
            self.stop.everything();
            self.run.job.warn("the limit is reached, and more messages without a unique-id are new: they are left for the next run");
        }
        if matches!(recognised, Recognised::New) {
            message.owed = owed(&message, &mut delivery, memory, &self.numbers);
            let delivered = delivery.finish(&Complete {
                digest: hashes.digest,
                length: hasher.length(),
                sender: hasher.peek().sender(),
                uid: message.incoming.key.as_ref(),
            });
            self.keep(message, hasher.length(), delivered);
        } else {
            drop(delivery);
            unconfirmed.push((message, recognised));
        }
    }

    /// Adds a message to the batch.
    fn keep(&mut self, mut message: Message, length: u64, delivered: Delivered) {
        let remembered = self.run.memory().recall(message.key.as_bytes());
        let incomplete = remembered.filter(|remembered| remembered.is_short());
        message.completes = incomplete.and_then(Remembered::digest);
        message.gap = delivered.gap;
        self.closes
            .get_or_insert_with(|| Instant::now() + BATCH_TIME);
        let slots = &mut self.run.destinations;
        self.batch.add(message, length, slots, &delivered.slots);
    }

    /// How many messages a batch may have: some destinations want fewer.
    pub(super) fn batch_messages(&self) -> usize {
        let slots = self.run.destinations.iter();
        let limits = slots.map(|slot| slot.destination.batch_limit());
        limits.fold(max_batch_messages(self.run.job.environment), usize::min)
    }

    /// Says whether all destinations can still take mail, some, or none.
    pub(super) fn check_destinations(&self) {
        let slots = self.run.destinations.iter();
        self.stop.update(slots.map(|slot| (slot.id, slot.works())));
    }

    /// Closes the batch.
    fn commit(&mut self) {
        self.closes = None;
        let mut batch = std::mem::take(&mut self.batch);
        if batch.messages.is_empty() {
            return;
        }
        let now = self.run.job.environment.now();
        let run = &mut *self.run;
        let committed = batch.commit(&mut run.destinations, &mut run.journal, now);
        for slot in &mut run.destinations {
            for warning in slot.destination.take_warnings() {
                run.job.warn(&warning);
            }
        }
        self.check_destinations();
        if committed.is_err() {
            self.stop.everything();
        }
        for mut message in batch.messages {
            if committed.is_err() {
                message.gap.get_or_insert(DeliveryGap::Broken);
            }
            self.report_outcome(message);
        }
        self.outcome.failure = self.outcome.failure.take().or(committed.err());
    }

    /// Counts and reports what came of a message.
    fn report_outcome(&mut self, message: Message) {
        let run = &mut *self.run;
        if message.placed {
            run.job.event(&Event::Placed);
        }
        if message.placed && message.incoming.purpose == Purpose::StoreAgain {
            run.stored_again.insert(message.key.clone());
        }
        let octets = message.octets;
        match message.gap {
            None => self.report_stored(message),
            Some(DeliveryGap::Broken) => run.job.event(&Event::NotStored { octets }),
            Some(DeliveryGap::Refused(failure)) => {
                let problem = Problem::failed(octets, message.incoming.failed(failure));
                run.job.event(&Event::MessageFailed(&problem));
            }
        }
    }

    /// The same of one that is stored.
    fn report_stored(&mut self, message: Message) {
        let (run, outcome) = (&mut *self.run, &mut self.outcome);
        let (uid, octets) = (&message.key, message.octets);
        run.stored += 1;
        run.job.event(&Event::Stored { uid, octets });
        if let Some(incomplete) = message.completes {
            outcome.completed.push(Completed {
                number: message.incoming.number,
                uid: uid.clone(),
                incomplete,
            });
        }
        if message.is_short() {
            let failure = incomplete(octets, message.incoming.listed);
            let failed = message.incoming.failed(failure);
            outcome.withheld.push(Problem::withheld(octets, failed));
            return;
        }
        let is_durable = run.remembers(uid, Remembered::is_stored);
        outcome.settled += u64::from(is_durable);
        if message.incoming.due {
            outcome.certain.push(CertainlyStored {
                number: message.incoming.number,
                key: message.key,
                when: StoredWhen::InThisSession,
            });
        }
    }

    /// What is stored is recorded durably, or not claimed.
    fn finish(mut self) -> StoreOutcome {
        for problem in &self.outcome.withheld {
            self.run.job.event(&Event::MessageFailed(problem));
        }
        let journal = &mut self.run.journal;
        let appended = journal.append(std::mem::take(&mut self.outcome.learnt));
        if let Err(failure) = appended.and_then(|()| journal.sync()) {
            self.outcome.certain.clear();
            self.outcome.failure.get_or_insert(failure);
        }
        self.outcome
    }
}

/// The destinations that are to have this message in the end, by the journal's numbers. One that only some lack is
/// delivered to no others, if it is the same. Those that this run leaves out get a new one in a later run.
fn owed(
    message: &Message,
    delivery: &mut Delivery<'_>,
    memory: &Memory,
    destinations: &Destinations,
) -> Vec<u32> {
    let fills_gaps = match message.incoming.purpose {
        Purpose::FillGaps => true,
        Purpose::Store | Purpose::StoreIfNew => message.incoming.key.is_none(),
        Purpose::StoreAgain | Purpose::Compare => false,
    };
    let remembered = memory.recall(message.key.as_bytes());
    if let Some(same) = remembered.filter(|known| fills_gaps && known.is(&message.hashes)) {
        delivery.keep_to(|to| same.lacks(&[to]));
        return same.owed().collect();
    }
    delivery.keep_to(|_| true);
    let Destinations { here, elsewhere } = destinations;
    [here.as_slice(), elsewhere].concat()
}

impl StoreOutcome {
    /// A message is not stored, for what was recognised.
    fn pass_over(&mut self, message: Message, recognised: Recognised, now: Timestamp) {
        let Message {
            incoming,
            key,
            octets,
            ..
        } = message;
        let (failure, learnt) = match recognised {
            Recognised::New | Recognised::BeyondLimit => return,
            Recognised::Seen(learnt) => return self.learnt.extend(learnt),
            Recognised::Stored(learnt) => {
                self.settled += 1;
                self.learnt.extend(learnt);
                // Where only its size and order tell it from others, the stored copy may be another's.
                if incoming.due && incoming.certain {
                    self.certain.push(CertainlyStored {
                        number: incoming.number,
                        key,
                        when: StoredWhen::Earlier,
                    });
                }
                return;
            }
            Recognised::ShortAgain => (
                incomplete_again(octets, incoming.listed),
                Record::Short { uid: key, at: now },
            ),
            // It is left alone, and named once.
            Recognised::Unproven => (unproven(), Record::Unproven { uid: key }),
        };
        let problem = Problem::withheld(octets, incoming.failed(failure));
        self.withheld.push(problem);
        self.learnt.push(learnt);
    }
}

/// What is said of a message of which less than half came.
fn incomplete(octets: u64, listed: Option<u64>) -> Failure {
    let listed = listed.unwrap_or(0);
    let what = format!(
        "only {octets} of {listed} octets came; what came is stored, and the message stays on the server"
    );
    Failure::new(Kind::Data, what)
        .hint("It is fetched again once a day. Look at it on the server, or tell the provider.")
}

/// What is said of a message of which less than half came, and nothing of that is stored.
fn incomplete_again(octets: u64, listed: Option<u64>) -> Failure {
    let listed = listed.unwrap_or(0);
    let what = format!(
        "only {octets} of {listed} octets came when it was fetched again; the message stays on the server"
    );
    Failure::new(Kind::Data, what)
}

/// What is said of a message that may be the stored one or not.
fn unproven() -> Failure {
    let what = "its text is not the one that was stored under its unique-id, and no stored copy is left to compare it with";
    Failure::new(Kind::Data, what)
        .hint("It stays on the server. To store it as it is now, run popfetch sync --all.")
}

#[cfg(not(feature = "test-hooks"))]
fn max_batch_messages(_: &Environment) -> usize {
    BATCH_MESSAGES
}

/// With the test hooks, `POPFETCH_TEST_BATCH` says when a batch closes.
#[cfg(feature = "test-hooks")]
fn max_batch_messages(environment: &Environment) -> usize {
    let wanted = environment.variable("POPFETCH_TEST_BATCH");
    let wanted = wanted.and_then(|text| text.to_str()?.parse().ok());
    wanted.unwrap_or(BATCH_MESSAGES)
}
