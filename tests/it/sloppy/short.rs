//! A message that comes in far fewer octets than LIST says: it is stored, since there may never be more of it, but it
//! is named, and the server keeps it.

use super::{
    BAD, COUNT, Came, Case, DAY, Fixture, NONE_BAD, RULES, each, text, text_of, texts, uid,
};
use crate::support::mailbox::Mailbox;
use crate::support::messages::stored_form;
use crate::support::server::{Server, Serving};

/// The octets of a bad message.
const WHOLE: usize = 3_338;

fn mailbox(case: Case) -> Mailbox {
    let mut texts = texts(COUNT);
    for &number in case.bad {
        texts[number - 1] = text_of(number, WHOLE);
    }
    Mailbox::with(texts)
}

/// Makes the server send only this many octets of the bad messages.
fn cropped(case: Case, octets: usize) -> impl Fn(Server) -> Server {
    move |server| {
        let crop = |server: Server, number: &usize| {
            server.serving(&uid(*number), Serving::Cropped(octets))
        };
        case.bad.iter().fold(server, crop)
    }
}

/// What is stored of the bad messages then.
fn short_texts(case: Case, octets: usize) -> impl Iterator<Item = Vec<u8>> {
    let short = move |number: &usize| stored_form(&text_of(*number, WHOLE)[..octets]);
    case.bad.iter().map(short)
}

#[test]
fn what_came_is_stored_and_the_message_named_and_kept_until_all_of_it_came() {
    each(BAD, RULES, &[0, 300], |case, octets| {
        let mailbox = mailbox(case);
        let mut fixture = Fixture::new(case, &octets, &mailbox, cropped(case, octets));
        let bad = fixture.bad();
        fixture.expect(&fixture.good());
        fixture.stored.extend(short_texts(case, octets));

        let first = fixture.keeps_bad_ones(&bad);
        first.counts("withheld", bad.len()).counts("failed", 0);
        let left = mailbox.uids();
        let tomorrow = fixture.retries_tomorrow(&bad);
        tomorrow.retrieves_none_twice();

        // What is not asked for is not known to be whole again.
        fixture.server.heal();
        let early = fixture.sync();
        early.ends_with(1).retrieves(&[]);
        fixture.holds(&left);
        early.names(&bad);

        fixture.later(DAY + 1);
        fixture.expect(&bad);
        let whole = fixture.sync();
        whole.ends_with(0).retrieves(&bad);
        whole.outcome.complains("the incomplete one is still in");
        fixture.holds(&fixture.left_of(&left, 0, &[]));
        fixture.is_settled();
        fixture.later(31 * DAY);
        fixture.sync().ends_with(0).names_nothing();
        fixture.holds(&fixture.left_of(&left, 31 * DAY, &[]));
    });
}

#[test]
fn it_is_never_deleted_though_a_later_run_says_never() {
    each(BAD, &["always"], &[0, 300], |case, octets| {
        let mailbox = mailbox(case);
        let mut fixture = Fixture::new(case, &octets, &mailbox, cropped(case, octets));
        let bad = fixture.bad();
        fixture.expect(&fixture.good());
        fixture.stored.extend(short_texts(case, octets));
        fixture.sync().ends_with(1);
        for hours in [0, DAY + 1, 100 * DAY] {
            fixture.later(hours);
            let came = fixture.sync_with(&["--leave-on-server", "never"]);
            came.ends_with(1);
            fixture.holds(&bad);
            came.names(&bad);
        }
    });
}

#[test]
fn nothing_is_learnt_from_it_about_the_sizes_of_other_messages() {
    // More than LIST says of the others, and fewer, but not far fewer.
    let variants = [(0, 600), (300, 800), (0, 800), (300, 600)];
    each(BAD, &["always"], &variants, |case, (octets, claimed)| {
        let case = Case {
            pipelining: true,
            ..case
        };
        let mailbox = mailbox(case);
        let sloppy = cropped(case, octets);
        let mut fixture = Fixture::new(case, &(octets, claimed), &mailbox, |server| {
            sloppy(server).claiming_size_of("uid-7", claimed)
        });
        fixture.expect(&fixture.good());
        fixture.stored.extend(short_texts(case, octets));
        fixture.sync().ends_with(1);
        let new = [uid(7), uid(8)];
        mailbox.add(&*new[0], text(7));
        mailbox.add(&*new[1], text(8));
        fixture.expect(&new);
        let came = fixture.sync();
        came.ends_with(1).retrieves(&new);
        fixture.holds(&mailbox.uids());
        let asked = came.retrieved();
        let times = asked.iter().filter(|uid| **uid == new[0]).count();
        assert_eq!(times, 2, "{}: {asked:?}", fixture.context);
    });
}

#[test]
fn a_message_of_another_size_that_came_before_it_is_in_doubt_as_ever() {
    each(&[&[1], &[2, 3]], &["always"], &[0, 300], |case, octets| {
        let case = Case {
            pipelining: true,
            ..case
        };
        let mailbox = mailbox(case);
        let sloppy = cropped(case, octets);
        let mut fixture = Fixture::new(case, &octets, &mailbox, |server| {
            sloppy(server).claiming_size_of("uid-4", 600)
        });
        fixture.expect(&fixture.good());
        fixture.stored.extend(short_texts(case, octets));
        let came = fixture.sync();
        came.ends_with(1);
        fixture.holds(&mailbox.uids());
        came.names(&fixture.bad());
        assert_eq!(
            fixture.server.retrievals()["uid-4"],
            2,
            "{}",
            fixture.context
        );
    });
}

/// How a server is wrong about sizes without being far from the truth, or by sending too much.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    /// It sends 60 % of what it lists.
    SixtyPercent,
    /// It sends thrice as much.
    Thrice,
}

#[test]
fn a_size_that_is_only_wrong_is_no_reason_to_complain() {
    let variants = [Wrong::SixtyPercent, Wrong::Thrice];
    each(BAD, RULES, &variants, |case, wrong| {
        let mailbox = mailbox(case);
        let octets = match wrong {
            Wrong::SixtyPercent => WHOLE * 6 / 10,
            Wrong::Thrice => WHOLE,
        };
        let sloppy = cropped(case, octets);
        let mut fixture = Fixture::new(case, &wrong, &mailbox, |server| match wrong {
            Wrong::SixtyPercent => sloppy(server),
            Wrong::Thrice => case.bad.iter().fold(server, |server, &number| {
                server.claiming_size_of(&uid(number), (WHOLE / 3) as u64)
            }),
        });
        let all = mailbox.uids();
        fixture.expect(&fixture.good());
        fixture.stored.extend(short_texts(case, octets));
        goes_by_its_rule(&mut fixture, &all);
    });
}

#[test]
fn a_server_that_counts_line_ends_as_one_octet_is_served_like_any_other() {
    each(NONE_BAD, RULES, &["short lines"], |case, variant| {
        let mut texts = texts(COUNT);
        // Twice as long as it is listed.
        texts[2] = [b"Subject: x\r\n\r\n", &b"\r\n".repeat(400)[..]].concat();
        let mailbox = Mailbox::with(texts);
        let mut fixture = Fixture::new(case, &variant, &mailbox, Server::counting_line_ends_as_one);
        let all = mailbox.uids();
        fixture.expect(&all);
        // It says the same sizes as ever, so there is nothing to compare.
        goes_by_its_rule(&mut fixture, &all).retrieves(&[]);
    });
}

/// All comes, without a word, and goes when it is due. Returns the run in which it does.
#[track_caller]
fn goes_by_its_rule(fixture: &mut Fixture, all: &[String]) -> Came {
    let first = fixture.sync();
    first.ends_with(0);
    fixture.holds(&fixture.left_of(all, 0, &[]));
    first.names_nothing();
    first.counts("withheld", 0).counts("failed", 0);
    fixture.is_settled();
    fixture.later(31 * DAY);
    let due = fixture.sync();
    due.ends_with(0);
    fixture.holds(&fixture.left_of(all, 31 * DAY, &[]));
    due.names_nothing();
    due
}
