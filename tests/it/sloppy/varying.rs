//! A text that differs at each retrieval, since a proxy or the server adds lines to its header: one unique-id, the same
//! body, Message-ID, Date, From and Subject are one message.

use std::fs;

use super::{COUNT, Case, DAY, Fixture, MAILDIR, MBOX, NONE_BAD, PIPE, each, text, texts, uid};
use crate::support::mailbox::Mailbox;
use crate::support::server::{ANY, Fault, Server, Serving};

const VARYING: [Serving; 3] = [
    Serving::Scanned,
    Serving::ScannedInFront,
    Serving::MarkedRead,
];

/// A maildrop of different messages, each of which varies so.
fn fixture(case: Case, serving: Serving, sloppy: impl FnOnce(Server) -> Server) -> Fixture {
    let mailbox = Mailbox::with(texts(COUNT));
    let mut fixture = Fixture::new(case, &serving, &mailbox, |server| {
        sloppy(server).serving(ANY, serving)
    });
    fixture.forgives_added_lines = true;
    fixture.expect(&mailbox.uids());
    fixture
}

#[test]
fn it_is_not_stored_again_in_later_runs_and_goes_when_it_is_due() {
    each(NONE_BAD, &["always", "30d"], &VARYING, |case, serving| {
        let mut fixture = fixture(case, serving, |server| server);
        let all = fixture.mailbox.uids();
        // The second one may look at what has another size now.
        for _ in 0..2 {
            fixture.sync().ends_with(0).names_nothing();
            fixture.holds(&all);
        }
        fixture.is_settled();
        fixture.later(31 * DAY);
        for _ in 0..2 {
            fixture.sync().ends_with(0).names_nothing();
            fixture.holds(&fixture.left_of(&all, 31 * DAY, &[]));
        }
        let never = fixture.sync_with(&["--leave-on-server", "never"]);
        never.ends_with(0).names_nothing();
        fixture.holds(&[]);
    });
}

#[test]
fn it_is_not_stored_again_where_a_deletion_failed() {
    let faults = [Fault::CloseBefore, Fault::reply("-ERR not all removed")];
    let variants = faults.map(|fault| VARYING.map(|serving| (serving, fault.clone())));
    each(
        NONE_BAD,
        &["never"],
        variants.as_flattened(),
        |case, (serving, fault)| {
            let sloppy = |server: Server| server.once("QUIT", fault);
            let mut fixture = fixture(case, serving, sloppy);
            let all = fixture.mailbox.uids();
            let failed = fixture.sync();
            assert_ne!(failed.outcome.status, Some(0), "{}", fixture.context);
            fixture.holds(&all);
            fixture.sync().ends_with(0).names_nothing();
            fixture.holds(&[]);
            fixture.is_settled();
        },
    );
}

#[test]
fn it_is_not_stored_again_where_it_comes_back_after_an_unconfirmed_deletion() {
    each(NONE_BAD, &["never"], &VARYING, |case, serving| {
        let sloppy = |server: Server| server.once("QUIT", Fault::CloseUnanswered);
        let mut fixture = fixture(case, serving, sloppy);
        let unconfirmed = fixture.sync();
        assert_ne!(unconfirmed.outcome.status, Some(0), "{}", fixture.context);
        fixture.holds(&[]);
        for number in 1..=COUNT {
            fixture.mailbox.add(&*uid(number), text(number));
        }
        fixture.sync().ends_with(0).names_nothing();
        fixture.holds(&[]);
        fixture.is_settled();
    });
}

/// What makes it another message, as a change of the text.
const CHANGES: [(&str, &str); 5] = [
    ("Subject: Number", "Subject: Another"),
    ("From: Sender", "From: Somebody"),
    ("08:14:58", "08:14:59"),
    ("Message-ID: <", "Message-ID: <not."),
    ("line after line", "one page after another"),
];

#[test]
fn another_body_or_field_makes_it_another_message() {
    let variants = VARYING.map(|serving| CHANGES.map(|change| (serving, change)));
    let variants = variants.as_flattened();
    each(
        NONE_BAD,
        &["never"],
        variants,
        |case, (serving, (old, new))| {
            let sloppy = |server: Server| server.once("QUIT", Fault::CloseBefore);
            let mut fixture = fixture(case, serving, sloppy);
            let failed = fixture.sync();
            assert_ne!(failed.outcome.status, Some(0), "{}", fixture.context);
            let text = String::from_utf8(text(3)).expect("ASCII");
            let changed = text.replacen(old, new, 1);
            assert_ne!(changed, text);
            fixture.mailbox.replace("uid-3", changed.into_bytes());
            fixture.expect(&[uid(3)]);
            fixture.sync().ends_with(0).names_nothing();
            fixture.holds(&[]);
            fixture.is_settled();
        },
    );
}

#[test]
fn without_unique_ids_it_is_not_stored_again_either() {
    each(NONE_BAD, &["always"], &VARYING, |case, serving| {
        let mut fixture = fixture(case, serving, |server| server.lacking("UIDL"));
        for _ in 0..3 {
            fixture.sync().ends_with(0).names(&[]);
            fixture.holds(&fixture.mailbox.uids());
        }
    });
}

/// Makes the journal what version 0.1.0 would have written: its keys, its records, its facts.
fn as_version_0_1_0(fixture: &Fixture) {
    const KEYS: [&str; 15] = [
        "popfetch", "user", "host", "port", "is", "uid", "to", "name", "digest", "octets",
        "listed", "file", "range", "owed", "at",
    ];
    const RECORDS: [&str; 10] = [
        "destination",
        "intend",
        "void",
        "stored",
        "seen",
        "same",
        "asked",
        "deleted",
        "shared",
        "dropped",
    ];
    let path = fixture.sandbox.journal();
    let journal = fs::read_to_string(&path).expect("a journal");
    let mut lines = String::new();
    for line in journal.lines() {
        let record: serde_json::Value = serde_json::from_str(line).expect("a record");
        let mut record = record.as_object().expect("an object").clone();
        let is_known = record
            .get("is")
            .is_none_or(|is| RECORDS.iter().any(|known| is == known));
        if !is_known {
            continue;
        }
        record.retain(|key, _| KEYS.contains(&key.as_str()));
        if let Some(version) = record.get_mut("popfetch") {
            *version = 1.into();
        }
        let mut line = serde_json::to_string(&record).expect("JSON");
        line.pop();
        let checksum = crc32fast::hash(line.as_bytes());
        lines.push_str(&format!("{line},\"crc\":\"{checksum:08x}\"}}\n"));
    }
    fs::write(path, lines).expect("our own file");
}

/// Nothing is left of what was stored.
fn lose_the_copies(fixture: &mut Fixture) {
    fixture.stored.clear();
    match fixture.case.deliver {
        MAILDIR => {
            let new = fixture.sandbox.mail("it").path.join("new");
            for file in fs::read_dir(new).expect("a Maildir") {
                fs::remove_file(file.expect("a file").path()).expect("our own file");
            }
        }
        MBOX => fs::write(fixture.sandbox.home("it.mbox"), "").expect("our own file"),
        _ => {
            fs::remove_dir_all(fixture.sandbox.home("got")).expect("our own directory");
            fs::create_dir(fixture.sandbox.home("got")).expect("our own directory");
        }
    }
}

#[test]
fn of_what_version_0_1_0_stored_the_copy_is_looked_at() {
    each(NONE_BAD, &["never"], &VARYING, |case, serving| {
        let deliver = if case.deliver == PIPE {
            MBOX
        } else {
            case.deliver
        };
        let case = Case { deliver, ..case };
        let sloppy = |server: Server| server.once("QUIT", Fault::CloseBefore);
        let mut fixture = fixture(case, serving, sloppy);
        let failed = fixture.sync();
        assert_ne!(failed.outcome.status, Some(0), "{}", fixture.context);
        as_version_0_1_0(&fixture);
        fixture.sync().ends_with(0).names_nothing();
        fixture.holds(&[]);
        fixture.is_settled();
    });
}

#[test]
fn of_what_version_0_1_0_stored_all_that_cannot_be_looked_at_stays_and_is_named_once() {
    each(NONE_BAD, &["never"], &VARYING, |case, serving| {
        let case = Case {
            json: false,
            ..case
        };
        let sloppy = |server: Server| server.once("QUIT", Fault::CloseBefore);
        let mut fixture = fixture(case, serving, sloppy);
        let all = fixture.mailbox.uids();
        let failed = fixture.sync();
        assert_ne!(failed.outcome.status, Some(0), "{}", fixture.context);
        as_version_0_1_0(&fixture);
        if case.deliver != PIPE {
            lose_the_copies(&mut fixture);
        }
        let first = fixture.sync();
        fixture.holds(&all);
        first.names(&all);
        for _ in 0..2 {
            let later = fixture.sync();
            fixture.holds(&all);
            later.names(&[]);
        }
    });
}

#[test]
fn what_version_0_1_0_stored_and_does_not_vary_goes_when_it_is_due() {
    each(NONE_BAD, &["30d"], &["no variation"], |case, variant| {
        let mailbox = Mailbox::with(texts(COUNT));
        let mut fixture = Fixture::new(case, &variant, &mailbox, |server| server);
        fixture.expect(&mailbox.uids());
        fixture.sync().ends_with(0);
        as_version_0_1_0(&fixture);
        fixture.is_settled();
        fixture.later(31 * DAY);
        fixture.sync().ends_with(0).names_nothing();
        fixture.holds(&[]);
        fixture.is_settled();
    });
}
