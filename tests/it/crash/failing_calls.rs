//! Seen from outside, by strace: each system call that changes a file or directory, or makes it durable,
//! fails; once, or from then on. So it is on a disk that breaks, or where a quota is used up.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::fixture::{Fixture, Scenario};
use super::trace::{Call, Trace};
use crate::support::sampling::{count_cases, everything};
use crate::support::sandbox::Outcome;

/// The calls that change a file or a directory, or make it durable.
const CHANGING: [&str; 17] = [
    "write",
    "writev",
    "pwrite64",
    "copy_file_range",
    "fsync",
    "fdatasync",
    "fadvise64",
    "ftruncate",
    "rename",
    "renameat",
    "renameat2",
    "linkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "openat",
];

/// How such a call fails: what it says, in words, and whether it goes on so.
const WAYS: [(&str, &str, bool); 2] = [
    ("EIO", "Input/output error", false),
    ("EDQUOT", "Disk quota exceeded", true),
];

/// Where an earlier run was killed; nowhere, if there was none.
const KILLED: [Option<&str>; 3] = [
    None,
    Some("batch: intended, not placed"),
    Some("batch: placed, not recorded"),
];

/// The call with this name fails when a thread makes it for the n-th time.
#[derive(Debug, Clone)]
struct Fault {
    call: String,
    nth: usize,
    error: &'static str,
    words: &'static str,
    /// And each time after that.
    for_good: bool,
}

/// What is to be done, and where an earlier run was killed.
fn killed_scenarios() -> impl Iterator<Item = (Scenario, Option<&'static str>)> {
    Scenario::deleting().flat_map(|scenario| KILLED.map(|killed| (scenario, killed)))
}

/// Everything up to the run that a fault will meet.
fn fixture(scenario: Scenario, killed: Option<&str>) -> Fixture {
    let fixture = scenario.fixture();
    if let Some(point) = killed {
        fixture
            .sync(&[], &[("POPFETCH_CRASH_AT", point)])
            .ends_with(137);
    }
    fixture
}

/// Runs the program under strace, which may make a call fail.
fn traced(fixture: &Fixture, fault: Option<&Fault>) -> (Outcome, Trace) {
    let file = fixture.sandbox.home("trace");
    let shown = file.display().to_string();
    let inject = fault.map(|fault| {
        let Fault {
            call, nth, error, ..
        } = fault;
        let from_then_on = if fault.for_good { "+" } else { "" };
        format!("--inject={call}:error={error}:when={nth}{from_then_on}")
    });
    // The others are left alone, which makes a run several times as fast.
    let only = format!("--trace={}", CHANGING.join(","));
    let mut strace = vec!["strace", "--seccomp-bpf", "-f", "-y", "-qq", "-s", "1000"];
    strace.extend([&*only, "-o", &shown]);
    strace.extend(inject.as_deref());
    // A lock file that cannot be removed keeps the next batch waiting.
    let outcome = fixture.sync(&strace, &[("POPFETCH_TEST_LOCK_WAIT", "100")]);
    let trace = Trace::parse(&fs::read_to_string(&file).expect("a trace"));
    (outcome, trace)
}

/// Whether the call changes something below the mail or the state.
fn is_ours(fixture: &Fixture, call: &Call) -> bool {
    let places = [fixture.sandbox.home("Mail"), fixture.sandbox.home(".local")];
    let is_ours = |path: &Path| places.iter().any(|place| path.starts_with(place));
    let changes = CHANGING.contains(&&*call.name) && !call.text.contains("O_RDONLY");
    let is_ours = call.open_path().is_some_and(is_ours)
        || call.named_paths().iter().any(|path| is_ours(path));
    changes && is_ours
}

/// The faults that can meet this run.
fn faults(fixture: &Fixture) -> Vec<Fault> {
    let (outcome, trace) = traced(fixture, None);
    outcome.ends_with(0);
    let calls = trace.calls().iter().filter(|call| is_ours(fixture, call));
    let met: BTreeSet<_> = calls.map(|call| (&call.name, call.nth)).collect();
    let mut faults = Vec::new();
    for (call, nth) in met {
        faults.extend(WAYS.map(|(error, words, for_good)| Fault {
            call: call.clone(),
            nth,
            error,
            words,
            for_good,
        }));
    }
    faults
}

#[test]
fn a_failed_system_call_is_reported_and_the_next_run_completes() {
    let (mut met, mut cases, mut reported) = (0, 0, 0);
    let every = if everything() { 1 } else { 67 };
    for (scenario, killed) in killed_scenarios() {
        for fault in faults(&fixture(scenario, killed)) {
            met += 1;
            // A sample meets other calls in each scenario.
            if met % every == 0 {
                let context = format!("{scenario:?}, killed at {killed:?}, {fault:?}");
                let fixture = fixture(scenario, killed);
                reported += usize::from(fail_and_resume(&fixture, &fault, &context));
                cases += 1;
            }
        }
    }
    assert!(
        reported * 2 > cases,
        "only {reported} of {cases} faults were reported"
    );
    count_cases(cases, met);
}

/// One fault, and the run after it; whether the first run failed.
fn fail_and_resume(fixture: &Fixture, fault: &Fault, context: &str) -> bool {
    let before = fixture.lengths();
    let (outcome, trace) = traced(fixture, Some(fault));
    let injected = |call: &&Call| call.is_injected() && is_ours(fixture, call);
    let Some(failed) = trace.calls().iter().find(injected) else {
        // It met another thread, before there was anything to lose.
        fixture.completes(context);
        return false;
    };
    let context = format!("{context}: {:.300}", failed.text);
    is_reported(&outcome, fault, &trace, &context);
    fixture.has_lost_nothing(&context);
    if let Some(path) = failed.open_path().filter(|_| failed.is_sync()) {
        let in_doubt = leaves_no_doubt(path, &before, failed, &trace, &context);
        assert!(!in_doubt || outcome.status != Some(0), "{context}");
    }
    fixture.completes(&context);
    outcome.status != Some(0)
}

/// A run that could not do something says so, and where.
fn is_reported(outcome: &Outcome, fault: &Fault, trace: &Trace, context: &str) {
    // The same call of another thread may have failed as well, and have been the one that was reported.
    let is_mute = |call: &Call| call.is_injected() && call.text.starts_with("write(2<");
    let is_reported = outcome.stderr.contains(fault.words) && outcome.stderr.contains("/home/");
    match outcome.status {
        Some(0) => {}
        Some(1 | 73 | 74) if is_reported || trace.calls().iter().any(is_mute) => {}
        // A lock file that could not be removed keeps all others waiting.
        Some(75) if fault.call == "unlinkat" => {
            outcome.complains("is locked");
        }
        _ => panic!("{context}: {outcome:#?}"),
    }
}

/// After a failed sync it is unknown what the disk holds. The next run would sync once more, succeed, and
/// know no more than before: so it must not find there what was in doubt, or find what the disk holds.
/// Whether this run itself had put something there.
fn leaves_no_doubt(
    path: &Path,
    before: &BTreeMap<PathBuf, u64>,
    failed: &Call,
    trace: &Trace,
    context: &str,
) -> bool {
    let (durable, doubtful) = trace.around_last_sync(path, failed);
    let written = doubtful.iter().any(|call| call.writes_to(path));
    if path.is_file() && written {
        let durable = durable.iter().filter(|call| call.writes_to(path));
        let durable: u64 = durable.filter_map(Call::result).sum();
        let most = before.get(path).unwrap_or(&0) + durable;
        let length = fs::metadata(path).expect("our own file").len();
        assert!(length <= most, "{context}: {length} octets, {most} durable");
    } else if path.is_file() {
        let forgotten = trace.calls().iter().any(|call| call.forgets(path));
        assert!(forgotten, "{context}: the next run will look into memory");
    }
    let made = doubtful.iter().flat_map(|call| call.names_in(path));
    let made: Vec<_> = made.filter(|made| !before.contains_key(made)).collect();
    for made in &made {
        // A lock may be gone after a power cut.
        let is_lock = made.extension() == Some("lock".as_ref());
        let shown = made.display();
        assert!(is_lock || !made.exists(), "{context}: {shown} is there");
    }
    written || !made.is_empty()
}
