//! Mail into an mbox, as other programs read it and beside other programs that write it.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::disks;
use crate::support::dovecot::{Dovecot, Port};
use crate::support::mailbox::Mailbox;
use crate::support::messages::{one_of_each, realistic, small, stored_form};
use crate::support::readers::{digests, git_mailsplit, mutt_mbox, python_mbox, quoted};
use crate::support::sampling::sampled;
use crate::support::sandbox::{Sandbox, assert_same_texts, mode};
use crate::support::server::Server;

/// A sandbox with one account, `it`, for this server, whose mail goes to `~/inbox` and is deleted then.
fn sandbox_for(server: &Server) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .account("it", &server.endpoint())
        .set("deliver", "\"mbox:~/inbox\"")
        .set("leave_on_server", "\"never\"")
        .write();
    sandbox
}

/// These messages are in the mbox, byte for byte, by two readers.
#[track_caller]
fn holds(mbox: &Path, expected: &[Vec<u8>]) {
    assert_same_texts(git_mailsplit(mbox), expected);
    let in_quotes = digests(expected.iter().map(|text| quoted(text)));
    assert_eq!(python_mbox(mbox), in_quotes);
}

#[test]
fn every_shape_of_message_arrives_byte_for_byte_and_only_once() {
    let mailbox = Mailbox::with(one_of_each());
    let mut expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server);
    let inbox = sandbox.home("inbox");
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    holds(&inbox, &expected);
    assert!(git_mailsplit(&inbox) == expected, "another order");
    assert_eq!(mode(&inbox), 0o600);
    assert!(!sandbox.home("inbox.lock").exists());
    assert!(mailbox.uids().is_empty());

    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    mailbox.add("new", small(1).remove(0));
    expected.extend(mailbox.stored_forms());
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    holds(&inbox, &expected);
}

#[test]
fn thousands_of_messages_arrive_and_none_a_second_time() {
    let count = sampled(500, 5_000);
    let mut sandbox = Sandbox::new();
    sandbox.time_limit(Duration::from_secs(300));
    let mut dovecot = Dovecot::start(sandbox.certificates());
    dovecot.fill(realistic(count));
    let account = sandbox.account("it", &dovecot.endpoint(Port::Implicit));
    account.set("deliver", "\"mbox:~/inbox\"").write();
    let inbox = sandbox.home("inbox");
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    let expected: Vec<_> = realistic(count).map(|wire| stored_form(&wire)).collect();
    holds(&inbox, &expected);
    assert_eq!(
        mutt_mbox(&inbox),
        digests(expected.iter().map(|text| quoted(text)))
    );

    let before = fs::read(&inbox).expect("our own file");
    let outcome = sandbox.run(&["sync", "--json"]);
    outcome.ends_with(0);
    assert_eq!(outcome.json()[0]["stored"]["messages"], 0);
    assert!(before == fs::read(&inbox).expect("our own file"));
}

#[test]
fn the_from_line_has_the_envelope_sender_and_the_time_of_storing() {
    let mailbox = Mailbox::default();
    for (uid, header) in [
        ("a", "Return-Path: <bounce@example.org>\r\nFrom: x@y\r\n"),
        ("b", "From: Nobody <from@example.org>\r\n"),
        ("c", "From: not an address\r\n"),
    ] {
        mailbox.add(
            uid,
            format!("{header}Subject: {uid}\r\n\r\ntext\r\n").into_bytes(),
        );
    }
    let server = Server::start(&mailbox);
    let mut sandbox = sandbox_for(&server);
    sandbox.at("2026-03-01T12:34:56Z");
    sandbox.variable("TZ", "UTC");
    sandbox.run(&["sync"]).ends_with(0);
    let inbox = fs::read_to_string(sandbox.home("inbox")).expect("text");
    let lines: Vec<_> = inbox
        .lines()
        .filter(|line| line.starts_with("From "))
        .collect();
    assert_eq!(
        lines,
        [
            "From bounce@example.org Sun Mar  1 12:34:56 2026",
            "From from@example.org Sun Mar  1 12:34:56 2026",
            "From MAILER-DAEMON Sun Mar  1 12:34:56 2026",
        ]
    );
}

/// Another program that has the mbox locked until it is asked to end.
struct Holder(Child);

impl Holder {
    fn start(script: &str, mbox: &Path) -> Self {
        let mut child = Command::new("python3")
            .args([
                "-c",
                &format!("{script}\nprint('locked', flush=True)\nsys.stdin.read()"),
            ])
            .arg(mbox)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is there");
        let output = child.stdout.take().expect("piped");
        let mut line = String::new();
        BufReader::new(output)
            .read_line(&mut line)
            .expect("its answer");
        assert_eq!(line, "locked\n");
        Holder(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It ends when its input does.
        let _ = self.0.wait();
    }
}

#[test]
fn an_mbox_that_stays_locked_ends_with_75_and_nothing_is_lost() {
    let fcntl = "import fcntl, sys; f = open(sys.argv[1], 'r+b'); fcntl.lockf(f, fcntl.LOCK_EX)";
    let dot_lock = "import os, sys; f = open(sys.argv[1] + '.lock', 'x'); f.write(str(os.getpid())); f.flush()";
    for (script, complaint) in [(fcntl, "another program"), (dot_lock, "inbox.lock")] {
        let mailbox = Mailbox::with(small(3));
        let expected = mailbox.stored_forms();
        let server = Server::start(&mailbox);
        let mut sandbox = sandbox_for(&server);
        sandbox.variable("POPFETCH_TEST_LOCK_WAIT", "300");
        let inbox = sandbox.private_file("inbox", "");
        let holder = Holder::start(script, &inbox);
        let outcome = sandbox.run(&["sync"]);
        outcome
            .ends_with(75)
            .complains("locked")
            .complains(complaint);
        assert_eq!(fs::read(&inbox).expect("our own file"), b"");
        assert_eq!(mailbox.uids().len(), 3);
        drop(holder);
        // Its dot-lock is its own to remove.
        let _ = fs::remove_file(sandbox.home("inbox.lock"));
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
        holds(&inbox, &expected);
        assert!(mailbox.uids().is_empty());
    }
}

#[test]
fn a_lock_that_is_given_back_in_time_only_costs_time() {
    let mailbox = Mailbox::with(small(3));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server);
    let inbox = sandbox.private_file("inbox", "");
    let holder = Holder::start(
        "import fcntl, sys; f = open(sys.argv[1], 'r+b'); fcntl.lockf(f, fcntl.LOCK_EX)",
        &inbox,
    );
    let running = sandbox.start(&["sync"]);
    server.wait_for("RETR 3");
    drop(holder);
    running.finish().ends_with(0).says_nothing();
    holds(&inbox, &expected);
}

#[test]
fn what_others_append_meanwhile_stays_and_so_does_ours() {
    const SCRIPT: &str = "
import mailbox, sys, time
def locked():
    while True:
        box = mailbox.mbox(sys.argv[1])
        try:
            box.lock()
            return box
        except mailbox.ExternalClashError:
            time.sleep(0.01)
for number in range(40):
    box = locked()
    box.add(mailbox.mboxMessage('Subject: theirs %d\\n\\nFrom me\\n' % number))
    box.flush()
    box.unlock()
";
    let mailbox = Mailbox::with(realistic(300));
    let ours = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server);
    let inbox = sandbox.private_file("inbox", "");
    let mut other = Command::new("python3")
        .args(["-c", SCRIPT])
        .arg(&inbox)
        .spawn()
        .expect("python3 is there");
    for _ in 0..6 {
        sandbox.run(&["sync", "--limit", "50"]).ends_with(0);
    }
    assert!(other.wait().expect("our own child").success());
    let read = git_mailsplit(&inbox);
    assert_eq!(read.len(), 340);
    assert_same_texts(
        read.iter()
            .filter(|text| !text.starts_with(b"Subject: theirs")),
        &ours,
    );
    assert!(mailbox.uids().is_empty());
}

#[test]
fn a_last_line_without_its_end_gets_it() {
    let mailbox = Mailbox::with(small(2));
    let server = Server::start(&mailbox);
    let old = "From a@b Sun Mar  1 12:00:00 2026\nSubject: old\n\nno end";
    let sandbox = sandbox_for(&server);
    let inbox = sandbox.private_file("inbox", old);
    fs::set_permissions(&inbox, Permissions::from_mode(0o640)).expect("our own file");
    let expected = mailbox.stored_forms();
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    let whole = fs::read(&inbox).expect("our own file");
    assert!(whole.starts_with(format!("{old}\nFrom ").as_bytes()));
    assert_eq!(mode(&inbox), 0o640, "its owner chose another mode");
    assert_eq!(git_mailsplit_after(&inbox, 1), expected);
}

/// What follows the first messages, which are not ours.
fn git_mailsplit_after(mbox: &Path, first: usize) -> Vec<Vec<u8>> {
    // Theirs may lack the empty line that ours end with.
    let whole = fs::read(mbox).expect("our own file");
    let text = String::from_utf8_lossy(&whole);
    let at = text
        .match_indices("\nFrom ")
        .nth(first - 1)
        .expect("a message")
        .0
        + 1;
    let rest = mbox.with_extension("rest");
    fs::write(&rest, &whole[at..]).expect("our own directory");
    git_mailsplit(&rest)
}

#[test]
fn a_directory_in_its_place_ends_with_73_before_anything_is_retrieved() {
    let mailbox = Mailbox::with(small(2));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server);
    fs::create_dir(sandbox.home("inbox")).expect("our own directory");
    let outcome = sandbox.run(&["sync"]);
    outcome
        .ends_with(73)
        .complains("inbox is a directory")
        .complains("maildir:");
    assert_eq!(mailbox.uids().len(), 2);
    assert!(
        fs::read_dir(sandbox.home("inbox"))
            .expect("there")
            .next()
            .is_none()
    );
}

#[test]
fn a_file_in_the_place_of_a_directory_is_named_with_a_way_out() {
    let server = Server::start(&Mailbox::with(small(1)));
    for deliver in ["maildir:~/Copy", "maildir:~/Copy/work", "mbox:~/Copy/inbox"] {
        let sandbox = Sandbox::new();
        let file = sandbox.private_file("Copy", "a file");
        sandbox
            .account("it", &server.endpoint())
            .set("deliver", &format!("{deliver:?}"))
            .write();
        let outcome = sandbox.run(&["sync"]);
        outcome.ends_with(73).complains("Choose another path");
        outcome.complains(&format!("{} is not a directory\n", file.display()));
        assert_eq!(fs::read(&file).expect("our own file"), b"a file");
    }
}

#[test]
fn a_disk_that_fills_up_in_the_middle_of_an_append_leaves_only_whole_messages() {
    let mailbox = Mailbox::with(realistic(40));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let sandbox = Sandbox::new();
    let Some(disk) = disks::memory("size=256k,mode=0700") else {
        return;
    };
    let inbox = disk.path().join("inbox");
    sandbox
        .account("it", &server.endpoint())
        .set("deliver", &format!("\"mbox:{}\"", inbox.display()))
        .set("leave_on_server", "\"never\"")
        .write();
    let outcome = sandbox.run(&["sync"]);
    assert!(matches!(outcome.status, Some(73 | 74)), "{outcome:#?}");
    outcome.complains(&inbox.display().to_string());
    outcome.complains("space");
    let stored = git_mailsplit(&inbox);
    assert!(!stored.is_empty() && stored.len() < expected.len());
    assert_eq!(stored, expected[..stored.len()]);
    let left: Vec<String> = (1..=40).map(|number| format!("uid-{number}")).collect();
    assert!(mailbox.uids().ends_with(&left[stored.len()..]), "a loss");

    disk.remount("size=64m");
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    holds(&inbox, &expected);
    assert!(mailbox.uids().is_empty());
    drop(disk);
}

#[test]
fn nothing_is_appended_to_a_file_that_is_no_mbox() {
    let mailbox = Mailbox::with(small(2));
    let server = Server::start(&mailbox);
    let sandbox = Sandbox::new();
    let account = sandbox.account("it", &server.endpoint());
    account
        .set("deliver", "\"mbox:~/notes\"")
        .set("leave_on_server", "\"never\"")
        .write();
    let notes = sandbox.home("notes");
    for text in ["to do\n", "\nFrome me\n", "From\n"] {
        fs::write(&notes, text).expect("our own file");
        let outcome = sandbox.run(&["sync"]);
        outcome.ends_with(73).complains("is no mbox");
        assert_eq!(fs::read_to_string(&notes).expect("our own file"), text);
        assert_eq!(mailbox.uids().len(), 2);
    }
    // Some programs leave an empty line in a new mbox.
    fs::write(&notes, "\n").expect("our own file");
    sandbox.run(&["sync"]).ends_with(0);
    assert!(mailbox.uids().is_empty());
}

#[test]
fn a_link_to_an_mbox_that_is_not_there_is_named_and_the_mbox_not_made() {
    let mailbox = Mailbox::with(small(2));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let sandbox = crate::sync::sandbox_for(&server, &[("deliver", "\"mbox:~/link\"")]);
    let target = sandbox.home("inbox");
    symlink(&target, sandbox.home("link")).expect("our own directory");
    for run in [&["sync", "--dry-run"][..], &["sync"]] {
        let outcome = sandbox.run(run);
        let leads = format!("a symbolic link leads to {}", target.display());
        outcome.ends_with(73).complains(&leads);
    }
    assert!(!target.exists());
    fs::write(&target, "").expect("our own file");
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    sandbox.holds_at("mbox:~/inbox", &expected, "by a link");
}
