//! Directories, reached name by name and held open: what a path led to is what is worked in, whatever is put in its
//! place meanwhile.
//!
//! Root may store mail for other users, in directories that these can write. There every name may be a trap, such as a
//! link to a file of root's where mail is to go. So root, and only root,
//!
//! - follows a link only where no other user can have put it, or anything on the way to it;
//! - gives what it makes to the owner of the directory that it makes it in: the mail is theirs to read.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

use super::error::{Error, Result, shown};
use super::{DIRECTORY_MODE, MAX_LINKS, sync_entries};
use crate::crash;

/// For what is in a directory, which needs no right to read it.
const PASSING: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// For reading a directory, and making it durable.
const READING: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// A directory, held open.
pub(crate) struct Directory {
    /// The names in it are reached by this; it need not be readable.
    fd: OwnedFd,
    /// How it was reached.
    path: PathBuf,
    /// Of interest to root: no other user can have put another one in its place.
    is_fixed: bool,
}

/// What is done about a directory that is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It is made, 0700, and its entry is made durable.
    Make,
    /// Nothing.
    Leave,
}

/// How far a path leads.
struct Reached {
    directory: Directory,
    /// All the way; else this is the last directory that is there.
    is_whole: bool,
}

impl Reached {
    fn whole(self) -> Option<Directory> {
        self.is_whole.then_some(self.directory)
    }
}

/// Whether we act for other users.
fn are_root() -> bool {
    geteuid().is_root()
}

impl Directory {
    /// The directory at this path; none where there is none, and it is to be left so.
    ///
    /// # Errors
    ///
    /// It cannot be reached or made, or something on the way is no directory, or a link that we do not follow.
    pub(crate) fn reach(path: &Path, missing: Missing) -> Result<Option<Self>> {
        let mut links = MAX_LINKS;
        let reached = Self::start(path)?.walk(path, missing, &mut links)?;
        Ok(reached.whole())
    }

    /// The same where there is one.
    ///
    /// # Errors
    ///
    /// As [`Directory::reach`].
    pub(crate) fn find(path: &Path) -> Result<Option<Self>> {
        Self::reach(path, Missing::Leave)
    }

    /// The same, made where it is missing, with those above it.
    ///
    /// # Errors
    ///
    /// As [`Directory::reach`].
    pub(crate) fn make(path: &Path) -> Result<Self> {
        let made = Self::reach(path, Missing::Make)?;
        made.ok_or_else(|| Error::cannot("create", path, Errno::NOENT))
    }

    /// Whether something could be made in the directory at this path, where it stands, or where it could be made itself.
    ///
    /// # Errors
    ///
    /// It could not.
    pub(crate) fn check(path: &Path) -> Result<()> {
        let mut links = MAX_LINKS;
        let reached = Self::start(path)?.walk(path, Missing::Leave, &mut links)?;
        reached.directory.check_writable()
    }

    /// Whether something can be made in it.
    ///
    /// # Errors
    ///
    /// We may not write there.
    pub(crate) fn check_writable(&self) -> Result<()> {
        let needed = Access::WRITE_OK | Access::EXEC_OK;
        rustix::fs::accessat(&self.fd, ".", needed, AtFlags::empty())
            .map_err(|errno| Error::cannot("write in", &self.path, errno))
    }

    /// The directory that a path leads to from here; none where there is none.
    ///
    /// # Errors
    ///
    /// As [`Directory::reach`].
    pub(crate) fn find_from(&self, path: &Path, links: &mut usize) -> Result<Option<Self>> {
        let start = match path.is_absolute() {
            true => Self::start(path)?,
            false => self.once_more()?,
        };
        Ok(start.walk(path, Missing::Leave, links)?.whole())
    }

    /// The directory of this name in this one; none where there is none.
    ///
    /// # Errors
    ///
    /// As [`Directory::reach`].
    pub(crate) fn find_in(&self, name: &str) -> Result<Option<Self>> {
        let mut links = MAX_LINKS;
        self.enter(OsStr::new(name), &self.path.join(name), &mut links)
    }

    /// The same, made where it is missing.
    ///
    /// # Errors
    ///
    /// As [`Directory::reach`].
    pub(crate) fn make_in(&self, name: &str) -> Result<Self> {
        let Some(found) = self.find_in(name)? else {
            return self.make_where_it_stood(OsStr::new(name));
        };
        found.give_to_the_owner_of(self)?;
        Ok(found)
    }

    /// How it was reached.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The same, open for reading.
    ///
    /// # Errors
    ///
    /// We may not read it.
    pub(crate) fn readable(&self) -> Result<OwnedFd> {
        rustix::fs::openat(&self.fd, ".", READING, Mode::empty())
            .map_err(|errno| Error::cannot("open", &self.path, errno))
    }

    /// What is in it.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub(crate) fn entries(&self) -> Result<Dir> {
        Dir::new(self.readable()?).map_err(|errno| Error::cannot("read", &self.path, errno))
    }

    /// Makes the entries durable: files made, renamed and removed in it.
    ///
    /// # Errors
    ///
    /// They are not.
    pub(crate) fn sync(&self) -> Result<()> {
        sync(&self.readable()?, &self.path)
    }

    /// Makes the entry of a file in it durable that stood already: it may be what a run left that was cut off. Where the
    /// directory isn't ours to read, somebody else made the file.
    ///
    /// # Errors
    ///
    /// It is not.
    pub(crate) fn sync_found(&self) -> Result<()> {
        self.sync_other(".", &self.path)
    }

    /// The same for its own entry, in the directory above it.
    ///
    /// # Errors
    ///
    /// It is not.
    pub(crate) fn sync_entry(&self) -> Result<()> {
        self.sync_other("..", self.path.parent().unwrap_or(&self.path))
    }

    fn sync_other(&self, name: &str, path: &Path) -> Result<()> {
        match rustix::fs::openat(&self.fd, name, READING, Mode::empty()) {
            Ok(opened) => sync(&opened, path),
            Err(Errno::ACCESS) => Ok(()),
            Err(errno) => Err(Error::cannot("open", path, errno)),
        }
    }

    /// The owner of what we make in it; none where that is us anyway.
    ///
    /// # Errors
    ///
    /// It cannot be looked at.
    pub(crate) fn owner(&self) -> Result<Option<Owner>> {
        if !are_root() {
            return Ok(None);
        }
        let stat = self.stat()?;
        let owner = Owner {
            uid: Uid::from_raw(stat.st_uid),
            gid: Gid::from_raw(stat.st_gid),
        };
        let ours = owner.uid == geteuid() && owner.gid == getegid();
        Ok(Some(owner).filter(|_| !ours))
    }

    /// Whether, as root, we have to take the names in it for what other users put there.
    ///
    /// # Errors
    ///
    /// It cannot be looked at.
    pub(crate) fn is_shared(&self) -> Result<bool> {
        Ok(are_root() && !(self.is_fixed && is_private(&self.stat()?)))
    }

    /// Fails where a link has this name that we, as root, do not follow.
    ///
    /// # Errors
    ///
    /// A link does, or the name cannot be looked at.
    pub(crate) fn refuse_link(&self, name: &OsStr) -> Result<()> {
        if self.is_shared()? && self.stat_link(name)?.is_some() {
            return Err(Error::LinkInShared(self.path.join(name)));
        }
        Ok(())
    }

    /// Where the link of this name leads; none where no link has it.
    ///
    /// # Errors
    ///
    /// Neither we nor root made it, or another user may have put it there; or there are too many of them.
    pub(crate) fn link(&self, name: &OsStr, links: &mut usize) -> Result<Option<PathBuf>> {
        let path = self.path.join(name);
        let cannot = |errno| Error::cannot("look at", &path, errno);
        self.refuse_link(name)?;
        let Some(stat) = self.stat_link(name)? else {
            return Ok(None);
        };
        if ![0, geteuid().as_raw()].contains(&stat.st_uid) {
            return Err(Error::LinkOfOthers(path));
        }
        *links = links.checked_sub(1).ok_or_else(|| cannot(Errno::LOOP))?;
        let target = rustix::fs::readlinkat(&self.fd, name, Vec::new()).map_err(cannot)?;
        Ok(Some(OsString::from_vec(target.into_bytes()).into()))
    }

    /// Its device and its number there.
    ///
    /// # Errors
    ///
    /// It cannot be looked at.
    pub(crate) fn identity(&self) -> Result<(u64, u64)> {
        let stat = self.stat()?;
        Ok((stat.st_dev, stat.st_ino))
    }

    fn stat(&self) -> Result<Stat> {
        rustix::fs::fstat(&self.fd).map_err(|errno| Error::cannot("look at", &self.path, errno))
    }

    /// The link of this name; none where no link has it.
    fn stat_link(&self, name: &OsStr) -> Result<Option<Stat>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                let kind = FileType::from_raw_mode(stat.st_mode);
                Ok(Some(stat).filter(|_| kind == FileType::Symlink))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::cannot("look at", &self.path.join(name), errno)),
        }
    }

    /// Where a path begins.
    fn start(path: &Path) -> Result<Self> {
        let is_absolute = path.is_absolute();
        let start = Path::new(if is_absolute { "/" } else { "." });
        let opened = rustix::fs::open(start, PASSING, Mode::empty());
        Ok(Directory {
            fd: opened.map_err(|errno| Error::cannot(&reaching(path), start, errno))?,
            path: start.to_owned(),
            is_fixed: is_absolute,
        })
    }

    /// The same, held open a second time.
    ///
    /// # Errors
    ///
    /// Too much is open.
    pub(crate) fn once_more(&self) -> Result<Self> {
        let fd = rustix::io::fcntl_dupfd_cloexec(&self.fd, 0);
        Ok(Directory {
            fd: fd.map_err(|errno| Error::cannot("open", &self.path, errno))?,
            path: self.path.clone(),
            is_fixed: self.is_fixed,
        })
    }

    /// Goes along a path from here, as far as there are directories.
    fn walk(mut self, path: &Path, missing: Missing, links: &mut usize) -> Result<Reached> {
        let mut stood = true;
        for component in path.components() {
            let name = match component {
                // It begins there.
                Component::RootDir | Component::CurDir | Component::Prefix(_) => continue,
                Component::ParentDir => OsStr::new(".."),
                Component::Normal(name) => name,
            };
            self = match self.enter(name, path, links)? {
                Some(next) => next,
                None if missing == Missing::Make && stood => {
                    stood = false;
                    self.make_where_it_stood(name)?
                }
                None if missing == Missing::Make => self.make_entry(name)?,
                None => {
                    return Ok(Reached {
                        directory: self,
                        is_whole: false,
                    });
                }
            };
        }
        Ok(Reached {
            directory: self,
            is_whole: true,
        })
    }

    /// The directory of this name in this one, on the way to this path; none where there is none.
    fn enter(&self, name: &OsStr, towards: &Path, links: &mut usize) -> Result<Option<Self>> {
        let path = self.path.join(name);
        if name == OsStr::new("..") && are_root() && !self.is_fixed {
            return Err(Error::LeadsOut(path));
        }
        let flags = match are_root() {
            true => PASSING | OFlags::NOFOLLOW,
            false => PASSING,
        };
        match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => self.below(fd, path).map(Some),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) if are_root() => match self.link(name, links)? {
                Some(target) => self.find_from(&target, links),
                None => Err(Error::NotADirectory(path)),
            },
            Err(Errno::NOTDIR) => Err(Error::NotADirectory(path)),
            Err(errno) if path == towards => Err(Error::cannot("open", &path, errno)),
            Err(errno) => Err(Error::cannot(&reaching(towards), &path, errno)),
        }
    }

    /// A directory in this one.
    fn below(&self, fd: OwnedFd, path: PathBuf) -> Result<Self> {
        let mut below = Directory {
            fd,
            path,
            is_fixed: false,
        };
        if are_root() && self.is_fixed {
            let (above, stat) = (self.stat()?, below.stat()?);
            let is_sticky = Mode::from_raw_mode(above.st_mode).contains(Mode::SVTX);
            below.is_fixed =
                is_private(&above) || is_sticky && above.st_uid == 0 && stat.st_uid == 0;
        }
        Ok(below)
    }

    /// Makes a directory in this one, which stood already: it may be what a run left that was cut off.
    fn make_where_it_stood(&self, name: &OsStr) -> Result<Self> {
        self.give_away_if_left()?;
        self.sync_entry()?;
        self.make_entry(name)
    }

    /// Makes a directory in this one, and its entry durable.
    fn make_entry(&self, name: &OsStr) -> Result<Self> {
        let path = self.path.join(name);
        let remove = |_: &Error| {
            // Where there is something in it already, it stays.
            let _ = rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR);
        };
        match rustix::fs::mkdirat(&self.fd, name, DIRECTORY_MODE) {
            Ok(()) => self.finish_made(name).inspect_err(remove)?,
            // Somebody else was faster; whether it is durable already is not known, so it is made so below.
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::cannot("create", &path, errno)),
        }
        crash::point("directory: made, not synced");
        // Otherwise the next run would find it and take it for durable.
        self.sync().inspect_err(remove)?;
        let mut links = MAX_LINKS;
        let made = self.enter(name, &self.path.join(name), &mut links)?;
        made.ok_or_else(|| Error::cannot("create", &path, Errno::EXIST))
    }

    /// As root: where it is empty and root's, in a directory of another user, it becomes theirs. A run that was cut off
    /// made it, or a person who followed a hint of ours; the other user could put one of their own in its place.
    ///
    /// # Errors
    ///
    /// It cannot be given away.
    pub(crate) fn give_away_if_left(&self) -> Result<()> {
        match are_root() {
            true => self.give_to_the_owner_of(&self.above()?),
            false => Ok(()),
        }
    }

    fn give_to_the_owner_of(&self, above: &Directory) -> Result<()> {
        let Some(owner) = above.owner()?.filter(|owner| owner.is_another()) else {
            return Ok(());
        };
        let opened = self.readable()?;
        if is_ours_and_empty(&opened) {
            let cannot = |errno| Error::cannot("set the permissions of", &self.path, errno);
            let stat = rustix::fs::fstat(&opened).map_err(cannot)?;
            let mode = Mode::from_raw_mode(stat.st_mode) | DIRECTORY_MODE;
            rustix::fs::fchmod(&opened, mode).map_err(cannot)?;
            owner.take(&opened, &self.path)?;
            sync(&opened, &self.path)?;
        }
        Ok(())
    }

    /// The directory that it is in.
    fn above(&self) -> Result<Self> {
        let path = self.path.parent().unwrap_or(&self.path);
        let opened = rustix::fs::openat(&self.fd, "..", PASSING, Mode::empty());
        Ok(Directory {
            fd: opened.map_err(|errno| Error::cannot("open", path, errno))?,
            path: path.to_owned(),
            is_fixed: false,
        })
    }

    /// Makes a directory what it is to be that was just made in this one.
    fn finish_made(&self, name: &OsStr) -> Result<()> {
        let path = self.path.join(name);
        let cannot = |errno| Error::cannot("set the permissions of", &path, errno);
        if !are_root() {
            // The umask may have taken away what we need ourselves.
            let set = rustix::fs::chmodat(&self.fd, name, DIRECTORY_MODE, AtFlags::empty());
            return set.map_err(cannot);
        }
        let flags = READING | OFlags::NOFOLLOW;
        let made = rustix::fs::openat(&self.fd, name, flags, Mode::empty());
        let made = made.map_err(|errno| Error::cannot("open", &path, errno))?;
        let owner = self.owner()?;
        if is_ours_and_empty(&made) {
            rustix::fs::fchmod(&made, DIRECTORY_MODE).map_err(cannot)?;
            if let Some(owner) = owner {
                owner.take(&made, &path)?;
                sync(&made, &path)?;
            }
            return Ok(());
        }
        // Another popfetch may have met it meanwhile, finished it and put something into it.
        let stat = rustix::fs::fstat(&made).map_err(cannot)?;
        match owner.map_or(stat.st_uid == 0, |owner| owner.owns(&stat)) {
            true => Ok(()),
            false => Err(Error::Replaced(path)),
        }
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The owner of what we make as root: another user, or only another group.
#[derive(Clone, Copy)]
pub(crate) struct Owner {
    uid: Uid,
    gid: Gid,
}

impl Owner {
    /// Whether it is another user, not only another group.
    pub(crate) fn is_another(self) -> bool {
        self.uid != geteuid()
    }

    fn owns(self, stat: &Stat) -> bool {
        (stat.st_uid, stat.st_gid) == (self.uid.as_raw(), self.gid.as_raw())
    }

    /// Gives them a file or directory that we made, open here, and shown so. Before anything is in it: it is never seen
    /// as ours.
    ///
    /// # Errors
    ///
    /// It cannot be given away, and is not to be used.
    pub(crate) fn take(self, made: impl AsFd, shown: &Path) -> Result<()> {
        let cannot = |errno| self.cannot_take(shown, errno);
        let stat = rustix::fs::fstat(&made).map_err(cannot)?;
        // Some file systems have one owner for all, and nothing can be given away there.
        if self.owns(&stat) {
            return Ok(());
        }
        rustix::fs::fchown(&made, Some(self.uid), Some(self.gid)).map_err(cannot)
    }

    fn cannot_take(self, path: &Path, errno: Errno) -> Error {
        let (uid, gid) = (self.uid.as_raw(), self.gid.as_raw());
        match errno {
            Errno::PERM | Errno::ACCESS | Errno::INVAL | Errno::NOTSUP | Errno::NOSYS => {
                Error::CannotGive {
                    path: path.to_owned(),
                    uid,
                    gid,
                    source: errno,
                }
            }
            errno => Error::cannot(&format!("give to user {uid} and group {gid}"), path, errno),
        }
    }
}

/// What is done when something on the way to this path cannot be passed.
fn reaching(path: &Path) -> String {
    format!("reach {} through", shown(path))
}

fn sync(opened: &OwnedFd, path: &Path) -> Result<()> {
    sync_entries(opened)
        .map_err(|errno| Error::cannot("make durable what was done in", path, errno))
}

/// Whether only root can put names into a directory.
fn is_private(stat: &Stat) -> bool {
    let others = Mode::WGRP | Mode::WOTH;
    stat.st_uid == 0 && !Mode::from_raw_mode(stat.st_mode).intersects(others)
}

/// Whether a directory may be the one that we just made.
fn is_ours_and_empty(directory: &OwnedFd) -> bool {
    let ours = rustix::fs::fstat(directory).is_ok_and(|stat| stat.st_uid == geteuid().as_raw());
    let is_entry = |name: &[u8]| name != b"." && name != b"..";
    ours && Dir::read_from(directory).is_ok_and(|mut entries| {
        !entries.any(|entry| entry.map_or(true, |entry| is_entry(entry.file_name().to_bytes())))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn missing_directories_are_made_private() {
        let root = tempfile::tempdir().expect("tempdir");
        let deep = root.path().join("a/b/c");
        Directory::make(&deep).expect("created");
        Directory::make(&deep).expect("left as it is");
        for made in [&deep, &root.path().join("a/b"), &root.path().join("a")] {
            let mode = fs::metadata(made).expect("made").permissions().mode();
            assert_eq!(mode & 0o7777, 0o700, "{}", made.display());
        }
    }

    #[test]
    fn those_who_make_a_directory_at_the_same_time_all_have_it() {
        let root = tempfile::tempdir().expect("tempdir");
        for round in 0..200 {
            let deep = root.path().join(format!("{round}/a/b"));
            std::thread::scope(|scope| {
                for thread in 0..4 {
                    let deep = &deep;
                    scope.spawn(move || {
                        let made = Directory::make(deep).expect("made");
                        made.make_in(&format!("{thread}")).expect("made");
                    });
                }
            });
            assert_eq!(fs::read_dir(&deep).expect("there").count(), 4);
        }
    }

    #[test]
    fn a_file_on_the_way_is_named() {
        let root = tempfile::tempdir().expect("tempdir");
        let file = root.path().join("file");
        fs::write(&file, b"").expect("written");
        for path in [file.clone(), file.join("x"), file.join("x/y")] {
            let error = Directory::make(&path).err().expect("a file is in the way");
            let message = format!("{} is not a directory", shown(&file));
            assert_eq!(error.to_string(), message);
        }
    }
}
