//! The recipes of the README, as they are typed there. What they are made of has tests of its own;
//! these prove that the lines work.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;

use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::readers::git_mailsplit;
use crate::support::sandbox::{Sandbox, assert_same_texts};
use crate::support::server::{Fault, GREETING, Server};

/// A sandbox with an account `work`, whose mail goes there.
fn sandbox_with(server: &Server, deliver: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let account = sandbox.account("work", &server.endpoint());
    account.set("deliver", deliver).write();
    sandbox
}

/// A Maildir with nothing in it.
fn empty_maildir(sandbox: &Sandbox, path: &str) {
    for directory in ["new", "cur", "tmp"] {
        fs::create_dir_all(sandbox.home(path).join(directory)).expect("our own directory");
    }
}

#[test]
fn cron_reports_errors_and_nothing_else() {
    let mailbox = Mailbox::with(small(2));
    let server = Server::start(&mailbox);
    let mut sandbox = Sandbox::new();
    let account = sandbox
        .account("work", &server.endpoint())
        .set("quiet_temporary", "\"6h\"");
    account.write();
    // As cron runs it: nearly no environment, and whatever is printed becomes an email.
    let line = "email=$(env -i HOME=\"$HOME\" LOGNAME=alice SHELL=/bin/sh PATH=/usr/bin:/bin \
                POPFETCH_TEST_NOW=\"$POPFETCH_TEST_NOW\" \
                /bin/sh -c \"$(command -v popfetch) sync\" 2>&1); status=$?; \
                printf '%s' \"$email\"; exit $status";
    sandbox.at("2026-03-01T12:00:00Z");
    sandbox.shell(line).ends_with(0).says_nothing();
    sandbox.mail("work").holds(mailbox.stored_forms());
    let _away = server.on(GREETING, Fault::CloseBefore);
    sandbox.shell(line).ends_with(69).says_nothing();
    sandbox.at("2026-03-01T18:00:00Z");
    let outcome = sandbox.shell(line);
    outcome.ends_with(69);
    assert!(
        outcome.stdout.starts_with("popfetch: work: "),
        "{outcome:#?}"
    );
}

#[test]
fn procmail_and_maildrop_sort_what_arrives() {
    for (receiver, file, rules) in [
        (
            "procmail ~/.procmailrc",
            ".procmailrc",
            "DEFAULT=@/inbox/\n:0\n* ^Subject:.*number 2\n@/second/\n",
        ),
        (
            "maildrop ~/.mailfilter",
            ".mailfilter",
            "if (/^Subject:.*number 2/)\n{\n  to \"@/second\"\n}\nto \"@/inbox\"\n",
        ),
    ] {
        let mailbox = Mailbox::default();
        for number in 1..=3 {
            let text = format!("Subject: number {number}\r\n\r\ntext\r\n");
            mailbox.add(format!("{number}"), text.into_bytes());
        }
        let mut expected = mailbox.stored_forms();
        let server = Server::start(&mailbox);
        let sandbox = sandbox_with(&server, &format!("\"pipe:{receiver}\""));
        let home = sandbox.home("").display().to_string();
        sandbox.private_file(file, &rules.replace('@', home.trim_end_matches('/')));
        empty_maildir(&sandbox, "inbox");
        empty_maildir(&sandbox, "second");
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
        let second = expected.remove(1);
        sandbox.maildir("second").holds([second]);
        sandbox.maildir("inbox").holds(expected);
    }
}

#[test]
fn an_archive_before_leaving_a_provider_is_whole_however_often_it_is_stopped() {
    let mailbox = Mailbox::with(small(40));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox).once("RETR 25", Fault::StallWithin(50));
    let mut sandbox = sandbox_with(&server, "\"maildir:~/Mail/work\"");
    // What arrived here before does not matter, and what is archived changes nothing for it.
    sandbox.run(&["sync", "--limit", "5"]).ends_with(0);
    let archive = "sync --leave-on-server always --to mbox:archive/work.mbox work";
    let state = sandbox.home("archive/state").display().to_string();
    sandbox.variable("XDG_STATE_HOME", &state);
    let arguments: Vec<&str> = archive.split(' ').collect();
    let running = sandbox.start(&arguments);
    server.wait_for("RETR 25");
    running.signal(Signal::KILL);
    running.finish();
    let line = format!("XDG_STATE_HOME=~/archive/state popfetch {archive}");
    for _ in 0..2 {
        sandbox.shell(&line).ends_with(0).says_nothing();
        assert_same_texts(git_mailsplit(&sandbox.home("archive/work.mbox")), &expected);
    }
    assert_eq!(mailbox.uids().len(), 40);
    sandbox.variable(
        "XDG_STATE_HOME",
        &sandbox.home(".local/state").display().to_string(),
    );
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("work").holds(&expected);
}

#[test]
fn another_machine_takes_each_message_or_a_stream() {
    let mailbox = Mailbox::with(small(3));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let sandbox = sandbox_with(&server, "\"pipe:ssh nas 'maildrop ~/.mailfilter'\"");
    // ssh, as far as this machine can play the other one.
    let ssh = sandbox.private_file(
        "bin/ssh",
        "#!/bin/sh\n[ \"$1\" = nas ] && shift && exec sh -c \"$*\"\n",
    );
    fs::set_permissions(ssh, fs::Permissions::from_mode(0o700)).expect("our own file");
    let rules = format!("to \"{}\"\n", sandbox.home("far").display());
    sandbox.private_file(".mailfilter", &rules);
    empty_maildir(&sandbox, "far");
    sandbox
        .shell("PATH=~/bin:$PATH popfetch sync")
        .ends_with(0)
        .says_nothing();
    sandbox.maildir("far").holds(&expected);

    sandbox
        .shell("set -o pipefail; PATH=~/bin:$PATH; popfetch sync --all --to mbox:- | ssh nas 'cat >> work.mbox'")
        .ends_with(0)
        .says_nothing();
    assert!(git_mailsplit(&sandbox.home("work.mbox")) == expected);
}

#[test]
fn several_accounts_share_defaults_and_can_be_named() {
    let mailboxes = [2, 3].map(|count| Mailbox::with(small(count)));
    let servers = mailboxes.each_ref().map(Server::start);
    let mut sandbox = Sandbox::new();
    sandbox.configure("[defaults]\nleave_on_server = \"30d\"\n\n");
    for (name, server) in ["work", "home"].into_iter().zip(&servers) {
        sandbox.account(name, &server.endpoint()).write();
    }
    sandbox.at("2026-03-01T12:00:00Z");
    sandbox
        .shell("popfetch sync home")
        .ends_with(0)
        .says_nothing();
    assert!(servers[0].sessions().is_empty());
    sandbox.shell("popfetch sync").ends_with(0).says_nothing();
    for (name, mailbox) in ["work", "home"].into_iter().zip(&mailboxes) {
        sandbox.mail(name).holds(mailbox.stored_forms());
    }
    // Thirty days later they are deleted, and not before.
    sandbox.at("2026-03-31T11:59:59Z");
    sandbox.shell("popfetch sync").ends_with(0);
    assert!(mailboxes.iter().all(|mailbox| !mailbox.uids().is_empty()));
    sandbox.at("2026-03-31T12:00:00Z");
    sandbox.shell("popfetch sync").ends_with(0);
    assert!(mailboxes.iter().all(|mailbox| mailbox.uids().is_empty()));
}

#[test]
fn once_all_old_mail_is_marked_sync_begins_with_the_new() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox);
    let sandbox = Sandbox::new();
    let account = sandbox.account("work", &server.endpoint());
    account.set("leave_on_server", "\"never\"").write();
    sandbox
        .shell("popfetch state mark-seen work --all")
        .ends_with(0)
        .says_nothing();
    assert!(server.retrievals().is_empty());
    mailbox.add("new", small(4).remove(3));
    let expected = mailbox.stored_forms().split_off(3);
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    sandbox.mail("work").holds(&expected);
    assert_eq!(mailbox.uids(), ["uid-1", "uid-2", "uid-3"]);
}
