//! A byte stream to a server: resolve, connect, TLS, deadlines with a name for each phase.
//!
//! ```text
//!   open:  resolve → connect → Stream ─ secure ─→ Stream over TLS
//!                      ↑                  ↑
//!                 CancelToken     TlsConnector (built beside)
//!
//!   Stream     says what it waits for, and fails in plain words
//!   TLS        or nothing
//!   Socket     64 KB buffer, patience, the true reason of an end
//!   TcpStream
//! ```
//!
//! Nothing here knows POP3; whoever does tells the stream what it waits for.

mod connect;
mod deadline;
mod probe;
mod resolve;
mod socket;
mod stream;
#[cfg(test)]
mod testing;
mod tls;

use std::time::Duration;

use crate::cancel::CancelToken;
use crate::error::{Failure, Kind, Result};
use crate::monitor::Phase;

pub use connect::{ADDRESSES, connect};
pub use deadline::{Awaited, LEAST_RATE};
pub use probe::speaks_tls;
pub use resolve::resolve;
pub use stream::Stream;
pub use tls::{
    Certificate, ClientCertificate, Fingerprint, NotAFingerprint, NotAVersion, TlsConnector,
    TlsConnectors, TlsPolicy, TlsVersion, explained,
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

/// Connects to a server; with a connector, under TLS from the first byte. Then the greeting is due.
///
/// `begins` is told of each phase as it begins. For STLS, give no connector here, and [`Stream::secure`] the
/// stream after the dialogue.
///
/// # Errors
///
/// As [`resolve()`], [`connect()`] and [`Stream::secure`].
pub fn open(
    endpoint: &Endpoint<'_>,
    connector: Option<&TlsConnector>,
    token: &CancelToken,
    begins: &mut dyn FnMut(Phase),
) -> Result<Stream> {
    let &Endpoint {
        host,
        port,
        server_name,
        timeout,
    } = endpoint;
    begins(Phase::Resolve);
    let addresses = resolve(host, port, timeout, token)?;
    begins(Phase::Connect);
    let connection = connect(host, &addresses, timeout, token)?;
    let stream = Stream::new(connection, host, timeout, token);
    let Some(connector) = connector else {
        return Ok(stream);
    };
    begins(Phase::Tls);
    let mut stream = stream.secure(connector, server_name)?;
    stream.wait_for(Awaited::GREETING);
    Ok(stream)
}

/// What a cancelled wait failed with. The kind is provisional: who cancelled knows better why.
fn stopped(activity: &str) -> Failure {
    Failure::new(Kind::Temporary, format!("stopped while {activity}"))
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
    fn a_server_is_opened_phase_by_phase_up_to_its_greeting() {
        let authority = Authority::new("root");
        let identity = authority.issue(&Leaf::good("127.0.0.1"));
        let server = Server::tls(identity, |mut protected| {
            std::io::Write::write_all(&mut protected, b"+OK ready").unwrap();
        });
        let mut phases = Vec::new();
        let mut stream = open(
            &endpoint("127.0.0.1", server.address.port()),
            Some(&authority.connector()),
            &CancelToken::new(),
            &mut |phase| phases.push(phase),
        )
        .unwrap();
        let mut greeting = [0; 64];
        assert_eq!(stream.read(&mut greeting).unwrap(), 9);
        assert_eq!(phases, [Phase::Resolve, Phase::Connect, Phase::Tls]);
        assert!(stream.is_protected());
        server.finish();
    }

    #[test]
    fn without_a_connector_the_stream_is_in_the_clear_and_there_is_no_tls_phase() {
        let server = Server::new(drop);
        let mut phases = Vec::new();
        let stream = open(
            &endpoint("127.0.0.1", server.address.port()),
            None,
            &CancelToken::new(),
            &mut |phase| phases.push(phase),
        )
        .unwrap();
        assert_eq!(phases, [Phase::Resolve, Phase::Connect]);
        assert!(!stream.is_protected());
        server.finish();
    }

    #[test]
    fn the_phase_that_failed_is_the_last_that_began() {
        let closed = closed_port([127, 0, 0, 4].into());
        let mut phases = Vec::new();
        let failure = open(
            &endpoint("127.0.0.4", closed.address.port()),
            None,
            &CancelToken::new(),
            &mut |phase| phases.push(phase),
        )
        .unwrap_err();
        assert_eq!(failure.kind(), Kind::Unreachable);
        assert_eq!(phases, [Phase::Resolve, Phase::Connect]);
    }
}
