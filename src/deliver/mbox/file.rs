//! The file an mbox is.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::deliver::disk;
use crate::error::{Failure, Kind, Result};
use crate::fs::{Directory, Error, FILE_MODE, MAX_LINKS, Missing, Owner, without_dead_links};

/// Where an mbox is, or would be: a name, which is no link's, in a directory.
pub(super) struct Spot {
    directory: Directory,
    name: OsString,
    /// Its path, to be shown.
    pub(super) path: PathBuf,
    /// A link led there.
    by_link: bool,
}

impl Spot {
    /// Where the mbox at this path is; none where its directory is missing.
    ///
    /// # Errors
    ///
    /// It cannot be reached, or only by a link that another user made: where others may write, theirs would lead our
    /// mail into any file of ours.
    pub(super) fn find(path: &Path) -> Result<Option<Self>> {
        Self::reach(path, Missing::Leave)
    }

    /// The same; directories that are missing are made.
    ///
    /// # Errors
    ///
    /// As [`Spot::find`]; or they cannot be made.
    pub(super) fn make(path: &Path) -> Result<Self> {
        let spot = Self::reach(path, Missing::Make)?;
        spot.ok_or_else(|| disk::failure("create", path, Errno::NOENT))
    }

    fn reach(path: &Path, missing: Missing) -> Result<Option<Self>> {
        let mut links = MAX_LINKS;
        let mut directory = Directory::reach(parent(path), missing)?;
        let mut left = path.to_owned();
        loop {
            let Some(found) = directory else {
                return Ok(None);
            };
            let name = left.file_name().ok_or_else(|| unusable(path))?;
            match found.link(name, &mut links)? {
                Some(target) => {
                    directory = found.find_from(parent(&target), &mut links)?;
                    left = target;
                }
                None => {
                    return Ok(Some(Spot {
                        path: found.path().join(name),
                        name: name.to_owned(),
                        by_link: left != path,
                        directory: found,
                    }));
                }
            }
        }
    }

    /// Whether a file is there that may be an mbox, as far as can be seen without opening it: closing it again
    /// would give up the lock that another thread may hold.
    ///
    /// # Errors
    ///
    /// Something else is there, or it cannot be written.
    pub(super) fn check(&self) -> Result<bool> {
        let Some(found) = self.stat()? else {
            return match self.by_link {
                true => Err(self.leads_nowhere()),
                false => Ok(false),
            };
        };
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(unusable(&self.path));
        }
        self.check_names(found.st_nlink == 1)?;
        let needed = Access::READ_OK | Access::WRITE_OK;
        rustix::fs::accessat(&self.directory, &self.name, needed, AtFlags::empty())
            .map(|()| true)
            .map_err(|errno| disk::failure("write", &self.path, errno))
    }

    /// What is there; none where nothing is.
    fn stat(&self) -> Result<Option<Stat>> {
        match rustix::fs::statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(disk::failure("look at", &self.path, errno)),
        }
    }

    /// Another user may have given any file a name where they can write.
    fn check_names(&self, is_only: bool) -> Result<()> {
        match !is_only && self.directory.is_shared()? {
            true => Err(Error::SecondName(self.path.clone()).into()),
            false => Ok(()),
        }
    }

    /// Whether an mbox could be made there.
    ///
    /// # Errors
    ///
    /// It could not.
    pub(super) fn check_writable(&self) -> Result<()> {
        Ok(self.directory.check_writable()?)
    }

    fn leads_nowhere(&self) -> Failure {
        let shown = disk::shown(&self.path);
        Failure::new(
            Kind::Destination,
            format!("a symbolic link leads to {shown}, which is not there"),
        )
        .hint("Make that file, or name it itself.")
    }

    /// Opens the mbox for reading and appending; none where there is none.
    ///
    /// # Errors
    ///
    /// It cannot be opened, or is no regular file.
    pub(super) fn open(&self) -> Result<Option<File>> {
        self.open_with(OFlags::RDWR | OFlags::APPEND)
    }

    /// Opens the mbox for reading only; none where there is none.
    ///
    /// # Errors
    ///
    /// It cannot be opened, or is no regular file.
    pub(super) fn open_to_read(&self) -> Result<Option<File>> {
        self.open_with(OFlags::RDONLY)
    }

    fn open_with(&self, flags: OFlags) -> Result<Option<File>> {
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let opened = rustix::fs::openat(&self.directory, &self.name, flags, Mode::empty());
        let file = match opened {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::ISDIR | Errno::NXIO) => return Err(unusable(&self.path)),
            Err(errno) => return Err(disk::failure("open", &self.path, errno)),
        };
        let found = file.metadata();
        let found = found.map_err(|error| disk::failure("look at", &self.path, error))?;
        if !found.is_file() {
            return Err(unusable(&self.path));
        }
        self.check_names(found.nlink() == 1)?;
        Ok(Some(file))
    }

    /// Opens the mbox for reading and appending; where there is none, an empty one is made, 0600, and its entry made
    /// durable.
    ///
    /// # Errors
    ///
    /// It cannot be opened or made, or is no regular file.
    pub(super) fn open_or_create(&self) -> Result<Option<File>> {
        if let Some(file) = self.open()? {
            self.give_away_if_left(&file)?;
            return Ok(Some(file));
        }
        if self.by_link {
            return Err(self.leads_nowhere());
        }
        self.directory.give_away_if_left()?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::APPEND | OFlags::CLOEXEC;
        let made = rustix::fs::openat(&self.directory, &self.name, flags, FILE_MODE);
        match made {
            Ok(file) => {
                let file = File::from(file);
                self.make_lasting(&file).inspect_err(|_| {
                    // The next run would find it and take it for durable.
                    if file.metadata().is_ok_and(|found| found.len() == 0) {
                        self.remove(&self.name);
                    }
                })?;
                Ok(Some(file))
            }
            // Another program was faster.
            Err(Errno::EXIST) => match self.open()? {
                Some(file) => Ok(Some(file)),
                None => Err(disk::failure("create", &self.path, Errno::EXIST)),
            },
            Err(errno) => Err(disk::failure("create", &self.path, errno)),
        }
    }

    /// What a new mbox needs.
    fn make_lasting(&self, file: &File) -> Result<()> {
        rustix::fs::fchmod(file, FILE_MODE)
            .map_err(|errno| disk::failure("set the permissions of", &self.path, errno))?;
        if let Some(owner) = self.directory.owner()? {
            self.give_away(file, owner)?;
        }
        Ok(self.directory.sync()?)
    }

    fn give_away(&self, file: &File, owner: Owner) -> Result<()> {
        owner.take(file, &self.path)?;
        let synced = rustix::fs::fsync(file);
        synced.map_err(|errno| disk::failure("make durable", &self.path, errno))
    }

    /// As root: an empty mbox of root's in a directory of another user becomes theirs. A run that was cut off made it.
    /// It has no other name, by which it could be anything else.
    fn give_away_if_left(&self, file: &File) -> Result<()> {
        let owner = self.directory.owner()?.filter(|owner| owner.is_another());
        let Some(owner) = owner.filter(|_| is_ours_and_empty(file)) else {
            return Ok(());
        };
        match self.is(file)? {
            true => self.give_away(file, owner),
            false => Ok(()),
        }
    }

    /// Makes its entry durable, be it that it stood already.
    ///
    /// # Errors
    ///
    /// It is not.
    pub(super) fn sync_entry(&self) -> Result<()> {
        Ok(self.directory.sync_found()?)
    }

    /// The same for the entry of its directory.
    ///
    /// # Errors
    ///
    /// It is not.
    pub(super) fn sync_directory(&self) -> Result<()> {
        Ok(self.directory.sync_entry()?)
    }

    /// Whether this open file is still the mbox there.
    ///
    /// # Errors
    ///
    /// It has another name too, which makes it another user's; or it cannot be looked at.
    pub(super) fn is(&self, file: &File) -> Result<bool> {
        match is_at(&self.directory, &self.name, file) {
            Some(is_only) => self.check_names(is_only).map(|()| true),
            None => Ok(false),
        }
    }

    /// The directory that it is in.
    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Its name there.
    pub(super) fn name(&self) -> &OsStr {
        &self.name
    }

    /// What makes it the same for every account that stores into it.
    ///
    /// # Errors
    ///
    /// Its directory cannot be looked at.
    pub(super) fn identity(&self) -> Result<(u64, u64, OsString)> {
        let (device, inode) = self.directory.identity()?;
        Ok((device, inode, self.name.clone()))
    }

    fn remove(&self, name: &OsStr) {
        let _ = rustix::fs::unlinkat(&self.directory, name, AtFlags::empty());
    }
}

/// Whether the directory of an mbox is there. The mbox itself need not be: programs that read mail remove an empty one.
///
/// # Errors
///
/// It is not, or cannot be reached.
pub(super) fn check_present(path: &Path) -> Result<()> {
    match Spot::find(path)? {
        Some(_) => Ok(()),
        None => {
            let path = without_dead_links(path);
            Err(disk::gone("the mbox's directory", parent(&path), &[""]))
        }
    }
}

/// Looks whether an mbox can be written or made; directories that are missing are made.
///
/// # Errors
///
/// It cannot.
pub(super) fn prepare(path: &Path) -> Result<()> {
    let spot = Spot::make(path)?;
    match spot.check()? {
        true => Ok(()),
        false => spot.check_writable(),
    }
}

fn unusable(path: &Path) -> Failure {
    let what = if path.is_dir() {
        "a directory"
    } else {
        "no regular file"
    };
    Failure::new(
        Kind::Destination,
        format!("{} is {what}, and cannot be an mbox", disk::shown(path)),
    )
    .hint("Write maildir:PATH for a Maildir, mbox:PATH for a file, mbox:- for standard output.")
}

/// The directory a file is in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn is_ours_and_empty(file: &File) -> bool {
    let ours = rustix::process::geteuid().as_raw();
    file.metadata()
        .is_ok_and(|found| found.len() == 0 && found.uid() == ours)
}

/// Whether this is the only name of this open file; none where it is not its name at all.
pub(super) fn is_at(directory: &Directory, name: &OsStr, file: &File) -> Option<bool> {
    let open = rustix::fs::fstat(file).ok()?;
    let there = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let same = (open.st_dev, open.st_ino) == (there.st_dev, there.st_ino);
    same.then_some(there.st_nlink == 1)
}

/// Cuts the file to this length. Where it can't be cut, what comes after that is not spoilt either: the next
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{lchown, symlink};

    use rustix::process::geteuid;

    use super::*;
    use crate::test_report::skip;

    #[test]
    fn the_target_of_a_link_is_not_made() {
        let root = tempfile::tempdir().expect("tempdir");
        let (link, target) = (root.path().join("link"), root.path().join("inbox"));
        fs::write(&target, "").expect("written");
        symlink(&target, &link).expect("linked");
        let spot = Spot::make(&link).expect("reached");
        assert!(spot.check().expect("there"));
        fs::remove_file(&target).expect("removed");
        assert!(spot.check().is_err() && spot.open_or_create().is_err());
        assert!(!target.exists());
    }

    #[test]
    fn a_second_name_is_met_whenever_another_user_gives_it() {
        let root = tempfile::tempdir().expect("tempdir");
        let (path, other) = (root.path().join("theirs/inbox"), root.path().join("file"));
        if !geteuid().is_root() {
            return skip("only root can give a directory away");
        }
        fs::create_dir(root.path().join("theirs")).expect("made");
        lchown(root.path().join("theirs"), Some(12345), None).expect("root may");
        let spot = Spot::make(&path).expect("reached");
        let file = spot.open_or_create().expect("made").expect("there");
        assert!(spot.is(&file).expect("theirs alone"));
        fs::hard_link(&path, other).expect("linked");
        assert!(spot.is(&file).is_err() && spot.check().is_err());
        for opened in [spot.open(), spot.open_to_read(), spot.open_or_create()] {
            assert_eq!(opened.expect_err("it").kind(), Kind::Destination);
        }
    }

    #[test]
    fn a_file_that_was_replaced_is_not_at_its_path_any_more() {
        let root = tempfile::tempdir().expect("tempdir");
        let path = root.path().join("inbox");
        let spot = Spot::make(&path).expect("reached");
        let file = spot.open_or_create().expect("made").expect("there");
        let is_there = || spot.is(&file).expect("looked at");
        assert!(is_there());
        fs::write(root.path().join("rewritten"), "").expect("written");
        fs::rename(root.path().join("rewritten"), &path).expect("replaced");
        assert!(!is_there());
        fs::remove_file(&path).expect("removed");
        assert!(!is_there());
    }
}
