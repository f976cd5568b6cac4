//! How a server behaves.

use std::collections::{BTreeMap, BTreeSet};

use openssl::ssl::SslAcceptor;

use super::fault::{ANY, Fault};
use super::sasl::ScramLies;
use super::serving::Serving;
use super::{PASSWORD, USER};
use crate::support::mailbox::Mailbox;

/// How the connection is protected.
#[derive(Clone)]
pub(super) enum Security {
    None,
    Stls(SslAcceptor),
    Implicit(SslAcceptor),
}

/// The states in which CAPA can be asked, each with answers of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// Before login, and before STLS where there is STLS.
    Greeted,
    /// After STLS, before login.
    Secured,
    /// After login.
    LoggedIn,
}

/// How commands are taken that were sent before the answers to those before them came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pipelining {
    /// Announced, and right.
    Works,
    /// Not announced. Sending ahead is a violation.
    Absent,
    /// Announced, but what was sent ahead is lost.
    Drops,
    /// Announced, but the connection ends when something was sent ahead.
    Disconnects,
    /// Announced, but the status line of the next message comes before the last one's final dot.
    Interleaves,
    /// Announced, but of two messages the second is sent first.
    Swaps,
}

/// A fault and where it strikes.
#[derive(Clone)]
pub(super) struct Placed {
    step: String,
    fault: Fault,
    /// How often the step passes before it strikes.
    spared: usize,
    left: usize,
}

/// All of it.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) accounts: BTreeMap<String, (String, Mailbox)>,
    pub(super) security: Security,
    pub(super) timestamp: Option<String>,
    pub(super) capabilities: BTreeMap<State, Vec<String>>,
    /// What SASL announces.
    pub(super) mechanisms: String,
    pub(super) scram: ScramLies,
    pub(super) pipelining: Pipelining,
    pub(super) window: Option<usize>,
    pub(super) expires_at_once: bool,
    pub(super) knows_utf8: bool,
    pub(super) claimed_sizes: BTreeMap<usize, u64>,
    pub(super) claimed_by_uid: BTreeMap<String, u64>,
    pub(super) counts_line_ends_as_one: bool,
    pub(super) added_to_stat: u64,
    /// Commands that are neither announced nor known.
    pub(super) lacks: BTreeSet<&'static str>,
    /// How messages are sent, by unique-id or [`ANY`].
    pub(super) servings: Vec<(String, Serving)>,
    pub(super) faults: Vec<Placed>,
    /// How many octets of good answers went out, in all sessions, and how many may.
    pub(super) sent: usize,
    pub(super) most: usize,
}

impl Settings {
    pub(super) fn new(mailbox: &Mailbox) -> Self {
        let account = (PASSWORD.to_owned(), mailbox.clone());
        Settings {
            accounts: BTreeMap::from([(USER.to_owned(), account)]),
            security: Security::None,
            timestamp: None,
            capabilities: BTreeMap::new(),
            mechanisms: "PLAIN".to_owned(),
            scram: ScramLies::default(),
            pipelining: Pipelining::Works,
            window: None,
            expires_at_once: false,
            knows_utf8: false,
            claimed_sizes: BTreeMap::new(),
            claimed_by_uid: BTreeMap::new(),
            counts_line_ends_as_one: false,
            added_to_stat: 0,
            lacks: BTreeSet::new(),
            servings: Vec::new(),
            faults: Vec::new(),
            sent: 0,
            most: usize::MAX,
        }
    }

    /// How much of a good answer of this length goes out.
    pub(super) fn let_out(&mut self, length: usize) -> usize {
        let length = length.min(self.most - self.sent);
        self.sent += length;
        length
    }

    /// How the message with this unique-id is sent, if not as it should be.
    pub(super) fn serving(&self, uid: &str) -> Option<Serving> {
        let fits = |(name, _): &&(String, Serving)| name == ANY || name == uid;
        self.servings.iter().find(fits).map(|(_, serving)| *serving)
    }

    pub(super) fn place(&mut self, step: &str, fault: Fault, times: usize) {
        self.faults.push(Placed {
            step: step.to_owned(),
            fault,
            spared: 0,
            left: times,
        });
    }

    pub(super) fn place_after(&mut self, times: usize, step: &str, fault: Fault) {
        self.place(step, fault, usize::MAX);
        if let Some(placed) = self.faults.last_mut() {
            placed.spared = times;
        }
    }

    /// The fault that strikes at a step that goes by these names, and counts it.
    pub(super) fn strike(&mut self, names: &[&str]) -> Option<Fault> {
        let fits = |placed: &&mut Placed| {
            let step = placed.step.as_str();
            placed.left > 0 && (step == ANY || names.contains(&step))
        };
        let placed = self.faults.iter_mut().find(fits)?;
        if placed.spared > 0 {
            placed.spared -= 1;
            return None;
        }
        placed.left -= 1;
        Some(placed.fault.clone())
    }

    /// What CAPA answers in this state.
    pub(super) fn capabilities_in(&self, state: State) -> Vec<String> {
        if let Some(lines) = self.capabilities.get(&state) {
            return lines.clone();
        }
        let sasl = format!("SASL {}", self.mechanisms);
        let mut lines = vec!["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE"];
        if self.pipelining != Pipelining::Absent {
            lines.push("PIPELINING");
        }
        if self.expires_at_once {
            lines.push("EXPIRE 0");
        }
        if self.knows_utf8 {
            lines.push("UTF8 USER");
        }
        if state != State::LoggedIn {
            lines.extend(["USER", &sasl]);
        }
        if state == State::Greeted && matches!(self.security, Security::Stls(_)) {
            lines.push("STLS");
        }
        lines.retain(|line| !self.lacks.contains(line));
        lines.into_iter().map(str::to_owned).collect()
    }
}
