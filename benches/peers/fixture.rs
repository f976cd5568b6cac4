//! A maildrop, a home, and a program that fetches from the one into the other.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::shared::fetcher::{Store, body, stored};
use crate::support::mailbox::Mailbox;
use crate::support::sandbox::{Outcome, Running, Sandbox};

/// The longest that a run may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A maildrop and a home.
pub(crate) struct Fixture {
    pub(crate) mailbox: Mailbox,
    pub(crate) sandbox: Sandbox,
    /// The bodies of all messages that ever were in the maildrop, and their unique-ids.
    bodies: Vec<(Vec<u8>, String)>,
}

/// What became of the messages: how many of them are not as they are to be.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Gone from the server, and not stored whole.
    pub(crate) lost: usize,
    /// Still on the server, and not stored whole.
    pub(crate) missing: usize,
    /// Stored more often than they came.
    pub(crate) duplicated: usize,
    /// Stored texts that are no message of the maildrop, or not all of one.
    pub(crate) partial: usize,
}

impl Fixture {
    /// An empty home for the mail of this maildrop.
    pub(crate) fn new(mailbox: Mailbox, mut sandbox: Sandbox) -> Self {
        sandbox.time_limit(TIMEOUT);
        // Getmail delivers as another user where it is run by root.
        for directory in sandbox.home("").ancestors().take(2) {
            fs::set_permissions(directory, Permissions::from_mode(0o711))
                .expect("our own directory");
        }
        let texts = mailbox.stored_forms();
        let bodies = texts.iter().map(|text| body(text).to_vec());
        Fixture {
            bodies: bodies.zip(mailbox.uids()).collect(),
            mailbox,
            sandbox,
        }
    }

    /// Where it all is.
    pub(crate) fn home(&self) -> PathBuf {
        self.sandbox.home("")
    }

    /// Starts a program in a process group of its own.
    pub(crate) fn start(&self, mut command: Command) -> Run {
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let name = command.get_program().to_string_lossy().into_owned();
        let running = self.sandbox.watch(command.process_group(0), &name);
        Run {
            group: running.id(),
            running,
        }
    }

    /// What became of the messages.
    pub(crate) fn tally(&self, store: Store) -> Tally {
        let left = self.mailbox.uids();
        let mut copies: BTreeMap<&[u8], i64> = BTreeMap::new();
        for (body, _) in &self.bodies {
            *copies.entry(body).or_default() -= 1;
        }
        let mut tally = Tally::default();
        for text in stored(&self.home(), store) {
            match copies.get_mut(body(&text)) {
                Some(count) => *count += 1,
                None => tally.partial += 1,
            }
        }
        for (body, uid) in &self.bodies {
            match copies[body.as_slice()] {
                ..0 if left.contains(uid) => tally.missing += 1,
                ..0 => tally.lost += 1,
                0 => {}
                1.. => tally.duplicated += 1,
            }
        }
        tally
    }
}

/// A program at work.
pub(crate) struct Run {
    running: Running,
    group: u32,
}

impl Run {
    /// The process group of all that it starts.
    pub(crate) fn group(&self) -> u32 {
        self.group
    }

    /// Waits for its end; none if that takes too long. Nothing that it started stays.
    pub(crate) fn finish(self) -> Option<Outcome> {
        let outcome = self.running.finish_in_time();
        kill_group(self.group);
        outcome
    }
}

/// Kills a process group, if it is still there.
pub(crate) fn kill_group(leader: u32) {
    let group = i32::try_from(leader).ok().and_then(Pid::from_raw);
    let _ = kill_process_group(group.expect("a child has an id"), Signal::KILL);
}
