//! Ending what waits.
//!
//! Whatever waits holds a [`CancelToken`]. A blocked read or write of a socket ends at once when the token is
//! cancelled, because the token shuts the connection down. Everything else waits by a [`Wait`], and looks at the
//! token every [`POLL_INTERVAL`].
//!
//! A signal cancels in two steps, and has a token for each: see [`Interrupt`].

use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// The longest time that a cancelled wait goes on.
pub const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Ends the waits that were given it or a clone of it. Once cancelled it stays so.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    cancelled: AtomicBool,
    /// The connections to shut down. They close when their streams are dropped, not when the token is.
    connections: Mutex<Vec<Weak<TcpStream>>>,
}

impl CancelToken {
    /// A token that is not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends all waits, now and from now on. May be called from any thread, any number of times; not from
    /// inside a signal handler.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
        for connection in self.connections().iter().filter_map(Weak::upgrade) {
            shut_down(&connection);
        }
    }

    /// Whether it was cancelled: then what failed afterwards failed for that reason.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Shuts this connection down when the token is cancelled, which may be now.
    pub fn guard(&self, connection: &Arc<TcpStream>) {
        let mut connections = self.connections();
        connections.retain(|connection| connection.strong_count() > 0);
        connections.push(Arc::downgrade(connection));
        drop(connections);
        if self.is_cancelled() {
            shut_down(connection);
        }
    }

    fn connections(&self) -> MutexGuard<'_, Vec<Weak<TcpStream>>> {
        let connections = self.0.connections.lock();
        connections.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Unlike closing a connection, this wakes a thread that is blocked on it.
fn shut_down(connection: &TcpStream) {
    // It fails only where the connection is gone already.
    let _ = connection.shutdown(Shutdown::Both);
}

/// A wait that ends at a deadline, if it has one, or when its token is cancelled.
#[derive(Debug, Clone, Copy)]
pub struct Wait<'a> {
    deadline: Option<Instant>,
    token: &'a CancelToken,
}

/// Why a wait ended without what it was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// The deadline has passed.
    #[error("it took too long")]
    TimedOut,
    /// The token was cancelled.
    #[error("it was no longer wanted")]
    Cancelled,
}

impl<'a> Wait<'a> {
    /// A wait without a deadline.
    #[must_use]
    pub fn unlimited(token: &'a CancelToken) -> Self {
        Wait {
            deadline: None,
            token,
        }
    }

    /// A wait that begins now and takes at most this long.
    #[must_use]
    pub fn at_most(limit: Duration, token: &'a CancelToken) -> Self {
        Wait::since(Instant::now(), limit, token)
    }

    /// A wait that takes at most this long, counted from when it began.
    #[must_use]
    pub fn since(begun: Instant, limit: Duration, token: &'a CancelToken) -> Self {
        Wait {
            // A limit beyond what the clock can express is none.
            deadline: begun.checked_add(limit),
            token,
        }
    }

    /// How much time is left; zero once the deadline has passed.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.deadline.map_or(Duration::MAX, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        })
    }

    /// How long to block before this is asked again.
    ///
    /// # Errors
    ///
    /// The wait is over.
    pub fn next_poll(&self) -> Result<Duration, WaitError> {
        if self.token.is_cancelled() {
            return Err(WaitError::Cancelled);
        }
        match self.left() {
            Duration::ZERO => Err(WaitError::TimedOut),
            left => Ok(left.min(POLL_INTERVAL)),
        }
    }

    /// The next value that another thread sends; none when that thread ends without sending one. A value that
    /// is there already is received after the deadline, too.
    ///
    /// # Errors
    ///
    /// The wait is over.
    pub fn receive<T>(&self, receiver: &Receiver<T>) -> Result<Option<T>, WaitError> {
        loop {
            let poll = self.next_poll();
            let timeout = match poll {
                Err(WaitError::Cancelled) => return Err(WaitError::Cancelled),
                Err(WaitError::TimedOut) => Duration::ZERO,
                Ok(timeout) => timeout,
            };
            match receiver.recv_timeout(timeout) {
                Ok(value) => return Ok(Some(value)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => poll.map(drop)?,
            }
        }
    }
}

/// A signal's request to end the run, in two steps: first nothing more is begun, and what was begun may still
/// be finished; then that is ended as well.
#[derive(Debug, Default)]
pub struct Interrupt {
    signal: AtomicI32,
    stop: CancelToken,
    abort: CancelToken,
}

/// A signal ended the run before its work was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stopped; what was stored is recorded")]
pub struct Interrupted {
    /// The signal's number.
    pub signal: i32,
}

impl Interrupt {
    /// The first step, because of this signal.
    pub fn stop(&self, signal: i32) {
        self.signal.store(signal, Ordering::SeqCst);
        self.stop.cancel();
    }

    /// The second step.
    pub fn abort(&self) {
        self.abort.cancel();
    }

    /// Whether nothing more is to be begun.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Cancelled in the first step: ends waits for people and commands.
    #[must_use]
    pub fn stop_token(&self) -> &CancelToken {
        &self.stop
    }

    /// Cancelled in the second step: ends waits for servers.
    #[must_use]
    pub fn abort_token(&self) -> &CancelToken {
        &self.abort
    }

    /// What a run that was asked to stop ends with.
    #[must_use]
    pub fn interrupted(&self) -> Option<Interrupted> {
        self.is_stopping().then(|| Interrupted {
            signal: self.signal.load(Ordering::SeqCst),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::{Ipv4Addr, TcpListener};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    const SHORT: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(60);

    fn connection() -> (TcpStream, Arc<TcpStream>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        (listener.accept().unwrap().0, Arc::new(client))
    }

    #[test]
    fn cancelling_ends_blocked_reads_of_all_connections_and_those_of_later_ones() {
        let token = CancelToken::new();
        let (_servers, clients): (Vec<_>, Vec<_>) = (0..3).map(|_| connection()).unzip();
        let (early, late) = clients.split_at(2);
        early.iter().for_each(|client| token.guard(client));
        let read = |client: &Arc<TcpStream>| {
            let client = Arc::clone(client);
            thread::spawn(move || client.as_ref().read(&mut [0]).unwrap())
        };
        let reading: Vec<_> = early.iter().map(read).collect();
        token.cancel();
        token.guard(&late[0]);
        for reading in reading.into_iter().chain(late.iter().map(read)) {
            assert_eq!(reading.join().unwrap(), 0);
        }
    }

    #[test]
    fn a_token_keeps_no_connection_open_and_forgets_closed_ones() {
        let token = CancelToken::new();
        for _ in 0..3 {
            let (mut server, client) = connection();
            token.guard(&client);
            drop(client);
            assert_eq!(server.read(&mut [0]).unwrap(), 0);
        }
        assert_eq!(token.connections().len(), 1);
        assert!(!token.is_cancelled());
    }

    #[test]
    fn a_wait_for_a_thread_ends_with_its_value_its_end_the_deadline_or_the_token() {
        let token = CancelToken::new();
        let (sender, receiver) = mpsc::channel();
        let receive = |limit, token| Wait::at_most(limit, token).receive(&receiver);
        assert_eq!(receive(SHORT, &token), Err(WaitError::TimedOut));
        sender.send(7).unwrap();
        assert_eq!(receive(Duration::ZERO, &token), Ok(Some(7)));

        thread::scope(|scope| {
            let canceller = token.clone();
            scope.spawn(move || canceller.cancel());
            assert_eq!(receive(LONG, &token), Err(WaitError::Cancelled));
        });

        drop(sender);
        assert_eq!(receive(LONG, &CancelToken::new()), Ok(None));
    }

    #[test]
    fn a_wait_is_polled_until_its_deadline_or_for_ever() {
        let token = CancelToken::new();
        let overdue = Wait::at_most(Duration::ZERO, &token);
        assert_eq!(overdue.next_poll(), Err(WaitError::TimedOut));
        let endless = [
            Wait::unlimited(&token),
            Wait::at_most(Duration::MAX, &token),
        ];
        for wait in endless {
            assert_eq!(wait.next_poll(), Ok(POLL_INTERVAL));
        }
        token.cancel();
        for wait in endless {
            assert_eq!(wait.next_poll(), Err(WaitError::Cancelled));
        }
    }

    #[test]
    fn a_signal_cancels_in_two_steps() {
        let interrupt = Interrupt::default();
        assert_eq!(interrupt.interrupted(), None);
        interrupt.stop(15);
        assert_eq!(interrupt.interrupted(), Some(Interrupted { signal: 15 }));
        assert!(interrupt.stop_token().is_cancelled());
        assert!(!interrupt.abort_token().is_cancelled());
        interrupt.abort();
        assert!(interrupt.abort_token().is_cancelled());
    }
}
