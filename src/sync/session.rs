//! One session: a connection, from the greeting to QUIT.

use std::collections::HashSet;

use super::account_run::AccountRun;
use super::deletion::Marked;
use super::further::{MoreMail, SessionSummary};
use super::headers::{self, ReferenceMessage};
use super::retry::{Ahead, Quirk, SessionError};
use super::store::Completed;
use super::survey::Survey;
use super::surveyor::Surveyor;
use super::transfer::RetrievePolicy;
use super::{announce, copies, recovery};
use crate::client::Transaction;
use crate::connecting::Announced;
use crate::error::Result;
use crate::journal::{Fact, Record};
use crate::monitor::{Phase, Problem};

/// One connection of a run, with an open maildrop.
pub(super) struct Session<'r, 'a> {
    pub(super) run: &'r mut AccountRun<'a>,
    pub(super) transaction: Transaction,
}

/// How a session is to end.
enum Ending {
    /// All that was fetched is stored: QUIT deletes what is marked.
    Quit(Marked),
    /// The server may drop at QUIT what is not stored.
    Close,
}

impl AccountRun<'_> {
    /// Holds one session, with all that it changes.
    pub(super) fn hold_session(&mut self) -> Result<SessionSummary, SessionError> {
        // What an earlier run, or the session before, has left half done.
        let now = self.job.environment.now();
        recovery::recover(&mut self.destinations, &mut self.journal, now)?;
        let opened = self.connecting.open();
        let transaction = opened.map_err(SessionError::before_login)?;
        self.record_login()?;
        let session = Session {
            run: &mut *self,
            transaction,
        };
        let summary = session.hold()?;
        match self
            .destinations
            .iter()
            .find_map(|slot| slot.failure.clone())
        {
            Some(failure) => Err(failure.into()),
            None => Ok(summary),
        }
    }

    /// How the login worked, and what the server announced, is where the next run begins.
    fn record_login(&mut self) -> Result<()> {
        let over_tls = self.job.over_tls();
        let now = self.job.environment.now();
        let mut learnt = Vec::new();
        let worked = self.connecting.worked().map(|worked| worked.to_string());
        if let Some(way) = worked
            && self.memory().login(over_tls) != Some(way.as_str())
        {
            learnt.push(Record::LoggedIn { way, over_tls });
        }
        if let Some(Announced {
            connection,
            capabilities,
        }) = self.connecting.announced()
            && self.memory().announced(now) != Some((&connection, &capabilities))
        {
            learnt.push(Record::Announced {
                connection,
                capabilities,
                at: now,
            });
        }
        self.journal.append(learnt)
    }
}

impl Session<'_, '_> {
    fn hold(mut self) -> Result<SessionSummary, SessionError> {
        let (ending, mut summary) = self
            .converse()
            .map_err(|error| error.decide_retry(self.ahead()))?;
        match ending {
            Ending::Quit(marked) => {
                summary.postponed |= marked.postponed;
                self.quit(marked)?;
                Ok(summary)
            }
            Ending::Close => {
                self.transaction.close();
                self.run.job.warn("the server may drop what was fetched (EXPIRE 0), and not all of it could be stored: the session was ended without deleting anything");
                Ok(SessionSummary::default())
            }
        }
    }

    /// How far commands are sent ahead, or were when the session ended.
    fn ahead(&self) -> Ahead {
        if self.transaction.outstanding() <= 1 {
            Ahead::No
        } else if self.transaction.has_kept_in_step() {
            Ahead::Proven
        } else {
            Ahead::Unproven
        }
    }

    /// Everything between login and QUIT.
    fn converse(&mut self) -> Result<(Ending, SessionSummary), SessionError> {
        let survey = self.survey()?;
        let memory = self.run.memory();
        let more_mail = if self.transaction.expires_at_once() {
            Some(MoreMail::Expected)
        } else {
            survey
                .lists_nothing_of(memory)
                .then_some(MoreMail::Suspected)
        };
        let summary = SessionSummary {
            more_mail,
            delays_logins: self.transaction.delays_logins(),
            postponed: self.run.postpones && self.risks_deletions(&survey),
        };
        let mut learnt = survey.shared_ids(memory);
        learnt.extend(survey.learnt_of_sizes(memory));
        self.run.journal.append(learnt)?;
        let mut phases = self.run.job.phases();
        phases.begin(Phase::Transfer);
        let ending = self.carry_out(&survey, summary.postponed)?;
        Ok((ending, summary))
    }

    fn survey(&mut self) -> Result<Survey, SessionError> {
        let run = &mut *self.run;
        let surveyor = Surveyor {
            job: run.job,
            transaction: &mut self.transaction,
            destinations: &mut run.destinations,
            memory: run.journal.memory(),
            rules: &run.rules,
            quirks: run.quirks,
            stored_again: &run.stored_again,
        };
        let survey = surveyor.survey()?;
        for warning in announce::warnings(&survey, &run.rules) {
            run.warn_once(warning);
        }
        let problems = run.known_problems(&survey);
        run.job.event(&announce::planned(&survey, problems));
        Ok(survey)
    }

    /// Whether a message may end the connection, as it did before, while others are to be deleted: then nothing
    /// would be.
    fn risks_deletions(&self, survey: &Survey) -> bool {
        let (risky, others): (Vec<_>, Vec<_>) = survey
            .messages()
            .partition(|message| message.step.breaks_connection());
        let mut risky = risky.iter();
        risky.any(|message| !self.run.has_failed(&message.across_sessions()))
            && others.iter().any(|message| message.step.deletes())
    }

    /// Retrieves, stores and marks for deletion.
    fn carry_out(&mut self, survey: &Survey, postpones: bool) -> Result<Ending, SessionError> {
        let policy = self.retrieve_policy(survey, postpones)?;
        let (fetched, outcome) = self.transfer(survey, policy);
        self.record(survey, &fetched)?;
        self.name_incomplete(&outcome.completed)?;
        if let Some(failure) = outcome.failure {
            return Err(failure.into());
        }
        if let Some(error) = fetched.error {
            return Err(self.after_transfer(error, fetched.is_complete, survey));
        }
        if self.transaction.expires_at_once() && outcome.settled < fetched.sent {
            return Ok(Ending::Close);
        }
        self.delete(survey, outcome.certain).map(Ending::Quit)
    }

    fn retrieve_policy(
        &mut self,
        survey: &Survey,
        postpones: bool,
    ) -> Result<RetrievePolicy, SessionError> {
        let wanted = survey.wanting_identities(self.run.memory());
        let copies = copies::identities(self.run.job, &mut self.run.destinations, &wanted)?;
        Ok(RetrievePolicy {
            trusts_sizes: !self.run.quirks.wrong_sizes,
            reference: self.choose_reference(survey)?,
            postpones,
            copies,
        })
    }

    /// What probes ask for where unique-ids do not serve.
    fn choose_reference(
        &mut self,
        survey: &Survey,
    ) -> Result<Option<ReferenceMessage>, SessionError> {
        if survey.plan.retrievals().is_empty() {
            return Ok(None);
        }
        let probes_by_uid = !self.run.quirks.no_single_uidl && survey.some_uid(0).is_some();
        if !probes_by_uid {
            let reference = ReferenceMessage::choose(&mut self.transaction, survey);
            return Ok(Some(reference.map_err(|broken| broken.failure)?));
        }
        if !self.run.isolated.is_empty() {
            // The probe itself may be what this server cannot answer.
            let checked = headers::check_single_uidl(&mut self.transaction, survey);
            checked.map_err(|broken| SessionError {
                quirk: Some(Quirk::SingleUidl),
                lesson: Some(Fact::NoSingleUidl),
                ..SessionError::understood(broken.failure)
            })?;
        }
        Ok(None)
    }

    /// Where a message came whole that had been stored incomplete, a person has to know which copy is which.
    fn name_incomplete(&self, completed: &[Completed]) -> Result<()> {
        if completed.is_empty() {
            return Ok(());
        }
        let run = &*self.run;
        let wanted: HashSet<_> = completed.iter().map(|message| message.incomplete).collect();
        let copies = copies::stored(run.job, &wanted)?;
        for message in completed {
            let is_here = |to: u32| run.destinations.iter().any(|slot| slot.id == to);
            let places = copies.iter().filter_map(|copy| {
                let is_it = copy.digest == message.incomplete && copy.uid == message.uid;
                let name = run.memory().destination_name(copy.to)?;
                (is_it && is_here(copy.to)).then(|| announce::place(name, &copy.place))
            });
            let places: Vec<_> = places.collect();
            run.job.warn(&announce::completed(message, &places));
        }
        Ok(())
    }
}

impl AccountRun<'_> {
    /// What is due but known by its content alone, with nothing here to prove it by, stays.
    pub(super) fn warn_missing_copies(&mut self, count: usize) {
        if let Some(warning) = announce::missing_copies(count) {
            self.warn_once(warning);
        }
    }

    /// The messages that ended a session of the run, those that the server refused to delete, and those that did not come
    /// as they should in an earlier run and are not fetched again yet.
    fn known_problems(&self, survey: &Survey) -> Vec<Problem> {
        let breaking = self.breaking.iter().map(|breaking| &breaking.message);
        let of_this_run = breaking
            .chain(&self.not_deleted)
            .map(|message| Problem::failed(survey.octets(message.number), message.clone()));
        let mut problems: Vec<_> = of_this_run.collect();
        let left = survey
            .messages()
            .filter(|message| !self.has_failed(&message.across_sessions()));
        problems.extend(left.filter_map(announce::untried));
        problems
    }
}
