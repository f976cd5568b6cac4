use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::fs::FlockOperation;
use tempfile::TempDir;

use super::*;
use crate::deliver::mboxrd::Unquoter;
use crate::deliver::testing::{add, add_from, commit, digest, environment, find, recover, store};
use crate::error::{Failure, Kind};

/// A message that shares its first half with others of its kind: what tests and robots send.
const SIMILAR: &[u8] =
    b"From: robot@example.org\nSubject: report\n\nAll is well on host number 1\n";

fn tempdir() -> TempDir {
    tempfile::tempdir().expect("tempdir")
}

/// The mbox of a test, at a time that stands still.
fn mbox(root: &Path) -> Mbox {
    let now = "2026-08-03T04:05:06Z".parse().expect("a time");
    let environment = environment(root).with_clock(move || now);
    let mut mbox = Mbox::new(root.join("mail/inbox"), &environment);
    mbox.lock_timeout = Duration::from_millis(200);
    mbox
}

fn path(root: &Path) -> PathBuf {
    root.join("mail/inbox")
}

fn write(root: &Path, content: &[u8]) {
    fs::create_dir_all(root.join("mail")).expect("made");
    fs::write(path(root), content).expect("written");
}

fn content(root: &Path) -> Vec<u8> {
    fs::read(path(root)).unwrap_or_default()
}

/// The messages of an mbox as a reader sees them: From_ line, text.
fn read(content: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut messages = Vec::new();
    let mut rest = content;
    while !rest.is_empty() {
        assert!(rest.starts_with(b"From "), "a message without a From_ line");
        let next = memchr::memmem::find(rest, b"\nFrom ").map_or(rest.len(), |at| at + 1);
        let (message, next_ones) = rest.split_at(next);
        let line = memchr::memchr(b'\n', message).expect("a From_ line") + 1;
        let (from_line, text) = message.split_at(line);
        let mut unquoter = Unquoter::new();
        let mut unquoted = Vec::new();
        unquoter.unquote(text, |bytes| unquoted.extend_from_slice(bytes));
        unquoter.finish(|bytes| unquoted.extend_from_slice(bytes));
        assert_eq!(unquoted.pop(), Some(b'\n'), "no empty line after a message");
        messages.push((String::from_utf8_lossy(from_line).into_owned(), unquoted));
        rest = next_ones;
    }
    messages
}

fn texts(root: &Path) -> Vec<Vec<u8>> {
    read(&content(root))
        .into_iter()
        .map(|(_, text)| text)
        .collect()
}

fn offset_and_length(place: &Place) -> (usize, usize) {
    match place {
        Place::Mbox { offset, length, .. } => (
            usize::try_from(*offset).expect("small"),
            usize::try_from(*length).expect("small"),
        ),
        other => panic!("{other:?} in an mbox"),
    }
}

/// Recovers all at once.
fn recover_all(root: &Path, places: &[Place], texts: &[&[u8]], mode: Mode) -> Vec<bool> {
    let digests: Vec<_> = texts.iter().map(|text| digest(text)).collect();
    let intents: Vec<_> = places
        .iter()
        .zip(&digests)
        .map(|(place, digest)| StoredRef { place, digest })
        .collect();
    mbox(root).recover(&intents, mode).expect("recovered")
}

/// Why the batch of an mbox cannot be prepared.
fn cannot_prepare(mbox: &mut Mbox) -> Failure {
    mbox.prepare().err().expect("it cannot be prepared")
}

#[test]
fn messages_are_appended_quoted_and_readable() {
    let root = tempdir();
    let mut mbox = mbox(root.path());
    add_from(&mut mbox, b"A: 1\n\nFrom here\n>From there\n", Some(b"a@b"));
    store(&mut mbox, &[b"no end", b""]);
    store(&mut mbox, &[b"later\n"]);
    let time = "Mon Aug  3 04:05:06 2026\n";
    let expected = [
        (
            format!("From a@b {time}"),
            &b"A: 1\n\nFrom here\n>From there\n"[..],
        ),
        (format!("From MAILER-DAEMON {time}"), b"no end\n"),
        (format!("From MAILER-DAEMON {time}"), b""),
        (format!("From MAILER-DAEMON {time}"), b"later\n"),
    ];
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(line, text)| (line, text.to_vec()))
        .collect();
    assert_eq!(read(&content(root.path())), expected);
    let entries = fs::read_dir(root.path().join("mail")).expect("readable");
    assert_eq!(entries.count(), 1, "no lock is left");
}

#[test]
fn places_are_the_exact_ranges() {
    let root = tempdir();
    write(root.path(), b"From x\n\nno end");
    let places = store(&mut mbox(root.path()), &[b"one\n", b"From two"]);
    let content = content(root.path());
    for (place, begins) in places
        .iter()
        .zip([&b"\nFrom MAILER-DAEMON "[..], b"From MAILER-DAEMON "])
    {
        let Place::Mbox { digest: sum, .. } = place else {
            panic!("{place:?}");
        };
        let (offset, length) = offset_and_length(place);
        let range = &content[offset..offset + length];
        assert!(range.starts_with(begins) && range.ends_with(b"\n\n"));
        assert_eq!(digest(range), *sum);
    }
}

#[test]
fn a_missing_last_newline_is_added_once_and_nothing_else_changed() {
    for (before, between) in [
        (&b""[..], ""),
        (b"From x\n\nend\n", ""),
        (b"From x\n\nno end", "\n"),
    ] {
        let root = tempdir();
        write(root.path(), before);
        store(&mut mbox(root.path()), &[b"text\n"]);
        let mut expected = before.to_vec();
        expected.extend_from_slice(between.as_bytes());
        expected.extend_from_slice(b"From MAILER-DAEMON Mon Aug  3 04:05:06 2026\ntext\n\n");
        assert_eq!(content(root.path()), expected);
    }
}

#[test]
fn an_mbox_that_grew_between_two_of_our_batches_keeps_everything() {
    let root = tempdir();
    let mut mbox = mbox(root.path());
    store(&mut mbox, &[b"one\n"]);
    let mut file = OpenOptions::new()
        .append(true)
        .open(path(root.path()))
        .expect("there");
    file.write_all(b"From other Mon Aug  3 04:05:06 2026\ntheirs\n\n")
        .expect("appended");
    store(&mut mbox, &[b"two\n"]);
    assert_eq!(
        texts(root.path()),
        [b"one\n".to_vec(), b"theirs\n".to_vec(), b"two\n".to_vec()]
    );
}

#[test]
fn what_is_given_up_leaves_nothing_and_no_lock() {
    let root = tempdir();
    let mut mbox = mbox(root.path());
    add(&mut mbox, b"one");
    drop(mbox.prepare().expect("prepared"));
    add(&mut mbox, b"two");
    mbox.discard();
    let mut writer = mbox.begin().expect("begun");
    writer.write(b"half").expect("written");
    drop(writer);
    assert_eq!(mbox.prepare().expect("empty").places(), []);
    assert!(commit(&mut mbox).is_empty());
    assert_eq!(content(root.path()), b"");
    assert_eq!(
        fs::read_dir(root.path().join("mail"))
            .expect("readable")
            .count(),
        1
    );
}

#[test]
fn nothing_is_made_before_a_message_comes() {
    let root = tempdir();
    let mut mbox = mbox(root.path());
    assert_eq!(mbox.prepare().expect("empty").places(), []);
    let place = Place::Mbox {
        offset: 0,
        length: 10,
        digest: digest(b""),
        marks: vec![],
    };
    assert!(!recover(&mut mbox, &place, b"x", Mode::Apply));
    drop(mbox);
    assert_eq!(fs::read_dir(root.path()).expect("readable").count(), 0);
}

#[test]
fn an_mbox_whose_directory_vanishes_after_it_was_looked_at_is_not_made_anew() {
    let root = tempdir();
    store(&mut mbox(root.path()), &[b"text"]);
    let mut mbox = mbox(root.path());
    mbox.expect_present().expect("there");
    fs::remove_dir_all(root.path().join("mail")).expect("unmounted");
    match mbox.begin() {
        Err(DeliveryError::Destination(failure)) => assert_eq!(failure.kind(), Kind::Destination),
        _ => panic!("no error without a directory"),
    }
    assert!(mbox.expect_present().is_err());
    assert!(!root.path().join("mail").exists());
}

#[test]
fn what_cannot_be_an_mbox_is_an_error_of_the_destination() {
    let root = tempdir();
    fs::create_dir_all(path(root.path())).expect("a directory in its place");
    let elsewhere = |path: &str| Mbox::new(path.into(), &environment(root.path()));
    for mut mbox in [
        mbox(root.path()),
        elsewhere("/dev/null"),
        elsewhere("/dev/null/x"),
    ] {
        let path = mbox.path.display().to_string();
        match mbox.begin() {
            Err(DeliveryError::Destination(failure)) => {
                assert_eq!(failure.kind(), Kind::Destination);
                assert!(
                    failure.to_string().contains(path.trim_end_matches("/x")),
                    "{failure}"
                );
            }
            _ => panic!("no error at {path}"),
        }
    }
    // As root this cannot be told before trying.
    let mut mbox = elsewhere("/proc/x");
    if mbox.begin().is_ok() {
        add(&mut mbox, b"text");
        let failure = cannot_prepare(&mut mbox);
        assert_eq!(failure.kind(), Kind::Destination);
    }
}

#[test]
fn a_symbolic_link_is_followed_and_stays() {
    let root = tempdir();
    write(root.path(), b"");
    let link = root.path().join("link");
    std::os::unix::fs::symlink(path(root.path()), &link).expect("linked");
    let mut mbox = mbox(root.path());
    mbox.path.clone_from(&link);
    store(&mut mbox, &[b"text\n"]);
    assert_eq!(texts(root.path()), [b"text\n"]);
    assert!(fs::symlink_metadata(link).expect("there").is_symlink());
}

/// Runs one of these tests again in a process of its own, by a shell command in which `$T` runs it.
fn in_a_process(test: &str, shell: &str, root: &Path) -> Command {
    let mut command = Command::new("sh");
    let run = format!("T=\"$0 --exact deliver::mbox::tests::{test} --nocapture\"; {shell}");
    command.args([OsStr::new("-c"), OsStr::new(&run)]);
    command
        .arg(std::env::current_exe().expect("test program"))
        .env(ROOT, root);
    command
}

const ROOT: &str = "POPFETCH_TEST_MBOX_ROOT";

#[test]
fn modes_do_not_depend_on_the_umask() {
    if let Some(root) = std::env::var_os(ROOT) {
        let root = Path::new(&root);
        let mut mbox = mbox(root);
        add(&mut mbox, b"A: 1\n");
        let prepared = mbox.prepare().expect("prepared");
        let lock = fs::metadata(dot_lock::path_of(&path(root))).expect("locked");
        let ours = lock.permissions().mode() & 0o600;
        assert_eq!(ours, 0o600, "killed now, the next run has to read it");
        for result in prepared.commit() {
            result.expect("stored");
        }
        return;
    }
    for umask in ["000", "277", "777"] {
        let root = tempdir();
        let shell = format!("umask {umask}; exec $T");
        let run = in_a_process("modes_do_not_depend_on_the_umask", &shell, root.path())
            .output()
            .expect("run");
        assert!(run.status.success(), "{run:?}");
        let mode = |path: &Path| fs::metadata(path).expect("made").permissions().mode() & 0o7777;
        assert_eq!(mode(&path(root.path())), 0o600, "under umask {umask}");
        assert_eq!(
            mode(&root.path().join("mail")),
            0o700,
            "under umask {umask}"
        );
    }
}

/// The disk fills while a batch is appended: the file may not grow beyond a limit.
#[test]
fn a_message_that_does_not_fit_is_taken_back_and_those_before_it_stay() {
    if let Some(root) = std::env::var_os(ROOT) {
        let root = Path::new(&root);
        let mut mbox = mbox(root);
        for n in 0..4 {
            add(
                &mut mbox,
                format!("N: {n}\n\n{}\n", "x".repeat(2000)).as_bytes(),
            );
        }
        let results = commit(&mut mbox);
        assert!(results[0].is_ok() && results[1].is_ok(), "{results:?}");
        for result in &results[2..] {
            match result {
                Err(DeliveryError::Destination(failure)) => {
                    assert_eq!(failure.kind(), Kind::Destination)
                }
                other => panic!("{other:?} beyond the limit"),
            }
        }
        // What is smaller still fits.
        store(&mut mbox, &[b"small\n"]);
        return;
    }
    let root = tempdir();
    let before = format!("From x\n\n{}\n\n", "y".repeat(64 * 1024 - 5000));
    write(root.path(), before.as_bytes());
    let test = "a_message_that_does_not_fit_is_taken_back_and_those_before_it_stay";
    // In blocks of 512 bytes.
    let shell = "trap '' XFSZ; ulimit -f 128; exec $T";
    let run = in_a_process(test, shell, root.path())
        .output()
        .expect("run");
    assert!(run.status.success(), "{run:?}");
    let stored = texts(root.path());
    assert_eq!(stored.len(), 4);
    assert!(stored[1].starts_with(b"N: 0\n") && stored[2].starts_with(b"N: 1\n"));
    assert_eq!(stored[3], b"small\n");
}

/// Another process that holds the fcntl lock until it is killed.
struct Holder(Child);

impl Holder {
    fn of(root: &Path) -> Self {
        let mut child = in_a_process(
            "an_mbox_locked_by_another_process_is_waited_for",
            "exec $T",
            root,
        )
        .stdout(Stdio::piped())
        .spawn()
        .expect("run");
        let said = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut said = said.map(|line| line.expect("text"));
        assert!(
            said.any(|line| line.contains("locked")),
            "the other process locks it"
        );
        Holder(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("ended");
    }
}

#[test]
fn an_mbox_locked_by_another_process_is_waited_for() {
    if let Some(root) = std::env::var_os(ROOT) {
        let spot = Spot::make(&path(Path::new(&root))).expect("reached");
        let file = spot.open().expect("opened").expect("there");
        rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).expect("locked");
        writeln!(io::stdout(), "locked").expect("said");
        loop {
            std::thread::park();
        }
    }
    let root = tempdir();
    write(root.path(), b"");
    let holder = Holder::of(root.path());
    let mut mbox = mbox(root.path());
    add(&mut mbox, b"text\n");
    let begun = Instant::now();
    let failure = cannot_prepare(&mut mbox);
    assert!(begun.elapsed() >= mbox.lock_timeout);
    assert_eq!(failure.kind(), Kind::Temporary);
    assert!(
        failure.message().contains("is locked by another program"),
        "{failure}"
    );
    drop(holder);
    assert!(commit(&mut mbox)[0].is_ok(), "the batch is still there");
    assert_eq!(texts(root.path()), [b"text\n"]);
}

#[test]
fn a_dot_lock_of_another_program_is_waited_for() {
    let root = tempdir();
    write(root.path(), b"");
    let lock = root.path().join("mail/inbox.lock");
    fs::write(&lock, "1\n").expect("locked");
    let mut mbox = mbox(root.path());
    add(&mut mbox, b"text\n");
    let failure = cannot_prepare(&mut mbox);
    assert_eq!(failure.kind(), Kind::Temporary);
    assert!(failure.message().contains("inbox.lock"), "{failure}");
    assert!(lock.exists());
}

#[test]
fn the_mbox_is_locked_from_prepare_to_commit_and_not_before() {
    let root = tempdir();
    let lock = root.path().join("mail/inbox.lock");
    let (mut first, mut second) = (mbox(root.path()), mbox(root.path()));
    add(&mut first, b"one\n");
    add(&mut second, b"two\n");
    assert!(!lock.exists());
    let prepared = first.prepare().expect("prepared");
    assert!(lock.exists());
    let failure = cannot_prepare(&mut second);
    assert_eq!(failure.kind(), Kind::Temporary);
    prepared.commit().remove(0).expect("stored");
    assert!(!lock.exists());
    store(&mut second, &[]);
    assert_eq!(texts(root.path()), [b"one\n", b"two\n"]);
}

#[test]
fn accounts_that_share_an_mbox_do_not_mix_their_messages() {
    let root = tempdir();
    std::thread::scope(|scope| {
        for account in 0..4 {
            let root = root.path();
            scope.spawn(move || {
                let mut mbox = mbox(root);
                mbox.lock_timeout = Duration::from_secs(60);
                for batch in 0..5 {
                    let text = format!("A: {account} {batch}\n\n{}\n", "x".repeat(5000));
                    store(&mut mbox, &[text.as_bytes(), text.as_bytes()]);
                }
            });
        }
    });
    let texts = texts(root.path());
    assert_eq!(texts.len(), 40);
    assert!(
        texts.chunks(2).all(|batch| batch[0] == batch[1]),
        "batches stay together"
    );
}

#[test]
fn an_mbox_that_changed_although_it_was_locked_is_not_written_to() {
    let root = tempdir();
    let mut mbox = mbox(root.path());
    add(&mut mbox, b"text\n");
    let prepared = mbox.prepare().expect("prepared");
    fs::write(path(root.path()), b"From x\n\nsurprise\n\n").expect("written");
    let results = prepared.commit();
    assert!(
        matches!(&results[0], Err(DeliveryError::Message(failure)) if failure.kind() == Kind::Temporary)
    );
    assert_eq!(content(root.path()), b"From x\n\nsurprise\n\n");
}

/// The heart: cut off at every byte of what is appended, with or without NULs where bytes were to be.
#[test]
fn a_batch_cut_off_at_any_byte_is_recovered_so_that_storing_the_rest_completes_it() {
    let batch: [&[u8]; 4] = [SIMILAR, b"From here\n>From there\nno end", b"", SIMILAR];
    for before in [&b""[..], b"From x\n\ntext\n\n", b"From x\n\nno end"] {
        let root = tempdir();
        write(root.path(), before);
        let places = store(&mut mbox(root.path()), &batch);
        let whole = content(root.path());
        let ends: Vec<_> = places
            .iter()
            .map(offset_and_length)
            .map(|(offset, length)| offset + length)
            .collect();
        for cut in before.len()..=whole.len() {
            for nuls in [0, whole.len() - cut] {
                let mut torn = whole[..cut].to_vec();
                torn.resize((cut + nuls).min(whole.len()), 0);
                write(root.path(), &torn);
                let expected: Vec<_> = ends.iter().map(|end| *end <= cut).collect();
                // Identical messages may stand for one another.
                let foreseen = recover_all(root.path(), &places, &batch, Mode::DryRun);
                assert_eq!(content(root.path()), torn, "looking changes nothing");
                let recovered = recover_all(root.path(), &places, &batch, Mode::Apply);
                assert_eq!(foreseen, recovered, "cut at {cut}, {nuls} NULs");
                assert_eq!(recovered, expected, "cut at {cut}, {nuls} NULs");
                let last = ends
                    .iter()
                    .rfind(|end| **end <= cut)
                    .copied()
                    .unwrap_or(before.len());
                assert_eq!(
                    content(root.path()),
                    whole[..last],
                    "cut at {cut}, {nuls} NULs"
                );
                assert_eq!(
                    recover_all(root.path(), &places, &batch, Mode::Apply),
                    expected,
                    "again the same"
                );
                let missing = batch.iter().zip(&expected).filter(|(_, stored)| !**stored);
                let missing: Vec<_> = missing.map(|(text, _)| *text).collect();
                store(&mut mbox(root.path()), &missing);
                assert_eq!(content(root.path()), whole, "cut at {cut}, {nuls} NULs");
            }
        }
    }
}

#[test]
fn more_nuls_than_there_was_to_be_text_are_not_ours() {
    let root = tempdir();
    let place = prepared(root.path(), SIMILAR);
    let (_, length) = offset_and_length(&place);
    let nuls = vec![0; length + 1];
    write(root.path(), &nuls);
    assert!(!recover(
        &mut mbox(root.path()),
        &place,
        SIMILAR,
        Mode::Apply
    ));
    assert_eq!(content(root.path()), nuls);
}

/// A place that was prepared when the run was cut off, before anything was appended.
fn prepared(root: &Path, text: &[u8]) -> Place {
    let mut mbox = mbox(root);
    add(&mut mbox, text);
    let prepared = mbox.prepare().expect("prepared");
    prepared.places()[0].clone()
}

#[test]
fn a_message_of_another_program_where_ours_was_to_be_is_never_cut() {
    let long = [SIMILAR, &[b'x'; 500]].concat();
    let from_line = "From MAILER-DAEMON Mon Aug  3 04:05:06 2026\n";
    let theirs = [
        format!("{from_line}short\n\n"),
        format!("{from_line}From: robot@example.org\nSubject: other\n\n"),
        format!(
            "{from_line}From: robot@example.org\nSubject: report\n\nAll is well on the other host\n\n"
        ),
        "From other@x Mon Aug  3 04:05:06 2026\n\n".to_owned(),
        "no mbox at all".to_owned(),
        "x".to_owned(),
        "\n\n".to_owned(),
        "From \n".to_owned(),
    ];
    for theirs in &theirs {
        let root = tempdir();
        let before = b"From x\n\ntext\n\n";
        write(root.path(), before);
        let place = prepared(root.path(), &long);
        let now = [&before[..], theirs.as_bytes()].concat();
        write(root.path(), &now);
        let recovered = recover(&mut mbox(root.path()), &place, &long, Mode::Apply);
        assert!(!recovered, "{theirs}");
        assert_eq!(content(root.path()), now, "\"{theirs}\" is theirs");
    }
}

#[test]
fn what_another_program_appended_to_a_part_of_ours_is_never_cut() {
    let ours = [SIMILAR, &[b'x'; 500]].concat();
    let root = tempdir();
    let places = store(&mut mbox(root.path()), &[&ours]);
    let whole = content(root.path());
    let theirs = b"From other@x Mon Aug  3 04:05:06 2026\nS: 1\n\ntheirs\n\n";
    for cut in 0..whole.len() {
        let mut now = whole[..cut].to_vec();
        now.extend_from_slice(theirs);
        write(root.path(), &now);
        // All but the empty line after it is all of the message.
        let stored = cut == whole.len() - 1;
        let recovered = recover_all(root.path(), &places, &[&ours], Mode::Apply);
        assert_eq!(recovered, [stored], "cut at {cut}");
        assert_eq!(content(root.path()), now, "cut at {cut}");
    }
}

#[test]
fn a_message_is_found_in_an_mbox_that_a_reader_rewrote() {
    let text = b"Received: x\nSubject: a\n\tb\n\nFrom here\nno end";
    let root = tempdir();
    store(
        &mut mbox(root.path()),
        &[b"S: deleted\n\nlong enough to move the rest\n"],
    );
    let place = store(&mut mbox(root.path()), &[text]).remove(0);
    let from_line = "From MAILER-DAEMON Mon Aug  3 04:05:06 2026\n";
    let quoted = "Received: x\nSubject: a\n\tb\n\n>From here\nno end\n\n";
    let noted = "Received: x\nStatus: RO\nSubject: a\n\tb\nX-Keywords: a\n  b\nContent-Length: 18\n\n>From here\nno end\n\n";
    let other = format!("{from_line}S: other\n\nother\n\n");
    for (rewritten, stored) in [
        (format!("{from_line}{quoted}"), true),
        (format!("{from_line}{noted}"), true),
        (format!("{other}{from_line}{noted}{other}"), true),
        (format!("{other}{from_line}{quoted}{other}"), true),
        (format!("{other}{other}"), false),
        (String::new(), false),
        (
            format!("{from_line}{}", quoted.replace("no end", "no enD")),
            false,
        ),
        (
            format!("{from_line}{}", quoted.replace("Subject: a", "Subject: A")),
            false,
        ),
    ] {
        write(root.path(), rewritten.as_bytes());
        for mode in [Mode::DryRun, Mode::Apply] {
            assert_eq!(
                recover(&mut mbox(root.path()), &place, text, mode),
                stored,
                "{rewritten}"
            );
            assert_eq!(
                find(&mut mbox(root.path()), &place, text, mode),
                stored,
                "{rewritten}"
            );
            assert_eq!(content(root.path()), rewritten.as_bytes());
        }
    }
}

#[test]
fn one_message_in_a_rewritten_mbox_stands_for_one_intent_only() {
    let root = tempdir();
    let places = store(
        &mut mbox(root.path()),
        &[b"S: deleted\n\n", SIMILAR, SIMILAR],
    );
    let whole = content(root.path());
    let (offset, length) = offset_and_length(&places[1]);
    write(root.path(), &whole[offset..offset + length]);
    let recovered = recover_all(root.path(), &places[1..], &[SIMILAR, SIMILAR], Mode::Apply);
    assert_eq!(recovered.iter().filter(|stored| **stored).count(), 1);
}

#[test]
fn messages_alike_but_for_their_last_line_ends_are_all_found_in_a_rewritten_mbox() {
    let texts: [&[u8]; 4] = [b"S: a\n\n", b"S: a\n\n\n", b"S: a\n", b"S: a"];
    let root = tempdir();
    let places = store(&mut mbox(root.path()), &texts);
    let front = b"From other@example.org Thu Jan  1 00:00:00 1970\nS: put in front\n\n\n";
    write(root.path(), &[&front[..], &content(root.path())].concat());
    assert_eq!(
        recover_all(root.path(), &places, &texts, Mode::DryRun),
        [true; 4]
    );
}

#[test]
fn a_message_that_begins_like_ours_and_goes_on_is_not_ours() {
    let text = b"S: a\n\ntext\n";
    for more in ["\nmore\n", "\n\0\0\0\0\0\0more\n"] {
        let root = tempdir();
        let place = prepared(root.path(), text);
        let longer = [text, more.as_bytes()].concat();
        store(&mut mbox(root.path()), &[&longer]);
        for mode in [Mode::DryRun, Mode::Apply] {
            assert!(!recover(&mut mbox(root.path()), &place, text, mode));
            assert_eq!(texts(root.path()), [&longer[..]]);
        }
    }
}

#[test]
fn a_run_killed_while_it_held_the_locks_is_no_obstacle() {
    let root = tempdir();
    write(root.path(), b"");
    fs::write(root.path().join("mail/inbox.lock"), "1\npopfetch\n").expect("left");
    fs::write(root.path().join("mail/inbox.lock.popfetch"), "").expect("left");
    store(&mut mbox(root.path()), &[b"text\n"]);
    assert_eq!(texts(root.path()), [b"text\n"]);
    assert_eq!(
        fs::read_dir(root.path().join("mail"))
            .expect("readable")
            .count(),
        1
    );
}

#[test]
fn an_mbox_whose_directory_allows_no_dot_lock_is_locked_by_fcntl_alone() {
    let root = tempdir();
    let mut mbox = mbox(root.path());
    // A name with no room for more.
    mbox.path = root.path().join("m".repeat(255));
    store(&mut mbox, &[b"text\n"]);
    assert_eq!(read(&fs::read(&mbox.path).expect("there")).len(), 1);
}
