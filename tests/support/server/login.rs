//! From the greeting to the open maildrop.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use openssl::hash::{MessageDigest, hash};

use super::session::{Answer, Entry, Maildrop, Session, Then};
use super::settings::{Security, State};

impl Session<'_> {
    /// The commands of the AUTHORIZATION state. None where the command makes no sense here.
    pub(super) fn authorization(&mut self, verb: &[u8], argument: Option<&[u8]>) -> Option<Answer> {
        let named = self.named.take();
        let argument = argument.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        match (verb, argument) {
            (b"STLS", None) => self.stls(),
            (b"UTF8", None) => self.announces("UTF8").then(|| Answer::line("+OK")),
            (b"USER", Some(name)) => {
                self.named = Some(name);
                Some(Answer::line("+OK and the password?"))
            }
            (b"PASS", Some(password)) => Some(self.log_in(&named?, |right| right == password)),
            (b"APOP", Some(arguments)) => self.apop(&arguments),
            (b"AUTH", Some(arguments)) => self.auth(&arguments),
            _ => None,
        }
    }

    fn stls(&mut self) -> Option<Answer> {
        let possible =
            matches!(self.settings.security, Security::Stls(_)) && self.state == State::Greeted;
        possible.then(|| Answer::line("+OK begin TLS").and_then(Then::Handshake))
    }

    fn apop(&mut self, arguments: &str) -> Option<Answer> {
        let stamp = self.settings.stamp.clone()?;
        let (name, digest) = arguments.split_once(' ')?;
        Some(self.log_in(name, |password| {
            md5_hex(&format!("{stamp}{password}")) == digest
        }))
    }

    fn auth(&mut self, arguments: &str) -> Option<Answer> {
        let (mechanism, initial) = match arguments.split_once(' ') {
            Some((mechanism, initial)) => (mechanism, Some(initial)),
            None => (arguments, None),
        };
        if mechanism != "PLAIN" {
            return Some(Answer::line("-ERR no such mechanism"));
        }
        match initial {
            // Without the SASL capability a client must not use it (RFC 5034 section 4).
            Some(_) if !self.announces("SASL") => None,
            Some(initial) => Some(self.plain(initial)),
            None => {
                self.challenged = true;
                Some(Answer::line("+ "))
            }
        }
    }

    /// The response to the challenge of AUTH PLAIN.
    pub(super) fn response(&mut self, text: &[u8]) -> Answer {
        self.challenged = false;
        match str::from_utf8(text) {
            Ok("*") => Answer::line("-ERR cancelled"),
            Ok(response) => self.plain(response),
            Err(_) => Answer::line("-ERR not base64"),
        }
    }

    /// RFC 4616: whom to act as (nobody else here), who, and the password.
    fn plain(&mut self, response: &str) -> Answer {
        let decoded = BASE64_STANDARD.decode(response).unwrap_or_default();
        let decoded = String::from_utf8_lossy(&decoded).into_owned();
        let parts: Vec<&str> = decoded.split('\0').collect();
        match parts[..] {
            ["", name, password] => self.log_in(name, |right| right == password),
            _ => Answer::line("-ERR not what PLAIN says"),
        }
    }

    fn log_in(&mut self, name: &str, accept: impl FnOnce(&str) -> bool) -> Answer {
        match self.settings.accounts.get(name) {
            Some((password, mailbox)) if accept(password) => {
                let entry = |mail| Entry {
                    mail,
                    retrieved: false,
                    deleted: false,
                };
                let view = mailbox.view(self.settings.window);
                self.maildrop = Some(Maildrop {
                    mailbox: mailbox.clone(),
                    messages: view.into_iter().map(entry).collect(),
                });
                self.state = State::LoggedIn;
                Answer::line("+OK welcome")
            }
            _ => Answer::line("-ERR [AUTH] name or password is wrong"),
        }
    }

    fn announces(&self, capability: &str) -> bool {
        let lines = self.settings.capabilities_in(self.state);
        lines
            .iter()
            .any(|line| line.split(' ').next() == Some(capability))
    }
}

fn md5_hex(text: &str) -> String {
    let digest = hash(MessageDigest::md5(), text.as_bytes()).expect("OpenSSL knows MD5");
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
