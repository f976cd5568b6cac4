//! How a session failed, and whether another one may help: rules without a socket.

use super::blame::{BreakingMessage, MessageKey};
use crate::error::{Failure, Kind};
use crate::journal::{Fact, Memory};

/// The most sessions of one run that end early, each for a reason that is understood then.
const MAX_UNDERSTOOD: usize = 20;

/// What this server cannot do, as far as it was learnt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ServerQuirks {
    /// It says PIPELINING, but takes no commands ahead of its answers.
    pub(super) no_pipelining: bool,
    /// Its LIST is wrong about sizes.
    pub(super) wrong_sizes: bool,
    /// It does not answer UIDL with a number.
    pub(super) no_single_uidl: bool,
    /// The headers that it shows cannot be relied on.
    pub(super) no_headers: bool,
}

/// What the server turned out not to do as it should, by the way a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quirk {
    Pipelining,
    SingleUidl,
    Headers,
}

impl ServerQuirks {
    /// What was learnt in earlier runs.
    pub(super) fn new(memory: &Memory) -> Self {
        ServerQuirks {
            no_pipelining: memory.fact(Fact::PipeliningBroken),
            wrong_sizes: memory.fact(Fact::SizesWrong),
            no_single_uidl: memory.fact(Fact::NoSingleUidl),
            no_headers: false,
        }
    }

    pub(super) fn add(&mut self, quirk: Quirk) {
        match quirk {
            Quirk::Pipelining => self.no_pipelining = true,
            Quirk::SingleUidl => self.no_single_uidl = true,
            Quirk::Headers => self.no_headers = true,
        }
    }
}

/// A session that failed.
#[derive(Debug)]
pub(super) struct SessionError {
    /// Why.
    pub(super) failure: Failure,
    pub(super) retry: Retry,
    /// What the next session is to avoid.
    pub(super) quirk: Option<Quirk>,
    /// What is recorded of the server if the next session succeeds.
    pub(super) lesson: Option<Fact>,
    /// The message that ended it and would do so again.
    pub(super) breaking: Option<BreakingMessage>,
    /// The messages that may have ended it: each is asked for alone in the next session.
    pub(super) isolate: Vec<MessageKey>,
    /// The maildrop was not even opened.
    pub(super) before_login: bool,
}

/// Whether another session may go on where one failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    No,
    /// It may have been chance.
    Once,
    /// It is known now what ended it: another session does not repeat that.
    Understood,
    /// The same, and there was nothing more to do.
    NothingLeft,
}

/// What a failure says about the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The connection ended.
    Disconnected,
    /// The server was silent, or busy.
    NoAnswer,
    /// Its answers make no sense.
    Nonsense,
    /// It is not for the server.
    Other,
}

fn cause(failure: &Failure) -> Cause {
    match failure.kind() {
        Kind::Unreachable => Cause::Disconnected,
        Kind::Temporary => Cause::NoAnswer,
        Kind::Protocol | Kind::Data => Cause::Nonsense,
        _ => Cause::Other,
    }
}

/// Whether an answer of the server's makes no sense, so that nothing on that connection can be relied on.
pub(super) fn is_nonsense(failure: &Failure) -> bool {
    cause(failure) == Cause::Nonsense
}

/// Whether the connection ended.
pub(super) fn is_disconnect(failure: &Failure) -> bool {
    cause(failure) == Cause::Disconnected
}

/// How far commands were sent ahead when a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ahead {
    /// No more than one command was on its way.
    No,
    /// More were, for the first time on this connection.
    Unproven,
    /// More were, and the server had answered such ones in step for a while.
    Proven,
}

impl SessionError {
    /// It is known what ended the session.
    pub(super) fn understood(failure: Failure) -> Self {
        SessionError {
            retry: Retry::Understood,
            ..failure.into()
        }
    }

    /// The maildrop could not be opened.
    pub(super) fn before_login(failure: Failure) -> Self {
        SessionError {
            before_login: true,
            ..failure.into()
        }
    }

    /// How to go on where the failure alone does not say it: with the messages alone that may have ended the session,
    /// and, where commands sent ahead of their answers may be what the server cannot take, one by one.
    pub(super) fn decide_retry(mut self, ahead: Ahead) -> Self {
        if self.retry != Retry::No {
            return self;
        }
        match (cause(&self.failure), ahead) {
            (Cause::Other, _) => {}
            (Cause::Disconnected, Ahead::No) => self.retry = Retry::Once,
            (_, Ahead::No) if self.isolate.is_empty() => {}
            (_, Ahead::No) => self.retry = Retry::Once,
            (_, Ahead::Unproven | Ahead::Proven) => {
                self.retry = Retry::Once;
                self.quirk = Some(Quirk::Pipelining);
                // A line may always break; a server that has kept in step for a while can pipeline.
                self.lesson = (ahead == Ahead::Unproven).then_some(Fact::PipeliningBroken);
            }
        }
        self
    }

    /// There is something left to do after all.
    pub(super) fn with_more_to_do(mut self) -> Self {
        if self.retry == Retry::NothingLeft {
            self.retry = Retry::Understood;
        }
        self
    }

    /// Whether it is known now that commands sent ahead of their answers were not what ended it.
    pub(super) fn clears_pipelining(&self) -> bool {
        let is_overrun = |message: &BreakingMessage| message.is_overrun;
        let is_probe = self.lesson == Some(Fact::NoSingleUidl);
        is_probe || self.breaking.as_ref().is_some_and(is_overrun)
    }

    /// The same, where an earlier session of the run had this failure: that the server hung up after it had talked
    /// nonsense says less than the nonsense.
    pub(super) fn after_nonsense(mut self, earlier: Option<Failure>) -> Self {
        if let Some(earlier) = earlier
            && is_disconnect(&self.failure)
        {
            self.failure = earlier;
        }
        self
    }
}

impl<F: Into<Failure>> From<F> for SessionError {
    fn from(failure: F) -> Self {
        SessionError {
            failure: failure.into(),
            retry: Retry::No,
            quirk: None,
            lesson: None,
            breaking: None,
            isolate: Vec::new(),
            before_login: false,
        }
    }
}

/// How often a session that ended early may be followed by another one in its place: once where it is not known why it
/// ended, and as often as that is understood.
pub(super) struct RetryBudget {
    /// One that is not understood may follow.
    unexplained: bool,
    understood: usize,
}

impl Default for RetryBudget {
    fn default() -> Self {
        RetryBudget {
            unexplained: true,
            understood: MAX_UNDERSTOOD,
        }
    }
}

impl RetryBudget {
    /// Whether another session may follow one that ended so. It is also some understanding that more messages are known
    /// now which may be why.
    pub(super) fn allows(&mut self, error: &SessionError, isolates_more: bool) -> bool {
        let is_understood = error.retry == Retry::Understood;
        if is_understood || isolates_more && is_nonsense(&error.failure) {
            self.unexplained |= is_understood;
            let Some(left) = self.understood.checked_sub(1) else {
                return false;
            };
            self.understood = left;
        } else if !std::mem::take(&mut self.unexplained) {
            return false;
        }
        error.retry != Retry::No
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(kind: Kind) -> SessionError {
        Failure::new(kind, "it ended").into()
    }

    fn with_suspect(kind: Kind) -> SessionError {
        SessionError {
            isolate: vec![MessageKey::Number(1)],
            ..ended(kind)
        }
    }

    #[test]
    fn a_session_that_broke_with_commands_ahead_is_held_once_more_without() {
        for kind in [
            Kind::Unreachable,
            Kind::Temporary,
            Kind::Protocol,
            Kind::Data,
        ] {
            let unproven = ended(kind).decide_retry(Ahead::Unproven);
            assert_eq!(unproven.retry, Retry::Once);
            assert_eq!(unproven.quirk, Some(Quirk::Pipelining));
            assert_eq!(unproven.lesson, Some(Fact::PipeliningBroken));
            let proven = ended(kind).decide_retry(Ahead::Proven);
            assert_eq!(proven.quirk, Some(Quirk::Pipelining));
            assert_eq!(
                proven.lesson, None,
                "a line may break where a server pipelines well"
            );
        }
    }

    #[test]
    fn a_session_with_one_command_on_its_way_is_held_once_more_where_that_may_help() {
        let retry = |error: SessionError| error.decide_retry(Ahead::No).retry;
        assert_eq!(retry(ended(Kind::Unreachable)), Retry::Once);
        for kind in [Kind::Temporary, Kind::Protocol, Kind::Data] {
            assert_eq!(retry(ended(kind)), Retry::No, "{kind:?}");
            assert_eq!(retry(with_suspect(kind)), Retry::Once, "{kind:?}");
        }
    }

    #[test]
    fn what_is_not_for_the_server_is_not_tried_again() {
        for ahead in [Ahead::No, Ahead::Unproven, Ahead::Proven] {
            for kind in [Kind::Io, Kind::Destination, Kind::Auth] {
                let error = with_suspect(kind).decide_retry(ahead);
                assert_eq!((error.retry, error.quirk), (Retry::No, None));
            }
        }
    }

    #[test]
    fn what_was_decided_stays() {
        let understood = SessionError::understood(Failure::new(Kind::Protocol, "nonsense"));
        let error = understood.decide_retry(Ahead::Unproven);
        assert_eq!((error.retry, error.quirk), (Retry::Understood, None));
    }

    #[test]
    fn one_session_may_end_unexplained_and_one_more_after_each_that_is_understood() {
        let once = || ended(Kind::Unreachable).decide_retry(Ahead::No);
        let understood = || SessionError::understood(Failure::new(Kind::Protocol, "nonsense"));
        let mut budget = RetryBudget::default();
        assert!(budget.allows(&once(), false));
        assert!(!budget.allows(&once(), false));
        assert!(budget.allows(&understood(), false));
        assert!(budget.allows(&once(), false));
        assert!(!budget.allows(&once(), false));
    }

    #[test]
    fn sessions_that_are_understood_are_counted_too() {
        let nonsense = || with_suspect(Kind::Protocol).decide_retry(Ahead::No);
        let mut budget = RetryBudget::default();
        for _ in 0..MAX_UNDERSTOOD {
            assert!(budget.allows(&nonsense(), true));
        }
        assert!(!budget.allows(&nonsense(), true));
        assert!(budget.allows(&nonsense(), false), "as one unexplained");
    }

    #[test]
    fn to_know_more_suspects_excuses_no_other_end() {
        let once = || ended(Kind::Unreachable).decide_retry(Ahead::No);
        let nonsense = || with_suspect(Kind::Protocol).decide_retry(Ahead::No);
        let mut budget = RetryBudget::default();
        assert!(budget.allows(&once(), false));
        assert!(budget.allows(&nonsense(), true));
        assert!(!budget.allows(&once(), false));
    }

    #[test]
    fn suspects_explain_nothing_where_only_the_connection_ended() {
        let disconnected = || with_suspect(Kind::Unreachable).decide_retry(Ahead::No);
        let mut budget = RetryBudget::default();
        assert!(budget.allows(&disconnected(), true));
        assert!(!budget.allows(&disconnected(), true));
    }

    #[test]
    fn nonsense_says_more_than_the_end_of_the_connection_after_it() {
        let nonsense = || Some(Failure::new(Kind::Protocol, "nonsense"));
        let kind = |error: SessionError| error.after_nonsense(nonsense()).failure.kind();
        assert_eq!(kind(ended(Kind::Unreachable)), Kind::Protocol);
        assert_eq!(kind(ended(Kind::Io)), Kind::Io);
    }
}
