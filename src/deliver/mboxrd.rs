//! The mboxrd format (RFC 4155, mbox(5) of qmail): a From_ line, the message, an empty line. A line of
//! the message that looks like a From_ line, quoted or not, gets one more `>` in front, so that
//! readers can take exactly one away again.

use jiff::Timestamp;
use memchr::memchr;

/// How a line begins that has to be quoted, after any number of `>`.
pub(super) const FROM: &[u8; 5] = b"From ";

/// The longest sender that goes into a From_ line, in bytes (RFC 5321 section 4.5.3.1.3: a path has at most 256).
const MAX_SENDER: usize = 256;

/// The sender of what has none, bounces above all.
const NO_SENDER: &str = "MAILER-DAEMON";

/// The line before a message: its envelope sender and when it was stored, in UTC.
pub(super) fn from_line(sender: Option<&[u8]>, stored: Timestamp) -> String {
    let sender = match sender {
        Some(sender) if !sender.is_empty() => plain(sender),
        _ => NO_SENDER.to_owned(),
    };
    format!(
        "From {sender} {}\n",
        stored.strftime("%a %b %e %H:%M:%S %Y")
    )
}

/// A sender as one word of ASCII: readers split the line at spaces, and some stumble over anything else.
fn plain(sender: &[u8]) -> String {
    let shown = sender.iter().take(MAX_SENDER);
    shown
        .map(|byte| {
            if byte.is_ascii_graphic() {
                char::from(*byte)
            } else {
                '-'
            }
        })
        .collect()
}

/// Whether a line that begins with `From ` goes on like a From_ line: somewhere a time, after it a year.
pub(super) fn looks_like_from_line(line: &[u8]) -> bool {
    let mut fields = line
        .split(u8::is_ascii_whitespace)
        .skip_while(|field| !is_time(field));
    line.starts_with(FROM) && fields.next().is_some() && fields.any(is_year)
}

/// `12:34:56` or `12:34`.
fn is_time(field: &[u8]) -> bool {
    let mut parts = field.split(|byte| *byte == b':');
    field.contains(&b':')
        && parts.all(|part| part.len() == 2 && part.iter().all(u8::is_ascii_digit))
}

fn is_year(field: &[u8]) -> bool {
    field.len() == 4 && field.iter().all(u8::is_ascii_digit)
}

/// Quotes one message, given in pieces of any size.
pub(super) struct Quoter {
    /// Where we are at the beginning of a line, any `>` passed: how many bytes of `From ` came. None inside a line.
    matched: Option<usize>,
    /// Whether the last line has no end yet.
    unfinished: bool,
}

impl Quoter {
    /// At the beginning of a message.
    pub(super) fn new() -> Self {
        Quoter {
            matched: Some(0),
            unfinished: false,
        }
    }

    /// Quotes the next piece. What cannot be decided yet, at most four bytes, is held back.
    pub(super) fn quote<E>(
        &mut self,
        text: &[u8],
        mut write: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(last) = text.last() else {
            return Ok(());
        };
        self.unfinished = *last != b'\n';
        let mut held = self.matched.unwrap_or(0);
        let (mut written, mut at) = (0, 0);
        while let Some(byte) = text.get(at) {
            match self.matched {
                None => match memchr(b'\n', &text[at..]) {
                    Some(end) => {
                        at += end + 1;
                        self.matched = Some(0);
                    }
                    None => at = text.len(),
                },
                Some(4) if *byte == b' ' => {
                    at += 1;
                    write(&text[written..at + held - FROM.len()])?;
                    write(b">From ")?;
                    (written, held, self.matched) = (at, 0, None);
                }
                Some(n) if FROM.get(n) == Some(byte) => {
                    at += 1;
                    self.matched = Some(n + 1);
                }
                Some(0) if *byte == b'>' => at += 1,
                Some(_) => {
                    write(&FROM[..held])?;
                    (held, self.matched) = (0, None);
                }
            }
        }
        let undecided = self.matched.unwrap_or(0) - held;
        write(&text[written..text.len() - undecided])
    }

    /// The message is complete: what was held back, the end of its last line where it has none, and the empty line.
    pub(super) fn finish<E>(self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        write(&FROM[..self.matched.unwrap_or(0)])?;
        write(if self.unfinished { b"\n\n" } else { b"\n" })
    }
}

/// Takes the quoting away again, given a message in pieces of any size.
pub(super) struct Unquoter {
    at: At,
}

/// Where in a line an [`Unquoter`] is.
#[derive(Clone, Copy)]
enum At {
    /// At its beginning.
    Beginning,
    /// After one or more `>`, the first of which is held back, and this many bytes of `From `, held back as well.
    Quotes(usize),
    Inside,
}

impl Unquoter {
    /// At the beginning of a message.
    pub(super) fn new() -> Self {
        Unquoter { at: At::Beginning }
    }

    /// Unquotes the next piece.
    pub(super) fn unquote(&mut self, text: &[u8], mut write: impl FnMut(&[u8])) {
        for byte in text {
            match (self.at, *byte) {
                (At::Beginning, b'>') => self.at = At::Quotes(0),
                (At::Quotes(0), b'>') => write(b">"),
                (At::Quotes(4), b' ') => {
                    write(FROM);
                    self.at = At::Inside;
                }
                (At::Quotes(n), byte) if FROM.get(n) == Some(&byte) => self.at = At::Quotes(n + 1),
                (_, byte) => {
                    self.release(&mut write);
                    write(&[byte]);
                    self.at = if byte == b'\n' {
                        At::Beginning
                    } else {
                        At::Inside
                    };
                }
            }
        }
    }

    /// The message is complete.
    pub(super) fn finish(mut self, mut write: impl FnMut(&[u8])) {
        self.release(&mut write);
    }

    fn release(&mut self, write: &mut impl FnMut(&[u8])) {
        if let At::Quotes(n) = self.at {
            write(b">");
            write(&FROM[..n]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn quoted<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut quoter = Quoter::new();
        let mut written = Vec::new();
        let mut write = |bytes: &[u8]| {
            written.extend_from_slice(bytes);
            Ok::<_, Infallible>(())
        };
        for piece in pieces {
            quoter.quote(piece, &mut write).expect("infallible");
        }
        quoter.finish(&mut write).expect("infallible");
        written
    }

    /// The format said in the plainest way: lines, one after the other.
    fn naive(text: &[u8]) -> Vec<u8> {
        let mut quoted = Vec::new();
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let text = line
                .iter()
                .position(|byte| *byte != b'>')
                .unwrap_or(line.len());
            if line[text..].starts_with(b"From ") {
                quoted.push(b'>');
            }
            quoted.extend_from_slice(line);
        }
        if !text.is_empty() && !text.ends_with(b"\n") {
            quoted.push(b'\n');
        }
        quoted.push(b'\n');
        quoted
    }

    fn unquoted<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut unquoter = Unquoter::new();
        let mut text = Vec::new();
        for piece in pieces {
            unquoter.unquote(piece, |bytes| text.extend_from_slice(bytes));
        }
        unquoter.finish(|bytes| text.extend_from_slice(bytes));
        text
    }

    /// Text in which From_ lines, whole and nearly, are frequent.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let words = prop::sample::select(vec![
            &b"From "[..],
            b"From",
            b"F",
            b"Fro",
            b"om ",
            b">",
            b">>",
            b"\n",
            b"\n\n",
            b" ",
            b"x",
            b"\r\n",
            b"\0",
        ]);
        prop::collection::vec(words, 0..40).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn quoting_does_not_depend_on_where_the_text_is_cut(text in text(), size in 1_usize..9) {
            let expected = naive(&text);
            prop_assert_eq!(quoted(text.chunks(size)), &expected[..]);
            prop_assert_eq!(quoted([&text[..]]), expected);
        }

        #[test]
        fn what_was_quoted_comes_back(text in text(), size in 1_usize..9) {
            let quoted = quoted([&text[..]]);
            prop_assert!(!quoted.starts_with(b"From "));
            prop_assert!(memchr::memmem::find(&quoted, b"\nFrom ").is_none());
            let mut expected = text;
            if !expected.is_empty() && !expected.ends_with(b"\n") {
                expected.push(b'\n');
            }
            expected.push(b'\n');
            prop_assert_eq!(unquoted(quoted.chunks(size)), expected);
        }

        #[test]
        fn a_from_line_is_one_line_whatever_the_sender(sender: Vec<u8>) {
            let line = from_line(Some(&sender), Timestamp::UNIX_EPOCH);
            prop_assert!(line.is_ascii());
            prop_assert_eq!(line.trim_end().split(' ').filter(|field| !field.is_empty()).count(), 7);
            prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
            prop_assert!(looks_like_from_line(line.as_bytes()));
        }
    }

    #[test]
    fn a_from_line_has_the_form_readers_expect() {
        let time: Timestamp = "2026-08-03T04:05:06Z".parse().expect("a time");
        assert_eq!(
            from_line(Some(b"alice@example.org"), time),
            "From alice@example.org Mon Aug  3 04:05:06 2026\n"
        );
        assert_eq!(
            from_line(None, time),
            "From MAILER-DAEMON Mon Aug  3 04:05:06 2026\n"
        );
        assert_eq!(
            from_line(Some(b""), time),
            "From MAILER-DAEMON Mon Aug  3 04:05:06 2026\n"
        );
        assert_eq!(
            from_line(Some(b"a b\n\xff"), time),
            "From a-b-- Mon Aug  3 04:05:06 2026\n"
        );
    }

    #[test]
    fn a_line_of_prose_is_no_from_line() {
        assert!(looks_like_from_line(b"From a@b Thu Jan  1 00:00:00 1970"));
        assert!(looks_like_from_line(
            b"From a@b Thu Jan 01 00:00 GMT 1970 remote from x"
        ));
        assert!(!looks_like_from_line(
            b"From then on it was 12:30 every day"
        ));
        assert!(!looks_like_from_line(b"From 1970 on"));
    }
}
