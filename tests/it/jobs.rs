//! Several accounts at the same time.

use rustix::process::Signal;

use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::sandbox::{Outcome, Sandbox};
use crate::support::server::{Fault, PASSWORD, Server};

/// An account for each of these servers: `a0`, `a1`, …
fn sandbox_for(servers: &[Server]) -> Sandbox {
    let sandbox = Sandbox::new();
    for (index, server) in servers.iter().enumerate() {
        let name = format!("a{index}");
        sandbox.account(&name, &server.endpoint()).write();
    }
    sandbox
}

fn accounts_of(outcome: &Outcome) -> Vec<String> {
    let lines = outcome.json();
    let name = |line: &serde_json::Value| line["account"].as_str().expect("a name").to_owned();
    lines.iter().map(name).collect()
}

#[test]
fn a_slow_account_holds_up_no_other() {
    let mailboxes = [(); 3].map(|()| Mailbox::with(small(2)));
    let mut servers: Vec<Server> = mailboxes.iter().map(Server::start).collect();
    let slow = servers.remove(0).on("RETR 2", Fault::Stall);
    servers.insert(0, slow);
    let sandbox = sandbox_for(&servers);
    let running = sandbox.start(&["sync", "--json"]);
    // The others are done while the first waits for its message.
    servers[0].wait_for("RETR 2");
    for server in &servers[1..] {
        server.wait_for("QUIT");
    }
    running.signal(Signal::TERM);
    let outcome = running.finish();
    let mut accounts = accounts_of(&outcome);
    accounts.sort();
    assert_eq!(accounts, ["a0", "a1", "a2"]);
    for (index, mailbox) in mailboxes.iter().enumerate().skip(1) {
        sandbox
            .mail(&format!("a{index}"))
            .holds(mailbox.stored_forms());
    }
}

#[test]
fn a_password_that_is_long_in_coming_holds_up_no_other_account() {
    let mailbox = Mailbox::with(small(2));
    let servers = [(); 2].map(|()| Server::start(&mailbox));
    let sandbox = Sandbox::new();
    let password = sandbox.fifo("password");
    let account = sandbox.account("a0", &servers[0].endpoint());
    let account = account.without("password_file");
    account
        .set("password_command", "\"cat ~/password\"")
        .write();
    sandbox.account("a1", &servers[1].endpoint()).write();
    let running = sandbox.start(&["sync"]);
    servers[1].wait_for("QUIT");
    password.say(PASSWORD);
    running.finish().ends_with(0);
    for name in ["a0", "a1"] {
        sandbox.mail(name).holds(mailbox.stored_forms());
    }
}

#[test]
fn with_one_job_accounts_come_in_their_order() {
    let mailboxes = [(); 3].map(|()| Mailbox::with(small(2)));
    let servers: Vec<Server> = mailboxes.iter().map(Server::start).collect();
    let sandbox = sandbox_for(&servers);
    let outcome = sandbox.run(&["sync", "--jobs", "1", "--json"]);
    outcome.ends_with(0);
    assert_eq!(accounts_of(&outcome), ["a0", "a1", "a2"]);
}

#[test]
fn an_account_that_fails_is_part_of_the_status_and_stops_no_other() {
    let mailbox = Mailbox::with(small(2));
    let servers = [
        Server::start(&mailbox).on("AUTH PLAIN", Fault::reply("-ERR [AUTH] no")),
        Server::start(&mailbox),
    ];
    let sandbox = sandbox_for(&servers);
    sandbox.run(&["sync", "-j", "2"]).ends_with(1);
    sandbox.mail("a1").holds(mailbox.stored_forms());
}

#[test]
fn one_signal_ends_the_waits_of_all_accounts() {
    let mailbox = Mailbox::with(small(3));
    let servers: Vec<Server> = (0..3)
        .map(|_| Server::start(&mailbox).on("RETR 2", Fault::Stall))
        .collect();
    let sandbox = Sandbox::new();
    for (index, server) in servers.iter().enumerate() {
        let name = format!("a{index}");
        let account = sandbox.account(&name, &server.endpoint());
        // The run would not end by itself.
        account.set("timeout", "\"1h\"").write();
    }
    let running = sandbox.start(&["sync"]);
    for server in &servers {
        server.wait_for("RETR 2");
    }
    running.signal(Signal::TERM);
    running.finish().ends_with(143);
}
