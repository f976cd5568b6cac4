//! The wire side of a transfer: asks for messages and hands what comes to the store thread.

use std::collections::HashMap;
use std::sync::mpsc;

use super::Job;
use super::batch::Slot;
use super::parcel::{Incoming, Item, Parcel};
use super::queue::Queue;
use super::recognition::Recognition;
use super::store::{Halt, Kept, Store};
use super::survey::{Again, Survey, Surveyed};
use crate::client::{Broken, Transaction, Wanted, Watcher};
use crate::error::Failure;
use crate::journal::{Fact, Journal};
use crate::mail::UniqueId;
use crate::monitor::Event;
use crate::plan::{Action, Purpose};
use crate::report::{FailedMessage, Report};

/// How many bytes may wait for the disk.
const QUEUE: usize = 1024 * 1024;

/// What a transfer brought.
pub(super) struct Transferred {
    /// What came of the messages in the store.
    pub(super) kept: Kept,
    /// How many messages the server sent, each counted once.
    pub(super) sent: u64,
    /// How it ended early.
    pub(super) cut: Option<Cut>,
    /// The messages that the server refused to send, by the journal's ids.
    pub(super) refused: Vec<UniqueId>,
    /// The server's sizes turned out to be wrong, or its pipelining to be broken.
    pub(super) learnt: Option<Fact>,
}

/// A transfer that ended early.
pub(super) struct Cut {
    /// Why.
    pub(super) failure: Failure,
    /// Under which id the journal knows the message that was due.
    pub(super) due: Option<UniqueId>,
    /// That message is longer than any may be: it would end the next session as well.
    pub(super) given_up: Option<FailedMessage>,
}

/// How to treat this server's messages.
#[derive(Clone, Copy)]
pub(super) struct Caution<'a> {
    /// A message that has another size than LIST said is in doubt.
    pub(super) trusts_sizes: bool,
    /// Messages that have ended a connection before wait for another session.
    pub(super) postpones: bool,
    /// What the run has stored already, where it stores everything.
    pub(super) again: &'a Again,
    /// The message that ended the session before this one and would end this one too: it has failed.
    pub(super) given_up: Option<&'a FailedMessage>,
}

/// Retrieves what the plan says and stores it.
pub(super) fn transfer(
    job: &Job<'_>,
    transaction: &mut Transaction,
    survey: &Survey,
    caution: Caution<'_>,
    slots: &mut [Slot],
    journal: &mut Journal,
    report: &mut Report,
) -> Transferred {
    let (given_up, order): (Vec<_>, Vec<_>) = survey
        .plan
        .retrievals()
        .into_iter()
        .filter(|&index| !(caution.postpones && survey.plan.steps[index].is_troublesome()))
        .partition(|&index| caution.gives_up(&survey.message(index)));
    let stores = |index: &usize| {
        let purpose = survey.message(*index).step.purpose();
        matches!(purpose, Some(Purpose::Store | Purpose::StoreIfNew))
    };
    let vanished = match order.iter().any(stores) {
        true => survey.vanished(journal.memory()),
        false => HashMap::new(),
    };
    journal.expect(order.len());
    let (queue, halt) = (Queue::new(QUEUE), Halt::default());
    let (verdicts, verdict) = mpsc::channel();
    let store = Store {
        account: &job.account.name,
        queue: &queue,
        destinations: job.destinations(slots, journal.memory()),
        slots,
        journal,
        environment: job.environment,
        monitor: job.monitor,
        interrupt: job.interrupt,
        report: &mut *report,
        recognition: Recognition {
            vanished,
            again: caution.again,
            most_new: survey.plan.most_new,
        },
        halt: &halt,
        verdicts,
    };
    // What only fills a gap in a destination that failed already is not fetched in vain.
    store.check_destinations();
    let (transferred, failed) = std::thread::scope(|scope| {
        let store = scope.spawn(|| store.run());
        let mut feed = Feed {
            job,
            queue: &queue,
            parcel: Parcel::default(),
            halt: &halt,
            survey,
            order: Vec::new(),
            fills_gaps: false,
            checks_sizes: transaction.is_pipelining() && caution.trusts_sizes,
            withheld: Vec::new(),
            begun: vec![false; survey.plan.steps.len()],
            may_be_shifted: false,
            sent: 0,
            failed: Vec::new(),
        };
        let ended = EndOfMessages(&queue);
        for (index, known) in given_up.into_iter().zip(caution.given_up) {
            feed.fail(index, known.failure.clone());
        }
        let done = feed.fetch_all(transaction, &verdict, order);
        drop(ended);
        let kept = store
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let (learnt, cut) = match done {
            Ok(learnt) => (learnt, None),
            Err(cut) => (None, Some(cut)),
        };
        let refused = feed
            .failed
            .iter()
            .filter_map(|(_, message)| message.uid.clone());
        (
            Transferred {
                kept,
                sent: feed.sent,
                cut,
                refused: refused.collect(),
                learnt,
            },
            feed.failed,
        )
    });
    for (octets, message) in failed {
        report.message_failed(octets, message);
    }
    transferred
}

impl Caution<'_> {
    fn gives_up(&self, message: &Surveyed<'_>) -> bool {
        self.given_up
            .is_some_and(|known| match (&known.uid, message.key) {
                (Some(uid), Some(key)) => uid == key,
                // Where messages have no identity, their numbers mostly stay from session to session.
                (None, None) => known.number == message.listed.number,
                _ => false,
            })
    }
}

/// Tells the store thread that nothing more comes, also where the wire side panicked.
struct EndOfMessages<'a>(&'a Queue<Parcel>);

impl Drop for EndOfMessages<'_> {
    fn drop(&mut self) {
        // A message that was cut off is not whole, whatever came of it. Where nobody receives any
        // more, there is nobody to tell.
        let mut parcel = Parcel::default();
        parcel.add(Item::Abandon);
        parcel.add(Item::Finish);
        let _ = self.0.send(parcel);
    }
}

/// Takes messages from the wire and passes them on.
struct Feed<'a> {
    job: &'a Job<'a>,
    queue: &'a Queue<Parcel>,
    /// What will be sent together.
    parcel: Parcel,
    halt: &'a Halt,
    /// All indices are those of its messages.
    survey: &'a Survey,
    /// What is being fetched.
    order: Vec<usize>,
    /// What is being fetched only fills gaps: of no use once a destination is broken.
    fills_gaps: bool,
    /// A message whose size is not what LIST said is withheld.
    checks_sizes: bool,
    /// Messages that were.
    withheld: Vec<usize>,
    /// Which messages the server began to send: it may count them as retrieved.
    begun: Vec<bool>,
    /// How many these are.
    sent: u64,
    /// The server refused a message. Had nobody asked for that word, each answer behind it would be to the command
    /// before, and messages of one size would have changed places: their size vouches for none of them.
    may_be_shifted: bool,
    /// What the server refused to send, or we to ask for, with the sizes by LIST.
    failed: Vec<(u64, FailedMessage)>,
}

impl Feed<'_> {
    /// Fetches all messages, those that only fill gaps after the others.
    fn fetch_all(
        &mut self,
        transaction: &mut Transaction,
        verdict: &mpsc::Receiver<bool>,
        order: Vec<usize>,
    ) -> Result<Option<Fact>, Cut> {
        let fills =
            |index: &usize| self.survey.message(*index).step.purpose() == Some(Purpose::FillGaps);
        let (filling, storing): (Vec<_>, Vec<_>) = order.into_iter().partition(fills);
        let learnt = self.fetch_each(transaction, verdict, storing)?;
        self.fills_gaps = true;
        Ok(self.fetch_each(transaction, verdict, filling)?.or(learnt))
    }

    /// Fetches these messages. One whose size is not what LIST said may have got mixed up with its
    /// neighbours, where several were in flight: it is fetched once more, alone, and if it is the
    /// same then, this server's sizes are wrong; if it is not, its pipelining is broken.
    fn fetch_each(
        &mut self,
        transaction: &mut Transaction,
        verdict: &mpsc::Receiver<bool>,
        mut left: Vec<usize>,
    ) -> Result<Option<Fact>, Cut> {
        let mut learnt = None;
        loop {
            let asked = self.fetch(transaction, left)?;
            left = self.order.split_off(asked);
            if self.withheld.is_empty() {
                return Ok(learnt);
            }
            let mut withheld = std::mem::take(&mut self.withheld);
            self.checks_sizes = false;
            let failed = self.failed.len();
            if self.fetch(transaction, vec![withheld.remove(0)])? == 0 {
                // Somebody asked us to stop.
                return Ok(learnt);
            }
            learnt = match self.failed.len() > failed {
                true => learnt,
                false if verdict.recv().unwrap_or(false) => Some(Fact::SizesWrong),
                false => Some(Fact::PipeliningBroken),
            };
            if learnt != Some(Fact::SizesWrong) {
                transaction.stop_pipelining();
            }
            left.splice(..0, withheld);
        }
    }

    /// Fetches these messages, until no more are wanted; returns how many were asked for.
    fn fetch(&mut self, transaction: &mut Transaction, order: Vec<usize>) -> Result<usize, Cut> {
        self.order = order;
        let retrieved = transaction.retrieve(self);
        self.send();
        retrieved.map_err(|broken| self.cut(broken))
    }

    fn cut(&self, broken: Broken) -> Cut {
        let Broken {
            failure,
            due,
            overlong,
        } = broken;
        let due = self.order.get(due).map(|&index| self.survey.message(index));
        let given_up = due.as_ref().filter(|_| overlong);
        Cut {
            given_up: given_up.map(|message| FailedMessage {
                number: message.listed.number,
                uid: message.key.cloned(),
                failure: failure.clone(),
            }),
            due: due.and_then(|message| message.key.cloned()),
            failure,
        }
    }

    /// The message at this index will not come, for this reason.
    fn fail(&mut self, index: usize, failure: Failure) {
        let Surveyed { listed, key, .. } = self.survey.message(index);
        let (number, uid) = (listed.number, key.cloned());
        self.job.event(&Event::MessageFailed {
            number,
            uid: uid.as_ref(),
            failure: &failure,
        });
        let octets = listed.octets.unwrap_or(0);
        self.failed.push((
            octets,
            FailedMessage {
                number,
                uid,
                failure,
            },
        ));
    }

    fn say(&mut self, item: Item) {
        self.parcel.add(item);
    }

    /// Sends what was said to the store thread. Where that is gone, its panic is what counts.
    fn send(&mut self) {
        if self.parcel.is_empty() {
            return;
        }
        let empty = self.queue.spare().unwrap_or_default();
        let parcel = std::mem::replace(&mut self.parcel, empty);
        if self.queue.send(parcel).is_err() {
            self.halt.entirely();
        }
    }
}

impl Watcher for Feed<'_> {
    fn wanted(&self, index: usize) -> Option<Wanted> {
        let listed = self.survey.message(*self.order.get(index)?).listed;
        Some(Wanted {
            number: listed.number,
            octets: listed.octets,
        })
    }

    fn wants_more(&self) -> bool {
        let stopped = self.halt.is_entire()
            || self.fills_gaps && self.halt.is_partial()
            || self.job.interrupt.requested().is_some();
        !stopped && self.withheld.is_empty()
    }

    fn begin(&mut self, index: usize) {
        let index = self.order[index];
        let begun = std::mem::replace(&mut self.begun[index], true);
        self.sent += u64::from(!begun);
        let Surveyed {
            listed,
            key,
            certain,
            step,
        } = self.survey.message(index);
        let Action::Retrieve {
            purpose,
            then_delete,
            ..
        } = step.action
        else {
            return; // Nothing else is asked for.
        };
        self.say(Item::Begin(Incoming {
            number: listed.number,
            key: key.cloned(),
            certain,
            listed: listed.octets.filter(|_| !self.may_be_shifted),
            due: then_delete,
            purpose,
        }));
    }

    fn text(&mut self, text: &mut Vec<u8>) {
        // On the wire, line ends are longer by one.
        let line_ends = memchr::memchr_iter(b'\n', text).count();
        let octets = (text.len() + line_ends) as u64;
        self.parcel.add_text(text);
        text.clear();
        if self.parcel.is_full() {
            self.send();
        }
        self.job.event(&Event::Received { octets });
    }

    fn pause(&mut self) {
        self.send();
    }

    fn end(&mut self, index: usize, octets: u64) {
        let index = self.order[index];
        let listed = self.survey.message(index).listed.octets;
        if self.checks_sizes && listed.is_some_and(|listed| listed != octets) {
            self.withheld.push(index);
            self.say(Item::Withhold);
        } else {
            self.say(Item::End { octets });
        }
    }

    fn refused(&mut self, index: usize, failure: Failure) {
        self.may_be_shifted = true;
        self.fail(self.order[index], failure);
    }
}
