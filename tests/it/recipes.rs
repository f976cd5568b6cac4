//! The recipes of the README, as they are typed there. What they are made of has tests of its own;
//! these prove that the lines work.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;

use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::readers::git_mailsplit;
use crate::support::server::{Fault, GREETING, Server};
use crate::support::world::{World, assert_same_texts};

/// A world with an account `work`, whose mail goes there.
fn world_with(server: &Server, deliver: &str) -> World {
    let world = World::new();
    let account = world.account("work", &server.endpoint());
    account.set("deliver", deliver).write();
    world
}

/// A Maildir with nothing in it.
fn empty_maildir(world: &World, path: &str) {
    for folder in ["new", "cur", "tmp"] {
        fs::create_dir_all(world.home(path).join(folder)).expect("our own folder");
    }
}

#[test]
fn cron_hears_of_what_is_wrong_and_of_nothing_else() {
    let mailbox = Mailbox::with(small(2));
    let server = Server::start(&mailbox);
    let mut world = World::new();
    let account = world
        .account("work", &server.endpoint())
        .set("quiet_temporary", "\"6h\"");
    account.write();
    // As cron runs it: nearly no environment, and whatever is printed becomes a letter.
    let line = "letter=$(env -i HOME=\"$HOME\" LOGNAME=alice SHELL=/bin/sh PATH=/usr/bin:/bin \
                POPFETCH_TEST_NOW=\"$POPFETCH_TEST_NOW\" \
                /bin/sh -c \"$(command -v popfetch) sync\" 2>&1); status=$?; \
                printf '%s' \"$letter\"; exit $status";
    world.at("2026-03-01T12:00:00Z");
    world.shell(line).ends_with(0).says_nothing();
    world.mail("work").holds(mailbox.stored_forms());
    let _away = server.on(GREETING, Fault::CloseBefore);
    world.shell(line).ends_with(69).says_nothing();
    world.at("2026-03-01T18:00:00Z");
    let outcome = world.shell(line);
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
        let world = world_with(&server, &format!("\"pipe:{receiver}\""));
        let home = world.home("").display().to_string();
        world.private_file(file, &rules.replace('@', home.trim_end_matches('/')));
        empty_maildir(&world, "inbox");
        empty_maildir(&world, "second");
        world.run(&["sync"]).ends_with(0).says_nothing();
        let second = expected.remove(1);
        world.maildir("second").holds([second]);
        world.maildir("inbox").holds(expected);
    }
}

#[test]
fn an_archive_before_leaving_a_provider_is_whole_however_often_it_is_stopped() {
    let mailbox = Mailbox::with(small(40));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox).once("RETR 25", Fault::StallWithin(50));
    let mut world = world_with(&server, "\"maildir:~/Mail/work\"");
    // What arrived here before does not matter, and what is archived changes nothing for it.
    world.run(&["sync", "--limit", "5"]).ends_with(0);
    let archive = "sync --leave-on-server always --to mbox:archive/work.mbox work";
    let state = world.home("archive/state").display().to_string();
    world.variable("XDG_STATE_HOME", &state);
    let arguments: Vec<&str> = archive.split(' ').collect();
    let running = world.start(&arguments);
    server.wait_for("RETR 25");
    running.signal(Signal::KILL);
    running.finish();
    let line = format!("XDG_STATE_HOME=~/archive/state popfetch {archive}");
    for _ in 0..2 {
        world.shell(&line).ends_with(0).says_nothing();
        assert_same_texts(git_mailsplit(&world.home("archive/work.mbox")), &expected);
    }
    assert_eq!(mailbox.uids().len(), 40);
    world.variable(
        "XDG_STATE_HOME",
        &world.home(".local/state").display().to_string(),
    );
    world.run(&["sync"]).ends_with(0);
    world.mail("work").holds(&expected);
}

#[test]
fn another_machine_takes_each_message_or_a_stream() {
    let mailbox = Mailbox::with(small(3));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let world = world_with(&server, "\"pipe:ssh nas 'maildrop ~/.mailfilter'\"");
    // ssh, as far as this machine can play the other one.
    let ssh = world.private_file(
        "bin/ssh",
        "#!/bin/sh\n[ \"$1\" = nas ] && shift && exec sh -c \"$*\"\n",
    );
    fs::set_permissions(ssh, fs::Permissions::from_mode(0o700)).expect("our own file");
    let rules = format!("to \"{}\"\n", world.home("far").display());
    world.private_file(".mailfilter", &rules);
    empty_maildir(&world, "far");
    world
        .shell("PATH=~/bin:$PATH popfetch sync")
        .ends_with(0)
        .says_nothing();
    world.maildir("far").holds(&expected);

    world
        .shell("set -o pipefail; PATH=~/bin:$PATH; popfetch sync --all --to mbox:- | ssh nas 'cat >> work.mbox'")
        .ends_with(0)
        .says_nothing();
    assert!(git_mailsplit(&world.home("work.mbox")) == expected);
}

#[test]
fn several_accounts_share_defaults_and_can_be_named() {
    let mailboxes = [2, 3].map(|count| Mailbox::with(small(count)));
    let servers = mailboxes.each_ref().map(Server::start);
    let mut world = World::new();
    world.configure("[defaults]\nleave_on_server = \"30d\"\n\n");
    for (name, server) in ["work", "home"].into_iter().zip(&servers) {
        world.account(name, &server.endpoint()).write();
    }
    world.at("2026-03-01T12:00:00Z");
    world
        .shell("popfetch sync home")
        .ends_with(0)
        .says_nothing();
    assert!(servers[0].sessions().is_empty());
    world.shell("popfetch sync").ends_with(0).says_nothing();
    for (name, mailbox) in ["work", "home"].into_iter().zip(&mailboxes) {
        world.mail(name).holds(mailbox.stored_forms());
    }
    // Thirty days later they are deleted, and not before.
    world.at("2026-03-31T11:59:59Z");
    world.shell("popfetch sync").ends_with(0);
    assert!(mailboxes.iter().all(|mailbox| !mailbox.uids().is_empty()));
    world.at("2026-03-31T12:00:00Z");
    world.shell("popfetch sync").ends_with(0);
    assert!(mailboxes.iter().all(|mailbox| mailbox.uids().is_empty()));
}

#[test]
fn whoever_has_the_old_mail_already_begins_with_the_new() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox);
    let world = World::new();
    let account = world.account("work", &server.endpoint());
    account.set("leave_on_server", "\"never\"").write();
    world
        .shell("popfetch state mark-seen work --all")
        .ends_with(0)
        .says_nothing();
    assert!(server.retrievals().is_empty());
    mailbox.add("new", small(4).remove(3));
    let expected = mailbox.stored_forms().split_off(3);
    world.run(&["sync"]).ends_with(0).says_nothing();
    world.mail("work").holds(&expected);
    assert_eq!(mailbox.uids(), ["uid-1", "uid-2", "uid-3"]);
}
