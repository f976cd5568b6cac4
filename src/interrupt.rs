//! A person's wish to stop, and how it reaches a thread that waits for a server.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Failure, Kind};
use crate::net::Canceller;

/// Whether a signal asked us to stop, and what ends then.
#[derive(Default)]
pub struct Interrupt {
    signal: AtomicI32,
    waits: Mutex<Waits>,
}

/// What there is to end.
#[derive(Default)]
struct Waits {
    /// All of it has ended, and what begins now ends at once.
    ended: bool,
    cancellers: Vec<Canceller>,
}

impl Interrupt {
    /// Asks to stop: from now on no message is asked for.
    pub fn request(&self, signal: i32) {
        self.signal.store(signal, Ordering::SeqCst);
    }

    /// The signal that asked us to stop.
    #[must_use]
    pub fn requested(&self) -> Option<i32> {
        Some(self.signal.load(Ordering::SeqCst)).filter(|&signal| signal != 0)
    }

    /// What ends an account's waits for its server. Each account has its own, since one canceller guards
    /// one connection at a time.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        let canceller = Canceller::new();
        let mut waits = self.waits();
        if waits.ended {
            canceller.cancel();
        }
        waits.cancellers.push(canceller.clone());
        canceller
    }

    /// Ends every wait for a server, of all accounts, now and from now on.
    pub fn cancel(&self) {
        let mut waits = self.waits();
        waits.ended = true;
        waits.cancellers.iter().for_each(Canceller::cancel);
    }

    /// The failure that a run which was asked to stop ends with.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        let signal = self.requested()?;
        Some(Failure::new(
            Kind::Interrupted(signal),
            "stopped; what was stored is recorded",
        ))
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_accounts_end_also_those_that_begin_later() {
        let interrupt = Interrupt::default();
        let [one, other] = [interrupt.canceller(), interrupt.canceller()];
        assert!(!one.is_cancelled());
        interrupt.cancel();
        assert!(one.is_cancelled() && other.is_cancelled());
        assert!(interrupt.canceller().is_cancelled());
    }
}
