//! Moving a file to another name, never over one that is there.

use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;

use crate::crash;

/// Moves a file to another name, never over one that is there ([`Errno::EXIST`]).
pub(crate) fn move_without_replacing(
    from_directory: BorrowedFd<'_>,
    from: &Path,
    to_directory: BorrowedFd<'_>,
    to: &Path,
) -> Result<(), Errno> {
    let flags = RenameFlags::NOREPLACE;
    match rustix::fs::renameat_with(from_directory, from, to_directory, to, flags) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            move_by_link(from_directory, from, to_directory, to)
        }
        other => other,
    }
}

/// The classic way, for file systems that cannot rename without replacing. Cut off between its two steps,
/// the file has both names.
fn move_by_link(
    from_directory: BorrowedFd<'_>,
    from: &Path,
    to_directory: BorrowedFd<'_>,
    to: &Path,
) -> Result<(), Errno> {
    match rustix::fs::linkat(from_directory, from, to_directory, to, AtFlags::empty()) {
        Ok(()) => {
            crash::point("file linked, still under its first name");
            let _ = rustix::fs::unlinkat(from_directory, from, AtFlags::empty());
            Ok(())
        }
        Err(Errno::PERM | Errno::NOSYS | Errno::NOTSUP | Errno::MLINK) => {
            move_by_rename(from_directory, from, to_directory, to)
        }
        Err(errno) => Err(errno),
    }
}

/// For file systems without hard links. Our names are unique, so that looking first is good enough.
fn move_by_rename(
    from_directory: BorrowedFd<'_>,
    from: &Path,
    to_directory: BorrowedFd<'_>,
    to: &Path,
) -> Result<(), Errno> {
    match rustix::fs::statat(to_directory, to, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Err(Errno::EXIST),
        Err(Errno::NOENT) => rustix::fs::renameat(from_directory, from, to_directory, to),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd;

    use super::*;
    use crate::fs::Directory;

    #[test]
    fn no_way_of_moving_a_file_replaces_another() {
        let root = tempfile::tempdir().expect("tempdir");
        let directory = Directory::make(root.path()).expect("opened");
        for way in [move_without_replacing, move_by_link, move_by_rename] {
            let path = |name: &str| root.path().join(name);
            let [first, second, to] = ["first", "second", "to"].map(Path::new);
            fs::write(path("first"), "first").expect("written");
            fs::write(path("second"), "second").expect("written");
            way(directory.as_fd(), first, directory.as_fd(), to).expect("moved");
            assert!(!path("first").exists());
            assert_eq!(
                way(directory.as_fd(), second, directory.as_fd(), to),
                Err(Errno::EXIST)
            );
            assert_eq!(fs::read(path("to")).expect("there"), b"first");
            fs::remove_file(path("to")).expect("removed");
        }
    }
}
