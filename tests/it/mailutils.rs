//! The program against a server whose greeting promises APOP to all users and which has a secret for none.

use crate::support::mailutils::Mailutils;
use crate::support::messages::{small, stored_form};
use crate::support::sandbox::{Sandbox, assert_same_texts};

/// The ways to log in that were begun, session by session.
fn ways(server: &Mailutils) -> Vec<Vec<String>> {
    let is_way = |verb: &String| ["APOP", "USER", "AUTH"].contains(&verb.as_str());
    let verb = |command: &String| command.split(' ').next().unwrap_or_default().to_owned();
    let sessions = server.sessions();
    sessions
        .iter()
        .map(|commands| commands.iter().map(verb).filter(is_way).collect())
        .collect()
}

/// What came of the messages: this server adds fields of its own at the end of each header.
#[track_caller]
fn holds_with_more_fields(sandbox: &Sandbox, wires: &[Vec<u8>]) {
    let without_them = |text: Vec<u8>| {
        let text = String::from_utf8(text).expect("ASCII");
        let (header, body) = text.split_once("\n\n").expect("a body");
        let theirs = |line: &&str| line.starts_with("X-UIDL:") || line.starts_with("Status:");
        let header: Vec<&str> = header.lines().filter(|line| !theirs(line)).collect();
        format!("{}\n\n{body}", header.join("\n"))
    };
    let texts = sandbox.mail("it").texts().into_iter().map(without_them);
    assert_same_texts(texts, wires.iter().map(|wire| stored_form(wire)));
}

#[test]
fn a_timestamp_of_a_server_without_apop_secrets_costs_one_attempt_and_is_remembered() {
    let sandbox = Sandbox::new();
    let messages = small(5);
    let Some(server) = Mailutils::start(sandbox.certificates(), &messages) else {
        return;
    };
    sandbox.account("it", &server.endpoint("none")).write();
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    holds_with_more_fields(&sandbox, &messages);
    assert_eq!(ways(&server), [vec!["APOP", "USER"]]);
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    holds_with_more_fields(&sandbox, &messages);
    assert_eq!(ways(&server), [vec!["APOP", "USER"], vec!["USER"]]);
}

#[test]
fn over_tls_its_timestamp_is_not_even_tried() {
    let sandbox = Sandbox::new();
    let messages = small(3);
    let Some(server) = Mailutils::start(sandbox.certificates(), &messages) else {
        return;
    };
    let account = sandbox.account("it", &server.endpoint("starttls"));
    account.set("leave_on_server", "\"never\"").write();
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    holds_with_more_fields(&sandbox, &messages);
    assert_eq!(ways(&server), [vec!["USER"]]);
    assert_eq!(server.maildrop(), "");
}

#[test]
fn a_wrong_password_is_tried_twice_and_never_a_third_time() {
    let sandbox = Sandbox::new();
    let Some(server) = Mailutils::start(sandbox.certificates(), small(1)) else {
        return;
    };
    let mut endpoint = server.endpoint("none");
    endpoint.password = "hush-hush".to_owned();
    sandbox.account("it", &endpoint).write();
    let outcome = sandbox.run(&["-v", "sync"]);
    outcome.ends_with(77).keeps_to_itself("hush-hush");
    assert_eq!(ways(&server), [vec!["APOP", "USER"]]);
}

#[test]
fn apop_where_it_is_named_stays_the_only_way() {
    let sandbox = Sandbox::new();
    let Some(server) = Mailutils::start(sandbox.certificates(), small(1)) else {
        return;
    };
    let account = sandbox.account("it", &server.endpoint("none"));
    account.set("auth", "\"apop\"").write();
    sandbox.run(&["sync"]).ends_with(77);
    assert_eq!(ways(&server), [vec!["APOP"]]);
}
