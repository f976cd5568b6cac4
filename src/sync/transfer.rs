//! The wire side of a transfer: asks for messages and hands what comes to the store thread.

use std::collections::HashMap;
use std::sync::mpsc;

use super::Job;
use super::batch::{Slot, numbers};
use super::blame::{Culprit, Cut, Suspects, Who};
use super::feed::Feed;
use super::headers::Witness;
use super::parcel::{Item, Parcel};
use super::queue::Queue;
use super::recognition::Recognition;
use super::store::{StopFlag, Store, StoreOutcome};
use super::survey::{Again, Survey, Surveyed, Vanished};
use crate::client::Transaction;
use crate::journal::{Fact, Journal, Memory};
use crate::mail::{Digest, Identity, UniqueId};
use crate::plan::{Purpose, Reason};

/// How many bytes may wait for the disk.
const QUEUE: usize = 1024 * 1024;

/// What a transfer brought.
pub(super) struct Transferred {
    /// What came of the messages in the store.
    pub(super) kept: StoreOutcome,
    /// How many messages the server sent, each counted once.
    pub(super) sent: u64,
    /// How it ended early.
    pub(super) cut: Option<Cut>,
    /// The messages that the server refused to send, by the journal's ids.
    pub(super) refused: Vec<UniqueId>,
    /// The server's sizes turned out to be wrong, or its pipelining to be broken.
    pub(super) learnt: Option<Fact>,
    /// All that was to be asked for was.
    pub(super) is_complete: bool,
}

/// How to treat this server's messages.
pub(super) struct RetrievePolicy<'a> {
    /// A message that has another size than LIST said is in doubt.
    pub(super) trusts_sizes: bool,
    /// What probes ask for where unique-ids do not serve.
    pub(super) witness: Option<Witness>,
    /// Messages that have ended a connection before wait for another session.
    pub(super) postpones: bool,
    /// What the run has stored already, where it stores everything.
    pub(super) again: &'a Again,
    /// The messages that ended a session of the run and would end this one too: they have failed.
    pub(super) culprits: &'a [Culprit],
    /// The messages that may have.
    pub(super) suspects: &'a Suspects,
    /// What stored copies are known by, where that was not recorded.
    pub(super) copies: HashMap<Digest, Identity>,
}

/// Retrieves what the plan says and stores it.
pub(super) fn transfer(
    job: &Job<'_>,
    transaction: &mut Transaction,
    survey: &Survey,
    caution: RetrievePolicy<'_>,
    slots: &mut [Slot],
    journal: &mut Journal,
) -> Transferred {
    let order = caution.order(survey);
    let vanished = match order.iter().any(|index| stores(survey, *index)) {
        true => survey.vanished(journal.memory()),
        false => Vanished::new(),
    };
    let gaps = gaps(survey, &order, slots, journal.memory());
    journal.expect(order.len());
    let (queue, halt) = (Queue::new(QUEUE), StopFlag::default());
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
        recognition: Recognition {
            vanished,
            again: caution.again,
            copies: caution.copies,
            most_new: survey.plan.most_new,
        },
        halt: &halt,
        verdicts,
    };
    // What only fills a gap in a destination that failed already is not fetched in vain.
    store.check_destinations();
    let batch = store.batch_messages();
    let checks_sizes = transaction.is_pipelining() && caution.trusts_sizes;
    std::thread::scope(|scope| {
        let store = scope.spawn(|| store.run());
        let mut feed = Feed::new(
            job,
            &queue,
            &halt,
            survey,
            batch,
            caution.suspects,
            caution.witness,
        );
        feed.checks_sizes = checks_sizes;
        feed.gaps = gaps;
        let ended = EndOfMessages(&queue);
        let done = feed.fetch_all(transaction, &verdict, order);
        drop(ended);
        let kept = store
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let (learnt, cut) = match done {
            Ok(learnt) => (learnt, None),
            Err(cut) => (None, Some(cut)),
        };
        Transferred {
            kept,
            sent: feed.sent,
            cut,
            learnt,
            is_complete: feed.is_complete(),
            refused: feed
                .failed
                .into_iter()
                .filter_map(|message| message.uid)
                .collect(),
        }
    })
}

/// Where each message is missing that is only fetched to fill gaps.
fn gaps(
    survey: &Survey,
    order: &[usize],
    slots: &[Slot],
    memory: &Memory,
) -> HashMap<usize, Vec<u32>> {
    let missing = |index: &usize| {
        let message = survey.message(*index);
        let remembered = memory.recall(message.key?.as_bytes())?;
        let fills_gaps = message.step.purpose() == Some(Purpose::FillGaps);
        let lacks = |id: &u32| remembered.lacks(&[*id]);
        let gaps = numbers(slots).into_iter().filter(lacks);
        fills_gaps.then(|| (*index, gaps.collect()))
    };
    order.iter().filter_map(missing).collect()
}

fn stores(survey: &Survey, index: usize) -> bool {
    let purpose = survey.message(index).step.purpose();
    matches!(purpose, Some(Purpose::Store | Purpose::StoreIfNew))
}

impl RetrievePolicy<'_> {
    /// What to ask for, in that order: what only fills gaps after what is new; then what came incomplete before, what
    /// may be to blame for the end of an earlier session of the run, and last what was to blame.
    fn order(&self, survey: &Survey) -> Vec<usize> {
        let is_left = |index: &usize| {
            let message = survey.message(*index);
            let waits = self.postpones && message.step.is_troublesome();
            !waits && !self.has_failed(&message)
        };
        let mut order: Vec<_> = survey.plan.retrievals();
        order.retain(is_left);
        order.sort_by_key(|index| {
            let message = survey.message(*index);
            let fills_gaps = message.step.purpose() == Some(Purpose::FillGaps);
            let was_short = message.step.reason == Reason::Short;
            match message.step.is_troublesome() {
                true => (3, fills_gaps),
                false if self.suspects.contains(&Who::is(&message)) => (2, fills_gaps),
                false if was_short => (1, fills_gaps),
                false => (0, fills_gaps),
            }
        });
        order
    }

    fn has_failed(&self, message: &Surveyed<'_>) -> bool {
        self.culprits.iter().any(|known| known.is(message))
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
