//! Seen from outside, by strace: killed at each system call that writes, and the order of what is
//! made durable and what is deleted.

use std::fs;

use super::fixture::{Before, Fixture, MANY, Scenario};
use super::points::points;
use super::trace::{Call, Trace};
use crate::support::sampling::{count_cases, everything};
use crate::support::sandbox::Sandbox;

/// The calls that change a file, a directory, or what the server thinks. Not every machine has all of
/// them, which the `?` tells strace.
const WRITING: [&str; 17] = [
    "?write",
    "?writev",
    "?pwrite64",
    "?copy_file_range",
    "?sendto",
    "?fsync",
    "?fdatasync",
    "?rename",
    "?renameat",
    "?renameat2",
    "?linkat",
    "?unlink",
    "?unlinkat",
    "?mkdir",
    "?mkdirat",
    "?ftruncate",
    "?openat",
];

#[test]
fn killed_at_any_system_call_that_writes_it_resumes_where_it_was() {
    let mut killed = 0;
    let deleting = |scenario: &Scenario| scenario.retention == "never";
    for (index, scenario) in Scenario::all().into_iter().filter(deleting).enumerate() {
        for (kind, call) in WRITING.iter().enumerate() {
            // Opening files takes many calls, nearly all of them before there is anything to lose.
            let every = match (everything(), *call) {
                (true, "?openat") => 5,
                (true, _) => 1,
                (false, "?openat") => 31,
                (false, _) => 7,
            };
            for count in (1 + (index + kind) % every..).step_by(every) {
                let fixture = scenario.fixture();
                let inject = format!("--inject={call}:signal=SIGKILL:when={count}");
                let strace = ["strace", "-f", "-qq", "-o", "/dev/null", &inject];
                let context = format!("{scenario:?}, killed at {call} number {count}");
                let outcome = fixture.sync(&strace, &[]);
                if outcome.status == Some(0) {
                    count_cases(count / every, count - 1);
                    break;
                }
                assert_eq!(outcome.status, Some(137), "{context}: {outcome:#?}");
                fixture.has_lost_nothing(&context);
                fixture.completes(&context);
                killed += 1;
            }
        }
    }
    assert!(killed > 20, "strace killed it only {killed} times");
}

/// Traces a run that deletes.
fn trace(scenario: Scenario) -> (Fixture, Trace) {
    let fixture = scenario.fixture();
    let trace = trace_on(&fixture);
    (fixture, trace)
}

/// The same on this fixture.
fn trace_on(fixture: &Fixture) -> Trace {
    let trace = trace_until(fixture, &[], 0);
    fixture.is_complete("traced");
    trace
}

/// Traces a run with these variables, which ends with this status.
fn trace_until(fixture: &Fixture, variables: &[(&str, &str)], status: i32) -> Trace {
    let file = fixture.sandbox.home("trace");
    let shown = file.display().to_string();
    let strace = ["strace", "-f", "-y", "-qq", "-s", "1000000", "-o", &shown];
    fixture.sync(&strace, variables).ends_with(status);
    Trace::parse(&fs::read_to_string(&file).expect("a trace"))
}

#[test]
fn each_message_is_durable_before_the_next_step_and_all_of_it_before_it_is_deleted() {
    for scenario in Scenario::deleting() {
        let (fixture, trace) = trace(scenario);
        for (index, uid) in fixture.uids().iter().enumerate() {
            for (to, destination) in scenario.destinations.iter().enumerate() {
                let stored = record("stored", uid, to);
                let recorded =
                    trace.first("writes the record", |call| call.writes(".jsonl", &stored));
                let made_true = match destination.starts_with("maildir:") {
                    true => maildir_steps(&trace, recorded, &stored),
                    false => mbox_steps(&trace, uid, to),
                };
                made_true.comes_before(recorded);
                let durable = trace.first("makes the record durable", |call| {
                    recorded.comes_before_if(call) && call.syncs(".jsonl")
                });
                let dele = format!("DELE {}\\r\\n", index + 1);
                let deleted = trace.first("sends DELE", |call| call.sends(&dele));
                durable.comes_before(deleted);
                let asked = asked_in_the_journal(&trace, uid);
                asked.comes_before(deleted);
            }
        }
    }
}

/// Recorded that the deletion is asked for → synced; returns the last of these.
fn asked_in_the_journal<'a>(trace: &'a Trace, uid: &str) -> &'a Call {
    let asked = format!("{{\\\"is\\\":\\\"asked\\\",\\\"uid\\\":\\\"{uid}\\\"");
    let asked = trace.first("writes what is asked", |call| call.writes(".jsonl", &asked));
    trace.first("makes durable what is asked", |call| {
        asked.comes_before_if(call) && call.syncs(".jsonl")
    })
}

/// The beginning of a record in the journal, as strace writes it.
fn record(is: &str, uid: &str, to: usize) -> String {
    format!("{{\\\"is\\\":\\\"{is}\\\",\\\"uid\\\":\\\"{uid}\\\",\\\"to\\\":{to},")
}

/// Data synced → `tmp/` synced → intended → moved → `new/` synced; returns the last of these.
fn maildir_steps<'a>(trace: &'a Trace, recorded: &Call, record: &str) -> &'a Call {
    let name = recorded
        .text
        .split(record)
        .nth(1)
        .and_then(|after| after.split("\\\"file\\\":\\\"").nth(1))
        .and_then(|after| after.split("\\\"").next())
        .expect("a record of a message in a Maildir names its file");
    let unique = name.split(',').next().unwrap_or(name);
    let in_tmp = format!("tmp/{unique}>");
    let written = trace.last("writes the file", |call| call.writes(&in_tmp, ""));
    let synced = trace.first("syncs the file", |call| call.syncs(&in_tmp));
    written.comes_before(synced);
    let tmp = trace.first("syncs tmp/", |call| {
        synced.comes_before_if(call) && call.syncs("/tmp>")
    });
    let intend = record.replace("stored", "intend");
    let intended = trace.first("writes the intent", |call| call.writes(".jsonl", &intend));
    let durable = trace.first("makes the intent durable", |call| {
        intended.comes_before_if(call) && call.syncs(".jsonl")
    });
    let moved = trace.first("moves the file", |call| call.moves_to(name));
    tmp.comes_before(moved);
    durable.comes_before(moved);
    trace.first("syncs new/", |call| {
        moved.comes_before_if(call) && call.syncs("/new>")
    })
}

/// Intended → appended → synced; returns the last of these.
fn mbox_steps<'a>(trace: &'a Trace, uid: &str, to: usize) -> &'a Call {
    let intend = record("intend", uid, to);
    let intended = trace.first("writes the intent", |call| call.writes(".jsonl", &intend));
    let durable = trace.first("makes the intent durable", |call| {
        intended.comes_before_if(call) && call.syncs(".jsonl")
    });
    let appended = trace.first("appends to the mbox", |call| {
        intended.comes_before_if(call) && call.writes(".mbox>", "")
    });
    durable.comes_before(appended);
    trace.first("syncs the mbox", |call| {
        appended.comes_before_if(call) && call.syncs(".mbox>")
    })
}

#[test]
fn a_copy_that_authorises_a_deletion_is_durable_before_it() {
    let recognised = |scenario: &Scenario| scenario.before == Before::Recognised;
    for scenario in Scenario::all().into_iter().filter(recognised) {
        let (_, trace) = trace(scenario);
        let deleted = trace.first("sends DELE", |call| call.sends("DELE "));
        for destination in scenario.destinations {
            let copies = match destination.starts_with("maildir:") {
                true => &["/Mail/it/new/", "/Mail/it/new>", "/Mail/it/cur>"][..],
                false => &[".mbox>", "/home/Mail>"],
            };
            for copy in copies {
                let synced = trace.first(copy, |call| call.syncs(copy));
                synced.comes_before(deleted);
            }
        }
    }
}

#[test]
fn the_entries_of_new_files_and_directories_are_durable_before_anything_is_deleted() {
    for scenario in Scenario::deleting() {
        let (_, trace) = trace(scenario);
        // Each of these holds a file or a directory that the run made.
        let mut holders = vec!["/home/.local/state>", "/home/.local/state/popfetch>"];
        for destination in scenario.destinations {
            holders.push("/home>");
            holders.push("/home/Mail>");
            if destination.starts_with("maildir:") {
                holders.push("/home/Mail/it>");
            }
        }
        syncs_before_it_deletes(&trace, &holders);
    }
}

/// Each of these directories is made durable before the first message is deleted.
#[track_caller]
fn syncs_before_it_deletes(trace: &Trace, directories: &[&str]) {
    let deleted = trace.first("sends DELE", |call| call.sends("DELE 1\\r\\n"));
    for directory in directories {
        let synced = trace.first(directory, |call| call.syncs(directory));
        synced.comes_before(deleted);
    }
}

#[test]
fn what_a_killed_run_may_have_made_is_durable_before_anything_is_deleted() {
    for scenario in Scenario::deleting() {
        let fixture = scenario.fixture();
        let mut holders = Vec::new();
        for destination in scenario.destinations {
            if destination.starts_with("maildir:") {
                for directory in ["tmp", "new", "cur"] {
                    let path = fixture.sandbox.home("Mail/it").join(directory);
                    fs::create_dir_all(path).expect("our own directory");
                }
                holders.push("/home/Mail/it>");
            } else {
                fixture.sandbox.private_file("Mail/it.mbox", "");
                holders.push("/home/Mail>");
            }
        }
        syncs_before_it_deletes(&trace_on(&fixture), &holders);
    }
}

/// The state, a Maildir or an mbox below directories that are all missing.
fn below_missing_directories(destinations: &'static [&'static str]) -> Fixture {
    let scenario = Scenario {
        destinations,
        batch: MANY,
        retention: "never",
        before: Before::Nothing,
    };
    let mut sandbox = Sandbox::new();
    let state = sandbox.home("one/two/state").display().to_string();
    sandbox.variable("XDG_STATE_HOME", &state);
    scenario.fixture_in(sandbox)
}

/// Where a run has made a directory, and the one above is not synced.
const MADE: [&str; 1] = ["directory: made, not synced"];

#[test]
fn a_directory_that_a_killed_run_made_is_durable_before_the_next_run_deletes_anything() {
    // The state takes four directories, the Maildir six, the mbox two.
    for (destinations, directories) in [
        (&["maildir:~/Mail/all/it"], 4 + 6),
        (&["mbox:~/Mail/all/it.mbox"], 4 + 2),
    ] {
        let points = points(&below_missing_directories(destinations));
        let made = (1..).zip(&points);
        let made = made.filter(|(_, name)| MADE.contains(&name.as_str()));
        let made: Vec<usize> = made.map(|(number, _)| number).collect();
        assert_eq!(made.len(), directories, "{points:?}");
        for number in made {
            let fixture = below_missing_directories(destinations);
            let at = number.to_string();
            let killed = trace_until(&fixture, &[("POPFETCH_CRASH_AT", &at)], 137);
            let left = killed.left_unsynced();
            assert_eq!(left.len(), 1, "{left:?}");
            let holder = format!("{}>", left[0].display());
            syncs_before_it_deletes(&trace_on(&fixture), &[&holder]);
        }
    }
}

#[test]
fn a_journal_written_anew_is_durable_in_its_place_before_anything_is_deleted() {
    let stored = |scenario: &Scenario| scenario.before == Before::Stored;
    let scenario = Scenario::all().into_iter().find(stored);
    let fixture = scenario.expect("a scenario").fixture();
    fixture.sandbox.damage_journal();
    let journal = fixture.sandbox.journal().display().to_string();
    let trace = trace_on(&fixture);
    let written = trace.last("writes the new journal", |call| {
        call.writes(".jsonl.new>", "")
    });
    let synced = trace.first("syncs the new journal", |call| call.syncs(".jsonl.new>"));
    written.comes_before(synced);
    let moved = trace.first("moves it into its place", |call| call.moves_to(&journal));
    synced.comes_before(moved);
    let durable = trace.first("syncs the directory", |call| {
        moved.comes_before_if(call) && call.syncs("/home/.local/state/popfetch>")
    });
    let deleted = trace.first("sends DELE", |call| call.sends("DELE "));
    durable.comes_before(deleted);
}
