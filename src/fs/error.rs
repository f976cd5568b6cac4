//! What went wrong with a file or a directory.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::read::ReadError;
use crate::text::Untrusted;

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation on a path failed, or what is there is not to be used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused it, or could not do it.
    #[error("cannot {doing} {}", shown(path))]
    System {
        /// What was to be done to the path: "write a message in".
        doing: String,
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Arc<io::Error>,
    },
    /// Something else is where a directory is needed.
    #[error("{} is not a directory", shown(.0))]
    NotADirectory(PathBuf),
    /// As root: another user may have put this link there.
    #[error("{} is a symbolic link, in a directory that other users can write to", shown(.0))]
    LinkInShared(PathBuf),
    /// A link that neither we nor root made.
    #[error("{} is a symbolic link that another user made", shown(.0))]
    LinkOfOthers(PathBuf),
    /// As root: what `..` is depends on another user.
    #[error("{} leads out of a directory that other users can move", shown(.0))]
    LeadsOut(PathBuf),
    /// As root: a directory that we made is not there any more.
    #[error("{} was replaced by another user while it was made", shown(.0))]
    Replaced(PathBuf),
    /// As root: another user may have given this file its second name.
    #[error("{} has another name too (a hard link), in a directory that other users can write to", shown(.0))]
    SecondName(PathBuf),
    /// As root: what is made in a directory of another user must be theirs.
    #[error("cannot give to user {uid} and group {gid} {}", shown(path))]
    CannotGive {
        /// What was made.
        path: PathBuf,
        /// The user who is to own it.
        uid: u32,
        /// The group.
        gid: u32,
        /// Why not.
        #[source]
        source: Errno,
    },
    /// A file with a password or a key cannot be used.
    #[error("cannot use {name}")]
    Secret {
        /// What it is: "the password file of account work".
        name: String,
        /// What is wrong with it.
        #[source]
        source: Box<Error>,
    },
    /// A secret file could not be read.
    #[error("cannot read {}", shown(path))]
    Read {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Arc<ReadError>,
    },
    /// A secret cannot be in it.
    #[error("{} is neither a file nor a pipe", shown(.0))]
    NotAFile(PathBuf),
    /// A secret file whose owner is neither this user nor root.
    #[error("{} belongs to another user (user id {uid})", shown(path))]
    OwnedByOther {
        /// The secret file.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// A secret file that other users may read or write.
    #[error("{} is open to other users (mode {mode:04o})", shown(path))]
    Exposed {
        /// The secret file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// Whether it is this user's; else it is root's.
        is_ours: bool,
    },
    /// Where secrets are handed over, others could put one of their own.
    #[error("other users can write to {} (mode {mode:04o})", shown(path))]
    WritableByOthers {
        /// The secret file, or a directory on the way to it.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

impl Error {
    /// The system failed to do this to a path: "cannot write /home/alice/Mail/tmp: No space left on device".
    pub(crate) fn cannot(doing: &str, path: &Path, source: impl Into<io::Error>) -> Self {
        Error::System {
            doing: doing.to_owned(),
            path: path.to_owned(),
            source: Arc::new(source.into()),
        }
    }

    /// The system's reason.
    pub(crate) fn errno(&self) -> Option<Errno> {
        match self {
            Error::System { source, .. } => Errno::from_io_error(source),
            Error::CannotGive { source, .. } => Some(*source),
            _ => None,
        }
    }
}

/// A path, safe to show.
pub(crate) fn shown(path: &Path) -> String {
    Untrusted(path.as_os_str().as_bytes()).to_string()
}
