//! Which message ended a session, or may have.

use std::collections::HashSet;

use super::survey::Surveyed;
use crate::error::Failure;
use crate::mail::{Number, UniqueId};
use crate::monitor::FailedMessage;

/// A transfer that ended early.
pub(super) struct Cut {
    /// Why.
    pub(super) failure: Failure,
    /// The message that is to blame for the end of the connection, perhaps, by the journal's id.
    pub(super) dropped: Option<UniqueId>,
    /// The message that is to blame for certain: it would end the next session as well.
    pub(super) culprit: Option<Culprit>,
    /// Those that may be to blame, of which nothing is stored.
    pub(super) suspects: Vec<Who>,
}

/// A message that ended a session, and would end the next.
#[derive(Clone)]
pub(super) struct Culprit {
    /// How it failed.
    pub(super) message: FailedMessage,
    /// More came after its end than belongs to it.
    pub(super) is_overrun: bool,
}

/// Which message one is, from one session to the next.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// The one that the journal knows by this id.
    Id(UniqueId),
    /// Where messages have no identity, their numbers mostly stay from session to session.
    Number(Number),
}

impl Who {
    /// Which message this is.
    pub(super) fn is(message: &Surveyed<'_>) -> Self {
        Who::new(message.key, message.listed.number)
    }

    fn new(key: Option<&UniqueId>, number: Number) -> Self {
        key.map_or(Who::Number(number), |key| Who::Id(key.clone()))
    }
}

/// Messages that are asked for one at a time, each followed by a probe: so it priorities out which of them is to blame.
pub(super) type Suspects = HashSet<Who>;

impl Culprit {
    /// Whether it is this message.
    pub(super) fn is(&self, message: &Surveyed<'_>) -> bool {
        let FailedMessage { number, uid, .. } = &self.message;
        Who::new(uid.as_ref(), *number) == Who::is(message)
    }
}
