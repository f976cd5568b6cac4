//! The file system's failures as those of a destination.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::error::{Failure, Kind};
use crate::fs::{Error, quoted, without_dead_links};

pub(super) use crate::fs::shown;

/// A failure to do this to this path: "cannot write /home/alice/Mail/tmp: No space left on device".
pub(super) fn failure(doing: &str, path: &Path, error: impl Into<io::Error>) -> Failure {
    Error::cannot(doing, path, error).into()
}

/// A place where mail was stored, and that is gone. These directories in it would begin it anew.
pub(super) fn gone(what: &str, place: &Path, directories: &[&str]) -> Failure {
    let makeable = without_dead_links(place);
    let directories = directories.iter().map(|name| makeable.join(name));
    let words: Vec<_> = directories
        .map(|path| quoted(&path.components().collect::<PathBuf>()))
        .collect();
    Failure::new(
        Kind::Destination,
        format!("{what} {} is gone, and mail was stored there", shown(place)),
    )
    .hint("If it is on a disk or a server that is not mounted, mount that.")
    .hint(format!(
        "If it is to begin empty{}: mkdir -p {}",
        other_owner(&makeable)
            .map(|user| format!(", as user {user}"))
            .unwrap_or_default(),
        words.join(" ")
    ))
}

/// As root: the other user who owns a place, or the directory that it would be made in. What root made there by hand
/// would not be theirs.
fn other_owner(path: &Path) -> Option<u32> {
    let found = path
        .ancestors()
        .find_map(|above| fs::metadata(above).ok())?;
    Some(found.uid()).filter(|&user| user != 0 && rustix::process::geteuid().is_root())
}

/// Whether something written at this time, in seconds since 1970, has more than this age, in seconds. Some
/// file systems hold any number as a time.
pub(super) fn is_older(written: i64, age: i64, now: Timestamp) -> bool {
    now.as_second().saturating_sub(written) > age
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_any_time_has_an_age() {
        let now = Timestamp::now();
        let old = |written| is_older(written, 60, now);
        assert!(old(i64::MIN) && old(0) && old(now.as_second() - 61));
        assert!(!old(now.as_second() - 60) && !old(i64::MAX));
    }
}
