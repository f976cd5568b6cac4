//! What a program talks to.

use crate::support::server::{Dialogue, Server, SessionLog};

/// A server, or what plays one.
pub(crate) enum Peer {
    Server(Server),
    Dialogue(Dialogue),
}

impl Peer {
    pub(crate) fn port(&self) -> u16 {
        match self {
            Peer::Server(server) => server.endpoint().port,
            Peer::Dialogue(dialogue) => dialogue.endpoint().port,
        }
    }

    pub(crate) fn sessions(&self) -> Vec<SessionLog> {
        match self {
            Peer::Server(server) => server.sessions(),
            Peer::Dialogue(dialogue) => dialogue.sessions(),
        }
    }

    /// Waits until this came.
    pub(crate) fn wait_for(&self, command: &str) {
        if let Peer::Server(server) = self {
            server.wait_for(command);
        }
    }

    pub(crate) fn heal(&self) {
        if let Peer::Server(server) = self {
            server.heal();
        }
    }
}
