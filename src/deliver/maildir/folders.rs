//! The three folders of a Maildir, held open: whatever happens to the path meanwhile, what was
//! begun in one Maildir is never finished in another.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::deliver::disk;
use crate::error::{Failure, Result};

/// An open Maildir.
pub(super) struct Folders {
    path: PathBuf,
    tmp: OwnedFd,
    new: OwnedFd,
    cur: OwnedFd,
}

impl Folders {
    /// Opens the Maildir at this path; what is missing of it is made, and all of it made durable.
    ///
    /// # Errors
    ///
    /// Something of it cannot be made, or is no folder.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let open = |name: &str| {
            let folder = path.join(name);
            disk::create_folder(&folder)?;
            disk::open_folder(&folder)
        };
        let folders = Folders {
            path: path.to_owned(),
            tmp: open("tmp")?,
            new: open("new")?,
            cur: open("cur")?,
        };
        // Even where all stood: a run that was cut off may have made them and not come to this.
        disk::sync_folder(disk::open_folder(path)?, path)?;
        Ok(folders)
    }

    /// A new file in `tmp/`, for writing, 0600 whatever the umask says.
    pub(super) fn create(&self, name: &str) -> Result<File, Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.tmp, name, flags, disk::FILE_MODE)?;
        if let Err(errno) = rustix::fs::fchmod(&file, disk::FILE_MODE) {
            self.remove(name);
            return Err(errno);
        }
        Ok(file.into())
    }

    /// When a file in `tmp/` was last written, in seconds since 1970.
    pub(super) fn written(&self, name: &str) -> Result<i64, Errno> {
        let stat = rustix::fs::statat(&self.tmp, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(stat.st_mtime)
    }

    /// Removes a file from `tmp/`. Where that fails, it stays until it is stale; nobody takes it for mail.
    pub(super) fn remove(&self, name: &str) {
        let _ = rustix::fs::unlinkat(&self.tmp, name, AtFlags::empty());
    }

    /// Moves a file from `tmp/` into `new/`, never over one that is there.
    pub(super) fn publish(&self, unique: &str, name: &str) -> Result<(), Errno> {
        match rustix::fs::renameat_with(&self.tmp, unique, &self.new, name, RenameFlags::NOREPLACE)
        {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => self.publish_by_link(unique, name),
            other => other,
        }
    }

    /// The classic way, for file systems that cannot rename without replacing. Cut off between its two steps,
    /// the file stands in both folders; recovery knows that.
    fn publish_by_link(&self, unique: &str, name: &str) -> Result<(), Errno> {
        match rustix::fs::linkat(&self.tmp, unique, &self.new, name, AtFlags::empty()) {
            Ok(()) => {
                self.remove(unique);
                Ok(())
            }
            Err(Errno::PERM | Errno::NOSYS | Errno::NOTSUP | Errno::MLINK) => {
                self.publish_by_rename(unique, name)
            }
            Err(errno) => Err(errno),
        }
    }

    /// For file systems without hard links. The name is unique, so that looking first is good enough.
    fn publish_by_rename(&self, unique: &str, name: &str) -> Result<(), Errno> {
        match rustix::fs::statat(&self.new, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Err(Errno::EXIST),
            Err(Errno::NOENT) => rustix::fs::renameat(&self.tmp, unique, &self.new, name),
            Err(errno) => Err(errno),
        }
    }

    /// Makes durable what was made in `tmp/`.
    pub(super) fn sync_tmp(&self) -> Result<(), Errno> {
        disk::sync_entries(&self.tmp)
    }

    /// Makes durable what was moved into `new/`. The entry that is gone from `tmp/` needs nothing:
    /// should it come back after a power cut, recovery finds the file in both.
    pub(super) fn sync_new(&self) -> Result<(), Errno> {
        disk::sync_entries(&self.new)
    }

    /// Makes durable what mail readers moved into `cur/`.
    pub(super) fn sync_cur(&self) -> Result<(), Errno> {
        disk::sync_entries(&self.cur)
    }

    /// A failure to do something in one of the three folders.
    pub(super) fn failure(&self, doing: &str, folder: &str, errno: Errno) -> Failure {
        disk::failure(doing, &self.path.join(folder), errno)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn no_way_of_moving_a_file_replaces_another() {
        let root = tempfile::tempdir().expect("tempdir");
        let folders = Folders::open(root.path()).expect("opened");
        let ways = [
            Folders::publish,
            Folders::publish_by_link,
            Folders::publish_by_rename,
        ];
        for (turn, publish) in ways.iter().enumerate() {
            let name = format!("final{turn}");
            folders.create("first").expect("created");
            publish(&folders, "first", &name).expect("moved");
            assert!(!root.path().join("tmp/first").exists());
            assert!(root.path().join("new").join(&name).exists());

            fs::write(root.path().join("tmp/second"), "other").expect("written");
            assert_eq!(publish(&folders, "second", &name), Err(Errno::EXIST));
            let kept = fs::read(root.path().join("new").join(&name)).expect("still there");
            assert_eq!(kept, b"", "the file that was there is untouched");
            folders.remove("second");
        }
    }
}
