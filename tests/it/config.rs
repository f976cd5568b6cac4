//! The configuration file: what is wrong with it is shown where it is.

use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::server::Server;
use crate::support::world::{Outcome, World};

const GOOD: &str = "[accounts.work]\nhost = \"127.0.0.1\"\nuser = \"alice\"\n\
                    password_env = \"SECRET\"\ndeliver = \"maildir:~/Mail\"\n";

#[test]
fn a_misspelt_key_is_shown_with_its_line_and_the_nearest_name() {
    let world = World::new();
    world.configure(&format!("{GOOD}leave_on_sever = \"never\"\n"));
    let outcome = world.run(&["sync"]);
    outcome.ends_with(78);
    outcome.complains("config.toml").complains("leave_on_sever");
    outcome
        .complains("leave_on_server")
        .complains("6")
        .complains("^");
}

#[test]
fn wrong_values_end_with_78() {
    for line in [
        "tls = \"ssl\"",
        "port = 70000",
        "port = \"995\"",
        "leave_on_server = \"30 days ago\"",
        "leave_on_server = \"-3d\"",
        "timeout = \"soon\"",
        "auth = \"guess\"",
        "password = \"in clear\"",
        "password_file = \"/tmp/second-source\"",
        "host = \"twice\"",
        "user = ",
    ] {
        let world = World::new();
        world.configure(&format!("{GOOD}{line}\n"));
        let outcome = world.run(&["sync"]);
        outcome.ends_with(78);
        outcome.complains("config.toml");
    }
    for (good, bad) in [
        ("maildir:~/Mail", "nowhere:~/Mail"),
        ("\"alice\"", "\"al\\r\\nDELE 1\""),
        ("\"127.0.0.1\"", "\"\""),
    ] {
        let world = World::new();
        world.configure(&GOOD.replace(good, bad));
        world.run(&["sync"]).ends_with(78).complains("config.toml");
    }
}

#[test]
fn without_a_configuration_it_says_which_file_it_looked_for() {
    let world = World::new();
    world
        .run(&["sync"])
        .ends_with(78)
        .complains("popfetch/config.toml");
}

#[test]
fn two_accounts_for_one_mailbox_are_an_error() {
    let world = World::new();
    let server = Server::start(&Mailbox::with(small(1)));
    world.account("one", &server.endpoint()).write();
    world.account("two", &server.endpoint()).write();
    world
        .run(&["sync"])
        .ends_with(78)
        .complains("one")
        .complains("two");
    assert!(server.sessions().is_empty());
}

/// A dry run with these two destinations, behind a line of shell.
fn with_destinations(server: &Server, prepared: &str, [one, two]: [&str; 2]) -> Outcome {
    let world = World::new();
    world.shell(prepared).ends_with(0);
    let account = world.account("it", &server.endpoint());
    account
        .set("deliver", &format!("[{one:?}, {two:?}]"))
        .write();
    world.run(&["sync", "--dry-run"])
}

#[test]
fn two_destinations_that_are_one_place_are_an_error_before_anything_is_asked() {
    let server = Server::start(&Mailbox::with(small(1)));
    for (prepared, destinations) in [
        (
            "mkdir one; ln -s one two",
            ["maildir:~/one", "maildir:~/two"],
        ),
        (">one; ln -s one two", ["mbox:~/one", "mbox:~/two"]),
        (">one; ln one two", ["mbox:~/one", "mbox:~/two"]),
        (
            "mkdir Mail; ln -s Mail Post",
            ["mbox:~/Mail/one", "mbox:~/Post/one"],
        ),
        (
            "mkdir Mail; ln -s Mail Post",
            ["maildir:~/Mail/new/one", "maildir:~/Post/new/one"],
        ),
        ("mkdir Mail", ["mbox:~/one", "mbox:~/Mail/../one"]),
        ("true", ["maildir:~/one", "maildir:~/new/../one"]),
    ] {
        let outcome = with_destinations(&server, prepared, destinations);
        outcome
            .ends_with(78)
            .complains("the same destination twice");
        outcome
            .complains("again here")
            .complains("Keep one of them");
    }
    assert!(server.sessions().is_empty());
}

#[test]
fn two_destinations_that_only_look_alike_are_two() {
    let server = Server::start(&Mailbox::with(small(1)));
    for (prepared, destinations) in [
        (">one; >two", ["mbox:~/one", "mbox:~/two"]),
        (
            "mkdir -p Mail there/new; ln -s ../there/new Mail/new",
            ["mbox:~/Mail/one", "mbox:~/Mail/new/../one"],
        ),
        ("true", ["maildir:~/one", "mbox:~/new/../one"]),
    ] {
        with_destinations(&server, prepared, destinations).ends_with(0);
    }
}

#[test]
fn defaults_are_for_all_accounts_and_accounts_override_them() {
    let world = World::new();
    let mailboxes = [(); 2].map(|()| Mailbox::with(small(2)));
    let servers = mailboxes.each_ref().map(Server::start);
    world.configure("[defaults]\nleave_on_server = \"never\"\n\n");
    world.account("one", &servers[0].endpoint()).write();
    world
        .account("two", &servers[1].endpoint())
        .set("host", "\"localhost\"")
        .set("leave_on_server", "\"always\"")
        .write();
    world.run(&["sync"]).ends_with(0);
    assert!(mailboxes[0].uids().is_empty());
    assert_eq!(mailboxes[1].uids().len(), 2);
}

#[test]
fn another_configuration_file_can_be_named() {
    let world = World::new();
    let server = Server::start(&Mailbox::with(small(1)));
    world.account("named", &server.endpoint()).write();
    let (usual, other) = (
        world.home(".config/popfetch/config.toml"),
        world.home("other.toml"),
    );
    std::fs::rename(usual, &other).expect("our own files");
    let other = other.display().to_string();
    world.run(&["--config", &other, "sync"]).ends_with(0);
    world.mail("named").holds(server_texts());
}

fn server_texts() -> Vec<Vec<u8>> {
    Mailbox::with(small(1)).stored_forms()
}

#[test]
fn only_the_named_accounts_are_synced_and_an_unknown_name_is_an_error() {
    let world = World::new();
    let servers = [(); 2].map(|()| Server::start(&Mailbox::with(small(1))));
    world.account("work", &servers[0].endpoint()).write();
    world
        .account("home", &servers[1].endpoint())
        .set("host", "\"localhost\"")
        .write();
    world.run(&["sync", "work"]).ends_with(0);
    assert!(servers[1].sessions().is_empty());
    let outcome = world.run(&["sync", "wrok"]);
    assert_ne!(outcome.status, Some(0));
    outcome.complains("wrok").complains("work");
}

#[test]
fn a_url_in_the_wrong_place_is_not_repeated() {
    let world = World::new();
    world.configure(GOOD);
    const URL: &str = "pops://alice:hunter2@pop.example.com";
    for line in [&["sync", URL][..], &["login", URL], &["logout", URL]] {
        let outcome = world.run(line);
        outcome.ends_with(64).keeps_to_itself("hunter2");
        outcome.complains("--url");
    }
    let outcome = world.run(&["sync", "--to", URL]);
    outcome.ends_with(64).keeps_to_itself("hunter2");
    outcome.complains("--to").complains("maildir:PATH");
}
