//! A maildrop, a server and a sandbox in which a run is killed; and what must be true afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::support::mailbox::Mailbox;
use crate::support::messages::{Generator, Shape, small};
use crate::support::sandbox::{Outcome, Sandbox};
use crate::support::server::Server;

/// What is to be done when the run is killed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scenario {
    /// Where the messages go.
    pub(super) destinations: &'static [&'static str],
    /// How many messages a batch has.
    pub(super) batch: usize,
    /// The rule for the server.
    pub(super) retention: &'static str,
    /// What an earlier run has done, undisturbed.
    pub(super) before: Before,
}

/// What an earlier run has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// There was none.
    Nothing,
    /// It has stored everything, and deleted nothing.
    Stored,
    /// The same; then the server has given every message another id.
    Renumbered,
    /// And a second run has found that out.
    Recognised,
}

/// More than any test has messages.
pub(super) const MANY: usize = 100;

const MAILDIR: &[&str] = &["maildir:~/Mail/it"];
const MBOX: &[&str] = &["mbox:~/Mail/it.mbox"];
const BOTH: &[&str] = &["maildir:~/Mail/it", "mbox:~/Mail/it.mbox"];

impl Scenario {
    /// Every combination that takes other steps than the rest.
    pub(super) fn all() -> Vec<Scenario> {
        let mut all = Vec::new();
        for destinations in [MAILDIR, MBOX, BOTH] {
            for batch in [1, MANY] {
                for retention in ["always", "never"] {
                    all.push(Scenario {
                        destinations,
                        batch,
                        retention,
                        before: Before::Nothing,
                    });
                }
            }
            for before in [Before::Stored, Before::Renumbered, Before::Recognised] {
                all.push(Scenario {
                    destinations,
                    batch: MANY,
                    retention: "never",
                    before,
                });
            }
        }
        all
    }

    /// Those that delete, without anything done before.
    pub(super) fn deleting() -> impl Iterator<Item = Scenario> {
        let deleting = |scenario: &Scenario| {
            scenario.retention == "never" && scenario.before == Before::Nothing
        };
        Self::all().into_iter().filter(deleting)
    }

    /// Everything up to the run that will be killed.
    pub(super) fn fixture(self) -> Fixture {
        self.fixture_in(Sandbox::new())
    }

    /// The same in this sandbox.
    pub(super) fn fixture_in(self, sandbox: Sandbox) -> Fixture {
        let mailbox = Mailbox::with(small(SMALL));
        // Larger than any buffer on its way.
        let large = Generator::new(7).message(Shape::Plain, 200_000);
        mailbox.add("large", large);
        let mut fixture = Fixture {
            server: Server::start(&mailbox),
            expected: mailbox.stored_forms(),
            uids: mailbox.uids(),
            mailbox,
            sandbox,
            scenario: self,
        };
        if self.before != Before::Nothing {
            fixture.configure("always");
            fixture.sync(&[], &[]).ends_with(0);
        }
        if matches!(self.before, Before::Renumbered | Before::Recognised) {
            fixture.mailbox.renumber("moved-");
            fixture.uids = fixture.mailbox.uids();
        }
        if self.before == Before::Recognised {
            fixture.sync(&[], &[]).ends_with(0);
        }
        fixture.configure(self.retention);
        fixture
    }
}

/// This many small messages, and a large one: there is a first, a last, and one between them.
const SMALL: usize = 2;

/// A maildrop, a server, a sandbox.
pub(super) struct Fixture {
    pub(super) scenario: Scenario,
    pub(super) sandbox: Sandbox,
    pub(super) mailbox: Mailbox,
    pub(super) server: Server,
    uids: Vec<String>,
    expected: Vec<Vec<u8>>,
}

impl Fixture {
    /// The unique-ids of all messages, in the order of their numbers.
    pub(super) fn uids(&self) -> &[String] {
        &self.uids
    }

    fn configure(&self, retention: &str) {
        let endpoint = self.server.endpoint();
        // An account is added to the file, and there is to be one.
        self.sandbox.configure("");
        let deliver = format!("{:?}", self.scenario.destinations);
        let account = self.sandbox.account("it", &endpoint);
        account
            .set("deliver", &deliver)
            .set("leave_on_server", &format!("{retention:?}"))
            .write();
    }

    /// Runs `sync`, under this program, with these variables, until its end and that of its session.
    pub(super) fn sync(&self, under: &[&str], variables: &[(&str, &str)]) -> Outcome {
        let batch = self.scenario.batch.to_string();
        let all = [&[("POPFETCH_TEST_BATCH", batch.as_str())], variables].concat();
        let outcome = self.sandbox.start_with(under, &["sync"], &all).finish();
        self.server.sessions();
        outcome
    }

    /// What may be gone on the server by now is stored, wherever it is to be.
    #[track_caller]
    pub(super) fn has_lost_nothing(&self, context: &str) {
        let left = self.mailbox.uids();
        for destination in self.scenario.destinations {
            let stored = self.sandbox.stored_at(destination);
            for (uid, text) in self.uids.iter().zip(&self.expected) {
                let safe = left.contains(uid) || stored.contains(text);
                assert!(safe, "{context}: {uid} is lost in {destination}");
            }
        }
    }

    /// The next run completes what was begun, and the one after it finds nothing to do.
    #[track_caller]
    pub(super) fn completes(&self, context: &str) {
        let outcome = self.sync(&[], &[]);
        assert_eq!(outcome.status, Some(0), "{context}: {outcome:#?}");
        self.is_complete(context);
        let before = self.traces();
        let outcome = self.sync(&[], &[]);
        assert_eq!(outcome.status, Some(0), "{context}: {outcome:#?}");
        assert_eq!(before, self.traces(), "{context}: the second run did work");
    }

    /// All is as after a run that was not disturbed.
    #[track_caller]
    pub(super) fn is_complete(&self, context: &str) {
        for destination in self.scenario.destinations {
            self.sandbox.holds_at(destination, &self.expected, context);
        }
        let left = self.mailbox.uids();
        match self.scenario.retention {
            "never" => assert!(left.is_empty(), "{context}: {left:?} left on the server"),
            _ => assert_eq!(left, self.uids, "{context}: on the server"),
        }
    }

    /// How long each file below the mail and the state is.
    pub(super) fn lengths(&self) -> BTreeMap<PathBuf, u64> {
        let length = |(path, (_, _, length))| (path, length);
        self.files().into_iter().map(length).collect()
    }

    /// Everything that a run which does something changes: files, journal, what the server was asked.
    fn traces(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let asked = (self.server.retrievals(), self.server.deletions());
        (self.files(), asked)
    }

    fn files(&self) -> BTreeMap<PathBuf, (i64, i64, u64)> {
        let mut files = BTreeMap::new();
        collect(&self.sandbox.home("Mail"), &mut files);
        collect(&self.sandbox.state(), &mut files);
        files
    }
}

/// The files below a directory: when they were changed, and how long they are.
fn collect(directory: &Path, into: &mut BTreeMap<PathBuf, (i64, i64, u64)>) {
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.expect("a directory can be read").path();
        let metadata = fs::metadata(&path).expect("a file that stays");
        if metadata.is_dir() {
            collect(&path, into);
        } else {
            let trace = (metadata.mtime(), metadata.mtime_nsec(), metadata.len());
            into.insert(path, trace);
        }
    }
}
