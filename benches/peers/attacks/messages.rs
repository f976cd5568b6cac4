//! A55–A63, A70–A74: attacks by messages, by their sizes and ids, and by where a connection ends.

use super::case::{Attack, Case, numbered};
use crate::shared::fetcher::{Fetcher, Store};
use crate::support::malicious::{self, FALSE_ENDS, UIDS_LIKE_PATHS, UIDS_OF_CONTROLS, UNSTUFFED};
use crate::support::messages::small;
use crate::support::server::{Fault, GREETING, LOGIN, Pipelining, State};

pub(super) fn attacks() -> Vec<Attack> {
    let mut attacks = endings();
    attacks.extend([
        Attack::new("A55", "a message without an end", endless_messages()),
        Attack::new("A56", "sizes that are wrong, or huge", sizes()),
        Attack::new("A57", "ends of a message that are none", false_ends()),
        Attack::new("A58", "a line of one dot that was not stuffed", unstuffed()),
        Attack::new("A60", "odd bytes in a message", odd_bytes()),
        Attack::new(
            "A61",
            "texts that look like the next message in an mbox",
            look_alikes(),
        ),
        Attack::new(
            "A62, A74",
            "ids that look like paths, options or commands",
            paths(),
        ),
        Attack::new(
            "A62, A74",
            "ids of control characters, of nothing, and of 10 KB",
            odd_ids(),
        ),
        Attack::new("A63", "ids listed twice", [twins(), twins().deleting()]),
        Attack::new(
            "A72",
            "messages mixed up where pipelining was promised",
            mixtures(),
        ),
    ]);
    attacks
}

fn endless_messages() -> Vec<Case> {
    let lines = "and more, and more, and more\r\n".repeat(2000);
    let case = |flood: Vec<u8>| Case::fault("RETR 2", Fault::Flood(flood)).deleting();
    vec![case(lines.into_bytes()), case(vec![b'x'; 1 << 16])]
}

fn sizes() -> Vec<Case> {
    [0, 1, 10, 100_000, 1 << 31, 1 << 43, u64::MAX / 4]
        .map(|size| {
            Case::server(move |server, _| server.claiming_size(1, size))
                .deleting()
                .complete()
        })
        .into()
}

fn false_ends() -> Vec<Case> {
    let case = |end| {
        let text = format!("+OK\r\nSubject: x\r\n\r\nabc{end}");
        Case::fault("RETR", Fault::LastWords(text.into()))
    };
    FALSE_ENDS.map(|end| case(end).deleting().resuming()).into()
}

/// What came before the line cannot be distinguished from a whole message. What is still there is to stay there.
fn unstuffed() -> Vec<Case> {
    vec![Case {
        stored: None,
        ..Case::reply("RETR 1", UNSTUFFED).deleting().resuming()
    }]
}

fn odd_bytes() -> Vec<Case> {
    let texts = [
        &b"Subject: a\r\n\r\nc\rd\r\n"[..],
        b"Subject: a\r\n\r\nc\0d\r\n",
        b"Subject: a\r\n\r\nc\xff\x80d\r\n",
        b"Subject: a\r\n\r\nc\nd\n\ne\r\n",
    ];
    let case = |text: &[u8]| {
        Case::server(|server, _| server)
            .mail(numbered(vec![text.to_owned()]))
            .stored_means("changes the text")
            .complete()
    };
    texts.map(case).into()
}

fn look_alikes() -> Vec<Case> {
    let texts = [
        &b"From me Sun Mar  1 12:34:56 2026\r\nSubject: x\r\n\r\nFrom you\r\n\r\nFrom us\r\n"[..],
        b"Content-Length: 3\r\n\r\nabc\r\n\r\nFrom x@y Sun Mar  1 12:34:56 2026\r\nSubject: forged\r\n\r\nx\r\n",
        b"Content-Length: 99999999\r\n\r\nd\r\n",
        b"Subject: y\r\n\r\ne\r\n",
    ];
    let mail = numbered(texts.map(<[u8]>::to_owned).into());
    let case = |store| {
        Case::server(|server, _| server)
            .mail(mail.clone())
            .store(store)
            .stored_means("takes one message for two")
            .complete()
    };
    [Store::Mbox, Store::Maildir].map(case).into()
}

/// A message for each of these ids.
fn named(uids: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let uids = uids.iter().map(|uid| uid.to_vec());
    uids.zip(small(64)).collect()
}

/// Fetched twice, which is to change nothing.
fn with_ids(uids: &[&[u8]]) -> [Case; 2] {
    let case = || {
        let mail = named(uids);
        Case::server(|server, _| server).mail(mail).resuming()
    };
    [case(), case().deleting()]
}

fn paths() -> [Case; 2] {
    with_ids(&UIDS_LIKE_PATHS)
}

/// None of them may be there (RFC 1939 section 7). To fetch nothing is no mistake, then.
fn odd_ids() -> Vec<Case> {
    let long = vec![b'x'; 10_000];
    let uids = UIDS_OF_CONTROLS.into_iter().chain([&b""[..], &long]);
    let case = |uid: &[u8]| {
        let cases = with_ids(&[b"good", uid]);
        cases.map(|case| Case {
            complete: false,
            ..case
        })
    };
    uids.flat_map(case).collect()
}

fn twins() -> Case {
    Case::server(|server, _| server)
        .mail(named(&[b"same", b"same", b"other"]))
        .resuming()
}

fn mixtures() -> Vec<Case> {
    let kinds = [
        Pipelining::Swaps,
        Pipelining::Interleaves,
        Pipelining::Drops,
        Pipelining::Disconnects,
    ];
    let case = |kind| {
        Case::server(move |server, _| {
            server
                .pipelining(kind)
                .capabilities(State::LoggedIn, &["PIPELINING", "UIDL"])
        })
        .mail(numbered(small(40)))
        // The others wait for each answer.
        .only(&[Fetcher::Popfetch, Fetcher::Mpop])
        .deleting()
        .twice()
    };
    kinds.map(case).into()
}

/// How a connection ends.
fn endings() -> Vec<Attack> {
    vec![
        Attack::new(
            "A59",
            "the connection ends at every step, after any octet",
            cuts(),
        ),
        Attack::new("A70", "QUIT without an answer", unconfirmed()),
        Attack::new("A71", "a deletion that is refused", [refused_deletion()]),
    ]
}

fn cuts() -> Vec<Case> {
    let steps = [
        GREETING, "USER", LOGIN, "UIDL", "LIST", "RETR 1", "RETR 2", "DELE 1", "DELE 2", "QUIT",
    ];
    let at_steps = steps.into_iter().flat_map(|step| {
        let faults = [
            Fault::CloseBefore,
            Fault::CloseUnanswered,
            Fault::CloseAfter,
        ];
        faults.map(|fault| Case::fault(step, fault).deleting().resuming())
    });
    let within = (0..3000).step_by(250).map(|octets| {
        Case::server(move |server, _| server.cut_after(octets))
            .deleting()
            .resuming()
    });
    at_steps.chain(within).collect()
}

fn unconfirmed() -> Vec<Case> {
    malicious::unconfirmed()
        .map(|fault| Case::fault("QUIT", fault).deleting().resuming())
        .into()
}

fn refused_deletion() -> Case {
    Case::server(|server, _| server.once("DELE 2", Fault::reply("-ERR \x1b[2Jno")))
        .at("DELE 2")
        .deleting()
        .resuming()
}
