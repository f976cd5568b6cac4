//! The configuration file: what is wrong with it is shown where it is.

use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::sandbox::{Outcome, Sandbox};
use crate::support::server::Server;

const GOOD: &str = "[accounts.work]\nhost = \"127.0.0.1\"\nuser = \"alice\"\n\
                    password_env = \"SECRET\"\ndeliver = \"maildir:~/Mail\"\n";

#[test]
fn a_misspelt_key_is_shown_with_its_line_and_the_nearest_name() {
    let sandbox = Sandbox::new();
    sandbox.configure(&format!("{GOOD}leave_on_sever = \"never\"\n"));
    let outcome = sandbox.run(&["sync"]);
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
        let sandbox = Sandbox::new();
        sandbox.configure(&format!("{GOOD}{line}\n"));
        let outcome = sandbox.run(&["sync"]);
        outcome.ends_with(78);
        outcome.complains("config.toml");
    }
    for (good, bad) in [
        ("maildir:~/Mail", "nowhere:~/Mail"),
        ("\"alice\"", "\"al\\r\\nDELE 1\""),
        ("\"127.0.0.1\"", "\"\""),
    ] {
        let sandbox = Sandbox::new();
        sandbox.configure(&GOOD.replace(good, bad));
        sandbox
            .run(&["sync"])
            .ends_with(78)
            .complains("config.toml");
    }
}

#[test]
fn without_a_configuration_it_says_which_file_it_looked_for() {
    let sandbox = Sandbox::new();
    sandbox
        .run(&["sync"])
        .ends_with(78)
        .complains("popfetch/config.toml");
}

#[test]
fn two_accounts_for_one_mailbox_are_an_error() {
    let sandbox = Sandbox::new();
    let server = Server::start(&Mailbox::with(small(1)));
    sandbox.account("one", &server.endpoint()).write();
    sandbox.account("two", &server.endpoint()).write();
    sandbox
        .run(&["sync"])
        .ends_with(78)
        .complains("one")
        .complains("two");
    assert!(server.sessions().is_empty());
}

/// A dry run with these two destinations, after a line of shell.
fn with_destinations(server: &Server, prepared: &str, [one, two]: [&str; 2]) -> Outcome {
    let sandbox = Sandbox::new();
    sandbox.shell(prepared).ends_with(0);
    let account = sandbox.account("it", &server.endpoint());
    account
        .set("deliver", &format!("[{one:?}, {two:?}]"))
        .write();
    sandbox.run(&["sync", "--dry-run"])
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
    let sandbox = Sandbox::new();
    let mailboxes = [(); 2].map(|()| Mailbox::with(small(2)));
    let servers = mailboxes.each_ref().map(Server::start);
    sandbox.configure("[defaults]\nleave_on_server = \"never\"\n\n");
    sandbox.account("one", &servers[0].endpoint()).write();
    sandbox
        .account("two", &servers[1].endpoint())
        .set("host", "\"localhost\"")
        .set("leave_on_server", "\"always\"")
        .write();
    sandbox.run(&["sync"]).ends_with(0);
    assert!(mailboxes[0].uids().is_empty());
    assert_eq!(mailboxes[1].uids().len(), 2);
}

#[test]
fn another_configuration_file_can_be_named() {
    let sandbox = Sandbox::new();
    let server = Server::start(&Mailbox::with(small(1)));
    sandbox.account("named", &server.endpoint()).write();
    let (usual, other) = (
        sandbox.home(".config/popfetch/config.toml"),
        sandbox.home("other.toml"),
    );
    std::fs::rename(usual, &other).expect("our own files");
    let other = other.display().to_string();
    sandbox.run(&["--config", &other, "sync"]).ends_with(0);
    sandbox.mail("named").holds(server_texts());
}

fn server_texts() -> Vec<Vec<u8>> {
    Mailbox::with(small(1)).stored_forms()
}

#[test]
fn only_the_named_accounts_are_synced_and_an_unknown_name_is_an_error() {
    let sandbox = Sandbox::new();
    let servers = [(); 2].map(|()| Server::start(&Mailbox::with(small(1))));
    sandbox.account("work", &servers[0].endpoint()).write();
    sandbox
        .account("home", &servers[1].endpoint())
        .set("host", "\"localhost\"")
        .write();
    sandbox.run(&["sync", "work"]).ends_with(0);
    assert!(servers[1].sessions().is_empty());
    let outcome = sandbox.run(&["sync", "wrok"]);
    assert_ne!(outcome.status, Some(0));
    outcome.complains("wrok").complains("work");
}

#[test]
fn a_url_in_the_wrong_place_is_not_repeated() {
    let sandbox = Sandbox::new();
    sandbox.configure(GOOD);
    const URL: &str = "pops://alice:hunter2@pop.example.com";
    for line in [&["sync", URL][..], &["login", URL], &["logout", URL]] {
        let outcome = sandbox.run(line);
        outcome.ends_with(64).keeps_to_itself("hunter2");
        outcome.complains("--url");
    }
    let outcome = sandbox.run(&["sync", "--to", URL]);
    outcome.ends_with(64).keeps_to_itself("hunter2");
    outcome.complains("--to").complains("maildir:PATH");
}
