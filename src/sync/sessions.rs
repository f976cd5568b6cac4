//! The sessions of one run: mostly one; a second try where a connection broke; one more for a message that may
//! end it, so that it keeps no other from being deleted; and as many as it takes where a server lists a part
//! of its maildrop at a time and the next part in the next session.

use super::batch::Slot;
use super::ended::{ServerQuirks, SessionError};
use super::session::{Session, SessionSummary};
use crate::client::is_too_soon;
use crate::error::{Failure, Result};
use crate::journal::{Fact, Journal, Record};
use crate::monitor::{Event, Problem};

/// The most sessions of one run.
const SESSIONS: usize = 100;

/// The most sessions of one run that end early, each for a reason that is understood then.
const UNDERSTOOD: usize = 20;

impl Session<'_> {
    /// Holds sessions until there is nothing more to come.
    ///
    /// # Errors
    ///
    /// Why the last one failed.
    pub(super) fn run_all(&mut self, slots: &mut [Slot], journal: &mut Journal) -> Result<()> {
        let mut tries = Tries::default();
        let mut further: Option<Further> = None;
        for _ in 0..SESSIONS {
            self.job.event(&Event::SessionBegins);
            let stored_before = self.stored.get();
            let brought = match self.attempt(&mut tries, slots, journal) {
                Ok(brought) => brought,
                Err(ended) => return self.turned_away(ended, further, journal),
            };
            let stored = self.stored.get() - stored_before;
            let suspected = further.is_some_and(|further| further.hope == MoreMail::Suspected);
            if suspected && stored > 0 {
                journal.commit(vec![learnt(Fact::ShowsWindows)])?;
            }
            if brought.postponed && !self.is_interrupted() {
                (self.postpones, further) = (false, None);
                continue;
            }
            if stored == 0 || self.is_over() {
                return Ok(());
            }
            further = self.further(&brought, journal);
            if further.is_none() {
                return Ok(());
            }
        }
        self.job.warn(&format!(
            "each of {SESSIONS} sessions brought new mail: the next run fetches what the server may still have"
        ));
        Ok(())
    }

    /// What becomes of the run where a session failed. That the server takes no further one so soon loses
    /// nothing; but whether there is more is then not known.
    fn turned_away(
        &self,
        ended: SessionError,
        further: Option<Further>,
        journal: &mut Journal,
    ) -> Result<()> {
        let failure = ended.failure;
        let Some(further) = further.filter(|_| ended.before_login && failure.kind().may_pass())
        else {
            return Err(failure);
        };
        if further.delays_logins && is_too_soon(&failure) {
            journal.commit(vec![learnt(Fact::RefusesSoonLogins)])?;
        }
        match further.hope {
            MoreMail::Suspected => Ok(()),
            MoreMail::Expected => Err(no_further_session(&failure)),
        }
    }

    /// One session, and others in its place where that may help: once where it is not known why it ended, and as often
    /// as that is understood.
    fn attempt(
        &mut self,
        tries: &mut Tries,
        slots: &mut [Slot],
        journal: &mut Journal,
    ) -> Result<SessionSummary, SessionError> {
        let mut lesson: Option<Fact> = None;
        let mut nonsense: Option<Failure> = None;
        let mut is_first = true;
        loop {
            let ended = match self.run_within_limit(slots, journal) {
                Ok(brought) => {
                    journal.commit(lesson.map(learnt).into_iter().collect())?;
                    return Ok(brought);
                }
                // What the first one listed is not all stored.
                Err(ended) => SessionError {
                    before_login: ended.before_login && is_first,
                    ..ended
                },
            };
            is_first = false;
            if let Some(culprit) = ended.culprit.as_ref().filter(|_| ended.is_done) {
                let problem = Problem::failed(0, culprit.message.clone());
                self.job.event(&Event::MessageFailed(&problem));
                self.culprits.extend(ended.culprit);
                return Ok(SessionSummary::default());
            }
            let Some(manner) = self.try_again(tries, &ended) else {
                return Err(ended.for_want_of(nonsense));
            };
            if ended.failure.kind().is_nonsense() {
                nonsense.get_or_insert(ended.failure.clone());
            }
            self.manner = manner;
            if ended.clears_pipelining() {
                self.manner.pipelining = !journal.memory().fact(Fact::PipeliningBroken);
                lesson = lesson.filter(|fact| *fact != Fact::PipeliningBroken);
            }
            lesson = ended.lesson.or(lesson);
            if let Some(culprit) = ended.culprit {
                let problem = Problem::failed(0, culprit.message.clone());
                self.job.event(&Event::MessageFailed(&problem));
                self.culprits.push(culprit);
            }
            self.suspects.extend(ended.suspects);
            let again = format!("{}; trying once more", ended.failure);
            self.job.event(&Event::Remark(&again));
        }
    }

    /// How to try once more after this, if that may help.
    fn try_again(&self, tries: &mut Tries, ended: &SessionError) -> Option<ServerQuirks> {
        let mut suspects = ended.suspects.iter();
        let finds_suspects =
            ended.failure.kind().is_nonsense() && suspects.any(|who| !self.suspects.contains(who));
        match ended.is_understood || finds_suspects {
            true => {
                tries.blind |= ended.is_understood;
                tries.understood = tries.understood.checked_sub(1)?;
            }
            false if !std::mem::take(&mut tries.blind) => return None,
            false => {}
        }
        ended.next.filter(|_| !self.is_interrupted())
    }

    /// `--limit` is for all sessions together.
    fn run_within_limit(
        &mut self,
        slots: &mut [Slot],
        journal: &mut Journal,
    ) -> Result<SessionSummary, SessionError> {
        let stored = self.stored.get();
        let brought = self.run(slots, journal);
        let stored = self.stored.get() - stored;
        self.rules.limit = self.rules.limit.map(|limit| limit.saturating_sub(stored));
        brought
    }

    /// Whether no further message may be asked for in this run.
    fn is_over(&self) -> bool {
        self.is_interrupted() || self.rules.limit == Some(0)
    }

    fn is_interrupted(&self) -> bool {
        self.job.interrupt.is_stopping()
    }

    /// Whether to hold another session, now that this one brought something.
    fn further(&self, brought: &SessionSummary, journal: &Journal) -> Option<Further> {
        let fact = |fact| journal.memory().fact(fact);
        let hope = match brought.expires || fact(Fact::ShowsWindows) {
            true => MoreMail::Expected,
            false if brought.none_was_known => MoreMail::Suspected,
            false => return None,
        };
        if brought.delays_logins && fact(Fact::RefusesSoonLogins) {
            self.job.event(&Event::Remark("the server takes no further login so soon: the next run fetches what it may still have"));
            return None;
        }
        Some(Further {
            hope,
            delays_logins: brought.delays_logins,
        })
    }
}

/// How often a session that ended early may be followed by another one in its place.
struct Tries {
    /// Where it is not known why it ended.
    blind: bool,
    /// Where that is understood.
    understood: usize,
}

impl Default for Tries {
    fn default() -> Self {
        Tries {
            blind: true,
            understood: UNDERSTOOD,
        }
    }
}

/// Why another session is held.
#[derive(Clone, Copy)]
struct Further {
    hope: MoreMail,
    /// The server says that it wants a pause before.
    delays_logins: bool,
}

/// How likely it is that another session brings something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MoreMail {
    /// It looks as if this server showed its maildrop in parts: all that was stored before has gone from
    /// the listing at once.
    Suspected,
    /// It does, or it drops what was fetched.
    Expected,
}

fn no_further_session(failure: &Failure) -> Failure {
    let message = "the server may have more mail, but takes no further session now";
    Failure::new(failure.kind(), message)
        .because(failure.to_string())
        .hint("What came is stored; the next run fetches what is left, if anything is.")
}

fn learnt(fact: Fact) -> Record {
    Record::Fact { fact, holds: true }
}
