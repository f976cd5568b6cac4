//! The sessions of one run: mostly one; a second try where a connection broke; one more for a message that may
//! end it, so that it keeps no other from being deleted; and as many as it takes where a server lists a part
//! of its maildrop at a time and the next part in the next session.

use super::batch::Slot;
use super::session::{Brought, Ended, Session};
use crate::client::is_too_soon;
use crate::error::{Failure, Result};
use crate::journal::{Fact, Journal, Record};
use crate::monitor::Event;
use crate::report::Report;

/// The most sessions of one run.
const SESSIONS: usize = 100;

impl Session<'_> {
    /// Holds sessions until there is nothing more to come.
    ///
    /// # Errors
    ///
    /// Why the last one failed.
    pub(super) fn run_all(
        &mut self,
        slots: &mut [Slot],
        journal: &mut Journal,
        report: &mut Report,
    ) -> Result<()> {
        let mut may_try_again = true;
        let mut further: Option<Further> = None;
        for _ in 0..SESSIONS {
            let stored_before = report.stored.messages;
            let earlier = report.set_aside();
            let brought = self.attempt(&mut may_try_again, slots, journal, report);
            report.recall(earlier);
            let brought = match brought {
                Ok(brought) => brought,
                Err(ended) => return self.turned_away(ended, further, journal),
            };
            let stored = report.stored.messages - stored_before;
            let suspected = further.is_some_and(|further| further.hope == Hope::Faint);
            if suspected && stored > 0 {
                journal.commit(vec![learnt(Fact::ShowsWindows)])?;
            }
            if brought.postponed && !self.is_over() {
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
        ended: Ended,
        further: Option<Further>,
        journal: &mut Journal,
    ) -> Result<()> {
        let failure = ended.failure;
        let Some(further) = further.filter(|_| ended.at_the_door && failure.kind().may_pass())
        else {
            return Err(failure);
        };
        if further.delays_logins && is_too_soon(&failure) {
            journal.commit(vec![learnt(Fact::RefusesSoonLogins)])?;
        }
        match further.hope {
            Hope::Faint => Ok(()),
            Hope::Good => Err(no_further_session(&failure)),
        }
    }

    /// One session, and another one in its place where that may help and none did so before.
    fn attempt(
        &mut self,
        may_try_again: &mut bool,
        slots: &mut [Slot],
        journal: &mut Journal,
        report: &mut Report,
    ) -> Result<Brought, Ended> {
        let ended = match self.run_within_limit(slots, journal, report) {
            Ok(brought) => return Ok(brought),
            Err(ended) => ended,
        };
        let may_try_again = std::mem::take(may_try_again) && !self.is_over();
        let Some(manner) = ended.next.filter(|_| may_try_again) else {
            return Err(ended);
        };
        let again = format!("{}; trying once more", ended.failure);
        self.job.event(&Event::Remark(&again));
        self.manner = manner;
        self.given_up = ended.given_up;
        let brought = self
            .run_within_limit(slots, journal, report)
            .map_err(|ended| Ended {
                // What the first one listed is not all stored.
                at_the_door: false,
                ..ended
            })?;
        journal.commit(ended.lesson.map(learnt).into_iter().collect())?;
        Ok(brought)
    }

    /// `--limit` is for all sessions together.
    fn run_within_limit(
        &mut self,
        slots: &mut [Slot],
        journal: &mut Journal,
        report: &mut Report,
    ) -> Result<Brought, Ended> {
        let stored = report.stored.messages;
        let brought = self.run(slots, journal, report);
        let stored = report.stored.messages - stored;
        self.rules.limit = self.rules.limit.map(|limit| limit.saturating_sub(stored));
        brought
    }

    /// Whether no further message may be asked for in this run.
    fn is_over(&self) -> bool {
        self.job.interrupt.requested().is_some() || self.rules.limit == Some(0)
    }

    /// Whether to hold another session, now that this one brought something.
    fn further(&self, brought: &Brought, journal: &Journal) -> Option<Further> {
        let fact = |fact| journal.memory().fact(fact);
        let hope = match brought.expires || fact(Fact::ShowsWindows) {
            true => Hope::Good,
            false if brought.none_was_known => Hope::Faint,
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

/// Why another session is held.
#[derive(Clone, Copy)]
struct Further {
    hope: Hope,
    /// The server says that it wants a pause before.
    delays_logins: bool,
}

/// How likely it is that another session brings something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hope {
    /// It looks as if this server showed its maildrop in parts: all that was stored before has gone from
    /// the listing at once.
    Faint,
    /// It does, or it drops what was fetched.
    Good,
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
