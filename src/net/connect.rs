//! From a host's addresses to a connection: the first that answers.

use std::fmt::Write;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::cancel::{CancelToken, Wait, WaitError};
use crate::text::Untrusted;

use super::{Error, Result};

/// How long an address is tried alone before the next one is tried beside it (RFC 8305 section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// The most addresses that are tried; a name server could give any number.
pub const MAX_ADDRESSES: usize = 32;

/// Opens a TCP connection to a host at one of its addresses. All are tried in their order: the next one
/// as soon as one fails, or beside those that keep silent, so that a dead address costs a moment and
/// never the whole `limit`. The connection sends small packets at once (no Nagle).
///
/// # Errors
///
/// None of the addresses can be connected to; some kept silent until `limit`, and the others failed; or cancelled.
pub fn connect(
    host: &str,
    addresses: &[SocketAddr],
    limit: Duration,
    token: &CancelToken,
) -> Result<TcpStream> {
    let addresses = &addresses[..addresses.len().min(MAX_ADDRESSES)];
    let wait = Wait::at_most(limit, token);
    // However short the limit, the last address has half of it.
    let head_start = HEAD_START.min(limit / (2 * addresses.len() as u32).max(1));
    let (report, news) = mpsc::channel();
    let mut untried = addresses.iter();
    let mut attempts = Attempts {
        host,
        addresses,
        refusals: Vec::new(),
    };
    loop {
        if let Some(&address) = untried.next() {
            attempt(address, wait.left(), report.clone())?;
        }
        if attempts.refusals.len() == addresses.len() {
            return Err(attempts.all_failed(limit));
        }
        let timeout = match untried.len() {
            0 => wait.left(),
            _ => wait.left().min(head_start),
        };
        match Wait::at_most(timeout, token).receive(&news) {
            Ok(Some((_, Ok(connection)))) => return Ok(connection),
            Ok(Some((address, Err(error)))) => attempts.refusals.push((address, error)),
            Err(WaitError::Cancelled) => return Err(attempts.cancelled()),
            _ if wait.left().is_zero() => return Err(attempts.timed_out(limit)),
            _ => {}
        }
    }
}

type Outcome = (SocketAddr, io::Result<TcpStream>);

/// Tries one address in a thread. A connection that comes after the wait for it is closed.
fn attempt(address: SocketAddr, limit: Duration, report: mpsc::Sender<Outcome>) -> Result<()> {
    // A limit of zero is refused as nonsense; the deadline is watched elsewhere.
    let limit = limit.max(Duration::from_millis(1));
    thread::Builder::new()
        .name("connect".into())
        .spawn(move || {
            let outcome = TcpStream::connect_timeout(&address, limit).and_then(|connection| {
                connection.set_nodelay(true)?;
                Ok(connection)
            });
            let _ = report.send((address, outcome));
        })
        .map_err(Error::Thread)?;
    Ok(())
}

/// What happened at the addresses so far.
struct Attempts<'a> {
    host: &'a str,
    addresses: &'a [SocketAddr],
    refusals: Vec<(SocketAddr, io::Error)>,
}

impl Attempts<'_> {
    fn all_failed(&self, limit: Duration) -> Error {
        let has = |kind| self.refusals.iter().any(|(_, error)| error.kind() == kind);
        if has(io::ErrorKind::TimedOut) {
            return self.timed_out(limit);
        }
        Error::Unreachable {
            target: self.target(),
            attempts: self.reasons(),
            is_refused: has(io::ErrorKind::ConnectionRefused),
        }
    }

    fn timed_out(&self, limit: Duration) -> Error {
        Error::ConnectTimeout {
            target: self.target(),
            attempts: self.reasons(),
            limit,
        }
    }

    fn cancelled(&self) -> Error {
        Error::Cancelled {
            activity: format!("connecting to {}", self.target()),
        }
    }

    fn target(&self) -> String {
        let host = Untrusted(self.host.as_bytes());
        match self.addresses.first() {
            Some(address) => format!("{host} port {}", address.port()),
            None => host.to_string(),
        }
    }

    /// What became of each address, in the order they were tried: `: 192.0.2.1 refused, 192.0.2.2 did not answer`.
    fn reasons(&self) -> String {
        let mut text = String::new();
        for address in self.addresses {
            let error = self.refusals.iter().find(|(tried, _)| tried == address);
            let reason = error.map_or("did not answer".into(), |(_, error)| in_words(error));
            let mark = if text.is_empty() { ':' } else { ',' };
            // Writing to a string cannot fail.
            let _ = write!(text, "{mark} {} {reason}", address.ip());
        }
        text
    }
}

fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused".into(),
        io::ErrorKind::TimedOut => "did not answer".into(),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            "cannot be reached from here".into()
        }
        _ => format!("failed ({error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Failure, Kind};
    use crate::net::testing::{AMPLE, closed_port, silent_port};
    use std::net::{Ipv4Addr, TcpListener};

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    fn failure(addresses: &[SocketAddr], limit: Duration) -> Failure {
        connected(addresses, limit).unwrap_err().into()
    }

    fn connected(addresses: &[SocketAddr], limit: Duration) -> Result<TcpStream> {
        connect("pop.example.com", addresses, limit, &CancelToken::new())
    }

    #[test]
    fn a_refusing_address_leads_to_the_next() {
        let (_listener, good) = listener();
        let closed = closed_port(Ipv4Addr::new(127, 0, 0, 2));
        let connection = connected(&[closed.address, good], AMPLE).unwrap();
        assert_eq!(connection.peer_addr().unwrap(), good);
        assert!(connection.nodelay().unwrap());
    }

    #[test]
    fn a_silent_address_does_not_use_up_the_time_of_the_next() {
        let silent = silent_port();
        let (_listener, good) = listener();
        let connection = connected(&[silent.address, good], AMPLE).unwrap();
        assert_eq!(connection.peer_addr().unwrap(), good);
    }

    #[test]
    fn nothing_listening_names_host_port_and_every_address() {
        let closed = closed_port(Ipv4Addr::new(127, 0, 0, 2));
        let first = closed.address;
        let second = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 3), first.port()));
        let failure = failure(&[first, second], AMPLE);
        assert_eq!(failure.kind(), Kind::Unreachable);
        assert_eq!(
            failure.message(),
            format!(
                "cannot connect to pop.example.com port {}: 127.0.0.2 refused, 127.0.0.3 refused",
                first.port()
            )
        );
        assert!(failure.hints()[0].contains("995"));
    }

    #[test]
    fn silence_everywhere_ends_at_the_limit() {
        let silent = silent_port();
        let failure = failure(&[silent.address], Duration::from_millis(100));
        assert_eq!(failure.kind(), Kind::Temporary);
        assert_eq!(
            failure.message(),
            format!(
                "timed out: no answer from pop.example.com port {} within 0.1 s \
                 (waiting for the connection): 127.0.0.1 did not answer",
                silent.address.port()
            )
        );
    }

    #[test]
    fn a_silent_address_is_named_beside_one_that_refused() {
        let silent = silent_port();
        let closed = closed_port(Ipv4Addr::new(127, 0, 0, 2));
        let addresses = [closed.address, silent.address];
        let failure = failure(&addresses, Duration::from_millis(100));
        assert_eq!(failure.kind(), Kind::Temporary);
        assert!(
            failure
                .message()
                .ends_with(": 127.0.0.2 refused, 127.0.0.1 did not answer"),
            "{failure}"
        );
    }

    #[test]
    fn connecting_can_be_cancelled() {
        let silent = silent_port();
        let token = CancelToken::new();
        token.cancel();
        let error = connect("pop.example.com", &[silent.address], AMPLE, &token).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("stopped while connecting to pop.example.com port"),
            "{error}"
        );
    }
}
