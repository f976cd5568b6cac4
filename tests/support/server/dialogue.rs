//! A server that knows nothing and plays a fixed exchange of bytes: for attacks on the parser.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openssl::ssl::SslAcceptor;

use super::journal::{Journal, Received, SessionLog};
use super::listener::Listener;
use super::wire::Wire;
use super::{Endpoint, PASSWORD, TIMEOUT, USER};

/// One turn of the exchange.
#[derive(Clone)]
pub(crate) enum Turn {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Waits for a line that begins so. Another line ends the exchange and is a violation; the end
    /// of the connection ends it and is none.
    Expect(&'static str),
    /// Serves a TLS handshake.
    Tls(SslAcceptor),
    /// Sends these bytes over and over until the client ends the connection, at most a gigabyte in all.
    Flood(Vec<u8>),
    /// Waits so long.
    Pause(Duration),
    /// Says nothing any more until the client ends the connection.
    Stall,
}

impl Turn {
    /// Sends these bytes.
    pub(crate) fn send(bytes: impl AsRef<[u8]>) -> Self {
        Turn::Send(bytes.as_ref().to_owned())
    }
}

/// From the greeting to an open maildrop, without capabilities.
pub(crate) fn opened() -> Vec<Turn> {
    [
        Turn::send("+OK\r\n"),
        Turn::Expect("CAPA"),
        Turn::send("-ERR\r\n"),
        Turn::Expect("USER"),
        Turn::send("+OK\r\n"),
        Turn::Expect("PASS"),
        Turn::send("+OK\r\n"),
        Turn::Expect("CAPA"),
        Turn::send("-ERR\r\n"),
    ]
    .into()
}

/// The server; each connection gets the same exchange, and is closed after it.
pub(crate) struct Dialogue {
    listener: Listener,
    journal: Arc<Journal>,
    judged: AtomicBool,
}

impl Dialogue {
    /// Plays these turns.
    pub(crate) fn start(turns: Vec<Turn>) -> Self {
        let journal = Arc::new(Journal::default());
        let sessions = Arc::clone(&journal);
        let listener = Listener::start(move |stream, _| {
            let session = sessions.open();
            // A client may hang up whenever it likes.
            let _ = play(stream, &turns, &sessions, session);
            sessions.close(session);
        });
        Dialogue {
            listener,
            journal,
            judged: AtomicBool::new(false),
        }
    }

    /// What an account's configuration has to say: no TLS.
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint {
            port: self.listener.address().port(),
            tls: "none",
            ca_file: None,
            user: USER.to_owned(),
            password: PASSWORD.to_owned(),
        }
    }

    /// What was received where something else was expected. The caller judges from then on.
    pub(crate) fn abandoned(&self) -> Vec<String> {
        self.judged.store(true, Ordering::Relaxed);
        let sessions = self.sessions();
        sessions
            .into_iter()
            .flat_map(|log| log.violations)
            .collect()
    }

    /// Everything received, connection by connection, once all are closed.
    pub(crate) fn sessions(&self) -> Vec<SessionLog> {
        self.journal.finished(TIMEOUT)
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        self.listener.stop();
        if std::thread::panicking() || self.judged.load(Ordering::Relaxed) {
            return;
        }
        let sessions = self.sessions();
        let violations: Vec<_> = sessions.iter().flat_map(|log| &log.violations).collect();
        assert!(
            violations.is_empty(),
            "the client left the exchange: {violations:#?}"
        );
    }
}

fn play(stream: TcpStream, turns: &[Turn], journal: &Journal, session: usize) -> io::Result<()> {
    let mut wire = Wire::new(stream)?;
    for turn in turns {
        match turn {
            Turn::Send(bytes) => wire.send(bytes)?,
            Turn::Tls(acceptor) => wire.handshake(acceptor)?,
            Turn::Stall => wire.drain(),
            Turn::Pause(time) => std::thread::sleep(*time),
            Turn::Flood(bytes) => {
                for _ in 0..(1 << 30) / bytes.len() {
                    wire.send(bytes)?;
                }
            }
            Turn::Expect(beginning) => {
                let Some(line) = wire.line()? else {
                    return Ok(());
                };
                let line = line.trim_ascii_end().to_owned();
                let encrypted = wire.is_encrypted();
                let expected = line.starts_with(beginning.as_bytes());
                let shown = String::from_utf8_lossy(&line).into_owned();
                journal.note(session, |log| {
                    log.received.push(Received {
                        line,
                        encrypted,
                        followed: false,
                    });
                    if !expected {
                        let rule = format!("{shown} where {beginning} was expected");
                        log.violations.push(rule);
                    }
                });
                if !expected {
                    break;
                }
            }
        }
    }
    wire.close(false);
    Ok(())
}
