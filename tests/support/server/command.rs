//! What the commands do, as RFC 1939 and RFC 2449 have it.

use super::serving::Parts;
use super::session::{Answer, Entry, Session, Then};
use super::settings::State;

impl Session<'_> {
    /// Carries out a command, or the response to a challenge.
    pub(super) fn carry_out(&mut self, text: &[u8]) -> Answer {
        if self.asked.is_some() {
            return self.response(text);
        }
        let (verb, argument) = match text.iter().position(|&byte| byte == b' ') {
            Some(space) => (&text[..space], Some(&text[space + 1..])),
            None => (text, None),
        };
        let verb = verb.to_ascii_uppercase();
        let answer = match (&verb[..], self.state) {
            (b"CAPA", _) => Some(self.capa()),
            (b"QUIT", _) => Some(self.quit()),
            (_, State::LoggedIn) => self.transaction(&verb, argument),
            _ => self.authorization(&verb, argument),
        };
        answer.unwrap_or_else(|| {
            self.violation("a command that makes no sense here", text);
            Answer::line("-ERR that makes no sense here")
        })
    }

    fn capa(&mut self) -> Answer {
        let lines = self.settings.capabilities_in(self.state);
        let promised = lines
            .iter()
            .any(|line| line.eq_ignore_ascii_case("PIPELINING"));
        self.may_send_ahead |= promised;
        self.remember_promise(promised);
        self.taken_back = !promised;
        several_lines("+OK what it can do", lines)
    }

    fn quit(&mut self) -> Answer {
        if let Some(maildrop) = &self.maildrop {
            let chosen = |which: &dyn Fn(&Entry) -> bool| -> Vec<_> {
                let entries = maildrop.messages.iter().filter(|entry| which(entry));
                entries.map(|entry| &entry.mail).collect()
            };
            let at_once = self.settings.expires_at_once;
            let retrieved = chosen(&|entry| entry.retrieved);
            let removed = chosen(&|entry| entry.deleted || (at_once && entry.retrieved));
            maildrop.mailbox.update(&retrieved, &removed);
        }
        Answer::line("+OK good bye").and_then(Then::End)
    }

    fn transaction(&mut self, verb: &[u8], argument: Option<&[u8]>) -> Option<Answer> {
        if self
            .settings
            .lacks
            .iter()
            .any(|lacked| lacked.as_bytes() == verb)
        {
            return Some(Answer::line("-ERR what is that?"));
        }
        match (verb, argument) {
            (b"STAT", None) => Some(self.stat()),
            (b"LIST", _) => self.listing(argument, Self::list_line),
            (b"UIDL", _) => self.listing(argument, Self::uidl_line),
            (b"RETR", Some(number)) => self.retr(number),
            (b"TOP", Some(arguments)) => self.top(arguments),
            (b"DELE", Some(number)) => self.dele(number),
            (b"NOOP", None) => Some(Answer::line("+OK")),
            (b"RSET", None) => Some(self.rset()),
            _ => None,
        }
    }

    fn stat(&mut self) -> Answer {
        let sizes: Vec<u64> = self.numbers().map(|number| self.octets(number)).collect();
        let sum = sizes.iter().sum::<u64>() + self.settings.added_to_stat;
        Answer::line(format!("+OK {} {sum}", sizes.len()))
    }

    /// LIST and UIDL, of all or of one.
    fn listing(
        &mut self,
        argument: Option<&[u8]>,
        line: impl Fn(&Self, usize) -> Vec<u8>,
    ) -> Option<Answer> {
        if let Some(number) = argument {
            let number = self.number(number)?;
            let bytes = [&b"+OK "[..], &line(self, number), b"\r\n"].concat();
            return Some(Answer {
                bytes,
                then: Then::GoOn,
            });
        }
        let lines: Vec<_> = self.numbers().map(|number| line(self, number)).collect();
        let status = format!("+OK {} messages", lines.len());
        Some(several_lines(&status, lines))
    }

    fn list_line(&self, number: usize) -> Vec<u8> {
        format!("{number} {}", self.octets(number)).into_bytes()
    }

    fn uidl_line(&self, number: usize) -> Vec<u8> {
        let uid = self.entry(number).map(|entry| entry.mail.uid.clone());
        [format!("{number} ").into_bytes(), uid.unwrap_or_default()].concat()
    }

    fn retr(&mut self, number: &[u8]) -> Option<Answer> {
        let number = self.number(number)?;
        let octets = self.octets(number);
        let entry = self.entry_mut(number)?;
        entry.retrieved = true;
        let mail = entry.mail.clone();
        let uid = String::from_utf8_lossy(&entry.mail.uid).into_owned();
        self.note(|log| log.retrieved.push(uid));
        let must_hide = self.settings.knows_utf8 && !self.utf8 && !mail.header().is_ascii();
        let mail = if must_hide {
            self.note_for(&mail)
        } else {
            self.served(&mail)
        };
        let Parts { now, late } = self.lines_of(&mail);
        self.held_back = late;
        let mut answer = Answer::line(format!("+OK {octets} octets"));
        answer.bytes.extend(now);
        Some(answer)
    }

    fn top(&mut self, arguments: &[u8]) -> Option<Answer> {
        let (number, lines) = str::from_utf8(arguments).ok()?.split_once(' ')?;
        let number = self.number(number.as_bytes())?;
        let lines = lines.parse().ok()?;
        let mut answer = Answer::line("+OK top of message");
        answer
            .bytes
            .extend(self.served(&self.entry(number)?.mail).stuffed(Some(lines)));
        Some(answer)
    }

    fn dele(&mut self, number: &[u8]) -> Option<Answer> {
        let number = self.number(number)?;
        let entry = self.entry_mut(number)?;
        entry.deleted = true;
        let uid = String::from_utf8_lossy(&entry.mail.uid).into_owned();
        self.note(|log| log.deleted.push(uid));
        Some(Answer::line(format!("+OK message {number} will go")))
    }

    fn rset(&mut self) -> Answer {
        for entry in self.maildrop.iter_mut().flat_map(|m| &mut m.messages) {
            entry.deleted = false;
        }
        Answer::line("+OK none will go")
    }

    /// A number that a client may use: of a message that is there and not deleted.
    fn number(&self, text: &[u8]) -> Option<usize> {
        let number: usize = str::from_utf8(text).ok()?.parse().ok()?;
        self.entry(number).map(|_| number)
    }

    fn numbers(&self) -> impl Iterator<Item = usize> + '_ {
        let messages = self.maildrop.iter().flat_map(|m| &m.messages);
        (1..)
            .zip(messages)
            .filter(|(_, entry)| !entry.deleted)
            .map(|(number, _)| number)
    }

    fn entry(&self, number: usize) -> Option<&Entry> {
        let messages = &self.maildrop.as_ref()?.messages;
        let entry = messages.get(number.checked_sub(1)?)?;
        (!entry.deleted).then_some(entry)
    }

    fn entry_mut(&mut self, number: usize) -> Option<&mut Entry> {
        let messages = &mut self.maildrop.as_mut()?.messages;
        messages.get_mut(number.checked_sub(1)?)
    }

    fn octets(&self, number: usize) -> u64 {
        let real = || {
            let entry = self.entry(number);
            entry.map_or(0, |entry| self.listed_octets(&entry.mail))
        };
        let claimed = self.settings.claimed_sizes.get(&number);
        claimed.copied().unwrap_or_else(real)
    }
}

/// A status line, these lines, and the dot.
fn several_lines<L: AsRef<[u8]>>(status: &str, lines: impl IntoIterator<Item = L>) -> Answer {
    let mut answer = Answer::line(status);
    for line in lines {
        answer.bytes.extend_from_slice(line.as_ref());
        answer.bytes.extend_from_slice(b"\r\n");
    }
    answer.bytes.extend_from_slice(b".\r\n");
    answer
}
