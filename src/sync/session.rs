//! One session with the server: connect, list, plan, transfer, delete, quit.

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::Instant;

use super::batch::{Slot, some_works};
use super::deletion::{self, Deletion, Marked};
use super::survey::{Again, Survey, Terms, Wanting};
use super::transfer::{Caution, transfer};
use super::{Job, copies, recovery};
use crate::client::Transaction;
use crate::connecting::Connecting;
use crate::error::{Failure, Kind, Result};
use crate::journal::{Fact, Found, Journal, Memory, Record, Remembered};
use crate::mail::{Retention, UniqueId};
use crate::monitor::{Event, Phase};
use crate::plan::{Action, Reason, Rules, Step};
use crate::report::{FailedMessage, PlanLine, Report};

/// How to treat this server, as far as it was learnt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// Commands may be sent ahead of their answers, if the server says so.
    pub(super) pipelining: bool,
    /// Its LIST is known to be wrong about sizes.
    pub(super) wrong_sizes: bool,
}

impl Manner {
    /// What was learnt in earlier runs.
    pub(super) fn new(memory: &Memory) -> Self {
        Manner {
            pipelining: !memory.fact(Fact::PipeliningBroken),
            wrong_sizes: memory.fact(Fact::SizesWrong),
        }
    }
}

/// A session that failed.
pub(super) struct Ended {
    /// Why.
    pub(super) failure: Failure,
    /// How to try once more, if that may help.
    pub(super) next: Option<Manner>,
    /// What is learnt if that does help.
    pub(super) lesson: Option<Fact>,
    /// The message that ended it and would do so again.
    pub(super) given_up: Option<FailedMessage>,
    /// Whether the maildrop was not even opened.
    pub(super) at_the_door: bool,
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Ended {
            failure,
            next: None,
            lesson: None,
            given_up: None,
            at_the_door: false,
        }
    }
}

/// What a session came to, before QUIT.
enum Outcome {
    /// All that was fetched is stored; these messages are marked as deleted.
    Safe(Vec<Marked>),
    /// The server may drop at QUIT what is not stored.
    NotSafe,
}

/// A session, and what is true of all of it.
pub(super) struct Session<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) connecting: &'a Connecting<'a>,
    /// What decides about single messages; what the limit leaves of them.
    pub(super) rules: Rules,
    pub(super) manner: Manner,
    /// A message that ended a session and would end this one too.
    pub(super) given_up: Option<FailedMessage>,
    /// Messages that have ended a connection wait for a session of their own where others are to be deleted.
    pub(super) postpones: bool,
    /// What the run has stored, where it stores everything.
    again: RefCell<Again>,
    /// What was warned of: once is enough for all sessions of a run.
    told: RefCell<HashSet<String>>,
}

/// What a session tells about further ones; by default, that none is worth while.
#[derive(Default)]
pub(super) struct Brought {
    /// The server drops what was fetched (EXPIRE 0): it may have shown a part of what it has.
    pub(super) expires: bool,
    /// Messages are stored that were not deleted, and none of them was listed.
    pub(super) none_was_known: bool,
    /// The server says that it wants a pause before the next login.
    pub(super) delays_logins: bool,
    /// Messages that may end the connection wait for the next session.
    pub(super) postponed: bool,
}

impl<'a> Session<'a> {
    /// A session of this job, by these rules, treating the server as earlier runs learnt.
    pub(super) fn new(
        job: &'a Job<'a>,
        connecting: &'a Connecting<'a>,
        memory: &Memory,
        rules: Rules,
    ) -> Self {
        Session {
            job,
            connecting,
            rules,
            manner: Manner::new(memory),
            given_up: None,
            postpones: true,
            again: RefCell::default(),
            told: RefCell::default(),
        }
    }

    /// The whole session, with all that it changes.
    pub(super) fn run(
        &self,
        slots: &mut [Slot],
        journal: &mut Journal,
        report: &mut Report,
    ) -> Result<Brought, Ended> {
        // What an earlier run, or the session before, has left half done.
        recovery::settle(slots, journal, self.job.environment.now())?;
        let opened = self.connecting.open(&mut report.timing);
        let mut transaction = opened.map_err(|failure| Ended {
            at_the_door: true,
            ..Ended::from(failure)
        })?;
        self.remember_login(journal)?;
        let conversed = self.converse(&mut transaction, slots, journal, report);
        let (outcome, brought) =
            conversed.map_err(|ended| self.think_of_another(ended, &transaction))?;
        let brought = match outcome {
            Outcome::Safe(marked) => {
                deletion::quit(self.job, transaction, &marked, journal, report)?;
                brought
            }
            Outcome::NotSafe => {
                transaction.close();
                self.job.warn("the server may drop what was fetched (EXPIRE 0), and not all of it could be stored: the session was ended without deleting anything");
                Brought::default()
            }
        };
        let broken = slots.iter().find_map(|slot| slot.failure.clone());
        broken.map_or(Ok(brought), |failure| Err(failure.into()))
    }

    /// How the login worked is where the next run begins.
    fn remember_login(&self, journal: &mut Journal) -> Result<()> {
        let over_tls = self.job.over_tls();
        let worked = self.connecting.worked().map(|worked| worked.to_string());
        match worked.filter(|way| Some(way.as_str()) != journal.memory().login(over_tls)) {
            Some(way) => journal.append(vec![Record::LoggedIn { way, over_tls }]),
            None => Ok(()),
        }
    }

    /// Everything between login and QUIT.
    fn converse(
        &self,
        transaction: &mut Transaction,
        slots: &mut [Slot],
        journal: &mut Journal,
        report: &mut Report,
    ) -> Result<(Outcome, Brought), Ended> {
        let survey = self.survey(transaction, slots, journal.memory(), report)?;
        let brought = Brought {
            expires: transaction.expires_at_once(),
            none_was_known: survey.lists_nothing_of(journal.memory()),
            delays_logins: transaction.delays_logins(),
            postponed: self.postpones && survey.plan.risks_deletions(),
        };
        journal.append(survey.shared_ids(journal.memory()))?;
        self.job.event(&Event::Phase(Phase::Transfer));
        let began = Instant::now();
        let postpones = brought.postponed;
        let done = self.carry_out(transaction, &survey, postpones, slots, journal, report);
        report.timing.add(Phase::Transfer, began.elapsed());
        done.map(|outcome| (outcome, brought))
    }

    /// How to go on after a failure: without the message that is given up; or, where commands sent
    /// ahead of their answers may be what the server cannot take, one by one.
    fn think_of_another(&self, ended: Ended, transaction: &Transaction) -> Ended {
        if ended.given_up.is_some() {
            return Ended {
                next: Some(self.manner),
                ..ended
            };
        }
        let kind = ended.failure.kind();
        let theirs = matches!(
            kind,
            Kind::Unreachable | Kind::Temporary | Kind::Protocol | Kind::Data
        );
        let pipelined = transaction.outstanding() > 1;
        let next = match (pipelined, kind) {
            _ if !theirs => None,
            (true, _) => Some(Manner {
                pipelining: false,
                ..self.manner
            }),
            (false, Kind::Unreachable) => Some(self.manner),
            (false, _) => None,
        };
        // A line may always break; a server that has kept in step for a while can pipeline.
        let lesson =
            (pipelined && !transaction.has_kept_in_step()).then_some(Fact::PipeliningBroken);
        Ended {
            next,
            lesson,
            ..ended
        }
    }

    /// Everything up to the plan; nothing is changed, here or there.
    pub(super) fn rehearse(
        &self,
        slots: &mut [Slot],
        memory: &Memory,
        report: &mut Report,
    ) -> Result<()> {
        let mut transaction = self.connecting.open(&mut report.timing)?;
        let survey = self.survey(&mut transaction, slots, memory, report)?;
        let steps = survey.listing.messages.iter().zip(&survey.plan.steps);
        report.plan = Some(
            steps
                .map(|(listed, step)| PlanLine::new(listed, step))
                .collect(),
        );
        transaction.quit()?;
        if let Some(failure) = slots.iter().find_map(|slot| slot.failure.clone()) {
            return Err(failure);
        }
        // A run looks at its destinations only where it has something to store.
        if survey.plan.retrievals().is_empty() {
            return Ok(());
        }
        slots.iter().try_for_each(|slot| slot.destination.check())
    }

    /// Lists the maildrop and plans what to do with each message.
    fn survey(
        &self,
        transaction: &mut Transaction,
        slots: &mut [Slot],
        memory: &Memory,
        report: &mut Report,
    ) -> Result<Survey> {
        self.job.event(&Event::Phase(Phase::List));
        let began = Instant::now();
        // Where nothing is remembered, everything is new.
        let listing = transaction.list(self.manner.pipelining, memory.is_empty())?;
        let again = self.again.borrow();
        let mut terms = Terms {
            destinations: self.job.destinations(slots, memory),
            found: Found::default(),
            rules: &self.rules,
            again: self.job.all.then_some(&*again),
            now: self.job.environment.now(),
        };
        let mut survey = Survey::new(listing, memory, &terms);
        let missing = survey.missing_copies(memory);
        if !missing.is_empty() {
            terms.found = copies::look(self.job, slots, &missing)?;
            some_works(slots)?;
            survey.update(memory, &terms);
        }
        if self.add_sizes(transaction, &mut survey)? {
            survey.update(memory, &terms);
        }
        report.timing.add(Phase::List, began.elapsed());
        self.announce(&survey, report);
        Ok(survey)
    }

    /// Asks for the sizes that the plan depends on; whether there are any.
    fn add_sizes(&self, transaction: &mut Transaction, survey: &mut Survey) -> Result<bool> {
        if survey.listing.has_sizes() {
            return Ok(false);
        }
        match survey.wanting_sizes() {
            Wanting::These(numbers) if numbers.is_empty() => return Ok(false),
            Wanting::These(numbers) if !self.job.dry_run => {
                transaction.add_sizes_of(&mut survey.listing, &numbers)?;
            }
            // In a dry run a person looks at all of them.
            Wanting::These(_) | Wanting::All => transaction.add_sizes(&mut survey.listing)?,
        }
        Ok(true)
    }

    /// Tells whoever watches what there is and what will be done with it.
    fn announce(&self, survey: &Survey, report: &mut Report) {
        if let Some(disagreement) = survey.listing.disagreement {
            self.warn(&disagreement.to_string());
        }
        self.admit_namelessness(survey);
        // A second session of the run sees the whole maildrop once more.
        report.begin_session();
        self.admit_uncertainty(survey);
        let (mut messages, mut octets) = (0, 0_u64);
        for (listed, step) in survey.listing.messages.iter().zip(&survey.plan.steps) {
            let size = listed.octets.unwrap_or(0);
            report.server.count(size);
            if step.reason.is_limit() {
                report.skipped.count(size);
            }
            if matches!(step.action, Action::Retrieve { .. }) {
                messages += 1;
                octets = octets.saturating_add(size);
            }
        }
        if !survey.listing.has_sizes() {
            report.server.octets = survey.listing.octets.unwrap_or(0);
        }
        self.job.event(&Event::Planned { messages, octets });
    }

    /// Says which messages have to be fetched to be known.
    fn admit_namelessness(&self, survey: &Survey) {
        let messages = &survey.listing.messages;
        let nameless = messages.iter().filter(|listed| listed.uid.is_none());
        let who = match nameless.count() {
            0 => return,
            count if count == messages.len() => "the server gives no unique-ids".to_owned(),
            count => format!(
                "the server gives no unique-id for {count} of {} messages",
                messages.len()
            ),
        };
        self.warn(&format!("{who}: such a message is fetched each time, to be known by its content; none is stored twice, and only what this run stores is deleted"));
    }

    /// Says what the rule would delete, but for its identity.
    fn admit_uncertainty(&self, survey: &Survey) {
        let count =
            |why: fn(&Step) -> bool| survey.plan.steps.iter().filter(|step| why(step)).count();
        let shared = count(|step| matches!(step.reason, Reason::Shared(_)));
        if shared > 0 {
            self.warn(&format!("{shared} stored messages stay on the server: their unique-ids do not say for certain which messages they are"));
        }
        self.admit_missing_copies(count(|step| step.reason.wants_copies()));
        let elsewhere = count(|step| step.reason == Reason::LackingElsewhere);
        if elsewhere > 0 && self.rules.retention != Retention::Always {
            self.warn(&format!("{elsewhere} stored messages stay on the server: a destination of the account that this run leaves out lacks them"));
        }
    }

    /// Says how many messages are due but known by their content alone, with nothing here to prove it by.
    fn admit_missing_copies(&self, count: usize) {
        if count > 0 {
            self.warn(&format!("{count} stored messages that are due stay on the server: it has given them other ids since, or lists them again though they were deleted, and their copies are not found where they were stored; delete them there by other means, or fetch everything once more with --all"));
        }
    }

    /// Warns of what holds for all sessions of the run.
    fn warn(&self, warning: &str) {
        if self.told.borrow_mut().insert(warning.to_owned()) {
            self.job.warn(warning);
        }
    }

    /// Retrieves, stores and marks for deletion.
    fn carry_out(
        &self,
        transaction: &mut Transaction,
        survey: &Survey,
        postpones: bool,
        slots: &mut [Slot],
        journal: &mut Journal,
        report: &mut Report,
    ) -> Result<Outcome, Ended> {
        let mut again = self.again.take();
        let caution = Caution {
            trusts_sizes: !self.manner.wrong_sizes,
            postpones,
            again: &again,
            given_up: self.given_up.as_ref(),
        };
        let came = transfer(
            self.job,
            transaction,
            survey,
            caution,
            slots,
            journal,
            report,
        );
        again.extend(came.kept.again);
        self.again.replace(again);
        let learnt = came.learnt.map(|fact| Record::Fact { fact, holds: true });
        // A message that ends the connection must not keep the others from coming: it is asked for last.
        let innocent = self.job.interrupt.requested().is_some();
        let dropped = came
            .cut
            .as_ref()
            .and_then(|cut| cut.due.clone())
            .filter(|_| !innocent);
        let dropped = dropped.map(|uid| Record::Dropped { uid });
        let was_refused = |uid: &UniqueId| {
            let remembered = journal.memory().recall(uid.as_bytes());
            remembered.is_some_and(Remembered::is_refused)
        };
        let refused = came.refused.into_iter().filter(|uid| !was_refused(uid));
        let refused: Vec<_> = refused.map(|uid| Record::Refused { uid }).collect();
        journal.append(learnt.into_iter().chain(dropped).chain(refused).collect())?;
        journal.sync()?;
        if let Some(failure) = came.kept.failure {
            return Err(failure.into());
        }
        if let Some(cut) = came.cut {
            return Err(Ended {
                given_up: cut.given_up,
                ..cut.failure.into()
            });
        }
        if transaction.expires_at_once() && came.kept.settled < came.sent {
            return Ok(Outcome::NotSafe);
        }
        let deletion = Deletion {
            job: self.job,
            survey,
            retention: self.rules.retention,
        };
        let proven = deletion.prove(came.kept.safe, slots, journal)?;
        self.admit_missing_copies(proven.missing);
        let marked = deletion.mark(transaction, proven.proofs, journal, report)?;
        Ok(Outcome::Safe(marked))
    }
}
