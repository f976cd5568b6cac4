//! Servers that are sloppy with single messages: whatever they do with those, the others come and go as if the bad
//! ones were not there, and the bad ones are named.

mod deletions;
mod dots;
mod hangups;
mod identical;
mod reuse;
mod short;
mod varying;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::{SignedDuration, Timestamp};

use crate::support::mailbox::Mailbox;
use crate::support::sampling::{count_cases, everything};
use crate::support::sandbox::{Outcome, Sandbox, difference};
use crate::support::server::{Pipelining, SCAN, STATUS, Server, SessionLog};

const MAILDIR: &str = "maildir:~/Mail/it";
const MBOX: &str = "mbox:~/it.mbox";
const PIPE: &str = "pipe:cat > $(mktemp got/XXXXXXXX)";

const RULES: &[&str] = &["always", "never", "30d"];

/// How many messages a maildrop has, unless a test says otherwise.
const COUNT: usize = 6;

/// Which of these are bad: the first, one in the middle, the last, and two of them.
const BAD: &[&[usize]] = &[&[1], &[3], &[COUNT], &[2, 3], &[1, COUNT]];

/// None of them is.
const NONE_BAD: &[&[usize]] = &[&[]];

/// How many combinations a test plays at least, if there are so many, unless all are wanted.
const SAMPLE: usize = 8;

/// The octets of a message of [`texts`].
const SIZE: usize = 700;

const DAY: i64 = 24;

/// What a scenario is played with.
#[derive(Debug, Clone, Copy)]
struct Case {
    /// The numbers of the bad messages in the first session.
    bad: &'static [usize],
    pipelining: bool,
    deliver: &'static str,
    rule: &'static str,
    /// How many messages a batch may have.
    batch: &'static str,
    /// Whether runs report in JSON or to a person.
    json: bool,
}

/// Plays each combination of these with every way to configure an account, or a sample of them in which each of
/// these occurs.
fn each<V: Clone + Debug>(
    bad: &[&'static [usize]],
    rules: &[&'static str],
    variants: &[V],
    play: impl Fn(Case, V),
) {
    let mut all = Vec::new();
    for variant in variants {
        for &bad in bad {
            for pipelining in [false, true] {
                for batch in ["1000", "1"] {
                    for deliver in [MAILDIR, MBOX, PIPE] {
                        for &rule in rules {
                            let case = Case {
                                bad,
                                pipelining,
                                deliver,
                                rule,
                                batch,
                                // So that it goes with each rule.
                                json: (all.len() / rules.len()).is_multiple_of(2),
                            };
                            all.push((case, variant.clone()));
                        }
                    }
                }
            }
        }
    }
    let sample = if everything() {
        all.len()
    } else {
        variants.len().clamp(SAMPLE, 2 * SAMPLE).min(all.len())
    };
    count_cases(sample, all.len());
    let stride = stride(all.len(), sample);
    let chosen = (0..sample).map(|place| all[place * stride % all.len()].clone());
    let chosen: Vec<_> = chosen.collect();
    // All of them, since which ones fail says more than that one does.
    let failed = chosen.iter().filter(|(case, variant)| {
        let scenario = AssertUnwindSafe(|| play(*case, variant.clone()));
        catch_unwind(scenario).is_err()
    });
    let failed: Vec<_> = failed.collect();
    let (failures, count) = (failed.len(), chosen.len());
    assert!(failed.is_empty(), "{failures} of {count}: {failed:#?}");
}

/// A step that leads once around so many combinations for about so many of them, and meets each value of each
/// ingredient.
fn stride(count: usize, sample: usize) -> usize {
    let shares = |step: usize, d| step.is_multiple_of(d) && count.is_multiple_of(d);
    let coprime = |step: &usize| !(2..=*step).any(|d| shares(*step, d));
    (count / sample..).find(coprime).unwrap_or(1)
}

/// Different messages of one size.
fn texts(count: usize) -> Vec<Vec<u8>> {
    (1..=count).map(text).collect()
}

/// The one of these with this number.
fn text(number: usize) -> Vec<u8> {
    text_of(number, SIZE)
}

/// A message with this number and of this size.
fn text_of(number: usize, size: usize) -> Vec<u8> {
    let mut text = format!(
        "From: Sender <sender{number:03}@example.org>\r\n\
         To: Alice <alice@example.com>\r\n\
         Subject: Number {number:03}\r\n\
         Date: Tue, 3 Mar 2026 08:14:58 +0100\r\n\
         Message-ID: <{number:03}.sloppy@example.org>\r\n\r\n"
    )
    .into_bytes();
    let line = format!("This is the text of number {number:03}, line after line.\r\n");
    while text.len() + 2 * line.len() < size {
        text.extend_from_slice(line.as_bytes());
    }
    text.resize(size - 2, b'x');
    text.extend_from_slice(b"\r\n");
    text
}

/// The unique-id of the message with this number in the first session.
fn uid(number: usize) -> String {
    format!("uid-{number}")
}

/// A server, an account for it, a clock, and what is expected to be stored.
struct Fixture {
    case: Case,
    /// Says which scenario it is.
    context: String,
    mailbox: Mailbox,
    server: Server,
    sandbox: Sandbox,
    /// How often each of these is in the destination.
    stored: Vec<Vec<u8>>,
    /// Whether what proxies and servers add to headers does not count.
    forgives_added_lines: bool,
    /// The clock, in hours.
    hours: i64,
}

impl Fixture {
    /// Serves these messages, as sloppily as `sloppy` makes the server.
    fn new<V: Debug>(
        case: Case,
        variant: &V,
        mailbox: &Mailbox,
        sloppy: impl FnOnce(Server) -> Server,
    ) -> Self {
        Self::with_keys(case, variant, mailbox, &[], sloppy)
    }

    /// The same, with these keys in the account's configuration.
    fn with_keys<V: Debug>(
        case: Case,
        variant: &V,
        mailbox: &Mailbox,
        keys: &[(&'static str, &str)],
        sloppy: impl FnOnce(Server) -> Server,
    ) -> Self {
        let pipelining = if case.pipelining {
            Pipelining::Works
        } else {
            Pipelining::Absent
        };
        let server = sloppy(Server::start(mailbox).pipelining(pipelining));
        let mut sandbox = Sandbox::new();
        let account = sandbox
            .account("it", &server.endpoint())
            .set("deliver", &format!("'{}'", case.deliver))
            .set("leave_on_server", &format!("{:?}", case.rule))
            .set("timeout", "\"5s\"");
        let keys = keys.iter();
        keys.fold(account, |account, (key, value)| account.set(key, value))
            .write();
        fs::create_dir(sandbox.home("got")).expect("our own directory");
        sandbox.variable("POPFETCH_TEST_BATCH", case.batch);
        Fixture {
            case,
            context: format!("{variant:?}, {case:?}"),
            mailbox: mailbox.clone(),
            server,
            sandbox,
            stored: Vec::new(),
            forgives_added_lines: false,
            hours: 0,
        }
    }

    /// Time passes.
    fn later(&mut self, hours: i64) {
        self.hours += hours;
    }

    /// These were stored, as the mailbox has them now.
    fn expect(&mut self, uids: &[String]) {
        let all = self.mailbox.uids().into_iter();
        let texts = all.zip(self.mailbox.stored_forms());
        let chosen = texts.filter(|(uid, _)| uids.contains(uid));
        self.stored.extend(chosen.map(|(_, text)| text));
    }

    /// One run by the account's own rule.
    fn sync(&mut self) -> Came {
        self.sync_with(&[])
    }

    fn sync_with(&mut self, options: &[&str]) -> Came {
        let start: Timestamp = "2026-03-01T12:00:00Z".parse().expect("a time");
        let now = start + SignedDuration::from_hours(self.hours);
        self.sandbox.at(&now.to_string());
        let before = self.server.sessions().len();
        let form: &[&str] = if self.case.json { &["--json"] } else { &[] };
        let outcome = self.sandbox.run(&[&["sync"], form, options].concat());
        Came {
            logs: self.server.sessions().split_off(before),
            json: self.case.json,
            context: self.context.clone(),
            outcome,
        }
    }

    /// The texts that are there.
    fn found(&self) -> Vec<Vec<u8>> {
        if self.case.deliver != PIPE {
            return self.sandbox.stored_at(self.case.deliver);
        }
        let files = fs::read_dir(self.sandbox.home("got")).expect("our own directory");
        let read = |file: fs::DirEntry| fs::read(file.path()).expect("our own file");
        files.map(|file| read(file.expect("a file"))).collect()
    }

    /// The destination holds what is expected, each text as often.
    #[track_caller]
    fn has_stored(&self) {
        let mut found = self.found();
        if self.forgives_added_lines {
            found = found.iter().map(|text| without_added_lines(text)).collect();
        }
        let difference = difference(found, &self.stored);
        assert!(difference.is_empty(), "{}: {difference}", self.context);
    }

    /// The same, and the server has these messages.
    #[track_caller]
    fn holds(&self, on_server: &[String]) {
        self.has_stored();
        assert_eq!(self.mailbox.uids(), on_server, "{}", self.context);
    }

    /// The unique-ids of the bad messages.
    fn bad(&self) -> Vec<String> {
        self.case.bad.iter().map(|&number| uid(number)).collect()
    }

    /// The unique-ids on the server that are none of a bad message.
    fn good(&self) -> Vec<String> {
        let mut uids = self.mailbox.uids();
        uids.retain(|uid| !self.bad().contains(uid));
        uids
    }

    /// A first run, and where messages are due after 30 days another one then: each names the bad messages and keeps
    /// them, and the rule is applied to all others. Returns what the first run printed.
    #[track_caller]
    fn keeps_bad_ones(&mut self, bad: &[String]) -> Came {
        let all = self.mailbox.uids();
        let first = self.sync();
        first.ends_with(1);
        self.holds(&self.left_of(&all, 0, bad));
        first.names(bad);
        if self.case.rule == "30d" {
            self.later(31 * DAY);
            let due = self.sync();
            due.ends_with(1);
            self.holds(bad);
            due.names(bad);
        }
        first
    }

    /// Nothing is retrieved now, and the bad messages a day later; all stays as it is.
    #[track_caller]
    fn retries_tomorrow(&mut self, bad: &[String]) -> Came {
        let left = self.mailbox.uids();
        let again = self.sync();
        again.ends_with(1).retrieves(&[]);
        self.holds(&left);
        again.names(bad);
        self.later(DAY + 1);
        let tomorrow = self.sync();
        tomorrow.ends_with(1).retrieves(bad);
        self.holds(&left);
        tomorrow.names(bad);
        tomorrow
    }

    /// What is on the server once the rule was applied to what was stored this many hours ago: of these messages those
    /// that stay.
    fn left_of(&self, uids: &[String], hours: i64, staying: &[String]) -> Vec<String> {
        let stays = |uid: &&String| match self.case.rule {
            "never" => staying.contains(uid),
            "30d" => hours < 30 * DAY || staying.contains(uid),
            _ => true,
        };
        uids.iter().filter(stays).cloned().collect()
    }

    /// Another run does nothing: no message is retrieved, stored or deleted.
    #[track_caller]
    fn is_settled(&mut self) {
        let left = self.mailbox.uids();
        let came = self.sync();
        came.ends_with(0).names_nothing().retrieves(&[]);
        self.holds(&left);
    }
}

/// A stored text without what the server may have added to it.
fn without_added_lines(text: &[u8]) -> Vec<u8> {
    let is_added = |line: &&[u8]| {
        line.starts_with(SCAN.as_bytes()) || line.trim_ascii() == STATUS.trim().as_bytes()
    };
    let lines = text.split_inclusive(|&byte| byte == b'\n');
    lines
        .filter(|line| !is_added(line))
        .collect::<Vec<_>>()
        .concat()
}

/// What one run came to.
struct Came {
    outcome: Outcome,
    logs: Vec<SessionLog>,
    json: bool,
    context: String,
}

impl Came {
    #[track_caller]
    fn ends_with(&self, status: i32) -> &Self {
        let Came {
            outcome, context, ..
        } = self;
        let commands = self.commands();
        let ended = outcome.status == Some(status);
        assert!(
            ended,
            "no {status}, {context}: {outcome:#?}\nwith {commands:#?}"
        );
        self
    }

    /// These messages and no others are reported, by their unique-ids.
    #[track_caller]
    fn names(&self, uids: &[String]) -> &Self {
        let Came {
            outcome, context, ..
        } = self;
        let named: BTreeSet<String> = if self.json {
            let problems = self.problems();
            let uid = |problem: &serde_json::Value| problem["uid"].as_str().map(str::to_owned);
            problems.iter().filter_map(uid).collect()
        } else {
            outcome
                .stderr
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                .filter(|word| word.starts_with("uid-"))
                .map(str::to_owned)
                .collect()
        };
        let expected: BTreeSet<String> = uids.iter().cloned().collect();
        assert_eq!(named, expected, "{context}: {outcome:#?}");
        self
    }

    /// All is well.
    #[track_caller]
    fn names_nothing(&self) -> &Self {
        self.names(&[]);
        let Came {
            outcome, context, ..
        } = self;
        assert!(outcome.stderr.is_empty(), "{context}: {outcome:#?}");
        self
    }

    /// The key `problems` of the report, which the tallies agree with.
    #[track_caller]
    fn problems(&self) -> Vec<serde_json::Value> {
        let Came {
            outcome, context, ..
        } = self;
        let problems = outcome.json()[0]["problems"].take();
        let problems = problems.as_array().cloned();
        let problems = problems.unwrap_or_else(|| panic!("no problems, {context}: {outcome:#?}"));
        let has_number =
            |problem: &serde_json::Value| problem["number"].as_u64().is_some_and(|n| n > 0);
        assert!(problems.iter().all(has_number), "{context}: {outcome:#?}");
        let counted = self.tally("failed") + self.tally("withheld");
        assert_eq!(counted, problems.len() as u64, "{context}: {outcome:#?}");
        problems
    }

    /// How many messages the report counts under this key.
    #[track_caller]
    fn tally(&self, key: &str) -> u64 {
        let Came {
            outcome, context, ..
        } = self;
        let messages = outcome.json()[0][key]["messages"].as_u64();
        messages.unwrap_or_else(|| panic!("no {key}, {context}: {outcome:#?}"))
    }

    /// In JSON, the report counts this many messages under this key.
    #[track_caller]
    fn counts(&self, key: &str, messages: usize) -> &Self {
        if self.json {
            assert_eq!(self.tally(key), messages as u64, "{key}, {}", self.context);
        }
        self
    }

    /// These messages and no others were retrieved, however often.
    #[track_caller]
    fn retrieves(&self, uids: &[String]) -> &Self {
        let retrieved: BTreeSet<_> = self.retrieved().into_iter().collect();
        let expected: BTreeSet<_> = uids.iter().cloned().collect();
        let Came { context, .. } = self;
        let commands = self.commands();
        assert_eq!(retrieved, expected, "{context}: {commands:#?}");
        self
    }

    /// No message but these was retrieved.
    #[track_caller]
    fn retrieves_no_other_than(&self, uids: &[String]) -> &Self {
        let retrieved = self.retrieved();
        let all_known = retrieved.iter().all(|uid| uids.contains(uid));
        assert!(all_known, "{}: {retrieved:?}", self.context);
        self
    }

    /// No message was retrieved twice.
    #[track_caller]
    fn retrieves_none_twice(&self) -> &Self {
        let retrieved = self.retrieved();
        let different: BTreeSet<_> = retrieved.iter().collect();
        assert_eq!(
            different.len(),
            retrieved.len(),
            "{}: {retrieved:?}",
            self.context
        );
        self
    }

    fn retrieved(&self) -> Vec<String> {
        let logs = self.logs.iter();
        logs.flat_map(|log| log.retrieved.clone()).collect()
    }

    fn commands(&self) -> Vec<String> {
        self.logs.iter().flat_map(SessionLog::commands).collect()
    }
}
