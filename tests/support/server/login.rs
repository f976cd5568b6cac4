//! From the greeting to the open maildrop.

use openssl::hash::{MessageDigest, hash};

use super::sasl::hex;
use super::session::{Answer, Entry, Maildrop, Session, Then};
use super::settings::{Security, State};

impl Session<'_> {
    /// The commands of the AUTHORIZATION state. None where the command makes no sense here.
    pub(super) fn authorization(&mut self, verb: &[u8], argument: Option<&[u8]>) -> Option<Answer> {
        let named = self.named.take();
        let argument = argument.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        match (verb, argument) {
            (b"STLS", None) => self.stls(),
            (b"UTF8", None) => self.turn_to_utf8(),
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

    fn turn_to_utf8(&mut self) -> Option<Answer> {
        self.utf8 = self.announces("UTF8");
        self.utf8.then(|| Answer::line("+OK as they are"))
    }

    fn stls(&mut self) -> Option<Answer> {
        let possible =
            matches!(self.settings.security, Security::Stls(_)) && self.state == State::Greeted;
        possible.then(|| Answer::line("+OK begin TLS").and_then(Then::Handshake))
    }

    fn apop(&mut self, arguments: &str) -> Option<Answer> {
        let timestamp = self.settings.timestamp.clone()?;
        let (name, digest) = arguments.split_once(' ')?;
        Some(self.log_in(name, |password| {
            md5_hex(&format!("{timestamp}{password}")) == digest
        }))
    }

    pub(super) fn log_in(&mut self, name: &str, accept: impl FnOnce(&str) -> bool) -> Answer {
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

    pub(super) fn password_of(&self, name: &str) -> Option<String> {
        let (password, _) = self.settings.accounts.get(name)?;
        Some(password.clone())
    }

    pub(super) fn announces(&self, capability: &str) -> bool {
        let lines = self.settings.capabilities_in(self.state);
        lines
            .iter()
            .any(|line| line.split(' ').next() == Some(capability))
    }

    /// Everything after SASL.
    pub(super) fn announced_mechanisms(&self) -> String {
        let lines = self.settings.capabilities_in(self.state);
        let list = lines.iter().find_map(|line| line.strip_prefix("SASL "));
        list.unwrap_or_default().to_owned()
    }

    /// A client may also try what is not announced, where it is configured to; PLAIN is then known.
    pub(super) fn knows_mechanism(&self, mechanism: &str) -> bool {
        let announced = self.announced_mechanisms();
        mechanism == "PLAIN" || announced.split(' ').any(|name| name == mechanism)
    }
}

fn md5_hex(text: &str) -> String {
    hex(&hash(MessageDigest::md5(), text.as_bytes()).expect("OpenSSL knows MD5"))
}
