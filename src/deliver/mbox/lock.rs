//! The locks of an mbox, as Debian's policy (section 11.6) has them: fcntl first, then the dot-lock;
//! a program that gets only one of them gives it back and begins anew. In a directory where no dot-lock can be
//! made, as `/var/mail` is for most, fcntl alone has to do.
//!
//! Locks of fcntl belong to the whole process: a second thread would get them as well, and the one that closes the
//! file first gives them up for both. So threads take turns.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::dot_lock::{self, DotLock};
use super::file::Spot;
use crate::cancel::POLL_INTERVAL;
use crate::deliver::disk;
use crate::error::{Failure, Kind, Result};

/// An open mbox that no other program touches. The order of the fields is the order they are given back.
pub(super) struct Locked {
    _dot_lock: Option<DotLock>,
    /// Open for reading and appending; closing it gives the fcntl lock back.
    pub(super) file: File,
    /// Where it really is.
    pub(super) spot: Spot,
    _turn: Turn,
}

/// What keeps us waiting.
enum Busy {
    Thread,
    Fcntl,
    DotLock,
}

/// How long to wait, and what time it is to judge the age of a lock by.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// The longest wait for all locks together.
    pub(super) limit: Duration,
    /// What time it is.
    pub(super) now: Timestamp,
}

impl Locked {
    /// Locks the mbox at this path; where there is none, an empty one is made.
    ///
    /// # Errors
    ///
    /// [`Kind::Temporary`] when another program has it all the time; else it cannot be opened, made or locked.
    pub(super) fn create(path: &Path, patience: Patience) -> Result<Self> {
        let locked = acquire(Spot::make(path)?, patience, Spot::open_or_create)?;
        locked.ok_or_else(|| disk::failure("create", path, Errno::NOENT))
    }

    /// Locks the mbox at this path; none where there is none.
    ///
    /// # Errors
    ///
    /// As [`Locked::create`].
    pub(super) fn existing(path: &Path, patience: Patience) -> Result<Option<Self>> {
        match Spot::find(path)? {
            Some(spot) => acquire(spot, patience, Spot::open),
            None => Ok(None),
        }
    }
}

fn acquire(
    spot: Spot,
    patience: Patience,
    open: fn(&Spot) -> Result<Option<File>>,
) -> Result<Option<Locked>> {
    let end = Instant::now() + patience.limit;
    let Some(turn) = Turn::wait(spot.identity()?, patience.limit) else {
        return Err(locked(&spot.path, &Busy::Thread, patience.limit));
    };
    loop {
        let Some(file) = open(&spot)? else {
            return Ok(None);
        };
        let busy = match attempt(&spot, &file, patience.now)? {
            // A file that was replaced meanwhile is no mbox any more.
            Ok(dot_lock) if spot.is(&file)? => {
                return Ok(Some(Locked {
                    _dot_lock: dot_lock,
                    file,
                    spot,
                    _turn: turn,
                }));
            }
            Ok(_) => Busy::Fcntl,
            Err(busy) => busy,
        };
        drop(file);
        if Instant::now() >= end {
            return Err(locked(&spot.path, &busy, patience.limit));
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Tries to get both locks, without waiting.
fn attempt(spot: &Spot, file: &File, now: Timestamp) -> Result<Result<Option<DotLock>, Busy>> {
    let fcntl = match rustix::fs::fcntl_lock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => true,
        Err(Errno::AGAIN | Errno::ACCESS) => return Ok(Err(Busy::Fcntl)),
        // Some network file systems have no locks.
        Err(Errno::NOLCK | Errno::NOSYS | Errno::NOTSUP | Errno::INVAL) => false,
        Err(errno) => return Err(disk::failure("lock", &spot.path, errno)),
    };
    match dot_lock::try_make(spot, fcntl, now)? {
        dot_lock::Attempt::Made(dot_lock) => Ok(Ok(Some(dot_lock))),
        dot_lock::Attempt::Busy => Ok(Err(Busy::DotLock)),
        dot_lock::Attempt::Forbidden if fcntl => Ok(Ok(None)),
        dot_lock::Attempt::Forbidden => Err(disk::failure("lock", &spot.path, Errno::NOLCK)
            .hint("Its file system has no locks and its directory allows no lock file: choose another place.")),
    }
}

fn locked(path: &Path, busy: &Busy, limit: Duration) -> Failure {
    let (holder, hint) = match busy {
        Busy::Thread => (
            "another account that stores into it".to_owned(),
            "Run popfetch again later.".to_owned(),
        ),
        Busy::Fcntl => (
            "another program".to_owned(),
            "Run popfetch again when the program that has the mbox open is done; \"fuser\" names it."
                .to_owned(),
        ),
        Busy::DotLock => {
            let lock = disk::shown(&dot_lock::path_of(path));
            let hint = format!("If no program uses the mbox any more, remove {lock}.");
            (format!("another program ({lock})"), hint)
        }
    };
    let seconds = limit.as_secs();
    let what = format!(
        "{} is locked by {holder}, {seconds} seconds on",
        disk::shown(path)
    );
    Failure::new(Kind::Temporary, what).hint(hint)
}

/// An mbox: the device and the number of its directory, and its name there.
type Identity = (u64, u64, OsString);

static TAKEN: Mutex<BTreeSet<Identity>> = Mutex::new(BTreeSet::new());
static ENDED: Condvar = Condvar::new();

/// No other thread of this process touches the mbox while this lives.
pub(super) struct Turn(Identity);

impl Turn {
    /// Waits for the turn, at most this long. None when another has it all the time.
    pub(super) fn wait(mbox: Identity, limit: Duration) -> Option<Self> {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut taken, timeout) = ENDED
            .wait_timeout_while(taken, limit, |taken| taken.contains(&mbox))
            .unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            return None;
        }
        taken.insert(mbox.clone());
        Some(Turn(mbox))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        taken.remove(&self.0);
        ENDED.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// Where a reader has a new mbox ready.
    fn rewritten(path: &Path) -> PathBuf {
        path.with_added_extension("rewritten")
    }

    /// Opens the mbox just before a reader puts another one in its place, which it does once.
    fn open_too_early(spot: &Spot) -> Result<Option<File>> {
        let opened = spot.open();
        let _ = fs::rename(rewritten(&spot.path), &spot.path);
        opened
    }

    #[test]
    fn an_mbox_that_is_replaced_before_it_is_locked_is_not_the_one_that_is_locked() {
        let root = tempfile::tempdir().expect("tempdir");
        let path = root.path().join("inbox");
        fs::write(&path, "old").expect("written");
        fs::write(rewritten(&path), "new").expect("written");
        let patience = Patience {
            limit: Duration::from_secs(10),
            now: Timestamp::now(),
        };
        let spot = Spot::make(&path).expect("reached");
        let locked = acquire(spot, patience, open_too_early);
        let locked = locked.expect("locked").expect("there");
        assert!(!rewritten(&path).exists(), "the reader was there");
        let is_there = locked.spot.is(&locked.file).expect("looked at");
        assert!(is_there, "mail would be lost");
    }
}
