//! The store thread: takes messages from the queue, writes them into the destinations, and commits
//! them in batches (see [`super::batch`]).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::batch::{Batch, DeliveryGap, Message, Slot};
use super::nameless::Nameless;
use super::parcel::{Incoming, Item, Parcel};
use super::queue::Queue;
use super::recognition::{Arrived, Recognised, Recognition};
use crate::cancel::Interrupt;
use crate::deliver::{Complete, DeliveryError};
use crate::environment::Environment;
use crate::error::{Failure, Kind};
use crate::journal::{Destinations, Journal, Record, Remembered, is_short};
use crate::mail::{Digest, Number, UniqueId};
use crate::message::{Hasher, Hashes};
use crate::monitor::{Event, FailedMessage, Monitor, Problem};
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
    pub(super) safe: Vec<Safe>,
    /// What was learnt about those that were not stored again, to be recorded.
    learnt: Vec<Record>,
    /// How many messages are stored now.
    pub(super) stored: u64,
    /// How many of those that were fetched are stored durably, now or already.
    pub(super) settled: u64,
    /// Those that were stored whatever was remembered, by the journal's ids.
    pub(super) again: Vec<UniqueId>,
    /// Those that came whole after they were stored incomplete, with what the incomplete one was.
    pub(super) completed: Vec<(Number, UniqueId, Digest)>,
    /// Those that came, but not as they should.
    withheld: Vec<Problem>,
    /// Why what was stored could not be recorded.
    pub(super) failure: Option<Failure>,
}

/// How much can no longer be stored in this run.
#[derive(Default)]
pub(super) struct StopFlag {
    /// The destinations that are broken, by the journal's names.
    broken: Mutex<Vec<u32>>,
    partial: AtomicBool,
    entire: AtomicBool,
}

impl StopFlag {
    /// These destinations are broken.
    fn partly(&self, broken: Vec<u32>) {
        *self.broken() = broken;
        self.partial.store(true, Ordering::Relaxed);
    }

    /// Whether none of these destinations takes mail any more.
    pub(super) fn covers(&self, destinations: &[u32]) -> bool {
        let broken = self.broken();
        destinations.iter().all(|to| broken.contains(to))
    }

    fn broken(&self) -> MutexGuard<'_, Vec<u32>> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing can be stored any more.
    pub(super) fn entirely(&self) {
        self.entire.store(true, Ordering::Relaxed);
    }

    /// Whether a destination is broken.
    pub(super) fn is_partial(&self) -> bool {
        self.partial.load(Ordering::Relaxed)
    }

    /// Whether nothing can be stored any more.
    pub(super) fn is_entire(&self) -> bool {
        self.entire.load(Ordering::Relaxed)
    }
}

/// A message that is stored for certain.
pub(super) struct Safe {
    /// Its number in this session.
    pub(super) number: Number,
    /// The id the journal knows it by.
    pub(super) key: UniqueId,
    /// It was stored in this session; else it was the same as the one that was stored earlier.
    pub(super) now: bool,
}

/// What the store thread works with.
pub(super) struct Store<'a> {
    pub(super) account: &'a str,
    pub(super) queue: &'a Queue<Parcel>,
    pub(super) slots: &'a mut [Slot],
    pub(super) destinations: Destinations,
    pub(super) journal: &'a mut Journal,
    pub(super) environment: &'a Environment,
    pub(super) monitor: &'a dyn Monitor,
    pub(super) interrupt: &'a Interrupt,
    pub(super) recognition: Recognition<'a>,
    /// Says how much can no longer be stored.
    pub(super) halt: &'a StopFlag,
    /// Says of each message that was withheld and fetched again whether it was the same.
    pub(super) verdicts: Sender<bool>,
}

/// A message that is coming in.
struct Current {
    incoming: Incoming,
    /// The destinations that have taken it in so far.
    taken_by: Vec<usize>,
    hasher: Hasher,
    lack: Option<DeliveryGap>,
}

/// The batch that is being filled, and all that came of the ones before.
struct Progress {
    batch: Batch,
    closes: Option<Instant>,
    withheld: HashMap<Number, Hashes>,
    nameless: Nameless,
    /// Something came since it was last certain that the answers are in step.
    is_doubtful: bool,
    /// What came of messages since then. It counts once that is certain again.
    doubtful: StoreOutcome,
    kept: StoreOutcome,
}

impl Progress {
    fn is_overdue(&self) -> bool {
        self.closes.is_some_and(|closes| closes <= Instant::now())
    }

    /// What came so far is what was asked for.
    fn confirm(&mut self) {
        self.is_doubtful = false;
        let StoreOutcome {
            safe,
            learnt,
            settled,
            withheld,
            ..
        } = std::mem::take(&mut self.doubtful);
        self.kept.safe.extend(safe);
        self.kept.learnt.extend(learnt);
        self.kept.settled += settled;
        self.kept.withheld.extend(withheld);
    }
}

impl Store<'_> {
    /// Stores what comes through the queue, until it ends.
    pub(super) fn run(mut self) -> StoreOutcome {
        let _gone = self.queue.leave_at_end();
        let mut progress = Progress {
            batch: Batch::default(),
            closes: None,
            withheld: HashMap::new(),
            nameless: Nameless::new(self.journal.memory()),
            is_doubtful: false,
            doubtful: StoreOutcome::default(),
            kept: StoreOutcome::default(),
        };
        let mut current = None;
        loop {
            // A batch closes between two messages, when nothing in it is in doubt.
            let may_close = current.is_none() && !progress.is_doubtful;
            let until = progress.closes.filter(|_| may_close);
            let Some(mut parcel) = self.queue.receive(until) else {
                self.commit(&mut progress);
                continue;
            };
            if self.unpack(&mut parcel, &mut current, &mut progress) {
                break;
            }
            self.queue.give_back(parcel);
        }
        if progress.is_doubtful {
            self.give_up(&mut progress);
        }
        self.commit(&mut progress);
        self.finish(progress.kept)
    }

    /// Nothing of the batch is stored: some of it may be what a sender made up.
    fn give_up(&mut self, progress: &mut Progress) {
        progress.batch = Batch::default();
        self.slots.iter_mut().for_each(Slot::discard);
    }

    /// Takes a parcel's items in; whether they were the last.
    fn unpack(
        &mut self,
        parcel: &mut Parcel,
        current: &mut Option<Current>,
        progress: &mut Progress,
    ) -> bool {
        let mut text = parcel.text.as_slice();
        let mut finished = false;
        for item in parcel.items.drain(..) {
            match item {
                Item::Begin(incoming) => {
                    if progress.is_overdue() && !progress.is_doubtful {
                        self.commit(progress);
                    }
                    let begins = !self.is_to_stop_before(&incoming, progress);
                    *current = begins.then(|| self.begin(incoming));
                }
                Item::Text { bytes } => {
                    let (piece, rest) = text.split_at(bytes);
                    text = rest;
                    if let Some(message) = current {
                        self.write(message, piece);
                    }
                }
                Item::End { octets } => {
                    if let Some(message) = current.take() {
                        self.end(message, octets, progress);
                    }
                }
                Item::Withhold => {
                    if let Some(message) = current.take() {
                        self.withdraw(&message.taken_by);
                        let number = message.incoming.number;
                        let hashes = message.hasher.hashes();
                        progress.withheld.insert(number, hashes);
                    }
                }
                Item::Abandon => {
                    if let Some(message) = current.take() {
                        self.withdraw(&message.taken_by);
                    }
                }
                Item::Confirm { pauses } => {
                    progress.confirm();
                    if pauses || progress.is_overdue() || self.is_full(&progress.batch) {
                        self.commit(progress);
                    }
                }
                Item::Finish => finished = true,
            }
        }
        parcel.text.clear();
        finished
    }

    /// What is stored is recorded durably, or not claimed.
    fn finish(self, mut kept: StoreOutcome) -> StoreOutcome {
        for problem in &kept.withheld {
            self.event(&Event::MessageFailed(problem));
        }
        let appended = self.journal.append(std::mem::take(&mut kept.learnt));
        let recorded = appended.and_then(|()| self.journal.sync());
        if let Err(failure) = recorded {
            kept.safe.clear();
            kept.failure.get_or_insert(failure);
        }
        kept
    }

    /// Whether the run is to stop, and this message would hold that up. It stays on the server for the next.
    fn is_to_stop_before(&self, incoming: &Incoming, progress: &Progress) -> bool {
        let mut slots = self.slots.iter().filter(|slot| slot.works());
        self.interrupt.is_stopping()
            && slots.any(|slot| slot.destination.takes_its_time())
            // The wire thread waits for what comes of such a one.
            && !progress.withheld.contains_key(&incoming.number)
    }

    fn begin(&mut self, incoming: Incoming) -> Current {
        let mut current = Current {
            taken_by: Vec::with_capacity(self.slots.len()),
            incoming,
            hasher: Hasher::default(),
            lack: None,
        };
        for slot in 0..self.slots.len() {
            if self.slots[slot].works() {
                let begun = self.slots[slot].destination.begin();
                self.note(slot, begun, &mut current);
            }
        }
        current
    }

    fn write(&mut self, current: &mut Current, text: &[u8]) {
        current.hasher.update(text);
        for slot in std::mem::take(&mut current.taken_by) {
            let written = self.slots[slot].destination.write(text);
            if written.is_err() {
                self.slots[slot].destination.abandon();
            }
            self.note(slot, written, current);
        }
    }

    fn end(&mut self, current: Current, octets: u64, progress: &mut Progress) {
        let hashes = current.hasher.hashes();
        progress.is_doubtful = true;
        self.compare(current.incoming.number, hashes, progress);
        let memory = self.journal.memory();
        let key = current.incoming.key.clone();
        let key = key.unwrap_or_else(|| progress.nameless.id(&hashes, memory));
        let message = Arrived {
            incoming: &current.incoming,
            key: &key,
            hashes,
            is_short: is_short(Some(octets), current.incoming.listed),
        };
        let here = &self.destinations.here;
        let recognised = self.recognition.of(&message, memory, here);
        match recognised {
            Recognised::Stored(learnt) => self.pass_over(&current, key, learnt, progress),
            Recognised::Seen(learnt) => {
                self.withdraw(&current.taken_by);
                progress.doubtful.learnt.extend(learnt);
            }
            Recognised::BeyondLimit => self.leave(&current),
            Recognised::ShortAgain => self.withhold(&current, key, octets, progress),
            Recognised::Unproven => self.doubt(&current, key, octets, progress),
            Recognised::New => self.keep(current, key, hashes, octets, progress),
        }
    }

    /// A message that came incomplete once more is not stored once more.
    fn withhold(&mut self, current: &Current, key: UniqueId, octets: u64, progress: &mut Progress) {
        self.withdraw(&current.taken_by);
        let at = self.environment.now();
        let failure = incomplete_again(octets, current.incoming.listed);
        progress
            .doubtful
            .withhold(&current.incoming, octets, failure);
        progress
            .doubtful
            .learnt
            .push(Record::Short { uid: key, at });
    }

    /// A message of which nothing says whether it is the stored one is left alone, and named once.
    fn doubt(&mut self, current: &Current, key: UniqueId, octets: u64, progress: &mut Progress) {
        self.withdraw(&current.taken_by);
        progress
            .doubtful
            .withhold(&current.incoming, octets, unproven());
        progress.doubtful.learnt.push(Record::Unproven { uid: key });
    }

    /// A message that is stored already is not stored again.
    fn pass_over(
        &mut self,
        current: &Current,
        key: UniqueId,
        learnt: Vec<Record>,
        progress: &mut Progress,
    ) {
        self.withdraw(&current.taken_by);
        let Incoming {
            number,
            certain,
            due,
            ..
        } = current.incoming;
        let kept = &mut progress.doubtful;
        kept.settled += 1;
        kept.learnt.extend(learnt);
        // Where only its size and order tell it from others, the stored copy may be another's.
        if due && certain {
            kept.safe.push(Safe {
                number,
                key,
                now: false,
            });
        }
    }

    /// A message that is new is left for the next run, as are all behind it.
    fn leave(&mut self, current: &Current) {
        self.withdraw(&current.taken_by);
        self.halt.entirely();
        self.event(&Event::Warning("the limit is reached, and more messages without a unique-id are new: they are left for the next run"));
    }

    /// Adds a message to the batch.
    fn keep(
        &mut self,
        mut current: Current,
        key: UniqueId,
        hashes: Hashes,
        octets: u64,
        progress: &mut Progress,
    ) {
        let remembered = self.journal.memory().recall(key.as_bytes());
        let incomplete = remembered.filter(|remembered| remembered.is_short());
        let completes = incomplete.and_then(Remembered::digest);
        let owed = self.owed(&mut current, &key, &hashes);
        let sender = current.hasher.peek().sender().map(<[u8]>::to_vec);
        let uid = current.incoming.key.clone();
        let complete = Complete {
            digest: hashes.digest,
            length: current.hasher.length(),
            sender: sender.as_deref(),
            uid: uid.as_ref(),
        };
        for slot in std::mem::take(&mut current.taken_by) {
            let ended = self.slots[slot].destination.end(&complete);
            self.note(slot, ended, &mut current);
        }
        let message = Message {
            number: current.incoming.number,
            key,
            hashes,
            octets,
            listed: current.incoming.listed,
            due: current.incoming.due,
            has_uid: current.incoming.key.is_some(),
            again: current.incoming.purpose == Purpose::StoreAgain,
            completes,
            owed,
            placed: false,
            lack: current.lack,
        };
        progress
            .closes
            .get_or_insert_with(|| Instant::now() + BATCH_TIME);
        let length = current.hasher.length();
        progress
            .batch
            .add(message, length, self.slots, &current.taken_by);
    }

    fn is_full(&self, batch: &Batch) -> bool {
        batch.messages.len() >= self.batch_messages() || batch.bytes >= BATCH_BYTES
    }

    /// A message that was withheld for its size is here for the second time, fetched alone: was the
    /// first fetch right after all?
    fn compare(&mut self, number: Number, second: Hashes, progress: &mut Progress) {
        if let Some(first) = progress.withheld.remove(&number) {
            let is_same = first.digest == second.digest || first.identity == second.identity;
            // The wire thread waits for this; if it is gone, so is the question.
            let _ = self.verdicts.send(is_same);
        }
    }

    /// The destinations that are to have this message, by the journal's names. One that only some
    /// lack is withdrawn from the others, if it is the same.
    fn owed(&mut self, current: &mut Current, key: &UniqueId, hashes: &Hashes) -> Vec<u32> {
        let remembered = self.journal.memory().recall(key.as_bytes());
        let same = remembered.filter(|remembered| remembered.is(hashes));
        let fills_gaps = match current.incoming.purpose {
            Purpose::FillGaps => true,
            Purpose::Store | Purpose::StoreIfNew => current.incoming.key.is_none(),
            Purpose::StoreAgain | Purpose::Compare => false,
        };
        let (owed, wanting): (Vec<u32>, Vec<bool>) = match same.filter(|_| fills_gaps) {
            Some(same) => {
                let lacks = |slot: &Slot| same.lacks(&[slot.id]);
                (same.owed().to_vec(), self.slots.iter().map(lacks).collect())
            }
            None => (self.owed_anew(), vec![true; self.slots.len()]),
        };
        let (wanted, unwanted): (Vec<_>, Vec<_>) =
            current.taken_by.iter().partition(|slot| wanting[**slot]);
        current.taken_by = wanted;
        self.withdraw(&unwanted);
        let broken = |slot: usize| wanting[slot] && !self.slots[slot].works();
        if current.lack.is_none() && (0..self.slots.len()).any(broken) {
            current.lack = Some(DeliveryGap::Broken);
        }
        owed
    }

    /// The destinations that are to have a new message. Those that this run leaves out get it in a later one.
    fn owed_anew(&self) -> Vec<u32> {
        let Destinations { here, elsewhere } = &self.destinations;
        [here.as_slice(), elsewhere].concat()
    }

    /// Nothing of a message stays in these destinations.
    fn withdraw(&mut self, taken_by: &[usize]) {
        for &slot in taken_by {
            self.slots[slot].destination.abandon();
        }
    }

    /// Notes whether a destination has taken what it was given.
    fn note(&mut self, slot: usize, result: Result<(), DeliveryError>, current: &mut Current) {
        match result {
            Ok(()) => current.taken_by.push(slot),
            Err(DeliveryError::Message(failure)) => {
                current.lack = Some(DeliveryGap::Refused(failure))
            }
            Err(DeliveryError::Destination(failure)) => {
                current.lack = Some(DeliveryGap::Broken);
                self.slots[slot].failure.get_or_insert(failure);
                self.check_destinations();
            }
        }
    }

    fn event(&self, event: &Event<'_>) {
        self.monitor.event(self.account, event);
    }

    fn pass_on_notices(&mut self) {
        for notice in self
            .slots
            .iter_mut()
            .flat_map(|slot| slot.destination.take_notices())
        {
            self.monitor.event(self.account, &Event::Warning(&notice));
        }
    }

    /// How many messages a batch may have: some destinations want fewer.
    pub(super) fn batch_messages(&self) -> usize {
        let limits = self.slots.iter().map(|slot| slot.destination.batch_limit());
        limits.fold(most_messages(self.environment), usize::min)
    }

    /// Says whether all destinations can still take mail, some, or none.
    pub(super) fn check_destinations(&self) {
        let broken = self.slots.iter().filter(|slot| !slot.works());
        let broken: Vec<_> = broken.map(|slot| slot.id).collect();
        if !broken.is_empty() {
            self.halt.partly(broken);
        }
        if !self.slots.iter().any(Slot::works) {
            self.halt.entirely();
        }
    }

    /// Closes the batch.
    fn commit(&mut self, progress: &mut Progress) {
        progress.closes = None;
        let mut batch = std::mem::take(&mut progress.batch);
        if batch.messages.is_empty() {
            return;
        }
        let committed = batch.commit(self.slots, self.journal, self.environment.now());
        self.pass_on_notices();
        self.check_destinations();
        if committed.is_err() {
            self.halt.entirely();
        }
        for mut message in batch.messages {
            if committed.is_err() {
                message.lack.get_or_insert(DeliveryGap::Broken);
            }
            self.tell(message, &mut progress.kept);
        }
        progress.kept.failure = progress.kept.failure.take().or(committed.err());
    }

    /// Counts and reports what came of a message.
    fn tell(&mut self, message: Message, kept: &mut StoreOutcome) {
        if message.placed {
            self.event(&Event::Placed);
        }
        if message.again && message.placed {
            kept.again.push(message.key.clone());
        }
        let octets = message.octets;
        match message.lack {
            None => self.tell_stored(message, kept),
            Some(DeliveryGap::Broken) => self.event(&Event::NotStored { octets }),
            Some(DeliveryGap::Refused(failure)) => {
                let failed = FailedMessage {
                    number: message.number,
                    uid: Some(message.key).filter(|_| message.has_uid),
                    failure,
                };
                let problem = Problem::failed(octets, failed);
                self.event(&Event::MessageFailed(&problem));
            }
        }
    }

    /// The same of one that is stored.
    fn tell_stored(&mut self, message: Message, kept: &mut StoreOutcome) {
        let Message {
            number,
            key: uid,
            octets,
            listed,
            due,
            has_uid,
            completes,
            ..
        } = message;
        kept.stored += 1;
        self.event(&Event::Stored { uid: &uid, octets });
        if let Some(incomplete) = completes {
            kept.completed.push((number, uid.clone(), incomplete));
        }
        if is_short(Some(octets), listed) {
            let failed = FailedMessage {
                number,
                uid: Some(uid).filter(|_| has_uid),
                failure: incomplete(octets, listed),
            };
            kept.withheld.push(Problem::withheld(octets, failed));
            return;
        }
        let remembered = self.journal.memory().recall(uid.as_bytes());
        let is_durable = remembered.is_some_and(Remembered::is_stored);
        kept.settled += u64::from(is_durable);
        if due {
            kept.safe.push(Safe {
                number,
                key: uid,
                now: true,
            });
        }
    }
}

impl StoreOutcome {
    fn withhold(&mut self, incoming: &Incoming, octets: u64, failure: Failure) {
        let message = FailedMessage {
            number: incoming.number,
            uid: incoming.key.clone(),
            failure,
        };
        self.withheld.push(Problem::withheld(octets, message));
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
fn most_messages(_: &Environment) -> usize {
    BATCH_MESSAGES
}

/// With the test hooks, `POPFETCH_TEST_BATCH` says when a batch closes.
#[cfg(feature = "test-hooks")]
fn most_messages(environment: &Environment) -> usize {
    let wanted = environment.variable("POPFETCH_TEST_BATCH");
    let wanted = wanted.and_then(|text| text.to_str()?.parse().ok());
    wanted.unwrap_or(BATCH_MESSAGES)
}
