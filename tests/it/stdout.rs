//! Mail as a stream on standard output, for the program at the other end of the pipe.

use std::fs;
use std::time::Duration;

use crate::support::dovecot::{Dovecot, Port};
use crate::support::mailbox::Mailbox;
use crate::support::messages::{one_of_each, realistic, small, stored_form};
use crate::support::readers::{digests, git_mailsplit, python_mbox, quoted};
use crate::support::sampling::sampled;
use crate::support::sandbox::{Sandbox, assert_same_texts};
use crate::support::server::Server;

/// A sandbox with one account, `it`, for this server, whose mail is to be deleted once it is stored.
fn sandbox_for(server: &Server) -> Sandbox {
    let sandbox = Sandbox::new();
    let account = sandbox.account("it", &server.endpoint());
    account.set("leave_on_server", "\"never\"").write();
    sandbox
}

#[test]
fn the_stream_is_an_mbox_and_nothing_it_got_is_ever_deleted() {
    let mailbox = Mailbox::with(one_of_each());
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server);
    let out = sandbox.home("out");
    sandbox
        .shell("popfetch sync --to mbox:- > out")
        .ends_with(0)
        .says_nothing();
    assert!(git_mailsplit(&out) == mailbox.stored_forms());
    let in_quotes = mailbox.stored_forms().into_iter().map(|text| quoted(&text));
    assert_eq!(python_mbox(&out), digests(in_quotes));

    // Seen, so not again; and no proof for a deletion.
    sandbox
        .run(&["sync", "--to", "mbox:-"])
        .ends_with(0)
        .says_nothing();
    assert_eq!(mailbox.uids().len(), one_of_each().len());
    assert!(server.deletions().is_empty());
    assert!(server.retrievals().values().all(|&count| count == 1));

    // The account's own destination gets it in the next run, and once it is stored there, it may go.
    assert_eq!(planned(&sandbox, "retrieve"), mailbox.uids());
    let expected = mailbox.stored_forms();
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    sandbox.mail("it").holds(expected);
    assert!(mailbox.uids().is_empty());
}

/// The unique-ids of the messages that the next run does this with, by a dry run.
fn planned(sandbox: &Sandbox, action: &str) -> Vec<String> {
    let dry = sandbox.run(&["sync", "--dry-run", "--json"]);
    let plan = dry.ends_with(0).json()[0]["plan"].clone();
    let steps = plan.as_array().expect("a plan").iter();
    let steps = steps.filter(|step| step["action"] == action);
    let uids = steps.filter_map(|step| step["uid"].as_str());
    uids.map(str::to_owned).collect()
}

#[test]
fn what_was_streamed_is_due_by_the_time_when_it_was_stored() {
    let mailbox = Mailbox::with(small(3));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let mut sandbox = Sandbox::new();
    let account = sandbox.account("it", &server.endpoint());
    account.set("leave_on_server", "\"30d\"").write();
    for (now, line, left) in [
        ("2026-03-01", &["sync", "--to", "mbox:-"][..], 3),
        ("2026-06-01", &["sync", "--to", "mbox:-"], 3),
        ("2026-06-01", &["sync"], 3),
        ("2026-06-30", &["sync"], 3),
        ("2026-07-01", &["sync"], 0),
    ] {
        sandbox.at(&format!("{now}T12:00:00Z"));
        sandbox.run(line).ends_with(0);
        assert_eq!(mailbox.uids().len(), left, "{now} {line:?}");
    }
    sandbox.mail("it").holds(expected);
}

#[test]
fn what_was_streamed_comes_to_every_other_destination_of_the_account() {
    let mailbox = Mailbox::with(small(3));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let sandbox = Sandbox::new();
    let account = sandbox.account("it", &server.endpoint());
    let list = "[\"mbox:-\", \"maildir:~/Mail/it\", \"mbox:~/it.mbox\"]";
    account
        .set("deliver", list)
        .set("leave_on_server", "\"never\"")
        .write();
    let streamed = sandbox.run(&["sync", "--to", "mbox:-"]);
    assert_eq!(streamed.stdout.matches("From ").count(), 3);
    // One of them cannot take it yet: nothing is deleted before it has.
    fs::create_dir(sandbox.home("it.mbox")).expect("our own directory");
    sandbox.run(&["sync"]).ends_with(73);
    assert_eq!(mailbox.uids().len(), 3);
    fs::remove_dir(sandbox.home("it.mbox")).expect("it is empty");
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    for destination in ["maildir:~/Mail/it", "mbox:~/it.mbox"] {
        sandbox.holds_at(destination, &expected, "streamed before");
    }
    assert!(mailbox.uids().is_empty());
}

#[test]
fn what_was_streamed_comes_to_the_account_where_there_are_no_unique_ids_too() {
    let mailbox = Mailbox::with(small(3));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox).without_uidl();
    let sandbox = sandbox_for(&server);
    let stream = ["sync", "--to", "mbox:-"];
    let streamed = sandbox.run(&stream).stdout;
    assert_eq!(streamed.matches("From ").count(), 3);
    assert!(sandbox.run(&stream).stdout.is_empty());
    assert_eq!(mailbox.uids().len(), 3);
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(expected);
}

#[test]
fn an_account_that_streams_by_itself_gets_nothing_twice() {
    for rule in ["\"always\"", "\"never\""] {
        let mailbox = Mailbox::with(small(3));
        let server = Server::start(&mailbox);
        let sandbox = Sandbox::new();
        let account = sandbox.account("it", &server.endpoint());
        account
            .set("deliver", "\"mbox:-\"")
            .set("leave_on_server", rule)
            .write();
        let stream = ["sync", "--to", "mbox:-"];
        for line in [&["sync"][..], &stream] {
            mailbox.add(format!("{line:?}"), small(1).remove(0));
            let new = planned(&sandbox, "retrieve").len();
            let streamed = sandbox.run(line).ends_with(0).stdout.clone();
            assert_eq!(streamed.matches("From ").count(), new, "{line:?}");
            for again in [&["sync"][..], &stream] {
                sandbox.run(again).ends_with(0).says_nothing();
            }
        }
        assert_eq!(mailbox.uids().len(), 5);
    }
}

#[test]
fn what_is_stored_stays_stored_when_it_is_streamed() {
    let mailbox = Mailbox::with(small(3));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let sandbox = Sandbox::new();
    sandbox.account("it", &server.endpoint()).write();
    sandbox.run(&["sync"]).ends_with(0);
    let streamed = sandbox.run(&["sync", "--all", "--to", "mbox:-"]);
    assert_eq!(streamed.stdout.matches("From ").count(), 3);
    assert_eq!(planned(&sandbox, "leave"), mailbox.uids());
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    sandbox.mail("it").holds(&expected);
    let never = ["sync", "--leave-on-server", "never"];
    sandbox.run(&never).ends_with(0).says_nothing();
    assert!(mailbox.uids().is_empty() && server.retrievals().values().all(|&count| count == 2));
    sandbox.mail("it").holds(expected);
}

#[test]
fn a_mailbox_without_an_account_owes_its_stream_to_no_destination() {
    let mailbox = Mailbox::with(small(3));
    let sandbox = Sandbox::new();
    let server = Server::start(&mailbox).implicit_tls(sandbox.certificates());
    let endpoint = server.endpoint();
    let url = format!("pops://{}@127.0.0.1:{}", endpoint.user, endpoint.port);
    let password = sandbox.private_file("password", &endpoint.password);
    let authority = sandbox.certificates().authority_file();
    let (password, authority) = (
        password.display().to_string(),
        authority.display().to_string(),
    );
    let sync = |more: &[&str]| {
        let line = [
            "sync",
            "--url",
            &url,
            "--ca-file",
            &authority,
            "--password-file",
            &password,
        ];
        sandbox.run(&[&line[..], more].concat())
    };
    let streamed = sync(&["--to", "mbox:-", "--leave-on-server", "never"]);
    assert_eq!(streamed.ends_with(0).stdout.matches("From ").count(), 3);
    sync(&["--to", "maildir:~/Mail/it"])
        .ends_with(0)
        .says_nothing();
    assert_eq!(mailbox.uids().len(), 3);
    assert!(server.retrievals().values().all(|&count| count == 1));
}

#[test]
fn what_an_earlier_version_streamed_stays_seen() {
    let mailbox = Mailbox::default();
    let server = Server::start(&mailbox);
    let sandbox = Sandbox::new();
    // The name of the destination that such a run left out stands in the journal.
    let account = sandbox.account("it", &server.endpoint());
    account
        .set("deliver", "\"maildir:/home/alice/Mail/work\"")
        .set("leave_on_server", "\"never\"")
        .write();
    sandbox
        .run(&["state", "mark-seen", "it", "--all"])
        .ends_with(0);
    // This mailbox is another one than that of the first line.
    let header = fs::read_to_string(sandbox.journal()).expect("a journal");
    let (header, _) = header.split_once('\n').expect("a header");
    let streamed = include_str!("../data/journal/v1-streamed.jsonl");
    let (_, records) = streamed.split_once('\n').expect("records");
    fs::write(sandbox.journal(), format!("{header}\n{records}")).expect("our own file");
    for text in small(3) {
        mailbox.add(format!("uid-{}", mailbox.uids().len() + 1), text);
    }
    for line in [&["sync"][..], &["sync", "--to", "mbox:-"], &["sync"]] {
        sandbox.run(line).ends_with(0).says_nothing();
    }
    assert_eq!(planned(&sandbox, "leave"), mailbox.uids());
    assert!(server.retrievals().is_empty() && mailbox.uids().len() == 3);
    mailbox.add("new", small(4).remove(3));
    assert_eq!(planned(&sandbox, "retrieve"), ["new"]);
}

#[test]
fn thousands_of_messages_arrive_and_none_a_second_time() {
    let count = sampled(500, 5_000);
    let mut sandbox = Sandbox::new();
    sandbox.time_limit(Duration::from_secs(300));
    let mut dovecot = Dovecot::start(sandbox.certificates());
    dovecot.fill(realistic(count));
    sandbox
        .account("it", &dovecot.endpoint(Port::Implicit))
        .write();
    sandbox
        .shell("set -o pipefail; popfetch sync --to mbox:- | cat > out")
        .ends_with(0)
        .says_nothing();
    assert_same_texts(
        git_mailsplit(&sandbox.home("out")),
        realistic(count).map(|wire| stored_form(&wire)),
    );
    sandbox
        .run(&["sync", "--to", "mbox:-"])
        .ends_with(0)
        .says_nothing();
}

#[test]
fn a_pipe_that_is_closed_ends_the_run_in_order() {
    let mailbox = Mailbox::with(realistic(30));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server);
    let outcome =
        sandbox.shell("set -o pipefail; popfetch sync --to mbox:- | head -c 100 > beginning");
    outcome
        .ends_with(74)
        .complains("stopped reading")
        .complains("--all");
    let beginning = fs::read(sandbox.home("beginning")).expect("the beginning");
    assert!(beginning.len() == 100 && beginning.starts_with(b"From "));
    assert_eq!(mailbox.uids().len(), 30);

    // What could not be written comes with the next run, and all of it on demand.
    sandbox
        .shell("popfetch sync --to mbox:- > rest")
        .ends_with(0);
    let rest = git_mailsplit(&sandbox.home("rest"));
    let expected = mailbox.stored_forms();
    assert!(rest.len() > 20 && rest == expected[30 - rest.len()..]);
    sandbox
        .shell("popfetch sync --all --to mbox:- > all")
        .ends_with(0);
    assert!(git_mailsplit(&sandbox.home("all")) == expected);
    assert!(server.deletions().is_empty());
}

#[test]
fn several_accounts_make_one_stream() {
    let mailboxes = [small(3), one_of_each()].map(Mailbox::with);
    let servers = mailboxes.each_ref().map(Server::start);
    let sandbox = Sandbox::new();
    sandbox.configure("[defaults]\ndeliver = \"mbox:-\"\n\n");
    for (name, server) in ["one", "two"].into_iter().zip(&servers) {
        sandbox
            .account(name, &server.endpoint())
            .without("deliver")
            .write();
    }
    sandbox
        .shell("popfetch sync > out")
        .ends_with(0)
        .says_nothing();
    let expected = mailboxes.iter().flat_map(Mailbox::stored_forms);
    assert!(git_mailsplit(&sandbox.home("out")) == expected.collect::<Vec<_>>());
}

#[test]
fn a_list_with_a_file_in_it_is_a_proof_for_the_file_alone() {
    let mailbox = Mailbox::with(small(3));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let sandbox = Sandbox::new();
    sandbox
        .account("it", &server.endpoint())
        .set("deliver", "[\"mbox:-\", \"maildir:~/Mail/it\"]")
        .write();
    sandbox
        .shell("popfetch sync > out")
        .ends_with(0)
        .says_nothing();
    assert!(git_mailsplit(&sandbox.home("out")) == expected);
    sandbox.mail("it").holds(expected);
}

#[test]
fn mail_does_not_go_to_a_terminal() {
    let mailbox = Mailbox::with([b"Subject: \x1b[2J\r\n\r\n\x1b]0;title\x07\r\n".to_vec()]);
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server);
    let outcome =
        sandbox.shell("script -qec 'popfetch sync --to mbox:- 2>errors' /dev/null </dev/null");
    outcome.ends_with(73).keeps_to_itself("\x1b]0;title");
    let errors = fs::read_to_string(sandbox.home("errors")).expect("its errors");
    assert!(errors.contains("terminal"), "{errors}");
    assert_eq!(mailbox.uids().len(), 1);
}

#[test]
fn a_report_that_cannot_be_written_is_a_failure_and_costs_no_mail() {
    let mailboxes = [2, 3].map(|count| Mailbox::with(small(count)));
    let servers = mailboxes.each_ref().map(Server::start);
    let sandbox = Sandbox::new();
    for (name, server) in ["one", "two"].into_iter().zip(&servers) {
        sandbox.account(name, &server.endpoint()).write();
    }
    sandbox
        .shell("popfetch sync --jobs 1 --json > /dev/full")
        .ends_with(74)
        .complains("No space left on device");
    for (name, mailbox) in ["one", "two"].into_iter().zip(&mailboxes) {
        sandbox.mail(name).holds(mailbox.stored_forms());
    }
}

#[test]
fn mail_and_reports_do_not_share_standard_output() {
    let mailbox = Mailbox::with(small(1));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server);
    let outcome = sandbox.run(&["sync", "--to", "mbox:-", "--json"]);
    outcome.ends_with(64).complains("standard output");
    assert!(outcome.stdout.is_empty() && server.sessions().is_empty());
    sandbox
        .run(&["sync", "--to", "mbox:-", "--json", "-n"])
        .ends_with(0);
}
