//! One session with the server: connect, list, plan, transfer, delete, quit.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;

use super::batch::{Slot, some_works};
use super::blame::{Culprit, Cut, Suspects};
use super::deletion::{self, Deletion, Marked};
use super::ended::{ServerQuirks, SessionError};
use super::survey::{Again, PlanInputs, Survey, Surveyed, Wanting};
use super::transfer::{RetrievePolicy, Transferred, transfer};
use super::{Job, copies, headers, recovery};
use crate::client::Transaction;
use crate::connecting::Connecting;
use crate::error::{Failure, Kind, Result};
use crate::journal::{Fact, Found, Journal, Memory, Proof, Record, Remembered};
use crate::mail::{Place, Retention, UniqueId};
use crate::monitor::{Event, FailedMessage, Phase, Problem, Tally};
use crate::plan::{Action, Reason, Rules, Step};
use crate::report::PlanLine;

/// What a session came to, before QUIT.
enum Outcome {
    /// All that was fetched is stored; these messages are marked as deleted.
    Safe {
        marked: Marked,
        /// One that ended a session when it was to be deleted waits for a session of its own.
        postponed: bool,
    },
    /// The server may drop at QUIT what is not stored.
    NotSafe,
}

/// A session, and what is true of all of it.
pub(super) struct Session<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) connecting: &'a Connecting<'a>,
    /// What decides about single messages; what the limit leaves of them.
    pub(super) rules: Rules,
    pub(super) manner: ServerQuirks,
    /// The messages that ended a session of the run and would end this one too.
    pub(super) culprits: Vec<Culprit>,
    /// The messages that may have.
    pub(super) suspects: Suspects,
    /// Messages that have ended a connection wait for a session of their own where others are to be deleted.
    pub(super) postpones: bool,
    /// Whether deletions are asked for in reverse; none before there were any.
    reverses: Cell<Option<bool>>,
    /// What the server refused to delete in the run.
    refused: RefCell<Vec<FailedMessage>>,
    /// What the run has stored, where it stores everything.
    again: RefCell<Again>,
    /// How many messages the run has stored.
    pub(super) stored: Cell<u64>,
    /// What was warned of: once is enough for all sessions of a run.
    told: RefCell<HashSet<String>>,
}

/// What a session tells about further ones; by default, that none is worth while.
#[derive(Default)]
pub(super) struct SessionSummary {
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
            manner: ServerQuirks::new(memory),
            culprits: Vec::new(),
            suspects: Suspects::default(),
            postpones: true,
            reverses: Cell::default(),
            refused: RefCell::default(),
            again: RefCell::default(),
            stored: Cell::default(),
            told: RefCell::default(),
        }
    }

    /// The whole session, with all that it changes.
    pub(super) fn run(
        &self,
        slots: &mut [Slot],
        journal: &mut Journal,
    ) -> Result<SessionSummary, SessionError> {
        // What an earlier run, or the session before, has left half done.
        recovery::recover(slots, journal, self.job.environment.now())?;
        let opened = self.connecting.open();
        let mut transaction = opened.map_err(|failure| SessionError {
            before_login: true,
            ..SessionError::from(failure)
        })?;
        self.remember_login(journal)?;
        let conversed = self.converse(&mut transaction, slots, journal);
        let (outcome, brought) =
            conversed.map_err(|ended| self.retry_strategy(ended, &transaction))?;
        let brought = match outcome {
            Outcome::Safe { marked, postponed } => {
                let quitted = deletion::quit(self.job, transaction, marked, journal);
                quitted.map_err(|ended| SessionError {
                    next: Some(self.manner).filter(|_| ended.is_understood),
                    is_done: ended.is_done && !postponed,
                    ..ended
                })?;
                SessionSummary {
                    postponed: brought.postponed || postponed,
                    ..brought
                }
            }
            Outcome::NotSafe => {
                transaction.close();
                self.job.warn("the server may drop what was fetched (EXPIRE 0), and not all of it could be stored: the session was ended without deleting anything");
                SessionSummary::default()
            }
        };
        let broken = slots.iter().find_map(|slot| slot.failure.clone());
        broken.map_or(Ok(brought), |failure| Err(failure.into()))
    }

    /// How the login worked is where the next run begins.
    fn remember_login(&self, journal: &mut Journal) -> Result<()> {
        let over_tls = self.job.over_tls();
        let worked = self.connecting.worked().map(|worked| worked.to_string());
        let worked = worked.filter(|way| Some(way.as_str()) != journal.memory().login(over_tls));
        let worked = worked.map(|way| Record::LoggedIn { way, over_tls });
        let now = self.job.environment.now();
        let announced = self.connecting.announced().filter(|announced| {
            let known = journal.memory().announced(now);
            known != Some((&announced.connection, &announced.capabilities))
        });
        let announced = announced.map(|announced| Record::Announced {
            connection: announced.connection,
            capabilities: announced.capabilities,
            at: now,
        });
        journal.append(worked.into_iter().chain(announced).collect())
    }

    /// Everything between login and QUIT.
    fn converse(
        &self,
        transaction: &mut Transaction,
        slots: &mut [Slot],
        journal: &mut Journal,
    ) -> Result<(Outcome, SessionSummary), SessionError> {
        let survey = self.survey(transaction, slots, journal.memory())?;
        let brought = SessionSummary {
            expires: transaction.expires_at_once(),
            none_was_known: survey.lists_nothing_of(journal.memory()),
            delays_logins: transaction.delays_logins(),
            postponed: self.postpones && self.risks_deletions(&survey),
        };
        journal.append(survey.shared_ids(journal.memory()))?;
        journal.append(survey.learnt_of_sizes(journal.memory()))?;
        let mut phases = self.job.phases();
        phases.begin(Phase::Transfer);
        let postpones = brought.postponed;
        let done = self.carry_out(transaction, &survey, postpones, slots, journal);
        done.map(|outcome| (outcome, brought))
    }

    /// Whether a message may end the connection, as it did before, while others are to be deleted: then nothing
    /// would be.
    fn risks_deletions(&self, survey: &Survey) -> bool {
        let (mut troublesome, mut deletes) = (false, false);
        for index in 0..survey.plan.steps.len() {
            let message = survey.message(index);
            match message.step.is_troublesome() {
                true => troublesome |= !self.has_failed(&message),
                false => deletes |= message.step.deletes(),
            }
        }
        troublesome && deletes
    }

    /// Whether a message ended a session of the run already.
    fn has_failed(&self, message: &Surveyed<'_>) -> bool {
        self.culprits.iter().any(|culprit| culprit.is(message))
    }

    /// How to go on after a failure: without the message that is to blame; with those alone that may be; and, where
    /// commands sent ahead of their answers may be what the server cannot take, one by one.
    fn retry_strategy(&self, ended: SessionError, transaction: &Transaction) -> SessionError {
        if ended.is_understood || ended.next.is_some() {
            let next = ended.next.or(Some(self.manner));
            return SessionError { next, ..ended };
        }
        let kind = ended.failure.kind();
        let theirs = matches!(
            kind,
            Kind::Unreachable | Kind::Temporary | Kind::Protocol | Kind::Data
        );
        let pipelined = transaction.outstanding() > 1;
        let next = match (pipelined, kind) {
            _ if !theirs => None,
            (true, _) => Some(ServerQuirks {
                pipelining: false,
                ..self.manner
            }),
            (false, Kind::Unreachable) => Some(self.manner),
            (false, _) => Some(self.manner).filter(|_| !ended.suspects.is_empty()),
        };
        // A line may always break; a server that has kept in step for a while can pipeline.
        let lesson =
            (pipelined && !transaction.has_kept_in_step()).then_some(Fact::PipeliningBroken);
        SessionError {
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
        plan: &mut Option<Vec<PlanLine>>,
    ) -> Result<()> {
        let mut transaction = self.connecting.open()?;
        let survey = self.survey(&mut transaction, slots, memory);
        let survey = survey.map_err(|ended| ended.failure)?;
        let steps = survey.listing.messages.iter().zip(&survey.plan.steps);
        *plan = Some(
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
    ) -> Result<Survey, SessionError> {
        let mut phases = self.job.phases();
        phases.begin(Phase::List);
        // Where nothing is remembered, everything is new.
        let listing = transaction.list(self.manner.pipelining, memory.is_empty())?;
        let again = self.again.borrow();
        let mut terms = PlanInputs {
            destinations: self.job.destinations(slots, memory),
            found: Found::default(),
            rules: &self.rules,
            again: self.job.all.then_some(&*again),
            now: self.job.environment.now(),
        };
        let mut survey = Survey::new(listing, memory, &terms);
        if survey.has_changed(memory) {
            if !survey.listing.has_sizes() {
                transaction.add_sizes(&mut survey.listing)?;
            }
            survey.count_sizes();
            survey.update(memory, &terms);
        }
        let missing = survey.missing_copies(memory);
        if !missing.is_empty() {
            terms.found = copies::look(self.job, slots, &missing)?;
            some_works(slots)?;
            survey.update(memory, &terms);
        }
        if self.add_sizes(transaction, &mut survey)? {
            survey.update(memory, &terms);
        }
        if self.add_headers(transaction, &mut survey, memory)? {
            survey.update(memory, &terms);
        }
        drop(phases);
        self.announce(&survey);
        Ok(survey)
    }

    /// Asks for the headers of what is to be deleted unfetched; whether there are any.
    fn add_headers(
        &self,
        transaction: &mut Transaction,
        survey: &mut Survey,
        memory: &Memory,
    ) -> Result<bool, SessionError> {
        let wanting = survey.wanting_headers();
        if wanting.is_empty() {
            return Ok(false);
        }
        let offered = transaction.offers_top();
        if offered == Some(false) {
            survey.lack_headers(&wanting);
            return Ok(true);
        }
        let knows = |index: &usize| self.manner.headers && survey.knows_header(*index, memory);
        let (known, unknown): (Vec<_>, Vec<_>) = wanting.into_iter().partition(knows);
        let read = |transaction: &mut Transaction, indices: &[usize]| match indices.is_empty() {
            true => Ok(Vec::new()),
            false => headers::read(transaction, survey, indices, self.manner.single_uids),
        };
        // Where the server does not say that it has TOP, one header shows it.
        let trial = known.len().min(usize::from(offered.is_none()));
        let found = read(transaction, &known[..trial]).and_then(|mut found| {
            if !found.contains(&None) {
                found.extend(read(transaction, &known[trial..])?);
            }
            Ok(found)
        });
        let found = found.map_err(|broken| {
            // What makes no sense here is not asked for once more.
            let is_nonsense = broken.failure.kind().is_nonsense();
            let next = ServerQuirks {
                headers: false,
                ..self.manner
            };
            SessionError {
                next: Some(next).filter(|_| is_nonsense),
                ..SessionError::from(broken.failure)
            }
        })?;
        if trial > 0 && found.first() == Some(&None) {
            survey.lack_headers(&known);
        } else {
            let found = known.into_iter().zip(found);
            found.for_each(|(index, header)| survey.add_header(index, header, memory));
        }
        let unknown = unknown.into_iter();
        unknown.for_each(|index| survey.add_header(index, None, memory));
        Ok(true)
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
    fn announce(&self, survey: &Survey) {
        if let Some(disagreement) = survey.listing.disagreement {
            self.warn(&disagreement.to_string());
        }
        self.warn_missing_uids(survey);
        self.admit_uncertainty(survey);
        let (mut server, mut retrieve, mut skipped) = <(Tally, Tally, Tally)>::default();
        for (listed, step) in survey.listing.messages.iter().zip(&survey.plan.steps) {
            let size = listed.octets.unwrap_or(0);
            server.count(size);
            if step.reason.is_limit() {
                skipped.count(size);
            }
            if matches!(step.action, Action::Retrieve { .. }) {
                retrieve.count(size);
            }
        }
        if !survey.listing.has_sizes() {
            server.octets = survey.listing.octets.unwrap_or(0);
        }
        self.job.event(&Event::Planned {
            server,
            retrieve,
            skipped,
            problems: self.known_problems(survey),
        });
    }

    /// The messages that ended a session of the run, those that the server did not delete in it, and those that did not
    /// come as they should in an earlier one and are left in peace for now.
    fn known_problems(&self, survey: &Survey) -> Vec<Problem> {
        let refused = self.refused.borrow();
        let culprits = self.culprits.iter().map(|culprit| &culprit.message);
        let of_the_run = culprits
            .chain(&*refused)
            .map(|message| Problem::failed(survey.octets(message.number), message.clone()));
        let messages = (0..survey.plan.steps.len()).map(|index| survey.message(index));
        let left = messages.filter(|message| !self.has_failed(message));
        let of_earlier_runs = left.filter_map(|message| {
            let octets = message.listed.octets.unwrap_or(0);
            match (message.step.action, message.step.reason) {
                (Action::Leave, Reason::Overrun) => {
                    let what = "text comes after its end; it is fetched again a day after it was last";
                    Some(Problem::failed(octets, failed(&message, what)))
                }
                (Action::Leave, Reason::Short) => {
                    let what = "less than half of it came when it was stored; it is fetched again a day after it was last";
                    Some(Problem::withheld(octets, failed(&message, what)))
                }
                _ => None,
            }
        });
        of_the_run.chain(of_earlier_runs).collect()
    }

    /// Says which messages have to be fetched to be known.
    fn warn_missing_uids(&self, survey: &Survey) {
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
    ) -> Result<Outcome, SessionError> {
        let retrieves = !survey.plan.retrievals().is_empty();
        let witness = match self.manner.single_uids && survey.some_uid(0).is_some() {
            true if retrieves && !self.suspects.is_empty() => {
                self.check_single_uids(transaction, survey)?;
                None
            }
            false if retrieves => {
                let witness = headers::Witness::choose(transaction, survey);
                Some(witness.map_err(|broken| broken.failure)?)
            }
            _ => None,
        };
        let wanted = survey.wanting_identities(journal.memory());
        let copies = copies::identities(self.job, slots, &wanted)?;
        let mut again = self.again.take();
        let caution = RetrievePolicy {
            trusts_sizes: !self.manner.wrong_sizes,
            witness,
            postpones,
            again: &again,
            culprits: &self.culprits,
            suspects: &self.suspects,
            copies,
        };
        let mut came = transfer(self.job, transaction, survey, caution, slots, journal);
        self.stored.set(self.stored.get() + came.kept.stored);
        again.extend(std::mem::take(&mut came.kept.again));
        self.again.replace(again);
        self.remember(&came, journal)?;
        self.name_incomplete(&came, slots, journal)?;
        if let Some(failure) = came.kept.failure {
            return Err(failure.into());
        }
        if let Some(cut) = came.cut {
            return Err(self.ended(cut, came.is_complete, survey, journal.memory()));
        }
        if transaction.expires_at_once() && came.kept.settled < came.sent {
            return Ok(Outcome::NotSafe);
        }
        let deletion = Deletion {
            job: self.job,
            survey,
            retention: self.rules.retention,
            reverses: &self.reverses,
        };
        let proven = deletion.prove(came.kept.safe, slots, journal)?;
        self.admit_missing_copies(proven.missing);
        let (proofs, postponed) = self.risky_last(proven.proofs, journal.memory());
        let marked = deletion.mark(transaction, proofs, journal);
        let marked = marked.map_err(|ended| SessionError {
            is_done: ended.is_done && !postponed,
            ..ended
        })?;
        self.refused
            .borrow_mut()
            .extend(marked.refused.iter().cloned());
        Ok(Outcome::Safe { marked, postponed })
    }

    /// The deletions for this session: those that have ended one wait for a session of their own, one after the
    /// other; and whether one waits.
    fn risky_last(&self, mut proofs: Vec<Proof>, memory: &Memory) -> (Vec<Proof>, bool) {
        let has_failed = |proof: &Proof| {
            let uid = Some(proof.uid());
            self.culprits
                .iter()
                .any(|culprit| culprit.message.uid.as_ref() == uid)
        };
        let was_refused = |proof: &Proof| {
            let refused = self.refused.borrow();
            refused
                .iter()
                .any(|message| message.uid.as_ref() == Some(proof.uid()))
        };
        proofs.retain(|proof| !has_failed(proof) && !was_refused(proof));
        let is_risky = |proof: &Proof| {
            let remembered = memory.recall(proof.uid().as_bytes());
            remembered.is_some_and(Remembered::is_undeletable)
        };
        let (mut risky, safe): (Vec<_>, Vec<_>) = proofs.into_iter().partition(is_risky);
        match safe.is_empty() {
            true => {
                let waiting = risky.split_off(risky.len().min(1));
                (risky, !waiting.is_empty())
            }
            false => (safe, !risky.is_empty()),
        }
    }

    /// Records what the transfer says about messages and about the server.
    fn remember(&self, came: &Transferred, journal: &mut Journal) -> Result<()> {
        let memory = journal.memory();
        let recall = |uid: &UniqueId| memory.recall(uid.as_bytes());
        let learnt = came.learnt.map(|fact| Record::Fact { fact, holds: true });
        let cut = came.cut.as_ref();
        // It was ended because we were asked to stop.
        let innocent = self.job.interrupt.is_stopping();
        // A message that ends the connection must not keep the others from coming: it is asked for last.
        let dropped = cut.and_then(|cut| cut.dropped.clone());
        let dropped = dropped
            .filter(|uid| !innocent && !recall(uid).is_some_and(Remembered::is_dropped_again));
        let dropped = dropped.map(|uid| Record::Dropped { uid });
        let overrun = cut.and_then(|cut| cut.culprit.as_ref());
        let overrun = overrun.filter(|culprit| culprit.is_overrun);
        let at = self.job.environment.now();
        let overrun = overrun.and_then(|culprit| culprit.message.uid.clone());
        let overrun = overrun.map(|uid| Record::Overrun { uid, at });
        let refused = came.refused.iter();
        let refused = refused.filter(|uid| !recall(uid).is_some_and(Remembered::is_refused));
        let refused = refused.map(|uid| Record::Refused { uid: uid.clone() });
        let records = learnt.into_iter().chain(dropped).chain(overrun);
        journal.append(records.chain(refused).collect())?;
        journal.sync()
    }

    /// What a transfer that ended early means for the next session. A message that has ended one connection after
    /// the other is to blame.
    fn ended(&self, cut: Cut, is_complete: bool, survey: &Survey, memory: &Memory) -> SessionError {
        let again = |uid: &UniqueId| {
            let remembered = memory.recall(uid.as_bytes());
            remembered.is_some_and(Remembered::is_dropped_again)
        };
        let dropped = cut.dropped.filter(again);
        let dropped = dropped.and_then(|uid| {
            let mut messages = (0..survey.plan.steps.len()).map(|index| survey.message(index));
            let message = messages.find(|message| message.key == Some(&uid))?;
            Some(Culprit {
                message: FailedMessage {
                    number: message.listed.number,
                    uid: Some(uid),
                    failure: cut.failure.clone(),
                },
                is_overrun: false,
            })
        });
        let culprit = cut.culprit.or(dropped);
        let is_left = |index: usize| {
            let message = survey.message(index);
            let is_culprit = culprit.as_ref().is_some_and(|culprit| culprit.is(&message));
            !is_culprit && !self.has_failed(&message)
        };
        // Of the others that came since the last probe nothing is stored.
        let is_alone = cut.suspects.len() <= 1;
        let is_done = is_complete && is_alone && !survey.plan.deletions().any(is_left);
        SessionError {
            is_understood: culprit.is_some(),
            is_done: is_done && culprit.is_some(),
            culprit,
            suspects: cut.suspects,
            ..SessionError::from(cut.failure)
        }
    }

    /// Where a message came whole that had been stored incomplete, a person has to know which copy is which.
    fn name_incomplete(&self, came: &Transferred, slots: &[Slot], journal: &Journal) -> Result<()> {
        let completed = &came.kept.completed;
        if completed.is_empty() {
            return Ok(());
        }
        let wanted = completed.iter().map(|(_, _, digest)| *digest).collect();
        let copies = copies::stored(self.job, &wanted)?;
        for (number, uid, digest) in completed {
            let here = copies
                .iter()
                .filter(|copy| copy.digest == *digest && copy.uid == *uid);
            let places = here.filter_map(|copy| {
                let name = journal.memory().destination_name(copy.to)?;
                slots
                    .iter()
                    .any(|slot| slot.id == copy.to)
                    .then(|| match &copy.place {
                        Place::Maildir { name: file } => format!("{name} ({file})"),
                        Place::Mbox { offset, .. } => format!("{name} (at octet {offset})"),
                        Place::Untracked => name.to_owned(),
                    })
            });
            let places: Vec<_> = places.collect();
            let places = places.join(", ");
            self.job.warn(&format!("message {number} (unique-id {uid}) has come whole now and is stored as a further message; the incomplete one is still in {places}"));
        }
        Ok(())
    }

    /// Where messages are suspected, the probe itself may be what this server cannot answer.
    fn check_single_uids(
        &self,
        transaction: &mut Transaction,
        survey: &Survey,
    ) -> Result<(), SessionError> {
        let checked = headers::check_single_uid(transaction, survey);
        checked.map_err(|broken| SessionError {
            next: Some(ServerQuirks {
                single_uids: false,
                ..self.manner
            }),
            lesson: Some(Fact::NoSingleUidl),
            is_understood: true,
            ..broken.failure.into()
        })
    }
}

/// A message that failed in this way.
fn failed(message: &Surveyed<'_>, what: &str) -> FailedMessage {
    FailedMessage {
        number: message.listed.number,
        uid: message.key.cloned(),
        failure: Failure::new(Kind::Data, what),
    }
}
