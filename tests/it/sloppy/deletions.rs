//! A DELE that ends the session or is answered by nonsense: the others go, in the same run, and that message is named.

use super::{BAD, COUNT, Case, DAY, Fixture, each, text, texts, uid};
use crate::support::mailbox::Mailbox;
use crate::support::server::{Fault, Server};

fn faults() -> [Fault; 6] {
    [
        Fault::CloseBefore,
        Fault::CloseUnanswered,
        Fault::CloseAfter,
        Fault::ResetWithin(0),
        Fault::reply("what?"),
        Fault::reply("-ERR no"),
    ]
}

/// Makes the server do this whenever a bad message is to be deleted.
fn at_deletion(case: Case, fault: Fault) -> impl Fn(Server) -> Server {
    move |server| {
        let place = |server: Server, &number: &usize| {
            server.on(&format!("DELE {}", uid(number)), fault.clone())
        };
        case.bad.iter().fold(server, place)
    }
}

/// Messages arrive and will be stored.
fn add(fixture: &mut Fixture, numbers: [usize; 2]) -> [String; 2] {
    let uids = numbers.map(uid);
    for (number, uid) in numbers.into_iter().zip(&uids) {
        fixture.mailbox.add(uid.as_str(), text(number));
    }
    fixture.expect(&uids);
    uids
}

/// Where the last of all DELEs is answered before the connection ends, nothing shows in the first run which it was.
fn is_hidden(case: &Case, fault: &Fault) -> bool {
    matches!(fault, Fault::CloseAfter) && case.bad.contains(&COUNT)
}

/// No message was ever sent twice.
#[track_caller]
fn each_came_once(fixture: &Fixture) {
    let retrievals = fixture.server.retrievals();
    let once = retrievals.values().all(|&times| times == 1);
    assert!(once, "{}: {retrievals:?}", fixture.context);
}

#[test]
fn new_mail_goes_though_another_message_cannot() {
    each(BAD, &["never"], &faults(), |case, fault| {
        let mailbox = Mailbox::with(texts(COUNT));
        let sloppy = at_deletion(case, fault.clone());
        let mut fixture = Fixture::new(case, &fault, &mailbox, sloppy);
        let bad = fixture.bad();
        fixture.expect(&mailbox.uids());
        if is_hidden(&case, &fault) {
            fixture.sync().ends_with(69);
        }
        for numbers in [None, Some([7, 8]), None] {
            numbers.map(|numbers| add(&mut fixture, numbers));
            let came = fixture.sync();
            came.ends_with(1);
            fixture.holds(&bad);
            each_came_once(&fixture);
            came.names(&bad).counts("failed", bad.len());
        }
        fixture.server.heal();
        fixture.sync().ends_with(0).names_nothing();
        fixture.holds(&[]);
        each_came_once(&fixture);
        fixture.is_settled();
    });
}

#[test]
fn what_earlier_runs_stored_goes_though_another_message_cannot() {
    each(BAD, &["30d"], &faults(), |case, fault| {
        let mailbox = Mailbox::with(texts(COUNT));
        let sloppy = at_deletion(case, fault.clone());
        let mut fixture = Fixture::new(case, &fault, &mailbox, sloppy);
        let (all, bad) = (mailbox.uids(), fixture.bad());
        fixture.expect(&all);
        fixture.sync().ends_with(0);
        fixture.holds(&all);

        fixture.later(31 * DAY);
        if is_hidden(&case, &fault) {
            fixture.sync().ends_with(69);
        }
        for _ in 0..2 {
            let due = fixture.sync();
            due.ends_with(1).retrieves(&[]);
            fixture.holds(&bad);
            due.names(&bad).counts("failed", bad.len());
        }
        let new = add(&mut fixture, [7, 8]);
        let came = fixture.sync();
        came.ends_with(1).retrieves(&new);
        fixture.holds(&[&bad[..], &new].concat());
        came.names(&bad);

        fixture.later(31 * DAY);
        let due = fixture.sync();
        due.ends_with(1).retrieves(&[]);
        fixture.holds(&bad);
        due.names(&bad);

        fixture.server.heal();
        fixture.sync().ends_with(0).names_nothing().retrieves(&[]);
        fixture.holds(&[]);
        each_came_once(&fixture);
        fixture.is_settled();
    });
}
