//! Files and directories as the journal, the destinations and the secrets need them: durable, private, and safe from
//! what other users put in the way.
//!
//! - A `Directory` is reached name by name and held open. What is made in it is ours alone, whatever the umask says.
//! - `open_private`, `NewFile` and `Directory::anonymous_file` make the files of the journal and of a spool.
//! - `read_secret` reads a password or a key, if the file is closed to others.
//! - An `Error` says what failed at which path. Whether that is the destination's failure or the machine's, and what
//!   to do about it, is decided above.

mod directory;
mod error;
mod path;
mod private;
mod read;
mod rename;
mod secret;

use std::os::fd::AsFd;

use rustix::fs::{Advice, Mode};
use rustix::io::Errno;

pub(crate) use directory::{Directory, Missing, Owner};
pub use error::Error;
pub(crate) use error::{Result, shown};
pub(crate) use path::{lead_to_one, quoted, without_dead_links};
pub(crate) use private::{NewFile, open_private, replace};
pub use read::ReadError;
#[cfg(test)]
pub(crate) use read::to_end;
pub(crate) use read::{MAX_SECRET, more};
pub(crate) use rename::move_without_replacing;
pub(crate) use secret::{SECRET_TIMEOUT, read_secret};

/// Mode of the files we make.
pub(crate) const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Mode of the directories we make.
pub(crate) const DIRECTORY_MODE: Mode = Mode::RWXU;

/// Symbolic links that lead from one to the next; the kernel follows as many.
pub(crate) const MAX_LINKS: usize = 40;

/// Makes the entries of a directory durable: files made, renamed and removed in it.
pub(crate) fn sync_entries(directory: impl AsFd) -> Result<(), Errno> {
    match rustix::fs::fsync(directory) {
        // Some network file systems have nothing to sync for a directory and say so in this way.
        Err(Errno::INVAL) => Ok(()),
        other => other,
    }
}

/// Makes the data of a file durable that a run which was cut off may have written. Where that fails, what
/// memory holds of it is forgotten: the next run is to see what the disk holds.
pub(crate) fn sync_found(file: impl AsFd) -> Result<(), Errno> {
    rustix::fs::fdatasync(&file).inspect_err(|_| {
        let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
    })
}
