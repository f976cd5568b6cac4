//! What one account's run came to: read by a person as a summary, by a script as `--json`, and by
//! the shell as the exit status.

mod marks;

use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::error::{Failure, Kind};
use crate::mail::{Listed, Number, UniqueId};
use crate::monitor::{Event, Monitor, Phase, Problem, Tally};
use crate::plan::{self, Reason, Step};

pub use marks::Marks;

/// The exit status of a run in which some message or account failed and the rest is stored.
const DONE_IN_PART: u8 = 1;

/// How long each phase took; zero for one that was not reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    resolve: Duration,
    connect: Duration,
    tls: Duration,
    auth: Duration,
    list: Duration,
    transfer: Duration,
}

impl Timings {
    fn add(&mut self, phase: Phase, time: Duration) {
        let slot = match phase {
            Phase::Resolve => &mut self.resolve,
            Phase::Connect => &mut self.connect,
            Phase::Tls => &mut self.tls,
            Phase::Auth => &mut self.auth,
            Phase::List => &mut self.list,
            Phase::Transfer => &mut self.transfer,
        };
        *slot = slot.saturating_add(time);
    }
}

/// What is known from the sessions of a run before the present one.
#[derive(Debug, Default)]
struct Earlier {
    server: Tally,
    failed: Tally,
    withheld: Tally,
    problems: Vec<Problem>,
}

/// What happens to a message of the maildrop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is retrieved and stored.
    Retrieve,
    /// It is deleted on the server without being retrieved.
    Delete,
    /// Nothing.
    Leave,
}

/// What a run will do with one message, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanLine {
    /// Its number in this session.
    pub number: Number,
    /// Its unique-id, where the server gives one.
    pub uid: Option<UniqueId>,
    /// Its size by LIST, where that was asked.
    pub octets: Option<u64>,
    /// What happens to it.
    pub action: Action,
    /// Why, in a few words of ours.
    pub reason: String,
    /// Whether it is deleted on the server in the same session, once it is stored.
    pub then_delete: bool,
    /// Whether that is so only if it turns out to be new.
    #[serde(skip)]
    pub if_new: bool,
}

impl PlanLine {
    /// What a plan says of a listed message.
    #[must_use]
    pub fn new(listed: &Listed, step: &Step) -> Self {
        let (action, then_delete) = match step.action {
            plan::Action::Retrieve { then_delete, .. } => (Action::Retrieve, then_delete),
            plan::Action::Delete => (Action::Delete, false),
            plan::Action::Leave => (Action::Leave, false),
        };
        PlanLine {
            number: listed.number,
            uid: listed.uid.clone(),
            octets: listed.octets,
            action,
            reason: step.reason.to_string(),
            then_delete,
            if_new: step.reason == Reason::WithoutUid,
        }
    }
}

/// What one account's run came to. Nothing in it is secret.
#[derive(Debug)]
pub struct Report {
    /// The account's name.
    pub account: String,
    /// The server.
    pub host: String,
    /// The user's name there.
    pub user: String,
    /// When the run began.
    pub started: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// What the server listed.
    pub server: Tally,
    /// What was stored.
    pub stored: Tally,
    /// How many messages one destination at least took in: those that are stored, and those that others lack.
    pub placed: u64,
    /// What was deleted on the server.
    pub deleted: Tally,
    /// What would be retrieved but was left for a later run: larger than `--max-size` or beyond `--limit`.
    pub skipped: Tally,
    /// What could not be retrieved or stored, each counted once.
    pub failed: Tally,
    /// What is stored as it came but stays on the server, since the server contradicts itself about it.
    pub withheld: Tally,
    /// The first of both, at most [`Report::PROBLEMS_KEPT`].
    pub problems: Vec<Problem>,
    /// How long each phase took.
    pub timing: Timings,
    /// What ended the run early.
    pub failure: Option<Failure>,
    /// That failure is shown on a terminal and with `-v` alone: the server is away, but not for long yet.
    pub suppressed: bool,
    /// With `--dry-run`: what a real run would do with each message, in the maildrop's order.
    pub plan: Option<Vec<PlanLine>>,
    earlier: Earlier,
}

/// Keeps the report of a run while it happens, and passes every event on.
pub struct Recorder<'a> {
    report: Mutex<Report>,
    monitor: &'a dyn Monitor,
}

impl<'a> Recorder<'a> {
    /// Begins with this report.
    pub fn new(report: Report, monitor: &'a dyn Monitor) -> Self {
        Recorder {
            report: Mutex::new(report),
            monitor,
        }
    }

    /// What the run came to.
    #[must_use]
    pub fn finish(self) -> Report {
        let report = self.report.into_inner();
        let mut report = report.unwrap_or_else(PoisonError::into_inner);
        report.recall();
        report
    }
}

impl Monitor for Recorder<'_> {
    fn event(&self, account: &str, event: &Event<'_>) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.apply(event);
        drop(report);
        self.monitor.event(account, event);
    }
}

impl Report {
    /// How many messages are kept one by one that failed or were withheld.
    pub const PROBLEMS_KEPT: usize = 10_000;

    /// How many of these are shown to a person: a full disk must not fill the screen.
    pub const PROBLEMS_SHOWN: usize = 10;

    /// A run that begins now: nothing has happened yet.
    pub fn new(
        account: impl Into<String>,
        host: impl Into<String>,
        user: impl Into<String>,
        started: Timestamp,
    ) -> Self {
        Report {
            account: account.into(),
            host: host.into(),
            user: user.into(),
            started,
            duration: Duration::ZERO,
            server: Tally::default(),
            stored: Tally::default(),
            placed: 0,
            deleted: Tally::default(),
            skipped: Tally::default(),
            failed: Tally::default(),
            withheld: Tally::default(),
            problems: Vec::new(),
            timing: Timings::default(),
            failure: None,
            suppressed: false,
            plan: None,
            earlier: Earlier::default(),
        }
    }

    /// Takes in what happened.
    pub fn apply(&mut self, event: &Event<'_>) {
        match event {
            Event::PhaseEnded(phase, time) => self.timing.add(*phase, *time),
            Event::SessionBegins => self.begin_session(),
            Event::Planned {
                server,
                skipped,
                problems,
                ..
            } => {
                (self.server, self.skipped) = (*server, *skipped);
                (self.failed, self.withheld) = Default::default();
                self.problems.clear();
                problems.iter().for_each(|problem| self.add(problem));
            }
            Event::Placed => self.placed += 1,
            Event::Stored { octets, .. } => self.stored.count(*octets),
            Event::MessageFailed(problem) | Event::NotDeleted(problem) => {
                self.add(problem);
            }
            Event::NotStored { octets } => self.failed.count(*octets),
            Event::Deleted { octets } => self.deleted.count(*octets),
            Event::Phase(_)
            | Event::Received { .. }
            | Event::Deleting { .. }
            | Event::Warning(_)
            | Event::Remark(_) => {}
        }
    }

    fn add(&mut self, problem: &Problem) {
        let tally = match problem.is_withheld {
            true => &mut self.withheld,
            false => &mut self.failed,
        };
        tally.count(problem.octets);
        if self.problems.len() < Self::PROBLEMS_KEPT {
            self.problems.push(problem.clone());
        }
    }

    /// Puts aside what the sessions so far had listed and what failed in them.
    fn begin_session(&mut self) {
        self.recall();
        self.earlier = Earlier {
            server: self.server,
            failed: std::mem::take(&mut self.failed),
            withheld: std::mem::take(&mut self.withheld),
            problems: std::mem::take(&mut self.problems),
        };
    }

    /// What earlier sessions had listed, if that was more, and what failed in them and did not fail again, counts for
    /// the whole run.
    fn recall(&mut self) {
        let earlier = std::mem::take(&mut self.earlier);
        if earlier.server.messages > self.server.messages {
            self.server = earlier.server;
        }
        if self.failed.messages + self.withheld.messages == 0 {
            (self.failed, self.withheld) = (earlier.failed, earlier.withheld);
            self.problems = earlier.problems;
            return;
        }
        let uids = self
            .problems
            .iter()
            .filter_map(|problem| problem.message.uid.clone());
        let again: HashSet<_> = uids.collect();
        for problem in &earlier.problems {
            if !problem
                .message
                .uid
                .as_ref()
                .is_some_and(|uid| again.contains(uid))
            {
                self.add(problem);
            }
        }
    }

    /// The exit status of this account's run.
    #[must_use]
    pub fn status(&self) -> u8 {
        match &self.failure {
            Some(failure) => failure.kind().status(),
            None if self.failed.messages + self.withheld.messages > 0 => DONE_IN_PART,
            None => 0,
        }
    }

    /// Writes the report as one line of JSON, line end included. The keys and their order are an interface.
    ///
    /// # Errors
    ///
    /// It could not be written.
    pub fn write_json(&self, mut out: impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut out, &Line::from(self))?;
        out.write_all(b"\n")
    }

    fn interrupted(&self) -> bool {
        let kind = self.failure.as_ref().map(Failure::kind);
        matches!(kind, Some(Kind::Interrupted(_)))
    }
}

/// The exit status of a run over these accounts: that of a run that was interrupted, else the one
/// they have in common, else 1.
#[must_use]
pub fn merge(reports: &[Report]) -> u8 {
    if let Some(report) = reports.iter().find(|report| report.interrupted()) {
        return report.status();
    }
    let mut statuses = reports.iter().map(Report::status);
    let first = statuses.next().unwrap_or(0);
    if statuses.all(|status| status == first) {
        first
    } else {
        DONE_IN_PART
    }
}

/// A report as `--json` writes it: the fields' order is the keys' order.
#[derive(Serialize)]
struct Line<'a> {
    account: &'a str,
    host: &'a str,
    user: &'a str,
    started: String,
    duration_ms: u64,
    server: Tally,
    stored: Tally,
    deleted: Tally,
    skipped: Tally,
    failed: Tally,
    withheld: Tally,
    timing_ms: TimingLine,
    problems: Vec<ProblemLine<'a>>,
    error: Option<ErrorLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a [PlanLine]>,
}

#[derive(Serialize)]
struct TimingLine {
    resolve: u64,
    connect: u64,
    tls: u64,
    auth: u64,
    list: u64,
    transfer: u64,
}

#[derive(Serialize)]
struct ProblemLine<'a> {
    number: Number,
    uid: &'a Option<UniqueId>,
    kind: &'static str,
    message: String,
}

impl<'a> From<&'a Problem> for ProblemLine<'a> {
    fn from(Problem { message, .. }: &'a Problem) -> Self {
        ProblemLine {
            number: message.number,
            uid: &message.uid,
            kind: message.failure.kind().name(),
            message: message.failure.to_string(),
        }
    }
}

#[derive(Serialize)]
struct ErrorLine {
    kind: &'static str,
    message: String,
}

impl<'a> From<&'a Report> for Line<'a> {
    fn from(report: &'a Report) -> Self {
        Line {
            account: &report.account,
            host: &report.host,
            user: &report.user,
            started: format!("{:.3}", report.started),
            duration_ms: milliseconds(report.duration),
            server: report.server,
            stored: report.stored,
            deleted: report.deleted,
            skipped: report.skipped,
            failed: report.failed,
            withheld: report.withheld,
            timing_ms: TimingLine::from(&report.timing),
            problems: report.problems.iter().map(ProblemLine::from).collect(),
            error: report.failure.as_ref().map(ErrorLine::from),
            plan: report.plan.as_deref(),
        }
    }
}

impl From<&Timings> for TimingLine {
    fn from(timings: &Timings) -> Self {
        TimingLine {
            resolve: milliseconds(timings.resolve),
            connect: milliseconds(timings.connect),
            tls: milliseconds(timings.tls),
            auth: milliseconds(timings.auth),
            list: milliseconds(timings.list),
            transfer: milliseconds(timings.transfer),
        }
    }
}

impl From<&Failure> for ErrorLine {
    fn from(failure: &Failure) -> Self {
        ErrorLine {
            kind: failure.kind().name(),
            message: failure.to_string(),
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::FailedMessage;

    fn report() -> Report {
        let started = "2026-03-01T12:00:00.5Z".parse().expect("a time");
        Report::new("work", "pop.example.com", "alice", started)
    }

    fn ended(kind: Kind) -> Report {
        Report {
            failure: Some(Failure::new(kind, "it failed")),
            ..report()
        }
    }

    fn in_part() -> Report {
        let mut report = report();
        report.apply(&Event::MessageFailed(&Problem::failed(100, failed(1))));
        report
    }

    fn failed(number: Number) -> FailedMessage {
        FailedMessage {
            number,
            uid: Some(UniqueId::new(b"a")),
            failure: Failure::new(Kind::Io, "no"),
        }
    }

    fn json(report: &Report) -> String {
        let mut line = Vec::new();
        report.write_json(&mut line).expect("a Vec takes all");
        String::from_utf8(line).expect("JSON is UTF-8")
    }

    #[test]
    fn json_has_the_keys_of_the_interface_in_their_order() {
        let mut report = report();
        report.duration = Duration::from_micros(2_100_900);
        report.server = Tally {
            messages: 9,
            octets: 900,
        };
        report.stored.count(250);
        report.stored.count(50);
        report.deleted.count(7);
        for milliseconds in [30, 12] {
            let time = Duration::from_millis(milliseconds);
            report.apply(&Event::PhaseEnded(Phase::Tls, time));
        }
        report.apply(&Event::MessageFailed(&Problem::failed(9, failed(3))));
        assert_eq!(
            json(&report),
            concat!(
                r#"{"account":"work","host":"pop.example.com","user":"alice","#,
                r#""started":"2026-03-01T12:00:00.500Z","duration_ms":2100,"#,
                r#""server":{"messages":9,"octets":900},"stored":{"messages":2,"octets":300},"#,
                r#""deleted":{"messages":1,"octets":7},"skipped":{"messages":0,"octets":0},"#,
                r#""failed":{"messages":1,"octets":9},"withheld":{"messages":0,"octets":0},"#,
                r#""timing_ms":{"resolve":0,"connect":0,"tls":42,"auth":0,"list":0,"transfer":0},"#,
                r#""problems":[{"number":3,"uid":"a","kind":"io","message":"no"}],"error":null}"#,
                "\n"
            )
        );
    }

    #[test]
    fn json_tells_the_error_with_its_causes() {
        let mut report = report();
        report.failure = Some(
            Failure::new(Kind::Unreachable, "cannot reach pop.example.com")
                .because(io::Error::other("connection refused")),
        );
        let line = json(&report);
        assert!(
            line.ends_with(
                r#""error":{"kind":"unreachable","message":"cannot reach pop.example.com: connection refused"}}
"#
            ),
            "{line}"
        );
    }

    #[test]
    fn json_shows_a_plan_with_readable_unique_ids() {
        let mut report = report();
        report.plan = Some(vec![
            PlanLine {
                number: 1,
                uid: Some(UniqueId::new(b"\x1b[2J%")),
                octets: Some(10),
                action: Action::Retrieve,
                reason: "new".to_owned(),
                then_delete: true,
                if_new: false,
            },
            PlanLine {
                number: 2,
                uid: None,
                octets: None,
                action: Action::Leave,
                reason: "stored before".to_owned(),
                then_delete: false,
                if_new: false,
            },
        ]);
        let line = json(&report);
        assert!(
            line.ends_with(concat!(
                r#","plan":[{"number":1,"uid":"%1B[2J%25","octets":10,"action":"retrieve","reason":"new","then_delete":true},"#,
                r#"{"number":2,"uid":null,"octets":null,"action":"leave","reason":"stored before","then_delete":false}]}"#,
                "\n"
            )),
            "{line}"
        );
    }

    #[test]
    fn json_stays_on_one_line_whatever_an_account_is_called() {
        let mut report = report();
        report.account = "a\nb\"".to_owned();
        assert_eq!(json(&report).matches('\n').count(), 1);
    }

    #[test]
    fn one_account_decides_the_status_alone() {
        assert_eq!(report().status(), 0);
        assert_eq!(in_part().status(), 1);
        assert_eq!(ended(Kind::Auth).status(), 77);
        let both = Report {
            failure: Some(Failure::new(Kind::Temporary, "in use")),
            ..in_part()
        };
        assert_eq!(both.status(), 75);
        assert_eq!(merge(&[ended(Kind::Tls)]), 76);
    }

    #[test]
    fn several_accounts_share_a_status_only_where_they_agree() {
        assert_eq!(merge(&[]), 0);
        assert_eq!(merge(&[report(), report()]), 0);
        assert_eq!(merge(&[report(), ended(Kind::Auth)]), 1);
        assert_eq!(merge(&[report(), in_part()]), 1);
        assert_eq!(merge(&[ended(Kind::Auth), ended(Kind::Auth)]), 77);
        assert_eq!(merge(&[ended(Kind::Protocol), ended(Kind::Tls)]), 76);
        assert_eq!(merge(&[ended(Kind::Auth), ended(Kind::Temporary)]), 1);
    }

    #[test]
    fn an_interruption_decides_whatever_else_happened() {
        let reports = [report(), ended(Kind::Interrupted(15)), ended(Kind::Auth)];
        assert_eq!(merge(&reports), 143);
    }

    #[test]
    fn many_failures_are_counted_but_few_kept() {
        let mut report = report();
        for number in 1..=20_000 {
            report.apply(&Event::MessageFailed(&Problem::failed(5, failed(number))));
        }
        report.apply(&Event::MessageFailed(&Problem::withheld(7, failed(20_001))));
        assert_eq!(report.failed.messages, 20_000);
        assert_eq!(report.failed.octets, 100_000);
        assert_eq!(report.withheld.octets, 7);
        assert_eq!(report.problems.len(), Report::PROBLEMS_KEPT);
        assert_eq!(report.problems[0].message.number, 1);
    }
}
