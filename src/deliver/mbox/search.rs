//! Looking for messages in an mbox that was rewritten: they are no longer where they were put, and
//! readers keep notes in their headers.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;

use super::contents::Contents;
use crate::deliver::mboxrd::Unquoter;
use crate::mail::{Digest, Identity};
use crate::message::{Hasher, Hashes};

/// Header fields in which mail readers keep notes. A message is known again without them.
const NOTES: [&[u8]; 10] = [
    b"status:",
    b"x-status:",
    b"x-keywords:",
    b"x-uid:",
    b"x-imap:",
    b"x-imapbase:",
    b"content-length:",
    b"lines:",
    b"x-mozilla-status:",
    b"x-mozilla-status2:",
];

/// How much shorter or longer than it was stored a message may be to be worth a closer look, in bytes.
const MAX_NOTES: u64 = 2048;

/// How much of a line of a header is looked at, in bytes.
const MAX_LINE: u64 = 64 * 1024;

/// A message that is looked for.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Its length as it was stored, From_ line, quoting and all.
    pub(super) length: u64,
    /// SHA-256 of its text.
    pub(super) text: &'a Digest,
}

/// Looks for messages among the ranges that count; for each, where it was found. No range is given out twice.
///
/// # Errors
///
/// The file could not be read.
pub(super) fn search(
    contents: Contents<'_>,
    wanted: &[Wanted<'_>],
    counts: impl Fn(&Range<u64>) -> bool,
) -> io::Result<Vec<Option<Range<u64>>>> {
    let mut found = vec![None; wanted.len()];
    let mut left = wanted.len();
    let mut by_text: HashMap<&Digest, VecDeque<usize>> = HashMap::new();
    for (n, wanted) in wanted.iter().enumerate() {
        by_text.entry(wanted.text).or_default().push_back(n);
    }
    let lengths: BTreeSet<u64> = wanted.iter().map(|wanted| wanted.length).collect();
    let starts = contents.messages()?;
    let ends = starts.iter().skip(1).copied().chain([contents.length]);
    for (start, end) in starts.iter().copied().zip(ends) {
        let length = end - start;
        let near = length.saturating_sub(MAX_NOTES)..=length.saturating_add(MAX_NOTES);
        let range = start..end;
        if lengths.range(near).next().is_none() || !counts(&range) {
            continue;
        }
        let texts = texts(contents, range.clone())?;
        let same = texts
            .iter()
            .find_map(|text| by_text.get_mut(&text.digest)?.pop_front());
        if let Some(n) = same {
            found[n] = Some(range);
            left -= 1;
        }
        if left == 0 {
            break;
        }
    }
    Ok(found)
}

/// What the message in a range is known by where header lines come and go, if it is the one with this text.
///
/// # Errors
///
/// The file could not be read.
pub(super) fn identity(
    contents: Contents<'_>,
    message: Range<u64>,
    text: &Digest,
) -> io::Result<Option<Identity>> {
    let texts = texts(contents, message)?;
    let same = texts.iter().find(|hashes| hashes.digest == *text);
    Ok(same.map(|hashes| hashes.identity))
}

/// The texts, hashed, that a stored message may have come from, the likeliest first: with and without
/// the readers' notes, and as it cannot be seen whether its last line had an end, each with and
/// without that.
fn texts(contents: Contents<'_>, message: Range<u64>) -> io::Result<Vec<Hashes>> {
    let mut texts = Vec::new();
    for notes in [true, false] {
        let mut reader = BufReader::new(contents.range(message.clone()));
        let Some(from_line) = skip_line(&mut reader)? else {
            return Ok(Vec::new());
        };
        let body = message.start + from_line..message.end;
        let newlines = newlines_at_end(contents, &body)?;
        let core = body.end - body.start - newlines;
        let mut text = Text::new();
        pass(&mut reader.take(core), notes, |bytes| text.update(bytes))?;
        texts.extend(text.finish(newlines));
    }
    Ok(texts)
}

/// How many bytes the first line has, with its end; none where it has no end.
fn skip_line(reader: &mut impl BufRead) -> io::Result<Option<u64>> {
    let mut length = 0;
    loop {
        let buffer = reader.fill_buf()?;
        let end = memchr::memchr(b'\n', buffer);
        let n = end.map_or(buffer.len(), |at| at + 1);
        reader.consume(n);
        length += n as u64;
        if end.is_some() {
            return Ok(Some(length));
        }
        if n == 0 {
            return Ok(None);
        }
    }
}

/// How many of the last two bytes are line ends that may not belong to the text.
fn newlines_at_end(contents: Contents<'_>, body: &Range<u64>) -> io::Result<u64> {
    let mut end = Vec::new();
    let start = body.end.saturating_sub(2).max(body.start);
    contents.each(start..body.end, |piece| end.extend_from_slice(piece))?;
    let newlines = end.iter().rev().take_while(|byte| **byte == b'\n').count();
    Ok(newlines as u64)
}

/// Passes a message on, its header with or without the readers' notes.
fn pass(reader: &mut impl BufRead, notes: bool, mut to: impl FnMut(&[u8])) -> io::Result<()> {
    let mut in_header = !notes;
    let mut in_note = false;
    let mut line = Vec::new();
    while in_header {
        line.clear();
        reader
            .by_ref()
            .take(MAX_LINE)
            .read_until(b'\n', &mut line)?;
        let continues = matches!(line.first(), Some(b' ' | b'\t'));
        in_note = if continues { in_note } else { is_note(&line) };
        if !in_note {
            to(&line);
        }
        in_header = !matches!(&*line, [] | b"\n" | b"\r\n");
    }
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        to(buffer);
        let n = buffer.len();
        reader.consume(n);
    }
}

fn is_note(line: &[u8]) -> bool {
    let begins = |field: &&[u8]| {
        line.get(..field.len())
            .is_some_and(|name| name.eq_ignore_ascii_case(field))
    };
    NOTES.iter().any(begins)
}

/// A text as it was before it was quoted.
struct Text {
    unquoter: Unquoter,
    hasher: Hasher,
}

impl Text {
    fn new() -> Self {
        Text {
            unquoter: Unquoter::new(),
            hasher: Hasher::default(),
        }
    }

    fn update(&mut self, quoted: &[u8]) {
        self.unquoter
            .unquote(quoted, |bytes| self.hasher.update(bytes));
    }

    /// Its hashes with none, one … of this number of line ends after it. The last line end is the empty line that
    /// we put after a message, and the one before it hardly ever is ours: in that order they are tried, so
    /// that messages that differ in nothing but such line ends are not taken for each other.
    fn finish(self, newlines: u64) -> Vec<Hashes> {
        let mut hasher = self.hasher;
        self.unquoter.finish(|bytes| hasher.update(bytes));
        let mut texts = VecDeque::new();
        for _ in 0..newlines {
            texts.push_front(hasher.hashes());
            hasher.update(b"\n");
        }
        texts.push_back(hasher.hashes());
        texts.into()
    }
}
