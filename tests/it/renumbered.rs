//! A server that moved to other software gives every message another id: what is stored is known again
//! by its content, and only a copy that is still in its place stands for a deletion.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::mailbox::Mailbox;
use crate::support::messages::{Generator, Shape, small};
use crate::support::sandbox::{Outcome, Sandbox};
use crate::support::server::{Fault, Server};
use crate::sync::sandbox_for;

const NEVER: [&str; 3] = ["sync", "--leave-on-server", "never"];

/// What is said of messages whose copies are missing.
const MISSING: &str = "their copies are not found where they were stored";

/// A maildrop of three messages, stored here and renumbered then.
struct Moved {
    mailbox: Mailbox,
    server: Server,
    sandbox: Sandbox,
    texts: Vec<Vec<u8>>,
}

impl Moved {
    /// Stored in these destinations, a TOML value.
    fn from(deliver: &str) -> Self {
        let mailbox = Mailbox::with(small(3));
        let server = Server::start(&mailbox);
        let sandbox = sandbox_for(&server, &[("deliver", deliver)]);
        sandbox.run(&["sync"]).ends_with(0);
        mailbox.renumber("moved-");
        Moved {
            texts: mailbox.stored_forms(),
            mailbox,
            server,
            sandbox,
        }
    }

    /// An earlier run has found out that they were renumbered.
    fn and_recognised(self) -> Self {
        self.sandbox.run(&["sync"]).ends_with(0).says_nothing();
        assert_eq!(self.fetched(), [1, 1, 1], "to be known by their content");
        self
    }

    fn never(&self) -> Outcome {
        let outcome = self.sandbox.run(&NEVER);
        outcome.ends_with(0);
        outcome
    }

    /// How often each was fetched since it was renumbered.
    fn fetched(&self) -> [usize; 3] {
        let retrievals = self.server.retrievals();
        let of = |id| retrievals.get(id).copied().unwrap_or_default();
        ["moved-1", "moved-2", "moved-3"].map(of)
    }

    /// Action and reason for each message by a dry run.
    fn planned(&self) -> Vec<(String, String, bool)> {
        let dry = [&NEVER[..], &["--dry-run", "--json"]].concat();
        let outcome = self.sandbox.run(&dry);
        outcome.ends_with(0);
        let plan = outcome.json()[0]["plan"].take();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let steps = plan.as_array().expect("a plan").iter();
        steps
            .map(|step| {
                let then_delete = step["then_delete"] == true;
                (text(&step["action"]), text(&step["reason"]), then_delete)
            })
            .collect()
    }

    /// The files of the Maildir, those in `new/` first.
    fn files(&self) -> Vec<PathBuf> {
        let directory = self.sandbox.mail("it").path;
        ["new", "cur"]
            .into_iter()
            .flat_map(|name| sorted(&directory.join(name)))
            .collect()
    }

    /// The file of the Maildir that holds this message, counted from 1.
    fn file(&self, number: usize) -> PathBuf {
        let holds = |path: &PathBuf| fs::read(path).expect("a file") == self.texts[number - 1];
        self.files().into_iter().find(holds).expect("its copy")
    }

    fn mbox(&self) -> PathBuf {
        self.sandbox.home("it.mbox")
    }
}

fn sorted(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    paths
}

const MAILDIR: &str = "\"maildir:~/Mail/it\"";
const MBOX: &str = "\"mbox:~/it.mbox\"";
const BOTH: &str = "[\"maildir:~/Mail/it\", \"mbox:~/it.mbox\"]";

/// What happens to the copies.
type Change = fn(&Moved);

/// A reader has seen all of it.
fn read_maildir(moved: &Moved) {
    let cur = moved.sandbox.mail("it").path.join("cur");
    for file in moved.files() {
        let name = file
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        fs::rename(&file, cur.join(format!("{name}:2,RS"))).expect("read");
    }
}

/// A reader has written its notes into every header, and put a message in front.
fn read_mbox(moved: &Moved) {
    let mut rewritten = b"From x Thu Jan  1 00:00:00 2026\nStatus: O\n\nin front\n\n".to_vec();
    for line in fs::read(moved.mbox())
        .expect("an mbox")
        .split_inclusive(|&byte| byte == b'\n')
    {
        rewritten.extend_from_slice(line);
        if line.starts_with(b"From ") {
            rewritten.extend_from_slice(b"Status: RO\n");
        }
    }
    fs::write(moved.mbox(), rewritten).expect("our own file");
}

fn empty_maildir(moved: &Moved) {
    for file in moved.files() {
        fs::remove_file(file).expect("our own file");
    }
}

fn empty_mbox(moved: &Moved) {
    fs::write(moved.mbox(), "").expect("our own file");
}

#[test]
fn a_server_that_renumbered_duplicates_nothing() {
    let mailbox = Mailbox::with(small(10));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]).ends_with(0);
    // Servers that make ids of where a message stands do it again and again.
    for prefix in ["moved-", "once-more-", "moved-"] {
        mailbox.renumber(prefix);
        for _ in 0..2 {
            sandbox.run(&["sync"]).ends_with(0);
            sandbox.mail("it").holds(mailbox.stored_forms());
        }
    }
}

#[test]
fn a_new_message_is_stored_though_one_of_the_same_text_was_deleted() {
    let mailbox = Mailbox::with(small(1));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&NEVER).ends_with(0);
    assert!(mailbox.uids().is_empty());
    mailbox.add("another", small(1).remove(0));
    let expected = [mailbox.stored_forms(), mailbox.stored_forms()].concat();
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(expected);
}

#[test]
fn a_new_message_is_stored_though_one_of_the_same_text_was_renumbered() {
    let moved = Moved::from(MAILDIR).and_recognised();
    moved.mailbox.add("another", small(1).remove(0));
    for _ in 0..2 {
        moved.sandbox.run(&["sync"]).ends_with(0);
        moved.sandbox.mail("it").holds(moved.mailbox.stored_forms());
    }
}

#[test]
fn what_was_renumbered_is_deleted_once_it_is_due_and_its_copy_is_in_its_place() {
    let untouched: Change = |_| ();
    for (deliver, change) in [
        (MAILDIR, untouched),
        (MAILDIR, read_maildir),
        (MBOX, untouched),
        (MBOX, read_mbox),
        (BOTH, untouched),
    ] {
        let moved = Moved::from(deliver);
        change(&moved);
        let before = (moved.files(), fs::read(moved.mbox()).ok());
        // In one go, where the rule says so at once.
        moved.never().says_nothing();
        assert_eq!(moved.mailbox.uids().len(), 0, "{deliver}");
        assert_eq!(moved.fetched(), [1, 1, 1]);
        assert_eq!(before, (moved.files(), fs::read(moved.mbox()).ok()));

        let moved = Moved::from(deliver).and_recognised();
        change(&moved);
        let before = (moved.files(), fs::read(moved.mbox()).ok());
        let planned = (
            "retrieve".to_owned(),
            "due, to be compared with the stored copy".to_owned(),
            true,
        );
        assert_eq!(moved.planned(), vec![planned; 3], "{deliver}");
        moved.never().says_nothing();
        assert_eq!(moved.mailbox.uids().len(), 0, "{deliver}");
        assert_eq!(moved.fetched(), [2, 2, 2], "compared once more");
        assert_eq!(before, (moved.files(), fs::read(moved.mbox()).ok()));
    }
}

#[test]
fn what_was_renumbered_stays_where_a_copy_is_not_in_its_place() {
    let cases: [(&str, Change); 10] = [
        (MAILDIR, empty_maildir),
        // It begins anew.
        (MAILDIR, |moved| {
            let path = moved.sandbox.mail("it").path;
            fs::rename(&path, path.with_extension("away")).expect("put away");
            for directory in ["cur", "new", "tmp"] {
                fs::create_dir_all(path.join(directory)).expect("our own directory");
            }
        }),
        // Moved into another directory, where anything may become of it.
        (MAILDIR, |moved| {
            let archive = moved.sandbox.mail("it").path.join(".Archive/cur");
            fs::create_dir_all(&archive).expect("our own directory");
            for file in moved.files() {
                let name = file.file_name().expect("a name");
                fs::rename(&file, archive.join(name)).expect("moved");
            }
        }),
        // As long as it was, and another text.
        (MAILDIR, |moved| {
            for file in moved.files() {
                let text = fs::read(&file).expect("a file");
                fs::write(&file, text.to_ascii_uppercase()).expect("our own file");
            }
        }),
        (MBOX, empty_mbox),
        (MBOX, |moved| {
            fs::remove_file(moved.mbox()).expect("an mbox")
        }),
        (BOTH, empty_maildir),
        (BOTH, empty_mbox),
        // Where a message is stored there cannot be known.
        ("\"pipe:cat >> got\"", |_| ()),
        ("[\"maildir:~/Mail/it\", \"pipe:cat >> got\"]", |_| ()),
    ];
    for (case, (deliver, change)) in cases.into_iter().enumerate() {
        let context = format!("case {case}, {deliver}");
        let moved = Moved::from(deliver);
        change(&moved);
        moved.never().complains(MISSING);
        assert_eq!(moved.mailbox.uids().len(), 3, "{context}");

        let moved = Moved::from(deliver).and_recognised();
        change(&moved);
        for (action, reason, _) in moved.planned() {
            assert_eq!(action, "leave", "{context}");
            assert!(
                reason.starts_with("stored ") && reason.ends_with(", no copy found"),
                "{reason}"
            );
        }
        for _ in 0..2 {
            let outcome = moved.never();
            outcome.complains("3 stored messages that are due stay on the server");
            assert_eq!(
                outcome.stderr.lines().count(),
                1,
                "reported once: {outcome:#?}"
            );
        }
        assert_eq!(moved.mailbox.uids().len(), 3, "{context}");
        assert_eq!(moved.fetched(), [1, 1, 1], "{context}: not fetched in vain");
        moved.sandbox.run(&["sync"]).ends_with(0).says_nothing();
    }
}

#[test]
fn one_copy_that_is_missing_keeps_no_other_message_from_being_deleted() {
    for recognised in [false, true] {
        let mut moved = Moved::from(MAILDIR);
        if recognised {
            moved = moved.and_recognised();
        }
        fs::remove_file(moved.file(2)).expect("a copy");
        moved.never().complains("1 stored messages that are due");
        assert_eq!(moved.mailbox.uids(), ["moved-2"]);
        assert_eq!(moved.files().len(), 2, "and it is not stored again");
    }
}

#[test]
fn what_stays_is_reported_once_even_if_a_run_has_several_sessions() {
    let moved = Moved::from(MAILDIR).and_recognised();
    fs::remove_file(moved.file(2)).expect("a copy");
    let server = moved.server.once("RETR 1", Fault::CloseWithin(100));
    let outcome = moved.sandbox.run(&NEVER);
    outcome.ends_with(0).complains(MISSING);
    let sessions = server.sessions().len();
    assert_eq!(
        sessions, 5,
        "stored, recognised; broken, the others, that one"
    );
    assert_eq!(outcome.stderr.matches(MISSING).count(), 1, "{outcome:#?}");
    assert_eq!(moved.mailbox.uids(), ["moved-2"]);
}

#[test]
fn what_was_renumbered_is_due_when_it_would_have_been() {
    let mailbox = Mailbox::with(small(3));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let mut sandbox = sandbox_for(&server, &[("leave_on_server", "\"30d\"")]);
    for day in ["2026-03-01", "2026-03-10", "2026-03-20", "2026-03-30"] {
        sandbox.at(&format!("{day}T12:00:00Z"));
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
        assert_eq!(mailbox.uids().len(), 3, "{day}");
        if day == "2026-03-01" {
            mailbox.renumber("moved-");
        }
    }
    assert_eq!(server.retrievals()["moved-1"], 1, "to be known again");
    sandbox.at("2026-03-31T12:00:00Z");
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    assert!(mailbox.uids().is_empty());
    assert_eq!(server.retrievals()["moved-1"], 2, "to be compared");
    sandbox.mail("it").holds(expected);
}

#[test]
fn another_message_under_an_id_that_was_given_anew_is_stored_and_kept() {
    let moved = Moved::from(MAILDIR).and_recognised();
    let other = Generator::new(9).message(Shape::Plain, 3000);
    moved.mailbox.replace("moved-1", other);
    let mut expected = moved.texts.clone();
    expected.push(moved.mailbox.stored_forms().swap_remove(0));
    let mut sandbox = moved.sandbox;
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(31 * 24);
    sandbox.at(&later.to_string());
    let month = ["sync", "--leave-on-server", "30d"];
    sandbox.run(&month).ends_with(0).says_nothing();
    sandbox.mail("it").holds(expected);
    assert_eq!(moved.mailbox.uids(), ["moved-1"], "it came just now");
}

#[test]
fn a_copy_that_goes_while_its_message_is_being_compared_keeps_it_from_being_deleted() {
    let moved = Moved::from(MAILDIR).and_recognised();
    let copies = moved.files();
    // This one comes after those that are compared, and slowly.
    moved
        .mailbox
        .add("fresh", Generator::new(5).message(Shape::Plain, 500));
    let server = moved
        .server
        .on("RETR 4", Fault::Drip(Duration::from_millis(4)));
    let running = moved.sandbox.start(&NEVER);
    server.wait_for("RETR 4");
    for copy in copies {
        fs::remove_file(copy).expect("a copy");
    }
    running.finish().ends_with(0).complains(MISSING);
    assert_eq!(server.retrievals()["moved-1"], 2, "they were compared");
    assert_eq!(moved.mailbox.uids(), ["moved-1", "moved-2", "moved-3"]);
}

#[test]
fn what_is_stored_once_more_under_its_new_id_is_deleted_like_any_other() {
    for deliver in [
        "\"pipe:cat >> got\"",
        "[\"maildir:~/Mail/it\", \"pipe:cat >> got\"]",
    ] {
        let moved = Moved::from(deliver).and_recognised();
        moved.sandbox.run(&["sync", "--all"]).ends_with(0);
        moved.never().says_nothing();
        assert!(moved.mailbox.uids().is_empty(), "{deliver}");
        assert_eq!(moved.fetched(), [2, 2, 2], "not fetched to be deleted");
    }
}

#[test]
fn a_destination_that_was_removed_authorises_no_deletion() {
    let moved = Moved::from(MAILDIR).and_recognised();
    moved.sandbox.configure("");
    let account = moved.sandbox.account("it", &moved.server.endpoint());
    account.set("deliver", MBOX).write();
    moved.never().complains(MISSING);
    assert_eq!(moved.mailbox.uids().len(), 3);
    assert!(!moved.mbox().exists(), "nor is it owed anything");
}

#[test]
fn a_deletion_in_doubt_is_asked_again_only_while_the_copy_is_there() {
    for is_there in [true, false] {
        let moved = Moved::from(MAILDIR).and_recognised();
        moved.server.strike("QUIT", Fault::CloseBefore);
        assert_ne!(moved.sandbox.run(&NEVER).status, Some(0));
        assert_eq!(moved.mailbox.uids().len(), 3);
        moved.server.heal();
        if !is_there {
            empty_maildir(&moved);
        }
        for _ in 0..2 {
            moved.never();
        }
        assert_eq!(moved.mailbox.uids().is_empty(), is_there);
        // Known again; compared; compared once more, since the deletion was not confirmed.
        assert_eq!(moved.fetched(), [3, 3, 3], "and no more after that");
    }
}

#[test]
fn what_was_renumbered_to_an_id_that_is_not_its_own_stays() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]).ends_with(0);
    let expected = mailbox.stored_forms();
    mailbox.clear();
    for text in small(3) {
        mailbox.add("same", text);
    }
    sandbox.run(&NEVER).ends_with(0);
    let again = sandbox.run(&NEVER);
    again
        .ends_with(0)
        .complains("their unique-ids do not say for certain");
    sandbox.mail("it").holds(&expected);
    assert_eq!(mailbox.uids().len(), 3);
    assert_eq!(server.retrievals()["same"], 3, "fetched once each");
}
