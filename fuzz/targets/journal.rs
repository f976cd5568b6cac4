//! A journal that was written by us and damaged, and one that says anything under right checksums.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use popfetch::error::Kind;
use popfetch::journal::{Fact, Intent, Journal, Memory, Record};
use popfetch::mail::Mailbox;
use popfetch::mail::{Digest, HeaderIdentity, Identity, Place, UniqueId};

use super::Choices;

/// The first byte chooses: records and the damage done to them, or lines of text, each to be put under a checksum.
pub(super) fn run(input: &[u8]) {
    let Some((&choice, rest)) = input.split_first() else {
        return;
    };
    super::with_directory(|directory| {
        for entry in fs::read_dir(directory).expect("our own directory") {
            let _ = fs::remove_file(entry.expect("our own directory").path());
        }
        match choice % 2 {
            0 => damaged(directory, &mut Choices(rest)),
            _ => sealed_text(directory, rest),
        }
    });
}

fn mailbox() -> Mailbox {
    Mailbox::new("alice", "pop.example.com", 995)
}

fn file(directory: &Path) -> PathBuf {
    directory.join("alice@pop.example.com.jsonl")
}

/// Whatever happened to the file, what its intact lines say is remembered and nothing else, and the
/// journal can be written again.
fn damaged(directory: &Path, choices: &mut Choices<'_>) {
    let count = choices.below(12);
    let records: Vec<Record> = (0..count).map(|_| record(choices)).collect();
    let mut journal = Journal::open(directory, &mailbox()).expect("a new journal");
    journal.commit(records.clone()).expect("written");
    assert_eq!(*journal.memory(), memory(&records));
    drop(journal);
    let reread = Journal::peek(directory, &mailbox()).expect("our own journal");
    assert_eq!(reread, memory(&records));

    let path = file(directory);
    let whole = fs::read(&path).expect("our own file");
    let mut content = whole.clone();
    while !choices.is_empty() {
        damage(&mut content, choices);
    }
    fs::write(&path, &content).expect("our own file");
    let whole: Vec<&[u8]> = whole.split_inclusive(|&byte| byte == b'\n').collect();
    let (lines, rest) = match content.iter().rposition(|&byte| byte == b'\n') {
        Some(end) => content.split_at(end + 1),
        None => content.split_at(0),
    };
    let lines = || lines.split_inclusive(|&byte| byte == b'\n');
    let is_header = |(n, line): (usize, &[u8])| n == 0 && same_line(line, whole[0]);
    let intact: Vec<Record> = lines()
        .filter_map(|line| (1..whole.len()).find(|&n| same_line(line, whole[n])))
        .map(|n| records[n - 1].clone())
        .collect();
    let used = intact.len() + lines().enumerate().filter(|line| is_header(*line)).count();

    let mut journal = match Journal::open(directory, &mailbox()) {
        Ok(journal) => journal,
        Err(failure) => {
            assert_eq!((failure.kind(), used), (Kind::Data, 0), "{failure}");
            assert!(!content.is_empty());
            assert!(
                fs::read(&path).expect("still there") == content,
                "what cannot be read is not touched"
            );
            return;
        }
    };
    let remembered = memory(&intact);
    assert_eq!(*journal.memory(), remembered);
    let is_torn = lines().next().is_none() && !rest.is_empty();
    assert_eq!(
        journal.corrupt_lines().len(),
        lines().count() - used + usize::from(is_torn)
    );
    let more = [
        record(choices),
        Record::Shared {
            uid: UniqueId::new(b"more"),
        },
    ];
    journal
        .commit(more.to_vec())
        .expect("it can be written again");
    drop(journal);
    let journal = Journal::open(directory, &mailbox()).expect("mended");
    assert!(journal.corrupt_lines().is_empty());
    let all: Vec<Record> = intact.into_iter().chain(more).collect();
    assert_eq!(*journal.memory(), memory(&all));
}

/// The letter case of the checksum's digits does not matter.
fn same_line(one: &[u8], other: &[u8]) -> bool {
    const DIGITS: usize = "00000000\"}\n".len();
    let split = one.len().saturating_sub(DIGITS);
    one.len() == other.len()
        && one[..split] == other[..split]
        && one[split..].eq_ignore_ascii_case(&other[split..])
}

fn memory(records: &[Record]) -> Memory {
    let mut memory = Memory::default();
    records
        .iter()
        .for_each(|record| memory.apply(record.clone()));
    memory
}

/// What disks, editors and power cuts do.
fn damage(content: &mut Vec<u8>, choices: &mut Choices<'_>) {
    let kind = choices.byte();
    let at = choices.below(content.len() + 1);
    let end = (at + choices.below(400)).min(content.len());
    match kind % 7 {
        0 if at < content.len() => content[at] ^= 1 << (kind >> 5),
        // Where the checksums are.
        6 => {
            let ends = content
                .iter()
                .enumerate()
                .filter(|(_, byte)| **byte == b'\n');
            let end = ends.map(|(end, _)| end).nth(at % 8).unwrap_or(end);
            let at = end.saturating_sub(usize::from(kind >> 5) + 1);
            content
                .get_mut(at)
                .into_iter()
                .for_each(|byte| *byte ^= 1 << (end % 4));
        }
        1 => content.truncate(at),
        2 => drop(content.drain(at..end)),
        3 => content[at..end].fill(0),
        4 => {
            let copy = content[at..end].to_vec();
            let to = choices.below(content.len() + 1);
            content.splice(to..to, copy);
        }
        _ => {
            let length = usize::from(kind >> 4);
            content.splice(at..at, choices.bytes(length).iter().copied());
        }
    }
}

fn record(choices: &mut Choices<'_>) -> Record {
    match choices.byte() % 18 {
        0 => {
            // A new name for each number, as the program has it.
            let id = u32::from(choices.byte() % 4);
            Record::Destination {
                id,
                name: format!("maildir:/{id}{}", text(choices)),
            }
        }
        1 => Record::Intend(intent(choices)),
        2 => Record::IntentAborted {
            uid: uid(choices),
            to: to(choices),
        },
        3 => Record::Stored {
            intent: intent(choices),
            at: at(choices),
        },
        4 => Record::Seen {
            uid: uid(choices),
            to: choices.flag().then(|| to(choices)),
            digest: choices.flag().then(|| digest(choices)),
            owed: owed(choices),
            at: at(choices),
        },
        5 => Record::Alias {
            uid: uid(choices),
            stored_as: uid(choices),
        },
        6 => Record::Asked { uid: uid(choices) },
        7 => Record::Deleted {
            uid: uid(choices),
            at: at(choices),
        },
        8 => Record::Shared { uid: uid(choices) },
        9 => Record::Dropped { uid: uid(choices) },
        10 => Record::Refused { uid: uid(choices) },
        11 => Record::LoggedIn {
            way: text(choices),
            over_tls: choices.flag(),
        },
        18 => Record::Announced {
            connection: text(choices),
            capabilities: text(choices),
            at: at(choices),
        },
        13 => Record::Overrun {
            uid: uid(choices),
            at: at(choices),
        },
        14 => Record::Short {
            uid: uid(choices),
            at: at(choices),
        },
        15 => Record::Listed {
            uid: uid(choices),
            octets: u64::from(choices.byte()) << (choices.byte() % 57),
        },
        16 => Record::Unproven { uid: uid(choices) },
        17 => Record::Undeletable { uid: uid(choices) },
        _ => {
            let fact = Fact::ALL[choices.below(Fact::ALL.len())];
            Record::Fact {
                fact,
                holds: choices.flag(),
            }
        }
    }
}

fn intent(choices: &mut Choices<'_>) -> Intent {
    let to = to(choices);
    let place = match choices.byte() % 3 {
        0 => Place::Maildir {
            name: text(choices),
        },
        1 => Place::Mbox {
            offset: u64::from(choices.byte()) << (choices.byte() % 57),
            length: u64::from(choices.byte()) << (choices.byte() % 57),
            digest: digest(choices),
            marks: (0..choices.byte() % 4)
                .map(|_| u32::from(choices.byte()) << 24)
                .collect(),
        },
        _ => Place::Untracked,
    };
    let mut owed = owed(choices);
    owed.insert(0, to);
    Intent {
        uid: uid(choices),
        to,
        digest: digest(choices),
        identity: choices.flag().then(|| identity(choices)),
        octets: u64::from(choices.byte()) << (choices.byte() % 57),
        listed: choices.flag().then(|| choices.byte().into()),
        place,
        owed,
    }
}

/// A few that come again and again, or any bytes.
fn uid(choices: &mut Choices<'_>) -> UniqueId {
    match choices.byte() {
        few @ 0..128 => UniqueId::new(&[b'u', few % 4 + b'0']),
        length => {
            let bytes = choices.bytes(usize::from(length % 16));
            UniqueId::new(if bytes.is_empty() { b"-" } else { bytes })
        }
    }
}

fn to(choices: &mut Choices<'_>) -> u32 {
    match choices.byte() {
        u8::MAX => u32::MAX,
        few => u32::from(few % 4),
    }
}

fn owed(choices: &mut Choices<'_>) -> Vec<u32> {
    (0..choices.byte() % 3).map(|_| to(choices)).collect()
}

fn digest(choices: &mut Choices<'_>) -> Digest {
    Digest([choices.byte() % 4; 32])
}

fn identity(choices: &mut Choices<'_>) -> Identity {
    Identity::new(HeaderIdentity([choices.byte() % 4; 16]), [0; 32])
}

fn at(choices: &mut Choices<'_>) -> Timestamp {
    let second = i64::from(choices.byte()) << (choices.byte() % 30);
    Timestamp::from_second(second).expect("in range")
}

fn text(choices: &mut Choices<'_>) -> String {
    let length = choices.byte() % 16;
    String::from_utf8_lossy(choices.bytes(length.into())).into_owned()
}

/// A journal of lines that were written with care: it is refused or taken, and then means the same
/// whenever it is read.
fn sealed_text(directory: &Path, input: &[u8]) {
    let mut content =
        sealed(br#"{"popfetch":1,"user":"alice","host":"pop.example.com","port":110}"#);
    for line in input.split(|&byte| byte == b'\n') {
        content.extend(sealed(line));
    }
    fs::write(file(directory), content).expect("our own file");
    let peeked = Journal::peek(directory, &mailbox()).expect("its first line is good");
    let mut journal = Journal::open(directory, &mailbox()).expect("its first line is good");
    assert_eq!(*journal.memory(), peeked);
    for corrupt in journal.corrupt_lines() {
        super::assert_harmless(&corrupt.to_string());
    }
    let number = journal.destination("maildir:/m").expect("a number");
    assert_ne!(
        journal.destination("maildir:/n").expect("another one"),
        number
    );
    journal.sync().expect("written");
    let before: Vec<_> = journal
        .memory()
        .messages()
        .map(|(_, uid, _)| uid.clone())
        .collect();
    drop(journal);
    let journal = Journal::open(directory, &mailbox()).expect("our own journal");
    assert!(journal.corrupt_lines().is_empty());
    assert_eq!(journal.memory().destination("maildir:/m"), Some(number));
    assert_eq!(journal.memory().len(), before.len());
    for uid in before {
        assert_eq!(
            journal.memory().recall(uid.as_bytes()),
            peeked.recall(uid.as_bytes())
        );
    }
}

fn sealed(line: &[u8]) -> Vec<u8> {
    let content = line.strip_suffix(b"}").unwrap_or(line);
    let mut sealed = content.to_vec();
    let checksum = crc32fast::hash(content);
    sealed.extend(format!(",\"crc\":\"{checksum:08x}\"}}\n").into_bytes());
    sealed
}
