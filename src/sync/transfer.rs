//! Retrieves what the plan says: one thread asks for messages and reads them, another one stores them.

use std::collections::HashMap;
use std::sync::mpsc;

use super::feed::{Feed, Fetched, Retrieval};
use super::headers::ReferenceMessage;
use super::parcel;
use super::recognition::Recognition;
use super::session::Session;
use super::stop::StopFlag;
use super::store::{Store, StoreOutcome};
use super::survey::{Survey, Surveyed, Unlisted};
use crate::mail::{Digest, Identity};
use crate::plan::{Purpose, Reason};

/// How to treat this server's messages.
pub(super) struct RetrievePolicy {
    /// A message that has another size than LIST said is in doubt.
    pub(super) trusts_sizes: bool,
    /// What probes ask for where unique-ids do not serve.
    pub(super) reference: Option<ReferenceMessage>,
    /// Messages that have ended a connection before wait for another session.
    pub(super) postpones: bool,
    /// What stored copies are known by, where that was not recorded.
    pub(super) copies: HashMap<Digest, Identity>,
}

impl Session<'_, '_> {
    /// Retrieves what the plan says and stores it: what came of that on the wire, and in the store.
    pub(super) fn transfer(
        &mut self,
        survey: &Survey,
        policy: RetrievePolicy,
    ) -> (Fetched, StoreOutcome) {
        let retrievals = self.retrievals(survey, policy.postpones);
        self.run.journal.expect(retrievals.len());
        let stop = StopFlag::default();
        let (parcels, received) = parcel::channel();
        let (verdicts, verdict) = mpsc::channel();
        let recognition = Recognition {
            unlisted: self.unlisted(survey, &retrievals),
            copies: policy.copies,
            most_new: survey.plan.most_new,
        };
        let job = self.run.job;
        let store = Store::new(self.run, recognition, received, &stop, verdicts);
        // What only fills a gap in a destination that failed already is not fetched in vain.
        store.check_destinations();
        let batch = store.batch_messages();
        let checks_sizes = self.transaction.is_pipelining() && policy.trusts_sizes;
        let transaction = &mut self.transaction;
        std::thread::scope(|scope| {
            let store = scope.spawn(|| store.run());
            // Also where this panics, the store thread sees the end of what is sent, and ends.
            let mut feed = Feed::new(job, parcels, &stop, survey, batch);
            feed.reference = policy.reference;
            feed.checks_sizes = checks_sizes;
            let fetched = feed.run(transaction, &verdict, retrievals);
            let outcome = store
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (fetched, outcome)
        })
    }

    /// What to ask for, in that order: what only fills gaps after what is new; then what came incomplete before, what
    /// may have ended an earlier session of the run, and last what did.
    fn retrievals(&self, survey: &Survey, postpones: bool) -> Vec<Retrieval> {
        let is_wanted = |message: &Surveyed<'_>| {
            let waits = postpones && message.step.breaks_connection();
            !waits && !self.run.has_failed(&message.across_sessions())
        };
        let indices = survey.plan.retrievals().into_iter();
        let messages = indices.map(|index| survey.message(index));
        let mut ranked: Vec<_> = messages
            .filter(is_wanted)
            .map(|message| self.rank(message))
            .collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        ranked.into_iter().map(|(_, retrieval)| retrieval).collect()
    }

    fn rank(&self, message: Surveyed<'_>) -> ((u8, bool), Retrieval) {
        let is_isolated = self.run.isolated.contains(&message.across_sessions());
        // Its size is known to be wrong.
        let was_short = message.step.reason == Reason::Short;
        let breaks_connection = message.step.breaks_connection();
        let rank = if breaks_connection {
            3
        } else if is_isolated {
            2
        } else {
            u8::from(was_short)
        };
        let fills_gaps = message.step.purpose() == Some(Purpose::FillGaps);
        let retrieval = Retrieval {
            index: message.index,
            is_alone: breaks_connection || is_isolated || was_short,
            gaps: if fills_gaps {
                self.gaps(&message)
            } else {
                Vec::new()
            },
        };
        ((rank, fills_gaps), retrieval)
    }

    /// The destinations of this run that lack a message which others have.
    fn gaps(&self, message: &Surveyed<'_>) -> Vec<u32> {
        let memory = self.run.memory();
        let remembered = message.key.and_then(|key| memory.recall(key.as_bytes()));
        let here = self.run.destinations.iter().map(|slot| slot.id);
        here.filter(|id| remembered.is_some_and(|known| known.lacks(&[*id])))
            .collect()
    }

    /// What a message that seems to be new may be, under another id.
    fn unlisted(&self, survey: &Survey, retrievals: &[Retrieval]) -> Unlisted {
        let stores = |retrieval: &Retrieval| {
            let purpose = survey.message(retrieval.index).step.purpose();
            matches!(purpose, Some(Purpose::Store | Purpose::StoreIfNew))
        };
        if retrievals.iter().any(stores) {
            survey.unlisted(self.run.memory())
        } else {
            Unlisted::new()
        }
    }
}
