//! A damaged journal: every kind of damage at every place.

use std::fs;

use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::sampling::sample;
use crate::support::sandbox::Sandbox;
use crate::support::server::Server;
use crate::sync::sandbox_for;

/// What happens to a line.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// Some bit of it is another one.
    FlippedBit,
    /// It is gone.
    Lost,
    /// It is there twice.
    Repeated,
    /// Its second half is gone, its line end too.
    CutShort,
    /// There is something else in its place.
    Garbage,
    /// The disk gave zeros.
    Zeros,
    /// It grew beyond all bounds.
    Endless,
    /// The file ends in its middle.
    EndOfFile,
}

const ALL: [Damage; 8] = [
    Damage::FlippedBit,
    Damage::Lost,
    Damage::Repeated,
    Damage::CutShort,
    Damage::Garbage,
    Damage::Zeros,
    Damage::Endless,
    Damage::EndOfFile,
];

impl Damage {
    fn inflict(self, lines: &[&[u8]], at: usize) -> Vec<u8> {
        let line = lines[at];
        let half = &line[..line.len() / 2];
        let damaged = match self {
            Damage::FlippedBit => {
                let mut line = line.to_vec();
                line[at * 7 % half.len()] ^= 0x04;
                line
            }
            Damage::Lost => Vec::new(),
            Damage::Repeated => [line, line].concat(),
            Damage::CutShort => half.to_vec(),
            Damage::Garbage => b"\x00\xff%&/()=?\n".to_vec(),
            Damage::Zeros => vec![0; line.len()],
            Damage::Endless => [half, &[b'x'; 200_000], b"\n"].concat(),
            Damage::EndOfFile => return [lines[..at].concat().as_slice(), half].concat(),
        };
        let before = lines[..at].concat();
        [before.as_slice(), &damaged, &lines[at + 1..].concat()].concat()
    }

    /// Whether it looks as if a line was added or left out, or the last one never written whole: as a
    /// crash leaves a journal, and not worth a report.
    fn is_torn(self, lines: usize, at: usize) -> bool {
        match self {
            Damage::Lost | Damage::Repeated => true,
            Damage::CutShort | Damage::Zeros => at > 0 && at + 1 == lines,
            Damage::EndOfFile => at > 0,
            _ => false,
        }
    }

    /// How many lines are worthless afterwards, at most.
    fn lines_hurt(self, lines: usize, at: usize) -> usize {
        match self {
            Damage::Repeated => 0,
            // The line end went as well, so that the next line is part of it.
            Damage::CutShort | Damage::Zeros => 2,
            Damage::EndOfFile => lines - at,
            _ => 1,
        }
    }
}

fn fixture(mailbox: &Mailbox, retention: &str, killed_at: &str) -> (Server, Sandbox) {
    let server = Server::start(mailbox);
    let sandbox = sandbox_for(&server, &[("leave_on_server", retention)]);
    let variables = [("POPFETCH_CRASH_AT", killed_at)];
    sandbox.start_with(&[], &["sync"], &variables).finish();
    server.sessions();
    (server, sandbox)
}

#[test]
fn damage_is_reported_and_costs_duplicates_at_most_and_never_mail() {
    for (retention, killed_at) in [
        ("\"always\"", "never"),
        ("\"always\"", "batch: placed, not recorded"),
        ("\"never\"", "deletion: asked of the server, not confirmed"),
    ] {
        let lines = {
            let mailbox = Mailbox::with(small(3));
            let (_, sandbox) = fixture(&mailbox, retention, killed_at);
            let content = fs::read(sandbox.journal()).expect("a journal");
            content.split_inclusive(|&byte| byte == b'\n').count()
        };
        for at in 0..lines {
            for kind in sample(ALL.len(), 5, at) {
                hurt_and_resume(retention, killed_at, at, ALL[kind]);
            }
        }
    }
}

fn hurt_and_resume(retention: &str, killed_at: &str, at: usize, damage: Damage) {
    let context = format!(
        "{retention}, killed at {killed_at}, {damage:?} in line {}",
        at + 1
    );
    let mailbox = Mailbox::with(small(3));
    let expected = mailbox.stored_forms();
    let (_server, sandbox) = fixture(&mailbox, retention, killed_at);
    let path = sandbox.journal();
    let content = fs::read(&path).expect("a journal");
    let lines: Vec<&[u8]> = content.split_inclusive(|&byte| byte == b'\n').collect();
    fs::write(&path, damage.inflict(&lines, at)).expect("a journal");

    let outcome = sandbox.run(&["sync"]);
    assert_eq!(outcome.status, Some(0), "{context}: {outcome:#?}");
    let reported = outcome.stderr.contains("damaged") && outcome.stderr.contains("line ");
    assert!(
        reported || damage.is_torn(lines.len(), at),
        "{context}: {outcome:#?}"
    );

    let stored = sandbox.mail("it").texts();
    let hurt = damage.lines_hurt(lines.len(), at);
    for text in &expected {
        assert!(stored.contains(text), "{context}: a message is lost");
    }
    assert!(
        stored.len() <= expected.len() + hurt,
        "{context}: {} duplicates for {hurt} damaged lines",
        stored.len() - expected.len()
    );

    // The damage is reported once, and the next run has nothing to do.
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    assert_eq!(sandbox.mail("it").texts().len(), stored.len(), "{context}");
    let left = if retention == "\"never\"" { 0 } else { 3 };
    assert_eq!(mailbox.uids().len(), left, "{context}");
}

#[test]
fn a_journal_of_which_nothing_can_be_read_is_no_reason_to_begin_from_nothing() {
    let mailbox = Mailbox::with(small(2));
    let (server, sandbox) = fixture(&mailbox, "\"always\"", "never");
    let path = sandbox.journal();
    let good = fs::read(&path).expect("a journal");
    fs::write(&path, "something else\nentirely\n").expect("a journal");
    sandbox
        .run(&["sync"])
        .ends_with(65)
        .complains("Move it away");
    let last = server.sessions().pop().expect("a session").verbs();
    assert!(
        last.is_empty(),
        "nothing was asked, so there was no login: {last:?}"
    );
    let kept = fs::read_to_string(&path).expect("a journal");
    assert_eq!(kept, "something else\nentirely\n");
    fs::write(&path, good).expect("a journal");
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    sandbox.mail("it").holds(mailbox.stored_forms());
}
