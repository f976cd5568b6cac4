//! Taking turns inside this process. Locks of fcntl belong to the whole process: a second thread would
//! get them as well, and whoever closes the file first gives them up for both.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// An mbox: the device and the number of its directory, and its name there.
type Identity = (u64, u64, OsString);

static TAKEN: Mutex<BTreeSet<Identity>> = Mutex::new(BTreeSet::new());
static ENDED: Condvar = Condvar::new();

/// Nobody else in this process touches the file while this lives.
pub(super) struct Turn(Identity);

impl Turn {
    /// Waits for the turn, at most so long. None when somebody else has it all the time.
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
