//! How a session failed, and how to go on.

use super::blame::{Culprit, Who};
use crate::error::{Failure, Kind};
use crate::journal::{Fact, Memory};

/// How to treat this server, as far as it was learnt.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerQuirks {
    /// Commands may be sent ahead of their answers, if the server says so.
    pub(super) pipelining: bool,
    /// Its LIST is known to be wrong about sizes.
    pub(super) wrong_sizes: bool,
    /// It can tell a single unique-id.
    pub(super) single_uids: bool,
    /// The headers that it shows can be relied on.
    pub(super) headers: bool,
}

impl ServerQuirks {
    /// What was learnt in earlier runs.
    pub(super) fn new(memory: &Memory) -> Self {
        ServerQuirks {
            pipelining: !memory.fact(Fact::PipeliningBroken),
            wrong_sizes: memory.fact(Fact::SizesWrong),
            single_uids: !memory.fact(Fact::NoSingleUidl),
            headers: true,
        }
    }
}

/// A session that failed.
pub(super) struct SessionError {
    /// Why.
    pub(super) failure: Failure,
    /// How to try once more, if that may help.
    pub(super) next: Option<ServerQuirks>,
    /// What is learnt if that does help.
    pub(super) lesson: Option<Fact>,
    /// The message that ended it and would do so again.
    pub(super) culprit: Option<Culprit>,
    /// The messages that may have ended it.
    pub(super) suspects: Vec<Who>,
    /// It is known now what ended it: another session does not repeat that.
    pub(super) is_understood: bool,
    /// There was nothing more to do.
    pub(super) is_done: bool,
    /// Whether the maildrop was not even opened.
    pub(super) before_login: bool,
}

impl SessionError {
    /// Whether it is known now that commands sent ahead of their answers were not what ended it.
    pub(super) fn clears_pipelining(&self) -> bool {
        let is_overrun = |culprit: &Culprit| culprit.is_overrun;
        let is_probe = self.lesson == Some(Fact::NoSingleUidl);
        is_probe || self.culprit.as_ref().is_some_and(is_overrun)
    }

    /// The same, where an earlier session of the run had this failure: that the server hung up after it had talked
    /// nonsense says less than the nonsense.
    pub(super) fn for_want_of(self, nonsense: Option<Failure>) -> Self {
        match (self.failure.kind(), nonsense) {
            (Kind::Unreachable, Some(failure)) => SessionError { failure, ..self },
            _ => self,
        }
    }
}

impl From<Failure> for SessionError {
    fn from(failure: Failure) -> Self {
        SessionError {
            failure,
            next: None,
            lesson: None,
            culprit: None,
            suspects: Vec::new(),
            is_understood: false,
            is_done: false,
            before_login: false,
        }
    }
}
