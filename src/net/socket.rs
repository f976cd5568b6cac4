//! The TCP connection below everything: a large read buffer, timeouts, and the true reason
//! when it ends. TLS stands on top of it or nothing does.
//!
//! The buffer is *below* TLS because OpenSSL asks for 5 bytes, then for the rest of a record: without
//! it every record costs two system calls.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::cancel::CancelToken;

use super::deadline::{Exceeded, Meter};

/// What one system call reads at most.
const BUFFER_SIZE: usize = 64 * 1024;

/// How much of a server's first bytes in a handshake is kept, to tell plain text from TLS.
const MAX_FIRST_BYTES: usize = 256;

/// Why a socket carries no more.
#[derive(Debug, Clone, Copy)]
pub(super) enum SocketError {
    /// The server exceeded a limit of the wait for it.
    Exceeded(Exceeded),
    /// The server did not take what we sent.
    WriteTimeout,
    /// The token was cancelled.
    Cancelled,
    /// The connection broke.
    Lost(io::ErrorKind),
}

/// What happened on the socket, kept outside of it: OpenSSL turns some errors into an end of file, drops others,
/// and a failed handshake drops the socket.
#[derive(Debug, Clone, Default)]
pub(super) struct SocketStatus(Arc<Mutex<Status>>);

#[derive(Debug, Default)]
struct Status {
    error: Option<SocketError>,
    is_closed: bool,
    first_bytes: Vec<u8>,
}

impl SocketStatus {
    /// Why the socket carries no more, if it does not.
    pub(super) fn error(&self) -> Option<SocketError> {
        self.lock().error
    }

    /// Whether the server has closed the connection.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// What the server sent first when a handshake was due.
    pub(super) fn first_bytes(&self) -> Vec<u8> {
        self.lock().first_bytes.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A TCP connection with a read buffer. Its errors are in its [`SocketStatus`]; the [`io::Error`]s only say that there is one.
pub(super) struct Socket {
    tcp: Arc<TcpStream>,
    buffer: Box<[u8]>,
    /// The part of the buffer that was received and not yet read.
    unread: std::ops::Range<usize>,
    reading: Direction,
    writing: Direction,
    has_received: bool,
    token: CancelToken,
    status: SocketStatus,
    handshake_due: bool,
}

impl Socket {
    /// The socket of a connection, on which no silence may be longer than `span`.
    pub(super) fn new(connection: TcpStream, span: Duration, token: CancelToken) -> Self {
        let tcp = Arc::new(connection);
        token.guard(&tcp);
        Socket {
            tcp,
            buffer: vec![0; BUFFER_SIZE].into_boxed_slice(),
            unread: 0..0,
            reading: Direction::new(span),
            writing: Direction::new(span),
            has_received: false,
            token,
            status: SocketStatus::default(),
            handshake_due: false,
        }
    }

    /// A new wait for the server begins.
    pub(super) fn begin_waiting(&mut self) {
        self.reading.meter.restart();
    }

    /// So many octets came of what we wait for. Not counted here: below TLS a server could pass off
    /// empty records as an answer.
    pub(super) fn came(&mut self, octets: usize) {
        self.reading.meter.came(octets);
    }

    /// We begin to send something; the server has the whole span to take it.
    pub(super) fn begin_sending(&mut self) {
        self.writing.meter.restart();
    }

    /// The next bytes from the server will be its part of a TLS handshake, or ought to be.
    pub(super) fn expect_handshake(&mut self) {
        self.handshake_due = true;
        self.begin_waiting();
        self.begin_sending();
    }

    pub(super) fn is_buffer_empty(&self) -> bool {
        self.unread.is_empty()
    }

    pub(super) fn status(&self) -> SocketStatus {
        self.status.clone()
    }

    /// Whether the server has said anything yet.
    pub(super) fn has_received(&self) -> bool {
        self.has_received
    }

    /// Refills the empty buffer. Leaves it empty at the end of the connection.
    fn fill(&mut self) -> io::Result<()> {
        // Data may still be flowing in over a connection that was shut down.
        self.refuse_if_cancelled()?;
        let (mut tcp, buffer) = (&*self.tcp, &mut self.buffer);
        let outcome = self.reading.call(
            |timeout| tcp.set_read_timeout(Some(timeout)),
            || tcp.read(buffer),
        );
        let octets = outcome.map_err(|error| self.fail(error))?;
        if octets == 0 {
            self.refuse_if_cancelled()?;
            self.status.lock().is_closed = true;
        }
        self.unread = 0..octets;
        self.has_received |= octets > 0;
        if self.handshake_due {
            self.handshake_due = false;
            let first = &self.buffer[..octets.min(MAX_FIRST_BYTES)];
            self.status.lock().first_bytes = first.to_vec();
        }
        Ok(())
    }

    fn refuse_if_cancelled(&self) -> io::Result<()> {
        if self.token.is_cancelled() {
            return Err(self.fail(SocketError::Cancelled));
        }
        Ok(())
    }

    /// Keeps why the socket ended, and gives what stands for it on the way up. It must be no error after
    /// which OpenSSL would try again.
    fn fail(&self, error: SocketError) -> io::Error {
        let error = if self.token.is_cancelled() {
            SocketError::Cancelled
        } else {
            error
        };
        self.status.lock().error = Some(error);
        io::Error::other("the connection ended")
    }
}

/// Without the buffer: what a server sent has no place in an error message.
impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("tcp", &self.tcp)
            .finish_non_exhaustive()
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.unread.is_empty() {
            self.fill()?;
        }
        let octets = self.unread.len().min(into.len());
        let (start, end) = (self.unread.start, self.unread.start + octets);
        into[..octets].copy_from_slice(&self.buffer[start..end]);
        self.unread.start = end;
        Ok(octets)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.refuse_if_cancelled()?;
        let mut tcp = &*self.tcp;
        let outcome = self.writing.call(
            |timeout| tcp.set_write_timeout(Some(timeout)),
            || tcp.write(bytes),
        );
        outcome.map_err(|error| {
            self.fail(match error {
                SocketError::Exceeded(_) => SocketError::WriteTimeout,
                other => other,
            })
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The timeouts of one direction of a connection.
#[derive(Debug)]
struct Direction {
    meter: Meter,
    /// The longest a single call may block. Only near a verdict of the meter do calls get less, so that
    /// hardly any needs another call to set its timeout.
    step: Duration,
    /// What the socket's timeout is set to.
    timeout: Option<Duration>,
}

impl Direction {
    fn new(span: Duration) -> Self {
        Direction {
            meter: Meter::new(span),
            step: (span / 8).max(Duration::from_millis(1)),
            timeout: None,
        }
    }

    /// Makes a call on the socket, and again whenever its timeout ended it, as long as the meter allows.
    fn call(
        &mut self,
        set_timeout: impl Fn(Duration) -> io::Result<()>,
        mut call: impl FnMut() -> io::Result<usize>,
    ) -> Result<usize, SocketError> {
        loop {
            let timeout = self.meter.next_timeout().map_err(SocketError::Exceeded)?;
            let timeout = timeout.min(self.step);
            if self.timeout != Some(timeout) {
                set_timeout(timeout).map_err(|error| SocketError::Lost(error.kind()))?;
                self.timeout = Some(timeout);
            }
            let begun = Instant::now();
            let outcome = call();
            // A call that took longer was not kept by the server: this process was stopped meanwhile.
            self.meter.waited(begun.elapsed().min(timeout));
            match outcome {
                Ok(octets) => return Ok(octets),
                Err(error) if is_transient(&error) => {}
                Err(error) => return Err(SocketError::Lost(error.kind())),
            }
        }
    }
}

/// The socket's timeout passed, or a signal came in between.
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
