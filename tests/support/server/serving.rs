//! How a sloppy server serves single messages, in every session and whatever their numbers are.

use super::session::Session;
use crate::support::mailbox::Mail;

/// How a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serving {
    /// Dots are not stuffed: a line of one dot looks like the message's end.
    Unstuffed,
    /// The same, but what follows the first such line is held back until the next command has come.
    UnstuffedLate,
    /// Only this many octets of its beginning, properly ended.
    Cropped(usize),
    /// A header line in front, another one at each retrieval, as proxies add it.
    ScannedInFront,
    /// The same at the end of the header.
    Scanned,
    /// A header line more, which its size counts, once an earlier session has retrieved it: as qpopper does.
    MarkedRead,
}

/// What a proxy adds to the header.
pub(crate) const SCAN: &str = "X-Scan: ";
/// What qpopper adds to the header.
pub(crate) const STATUS: &str = "Status: RO\r\n";

/// An answer of several lines in two parts; the second is held back.
pub(super) struct Parts {
    pub(super) now: Vec<u8>,
    pub(super) late: Vec<u8>,
}

impl Session<'_> {
    /// A message as this server has it for the client.
    pub(super) fn served(&self, mail: &Mail) -> Mail {
        let uid = String::from_utf8_lossy(&mail.uid);
        let retrieved = |sessions| self.shared.journal.retrievals(&uid, sessions);
        match self.settings.serving(&uid) {
            Some(Serving::Cropped(octets)) => {
                mail.with_text(&mail.data[..octets.min(mail.data.len())])
            }
            Some(Serving::ScannedInFront) => {
                let line = format!("{SCAN}{}\r\n", retrieved(self.number + 1));
                mail.with_text(&[line.as_bytes(), &mail.data].concat())
            }
            Some(Serving::Scanned) => {
                let line = format!("{SCAN}{}\r\n", retrieved(self.number + 1));
                mail.with_header_line(&line)
            }
            Some(Serving::MarkedRead) if retrieved(self.number) > 0 => {
                mail.with_header_line(STATUS)
            }
            Some(Serving::MarkedRead | Serving::Unstuffed | Serving::UnstuffedLate) | None => {
                mail.clone()
            }
        }
    }

    /// The lines of the answer to RETR that follow the status line.
    pub(super) fn lines_of(&self, mail: &Mail) -> Parts {
        let uid = String::from_utf8_lossy(&mail.uid);
        let serving = self.settings.serving(&uid);
        let mut now = match serving {
            Some(Serving::Unstuffed | Serving::UnstuffedLate) => mail.unstuffed(),
            _ => mail.stuffed(None),
        };
        let false_end = memchr::memmem::find(&now, b"\r\n.\r\n").map(|at| at + 5);
        let late = match (serving, false_end) {
            (Some(Serving::UnstuffedLate), Some(end)) => now.split_off(end),
            _ => Vec::new(),
        };
        Parts { now, late }
    }

    /// The size of a message by LIST and STAT, as far as it is not claimed by its number.
    pub(super) fn listed_octets(&self, mail: &Mail) -> u64 {
        let uid = String::from_utf8_lossy(&mail.uid);
        if let Some(octets) = self.settings.claimed_by_uid.get(&*uid) {
            return *octets;
        }
        let served = match self.settings.serving(&uid) {
            Some(Serving::MarkedRead) => self.served(mail),
            _ => mail.clone(),
        };
        let line_ends = match self.settings.counts_line_ends_as_one {
            true => memchr::memmem::find_iter(&served.data, b"\r\n").count(),
            false => 0,
        };
        served.octets() - line_ends as u64
    }
}
