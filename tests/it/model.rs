//! Any maildrop, any faults, any rules, in any order, against a model that fits on a page: what left
//! the server is stored, nothing is stored twice, and in the end everything is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::mailbox::Mailbox;
use crate::support::messages::{Generator, Shape};
use crate::support::sampling::sampled;
use crate::support::sandbox::{Outcome, Sandbox};
use crate::support::server::{Fault, LOGIN, Pipelining, Server};

/// One thing that happens.
#[derive(Debug, Clone)]
enum Event {
    /// This many messages arrive.
    Arrive(usize),
    /// The server gives every message a new unique-id.
    Renumber,
    /// The provider brings back all that is gone, from a backup.
    Restore,
    /// A reader moves all messages, without changing one.
    Tidy,
    /// A reader deletes the copies of a message, chosen by this number.
    Discard(prop::sample::Index),
    /// From now on this goes wrong at this step, until it is healed.
    Fault(&'static str, Fault),
    /// Nothing goes wrong any more.
    Heal,
    /// Days pass, or a clock is set back.
    Days(i64),
    /// A run with this rule, killed at this point if it comes so far.
    Sync(&'static str, Option<usize>),
    /// The same, with standard output in place of the destinations.
    Stream(&'static str, Option<usize>),
}

fn event() -> impl Strategy<Value = Event> {
    let step = prop::sample::select(vec![
        LOGIN, "STAT", "UIDL", "LIST", "RETR 1", "RETR 2", "RETR 4", "DELE 1", "DELE 3", "QUIT",
    ]);
    let fault = prop::sample::select(vec![
        Fault::CloseBefore,
        Fault::CloseUnanswered,
        Fault::CloseAfter,
        Fault::CloseWithin(30),
        Fault::ResetWithin(200),
        Fault::reply("-ERR [SYS/TEMP] no"),
    ]);
    let rule = prop::sample::select(vec!["always", "never", "30d"]);
    let run = (rule, prop::option::of(1..90_usize));
    prop_oneof![
        3 => (1..5_usize).prop_map(Event::Arrive),
        2 => Just(Event::Renumber),
        1 => Just(Event::Restore),
        1 => Just(Event::Tidy),
        1 => any::<prop::sample::Index>().prop_map(Event::Discard),
        2 => (step, fault).prop_map(|(step, fault)| Event::Fault(step, fault)),
        1 => Just(Event::Heal),
        1 => (-20..50_i64).prop_map(Event::Days),
        6 => run.clone().prop_map(|(rule, point)| Event::Sync(rule, point)),
        1 => run.prop_map(|(rule, point)| Event::Stream(rule, point)),
    ]
}

/// Where the messages go, and how large a batch is.
type Manner = (Vec<&'static str>, usize, Pipelining);

fn manner() -> impl Strategy<Value = Manner> {
    let destinations = prop::sample::select(vec![
        vec!["maildir:~/Mail/it"],
        vec!["mbox:~/it.mbox"],
        vec!["mbox:~/it.mbox", "maildir:~/Mail/it"],
    ]);
    let batch = prop::sample::select(vec![1, 2, 100]);
    let pipelining = prop::sample::select(vec![Pipelining::Works, Pipelining::Absent]);
    (destinations, batch, pipelining)
}

/// The real thing and what is known of it.
struct Model {
    sandbox: Sandbox,
    server: Server,
    mailbox: Mailbox,
    destinations: Vec<&'static str>,
    batch: String,
    generator: Generator,
    /// Every text that ever was on the server.
    arrived: Vec<Vec<u8>>,
    /// The same, as the server sends them, with their last unique-ids.
    sent: Vec<(String, Vec<u8>)>,
    /// Those of them whose copies were deleted here.
    discarded: BTreeSet<Vec<u8>>,
    /// Those of them that may go from the server all the same: what is stored under its own id is
    /// deleted when it is due, whatever became of the copy.
    given_up: BTreeSet<Vec<u8>>,
    /// Those of them whose deletion on the server is known to have succeeded.
    deleted: BTreeSet<Vec<u8>>,
    /// Those of them that came back after they were deleted.
    restored: BTreeSet<Vec<u8>>,
    /// Those of these that have another id since: each is taken for a new message, and may be stored once more.
    estranged: BTreeSet<Vec<u8>>,
    renumbered: usize,
    day: i64,
}

impl Model {
    fn new((destinations, batch, pipelining): Manner) -> Self {
        let mailbox = Mailbox::default();
        let server = Server::start(&mailbox).pipelining(pipelining);
        let sandbox = Sandbox::new();
        let account = sandbox.account("it", &server.endpoint());
        account
            .set("deliver", &format!("{destinations:?}"))
            .set("timeout", "\"2s\"")
            .write();
        Model {
            sandbox,
            server,
            mailbox,
            destinations,
            batch: batch.to_string(),
            generator: Generator::new(17),
            arrived: Vec::new(),
            sent: Vec::new(),
            discarded: BTreeSet::new(),
            given_up: BTreeSet::new(),
            deleted: BTreeSet::new(),
            restored: BTreeSet::new(),
            estranged: BTreeSet::new(),
            renumbered: 0,
            day: 1000,
        }
    }

    fn happen(&mut self, event: &Event) -> Result<(), TestCaseError> {
        match event {
            Event::Arrive(count) => (0..*count).for_each(|_| self.arrive()),
            Event::Renumber => {
                self.renumbered += 1;
                self.mailbox
                    .renumber(&format!("moved-{}-", self.renumbered));
                let left = self.mailbox.stored_forms();
                self.given_up.retain(|text| !left.contains(text));
                self.estranged.extend(
                    self.restored
                        .intersection(&left.iter().cloned().collect())
                        .cloned(),
                );
                for (uid, text) in self.mailbox.uids().into_iter().zip(left) {
                    let known = self.arrived.iter().position(|known| *known == text);
                    self.sent[known.expect("it arrived")].0 = uid;
                }
            }
            Event::Restore => {
                let left = self.mailbox.stored_forms();
                for ((uid, wire), text) in self.sent.iter().zip(&self.arrived) {
                    if !left.contains(text) {
                        self.mailbox.add(uid.clone(), wire.clone());
                        self.restored.insert(text.clone());
                    }
                    if self.deleted.remove(text) {
                        self.given_up.remove(text);
                    }
                }
            }
            Event::Tidy => self.tidy(),
            Event::Discard(which) if !self.arrived.is_empty() => {
                let text = which.get(&self.arrived).clone();
                self.discard(&text);
                self.discarded.insert(text.clone());
                self.given_up.insert(text);
            }
            Event::Discard(_) => {}
            Event::Fault(step, fault) => self.server.strike(step, fault.clone()),
            Event::Heal => self.server.heal(),
            Event::Days(days) => self.day += days,
            Event::Sync(rule, point) | Event::Stream(rule, point) => {
                let mut options = vec!["--leave-on-server", rule];
                if matches!(event, Event::Stream(..)) {
                    options.extend(["--to", "mbox:-"]);
                }
                let outcome = self.sync(&options, *point);
                prop_assert!(outcome.status.is_some(), "{outcome:#?}");
                if outcome.status == Some(0) {
                    let left = self.mailbox.stored_forms();
                    let gone = self.arrived.iter().filter(|text| !left.contains(text));
                    self.deleted.extend(gone.cloned());
                }
            }
        }
        self.check()
    }

    fn arrive(&mut self) {
        let size = 300 + 37 * (self.arrived.len() % 50);
        let text = self.generator.message(Shape::Plain, size);
        let uid = format!("uid-{}", self.arrived.len());
        self.mailbox.add(uid.clone(), text.clone());
        self.sent.push((uid, text));
        self.arrived.extend(self.mailbox.stored_forms().pop());
    }

    /// Moves what is in Maildirs into `cur/`, and in mboxes the last message to the front.
    fn tidy(&self) {
        for destination in &self.destinations {
            let path = self.path(destination);
            if destination.starts_with("maildir:") {
                for file in files(&path.join("new")) {
                    let name = file.file_name().expect("a name").to_string_lossy();
                    let read = path.join("cur").join(format!("{name}:2,S"));
                    fs::rename(&file, read).expect("our own file");
                }
            } else if let Some(mut messages) = mbox(&path) {
                messages.rotate_right(1);
                fs::write(&path, messages.concat()).expect("our own file");
            }
        }
    }

    /// Deletes the copies of a message.
    fn discard(&self, text: &[u8]) {
        for destination in &self.destinations {
            let path = self.path(destination);
            if destination.starts_with("maildir:") {
                let all = ["new", "cur"]
                    .into_iter()
                    .flat_map(|name| files(&path.join(name)));
                let same = all.filter(|file| fs::read(file).expect("our own file") == text);
                same.for_each(|file| fs::remove_file(file).expect("our own file"));
            } else if let Some(mut messages) = mbox(&path) {
                messages.retain(|message| memchr::memmem::find(message, text).is_none());
                fs::write(&path, messages.concat()).expect("our own file");
            }
        }
    }

    fn path(&self, destination: &str) -> PathBuf {
        let (_, path) = destination
            .split_once(":~/")
            .expect("below the home directory");
        self.sandbox.home(path)
    }

    fn sync(&mut self, options: &[&str], point: Option<usize>) -> Outcome {
        let now = jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(24 * self.day);
        self.sandbox.at(&now.to_string());
        let point = point.map_or_else(|| "none".to_owned(), |point| point.to_string());
        let variables = [
            ("POPFETCH_TEST_BATCH", self.batch.as_str()),
            ("POPFETCH_CRASH_AT", &point),
        ];
        let arguments = [&["sync"], options].concat();
        let outcome = self
            .sandbox
            .start_with(&[], &arguments, &variables)
            .finish();
        self.server.sessions();
        outcome
    }

    /// What must be true at any time.
    fn check(&self) -> Result<(), TestCaseError> {
        let left = self.mailbox.stored_forms();
        for destination in &self.destinations {
            let mut copies: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
            for text in self.sandbox.stored_at(destination) {
                *copies.entry(text).or_default() += 1;
            }
            for text in &self.arrived {
                let stored = copies.get(text).copied().unwrap_or_default();
                let is_once = stored <= 1 || self.estranged.contains(text);
                prop_assert!(is_once, "stored {stored} times in {destination}");
                let safe = stored >= 1 || left.contains(text) || self.given_up.contains(text);
                prop_assert!(safe, "lost for {destination}");
            }
        }
        Ok(())
    }

    /// What must be true in the end, when nothing goes wrong any more.
    fn finish(&mut self, rule: &str) -> Result<(), TestCaseError> {
        self.server.heal();
        let options = ["--leave-on-server", rule];
        // This one settles what others left in doubt.
        let outcome = self.sync(&options, None);
        prop_assert_eq!(outcome.status, Some(0), "{:#?}", outcome);
        self.arrive();
        self.day += 31;
        let dry = self.sync(&["--leave-on-server", rule, "--dry-run", "--json"], None);
        prop_assert_eq!(dry.status, Some(0), "{:#?}", dry);
        let before = self.server.sessions().len();
        let outcome = self.sync(&options, None);
        prop_assert_eq!(outcome.status, Some(0), "{:#?}", outcome);
        self.does_as_said(&dry, before)?;
        for destination in &self.destinations {
            let stored = self.sandbox.stored_at(destination);
            let missing = self.arrived.iter().filter(|text| !stored.contains(text));
            let missing: BTreeSet<_> = missing.cloned().collect();
            prop_assert!(missing.is_subset(&self.discarded), "in {destination}");
        }
        if rule == "never" {
            let left: BTreeSet<_> = self.mailbox.stored_forms().into_iter().collect();
            prop_assert!(left.is_subset(&self.discarded), "due, and not deleted");
        }
        self.check()
    }

    /// The last run, whose sessions begin with this one, did what the dry run before it had said.
    fn does_as_said(&self, dry: &Outcome, first: usize) -> Result<(), TestCaseError> {
        let objects = dry.json();
        let plan = objects[0]["plan"].as_array().cloned().unwrap_or_default();
        let planned = |action: &str| -> BTreeSet<String> {
            let chosen = plan.iter().filter(|step| step["action"] == action);
            let uids = chosen.filter_map(|step| step["uid"].as_str());
            uids.map(str::to_owned).collect()
        };
        let sessions = self.server.sessions().split_off(first);
        let retrieved: BTreeSet<_> = sessions
            .iter()
            .flat_map(|log| log.retrieved.clone())
            .collect();
        let deleted: BTreeSet<_> = sessions.into_iter().flat_map(|log| log.deleted).collect();
        prop_assert_eq!(&retrieved, &planned("retrieve"));
        prop_assert!(planned("delete").is_subset(&deleted));
        let may_go: BTreeSet<_> = planned("delete").union(&retrieved).cloned().collect();
        prop_assert!(deleted.is_subset(&may_go));
        Ok(())
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.expect("a file").path()).collect()
}

/// The messages of an mbox, each with its From_ line; none where a run was cut off while it wrote one:
/// readers leave such a file alone until it is repaired.
fn mbox(path: &Path) -> Option<Vec<Vec<u8>>> {
    let content = fs::read(path)
        .ok()
        .filter(|content| content.ends_with(b"\n\n"))?;
    let mut starts: Vec<_> = memchr::memmem::find_iter(&content, b"\nFrom ")
        .map(|at| at + 1)
        .collect();
    starts.insert(0, 0);
    let ends = starts[1..].iter().copied().chain([content.len()]);
    Some(
        starts
            .iter()
            .zip(ends)
            .map(|(&start, end)| content[start..end].to_vec())
            .collect(),
    )
}

#[test]
fn whatever_happens_nothing_is_lost_or_duplicated_and_in_the_end_all_is_there() {
    let config = ProptestConfig {
        cases: u32::try_from(sampled(25, 400)).expect("a small number"),
        max_shrink_iters: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let events = prop::collection::vec(event(), 1..14);
    let rule = prop::sample::select(vec!["always", "never", "30d"]);
    let run = TestRunner::new(config).run(&(manner(), events, rule), |(manner, events, rule)| {
        let mut model = Model::new(manner);
        for event in &events {
            model.happen(event)?;
        }
        model.finish(rule)
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
}
