//! Deleting on the server: what is proven to be safe is marked, and gone once QUIT is answered.

use std::collections::HashMap;

use super::account_run::AccountRun;
use super::blame::BreakingMessage;
use super::copies;
use super::retry::{Retry, SessionError, is_disconnect};
use super::session::Session;
use super::store::{CertainlyStored, StoredWhen};
use super::survey::Survey;
use crate::client::BrokenDeletion;
use crate::crash;
use crate::error::{Failure, Result};
use crate::journal::{Proof, Record, Remembered};
use crate::mail::{Number, Retention, UniqueId};
use crate::monitor::{Event, FailedMessage, Problem};
use crate::plan::{Action, Purpose};

/// In which order the deletions of a run are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeletionOrder {
    AsListed,
    Reversed,
}

/// Messages that are marked as deleted.
#[derive(Default)]
pub(super) struct Marked {
    /// With their sizes by LIST.
    messages: Vec<(u64, Proof)>,
    /// The deletion of one of them was asked for in an earlier session, too, and not confirmed.
    asked_before: bool,
    /// One that ended a session when it was to be deleted waits for a session of its own.
    pub(super) postponed: bool,
}

impl Session<'_, '_> {
    /// Marks as deleted what the plan deletes and is proven to be safe.
    pub(super) fn delete(
        &mut self,
        survey: &Survey,
        stored: Vec<CertainlyStored>,
    ) -> Result<Marked, SessionError> {
        let due = self.due(survey, stored);
        let proofs = self.prove(due)?;
        let (proofs, postponed) = self.risky_last(proofs);
        let marked = self.mark(survey, proofs);
        match marked {
            Ok(marked) => Ok(Marked {
                postponed,
                ..marked
            }),
            Err(error) if postponed => Err(error.with_more_to_do()),
            Err(error) => Err(error),
        }
    }

    /// What the plan deletes, of what this session stored and of what an earlier one did, by number and by the
    /// journal's id.
    fn due(&self, survey: &Survey, stored: Vec<CertainlyStored>) -> Vec<(Number, UniqueId)> {
        let stored = stored.into_iter().map(|message| (message.number, message));
        let mut stored: HashMap<_, _> = stored.collect();
        let deletes_at_once = self.run.rules.retention == Retention::Never;
        let due = |index| {
            let message = survey.message(index);
            let number = message.listed.number;
            let key = match message.step.action {
                Action::Delete => message.key?.clone(),
                Action::Retrieve { purpose, .. } => {
                    let stored = stored.remove(&number)?;
                    // What turned out to be another message than the one that is due is not due itself.
                    let is_another =
                        stored.when == StoredWhen::InThisSession && purpose == Purpose::Compare;
                    (!is_another || deletes_at_once).then_some(stored.key)?
                }
                Action::Leave => return None,
            };
            Some((number, key))
        };
        survey.plan.deletions().filter_map(due).collect()
    }

    /// Proofs for these. For what is known by its content alone, the copies have to be found once more, now.
    fn prove(&mut self, due: Vec<(Number, UniqueId)>) -> Result<Vec<Proof>> {
        let run = &mut *self.run;
        let by_content = |run: &AccountRun<'_>, uid: &UniqueId| {
            let message = run.memory().recall(uid.as_bytes())?;
            message.digest().filter(|_| message.is_known_by_content())
        };
        let doubtful = due.iter().filter_map(|(_, uid)| by_content(run, uid));
        let doubtful = doubtful.collect();
        let found = copies::look(run.job, &mut run.destinations, &doubtful)?;
        let numbers = run.numbers();
        let (mut proofs, mut missing) = (Vec::new(), 0);
        for (number, uid) in due {
            match run.journal.prove(number, &uid, &numbers, &found) {
                None if by_content(run, &uid).is_some() => missing += 1,
                proof => proofs.extend(proof),
            }
        }
        run.warn_missing_copies(missing);
        Ok(proofs)
    }

    /// The deletions for this session: those that have ended one wait for a session of their own, one after the
    /// other; and whether one waits.
    fn risky_last(&self, mut proofs: Vec<Proof>) -> (Vec<Proof>, bool) {
        let run = &*self.run;
        let has_failed = |proof: &Proof| {
            let breaking = run.breaking.iter().map(|breaking| &breaking.message);
            let mut failed = breaking.chain(&run.not_deleted);
            failed.any(|message| message.uid.as_ref() == Some(proof.uid()))
        };
        proofs.retain(|proof| !has_failed(proof));
        let (mut risky, safe): (Vec<_>, Vec<_>) = proofs
            .into_iter()
            .partition(|proof| run.remembers(proof.uid(), Remembered::is_undeletable));
        if !safe.is_empty() {
            return (safe, !risky.is_empty());
        }
        let waiting = risky.split_off(risky.len().min(1));
        (risky, !waiting.is_empty())
    }

    /// Marks these as deleted.
    fn mark(&mut self, survey: &Survey, mut proofs: Vec<Proof>) -> Result<Marked, SessionError> {
        let run = &mut *self.run;
        let was_asked = |proof: &Proof| run.remembers(proof.uid(), Remembered::is_asked);
        let asked_before = proofs.iter().any(was_asked);
        let asked = proofs.iter().filter(|proof| !was_asked(proof));
        let asked = asked.map(|proof| Record::Asked {
            uid: proof.uid().clone(),
        });
        let asked: Vec<_> = asked.collect();
        // The last of them may have ended an earlier run's session before QUIT was answered: now another one follows it.
        let first_order = if asked_before {
            DeletionOrder::Reversed
        } else {
            DeletionOrder::AsListed
        };
        if *run.deletion_order.get_or_insert(first_order) == DeletionOrder::Reversed {
            proofs.reverse();
        }
        crash::point("deletion: not asked");
        run.journal.commit(asked)?;
        crash::point("deletion: asked in the journal, not of the server");
        let pipelining = self.transaction.is_pipelining();
        let refused = match self.transaction.delete(&proofs) {
            Ok(refused) => refused,
            Err(broken) => return Err(run.deletion_ended(broken, pipelining, &proofs)),
        };
        let kept = refused.iter().map(|(index, _)| kept(&proofs[*index]));
        run.journal.append(kept.collect())?;
        crash::point("deletion: asked of the server, not confirmed");
        for (index, failure) in refused.into_iter().rev() {
            let message = failed(&proofs.remove(index), failure);
            let problem = Problem::failed(survey.octets(message.number), message);
            run.job.event(&Event::NotDeleted(&problem));
            run.not_deleted.push(problem.message);
        }
        run.job.event(&Event::Deleting {
            messages: proofs.len() as u64,
        });
        let with_size = |proof: Proof| (survey.octets(proof.number()), proof);
        Ok(Marked {
            messages: proofs.into_iter().map(with_size).collect(),
            asked_before,
            postponed: false,
        })
    }

    /// Ends the session; what was marked as deleted then is.
    pub(super) fn quit(self, marked: Marked) -> Result<(), SessionError> {
        let run = self.run;
        if let Err(failure) = self.transaction.quit() {
            return Err(run.quit_failed(&marked, failure));
        }
        crash::point("deletion: confirmed, not recorded");
        let at = run.job.environment.now();
        let record = |(_, proof): &(u64, Proof)| Record::Deleted {
            uid: proof.uid().clone(),
            at,
        };
        run.journal
            .commit(marked.messages.iter().map(record).collect())?;
        crash::point("deletion: recorded");
        for (octets, _) in marked.messages {
            run.job.event(&Event::Deleted { octets });
        }
        Ok(())
    }
}

impl AccountRun<'_> {
    /// What it means that the session ended while messages were marked: nothing is deleted. It may have been for the
    /// one that was due, or the one before: these are asked for last and alone from now on.
    fn deletion_ended(
        &mut self,
        broken: BrokenDeletion,
        pipelining: bool,
        proofs: &[Proof],
    ) -> SessionError {
        let BrokenDeletion { failure, due, sent } = broken;
        let unsent = proofs.get(sent..).unwrap_or_default().iter().map(kept);
        if let Err(failure) = self.journal.append(unsent.collect()) {
            return failure.into();
        }
        if pipelining && sent > 1 {
            // Perhaps it is only that this server takes no DELE ahead: then one by one all goes well.
            return failure.into();
        }
        let asked = proofs.get(..sent).unwrap_or_default();
        let suspected = asked.get(due.saturating_sub(1)..=due).unwrap_or_default();
        let retry = if suspected.is_empty() {
            Retry::No
        } else {
            Retry::Understood
        };
        self.blame_deletions(suspected, false, retry, failure)
    }

    /// What it means that the server did not confirm the deletions: they may have taken place or not. Where the
    /// connection ended, and once more when only one message was marked, it may be for that one.
    fn quit_failed(&mut self, marked: &Marked, failure: Failure) -> SessionError {
        match &marked.messages[..] {
            [(_, only)] if marked.asked_before && is_disconnect(&failure) => {
                let error =
                    self.blame_deletions(std::slice::from_ref(only), true, Retry::No, failure);
                if marked.postponed {
                    error.with_more_to_do()
                } else {
                    error
                }
            }
            _ => failure.into(),
        }
    }

    /// How a session ended while these were marked, or once they were. One of them that ended one before has failed;
    /// where none did, this is how to go on.
    fn blame_deletions(
        &mut self,
        suspected: &[Proof],
        is_certain: bool,
        otherwise: Retry,
        failure: Failure,
    ) -> SessionError {
        if self.is_interrupted() {
            return failure.into();
        }
        let is_flagged = |proof: &Proof| self.remembers(proof.uid(), Remembered::is_undeletable);
        let breaking = suspected
            .iter()
            .find(|proof| is_certain || is_flagged(proof));
        let breaking = breaking.map(|proof| BreakingMessage {
            message: failed(proof, failure.clone()),
            is_overrun: false,
        });
        let undeletable = suspected.iter().filter(|proof| !is_flagged(proof));
        let undeletable = undeletable.map(|proof| Record::Undeletable {
            uid: proof.uid().clone(),
        });
        let undeletable = undeletable.collect();
        if let Err(failure) = self.journal.commit(undeletable) {
            return failure.into();
        }
        SessionError {
            retry: breaking.as_ref().map_or(otherwise, |_| Retry::NothingLeft),
            breaking,
            ..failure.into()
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

fn failed(proof: &Proof, failure: Failure) -> FailedMessage {
    FailedMessage {
        number: proof.number(),
        uid: Some(proof.uid().clone()),
        failure,
    }
}
