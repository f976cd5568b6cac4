//! A50–A54, A64–A69: attacks by answers of one line and of several, on the parser, on memory and on time.

use std::fmt::Write as _;
use std::time::Duration;

use super::case::{Attack, Case};
use crate::shared::fetcher::Tls;
use crate::support::malicious::{
    ODD_LISTS, ODD_UIDLS, SENSELESS_LISTS, SENSELESS_STATISTICS, SENSELESS_UIDLS,
};
use crate::support::server::{Fault, GREETING, LOGIN};

/// Text that a terminal obeys.
const PAINT: &str = "\x1b[2J\x08\x08\x1b]0;gotcha\x07 \u{202e}";

/// How long a line is that does not end.
const LONG: usize = 1 << 16;

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        Attack::new("A50", "a status line without an end", endless_lines()),
        Attack::new("A51", "capabilities without an end", endless_capabilities()),
        Attack::new("A52", "a listing without an end", endless_listings()),
        Attack::new("A52", "a listing that makes no sense", senseless_listings()),
        Attack::new("A52", "a listing that is odd", odd_listings()),
        Attack::new("A53", "statistics that make no sense", statistics()),
        Attack::new("A54", "listings that disagree", disagreements()),
        Attack::new("A64", "refusals and listings that paint", paintings()),
        Attack::new("A65", "a greeting of a megabyte", [long_greeting()]),
        Attack::new("A66", "lines that nobody asked for", unasked()),
        Attack::new("A67", "many lines where one is due", many_lines()),
        Attack::new("A68", "answers before their questions", [forged_session()]),
        Attack::new("A69", "an answer that drips", drips()),
    ]
}

fn flood(step: &'static str, octets: impl Into<Vec<u8>>) -> Case {
    Case::fault(step, Fault::Flood(octets.into()))
}

fn endless_lines() -> Vec<Case> {
    let steps = [GREETING, "USER", "STAT"];
    steps.map(|step| flood(step, [b'x'; LONG])).into()
}

/// Some ask only where there may be STLS.
fn endless_capabilities() -> Vec<Case> {
    let lines = "X-MORE and more\r\n".repeat(4000).into_bytes();
    let floods = [lines, vec![b'x'; LONG]];
    let cases = floods.into_iter().flat_map(|octets| {
        [Tls::None, Tls::Stls].map(|tls| flood("CAPA", octets.clone()).tls(tls))
    });
    cases.collect()
}

fn endless_listings() -> Vec<Case> {
    let mut lines = String::new();
    for number in 4..=3_000_000 {
        let _ = write!(lines, "{number} {number}\r\n");
    }
    ["UIDL", "LIST"]
        .map(|step| flood(step, lines.clone()))
        .into()
}

/// What several lines answer.
fn listing(lines: &str) -> String {
    format!("+OK\r\n{lines}\r\n.\r\n")
}

/// Each of these in place of the answer to UIDL, or to LIST.
fn listings(uidls: &[&str], lists: &[&str]) -> Vec<Case> {
    let case = |(command, lines): (&'static str, &&str)| {
        let case = Case::reply(command, listing(lines));
        case.deleting().resuming()
    };
    let uidls = uidls.iter().map(|lines| ("UIDL", lines));
    let lists = lists.iter().map(|lines| ("LIST", lines));
    uidls.chain(lists).map(case).collect()
}

fn senseless_listings() -> Vec<Case> {
    listings(&SENSELESS_UIDLS, &SENSELESS_LISTS)
}

fn odd_listings() -> Vec<Case> {
    listings(&ODD_UIDLS, &ODD_LISTS)
}

fn statistics() -> Vec<Case> {
    let wrong = ["+OK 0 0", "+OK 1000000 9223372036854775807"];
    let answers = SENSELESS_STATISTICS.into_iter().chain(wrong);
    let case = |answer| Case::reply("STAT", format!("{answer}\r\n"));
    answers
        .map(|answer| case(answer).deleting().resuming())
        .collect()
}

/// The server has three messages.
fn disagreements() -> Vec<Case> {
    let case = |stat: &'static str, uidl: &'static str, list: &'static str| {
        Case::server(move |server, _| {
            server
                .on("STAT", Fault::reply(stat))
                .on("UIDL", Fault::Reply(listing(uidl).into()))
                .on("LIST", Fault::Reply(listing(list).into()))
        })
        .deleting()
        .resuming()
    };
    vec![
        case("+OK 2 40", "1 uid-1\r\n2 uid-2\r\n3 uid-3", "1 20"),
        case("+OK 3 60", "1 uid-1", "1 20\r\n2 20"),
        case(
            "+OK 4 80",
            "1 uid-1\r\n2 uid-2\r\n3 uid-3\r\n4 uid-4",
            "1 20\r\n2 20\r\n3 20",
        ),
    ]
}

fn paintings() -> Vec<Case> {
    let steps = [
        GREETING, "CAPA", "USER", LOGIN, "STAT", "UIDL", "LIST", "RETR", "DELE", "QUIT",
    ];
    let refusals = steps.map(|step| Case::reply(step, format!("-ERR {PAINT}\r\n")).deleting());
    let floods = ["USER", "RETR"]
        .map(|step| Case::reply(step, format!("-ERR {}\r\n", PAINT.repeat(500))).deleting());
    let success = Case::reply("STAT", format!("+OK {PAINT}\r\n"));
    let ids = Case::reply("UIDL", listing(&format!("1 {PAINT}")));
    refusals
        .into_iter()
        .chain(floods)
        .chain([success, ids])
        .collect()
}

fn long_greeting() -> Case {
    Case::reply(GREETING, format!("+OK {}\r\n", "x".repeat(1 << 20)))
}

fn unasked() -> Vec<Case> {
    let more = ["+OK 1 20\r\n", "-ERR what?\r\n", "* BYE\r\n"];
    let steps = ["USER", "STAT", "UIDL", "RETR 1"];
    let after = steps
        .into_iter()
        .flat_map(|step| more.map(|line| Case::fault(step, Fault::Inject(line.into()))));
    after.map(|case| case.deleting().resuming()).collect()
}

fn many_lines() -> Vec<Case> {
    let steps = ["STAT", "DELE 1"];
    let case = |step| Case::reply(step, "+OK\r\n1 20\r\n2 20\r\n.\r\n");
    steps.map(|step| case(step).deleting().resuming()).into()
}

fn forged_session() -> Case {
    const ALL: &str = "+OK\r\n-ERR\r\n+OK\r\n+OK\r\n-ERR\r\n+OK 1 20\r\n+OK\r\n1 uid-1\r\n.\r\n+OK\r\n1 20\r\n.\r\n\
                       +OK\r\nSubject: x\r\n\r\nforged\r\n.\r\n+OK\r\n+OK\r\n";
    Case::reply(GREETING, ALL).stored_means("stores what is no message")
}

fn drips() -> Vec<Case> {
    let slowly = Fault::Drip(Duration::from_secs(1));
    let steps = [GREETING, "UIDL", "RETR 1"];
    steps
        .map(|step| Case::fault(step, slowly.clone()).deleting())
        .into()
}
