//! One popfetch at a time works on a journal.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use super::file;
use crate::error::{Failure, Kind, Result};
use crate::fs::{Error, open_private, shown};

/// The lock on a journal, held until it is dropped or the process ends, however it ends: a stale
/// lock file blocks no other run. The file itself is never removed, since another run may be waiting on it.
pub(super) struct Lock(#[expect(dead_code, reason = "closing the file gives the lock back")] File);

impl Lock {
    /// Takes the lock.
    ///
    /// # Errors
    ///
    /// [`Kind::Temporary`] if another process has it; [`Kind::Io`] if the file cannot be made.
    pub(super) fn take(path: &Path) -> Result<Self> {
        let cannot = |doing| move |error| file::failure(Error::cannot(doing, path, error));
        let file = open_private(path, OpenOptions::new().write(true).truncate(false))
            .map_err(cannot("make the lock file"))
            .map_err(|failure| failure.hint(file::WAY_OUT))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => Err(Failure::new(
                Kind::Temporary,
                format!(
                    "another popfetch is at work on this mailbox ({} is locked)",
                    shown(path)
                ),
            )
            .hint("It will be done soon, or waits for a slow server; this run changed nothing.")),
            Err(TryLockError::Error(error)) => Err(cannot("lock")(error)),
        }
    }
}
