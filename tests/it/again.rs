//! What was stored before and comes once more: since a person asks for it with `--all`, or since a server
//! lists again what was deleted there.

use std::fs;

use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::server::{Fault, Server};
use crate::sync::sandbox_for;

const NEVER: (&str, &str) = ("leave_on_server", "\"never\"");

/// The provider brings the first messages back, from a backup.
fn restore(mailbox: &Mailbox, count: usize) {
    mailbox.clear();
    for (number, text) in (1..).zip(small(count)) {
        mailbox.add(format!("uid-{number}"), text);
    }
}

#[test]
fn what_was_deleted_and_is_asked_for_again_is_stored_before_it_is_deleted() {
    let mailbox = Mailbox::with(small(3));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[NEVER]);
    sandbox.run(&["sync"]).ends_with(0);
    restore(&mailbox, 3);
    sandbox.mail("it").empty();
    sandbox.run(&["sync", "--all"]).ends_with(0).says_nothing();
    sandbox.mail("it").holds(&expected);
    assert!(mailbox.uids().is_empty());
}

#[test]
fn what_was_to_be_deleted_and_is_asked_for_again_is_stored_first() {
    let mailbox = Mailbox::with(small(3));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox).once("QUIT", Fault::CloseBefore);
    let sandbox = sandbox_for(&server, &[NEVER]);
    sandbox.run(&["sync"]).ends_with(69);
    assert_eq!(mailbox.uids().len(), 3, "nothing was deleted");
    sandbox
        .run(&["sync", "--all", "--to", "maildir:~/Backup"])
        .ends_with(0)
        .says_nothing();
    sandbox.maildir("Backup").holds(&expected);
    assert!(mailbox.uids().is_empty());
}

#[test]
fn what_comes_back_is_not_deleted_where_its_copy_is_gone() {
    for deliver in ["\"maildir:~/Mail/it\"", "\"mbox:~/Mail\""] {
        let mailbox = Mailbox::with(small(3));
        let expected = mailbox.stored_forms();
        let server = Server::start(&mailbox);
        let sandbox = sandbox_for(&server, &[NEVER, ("deliver", deliver)]);
        sandbox.run(&["sync"]).ends_with(0);
        restore(&mailbox, 3);
        if deliver.starts_with("\"maildir") {
            sandbox.mail("it").empty()
        } else {
            fs::remove_file(sandbox.home("Mail")).expect("it is there")
        }

        let dry = sandbox.run(&["sync", "--dry-run"]);
        let planned = "was deleted, is listed again, no copy found";
        assert_eq!(dry.stdout.matches(planned).count(), 3, "{dry:#?}");
        assert!(!dry.stdout.contains("delete on the server"), "{dry:#?}");
        for _ in 0..3 {
            sandbox
                .run(&["sync"])
                .ends_with(0)
                .complains("3 stored messages that are due stay on the server");
        }
        assert_eq!(mailbox.uids().len(), 3, "{deliver}");
        let fetched = server.retrievals();
        assert!(fetched.values().all(|&times| times == 2), "{fetched:?}");

        sandbox.run(&["sync", "--all"]).ends_with(0).says_nothing();
        let destination = deliver.trim_matches('"');
        if destination.starts_with("maildir") {
            sandbox.mail("it").holds(&expected)
        } else {
            sandbox.holds_at(destination, &expected, "once more")
        }
        assert!(mailbox.uids().is_empty());
    }
}

#[test]
fn of_what_comes_back_each_message_is_judged_by_its_own_copy() {
    let mailbox = Mailbox::with(small(3));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[NEVER]);
    sandbox.run(&["sync"]).ends_with(0);
    restore(&mailbox, 3);
    let new = sandbox.mail("it").path.join("new");
    for entry in fs::read_dir(new).expect("a Maildir") {
        let file = entry.expect("a file").path();
        if fs::read(&file).expect("a message") == expected[1] {
            fs::remove_file(file).expect("read and thrown away");
        }
    }
    sandbox.run(&["sync"]).ends_with(0).complains("1 stored");
    assert_eq!(mailbox.uids(), ["uid-2"]);
    sandbox.mail("it").holds([&expected[0], &expected[2]]);
}

#[test]
fn what_has_no_unique_id_is_asked_for_again_as_well() {
    let mailbox = Mailbox::with(small(3));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox).without_uidl();
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").empty();
    sandbox.run(&["sync", "--all"]).ends_with(0);
    sandbox.mail("it").holds(&expected);
}

#[test]
fn what_was_renumbered_is_asked_for_again_as_well() {
    let mailbox = Mailbox::with(small(3));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]).ends_with(0);
    mailbox.renumber("moved-");
    let all = ["sync", "--all", "--to", "maildir:~/Again"];
    sandbox.run(&all).ends_with(0);
    sandbox.maildir("Again").holds(&expected);
}

#[test]
fn what_only_one_destination_lacks_is_asked_for_again_for_all() {
    let mailbox = Mailbox::with(small(3));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let deliver = "[\"maildir:~/Copy\", \"maildir:~/Mail/it\"]";
    let sandbox = sandbox_for(&server, &[NEVER, ("deliver", deliver)]);
    fs::write(sandbox.home("Copy"), "a file").expect("our own file");
    sandbox.run(&["sync"]).ends_with(73);
    fs::remove_file(sandbox.home("Copy")).expect("our own file");
    sandbox.mail("it").empty();
    sandbox.run(&["sync", "--all"]).ends_with(0);
    sandbox.mail("it").holds(&expected);
    sandbox.maildir("Copy").holds(&expected);
    assert!(mailbox.uids().is_empty());
}

#[test]
fn what_is_asked_for_again_comes_once_though_the_connection_breaks() {
    for uidl in [true, false] {
        let mailbox = Mailbox::with(small(4));
        let expected = mailbox.stored_forms();
        let server = Server::start(&mailbox).once("RETR 3", Fault::CloseUnanswered);
        let server = if uidl { server } else { server.without_uidl() };
        let mut sandbox = sandbox_for(&server, &[]);
        sandbox.variable("POPFETCH_TEST_BATCH", "1");
        sandbox.run(&["sync", "--all"]).ends_with(0);
        sandbox.mail("it").holds(&expected);
        assert_eq!(server.sessions().len(), 2, "tried once more");
    }
}
