//! A line of one dot that the server does not stuff: a client that trusts it takes what follows for answers.

use super::{BAD, COUNT, Came, Case, DAY, Fixture, NONE_BAD, RULES, SIZE, each, text, texts, uid};
use crate::support::mailbox::Mailbox;
use crate::support::server::{Fault, Server, Serving};

/// What follows the dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    Nothing,
    Words,
    /// What reads like the answer to the next RETR, with another message of the right size.
    Answer,
    /// What reads like its refusal.
    Refusal,
}

/// Whether LIST counts all of the message, or only up to the dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listed {
    Whole,
    UpToTheDot,
}

/// The tail, whether it comes only after the next command, and what LIST says.
type Dots = (Tail, Serving, Listed);

const AT_ONCE: Serving = Serving::Unstuffed;
const LATE: Serving = Serving::UnstuffedLate;

const DOTS: [Dots; 14] = [
    (Tail::Nothing, AT_ONCE, Listed::Whole),
    (Tail::Nothing, LATE, Listed::UpToTheDot),
    (Tail::Words, AT_ONCE, Listed::Whole),
    (Tail::Words, AT_ONCE, Listed::UpToTheDot),
    (Tail::Words, LATE, Listed::Whole),
    (Tail::Words, LATE, Listed::UpToTheDot),
    (Tail::Answer, AT_ONCE, Listed::Whole),
    (Tail::Answer, AT_ONCE, Listed::UpToTheDot),
    (Tail::Answer, LATE, Listed::Whole),
    (Tail::Answer, LATE, Listed::UpToTheDot),
    (Tail::Refusal, AT_ONCE, Listed::Whole),
    (Tail::Refusal, AT_ONCE, Listed::UpToTheDot),
    (Tail::Refusal, LATE, Listed::Whole),
    (Tail::Refusal, LATE, Listed::UpToTheDot),
];

/// The message with this number, which has a line of one dot after as much text as the others have.
fn dotted(number: usize, tail: Tail) -> Vec<u8> {
    let after = match tail {
        Tail::Nothing => Vec::new(),
        Tail::Words => b"and this is still the same message\r\n".repeat(3),
        Tail::Answer => [
            format!("+OK {SIZE} octets\r\n").as_bytes(),
            &text(100 + number),
        ]
        .concat(),
        Tail::Refusal => b"-ERR no such message\r\n".to_vec(),
    };
    [&text(number)[..], b".\r\n", &after].concat()
}

fn mailbox(case: Case, tail: Tail) -> Mailbox {
    let mut texts = texts(COUNT);
    for &number in case.bad {
        texts[number - 1] = dotted(number, tail);
    }
    Mailbox::with(texts)
}

/// Makes the server leave the dots of the bad messages as they are.
fn unstuffed(case: Case, (_, serving, listed): Dots) -> impl Fn(Server) -> Server {
    move |mut server| {
        for &number in case.bad {
            server = server.serving(&uid(number), serving);
            if listed == Listed::UpToTheDot {
                server = server.claiming_size_of(&uid(number), SIZE as u64);
            }
        }
        server
    }
}

#[test]
fn the_message_is_named_and_stays_and_all_others_come_and_go() {
    each(BAD, RULES, &DOTS, |case, dots| {
        let mailbox = mailbox(case, dots.0);
        let mut fixture = Fixture::new(case, &dots, &mailbox, unstuffed(case, dots));
        let bad = fixture.bad();
        fixture.expect(&fixture.good());

        fixture.keeps_bad_ones(&bad);
        fixture.retries_tomorrow(&bad);

        // What is stored under an id is what the server has under it, or this would lose something.
        let never = fixture.sync_with(&["--leave-on-server", "never"]);
        never.ends_with(1).retrieves(&[]);
        fixture.holds(&bad);
        never.names(&bad);

        fixture.server.heal();
        fixture.later(DAY + 1);
        fixture.expect(&bad);
        fixture.sync().ends_with(0).names_nothing();
        fixture.holds(&fixture.left_of(&bad, 0, &[]));
        fixture.is_settled();
        fixture.later(31 * DAY);
        fixture.sync().ends_with(0).names_nothing();
        fixture.holds(&fixture.left_of(&bad, 31 * DAY, &[]));
    });
}

#[test]
fn new_mail_comes_and_goes_while_the_message_stays() {
    each(BAD, RULES, &DOTS, |case, dots| {
        let mailbox = mailbox(case, dots.0);
        let mut fixture = Fixture::new(case, &dots, &mailbox, unstuffed(case, dots));
        let bad = fixture.bad();
        fixture.expect(&fixture.good());
        fixture.sync().ends_with(1);
        for (number, asked) in [(7, &[][..]), (8, &bad)] {
            mailbox.add(uid(number), text(number));
            fixture.expect(&[uid(number)]);
            // Whether the bad one is asked for as well or not.
            fixture.later(DAY / 2 + 1);
            let left = fixture.left_of(&mailbox.uids(), 0, &bad);
            let came = fixture.sync();
            came.ends_with(1);
            fixture.holds(&left);
            came.names(&bad);
            came.retrieves(&[asked, &[uid(number)]].concat());
        }
    });
}

#[test]
fn without_unique_ids_it_is_named_by_its_number_and_all_others_come_once() {
    each(BAD, &["always", "never"], &DOTS, |case, dots| {
        let mailbox = mailbox(case, dots.0);
        let sloppy = unstuffed(case, dots);
        let mut fixture = Fixture::new(case, &dots, &mailbox, |server| {
            sloppy(server).lacking("UIDL")
        });
        let bad = fixture.bad();
        fixture.expect(&fixture.good());
        for options in [&[][..], &[], &["--leave-on-server", "never"]] {
            let came = fixture.sync_with(options);
            came.ends_with(1);
            fixture.has_stored();
            assert!(bad.iter().all(|uid| mailbox.uids().contains(uid)));
            // Elsewhere the numbers may change within the run.
            if case.rule == "always" && options.is_empty() {
                names_numbers(&came, case.bad);
            }
        }
        fixture.server.heal();
        fixture.later(DAY + 1);
        fixture.expect(&bad);
        for _ in 0..2 {
            fixture.sync().ends_with(0);
            fixture.has_stored();
        }
        // Where the rest of a message comes late, what is sent after its end seems to be sent ahead.
        let ahead = fixture.server.violations();
        let is_ahead = |rule: &String| rule.starts_with("something sent ahead");
        assert!(ahead.iter().all(is_ahead), "{}: {ahead:?}", fixture.context);
    });
}

/// The messages with these numbers and no others are reported, by their numbers alone.
#[track_caller]
fn names_numbers(came: &Came, numbers: &[usize]) {
    let context = &came.context;
    if came.json {
        let problems = came.problems();
        let named: Vec<_> = problems
            .iter()
            .map(|problem| (problem["number"].as_u64(), problem["uid"].is_null()))
            .collect();
        let expected: Vec<_> = numbers
            .iter()
            .map(|&number| (Some(number as u64), true))
            .collect();
        assert_eq!(named, expected, "{context}");
    } else {
        let stderr = &came.outcome.stderr;
        // The dots keep addresses together.
        let words = stderr.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
        let words: Vec<&str> = words.map(|word| word.trim_matches('.')).collect();
        let is_named = |number: &usize| words.contains(&number.to_string().as_str());
        assert!(numbers.iter().all(is_named), "{context}: {stderr}");
    }
}

#[test]
fn where_uidl_of_one_message_is_refused_all_is_well_all_the_same() {
    let refusals = ["-ERR", "-ERR not of one"];
    each(NONE_BAD, RULES, &refusals, |case, refusal| {
        let mailbox = Mailbox::with(texts(COUNT));
        let mut fixture = Fixture::new(case, &refusal, &mailbox, |server| {
            server.on("UIDL n", Fault::reply(refusal))
        });
        let all = mailbox.uids();
        fixture.expect(&all);
        fixture.sync().ends_with(0).names_nothing();
        fixture.holds(&fixture.left_of(&all, 0, &[]));
        fixture.is_settled();
        fixture.later(31 * DAY);
        fixture.sync().ends_with(0).names_nothing().retrieves(&[]);
        fixture.holds(&fixture.left_of(&all, 31 * DAY, &[]));
    });
}
