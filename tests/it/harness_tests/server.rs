//! The scripted server does what a good server does.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::client::Client;
use crate::support::mailbox::Mailbox;
use crate::support::messages;
use crate::support::sandbox::Sandbox;
use crate::support::server::{PASSWORD, Pipelining, Server, State, USER};

/// A message in wire form as it is sent: with the last line end that may be missing.
fn sent(wire: &[u8]) -> Vec<u8> {
    let complete = wire.is_empty() || wire.ends_with(b"\r\n");
    [wire, if complete { b"" } else { b"\r\n" }].concat()
}

#[test]
fn every_message_comes_byte_for_byte_with_every_kind_of_tls() {
    let sandbox = Sandbox::new();
    let originals = messages::one_of_each();
    let mailbox = Mailbox::with(originals.clone());
    let servers = [
        Server::start(&mailbox),
        Server::start(&mailbox).stls(sandbox.certificates()),
        Server::start(&mailbox).implicit_tls(sandbox.certificates()),
    ];
    for server in servers {
        let mut client = Client::log_in(&server.endpoint());
        client.ask("LIST");
        let sizes = client.lines();
        for (index, original) in originals.iter().enumerate() {
            assert!(
                client
                    .ask(&format!("RETR {}", index + 1))
                    .starts_with("+OK")
            );
            assert!(client.message() == sent(original), "message {}", index + 1);
            let size = sent(original).len();
            assert_eq!(sizes[index], format!("{} {size}", index + 1));
        }
        assert!(client.ask("QUIT").starts_with("+OK"));
        drop(client);
        let clear = server.sessions()[0].in_clear();
        match server.endpoint().tls {
            "none" => assert!(clear.contains(&format!("PASS {PASSWORD}"))),
            "starttls" => assert_eq!(clear, ["STLS"]),
            _ => assert!(clear.is_empty()),
        }
    }
}

#[test]
fn listings_agree_and_deletions_happen_at_quit() {
    let mailbox = Mailbox::with(messages::small(3));
    let server = Server::start(&mailbox);
    let mut client = Client::log_in(&server.endpoint());
    assert!(client.ask("STAT").starts_with("+OK 3 "));
    client.ask("UIDL");
    assert_eq!(client.lines(), ["1 uid-1", "2 uid-2", "3 uid-3"]);
    assert_eq!(client.ask("UIDL 2"), "+OK 2 uid-2");
    client.ask("DELE 1");
    client.ask("RSET");
    client.ask("DELE 2");
    assert!(client.ask("STAT").starts_with("+OK 2 "));
    client.ask("UIDL");
    assert_eq!(client.lines(), ["1 uid-1", "3 uid-3"]);
    assert_eq!(mailbox.uids().len(), 3);
    client.ask("QUIT");
    drop(client);
    assert_eq!(server.deletions(), ["uid-1", "uid-2"]);
    assert_eq!(mailbox.uids(), ["uid-1", "uid-3"]);
}

#[test]
fn deletions_without_quit_do_not_happen() {
    let mailbox = Mailbox::with(messages::small(1));
    let server = Server::start(&mailbox);
    let mut client = Client::log_in(&server.endpoint());
    client.ask("DELE 1");
    drop(client);
    assert_eq!(server.deletions(), ["uid-1"]);
    assert_eq!(mailbox.uids(), ["uid-1"]);
}

#[test]
fn top_gives_the_header_and_as_many_lines_as_asked_for() {
    let mailbox = Mailbox::with([&b"A: b\r\n\r\n.one\r\ntwo\r\nthree"[..]]);
    let server = Server::start(&mailbox);
    let mut client = Client::log_in(&server.endpoint());
    for (lines, expected) in [(0, "A: b\r\n\r\n"), (1, "A: b\r\n\r\n.one\r\n")] {
        client.ask(&format!("TOP 1 {lines}"));
        assert_eq!(client.message(), expected.as_bytes());
    }
    client.ask("TOP 1 99");
    assert_eq!(client.message(), b"A: b\r\n\r\n.one\r\ntwo\r\nthree\r\n");
}

#[test]
fn every_mechanism_works_and_fails_as_it_should() {
    let plain = |password: &str| BASE64_STANDARD.encode(format!("\0{USER}\0{password}"));
    let server = Server::start(&Mailbox::default()).apop("<1896.697170952@dbc.mtview.ca.us>");
    let server = server.account("mrose", "tanstaaf", &Mailbox::default());
    let log_in = |commands: &[String]| {
        let mut client = Client::connect(&server.endpoint());
        let mut answer = String::new();
        for command in commands {
            answer = client.ask(command);
        }
        answer
    };
    let (right, wrong) = (plain(PASSWORD), plain("wrong"));
    assert!(log_in(&[format!("AUTH PLAIN {right}")]).starts_with("+OK"));
    assert!(log_in(&["AUTH PLAIN".to_owned(), right]).starts_with("+OK"));
    assert!(log_in(&[format!("AUTH PLAIN {wrong}")]).starts_with("-ERR [AUTH]"));
    assert!(log_in(&["AUTH PLAIN".to_owned(), "*".to_owned()]).starts_with("-ERR"));
    // The example of RFC 1939.
    let apop = "APOP mrose c4c9334bac560ecc979e58001b3e22fb";
    assert!(log_in(&[apop.to_owned()]).starts_with("+OK"));
    assert!(log_in(&["APOP mrose c4c9".to_owned()]).starts_with("-ERR"));
    let wrong = [format!("USER {USER}"), "PASS wrong".to_owned()];
    assert!(log_in(&wrong).starts_with("-ERR"));
}

#[test]
fn capabilities_are_as_set_in_each_state() {
    let sandbox = Sandbox::new();
    let server = Server::start(&Mailbox::default())
        .stls(sandbox.certificates())
        .capabilities(State::Greeted, &["STLS"])
        .capabilities(State::Secured, &["USER"])
        .capabilities(State::LoggedIn, &["UIDL", "PIPELINING"]);
    let endpoint = server.endpoint();
    let mut client = Client::connect_only(&endpoint);
    client.line();
    let mut seen = Vec::new();
    client.ask("CAPA");
    seen.push(client.lines());
    client.ask("STLS");
    client.handshake(&endpoint).expect("a good certificate");
    client.ask("CAPA");
    seen.push(client.lines());
    client.ask(&format!("USER {USER}"));
    client.ask(&format!("PASS {PASSWORD}"));
    client.ask("CAPA");
    seen.push(client.lines());
    assert_eq!(
        seen,
        [vec!["STLS"], vec!["USER"], vec!["UIDL", "PIPELINING"]]
    );
}

#[test]
fn pipelined_commands_are_answered_in_turn() {
    let originals = messages::small(50);
    let server = Server::start(&Mailbox::with(originals.clone()));
    let mut client = Client::log_in(&server.endpoint());
    let commands = (1..=50).map(|number| format!("RETR {number}\r\n"));
    client.send(commands.collect::<String>());
    for original in &originals {
        assert!(client.line().starts_with("+OK"));
        assert!(client.message() == *original);
    }
    drop(client);
    assert!(server.retrievals().values().all(|&count| count == 1));
    assert_eq!(server.retrievals().len(), 50);
}

#[test]
fn broken_pipelining_is_broken_as_promised() {
    let originals = messages::small(2);
    let exchange = |pipelining| {
        let server = Server::start(&Mailbox::with(originals.clone())).pipelining(pipelining);
        let mut client = Client::log_in(&server.endpoint());
        client.send("RETR 1\r\nRETR 2\r\n");
        if pipelining == Pipelining::Drops {
            let answer = client.line();
            let message = client.message();
            let silent = client.hears_nothing_for(std::time::Duration::from_millis(50));
            assert!(silent, "the second was lost");
            return [answer.as_bytes(), b"\r\n", &message, b".\r\n"].concat();
        }
        if pipelining != Pipelining::Disconnects {
            // Nothing is sent after QUIT, so the rest can be read to its end.
            client.send("NOOP\r\n");
            let mut all = Vec::new();
            while !all.ends_with(b"\r\n+OK\r\n") {
                all.extend(client.line().into_bytes());
                all.extend(b"\r\n");
            }
            return all;
        }
        client.rest()
    };
    let status = |index: usize| format!("+OK {} octets\r\n", originals[index].len()).into_bytes();
    let text = |index: usize| originals[index].clone();
    let (dot, end) = (b".\r\n".to_vec(), b"+OK\r\n".to_vec());
    assert!(exchange(Pipelining::Disconnects).is_empty());
    assert_eq!(
        exchange(Pipelining::Drops),
        [status(0), text(0), dot.clone()].concat()
    );
    assert_eq!(
        exchange(Pipelining::Swaps),
        [
            status(1),
            text(1),
            dot.clone(),
            status(0),
            text(0),
            dot.clone(),
            end.clone()
        ]
        .concat()
    );
    assert_eq!(
        exchange(Pipelining::Interleaves),
        [
            status(0),
            text(0),
            status(1),
            dot.clone(),
            text(1),
            dot,
            end
        ]
        .concat()
    );
}

#[test]
fn a_window_shows_the_oldest_that_no_finished_session_retrieved() {
    let server = Server::start(&Mailbox::with(messages::small(5))).listing_window(2);
    let session = |quit: bool| {
        let mut client = Client::log_in(&server.endpoint());
        client.ask("UIDL");
        let listed = client.lines();
        for number in 1..=listed.len() {
            client.ask(&format!("RETR {number}"));
            client.message();
        }
        if quit {
            client.ask("QUIT");
        }
        listed
    };
    assert_eq!(session(false), ["1 uid-1", "2 uid-2"]);
    assert_eq!(session(true), ["1 uid-1", "2 uid-2"]);
    assert_eq!(session(true), ["1 uid-3", "2 uid-4"]);
    assert_eq!(session(true), ["1 uid-5"]);
}

#[test]
fn expire_0_removes_what_was_retrieved_at_quit_only() {
    let mailbox = Mailbox::with(messages::small(2));
    let server = Server::start(&mailbox).expires_at_once();
    for quit in [false, true] {
        let mut client = Client::log_in(&server.endpoint());
        client.ask("RETR 1");
        client.message();
        assert_eq!(mailbox.uids(), ["uid-1", "uid-2"]);
        if quit {
            client.ask("QUIT");
        }
    }
    assert_eq!(mailbox.uids(), ["uid-2"]);
}

#[test]
fn a_maildrop_can_change_between_sessions() {
    let mailbox = Mailbox::with(messages::small(2));
    mailbox.renumber("new-");
    mailbox.add("new-1", messages::small(3).remove(2));
    let server = Server::start(&mailbox).claiming_size(1, 7).without_capa();
    let mut client = Client::connect(&server.endpoint());
    assert!(client.ask("CAPA").starts_with("-ERR"));
    client.ask(&format!("USER {USER}"));
    client.ask(&format!("PASS {PASSWORD}"));
    client.ask("UIDL");
    assert_eq!(client.lines(), ["1 new-1", "2 new-2", "3 new-1"]);
    assert_eq!(client.ask("LIST 1"), "+OK 1 7");
}
