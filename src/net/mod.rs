//! A byte stream to a server: resolve, connect, TLS, deadlines with a name for each phase.
//!
//! ```text
//!   open:  resolve → connect → Stream ─ secure ─→ Stream over TLS
//!                      ↑                  ↑
//!                 CancelToken     TlsConnector (built beside)
//!
//!   Stream     says what it waits for, and gives errors their names
//!   TLS        or nothing
//!   Socket     64 KB buffer, timeouts, the true reason of an end
//!   TcpStream
//! ```
//!
//! Nothing here knows a protocol; its client tells the stream what it waits for.

mod connect;
mod deadline;
mod error;
mod probe;
mod resolve;
mod socket;
mod stream;
#[cfg(test)]
mod testing;
mod tls;

use std::time::Duration;

use crate::cancel::CancelToken;

pub use connect::{MAX_ADDRESSES, connect};
pub use deadline::{Awaited, MIN_RATE};
pub use error::{Error, Result};
pub use probe::speaks_tls;
pub use resolve::resolve;
pub use stream::Stream;
pub use tls::{
    Certificate, CertificateError, CertificateProblem, ClientCertificate, Fingerprint,
    InvalidFingerprint, InvalidTlsVersion, PolicyError, TlsConnector, TlsConnectors, TlsPolicy,
    TlsProblem, TlsVersion,
};

/// A server, and how long it may keep us waiting.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint<'a> {
    /// Its name or address, as a person wrote it.
    pub host: &'a str,
    /// The TCP port.
    pub port: u16,
    /// The name its certificate must be made for: usually the host.
    pub server_name: &'a str,
    /// The longest that looking up the host, connecting to it and the TLS handshake may each take, and
    /// the longest silence afterwards.
    pub timeout: Duration,
}

/// A step of [`open`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Looking up the host's addresses.
    Resolve,
    /// Opening the TCP connection.
    Connect,
    /// The TLS handshake.
    Tls,
}

/// Connects to a server; with a connector, under TLS from the first byte. Then the greeting is due.
///
/// `begins` is called with each step as it begins. For STLS, give no connector here, and [`Stream::secure`] the
/// stream after the dialogue.
///
/// # Errors
///
/// As [`resolve()`], [`connect()`] and [`Stream::secure`].
pub fn open(
    endpoint: &Endpoint<'_>,
    connector: Option<&TlsConnector>,
    token: &CancelToken,
    begins: &mut dyn FnMut(Step),
) -> Result<Stream> {
    let &Endpoint {
        host,
        port,
        server_name,
        timeout,
    } = endpoint;
    begins(Step::Resolve);
    let addresses = resolve(host, port, timeout, token)?;
    begins(Step::Connect);
    let connection = connect(host, &addresses, timeout, token)?;
    let stream = Stream::new(connection, host, timeout, token);
    let Some(connector) = connector else {
        return Ok(stream);
    };
    begins(Step::Tls);
    let mut stream = stream.secure(connector, server_name)?;
    stream.wait_for(Awaited::GREETING);
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use testing::{AMPLE, Authority, Leaf, Server, closed_port};

    fn endpoint(host: &str, port: u16) -> Endpoint<'_> {
        Endpoint {
            host,
            port,
            server_name: host,
            timeout: AMPLE,
        }
    }

    #[test]
    fn a_server_is_opened_step_by_step_up_to_its_greeting() {
        let authority = Authority::new("root");
        let identity = authority.issue(&Leaf::good("127.0.0.1"));
        let server = Server::tls(identity, |mut protected| {
            std::io::Write::write_all(&mut protected, b"+OK ready").unwrap();
        });
        let mut steps = Vec::new();
        let mut stream = open(
            &endpoint("127.0.0.1", server.address.port()),
            Some(&authority.connector()),
            &CancelToken::new(),
            &mut |step| steps.push(step),
        )
        .unwrap();
        let mut greeting = [0; 64];
        assert_eq!(stream.read(&mut greeting).unwrap(), 9);
        assert_eq!(steps, [Step::Resolve, Step::Connect, Step::Tls]);
        assert!(stream.is_protected());
        server.finish();
    }

    #[test]
    fn without_a_connector_the_stream_is_in_the_clear_and_there_is_no_tls_step() {
        let server = Server::new(drop);
        let mut steps = Vec::new();
        let stream = open(
            &endpoint("127.0.0.1", server.address.port()),
            None,
            &CancelToken::new(),
            &mut |step| steps.push(step),
        )
        .unwrap();
        assert_eq!(steps, [Step::Resolve, Step::Connect]);
        assert!(!stream.is_protected());
        server.finish();
    }

    #[test]
    fn the_step_that_failed_is_the_last_that_began() {
        let closed = closed_port([127, 0, 0, 4].into());
        let mut steps = Vec::new();
        let error = open(
            &endpoint("127.0.0.4", closed.address.port()),
            None,
            &CancelToken::new(),
            &mut |step| steps.push(step),
        )
        .unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        assert_eq!(steps, [Step::Resolve, Step::Connect]);
    }
}
