//! A client that sends exactly what a test wants.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use native_tls::{Certificate, TlsConnector};

use crate::support::server::{Endpoint, PASSWORD, USER};

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A connection, with and without TLS.
pub(crate) struct Client {
    stream: Option<Box<dyn Stream>>,
    /// The same connection below TLS.
    socket: TcpStream,
    input: Vec<u8>,
}

impl Client {
    /// Connects, secures the connection as the server wants it, and takes the greeting.
    pub(crate) fn connect(endpoint: &Endpoint) -> Self {
        let mut client = Self::connect_only(endpoint);
        if endpoint.tls == "implicit" {
            client.handshake(endpoint).expect("a good certificate");
        }
        assert!(client.line().starts_with("+OK"));
        if endpoint.tls == "starttls" {
            assert!(client.ask("STLS").starts_with("+OK"));
            client.handshake(endpoint).expect("a good certificate");
        }
        client
    }

    /// Connects, and says and takes nothing.
    pub(crate) fn connect_only(endpoint: &Endpoint) -> Self {
        let address = (Ipv4Addr::LOCALHOST, endpoint.port);
        let socket = TcpStream::connect(address).expect("the server listens");
        let time_limit = Some(Duration::from_secs(20));
        socket.set_read_timeout(time_limit).expect("any socket can");
        let stream = socket.try_clone().expect("a second handle");
        Client {
            stream: Some(Box::new(stream)),
            socket,
            input: Vec::new(),
        }
    }

    /// Connects and logs in.
    pub(crate) fn log_in(endpoint: &Endpoint) -> Self {
        let mut client = Self::connect(endpoint);
        client.ask("CAPA");
        client.lines();
        assert!(client.ask(&format!("USER {USER}")).starts_with("+OK"));
        let answer = client.ask(&format!("PASS {PASSWORD}"));
        assert!(answer.starts_with("+OK"), "{answer}");
        client
    }

    /// Checks the server's certificate against the authority and the name.
    pub(crate) fn handshake(&mut self, endpoint: &Endpoint) -> Result<(), native_tls::Error> {
        let mut builder = TlsConnector::builder();
        if let Some(file) = &endpoint.ca_file {
            let pem = std::fs::read(file).expect("the authority's file");
            builder.add_root_certificate(Certificate::from_pem(&pem)?);
        }
        let plain = self.stream.take().expect("a connection");
        match builder.build()?.connect("localhost", plain) {
            Ok(stream) => {
                self.stream = Some(Box::new(stream));
                Ok(())
            }
            Err(native_tls::HandshakeError::Failure(error)) => Err(error),
            Err(native_tls::HandshakeError::WouldBlock(_)) => panic!("the server is too slow"),
        }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let stream = self.stream.as_mut().expect("a connection");
        stream.write_all(bytes.as_ref()).expect("the server reads");
    }

    /// Sends a command and takes the first line of the answer.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n"));
        self.line()
    }

    /// The next line without its line end; empty at the end.
    pub(crate) fn line(&mut self) -> String {
        String::from_utf8_lossy(self.raw_line().trim_ascii_end()).into_owned()
    }

    /// The rest of an answer of several lines, dots removed.
    pub(crate) fn message(&mut self) -> Vec<u8> {
        let mut message = Vec::new();
        loop {
            let line = self.raw_line();
            match line.strip_prefix(b".") {
                Some(b"\r\n") => return message,
                Some(rest) => message.extend_from_slice(rest),
                None => message.extend_from_slice(&line),
            }
            assert!(!line.is_empty(), "the answer ends in its middle");
        }
    }

    /// The same as lines.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.message()).into_owned();
        text.lines().map(str::to_owned).collect()
    }

    /// All that comes until the server ends the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.input)
    }

    /// The next bytes, this many.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        while self.input.len() < count && self.fill() {}
        self.input.drain(..count).collect()
    }

    /// Whether nothing comes for so long, and the connection stays.
    pub(crate) fn hears_nothing_for(&mut self, time: Duration) -> bool {
        assert!(self.input.is_empty());
        self.socket
            .set_read_timeout(Some(time))
            .expect("any socket can");
        let mut byte = [0];
        let stream = self.stream.as_mut().expect("a connection");
        let heard = stream.read(&mut byte);
        matches!(heard, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    fn raw_line(&mut self) -> Vec<u8> {
        let mut searched = 0;
        loop {
            if let Some(at) = memchr::memmem::find(&self.input[searched..], b"\r\n") {
                return self.input.drain(..searched + at + 2).collect();
            }
            searched = self.input.len().saturating_sub(1);
            if !self.fill() {
                return std::mem::take(&mut self.input);
            }
        }
    }

    fn fill(&mut self) -> bool {
        let mut buffer = [0; 64 * 1024];
        let stream = self.stream.as_mut().expect("a connection");
        // A reset ends a connection as well.
        let count = stream.read(&mut buffer).unwrap_or_else(|error| {
            let late = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            assert!(!late, "the server says nothing");
            0
        });
        self.input.extend_from_slice(&buffer[..count]);
        count > 0
    }
}
