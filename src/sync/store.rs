//! The store thread: takes messages from the queue, writes them into the destinations, and commits
//! them in batches (see [`super::batch`]).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::batch::{Batch, DeliveryGap, Message, Slot};
use super::delivery::{Delivered, Delivery};
use super::nameless::Nameless;
use super::parcel::{Incoming, Item, Items, Parcel};
use super::queue::Queue;
use super::recognition::{Arrived, Recognised, Recognition};
use crate::cancel::Interrupt;
use crate::deliver::Complete;
use crate::environment::Environment;
use crate::error::{Failure, Kind};
use crate::journal::{Destinations, Journal, Memory, Record, Remembered, is_short};
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
    /// Which destinations work, by the journal's names.
    pub(super) fn update(&self, states: impl Iterator<Item = (u32, bool)>) {
        let (working, broken): (Vec<_>, Vec<_>) = states.partition(|(_, works)| *works);
        if !broken.is_empty() {
            *self.broken() = broken.into_iter().map(|(to, _)| to).collect();
            self.partial.store(true, Ordering::Relaxed);
        }
        if working.is_empty() {
            self.entirely();
        }
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

/// A message that came in whole.
struct Received {
    incoming: Incoming,
    /// Under which id the journal knows it.
    key: UniqueId,
    hasher: Hasher,
    hashes: Hashes,
    /// On the wire, with CRLF counted as two.
    octets: u64,
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

    /// A message that was withheld for its size is here for the second time, fetched alone: was the
    /// first fetch right after all?
    fn compare(&mut self, number: Number, second: Hashes, verdicts: &Sender<bool>) {
        if let Some(first) = self.withheld.remove(&number) {
            let is_same = first.digest == second.digest || first.identity == second.identity;
            // The wire thread waits for this; if it is gone, so is the question.
            let _ = verdicts.send(is_same);
        }
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
        let mut items = Items::of(self.queue);
        loop {
            // A batch closes between two messages, when nothing in it is in doubt.
            let until = progress.closes.filter(|_| !progress.is_doubtful);
            match items.next(until) {
                None => self.commit(&mut progress),
                Some(Item::Begin(incoming)) => self.receive(incoming, &mut items, &mut progress),
                Some(Item::Confirm { pauses }) => {
                    progress.confirm();
                    if pauses || progress.is_overdue() || self.is_full(&progress.batch) {
                        self.commit(&mut progress);
                    }
                }
                Some(Item::Finish) => break,
                // Of a message that is not stored.
                Some(Item::Text { .. } | Item::End { .. } | Item::Withhold | Item::Abandon) => {}
            }
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
            && slots.any(|slot| slot.destination.waits_for_others())
            // The wire thread waits for what comes of such a one.
            && !progress.withheld.contains_key(&incoming.number)
    }

    /// Takes a message in, up to its end.
    fn receive(&mut self, incoming: Incoming, items: &mut Items<'_>, progress: &mut Progress) {
        if progress.is_overdue() && !progress.is_doubtful {
            self.commit(progress);
        }
        if self.is_to_stop_before(&incoming, progress) {
            return;
        }
        let mut hasher = Hasher::default();
        let mut delivery = Delivery::begin(self.slots, self.halt);
        let octets = loop {
            match items.next(None) {
                Some(Item::Text { .. }) => {
                    hasher.update(items.text());
                    delivery.write(items.text());
                }
                Some(Item::End { octets }) => break octets,
                Some(Item::Withhold) => {
                    progress.withheld.insert(incoming.number, hasher.hashes());
                    return;
                }
                _ => return, // The rest of it does not come.
            }
        };
        let hashes = hasher.hashes();
        progress.is_doubtful = true;
        progress.compare(incoming.number, hashes, &self.verdicts);
        let memory = self.journal.memory();
        let key = incoming.key.clone();
        let key = key.unwrap_or_else(|| progress.nameless.id(&hashes, memory));
        let message = Received {
            incoming,
            key,
            hasher,
            hashes,
            octets,
        };
        let here = &self.destinations.here;
        let recognised = self.recognition.of(&message.arrived(), memory, here);
        if let Recognised::New = recognised {
            let owed = owed(&message, &mut delivery, memory, &self.destinations);
            let delivered = delivery.finish(&message.complete());
            return self.keep(message, owed, delivered, progress);
        }
        drop(delivery);
        match recognised {
            Recognised::New => {}
            Recognised::Stored(learnt) => pass_over(message, learnt, progress),
            Recognised::Seen(learnt) => progress.doubtful.learnt.extend(learnt),
            Recognised::BeyondLimit => self.leave(),
            Recognised::ShortAgain => self.withhold(message, progress),
            Recognised::Unproven => doubt(message, progress),
        }
    }

    /// A message that came incomplete once more is not stored once more.
    fn withhold(&mut self, message: Received, progress: &mut Progress) {
        let Received {
            incoming,
            key: uid,
            octets,
            ..
        } = message;
        let failure = incomplete_again(octets, incoming.listed);
        let at = self.environment.now();
        progress.doubtful.withhold(&incoming, octets, failure);
        progress.doubtful.learnt.push(Record::Short { uid, at });
    }

    /// A message that is new is left for the next run, as are all after it.
    fn leave(&mut self) {
        self.halt.entirely();
        self.event(&Event::Warning("the limit is reached, and more messages without a unique-id are new: they are left for the next run"));
    }

    /// Adds a message to the batch.
    fn keep(
        &mut self,
        message: Received,
        owed: Vec<u32>,
        delivered: Delivered,
        progress: &mut Progress,
    ) {
        let Received {
            incoming,
            key,
            hasher,
            hashes,
            octets,
        } = message;
        let remembered = self.journal.memory().recall(key.as_bytes());
        let incomplete = remembered.filter(|remembered| remembered.is_short());
        let message = Message {
            number: incoming.number,
            completes: incomplete.and_then(Remembered::digest),
            key,
            hashes,
            octets,
            listed: incoming.listed,
            due: incoming.due,
            has_uid: incoming.key.is_some(),
            again: incoming.purpose == Purpose::StoreAgain,
            owed,
            placed: false,
            lack: delivered.gap,
        };
        progress
            .closes
            .get_or_insert_with(|| Instant::now() + BATCH_TIME);
        let length = hasher.length();
        progress
            .batch
            .add(message, length, self.slots, &delivered.slots);
    }

    fn is_full(&self, batch: &Batch) -> bool {
        batch.messages.len() >= self.batch_messages() || batch.bytes >= BATCH_BYTES
    }

    fn event(&self, event: &Event<'_>) {
        self.monitor.event(self.account, event);
    }

    fn pass_on_warnings(&mut self) {
        for slot in self.slots.iter_mut() {
            for warning in slot.destination.take_warnings() {
                self.monitor.event(self.account, &Event::Warning(&warning));
            }
        }
    }

    /// How many messages a batch may have: some destinations want fewer.
    pub(super) fn batch_messages(&self) -> usize {
        let limits = self.slots.iter().map(|slot| slot.destination.batch_limit());
        limits.fold(most_messages(self.environment), usize::min)
    }

    /// Says whether all destinations can still take mail, some, or none.
    pub(super) fn check_destinations(&self) {
        let states = self.slots.iter().map(|slot| (slot.id, slot.works()));
        self.halt.update(states);
    }

    /// Closes the batch.
    fn commit(&mut self, progress: &mut Progress) {
        progress.closes = None;
        let mut batch = std::mem::take(&mut progress.batch);
        if batch.messages.is_empty() {
            return;
        }
        let committed = batch.commit(self.slots, self.journal, self.environment.now());
        self.pass_on_warnings();
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

impl Received {
    /// What it is recognised by.
    fn arrived(&self) -> Arrived<'_> {
        Arrived {
            incoming: &self.incoming,
            key: &self.key,
            hashes: self.hashes,
            is_short: is_short(Some(self.octets), self.incoming.listed),
        }
    }

    /// What its destinations are told at its end.
    fn complete(&self) -> Complete<'_> {
        Complete {
            digest: self.hashes.digest,
            length: self.hasher.length(),
            sender: self.hasher.peek().sender(),
            uid: self.incoming.key.as_ref(),
        }
    }
}

/// The destinations that are to have this message in the end, by the journal's names. One that only some lack is
/// delivered to no others, if it is the same. Those that this run leaves out get a new one in a later run.
fn owed(
    message: &Received,
    delivery: &mut Delivery<'_>,
    memory: &Memory,
    destinations: &Destinations,
) -> Vec<u32> {
    let remembered = memory.recall(message.key.as_bytes());
    let same = remembered.filter(|remembered| remembered.is(&message.hashes));
    let fills_gaps = match message.incoming.purpose {
        Purpose::FillGaps => true,
        Purpose::Store | Purpose::StoreIfNew => message.incoming.key.is_none(),
        Purpose::StoreAgain | Purpose::Compare => false,
    };
    if let Some(same) = same.filter(|_| fills_gaps) {
        delivery.keep_to(|to| same.lacks(&[to]));
        return same.owed().to_vec();
    }
    delivery.keep_to(|_| true);
    let Destinations { here, elsewhere } = destinations;
    [here.as_slice(), elsewhere].concat()
}

/// A message that is stored already is not stored again.
fn pass_over(message: Received, learnt: Vec<Record>, progress: &mut Progress) {
    let Incoming {
        number,
        certain,
        due,
        ..
    } = message.incoming;
    let kept = &mut progress.doubtful;
    kept.settled += 1;
    kept.learnt.extend(learnt);
    // Where only its size and order tell it from others, the stored copy may be another's.
    if due && certain {
        kept.safe.push(Safe {
            number,
            key: message.key,
            now: false,
        });
    }
}

/// A message of which nothing says whether it is the stored one is left alone, and named once.
fn doubt(message: Received, progress: &mut Progress) {
    let kept = &mut progress.doubtful;
    kept.withhold(&message.incoming, message.octets, unproven());
    kept.learnt.push(Record::Unproven { uid: message.key });
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
