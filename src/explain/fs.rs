//! Files and directories.

use rustix::io::Errno;

use super::explained;
use crate::error::{Failure, Kind};
use crate::fs::{Error, ReadError, quoted};

/// What to do where root does not do as other users would like.
const AS_THE_OWNER: &str =
    "Name a place that only root can write to, or run popfetch as the user whose mail it is.";

/// As it is for a destination. For the journal the kind is another.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (kind, hints) = (kind(&error), hints(&error));
        explained(kind, hints, error)
    }
}

fn kind(error: &Error) -> Kind {
    match error {
        Error::System { .. } => kind_of(error.errno()),
        Error::Secret { source, .. } => match &**source {
            Error::Read { source, .. } => kind_of_read(source),
            _ => Kind::Config,
        },
        Error::Read { source, .. } => kind_of_read(source),
        _ => Kind::Destination,
    }
}

/// Whether the place cannot be used as it stands, or the machine failed us.
fn kind_of(errno: Option<Errno>) -> Kind {
    match errno {
        Some(
            Errno::ACCESS
            | Errno::PERM
            | Errno::ROFS
            | Errno::NOSPC
            | Errno::DQUOT
            | Errno::FBIG
            | Errno::NOENT
            | Errno::NOTDIR
            | Errno::ISDIR
            | Errno::EXIST
            | Errno::LOOP
            | Errno::NAMETOOLONG,
        ) => Kind::Destination,
        _ => Kind::Io,
    }
}

fn kind_of_read(error: &ReadError) -> Kind {
    match error {
        ReadError::TooLong { .. } => Kind::Config,
        ReadError::Wait(_) => Kind::Temporary,
        ReadError::Io(_) => Kind::Io,
    }
}

fn hints(error: &Error) -> Vec<String> {
    let own = |hints: &[&str]| hints.iter().map(|&hint| hint.to_owned()).collect();
    match error {
        Error::System { .. } => error
            .errno()
            .and_then(hint)
            .map_or_else(Vec::new, |hint| own(&[hint])),
        Error::NotADirectory(_) => own(&["Choose another path, or move the file away."]),
        Error::LinkInShared(_) => own(&[
            "Root does not follow it: it may lead mail into any file.",
            AS_THE_OWNER,
        ]),
        Error::LinkOfOthers(_) => own(&[
            "It may lead what popfetch writes into any file of yours. Remove it, or name the place itself.",
        ]),
        Error::LeadsOut(_) => own(&["Write the path without the two dots."]),
        Error::Replaced(_) => own(&[AS_THE_OWNER]),
        Error::SecondName(_) => own(&[
            "Root does not append to it: it may be any file.",
            AS_THE_OWNER,
        ]),
        Error::CannotGive { uid, .. } => vec![format!(
            "Their mail has to be theirs to read: run popfetch as user {uid}, or let root change owners there."
        )],
        Error::Secret { source, .. } => match source.errno() {
            Some(_) => own(&["Check the path, and that this user may read the file."]),
            None => hints(source),
        },
        Error::Read { .. } => Vec::new(),
        Error::NotAFile(_) => own(&["Name the file that contains the secret."]),
        Error::OwnedByOther { .. } => own(&[
            "It must belong to you or to root; otherwise its owner could read and change it.",
        ]),
        Error::Exposed {
            path,
            is_ours: true,
            ..
        } => {
            vec![format!("Close it to them with: chmod 600 {}", quoted(path))]
        }
        Error::Exposed {
            path,
            is_ours: false,
            ..
        } => {
            vec![format!(
                "Close it to them, as root, with: chmod 640 {}",
                quoted(path)
            )]
        }
        Error::WritableByOthers { path, .. } => vec![format!(
            "They could put another secret there. Close it to them with: chmod go-w {}",
            quoted(path)
        )],
    }
}

fn hint(errno: Errno) -> Option<&'static str> {
    match errno {
        Errno::NOSPC => Some(
            "The disk is full, or has no inodes left: make room and run popfetch again. What is not stored is still on the server.",
        ),
        Errno::DQUOT => Some(
            "The disk quota is used up: make room and run popfetch again. What is not stored is still on the server.",
        ),
        Errno::ROFS => Some("The file system is mounted read-only."),
        Errno::ACCESS | Errno::PERM => {
            Some("Check who owns the path and each directory on the way to it.")
        }
        Errno::NOTDIR => Some(
            "Something on the way to it is no directory: choose another path, or move that away.",
        ),
        Errno::FBIG => Some("A limit on the size of files forbids it: see \"ulimit -f\"."),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_full_disk_is_the_destinations_failure_and_a_broken_one_is_not() {
        let failure = |errno| Failure::from(Error::cannot("write", Path::new("/m/tmp/1"), errno));
        for full in [Errno::NOSPC, Errno::DQUOT, Errno::FBIG] {
            assert_eq!(failure(full).kind(), Kind::Destination);
            assert!(!failure(full).hints().is_empty());
        }
        let broken = failure(Errno::IO);
        assert_eq!(broken.kind(), Kind::Io);
        assert!(broken.to_string().starts_with("cannot write /m/tmp/1: "));
    }
}
