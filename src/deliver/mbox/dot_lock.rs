//! The dot-lock: as long as `PATH.lock` exists, the mbox at `PATH` belongs to the program that made it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;

use super::file::{self, Spot};
use crate::deliver::disk;
use crate::error::Result;
use crate::fs::{Directory, FILE_MODE, move_without_replacing};

/// A dot-lock is not taken for a remainder before it has this age, in seconds. Other programs wait as long.
const STALE_AGE: i64 = 5 * 60;

/// The second line of our dot-locks; the first is the process, as other programs write it.
const OURS: &str = "popfetch";

/// Others may read which process holds the lock.
const MODE: Mode = Mode::RUSR
    .union(Mode::WUSR)
    .union(Mode::RGRP)
    .union(Mode::ROTH);

/// A dot-lock that we made; it goes away with this.
pub(super) struct DotLock {
    directory: Directory,
    name: OsString,
    /// Kept open, so that no other file can get the same inode: should another program have taken our lock
    /// for a remainder, its own stays.
    file: File,
}

/// What came of trying.
pub(super) enum Attempt {
    /// We have it.
    Made(DotLock),
    /// Another program has it.
    Busy,
    /// No lock can be made in this directory.
    Forbidden,
}

/// The path of the dot-lock of an mbox.
pub(super) fn path_of(mbox: &Path) -> PathBuf {
    with_suffix(mbox.as_os_str(), ".lock").into()
}

fn with_suffix(name: &OsStr, suffix: &str) -> OsString {
    let mut whole = name.to_owned();
    whole.push(OsStr::new(suffix));
    whole
}

/// Tries to make the dot-lock of an mbox, without waiting. `alone` says that we hold the other lock of the mbox, so
/// that no other popfetch can be at work on it: a dot-lock of popfetch is then what a killed run left.
///
/// # Errors
///
/// The lock could not be written, for want of space for instance; or, where we are root, a link of another user has
/// its name.
pub(super) fn try_make(mbox: &Spot, alone: bool, now: Timestamp) -> Result<Attempt> {
    let directory = mbox.directory();
    let lock = with_suffix(mbox.name(), ".lock");
    directory.refuse_link(&lock)?;
    if rustix::fs::statat(directory, &lock, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
        if !is_stale(directory, &lock, alone, now) {
            return Ok(Attempt::Busy);
        }
        remove(directory, &lock);
    }
    // Made under another name first, so that no lock is ever seen without its content. The name is
    // always the same: what a killed run left of it goes away here.
    let draft = with_suffix(mbox.name(), ".lock.popfetch");
    let shown = directory.path().join(&draft);
    let cannot = |errno| disk::failure("write the lock file", &shown, errno);
    let file = match write(directory, &draft) {
        Ok(made) => made,
        Err(Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::NAMETOOLONG) => {
            return Ok(Attempt::Forbidden);
        }
        Err(Errno::EXIST) => return Ok(Attempt::Busy),
        Err(errno) => return Err(cannot(errno)),
    };
    let (from, to) = (Path::new(&draft), Path::new(&lock));
    match move_without_replacing(directory.as_fd(), from, directory.as_fd(), to) {
        Ok(()) => Ok(Attempt::Made(DotLock {
            directory: directory.once_more()?,
            name: lock,
            file,
        })),
        Err(Errno::EXIST | Errno::NOENT) => {
            remove(directory, &draft);
            Ok(Attempt::Busy)
        }
        Err(errno) => {
            remove(directory, &draft);
            Err(cannot(errno))
        }
    }
}

/// Writes a lock file under a name of our own, durably: after a power cut its name may be there, and
/// without its content the next run would not know it for ours.
fn write(directory: &Directory, draft: &OsStr) -> Result<File, Errno> {
    remove(directory, draft);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(directory, draft, flags, MODE)?);
    let written = set_mode(&file)
        .and_then(|()| write!(file, "{}\n{OURS}\n", std::process::id()))
        .and_then(|()| file.sync_data());
    match written {
        Ok(()) => Ok(file),
        Err(error) => {
            remove(directory, draft);
            Err(Errno::from_io_error(&error).unwrap_or(Errno::IO))
        }
    }
}

/// Where the umask has taken away that we can read it ourselves, the next run could not know it for ours.
fn set_mode(file: &File) -> io::Result<()> {
    let mode = Mode::from_raw_mode(rustix::fs::fstat(file)?.st_mode);
    if !mode.contains(FILE_MODE) {
        rustix::fs::fchmod(file, mode | FILE_MODE)?;
    }
    Ok(())
}

/// What cannot be removed stays, and the next attempt says so.
fn remove(directory: &Directory, name: &OsStr) {
    let _ = rustix::fs::unlinkat(directory, name, AtFlags::empty());
}

/// Whether no program can hold a lock any more.
fn is_stale(directory: &Directory, lock: &OsStr, alone: bool, now: Timestamp) -> bool {
    let Ok((content, written)) = read(directory, lock) else {
        return false;
    };
    let mut lines = content.split(|byte| *byte == b'\n');
    let process = lines.next().and_then(|line| str::from_utf8(line).ok());
    if alone && lines.next() == Some(OURS.as_bytes()) {
        return true;
    }
    disk::is_older(written, STALE_AGE, now) && !process.is_some_and(is_alive)
}

/// The beginning of a lock file, and when it was written, in seconds since 1970.
fn read(directory: &Directory, lock: &OsStr) -> Result<(Vec<u8>, i64), Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(directory, lock, flags, Mode::empty())?);
    let written = rustix::fs::fstat(file.as_fd())?.st_mtime;
    let mut content = Vec::new();
    let read = file.take(100).read_to_end(&mut content);
    read.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok((content, written))
}

/// Whether a process of this number, if it is one, runs on this machine.
fn is_alive(process: &str) -> bool {
    let process = process.trim().parse().ok().and_then(Pid::from_raw);
    process.is_some_and(|process| {
        !matches!(
            rustix::process::test_kill_process(process),
            Err(Errno::SRCH)
        )
    })
}

impl Drop for DotLock {
    fn drop(&mut self) {
        if file::is_at(&self.directory, &self.name, &self.file).is_some() {
            remove(&self.directory, &self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;
    use std::time::{Duration, SystemTime};

    use super::*;

    fn attempt(mbox: &Path, alone: bool) -> Attempt {
        let spot = Spot::make(mbox).expect("reached");
        try_make(&spot, alone, Timestamp::now()).expect("tried")
    }

    fn is_made(mbox: &Path, alone: bool) -> bool {
        matches!(attempt(mbox, alone), Attempt::Made(_))
    }

    /// A lock file with this content and age, in seconds.
    fn leave(mbox: &Path, content: &str, age: u64) {
        fs::write(path_of(mbox), content).expect("written");
        let file = File::options()
            .write(true)
            .open(path_of(mbox))
            .expect("there");
        let written = SystemTime::now() - Duration::from_secs(age);
        file.set_modified(written).expect("dated");
    }

    /// The number of a process that has ended.
    fn dead_process() -> u32 {
        let mut child = Command::new("true").spawn().expect("run");
        child.wait().expect("ended");
        child.id()
    }

    #[test]
    fn one_has_it_and_then_another() {
        let root = tempfile::tempdir().expect("tempdir");
        let mbox = root.path().join("inbox");
        let Attempt::Made(held) = attempt(&mbox, false) else {
            panic!("not made in an empty directory");
        };
        let content = fs::read_to_string(root.path().join("inbox.lock")).expect("there");
        assert_eq!(
            content.lines().next(),
            Some(&*std::process::id().to_string())
        );
        assert!(matches!(attempt(&mbox, false), Attempt::Busy));
        drop(held);
        assert_eq!(fs::read_dir(root.path()).expect("readable").count(), 0);
        assert!(is_made(&mbox, false));
    }

    #[test]
    fn what_a_killed_run_left_is_no_obstacle_to_the_holder_of_the_other_lock() {
        let root = tempfile::tempdir().expect("tempdir");
        let mbox = root.path().join("inbox");
        // This process lives: after a restart of the machine the number may belong to anyone.
        leave(&mbox, &format!("{}\npopfetch\n", std::process::id()), 0);
        fs::write(mbox.with_added_extension("lock.popfetch"), "12").expect("a draft, cut off");
        assert!(!is_made(&mbox, false));
        assert!(is_made(&mbox, true));
        assert_eq!(fs::read_dir(root.path()).expect("readable").count(), 0);
    }

    #[test]
    fn a_lock_of_another_program_counts_as_left_when_it_is_old_and_its_process_is_gone() {
        let root = tempfile::tempdir().expect("tempdir");
        let mbox = root.path().join("inbox");
        let (dead, alive) = (dead_process().to_string(), std::process::id().to_string());
        for (content, age, stale) in [
            (&*dead, 400, true),
            (&*dead, 100, false),
            (&*alive, 400, false),
            ("", 400, true),
            ("", 100, false),
            ("0", 400, true),
        ] {
            leave(&mbox, content, age);
            assert_eq!(is_made(&mbox, true), stale, "\"{content}\", {age} s old");
        }
    }

    #[test]
    fn a_name_too_long_for_a_lock_forbids_it() {
        let root = tempfile::tempdir().expect("tempdir");
        let mbox = root.path().join("m".repeat(255));
        assert!(matches!(attempt(&mbox, true), Attempt::Forbidden));
    }

    #[test]
    fn the_lock_of_a_program_that_took_ours_stays() {
        let root = tempfile::tempdir().expect("tempdir");
        let mbox = root.path().join("inbox");
        let ours = attempt(&mbox, true);
        fs::remove_file(path_of(&mbox)).expect("taken for a remainder");
        fs::write(path_of(&mbox), "1\n").expect("theirs");
        drop(ours);
        assert!(path_of(&mbox).exists());
    }
}
