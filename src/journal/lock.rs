//! One popfetch at a time works on a journal.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use super::file;
use crate::error::{Failure, Kind, OrFail, Result};

/// The lock on a journal, held until it is dropped or the process ends, however it ends: a stale
/// lock file never blocks anybody. The file itself is never removed, since somebody may be waiting on it.
pub(super) struct Lock(#[expect(dead_code, reason = "closing the file gives the lock back")] File);

impl Lock {
    /// Takes the lock.
    ///
    /// # Errors
    ///
    /// [`Kind::Temporary`] if another process has it; [`Kind::Io`] if the file cannot be made.
    pub(super) fn take(path: &Path) -> Result<Self> {
        let shown = path.display();
        let file = file::open(path, OpenOptions::new().write(true).truncate(false))
            .or_fail(Kind::Io, || format!("cannot make the lock file {shown}"))
            .map_err(|failure| failure.hint(file::WAY_OUT))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => Err(Failure::new(
                Kind::Temporary,
                format!("another popfetch is at work on this mailbox ({shown} is locked)"),
            )
            .hint("It will be done soon, or waits for a slow server; this run changed nothing.")),
            Err(TryLockError::Error(error)) => {
                Err(Failure::new(Kind::Io, format!("cannot lock {shown}")).because(error))
            }
        }
    }
}
