//! Deleting on the server: what is proven to be safe is marked, and gone once QUIT is answered.

use std::cell::Cell;
use std::collections::HashMap;

use super::batch::Slot;
use super::blame::Culprit;
use super::ended::SessionError;
use super::store::Safe;
use super::survey::{Survey, Surveyed};
use super::{Job, copies};
use crate::client::{BrokenDeletion, Transaction};
use crate::crash;
use crate::error::{Failure, Kind, Result};
use crate::journal::{Journal, Proof, Record, Remembered};
use crate::mail::{Number, Retention, UniqueId};
use crate::monitor::{Event, FailedMessage, Problem};
use crate::plan::{Action, Purpose};

/// What is deleted in a session.
pub(super) struct Deletion<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) survey: &'a Survey,
    pub(super) retention: Retention,
    /// Whether the last message is asked for first; none before anything was to be deleted in the run.
    pub(super) reverses: &'a Cell<Option<bool>>,
}

/// What may be deleted.
pub(super) struct Proven {
    pub(super) proofs: Vec<Proof>,
    /// How many messages are due but known by their content alone, with nothing here to prove it by.
    pub(super) missing: usize,
}

/// Messages that are marked as deleted.
pub(super) struct Marked {
    /// With their sizes by LIST.
    messages: Vec<(u64, Proof)>,
    /// Their deletion was asked for in an earlier session, too, and not confirmed.
    again: bool,
    /// What the server refused to delete.
    pub(super) refused: Vec<FailedMessage>,
}

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
    ) -> Result<Marked, SessionError> {
        let was_asked = |proof: &Proof| {
            let remembered = journal.memory().recall(proof.uid().as_bytes());
            remembered.is_some_and(Remembered::is_asked)
        };
        let again = proofs.iter().any(was_asked);
        // The last of them may have ended an earlier run's session before QUIT was answered: now another one follows it.
        let reverses = self.reverses.get().unwrap_or(again);
        self.reverses.set(Some(reverses));
        if reverses {
            proofs.reverse();
        }
        let asked = proofs.iter().filter(|proof| !was_asked(proof));
        let asked = asked.map(|proof| Record::Asked {
            uid: proof.uid().clone(),
        });
        crash::point("deletion: not asked");
        let asked = asked.collect();
        journal.commit(asked)?;
        crash::point("deletion: asked in the journal, not of the server");
        let pipelining = transaction.is_pipelining();
        let refused = transaction.delete(&proofs);
        let refused = refused.map_err(|broken| self.ended(broken, pipelining, &proofs, journal))?;
        let kept = refused.iter().map(|(index, _)| kept(&proofs[*index]));
        journal.append(kept.collect())?;
        crash::point("deletion: asked of the server, not confirmed");
        let mut not_deleted = Vec::new();
        for (index, failure) in refused.into_iter().rev() {
            let proof = proofs.remove(index);
            let (number, uid) = (proof.number(), Some(proof.uid().clone()));
            let message = FailedMessage {
                number,
                uid,
                failure,
            };
            let problem = Problem::failed(self.survey.octets(number), message);
            self.job.event(&Event::NotDeleted(&problem));
            not_deleted.push(problem.message);
        }
        self.job.event(&Event::Deleting {
            messages: proofs.len() as u64,
        });
        let with_size = |proof: Proof| (self.survey.octets(proof.number()), proof);
        let messages = proofs.into_iter().map(with_size).collect();
        Ok(Marked {
            messages,
            again,
            refused: not_deleted,
        })
    }

    /// What it means that the session ended while messages were marked: nothing is deleted. It may have been for the
    /// one that was due, or the one before: these are asked for last and alone from now on.
    fn ended(
        &self,
        broken: BrokenDeletion,
        pipelining: bool,
        proofs: &[Proof],
        journal: &mut Journal,
    ) -> SessionError {
        let BrokenDeletion { failure, due, sent } = broken;
        let unsent = proofs.get(sent..).unwrap_or_default().iter().map(kept);
        if let Err(failure) = journal.append(unsent.collect()) {
            return failure.into();
        }
        if pipelining && sent > 1 {
            // Perhaps it is only that this server takes no DELE ahead: then one by one all goes well.
            return failure.into();
        }
        let asked = proofs.get(..sent).unwrap_or_default();
        let suspected = asked.get(due.saturating_sub(1)..=due).unwrap_or_default();
        let ended = blame(self.job, suspected, false, failure, journal);
        SessionError {
            is_understood: !suspected.is_empty(),
            ..ended
        }
    }
}

/// What the journal must learn of a message that is not deleted: it is there unchanged.
fn kept(proof: &Proof) -> Record {
    Record::Alias {
        uid: proof.uid().clone(),
        stored_as: proof.uid().clone(),
    }
}

/// How a session ended while these were marked, or once they were. One of them that ended one before has failed.
fn blame(
    job: &Job<'_>,
    suspected: &[Proof],
    is_certain: bool,
    failure: Failure,
    journal: &mut Journal,
) -> SessionError {
    if job.interrupt.is_stopping() {
        return failure.into();
    }
    let is_flagged = |proof: &Proof| {
        let remembered = journal.memory().recall(proof.uid().as_bytes());
        remembered.is_some_and(Remembered::is_undeletable)
    };
    let is_known = |proof: &&Proof| is_certain || is_flagged(proof);
    let culprit = suspected.iter().find(is_known).map(|proof| Culprit {
        message: FailedMessage {
            number: proof.number(),
            uid: Some(proof.uid().clone()),
            failure: failure.clone(),
        },
        is_overrun: false,
    });
    let undeletable = suspected.iter().filter(|proof| !is_flagged(proof));
    let undeletable = undeletable.map(|proof| Record::Undeletable {
        uid: proof.uid().clone(),
    });
    let undeletable = undeletable.collect();
    if let Err(failure) = journal.commit(undeletable) {
        return failure.into();
    }
    SessionError {
        is_understood: culprit.is_some(),
        is_done: culprit.is_some(),
        culprit,
        ..failure.into()
    }
}

/// Ends the session; what was marked as deleted then is.
pub(super) fn quit(
    job: &Job<'_>,
    transaction: Transaction,
    marked: Marked,
    journal: &mut Journal,
) -> Result<(), SessionError> {
    let quitted = transaction.quit();
    if let Err(failure) = quitted {
        return Err(unconfirmed(job, &marked, failure, journal));
    }
    crash::point("deletion: confirmed, not recorded");
    let at = job.environment.now();
    let record = |(_, proof): &(u64, Proof)| Record::Deleted {
        uid: proof.uid().clone(),
        at,
    };
    journal.commit(marked.messages.iter().map(record).collect())?;
    crash::point("deletion: recorded");
    for (octets, _) in marked.messages {
        job.event(&Event::Deleted { octets });
    }
    Ok(())
}

/// What it means that the server did not confirm the deletions: they may have taken place or not. Where the connection ended, and
/// once more when only one message was marked, it may be for that one.
fn unconfirmed(
    job: &Job<'_>,
    marked: &Marked,
    failure: Failure,
    journal: &mut Journal,
) -> SessionError {
    match (failure.kind(), &marked.messages[..]) {
        (Kind::Unreachable, [(_, alone)]) if marked.again => {
            blame(job, std::slice::from_ref(alone), true, failure, journal)
        }
        _ => failure.into(),
    }
}
