//! Passwords in the desktop's key ring: `login`, `sync` and `logout`, and a key ring that is silent.

use std::os::unix::net::UnixListener;
use std::time::Duration;

use crate::support::keyring::KeyRing;
use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::server::{Fault, LOGIN, PASSWORD, Server};
use crate::support::terminal::Terminal;
use crate::support::world::World;

/// The account `work` of a world, without any place for its password but the key ring.
fn account(world: &World, server: &Server) {
    let account = world.account("work", &server.endpoint());
    account.without("password_file").write();
}

#[test]
fn a_password_is_kept_used_and_removed() {
    let mut world = World::new();
    let _ring = KeyRing::start(&mut world);
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox).implicit_tls(world.certificates());
    account(&world, &server);

    let login = Terminal::start(&world, &["popfetch", "login", "work"]);
    login.shows("Password for alice at 127.0.0.1: ");
    login.type_unseen(PASSWORD);
    let outcome = login.finish();
    outcome.ends_with(0).keeps_to_itself(PASSWORD);
    assert!(
        outcome.stdout.contains("is in the key ring"),
        "{outcome:#?}"
    );

    // Nobody is there to be asked.
    world.run(&["sync"]).ends_with(0).says_nothing();
    world.mail("work").holds(mailbox.stored_forms());

    world.run(&["logout", "work"]).ends_with(0).says_nothing();
    world
        .run(&["sync"])
        .ends_with(78)
        .complains("popfetch login 'work'");
    let outcome = world.run(&["-v", "logout", "work"]);
    outcome.ends_with(0).complains("There was no password");
}

#[test]
fn a_password_that_the_server_refuses_is_not_kept() {
    let mut world = World::new();
    let _ring = KeyRing::start(&mut world);
    let server = Server::start(&Mailbox::with(small(1))).implicit_tls(world.certificates());
    account(&world, &server);
    let login = Terminal::start(&world, &["popfetch", "login", "work"]);
    login.type_unseen("something else");
    let outcome = login.finish();
    outcome.ends_with(77).keeps_to_itself("something else");
    world
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
        let mut world = World::new();
        let _ring = KeyRing::start(&mut world);
        let server = Server::start(&Mailbox::default()).implicit_tls(world.certificates());
        let account = world.account("work", &server.endpoint());
        let account = account.set("timeout", "\"2s\"");
        account.without("password_file").write();
        server.strike("QUIT", farewell.clone());
        let login = Terminal::start(&world, &["popfetch", "login", "work"]);
        login.type_unseen(PASSWORD);
        let outcome = login.finish();
        outcome.ends_with(0);
        assert!(
            outcome.stdout.contains("is in the key ring"),
            "{farewell:?}: {outcome:#?}"
        );
        server.heal();
        world.run(&["sync"]).ends_with(0).says_nothing();
    }
}

#[test]
fn login_takes_the_place_of_an_older_password() {
    let mut world = World::new();
    let _ring = KeyRing::start(&mut world);
    let mailbox = Mailbox::with(small(1));
    let server = Server::start(&mailbox).implicit_tls(world.certificates());
    account(&world, &server);
    let mut server = server;
    for password in ["the first", "the second"] {
        server = server.password(password);
        let login = Terminal::start(&world, &["popfetch", "login", "work"]);
        login.type_unseen(password);
        login.finish().ends_with(0);
    }
    world.run(&["sync"]).ends_with(0);
    world.mail("work").holds(mailbox.stored_forms());
}

#[test]
fn a_refusal_later_on_leaves_the_password_where_it_is() {
    let mut world = World::new();
    let _ring = KeyRing::start(&mut world);
    let server = Server::start(&Mailbox::default()).implicit_tls(world.certificates());
    account(&world, &server);
    let login = Terminal::start(&world, &["popfetch", "login", "work"]);
    login.type_unseen(PASSWORD);
    login.finish().ends_with(0);
    server.strike(LOGIN, Fault::reply("-ERR [AUTH] no"));
    world.run(&["sync"]).ends_with(77);
    server.heal();
    world.run(&["sync"]).ends_with(0);
}

/// A world whose bus takes a connection and never says a word, for as long as the listener lives.
fn silent_bus() -> (World, UnixListener) {
    let mut world = World::new();
    let path = world.home("silent-bus");
    let listener = UnixListener::bind(&path).expect("a path for a socket");
    let address = format!("unix:path={}", path.display());
    world.variable("DBUS_SESSION_BUS_ADDRESS", &address);
    world.patience(Duration::from_secs(30));
    (world, listener)
}

#[test]
fn a_silent_bus_is_given_up_and_the_alternatives_are_named() {
    let (world, _listener) = silent_bus();
    let server = Server::start(&Mailbox::with(small(1)));
    account(&world, &server);
    let outcome = world.run(&["sync"]);
    outcome
        .ends_with(78)
        .complains("the key ring did not answer within 5 seconds")
        .complains("password_file, password_command or password_env");
    assert!(server.sessions().is_empty());
}

#[test]
fn where_the_key_ring_is_silent_a_person_is_asked_and_told_why() {
    let (world, _listener) = silent_bus();
    let mailbox = Mailbox::with(small(1));
    let server = Server::start(&mailbox);
    account(&world, &server);
    let sync = Terminal::start(&world, &["popfetch", "sync"]);
    sync.shows("the key ring did not answer within 5 seconds");
    sync.shows("Password for alice at 127.0.0.1: ");
    sync.type_unseen(PASSWORD);
    sync.finish().ends_with(0).keeps_to_itself(PASSWORD);
    world.mail("work").holds(mailbox.stored_forms());
}

#[test]
fn nobody_is_asked_for_a_password_that_cannot_be_kept() {
    let mut world = World::new();
    world.variable("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
    let server = Server::start(&Mailbox::with(small(1))).implicit_tls(world.certificates());
    account(&world, &server);
    let login = Terminal::start(&world, &["popfetch", "login", "work"]);
    let outcome = login.finish();
    outcome.ends_with(78).keeps_to_itself("Password");
    assert!(outcome.stdout.contains("key ring"), "{outcome:#?}");
    assert!(server.sessions().is_empty());
}
