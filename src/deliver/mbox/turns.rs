//! Taking turns inside this process. Locks of fcntl belong to the whole process: a second thread would
//! get them as well, and whoever closes the file first gives them up for both.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

static TAKEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
static ENDED: Condvar = Condvar::new();

/// Nobody else in this process touches the file while this lives.
pub(super) struct Turn(PathBuf);

impl Turn {
    /// Waits for the turn, at most so long. None when somebody else has it all the time.
    pub(super) fn wait(path: &Path, limit: Duration) -> Option<Self> {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut taken, timeout) = ENDED
            .wait_timeout_while(taken, limit, |taken| taken.contains(path))
            .unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            return None;
        }
        taken.insert(path.to_owned());
        Some(Turn(path.to_owned()))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        taken.remove(&self.0);
        ENDED.notify_all();
    }
}
