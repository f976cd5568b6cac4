//! Signals: the first asks a run to stop in order, the second ends it at once, and none kills it
//! without a word.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::sandbox::Sandbox;
use crate::support::server::{Fault, Pipelining, Server};
use crate::support::terminal::Terminal;
use crate::sync::sandbox_for;

#[test]
fn what_was_asked_for_still_comes_and_what_is_stored_is_deleted() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mailbox = Mailbox::with(small(5));
        let expected = mailbox.stored_forms();
        let server = Server::start(&mailbox)
            .pipelining(Pipelining::Absent)
            .once("RETR 3", Fault::Delay(Duration::from_millis(500)));
        let keys = [
            ("leave_on_server", "\"never\""),
            ("after_new", "\"touch ran\""),
        ];
        let sandbox = sandbox_for(&server, &keys);
        let running = sandbox.start(&["sync"]);
        server.wait_for("RETR 3");
        running.signal(signal);
        let outcome = running.finish();
        outcome.ends_with(status).keeps_to_itself("after_new");
        assert!(
            !sandbox.home("ran").exists(),
            "a command is nothing to wait for"
        );
        sandbox.mail("it").holds(&expected[..3]);
        sandbox.mail("it").is_sound();
        assert_eq!(
            mailbox.uids(),
            ["uid-4", "uid-5"],
            "QUIT confirmed the others"
        );
        sandbox.run(&["sync"]).ends_with(0);
        sandbox.mail("it").holds(&expected);
        assert!(sandbox.home("ran").exists());
    }
}

#[test]
fn a_message_that_a_signal_cut_off_is_not_blamed_for_the_end_of_the_connection() {
    let mailbox = Mailbox::with(small(4));
    let server = Server::start(&mailbox)
        .pipelining(Pipelining::Absent)
        .once("RETR 2", Fault::StallWithin(100));
    let sandbox = sandbox_for(&server, &[("timeout", "\"60s\"")]);
    let running = sandbox.start(&["sync"]);
    server.wait_for("RETR 2");
    running.signal(Signal::INT);
    running.finish().ends_with(130);
    sandbox.run(&["sync"]).ends_with(0);
    let sessions = server.sessions();
    let last = sessions.last().expect("a session");
    // Nothing had confirmed yet that the first one was whole.
    assert_eq!(
        last.retrieved,
        ["uid-1", "uid-2", "uid-3", "uid-4"],
        "in their order"
    );
    sandbox.mail("it").holds(mailbox.stored_forms());
}

/// The command holds on to its first message until the signal has come.
#[test]
fn a_command_gets_no_more_messages_once_the_run_is_to_stop() {
    let mailbox = Mailbox::with(small(20));
    let server = Server::start(&mailbox);
    let sandbox = Sandbox::new();
    let mut begun = sandbox.fifo("begun").listen();
    let go = sandbox.fifo("go");
    let command = "cat > /dev/null; echo >> got; echo > begun; cat go";
    let account = sandbox.account("it", &server.endpoint());
    account
        .set("deliver", &format!("\"pipe:{command}\""))
        .write();
    let running = Terminal::start(&sandbox, &["popfetch", "sync"]);
    begun.hears_something();
    running.signal(Signal::INT);
    running.shows("a second signal ends at once");
    go.say("on");
    let outcome = running.finish();
    outcome.ends_with(130);
    let got = fs::read_to_string(sandbox.home("got")).expect("the first came");
    assert_eq!(got.lines().count(), 1, "{outcome:#?}");
}

#[test]
fn a_signal_that_was_ignored_before_stays_so() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox).once("RETR 2", Fault::Delay(Duration::from_millis(500)));
    let sandbox = sandbox_for(&server, &[]);
    let running = sandbox.launch(&["sh", "-c", "trap '' HUP; exec popfetch sync"], &[]);
    server.wait_for("RETR 2");
    running.signal(Signal::HUP);
    running.finish().ends_with(0);
    sandbox.mail("it").holds(mailbox.stored_forms());
}

#[test]
fn a_second_signal_does_not_wait() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox).once("RETR 2", Fault::StallWithin(100));
    let sandbox = sandbox_for(&server, &[("timeout", "\"60s\"")]);
    let running = sandbox.start(&["sync"]);
    server.wait_for("RETR 2");
    running.signal(Signal::INT);
    running.signal(Signal::TERM);
    // The first alone, once it has waited for what was in flight, ends with 130.
    running.finish().ends_with(143);
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(mailbox.stored_forms());
}

/// The command opens a FIFO, whose end then tells when all that it started is gone.
#[test]
fn a_password_command_ends_with_the_first_signal_and_all_it_started_with_it() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let server = Server::start(&Mailbox::with(small(3)));
        let sandbox = Sandbox::new();
        let mut alive = sandbox.fifo("alive").listen();
        let command = "\"exec 3>~/alive; echo begun >&3; sleep 1000 & sleep 1000\"";
        let account = sandbox.account("it", &server.endpoint());
        let account = account.without("password_file");
        account.set("password_command", command).write();
        let running = sandbox.start(&["sync"]);
        alive.hears_something();
        running.signal(signal);
        running.finish().ends_with(status);
        alive.hears_the_end();
        assert!(server.sessions().is_empty());
    }
}

#[test]
fn a_closed_output_does_not_kill_it_and_costs_no_mail() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    let script = "{ \"$0\" \"$@\"; echo $? >status; } | true";
    sandbox
        .start_with(&["sh", "-c", script], &["sync", "--json"], &[])
        .finish();
    let status = fs::read_to_string(sandbox.home("status")).expect("an exit status");
    assert!(matches!(status.trim(), "0" | "74"), "exit status {status}");
    sandbox.mail("it").holds(mailbox.stored_forms());
}
