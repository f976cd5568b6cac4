//! The bytes of one connection, with and without TLS.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use openssl::hash::MessageDigest;
use openssl::ssl::{SslAcceptor, SslStream};

/// How a TLS handshake begins.
const TLS_HANDSHAKE: &[u8] = b"\x16\x03";

/// The longest line that is read before the client is cut off.
const LONGEST_LINE: usize = 64 * 1024;

/// One connection.
pub(super) struct Wire {
    stream: Stream,
    input: Vec<u8>,
    ended: bool,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<SslStream<TcpStream>>),
    /// Nothing any more: a handshake failed.
    Gone,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Wire {
            stream: Stream::Plain(stream),
            input: Vec::new(),
            ended: false,
        })
    }

    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// SHA-256 of the certificate that was shown in the handshake.
    pub(super) fn own_certificate_digest(&self) -> Option<Vec<u8>> {
        let Stream::Tls(stream) = &self.stream else {
            return None;
        };
        let digest = stream.ssl().certificate()?.digest(MessageDigest::sha256());
        Some(digest.ok()?.to_vec())
    }

    /// Serves the TLS handshake.
    pub(super) fn handshake(&mut self, acceptor: &SslAcceptor) -> io::Result<()> {
        let stream = match std::mem::replace(&mut self.stream, Stream::Gone) {
            Stream::Plain(stream) => stream,
            Stream::Tls(_) | Stream::Gone => return Err(ErrorKind::NotConnected.into()),
        };
        let stream = acceptor.accept(stream).map_err(io::Error::other)?;
        self.stream = Stream::Tls(Box::new(stream));
        Ok(())
    }

    /// The next line with its line end; `None` at the end, even where a part of a line came before it.
    pub(super) fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            // A client may find out that way whether a silent server waits for TLS to begin.
            if !self.is_encrypted() && self.input.starts_with(TLS_HANDSHAKE) {
                return Ok(None);
            }
            if let Some(at) = memchr::memchr(b'\n', &self.input) {
                return Ok(Some(self.input.drain(..=at).collect()));
            }
            if self.ended || self.input.len() > LONGEST_LINE {
                return Ok(None);
            }
            self.fill()?;
        }
    }

    /// Whether the client sent something more already, waiting so long for it.
    pub(super) fn has_more(&mut self, time_limit: Duration) -> io::Result<bool> {
        self.fill_without_waiting()?;
        if self.input.is_empty() && !time_limit.is_zero() && !self.ended {
            self.socket()?.set_read_timeout(Some(time_limit))?;
            let filled = self.fill();
            self.socket()?.set_read_timeout(None)?;
            if let Err(error) = filled
                && !is_nothing_yet(&error)
            {
                return Err(error);
            }
        }
        Ok(!self.input.is_empty())
    }

    /// The next line, if it is here already and whole, without taking it.
    pub(super) fn next_line(&self) -> Option<&[u8]> {
        memchr::memchr(b'\n', &self.input).map(|at| &self.input[..=at])
    }

    /// Forgets what was sent ahead.
    pub(super) fn forget(&mut self) {
        self.input.clear();
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes),
            Stream::Gone => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// Reads and forgets until the client ends the connection.
    pub(super) fn drain(&mut self) {
        while !self.ended {
            self.input.clear();
            if self.fill().is_err() {
                return;
            }
        }
    }

    /// Ends the connection so that the client gets all that was sent. With `farewell`, TLS is
    /// ended, too; without, it looks like a cut cable.
    pub(super) fn close(&mut self, farewell: bool) {
        if farewell && let Stream::Tls(stream) = &mut self.stream {
            // The client may be gone already.
            let _ = stream.shutdown();
        }
        if let Ok(socket) = self.socket() {
            let _ = socket.shutdown(Shutdown::Write);
            self.drain();
        }
    }

    /// Ends the connection with a reset: the client may lose even what was sent.
    pub(super) fn reset(&mut self) {
        if let Ok(socket) = self.socket() {
            let _ = rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO));
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        let count = match &mut self.stream {
            Stream::Plain(stream) => stream.read(&mut buffer)?,
            Stream::Tls(stream) => stream.read(&mut buffer)?,
            Stream::Gone => 0,
        };
        self.ended |= count == 0;
        self.input.extend_from_slice(&buffer[..count]);
        Ok(())
    }

    fn fill_without_waiting(&mut self) -> io::Result<()> {
        self.socket()?.set_nonblocking(true)?;
        let mut filled = Ok(());
        while filled.is_ok() && !self.ended {
            filled = self.fill();
        }
        self.socket()?.set_nonblocking(false)?;
        match filled {
            Err(error) if !is_nothing_yet(&error) => Err(error),
            _ => Ok(()),
        }
    }

    fn socket(&self) -> io::Result<&TcpStream> {
        match &self.stream {
            Stream::Plain(stream) => Ok(stream),
            Stream::Tls(stream) => Ok(stream.get_ref()),
            Stream::Gone => Err(ErrorKind::NotConnected.into()),
        }
    }
}

fn is_nothing_yet(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
