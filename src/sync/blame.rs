//! Which message ended a session, or may have.

use crate::error::Failure;
use crate::mail::{Number, UniqueId};
use crate::monitor::FailedMessage;
use crate::plan::ListingIndex;

/// Which message one is, from one session to the next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum MessageKey {
    /// The one that the journal knows by this id.
    Id(UniqueId),
    /// Where messages have no identity, their numbers mostly stay from session to session.
    Number(Number),
}

impl MessageKey {
    /// Of the message with this number, and this id in the journal.
    pub(super) fn new(number: Number, key: Option<&UniqueId>) -> Self {
        key.map_or(MessageKey::Number(number), |key| {
            MessageKey::Id(key.clone())
        })
    }
}

/// A message that ended a session, and would end the next.
#[derive(Debug, Clone)]
pub(super) struct BreakingMessage {
    /// How it failed.
    pub(super) message: FailedMessage,
    /// More came after its end than belongs to it.
    pub(super) is_overrun: bool,
}

impl BreakingMessage {
    /// Which message it is.
    pub(super) fn key(&self) -> MessageKey {
        MessageKey::new(self.message.number, self.message.uid.as_ref())
    }
}

/// A transfer that ended early.
#[derive(Debug)]
pub(super) struct TransferError {
    pub(super) failure: Failure,
    pub(super) blame: Blame,
}

/// Where a transfer was when the session ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interruption<'a> {
    /// The message that was due.
    pub(super) due: Option<ListingIndex>,
    /// What came since the last probe was answered.
    pub(super) unconfirmed: &'a [ListingIndex],
    /// The message that was asked for last was asked for alone.
    pub(super) is_alone: bool,
    pub(super) cause: InterruptedBy,
}

/// What ended a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InterruptedBy {
    /// The message that was due went on for longer than any may.
    EndlessMessage,
    /// An answer made no sense.
    Nonsense,
    /// Anything else, mostly the end of the connection.
    Other,
}

/// Which messages a transfer ended for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Blame {
    /// One that would end every session.
    pub(super) certain: Option<(ListingIndex, Certain)>,
    /// One that may have ended the connection, but not by what it says.
    pub(super) dropped: Option<ListingIndex>,
    /// Those that may have made the answers nonsense: each is to be asked for alone.
    pub(super) possible: Vec<ListingIndex>,
}

/// Why it is certain that a message ends sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Certain {
    /// It came, and what came next was no answer: it goes on after its end.
    Overrun,
    /// It never ended, or its answer makes no sense.
    Itself,
}

impl Interruption<'_> {
    /// Which messages it was for.
    pub(super) fn blame(self) -> Blame {
        let Interruption {
            due,
            unconfirmed,
            is_alone,
            cause,
        } = self;
        let last_came = unconfirmed.last().copied();
        let certain = match (cause, last_came) {
            (InterruptedBy::EndlessMessage, _) => due.map(|due| (due, Certain::Itself)),
            (InterruptedBy::Nonsense, Some(before)) if is_alone => Some((before, Certain::Overrun)),
            (InterruptedBy::Nonsense, None) if is_alone => due.map(|due| (due, Certain::Itself)),
            _ => None,
        };
        let dropped = match cause {
            // Where what came may be why as well, no other message is.
            InterruptedBy::Nonsense => due.filter(|_| last_came.is_none()),
            _ => due.or(last_came.filter(|_| is_alone)),
        };
        let also_due = due.filter(|_| cause == InterruptedBy::Nonsense);
        Blame {
            certain,
            dropped,
            possible: unconfirmed.iter().copied().chain(also_due).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUE: ListingIndex = ListingIndex(7);
    const CAME: [ListingIndex; 2] = [ListingIndex(5), ListingIndex(6)];

    fn blame(
        cause: InterruptedBy,
        due: Option<ListingIndex>,
        unconfirmed: &[ListingIndex],
        is_alone: bool,
    ) -> Blame {
        let interruption = Interruption {
            due,
            unconfirmed,
            is_alone,
            cause,
        };
        interruption.blame()
    }

    #[test]
    fn a_message_without_an_end_is_to_blame_whatever_else_is_on_its_way() {
        let blame = blame(InterruptedBy::EndlessMessage, Some(DUE), &CAME, false);
        assert_eq!(blame.certain, Some((DUE, Certain::Itself)));
        assert_eq!(blame.dropped, Some(DUE));
        assert_eq!(blame.possible, CAME, "what came before is in doubt");
    }

    #[test]
    fn nonsense_is_for_certain_only_of_a_message_that_was_asked_for_alone() {
        let nonsense = InterruptedBy::Nonsense;
        let together = blame(nonsense, Some(DUE), &CAME, false);
        assert_eq!(together.certain, None);
        assert_eq!(together.possible, [CAME[0], CAME[1], DUE]);
        let probed = blame(nonsense, None, &CAME[1..], true);
        assert_eq!(probed.certain, Some((CAME[1], Certain::Overrun)));
        let unanswered = blame(nonsense, Some(DUE), &[], true);
        assert_eq!(unanswered.certain, Some((DUE, Certain::Itself)));
    }

    #[test]
    fn nonsense_is_not_for_the_message_that_is_due_where_it_may_be_for_one_that_came() {
        let nonsense = InterruptedBy::Nonsense;
        assert_eq!(blame(nonsense, Some(DUE), &CAME, false).dropped, None);
        assert_eq!(blame(nonsense, Some(DUE), &[], false).dropped, Some(DUE));
    }

    #[test]
    fn the_end_of_the_connection_is_for_the_message_that_is_due_or_that_came_alone() {
        let other = InterruptedBy::Other;
        assert_eq!(blame(other, Some(DUE), &CAME, false).dropped, Some(DUE));
        assert_eq!(blame(other, None, &CAME, true).dropped, Some(CAME[1]));
        let probe = blame(other, None, &CAME, false);
        assert_eq!((probe.certain, probe.dropped), (None, None));
        assert_eq!(probe.possible, CAME);
    }
}
