//! Passwords in the desktop's key ring: `login`, `sync` and `logout`, and a key ring that is silent.

use std::os::unix::net::UnixListener;
use std::time::Duration;

use crate::support::keyring::KeyRing;
use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::sandbox::Sandbox;
use crate::support::server::{Fault, LOGIN, PASSWORD, Server};
use crate::support::terminal::Terminal;

/// The account `work` of a sandbox, without any place for its password but the key ring.
fn account(sandbox: &Sandbox, server: &Server) {
    let account = sandbox.account("work", &server.endpoint());
    account.without("password_file").write();
}

#[test]
fn a_password_is_kept_used_and_removed() {
    let mut sandbox = Sandbox::new();
    let _ring = KeyRing::start(&mut sandbox);
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox).implicit_tls(sandbox.certificates());
    account(&sandbox, &server);

    let login = Terminal::start(&sandbox, &["popfetch", "login", "work"]);
    login.shows("Password for alice at 127.0.0.1: ");
    login.type_unseen(PASSWORD);
    let outcome = login.finish();
    outcome.ends_with(0).keeps_to_itself(PASSWORD);
    assert!(
        outcome.stdout.contains("is in the key ring"),
        "{outcome:#?}"
    );

    // There is no person to ask.
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    sandbox.mail("work").holds(mailbox.stored_forms());

    sandbox.run(&["logout", "work"]).ends_with(0).says_nothing();
    sandbox
        .run(&["sync"])
        .ends_with(78)
        .complains("popfetch login 'work'");
    let outcome = sandbox.run(&["-v", "logout", "work"]);
    outcome.ends_with(0).complains("There was no password");
}

#[test]
fn a_password_that_the_server_refuses_is_not_kept() {
    let mut sandbox = Sandbox::new();
    let _ring = KeyRing::start(&mut sandbox);
    let server = Server::start(&Mailbox::with(small(1))).implicit_tls(sandbox.certificates());
    account(&sandbox, &server);
    let login = Terminal::start(&sandbox, &["popfetch", "login", "work"]);
    login.type_unseen("something else");
    let outcome = login.finish();
    outcome.ends_with(77).keeps_to_itself("something else");
    sandbox
        .run(&["sync"])
        .ends_with(78)
        .complains("popfetch login 'work'");
}

#[test]
fn a_password_that_works_is_kept_whatever_the_server_says_to_quit() {
    for farewell in [
        Fault::reply("-ERR not now"),
        Fault::CloseUnanswered,
        Fault::Stall,
    ] {
        let mut sandbox = Sandbox::new();
        let _ring = KeyRing::start(&mut sandbox);
        let server = Server::start(&Mailbox::default()).implicit_tls(sandbox.certificates());
        let account = sandbox.account("work", &server.endpoint());
        let account = account.set("timeout", "\"2s\"");
        account.without("password_file").write();
        server.strike("QUIT", farewell.clone());
        let login = Terminal::start(&sandbox, &["popfetch", "login", "work"]);
        login.type_unseen(PASSWORD);
        let outcome = login.finish();
        outcome.ends_with(0);
        assert!(
            outcome.stdout.contains("is in the key ring"),
            "{farewell:?}: {outcome:#?}"
        );
        server.heal();
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
    }
}

#[test]
fn login_takes_the_place_of_an_older_password() {
    let mut sandbox = Sandbox::new();
    let _ring = KeyRing::start(&mut sandbox);
    let mailbox = Mailbox::with(small(1));
    let server = Server::start(&mailbox).implicit_tls(sandbox.certificates());
    account(&sandbox, &server);
    let mut server = server;
    for password in ["the first", "the second"] {
        server = server.password(password);
        let login = Terminal::start(&sandbox, &["popfetch", "login", "work"]);
        login.type_unseen(password);
        login.finish().ends_with(0);
    }
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("work").holds(mailbox.stored_forms());
}

#[test]
fn a_refusal_later_on_leaves_the_password_where_it_is() {
    let mut sandbox = Sandbox::new();
    let _ring = KeyRing::start(&mut sandbox);
    let server = Server::start(&Mailbox::default()).implicit_tls(sandbox.certificates());
    account(&sandbox, &server);
    let login = Terminal::start(&sandbox, &["popfetch", "login", "work"]);
    login.type_unseen(PASSWORD);
    login.finish().ends_with(0);
    server.strike(LOGIN, Fault::reply("-ERR [AUTH] no"));
    sandbox.run(&["sync"]).ends_with(77);
    server.heal();
    sandbox.run(&["sync"]).ends_with(0);
}

/// A sandbox whose bus takes a connection and never says a word, for as long as the listener lives.
fn silent_bus() -> (Sandbox, UnixListener) {
    let mut sandbox = Sandbox::new();
    let path = sandbox.home("silent-bus");
    let listener = UnixListener::bind(&path).expect("a path for a socket");
    let address = format!("unix:path={}", path.display());
    sandbox.variable("DBUS_SESSION_BUS_ADDRESS", &address);
    sandbox.time_limit(Duration::from_secs(30));
    (sandbox, listener)
}

#[test]
fn a_silent_bus_is_given_up_and_the_alternatives_are_named() {
    let (sandbox, _listener) = silent_bus();
    let server = Server::start(&Mailbox::with(small(1)));
    account(&sandbox, &server);
    let outcome = sandbox.run(&["sync"]);
    outcome
        .ends_with(78)
        .complains("the key ring did not answer within 5 seconds")
        .complains("password_file, password_command or password_env");
    assert!(server.sessions().is_empty());
}

#[test]
fn where_the_key_ring_is_silent_the_password_is_asked_for_and_the_reason_shown() {
    let (sandbox, _listener) = silent_bus();
    let mailbox = Mailbox::with(small(1));
    let server = Server::start(&mailbox);
    account(&sandbox, &server);
    let sync = Terminal::start(&sandbox, &["popfetch", "sync"]);
    sync.shows("the key ring did not answer within 5 seconds");
    sync.shows("Password for alice at 127.0.0.1: ");
    sync.type_unseen(PASSWORD);
    sync.finish().ends_with(0).keeps_to_itself(PASSWORD);
    sandbox.mail("work").holds(mailbox.stored_forms());
}

#[test]
fn a_password_that_cannot_be_kept_is_not_asked_for() {
    let mut sandbox = Sandbox::new();
    sandbox.variable("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
    let server = Server::start(&Mailbox::with(small(1))).implicit_tls(sandbox.certificates());
    account(&sandbox, &server);
    let login = Terminal::start(&sandbox, &["popfetch", "login", "work"]);
    let outcome = login.finish();
    outcome.ends_with(78).keeps_to_itself("Password");
    assert!(outcome.stdout.contains("key ring"), "{outcome:#?}");
    assert!(server.sessions().is_empty());
}
