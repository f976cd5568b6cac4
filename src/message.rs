//! A look at a message's text as it streams by: the envelope sender, its digest, and what it is known by.

use sha2::{Digest as _, Sha256};

use crate::mail::{Digest, HeaderIdentity, Identity};

/// How much of a header is looked at, in bytes: a field after that is not found.
const HEADER: usize = 64 * 1024;

/// The fields that make a message what it is.
const IDENTITY: [&[u8]; 4] = [b"message-id", b"date", b"from", b"subject"];

/// The field that each mail system on the way adds, with words that no sender can foretell.
const TRACE: &[u8] = b"received";

/// Hashes a message, and collects its header.
#[derive(Debug, Clone, Default)]
pub struct Hasher {
    whole: Sha256,
    body: Sha256,
    peek: Peek,
    length: u64,
}

/// What is known of a message once it is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashes {
    /// SHA-256 of its text.
    pub digest: Digest,
    /// What it is known by where header lines come and go.
    pub identity: Identity,
}

impl Hasher {
    /// More of the message's text, with LF line ends.
    pub fn update(&mut self, text: &[u8]) {
        self.whole.update(text);
        self.length += text.len() as u64;
        self.body.update(self.peek.feed(text));
    }

    /// How long the text is so far, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Its header, as far as it has come.
    #[must_use]
    pub fn peek(&self) -> &Peek {
        &self.peek
    }

    /// What is known of the message, if this was all of it. One that has none of the fields of an identity is known by
    /// its whole text alone.
    #[must_use]
    pub fn hashes(&self) -> Hashes {
        let whole: [u8; 32] = self.whole.clone().finalize().into();
        let header = self.peek.identity();
        let body = match header {
            HeaderIdentity::NONE => whole,
            _ => self.body.clone().finalize().into(),
        };
        Hashes {
            digest: Digest(whole),
            identity: Identity::new(header, body),
        }
    }
}

/// Collects the beginning of a message until its header is complete.
#[derive(Debug, Clone, Default)]
pub struct Peek {
    header: Vec<u8>,
    complete: bool,
}

impl Peek {
    /// More of the message's text, with LF line ends. Returns what of it lies after the header, as far as that is
    /// looked at.
    pub fn feed<'a>(&mut self, text: &'a [u8]) -> &'a [u8] {
        if self.complete {
            return text;
        }
        let before = self.header.len();
        let from = before.saturating_sub(1);
        let room = HEADER - before;
        self.header.extend_from_slice(&text[..text.len().min(room)]);
        let end = if self.header.starts_with(b"\n") {
            Some(1)
        } else {
            memchr::memmem::find(&self.header[from..], b"\n\n").map(|at| from + at + 2)
        };
        if let Some(end) = end {
            self.header.truncate(end);
        }
        self.complete = end.is_some() || self.header.len() == HEADER;
        &text[self.header.len() - before..]
    }

    /// The envelope sender: Return-Path, else the first address of Sender or From. None for a
    /// message without one, and for the empty return path of a bounce.
    #[must_use]
    pub fn sender(&self) -> Option<&[u8]> {
        if let Some(path) = self.field(b"return-path") {
            return address(path);
        }
        [&b"sender"[..], b"from"]
            .iter()
            .find_map(|name| self.field(name).and_then(address))
    }

    /// What the header says that the message is.
    #[must_use]
    pub fn identity(&self) -> HeaderIdentity {
        self.hash_of(|name| {
            IDENTITY
                .iter()
                .any(|wanted| name.eq_ignore_ascii_case(wanted))
        })
    }

    /// The same with the trace of its way (RFC 5321 section 4.4), of which its sender cannot know the last part.
    #[must_use]
    pub fn trace(&self) -> HeaderIdentity {
        self.hash_of(|name| {
            let wanted = IDENTITY.iter().chain([&TRACE]);
            wanted
                .copied()
                .any(|wanted| name.eq_ignore_ascii_case(wanted))
        })
    }

    /// The fields of these names, hashed in their order, however their lines are folded.
    fn hash_of(&self, is_wanted: impl Fn(&[u8]) -> bool) -> HeaderIdentity {
        let mut hash = Sha256::new();
        let mut fields = self.fields().filter(|(name, _)| is_wanted(name)).peekable();
        if fields.peek().is_none() {
            return HeaderIdentity::NONE;
        }
        for (name, value) in fields {
            hash.update(name.to_ascii_lowercase());
            let words = value.split(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
            for word in words.filter(|word| !word.is_empty()) {
                hash.update(b" ");
                hash.update(word);
            }
            hash.update(b"\n");
        }
        let mut identity = [0; 16];
        identity.copy_from_slice(&hash.finalize()[..16]);
        HeaderIdentity(identity)
    }

    /// The value of the first field of this name, unfolded lines and all.
    fn field(&self, name: &[u8]) -> Option<&[u8]> {
        let mut fields = self.fields();
        fields.find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
    }

    /// Every field, its name and its value. A line that is none is passed over.
    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = &self.header[..];
        let lines = std::iter::from_fn(move || {
            let (field, after) = rest.split_at(field_length(rest));
            rest = after;
            (!field.is_empty()).then_some(field)
        });
        lines.filter_map(|field| {
            let colon = memchr::memchr(b':', field)?;
            Some((
                field[..colon].trim_ascii_end(),
                field[colon + 1..].trim_ascii(),
            ))
        })
    }
}

/// The length of the field that begins here: its line, and the lines after it that begin with a blank.
fn field_length(rest: &[u8]) -> usize {
    let mut ends = memchr::memchr_iter(b'\n', rest).map(|end| end + 1);
    ends.find(|&end| !matches!(rest.get(end), Some(b' ' | b'\t')))
        .unwrap_or(rest.len())
}

/// The first address in a field's value (RFC 5322 section 3.4), as far as an envelope sender needs
/// it: what stands between angle brackets, else the first word with an @ in it.
fn address(value: &[u8]) -> Option<&[u8]> {
    let address = match angle(value) {
        Some(inside) => inside.trim_ascii(),
        None => value
            .split(|byte| byte.is_ascii_whitespace() || *byte == b',')
            .find(|word| word.contains(&b'@'))?,
    };
    let plain = |byte: &u8| !byte.is_ascii_whitespace() && !byte.is_ascii_control();
    (!address.is_empty() && address.iter().all(plain)).then_some(address)
}

/// What stands between the first angle brackets that are not inside a quoted display name.
fn angle(value: &[u8]) -> Option<&[u8]> {
    let mut quoted = false;
    let mut bytes = value.iter().enumerate();
    while let Some((at, &byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => quoted = !quoted,
            b'<' if !quoted => {
                let inside = &value[at + 1..];
                return memchr::memchr(b'>', inside).map(|end| &inside[..end]);
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sender(message: &[u8]) -> Option<String> {
        let mut peek = Peek::default();
        peek.feed(message);
        peek.sender()
            .map(|sender| String::from_utf8_lossy(sender).into_owned())
    }

    #[test]
    fn the_return_path_wins() {
        let message =
            b"From: a@example.org\nReturn-Path: <b@example.org>\n\nReturn-Path: <c@example.org>\n";
        assert_eq!(sender(message).as_deref(), Some("b@example.org"));
    }

    #[test]
    fn a_bounce_has_no_sender() {
        assert_eq!(sender(b"Return-Path: <>\nFrom: a@example.org\n\n"), None);
    }

    #[test]
    fn a_display_name_may_hold_brackets_and_a_field_may_be_folded() {
        let message = b"FROM:\n \"Odd <fake@example.org> \\\" name\"\n <real@example.org>\n\n";
        assert_eq!(sender(message).as_deref(), Some("real@example.org"));
    }

    #[test]
    fn a_bare_address_is_found() {
        assert_eq!(
            sender(b"Sender: a@example.org (Alice)\n\n").as_deref(),
            Some("a@example.org")
        );
        assert_eq!(sender(b"From: Alice\n\n"), None);
        assert_eq!(sender(b"\nFrom: body@example.org\n\n"), None);
        assert_eq!(sender(b""), None);
    }

    #[test]
    fn an_address_with_control_characters_is_none() {
        assert_eq!(sender(b"Return-Path: <a@b\x07c>\n\n"), None);
    }

    fn hashes(message: &[u8]) -> Hashes {
        let mut hasher = Hasher::default();
        hasher.update(message);
        hasher.hashes()
    }

    #[test]
    fn lines_that_come_and_go_do_not_change_what_a_message_is() {
        let message = b"Message-ID: <1@x>\nDate: today\nFrom: a\nSubject: a long\n one\n\nbody\n";
        let known = hashes(message).identity;
        for same in [
            &b"X-Scan: 1\nMessage-ID: <1@x>\nDate: today\nFrom: a\nSubject: a long one\n\nbody\n"[..],
            b"message-id:<1@x>\nDATE: today\nFrom: a\nno field\nSubject: a\n\tlong one\nStatus: RO\n\nbody\n",
        ] {
            assert_eq!(hashes(same).identity, known, "{}", same.escape_ascii());
            assert_ne!(hashes(same).digest, hashes(message).digest);
        }
        for (from, to) in [
            ("1@x", "2@x"),
            ("today", "now"),
            ("From: a", "From: b"),
            ("a long", "along"),
            ("body", "Body"),
        ] {
            let text = str::from_utf8(message).expect("ASCII");
            let other = hashes(text.replace(from, to).as_bytes());
            assert_ne!(other.identity, known, "{from} is {to}");
        }
    }

    #[test]
    fn a_message_without_such_fields_is_known_by_its_whole_text() {
        for (one, other) in [("one\n", "two\n"), ("X: 1\n\nbody\n", "X: 2\n\nbody\n")] {
            let [one, other] = [one, other].map(|text| hashes(text.as_bytes()).identity);
            assert_ne!(one, other);
            assert_eq!(one.header(), HeaderIdentity::NONE);
        }
    }

    #[test]
    fn the_trace_is_more_than_the_identity() {
        let peek = |text: &[u8]| {
            let mut peek = Peek::default();
            peek.feed(text);
            peek
        };
        let [one, two] = [
            &b"Received: by one\nFrom: a\n\n"[..],
            b"Received: by two\nFrom: a\n",
        ]
        .map(peek);
        assert_eq!(one.identity(), two.identity());
        assert_ne!(one.trace(), two.trace());
    }

    proptest! {
        #[test]
        fn pieces_do_not_change_what_a_message_is(
            message in "(From: a\n)?[ab:\n]{0,40}", cuts in prop::collection::vec(1..9usize, 1..40),
        ) {
            let mut hasher = Hasher::default();
            let mut rest = message.as_bytes();
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                hasher.update(piece);
                rest = after;
                if rest.is_empty() { break }
            }
            prop_assert_eq!(hasher.hashes(), hashes(message.as_bytes()));
            prop_assert_eq!(hasher.hashes().digest, Digest(Sha256::digest(&message).into()));
            prop_assert_eq!(hasher.length(), message.len() as u64);
        }

        #[test]
        fn pieces_do_not_change_what_is_found(message: Vec<u8>, cuts in prop::collection::vec(1..9usize, 1..40)) {
            let mut message = message;
            message.splice(0..0, b"X: y\nFrom: <a@b.c>\n\nbody".iter().copied());
            let mut peek = Peek::default();
            let mut rest = &message[..];
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                peek.feed(piece);
                rest = after;
                if rest.is_empty() { break }
            }
            prop_assert_eq!(peek.sender(), Some(&b"a@b.c"[..]));
        }

        #[test]
        fn no_header_is_too_odd(message in "[\\x00-\\x7f]{0,300}") {
            let mut peek = Peek::default();
            peek.feed(message.as_bytes());
            if let Some(sender) = peek.sender() {
                prop_assert!(!sender.contains(&b'\n') && !sender.is_empty());
            }
        }
    }
}
