//! The sessions of one run: mostly one; a second try where a connection broke; and as many as it takes
//! where a server lists a part of its maildrop at a time and the next part in the next session.

use super::batch::Slot;
use super::session::{Brought, Session};
use crate::error::{Kind, Result};
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
        let mut suspected = false;
        for _ in 0..SESSIONS {
            let stored_before = report.stored.messages;
            let earlier = report.set_aside();
            let brought = self.attempt(&mut may_try_again, slots, journal, report);
            report.recall(earlier);
            let brought = match brought {
                // The server wants to be left alone, and only we thought that it may have more.
                Err(failure) if suspected && failure.kind() == Kind::Temporary => return Ok(()),
                brought => brought?,
            };
            let stored = report.stored.messages - stored_before;
            if suspected && stored > 0 {
                journal.commit(&[learnt(Fact::ShowsWindows)])?;
            }
            suspected = match self.may_have_more(&brought, journal) {
                _ if stored == 0 || self.is_over() => return Ok(()),
                Expectation::Nothing => return Ok(()),
                Expectation::More => false,
                Expectation::PerhapsMore => true,
            };
        }
        Ok(())
    }

    /// One session, and another one in its place where that may help and none did so before.
    fn attempt(
        &mut self,
        may_try_again: &mut bool,
        slots: &mut [Slot],
        journal: &mut Journal,
        report: &mut Report,
    ) -> Result<Brought> {
        let ended = match self.run_within_limit(slots, journal, report) {
            Ok(brought) => return Ok(brought),
            Err(ended) => ended,
        };
        let may_try_again = std::mem::take(may_try_again) && !self.is_over();
        let Some(manner) = ended.next.filter(|_| may_try_again) else {
            return Err(ended.failure);
        };
        let again = format!("{}; trying once more", ended.failure);
        self.job.event(&Event::Remark(&again));
        self.manner = manner;
        self.given_up = ended.given_up;
        let brought = self
            .run_within_limit(slots, journal, report)
            .map_err(|ended| ended.failure)?;
        journal.commit(ended.lesson.map(learnt).as_slice())?;
        Ok(brought)
    }

    /// `--limit` is for all sessions together.
    fn run_within_limit(
        &mut self,
        slots: &mut [Slot],
        journal: &mut Journal,
        report: &mut Report,
    ) -> Result<Brought, super::session::Ended> {
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

    /// What another session would bring, now that this one brought something.
    fn may_have_more(&self, brought: &Brought, journal: &Journal) -> Expectation {
        if brought.expires || journal.memory().fact(Fact::ShowsWindows) {
            return Expectation::More;
        }
        match brought.none_was_known {
            true => Expectation::PerhapsMore,
            false => Expectation::Nothing,
        }
    }
}

/// What another session would bring.
enum Expectation {
    Nothing,
    /// This server shows its maildrop in parts.
    More,
    /// It looks as if it did: all that was stored before has gone from the listing at once.
    PerhapsMore,
}

fn learnt(fact: Fact) -> Record {
    Record::Fact { fact, holds: true }
}
