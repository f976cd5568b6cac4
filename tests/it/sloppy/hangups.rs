//! A message that ends the connection whenever it is asked for: one failed message, not a server that is away.

use super::{BAD, COUNT, Case, DAY, Fixture, RULES, each, text, texts, uid};
use crate::support::mailbox::Mailbox;
use crate::support::sandbox::Outcome;
use crate::support::server::{Fault, GREETING, LOGIN, Server};

const ONE_BAD: &[&[usize]] = &[&[1], &[3], &[COUNT]];

/// What happens, and whether the account is patient with a server that is away.
type Variant = (Fault, bool);

fn variants() -> Vec<Variant> {
    let faults = [
        Fault::CloseBefore,
        Fault::CloseUnanswered,
        Fault::CloseWithin(40),
        Fault::CloseWithin(400),
        Fault::ResetWithin(300),
    ];
    let patience = [false, true];
    let variant = |fault: Fault| patience.map(|patient| (fault.clone(), patient));
    faults.into_iter().flat_map(variant).collect()
}

fn step(number: usize) -> String {
    format!("RETR {}", uid(number))
}

fn fixture(case: Case, variant: &Variant, sloppy: impl FnOnce(Server) -> Server) -> Fixture {
    let mailbox = Mailbox::with(texts(COUNT));
    let patient = [("quiet_temporary", "\"6h\"")];
    let keys: &[_] = if variant.1 { &patient } else { &[] };
    let mut fixture = Fixture::with_keys(case, variant, &mailbox, keys, sloppy);
    fixture.expect(&fixture.good());
    fixture
}

/// Makes the server end the connection whenever a bad message is asked for.
fn hanging_up(case: Case, (fault, _): &Variant) -> impl Fn(Server) -> Server {
    move |server| {
        let place = |server: Server, &number: &usize| server.on(&step(number), fault.clone());
        case.bad.iter().fold(server, place)
    }
}

#[test]
fn one_that_always_does_is_one_failed_message_and_all_others_come_and_go() {
    each(ONE_BAD, RULES, &variants(), |case, variant| {
        let mut fixture = fixture(case, &variant, hanging_up(case, &variant));
        let (all, bad) = (fixture.mailbox.uids(), fixture.bad());
        let first = fixture.sync();
        first.ends_with(1);
        fixture.holds(&fixture.left_of(&all, 0, &bad));
        first.names(&bad).counts("failed", 1);
        if case.rule == "30d" {
            fixture.later(31 * DAY);
            let due = fixture.sync();
            due.ends_with(1).retrieves_no_other_than(&bad);
            fixture.holds(&bad);
            due.names(&bad).counts("failed", 1);
        }
        let again = fixture.sync();
        again.ends_with(1).retrieves_no_other_than(&bad);
        fixture.holds(&fixture.mailbox.uids());
        again.names(&bad).counts("failed", 1);
        is_over_once_it_is_healed(&mut fixture);
    });
}

/// New mail comes and goes; and once the server is well, all of it.
#[track_caller]
fn is_over_once_it_is_healed(fixture: &mut Fixture) {
    let bad = fixture.bad();
    fixture.mailbox.add(&*uid(7), text(7));
    fixture.expect(&[uid(7)]);
    let left = fixture.left_of(&fixture.mailbox.uids(), 0, &bad);
    let came = fixture.sync();
    came.ends_with(1);
    fixture.holds(&left);
    came.names(&bad).counts("failed", bad.len());

    fixture.server.heal();
    fixture.later(DAY + 1);
    fixture.expect(&bad);
    let left = fixture.left_of(&left, 0, &[]);
    fixture.sync().ends_with(0).names_nothing();
    fixture.holds(&left);
    fixture.is_settled();
}

#[test]
fn two_that_always_do_are_two_failed_messages_before_long() {
    let two: Vec<_> = BAD.iter().copied().filter(|bad| bad.len() == 2).collect();
    each(&two, RULES, &variants(), |case, variant| {
        let mut fixture = fixture(case, &variant, hanging_up(case, &variant));
        let (all, bad) = (fixture.mailbox.uids(), fixture.bad());
        // In the first run each of them may have ended one connection.
        for _ in 0..2 {
            let status = fixture.sync().outcome.status;
            let known = [Some(1), Some(69)].contains(&status);
            assert!(known, "{}: {status:?}", fixture.context);
        }
        let third = fixture.sync();
        third.ends_with(1).retrieves_no_other_than(&bad);
        fixture.holds(&fixture.left_of(&all, 0, &bad));
        third.names(&bad).counts("failed", 2);
        is_over_once_it_is_healed(&mut fixture);
    });
}

#[test]
fn a_connection_that_ends_once_is_not_reported() {
    each(ONE_BAD, RULES, &variants(), |case, variant| {
        let mut fixture = fixture(case, &variant, |server| {
            let place =
                |server: Server, &number: &usize| server.once(&step(number), variant.0.clone());
            case.bad.iter().fold(server, place)
        });
        let all = fixture.mailbox.uids();
        fixture.expect(&fixture.bad());
        fixture.sync().ends_with(0).names_nothing();
        fixture.holds(&fixture.left_of(&all, 0, &[]));
        fixture.is_settled();
    });
}

#[test]
fn the_server_is_to_blame_where_no_second_request_was_possible() {
    let doors = [
        (LOGIN, Fault::reply("-ERR [IN-USE] busy")),
        (GREETING, Fault::CloseBefore),
    ];
    let with_door = |variant: Variant| doors.clone().map(|door| (variant.clone(), door));
    let variants: Vec<_> = variants().into_iter().flat_map(with_door).collect();
    each(
        ONE_BAD,
        RULES,
        &variants,
        |case, (variant, (door, answer))| {
            let hang_up = hanging_up(case, &variant);
            let mut fixture = fixture(case, &variant, |server| {
                hang_up(server).after(1, door, answer)
            });
            let bad = fixture.bad();
            let first = fixture.sync();
            let Outcome { status, stderr, .. } = &first.outcome;
            let is_theirs = [Some(69), Some(75)].contains(status);
            assert!(is_theirs, "{}: {:#?}", fixture.context, first.outcome);
            let is_patient = variant.1;
            // In JSON, it is on standard output.
            let is_told = !stderr.is_empty();
            assert!(
                case.json || is_told != is_patient,
                "{}: {stderr}",
                fixture.context
            );

            // It may be asked for now, and ends a second connection.
            fixture.server.heal();
            for &number in case.bad {
                fixture.server.strike(&step(number), variant.0.clone());
            }
            let second = fixture.sync();
            second.ends_with(1);
            fixture.has_stored();
            second.names(&bad).counts("failed", 1);
        },
    );
}
