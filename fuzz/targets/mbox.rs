//! Messages on their way into an mbox: quoting, finding them again, and an append that was cut off.

use std::fs;
use std::ops::Range;
use std::path::Path;

use jiff::Timestamp;
use popfetch::deliver::{Complete, Destination, Mbox, Mode, StoredRef};
use popfetch::environment::Environment;
use popfetch::mail::{Digest, Place};
use popfetch::message::Peek;
use sha2::{Digest as _, Sha256};

use super::{Choices, pieces};

/// Ends a message in the input.
const END: u8 = 0xff;

/// As many messages as a batch has here.
const MOST: usize = 6;

/// What is in the mbox already; its last line has no end.
const OLD: &[u8] =
    b"From old@example.org Thu Jan  1 00:00:00 1970\nSubject: an old message\n\nthe end is missing";

/// What a mail program puts in front when it writes the mbox anew.
const FRONT: &[u8] =
    b"From other@example.org Thu Jan  1 00:00:00 1970\nSubject: put in front\n\ntext\n\n";

/// Some messages in an mbox, stored as one batch.
struct Batch<'a> {
    messages: Vec<&'a [u8]>,
    places: Vec<Place>,
    /// The whole mbox after it.
    mbox: Vec<u8>,
    /// Where in the mbox it begins.
    start: usize,
}

/// Choices, then messages.
pub(super) fn run(input: &[u8]) {
    let mut choices = Choices(input);
    let old = if choices.flag() { b"" } else { OLD };
    let cut = choices.below(usize::from(u16::MAX));
    let lengths = choices.lengths();
    let messages: Vec<&[u8]> = choices.0.split(|&byte| byte == END).take(MOST).collect();
    super::with_directory(|directory| {
        let path = directory.join("mbox");
        fs::write(&path, old).expect("our own file");
        let mut mbox = mbox(&path, directory);
        let batch = Batch {
            places: store(&mut mbox, &messages, &lengths),
            messages,
            mbox: fs::read(&path).expect("our own file"),
            start: old.len(),
        };
        batch.places_are_true();
        batch.is_readable();
        batch.is_found_again(&mut mbox, &path);
        batch.is_cut_back(&mut mbox, &path, cut);
    });
}

fn mbox(path: &Path, directory: &Path) -> Mbox {
    let mut environment = Environment::system().expect("an environment");
    environment.state_dir = directory.join("state");
    Mbox::new(
        path.to_owned(),
        &environment.with_clock(|| Timestamp::UNIX_EPOCH),
    )
}

fn digest(text: &[u8]) -> Digest {
    Digest(Sha256::digest(text).into())
}

fn store(mbox: &mut Mbox, messages: &[&[u8]], lengths: &[usize]) -> Vec<Place> {
    for text in messages {
        let (mut in_pieces, mut whole) = (Peek::default(), Peek::default());
        whole.feed(text);
        let mut writer = mbox.begin().expect("begun");
        for piece in pieces(text, lengths) {
            in_pieces.feed(piece);
            writer.write(piece).expect("written");
        }
        let sender = in_pieces.sender();
        assert_eq!(sender, whole.sender());
        let complete = Complete {
            digest: digest(text),
            length: text.len() as u64,
            sender,
            uid: None,
        };
        writer.finish(&complete).expect("finished");
    }
    let prepared = mbox.prepare().expect("prepared");
    let promised = prepared.places().to_vec();
    let stored: Result<Vec<_>, _> = prepared.commit().into_iter().collect();
    assert_eq!(stored.expect("stored"), promised);
    promised
}

/// A message as it comes out of an mbox: its last line has an end.
fn finished(text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    text
}

fn range(place: &Place) -> Range<usize> {
    let Place::Mbox { offset, length, .. } = place else {
        panic!("no place in an mbox");
    };
    let at = |place: u64| usize::try_from(place).expect("a short file");
    at(*offset)..at(offset + length)
}

impl Batch<'_> {
    /// One after the other up to the end, and with the digests of what is there.
    fn places_are_true(&self) {
        let mut start = self.start;
        for place in &self.places {
            let Place::Mbox {
                digest: recorded, ..
            } = place
            else {
                panic!("no place in an mbox");
            };
            let range = range(place);
            assert_eq!(range.start, start);
            assert_eq!(digest(&self.mbox[range.clone()]), *recorded);
            start = range.end;
        }
        assert_eq!(start, self.mbox.len());
    }

    fn is_readable(&self) {
        let texts = read(&self.mbox);
        let (old, texts) = texts.split_at(usize::from(self.start > 0));
        assert!(old.iter().all(|text| OLD.ends_with(text)));
        let expected: Vec<Vec<u8>> = self.messages.iter().map(|text| finished(text)).collect();
        assert_eq!(texts, expected);
    }

    /// After a mail program has put another message in front.
    fn is_found_again(&self, mbox: &mut Mbox, path: &Path) {
        fs::write(path, [FRONT, &self.mbox].concat()).expect("our own file");
        let stored = self.recover(mbox, Mode::DryRun);
        assert!(stored.iter().all(|stored| *stored), "{stored:?}");
    }

    /// After a kill in the middle of the append, those that are whole count as stored, and the part of
    /// the next goes away; only where text looks like a From_ line may it stay.
    fn is_cut_back(&self, mbox: &mut Mbox, path: &Path, cut: usize) {
        let cut = self.start + cut % (self.mbox.len() - self.start + 1);
        fs::write(path, &self.mbox[..cut]).expect("our own file");
        let stored = self.recover(mbox, Mode::Apply);
        let ends = || self.places.iter().map(|place| range(place).end);
        assert!(stored.iter().copied().eq(ends().map(|end| end <= cut)));

        let left = fs::read(path).expect("our own file");
        let kept = ends().filter(|end| *end <= cut).max().unwrap_or(self.start);
        if left != self.mbox[..kept] {
            let mut words = self.mbox[kept..cut].windows(5).skip(2);
            assert!(words.any(|word| word == b"From "));
            return assert!(left == self.mbox[..cut]);
        }
        let all = self.messages.iter().zip(stored);
        let missing: Vec<&[u8]> = all
            .filter(|(_, stored)| !stored)
            .map(|(text, _)| *text)
            .collect();
        store(mbox, &missing, &[64]);
        assert!(fs::read(path).expect("our own file") == self.mbox);
    }

    fn recover(&self, mbox: &mut Mbox, mode: Mode) -> Vec<bool> {
        let digests: Vec<_> = self.messages.iter().map(|text| digest(text)).collect();
        let intents = self.places.iter().zip(&digests);
        let intents: Vec<_> = intents
            .map(|(place, digest)| StoredRef { place, digest })
            .collect();
        mbox.recover(&intents, mode).expect("recovered")
    }
}

/// The texts of an mbox, read as the format says it: every line that begins with `From ` begins a
/// message, one `>` goes from every line that has some before `From `, and an empty line ends it.
fn read(mbox: &[u8]) -> Vec<Vec<u8>> {
    let mut texts: Vec<Vec<u8>> = Vec::new();
    for line in mbox.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(b"From ") {
            assert!(
                line.is_ascii() && line.ends_with(b" 1970\n"),
                "{}",
                line.escape_ascii()
            );
            assert_eq!(
                line.split(|&byte| byte == b' ')
                    .filter(|word| !word.is_empty())
                    .count(),
                7
            );
            texts.push(Vec::new());
            continue;
        }
        let bare = line.iter().position(|&byte| byte != b'>').unwrap_or(0);
        let is_quoted = bare > 0 && line[bare..].starts_with(b"From ");
        let text = texts.last_mut().expect("it begins with a From_ line");
        text.extend_from_slice(&line[usize::from(is_quoted)..]);
    }
    for text in &mut texts {
        assert_eq!(text.pop(), Some(b'\n'), "an empty line");
    }
    texts
}
