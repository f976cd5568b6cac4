//! What a cron job lives by: silence while all is well, or soon will be, and what comes after new mail.

use std::fs;

use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::sandbox::Sandbox;
use crate::support::server::{Fault, GREETING, LOGIN, Server};

/// A sandbox with one account, `it`, where a server may be away for six hours before that is reported.
fn patient_sandbox(server: &Server) -> Sandbox {
    let mut sandbox = Sandbox::new();
    let account = sandbox.account("it", &server.endpoint());
    account.set("quiet_temporary", "\"6h\"").write();
    sandbox.at("2026-03-01T12:00:00Z");
    sandbox
}

#[test]
fn a_server_that_is_briefly_away_is_not_reported_except_by_the_exit_status() {
    for (step, fault, status) in [
        (GREETING, Fault::CloseBefore, 69),
        ("STAT", Fault::CloseBefore, 69),
        (LOGIN, Fault::reply("-ERR [IN-USE] not now"), 75),
    ] {
        let mailbox = Mailbox::with(small(2));
        let server = Server::start(&mailbox).on(step, fault);
        let mut sandbox = patient_sandbox(&server);
        sandbox.run(&["sync"]).ends_with(status).says_nothing();
        sandbox.at("2026-03-01T17:59:59Z");
        sandbox
            .run(&["sync", "-q"])
            .ends_with(status)
            .says_nothing();
        sandbox
            .run(&["sync", "-v"])
            .ends_with(status)
            .complains("it");
        let json = sandbox.run(&["sync", "--json"]);
        json.ends_with(status);
        assert!(json.stderr.is_empty() && json.json()[0]["error"].is_object());

        sandbox.at("2026-03-01T18:00:00Z");
        let outcome = sandbox.run(&["sync"]);
        outcome.ends_with(status);
        outcome.complains("popfetch: it: ");
        outcome.complains("since 2026-03-01T12:00:00Z");

        server.heal();
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
        sandbox.mail("it").holds(mailbox.stored_forms());
    }
}

#[test]
fn each_absence_is_counted_for_itself() {
    let server = Server::start(&Mailbox::with(small(1)));
    let mut sandbox = patient_sandbox(&server);
    let server = server.on(GREETING, Fault::CloseBefore);
    sandbox.run(&["sync"]).ends_with(69).says_nothing();
    sandbox.at("2026-03-02T12:00:00Z");
    server.heal();
    sandbox.run(&["sync"]).ends_with(0);
    let _away = server.on(GREETING, Fault::CloseBefore);
    sandbox.run(&["sync"]).ends_with(69).says_nothing();
    // A clock that was put back does not make the silence endless.
    sandbox.at("2026-03-01T12:00:00Z");
    sandbox.run(&["sync"]).ends_with(69).says_nothing();
    sandbox.at("2026-03-01T18:00:00Z");
    sandbox.run(&["sync"]).ends_with(69).complains("since");
}

#[test]
fn a_host_that_is_unknown_for_a_while_is_not_reported_either() {
    let server = Server::start(&Mailbox::default());
    let sandbox = Sandbox::new();
    let host = format!("\"{}.example\"", "a".repeat(64));
    let account = sandbox
        .account("it", &server.endpoint())
        .set("host", &host)
        .set("quiet_temporary", "\"1d\"");
    account.write();
    sandbox.run(&["sync"]).ends_with(68).says_nothing();
}

#[test]
fn what_does_not_pass_by_itself_is_reported_at_once() {
    let server = Server::start(&Mailbox::with(small(1)));
    let mut endpoint = server.endpoint();
    "wrong".clone_into(&mut endpoint.password);
    let sandbox = Sandbox::new();
    let account = sandbox.account("it", &endpoint);
    account.set("quiet_temporary", "\"6h\"").write();
    sandbox.run(&["sync"]).ends_with(77).complains("it");
}

#[test]
fn without_the_key_or_memory_nothing_is_kept_silent() {
    let server = Server::start(&Mailbox::default()).on(GREETING, Fault::CloseBefore);
    let sandbox = Sandbox::new();
    sandbox.account("it", &server.endpoint()).write();
    sandbox.run(&["sync"]).ends_with(69).complains("it");
    assert!(!has_file(&sandbox, ".away"));

    let mut sandbox = patient_sandbox(&server);
    sandbox.run(&["sync"]).ends_with(69).says_nothing();
    assert!(has_file(&sandbox, ".away"));
    let file = sandbox.private_file("a file", "");
    sandbox.variable("XDG_STATE_HOME", &file.display().to_string());
    let outcome = sandbox.run(&["sync"]);
    assert!(!outcome.stderr.is_empty(), "{outcome:#?}");
}

/// Whether the state directory has a file with this ending.
fn has_file(sandbox: &Sandbox, ending: &str) -> bool {
    let mut names = fs::read_dir(sandbox.state()).expect("the state directory");
    names.any(|entry| {
        let name = entry.expect("a directory can be read").file_name();
        name.to_string_lossy().ends_with(ending)
    })
}

#[test]
fn a_dry_run_remembers_no_absence_and_runs_nothing() {
    let server = Server::start(&Mailbox::with(small(1))).once(GREETING, Fault::CloseBefore);
    let sandbox = Sandbox::new();
    let account = sandbox
        .account("it", &server.endpoint())
        .set("quiet_temporary", "\"6h\"")
        .set("after_new", "\"touch ran\"");
    account.write();
    sandbox.run(&["sync", "-n"]).ends_with(69).complains("it");
    sandbox.run(&["sync", "-n"]).ends_with(0);
    assert!(!sandbox.state().exists() && !sandbox.home("ran").exists());
}

#[test]
fn after_new_runs_once_after_a_run_that_stored_something() {
    let mailboxes = [2, 3, 1].map(|count| Mailbox::with(small(count)));
    let servers = mailboxes.each_ref().map(Server::start);
    let mut sandbox = Sandbox::new();
    sandbox.configure(
        "[defaults]\nafter_new = \"echo $POPFETCH_STORED in $POPFETCH_ACCOUNTS >> log; env > env\"\n\n",
    );
    sandbox.variable("POPFETCH_PASSWORD", "hunter2");
    sandbox.variable("WORK_PASSWORD", &servers[1].endpoint().password);
    sandbox.account("one", &servers[0].endpoint()).write();
    sandbox
        .account("\"two $(three)\"", &servers[1].endpoint())
        .without("password_file")
        .set("password_env", "\"WORK_PASSWORD\"")
        .write();
    sandbox
        .account("other", &servers[2].endpoint())
        .set("after_new", "\"echo and $POPFETCH_STORED >> log\"")
        .write();
    let log = || fs::read_to_string(sandbox.home("log")).unwrap_or_default();

    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    assert_eq!(log(), "5 in one two___three_\nand 1\n");
    let environment = fs::read_to_string(sandbox.home("env")).expect("it ran");
    assert!(!environment.contains("PASSWORD"), "{environment}");

    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    assert_eq!(log(), "5 in one two___three_\nand 1\n", "nothing was new");
    mailboxes[0].add("new", small(1).remove(0));
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    assert_eq!(log(), "5 in one two___three_\nand 1\n1 in one\n");
}

#[test]
fn after_new_runs_after_a_run_that_stored_only_a_part() {
    let server = Server::start(&Mailbox::with(small(3))).on("RETR 2", Fault::reply("-ERR no"));
    let sandbox = Sandbox::new();
    let account = sandbox.account("it", &server.endpoint());
    account
        .set("after_new", "\"echo $POPFETCH_STORED > log\"")
        .write();
    sandbox.run(&["sync"]).ends_with(1);
    let log = fs::read_to_string(sandbox.home("log")).expect("it ran");
    assert_eq!(log, "2\n");
}

#[test]
fn after_new_runs_for_what_one_destination_has_and_another_lacks() {
    let server = Server::start(&Mailbox::with(small(3)));
    let sandbox = Sandbox::new();
    let account = sandbox.account("it", &server.endpoint());
    account
        .set("deliver", "[\"maildir:~/Mail/it\", \"maildir:~/Copy\"]")
        .set("after_new", "\"echo $POPFETCH_STORED >> log\"")
        .write();
    fs::write(sandbox.home("Copy"), "a file").expect("our own file");
    for _ in 0..2 {
        sandbox.run(&["sync"]).ends_with(73);
    }
    let log = fs::read_to_string(sandbox.home("log")).expect("it ran");
    assert_eq!(log, "3\n", "once for what is new");
}

#[test]
fn what_goes_wrong_with_after_new_is_reported_and_changes_nothing_else() {
    for (command, complaint) in [
        (
            "echo out; echo 'err\\u001b[2J' >&2; exit 3",
            "exit status: 3",
        ),
        ("kill -SEGV $$", "signal: 11"),
        ("no-such-command", "exit status: 127"),
        ("sleep 1000", "killed"),
    ] {
        let mailbox = Mailbox::with(small(2));
        let expected = mailbox.stored_forms();
        let server = Server::start(&mailbox);
        let mut sandbox = Sandbox::new();
        sandbox.variable("POPFETCH_TEST_AFTER_NEW_WAIT", "300");
        let account = sandbox
            .account("it", &server.endpoint())
            .set("after_new", &format!("\"{command}\""));
        account.set("leave_on_server", "\"never\"").write();
        let outcome = sandbox.run(&["sync"]);
        outcome.ends_with(0).keeps_to_itself("\u{1b}");
        outcome.complains("after_new: \"").complains(complaint);
        assert!(outcome.stdout.is_empty(), "{outcome:#?}");
        assert_eq!(
            outcome.stderr.contains("says: err\\x1b[2J"),
            command.contains("err")
        );
        sandbox.mail("it").holds(expected);
        assert!(mailbox.uids().is_empty());
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
    }
}

#[test]
fn a_signal_ends_after_new_too() {
    use rustix::process::Signal;
    let server = Server::start(&Mailbox::with(small(1)));
    let sandbox = Sandbox::new();
    let account = sandbox.account("it", &server.endpoint());
    account
        .set("after_new", "\"mkfifo alive; echo > alive; sleep 1000\"")
        .write();
    let running = sandbox.start(&["sync"]);
    let alive = sandbox.home("alive");
    while !alive.exists() {
        std::thread::yield_now();
    }
    fs::read(&alive).expect("the command is at work");
    running.signal(Signal::TERM);
    running.finish().ends_with(143).complains("was ended");
}
