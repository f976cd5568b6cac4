use std::fs;
use std::path::Path;
use std::time::Instant;

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::*;
use crate::deliver::Complete;
use crate::deliver::testing::{add, commit, digest, environment, store};
use crate::mail::UniqueId;

fn tempdir() -> TempDir {
    tempfile::tempdir().expect("tempdir")
}

fn pipe(root: &Path, command: &str) -> Pipe {
    with_jobs(root, command, 1)
}

/// A command that knows a directory of the test's own as `$D`.
fn with_jobs(root: &Path, command: &str, jobs: usize) -> Pipe {
    let settings = Settings {
        account: "work",
        pipe_jobs: NonZeroUsize::new(jobs).expect("some"),
    };
    let command = format!("D='{}'; {command}", root.display());
    let environment = environment(root).with_password_variables(["HOME".to_owned()]);
    Pipe::new(command, &settings, &environment)
}

fn hand_over(pipe: &mut Pipe, texts: &[&[u8]]) -> Vec<Result<Place, DeliveryError>> {
    texts.iter().for_each(|text| add(pipe, text));
    let results = commit(pipe);
    assert_eq!(results.len(), texts.len());
    results
}

/// The error that ended the destination.
fn end(results: Vec<Result<Place, DeliveryError>>) -> Failure {
    match results.into_iter().next_back() {
        Some(Err(DeliveryError::Destination(failure))) => failure,
        other => panic!("{other:?} instead of the end"),
    }
}

fn refusal(result: &Result<Place, DeliveryError>) -> &Failure {
    match result {
        Err(DeliveryError::Message(failure)) => failure,
        other => panic!("{other:?} instead of a refusal"),
    }
}

/// The process that a command wrote down.
fn child(root: &Path) -> Pid {
    let written = fs::read_to_string(root.join("child")).expect("written");
    let number = written.trim().parse().ok();
    number.and_then(Pid::from_raw).expect("a process")
}

/// Waits until a process is gone, or a zombie.
fn ends(process: Pid) -> bool {
    let stat = format!("/proc/{}/stat", process.as_raw_nonzero());
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        match fs::read_to_string(&stat) {
            Ok(stat) if !stat.contains(") Z ") => std::thread::yield_now(),
            _ => return true,
        }
    }
    false
}

#[test]
fn the_command_gets_each_message_byte_for_byte() {
    let root = tempdir();
    let mut pipe = pipe(root.path(), "cat > $D/$POPFETCH_SIZE");
    let big: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let texts: [&[u8]; 4] = [b"", b"one\n", b"\0\xff\r\n.\n", &big];
    store(&mut pipe, &texts);
    for text in texts {
        let got = fs::read(root.path().join(text.len().to_string())).expect("written");
        assert!(got == text, "{} bytes instead of {}", got.len(), text.len());
    }
    assert_eq!(pipe.take_warnings(), Vec::<String>::new());
}

#[test]
fn what_was_given_up_is_not_handed_over() {
    let root = tempdir();
    let mut pipe = pipe(root.path(), "cat >> $D/all");
    add(&mut pipe, b"discarded");
    pipe.discard();
    let mut writer = pipe.begin().expect("begun");
    writer.write(b"abandoned").expect("written");
    drop(writer);
    store(&mut pipe, &[b"kept"]);
    assert_eq!(fs::read(root.path().join("all")).expect("written"), b"kept");
}

#[test]
fn the_environment_tells_about_the_message_and_no_secrets() {
    let root = tempdir();
    let mut pipe = pipe(root.path(), "cat > /dev/null; env > $D/env");
    let uid = UniqueId::new(b"a'b\n$(x)");
    let complete = Complete {
        digest: digest(b""),
        length: 0,
        sender: Some(b"o\"brien@x\x1b"),
        uid: Some(&uid),
    };
    let writer = pipe.begin().expect("begun");
    writer.finish(&complete).expect("finished");
    commit(&mut pipe).remove(0).expect("taken");
    let variables = fs::read_to_string(root.path().join("env")).expect("written");
    for line in [
        "POPFETCH_ACCOUNT=work",
        "POPFETCH_UID=a%27b%0A%24%28x%29",
        "POPFETCH_SENDER=o_brien@x_",
        "POPFETCH_SIZE=0",
    ] {
        assert!(
            variables.lines().any(|variable| variable == line),
            "{line} is not in {variables}"
        );
    }
    assert!(
        std::env::var_os("HOME").is_some(),
        "there is something to hide"
    );
    assert!(
        !variables.lines().any(|line| line.starts_with("HOME=")),
        "{variables}"
    );
}

#[test]
fn a_refused_message_is_left_and_the_next_one_handed_over() {
    let root = tempdir();
    let mut pipe = pipe(root.path(), "read -r status; exit $status");
    let results = hand_over(&mut pipe, &[b"1\n", b"0\n", b"75\n", b"0\n"]);
    assert_eq!(refusal(&results[0]).kind(), Kind::Destination);
    assert!(refusal(&results[0]).to_string().contains("exit status: 1"));
    assert_eq!(refusal(&results[2]).kind(), Kind::Temporary);
    assert!(results[1].is_ok() && results[3].is_ok(), "{results:?}");
}

#[test]
fn a_command_killed_by_a_signal_refused_its_message() {
    let root = tempdir();
    let results = hand_over(&mut pipe(root.path(), "kill -SEGV $$"), &[b"x"]);
    assert!(
        refusal(&results[0]).to_string().contains("SIGSEGV"),
        "{results:?}"
    );
}

#[test]
fn five_refusals_in_a_row_end_the_destination() {
    let root = tempdir();
    let command = "read -r status; echo >> $D/runs; exit $status";
    let mut pipe = pipe(root.path(), command);
    let results = hand_over(&mut pipe, &[b"1\n", b"1\n", b"1\n", b"1\n", b"0\n", b"1\n"]);
    assert!(
        results[4].is_ok(),
        "a success begins the row anew: {results:?}"
    );
    let results = hand_over(&mut pipe, &[b"1\n", b"1\n", b"1\n", b"1\n", b"0\n"]);
    assert!(
        matches!(results[2], Err(DeliveryError::Message(_))),
        "{results:?}"
    );
    assert!(
        matches!(results[3], Err(DeliveryError::Destination(_))),
        "{results:?}"
    );
    assert!(
        matches!(results[4], Err(DeliveryError::Destination(_))),
        "{results:?}"
    );
    assert!(matches!(pipe.begin(), Err(DeliveryError::Destination(_))));
    let runs = fs::read(root.path().join("runs")).expect("written").len();
    assert_eq!(runs, 10, "nothing is handed over after the end");
}

#[test]
fn a_command_that_is_not_there_or_not_runnable_ends_the_destination_at_once() {
    let root = tempdir();
    let mut missing = pipe(root.path(), "popfetch-no-such-command");
    let failure = end(hand_over(&mut missing, &[b"x"]));
    assert_eq!(failure.kind(), Kind::Destination);
    assert!(
        failure.to_string().contains("popfetch-no-such-command"),
        "{failure}"
    );
    assert!(failure.to_string().contains("was not found"), "{failure}");
    assert!(missing.take_warnings().concat().contains("not found"));
    let mut directory = pipe(root.path(), "$D");
    let failure = end(hand_over(&mut directory, &[b"x"]));
    assert!(failure.to_string().contains("cannot be run"), "{failure}");
}

#[test]
fn a_command_need_not_read_its_input() {
    let root = tempdir();
    let big = vec![b'x'; 1_000_000];
    let results = hand_over(
        &mut pipe(root.path(), "exec <&-; exit 0"),
        &[&big, b"small"],
    );
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let results = hand_over(
        &mut pipe(root.path(), "head -c 10 >/dev/null; exit 3"),
        &[&big],
    );
    assert!(refusal(&results[0]).to_string().contains("exit status: 3"));
}

#[test]
fn a_command_that_hangs_is_killed_with_all_it_started() {
    let hang = |command: &str| {
        let root = tempdir();
        let mut pipe = pipe(root.path(), command);
        pipe.timeout = Duration::from_secs(3);
        let failure = end(hand_over(&mut pipe, &[&vec![b'x'; 1_000_000]]));
        assert_eq!(failure.kind(), Kind::Temporary);
        assert!(failure.to_string().contains("was killed"), "{failure}");
        assert!(
            ends(child(root.path())),
            "the child of \"{command}\" is alive"
        );
    };
    std::thread::scope(|scope| {
        for command in [
            "sleep 1000 & echo $! > $D/child; wait",
            "cat > /dev/null; sleep 1000 & echo $! > $D/child; wait",
            "sleep 1000 & echo $! > $D/child; while :; do echo flood >&2; done",
        ] {
            scope.spawn(move || hang(command));
        }
    });
}

#[test]
fn a_slow_reader_is_not_stuck() {
    let root = tempdir();
    // Longer in all than the timeout, which begins anew with every byte.
    let command =
        "for i in 1 2 3 4 5 6; do sleep 0.4; head -c 200000; done > /dev/null; cat > /dev/null";
    let mut pipe = pipe(root.path(), command);
    pipe.timeout = Duration::from_secs(2);
    let results = hand_over(&mut pipe, &[&vec![b'x'; 1_500_000]]);
    assert!(results[0].is_ok(), "{results:?}");
}

#[test]
fn a_child_that_lives_on_does_not_hold_us() {
    let root = tempdir();
    let command = "sleep 1000 & echo $! > $D/child; cat > /dev/null";
    // Held until the timeout, it would have killed the command.
    let results = hand_over(&mut pipe(root.path(), command), &[b"x"]);
    assert!(results[0].is_ok(), "{results:?}");
    rustix::process::kill_process(child(root.path()), Signal::KILL).expect("it was left alone");
}

#[test]
fn what_a_command_says_is_shown_escaped() {
    let root = tempdir();
    let command = "cat >/dev/null; printf 'one\\033[31m\\n\\ntwo' >&2; exit 1";
    let mut pipe = pipe(root.path(), command);
    hand_over(&mut pipe, &[b"x"]);
    let notices = pipe.take_warnings();
    assert_eq!(notices.len(), 2, "{notices:?}");
    assert!(notices[0].ends_with("says: one\\x1b[31m"), "{notices:?}");
    assert!(notices[1].ends_with("says: two"), "{notices:?}");
}

#[test]
fn of_a_flood_on_standard_error_the_first_4_kb_are_shown() {
    let root = tempdir();
    let mut pipe = pipe(root.path(), "head -c 1000000 /dev/zero | tr '\\0' Z >&2");
    let results = hand_over(&mut pipe, &[b"x"]);
    assert!(results[0].is_ok(), "{results:?}");
    let in_command = pipe.command.matches('Z').count();
    let shown = pipe.take_warnings();
    let said = |notice: &String| notice.matches('Z').count() - in_command;
    assert_eq!(shown.iter().map(said).sum::<usize>(), 4096);
}

#[test]
fn standard_output_goes_nowhere() {
    let root = tempdir();
    let results = hand_over(&mut pipe(root.path(), "head -c 1000000 /dev/zero"), &[b"x"]);
    assert!(results[0].is_ok(), "{results:?}");
}

#[test]
fn several_run_at_once_and_the_results_keep_their_order() {
    let root = tempdir();
    fs::create_dir(root.path().join("here")).expect("made");
    // Each waits until all four are there.
    let command =
        "read -r n; : > $D/here/$n; while [ $(ls $D/here | wc -l) -lt 4 ]; do :; done; exit $n";
    let mut pipe = with_jobs(root.path(), command, 4);
    assert_eq!(pipe.batch_limit(), 4);
    let results = hand_over(&mut pipe, &[b"1\n", b"0\n", b"3\n", b"4\n"]);
    assert!(results[1].is_ok(), "{results:?}");
    for (at, status) in [(0, 1), (2, 3), (3, 4)] {
        let expected = format!("exit status: {status}");
        assert!(
            refusal(&results[at]).to_string().contains(&expected),
            "{results:?}"
        );
    }
}
