//! A server that stays silent may be waiting for TLS to begin.

use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::{Endpoint, connect, resolve};
use crate::cancel::{CancelToken, Wait};

/// How long the question may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether TLS from the first byte is spoken there: tried with a connection of its own, on which
/// nothing but a handshake is sent.
#[must_use]
pub fn speaks_tls(endpoint: &Endpoint<'_>, token: &CancelToken) -> bool {
    let limit = PROBE_TIMEOUT.min(endpoint.timeout);
    let connected = resolve(endpoint.host, endpoint.port, limit, token)
        .and_then(|addresses| connect(endpoint.host, &addresses, limit, token));
    let Ok(connection) = connected else {
        return false;
    };
    let name = endpoint.server_name.to_owned();
    let (report, news) = mpsc::channel();
    // A server that drips byte after byte could hold the handshake for ever: it has a thread of its own.
    let ask = move || report.send(shakes_hands(connection, &name, limit));
    let asked = thread::Builder::new()
        .name("tls question".into())
        .spawn(ask);
    asked.is_ok() && Wait::at_most(limit, token).receive(&news) == Ok(Some(true))
}

/// Which server it is does not matter: nothing is said to it.
fn shakes_hands(connection: TcpStream, name: &str, limit: Duration) -> bool {
    let limited = connection
        .set_read_timeout(Some(limit))
        .and_then(|()| connection.set_write_timeout(Some(limit)));
    let connector = native_tls::TlsConnector::builder()
        .danger_accept_invalid_certs(true)
        .danger_accept_invalid_hostnames(true)
        .build();
    let (Ok(()), Ok(connector)) = (limited, connector) else {
        return false;
    };
    connector.connect(name, connection).is_ok()
}
