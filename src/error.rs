//! What can go wrong, as a person and a script see it.
//!
//! A [`Failure`] says what happened and where, carries what caused it, and hints at what to do next.
//! Its [`Kind`] decides the exit status, in one table: [`Kind::status`].

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// The result of work that ends in a [`Failure`] when it goes wrong.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why something failed, as far as a script has to distinguish failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The command line makes no sense.
    Usage,
    /// What a server or a file says makes no sense.
    Data,
    /// The host's name has no address.
    HostUnknown,
    /// Nothing answers there, or the service says that it is not available.
    Unreachable,
    /// The destination cannot be created or written.
    Destination,
    /// Reading or writing failed.
    Io,
    /// It may work later: mailbox in use, login delay, another popfetch at work, timed out.
    Temporary,
    /// The server broke the protocol.
    Protocol,
    /// No trustworthy TLS connection came about.
    Tls,
    /// The same, because of the server's certificate.
    Certificate,
    /// The server refused the credentials.
    Auth,
    /// The configuration cannot be used.
    Config,
    /// A signal asked us to stop; the number is the signal's.
    Interrupted(i32),
}

impl Kind {
    /// The exit status of a run that ended with this kind of failure (`sysexits.h` where it has a word for it).
    #[must_use]
    pub fn status(self) -> u8 {
        match self {
            Kind::Usage => 64,
            Kind::Data => 65,
            Kind::HostUnknown => 68,
            Kind::Unreachable => 69,
            Kind::Destination => 73,
            Kind::Io => 74,
            Kind::Temporary => 75,
            Kind::Protocol | Kind::Tls | Kind::Certificate => 76,
            Kind::Auth => 77,
            Kind::Config => 78,
            Kind::Interrupted(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }

    /// Whether it may be over by itself soon: the server is away, or something is in use.
    #[must_use]
    pub fn may_pass(self) -> bool {
        matches!(
            self,
            Kind::HostUnknown | Kind::Unreachable | Kind::Temporary
        )
    }

    /// The kind's name in `--json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Usage => "usage",
            Kind::Data => "data",
            Kind::HostUnknown => "host-unknown",
            Kind::Unreachable => "unreachable",
            Kind::Destination => "destination",
            Kind::Io => "io",
            Kind::Temporary => "temporary",
            Kind::Protocol => "protocol",
            Kind::Tls => "tls",
            Kind::Certificate => "certificate",
            Kind::Auth => "auth",
            Kind::Config => "config",
            Kind::Interrupted(_) => "interrupted",
        }
    }
}

/// Something went wrong: what and where, why, and what to do next.
///
/// The message is a clause without a full stop, ready to follow `error: `. Text that came from a
/// server or a message goes into it through [`crate::text::Untrusted`] only.
#[derive(Clone)]
pub struct Failure(Box<Parts>);

#[derive(Clone)]
struct Parts {
    kind: Kind,
    /// The message, with its causes. Shared, since a failure may be reported in several places.
    error: Arc<anyhow::Error>,
    hints: Vec<String>,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Failure::of(kind, anyhow::Error::msg(message.into()))
    }

    /// The failure of this kind that an error is, with its message and its causes.
    pub fn of(kind: Kind, error: impl Into<anyhow::Error>) -> Self {
        Failure(Box::new(Parts {
            kind,
            error: Arc::new(error.into()),
            hints: Vec::new(),
        }))
    }

    /// Adds what caused it. Of the cause only the text stays; [`Failure::of`] keeps the type.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = anyhow::Error::from_boxed(source.into());
        self.0.error = Arc::new(source.context(self.message()));
        self
    }

    /// Adds what a person can do about it: a sentence, as it will be shown after `hint: `.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hints.push(hint.into());
        self
    }

    /// The same, of another kind.
    #[must_use]
    pub fn of_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The same, with another wording of its message and its hints.
    #[must_use]
    pub fn reworded(mut self, word: impl Fn(String) -> String) -> Self {
        let causes = self.0.error.chain().skip(1).map(|cause| cause.to_string());
        let causes: Vec<_> = causes.collect();
        let message = word(self.message());
        let mut messages = causes.into_iter().rev().chain([message]);
        let innermost = anyhow::Error::msg(messages.next().unwrap_or_default());
        self.0.error = Arc::new(messages.fold(innermost, anyhow::Error::context));
        self.0.hints = self.0.hints.into_iter().map(word).collect();
        self
    }

    /// What decides the exit status.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What happened and where, without the cause.
    #[must_use]
    pub fn message(&self) -> String {
        self.0.error.to_string()
    }

    /// What a person can do about it, in the order to try.
    #[must_use]
    pub fn hints(&self) -> &[String] {
        &self.0.hints
    }
}

/// What happened, then each cause after a colon, on one line.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0.error)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.error.source()
    }
}

/// Turns an error of another kind into a [`Failure`] that says where it happened.
pub trait OrFail<T> {
    /// The value, or a failure of this kind caused by the error.
    fn or_fail<M: Into<String>>(self, kind: Kind, message: impl FnOnce() -> M) -> Result<T>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> OrFail<T> for std::result::Result<T, E> {
    fn or_fail<M: Into<String>>(self, kind: Kind, message: impl FnOnce() -> M) -> Result<T> {
        self.map_err(|error| Failure::new(kind, message()).because(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_each_cause_once() {
        let low = std::io::Error::other("no space left on device");
        let failure = Failure::new(Kind::Io, "cannot write /mail/new/1")
            .because(low)
            .hint("Free some space.");
        assert_eq!(
            failure.to_string(),
            "cannot write /mail/new/1: no space left on device"
        );
        assert_eq!(failure.message(), "cannot write /mail/new/1");
        assert_eq!(failure.hints(), ["Free some space."]);
    }

    #[test]
    fn a_signal_becomes_the_status_a_shell_expects() {
        assert_eq!(Kind::Interrupted(2).status(), 130);
        assert_eq!(Kind::Interrupted(15).status(), 143);
    }
}
