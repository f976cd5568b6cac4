//! `state mark-seen`: what is not to be retrieved, by number, by unique-id, or all of it.

use std::fs::{self, File};

use serde_json::{Value, json};

use crate::support::mailbox::Mailbox;
use crate::support::messages::{Generator, Shape, small};
use crate::support::sandbox::{Outcome, Sandbox};
use crate::support::server::{Fault, LOGIN, PASSWORD, Pipelining, Server};
use crate::support::terminal::{Terminal, left_on_screen};
use crate::sync::sandbox_for;

/// Marks messages of the account `it`; what came of it as JSON.
fn mark(sandbox: &Sandbox, messages: &[&str]) -> Outcome {
    sandbox.run(&[&["state", "mark-seen", "it", "--json"], messages].concat())
}

/// The only object, without the account's name.
#[track_caller]
fn object(outcome: &Outcome) -> Value {
    let objects = outcome.json();
    let [object] = objects.as_slice() else {
        panic!("not one object: {outcome:#?}")
    };
    let mut object = object.clone();
    let name = object
        .as_object_mut()
        .and_then(|keys| keys.remove("account"));
    assert_eq!(name, Some(json!("it")));
    object
}

/// An object of nothing but counts.
fn counts(marked: u64, already_known: u64) -> Value {
    json!({
        "marked": marked, "already_known": already_known, "shared": 0, "without_unique_id": 0,
        "not_found": [], "error": null,
    })
}

/// The unique-ids of the messages that the next run retrieves, by a dry run.
fn due_for_retrieval(sandbox: &Sandbox) -> Vec<String> {
    let dry = sandbox.run(&["sync", "--dry-run", "--json"]);
    let plan = dry.ends_with(0).json()[0]["plan"].clone();
    let steps = plan.as_array().expect("a plan").iter();
    let retrieved = steps.filter(|step| step["action"] == "retrieve");
    let uids = retrieved.map(|step| step["uid"].as_str().expect("an id").to_owned());
    uids.collect()
}

/// The words that the server heard after the login, in the only session.
fn heard(server: &Server) -> Vec<String> {
    let commands = server.commands();
    let login = commands
        .iter()
        .position(|command| command.starts_with("PASS"));
    commands[login.expect("a login") + 1..].to_vec()
}

#[test]
fn all_that_is_listed_is_marked_and_the_server_is_asked_for_unique_ids_alone() {
    let mailbox = Mailbox::with(small(120));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[("auth", "\"user\"")]);
    let outcome = sandbox.run(&["-v", "state", "mark-seen", "it", "--all"]);
    outcome
        .ends_with(0)
        .complains("it: 120 messages marked as seen\n");
    assert_eq!(server.sessions().len(), 1);
    assert_eq!(heard(&server), ["CAPA", "STAT", "UIDL", "QUIT"]);
    mailbox.add("new", Generator::new(8).message(Shape::Plain, 900));
    assert_eq!(due_for_retrieval(&sandbox), ["new"]);
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    sandbox
        .mail("it")
        .holds(mailbox.stored_forms().split_off(120));
}

#[test]
fn on_a_terminal_one_line_stays() {
    let server = Server::start(&Mailbox::with(small(3)));
    let sandbox = sandbox_for(&server, &[]);
    let line = ["popfetch", "state", "mark-seen", "it", "--all"];
    for summary in [
        "it: 3 messages marked as seen",
        "it: nothing new, 3 already known",
    ] {
        let outcome = Terminal::start(&sandbox, &line).finish();
        outcome.ends_with(0);
        assert_eq!(left_on_screen(&outcome.stdout), [summary]);
    }
}

#[test]
fn numbers_and_unique_ids_choose_messages() {
    let mailbox = Mailbox::default();
    let texts = small(8);
    let uids: [&[u8]; 8] = [
        b"a",
        b"3",
        b"a b%c",
        b"uid:x",
        b"\x1b[2J\xff",
        b"-rf",
        b"07",
        b"z",
    ];
    for (uid, text) in uids.into_iter().zip(texts) {
        mailbox.add(uid, text);
    }
    let all = [
        "a",
        "3",
        "a%20b%25c",
        "uid:x",
        "%1B[2J%FF",
        "-rf",
        "07",
        "z",
    ];
    for (messages, marked) in [
        (&["3"][..], &["a%20b%25c"][..]),
        (&["uid:3"], &["3"]),
        (&["a", "003"], &["a", "a%20b%25c"]),
        (&["1", "a", "uid:a"], &["a"]),
        (&["a%20b%25c", "uid:%1B[2J%FF"], &["a%20b%25c", "%1B[2J%FF"]),
        (&["a%20b%25%63"], &["a%20b%25c"]),
        (&["uid:uid:x", "--", "-rf"], &["uid:x", "-rf"]),
        (&["7", "uid:07"], &["07"]),
        (&["--all"], &all),
    ] {
        let server = Server::start(&mailbox);
        let sandbox = sandbox_for(&server, &[]);
        let outcome = mark(&sandbox, messages);
        outcome.ends_with(0);
        assert_eq!(object(&outcome), counts(marked.len() as u64, 0));
        let left = all.iter().filter(|uid| !marked.contains(uid));
        assert_eq!(
            due_for_retrieval(&sandbox),
            left.copied().collect::<Vec<_>>()
        );
        // What an id looks like is ours to choose, not the server's.
        let _ = server.violations();
    }
}

#[test]
fn a_message_that_is_not_there_is_named_and_the_others_are_marked() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    let outcome = mark(&sandbox, &["2", "9", "uid-3", "gone%1B", "uid:9", "9"]);
    outcome
        .ends_with(1)
        .complains("popfetch: it: not on the server: 9, gone%1B, uid:9\n")
        .complains("hint: Digits alone are a number")
        .complains("written uid:9.\n");
    let mut expected = counts(2, 0);
    expected["not_found"] = json!(["9", "gone%1B", "uid:9"]);
    assert_eq!(object(&outcome), expected);
    assert_eq!(due_for_retrieval(&sandbox), ["uid-1"]);
    // Also where nothing is there, and where only errors are shown.
    let outcome = sandbox.run(&["-q", "state", "mark-seen", "it", "nope"]);
    outcome.ends_with(1);
    assert_eq!(outcome.stderr, "popfetch: it: not on the server: nope\n");
    assert_eq!(due_for_retrieval(&sandbox), ["uid-1"]);
}

#[test]
fn a_second_time_nothing_is_new_and_nothing_is_written() {
    let mailbox = Mailbox::with(small(5));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync", "--limit", "2"]).ends_with(0);
    assert_eq!(object(&mark(&sandbox, &["--all"])), counts(3, 2));
    let journal = fs::read(sandbox.journal()).expect("a journal");
    let again = sandbox.run(&["-v", "state", "mark-seen", "it", "--all"]);
    again
        .ends_with(0)
        .complains("it: nothing new, 5 already known\n");
    assert_eq!(object(&mark(&sandbox, &["--all"])), counts(0, 5));
    assert_eq!(object(&mark(&sandbox, &["4"])), counts(0, 1));
    assert!(fs::read(sandbox.journal()).expect("a journal") == journal);
    assert!(due_for_retrieval(&sandbox).is_empty());
}

#[test]
fn an_empty_mailbox_has_nothing_to_be_marked() {
    let server = Server::start(&Mailbox::default());
    let sandbox = sandbox_for(&server, &[]);
    let outcome = mark(&sandbox, &["--all"]);
    outcome.ends_with(0);
    assert_eq!(object(&outcome), counts(0, 0));
    let nothing = sandbox.run(&["-v", "state", "mark-seen", "it", "--all"]);
    nothing.ends_with(0).complains("it: nothing new\n");
    mark(&sandbox, &["1"])
        .ends_with(1)
        .complains("not on the server: 1");
}

#[test]
fn a_mark_never_leads_to_a_deletion_and_all_still_retrieves() {
    for rule in ["never", "30d"] {
        let mailbox = Mailbox::with(small(4));
        let expected = mailbox.stored_forms();
        let server = Server::start(&mailbox);
        let mut sandbox = sandbox_for(&server, &[("leave_on_server", &format!("{rule:?}"))]);
        sandbox.at("2026-03-01T12:00:00Z");
        sandbox.run(&["sync", "--leave-on-server", "always", "--limit", "1"]);
        assert_eq!(object(&mark(&sandbox, &["--all"])), counts(3, 1));
        for now in ["2026-03-01T12:00:00Z", "2027-01-01T12:00:00Z"] {
            sandbox.at(now);
            for line in [
                &["sync"][..],
                &["sync", "--to", "maildir:~/Elsewhere"],
                &["sync", "--leave-on-server", "never"],
            ] {
                sandbox.run(line).ends_with(0).says_nothing();
            }
        }
        // Only the one that was stored is gone.
        assert_eq!(server.deletions(), ["uid-1"], "{rule}");
        sandbox.mail("it").holds(&expected[..1]);
        assert!(!sandbox.home("Elsewhere/new").exists());

        sandbox.run(&["sync", "--all"]).ends_with(0).says_nothing();
        sandbox.mail("it").holds(&expected);
        sandbox.at("2028-01-01T12:00:00Z");
        sandbox.run(&["sync"]).ends_with(0);
        assert!(mailbox.uids().is_empty(), "stored, and so it may go");
    }
}

#[test]
fn what_a_destination_still_lacks_comes_all_the_same_and_is_reported() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    let elsewhere = ["sync", "--to", "maildir:~/Elsewhere", "--limit", "2"];
    sandbox.run(&elsewhere).ends_with(0);
    let outcome = mark(&sandbox, &["--all"]);
    outcome
        .ends_with(0)
        .complains("2 of the messages that are already known are missing in a destination");
    assert_eq!(object(&outcome), counts(1, 2));
    assert_eq!(due_for_retrieval(&sandbox), ["uid-1", "uid-2"]);
}

#[test]
fn what_a_server_refused_to_send_can_be_marked() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox).on("RETR 2", Fault::reply("-ERR no"));
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]).ends_with(1);
    assert_eq!(object(&mark(&sandbox, &["2"])), counts(1, 0));
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
}

#[test]
fn unique_ids_that_stand_for_several_messages_are_not_marked_now_or_later() {
    let mailbox = Mailbox::with(small(2));
    for (uid, size) in [("same", 700), ("same", 900)] {
        mailbox.add(uid, Generator::new(8).message(Shape::Plain, size));
    }
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    for (messages, marked, known) in [
        (&["1", "same"][..], 1, 0),
        (&["--all"], 1, 1),
        (&["3"], 0, 0),
    ] {
        let outcome = mark(&sandbox, messages);
        outcome
            .ends_with(1)
            .complains("not marked: the unique-id stands for several messages\n");
        let mut expected = counts(marked, known);
        expected["shared"] = json!(if messages == ["3"] { 1 } else { 2 });
        assert_eq!(object(&outcome), expected);
    }
    // One of the two goes. Its id has identified nothing before, and does not now.
    let kept = mailbox.stored_forms().split_off(3);
    mailbox.clear();
    mailbox.add("same", Generator::new(8).message(Shape::Plain, 900));
    let outcome = mark(&sandbox, &["--all"]);
    outcome.ends_with(1).complains("1 message not marked");
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(kept);
}

#[test]
fn messages_without_a_unique_id_are_reported_as_not_marked() {
    let mailbox = Mailbox::with(small(2));
    mailbox.add("", Generator::new(8).message(Shape::Plain, 900));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    let outcome = mark(&sandbox, &["--all"]);
    outcome
        .ends_with(1)
        .complains("popfetch: it: 1 message not marked: the server gives no unique-id\n");
    let mut expected = counts(2, 0);
    expected["without_unique_id"] = json!(1);
    assert_eq!(object(&outcome), expected);
    mark(&sandbox, &["1", "2"]).ends_with(0);
    mark(&sandbox, &["3"]).ends_with(1);
    // What an empty id looks like is ours to choose, not the server's.
    let _ = server.violations();
}

#[test]
fn a_server_without_unique_ids_is_an_error_that_says_what_to_do_instead() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox).without_uidl();
    let sandbox = sandbox_for(&server, &[("deliver", "\"maildir:~/Mail/old\"")]);
    for messages in ["--all", "1", "uid-1"] {
        let outcome = mark(&sandbox, &[messages]);
        outcome
            .ends_with(65)
            .complains("the server gives no unique-ids, so that no message can be marked")
            .complains("set deliver to another place");
        let object = object(&outcome);
        assert_eq!(object["error"]["kind"], "data", "{object}");
        assert_eq!(object["marked"], 0, "{object}");
    }
    assert!(server.retrievals().is_empty());

    // And that works.
    sandbox.run(&["sync"]).ends_with(0);
    fs::remove_file(sandbox.home(".config/popfetch/config.toml")).expect("our own file");
    sandbox.account("it", &server.endpoint()).write();
    mailbox.add("new", Generator::new(8).message(Shape::Plain, 900));
    sandbox.run(&["sync"]).ends_with(0);
    sandbox
        .mail("it")
        .holds(mailbox.stored_forms().split_off(3));
}

#[test]
fn a_uidl_that_the_server_cannot_answer_now_marks_nothing() {
    let mailbox = Mailbox::with(small(3));
    for (fault, status, kind) in [
        (Fault::reply("-ERR [SYS/TEMP] not now"), 75, "temporary"),
        (Fault::CloseWithin(30), 69, "unreachable"),
    ] {
        let server = Server::start(&mailbox).on("UIDL", fault);
        let sandbox = sandbox_for(&server, &[]);
        let outcome = mark(&sandbox, &["--all"]);
        outcome.ends_with(status);
        let object = object(&outcome);
        assert_eq!(
            (&object["marked"], &object["error"]["kind"]),
            (&json!(0), &json!(kind))
        );
        server.heal();
        assert_eq!(due_for_retrieval(&sandbox).len(), 3);
    }
}

#[test]
fn what_a_server_does_not_list_yet_is_not_marked_and_that_is_reported() {
    let mailbox = Mailbox::with(small(35));
    let server = Server::start(&mailbox).listing_window(10);
    let sandbox = sandbox_for(&server, &[]);
    mark(&sandbox, &["--all"])
        .ends_with(0)
        .keeps_to_itself("a part of its mailbox");
    // The second run sees that all it has stored has gone.
    for _ in 0..2 {
        sandbox.run(&["sync", "--all"]).ends_with(0);
    }
    let outcome = mark(&sandbox, &["--all"]);
    outcome
        .ends_with(0)
        .complains("what it did not list now is not marked");
}

#[test]
fn nothing_is_sent_ahead_to_a_server_that_cannot_take_it() {
    let mailbox = Mailbox::with(small(3));
    for pipelining in [
        Pipelining::Works,
        Pipelining::Absent,
        Pipelining::Drops,
        Pipelining::Disconnects,
    ] {
        let server = Server::start(&mailbox).pipelining(pipelining);
        let sandbox = sandbox_for(&server, &[]);
        assert_eq!(object(&mark(&sandbox, &["--all"])), counts(3, 0));
    }
}

#[test]
fn it_logs_in_as_sync_does() {
    let mailbox = Mailbox::with(small(2));
    let sandbox = Sandbox::new();
    let certificates = sandbox.certificates();
    let servers = [
        (
            "implicit",
            Server::start(&mailbox).implicit_tls(certificates),
        ),
        ("stls", Server::start(&mailbox).stls(certificates)),
        (
            "plain",
            Server::start(&mailbox).mechanisms("SCRAM-SHA-256 PLAIN"),
        ),
    ];
    for (name, server) in &servers {
        sandbox.account(name, &server.endpoint()).write();
        let outcome = sandbox.run(&["state", "mark-seen", name, "--all", "--json"]);
        outcome.ends_with(0).keeps_to_itself(PASSWORD);
        assert_eq!(outcome.json()[0]["marked"], 2, "{name}");
        let commands = server.commands();
        for word in ["RETR", "TOP", "LIST", "DELE"] {
            let is_it = |command: &String| command.starts_with(word);
            assert!(!commands.iter().any(is_it), "{name}: {commands:?}");
        }
    }
}

#[test]
fn what_keeps_sync_from_the_server_keeps_mark_seen_from_it_too() {
    let mailbox = Mailbox::with(small(2));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[("allow_cleartext_password", "false")]);
    mark(&sandbox, &["--all"])
        .ends_with(78)
        .complains("in clear");
    assert!(server.sessions().is_empty());

    let server = Server::start(&mailbox).on(LOGIN, Fault::reply("-ERR [AUTH] no"));
    let sandbox = sandbox_for(&server, &[]);
    let outcome = mark(&sandbox, &["--all"]);
    outcome.ends_with(77).keeps_to_itself(PASSWORD);
    assert_eq!(object(&outcome)["error"]["kind"], "auth");

    let sandbox = Sandbox::new();
    let server = Server::start(&mailbox).implicit_tls(sandbox.certificates());
    sandbox
        .account("it", &server.endpoint())
        .without("ca_file")
        .write();
    mark(&sandbox, &["--all"]).ends_with(76);
}

#[test]
fn a_password_may_stand_in_the_environment() {
    let mailbox = Mailbox::with(small(2));
    let server = Server::start(&mailbox);
    let mut sandbox = Sandbox::new();
    let account = sandbox
        .account("it", &server.endpoint())
        .without("password_file");
    account
        .set("password_env", "\"MY_WORD\"")
        .without("deliver")
        .write();
    sandbox.variable("MY_WORD", PASSWORD);
    assert_eq!(object(&mark(&sandbox, &["--all"])), counts(2, 0));
}

#[test]
fn another_popfetch_at_work_is_not_disturbed() {
    let mailbox = Mailbox::with(small(2));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    mark(&sandbox, &["1"]).ends_with(0);
    let path = sandbox.journal().with_added_extension("lock");
    let lock = File::open(path).expect("a lock file");
    lock.lock().expect("the lock is free");
    let outcome = mark(&sandbox, &["--all"]);
    outcome
        .ends_with(75)
        .complains("another popfetch is at work on this mailbox");
    assert_eq!(object(&outcome)["error"]["kind"], "temporary");
    // Closing it is not enough: a child that another test is starting may still have it open.
    lock.unlock().expect("our own lock");
    assert_eq!(object(&mark(&sandbox, &["--all"])), counts(1, 1));
}

#[test]
fn a_mark_that_is_not_on_the_disk_is_not_claimed() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    assert_eq!(object(&mark(&sandbox, &["1"])), counts(1, 0));
    let trace = sandbox.home("trace").display().to_string();
    let strace = [
        "strace",
        "-qq",
        "--inject=fdatasync:error=EIO",
        "-o",
        &trace,
    ];
    let line = ["state", "mark-seen", "it", "--json", "--all"];
    let outcome = sandbox.start_with(&strace, &line, &[]).finish();
    outcome.ends_with(74).complains("Input/output error");
    let object = object(&outcome);
    let reported = (&object["marked"], &object["error"]["kind"]);
    assert_eq!(reported, (&json!(0), &json!("io")));
    assert_eq!(due_for_retrieval(&sandbox), ["uid-2", "uid-3"]);
}

#[test]
fn a_wrong_command_line_says_what_to_write() {
    let server = Server::start(&Mailbox::with(small(1)));
    let sandbox = Sandbox::new();
    sandbox.account("work", &server.endpoint()).write();
    for (line, said) in [
        (&["work"][..], "popfetch state mark-seen work --all"),
        (&["wrok", "--all"], "Did you mean work?"),
        (&["work", "1", "--all"], "cannot be used with"),
        (&["work", "1746382917364"], "is written uid:1746382917364"),
        (&["work", "50%"], "hexadecimal"),
        (&[], "<ACCOUNT>"),
    ] {
        let outcome = sandbox.run(&[&["state", "mark-seen"], line].concat());
        outcome.ends_with(64).complains(said);
    }
    sandbox.run(&["state"]).ends_with(64).complains("mark-seen");
    assert!(server.sessions().is_empty());
}
