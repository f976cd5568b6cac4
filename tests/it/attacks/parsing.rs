//! A50–A74: attacks on the parser, and on memory, disk and time.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::{
    listed, sandbox_against, sandbox_for, stored_nothing, then, well_behaved, what_is_gone_is_here,
    withstands,
};
use crate::support::mailbox::Mailbox;
use crate::support::malicious::{
    FALSE_ENDS, ODD_LISTS, ODD_UIDLS, SENSELESS_LISTS, SENSELESS_STATISTICS, SENSELESS_UIDLS,
    UIDS_LIKE_PATHS, UIDS_OF_CONTROLS, UNSTUFFED, unconfirmed,
};
use crate::support::messages::{small, stored_form};
use crate::support::readers::git_mailsplit;
use crate::support::server::{Dialogue, Fault, Pipelining, Server, State, Turn, opened};
use crate::support::{sampling::sample, sandbox::Sandbox};

#[test]
fn a50_a_status_line_without_an_end() {
    for turns in [Vec::new(), opened()] {
        let server = then(turns, [Turn::Flood(vec![b'x'; 1 << 16])]);
        let sandbox = sandbox_against(&server);
        let began = Instant::now();
        withstands(&sandbox, &[65, 76]);
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn a51_capabilities_without_an_end() {
    let lines = "X-MORE and more\r\n".repeat(4000).into_bytes();
    for flood in [lines, vec![b'x'; 1 << 16]] {
        let server = then(
            vec![
                Turn::send("+OK\r\n"),
                Turn::Expect("CAPA"),
                Turn::send("+OK\r\n"),
            ],
            [Turn::Flood(flood)],
        );
        let sandbox = sandbox_against(&server);
        withstands(&sandbox, &[65, 76]);
    }
}

/// What a server answers to STAT and UIDL, and to LIST where that is asked for.
fn listing(stat: &str, uidl: &[u8], list: &str) -> Dialogue {
    then(
        opened(),
        [
            Turn::Expect("STAT"),
            Turn::send(stat),
            Turn::Expect("UIDL"),
            Turn::send(uidl),
            Turn::Expect("LIST"),
            Turn::send(list),
        ],
    )
}

#[test]
fn a52_listings_that_make_no_sense() {
    for uidl in SENSELESS_UIDLS {
        let uidl = format!("+OK\r\n{uidl}\r\n.\r\n");
        let server = listing("+OK 2 200\r\n", uidl.as_bytes(), "-ERR\r\n");
        let sandbox = sandbox_against(&server);
        withstands(&sandbox, &[0, 1, 65, 75, 76]);
        stored_nothing(&sandbox);
    }
    for list in SENSELESS_LISTS {
        let list = format!("+OK\r\n{list}\r\n.\r\n");
        let server = listing("+OK 1 20\r\n", b"+OK\r\n1 uid-1\r\n.\r\n", &list);
        let sandbox = sandbox_against(&server);
        withstands(&sandbox, &[1, 65, 75, 76]);
        stored_nothing(&sandbox);
    }
}

#[test]
fn a52_listings_that_are_odd() {
    let statistics = ["0 0", "1 40", "1000000 9223372036854775807"];
    let uidls = ODD_UIDLS.map(|answer| ("UIDL", answer));
    let lists = ODD_LISTS.map(|answer| ("LIST", answer));
    let statistics = statistics.map(|answer| ("STAT", answer));
    for (step, answer) in uidls.into_iter().chain(lists).chain(statistics) {
        let mailbox = Mailbox::with(small(3));
        let expected = mailbox.stored_forms();
        let answer = match step {
            "STAT" => format!("+OK {answer}"),
            _ => format!("+OK\r\n{answer}\r\n."),
        };
        let server = Server::start(&mailbox).on(step, Fault::reply(&answer));
        let sandbox = sandbox_for(&server, &[("leave_on_server", "\"never\"")]);
        withstands(&sandbox, &[0, 1, 65, 76]);
        what_is_gone_is_here(&sandbox, &mailbox, &expected);
        // Numbers that are not there may have been asked for.
        let _ = server.violations();
        server.heal();
        sandbox.run(&["sync"]).ends_with(0);
        sandbox.mail("it").holds(expected);
        assert!(mailbox.uids().is_empty(), "{answer}");
    }
}

#[test]
fn a52_listings_without_an_end() {
    let mut lines = String::new();
    for number in 1..=1_100_000 {
        let _ = write!(lines, "{number} {number}\r\n");
    }
    let server = listing(
        "+OK 1100000 1\r\n",
        format!("+OK\r\n{lines}.\r\n").as_bytes(),
        "-ERR\r\n",
    );
    let mut sandbox = sandbox_against(&server);
    sandbox.time_limit(Duration::from_secs(120));
    let outcome = sandbox.run(&["sync"]);
    outcome.ends_with(65);
    assert!(outcome.peak < 512 << 20, "{} octets", outcome.peak);
    stored_nothing(&sandbox);
}

#[test]
fn a53_statistics_that_make_no_sense() {
    for stat in SENSELESS_STATISTICS {
        let server = then(
            opened(),
            [
                Turn::Expect("STAT"),
                Turn::send(format!("{stat}\r\n")),
                Turn::Expect(""),
            ],
        );
        let sandbox = sandbox_against(&server);
        withstands(&sandbox, &[65, 75, 76]);
        stored_nothing(&sandbox);
    }
}

#[test]
fn a54_listings_that_disagree() {
    let mailbox = Mailbox::with(small(4));
    let server = Server::start(&mailbox)
        .on("STAT", Fault::reply("+OK 3 1800"))
        .on("LIST", Fault::reply("+OK\r\n1 600\r\n2 600\r\n."));
    let sandbox = sandbox_for(&server, &[]);
    // All that UIDL lists is there to be had.
    withstands(&sandbox, &[0]).complains("UIDL");
    sandbox.mail("it").holds(mailbox.stored_forms());
}

#[test]
fn a55_a_message_without_an_end() {
    const DELIVER: &str = "[\"maildir:~/Mail/it\", \"mbox:~/inbox\", \"pipe:cat >> piped\"]";
    for pipelining in [false, true] {
        let mailbox = Mailbox::with(small(4));
        let mut expected = mailbox.stored_forms();
        let endless = expected.remove(1);
        let more = "and more, and more, and more\r\n".repeat(2000);
        let mut server =
            Server::start(&mailbox).on("RETR 2", Fault::Flood(more.clone().into_bytes()));
        if pipelining {
            server = server.capabilities(State::LoggedIn, &["UIDL", "PIPELINING"]);
        }
        let keys = [("leave_on_server", "\"never\""), ("deliver", DELIVER)];
        let sandbox = sandbox_for(&server, &keys);
        let outcome = withstands(&sandbox, &[1]);
        // Twice what LIST says, and 64 MiB.
        let most = 2 * small(4)[1].len() + (64 << 20);
        outcome.complains("uid-2").complains(&most.to_string());
        assert_eq!(server.retrievals()["uid-2"], 1, "asked for twice");
        for destination in ["maildir:~/Mail/it", "mbox:~/inbox"] {
            sandbox.holds_at(destination, &expected, "the others");
        }
        sandbox.mail("it").is_sound();
        let piped = std::fs::read(sandbox.home("piped")).expect("written");
        assert_eq!(piped, expected.concat());
        assert_eq!(mailbox.uids(), ["uid-2"], "the others were to be deleted");
        let left = std::fs::read_dir(sandbox.state()).expect("there");
        let octets: u64 = left
            .map(|file| file.and_then(|file| file.metadata()).expect("there").len())
            .sum();
        assert!(octets < 1 << 16, "{octets} octets are left in the state");

        // It has a session of its own from now on, and the server's pipelining is not blamed.
        let before = server.sessions().len();
        mailbox.add("uid-5", small(5).remove(4));
        server.heal();
        let server = server.on("RETR 1", Fault::Flood(more.into_bytes()));
        withstands(&sandbox, &[1]);
        let first = server.sessions().remove(before).commands();
        assert!(first.contains(&"DELE 2".to_owned()), "{first:?}");
        assert_eq!(server.retrievals()["uid-2"], 2);
        server.heal();
        withstands(&sandbox, &[0]);
        expected.extend([stored_form(&small(5)[4]), endless]);
        sandbox.mail("it").holds(expected);
        assert!(mailbox.uids().is_empty());
    }
}

#[test]
fn a56_a_size_beyond_every_disk() {
    let mailbox = Mailbox::with(small(2));
    let server = Server::start(&mailbox)
        .claiming_size(1, 1 << 43)
        .claiming_size(2, u64::MAX / 4);
    let sandbox = sandbox_for(&server, &[("leave_on_server", "\"never\"")]);
    let expected = mailbox.stored_forms();
    // What the server contradicts itself about so much stays there; a size that cannot be is none.
    withstands(&sandbox, &[1]).complains("uid-1");
    sandbox.mail("it").holds(expected);
    assert_eq!(mailbox.uids(), ["uid-1"]);
}

#[test]
fn a57_ends_that_are_none() {
    for end in FALSE_ENDS {
        let server = then(
            listed(),
            [
                Turn::Expect("RETR"),
                Turn::send(format!("+OK\r\nSubject: x\r\n\r\nabc{end}")),
            ],
        );
        let sandbox = sandbox_against(&server);
        withstands(&sandbox, &[1, 75]);
        stored_nothing(&sandbox);
    }
}

#[test]
fn a57_the_end_in_pieces() {
    let text = "+OK\r\nSubject: x\r\n\r\n..dot\r\n...\r\n.\r\n";
    for index in sample(text.len() - 1, 5, 0) {
        let (first, second) = text.split_at(index + 1);
        let server = then(
            listed(),
            [
                Turn::Expect("RETR"),
                Turn::send(first),
                Turn::Pause(Duration::from_millis(5)),
                Turn::send(second),
                Turn::Expect("UIDL 1"),
                Turn::send("+OK 1 uid-1\r\n"),
                Turn::Expect("QUIT"),
                Turn::send("+OK\r\n"),
            ],
        );
        let sandbox = sandbox_against(&server);
        withstands(&sandbox, &[0]);
        sandbox.mail("it").holds(["Subject: x\n\n.dot\n..\n"]);
    }
}

#[test]
fn a58_a_line_of_one_dot_that_was_not_stuffed() {
    let mut turns = listed();
    turns.extend([Turn::Expect("RETR"), Turn::send(UNSTUFFED)]);
    let server = then(turns, []);
    let sandbox = Sandbox::new();
    let account = sandbox.account("it", &server.endpoint());
    account
        .set("leave_on_server", "\"never\"")
        .set("timeout", "\"2s\"")
        .write();
    withstands(&sandbox, &[1, 65, 76]);
    // The second session finds out which message it is.
    let _ = server.abandoned();
    let commands: Vec<String> = server
        .sessions()
        .iter()
        .flat_map(|log| log.commands())
        .collect();
    assert!(
        !commands.iter().any(|line| line.starts_with("DELE")),
        "{commands:?}"
    );
}

#[test]
fn a58_what_breaks_off_at_such_a_line_is_not_stored_and_costs_no_other() {
    let whole = "Subject: x\r\n\r\nbefore\r\n.\r\nand after\r\n";
    let answer = format!("+OK\r\n{whole}.\r\n");
    for (retention, pipelining) in [
        ("never", Pipelining::Absent),
        ("1d", Pipelining::Absent),
        ("never", Pipelining::Works),
        ("1d", Pipelining::Works),
    ] {
        for count in [1, 2] {
            let texts = [whole, "Subject: y\r\n\r\n"].map(str::as_bytes);
            let mailbox = Mailbox::with(texts.into_iter().take(count));
            let expected = mailbox.stored_forms();
            let server = Server::start(&mailbox)
                .pipelining(pipelining)
                .on("RETR 1", Fault::Reply(answer.clone().into_bytes()));
            let mut sandbox =
                sandbox_for(&server, &[("leave_on_server", &format!("{retention:?}"))]);
            sandbox.at("2026-01-01T00:00:00Z");
            let outcome = sandbox.run(&["sync"]);
            well_behaved(&outcome);
            assert_eq!(outcome.status, Some(1), "{outcome:#?}");
            outcome.complains("uid-1");
            sandbox.mail("it").holds(&expected[1..]);
            assert!(mailbox.uids().contains(&"uid-1".to_owned()));
            server.heal();
            sandbox.at("2026-01-03T00:00:00Z");
            sandbox.run(&["sync"]).ends_with(0);
            let stored = sandbox.mail("it").texts();
            let missing: Vec<_> = expected
                .iter()
                .filter(|text| !stored.contains(text))
                .collect();
            assert!(missing.is_empty(), "{retention}, {count}: {missing:?}");
        }
    }
}

/// A session that fetches everything, with or without deleting it, ends after this many octets of what
/// the server says; a server that is well again is asked twice more. Returns how many octets there are.
fn cut_after(octets: usize, pipelining: bool, retention: &str) -> usize {
    let texts = ["Subject: 1\r\n\r\n.dot\r\n", "\r\nab\r\n", "From: 3\r\n"];
    let mailbox = Mailbox::with(texts.map(str::as_bytes));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox).cut_after(octets);
    let server = match pipelining {
        true => server,
        false => server.pipelining(Pipelining::Absent),
    };
    let sandbox = sandbox_for(&server, &[("leave_on_server", retention)]);
    let outcome = sandbox.run(&["-v", "sync"]);
    if outcome.status == Some(0) {
        sandbox.mail("it").holds(expected);
        return server.sent();
    }
    let status = outcome.status.unwrap_or(-1);
    assert!([1, 69, 75, 76].contains(&status), "{octets}: {outcome:#?}");
    well_behaved(&outcome);
    what_is_gone_is_here(&sandbox, &mailbox, &expected);
    server.heal();
    for _ in 0..2 {
        sandbox.run(&["sync"]).ends_with(0);
        sandbox.mail("it").holds(&expected);
    }
    assert_eq!(mailbox.uids().is_empty(), retention == "\"never\"");
    octets
}

#[test]
fn a59_the_connection_ends_after_any_octet() {
    for retention in ["\"always\"", "\"never\""] {
        for pipelining in [false, true] {
            let whole = cut_after(usize::MAX, pipelining, retention);
            assert!(whole > 300, "{whole} octets are no session");
            for octets in sample(whole, 61, 0) {
                assert_eq!(cut_after(octets, pipelining, retention), octets);
            }
        }
    }
}

#[test]
fn a60_a61_texts_that_could_be_taken_for_something_else() {
    let texts = [
        &b"Subject: a\rb\r\n\r\nc\rd\0e\xff\nf\n\ng\r\n"[..],
        b"From me Sun Mar  1 12:34:56 2026\r\nSubject: x\r\n\r\nFrom you\r\n>From us\r\n",
        b"Content-Length: 3\r\n\r\nabc\nFrom x@y Sun Mar  1 12:34:56 2026\nSubject: forged\n\n\r\n",
        b"Content-Length: 99999999\r\n\r\n\r\n",
    ];
    let mailbox = Mailbox::with(texts);
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let deliver = "[\"maildir:~/Mail/it\", \"mbox:~/inbox\", \"pipe:cat >> piped\"]";
    let sandbox = sandbox_for(&server, &[("deliver", deliver)]);
    withstands(&sandbox, &[0]);
    for destination in ["maildir:~/Mail/it", "mbox:~/inbox"] {
        sandbox.holds_at(destination, &expected, "odd texts");
    }
    assert_eq!(git_mailsplit(&sandbox.home("inbox")), expected);
    let piped = std::fs::read(sandbox.home("piped")).expect("written");
    assert_eq!(piped, expected.concat());
}

#[test]
fn a62_a74_ids_that_could_be_taken_for_something_else() {
    let long = vec![b'x'; 10_000];
    let odd = [&b""[..], &long];
    let uids = UIDS_LIKE_PATHS
        .into_iter()
        .chain(UIDS_OF_CONTROLS)
        .chain(odd);
    let mailbox = Mailbox::default();
    for (uid, text) in uids.zip(small(64)) {
        mailbox.add(uid, text);
    }
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    well_behaved(&sandbox.run(&["-vv", "sync", "--dry-run"]));
    withstands(&sandbox, &[0]);
    let bytes = |path| std::fs::read(path).expect("readable");
    for entry in std::fs::read_dir(sandbox.state()).expect("there") {
        let journal = bytes(entry.expect("readable").path());
        assert!(
            journal
                .iter()
                .all(|byte| matches!(byte, b'\n' | b' '..=b'~'))
        );
        let lines = journal.split(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.is_empty()) {
            serde_json::from_slice::<serde_json::Value>(line).expect("a line of its own");
        }
    }
    sandbox.mail("it").is_sound();
    for entry in std::fs::read_dir(sandbox.mail("it").path.join("new")).expect("there") {
        let name = entry.expect("readable").file_name();
        let name = name.to_str().expect("ASCII");
        let ours = |c: char| c.is_ascii_alphanumeric() || "._-,=".contains(c);
        assert!(name.chars().all(ours), "{name}");
        assert!(!name.contains("escaped") && !name.contains("cmd"), "{name}");
    }
    withstands(&sandbox, &[0]);
    sandbox.mail("it").holds(mailbox.stored_forms());
}

#[test]
fn a66_unsolicited_lines() {
    for (before, after) in [
        ("+OK 1 20\r\n", ""),
        ("", "+OK\r\n"),
        ("-ERR what?\r\n", ""),
        ("", "* BYE\r\n"),
    ] {
        let server = then(
            opened(),
            [
                Turn::Expect("STAT"),
                Turn::send(format!("{before}+OK 1 20\r\n{after}")),
                Turn::Expect("UIDL"),
                Turn::send("+OK\r\n1 uid-1\r\n.\r\n"),
            ],
        );
        let sandbox = sandbox_against(&server);
        let outcome = withstands(&sandbox, &[1, 65, 69, 75, 76]);
        assert!(!outcome.stderr.is_empty());
        stored_nothing(&sandbox);
        let _ = server.abandoned();
    }
}

#[test]
fn a66_an_unsolicited_refusal_costs_no_message_of_the_same_size() {
    let text = |word: &str| format!("Subject: {word}\r\n\r\n{word}\r\n").into_bytes();
    let mailbox = Mailbox::with(["one", "two", "six"].map(text));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox).on("RETR 1", Fault::Inject("-ERR what?\r\n".into()));
    let mut sandbox = sandbox_for(&server, &[]);
    sandbox.at("2026-03-01T12:00:00Z");
    // It belongs to the message that it came after.
    withstands(&sandbox, &[1]).complains("uid-1");
    sandbox.mail("it").holds(&expected[1..]);
    server.heal();
    let _ = server.violations();
    sandbox.at("2026-03-02T12:00:00Z");
    let never = sandbox.run(&["sync", "--leave-on-server", "never"]);
    never.ends_with(0);
    assert!(mailbox.uids().is_empty());
    sandbox.mail("it").holds(expected);
}

#[test]
fn a67_many_lines_where_one_is_due() {
    let server = then(
        opened(),
        [
            Turn::Expect("STAT"),
            Turn::send("+OK\r\n1 20\r\n2 20\r\n.\r\n"),
        ],
    );
    let sandbox = sandbox_against(&server);
    withstands(&sandbox, &[65, 75, 76]);
    stored_nothing(&sandbox);
    let _ = server.abandoned();
}

#[test]
fn a68_answers_before_their_questions() {
    let server = Dialogue::start(vec![
        Turn::send(
            "+OK\r\n-ERR\r\n+OK\r\n+OK\r\n-ERR\r\n+OK 1 20\r\n+OK\r\n1 uid-1\r\n.\r\n+OK\r\n1 20\r\n.\r\n+OK\r\nforged\r\n.\r\n+OK\r\n",
        ),
        Turn::Stall,
    ]);
    let sandbox = sandbox_against(&server);
    withstands(&sandbox, &[65, 76]);
    stored_nothing(&sandbox);
}

#[test]
fn a64_control_characters_in_a_listing_and_a_refusal() {
    let uidl = b"+OK\r\n1 \x1b]0;gotcha\x07\x9b2J\r\n.\r\n";
    let mut turns = opened();
    turns.extend([
        Turn::Expect("STAT"),
        Turn::send("+OK 1 20 \x1b[2J\r\n"),
        Turn::Expect("UIDL"),
        Turn::send(uidl),
        Turn::Expect("LIST"),
        Turn::send("+OK \x08\x08\r\n1 20\r\n.\r\n"),
        Turn::Expect("RETR"),
        Turn::send(format!("-ERR \x1b[31m{}\r\n", "no ".repeat(9000))),
        Turn::Expect("QUIT"),
        Turn::send("+OK\r\n"),
    ]);
    let server = then(turns, []);
    let sandbox = sandbox_against(&server);
    let outcome = sandbox.run(&["-vv", "sync", "--json"]);
    outcome.ends_with(1);
    well_behaved(&outcome);
}

#[test]
fn a65_a_greeting_of_a_megabyte() {
    let server = Dialogue::start(vec![
        Turn::send(format!("+OK {}\r\n", "x".repeat(1 << 20))),
        Turn::Stall,
    ]);
    let sandbox = sandbox_against(&server);
    withstands(&sandbox, &[65, 76]);
}

#[test]
fn a70_a_quit_that_is_not_confirmed() {
    for fault in unconfirmed() {
        let mailbox = Mailbox::with(small(3));
        let expected = mailbox.stored_forms();
        let server = Server::start(&mailbox).on("QUIT", fault.clone());
        let keys = [("leave_on_server", "\"never\""), ("timeout", "\"2s\"")];
        let sandbox = sandbox_for(&server, &keys);
        let outcome = sandbox.run(&["-v", "sync", "--json"]);
        well_behaved(&outcome);
        assert_ne!(outcome.status, Some(0), "{fault:?}");
        assert_eq!(outcome.json()[0]["deleted"]["messages"], 0, "{fault:?}");
        sandbox.mail("it").holds(&expected);
        server.heal();
        withstands(&sandbox, &[0]);
        sandbox.mail("it").holds(&expected);
        assert!(mailbox.uids().is_empty());
    }
}

#[test]
fn a71_a_deletion_that_is_refused_is_asked_for_again() {
    let mailbox = Mailbox::with(small(3));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox).once("DELE 2", Fault::reply("-ERR \x1b[2Jno"));
    let sandbox = sandbox_for(&server, &[("leave_on_server", "\"never\"")]);
    withstands(&sandbox, &[1]);
    assert_eq!(mailbox.uids(), ["uid-2"]);
    withstands(&sandbox, &[0]);
    assert!(mailbox.uids().is_empty());
    sandbox.mail("it").holds(expected);
}

#[test]
fn a72_a_server_that_promises_pipelining_and_mixes_messages_up() {
    let mailbox = Mailbox::with(small(40));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox)
        .pipelining(Pipelining::Swaps)
        .capabilities(State::LoggedIn, &["PIPELINING", "UIDL"]);
    let sandbox = sandbox_for(&server, &[("leave_on_server", "\"never\"")]);
    for _ in 0..3 {
        let outcome = sandbox.run(&["sync"]);
        well_behaved(&outcome);
        what_is_gone_is_here(&sandbox, &mailbox, &expected);
    }
    assert!(mailbox.uids().is_empty(), "it is found out and got over");
}
