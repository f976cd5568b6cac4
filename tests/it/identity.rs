//! What a unique-id is worth: servers give it to other messages, take it away, bring it back.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::mailbox::Mailbox;
use crate::support::messages::{Generator, Shape, small, stored_form};
use crate::support::sandbox::{Maildir, Sandbox};
use crate::support::server::{Fault, Pipelining, Server, State};
use crate::sync::sandbox_for;

#[test]
fn what_is_due_is_compared_and_another_message_under_its_id_is_kept() {
    let mailbox = Mailbox::with(small(2));
    let server = Server::start(&mailbox);
    let mut sandbox = sandbox_for(&server, &[("leave_on_server", "\"30d\"")]);
    sandbox.at("2026-03-01T12:00:00Z");
    sandbox.run(&["sync"]).ends_with(0);
    let mut expected = mailbox.stored_forms();
    mailbox.replace("uid-1", Generator::new(9).message(Shape::Plain, 3000));
    expected.push(mailbox.stored_forms().swap_remove(0));
    sandbox.at("2026-04-01T12:00:00Z");
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(&expected);
    assert_eq!(
        mailbox.uids(),
        ["uid-1"],
        "it came just now, and is not due"
    );
    sandbox.at("2026-05-02T12:00:00Z");
    sandbox.run(&["sync"]).ends_with(0);
    assert!(mailbox.uids().is_empty());
    sandbox.mail("it").holds(&expected);
}

#[test]
fn a_message_that_comes_back_after_its_deletion_is_deleted_again_and_not_stored_again() {
    let mailbox = Mailbox::with(small(1));
    let texts = small(1);
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[("leave_on_server", "\"never\"")]);
    sandbox.run(&["sync"]).ends_with(0);
    mailbox.add("uid-1", texts[0].clone());
    sandbox.run(&["sync"]).ends_with(0);
    assert!(mailbox.uids().is_empty());
    sandbox.mail("it").holds(&expected);
}

#[test]
fn a_message_that_came_back_is_fetched_once_to_be_compared_and_never_again() {
    let mailbox = Mailbox::with(small(1));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    sandbox
        .run(&["sync", "--leave-on-server", "never"])
        .ends_with(0);
    mailbox.add("uid-1", small(1).remove(0));
    for _ in 0..3 {
        sandbox.run(&["sync"]).ends_with(0);
    }
    assert_eq!(server.retrievals()["uid-1"], 2);
    sandbox.mail("it").holds(&expected);
    assert_eq!(mailbox.uids(), ["uid-1"]);
}

#[test]
fn a_gap_is_filled_by_the_message_that_is_missing_and_by_no_other() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox);
    let sandbox = Sandbox::new();
    let (one, two) = (sandbox.home("one"), sandbox.home("two"));
    let deliver = format!(
        "[\"maildir:{}\", \"maildir:{}\"]",
        one.display(),
        two.display()
    );
    let account = sandbox.account("it", &server.endpoint());
    account
        .set("deliver", &deliver)
        .set("leave_on_server", "\"never\"")
        .write();
    fs::write(&two, "a file where the Maildir should be").expect("a file");
    sandbox.run(&["sync"]).ends_with(73).complains("two");
    let mut expected = mailbox.stored_forms();
    assert_eq!(
        mailbox.uids().len(),
        3,
        "nothing is deleted that a destination lacks"
    );

    fs::remove_file(&two).expect("our file");
    mailbox.replace("uid-2", Generator::new(4).message(Shape::Plain, 2000));
    sandbox.run(&["sync"]).ends_with(0);
    assert!(mailbox.uids().is_empty());
    let other = Generator::new(4).message(Shape::Plain, 2000);
    let other = stored_form(&other);
    let first = Maildir { path: one };
    let second = Maildir { path: two };
    let mut in_second = expected.clone();
    in_second[1] = other.clone();
    expected.push(other);
    first.holds(&expected);
    second.holds(&in_second);
}

#[test]
fn a_batch_that_waits_for_a_slow_message_is_closed_after_it() {
    let mailbox = Mailbox::with(small(4));
    let server = Server::start(&mailbox).on("RETR 2", Fault::Drip(Duration::from_millis(4)));
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(mailbox.stored_forms());
    sandbox.mail("it").is_sound();
}

#[test]
fn a_stop_while_sizes_are_in_doubt_is_a_stop() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox)
        .claiming_size(1, 1)
        .on("RETR 3", Fault::StallWithin(100));
    let sandbox = sandbox_for(&server, &[("timeout", "\"60s\"")]);
    let running = sandbox.start(&["sync"]);
    server.wait_for("RETR 3");
    running.signal(Signal::INT);
    running.finish().ends_with(130);
    server.heal();
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(mailbox.stored_forms());
}

#[test]
fn a_server_that_announces_uidl_and_refuses_it_does_not_pass_for_one_without() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox).once("UIDL", Fault::reply("-ERR not now"));
    let sandbox = sandbox_for(&server, &[("leave_on_server", "\"never\"")]);
    sandbox
        .run(&["sync"])
        .ends_with(76)
        .complains("refused UIDL");
    assert!(server.retrievals().is_empty());
    assert_eq!(mailbox.uids().len(), 3);
}

#[test]
fn a_server_that_cannot_answer_uidl_just_now_does_not_pass_for_one_without() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox)
        .capabilities(State::Greeted, &["USER"])
        .capabilities(State::LoggedIn, &["USER"])
        .once("UIDL", Fault::reply("-ERR [SYS/TEMP] try later"));
    let sandbox = sandbox_for(&server, &[("leave_on_server", "\"never\"")]);
    sandbox.run(&["sync"]).ends_with(75);
    assert!(server.retrievals().is_empty());
    assert_eq!(mailbox.uids().len(), 3);
}

#[test]
fn a_server_that_no_longer_has_unique_ids_duplicates_nothing() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]).ends_with(0);
    let server = server.without_uidl();
    for _ in 0..2 {
        sandbox
            .run(&["sync", "--leave-on-server", "never"])
            .ends_with(0);
    }
    sandbox.mail("it").holds(mailbox.stored_forms());
    assert_eq!(
        mailbox.uids().len(),
        3,
        "only what a session stores does it delete there"
    );
    drop(server);
}

#[test]
fn messages_that_share_an_id_are_not_fetched_again_and_hold_up_no_other() {
    let mailbox = Mailbox::default();
    let mut generator = Generator::new(3);
    for size in [1000, 2000, 3000] {
        mailbox.add("same", generator.message(Shape::Plain, size));
    }
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]).ends_with(0);
    mailbox.add("other", generator.message(Shape::Plain, 500));
    let expected = mailbox.stored_forms();
    let limited = ["sync", "--leave-on-server", "never", "--limit", "2"];
    sandbox
        .run(&limited)
        .ends_with(0)
        .complains("3 stored messages stay on the server");
    sandbox.mail("it").holds(expected);
    assert_eq!(mailbox.uids(), ["same", "same", "same"]);
    assert_eq!(server.retrievals()["same"], 3);
}

#[test]
fn what_a_server_may_drop_is_not_confirmed_before_it_is_stored() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox)
        .expires_at_once()
        .claiming_size(1, 1);
    // The message whose size is in doubt is asked for once more, and refused.
    let server = server
        .once("RETR 1", Fault::Delay(Duration::ZERO))
        .on("RETR 1", Fault::reply("-ERR gone"));
    let expected = mailbox.stored_forms();
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]).ends_with(1).complains("EXPIRE 0");
    assert!(!server.commands().contains(&"QUIT".to_owned()));
    server.heal();
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(expected);
}

#[test]
fn what_a_server_may_drop_by_its_word_before_the_login_counts_after_it() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox)
        .capabilities(State::Greeted, &["USER", "UIDL", "EXPIRE 0"])
        .capabilities(State::LoggedIn, &["UIDL"]);
    let deliver = "[\"maildir:~/Mail/it\", \"maildir:~/Copy\"]";
    let sandbox = sandbox_for(&server, &[("deliver", deliver)]);
    fs::write(sandbox.home("Copy"), "a file").expect("our own file");
    sandbox.run(&["sync"]).ends_with(73).complains("EXPIRE 0");
    assert!(!server.commands().contains(&"QUIT".to_owned()));
}

#[test]
fn a_broken_destination_holds_up_no_other() {
    for (working, broken, pipelining) in [
        ("one", "two", Pipelining::Works),
        ("two", "one", Pipelining::Works),
        ("two", "one", Pipelining::Absent),
    ] {
        let mailbox = Mailbox::with(small(4));
        let server = Server::start(&mailbox).pipelining(pipelining);
        let sandbox = Sandbox::new();
        let [one, two] = ["one", "two"].map(|name| sandbox.home(name));
        let deliver = format!(
            "[\"maildir:{}\", \"maildir:{}\"]",
            one.display(),
            two.display()
        );
        let account = sandbox.account("it", &server.endpoint());
        account.set("deliver", &deliver).write();
        let [working, broken] = [working, broken].map(|name| sandbox.home(name));
        fs::write(&broken, "a file where the Maildir should be").expect("a file");
        sandbox.run(&["sync"]).ends_with(73);
        let working = Maildir { path: working };
        working.holds(mailbox.stored_forms());
        mailbox.add("new", Generator::new(8).message(Shape::Plain, 900));
        sandbox.run(&["sync"]).ends_with(73);
        working.holds(mailbox.stored_forms());
        fs::remove_file(&broken).expect("our file");
        sandbox.run(&["sync"]).ends_with(0);
        Maildir { path: broken }.holds(mailbox.stored_forms());
    }
}

/// The same number of octets, and other ones.
fn of_the_same_size(text: &[u8]) -> Vec<u8> {
    text.to_ascii_uppercase()
}

#[test]
fn an_id_whose_deletion_was_never_confirmed_may_name_another_message() {
    for retention in ["never", "30d", "always"] {
        let mailbox = Mailbox::with(small(1));
        let mut expected = mailbox.stored_forms();
        let server = Server::start(&mailbox).once("QUIT", Fault::CloseUnanswered);
        let mut sandbox = sandbox_for(&server, &[]);
        sandbox.at("2026-03-01T12:00:00Z");
        let first = sandbox.run(&["sync", "--leave-on-server", "never"]);
        assert_ne!(first.status, Some(0), "the deletion is not confirmed");
        assert!(mailbox.uids().is_empty(), "it took place all the same");
        mailbox.add("uid-1", of_the_same_size(&small(1)[0]));
        expected.extend(mailbox.stored_forms());
        sandbox.at("2026-05-01T12:00:00Z");
        for _ in 0..2 {
            let again = ["sync", "--leave-on-server", retention];
            sandbox.run(&again).ends_with(0);
            sandbox.mail("it").holds(&expected);
        }
        assert_eq!(mailbox.uids().is_empty(), retention == "never");
        assert_eq!(server.retrievals()["uid-1"], 2, "{retention}");
    }
}

#[test]
fn a_deletion_that_was_asked_in_vain_is_asked_again_without_a_second_copy() {
    for fault in [
        Fault::CloseBefore,
        Fault::Stall,
        Fault::reply("-ERR some deleted messages not removed"),
    ] {
        let mailbox = Mailbox::with(small(2));
        let expected = mailbox.stored_forms();
        let server = Server::start(&mailbox).once("QUIT", fault);
        let keys = [("leave_on_server", "\"never\""), ("timeout", "\"1s\"")];
        let sandbox = sandbox_for(&server, &keys);
        assert_ne!(sandbox.run(&["sync"]).status, Some(0));
        assert_eq!(mailbox.uids().len(), 2);
        sandbox.run(&["sync"]).ends_with(0);
        assert!(mailbox.uids().is_empty());
        sandbox.mail("it").holds(&expected);
    }
}

#[test]
fn a_message_that_the_server_will_not_delete_is_not_fetched_again_for_that() {
    let mailbox = Mailbox::with(small(2));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox).on("DELE 1", Fault::reply("-ERR no"));
    let sandbox = sandbox_for(&server, &[("leave_on_server", "\"never\"")]);
    for _ in 0..3 {
        sandbox.run(&["sync"]).ends_with(1);
        sandbox.mail("it").holds(&expected);
    }
    assert_eq!(server.retrievals()["uid-1"], 1);
    assert_eq!(mailbox.uids(), ["uid-1"]);
}

#[test]
fn a_destination_that_a_run_leaves_out_is_still_owed_what_it_lacks() {
    let mailbox = Mailbox::with(small(3));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let deliver = "[\"maildir:~/Mail/it\", \"maildir:~/Copy\"]";
    let keys = [("leave_on_server", "\"never\""), ("deliver", deliver)];
    let sandbox = sandbox_for(&server, &keys);
    fs::write(sandbox.home("Copy"), "a file").expect("our own file");
    sandbox.run(&["sync"]).ends_with(73);
    fs::remove_file(sandbox.home("Copy")).expect("our own file");
    let elsewhere = ["sync", "--to", "maildir:~/Elsewhere"];
    sandbox
        .run(&elsewhere)
        .ends_with(0)
        .complains("3 stored messages stay on the server");
    assert_eq!(mailbox.uids().len(), 3);
    assert!(
        !sandbox.home("Elsewhere/new").exists() || sandbox.maildir("Elsewhere").texts().is_empty()
    );
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    sandbox.maildir("Copy").holds(&expected);
    sandbox.mail("it").holds(&expected);
    assert!(mailbox.uids().is_empty());
}

#[test]
fn where_there_are_no_unique_ids_gaps_are_filled_too() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox).without_uidl();
    let deliver = "[\"maildir:~/Mail/it\", \"maildir:~/Copy\"]";
    let sandbox = sandbox_for(&server, &[("deliver", deliver)]);
    fs::write(sandbox.home("Copy"), "a file").expect("our own file");
    for _ in 0..2 {
        sandbox.run(&["sync"]).ends_with(73);
    }
    fs::remove_file(sandbox.home("Copy")).expect("our own file");
    sandbox.run(&["sync"]).ends_with(0);
    for maildir in [sandbox.mail("it"), sandbox.maildir("Copy")] {
        maildir.holds(mailbox.stored_forms());
    }
}

#[test]
fn where_there_are_no_unique_ids_a_stream_gets_each_message_once() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox).without_uidl();
    let sandbox = sandbox_for(&server, &[("deliver", "\"mbox:-\"")]);
    let first = sandbox.run(&["sync"]);
    assert_eq!(first.stdout.matches("\nFrom ").count(), 2, "{first:#?}");
    mailbox.add("new", Generator::new(8).message(Shape::Plain, 900));
    let second = sandbox.run(&["sync"]);
    assert!(second.stdout.starts_with("From "), "{second:#?}");
    assert_eq!(second.stdout.matches("\nFrom ").count(), 0, "{second:#?}");
}

#[test]
fn where_there_are_no_unique_ids_as_many_equal_messages_are_stored_as_there_are() {
    let text = small(1).remove(0);
    let mailbox = Mailbox::with([text.clone(), text]);
    let server = Server::start(&mailbox).without_uidl();
    let sandbox = sandbox_for(&server, &[]);
    for _ in 0..2 {
        sandbox.run(&["sync"]).ends_with(0);
        sandbox.mail("it").holds(mailbox.stored_forms());
    }
}

#[test]
fn where_there_are_no_unique_ids_one_session_is_enough() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox).without_uidl();
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]).ends_with(0);
    mailbox.add("new", Generator::new(8).message(Shape::Plain, 900));
    sandbox.run(&["sync"]).ends_with(0);
    assert_eq!(server.sessions().len(), 2);
    sandbox.mail("it").holds(mailbox.stored_forms());
}

#[test]
fn where_there_are_no_unique_ids_a_dry_run_promises_no_more_than_it_knows() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox).without_uidl();
    let sandbox = sandbox_for(&server, &[("leave_on_server", "\"never\"")]);
    let dry = || sandbox.run(&["sync", "--dry-run"]).stdout;
    assert!(dry().contains(", 3 to delete on the server"), "{}", dry());
    let always = ["sync", "--leave-on-server", "always"];
    sandbox.run(&always).ends_with(0);
    assert!(dry().contains("has no unique-id, may be new"), "{}", dry());
    assert!(
        dry().contains("at most 3 to delete on the server"),
        "{}",
        dry()
    );
}

#[test]
fn a_message_without_a_unique_id_is_named_among_those_that_have_one() {
    let mailbox = Mailbox::with(small(2));
    mailbox.add("", Generator::new(8).message(Shape::Plain, 900));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    for _ in 0..2 {
        let outcome = sandbox.run(&["sync"]);
        outcome
            .ends_with(0)
            .complains("no unique-id for 1 of 3 messages");
    }
    sandbox.mail("it").holds(mailbox.stored_forms());
    // What an empty id looks like is ours to choose, not the server's.
    let _ = server.violations();
}

#[test]
fn what_only_went_to_a_stream_is_not_dropped_by_the_server() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox).expires_at_once();
    let sandbox = sandbox_for(&server, &[("deliver", "\"mbox:-\"")]);
    let outcome = sandbox.run(&["sync"]);
    outcome.complains("EXPIRE 0");
    assert_eq!(outcome.stdout.matches("\nFrom ").count(), 2);
    assert!(!server.commands().contains(&"QUIT".to_owned()));
}

#[test]
fn what_went_elsewhere_for_once_still_comes_to_the_accounts_own_destination() {
    for rule in ["never", "30d"] {
        let mailbox = Mailbox::with(small(3));
        let expected = mailbox.stored_forms();
        let server = Server::start(&mailbox);
        let rule = format!("{rule:?}");
        let mut sandbox = sandbox_for(&server, &[("leave_on_server", &rule)]);
        sandbox.at("2026-03-01T12:00:00Z");
        let elsewhere = ["sync", "--leave-on-server", "always", "--to"];
        sandbox
            .run(&[&elsewhere[..], &["maildir:~/try"]].concat())
            .ends_with(0);
        sandbox.maildir("try").holds(&expected);
        fs::remove_dir_all(sandbox.home("try")).expect("it is there");
        sandbox.at("2026-05-01T12:00:00Z");
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
        sandbox.mail("it").holds(&expected);
        assert!(rule.contains('d') || mailbox.uids().is_empty());
    }
}

#[test]
fn a_run_that_sends_mail_elsewhere_applies_the_rule_to_what_is_there() {
    let mailbox = Mailbox::with(small(3));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    let elsewhere = |rule| {
        let to = ["sync", "--to", "maildir:~/Elsewhere", "--leave-on-server"];
        sandbox
            .run(&[&to[..], &[rule]].concat())
            .ends_with(0)
            .says_nothing();
    };
    elsewhere("always");
    assert_eq!(mailbox.uids().len(), 3);
    elsewhere("never");
    assert!(mailbox.uids().is_empty());
    sandbox.maildir("Elsewhere").holds(&expected);
    mailbox.add("new", Generator::new(8).message(Shape::Plain, 900));
    elsewhere("never");
    assert!(mailbox.uids().is_empty());
}
