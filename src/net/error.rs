//! Why there is no connection to a server, or no longer one.

use std::io;
use std::time::Duration;

use super::deadline::{Awaited, MIN_RATE, Seconds};
use super::tls::{Certificate, CertificateError, PolicyError, TlsProblem, TlsVersion};

/// The result of work on a connection.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no connection to a server, or no longer one. Names and texts in it are safe to show.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host's name has no address. Every failure of the system's resolver is this, also where it calls the
    /// failure temporary: that is what it says of any name on a machine without a working name server, and a wrong
    /// name must not look as if waiting would help.
    #[error("no address is known for the host {host}")]
    UnknownHost {
        /// The name.
        host: String,
        /// What the resolver says.
        #[source]
        source: Option<io::Error>,
    },
    /// No name server answered in time.
    #[error("timed out: no name server answered with the address of {host} within {}", Seconds(*.limit))]
    ResolveTimeout {
        /// The name.
        host: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// None of the addresses can be connected to.
    #[error("cannot connect to {target}{attempts}")]
    Unreachable {
        /// Host and port.
        target: String,
        /// What happened at each address.
        attempts: String,
        /// The host refused: nothing listens at that port.
        is_refused: bool,
    },
    /// Some addresses did not answer in time, and the others failed.
    #[error(
        "timed out: no answer from {target} within {} (waiting for the connection){attempts}",
        Seconds(*.limit)
    )]
    ConnectTimeout {
        /// Host and port.
        target: String,
        /// What happened at each address.
        attempts: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The wait was cancelled. Where that was done by a signal, the run ends with the signal's own error.
    #[error("stopped while {activity}")]
    Cancelled {
        /// What for.
        activity: String,
    },
    /// The system gives us no thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// Nothing came for too long.
    #[error(
        "timed out: no answer from {host} within {} (waiting for {awaited})",
        Seconds(*.limit)
    )]
    ReadTimeout {
        /// The server.
        host: String,
        /// How long it was waited for.
        limit: Duration,
        /// What was expected.
        awaited: Awaited,
    },
    /// Less than [`MIN_RATE`] octets a second came for too long.
    #[error(
        "timed out: {host} sent less than {MIN_RATE} octets a second over {} (waiting for {awaited})",
        Seconds(*.limit)
    )]
    TooSlow {
        /// The server.
        host: String,
        /// How long it was so slow.
        limit: Duration,
        /// What was expected.
        awaited: Awaited,
    },
    /// The server did not take what we sent in time.
    #[error("timed out: {host} did not take what we sent within {}", Seconds(*.limit))]
    WriteTimeout {
        /// The server.
        host: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The connection broke.
    #[error("the connection to {host} was lost (waiting for {awaited})")]
    Lost {
        /// The server.
        host: String,
        /// What was expected.
        awaited: Awaited,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A file that the account names for TLS cannot be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// This can be no server's name.
    #[error("\"{name}\" can be no server's name")]
    InvalidName {
        /// The name.
        name: String,
    },
    /// OpenSSL cannot make a TLS connector.
    #[error("TLS cannot be set up here: {reason}")]
    Setup {
        /// What OpenSSL says.
        reason: String,
    },
    /// TLS protects the connection already.
    #[error("the connection to {host} already is protected")]
    AlreadyProtected {
        /// The server.
        host: String,
    },
    /// The server sent more before the TLS handshake than it was asked for: somebody in between may have.
    #[error("{host} sent data in plain text before the TLS handshake")]
    DataBeforeHandshake {
        /// The server.
        host: String,
    },
    /// The server answered the TLS handshake in plain text.
    #[error("{host} does not speak TLS on this port: it said \"{said}\"")]
    PlainText {
        /// The server.
        host: String,
        /// The first line of its answer.
        said: String,
    },
    /// The same after the server had agreed to begin with TLS.
    #[error("{host} agreed to TLS and then said \"{said}\" in plain text")]
    PlainTextAfterAgreement {
        /// The server.
        host: String,
        /// The first line of its answer.
        said: String,
    },
    /// The server knows no version of TLS that is new enough for the account.
    #[error("{host} does not speak TLS {least}")]
    OldTls {
        /// The server.
        host: String,
        /// The oldest version that the account accepts.
        least: TlsVersion,
    },
    /// TLS failed for a reason that is known.
    #[error("{}", .problem.message(.host, .name))]
    Tls {
        /// The server.
        host: String,
        /// The name that its certificate must be made for.
        name: String,
        /// What went wrong.
        problem: TlsProblem,
    },
    /// TLS failed for another reason.
    #[error("TLS with {host} failed: {reason}")]
    OtherTls {
        /// The server.
        host: String,
        /// What OpenSSL says.
        reason: String,
    },
    /// The server showed no certificate, or one that makes no sense.
    #[error("{host} shows no certificate that can be read")]
    NoCertificate {
        /// The server.
        host: String,
    },
    /// The server's certificate is not trusted.
    #[error(transparent)]
    Certificate(Box<CertificateError>),
    /// The server's certificate is none of those that the account names.
    #[error("the certificate of {host} is none of those that tls_fingerprints names")]
    NotPinned {
        /// The server.
        host: String,
        /// What it showed.
        certificate: Box<Certificate>,
    },
}
