//! Identical messages on a server without unique-ids: as many as are listed are stored, in however many runs.

use super::{Case, Fixture, NONE_BAD, each, text, uid};
use crate::support::mailbox::Mailbox;

/// How many of them there are at first.
const IDENTICAL: usize = 7;

/// Seven identical messages among four others.
fn fixture(case: Case) -> Fixture {
    let order = [1, 0, 0, 2, 0, 0, 0, 3, 0, 0, 4];
    let mailbox = Mailbox::with(order.map(text));
    let mut fixture = Fixture::new(case, &"identical", &mailbox, |server| {
        server.lacking("UIDL")
    });
    fixture.expect(&mailbox.uids());
    let identical = fixture
        .stored
        .iter()
        .filter(|text| **text == fixture.stored[1]);
    assert_eq!(identical.count(), IDENTICAL);
    fixture
}

/// One more of them arrives.
fn add(fixture: &mut Fixture) {
    let uid = uid(fixture.mailbox.uids().len() + 1);
    fixture.mailbox.add(&*uid, text(0));
    fixture.expect(&[uid]);
}

#[test]
fn all_of_them_are_stored_and_one_that_comes_later_too() {
    each(NONE_BAD, &["always"], &[()], |case, ()| {
        let mut fixture = fixture(case);
        for _ in 0..2 {
            for _ in 0..2 {
                fixture.sync().ends_with(0).names(&[]);
                fixture.holds(&fixture.mailbox.uids());
            }
            add(&mut fixture);
        }
    });
}

#[test]
fn a_limit_lets_all_of_them_through_in_the_end() {
    each(NONE_BAD, &["always"], &[()], |case, ()| {
        let mut fixture = fixture(case);
        let count = fixture.stored.len();
        for run in 1..=5 {
            fixture.sync_with(&["--limit", "3"]).ends_with(0).names(&[]);
            let found = fixture.found().len();
            assert_eq!(found, count.min(3 * run), "{}", fixture.context);
        }
        fixture.holds(&fixture.mailbox.uids());
    });
}

#[test]
fn all_of_them_are_deleted_and_as_many_are_stored() {
    each(NONE_BAD, &["never"], &[()], |case, ()| {
        let mut fixture = fixture(case);
        fixture.sync().ends_with(0).names(&[]);
        fixture.holds(&[]);
        fixture.is_settled();
    });
}

#[test]
fn those_of_an_earlier_run_are_stored_once_though_they_are_due_now() {
    each(NONE_BAD, &["always"], &[()], |case, ()| {
        let mut fixture = fixture(case);
        fixture.sync().ends_with(0);
        add(&mut fixture);
        for _ in 0..2 {
            let never = fixture.sync_with(&["--leave-on-server", "never"]);
            never.ends_with(0).names(&[]);
            fixture.has_stored();
        }
    });
}
