//! Mail readers at work in the same place, places that vanish, and a clock that goes back.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::sampling::sampled;
use crate::support::sandbox::Sandbox;
use crate::support::server::Server;
use crate::sync::sandbox_for;

const KILLED: i32 = 137;

/// What a mail reader does with new mail: moves it into `cur/`, with flags.
fn read_all(maildir: &Path) {
    for entry in fs::read_dir(maildir.join("new")).into_iter().flatten() {
        let entry = entry.expect("a directory can be read");
        let name = entry.file_name().to_string_lossy().into_owned();
        let seen = maildir.join("cur").join(format!("{name}:2,S"));
        // No other program moves files away from here.
        fs::rename(entry.path(), seen).expect("a message can be moved");
    }
}

/// Kills a run at the first step of this name.
fn kill_at(sandbox: &Sandbox, step: &str) {
    let variables = [("POPFETCH_CRASH_AT", step), ("POPFETCH_TEST_BATCH", "2")];
    let running = sandbox.start_with(&[], &["sync"], &variables);
    running.finish().ends_with(KILLED);
}

#[test]
fn mail_that_was_read_before_the_resume_is_known_all_the_same() {
    for step in [
        "batch: intended, not placed",
        "maildir: message not placed",
        "maildir: messages placed, new/ not synced",
        "batch: placed, not recorded",
        "batch: recorded",
    ] {
        let mailbox = Mailbox::with(small(5));
        let expected = mailbox.stored_forms();
        let server = Server::start(&mailbox);
        let sandbox = sandbox_for(&server, &[("leave_on_server", "\"never\"")]);
        kill_at(&sandbox, step);
        read_all(&sandbox.mail("it").path);
        sandbox.run(&["sync"]).ends_with(0);
        sandbox.mail("it").holds(&expected);
        assert!(mailbox.uids().is_empty(), "{step}");
    }
}

#[test]
fn a_reader_at_work_all_the_time_hides_no_message() {
    let mailbox = Mailbox::with(small(sampled(60, 400)));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[("leave_on_server", "\"never\"")]);
    let (maildir, done) = (sandbox.mail("it"), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                read_all(&maildir.path);
            }
        });
        for killed in (20..).step_by(67) {
            let point = killed.to_string();
            let variables = [
                ("POPFETCH_CRASH_AT", point.as_str()),
                ("POPFETCH_TEST_BATCH", "5"),
            ];
            let outcome = sandbox.start_with(&[], &["sync"], &variables).finish();
            if outcome.status != Some(KILLED) {
                done.store(true, Ordering::Relaxed);
                outcome.ends_with(0);
                break;
            }
        }
    });
    maildir.holds(&expected);
    assert!(mailbox.uids().is_empty());
}

/// A message of another program, as it stands in an mbox.
const FOREIGN: &str =
    "From bob@example.org Tue Mar  3 01:15:00 2026\nSubject: older\n\nIt was here before.\n\n";

#[test]
fn an_mbox_that_a_reader_rewrote_before_the_resume_is_searched() {
    for step in [
        "mbox: message not appended",
        "mbox: messages appended, not synced",
        "batch: placed, not recorded",
    ] {
        let mailbox = Mailbox::with(small(5));
        let expected = mailbox.stored_forms();
        let server = Server::start(&mailbox);
        let sandbox = sandbox_for(
            &server,
            &[
                ("leave_on_server", "\"never\""),
                ("deliver", "\"mbox:~/inbox\""),
            ],
        );
        let mbox = sandbox.private_file("inbox", FOREIGN);
        kill_at(&sandbox, step);
        let content = fs::read_to_string(&mbox).expect("an mbox");
        let rewritten = content.strip_prefix(FOREIGN).expect("the older message");
        fs::write(&mbox, rewritten).expect("an mbox");
        sandbox.run(&["sync"]).ends_with(0);
        sandbox.holds_at("mbox:~/inbox", &expected, step);
        assert!(mailbox.uids().is_empty(), "{step}");
    }
}

#[test]
fn a_message_that_was_deleted_here_stays_deleted() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]).ends_with(0);
    let maildir = sandbox.mail("it");
    fs::remove_dir_all(maildir.path.join("new")).expect("our own directory");
    sandbox.run(&["sync"]).ends_with(0);
    maildir.holds(Vec::<Vec<u8>>::new());
}

#[test]
fn a_maildir_that_vanished_is_not_made_anew_and_what_was_on_its_way_is_fetched_again_once_it_is() {
    for step in ["batch: intended, not placed", "batch: placed, not recorded"] {
        let mailbox = Mailbox::with(small(4));
        let expected = mailbox.stored_forms();
        let server = Server::start(&mailbox);
        let sandbox = sandbox_for(&server, &[]);
        kill_at(&sandbox, step);
        let (fetched, away) = (server.retrievals(), sandbox.home("away"));
        fs::rename(sandbox.home("Mail"), &away).expect("our own directory");
        for run in [&["sync", "--dry-run"][..], &["sync"]] {
            sandbox.run(run).ends_with(73).complains("is gone");
        }
        assert_eq!(server.retrievals(), fetched, "{step}");
        assert!(!sandbox.home("Mail").exists(), "{step}");

        fs::rename(&away, sandbox.home("Mail")).expect("our own directory");
        sandbox.mail("it").empty();
        sandbox.run(&["sync"]).ends_with(0);
        sandbox.mail("it").holds(&expected);
        sandbox.mail("it").is_sound();
    }
}

#[test]
fn a_clock_that_goes_back_deletes_nothing_early_and_stores_nothing_twice() {
    let mailbox = Mailbox::with(small(2));
    let server = Server::start(&mailbox);
    let mut sandbox = sandbox_for(&server, &[("leave_on_server", "\"30d\"")]);
    sandbox.at("2026-03-01T12:00:00Z");
    sandbox.run(&["sync"]).ends_with(0);
    mailbox.add("later", small(3).remove(2));
    let expected = mailbox.stored_forms();
    for now in ["2001-01-01T00:00:00Z", "2026-03-20T12:00:00Z"] {
        sandbox.at(now);
        sandbox.run(&["sync"]).ends_with(0);
        sandbox.mail("it").holds(&expected);
    }
    // What was stored in 2001, as the clock had it, is old now; the others are not.
    assert_eq!(mailbox.uids(), ["uid-1", "uid-2"]);
    sandbox.at("2026-03-31T12:00:01Z");
    sandbox.run(&["sync"]).ends_with(0);
    assert!(mailbox.uids().is_empty());
    sandbox.mail("it").holds(&expected);
}
