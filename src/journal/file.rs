//! A journal's file: opened safely, appended whole lines, made durable.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::crash;
use crate::error::{Failure, Kind, Result};
use crate::fs::{Error, open_private};

/// What to do where the journal cannot be written.
pub(super) const WAY_OUT: &str = "popfetch remembers there what is stored, and stores nothing that it could not remember. XDG_STATE_HOME can name another directory, the same one for every run.";

/// An open journal file. What was appended is there for other programs at once, and after a power
/// cut once it is synced.
pub(super) struct Appender {
    path: PathBuf,
    file: File,
    length: u64,
    /// How much of it is durable.
    durable: u64,
    unsynced: bool,
    /// Why nothing can be relied on any more: a failed append that could not be taken back, or a failed sync.
    broken: Option<Failure>,
}

impl Appender {
    /// Opens or creates the file; a symbolic link is refused.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let cannot = |error| failure(Error::cannot("open the journal", path, error)).hint(WAY_OUT);
        let file = open_private(path, OpenOptions::new().append(true)).map_err(cannot)?;
        let length = file.metadata().map_err(cannot)?.len();
        Ok(Appender {
            path: path.to_owned(),
            file,
            length,
            durable: length,
            unsynced: false,
            broken: None,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether all that was appended is durable.
    pub(super) fn is_synced(&self) -> bool {
        !self.unsynced && self.broken.is_none()
    }

    /// Cuts the file to this length.
    pub(super) fn cut(&mut self, length: u64) -> Result<()> {
        self.file
            .set_len(length)
            .map_err(|error| self.cannot("cut", error))?;
        self.length = length;
        self.durable = length;
        self.unsynced = true;
        Ok(())
    }

    /// Appends lines, all or none: what a full disk cut off is taken back.
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<()> {
        self.is_reliable()?;
        self.unsynced = true;
        crash::point("journal: before an append");
        if let Err(error) = self.file.write_all(lines) {
            let failure = self.cannot("write", error).hint(WAY_OUT);
            if self.file.set_len(self.length).is_err() {
                self.broken = Some(failure.clone());
            }
            return Err(failure);
        }
        self.length += lines.len() as u64;
        Ok(())
    }

    /// Makes all that was appended durable. After a failed sync it is unknown what the disk holds, so
    /// nothing is claimed durable any more, and what may not be is taken back: the next run would find it
    /// in memory and take it for durable.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.is_reliable()?;
        if self.unsynced {
            crash::point("journal: appended, not synced");
            let synced = self.file.sync_data();
            synced
                .map_err(|error| self.cannot("sync", error))
                .inspect_err(|failure| {
                    self.broken = Some(failure.clone());
                    let _ = self.file.set_len(self.durable);
                })?;
            (self.durable, self.unsynced) = (self.length, false);
            crash::point("journal: synced");
        }
        Ok(())
    }

    /// Removes a file that was only just made.
    pub(super) fn remove_if_empty(&self) {
        if self.is_empty() {
            let _ = fs::remove_file(&self.path);
        }
    }

    fn cannot(&self, doing: &str, error: io::Error) -> Failure {
        failure(Error::cannot(
            &format!("{doing} the journal"),
            &self.path,
            error,
        ))
    }

    fn is_reliable(&self) -> Result<()> {
        self.broken.clone().map_or(Ok(()), Err)
    }
}

/// The journal's failure where a file or a directory could not be used.
pub(super) fn failure(error: Error) -> Failure {
    Failure::from(error).of_kind(Kind::Io)
}
