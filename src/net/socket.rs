//! The TCP connection below everything: a large read buffer, patience, and the true reason
//! when it ends. TLS stands on top of it or nothing does.
//!
//! The buffer is *below* TLS because OpenSSL asks for 5 bytes, then for the rest of a record: without
//! it every record costs two system calls.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::cancel::CancelToken;

use super::deadline::{Meter, Overstepped};

/// What one system call reads at most.
const BUFFER: usize = 64 * 1024;

/// How much of a server's first bytes in a handshake is kept, to tell plain text from TLS.
const FIRST_WORDS: usize = 256;

/// Why a socket carries no more.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cut {
    /// The server kept us waiting too long.
    Overstepped(Overstepped),
    /// The server did not take what we sent.
    NotTaken,
    /// Somebody cancelled.
    Cancelled,
    /// The connection broke.
    Lost(io::ErrorKind),
}

/// What the socket saw, kept outside of it: OpenSSL turns some errors into an end of file, drops others,
/// and a failed handshake takes the socket down with it.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    cut: Option<Cut>,
    first_words: Vec<u8>,
}

impl Evidence {
    /// Why the socket carries no more, if it does not.
    pub(super) fn cut(&self) -> Option<Cut> {
        self.seen(|seen| seen.cut)
    }

    /// What the server sent first when a handshake was due.
    pub(super) fn first_words(&self) -> Vec<u8> {
        self.seen(|seen| seen.first_words.clone())
    }

    fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A TCP connection with a read buffer. Its errors are [`Evidence`]; the [`io::Error`]s only say that there is some.
pub(super) struct Socket {
    tcp: Arc<TcpStream>,
    buffer: Box<[u8]>,
    /// The part of the buffer that was received and not yet read.
    unread: std::ops::Range<usize>,
    reading: Patience,
    writing: Patience,
    has_received: bool,
    token: CancelToken,
    evidence: Evidence,
    handshake_due: bool,
}

impl Socket {
    /// The socket of a connection, on which no silence may be longer than `span`.
    pub(super) fn new(connection: TcpStream, span: Duration, token: CancelToken) -> Self {
        let tcp = Arc::new(connection);
        token.guard(&tcp);
        Socket {
            tcp,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            unread: 0..0,
            reading: Patience::new(span),
            writing: Patience::new(span),
            has_received: false,
            token,
            evidence: Evidence::default(),
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

    pub(super) fn evidence(&self) -> Evidence {
        self.evidence.clone()
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
        let octets = outcome.map_err(|cut| self.cut(cut))?;
        if octets == 0 {
            self.refuse_if_cancelled()?;
        }
        self.unread = 0..octets;
        self.has_received |= octets > 0;
        if self.handshake_due {
            self.handshake_due = false;
            let first = &self.buffer[..octets.min(FIRST_WORDS)];
            self.evidence.seen(|seen| seen.first_words = first.to_vec());
        }
        Ok(())
    }

    fn refuse_if_cancelled(&self) -> io::Result<()> {
        if self.token.is_cancelled() {
            return Err(self.cut(Cut::Cancelled));
        }
        Ok(())
    }

    /// Keeps why the socket ended, and gives what stands for it on the way up. It must be no error after
    /// which OpenSSL would try again.
    fn cut(&self, cut: Cut) -> io::Error {
        let cut = if self.token.is_cancelled() {
            Cut::Cancelled
        } else {
            cut
        };
        self.evidence.seen(|seen| seen.cut = Some(cut));
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
        let octets = outcome.map_err(|cut| {
            self.cut(match cut {
                Cut::Overstepped(_) => Cut::NotTaken,
                other => other,
            })
        })?;
        Ok(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The patience with one direction of a connection.
#[derive(Debug)]
struct Patience {
    meter: Meter,
    /// The longest a single call may block. Only near a verdict of the meter do calls get less, so that
    /// hardly any needs another call to set its timeout.
    step: Duration,
    /// What the socket's timeout is set to.
    timeout: Option<Duration>,
}

impl Patience {
    fn new(span: Duration) -> Self {
        Patience {
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
    ) -> Result<usize, Cut> {
        loop {
            let patience = self.meter.patience().map_err(Cut::Overstepped)?;
            let timeout = patience.min(self.step);
            if self.timeout != Some(timeout) {
                set_timeout(timeout).map_err(|error| Cut::Lost(error.kind()))?;
                self.timeout = Some(timeout);
            }
            let begun = Instant::now();
            let outcome = call();
            // A call that took longer was not kept by the server: this process was stopped meanwhile.
            self.meter.waited(begun.elapsed().min(timeout));
            match outcome {
                Ok(octets) => return Ok(octets),
                Err(error) if is_transient(&error) => {}
                Err(error) => return Err(Cut::Lost(error.kind())),
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
