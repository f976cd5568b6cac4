//! A place where mail was stored, and that is gone: removed, or on a disk that is not mounted.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::sandbox::{Outcome, Sandbox};
use crate::support::server::Server;
use crate::sync::sandbox_for;

const DELETING: [&str; 3] = ["sync", "--leave-on-server", "never"];
const REHEARSING: [&str; 4] = ["sync", "--leave-on-server", "never", "--dry-run"];

type Lose = fn(&Path);

/// How a place can be gone, each in the directory `~/disk`.
const WAYS: [(&str, Lose); 5] = [
    ("maildir:~/disk/it", |disk| remove(&disk.join("it"))),
    ("maildir:~/disk/it", remove),
    // The mount point is there, and nothing is mounted on it.
    ("maildir:~/disk/it", |disk| {
        remove(&disk.join("it"));
        make(&disk.join("it"));
    }),
    ("maildir:~/link", remove),
    ("mbox:~/disk/it", remove),
];

fn remove(path: &Path) {
    fs::remove_dir_all(path).expect("our own directory");
}

fn make(path: &Path) {
    fs::create_dir_all(path).expect("our own directory");
}

/// A sandbox whose mail goes there, and in which two messages are stored. One more has come since if `has_new`.
fn stored_two(deliver: &str, has_new: bool) -> (Mailbox, Server, Sandbox) {
    let mailbox = Mailbox::with(small(2));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[("deliver", deliver)]);
    make(&sandbox.home("disk/it"));
    remove(&sandbox.home("disk/it"));
    symlink(sandbox.home("disk"), sandbox.home("link")).expect("our own directory");
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    if has_new {
        mailbox.add("new", small(3).remove(2));
    }
    (mailbox, server, sandbox)
}

/// Runs the command of the hint.
#[track_caller]
fn begin_anew(sandbox: &Sandbox, failed: &Outcome) {
    let at = failed.stderr.find("mkdir -p ").expect("a hint");
    let command = failed.stderr[at..].lines().next().unwrap_or_default();
    sandbox.shell(&format!("umask 077; {command}")).ends_with(0);
}

#[test]
fn nothing_is_fetched_for_a_place_that_is_gone_and_nothing_deleted() {
    for (way, (deliver, lose)) in WAYS.into_iter().enumerate() {
        for has_new in [true, false] {
            let (mailbox, server, sandbox) = stored_two(&format!("{deliver:?}"), has_new);
            let (expected, fetched) = (mailbox.stored_forms(), server.retrievals());
            lose(&sandbox.home("disk"));
            let before = sandbox.files();
            for run in [&REHEARSING[..], &DELETING, &["sync"], &["sync", "--all"]] {
                let outcome = sandbox.run(run);
                let place = match deliver {
                    "mbox:~/disk/it" => "disk",
                    maildir => maildir.split_once("~/").expect("below home").1,
                };
                let place = sandbox.home(place).display().to_string();
                outcome
                    .ends_with(73)
                    .complains(&format!("{place} is gone, and mail was stored there"))
                    .complains("mount that");
                assert_eq!(server.retrievals(), fetched, "way {way}, {run:?}");
                assert_eq!(mailbox.uids().len(), 2 + usize::from(has_new));
                assert_eq!(sandbox.files(), before, "way {way}, {run:?}");
            }
            let json = sandbox.run(&["sync", "--json"]).json();
            assert_eq!(json[0]["error"]["kind"], "destination");

            begin_anew(&sandbox, &sandbox.run(&["sync"]));
            sandbox.run(&DELETING).ends_with(0).says_nothing();
            sandbox.holds_at(deliver, &expected[2..], "what came since");
            assert!(mailbox.uids().is_empty(), "way {way}");
        }
    }
}

#[test]
fn a_place_that_is_there_again_goes_on_where_it_was() {
    for deliver in ["maildir:~/disk/it", "mbox:~/disk/it"] {
        let (mailbox, _server, sandbox) = stored_two(&format!("{deliver:?}"), true);
        let expected = mailbox.stored_forms();
        let (disk, elsewhere) = (sandbox.home("disk"), sandbox.home("unmounted"));
        fs::rename(&disk, &elsewhere).expect("our own directory");
        sandbox.run(&DELETING).ends_with(73);
        fs::rename(&elsewhere, &disk).expect("our own directory");
        sandbox.run(&DELETING).ends_with(0).says_nothing();
        sandbox.holds_at(deliver, &expected, "mounted again");
        assert!(mailbox.uids().is_empty());
    }
}

#[test]
fn a_maildir_that_lacks_one_or_two_of_its_directories_gets_them_back() {
    for missing in [
        &["tmp"][..],
        &["new"],
        &["cur"],
        &["tmp", "cur"],
        &["tmp", "new"],
        &["new", "cur"],
    ] {
        let (mailbox, _server, sandbox) = stored_two("\"maildir:~/disk/it\"", true);
        let new = mailbox.stored_forms().remove(2);
        let maildir = sandbox.maildir("disk/it");
        for name in missing {
            remove(&maildir.path.join(name));
        }
        sandbox.run(&DELETING).ends_with(0).says_nothing();
        assert!(maildir.texts().contains(&new), "{missing:?}");
        assert!(mailbox.uids().is_empty(), "{missing:?}");
        maildir.is_sound();
    }
}

#[test]
fn an_mbox_that_a_reader_removed_begins_anew() {
    let (mailbox, _server, sandbox) = stored_two("\"mbox:~/disk/it\"", true);
    let new = mailbox.stored_forms().remove(2);
    fs::remove_file(sandbox.home("disk/it")).expect("our own file");
    sandbox.run(&REHEARSING).ends_with(0);
    sandbox.run(&DELETING).ends_with(0).says_nothing();
    sandbox.holds_at("mbox:~/disk/it", &[new], "what came since");
    assert!(mailbox.uids().is_empty());
}

#[test]
fn what_was_deleted_on_the_server_counts_as_stored() {
    let (mailbox, server, sandbox) = stored_two("\"maildir:~/disk/it\"", false);
    sandbox.run(&DELETING).ends_with(0);
    assert!(mailbox.uids().is_empty());
    mailbox.add("new", small(3).remove(2));
    let fetched = server.retrievals();
    remove(&sandbox.home("disk"));
    for run in [&REHEARSING[..], &DELETING] {
        sandbox.run(run).ends_with(73).complains("is gone");
    }
    assert_eq!(server.retrievals(), fetched);
    assert_eq!(mailbox.uids(), ["new"]);
}

#[test]
fn what_no_journal_knows_is_made() {
    // Another path; the same one, and the journal is lost.
    for (run, forgets) in [
        (
            &["sync", "--all", "--to", "maildir:~/disk/other"][..],
            false,
        ),
        (&["sync"], true),
    ] {
        let (mailbox, _server, sandbox) = stored_two("\"maildir:~/disk/it\"", true);
        let expected = mailbox.stored_forms();
        remove(&sandbox.home("disk"));
        if forgets {
            remove(&sandbox.state());
        }
        sandbox.run(run).ends_with(0).says_nothing();
        let path = if forgets { "disk/it" } else { "disk/other" };
        sandbox.maildir(path).holds(&expected);
        sandbox.maildir(path).is_sound();
    }
}

#[test]
fn a_run_that_sends_mail_elsewhere_deletes_nothing_while_the_accounts_own_place_is_gone() {
    for (deliver, lose) in WAYS {
        let (mailbox, _server, sandbox) = stored_two(&format!("{deliver:?}"), true);
        let new = mailbox.stored_forms().remove(2);
        let elsewhere = ["--to", "maildir:~/elsewhere"];
        let away = sandbox.home("away");
        fs::rename(sandbox.home("disk"), &away).expect("our own directory");
        make(&sandbox.home("disk/it"));
        lose(&sandbox.home("disk"));
        let dry = sandbox.run(&[&REHEARSING[..], &elsewhere].concat());
        dry.ends_with(0).complains("nothing is deleted");
        assert!(!dry.stdout.contains("delete"), "{dry:#?}");
        sandbox
            .run(&[&DELETING[..], &elsewhere].concat())
            .ends_with(0)
            .complains("is gone, and mail was stored there: nothing is deleted on the server");
        sandbox.maildir("elsewhere").holds([&new]);
        assert_eq!(mailbox.uids().len(), 3, "{deliver}");

        let _ = fs::remove_dir_all(sandbox.home("disk"));
        fs::rename(&away, sandbox.home("disk")).expect("our own directory");
        sandbox
            .run(&[&DELETING[..], &elsewhere].concat())
            .ends_with(0)
            .says_nothing();
        assert!(mailbox.uids().is_empty(), "{deliver}");
    }
}

#[test]
fn of_a_list_only_the_place_that_is_gone_waits_for_its_mail() {
    for (gone, there) in [
        ("maildir:~/disk/it", "maildir:~/there"),
        ("maildir:~/disk/it", "mbox:~/there"),
        ("mbox:~/disk/it", "maildir:~/there"),
    ] {
        let deliver = format!("[{gone:?}, {there:?}]");
        let (mailbox, server, sandbox) = stored_two(&deliver, true);
        let expected = mailbox.stored_forms();
        let away = sandbox.home("away");
        fs::rename(sandbox.home("disk"), &away).expect("our own directory");
        let dry = sandbox.run(&REHEARSING);
        dry.ends_with(73).complains("is gone");
        assert!(!dry.stdout.contains("delete"), "{dry:#?}");
        // Each time once more in vain, but what only the missing one lacks is fetched once.
        for _ in 0..3 {
            sandbox.run(&DELETING).ends_with(73).complains("is gone");
            sandbox.holds_at(there, &expected, gone);
            assert_eq!(mailbox.uids().len(), 3, "{gone}");
            assert!(!sandbox.home("disk").exists());
        }
        assert!(server.retrievals().values().all(|&times| times == 1));

        fs::rename(&away, sandbox.home("disk")).expect("our own directory");
        sandbox.run(&DELETING).ends_with(0).says_nothing();
        for destination in [gone, there] {
            sandbox.holds_at(destination, &expected, destination);
        }
        assert!(mailbox.uids().is_empty());
    }
}

#[test]
fn a_path_in_the_hint_is_one_word_for_a_shell() {
    let name = "my mail's $(touch x) `y` \\\"z\\\"";
    let (mailbox, _server, sandbox) = stored_two(&format!("\"maildir:~/disk/{name}\""), true);
    let new = mailbox.stored_forms().remove(2);
    remove(&sandbox.home("disk"));
    begin_anew(&sandbox, &sandbox.run(&["sync"]));
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    let name = name.replace('\\', "");
    sandbox.maildir(&format!("disk/{name}")).holds([&new]);
}
