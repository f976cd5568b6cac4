//! A person's wish to stop, and how it reaches a thread that waits for a server.

use std::sync::atomic::{AtomicI32, Ordering};

use crate::error::{Failure, Kind};
use crate::net::Canceller;

/// Whether a signal asked us to stop, and what ends then. Clones are the same.
#[derive(Default)]
pub struct Interrupt {
    signal: AtomicI32,
    canceller: Canceller,
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

    /// What ends a wait for a server; for every connection of the run.
    #[must_use]
    pub fn canceller(&self) -> &Canceller {
        &self.canceller
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
}
