//! Mail as a stream on standard output, for whoever stands behind the pipe.

use std::fs;
use std::time::Duration;

use crate::support::dovecot::{Dovecot, Port};
use crate::support::mailbox::Mailbox;
use crate::support::messages::{one_of_each, realistic, small, stored_form};
use crate::support::readers::{digests, git_mailsplit, python_mbox, quoted};
use crate::support::sampled;
use crate::support::server::Server;
use crate::support::world::{World, assert_same_texts};

/// A world with one account, `it`, for this server, whose mail is to be deleted once it is stored.
fn world_for(server: &Server) -> World {
    let world = World::new();
    let account = world.account("it", &server.endpoint());
    account.set("leave_on_server", "\"never\"").write();
    world
}

#[test]
fn the_stream_is_an_mbox_and_nothing_it_got_is_ever_deleted() {
    let mailbox = Mailbox::with(one_of_each());
    let server = Server::start(&mailbox);
    let world = world_for(&server);
    let out = world.home("out");
    world
        .shell("popfetch sync --to mbox:- > out")
        .ends_with(0)
        .says_nothing();
    assert!(git_mailsplit(&out) == mailbox.stored_forms());
    let in_quotes = mailbox.stored_forms().into_iter().map(|text| quoted(&text));
    assert_eq!(python_mbox(&out), digests(in_quotes));

    // Seen, so not again; and no proof for a deletion, also where other rules and places follow.
    world
        .run(&["sync", "--to", "mbox:-"])
        .ends_with(0)
        .says_nothing();
    world.run(&["sync"]).ends_with(0);
    world.run(&["sync"]).ends_with(0);
    assert_eq!(mailbox.uids().len(), one_of_each().len());
    assert!(server.deletions().is_empty());
    assert!(server.retrievals().values().all(|&count| count == 1));

    // Fetched once more on demand, it is stored, and then it may go.
    let expected = mailbox.stored_forms();
    world.run(&["sync", "--all"]).ends_with(0);
    world.mail("it").holds(expected);
    assert!(mailbox.uids().is_empty());
}

#[test]
fn thousands_of_messages_arrive_and_none_a_second_time() {
    let count = sampled(500, 5_000);
    let mut world = World::new();
    world.patience(Duration::from_secs(300));
    let mut dovecot = Dovecot::start(world.certificates());
    dovecot.fill(realistic(count));
    world
        .account("it", &dovecot.endpoint(Port::Implicit))
        .write();
    world
        .shell("set -o pipefail; popfetch sync --to mbox:- | cat > out")
        .ends_with(0)
        .says_nothing();
    assert_same_texts(
        git_mailsplit(&world.home("out")),
        realistic(count).map(|wire| stored_form(&wire)),
    );
    world
        .run(&["sync", "--to", "mbox:-"])
        .ends_with(0)
        .says_nothing();
}

#[test]
fn a_pipe_that_is_closed_ends_the_run_in_order() {
    let mailbox = Mailbox::with(realistic(30));
    let server = Server::start(&mailbox);
    let world = world_for(&server);
    let outcome =
        world.shell("set -o pipefail; popfetch sync --to mbox:- | head -c 100 > beginning");
    outcome
        .ends_with(74)
        .complains("stopped reading")
        .complains("--all");
    let beginning = fs::read(world.home("beginning")).expect("the beginning");
    assert!(beginning.len() == 100 && beginning.starts_with(b"From "));
    assert_eq!(mailbox.uids().len(), 30);

    // What could not be written comes with the next run, and all of it on demand.
    world.shell("popfetch sync --to mbox:- > rest").ends_with(0);
    let rest = git_mailsplit(&world.home("rest"));
    let expected = mailbox.stored_forms();
    assert!(rest.len() > 20 && rest == expected[30 - rest.len()..]);
    world
        .shell("popfetch sync --all --to mbox:- > all")
        .ends_with(0);
    assert!(git_mailsplit(&world.home("all")) == expected);
    assert!(server.deletions().is_empty());
}

#[test]
fn several_accounts_make_one_stream() {
    let mailboxes = [small(3), one_of_each()].map(Mailbox::with);
    let servers = mailboxes.each_ref().map(Server::start);
    let world = World::new();
    world.configure("[defaults]\ndeliver = \"mbox:-\"\n\n");
    for (name, server) in ["one", "two"].into_iter().zip(&servers) {
        world
            .account(name, &server.endpoint())
            .without("deliver")
            .write();
    }
    world
        .shell("popfetch sync > out")
        .ends_with(0)
        .says_nothing();
    let expected = mailboxes.iter().flat_map(Mailbox::stored_forms);
    assert!(git_mailsplit(&world.home("out")) == expected.collect::<Vec<_>>());
}

#[test]
fn a_list_with_a_file_in_it_is_a_proof_for_the_file_alone() {
    let mailbox = Mailbox::with(small(3));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let world = World::new();
    world
        .account("it", &server.endpoint())
        .set("deliver", "[\"mbox:-\", \"maildir:~/Mail/it\"]")
        .write();
    world
        .shell("popfetch sync > out")
        .ends_with(0)
        .says_nothing();
    assert!(git_mailsplit(&world.home("out")) == expected);
    world.mail("it").holds(expected);
}

#[test]
fn mail_does_not_go_to_a_terminal() {
    let mailbox = Mailbox::with([b"Subject: \x1b[2J\r\n\r\n\x1b]0;title\x07\r\n".to_vec()]);
    let server = Server::start(&mailbox);
    let world = world_for(&server);
    let outcome =
        world.shell("script -qec 'popfetch sync --to mbox:- 2>errors' /dev/null </dev/null");
    outcome.ends_with(73).keeps_to_itself("\x1b]0;title");
    let errors = fs::read_to_string(world.home("errors")).expect("its errors");
    assert!(errors.contains("terminal"), "{errors}");
    assert_eq!(mailbox.uids().len(), 1);
}

#[test]
fn a_report_that_cannot_be_written_is_a_failure_and_costs_no_mail() {
    let mailboxes = [2, 3].map(|count| Mailbox::with(small(count)));
    let servers = mailboxes.each_ref().map(Server::start);
    let world = World::new();
    for (name, server) in ["one", "two"].into_iter().zip(&servers) {
        world.account(name, &server.endpoint()).write();
    }
    world
        .shell("popfetch sync --jobs 1 --json > /dev/full")
        .ends_with(74)
        .complains("No space left on device");
    for (name, mailbox) in ["one", "two"].into_iter().zip(&mailboxes) {
        world.mail(name).holds(mailbox.stored_forms());
    }
}

#[test]
fn mail_and_reports_do_not_share_standard_output() {
    let mailbox = Mailbox::with(small(1));
    let server = Server::start(&mailbox);
    let world = world_for(&server);
    let outcome = world.run(&["sync", "--to", "mbox:-", "--json"]);
    outcome.ends_with(64).complains("standard output");
    assert!(outcome.stdout.is_empty() && server.sessions().is_empty());
    world
        .run(&["sync", "--to", "mbox:-", "--json", "-n"])
        .ends_with(0);
}
