//! Faults strike where they were placed.

use std::time::{Duration, Instant};

use super::client::Client;
use crate::support::mailbox::Mailbox;
use crate::support::messages;
use crate::support::sandbox::Sandbox;
use crate::support::server::{
    ANY, Fault, GREETING, HANDSHAKE, LOGIN, PASSWORD, RESPONSE, Server, USER,
};

/// A server with three messages and this fault at RETR 2.
fn at_retr_2(fault: Fault) -> Server {
    Server::start(&Mailbox::with(messages::small(3))).on("RETR 2", fault)
}

fn whole_answer() -> Vec<u8> {
    let text = messages::small(2).remove(1);
    [
        format!("+OK {} octets\r\n", text.len()).as_bytes(),
        &text,
        b".\r\n",
    ]
    .concat()
}

fn all_after_retr_2(fault: Fault) -> Vec<u8> {
    let server = at_retr_2(fault);
    let mut client = Client::log_in(&server.endpoint());
    assert!(client.ask("RETR 1").starts_with("+OK"));
    client.message();
    client.send("RETR 2\r\n");
    client.rest()
}

#[test]
fn connections_end_where_they_should() {
    let answer = whole_answer();
    assert_eq!(all_after_retr_2(Fault::CloseBefore), b"");
    assert_eq!(all_after_retr_2(Fault::CloseUnanswered), b"");
    assert_eq!(all_after_retr_2(Fault::CloseAfter), answer);
    assert_eq!(all_after_retr_2(Fault::CloseWithin(100)), answer[..100]);
    assert!(answer.starts_with(&all_after_retr_2(Fault::ResetWithin(100))));
}

#[test]
fn answers_can_be_replaced_and_followed_and_slow() {
    let server = at_retr_2(Fault::reply("-ERR [SYS/TEMP] no")).on("RETR 3", Fault::say("+OK liar"));
    let mut client = Client::log_in(&server.endpoint());
    assert_eq!(client.ask("RETR 2"), "-ERR [SYS/TEMP] no");
    assert_eq!(client.ask("RETR 3"), "+OK liar");
    drop(client);
    assert_eq!(server.retrievals().keys().collect::<Vec<_>>(), ["uid-3"]);

    let slow = Duration::from_millis(30);
    let begin = Instant::now();
    for fault in [
        Fault::Trickle,
        Fault::Delay(slow),
        Fault::Inject(b"+OK more\r\n".to_vec()),
    ] {
        let server = at_retr_2(fault);
        let mut client = Client::log_in(&server.endpoint());
        assert!(client.ask("RETR 2").starts_with("+OK"));
        assert!(client.message() == messages::small(2)[1]);
    }
    assert!(begin.elapsed() >= slow);

    let server = Server::start(&Mailbox::default()).on("NOOP", Fault::Drip(slow));
    let mut client = Client::log_in(&server.endpoint());
    let begin = Instant::now();
    assert_eq!(client.ask("NOOP"), "+OK");
    assert!(begin.elapsed() >= 4 * slow);
}

#[test]
fn a_stalled_server_keeps_the_connection_and_says_nothing() {
    for (fault, heard) in [(Fault::Stall, 0), (Fault::StallWithin(30), 30)] {
        let server = at_retr_2(fault);
        let mut client = Client::log_in(&server.endpoint());
        client.send("RETR 2\r\n");
        assert_eq!(client.take(heard), whole_answer()[..heard]);
        assert!(client.hears_nothing_for(Duration::from_millis(30)));
        client.send("NOOP\r\n");
        drop(client);
        assert_eq!(server.commands().last().map(String::as_str), Some("NOOP"));
    }
}

#[test]
fn faults_strike_steps_that_are_no_commands() {
    let server = Server::start(&Mailbox::default()).on(GREETING, Fault::reply("-ERR go away"));
    assert_eq!(
        Client::connect_only(&server.endpoint()).line(),
        "-ERR go away"
    );

    let server = Server::start(&Mailbox::default())
        .once(LOGIN, Fault::reply("-ERR [IN-USE] busy"))
        .once(RESPONSE, Fault::reply("-ERR no"))
        .on("AUTH PLAIN", Fault::say("+"));
    let mut client = Client::connect(&server.endpoint());
    client.ask(&format!("USER {USER}"));
    assert_eq!(
        client.ask(&format!("PASS {PASSWORD}")),
        "-ERR [IN-USE] busy"
    );
    assert_eq!(client.ask("AUTH PLAIN"), "+");
    assert_eq!(client.ask("*"), "-ERR no");
    client.ask(&format!("USER {USER}"));
    assert!(client.ask(&format!("PASS {PASSWORD}")).starts_with("+OK"));

    let sandbox = Sandbox::new();
    let server = Server::start(&Mailbox::default()).implicit_tls(sandbox.certificates());
    let server = server.on(HANDSHAKE, Fault::CloseBefore);
    let mut client = Client::connect_only(&server.endpoint());
    assert!(client.handshake(&server.endpoint()).is_err());
}

#[test]
fn a_healed_server_has_no_faults() {
    let server = Server::start(&Mailbox::default()).on(ANY, Fault::CloseBefore);
    assert!(Client::connect_only(&server.endpoint()).rest().is_empty());
    server.heal();
    let mut client = Client::log_in(&server.endpoint());
    assert_eq!(client.ask("NOOP"), "+OK");
}

#[test]
fn quit_can_be_carried_out_without_an_answer() {
    let mailbox = Mailbox::with(messages::small(1));
    let server = Server::start(&mailbox).on("QUIT", Fault::CloseUnanswered);
    let mut client = Client::log_in(&server.endpoint());
    client.ask("DELE 1");
    client.send("QUIT\r\n");
    assert!(client.rest().is_empty());
    assert!(mailbox.uids().is_empty());
}

#[test]
fn a_server_without_uidl_has_none() {
    let server = Server::start(&Mailbox::default()).without_uidl();
    assert!(
        Client::log_in(&server.endpoint())
            .ask("UIDL")
            .starts_with("-ERR")
    );
}

#[test]
fn a_password_can_be_changed() {
    let server = Server::start(&Mailbox::default()).password("new");
    assert_eq!(server.endpoint().password, "new");
    let mut client = Client::connect(&server.endpoint());
    client.ask(&format!("USER {USER}"));
    assert!(client.ask("PASS new").starts_with("+OK"));
}
