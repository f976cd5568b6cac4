//! A message that comes in far fewer octets than LIST says: it is stored, since nobody may ever get more of it, but it
//! is named, and the server keeps it.

use super::{BAD, COUNT, Came, Case, DAY, NONE_BAD, RULES, Stage, each, text, text_of, texts, uid};
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

/// Makes the server send only so many octets of the bad messages.
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
        let mut stage = Stage::new(case, &octets, &mailbox, cropped(case, octets));
        let (all, bad) = (mailbox.uids(), stage.bad());
        stage.expect(&stage.good());
        stage.stored.extend(short_texts(case, octets));

        let first = stage.sync();
        first.ends_with(1);
        stage.holds(&stage.left_of(&all, 0, &bad));
        first.names(&bad);
        first.counts("withheld", bad.len()).counts("failed", 0);
        if case.rule == "30d" {
            stage.later(31 * DAY);
            let due = stage.sync();
            due.ends_with(1);
            stage.holds(&bad);
            due.names(&bad);
        }
        let left = mailbox.uids();

        let again = stage.sync();
        again.ends_with(1).retrieves(&[]);
        stage.holds(&left);
        again.names(&bad);

        stage.later(DAY + 1);
        let tomorrow = stage.sync();
        tomorrow.ends_with(1).retrieves(&bad).retrieves_none_twice();
        stage.holds(&left);
        tomorrow.names(&bad);

        // What nobody asks for, nobody knows to be well again.
        stage.server.heal();
        let early = stage.sync();
        early.ends_with(1).retrieves(&[]);
        stage.holds(&left);
        early.names(&bad);

        stage.later(DAY + 1);
        stage.expect(&bad);
        let whole = stage.sync();
        whole.ends_with(0).retrieves(&bad);
        whole.outcome.complains("the incomplete one is still in");
        stage.holds(&stage.left_of(&left, 0, &[]));
        stage.is_settled();
        stage.later(31 * DAY);
        stage.sync().ends_with(0).names_nothing();
        stage.holds(&stage.left_of(&left, 31 * DAY, &[]));
    });
}

#[test]
fn it_is_never_deleted_though_a_later_run_says_never() {
    each(BAD, &["always"], &[0, 300], |case, octets| {
        let mailbox = mailbox(case);
        let mut stage = Stage::new(case, &octets, &mailbox, cropped(case, octets));
        let bad = stage.bad();
        stage.expect(&stage.good());
        stage.stored.extend(short_texts(case, octets));
        stage.sync().ends_with(1);
        for hours in [0, DAY + 1, 100 * DAY] {
            stage.later(hours);
            let came = stage.sync_with(&["--leave-on-server", "never"]);
            came.ends_with(1);
            stage.holds(&bad);
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
        let mut stage = Stage::new(case, &(octets, claimed), &mailbox, |server| {
            sloppy(server).claiming_size_of("uid-7", claimed)
        });
        stage.expect(&stage.good());
        stage.stored.extend(short_texts(case, octets));
        stage.sync().ends_with(1);
        let new = [uid(7), uid(8)];
        mailbox.add(&*new[0], text(7));
        mailbox.add(&*new[1], text(8));
        stage.expect(&new);
        let came = stage.sync();
        came.ends_with(1).retrieves(&new);
        stage.holds(&mailbox.uids());
        let asked = came.retrieved();
        let times = asked.iter().filter(|uid| **uid == new[0]).count();
        assert_eq!(times, 2, "{}: {asked:?}", stage.context);
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
        let mut stage = Stage::new(case, &octets, &mailbox, |server| {
            sloppy(server).claiming_size_of("uid-4", 600)
        });
        stage.expect(&stage.good());
        stage.stored.extend(short_texts(case, octets));
        let came = stage.sync();
        came.ends_with(1);
        stage.holds(&mailbox.uids());
        came.names(&stage.bad());
        assert_eq!(stage.server.retrievals()["uid-4"], 2, "{}", stage.context);
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
        let mut stage = Stage::new(case, &wrong, &mailbox, |server| match wrong {
            Wrong::SixtyPercent => sloppy(server),
            Wrong::Thrice => case.bad.iter().fold(server, |server, &number| {
                server.claiming_size_of(&uid(number), (WHOLE / 3) as u64)
            }),
        });
        let all = mailbox.uids();
        stage.expect(&stage.good());
        stage.stored.extend(short_texts(case, octets));
        goes_by_its_rule(&mut stage, &all);
    });
}

#[test]
fn a_server_that_counts_line_ends_as_one_octet_is_served_like_any_other() {
    each(NONE_BAD, RULES, &["short lines"], |case, variant| {
        let mut texts = texts(COUNT);
        // Twice as long as it is listed.
        texts[2] = [b"Subject: x\r\n\r\n", &b"\r\n".repeat(400)[..]].concat();
        let mailbox = Mailbox::with(texts);
        let mut stage = Stage::new(case, &variant, &mailbox, Server::counting_line_ends_as_one);
        let all = mailbox.uids();
        stage.expect(&all);
        // It says the same sizes as ever, so there is nothing to compare.
        goes_by_its_rule(&mut stage, &all).retrieves(&[]);
    });
}

/// All comes, without a word, and goes when it is due. Returns the run in which it does.
#[track_caller]
fn goes_by_its_rule(stage: &mut Stage, all: &[String]) -> Came {
    let first = stage.sync();
    first.ends_with(0);
    stage.holds(&stage.left_of(all, 0, &[]));
    first.names_nothing();
    first.counts("withheld", 0).counts("failed", 0);
    stage.is_settled();
    stage.later(31 * DAY);
    let due = stage.sync();
    due.ends_with(0);
    stage.holds(&stage.left_of(all, 31 * DAY, &[]));
    due.names_nothing();
    due
}
