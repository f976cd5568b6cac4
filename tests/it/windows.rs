//! Servers that list a part of the maildrop at a time, and the next part in the next session.

use crate::support::mailbox::Mailbox;
use crate::support::messages::{small, stored_form};
use crate::support::sandbox::Outcome;
use crate::support::server::{Fault, LOGIN, Server, State};
use crate::sync::sandbox_for;

#[test]
fn a_server_that_is_seen_to_show_windows_is_emptied_in_one_run() {
    let mailbox = Mailbox::with(small(15));
    let server = Server::start(&mailbox).listing_window(10);
    let sandbox = sandbox_for(&server, &[]);
    // The first run cannot know; the second sees that all it has stored has gone.
    sandbox.run(&["sync"]).ends_with(0);
    assert_eq!(server.sessions().len(), 1);
    for text in small(60).into_iter().skip(15) {
        mailbox.add(format!("more-{}", mailbox.uids().len()), text);
    }
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(mailbox.stored_forms());
    assert!(server.retrievals().values().all(|&count| count == 1));
    // 50 messages were left: five windows and one that is empty.
    assert_eq!(server.sessions().len(), 1 + 6);
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    assert_eq!(server.sessions().len(), 1 + 6 + 1);
}

#[test]
fn where_retrieved_mail_expires_sessions_follow_until_nothing_is_new() {
    let mailbox = Mailbox::with(small(25));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox).expires_at_once().listing_window(10);
    let sandbox = sandbox_for(&server, &[]);
    let outcome = sandbox.run(&["sync", "--json"]);
    outcome.ends_with(0);
    sandbox.mail("it").holds(&expected);
    assert_eq!(server.sessions().len(), 4);
    assert_eq!(outcome.json()[0]["stored"]["messages"], 25);
    assert_eq!(
        outcome.json()[0]["server"]["messages"],
        10,
        "the most it listed"
    );
}

#[test]
fn a_limit_is_for_all_windows_together() {
    let mailbox = Mailbox::with(small(25));
    let server = Server::start(&mailbox).expires_at_once().listing_window(10);
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync", "--limit", "13"]).ends_with(0);
    assert_eq!(sandbox.mail("it").texts().len(), 13);
}

#[test]
fn a_login_delay_ends_the_windows_with_75_and_what_was_stored_stays() {
    let mailbox = Mailbox::with(small(15));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox).expires_at_once().listing_window(10);
    // The second login comes too early.
    let server = server.after(1, LOGIN, Fault::reply("-ERR [LOGIN-DELAY] too early"));
    let sandbox = sandbox_for(&server, &[]);
    let outcome = sandbox.run(&["sync"]);
    outcome
        .ends_with(75)
        .complains("the server may have more mail, but takes no further session now")
        .complains("wants a longer pause between logins: \"[LOGIN-DELAY] too early\"")
        .keeps_to_itself("less often");
    sandbox.mail("it").holds(&expected[..10]);
    server.heal();
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(&expected);
}

/// A server that drops what was fetched and says in these states that it wants a pause between logins,
/// with this many messages.
fn delaying_in(states: &[State], messages: usize) -> (Mailbox, Server) {
    let mailbox = Mailbox::with(small(messages));
    let mut server = Server::start(&mailbox).expires_at_once().listing_window(10);
    for state in [State::Greeted, State::LoggedIn] {
        let mut lines = vec!["UIDL", "RESP-CODES", "EXPIRE 0"];
        if state == State::Greeted {
            lines.extend(["USER", "SASL PLAIN"]);
        }
        if states.contains(&state) {
            lines.push("LOGIN-DELAY 300");
        }
        server = server.capabilities(state, &lines);
    }
    (mailbox, server)
}

/// One that says so whenever it is asked.
fn delaying(messages: usize) -> (Mailbox, Server) {
    delaying_in(&[State::Greeted, State::LoggedIn], messages)
}

#[test]
fn a_pause_counts_wherever_it_is_announced() {
    for announced in [State::Greeted, State::LoggedIn] {
        let (_mailbox, mut server) = delaying_in(&[announced], 15);
        let sandbox = sandbox_for(&server, &[]);
        for (status, message) in [
            (75, "wants a longer pause between logins"),
            (0, "no further login so soon"),
        ] {
            server = server.after(1, LOGIN, Fault::reply("-ERR [LOGIN-DELAY] too early"));
            sandbox
                .run(&["sync", "-v"])
                .ends_with(status)
                .complains(message);
            server.heal();
        }
        assert_eq!(sandbox.mail("it").texts().len(), 15);
    }
}

#[test]
fn a_pause_that_is_only_announced_keeps_no_mail_back() {
    let (mailbox, server) = delaying(25);
    let expected = mailbox.stored_forms();
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(&expected);
}

#[test]
fn a_pause_that_is_announced_and_insisted_on_is_a_failure_once_and_respected_from_then_on() {
    let (mailbox, mut server) = delaying(15);
    let mut expected = mailbox.stored_forms();
    let too_early = || Fault::reply("-ERR [LOGIN-DELAY] too early");
    let sandbox = sandbox_for(&server, &[]);
    server = server.after(1, LOGIN, too_early());
    sandbox.run(&["sync"]).ends_with(75);
    sandbox.mail("it").holds(&expected[..10]);

    server.heal();
    server = server.after(1, LOGIN, too_early());
    let outcome = sandbox.run(&["sync", "-v"]);
    outcome.ends_with(0).complains("no further login so soon");
    sandbox.mail("it").holds(&expected);

    let later = small(16).remove(15);
    expected.push(stored_form(&later));
    mailbox.add("later", later);
    server.heal();
    server = server.after(1, LOGIN, too_early());
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    sandbox.mail("it").holds(&expected);
    assert_eq!(server.sessions().len(), 2 + 1 + 1);
}

#[test]
fn a_run_holds_a_hundred_sessions_at_most_and_the_next_goes_on() {
    let mailbox = Mailbox::with(small(102));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox).expires_at_once().listing_window(1);
    let sandbox = sandbox_for(&server, &[]);
    let outcome = sandbox.run(&["sync"]);
    outcome.ends_with(0).complains("100 sessions");
    assert_eq!(server.sessions().len(), 100);
    sandbox.mail("it").holds(&expected[..100]);
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    sandbox.mail("it").holds(&expected);
}

/// The second run of this sandbox finds that all mail that was stored has gone, and one new message: there
/// may be more. What then is wrong at the second login decides how it ends.
fn second_session_with(step: &str, fault: Fault) -> Outcome {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]).ends_with(0);
    mailbox.clear();
    mailbox.add("new", small(4).remove(3));
    let server = server.after(1, step, fault);
    let outcome = sandbox.run(&["sync"]);
    assert_eq!(server.sessions().len(), 3);
    assert_eq!(sandbox.mail("it").texts().len(), 4);
    outcome
}

#[test]
fn a_login_that_only_a_suspicion_asked_for_may_be_refused() {
    for refusal in [
        Fault::reply("-ERR [LOGIN-DELAY] too early"),
        Fault::reply("-ERR [IN-USE] busy"),
        Fault::CloseBefore,
    ] {
        second_session_with(LOGIN, refusal)
            .ends_with(0)
            .says_nothing();
    }
    let broken = second_session_with("STAT", Fault::reply("-ERR [SYS/TEMP] not now"));
    broken.ends_with(75);
}

#[test]
fn a_failure_in_one_window_is_not_forgotten_in_the_next() {
    let mailbox = Mailbox::with(small(15));
    let server = Server::start(&mailbox)
        .listing_window(10)
        .expires_at_once()
        .once("RETR 4", Fault::reply("-ERR [SYS/TEMP] no"));
    let sandbox = sandbox_for(&server, &[]);
    let outcome = sandbox.run(&["sync"]);
    outcome.ends_with(1).complains("uid-4");
}

#[test]
fn sessions_of_a_host_where_all_mail_went_at_once_are_two_at_most() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]).ends_with(0);
    // The maildrop was cleared by other means.
    mailbox.clear();
    mailbox.add("new", small(4).remove(3));
    sandbox.run(&["sync"]).ends_with(0);
    assert_eq!(server.sessions().len(), 3);
    mailbox.add("newer", small(5).remove(4));
    sandbox.run(&["sync"]).ends_with(0);
    assert_eq!(server.sessions().len(), 4);
    assert_eq!(sandbox.mail("it").texts().len(), 5);
}
