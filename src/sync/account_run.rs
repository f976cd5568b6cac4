//! The run of one account. It mostly holds one session; a second one where a connection broke; one more for a message
//! that may end it, so that it keeps no other from being deleted; and as many as it takes where a server lists a part
//! of its maildrop at a time and the next part in the next session.

use std::collections::HashSet;

use super::Job;
use super::batch::Slot;
use super::blame::{BreakingMessage, MessageKey};
use super::deletion::DeletionOrder;
use super::further::{Further, MoreMail, Next, SessionSummary};
use super::retry::{Retry, RetryBudget, ServerQuirks, SessionError, is_nonsense};
use crate::client::is_too_soon;
use crate::connecting::Connecting;
use crate::error::{Failure, Result};
use crate::journal::{Destinations, Fact, Journal, Memory, Record, Remembered};
use crate::mail::UniqueId;
use crate::monitor::{Event, FailedMessage, Problem};
use crate::plan::Rules;

/// The most sessions of one run.
const MAX_SESSIONS: usize = 100;

/// The run of one account: what it works with, and what its sessions have shown.
pub(super) struct AccountRun<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) connecting: Connecting<'a>,
    /// What decides about single messages; what the limit leaves of them.
    pub(super) rules: Rules,
    pub(super) destinations: Vec<Slot>,
    pub(super) journal: Journal,
    pub(super) quirks: ServerQuirks,
    /// The messages that ended a session of the run and would end another one too: they have failed.
    pub(super) breaking: Vec<BreakingMessage>,
    /// The messages that may have: they are asked for one at a time, each followed by a probe.
    pub(super) isolated: HashSet<MessageKey>,
    /// Messages that have ended a connection wait for a session of their own where others are to be deleted.
    pub(super) postpones: bool,
    /// None before anything was to be deleted.
    pub(super) deletion_order: Option<DeletionOrder>,
    /// What the server refused to delete.
    pub(super) not_deleted: Vec<FailedMessage>,
    /// What was stored, by the journal's ids, where everything is: another session is not to store it once more.
    pub(super) stored_again: HashSet<UniqueId>,
    /// How many messages were stored.
    pub(super) stored: u64,
    /// What was warned of: once is enough for all sessions.
    warnings: HashSet<String>,
}

impl<'a> AccountRun<'a> {
    /// A run by these rules, treating the server as earlier runs learnt.
    pub(super) fn new(
        job: &'a Job<'a>,
        connecting: Connecting<'a>,
        destinations: Vec<Slot>,
        journal: Journal,
        rules: Rules,
    ) -> Self {
        AccountRun {
            job,
            connecting,
            rules,
            destinations,
            quirks: ServerQuirks::new(journal.memory()),
            journal,
            breaking: Vec::new(),
            isolated: HashSet::new(),
            postpones: true,
            deletion_order: None,
            not_deleted: Vec::new(),
            stored_again: HashSet::new(),
            stored: 0,
            warnings: HashSet::new(),
        }
    }

    /// Holds sessions until there is nothing more to come.
    ///
    /// # Errors
    ///
    /// Why the last one failed.
    pub(super) fn run(mut self) -> Result<()> {
        self.hold_sessions()?;
        if let Some(interrupted) = self.job.interrupt.interrupted() {
            return Err(interrupted.into());
        }
        self.job.close(self.journal);
        Ok(())
    }

    fn hold_sessions(&mut self) -> Result<()> {
        let mut budget = RetryBudget::default();
        let mut further: Option<Further> = None;
        for _ in 0..MAX_SESSIONS {
            self.job.event(&Event::SessionBegins);
            let stored_before = self.stored;
            let summary = match self.hold_session_with_retries(&mut budget) {
                Ok(summary) => summary,
                Err(error) => return self.without_further(error, further),
            };
            let stored = self.stored - stored_before;
            let suspected = further.is_some_and(|why| why.more_mail == MoreMail::Suspected);
            if suspected && stored > 0 {
                self.record_fact(Fact::ShowsWindows)?;
            }
            if summary.postponed && !self.is_interrupted() {
                (self.postpones, further) = (false, None);
                continue;
            }
            if stored == 0 || self.is_interrupted() || self.rules.limit == Some(0) {
                return Ok(());
            }
            let fact = |fact| self.memory().fact(fact);
            match summary.next(fact(Fact::ShowsWindows), fact(Fact::RefusesSoonLogins)) {
                Next::Session(why) => further = Some(why),
                Next::End => return Ok(()),
                Next::EndForDelay => {
                    let remark = "the server takes no further login so soon: the next run fetches what it may still have";
                    self.job.event(&Event::Remark(remark));
                    return Ok(());
                }
            }
        }
        self.job.warn(&format!(
            "each of {MAX_SESSIONS} sessions brought new mail: the next run fetches what the server may still have"
        ));
        Ok(())
    }

    /// One session, and others in its place where that may help.
    fn hold_session_with_retries(
        &mut self,
        budget: &mut RetryBudget,
    ) -> Result<SessionSummary, SessionError> {
        let mut lesson: Option<Fact> = None;
        let mut nonsense: Option<Failure> = None;
        let mut is_first = true;
        loop {
            let mut error = match self.hold_session_within_limit() {
                Ok(summary) => {
                    if let Some(lesson) = lesson {
                        self.record_fact(lesson)?;
                    }
                    return Ok(summary);
                }
                Err(error) => error,
            };
            // What the first one listed is not all stored.
            error.before_login &= is_first;
            is_first = false;
            let is_done = error.retry == Retry::NothingLeft;
            let isolates_more = error.isolate.iter().any(|key| !self.isolated.contains(key));
            if !is_done && (!budget.allows(&error, isolates_more) || self.is_interrupted()) {
                return Err(error.after_nonsense(nonsense));
            }
            if is_done {
                self.add_breaking(error.breaking);
                return Ok(SessionSummary::default());
            }
            lesson = self.learn(&error, lesson);
            if is_nonsense(&error.failure) {
                nonsense.get_or_insert_with(|| error.failure.clone());
            }
            self.add_breaking(error.breaking);
            self.isolated.extend(error.isolate);
            let again = format!("{}; trying once more", error.failure);
            self.job.event(&Event::Remark(&again));
        }
    }

    /// Treats the server as this session has shown; what is to be recorded of it if the next one succeeds.
    fn learn(&mut self, error: &SessionError, earlier: Option<Fact>) -> Option<Fact> {
        if let Some(quirk) = error.quirk {
            self.quirks.add(quirk);
        }
        let mut lesson = earlier;
        if error.clears_pipelining() {
            self.quirks.no_pipelining = self.memory().fact(Fact::PipeliningBroken);
            lesson = lesson.filter(|fact| *fact != Fact::PipeliningBroken);
        }
        error.lesson.or(lesson)
    }

    fn add_breaking(&mut self, breaking: Option<BreakingMessage>) {
        if let Some(breaking) = breaking {
            let problem = Problem::failed(0, breaking.message.clone());
            self.job.event(&Event::MessageFailed(&problem));
            self.breaking.push(breaking);
        }
    }

    /// `--limit` is for all sessions together.
    fn hold_session_within_limit(&mut self) -> Result<SessionSummary, SessionError> {
        let stored_before = self.stored;
        let held = self.hold_session();
        let stored = self.stored - stored_before;
        self.rules.limit = self.rules.limit.map(|limit| limit.saturating_sub(stored));
        held
    }

    /// What becomes of the run where a session failed. That the server takes no further one so soon loses
    /// nothing; but whether there is more is then not known.
    fn without_further(&mut self, error: SessionError, further: Option<Further>) -> Result<()> {
        let failure = error.failure;
        let Some(further) = further.filter(|_| error.before_login && failure.kind().may_pass())
        else {
            return Err(failure);
        };
        if further.delays_logins && is_too_soon(&failure) {
            self.record_fact(Fact::RefusesSoonLogins)?;
        }
        match further.more_mail {
            MoreMail::Suspected => Ok(()),
            MoreMail::Expected => Err(no_further_session(&failure)),
        }
    }

    fn record_fact(&mut self, fact: Fact) -> Result<()> {
        self.journal
            .commit(vec![Record::Fact { fact, holds: true }])
    }

    pub(super) fn memory(&self) -> &Memory {
        self.journal.memory()
    }

    /// Whether this is true of the message with this id, as far as it is remembered.
    pub(super) fn remembers(&self, uid: &UniqueId, is: impl Fn(&Remembered) -> bool) -> bool {
        self.memory().recall(uid.as_bytes()).is_some_and(is)
    }

    /// The account's destinations by the numbers that the journal has for them.
    pub(super) fn numbers(&self) -> Destinations {
        self.job.destinations(&self.destinations, self.memory())
    }

    /// Whether a message ended a session of the run already.
    pub(super) fn has_failed(&self, key: &MessageKey) -> bool {
        self.breaking.iter().any(|breaking| breaking.key() == *key)
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.job.interrupt.is_stopping()
    }

    /// Warns of what holds for all sessions of the run.
    pub(super) fn warn_once(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.job.warn(&warning);
            self.warnings.insert(warning);
        }
    }
}

fn no_further_session(failure: &Failure) -> Failure {
    let message = "the server may have more mail, but takes no further session now";
    Failure::new(failure.kind(), message)
        .because(failure.to_string())
        .hint("What came is stored; the next run fetches what is left, if anything is.")
}
