//! The three directories of a Maildir, held open: whatever happens to the path meanwhile, what was
//! begun in one Maildir is never finished in another.

use std::cell::OnceCell;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

use crate::deliver::disk;
use crate::error::{Failure, Result};
use crate::fs::{Directory, FILE_MODE, Owner, move_without_replacing, sync_entries};

/// An open Maildir.
pub(super) struct Directories {
    path: PathBuf,
    tmp: OwnedFd,
    new: OwnedFd,
    cur: OwnedFd,
    /// The owner of what is made in it, where that is not us.
    owner: Option<Owner>,
    /// The umask takes away what we need ourselves.
    strict_umask: OnceCell<bool>,
}

impl Directories {
    /// Opens the Maildir at this path; what is missing of it is made, and all of it made durable.
    ///
    /// # Errors
    ///
    /// Something of it cannot be made, or is no directory.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let maildir = Directory::make(path)?;
        let open = |name| maildir.make_in(name)?.readable();
        let directories = Directories {
            path: path.to_owned(),
            tmp: open("tmp")?,
            new: open("new")?,
            cur: open("cur")?,
            owner: maildir.owner()?,
            strict_umask: OnceCell::new(),
        };
        // Even where all stood: a run that was cut off may have made them and not come to this.
        maildir.sync()?;
        Ok(directories)
    }

    /// A new file in `tmp/`, for writing, 0600 whatever the umask says; none where the name is taken.
    ///
    /// # Errors
    ///
    /// It cannot be made, or not be given to the owner of the Maildir.
    pub(super) fn create(&self, name: &str) -> Result<Option<File>> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.tmp, name, flags, FILE_MODE) {
            Ok(file) => file,
            Err(Errno::EXIST) => return Ok(None),
            Err(errno) => return Err(self.failure("create a file in", "tmp", errno)),
        };
        let prepared = self
            .set_mode(&file)
            .map_err(|errno| self.failure("create a file in", "tmp", errno))
            .and_then(|()| self.give_away(&file, name));
        prepared.inspect_err(|_| self.remove(name))?;
        Ok(Some(file.into()))
    }

    fn give_away(&self, file: &OwnedFd, name: &str) -> Result<()> {
        let path = || self.path.join("tmp").join(name);
        if let Some(owner) = self.owner {
            owner.take(file, &path())?;
        }
        Ok(())
    }

    /// Makes a file of [`Directories::create`] durable, and with it that it was given away.
    pub(super) fn sync_file(&self, file: &File) -> Result<(), Errno> {
        match self.owner {
            Some(_) => rustix::fs::fsync(file),
            None => rustix::fs::fdatasync(file),
        }
    }

    /// The names in `tmp/`.
    pub(super) fn waiting(&self) -> Result<Dir, Errno> {
        Dir::read_from(&self.tmp)
    }

    /// A umask that forbids us what is ours is rare, and one for the whole process: the first file shows it.
    fn set_mode(&self, file: &OwnedFd) -> Result<(), Errno> {
        let is_strict = match self.strict_umask.get() {
            Some(&known) => known,
            None => {
                let mode = Mode::from_raw_mode(rustix::fs::fstat(file)?.st_mode);
                *self.strict_umask.get_or_init(|| !mode.contains(FILE_MODE))
            }
        };
        match is_strict {
            true => rustix::fs::fchmod(file, FILE_MODE),
            false => Ok(()),
        }
    }

    /// When a file in `tmp/` was last written, in seconds since 1970.
    pub(super) fn written(&self, name: &str) -> Result<i64, Errno> {
        let stat = rustix::fs::statat(&self.tmp, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(stat.st_mtime)
    }

    /// Removes a file from `tmp/`. Where that fails, it stays until it is stale; readers don't take it for mail.
    pub(super) fn remove(&self, name: &str) {
        let _ = rustix::fs::unlinkat(&self.tmp, name, AtFlags::empty());
    }

    /// Moves a file from `tmp/` into `new/`, never over one that is there.
    pub(super) fn publish(&self, unique: &str, name: &str) -> Result<(), Errno> {
        let (from, to) = (self.tmp.as_fd(), self.new.as_fd());
        move_without_replacing(from, Path::new(unique), to, Path::new(name))
    }

    /// Moves a file back from `new/` into `tmp/`, if it is still there.
    pub(super) fn withdraw(&self, unique: &str, name: &str) {
        let (from, to) = (self.new.as_fd(), self.tmp.as_fd());
        let _ = move_without_replacing(from, Path::new(name), to, Path::new(unique));
    }

    /// Makes durable what was made in `tmp/`.
    pub(super) fn sync_tmp(&self) -> Result<(), Errno> {
        sync_entries(&self.tmp)
    }

    /// Makes durable what was moved into `new/`. The entry that is gone from `tmp/` needs nothing:
    /// should it come back after a power cut, recovery finds the file in both.
    pub(super) fn sync_new(&self) -> Result<(), Errno> {
        sync_entries(&self.new)
    }

    /// Makes durable what mail readers moved into `cur/`.
    pub(super) fn sync_cur(&self) -> Result<(), Errno> {
        sync_entries(&self.cur)
    }

    /// A failure to do something in one of the three directories.
    pub(super) fn failure(&self, doing: &str, directory: &str, errno: Errno) -> Failure {
        disk::failure(doing, &self.path.join(directory), errno)
    }
}
