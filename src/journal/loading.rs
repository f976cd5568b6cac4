//! Reading a journal, damaged or not.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::format::{self, VERSION};
use super::memory::Memory;
use crate::error::{Failure, Kind, OrFail, Result};
use crate::mail::Mailbox;

/// The longest line that is read, in bytes: a unique-id of the longest kind, escaped, and the rest of a record.
const MAX_LINE: u64 = 64 * 1024;

/// What is written of a message usually takes so much, in bytes.
const TYPICAL_LINE: u64 = 240;

/// Room is made at once for no more messages than a maildrop may have.
const MAX_MESSAGES: usize = 1_000_000;

/// A line that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    path: PathBuf,
    line: u64,
    what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage { path, line, what } = self;
        write!(
            f,
            "line {line} of the journal {} is damaged and was passed over ({what}); a message may be stored twice because of it",
            path.display()
        )
    }
}

/// What a journal holds.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) memory: Memory,
    pub(super) corrupt_lines: Vec<Damage>,
    /// How many bytes, from the start, end with the last whole line.
    pub(super) read: u64,
    /// How many lines could be used.
    good: u64,
    /// Whether there is something after the last whole line.
    pub(super) torn: bool,
    /// How many lines only matter until another one follows.
    pub(super) transient_lines: u64,
    /// The version that the first line names; none without one that could be used.
    version: Option<u32>,
}

/// Reads a journal. A file that is missing or empty remembers nothing.
///
/// What follows the last whole line was cut off by a crash before it was durable, and is no corrupt line. If it is the
/// first line, the journal begins anew, which is reported.
///
/// # Errors
///
/// - [`Kind::Data`]: another maildrop's, a newer format, or nothing that can be read.
/// - [`Kind::Io`]: the file cannot be read.
pub(super) fn load(path: &Path, mailbox: &Mailbox) -> Result<Loaded> {
    let mut loaded = Loaded::default();
    loaded.memory.make_room(likely_messages(path));
    let (mut number, mut offset) = (0, 0);
    let (mut overlong, mut is_beginning) = (false, false);
    each_piece(path, |piece| {
        offset += piece.len() as u64;
        let Some(line) = piece.strip_suffix(b"\n") else {
            // The end of the file, or the beginning of a line that is too long to be ours.
            is_beginning = offset == piece.len() as u64 && is_beginning_of_header(piece, mailbox);
            overlong = true;
            return Ok(());
        };
        number += 1;
        loaded.read = offset;
        let taken = match std::mem::take(&mut overlong) {
            true => Err("it is too long".to_owned()),
            false => loaded.take(line, number, mailbox, path)?,
        };
        match taken {
            Ok(()) => loaded.good += 1,
            Err(what) => loaded.corrupt_lines.push(Damage {
                path: path.to_owned(),
                line: number,
                what,
            }),
        }
        Ok(())
    })?;
    loaded.torn = overlong;
    if loaded.torn && is_beginning {
        loaded.corrupt_lines.push(Damage {
            path: path.to_owned(),
            line: 1,
            what: "the file ends in it".to_owned(),
        });
    } else if offset > 0 && loaded.good == 0 {
        return Err(Failure::new(Kind::Data, format!("nothing in the journal {} can be read", path.display()))
            .hint("Move it away to begin a new one: messages that are still on the server will then be stored once more, and none will be lost."));
    }
    Ok(loaded)
}

/// About how many messages a journal is about, so that what holds them need not grow and move.
fn likely_messages(path: &Path) -> usize {
    let length = fs::metadata(path).map_or(0, |found| found.len());
    usize::try_from(length / TYPICAL_LINE).map_or(MAX_MESSAGES, |lines| lines.min(MAX_MESSAGES))
}

/// Whether this is as much of the first line as a crash has left of it.
fn is_beginning_of_header(line: &[u8], mailbox: &Mailbox) -> bool {
    // What was not written before a power cut may read as zeros.
    let zeros = line.iter().rev().take_while(|&&byte| byte == 0).count();
    let line = &line[..line.len() - zeros];
    (1..=VERSION).any(|version| format::header(version, mailbox).starts_with(line))
}

impl Loaded {
    /// Takes a whole line in; says what is wrong with it if it is damaged.
    fn take(
        &mut self,
        line: &[u8],
        number: u64,
        mailbox: &Mailbox,
        path: &Path,
    ) -> Result<Result<(), String>> {
        if number == 1 && !line.starts_with(b"{\"is\"") {
            return self.take_header(line, mailbox, path);
        }
        Ok(match format::read(line) {
            Ok(record) => {
                self.transient_lines += u64::from(record.is_transient());
                self.memory.apply(record);
                Ok(())
            }
            Err(problem) => Err(problem.to_string()),
        })
    }

    /// Whether all of it could be used.
    pub(super) fn is_sound(&self) -> bool {
        self.version.is_some() && self.corrupt_lines.is_empty()
    }

    /// Whether it is of an older version than is written.
    pub(super) fn is_older(&self) -> bool {
        self.version.is_some_and(|version| version < VERSION)
    }

    fn take_header(
        &mut self,
        line: &[u8],
        mailbox: &Mailbox,
        path: &Path,
    ) -> Result<Result<(), String>> {
        let refused = |message| {
            Failure::new(
                Kind::Data,
                format!("the journal {} {message}", path.display()),
            )
        };
        let header = match format::read_header(line) {
            Ok(header) => header,
            Err(problem) => return Ok(Err(problem.to_string())),
        };
        if header.popfetch > VERSION {
            return Err(refused(format!(
                "has format {}, this popfetch knows up to {VERSION}",
                header.popfetch
            ))
            .hint("A newer popfetch wrote it; use that one."));
        }
        if header.mailbox != *mailbox {
            return Err(refused("belongs to another mailbox".to_owned())
                .hint("Was it renamed? Move it away to begin a new one."));
        }
        self.version = Some(header.popfetch);
        Ok(Ok(()))
    }
}

/// Calls for each whole line of a file, without its line end. What is no line of ours, since it is too long or
/// torn, is left out.
pub(super) fn each_line(path: &Path, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut overlong = false;
    each_piece(path, |piece| match piece.strip_suffix(b"\n") {
        Some(line) if !std::mem::take(&mut overlong) => take(line),
        Some(_) => Ok(()),
        None => {
            overlong = true;
            Ok(())
        }
    })
}

/// Calls for each line of a file, line end included; for a line that is too long to be ours, for each
/// piece of it.
fn each_piece(path: &Path, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path);
    let cannot = || format!("cannot read the journal {}", path.display());
    let file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.or_fail(Kind::Io, cannot)?,
    };
    let mut reader = BufReader::with_capacity(64 * 1024, file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = reader
            .by_ref()
            .take(MAX_LINE)
            .read_until(b'\n', &mut line)
            .or_fail(Kind::Io, cannot)?;
        if length == 0 {
            return Ok(());
        }
        take(&line)?;
    }
}
