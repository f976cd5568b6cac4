//! A disk that is full, out of inodes, read-only, or limited by a quota or for each file.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::disks::{self, Mounted, Quota};
use crate::support::mailbox::Mailbox;
use crate::support::messages::{Generator, Shape};
use crate::support::sampling::sample;
use crate::support::sandbox::{Outcome, Sandbox};
use crate::support::server::Server;

/// Messages of some sizes, so that a disk fills up in the middle of one.
fn messages() -> Mailbox {
    let mut generator = Generator::new(11);
    let sizes = [600, 9_000, 30_000, 700, 70_000, 5_000, 800];
    Mailbox::with(sizes.map(|size| generator.message(Shape::Plain, size)))
}

const KINDS: [&str; 2] = ["maildir:~/Mail/it", "mbox:~/Mail/it"];

/// A sandbox whose mail, or whose state, is on this disk.
fn sandbox_on(disk: &Path, what: &str, server: &Server, deliver: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let place = match what {
        "mail" => sandbox.home("Mail"),
        _ => sandbox.state(),
    };
    fs::create_dir_all(place.parent().expect("below home")).expect("our own directory");
    symlink(disk, place).expect("our own directory");
    write_account(&sandbox, server, deliver);
    sandbox
}

fn write_account(sandbox: &Sandbox, server: &Server, deliver: &str) {
    let account = sandbox.account("it", &server.endpoint());
    account
        .set("deliver", &format!("{deliver:?}"))
        .set("leave_on_server", "\"never\"")
        .write();
}

/// A disk that is too small at first.
trait SmallDisk {
    fn path(&self) -> &Path;
    fn grow(&self);
}

impl SmallDisk for Mounted {
    fn path(&self) -> &Path {
        Mounted::path(self)
    }

    fn grow(&self) {
        self.remount("size=10m,nr_inodes=1000");
    }
}

impl SmallDisk for Quota {
    fn path(&self) -> &Path {
        Quota::path(self)
    }

    fn grow(&self) {
        self.lift();
    }
}

/// A disk too small for all of it, once for each of these options; then it grows.
fn small_disks<D: SmallDisk>(
    make: impl Fn(&str) -> Option<D>,
    options: &[String],
    what: &str,
    status: &[i32],
    word: &str,
) {
    let mut failed = 0;
    for deliver in KINDS {
        for option in options {
            let Some(disk) = make(option) else {
                return;
            };
            let mailbox = messages();
            let expected = mailbox.stored_forms();
            let server = Server::start(&mailbox);
            let sandbox = sandbox_on(disk.path(), what, &server, deliver);
            let context = format!("{deliver}, {what} on {option}");
            let outcome = sandbox.run(&["sync"]);
            let ended = outcome.status.unwrap_or(-1);
            if ended != 0 {
                failed += 1;
                assert!(status.contains(&ended), "{context}: {outcome:#?}");
                outcome.complains(word);
            }
            has_lost_nothing(&sandbox, deliver, &mailbox, &expected, &context);
            disk.grow();
            completes(&sandbox, deliver, &mailbox, &expected, &context);
        }
    }
    assert!(failed > 1, "only {failed} of the disks were too small");
}

fn has_lost_nothing(
    sandbox: &Sandbox,
    deliver: &str,
    mailbox: &Mailbox,
    expected: &[Vec<u8>],
    context: &str,
) {
    let (left, stored) = (mailbox.stored_forms(), sandbox.stored_at(deliver));
    for text in expected {
        assert!(
            left.contains(text) || stored.contains(text),
            "{context}: a message is lost"
        );
    }
}

fn completes(
    sandbox: &Sandbox,
    deliver: &str,
    mailbox: &Mailbox,
    expected: &[Vec<u8>],
    context: &str,
) -> Outcome {
    let outcome = sandbox.run(&["sync"]);
    assert_eq!(outcome.status, Some(0), "{context}: {outcome:#?}");
    sandbox.holds_at(deliver, expected, context);
    assert!(mailbox.uids().is_empty(), "{context}: left on the server");
    outcome
}

/// The sizes of a row of disks, or a sample of them.
fn sizes(from: usize, to: usize, step: usize) -> impl Iterator<Item = usize> {
    let count = (from..to).step_by(step).len();
    sample(count, 8, 0).map(move |index| from + index * step)
}

#[test]
fn a_full_disk_ends_with_73_and_the_rest_arrives_once_there_is_room() {
    let options: Vec<_> = sizes(8, 140, 4)
        .map(|size| format!("size={size}k"))
        .collect();
    small_disks(disks::memory, &options, "mail", &[73], "make room");
}

#[test]
fn a_disk_without_inodes_is_a_full_disk() {
    let options: Vec<_> = (2..9).map(|inodes| format!("nr_inodes={inodes}")).collect();
    small_disks(disks::memory, &options, "mail", &[73], "make room");
}

#[test]
fn a_quota_that_is_used_up_is_reported_as_such_and_the_rest_arrives_once_it_is_lifted() {
    let options: Vec<_> = sizes(20, 220, 5).map(|size| format!("{size}k")).collect();
    small_disks(Quota::new, &options, "mail", &[73], "quota is used up");
    small_disks(
        Quota::new,
        &options,
        "state",
        &[73, 74],
        "Disk quota exceeded",
    );
}

#[test]
fn a_full_disk_under_the_journal_loses_and_duplicates_nothing() {
    // A journal of a few lines takes a page or two; a spool for an mbox lies here as well.
    let options: Vec<_> = sizes(4, 140, 4)
        .map(|size| format!("size={size}k"))
        .collect();
    small_disks(disks::memory, &options, "state", &[73, 74], "No space left");
}

#[test]
fn a_read_only_disk_is_named_and_nothing_is_fetched_in_vain() {
    for (what, status) in [("mail", 73), ("state", 74)] {
        for deliver in KINDS {
            let Some(disk) = disks::memory("size=10m") else {
                return;
            };
            let mailbox = messages();
            let expected = mailbox.stored_forms();
            let server = Server::start(&mailbox);
            let sandbox = sandbox_on(disk.path(), what, &server, deliver);
            disk.remount("ro");
            let outcome = sandbox.run(&["sync"]);
            outcome.ends_with(status).complains("ead-only");
            assert!(server.deletions().is_empty());
            disk.remount("rw");
            completes(&sandbox, deliver, &mailbox, &expected, what);
        }
    }
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_and_kills_nothing() {
    // In blocks of 512 octets: below the journal, between the messages, above all of them.
    for blocks in [1, 2, 8, 20, 100, 400] {
        for deliver in KINDS {
            let mailbox = messages();
            let expected = mailbox.stored_forms();
            let server = Server::start(&mailbox);
            let sandbox = Sandbox::new();
            write_account(&sandbox, &server, deliver);
            let context = format!("{deliver}, ulimit -f {blocks}");
            let limit = format!("ulimit -f {blocks} && exec \"$0\" \"$@\"");
            let outcome = sandbox
                .start_with(&["sh", "-c", &limit], &["sync"], &[])
                .finish();
            assert!(
                matches!(outcome.status, Some(0 | 1 | 73 | 74)),
                "{context}: {outcome:#?}"
            );
            assert!(
                outcome.status == Some(0) || outcome.stderr.contains("ile too large"),
                "{context}: {outcome:#?}"
            );
            has_lost_nothing(&sandbox, deliver, &mailbox, &expected, &context);
            completes(&sandbox, deliver, &mailbox, &expected, &context);
        }
    }
}

#[test]
fn a_journal_that_cannot_be_written_stops_the_run_before_anything_is_fetched() {
    let mailbox = messages();
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let sandbox = Sandbox::new();
    write_account(&sandbox, &server, KINDS[0]);
    let state = sandbox.state();
    fs::create_dir_all(state.parent().expect("below home")).expect("our own directory");
    fs::write(&state, "no directory").expect("our own file");
    sandbox.run(&["sync"]).ends_with(74).complains("popfetch");
    assert!(server.retrievals().is_empty());
    fs::remove_file(&state).expect("our own file");
    completes(
        &sandbox,
        KINDS[0],
        &mailbox,
        &expected,
        "a file for a directory",
    );
}
