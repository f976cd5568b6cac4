//! One session: reads commands, judges them, lets faults strike, answers.

use std::io;
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Shared;
use super::fault::{Fault, GREETING, HANDSHAKE, LOGIN, RESPONSE};
use super::journal::{Received, SessionLog};
use super::listener::Stop;
use super::sasl::Asked;
use super::settings::{Pipelining, Security, Settings, State};
use super::strictness;
use super::wire::Wire;
use crate::support::mailbox::{Mail, Mailbox};
use openssl::ssl::SslAcceptor;

/// How long a server listens for commands sent after one that nothing may follow before its answer.
const GRACE: Duration = Duration::from_millis(3);

/// Nothing may be sent after these before their answer: servers hand over to another process there.
const NOTHING_AFTER: [&str; 6] = ["USER", "PASS", "APOP", "AUTH", "STLS", "QUIT"];

/// A session.
pub(super) struct Session<'a> {
    wire: Wire,
    stop: &'a Stop,
    pub(super) shared: &'a Shared,
    pub(super) number: usize,
    pub(super) settings: Settings,
    pub(super) state: State,
    /// The name that USER gave; PASS is to follow.
    pub(super) named: Option<String>,
    /// A challenge was sent; a response to this is to follow.
    pub(super) asked: Option<Asked>,
    /// It was announced that the client may send ahead.
    pub(super) may_send_ahead: bool,
    /// The announcement is taken back as soon as the client has caught up.
    pub(super) taken_back: bool,
    /// UTF8 was asked for.
    pub(super) utf8: bool,
    /// What is sent once the next command has come.
    pub(super) held_back: Vec<u8>,
    pub(super) maildrop: Option<Maildrop>,
}

/// The maildrop as this session sees it.
pub(super) struct Maildrop {
    pub(super) mailbox: Mailbox,
    pub(super) messages: Vec<Entry>,
}

/// A message in a session; its number is its place.
pub(super) struct Entry {
    pub(super) mail: Mail,
    pub(super) retrieved: bool,
    pub(super) deleted: bool,
}

/// What a command leads to.
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    pub(super) then: Then,
}

/// What follows an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    GoOn,
    Handshake,
    /// An orderly end.
    End,
    /// The end of a cable.
    Cut,
}

impl Answer {
    /// This line, and on we go.
    pub(super) fn line(text: impl AsRef<str>) -> Self {
        Answer {
            bytes: format!("{}\r\n", text.as_ref()).into_bytes(),
            then: Then::GoOn,
        }
    }

    /// The same with something else to follow.
    pub(super) fn and_then(self, then: Then) -> Self {
        Answer { then, ..self }
    }
}

impl<'a> Session<'a> {
    /// Serves a connection to its end.
    pub(super) fn serve(stream: TcpStream, stop: &'a Stop, shared: &'a Shared, settings: Settings) {
        let number = shared.journal.open();
        if let Ok(wire) = Wire::new(stream) {
            let mut session = Session {
                wire,
                stop,
                shared,
                number,
                settings,
                state: State::Greeted,
                named: None,
                asked: None,
                may_send_ahead: false,
                taken_back: false,
                utf8: false,
                held_back: Vec::new(),
                maildrop: None,
            };
            // A client that goes away in the middle is nothing that a server complains about.
            let _ = session.run();
        }
        shared.journal.close(number);
    }

    fn run(&mut self) -> io::Result<()> {
        let mut next = match self.settings.security.clone() {
            Security::Implicit(acceptor) => self.handshake(&acceptor)?,
            Security::Stls(_) | Security::None => Then::GoOn,
        };
        if next == Then::GoOn {
            next = self.step(&[GREETING], Self::greeting)?;
        }
        loop {
            if next == Then::Handshake {
                next = self.start_tls()?;
            }
            if next != Then::GoOn {
                self.wire.close(next == Then::End);
                return Ok(());
            }
            next = match self.wire.line()? {
                Some(line) => self.take(&line)?,
                None => Then::End,
            };
        }
    }

    fn greeting(&mut self) -> Answer {
        match &self.settings.timestamp {
            Some(timestamp) => Answer::line(format!("+OK ready {timestamp}")),
            None => Answer::line("+OK ready"),
        }
    }

    fn handshake(&mut self, acceptor: &SslAcceptor) -> io::Result<Then> {
        let fault = self.shared.settings().strike(&[HANDSHAKE]);
        self.may_send_ahead = self.shared.promised_over_tls.load(Ordering::Relaxed);
        match fault {
            None => self.wire.handshake(acceptor).map(|()| Then::GoOn),
            Some(Fault::Stall) => {
                self.wire.drain();
                Ok(Then::Cut)
            }
            Some(_) => Ok(Then::Cut),
        }
    }

    /// What was announced over TLS, a client may presume in another session.
    pub(super) fn remember_promise(&self, promised: bool) {
        if self.wire.is_encrypted() {
            let shared = &self.shared.promised_over_tls;
            shared.fetch_or(promised, Ordering::Relaxed);
        }
    }

    fn start_tls(&mut self) -> io::Result<Then> {
        let Security::Stls(acceptor) = self.settings.security.clone() else {
            return Ok(Then::Cut);
        };
        self.state = State::Secured;
        self.handshake(&acceptor)
    }

    fn take(&mut self, line: &[u8]) -> io::Result<Then> {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        self.receive(text);
        let held_back = std::mem::take(&mut self.held_back);
        self.wire.send(&held_back)?;
        self.judge(line, text)?;
        if self.state == State::LoggedIn && self.wire.next_line().is_some() {
            match self.settings.pipelining {
                Pipelining::Works | Pipelining::Absent => {}
                Pipelining::Drops => self.wire.forget(),
                Pipelining::Disconnects => return Ok(Then::Cut),
                Pipelining::Interleaves | Pipelining::Swaps => {
                    if let Some(then) = self.mix_two_messages(text)? {
                        return Ok(then);
                    }
                }
            }
        }
        let names = self.names_of(text);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.step(&names, |session| session.carry_out(text))
    }

    fn receive(&mut self, text: &[u8]) {
        let received = Received {
            line: text.to_owned(),
            encrypted: self.wire.is_encrypted(),
            followed: false,
        };
        self.note(|log| log.received.push(received));
    }

    /// What faults may call this step: the whole command, its verb, its verb and first argument, its verb and `n`,
    /// its verb and the unique-id that the number stands for.
    fn names_of(&self, text: &[u8]) -> Vec<String> {
        if self.asked.is_some() {
            return vec![RESPONSE.to_owned(), LOGIN.to_owned()];
        }
        let text = String::from_utf8_lossy(text).into_owned();
        let words: Vec<&str> = text.splitn(3, ' ').collect();
        let mut names = vec![words[0].to_owned(), words[..words.len().min(2)].join(" ")];
        if matches!((words[0], words.len()), ("PASS" | "APOP", _) | ("AUTH", 3)) {
            names.push(LOGIN.to_owned());
        }
        if let Some(argument) = words.get(1) {
            names.push(format!("{} n", words[0]));
            let uid = self.unique_id(argument);
            names.extend(uid.map(|uid| format!("{} {uid}", words[0])));
        }
        names.push(text);
        names
    }

    /// The unique-id of the message with this number.
    fn unique_id(&self, number: &str) -> Option<String> {
        let index = number.parse::<usize>().ok()?.checked_sub(1)?;
        let entry = self.maildrop.as_ref()?.messages.get(index)?;
        Some(String::from_utf8_lossy(&entry.mail.uid).into_owned())
    }

    /// Looks for what no client should do. Whatever is here before the answer went out was sent ahead.
    fn judge(&mut self, line: &[u8], text: &[u8]) -> io::Result<()> {
        let verb = text.split(|&byte| byte == b' ').next().unwrap_or_default();
        let verb = String::from_utf8_lossy(verb).into_owned();
        let alone = self.asked.is_some() || NOTHING_AFTER.contains(&verb.as_str());
        let broken = if self.asked.is_some() {
            strictness::form_of_response(line)
        } else {
            strictness::form_of_command(line)
        };
        for rule in broken {
            self.violation(rule, text);
        }
        let time_limit = if alone { GRACE } else { Duration::ZERO };
        let ahead = self.wire.has_more(time_limit)?;
        self.note(|log| {
            if let Some(received) = log.received.last_mut() {
                received.followed = ahead;
            }
        });
        if ahead && alone {
            self.violation(
                "something sent after a command that nothing may follow",
                text,
            );
        } else if ahead && !self.may_send_ahead {
            self.violation(
                "something sent ahead though PIPELINING was not announced",
                text,
            );
        } else if !ahead && self.taken_back {
            self.may_send_ahead = false;
            self.taken_back = false;
        }
        Ok(())
    }

    /// Answers a step, or lets a fault strike.
    fn step(&mut self, names: &[&str], act: impl FnOnce(&mut Self) -> Answer) -> io::Result<Then> {
        let fault = self.shared.settings().strike(names);
        match fault {
            Some(fault) => self.suffer(fault, act),
            None => {
                let answer = act(self);
                let length = self.shared.settings().let_out(answer.bytes.len());
                self.wire.send(&answer.bytes[..length])?;
                match length == answer.bytes.len() {
                    true => Ok(answer.then),
                    false => Ok(Then::Cut),
                }
            }
        }
    }

    fn suffer(&mut self, fault: Fault, act: impl FnOnce(&mut Self) -> Answer) -> io::Result<Then> {
        match fault {
            Fault::Reply(bytes) => {
                self.asked = None;
                self.wire.send(&bytes)?;
                return Ok(Then::GoOn);
            }
            Fault::LastWords(bytes) => {
                self.wire.send(&bytes)?;
                return Ok(Then::Cut);
            }
            Fault::CloseBefore => return Ok(Then::Cut),
            Fault::Stall => return self.stall(),
            _ => {}
        }
        let answer = act(self);
        let part = |length: usize| &answer.bytes[..length.min(answer.bytes.len())];
        match fault {
            Fault::Say(bytes) => self.wire.send(&bytes)?,
            Fault::Inject(bytes) => self.wire.send(&[&answer.bytes[..], &bytes].concat())?,
            Fault::CloseAfter => {
                self.wire.send(&answer.bytes)?;
                return Ok(Then::Cut);
            }
            Fault::CloseWithin(length) => {
                self.wire.send(part(length))?;
                return Ok(Then::Cut);
            }
            Fault::ResetWithin(length) => {
                self.wire.send(part(length))?;
                self.wire.reset();
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Fault::StallWithin(length) => {
                self.wire.send(part(length))?;
                return self.stall();
            }
            Fault::Flood(more) => {
                let last_line = b".\r\n".len();
                self.wire.send(part(answer.bytes.len() - last_line))?;
                loop {
                    self.wire.send(&more)?;
                }
            }
            Fault::Trickle => self.drip(&answer.bytes, Duration::ZERO)?,
            Fault::Drip(interval) => self.drip(&answer.bytes, interval)?,
            Fault::Delay(time) => {
                self.stop.wait(time);
                self.wire.send(&answer.bytes)?;
            }
            Fault::CloseUnanswered
            | Fault::Reply(_)
            | Fault::LastWords(_)
            | Fault::CloseBefore
            | Fault::Stall => return Ok(Then::Cut),
        }
        Ok(answer.then)
    }

    fn drip(&mut self, bytes: &[u8], interval: Duration) -> io::Result<()> {
        for byte in bytes {
            self.wire.send(&[*byte])?;
            if self.stop.wait(interval) {
                break;
            }
        }
        Ok(())
    }

    /// Says nothing any more, but goes on listening.
    fn stall(&mut self) -> io::Result<Then> {
        while let Some(line) = self.wire.line()? {
            self.receive(line.trim_ascii_end());
        }
        Ok(Then::Cut)
    }

    /// Where two RETR are here, answers both as a broken server does.
    fn mix_two_messages(&mut self, text: &[u8]) -> io::Result<Option<Then>> {
        let next_is_retr = self
            .wire
            .next_line()
            .is_some_and(|next| next.starts_with(b"RETR "));
        if !text.starts_with(b"RETR ") || !next_is_retr {
            return Ok(None);
        }
        let second_line = self.wire.line()?.unwrap_or_default();
        let second_text = second_line.trim_ascii_end();
        self.receive(second_text);
        let first = self.carry_out(text).bytes;
        let second = self.carry_out(second_text).bytes;
        if self.settings.pipelining == Pipelining::Swaps {
            self.wire.send(&[second, first].concat())?;
            return Ok(Some(Then::GoOn));
        }
        let (first, dot) = first.split_at(first.len().saturating_sub(b".\r\n".len()));
        let status_end = memchr::memchr(b'\n', &second).map_or(second.len(), |at| at + 1);
        let (status, message) = second.split_at(status_end);
        self.wire.send(&[first, status, dot, message].concat())?;
        Ok(Some(Then::GoOn))
    }

    /// What stands in place of a message that must not be sent as it is.
    pub(super) fn note_for(&self, mail: &Mail) -> Mail {
        let boundary = format!("--session-{}\r\n", self.number).into_bytes();
        let note = b"Subject: Cannot display Unicode content\r\n\r\n";
        let text = [note, &boundary[..], &mail.data, &boundary].concat();
        Mail::new(mail.uid.clone(), text)
    }

    /// The hash of the certificate that the client sees (RFC 5929 section 4); all of ours are signed
    /// with SHA-256.
    pub(super) fn end_point(&self) -> Option<Vec<u8>> {
        self.wire.own_certificate_digest()
    }

    /// The command was none that may come here.
    pub(super) fn violation(&self, rule: &str, text: &[u8]) {
        let shown = popfetch::text::Untrusted(text);
        self.note(|log| log.violations.push(format!("{rule}: {shown}")));
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut SessionLog)) {
        self.shared.journal.note(self.number, change);
    }
}
