//! Ending a wait from outside: a signal, or another thread's decision.

use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::error::{Failure, Kind};

use super::deadline::Deadline;

/// How long a cancelled wait for a helper thread may go unnoticed.
const GLANCE: Duration = Duration::from_millis(50);

/// Ends whatever the connection it was given to is doing: looking up a name, connecting, reading,
/// writing. One serves a whole session, reconnects included. Clones are the same canceller.
#[derive(Debug, Clone, Default)]
pub struct Canceller(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    cancelled: AtomicBool,
    /// The connection to shut down. Not ours to keep open: it closes when its stream is dropped.
    connection: Mutex<Weak<TcpStream>>,
}

/// Why a helper thread was not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unheard {
    TimedOut,
    Cancelled,
    /// It ended without a word.
    Gone,
}

impl Canceller {
    /// A canceller that nobody has used.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends what is going on, within milliseconds, and whatever else would be begun with this canceller.
    /// May be called from any thread, any number of times; not from inside a signal handler.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
        self.shut();
    }

    /// Whether somebody cancelled: then what failed afterwards failed for that reason.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// From now on, this connection is the one to end. If it was cancelled already, it ends now.
    pub(super) fn guard(&self, connection: &Arc<TcpStream>) {
        *self.connection() = Arc::downgrade(connection);
        if self.is_cancelled() {
            self.shut();
        }
    }

    /// Shutting a connection down, unlike closing it, wakes whoever is blocked on it.
    fn shut(&self) {
        let connection = self.connection().upgrade();
        if let Some(connection) = connection {
            // It fails only where the connection is gone already, which is what was wanted.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    fn connection(&self) -> MutexGuard<'_, Weak<TcpStream>> {
        self.0
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The next thing that a helper thread reports.
    pub(super) fn receive<T>(&self, news: &Receiver<T>, limit: Duration) -> Result<T, Unheard> {
        let deadline = Deadline::after(limit);
        loop {
            if self.is_cancelled() {
                return Err(Unheard::Cancelled);
            }
            let left = deadline.left();
            match news.recv_timeout(left.min(GLANCE)) {
                Ok(report) => return Ok(report),
                Err(RecvTimeoutError::Disconnected) => return Err(Unheard::Gone),
                Err(RecvTimeoutError::Timeout) if left <= GLANCE => return Err(Unheard::TimedOut),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// What a cancelled wait failed with. The kind is provisional: who cancelled knows better why.
pub(super) fn stopped(activity: &str) -> Failure {
    Failure::new(Kind::Temporary, format!("stopped while {activity}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_wait_for_a_thread_ends_with_its_report_its_end_its_limit_or_the_canceller() {
        let canceller = Canceller::new();
        let (report, news) = mpsc::channel();
        let moment = Duration::from_millis(1);
        assert_eq!(canceller.receive(&news, moment), Err(Unheard::TimedOut));
        report.send(7).unwrap();
        assert_eq!(canceller.receive(&news, moment), Ok(7));

        let clone = canceller.clone();
        let waiting =
            std::thread::spawn(move || (clone.receive(&news, Duration::from_secs(60)), news));
        canceller.cancel();
        let (outcome, news) = waiting.join().unwrap();
        assert_eq!(outcome, Err(Unheard::Cancelled));

        drop(report);
        assert_eq!(Canceller::new().receive(&news, moment), Err(Unheard::Gone));
    }
}
