//! What the work tells whoever watches. The library reports here and never prints; progress bars,
//! the log, `--json` and the tests are listeners.

use crate::mail::UniqueId;

/// What a session is doing, in the order it does it. Timings and deadlines are named after these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Looking up the host's addresses.
    Resolve,
    /// Opening the TCP connection.
    Connect,
    /// The TLS handshake; with STLS also the dialogue before it.
    Tls,
    /// From the greeting to the open maildrop.
    Auth,
    /// STAT, UIDL and LIST.
    List,
    /// Retrieving, storing, deleting, and QUIT.
    Transfer,
}

/// Something that happened to one account.
#[derive(Debug)]
pub enum Event<'a> {
    /// This phase begins.
    Phase(Phase),
    /// The plan is made: so much will be retrieved.
    Planned {
        /// How many messages.
        messages: u64,
        /// Their sizes by LIST, added up; 0 where the server gave none.
        octets: u64,
    },
    /// So many more octets of messages came from the server.
    Received {
        /// As they came, with CRLF counted as two.
        octets: u64,
    },
    /// A message is stored, durably where its destination can be.
    Stored {
        /// Its unique-id.
        uid: &'a UniqueId,
        /// Its size as it came.
        octets: u64,
    },
    /// A message could not be retrieved or stored; it is left on the server.
    MessageFailed,
    /// The server marked so many more messages as deleted.
    Deleting {
        /// How many.
        messages: u64,
    },
    /// Something is odd but work goes on: one sentence, safe to show.
    Warning(&'a str),
    /// Something went wrong that is not worth telling unless asked: it is tried again, and told as a
    /// failure if that does not help.
    Remark(&'a str),
}

/// Somebody who watches. Called from several threads, and with the work waiting: an implementation is quick.
pub trait Monitor: Sync {
    /// This happened to the account of this name.
    fn event(&self, account: &str, event: &Event<'_>);
}

/// Nobody watches.
pub struct Silent;

impl Monitor for Silent {
    fn event(&self, _account: &str, _event: &Event<'_>) {}
}
