//! A server that stays silent may be waiting for TLS to begin.

use std::time::Duration;

use super::cancel::Canceller;
use super::{Endpoint, connect, resolve};

/// How long the question may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Whether TLS from the first byte is spoken there: tried with a connection of its own, on which
/// nothing but a handshake is sent.
#[must_use]
pub fn speaks_tls(endpoint: &Endpoint<'_>, canceller: &Canceller) -> bool {
    let limit = LIMIT.min(endpoint.timeout);
    let tried = || -> Option<()> {
        let addresses = resolve(endpoint.host, endpoint.port, limit, canceller).ok()?;
        let connection = connect(endpoint.host, &addresses, limit, canceller).ok()?;
        connection.set_read_timeout(Some(limit)).ok()?;
        connection.set_write_timeout(Some(limit)).ok()?;
        // Whom we would talk to does not matter: nothing is said.
        let connector = native_tls::TlsConnector::builder()
            .danger_accept_invalid_certs(true)
            .danger_accept_invalid_hostnames(true)
            .build()
            .ok()?;
        connector
            .connect(endpoint.server_name, connection)
            .ok()
            .map(drop)
    };
    tried().is_some()
}
