//! What became of messages that were being appended when a run was cut off.
//!
//! Each is where it was to be; or a part of it, or nothing, is at the end of the file; or another
//! program rewrote the file meanwhile and it may be anywhere. Only bytes that are known to be a part of ours are
//! ever cut away: another program may have appended a message where ours was to begin.
//!
//! What was stored long ago is looked for in the same way.

use std::fs::File;
use std::io;
use std::ops::Range;

use memchr::memmem;

use super::contents::Contents;
use super::marks;
use super::search::{self, Wanted};
use crate::deliver::StoredRef;
use crate::deliver::mboxrd;
use crate::mail::{Digest, Identity, Place};

/// How much of a line is looked at to see whether it is a From_ line, in bytes.
const MAX_FROM_LINE: usize = 512;

/// An intent, taken apart.
#[derive(Clone, Copy)]
struct Intent<'a> {
    /// Which of the intended it is.
    index: usize,
    offset: u64,
    length: u64,
    bytes: &'a Digest,
    marks: &'a [u32],
    text: &'a Digest,
}

impl<'a> Intent<'a> {
    fn of((index, intended): (usize, &StoredRef<'a>)) -> Option<Self> {
        match intended.place {
            Place::Mbox {
                offset,
                length,
                digest,
                marks,
            } => Some(Intent {
                index,
                offset: *offset,
                length: *length,
                bytes: digest,
                marks,
                text: intended.digest,
            }),
            _ => None,
        }
    }

    /// All of these that are for an mbox, in the order of their offsets.
    fn all(sought: &[StoredRef<'a>]) -> Vec<Self> {
        let mut intents: Vec<_> = sought.iter().enumerate().filter_map(Intent::of).collect();
        intents.sort_by_key(|intent| intent.offset);
        intents
    }

    /// The range it was to have. A journal that was tampered with may say anything.
    fn range(self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.length)
    }

    /// Whether a range begins where this was to begin: before its From_ line there may be the end of a line.
    fn begins_at(self, start: u64) -> bool {
        start == self.offset || start == self.offset.saturating_add(1)
    }
}

/// What became of the messages.
pub(super) struct Recovered {
    /// For each intent, whether it is stored.
    pub(super) stored: Vec<bool>,
    /// Where a part of ours begins that has to be cut away.
    pub(super) cut: Option<u64>,
}

/// Looks what became of the messages; changes nothing.
///
/// # Errors
///
/// The file could not be read.
pub(super) fn look(file: &File, intended: &[StoredRef<'_>]) -> io::Result<Recovered> {
    let contents = Contents::of(file)?;
    let mut intents = Intent::all(intended);
    let mut stored = vec![false; intended.len()];
    let mut kept = in_place(contents, &intents)?;
    mark(&mut stored, &mut intents, &kept);
    let counts = |range: &Range<u64>| {
        let is_taken = kept.iter().any(|(_, taken)| taken.contains(&range.start));
        // A part of one of ours at the end of the file may look like a whole message: the text of another one,
        // or its own without the empty line after it.
        let is_part = |intent: &Intent<'_>| {
            intent.begins_at(range.start) && contents.length < intent.range().end
        };
        !is_taken && !intents.iter().any(is_part)
    };
    let elsewhere = elsewhere(contents, &intents, counts)?;
    mark(&mut stored, &mut intents, &elsewhere);
    kept.extend(elsewhere);
    let cut = part_of_ours(contents, &intents, &kept)?;
    Ok(Recovered { stored, cut })
}

/// Which of these messages, stored earlier, are still there.
///
/// # Errors
///
/// The file could not be read.
pub(super) fn find(file: &File, stored: &[StoredRef<'_>]) -> io::Result<Vec<bool>> {
    let contents = Contents::of(file)?;
    let mut intents = Intent::all(stored);
    let mut found = vec![false; stored.len()];
    let kept = in_place(contents, &intents)?;
    mark(&mut found, &mut intents, &kept);
    let elsewhere = elsewhere(contents, &intents, |_| true)?;
    mark(&mut found, &mut intents, &elsewhere);
    Ok(found)
}

/// What the copies of these messages, stored earlier, are known by where header lines come and go; none for one that is
/// gone.
///
/// # Errors
///
/// The file could not be read.
pub(super) fn identify(file: &File, stored: &[StoredRef<'_>]) -> io::Result<Vec<Option<Identity>>> {
    let contents = Contents::of(file)?;
    let mut intents = Intent::all(stored);
    let mut there = vec![false; stored.len()];
    let mut found = in_place(contents, &intents)?;
    mark(&mut there, &mut intents, &found);
    found.extend(elsewhere(contents, &intents, |_| true)?);
    let mut identities = vec![None; stored.len()];
    if found.is_empty() {
        return Ok(identities);
    }
    // Before the From_ line there may be the end of a line that was not ours.
    let starts = contents.messages()?;
    for (index, range) in found {
        let next = starts.partition_point(|start| *start < range.start);
        if let Some(start) = starts.get(next).filter(|start| range.contains(start)) {
            let text = stored[index].digest;
            identities[index] = search::identity(contents, *start..range.end, text)?;
        }
    }
    Ok(identities)
}

/// Marks what was found; what is left in the list was not.
fn mark(stored: &mut [bool], missing: &mut Vec<Intent<'_>>, found: &[(usize, Range<u64>)]) {
    found.iter().for_each(|(index, _)| stored[*index] = true);
    missing.retain(|intent| !stored[intent.index]);
}

/// Those that are exactly where they were to be.
fn in_place(
    contents: Contents<'_>,
    intents: &[Intent<'_>],
) -> io::Result<Vec<(usize, Range<u64>)>> {
    let end_of_text = contents.end_of_text()?;
    let mut found = Vec::new();
    for intent in intents {
        let range = intent.range();
        if range.end <= contents.length
            && contents.digest(range.clone())? == *intent.bytes
            && may_end_at(contents, range.end, end_of_text)?
        {
            found.push((intent.index, range));
        }
    }
    Ok(found)
}

/// Whether a message may end here, in an mbox whose text ends there: after it there is nothing, or a From_ line,
/// or as much of one as came. What has the same bytes and goes on is another message, which begins like it.
fn may_end_at(contents: Contents<'_>, at: u64, end_of_text: u64) -> io::Result<bool> {
    let end = at.saturating_add(mboxrd::FROM.len() as u64);
    let mut next = Vec::new();
    contents.each(at..end.min(end_of_text), |piece| {
        next.extend_from_slice(piece);
    })?;
    Ok(mboxrd::FROM.starts_with(&next))
}

/// Those that are somewhere else, in a file that was rewritten, among the ranges that count.
fn elsewhere(
    contents: Contents<'_>,
    intents: &[Intent<'_>],
    counts: impl Fn(&Range<u64>) -> bool,
) -> io::Result<Vec<(usize, Range<u64>)>> {
    if intents.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: Vec<_> = intents
        .iter()
        .map(|intent| Wanted {
            length: intent.length,
            text: intent.text,
        })
        .collect();
    let found = search::search(contents, &wanted, counts)?
        .into_iter()
        .zip(intents);
    Ok(found
        .filter_map(|(range, intent)| Some((intent.index, range?)))
        .collect())
}

/// Where at the end of the file a part of what was to be appended begins, if nothing else comes after it.
fn part_of_ours(
    contents: Contents<'_>,
    missing: &[Intent<'_>],
    kept: &[(usize, Range<u64>)],
) -> io::Result<Option<u64>> {
    let end = contents.end_of_text()?;
    for (n, first) in missing.iter().enumerate() {
        let is_after_all = kept.iter().all(|(_, kept)| kept.end <= first.offset);
        if first.offset < contents.length
            && is_after_all
            && is_explained(contents, end, &missing[n..])?
        {
            return Ok(Some(first.offset));
        }
    }
    Ok(None)
}

/// Whether everything from the first of these to the end of the file is them, one after another,
/// up to where the writing was cut off.
fn is_explained(contents: Contents<'_>, end: u64, missing: &[Intent<'_>]) -> io::Result<bool> {
    let mut at = missing.first().map_or(end, |first| first.offset);
    for intent in missing {
        let range = intent.range();
        if at >= end {
            break;
        }
        let written = range.start..range.end.min(end);
        if intent.offset != at || !is_part(contents, intent, written)? {
            return Ok(false);
        }
        at = range.end;
    }
    // After the text there may be NULs, but no more of them than there was to be text.
    let planned = missing.last().map_or(0, |last| last.range().end);
    Ok(at >= end && contents.length <= planned)
}

/// Whether a range holds the beginning of this message, and of no other one.
fn is_part(contents: Contents<'_>, intent: &Intent<'_>, range: Range<u64>) -> io::Result<bool> {
    let length = range.end - range.start;
    let found = contents.marks(range.clone())?;
    if !intent.marks.starts_with(&found) {
        return Ok(false);
    }
    if length < marks::FIRST {
        return is_beginning_of_from_line(contents, range);
    }
    Ok(!holds_another_from_line(contents, range)?)
}

/// Whether a range shorter than any From_ line can be the beginning of ours.
fn is_beginning_of_from_line(contents: Contents<'_>, range: Range<u64>) -> io::Result<bool> {
    let mut bytes = Vec::new();
    contents.each(range, |piece| bytes.extend_from_slice(piece))?;
    let line = bytes.strip_prefix(b"\n").unwrap_or(&bytes);
    let alike = line
        .iter()
        .zip(mboxrd::FROM)
        .all(|(found, expected)| found == expected);
    Ok(alike && !line.contains(&b'\n'))
}

/// Whether after its first line a range holds a From_ line, be it in the middle of a line: that is
/// where another program appends to ours when ours was cut off.
fn holds_another_from_line(contents: Contents<'_>, range: Range<u64>) -> io::Result<bool> {
    // The first byte may be the end of the line before; then our own From_ line begins at the second.
    let start = range.start + 1;
    // Always begins with a byte that was looked at already: whether it is a `>` matters.
    let mut window = Vec::new();
    let mut found = false;
    contents.each(start..range.end.max(start), |piece| {
        window.extend_from_slice(piece);
        let complete = window.len().saturating_sub(MAX_FROM_LINE);
        found |= from_lines(&window).any(|at| at < complete);
        window.drain(..complete.saturating_sub(1));
    })?;
    Ok(found || from_lines(&window).next().is_some())
}

/// Where in a window From_ lines begin that are not quoted, but for its first byte.
fn from_lines(window: &[u8]) -> impl Iterator<Item = usize> {
    memmem::find_iter(window, b"From ").filter(|at| {
        let before = at.checked_sub(1).and_then(|before| window.get(before));
        let line = &window[*at..window.len().min(at + MAX_FROM_LINE)];
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or(line);
        before.is_some_and(|before| *before != b'>') && mboxrd::looks_like_from_line(line)
    })
}
