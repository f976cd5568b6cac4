//! The journal as a whole: what it promises whatever happened to the file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use proptest::prelude::*;
use tempfile::TempDir;

use super::format::tests::any_record;
use super::*;
use crate::error::Kind;
use crate::mail::{Place, UniqueId};

fn mailbox() -> Mailbox {
    Mailbox::new("alice", "pop.example.com", 995)
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn open(directory: &TempDir) -> Journal {
    Journal::open(directory.path(), &mailbox()).expect("a journal")
}

fn kind<T>(result: Result<T>) -> Kind {
    result.err().expect("a failure").kind()
}

fn file(directory: &Path) -> PathBuf {
    directory.join("alice@pop.example.com.jsonl")
}

fn intent(uid: &str) -> Intent {
    Intent {
        uid: UniqueId::new(uid.as_bytes()),
        to: 0,
        digest: Digest([7; 32]),
        identity: None,
        octets: 100,
        listed: Some(100),
        place: Place::Maildir {
            name: format!("1.M2P3Q{uid}.host,S=90"),
        },
        owed: vec![0],
    }
}

fn stored(uid: &str) -> Record {
    Record::Stored {
        intent: intent(uid),
        at: Timestamp::UNIX_EPOCH,
    }
}

fn deleted(uid: &str) -> Record {
    Record::Deleted {
        uid: UniqueId::new(uid.as_bytes()),
        at: Timestamp::UNIX_EPOCH,
    }
}

fn is_stored(memory: &Memory, uid: &str) -> bool {
    memory
        .recall(uid.as_bytes())
        .is_some_and(Remembered::is_stored)
}

#[test]
fn what_was_committed_is_remembered_by_the_next_run() {
    let directory = directory();
    let mut journal = open(&directory);
    assert_eq!(journal.destination("maildir:/mail").expect("a number"), 0);
    assert_eq!(journal.destination("mbox:/mail").expect("a number"), 1);
    journal
        .commit(vec![
            stored("a"),
            Record::Fact {
                fact: Fact::SizesWrong,
                holds: true,
            },
        ])
        .expect("committed");
    drop(journal);
    let mut journal = open(&directory);
    assert!(is_stored(journal.memory(), "a") && journal.corrupt_lines().is_empty());
    assert!(journal.memory().fact(Fact::SizesWrong) && !journal.memory().fact(Fact::ShowsWindows));
    assert_eq!(journal.destination("mbox:/mail").expect("a number"), 1);
}

#[test]
fn only_we_can_read_it() {
    let directory = directory();
    let state = directory.path().join("deep/state");
    drop(Journal::open(&state, &mailbox()).expect("a journal"));
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    assert_eq!(mode(&file(&state)), 0o600);
}

#[test]
fn a_second_popfetch_is_told_to_come_again() {
    let directory = directory();
    let first = open(&directory);
    assert_eq!(
        kind(Journal::open(directory.path(), &mailbox())),
        Kind::Temporary
    );
    drop(first);
    open(&directory);
}

#[test]
fn a_look_needs_no_lock_and_leaves_no_trace() {
    let directory = directory();
    assert!(
        Journal::peek(directory.path(), &mailbox())
            .expect("nothing")
            .is_empty()
    );
    assert_eq!(
        fs::read_dir(directory.path()).expect("a directory").count(),
        0
    );
    let mut journal = open(&directory);
    journal.commit(vec![stored("a")]).expect("committed");
    assert!(is_stored(
        &Journal::peek(directory.path(), &mailbox()).expect("a look"),
        "a"
    ));
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let directory = directory();
    let victim = directory.path().join("victim");
    fs::write(&victim, "").expect("a file");
    std::os::unix::fs::symlink(&victim, file(directory.path())).expect("a link");
    assert_eq!(kind(Journal::open(directory.path(), &mailbox())), Kind::Io);
    assert_eq!(fs::read(&victim).expect("a file"), b"");
}

#[test]
fn a_torn_end_is_cut_before_anything_is_appended() {
    let directory = directory();
    let mut journal = open(&directory);
    journal.commit(vec![stored("a")]).expect("committed");
    drop(journal);
    let whole = fs::read(file(directory.path())).expect("the file");
    let mut journal = open(&directory);
    journal
        .commit(vec![stored("b"), stored("c")])
        .expect("committed");
    drop(journal);
    let more = fs::read(file(directory.path())).expect("the file");
    for cut in whole.len()..more.len() {
        fs::write(file(directory.path()), &more[..cut]).expect("a torn file");
        let mut journal = open(&directory);
        assert!(
            journal.corrupt_lines().is_empty(),
            "a torn end is no corrupt_lines"
        );
        assert!(is_stored(journal.memory(), "a"));
        journal.commit(vec![stored("d")]).expect("committed");
        drop(journal);
        let journal = open(&directory);
        assert!(journal.corrupt_lines().is_empty() && is_stored(journal.memory(), "d"));
    }
}

#[test]
fn a_torn_first_line_begins_the_journal_anew_and_aloud() {
    let directory = directory();
    drop(open(&directory));
    let whole = fs::read(file(directory.path())).expect("the file");
    let cuts = (1..whole.len()).map(|cut| &whole[..cut]);
    for torn in cuts.chain([&[0; 40][..]]) {
        fs::write(file(directory.path()), torn).expect("a torn file");
        let mut journal = open(&directory);
        assert_eq!(journal.corrupt_lines().len(), 1);
        journal.commit(vec![stored("a")]).expect("committed");
        drop(journal);
        let journal = open(&directory);
        assert!(journal.corrupt_lines().is_empty() && is_stored(journal.memory(), "a"));
    }
    fs::write(file(directory.path()), b"no journal at all").expect("another file");
    assert_eq!(
        kind(Journal::open(directory.path(), &mailbox())),
        Kind::Data
    );
}

#[test]
fn an_endless_line_costs_no_other_line() {
    let directory = directory();
    let mut journal = open(&directory);
    journal.commit(vec![stored("a")]).expect("committed");
    drop(journal);
    let mut content = fs::read(file(directory.path())).expect("the file");
    let before = content.len();
    content.extend_from_slice(&[b'x'; 200_000]);
    content.push(b'\n');
    crate::journal::format::write(&stored("b"), &mut content);
    // A torn end has to be cut at the right place.
    content.extend_from_slice(&content.clone()[before - 30..before - 1]);
    fs::write(file(directory.path()), &content).expect("the file");
    let journal = open(&directory);
    assert_eq!(journal.corrupt_lines().len(), 1);
    assert!(journal.corrupt_lines()[0].to_string().contains("line 3"));
    for uid in ["a", "b"] {
        assert!(is_stored(journal.memory(), uid), "{uid}");
    }
    drop(journal);
    assert!(is_stored(open(&directory).memory(), "b"));
}

#[test]
fn a_flipped_bit_is_found_and_all_other_lines_are_believed() {
    let directory = directory();
    let mut journal = open(&directory);
    journal
        .commit(vec![stored("a"), stored("b"), stored("c")])
        .expect("committed");
    drop(journal);
    let whole = fs::read(file(directory.path())).expect("the file");
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(file(directory.path()), &damaged).expect("a damaged file");
        let Ok(journal) = Journal::open(directory.path(), &mailbox()) else {
            panic!("byte {at} makes the whole journal useless");
        };
        let left = ["a", "b", "c"]
            .iter()
            .filter(|uid| is_stored(journal.memory(), uid))
            .count();
        // A line end that is none any more spoils the line after it as well; the last one is a torn end.
        assert!(left >= 1);
        assert!(
            left == 3 || !journal.corrupt_lines().is_empty() || at + 1 == whole.len(),
            "byte {at}"
        );
        assert!(journal.memory().len() == left, "nothing is made up");
    }
}

#[test]
fn a_line_with_a_blank_at_its_end_is_damage_that_the_next_run_no_longer_meets() {
    let directory = directory();
    open(&directory)
        .commit(vec![stored("a"), stored("b")])
        .expect("committed");
    let whole = fs::read(file(directory.path())).expect("the file");
    let mut damaged = whole.strip_suffix(b"\n").expect("a line end").to_vec();
    damaged.extend_from_slice(b" \n");
    fs::write(file(directory.path()), &damaged).expect("a damaged file");
    assert_eq!(open(&directory).corrupt_lines().len(), 1);
    let mended = open(&directory);
    assert!(mended.corrupt_lines().is_empty());
    assert!(is_stored(mended.memory(), "a") && !is_stored(mended.memory(), "b"));
}

#[test]
fn damage_is_told_once_and_the_damaged_file_is_kept() {
    let directory = directory();
    let mut journal = open(&directory);
    journal
        .commit(vec![stored("a"), stored("b")])
        .expect("committed");
    drop(journal);
    let text = fs::read_to_string(file(directory.path())).expect("the file");
    let damaged = text.replace("\"uid\":\"a\"", "\"uid\":\"x\"");
    fs::write(file(directory.path()), &damaged).expect("a damaged file");
    let journal = open(&directory);
    let reported: Vec<_> = journal
        .corrupt_lines()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(reported.len(), 1);
    assert!(
        reported[0].starts_with("line 2 of the journal"),
        "{}",
        reported[0]
    );
    assert!(is_stored(journal.memory(), "b") && !is_stored(journal.memory(), "x"));
    drop(journal);
    assert!(open(&directory).corrupt_lines().is_empty());
    let kept = fs::read_to_string(file(directory.path()).with_added_extension("damaged"));
    assert_eq!(kept.expect("the damaged file"), damaged);
}

#[test]
fn a_file_that_is_no_journal_is_refused_and_left_alone() {
    let directory = directory();
    fs::write(file(directory.path()), "shopping list\n\nmilk\n").expect("a file");
    assert_eq!(
        kind(Journal::open(directory.path(), &mailbox())),
        Kind::Data
    );
    assert_eq!(
        kind(Journal::peek(directory.path(), &mailbox())),
        Kind::Data
    );
    let left = fs::read_to_string(file(directory.path())).expect("the file");
    assert_eq!(left, "shopping list\n\nmilk\n");
}

#[test]
fn another_maildrops_journal_is_refused() {
    let directory = directory();
    let other = Mailbox::new("bob", "pop.example.com", 995);
    drop(Journal::open(directory.path(), &other).expect("a journal"));
    fs::rename(
        directory.path().join("bob@pop.example.com.jsonl"),
        file(directory.path()),
    )
    .expect("renamed");
    assert_eq!(
        kind(Journal::open(directory.path(), &mailbox())),
        Kind::Data
    );
}

#[test]
fn a_newer_format_is_refused() {
    let directory = directory();
    drop(open(&directory));
    let text = fs::read_to_string(file(directory.path())).expect("the file");
    let content = text.replace("\"popfetch\":2", "\"popfetch\":3");
    let content = &content[..content.find(",\"crc\"").expect("a checksum")];
    let sealed = format!(
        "{content},\"crc\":\"{:08x}\"}}\n",
        crc32fast::hash(content.as_bytes())
    );
    fs::write(file(directory.path()), sealed).expect("a newer file");
    let failure = Journal::open(directory.path(), &mailbox())
        .err()
        .expect("a failure");
    assert_eq!(failure.kind(), Kind::Data);
    assert!(failure.message().contains("format 3"), "{failure}");
}

/// A run with these destinations, and these that it leaves out.
fn destinations(here: &[u32], elsewhere: &[u32]) -> Destinations {
    Destinations {
        here: here.to_vec(),
        elsewhere: elsewhere.to_vec(),
    }
}

/// Proof that this message may be deleted, without a look for its copies.
fn prove(journal: &Journal, uid: &str, here: &[u32]) -> Option<Proof> {
    let uid = UniqueId::new(uid.as_bytes());
    journal.prove(1, &uid, &destinations(here, &[]), &Found::default())
}

#[test]
fn there_is_no_proof_before_the_record_is_durable() {
    let directory = directory();
    let mut journal = open(&directory);
    assert!(prove(&journal, "a", &[0]).is_none(), "never stored");
    journal.append(vec![stored("a")]).expect("appended");
    assert!(prove(&journal, "a", &[0]).is_none(), "not durable yet");
    journal.sync().expect("synced");
    let proof = prove(&journal, "a", &[0]).expect("a proof");
    assert_eq!((proof.number(), proof.uid()), (1, &UniqueId::new(b"a")));
}

#[test]
fn there_is_no_proof_for_what_is_not_stored_everywhere_or_only_seen_or_shared() {
    let directory = directory();
    let mut journal = open(&directory);
    let half = Record::Stored {
        intent: Intent {
            owed: vec![0, 1],
            ..intent("half")
        },
        at: Timestamp::UNIX_EPOCH,
    };
    let seen = Record::Seen {
        uid: UniqueId::new(b"seen"),
        to: Some(0),
        digest: None,
        owed: vec![0],
        at: Timestamp::UNIX_EPOCH,
    };
    let shared = Record::Shared {
        uid: UniqueId::new(b"shared"),
    };
    journal
        .commit(vec![half, seen, stored("shared"), shared])
        .expect("committed");
    for uid in ["half", "seen", "shared"] {
        assert!(prove(&journal, uid, &[0, 1]).is_none(), "{uid}");
    }
    assert!(
        prove(&journal, "half", &[0]).is_some(),
        "the other was taken away"
    );
    let half = UniqueId::new(b"half");
    let elsewhere = destinations(&[2], &[0, 1]);
    let proof = journal.prove(1, &half, &elsewhere, &Found::default());
    assert!(proof.is_none(), "this run leaves out what lacks it");
}

#[test]
fn there_is_no_proof_for_what_is_known_by_content_unless_its_copy_was_found() {
    let directory = directory();
    let mut journal = open(&directory);
    let renumbered = Record::Alias {
        uid: UniqueId::new(b"new"),
        stored_as: UniqueId::new(b"old"),
    };
    journal
        .commit(vec![stored("old"), renumbered])
        .expect("committed");
    assert!(prove(&journal, "old", &[0]).is_some());
    assert!(prove(&journal, "new", &[0]).is_none());
    let prove = |digest: u8, to| {
        let mut found = Found::default();
        found.add(Digest([digest; 32]), to);
        journal.prove(1, &UniqueId::new(b"new"), &destinations(&[0], &[]), &found)
    };
    assert!(prove(7, 1).is_none(), "found elsewhere");
    assert!(prove(8, 0).is_none(), "another message's copy");
    assert!(prove(7, 0).is_some());
}

#[test]
fn where_copies_were_put_is_read_from_the_file() {
    let directory = directory();
    let mut journal = open(&directory);
    let other = Record::Stored {
        intent: Intent {
            digest: Digest([8; 32]),
            ..intent("other")
        },
        at: Timestamp::UNIX_EPOCH,
    };
    let intended = Record::Intend(intent("intended"));
    journal
        .append(vec![stored("a"), other, intended, deleted("a")])
        .expect("appended");
    let wanted = HashSet::from([Digest([7; 32])]);
    let copies = Journal::copies(directory.path(), &mailbox(), &wanted).expect("read");
    assert_eq!(copies, [intent("a")], "stored, and with such content");
}

#[test]
fn a_long_history_is_rewritten_short_and_a_short_one_is_not() {
    let directory = directory();
    let mut journal = open(&directory);
    for round in 0..600 {
        let uid = format!("u{round}");
        let asked = Record::Asked {
            uid: UniqueId::new(uid.as_bytes()),
        };
        let records = [
            Record::Intend(intent(&uid)),
            stored(&uid),
            asked,
            deleted(&uid),
        ];
        journal.append(records.into()).expect("appended");
    }
    journal
        .append(vec![Record::Intend(intent("open"))])
        .expect("appended");
    journal.sync().expect("synced");
    drop(journal);
    let before = Journal::peek(directory.path(), &mailbox()).expect("a look");
    let journal = open(&directory);
    assert!(*journal.memory() == before && before.unsettled().len() == 1);
    drop(journal);
    let lines = fs::read_to_string(file(directory.path()))
        .expect("the file")
        .lines()
        .count();
    assert_eq!(lines, 1 + 600 * 2 + 1);
    let modified = || {
        fs::metadata(file(directory.path()))
            .expect("there")
            .modified()
            .expect("a time")
    };
    let then = modified();
    let mut journal = open(&directory);
    journal.commit(vec![]).expect("nothing");
    drop(journal);
    assert_eq!(modified(), then);
}

#[test]
fn a_later_run_does_not_have_to_read_what_a_large_run_wrote() {
    for (count, lines) in [(1500, 1 + 1500), (500, 1 + 2 * 500)] {
        let directory = directory();
        let mut journal = open(&directory);
        for round in 0..count {
            let uid = format!("u{round}");
            let records = vec![Record::Intend(intent(&uid)), stored(&uid)];
            journal.append(records).expect("appended");
        }
        journal.close().expect("closed");
        let text = fs::read_to_string(file(directory.path())).expect("the file");
        assert_eq!(text.lines().count(), lines);
        let journal = open(&directory);
        assert_eq!(journal.memory().len(), count);
        assert!(is_stored(journal.memory(), "u0") && journal.memory().unsettled().is_empty());
    }
}

#[test]
fn a_rewrite_keeps_what_was_renumbered_while_its_deletion_was_in_doubt() {
    let directory = directory();
    let uid = |name: &str| UniqueId::new(name.as_bytes());
    let mut journal = open(&directory);
    let renumbered = Record::Alias {
        uid: uid("new"),
        stored_as: uid("old"),
    };
    let asked = Record::Asked { uid: uid("old") };
    let records = [stored("old"), asked, renumbered, deleted("old")];
    journal.commit(records.to_vec()).expect("committed");
    let path = journal.path().to_owned();
    drop(journal);
    let memory = loading::load(&path, &mailbox()).expect("loaded").memory;
    let memory = compaction::rewrite(&path, &mailbox(), memory, false).expect("rewritten");
    assert!(is_stored(&memory, "new"));
}

#[test]
fn of_what_a_server_announced_a_rewrite_keeps_the_last() {
    let directory = directory();
    let at: Timestamp = "2026-03-01T06:00:00Z".parse().expect("a time");
    let mut journal = open(&directory);
    for certificate in 0..2000 {
        let announced = Record::Announced {
            connection: format!("implicit 995 {certificate}"),
            capabilities: "UIDL".to_owned(),
            at,
        };
        journal.append(vec![announced]).expect("appended");
    }
    journal.close().expect("closed");
    let journal = open(&directory);
    let last = ("implicit 995 1999", "UIDL");
    assert_eq!(journal.memory().announced(at), Some(last));
    let text = fs::read_to_string(file(directory.path())).expect("the file");
    assert_eq!(text.matches("implicit 995").count(), 1);
}

#[test]
fn what_is_said_of_a_line_shows_nothing_of_it_raw() {
    let directory = directory();
    open(&directory).close().expect("closed");
    let path = file(directory.path());
    let mut text = fs::read_to_string(&path).expect("the file");
    let line = "{\"is\":\"\u{202e}deleted\",\"uid\":\"v\"";
    let checksum = crc32fast::hash(line.as_bytes());
    text.push_str(&format!("{line},\"crc\":\"{checksum:08x}\"}}\n"));
    fs::write(&path, text).expect("written");
    let journal = open(&directory);
    let [corrupt] = journal.corrupt_lines() else {
        panic!("{:?}", journal.corrupt_lines());
    };
    let shown = corrupt.to_string();
    assert!(
        shown.contains("it is no record") && !shown.contains('\u{202e}'),
        "{shown}"
    );
}

#[test]
fn the_first_format_stays_readable() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/journal/v1.jsonl");
    let directory = directory();
    fs::copy(data, file(directory.path())).expect("copied");
    let journal = open(&directory);
    assert!(journal.corrupt_lines().is_empty());
    let memory = journal.memory();
    assert_eq!(memory.destination("maildir:/home/alice/Mail"), Some(0));
    assert_eq!(memory.destination("mbox:/home/alice/archive"), Some(1));
    assert!(
        is_stored(memory, "0001") && memory.recall(b"0001").is_some_and(Remembered::is_deleted)
    );
    assert!(
        memory
            .recall(b"0002")
            .is_some_and(|message| message.lacks(&[0, 1]))
    );
    assert!(memory.recall(b"a b\xff").is_some_and(Remembered::is_seen));
    assert!(memory.is_shared(b"twice") && memory.fact(Fact::PipeliningBroken));
    assert!(memory.recall(b"0004").is_some_and(Remembered::is_dropped));
    assert!(memory.recall(b"0006").is_some_and(Remembered::is_refused));
    assert_eq!(memory.unsettled().len(), 1);
}

#[test]
fn a_journal_of_the_first_format_is_rewritten_before_anything_is_appended() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/journal/v1.jsonl");
    let directory = directory();
    fs::copy(&data, file(directory.path())).expect("copied");
    let peeked = Journal::peek(directory.path(), &mailbox()).expect("a look");
    let text = || fs::read_to_string(file(directory.path())).expect("the file");
    let first = text();
    assert!(
        first.starts_with("{\"popfetch\":1,"),
        "a look changes nothing"
    );
    drop(open(&directory));
    let second = text();
    assert!(
        second.starts_with("{\"popfetch\":2,"),
        "0.1.0 refuses it now"
    );
    // No line was made anew.
    assert!(second.lines().skip(1).all(|line| first.contains(line)));
    assert!(*open(&directory).memory() == peeked);
}

#[test]
fn there_is_no_proof_for_what_came_incomplete_or_in_doubt() {
    let at = Timestamp::UNIX_EPOCH;
    let incomplete = Record::Stored {
        intent: Intent {
            octets: 49,
            ..intent("a")
        },
        at,
    };
    let uid = || UniqueId::new(b"a");
    let overrun = Record::Overrun { uid: uid(), at };
    let unproven = Record::Unproven { uid: uid() };
    let whole = || stored("a");
    for (records, is_proven) in [
        (vec![whole()], true),
        (vec![incomplete.clone()], false),
        (vec![incomplete, whole()], true),
        (vec![whole(), overrun.clone()], false),
        (vec![overrun, whole()], true),
        (vec![whole(), unproven.clone()], false),
        (vec![unproven, whole()], true),
    ] {
        let directory = directory();
        let mut journal = open(&directory);
        journal.commit(records.clone()).expect("committed");
        assert_eq!(
            prove(&journal, "a", &[0]).is_some(),
            is_proven,
            "{records:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_rewrite_changes_nothing(records in prop::collection::vec(any_record(), 0..60)) {
        let directory = directory();
        let mut journal = open(&directory);
        journal.commit(records.clone()).expect("committed");
        let path = journal.path().to_owned();
        drop(journal);
        let load = || loading::load(&path, &mailbox()).expect("loaded");
        let rewritten = compaction::rewrite(&path, &mailbox(), load().memory, false);
        let again = load();
        prop_assert!(again.memory == rewritten.expect("rewritten") && again.corrupt_lines.is_empty());
        let mut before = Memory::default();
        records.into_iter().for_each(|record| before.apply(record));
        prop_assert!(again.memory == before);
    }

    #[test]
    fn a_fingerprint_tells_what_is_the_same(
        one in prop::collection::vec(any_record(), 0..6), more in prop::collection::vec(any_record(), 0..2),
        order in any::<[prop::sample::Index; 2]>(),
    ) {
        // One more record, or two that change places: half of the time that makes no difference.
        let mut other = one.clone();
        other.extend(more);
        if !other.is_empty() {
            let [a, b] = order.map(|index| index.index(other.len()));
            other.swap(a, b);
        }
        let memory = |records: &[Record]| {
            let mut memory = Memory::default();
            records.iter().for_each(|record| memory.apply(record.clone()));
            memory
        };
        let (a, b) = (memory(&one), memory(&other));
        prop_assert_eq!(a == b, a.fingerprint() == b.fingerprint());
        prop_assert_eq!(a.fingerprint(), memory(&one).fingerprint());
    }

    #[test]
    fn what_is_in_memory_is_what_is_on_disk(records in prop::collection::vec(any_record(), 0..60)) {
        let directory = directory();
        let mut journal = open(&directory);
        for record in &records {
            journal.append(vec![record.clone()]).expect("appended");
        }
        let memory = Journal::peek(directory.path(), &mailbox()).expect("a look");
        prop_assert!(*journal.memory() == memory);
    }
}

#[test]
fn a_block_of_zeros_costs_no_line_but_the_one_after_it() {
    let directory = directory();
    let mut journal = open(&directory);
    journal.commit(vec![stored("a")]).expect("committed");
    drop(journal);
    let mut bytes = fs::read(file(directory.path())).expect("the file");
    bytes.extend([0; 200_000]);
    fs::write(file(directory.path()), &bytes).expect("a damaged file");
    let mut journal = open(&directory);
    assert!(
        is_stored(journal.memory(), "a") && journal.corrupt_lines().is_empty(),
        "a torn end"
    );
    journal
        .commit(vec![stored("b"), stored("c")])
        .expect("committed");
    drop(journal);
    let mut bytes = fs::read(file(directory.path())).expect("the file");
    let after_a = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .nth(1);
    let at = after_a.expect("two lines").0 + 1;
    bytes.splice(at..at, [0; 200_000]);
    fs::write(file(directory.path()), &bytes).expect("a damaged file");
    let journal = open(&directory);
    assert_eq!(journal.corrupt_lines().len(), 1);
    assert!(is_stored(journal.memory(), "a") && is_stored(journal.memory(), "c"));
}
