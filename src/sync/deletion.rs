//! Deleting on the server: what is proven to be safe is marked, and gone once QUIT is answered.

use std::collections::HashMap;

use super::batch::Slot;
use super::store::Safe;
use super::survey::{Survey, Surveyed};
use super::{Job, copies};
use crate::client::Transaction;
use crate::crash;
use crate::error::Result;
use crate::journal::{Journal, Proof, Record};
use crate::mail::{Number, Retention, UniqueId};
use crate::monitor::Event;
use crate::plan::{Action, Purpose};
use crate::report::{FailedMessage, Report};

/// What is deleted in a session.
pub(super) struct Deletion<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) survey: &'a Survey,
    pub(super) retention: Retention,
}

/// What may be deleted.
pub(super) struct Proven {
    pub(super) proofs: Vec<Proof>,
    /// How many messages are due but known by their content alone, with nothing here to prove it by.
    pub(super) missing: usize,
}

/// A message that is marked as deleted, with its size by LIST.
pub(super) type Marked = (u64, Proof);

impl Deletion<'_> {
    /// Proofs for what the plan deletes: what this session stored, and what an earlier one did. For what
    /// is known by its content alone, the copies have to be found once more, now.
    pub(super) fn prove(
        &self,
        safe: Vec<Safe>,
        slots: &mut [Slot],
        journal: &Journal,
    ) -> Result<Proven> {
        let due = self.due(safe);
        let by_content = |uid: &UniqueId| {
            let message = journal.memory().recall(uid.as_bytes())?;
            message.digest().filter(|_| message.is_known_by_content())
        };
        let doubtful = due.iter().filter_map(|(_, uid)| by_content(uid));
        let found = copies::look(self.job, slots, &doubtful.collect())?;
        let destinations = self.job.destinations(slots, journal.memory());
        let (mut proofs, mut missing) = (Vec::new(), 0);
        for (number, uid) in due {
            match journal.prove(number, &uid, &destinations, &found) {
                None if by_content(&uid).is_some() => missing += 1,
                proof => proofs.extend(proof),
            }
        }
        Ok(Proven { proofs, missing })
    }

    /// What the plan deletes and this session found safe, by number and by the journal's id.
    fn due(&self, safe: Vec<Safe>) -> Vec<(Number, UniqueId)> {
        let mut safe: HashMap<_, _> = safe.into_iter().map(|safe| (safe.number, safe)).collect();
        let due = |index| {
            let Surveyed {
                listed, key, step, ..
            } = self.survey.message(index);
            let key = match step.action {
                Action::Delete => key?.clone(),
                Action::Retrieve { purpose, .. } => {
                    let safe = safe.remove(&listed.number)?;
                    // What turned out to be another message than the one that is due is not due itself.
                    let another = safe.now && purpose == Purpose::Compare;
                    let due = !another || self.retention == Retention::Never;
                    due.then_some(safe.key)?
                }
                Action::Leave => return None,
            };
            Some((listed.number, key))
        };
        self.survey.plan.deletions().filter_map(due).collect()
    }

    /// Marks what is proven to be safe as deleted.
    pub(super) fn mark(
        &self,
        transaction: &mut Transaction,
        mut proofs: Vec<Proof>,
        journal: &mut Journal,
        report: &mut Report,
    ) -> Result<Vec<Marked>> {
        let asked = proofs.iter().map(|proof| Record::Asked {
            uid: proof.uid().clone(),
        });
        crash::point("deletion: not asked");
        journal.commit(asked.collect())?;
        crash::point("deletion: asked in the journal, not of the server");
        let refused = transaction.delete(&proofs)?;
        let kept = refused.iter().map(|(index, _)| {
            let uid = proofs[*index].uid();
            Record::Same {
                uid: uid.clone(),
                stored_as: uid.clone(),
            }
        });
        journal.append(kept.collect())?;
        crash::point("deletion: asked of the server, not confirmed");
        for (index, failure) in refused.into_iter().rev() {
            let proof = proofs.remove(index);
            let (number, uid) = (proof.number(), Some(proof.uid().clone()));
            let message = FailedMessage {
                number,
                uid,
                failure,
            };
            report.message_failed(self.survey.octets(number), message);
        }
        self.job.event(&Event::Deleting {
            messages: proofs.len() as u64,
        });
        let with_size = |proof: Proof| (self.survey.octets(proof.number()), proof);
        Ok(proofs.into_iter().map(with_size).collect())
    }
}

/// Ends the session; what was marked as deleted then is.
pub(super) fn quit(
    job: &Job<'_>,
    transaction: Transaction,
    marked: &[Marked],
    journal: &mut Journal,
    report: &mut Report,
) -> Result<()> {
    transaction.quit()?;
    crash::point("deletion: confirmed, not recorded");
    let at = job.environment.now();
    let record = |(_, proof): &Marked| Record::Deleted {
        uid: proof.uid().clone(),
        at,
    };
    journal.commit(marked.iter().map(record).collect())?;
    crash::point("deletion: recorded");
    marked
        .iter()
        .for_each(|(octets, _)| report.deleted.count(*octets));
    Ok(())
}
