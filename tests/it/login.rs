//! Logging in: every mechanism, every source of a password, every refusal.

use std::time::{Duration, Instant};

use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::server::{Fault, LOGIN, PASSWORD, Server, State, USER};
use crate::support::world::World;

#[test]
fn every_mechanism_can_be_chosen() {
    for (auth, verb) in [("user", "PASS"), ("plain", "AUTH"), ("apop", "APOP")] {
        let world = World::new();
        let mailbox = Mailbox::with(small(1));
        let server = Server::start(&mailbox).apop("<1896.697170952@dbc.mtview.ca.us>");
        let auth = format!("{auth:?}");
        world
            .account("it", &server.endpoint())
            .set("auth", &auth)
            .write();
        world.run(&["sync"]).ends_with(0).says_nothing();
        world.mail("it").holds(mailbox.stored_forms());
        let verbs = server.sessions()[0].verbs();
        assert!(verbs.iter().any(|used| used == verb), "{verbs:?}");
    }
}

#[test]
fn a_long_password_goes_in_two_steps_and_a_bare_plus_is_a_challenge() {
    for challenge in ["+", "+ "] {
        let world = World::new();
        let mailbox = Mailbox::with(small(1));
        let server = Server::start(&mailbox)
            .password(&"long".repeat(60))
            .on("AUTH PLAIN", Fault::say(challenge));
        world
            .account("it", &server.endpoint())
            .set("auth", "\"plain\"")
            .write();
        world.run(&["sync"]).ends_with(0);
        world.mail("it").holds(mailbox.stored_forms());
        assert!(
            server
                .commands()
                .iter()
                .any(|command| command == "AUTH PLAIN")
        );
    }
}

#[test]
fn a_server_without_capa_is_logged_in_to_with_user_and_pass() {
    let world = World::new();
    let mailbox = Mailbox::with(small(2));
    let server = Server::start(&mailbox)
        .without_capa()
        .capabilities(State::Greeted, &[])
        .capabilities(State::LoggedIn, &[]);
    world.account("it", &server.endpoint()).write();
    world.run(&["sync"]).ends_with(0);
    world.mail("it").holds(mailbox.stored_forms());
    assert!(server.commands().contains(&format!("USER {USER}")));
}

#[test]
fn a_refusal_of_apop_is_not_the_end() {
    let world = World::new();
    let mailbox = Mailbox::with(small(1));
    let server = Server::start(&mailbox)
        .implicit_tls(world.certificates())
        .apop("<1896.697170952@dbc.mtview.ca.us>")
        .on("APOP", Fault::reply("-ERR this user has no secret"));
    world.account("it", &server.endpoint()).write();
    world.run(&["sync"]).ends_with(0);
    world.mail("it").holds(mailbox.stored_forms());
}

#[test]
fn a_wrong_password_ends_with_77_and_is_never_shown() {
    for auth in ["\"user\"", "\"plain\"", "\"apop\"", "\"auto\""] {
        let world = World::new();
        let server = Server::start(&Mailbox::default())
            .apop("<1896.697170952@dbc.mtview.ca.us>")
            .on(LOGIN, Fault::reply("-ERR [AUTH] who says hush-hush?"));
        let mut endpoint = server.endpoint();
        endpoint.password = "hush-hush".to_owned();
        world.account("it", &endpoint).set("auth", auth).write();
        let outcome = world.run(&["-v", "sync"]);
        outcome.ends_with(77).complains("it");
        outcome.keeps_to_itself("hush-hush");
    }
}

#[test]
fn what_may_work_later_ends_with_75() {
    for answer in [
        "-ERR [IN-USE] somebody else is reading",
        "-ERR [in-use] somebody else is reading",
        "-ERR [LOGIN-DELAY] too early",
        "-ERR [SYS/TEMP] the disk is asleep",
    ] {
        let world = World::new();
        let server = Server::start(&Mailbox::default()).on(LOGIN, Fault::reply(answer));
        world.account("it", &server.endpoint()).write();
        world.run(&["sync"]).ends_with(75);
    }
}

#[test]
fn a_password_can_come_from_a_command_and_from_the_environment() {
    for (key, value) in [
        (
            "password_command",
            format!("\"echo '{PASSWORD}'; echo more\""),
        ),
        ("password_env", "\"SECRET\"".to_owned()),
    ] {
        let mut world = World::new();
        world.variable("SECRET", PASSWORD);
        let mailbox = Mailbox::with(small(1));
        let server = Server::start(&mailbox);
        let account = world
            .account("it", &server.endpoint())
            .without("password_file");
        account.set(key, &value).write();
        world.run(&["sync"]).ends_with(0);
        world.mail("it").holds(mailbox.stored_forms());
    }
}

#[test]
fn no_password_is_sent_where_it_cannot_be_had_safely() {
    let world = World::new();
    let server = Server::start(&Mailbox::default());
    let open = world.private_file("open", PASSWORD);
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&open, everybody).expect("our own file");
    for (key, value) in [
        ("password_file", format!("{:?}", open.display().to_string())),
        ("password_file", "\"/nowhere/password\"".to_owned()),
        ("password_command", "\"echo useless; exit 3\"".to_owned()),
        ("password_env", "\"NOT_SET\"".to_owned()),
    ] {
        let account = world
            .account("it", &server.endpoint())
            .without("password_file");
        account.set(key, &value).write();
        let outcome = world.run(&["sync"]);
        assert_ne!(outcome.status, Some(0), "{key} = {value}");
        outcome.keeps_to_itself(PASSWORD).complains("password");
        std::fs::remove_file(world.home(".config/popfetch/config.toml")).expect("our own file");
    }
    let verbs: Vec<String> = server
        .sessions()
        .iter()
        .flat_map(|log| log.verbs())
        .collect();
    assert!(
        !verbs.iter().any(|verb| verb == "PASS" || verb == "AUTH"),
        "{verbs:?}"
    );
}

#[test]
fn a_password_file_that_others_can_read_is_refused() {
    let world = World::new();
    let server = Server::start(&Mailbox::default());
    world.account("it", &server.endpoint()).write();
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o640);
    std::fs::set_permissions(world.home("it.password"), everybody).expect("our own file");
    world.run(&["sync"]).ends_with(78).complains("chmod");
}

#[test]
fn without_tls_a_password_needs_permission() {
    let world = World::new();
    let server = Server::start(&Mailbox::default());
    let account = world.account("it", &server.endpoint());
    account.without("allow_cleartext_password").write();
    world
        .run(&["sync"])
        .ends_with(78)
        .complains("allow_cleartext_password");
    let verbs: Vec<String> = server
        .sessions()
        .iter()
        .flat_map(|log| log.verbs())
        .collect();
    assert!(
        !verbs
            .iter()
            .any(|verb| ["USER", "PASS", "AUTH"].contains(&verb.as_str()))
    );
}

#[test]
fn without_a_key_ring_the_alternatives_are_named_in_good_time() {
    let world = World::new();
    let server = Server::start(&Mailbox::default());
    world
        .account("it", &server.endpoint())
        .without("password_file")
        .write();
    let begin = Instant::now();
    for arguments in [["sync", "it"], ["login", "it"]] {
        let outcome = world.run(&arguments);
        assert_ne!(outcome.status, Some(0));
        outcome
            .complains("password_file")
            .complains("password_command");
    }
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_password_with_a_line_end_never_reaches_the_wire() {
    let mut world = World::new();
    world.variable("SECRET", "one\r\nDELE 1");
    let server = Server::start(&Mailbox::with(small(1)));
    let account = world
        .account("it", &server.endpoint())
        .without("password_file");
    account
        .set("password_env", "\"SECRET\"")
        .set("auth", "\"user\"")
        .write();
    assert_ne!(world.run(&["sync"]).status, Some(0));
    assert!(server.deletions().is_empty());
    assert!(
        !server
            .commands()
            .iter()
            .any(|command| command.starts_with("PASS"))
    );
}
