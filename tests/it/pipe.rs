//! Mail into commands: mail programs as they are, and commands as bad as they come.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use crate::support::dovecot::{Dovecot, Port};
use crate::support::mailbox::Mailbox;
use crate::support::messages::{Generator, Shape, one_of_each, realistic, small, stored_form};
use crate::support::readers::git_mailsplit;
use crate::support::sampling::sampled;
use crate::support::sandbox::{Sandbox, assert_same_texts};
use crate::support::server::Server;

/// A sandbox with one account, `it`, for this server, whose mail goes to these destinations, a TOML
/// value, and is deleted then. A command that makes no progress is given up after a second.
fn sandbox_with(server: &Server, destinations: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox
        .account("it", &server.endpoint())
        .set("deliver", destinations)
        .set("leave_on_server", "\"never\"")
        .write();
    fs::create_dir(sandbox.home("got")).expect("our own directory");
    sandbox.variable("POPFETCH_TEST_PIPE_WAIT", "1000");
    sandbox
}

/// The same, for one command.
fn sandbox_for(server: &Server, command: &str) -> Sandbox {
    sandbox_with(server, &format!("'''pipe:{command}'''"))
}

/// What the command of a test wrote, in the order of the names.
fn got(sandbox: &Sandbox) -> Vec<Vec<u8>> {
    files(sandbox, "got")
}

fn files(sandbox: &Sandbox, directory: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(sandbox.home(directory)).expect("a directory");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    let read = |path| fs::read(path).expect("a file");
    paths.into_iter().map(read).collect()
}

#[test]
fn every_shape_of_message_arrives_byte_for_byte_and_only_once() {
    let mailbox = Mailbox::with(one_of_each());
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, "cat > got/$POPFETCH_UID; wc -c got/* >&1");
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    assert_same_texts(got(&sandbox), expected);
    assert!(mailbox.uids().is_empty());
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
}

#[test]
fn thousands_of_messages_arrive_and_none_a_second_time() {
    let count = sampled(300, 5_000);
    let mut sandbox = Sandbox::new();
    sandbox.time_limit(Duration::from_secs(600));
    let mut dovecot = Dovecot::start(sandbox.certificates());
    dovecot.fill(realistic(count));
    sandbox
        .account("it", &dovecot.endpoint(Port::Implicit))
        .set("deliver", "'pipe:cat >> got/$POPFETCH_UID'")
        .set("pipe_jobs", "4")
        .write();
    fs::create_dir(sandbox.home("got")).expect("our own directory");
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    let expected = || realistic(count).map(|wire| stored_form(&wire));
    assert_same_texts(got(&sandbox), expected());
    // A message that came twice would be twice as long now.
    let outcome = sandbox.run(&["sync", "--json"]);
    outcome.ends_with(0);
    assert_eq!(outcome.json()[0]["stored"]["messages"], 0);
    assert_same_texts(got(&sandbox), expected());
}

#[test]
fn real_receivers_store_what_they_are_given() {
    for (receiver, preparation) in [
        (
            "procmail ~/procmailrc",
            "echo \"DEFAULT=$HOME/box/\" > procmailrc; chmod 600 procmailrc",
        ),
        (
            "maildrop ~/mailfilter",
            "echo \"to \\\"$HOME/box\\\"\" > mailfilter; chmod 600 mailfilter",
        ),
        (
            "NOTMUCH_CONFIG=~/notmuch notmuch insert",
            "printf '[database]\\npath=%s/box\\n' \"$HOME\" > notmuch
             NOTMUCH_CONFIG=~/notmuch notmuch new",
        ),
    ] {
        let mut generator = Generator::new(3);
        let shapes = [
            Shape::Plain,
            Shape::Attachment,
            Shape::EightBit,
            Shape::Dots,
            Shape::FromLines,
        ];
        let texts = shapes.map(|shape| generator.message(shape, 20_000));
        let mailbox = Mailbox::with(texts);
        let expected = mailbox.stored_forms();
        let server = Server::start(&mailbox);
        let sandbox = sandbox_for(&server, receiver);
        sandbox
            .shell(&format!("mkdir -p box/cur box/new box/tmp\n{preparation}"))
            .ends_with(0);
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
        let mut stored = files(&sandbox, "box/new");
        stored.extend(files(&sandbox, "box/cur"));
        assert_same_texts(stored, expected);
        assert!(mailbox.uids().is_empty(), "{receiver}");
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
    }
}

#[test]
fn notmuch_finds_what_it_was_given() {
    let mailbox = Mailbox::with(small(12));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, "NOTMUCH_CONFIG=~/notmuch notmuch insert");
    let line = "mkdir -p box/cur box/new box/tmp
                printf '[database]\\npath=%s/box\\n' \"$HOME\" > notmuch
                NOTMUCH_CONFIG=~/notmuch notmuch new";
    sandbox.shell(line).ends_with(0);
    sandbox.run(&["sync"]).ends_with(0);
    let found = sandbox.shell("NOTMUCH_CONFIG=~/notmuch notmuch count --output=files '*'");
    assert_eq!(found.stdout, "12\n");
}

#[test]
fn dovecots_own_delivery_agent_stores_what_it_is_given() {
    let mailbox = Mailbox::with(realistic(20));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let certificates = Sandbox::new();
    let dovecot = Dovecot::start(certificates.certificates());
    let sandbox = sandbox_for(&server, &dovecot.delivery_agent());
    let outcome = sandbox.run(&["sync"]);
    outcome.ends_with(0);
    assert_same_texts(dovecot.delivered(), expected);
    assert!(mailbox.uids().is_empty());
}

#[test]
fn formail_splits_the_stream_for_procmail() {
    let mailbox = Mailbox::with(small(10));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_with(&server, "\"mbox:-\"");
    let line = "set -o pipefail; echo \"DEFAULT=$HOME/box/\" > procmailrc; chmod 600 procmailrc
                popfetch sync --to mbox:- | formail -s procmail ~/procmailrc";
    sandbox.shell(line).ends_with(0).says_nothing();
    // formail leaves the empty line that ends each message of an mbox.
    let with_separator = |text: Vec<u8>| [&text[..], b"\n"].concat();
    assert_same_texts(
        files(&sandbox, "box/new"),
        mailbox.stored_forms().into_iter().map(with_separator),
    );
}

#[test]
fn what_comes_from_outside_cannot_leave_its_quotes() {
    let mailbox = Mailbox::default();
    for (uid, sender) in [
        (&b"a'b\"c`d$(touch broken)"[..], "<x;touch&broken@y>"),
        (b"-rf", "\"a\\\" b\" <'q'@example.org>"),
        (b"\x1b[2J\xff\x80%25", "<$(touch${IFS}broken)@y>"),
    ] {
        let text = format!("Return-Path: {sender}\r\n\r\ntext\r\n");
        mailbox.add(uid, text.into_bytes());
    }
    let server = Server::start(&mailbox);
    let command = "cat > /dev/null; eval \"echo $POPFETCH_UID $POPFETCH_SENDER\" >> log; \
                   eval \"echo '$POPFETCH_UID' '$POPFETCH_SENDER'\" >> log; \
                   for v in $POPFETCH_ACCOUNT $POPFETCH_UID $POPFETCH_SENDER $POPFETCH_SIZE; do \
                   printf '%s\\n' \"$v\"; done >> words; env >> env";
    let mut sandbox = sandbox_for(&server, command);
    sandbox.variable("POPFETCH_PASSWORD", "hunter2");
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    assert!(!sandbox.home("broken").exists());
    let log = fs::read_to_string(sandbox.home("log")).expect("written");
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 6, "{log}");
    assert!(lines.chunks(2).all(|pair| pair[0] == pair[1]), "{log}");
    let words = fs::read_to_string(sandbox.home("words")).expect("written");
    assert_eq!(words.lines().count(), 12, "{words}");
    assert!(words.lines().all(|word| !word.starts_with('-')), "{words}");
    let environment = fs::read_to_string(sandbox.home("env")).expect("written");
    assert!(!environment.contains("hunter2"));
}

#[test]
fn a_command_that_is_not_there_gets_no_second_message_and_is_named() {
    for (command, complaint) in [
        (
            "no-such-command --now",
            "\"no-such-command --now\" was not found",
        ),
        ("/etc/passwd", "\"/etc/passwd\" cannot be run"),
    ] {
        let mailbox = Mailbox::with(small(8));
        let server = Server::start(&mailbox);
        let sandbox = sandbox_for(&server, command);
        sandbox.run(&["sync"]).ends_with(73).complains(complaint);
        assert_eq!(mailbox.uids().len(), 8);
    }
}

#[test]
fn what_a_command_refuses_stays_on_the_server_and_comes_again() {
    for (refusal, complaint) in [
        ("exit 75", "cannot take a message now"),
        ("exit 1", "exit status: 1"),
        ("kill -KILL $$", "signal: 9"),
    ] {
        let mailbox = Mailbox::with(small(6));
        let expected = mailbox.stored_forms();
        let server = Server::start(&mailbox);
        let command = format!(
            "[ -e fixed ] || case $POPFETCH_UID in uid-2|uid-5) {refusal};; esac; cat > got/$POPFETCH_UID"
        );
        let sandbox = sandbox_for(&server, &command);
        let outcome = sandbox.run(&["sync"]);
        outcome.ends_with(1).complains(complaint).complains("uid-5");
        assert_eq!(got(&sandbox).len(), 4);
        assert_eq!(mailbox.uids(), ["uid-2", "uid-5"]);
        sandbox.private_file("fixed", "");
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
        assert_same_texts(got(&sandbox), expected);
        assert!(mailbox.uids().is_empty());
    }
}

#[test]
fn five_refusals_in_a_row_end_it() {
    for (status, ends_with) in [("75", 75), ("1", 73)] {
        let mailbox = Mailbox::with(small(20));
        let server = Server::start(&mailbox);
        let sandbox = sandbox_for(&server, &format!("echo >> log; exit {status}"));
        sandbox.run(&["sync"]).ends_with(ends_with);
        let log = fs::read_to_string(sandbox.home("log")).expect("written");
        assert_eq!(log.len(), 5);
        assert_eq!(mailbox.uids().len(), 20);
    }
}

#[test]
fn a_command_that_hangs_is_killed_with_all_it_started() {
    for command in [
        "sleep 1000",
        "trap '' TERM INT HUP; while :; do sleep 1; done",
        "sleep 1000 & echo $! > child; wait",
    ] {
        let mailbox = Mailbox::with(small(3));
        let server = Server::start(&mailbox);
        let sandbox = sandbox_for(&server, command);
        sandbox.run(&["sync"]).ends_with(75).complains("was killed");
        assert_eq!(mailbox.uids().len(), 3);
        if let Ok(child) = fs::read_to_string(sandbox.home("child")) {
            let stat = fs::read_to_string(format!("/proc/{}/stat", child.trim()));
            assert!(
                stat.map_or(true, |stat| stat.contains(") Z ")),
                "it lives on"
            );
        }
    }
}

#[test]
fn a_command_need_not_read_nor_be_quiet_nor_clean_up() {
    let large = Generator::new(1).message(Shape::Plain, 500_000);
    for (command, said) in [
        ("true", None),
        ("exec <&-; sleep 0.3", None),
        // Longer than the test waits for the run.
        ("cat > /dev/null; sleep 100 &", None),
        ("sleep 100 <&0 >&2 & head -c 10 > /dev/null", None),
        (
            "head -c 3000000 /dev/zero | tr '\\0' x >&2; cat >/dev/null",
            Some("xxx"),
        ),
        ("head -c 30000000 /dev/zero; cat >/dev/null", None),
        (
            "printf 'a\\033[2Jb\\nc' >&2; cat > /dev/null",
            Some("says: a\\x1b[2Jb"),
        ),
    ] {
        let mailbox = Mailbox::with([large.clone(), small(1).remove(0)]);
        let server = Server::start(&mailbox);
        let sandbox = sandbox_for(&server, command);
        let outcome = sandbox.run(&["sync"]);
        outcome.ends_with(0).keeps_to_itself("\x1b");
        assert!(mailbox.uids().is_empty(), "{command}");
        assert!(outcome.stdout.is_empty());
        match said {
            Some(text) => outcome.complains(text),
            None => outcome.says_nothing(),
        };
        // 4 KB of each of the two, and what is put before each line.
        assert!(outcome.stderr.len() < 20_000, "{command}");
    }
}

#[test]
fn several_run_at_once_where_that_is_wanted() {
    let mailbox = Mailbox::with(small(12));
    let server = Server::start(&mailbox);
    // Each waits until four are there, or gives up.
    let command = "cat > got/$POPFETCH_UID; mkdir -p here; : > here/$POPFETCH_UID; \
                   for n in $(seq 100); do \
                   [ $(ls here | wc -l) -ge 4 ] && exit 0; sleep 0.05; done; exit 1";
    let sandbox = sandbox_for(&server, command);
    let path = sandbox.home(".config/popfetch/config.toml");
    let mut text = fs::read_to_string(&path).expect("our own file");
    let _ = writeln!(text, "pipe_jobs = 4");
    sandbox.configure(&text);
    let expected = mailbox.stored_forms();
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    assert_same_texts(got(&sandbox), expected);
    assert!(mailbox.uids().is_empty());
}

#[test]
fn a_retry_serves_only_the_destination_that_lacks_the_message() {
    let mailbox = Mailbox::with(small(4));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let command =
        "case $POPFETCH_UID in uid-3) [ -e fixed ] || exit 1;; esac; cat >> got/$POPFETCH_UID";
    let list = format!("['''pipe:{command}''', 'mbox:~/inbox', 'maildir:~/Mail/it']");
    let sandbox = sandbox_with(&server, &list);
    sandbox.run(&["sync"]).ends_with(1).complains("uid-3");
    sandbox.mail("it").holds(&expected);
    assert_eq!(got(&sandbox).len(), 3);
    assert_eq!(mailbox.uids(), ["uid-3"]);
    sandbox.private_file("fixed", "");
    for _ in 0..2 {
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
        sandbox.mail("it").holds(&expected);
        assert!(git_mailsplit(&sandbox.home("inbox")) == expected);
        assert_same_texts(got(&sandbox), &expected);
    }
    assert!(mailbox.uids().is_empty());
}

#[test]
fn commands_come_last() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_with(
        &server,
        "['pipe:ls Mail/it/new | wc -l >> log', 'maildir:~/Mail/it']",
    );
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    // Each message is in the Maildir already when the command gets it.
    let log = fs::read_to_string(sandbox.home("log")).expect("written");
    assert_eq!(log, "1\n2\n3\n");
    assert!(mailbox.uids().is_empty());
}

#[test]
fn a_destination_that_is_added_later_is_owed_nothing_old() {
    let mailbox = Mailbox::with(small(2));
    let server = Server::start(&mailbox);
    let sandbox = Sandbox::new();
    sandbox.account("it", &server.endpoint()).write();
    sandbox.run(&["sync"]).ends_with(0);
    mailbox.add("later", small(3).remove(2));
    fs::remove_file(sandbox.home(".config/popfetch/config.toml")).expect("our own file");
    fs::create_dir(sandbox.home("got")).expect("our own directory");
    sandbox
        .account("it", &server.endpoint())
        .set(
            "deliver",
            "['maildir:~/Mail/it', 'pipe:cat > got/$POPFETCH_UID', 'mbox:~/inbox']",
        )
        .write();
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    let expected = mailbox.stored_forms();
    sandbox.mail("it").holds(&expected);
    assert_eq!(got(&sandbox), expected[2..]);
    assert!(git_mailsplit(&sandbox.home("inbox")) == expected[2..]);
}
