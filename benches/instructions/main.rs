//! How many instructions the protocol core and the journal take for work that is always the same: a
//! regression shows on a noisy machine, too.
//!
//! `cargo bench --bench instructions` runs each piece under callgrind (Debian: valgrind), once doing the
//! work and once only preparing for it, and prints the difference for each message.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use popfetch::journal::{Intent, Journal, Record};
use popfetch::mail::Mailbox;
use popfetch::mail::{Digest, HeaderIdentity, Identity, Place, UniqueId};
use popfetch::pop3::{Event, Receiver, Shape, Uids};

/// The first argument that makes this program do one piece of work instead of measuring all.
const WORK: &str = "--work";

/// How many messages each piece of work is about.
const COUNT: u32 = 2_000;

/// A piece of work: prepares it, and does it where that is wanted.
type Work = fn(scratch: &Path, act: bool);

const ALL: [(&str, Work); 4] = [
    ("receive a message of 4 KB", receive),
    ("receive a line of UIDL", list),
    ("write a message's journal lines", write),
    ("load a message's journal lines", load),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [work, name, scratch, act] if work == WORK => {
            if let Some((_, work)) = ALL.iter().find(|(known, _)| known == name) {
                work(Path::new(scratch), act == "true");
            }
            ExitCode::SUCCESS
        }
        _ => match measure_all() {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                let _ = writeln!(std::io::stderr(), "{message}");
                ExitCode::FAILURE
            }
        },
    }
}

fn measure_all() -> Result<(), String> {
    for (name, _) in ALL {
        let [idle, busy] = [instructions(name, false)?, instructions(name, true)?];
        let each = busy.saturating_sub(idle) / u64::from(COUNT);
        let _ = writeln!(std::io::stdout(), "{each:>10} instructions to {name}");
    }
    Ok(())
}

/// All instructions of a process that does one piece of work, or only prepares for it.
fn instructions(name: &str, act: bool) -> Result<u64, String> {
    let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
    let counts = scratch.path().join("counts");
    let myself = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(myself)
        .args([WORK, name])
        .arg(scratch.path())
        .arg(act.to_string());
    let status = valgrind
        .status()
        .map_err(|error| format!("valgrind cannot be started ({error}): please install it"))?;
    let counts = std::fs::read_to_string(&counts).map_err(|error| error.to_string())?;
    let total = counts
        .lines()
        .find_map(|line| line.strip_prefix("summary: "));
    let total = total.and_then(|total| total.trim().parse().ok());
    total.ok_or(format!("callgrind reported no sum ({status})"))
}

fn receive(_: &Path, act: bool) {
    let line = b"the letter harbour evening and seven quiet meeting about the garden\r\n";
    let message = [b"+OK follows\r\n".as_slice(), &line.repeat(60), b".\r\n"].concat();
    let wire = message.repeat(COUNT as usize);
    let mut receiver = Receiver::new();
    (0..COUNT).for_each(|_| receiver.expect(Shape::Message));
    let (mut text, mut ended) = (Vec::new(), 0);
    if act {
        each_event(&mut receiver, &wire, &mut text, |event| {
            ended += u32::from(matches!(event, Event::EndOfMessage { .. }));
        });
        assert_eq!(ended, COUNT);
    }
}

fn list(_: &Path, act: bool) {
    let mut wire = b"+OK\r\n".to_vec();
    for number in 1..=COUNT {
        wire.extend_from_slice(format!("{number} 000000{number:08x}5f3759df\r\n").as_bytes());
    }
    wire.extend_from_slice(b".\r\n");
    let mut receiver = Receiver::new();
    receiver.expect(Shape::Listing);
    let mut uids = Uids::new();
    if act {
        each_event(&mut receiver, &wire, &mut Vec::new(), |event| {
            if let Event::Entry(entry) = event {
                uids.add(entry).expect("a listing");
            }
        });
        assert_eq!(uids.len(), COUNT as usize);
    }
}

/// Takes this apart in pieces of 16 KB, as TLS gives them.
fn each_event(
    receiver: &mut Receiver,
    wire: &[u8],
    text: &mut Vec<u8>,
    mut take: impl FnMut(Event<'_>),
) {
    let (mut start, mut end) = (0, 0);
    loop {
        let input = wire.get(start..end).unwrap_or_default();
        let (used, event) = receiver.receive(input, text).expect("a good server");
        start += used;
        match event {
            Event::Incomplete if end == wire.len() => return,
            Event::Incomplete => end = wire.len().min(end + 16 * 1024),
            event => take(event),
        }
        text.clear();
    }
}

fn write(scratch: &Path, act: bool) {
    let mut journal = Journal::open(scratch, &mailbox()).expect("a journal");
    let records: Vec<[Record; 2]> = (1..=COUNT).map(records).collect();
    if act {
        for batch in records.chunks(256) {
            for step in [0, 1] {
                let records: Vec<Record> = batch.iter().map(|pair| pair[step].clone()).collect();
                journal.append(records).expect("a disk");
            }
        }
    }
}

fn load(scratch: &Path, act: bool) {
    write(scratch, true);
    if act {
        let memory = Journal::peek(scratch, &mailbox()).expect("a journal");
        assert_eq!(memory.len(), COUNT as usize);
    }
}

fn mailbox() -> Mailbox {
    Mailbox::new("alice", "pop.example.com", 995)
}

/// What is written of a message: an intent, and that it is stored.
fn records(number: u32) -> [Record; 2] {
    let intent = Intent {
        uid: UniqueId::new(format!("000000{number:08x}5f3759df").as_bytes()),
        to: 0,
        digest: Digest([number.to_le_bytes()[0]; 32]),
        identity: Some(Identity::new(HeaderIdentity([7; 16]), [9; 32])),
        octets: 4_000,
        listed: Some(4_000),
        place: Place::Maildir {
            name: format!("1700000000.M{number}P4711Q{number}.host.example.com,S=3900"),
        },
        owed: vec![0],
    };
    let at = jiff::Timestamp::UNIX_EPOCH;
    [
        Record::Intend(intent.clone()),
        Record::Stored { intent, at },
    ]
}
