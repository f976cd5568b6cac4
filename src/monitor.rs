//! What happens while an account is worked on, reported once: the report of a run is made of it, and
//! progress bars, the log and the tests listen to it. The library reports here and never prints.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::Failure;
use crate::mail::{Number, UniqueId};

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

/// How many messages, and their sizes added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// How many messages.
    pub messages: u64,
    /// Their sizes in octets, with CRLF counted as two.
    pub octets: u64,
}

impl Tally {
    /// One more message, of this size.
    pub fn count(&mut self, octets: u64) {
        self.messages += 1;
        // Sizes come from the server's listing and may be anything.
        self.octets = self.octets.saturating_add(octets);
    }
}

/// A message that could not be retrieved, stored or deleted; it is left on the server.
#[derive(Debug, Clone)]
pub struct FailedMessage {
    /// Its number in that session.
    pub number: Number,
    /// Its unique-id, where the server gave one.
    pub uid: Option<UniqueId>,
    /// Why.
    pub failure: Failure,
}

/// A message that failed or was withheld.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Which, and why.
    pub message: FailedMessage,
    /// Its size.
    pub octets: u64,
    /// It is stored as it came, and stays on the server.
    pub is_withheld: bool,
}

impl Problem {
    /// A message that could not be retrieved, stored or deleted.
    #[must_use]
    pub fn failed(octets: u64, message: FailedMessage) -> Self {
        Problem {
            message,
            octets,
            is_withheld: false,
        }
    }

    /// A message that is stored as it came, and stays on the server.
    #[must_use]
    pub fn withheld(octets: u64, message: FailedMessage) -> Self {
        Problem {
            message,
            octets,
            is_withheld: true,
        }
    }
}

/// Something that happened to one account.
#[derive(Debug)]
pub enum Event<'a> {
    /// This phase begins.
    Phase(Phase),
    /// This phase is over, after so long; it may come again.
    PhaseEnded(Phase, Duration),
    /// Another session begins. What failed in the ones before stays failed, but is counted once where it fails again.
    SessionBegins,
    /// The maildrop is listed and the plan is made. What failed earlier in this session, or in one that it replaces, is
    /// planned anew.
    Planned {
        /// What the server has.
        server: Tally,
        /// What will be retrieved; sizes are 0 where the server gave none.
        retrieve: Tally,
        /// What would be, but is left for a later run: larger than `--max-size` or beyond `--limit`.
        skipped: Tally,
        /// What failed before and is left alone this time.
        problems: Vec<Problem>,
    },
    /// So many more octets of messages came from the server.
    Received {
        /// As they came, with CRLF counted as two.
        octets: u64,
    },
    /// One destination at least took a message in that is new there, whether or not all did.
    Placed,
    /// A message is stored, durably where its destination can be.
    Stored {
        /// Its unique-id.
        uid: &'a UniqueId,
        /// Its size as it came.
        octets: u64,
    },
    /// A message could not be retrieved or stored, or is withheld: it is left on the server.
    MessageFailed(&'a Problem),
    /// A message lacks a destination that takes no more mail, which is reported once for all messages.
    NotStored {
        /// Its size as it came.
        octets: u64,
    },
    /// The server marked so many more messages as deleted.
    Deleting {
        /// How many.
        messages: u64,
    },
    /// The server refused to delete a message.
    NotDeleted(&'a Problem),
    /// A message is deleted on the server.
    Deleted {
        /// Its size by LIST.
        octets: u64,
    },
    /// Something is odd but work goes on: one sentence, safe to show.
    Warning(&'a str),
    /// Something went wrong that is reported only with `-v`: it is tried again, and reported as a
    /// failure if that does not help.
    Remark(&'a str),
}

/// A listener. Called from several threads, and with the work waiting: an implementation is quick.
pub trait Monitor: Sync {
    /// This happened to the account of this name.
    fn event(&self, account: &str, event: &Event<'_>);
}

/// Reports the phases of an account's session and how long each took, also one that fails.
pub struct Phases<'a> {
    account: &'a str,
    monitor: &'a dyn Monitor,
    running: Option<(Phase, Instant)>,
}

impl<'a> Phases<'a> {
    /// None has begun yet.
    pub fn new(account: &'a str, monitor: &'a dyn Monitor) -> Self {
        Phases {
            account,
            monitor,
            running: None,
        }
    }

    /// This phase ends the one before.
    pub fn begin(&mut self, phase: Phase) {
        self.resume(phase);
        self.monitor.event(self.account, &Event::Phase(phase));
    }

    /// The same for a phase that was interrupted, and whose beginning was reported.
    pub fn resume(&mut self, phase: Phase) {
        self.end();
        self.running = Some((phase, Instant::now()));
    }

    fn end(&mut self) {
        if let Some((phase, began)) = self.running.take() {
            let ended = Event::PhaseEnded(phase, began.elapsed());
            self.monitor.event(self.account, &ended);
        }
    }
}

impl Drop for Phases<'_> {
    fn drop(&mut self) {
        self.end();
    }
}
