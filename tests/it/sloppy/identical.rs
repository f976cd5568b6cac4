//! Identical messages on a server without unique-ids: as many as are listed are stored, in however many runs.

use super::{Case, NONE_BAD, Stage, each, text, uid};
use crate::support::mailbox::Mailbox;

/// How many of them there are at first.
const IDENTICAL: usize = 7;

/// Seven identical messages among four others.
fn stage(case: Case) -> Stage {
    let order = [1, 0, 0, 2, 0, 0, 0, 3, 0, 0, 4];
    let mailbox = Mailbox::with(order.map(text));
    let mut stage = Stage::new(case, &"identical", &mailbox, |server| {
        server.lacking("UIDL")
    });
    stage.expect(&mailbox.uids());
    let identical = stage.stored.iter().filter(|text| **text == stage.stored[1]);
    assert_eq!(identical.count(), IDENTICAL);
    stage
}

/// One more of them arrives.
fn add(stage: &mut Stage) {
    let uid = uid(stage.mailbox.uids().len() + 1);
    stage.mailbox.add(&*uid, text(0));
    stage.expect(&[uid]);
}

#[test]
fn all_of_them_are_stored_and_one_that_comes_later_too() {
    each(NONE_BAD, &["always"], &[()], |case, ()| {
        let mut stage = stage(case);
        for _ in 0..2 {
            for _ in 0..2 {
                stage.sync().ends_with(0).names(&[]);
                stage.holds(&stage.mailbox.uids());
            }
            add(&mut stage);
        }
    });
}

#[test]
fn a_limit_lets_all_of_them_through_in_the_end() {
    each(NONE_BAD, &["always"], &[()], |case, ()| {
        let mut stage = stage(case);
        let count = stage.stored.len();
        for run in 1..=5 {
            stage.sync_with(&["--limit", "3"]).ends_with(0).names(&[]);
            let found = stage.found().len();
            assert_eq!(found, count.min(3 * run), "{}", stage.context);
        }
        stage.holds(&stage.mailbox.uids());
    });
}

#[test]
fn all_of_them_are_deleted_and_as_many_are_stored() {
    each(NONE_BAD, &["never"], &[()], |case, ()| {
        let mut stage = stage(case);
        stage.sync().ends_with(0).names(&[]);
        stage.holds(&[]);
        stage.is_settled();
    });
}

#[test]
fn those_of_an_earlier_run_are_stored_once_though_they_are_due_now() {
    each(NONE_BAD, &["always"], &[()], |case, ()| {
        let mut stage = stage(case);
        stage.sync().ends_with(0);
        add(&mut stage);
        for _ in 0..2 {
            let never = stage.sync_with(&["--leave-on-server", "never"]);
            never.ends_with(0).names(&[]);
            stage.has_stored();
        }
    });
}
