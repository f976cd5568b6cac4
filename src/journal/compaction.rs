//! Rewriting a journal without what no longer matters.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::file;
use super::format;
use super::loading;
use super::memory::{Memory, Remembered};
use super::record::Record;
use crate::error::{Failure, Kind, OrFail, Result};
use crate::fs::{NewFile, replace};
use crate::mail::Mailbox;
use crate::mail::UniqueId;

/// A journal is rewritten when it has more dead lines than this, and more than half as many as messages: so
/// lines are not rewritten much more often than they are written.
const DEAD_LINES: u64 = 1000;

/// Whether it is worth its price to rewrite a journal that says this, and has so many lines that only matter, or
/// mattered, until another one follows.
pub(super) fn is_due(memory: &Memory, transient_lines: u64) -> bool {
    let dead = transient_lines.saturating_sub(memory.transient_lines());
    dead > DEAD_LINES.max(memory.len() as u64 / 2)
}

/// Writes what still matters into a new file and puts that in the journal's place. A kill at any
/// moment leaves the old file or the new one. A journal of which this is not all, since it is damaged, is kept
/// beside it.
///
/// Returns the same memory, as the new file has it: there are never two of them.
///
/// # Errors
///
/// The new file could not be written, or does not say the same: the old one stands.
pub(super) fn rewrite(
    path: &Path,
    mailbox: &Mailbox,
    memory: Memory,
    is_damaged: bool,
) -> Result<Memory> {
    let new = beside(path, "new");
    let mut out = NewFile::create(&new).map_err(file::failure)?;
    let mut write = |bytes: &[u8]| out.write(bytes).map_err(file::failure);
    write(&format::header(format::VERSION, mailbox))?;
    loading::each_line(path, |line| match format::read(line) {
        Ok(record) if still_matters(&record, &memory) => write(line).and_then(|()| write(b"\n")),
        _ => Ok(()),
    })?;
    out.finish().map_err(file::failure)?;
    let expected = memory.fingerprint();
    drop(memory);
    let memory = loading::load(&new, mailbox)?.memory;
    if memory.fingerprint() != expected {
        return Err(Failure::new(
            Kind::Io,
            format!("{} does not say what it should", new.display()),
        ));
    }
    if is_damaged {
        keep(path)?;
    }
    replace(&new, path).map_err(file::failure)?;
    Ok(memory)
}

fn still_matters(record: &Record, memory: &Memory) -> bool {
    let remembered =
        |uid: &UniqueId, is: fn(&Remembered) -> bool| memory.recall(uid.as_bytes()).is_some_and(is);
    match record {
        Record::Intend(intent) => memory.is_unsettled(intent),
        Record::IntentAborted { .. } => false,
        Record::Asked { uid } => remembered(uid, Remembered::is_asked),
        Record::Refused { uid } => remembered(uid, Remembered::is_refused),
        Record::Dropped { uid } => remembered(uid, Remembered::is_dropped),
        Record::Overrun { uid, at } | Record::Short { uid, at } => {
            let tried = memory.recall(uid.as_bytes()).map(Remembered::last_tried);
            tried == Some(at.as_second())
        }
        Record::Undeletable { uid } => remembered(uid, Remembered::is_undeletable),
        Record::Announced {
            connection,
            capabilities,
            at,
        } => memory.announced_last(connection, capabilities, *at),
        _ => true,
    }
}

/// A second name for the file as it is, so that nothing of it is lost when the first is given to another.
fn keep(path: &Path) -> Result<()> {
    let damaged = beside(path, "damaged");
    let cannot = || format!("cannot keep the damaged journal as {}", damaged.display());
    match fs::remove_file(&damaged) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).or_fail(Kind::Io, cannot)?
        }
        _ => {}
    }
    // Not every file system has hard links.
    fs::hard_link(path, &damaged)
        .or_else(|_| fs::copy(path, &damaged).map(drop))
        .or_fail(Kind::Io, cannot)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}
