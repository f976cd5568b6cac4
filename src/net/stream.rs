//! A byte stream to a server, in the clear or over TLS, that never waits for ever.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use native_tls::{HandshakeError, TlsStream};

use crate::cancel::CancelToken;
use crate::text::Untrusted;

use super::deadline::{Awaited, Exceeded};
use super::socket::{Socket, SocketError, SocketStatus};
use super::tls::{self, Certificate, TlsConnector, TlsProblem};
use super::{Error, Result};

/// A connection to a server. The reader says first what it waits for ([`Stream::wait_for`]), and the
/// error of a wait that was too long names it.
///
/// A wait is too long when nothing comes for the stream's timeout, or when less than
/// [`MIN_RATE`](super::MIN_RATE) octets a second come over a whole timeout. Only time blocked in [`Stream::read`]
/// counts, and over TLS only octets of the server's words do, not those TLS adds.
/// After an error the stream is of no more use.
pub struct Stream {
    layer: Layer,
    peer: Peer,
}

enum Layer {
    Plain(Box<Socket>),
    Tls(TlsStream<Socket>),
}

/// What error messages need to know: whom we talk to, and what for.
struct Peer {
    host: String,
    timeout: Duration,
    awaited: Awaited,
    status: SocketStatus,
}

impl Stream {
    /// The stream over a connection to `host`. It waits for the greeting first. Dropping it closes the
    /// connection.
    #[must_use]
    pub fn new(connection: TcpStream, host: &str, timeout: Duration, token: &CancelToken) -> Self {
        let socket = Socket::new(connection, timeout, token.clone());
        Stream {
            peer: Peer {
                host: Untrusted(host.as_bytes()).to_string(),
                timeout,
                awaited: Awaited::GREETING,
                status: socket.status(),
            },
            layer: Layer::Plain(Box::new(socket)),
        }
    }

    /// Puts TLS on the connection: before the greeting, or after the server agreed to STLS (RFC 2595
    /// section 4). The certificate must be for `name`. The stream is consumed: if this fails, nothing
    /// can go on in the clear.
    ///
    /// The caller makes sure that its own buffers are empty; this checks those below.
    ///
    /// # Errors
    ///
    /// The server's certificate is not to be trusted; the server sent something before the handshake, speaks no TLS,
    /// or hung up; the handshake was not over within the stream's timeout, or cancelled; or `name` can be no
    /// server's name.
    pub fn secure(self, connector: &TlsConnector, name: &str) -> Result<Self> {
        let (peer, protected) = self.shake_hands(connector, name)?;
        connector.check(&protected, &peer.host, name)?;
        Ok(Stream {
            layer: Layer::Tls(protected),
            peer,
        })
    }

    /// The certificate that the server shows where TLS begins, whether or not it can be trusted. The
    /// connection ends; nothing was sent on it but the handshake.
    ///
    /// # Errors
    ///
    /// As [`Stream::secure`], but for what is wrong with the certificate.
    pub fn certificate(self, name: &str) -> Result<Option<Certificate>> {
        let (_, protected) = self.shake_hands(&TlsConnector::trusting_anyone(), name)?;
        Ok(tls::peer_certificate(&protected))
    }

    fn shake_hands(
        self,
        connector: &TlsConnector,
        name: &str,
    ) -> Result<(Peer, TlsStream<Socket>)> {
        let Stream { layer, mut peer } = self;
        let Layer::Plain(mut socket) = layer else {
            return Err(Error::AlreadyProtected { host: peer.host });
        };
        if !socket.is_buffer_empty() {
            return Err(Error::DataBeforeHandshake { host: peer.host });
        }
        let name = tls::name_to_check(name)?;
        let ready = connector.ready()?;
        peer.awaited = Awaited::HANDSHAKE;
        let is_upgrade = socket.has_received();
        socket.expect_handshake();
        match ready.connect(name, *socket) {
            Ok(protected) => Ok((peer, protected)),
            Err(HandshakeError::Failure(error)) => {
                Err(peer.handshake_error(is_upgrade).unwrap_or_else(|| {
                    tls::handshake_error(&error, &peer.host, name, connector.least())
                }))
            }
            // The socket waits itself.
            Err(HandshakeError::WouldBlock(_)) => {
                Err(peer.socket_error(SocketError::Lost(io::ErrorKind::WouldBlock)))
            }
        }
    }

    /// From now on, this is what we wait for; the server has the whole timeout again.
    pub fn wait_for(&mut self, awaited: Awaited) {
        self.peer.awaited = awaited;
        self.socket_mut().begin_waiting();
    }

    /// Reads what the server says next, at most as much as `into` holds, and waits until something is there.
    /// 0 is the end of the connection, whether or not TLS announced it: never the end of a message.
    /// (It is also all that fits into nothing, so `into` must not be empty.)
    ///
    /// # Errors
    ///
    /// The wait was too long, or cancelled; the connection was lost; or the server ended TLS with an alert. Over
    /// TLS 1.3 a server that refuses our certificate, or misses one, says so only here.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let outcome = match &mut self.layer {
            Layer::Plain(socket) => socket.read(into),
            Layer::Tls(protected) => protected.read(into),
        };
        match outcome {
            Ok(0) => self.peer.end_of_file(),
            Ok(octets) => {
                self.socket_mut().came(octets);
                Ok(octets)
            }
            // TLS did not announce it.
            Err(_) if self.peer.status.is_closed() => self.peer.end_of_file(),
            Err(error) => Err(self.peer.error(&error)),
        }
    }

    /// Whether nothing that came waits to be read.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.socket().is_buffer_empty()
    }

    /// Sends all of this; the server has the stream's timeout to take it.
    ///
    /// # Errors
    ///
    /// As [`Stream::read`]. Some of it may have been sent.
    pub fn send(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.socket_mut().begin_sending();
        while !bytes.is_empty() {
            let outcome = match &mut self.layer {
                Layer::Plain(socket) => socket.write(bytes),
                Layer::Tls(protected) => protected.write(bytes),
            };
            match outcome {
                Ok(0) => {
                    let nothing = SocketError::Lost(io::ErrorKind::WriteZero);
                    return Err(self.peer.socket_error(nothing));
                }
                Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
                Err(error) => return Err(self.peer.error(&error)),
            }
        }
        Ok(())
    }

    /// Ends the connection politely, as far as the server lets us: over TLS says so first.
    pub fn close(mut self) {
        self.socket_mut().begin_sending();
        if let Layer::Tls(protected) = &mut self.layer {
            // A failure no longer matters.
            let _ = protected.shutdown();
        }
    }

    /// Whether TLS protects what is sent: to be asked right before sending anything secret.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        matches!(self.layer, Layer::Tls(_))
    }

    /// What ties a login to this TLS connection: the hash of the server's certificate that RFC 5929
    /// section 4 defines (`tls-server-end-point`). None in the clear, and for a certificate whose
    /// signature has no hash of its own (Ed25519).
    #[must_use]
    pub fn end_point(&self) -> Option<Vec<u8>> {
        match &self.layer {
            Layer::Plain(_) => None,
            Layer::Tls(protected) => protected.tls_server_end_point().ok().flatten(),
        }
    }

    fn socket(&self) -> &Socket {
        match &self.layer {
            Layer::Plain(socket) => socket,
            Layer::Tls(protected) => protected.get_ref(),
        }
    }

    fn socket_mut(&mut self) -> &mut Socket {
        match &mut self.layer {
            Layer::Plain(socket) => socket,
            Layer::Tls(protected) => protected.get_mut(),
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("host", &self.peer.host)
            .field("protected", &self.is_protected())
            .field("awaited", &self.peer.awaited)
            .finish_non_exhaustive()
    }
}

impl Peer {
    /// Some errors come up through OpenSSL as an end of file; the socket's status tells.
    fn end_of_file(&self) -> Result<usize> {
        match self.status.error() {
            None => Ok(0),
            Some(error) => Err(self.socket_error(error)),
        }
    }

    /// Why reading or writing failed: the socket knows, else it was TLS.
    fn error(&self, error: &io::Error) -> Error {
        match self.status.error() {
            Some(error) => self.socket_error(error),
            None => tls::stream_error(error, &self.host),
        }
    }

    /// Why a handshake failed, where that was not TLS's own doing.
    fn handshake_error(&self, is_upgrade: bool) -> Option<Error> {
        let host = self.host.clone();
        let is_lost = match self.status.error() {
            None => self.status.is_closed(),
            Some(SocketError::Lost(_)) => true,
            Some(error) => return Some(self.socket_error(error)),
        };
        let first_bytes = self.status.first_bytes();
        match plain_text(&first_bytes).map(|said| Untrusted(said).to_string()) {
            Some(said) if is_upgrade => Some(Error::PlainTextAfterAgreement { host, said }),
            Some(said) => Some(Error::PlainText { host, said }),
            None if is_lost => Some(tls::known(TlsProblem::Closed, &host, &host)),
            None => None,
        }
    }

    fn socket_error(&self, error: SocketError) -> Error {
        let &Peer {
            timeout: limit,
            awaited,
            ..
        } = self;
        let host = self.host.clone();
        match error {
            SocketError::Exceeded(Exceeded::Silence) => Error::ReadTimeout {
                host,
                limit,
                awaited,
            },
            SocketError::Exceeded(Exceeded::Rate) => Error::TooSlow {
                host,
                limit,
                awaited,
            },
            SocketError::WriteTimeout => Error::WriteTimeout { host, limit },
            SocketError::Cancelled => Error::Cancelled {
                activity: format!("waiting for {awaited} from {host}"),
            },
            SocketError::Lost(kind) => Error::Lost {
                host,
                awaited,
                source: kind.into(),
            },
        }
    }
}

/// The first line of what a server sent first in a handshake, if it is no TLS: there a record begins
/// with 20 to 23.
fn plain_text(first_bytes: &[u8]) -> Option<&[u8]> {
    first_bytes
        .first()
        .filter(|byte| (b' '..=b'~').contains(byte))?;
    first_bytes
        .split(|&byte| byte == b'\r' || byte == b'\n')
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Failure, Kind};
    use crate::net::testing::{AMPLE, Authority, Leaf, Server, drip, listen_to_the_end};
    use openssl::ssl::{SslAcceptor, SslMethod, SslVerifyMode};

    const NAME: &str = "pop.example.com";
    const SHORT: Duration = Duration::from_millis(100);

    /// Everything until the end of the connection.
    fn read_all(stream: &mut Stream) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        let mut chunk = [0; 7];
        loop {
            match stream.read(&mut chunk)? {
                0 => return Ok(all),
                octets => all.extend(&chunk[..octets]),
            }
        }
    }

    fn next(stream: &mut Stream) -> Failure {
        stream.read(&mut [0; 64]).unwrap_err().into()
    }

    fn refused(secured: Result<Stream>) -> Failure {
        secured.unwrap_err().into()
    }

    fn trusted() -> (Authority, native_tls::Identity) {
        let authority = Authority::new("root");
        let identity = authority.issue(&Leaf::good(NAME));
        (authority, identity)
    }

    /// Asks, and is answered with what was asked.
    fn echo(mut connection: impl Read + Write) {
        let mut asked = [0; 64];
        let octets = connection.read(&mut asked).unwrap();
        connection.write_all(&asked[..octets]).unwrap();
    }

    #[test]
    fn words_go_both_ways_in_the_clear() {
        let server = Server::new(echo);
        let mut stream = server.stream(AMPLE);
        assert!(!stream.is_protected());
        stream.send(b"NOOP and more\r\n").unwrap();
        assert_eq!(read_all(&mut stream).unwrap(), b"NOOP and more\r\n");
        server.finish();
    }

    #[test]
    fn words_go_both_ways_under_tls() {
        let (authority, identity) = trusted();
        let server = Server::tls(identity, echo);
        let mut stream = server.secure(&authority, NAME).unwrap();
        assert!(stream.is_protected());
        stream.send(b"NOOP\r\n").unwrap();
        assert_eq!(read_all(&mut stream).unwrap(), b"NOOP\r\n");
        server.finish();
    }

    #[test]
    fn a_long_answer_under_tls_comes_whole() {
        let sent: Vec<u8> = (0..1_000_000_u32)
            .map(|index| (index % 251) as u8)
            .collect();
        let expected = sent.clone();
        let (authority, identity) = trusted();
        let server = Server::tls(identity, move |mut protected| {
            protected.write_all(&sent).unwrap();
        });
        let mut stream = server.secure(&authority, NAME).unwrap();
        assert!(read_all(&mut stream).unwrap() == expected);
        server.finish();
    }

    #[test]
    fn an_end_that_tls_did_not_announce_is_an_end() {
        let (authority, identity) = trusted();
        // Dropping the server's side closes the connection without a close_notify.
        let server = Server::tls(identity, |mut protected| {
            protected.write_all(b"+OK half a mess").unwrap();
        });
        let mut stream = server.secure(&authority, NAME).unwrap();
        assert_eq!(read_all(&mut stream).unwrap(), b"+OK half a mess");
        server.finish();
    }

    #[test]
    fn dropping_a_stream_closes_the_connection_though_its_token_lives_on() {
        let server = Server::new(listen_to_the_end);
        let token = CancelToken::new();
        drop(server.cancellable(AMPLE, &token));
        server.finish();
        assert!(!token.is_cancelled());
    }

    #[test]
    fn closing_tells_tls_first() {
        let (authority, identity) = trusted();
        let server = Server::tls(identity, |mut protected| {
            let end = protected.read(&mut [0; 64]);
            assert_eq!(end.unwrap(), 0);
        });
        server.secure(&authority, NAME).unwrap().close();
        server.finish();
    }

    #[test]
    fn the_server_gets_the_name_it_is_asked_for() {
        let (authority, _) = trusted();
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
        let (said, heard) = std::sync::mpsc::channel();
        acceptor.set_servername_callback(move |session, _alert| {
            let name = session.servername(openssl::ssl::NameType::HOST_NAME);
            said.send(name.map(str::to_owned)).unwrap();
            Err(openssl::ssl::SniError::ALERT_FATAL)
        });
        let acceptor = acceptor.build();
        let server = Server::new(move |connection| drop(acceptor.accept(connection)));
        let failure = refused(server.secure(&authority, "pop.example.com."));
        server.finish();
        assert_eq!(heard.recv().unwrap().as_deref(), Some(NAME));
        assert_eq!(failure.kind(), Kind::Tls);
    }

    #[test]
    fn silence_ends_at_the_timeout_and_names_what_was_awaited() {
        let server = Server::new(listen_to_the_end);
        let mut stream = server.stream(SHORT);
        let failure = next(&mut stream);
        assert_eq!(failure.kind(), Kind::Temporary);
        assert_eq!(
            failure.to_string(),
            "timed out: no answer from pop.example.com within 0.1 s (waiting for the greeting)"
        );
        stream.wait_for(Awaited::numbered("the answer to RETR", 7));
        let failure = next(&mut stream);
        assert!(
            failure
                .message()
                .ends_with("(waiting for the answer to RETR 7)"),
            "{failure}"
        );
        drop(stream);
        server.finish();
    }

    #[test]
    fn silence_under_tls_ends_at_the_timeout() {
        let (authority, identity) = trusted();
        let server = Server::tls(identity, listen_to_the_end);
        // Long enough for the handshake on a busy machine.
        let timeout = Duration::from_secs(1);
        let stream = server.stream(timeout);
        let mut stream = stream.secure(&authority.connector(), NAME).unwrap();
        stream.wait_for(Awaited::GREETING);
        let failure = next(&mut stream);
        assert_eq!(
            failure.to_string(),
            "timed out: no answer from pop.example.com within 1 s (waiting for the greeting)"
        );
        drop(stream);
        server.finish();
    }

    #[test]
    fn a_handshake_that_stalls_ends_at_the_timeout() {
        let server = Server::new(listen_to_the_end);
        let connector = Authority::new("root").connector();
        let failure = refused(server.stream(SHORT).secure(&connector, NAME));
        server.finish();
        assert_eq!(failure.kind(), Kind::Temporary);
        assert_eq!(
            failure.to_string(),
            "timed out: no answer from pop.example.com within 0.1 s (waiting for the TLS handshake)"
        );
    }

    #[test]
    fn a_handshake_in_single_octets_ends_at_the_timeout_too() {
        let server = Server::new(|connection| {
            // The beginning of a long record, and then so little that it never is complete.
            (&connection).write_all(b"\x16\x03\x03\x40\x00").unwrap();
            drip(connection, Duration::from_millis(5));
        });
        let connector = Authority::new("root").connector();
        let failure = refused(server.stream(SHORT * 3).secure(&connector, NAME));
        server.finish();
        assert_eq!(failure.kind(), Kind::Temporary);
        assert!(failure.message().contains("waiting for the TLS handshake"));
    }

    #[test]
    fn a_trickle_is_cut_off() {
        let server = Server::new(|connection| drip(connection, Duration::from_millis(250)));
        let error = read_all(&mut server.stream(Duration::from_secs(1))).unwrap_err();
        let failure = Failure::from(error);
        assert_eq!(failure.kind(), Kind::Temporary);
        assert_eq!(
            failure.to_string(),
            "timed out: pop.example.com sent less than 10 octets a second over 1 s (waiting for the greeting)"
        );
        server.finish();
    }

    #[test]
    fn what_tls_adds_does_not_make_a_trickle_faster() {
        let (authority, identity) = trusted();
        // Each octet is 23 on the wire: 92 a second.
        let server = Server::tls(identity, |protected| {
            drip(protected, Duration::from_millis(250))
        });
        let stream = server.stream(Duration::from_secs(1));
        let mut stream = stream.secure(&authority.connector(), NAME).unwrap();
        stream.wait_for(Awaited::GREETING);
        let failure = Failure::from(read_all(&mut stream).unwrap_err());
        assert!(
            failure.message().contains("less than 10 octets"),
            "{failure}"
        );
        drop(stream);
        server.finish();
    }

    #[test]
    fn a_server_that_takes_nothing_is_not_waited_for_for_ever() {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let server = Server::new(move |_connection| {
            let _ = ended.recv();
        });
        let error = server.stream(SHORT).send(&vec![0; 64 << 20]).unwrap_err();
        let failure = Failure::from(error);
        drop(end);
        server.finish();
        assert_eq!(failure.kind(), Kind::Temporary);
        assert_eq!(
            failure.to_string(),
            "timed out: pop.example.com did not take what we sent within 0.1 s"
        );
    }

    #[test]
    fn a_reset_is_a_lost_connection_and_no_end() {
        let server = Server::new(|connection| {
            rustix::net::sockopt::set_socket_linger(&connection, Some(Duration::ZERO)).unwrap();
        });
        let failure = next(&mut server.stream(AMPLE));
        server.finish();
        assert_eq!(failure.kind(), Kind::Unreachable);
        assert_eq!(
            failure.to_string(),
            "the connection to pop.example.com was lost (waiting for the greeting): connection reset"
        );
    }

    #[test]
    fn a_reset_under_tls_is_a_lost_connection_and_no_end() {
        let (authority, identity) = trusted();
        let server = Server::tls(identity, |protected| {
            let connection = protected.get_ref();
            rustix::net::sockopt::set_socket_linger(connection, Some(Duration::ZERO)).unwrap();
        });
        let mut stream = server.secure(&authority, NAME).unwrap();
        assert_eq!(next(&mut stream).kind(), Kind::Unreachable);
        server.finish();
    }

    /// Cancels once the client has sent something, and so is about to read.
    fn end_blocked_read(
        server: Server,
        mut stream: Stream,
        token: &CancelToken,
        heard: &std::sync::mpsc::Receiver<()>,
    ) {
        let reader = std::thread::spawn(move || {
            stream.send(b"x").unwrap();
            let failure = next(&mut stream);
            (stream, failure)
        });
        heard.recv().unwrap();
        token.cancel();
        let (stream, failure) = reader.join().unwrap();
        assert!(
            failure.message().starts_with("stopped while waiting for"),
            "{failure}"
        );
        drop(stream);
        server.finish();
    }

    #[test]
    fn cancelling_ends_a_blocked_read() {
        let (hear, heard) = std::sync::mpsc::channel();
        let server = Server::new(move |mut connection| {
            connection.read_exact(&mut [0]).unwrap();
            hear.send(()).unwrap();
            listen_to_the_end(connection);
        });
        let token = CancelToken::new();
        let stream = server.cancellable(AMPLE, &token);
        end_blocked_read(server, stream, &token, &heard);
    }

    #[test]
    fn cancelling_ends_a_blocked_read_under_tls() {
        let (authority, identity) = trusted();
        let (hear, heard) = std::sync::mpsc::channel();
        let server = Server::tls(identity, move |mut protected| {
            protected.read_exact(&mut [0]).unwrap();
            hear.send(()).unwrap();
            listen_to_the_end(protected);
        });
        let token = CancelToken::new();
        let stream = server.cancellable(AMPLE, &token);
        let stream = stream.secure(&authority.connector(), NAME).unwrap();
        end_blocked_read(server, stream, &token, &heard);
    }

    #[test]
    fn a_stream_that_is_cancelled_before_its_handshake_says_so() {
        let server = Server::new(listen_to_the_end);
        let connector = Authority::new("root").connector();
        let token = CancelToken::new();
        let stream = server.cancellable(AMPLE, &token);
        token.cancel();
        let failure = refused(stream.secure(&connector, NAME));
        server.finish();
        assert_eq!(
            failure.to_string(),
            "stopped while waiting for the TLS handshake from pop.example.com"
        );
    }

    const AGREED: &[u8] = b"+OK begin TLS\r\n";

    #[test]
    fn words_after_the_answer_to_stls_are_refused_and_nothing_more_is_sent() {
        let server = Server::new(|mut connection| {
            connection
                .write_all(b"+OK begin TLS\r\n+OK injected\r\n")
                .unwrap();
            assert_eq!(connection.read(&mut [0; 64]).unwrap_or(0), 0);
        });
        let mut stream = server.stream(AMPLE);
        let mut answer = [0; AGREED.len()];
        assert_eq!(stream.read(&mut answer).unwrap(), AGREED.len());
        let connector = Authority::new("root").connector();
        let failure = refused(stream.secure(&connector, NAME));
        server.finish();
        assert_eq!(failure.kind(), Kind::Tls);
        assert_eq!(
            failure.message(),
            "pop.example.com sent data in plain text before the TLS handshake"
        );
    }

    #[test]
    fn words_in_the_clear_where_the_handshake_should_be_are_refused() {
        let server = Server::new(|mut connection| {
            connection.write_all(AGREED).unwrap();
            let mut hello = [0; 1024];
            assert!(connection.read(&mut hello).unwrap() > 0);
            connection.write_all(b"+OK injected\r\n").unwrap();
            listen_to_the_end(connection);
        });
        let mut stream = server.stream(AMPLE);
        assert_eq!(stream.read(&mut [0; 64]).unwrap(), AGREED.len());
        let connector = Authority::new("root").connector();
        let failure = refused(stream.secure(&connector, NAME));
        server.finish();
        assert_eq!(failure.kind(), Kind::Tls);
        assert_eq!(
            failure.message(),
            "pop.example.com agreed to TLS and then said \"+OK injected\" in plain text"
        );
    }

    #[test]
    fn a_missing_client_certificate_is_named_although_tls_1_3_tells_only_when_we_read() {
        let (authority, _) = trusted();
        let (certificate, key) = authority.issue_parts(&Leaf::good(NAME));
        let mut acceptor = SslAcceptor::mozilla_modern_v5(SslMethod::tls()).unwrap();
        acceptor.set_certificate(&certificate).unwrap();
        acceptor.set_private_key(&key).unwrap();
        acceptor.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        let acceptor = acceptor.build();
        let server = Server::new(move |connection| drop(acceptor.accept(connection)));
        let mut stream = server.secure(&authority, NAME).unwrap();
        let failure = next(&mut stream);
        server.finish();
        assert_eq!(failure.kind(), Kind::Tls);
        assert_eq!(
            failure.to_string(),
            "pop.example.com wants a client certificate, and got none that it accepts"
        );
    }

    #[test]
    fn plain_text_differs_from_tls_in_its_first_byte() {
        assert_eq!(plain_text(b"+OK ready\r\nmore"), Some(&b"+OK ready"[..]));
        assert_eq!(plain_text(b"\x15\x03\x01\x00\x02\x02\x46"), None);
        assert_eq!(plain_text(b""), None);
    }
}
