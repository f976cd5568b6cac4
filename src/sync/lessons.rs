//! What a transfer means for the next session, and for the next run.

use super::blame::{BreakingMessage, Certain, TransferError};
use super::feed::Fetched;
use super::retry::{Retry, SessionError};
use super::session::Session;
use super::survey::Survey;
use crate::error::{Failure, Kind, Result};
use crate::journal::{Record, Remembered};
use crate::plan::ListingIndex;

impl Session<'_, '_> {
    /// Records what the transfer says about messages and about the server.
    pub(super) fn record(&mut self, survey: &Survey, fetched: &Fetched) -> Result<()> {
        let run = &mut *self.run;
        let mut records = Vec::new();
        if let Some(fact) = fetched.learnt {
            records.push(Record::Fact { fact, holds: true });
        }
        let key = |index| survey.message(index).key.cloned();
        if let Some(TransferError { blame, .. }) = &fetched.error {
            // A message that ends the connection must not keep the others from coming: it is asked for last.
            if let Some(uid) = blame.dropped.and_then(key)
                && !run.is_interrupted()
                && !run.remembers(&uid, Remembered::is_dropped_again)
            {
                records.push(Record::Dropped { uid });
            }
            if let Some((index, Certain::Overrun)) = blame.certain
                && let Some(uid) = key(index)
            {
                let at = run.job.environment.now();
                records.push(Record::Overrun { uid, at });
            }
        }
        for uid in fetched.refused.iter().flatten() {
            if !run.remembers(uid, Remembered::is_refused) {
                records.push(Record::Refused { uid: uid.clone() });
            }
        }
        run.journal.append(records)?;
        run.journal.sync()
    }

    /// What a transfer that ended early means for the next session. A message that has ended one connection after
    /// the other would end that, too.
    pub(super) fn after_transfer(
        &self,
        error: TransferError,
        is_complete: bool,
        survey: &Survey,
    ) -> SessionError {
        let run = &*self.run;
        let TransferError { failure, blame } = error;
        let across_sessions = |index| survey.message(index).across_sessions();
        let was_dropped_again = |index: &ListingIndex| {
            let key = survey.message(*index).key;
            key.is_some_and(|uid| run.remembers(uid, Remembered::is_dropped_again))
        };
        let dropped_again = blame.dropped.filter(was_dropped_again);
        let certain = blame
            .certain
            .or(dropped_again.map(|index| (index, Certain::Itself)));
        let isolate: Vec<_> = blame.possible.into_iter().map(across_sessions).collect();
        let Some((index, certain)) = certain else {
            return SessionError {
                isolate,
                ..failure.into()
            };
        };
        let key = across_sessions(index);
        let mut deletions = survey.plan.deletions().map(across_sessions);
        let deletes_others = deletions.any(|other| other != key && !run.has_failed(&other));
        // Of the others that came since the last probe nothing is stored.
        let is_done = is_complete && isolate.len() <= 1 && !deletes_others;
        let why = match certain {
            Certain::Overrun => overrun(&failure),
            Certain::Itself => failure.clone(),
        };
        SessionError {
            retry: if is_done {
                Retry::NothingLeft
            } else {
                Retry::Understood
            },
            breaking: Some(BreakingMessage {
                message: survey.message(index).failed(why),
                is_overrun: certain == Certain::Overrun,
            }),
            isolate,
            ..failure.into()
        }
    }
}

/// What is said of a message after whose end there was more.
fn overrun(found: &Failure) -> Failure {
    let what =
        "text comes after its end, so that nothing of it can be relied on, and nothing is stored";
    Failure::new(Kind::Protocol, what)
        .because(found.to_string())
        .hint("The server breaks messages off at a line of one dot (RFC 1939, section 3). The message stays there, and is fetched again once a day. Read it by other means, and tell the provider.")
}
