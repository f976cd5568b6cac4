//! A unique-id that the server uses again, for another message: that one is fetched and stored, and nothing is deleted
//! that is not.

use super::{BAD, COUNT, Came, Case, DAY, Fixture, NONE_BAD, SIZE, each, text, text_of, texts};
use crate::support::mailbox::Mailbox;
use crate::support::server::Server;

const NEVER: [&str; 2] = ["--leave-on-server", "never"];

/// A maildrop that is stored, whatever the rule.
fn stored(case: Case, variant: &str, sloppy: impl FnOnce(Server) -> Server) -> Fixture {
    let mailbox = Mailbox::with(texts(COUNT));
    let mut fixture = Fixture::new(case, &variant, &mailbox, sloppy);
    fixture.expect(&mailbox.uids());
    fixture.sync().ends_with(0).names_nothing();
    fixture.holds(&mailbox.uids());
    fixture
}

/// Gives the ids of the bad messages, which it returns, to others of this size.
type Reuse = fn(&mut Fixture, usize) -> Vec<String>;

/// Other messages of this size take the ids of the bad ones, and will be stored.
fn reuse(fixture: &mut Fixture, size: usize) -> Vec<String> {
    let bad = fixture.bad();
    for (&number, uid) in fixture.case.bad.iter().zip(&bad) {
        fixture.mailbox.replace(uid, text_of(100 + number, size));
    }
    fixture.expect(&bad);
    bad
}

/// Other messages take these ids and arrive last.
fn reuse_at_the_end(fixture: &mut Fixture, size: usize) -> Vec<String> {
    let bad = fixture.bad();
    for (&number, uid) in fixture.case.bad.iter().zip(&bad) {
        fixture.mailbox.remove(uid);
        fixture.mailbox.add(&**uid, text_of(100 + number, size));
    }
    fixture.expect(&bad);
    bad
}

/// Whether sizes were asked for.
fn asks_for_sizes(came: &Came) -> bool {
    came.commands().iter().any(|line| line.starts_with("LIST"))
}

/// Nothing is done, and nothing is asked but what there is.
#[track_caller]
fn is_quiet(fixture: &mut Fixture) {
    let left = fixture.mailbox.uids();
    let came = fixture.sync();
    came.ends_with(0).names_nothing().retrieves(&[]);
    fixture.holds(&left);
    let context = &fixture.context;
    assert!(!asks_for_sizes(&came), "{context}: {:#?}", came.commands());
}

#[test]
fn a_message_of_another_size_under_a_known_id_is_noticed_and_stored() {
    let places: [Reuse; 2] = [reuse, reuse_at_the_end];
    let variants = [SIZE + 200, SIZE - 200].map(|size| places.map(|reuse| (size, reuse)));
    each(
        BAD,
        &["always"],
        variants.as_flattened(),
        |case, (size, reuse)| {
            let mut fixture = stored(case, "another size", |server| server);
            is_quiet(&mut fixture);
            let reused = reuse(&mut fixture, size);
            let came = fixture.sync();
            came.ends_with(0).names_nothing().retrieves(&reused);
            fixture.holds(&fixture.mailbox.uids());
            is_quiet(&mut fixture);
            is_quiet(&mut fixture);
            fixture.sync_with(&NEVER).ends_with(0).retrieves(&[]);
            fixture.holds(&[]);
        },
    );
}

#[test]
fn a_stat_that_is_never_the_sum_costs_one_list() {
    each(NONE_BAD, &["always"], &["another sum"], |case, variant| {
        let mut fixture = stored(case, variant, |server| server.adding_to_stat(1_234));
        let left = fixture.mailbox.uids();
        let came = fixture.sync();
        came.ends_with(0).names_nothing().retrieves(&[]);
        fixture.holds(&left);
        for _ in 0..2 {
            is_quiet(&mut fixture);
        }
    });
}

#[test]
fn a_message_of_the_same_size_under_an_id_that_is_due_is_stored_before_it_is_deleted() {
    each(BAD, &["30d"], &["the same size"], |case, variant| {
        let mut fixture = stored(case, variant, |server| server);
        fixture.later(31 * DAY);
        let reused = reuse(&mut fixture, SIZE);
        let due = fixture.sync();
        due.ends_with(0).names_nothing().retrieves(&reused);
        // These came just now.
        fixture.holds(&reused);
        fixture.is_settled();
        fixture.later(31 * DAY);
        fixture.sync().ends_with(0).names_nothing().retrieves(&[]);
        fixture.holds(&[]);
    });
}

#[test]
fn a_message_of_the_same_size_under_a_known_id_is_stored_where_the_rule_turns_to_never() {
    each(BAD, &["always"], &["the same size"], |case, variant| {
        let mut fixture = stored(case, variant, |server| server);
        let reused = reuse(&mut fixture, SIZE);
        let never = fixture.sync_with(&NEVER);
        never.ends_with(0).names_nothing().retrieves(&reused);
        fixture.holds(&[]);
        fixture.is_settled();
    });
}

/// Each message's header was asked for, all of them at once where that is possible, before any was deleted.
#[track_caller]
fn compares_headers(came: &Came, pipelining: bool) {
    let commands = came.commands();
    let place = |command: String| commands.iter().position(|line| *line == command);
    let asked: Vec<_> = (1..=COUNT).map(|n| place(format!("TOP {n} 0"))).collect();
    let deleted = (1..=COUNT).filter_map(|number| place(format!("DELE {number}")));
    let (last, first) = (asked.iter().max().copied().flatten(), deleted.min());
    let in_order = asked.iter().all(Option::is_some) && first.is_some() && last < first;
    assert!(in_order, "{}: {commands:#?}", came.context);
    let received = came.logs.iter().flat_map(|log| &log.received);
    let tops = received.filter(|received| received.line.starts_with(b"TOP "));
    let followed = tops.filter(|received| received.followed).count();
    let expected = if pipelining { COUNT - 1 } else { 0 };
    assert!(
        followed >= expected && (pipelining || followed == 0),
        "{}: {followed} sent ahead",
        came.context
    );
}

#[test]
fn the_headers_of_what_is_due_are_enough_where_they_are_the_stored_ones() {
    each(
        NONE_BAD,
        &["30d", "always"],
        &["the same"],
        |case, variant| {
            let mut fixture = stored(case, variant, |server| server);
            let due = if case.rule == "always" {
                fixture.sync_with(&NEVER)
            } else {
                fixture.later(31 * DAY);
                fixture.sync()
            };
            due.ends_with(0).names_nothing().retrieves(&[]);
            fixture.holds(&[]);
            compares_headers(&due, case.pipelining);
            fixture.is_settled();
        },
    );
}

#[test]
fn where_there_is_no_top_the_size_has_to_do() {
    each(
        NONE_BAD,
        &["30d", "always"],
        &["no TOP"],
        |case, variant| {
            let mut fixture = stored(case, variant, |server| server.lacking("TOP"));
            let due = if case.rule == "always" {
                fixture.sync_with(&NEVER)
            } else {
                fixture.later(31 * DAY);
                fixture.sync()
            };
            due.ends_with(0).names_nothing().retrieves(&[]);
            fixture.holds(&[]);
            fixture.is_settled();
        },
    );
}

#[test]
fn without_top_a_message_of_another_size_is_still_stored_before_it_is_deleted() {
    each(BAD, &["30d", "always"], &["no TOP"], |case, variant| {
        let mut fixture = stored(case, variant, |server| server.lacking("TOP"));
        let reused = reuse(&mut fixture, SIZE + 200);
        let never = fixture.sync_with(&NEVER);
        never.ends_with(0).names_nothing().retrieves(&reused);
        fixture.holds(&[]);
        fixture.is_settled();
    });
}

#[test]
fn mail_that_is_stored_and_deleted_in_one_session_is_not_compared() {
    each(NONE_BAD, &["never"], &["new"], |case, variant| {
        let mailbox = Mailbox::with([text(1), text(2)]);
        let mut fixture = Fixture::new(case, &variant, &mailbox, |server| server);
        fixture.expect(&mailbox.uids());
        let came = fixture.sync();
        came.ends_with(0).names_nothing();
        fixture.holds(&[]);
        let commands = came.commands();
        let compared = commands.iter().any(|line| line.starts_with("TOP"));
        assert!(!compared, "{}: {commands:#?}", fixture.context);
    });
}
