//! A maildrop in memory, as the scripted server serves it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One message of a maildrop.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    /// Its unique-id: any bytes, not necessarily unique.
    pub(crate) uid: Vec<u8>,
    /// Its text as it crosses the wire: lines end in CRLF, dots are not stuffed yet. Where the last
    /// line end is missing, the server adds one, as servers must.
    pub(crate) data: Arc<[u8]>,
    /// Tells it from every other message, whatever its unique-id says.
    identity: u64,
    /// Whether a session that ended with QUIT had retrieved it; see `Server::listing_window`.
    retrieved: bool,
}

impl Mail {
    /// A message with this unique-id and this text in wire form.
    pub(crate) fn new(uid: impl Into<Vec<u8>>, data: impl Into<Arc<[u8]>>) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Mail {
            uid: uid.into(),
            data: data.into(),
            identity: LAST.fetch_add(1, Ordering::Relaxed),
            retrieved: false,
        }
    }

    /// Its size by LIST: line ends count as two octets, stuffed dots not at all (RFC 1939 section 11).
    pub(crate) fn octets(&self) -> u64 {
        let missing = if ends_a_line(&self.data) { 0 } else { 2 };
        self.data.len() as u64 + missing
    }

    /// The same message with another text.
    pub(super) fn with_text(&self, data: &[u8]) -> Self {
        Mail {
            data: data.into(),
            ..self.clone()
        }
    }

    /// The same message with a line more at the end of its header.
    pub(super) fn with_header_line(&self, line: &str) -> Self {
        let line_end = if self.header().len() < self.data.len() {
            2
        } else {
            0
        };
        let (header, rest) = self.data.split_at(self.header().len() + line_end);
        self.with_text(&[header, line.as_bytes(), rest].concat())
    }

    /// Everything up to its first empty line.
    pub(super) fn header(&self) -> &[u8] {
        let end = memchr::memmem::find(&self.data, b"\r\n\r\n");
        &self.data[..end.unwrap_or(self.data.len())]
    }

    /// All of it as a server sends it that forgets to stuff dots, and the dot that ends the answer.
    pub(super) fn unstuffed(&self) -> Vec<u8> {
        let line_end: &[u8] = if ends_a_line(&self.data) {
            b""
        } else {
            b"\r\n"
        };
        [&self.data, line_end, b".\r\n"].concat()
    }

    /// The first `lines` lines of its body after its header, or all of it; with a line end at the
    /// end, dots stuffed, and the dot that ends an answer of several lines.
    pub(crate) fn stuffed(&self, lines: Option<usize>) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.data.len() + self.data.len() / 64 + 8);
        let mut body_lines = None;
        for line in wire_lines(&self.data) {
            if let (Some(done), Some(wanted)) = (body_lines, lines) {
                if done == wanted {
                    break;
                }
                body_lines = Some(done + 1);
            } else if line == b"\r\n" && body_lines.is_none() {
                body_lines = Some(0);
            }
            if line.starts_with(b".") {
                out.push(b'.');
            }
            out.extend_from_slice(line);
        }
        if !ends_a_line(&self.data) && !out.ends_with(b"\r\n") {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
        out
    }
}

/// Whether nothing has to be added before the final dot. No line at all is complete, too.
fn ends_a_line(data: &[u8]) -> bool {
    data.is_empty() || data.ends_with(b"\r\n")
}

/// The lines of a text in wire form, each with its CRLF. A CR or an LF alone ends no line.
fn wire_lines(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if data.is_empty() {
            return None;
        }
        let end = memchr::memmem::find(data, b"\r\n").map_or(data.len(), |at| at + 2);
        let (line, rest) = data.split_at(end);
        data = rest;
        Some(line)
    })
}

/// A maildrop that servers serve and tests change between two sessions. Clones are the same maildrop.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mailbox(Arc<Mutex<Vec<Mail>>>);

impl Mailbox {
    /// These texts in wire form, with unique-ids `uid-1`, `uid-2`, …
    pub(crate) fn with<M: Into<Arc<[u8]>>>(messages: impl IntoIterator<Item = M>) -> Self {
        let mailbox = Mailbox::default();
        for (index, data) in messages.into_iter().enumerate() {
            mailbox.add(format!("uid-{}", index + 1), data);
        }
        mailbox
    }

    /// A message arrives.
    pub(crate) fn add(&self, uid: impl Into<Vec<u8>>, data: impl Into<Arc<[u8]>>) {
        self.lock().push(Mail::new(uid, data));
    }

    /// Another message takes the place of the one with this unique-id, and its id.
    pub(crate) fn replace(&self, uid: &str, data: impl Into<Arc<[u8]>>) {
        let mut messages = self.lock();
        let old = messages.iter_mut().find(|mail| mail.uid == uid.as_bytes());
        *old.expect("a message with this id") = Mail::new(uid, data);
    }

    /// The message with this unique-id goes away.
    pub(crate) fn remove(&self, uid: &str) {
        self.lock().retain(|mail| mail.uid != uid.as_bytes());
    }

    /// The server gives every message a new unique-id, as after a move to other software.
    pub(crate) fn renumber(&self, prefix: &str) {
        for (index, mail) in self.lock().iter_mut().enumerate() {
            mail.uid = format!("{prefix}{}", index + 1).into_bytes();
        }
    }

    /// All messages go away.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// The unique-ids, oldest first, lossily readable.
    pub(crate) fn uids(&self) -> Vec<String> {
        let readable = |mail: &Mail| String::from_utf8_lossy(&mail.uid).into_owned();
        self.lock().iter().map(readable).collect()
    }

    /// The texts as a client has to store them, oldest first.
    pub(crate) fn stored_forms(&self) -> Vec<Vec<u8>> {
        let stored = |mail: &Mail| super::messages::stored_form(&mail.data);
        self.lock().iter().map(stored).collect()
    }

    /// What one session sees: at most `window` messages that none has retrieved yet, or all.
    pub(super) fn view(&self, window: Option<usize>) -> Vec<Mail> {
        let messages = self.lock();
        match window {
            None => messages.clone(),
            Some(most) => {
                let fresh = messages.iter().filter(|mail| !mail.retrieved);
                fresh.take(most).cloned().collect()
            }
        }
    }

    /// What QUIT makes true of the maildrop.
    pub(super) fn update(&self, retrieved: &[&Mail], removed: &[&Mail]) {
        let among =
            |mails: &[&Mail], mail: &Mail| mails.iter().any(|m| m.identity == mail.identity);
        let mut messages = self.lock();
        messages.retain(|mail| !among(removed, mail));
        for mail in messages.iter_mut() {
            mail.retrieved |= among(retrieved, mail);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Mail>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
