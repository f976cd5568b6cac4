//! A server is exactly as sloppy as a test wants it.

use super::client::Client;
use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::server::{ANY, Fault, SCAN, STATUS, Server, Serving};

const DOTS: &[u8] = b"A: b\r\n\r\nbefore\r\n.\r\nand after\r\n";

/// What comes for a message of this text that is served so, up to the answer to NOOP.
fn fetched(text: &[u8], serving: Serving) -> Vec<String> {
    let server = Server::start(&Mailbox::with([text])).serving("uid-1", serving);
    let mut client = Client::log_in(&server.endpoint());
    client.send("RETR 1\r\n");
    let mut lines = vec![client.line()];
    while lines.last().is_some_and(|line| line != ".") {
        lines.push(client.line());
    }
    client.send("NOOP\r\n");
    while lines.last().is_some_and(|line| line != "+OK") {
        lines.push(client.line());
    }
    lines
}

#[test]
fn dots_can_be_left_as_they_are_and_what_follows_held_back() {
    for serving in [Serving::Unstuffed, Serving::UnstuffedLate] {
        let lines = fetched(DOTS, serving);
        let expected = ["before", ".", "and after", ".", "+OK"];
        assert_eq!(lines[3..], expected, "{serving:?}");
    }
    let server = Server::start(&Mailbox::with([DOTS])).serving(ANY, Serving::UnstuffedLate);
    let mut client = Client::log_in(&server.endpoint());
    client.ask("RETR 1");
    client.message();
    assert!(client.hears_nothing_for(std::time::Duration::from_millis(20)));
}

#[test]
fn a_message_can_be_cropped_though_list_says_all_of_it() {
    assert_eq!(
        fetched(DOTS, Serving::Cropped(9)),
        ["+OK 30 octets", "A: b", "", "b", ".", "+OK"]
    );
    assert_eq!(
        fetched(DOTS, Serving::Cropped(0)),
        ["+OK 30 octets", ".", "+OK"]
    );
}

#[test]
fn headers_can_be_others_at_each_retrieval() {
    let text = small(1).remove(0);
    for serving in [
        Serving::Scanned,
        Serving::ScannedInFront,
        Serving::MarkedRead,
    ] {
        let server = Server::start(&Mailbox::with([text.clone()])).serving("uid-1", serving);
        let mut seen = Vec::new();
        for _ in 0..3 {
            let mut client = Client::log_in(&server.endpoint());
            client.ask("RETR 1");
            seen.push(client.message());
            client.ask("QUIT");
            drop(client);
            server.sessions();
        }
        let all = String::from_utf8_lossy(&seen.concat()).into_owned();
        let added = all.lines().map(|line| format!("{line}\r\n"));
        let added: Vec<_> = added
            .filter(|line| line.starts_with(SCAN) || line == STATUS)
            .collect();
        let expected = match serving {
            Serving::MarkedRead => vec![STATUS.to_owned(); 2],
            _ => (1..=3).map(|count| format!("{SCAN}{count}\r\n")).collect(),
        };
        assert_eq!(added, expected, "{serving:?}");
        assert_eq!(
            seen[2].starts_with(SCAN.as_bytes()),
            serving == Serving::ScannedInFront
        );
        let mut client = Client::log_in(&server.endpoint());
        let counted = text.len()
            + match serving {
                Serving::MarkedRead => STATUS.len(),
                _ => 0,
            };
        assert_eq!(client.ask("LIST 1"), format!("+OK 1 {counted}"));
    }
}

#[test]
fn sizes_can_be_wrong_in_many_ways() {
    let mailbox = Mailbox::with([&b"A: b\r\n"[..], b"C: d\r\n"]);
    let server = Server::start(&mailbox).counting_line_ends_as_one();
    let mut client = Client::log_in(&server.endpoint());
    assert_eq!(client.ask("STAT"), "+OK 2 10");
    drop(client);
    let server = server.claiming_size_of("uid-2", 7).adding_to_stat(100);
    let mut client = Client::log_in(&server.endpoint());
    assert_eq!(client.ask("STAT"), "+OK 2 112");
    assert_eq!(client.ask("LIST 2"), "+OK 2 7");
}

#[test]
fn faults_find_a_message_by_its_unique_id_and_heal() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox)
        .on("DELE uid-2", Fault::reply("-ERR no"))
        .on("UIDL n", Fault::reply("-ERR not of one"))
        .serving("uid-2", Serving::Cropped(0))
        .claiming_size_of("uid-2", 7);
    mailbox.remove("uid-1");
    let mut client = Client::log_in(&server.endpoint());
    assert_eq!(client.ask("DELE 1"), "-ERR no");
    assert!(client.ask("DELE 2").starts_with("+OK"));
    assert_eq!(client.ask("UIDL 1"), "-ERR not of one");
    assert!(client.ask("UIDL").starts_with("+OK"));
    assert_eq!(client.lines(), ["1 uid-2"]);
    drop(client);
    server.heal();
    let mut client = Client::log_in(&server.endpoint());
    assert!(client.ask("DELE 1").starts_with("+OK"));
    let octets = small(3)[1].len();
    drop(client);
    let mut client = Client::log_in(&server.endpoint());
    assert_eq!(client.ask("LIST 1"), format!("+OK 1 {octets}"));
    assert_eq!(client.ask("RETR 1"), format!("+OK {octets} octets"));
    assert!(client.message() == small(3)[1]);
}

#[test]
fn a_command_can_be_unknown() {
    let server = Server::start(&Mailbox::with(small(1))).lacking("TOP");
    let mut client = Client::log_in(&server.endpoint());
    client.ask("CAPA");
    assert!(!client.lines().contains(&"TOP".to_owned()));
    server.heal();
    assert!(client.ask("TOP 1 0").starts_with("-ERR"));
    drop(client);
    assert!(server.violations().is_empty());
}

#[test]
fn what_was_sent_ahead_is_known() {
    let server = Server::start(&Mailbox::with(small(1)));
    let mut client = Client::log_in(&server.endpoint());
    client.send("NOOP\r\nSTAT\r\n");
    client.line();
    client.line();
    drop(client);
    let log = server.sessions().remove(0);
    let followed = |command: &str| {
        let mut received = log.received.iter();
        let found = received.find(|received| received.line == command.as_bytes());
        found.expect("it came").followed
    };
    assert!(followed("NOOP") && !followed("STAT"));
}
