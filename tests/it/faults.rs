//! Whatever goes wrong: a clear message, a true exit status, nothing lost, nothing duplicated.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::mailbox::Mailbox;
use crate::support::messages::{one_of_each, small};
use crate::support::sampling::sample;
use crate::support::sandbox::Sandbox;
use crate::support::server::{Dialogue, Fault, GREETING, Server, Turn, opened};

fn sandbox_for(server: &Server, retention: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let account = sandbox.account("it", &server.endpoint());
    account
        .set("leave_on_server", retention)
        .set("timeout", "\"2s\"")
        .write();
    sandbox
}

#[test]
fn at_every_step_every_fault_costs_nothing_but_another_run() {
    let steps = [
        GREETING,
        "CAPA",
        "AUTH PLAIN",
        "STAT",
        "UIDL",
        "LIST",
        "RETR 1",
        "RETR 3",
        "RETR 5",
        "DELE 1",
        "DELE 5",
        "QUIT",
    ];
    let faults = [
        Fault::CloseBefore,
        Fault::CloseUnanswered,
        Fault::CloseAfter,
        Fault::CloseWithin(2),
        Fault::CloseWithin(40),
        Fault::ResetWithin(300),
        Fault::reply("-ERR no"),
        Fault::reply("-ERR [SYS/TEMP] no"),
        Fault::reply("what?"),
        Fault::Trickle,
    ];
    // 7 and the number of faults have no common divisor, so a sample has each of them.
    for case in sample(steps.len() * faults.len(), 7, 0) {
        let (step, fault) = (steps[case / faults.len()], &faults[case % faults.len()]);
        for retention in ["\"always\"", "\"never\""] {
            let mailbox = Mailbox::with(small(5));
            let expected = mailbox.stored_forms();
            let server = Server::start(&mailbox).on(step, fault.clone());
            let sandbox = sandbox_for(&server, retention);
            let outcome = sandbox.run(&["sync"]);
            let status = outcome.status.unwrap_or(-1);
            let known = [0, 1, 65, 69, 75, 76, 77].contains(&status);
            assert!(known, "{step}, {fault:?}: {outcome:#?}");
            if status == 0 {
                sandbox.mail("it").holds(&expected);
            } else {
                assert!(
                    !outcome.stderr.is_empty(),
                    "{step}, {fault:?}: {status} in silence"
                );
            }
            server.heal();
            sandbox.run(&["sync"]).ends_with(0);
            sandbox.mail("it").holds(&expected);
            if retention == "\"never\"" {
                // Where the deletion may have happened or not, it takes one more run to know.
                sandbox.run(&["sync"]).ends_with(0);
                sandbox.mail("it").holds(&expected);
                assert!(mailbox.uids().is_empty(), "{step}, {fault:?}");
            }
        }
    }
}

#[test]
fn a_message_that_fails_is_reported_and_the_others_arrive() {
    let mailbox = Mailbox::with(small(4));
    let mut expected = mailbox.stored_forms();
    let server = Server::start(&mailbox).on("RETR 2", Fault::reply("-ERR [SYS/TEMP] \x1b[31mno"));
    let sandbox = sandbox_for(&server, "\"never\"");
    let outcome = sandbox.run(&["sync"]);
    outcome
        .ends_with(1)
        .complains("uid-2")
        .keeps_to_itself("\x1b");
    let missing = expected.remove(1);
    sandbox.mail("it").holds(&expected);
    assert_eq!(mailbox.uids(), ["uid-2"]);
    server.heal();
    sandbox.run(&["sync"]).ends_with(0);
    expected.push(missing);
    sandbox.mail("it").holds(expected);
}

#[test]
fn a_message_that_always_ends_the_connection_keeps_no_other_from_coming_or_from_going() {
    for (retention, left) in [("\"never\"", 1), ("\"always\"", 7)] {
        let mailbox = Mailbox::with(small(4));
        let server = Server::start(&mailbox).on("RETR 1", Fault::CloseWithin(40));
        let sandbox = sandbox_for(&server, retention);
        let mut expected = mailbox.stored_forms();
        let poison = expected.remove(0);
        for text in small(7).into_iter().skip(4) {
            // The second connection that it ends says that it is the message.
            sandbox.run(&["sync"]).ends_with(1).complains("uid-1");
            sandbox.mail("it").holds(&expected);
            mailbox.add(format!("new-{}", expected.len()), text);
            expected.push(mailbox.stored_forms().pop().expect("just added"));
        }
        sandbox.run(&["sync"]).ends_with(1).complains("uid-1");
        sandbox.mail("it").holds(&expected);
        assert_eq!(mailbox.uids().len(), left);
        server.heal();
        sandbox.run(&["sync"]).ends_with(0);
        expected.push(poison);
        sandbox.mail("it").holds(expected);
    }
}

#[test]
fn the_end_of_the_connection_is_never_the_end_of_a_message() {
    // The last of these is the whole answer but for its final line end.
    let length = small(1)[0].len() + "+OK 000 octets\r\n.\r\n".len();
    for bytes in [
        1,
        10,
        40,
        300,
        length - 5,
        length - 3,
        length - 2,
        length - 1,
    ] {
        let mailbox = Mailbox::with(small(1));
        let server = Server::start(&mailbox).on("RETR 1", Fault::CloseWithin(bytes));
        let sandbox = sandbox_for(&server, "\"never\"");
        assert_ne!(
            sandbox.run(&["sync"]).status,
            Some(0),
            "after {bytes} bytes"
        );
        sandbox.mail("it").holds(Vec::<Vec<u8>>::new());
        assert_eq!(mailbox.uids(), ["uid-1"]);
    }
}

#[test]
fn every_shape_of_message_survives_one_byte_a_packet() {
    let originals = one_of_each();
    let short = originals
        .into_iter()
        .filter(|message| message.len() < 10_000);
    let mailbox = Mailbox::with(short);
    let server = Server::start(&mailbox).on("RETR", Fault::Trickle);
    let sandbox = sandbox_for(&server, "\"always\"");
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(mailbox.stored_forms());
}

#[test]
fn silence_and_slowness_have_an_end() {
    for (step, fault) in [
        (GREETING, Fault::Stall),
        (GREETING, Fault::Drip(Duration::from_millis(900))),
        ("CAPA", Fault::Stall),
        ("UIDL", Fault::StallWithin(20)),
        ("RETR 1", Fault::StallWithin(200)),
        ("RETR 1", Fault::Drip(Duration::from_millis(400))),
    ] {
        let mailbox = Mailbox::with(small(1));
        let server = Server::start(&mailbox).on(step, fault.clone());
        let sandbox = sandbox_for(&server, "\"always\"");
        let outcome = sandbox.run(&["sync"]);
        assert!(
            matches!(outcome.status, Some(1 | 75)),
            "{step}, {fault:?}: {outcome:#?}"
        );
        sandbox.mail("it").holds(Vec::<Vec<u8>>::new());
        server.heal();
        sandbox.run(&["sync"]).ends_with(0);
        sandbox.mail("it").holds(mailbox.stored_forms());
    }
}

#[test]
fn a_quit_without_an_answer_leaves_deletions_in_doubt_but_no_mail() {
    let mailbox = Mailbox::with(small(3));
    let expected = mailbox.stored_forms();
    for (fault, left) in [(Fault::CloseBefore, 3), (Fault::CloseUnanswered, 0)] {
        let mailbox = Mailbox::with(small(3));
        let server = Server::start(&mailbox).on("QUIT", fault);
        let sandbox = sandbox_for(&server, "\"never\"");
        sandbox.run(&["sync"]);
        assert_eq!(mailbox.uids().len(), left);
        server.heal();
        sandbox.run(&["sync"]).ends_with(0);
        sandbox.mail("it").holds(&expected);
        assert!(mailbox.uids().is_empty());
    }
}

#[test]
fn a_signal_stops_it_and_what_was_stored_is_recorded() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::KILL, 137)] {
        let mailbox = Mailbox::with(small(5));
        let server = Server::start(&mailbox).on("RETR 3", Fault::StallWithin(100));
        let sandbox = Sandbox::new();
        sandbox
            .account("it", &server.endpoint())
            .set("timeout", "\"60s\"")
            .write();
        let running = sandbox.start(&["sync"]);
        server.wait_for("RETR 3");
        running.signal(signal);
        running.finish().ends_with(status);
        server.heal();
        sandbox.run(&["sync"]).ends_with(0);
        sandbox.mail("it").holds(mailbox.stored_forms());
        // What was killed while it wrote stays in tmp/ for a while.
        if signal != Signal::KILL {
            sandbox.mail("it").is_sound();
        }
    }
}

#[test]
fn another_popfetch_at_work_ends_with_75() {
    let mailbox = Mailbox::with(small(1));
    let server = Server::start(&mailbox).once("RETR 1", Fault::Stall);
    let sandbox = Sandbox::new();
    sandbox
        .account("it", &server.endpoint())
        .set("timeout", "\"60s\"")
        .write();
    let first = sandbox.start(&["sync"]);
    server.wait_for("RETR 1");
    sandbox.run(&["sync"]).ends_with(75);
    first.signal(Signal::TERM);
    first.finish().ends_with(143);
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(mailbox.stored_forms());
}

#[test]
fn nothing_listening_and_no_host_of_that_name() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|socket| socket.local_addr())
        .expect("a free port");
    let server = Server::start(&Mailbox::default());
    let mut endpoint = server.endpoint();
    endpoint.port = closed.port();
    let sandbox = Sandbox::new();
    sandbox.account("it", &endpoint).write();
    sandbox
        .run(&["sync"])
        .ends_with(69)
        .complains(&closed.port().to_string());

    // A label may have 63 octets, so no name server needs to be asked.
    let host = format!("\"{}.example\"", "a".repeat(64));
    let sandbox = Sandbox::new();
    sandbox
        .account("it", &server.endpoint())
        .set("host", &host)
        .write();
    sandbox.run(&["sync"]).ends_with(68).complains("aaaa");
}

#[test]
fn a_destination_that_cannot_be_written_ends_with_73_before_anything_is_retrieved() {
    for path in ["occupied", "occupied/below"] {
        let mailbox = Mailbox::with(small(2));
        let server = Server::start(&mailbox);
        let sandbox = Sandbox::new();
        sandbox.private_file("occupied", "a file, no directory");
        let deliver = format!("\"maildir:~/{path}\"");
        let account = sandbox
            .account("it", &server.endpoint())
            .set("deliver", &deliver);
        account.set("leave_on_server", "\"never\"").write();
        sandbox.run(&["sync"]).ends_with(73).complains("occupied");
        assert_eq!(mailbox.uids().len(), 2);
        let kept = fs::read_to_string(sandbox.home("occupied")).expect("our own file");
        assert_eq!(kept, "a file, no directory");
    }
}

/// What a server says from the greeting to the listing, with this answer to UIDL.
fn listing(uidl: &str) -> Dialogue {
    let mut turns = opened();
    turns.extend([
        Turn::Expect("STAT"),
        Turn::send("+OK 2 200\r\n"),
        Turn::Expect("UIDL"),
        Turn::send(uidl),
        Turn::Stall,
    ]);
    Dialogue::start(turns)
}

#[test]
fn a_listing_that_makes_no_sense_ends_with_65_or_76() {
    for uidl in [
        "+OK\r\n0 zero\r\n.\r\n",
        "+OK\r\n1 one\r\n1 again\r\n.\r\n",
        "+OK\r\n-1 minus\r\n.\r\n",
        "+OK\r\n4294967297 large\r\n.\r\n",
        "+OK\r\n99999999999999999999 larger\r\n.\r\n",
        "+OK\r\none 1\r\n.\r\n",
        "maybe\r\n",
    ] {
        let server = listing(uidl);
        let sandbox = Sandbox::new();
        sandbox.account("it", &server.endpoint()).write();
        let outcome = sandbox.run(&["sync"]);
        assert!(
            matches!(outcome.status, Some(65 | 76)),
            "{uidl:?}: {outcome:#?}"
        );
        assert!(!outcome.stderr.is_empty());
        sandbox.mail("it").holds(Vec::<Vec<u8>>::new());
    }
}

#[test]
fn endless_lines_and_listings_have_a_limit() {
    let line = "x".repeat(1 << 20);
    let unique_id = format!("+OK\r\n1 {}\r\n.\r\n", "u".repeat(100_000));
    let servers = [
        Dialogue::start(vec![Turn::send(&line), Turn::Stall]),
        listing(&unique_id),
        listing(&format!("+OK{line}")),
    ];
    for server in servers {
        let sandbox = Sandbox::new();
        sandbox.account("it", &server.endpoint()).write();
        let outcome = sandbox.run(&["sync"]);
        assert!(matches!(outcome.status, Some(65 | 76)), "{outcome:#?}");
        assert!(
            outcome.stderr.len() < 4_000,
            "it repeats what the server said"
        );
    }
}

#[test]
fn a_limit_is_not_used_up_by_messages_that_never_come() {
    for fault in [Fault::CloseUnanswered, Fault::reply("-ERR it is broken")] {
        let mailbox = Mailbox::with(small(4));
        let server = Server::start(&mailbox).on("RETR 1", fault.clone());
        let sandbox = sandbox_for(&server, "\"always\"");
        for _ in 0..5 {
            sandbox.run(&["sync", "--limit", "1"]);
        }
        let mut expected = mailbox.stored_forms();
        expected.remove(0);
        sandbox.mail("it").holds(&expected);
    }
}

#[test]
fn a_limit_lets_new_messages_through_where_there_are_no_unique_ids() {
    let mailbox = Mailbox::with(small(5));
    let server = Server::start(&mailbox).without_uidl();
    let sandbox = sandbox_for(&server, "\"always\"");
    for stored in [2, 4, 5, 5] {
        sandbox.run(&["sync", "--limit", "2"]).ends_with(0);
        assert_eq!(sandbox.mail("it").texts().len(), stored);
    }
    sandbox.mail("it").holds(mailbox.stored_forms());
}
