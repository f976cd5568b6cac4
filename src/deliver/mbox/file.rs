//! The file an mbox is.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, Mode, OFlags};
use rustix::io::Errno;

use crate::deliver::disk;
use crate::error::{Failure, Kind, Result};

/// Whether a file is at this path that may be an mbox, as far as can be seen without opening it: closing it again
/// would give up the lock that another thread may hold.
///
/// # Errors
///
/// Something else is there, or it cannot be written; or a symbolic link is there that somebody else made.
pub(super) fn check(path: &Path) -> Result<bool> {
    check_links(path)?;
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => Err(unusable(path)),
        Ok(_) => rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK)
            .map(|()| true)
            .map_err(|errno| disk::failure("write", path, errno)),
        Err(error) if disk::is_missing(&error) => Ok(false),
        Err(error) => Err(disk::failure("look at", path, error)),
    }
}

/// The same, before one is written or made: folders that are missing are made.
///
/// # Errors
///
/// As [`check`]; or it cannot be made.
pub(super) fn prepare(path: &Path) -> Result<()> {
    if check(path)? {
        return Ok(());
    }
    let parent = parent(path);
    disk::create_folder(parent)?;
    rustix::fs::access(parent, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|errno| disk::failure("create", path, errno))
}

/// Whether the directory of an mbox is there. The mbox itself need not be: programs that read mail remove an empty one.
///
/// # Errors
///
/// It is not, or cannot be looked at; or a symbolic link is there that somebody else made.
pub(super) fn check_present(path: &Path) -> Result<()> {
    let path = check_links(path)?;
    let directory = parent(&path);
    match fs::metadata(directory) {
        Ok(_) => Ok(()),
        Err(error) if disk::is_missing(&error) => {
            Err(disk::gone("the mbox's directory", directory, &[""]))
        }
        Err(error) => Err(disk::failure("look at", directory, error)),
    }
}

fn unusable(path: &Path) -> Failure {
    let what = if path.is_dir() {
        "a folder"
    } else {
        "no regular file"
    };
    Failure::new(
        Kind::Destination,
        format!("{} is {what}, and cannot be an mbox", disk::shown(path)),
    )
    .hint("Write maildir:PATH for a Maildir, mbox:PATH for a file, mbox:- for standard output.")
}

/// The folder a file is in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// Where the mbox is, by symbolic links that we or root made. In a folder where others may write, theirs would
/// lead our mail into any file of ours.
fn check_links(path: &Path) -> Result<PathBuf> {
    let us = rustix::process::geteuid().as_raw();
    let mut path = path.to_owned();
    for _ in 0..disk::LINKS {
        // What is not there is no link, and what cannot be looked at is told where it is opened.
        let Ok(found) = fs::symlink_metadata(&path) else {
            return Ok(path);
        };
        if !found.is_symlink() {
            return Ok(path);
        }
        if ![0, us].contains(&found.uid()) {
            return Err(link_of_others(&path));
        }
        let target = fs::read_link(&path).map_err(|error| disk::failure("read", &path, error))?;
        path = parent(&path).join(target);
    }
    Err(disk::failure("look at", &path, Errno::LOOP))
}

fn link_of_others(path: &Path) -> Failure {
    let shown = disk::shown(path);
    Failure::new(
        Kind::Destination,
        format!("{shown} is a symbolic link that another user made"),
    )
    .hint("It may lead your mail into any file of yours. Remove it, or name the mbox itself.")
}

/// The file behind symbolic links: it is what is locked.
///
/// # Errors
///
/// A link cannot be followed, or somebody else made it.
pub(super) fn resolved(path: &Path) -> Result<PathBuf> {
    check_links(path)?;
    match fs::canonicalize(path) {
        Ok(resolved) => Ok(resolved),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path.to_owned()),
        Err(error) => Err(disk::failure("look at", path, error)),
    }
}

/// Opens the mbox at a [`resolved`] path for reading and appending; none where there is none.
///
/// # Errors
///
/// It cannot be opened, or is no regular file.
pub(super) fn open(path: &Path) -> Result<Option<File>> {
    open_with(path, OFlags::RDWR | OFlags::APPEND)
}

/// Opens the mbox for reading only; none where there is none.
///
/// # Errors
///
/// It cannot be opened, or is no regular file.
pub(super) fn open_to_read(path: &Path) -> Result<Option<File>> {
    open_with(path, OFlags::RDONLY)
}

fn open_with(path: &Path, flags: OFlags) -> Result<Option<File>> {
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::ISDIR | Errno::NXIO) => return Err(unusable(path)),
        Err(errno) => return Err(disk::failure("open", path, errno)),
    };
    match file.metadata() {
        Ok(found) if found.is_file() => Ok(Some(file)),
        Ok(_) => Err(unusable(path)),
        Err(error) => Err(disk::failure("look at", path, error)),
    }
}

/// Opens the mbox for reading and appending; where there is none, an empty one is made, 0600, and its entry made durable.
///
/// # Errors
///
/// It cannot be opened or made, or is no regular file.
pub(super) fn open_or_create(path: &Path) -> Result<Option<File>> {
    if let Some(file) = open(path)? {
        return Ok(Some(file));
    }
    let parent = parent(path);
    disk::create_folder(parent)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::APPEND | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, disk::FILE_MODE) {
        Ok(file) => {
            let file = File::from(file);
            make_lasting(&file, path).inspect_err(|_| {
                // The next run would find it and take it for durable.
                if file.metadata().is_ok_and(|found| found.len() == 0) {
                    let _ = fs::remove_file(path);
                }
            })?;
            Ok(Some(file))
        }
        // Somebody else was faster.
        Err(Errno::EXIST) => match open(path)? {
            Some(file) => Ok(Some(file)),
            None => Err(disk::failure("create", path, Errno::EXIST)),
        },
        Err(errno) => Err(disk::failure("create", path, errno)),
    }
}

/// What a new mbox needs.
fn make_lasting(file: &File, path: &Path) -> Result<()> {
    rustix::fs::fchmod(file, disk::FILE_MODE)
        .map_err(|errno| disk::failure("set the permissions of", path, errno))?;
    let parent = parent(path);
    disk::sync_folder(disk::open_folder(parent)?, parent)
}

/// Cuts the file to this length. Where it can't be cut, what is behind that is not spoilt either: the next
/// run has to know it again.
///
/// # Errors
///
/// It could not be cut.
pub(super) fn cut(file: &File, length: u64) -> io::Result<()> {
    let found = file.metadata()?;
    // Where a quota is used up, btrfs wipes the rest of the block and only then says that it cannot cut;
    // between two blocks there is nothing to wipe.
    let block_end = length.next_multiple_of(found.blksize().max(1));
    if block_end < found.len() {
        file.set_len(block_end)?;
    }
    file.set_len(length)
}

/// Whether the path still leads to this open file.
pub(super) fn is_at(path: &Path, file: &File) -> bool {
    let same = || {
        let (open, there) = (rustix::fs::fstat(file)?, rustix::fs::stat(path)?);
        Ok::<_, Errno>((open.st_dev, open.st_ino) == (there.st_dev, there.st_ino))
    };
    same().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_replaced_is_not_at_its_path_any_more() {
        let root = tempfile::tempdir().expect("tempdir");
        let path = root.path().join("inbox");
        let file = open_or_create(&path).expect("made").expect("there");
        assert!(is_at(&path, &file));
        fs::write(root.path().join("rewritten"), "").expect("written");
        fs::rename(root.path().join("rewritten"), &path).expect("replaced");
        assert!(!is_at(&path, &file));
        fs::remove_file(&path).expect("removed");
        assert!(!is_at(&path, &file));
    }
}
