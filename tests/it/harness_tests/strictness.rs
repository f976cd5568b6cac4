//! The scripted server notices what no client should do.

use super::client::Client;
use crate::support::mailbox::Mailbox;
use crate::support::messages;
use crate::support::server::{PASSWORD, Pipelining, Server, USER};

/// What the server complains of when a client says this and ends.
fn complaints(server: &Server, logged_in: bool, bytes: &str) -> Vec<String> {
    let mut client = if logged_in {
        Client::log_in(&server.endpoint())
    } else {
        Client::connect(&server.endpoint())
    };
    client.send(bytes);
    client.send("QUIT\r\n");
    client.rest();
    drop(client);
    server.violations()
}

#[test]
fn bad_form_is_noticed() {
    let long = format!("USER {}\r\n", "a".repeat(250));
    for bytes in ["noop\r\n", "NOOP\n", "NOOP \r\n", "RETR  1\r\n", &long] {
        let server = Server::start(&Mailbox::with(messages::small(1)));
        assert!(!complaints(&server, true, bytes).is_empty(), "{bytes:?}");
    }
}

#[test]
fn commands_out_of_place_are_noticed() {
    for (logged_in, bytes) in [
        (false, "RETR 1\r\n"),
        (false, "PASS without user\r\n"),
        (false, "STLS\r\n"),
        (false, "APOP alice c4c9334bac560ecc979e58001b3e22fb\r\n"),
        (false, "AUTH\r\n"),
        (true, "USER alice\r\n"),
        (true, "RETR 2\r\n"),
        (true, "RETR 0\r\n"),
        (true, "XYZZY\r\n"),
    ] {
        // No pipelining, so that only the command itself can be wrong.
        let server = Server::start(&Mailbox::with(messages::small(1)));
        let mut client = if logged_in {
            Client::log_in(&server.endpoint())
        } else {
            Client::connect(&server.endpoint())
        };
        client.send(bytes);
        assert!(client.line().starts_with("-ERR"), "{bytes:?}");
        drop(client);
        assert_eq!(server.violations().len(), 1, "{bytes:?}");
    }
}

#[test]
fn sending_ahead_is_noticed_where_it_was_not_announced() {
    let mailbox = Mailbox::with(messages::small(1));
    let server = Server::start(&mailbox).pipelining(Pipelining::Absent);
    assert!(!complaints(&server, true, "NOOP\r\nNOOP\r\n").is_empty());
    let server = Server::start(&mailbox);
    let mut client = Client::log_in(&server.endpoint());
    client.send("NOOP\r\nNOOP\r\n");
    client.line();
    client.line();
    drop(client);
    assert!(server.violations().is_empty());
}

#[test]
fn nothing_may_follow_what_hands_over_to_another_process() {
    for bytes in [
        format!("USER {USER}\r\nPASS {PASSWORD}\r\n"),
        "AUTH PLAIN\r\n*\r\n".to_owned(),
        "QUIT\r\nCAPA\r\n".to_owned(),
    ] {
        let server = Server::start(&Mailbox::default());
        let mut client = Client::connect(&server.endpoint());
        client.ask("CAPA");
        client.lines();
        client.send(&bytes);
        client.line();
        drop(client);
        assert!(!server.violations().is_empty(), "{bytes:?}");
    }
}

#[test]
fn secrets_are_in_the_journal_as_they_came() {
    let server = Server::start(&Mailbox::default());
    let mut client = Client::log_in(&server.endpoint());
    server.wait_for(&format!("PASS {PASSWORD}"));
    client.ask("QUIT");
    drop(client);
    let expected = ["CAPA", "USER alice", "PASS open sesame", "QUIT"];
    assert_eq!(server.commands(), expected);
    assert_eq!(
        server.sessions()[0].verbs(),
        ["CAPA", "USER", "PASS", "QUIT"]
    );
}

#[test]
#[should_panic(expected = "the client misbehaved")]
fn violations_that_were_not_looked_at_fail_the_test() {
    let server = Server::start(&Mailbox::default());
    let mut client = Client::connect(&server.endpoint());
    client.ask("capa");
    drop(client);
    drop(server);
}
