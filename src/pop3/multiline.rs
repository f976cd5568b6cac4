//! The text of a message on the wire (RFC 1939 section 3): lines end in CRLF, a line that begins
//! with a dot has one more in front, and a line of a single dot ends it.

use memchr::memchr_iter;

/// Takes the wire form of one message apart, in whatever pieces it comes.
///
/// Only CRLF `.` CRLF ends a message, or `.` CRLF one that has no text. One dot is dropped at the
/// beginning of a line, every CRLF becomes LF, and nothing else is touched: a CR or LF that stands alone, NUL
/// and 8-bit bytes stay as they are. Lines have no limit, for none is held back.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    at: At,
    octets: u64,
}

/// What came before the next byte, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    /// The beginning of the message, or CRLF.
    #[default]
    LineStart,
    /// A dot at the beginning of a line: stuffing, or the end.
    Dot,
    /// A dot at the beginning of a line, then CR.
    DotCr,
    /// Something inside a line.
    Text,
    /// A CR inside a line that is not in the output yet: it may be half of a CRLF.
    Cr,
    /// CRLF `.` CRLF.
    End,
}

/// How far one call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// So many bytes of the input are done with.
    pub consumed: usize,
    /// The message is complete; what follows in the input is the next answer.
    pub ended: bool,
}

impl Decoder {
    /// A decoder at the beginning of a message.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How much of the message came, as LIST counts it (RFC 1939 section 11): CRLF as two, without
    /// stuffed dots and without what ends the message.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Appends the text in `input` to `out`, at most one byte more than `input` has.
    ///
    /// A call that appends text leaves the last byte of the message's end unread, so the call that says
    /// `ended` never appends any.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Progress {
        let before = out.len();
        out.reserve(input.len() + 1);
        let mut consumed = 0;
        while let Some((&byte, _)) = input[consumed..].split_first() {
            match (self.at, byte) {
                (At::LineStart, b'.') => self.at = At::Dot,
                (At::Dot, b'\r') => self.at = At::DotCr,
                (At::DotCr, b'\n') if out.len() > before => break,
                (At::DotCr, b'\n') => self.at = At::End,
                (At::Cr, b'\n') => self.append(b'\n', 2, At::LineStart, out),
                (At::End, _) => break,
                // Not what it could have become: the byte is looked at again.
                (At::LineStart | At::Dot, _) => {
                    self.at = At::Text;
                    continue;
                }
                (At::DotCr, _) => {
                    self.at = At::Cr;
                    continue;
                }
                (At::Cr, _) => {
                    self.append(b'\r', 1, At::Text, out);
                    continue;
                }
                (At::Text, _) => {
                    consumed += self.lines(&input[consumed..], out);
                    continue;
                }
            }
            consumed += 1;
        }
        let ended = self.at == At::End;
        Progress { consumed, ended }
    }

    fn append(&mut self, byte: u8, octets: u64, next: At, out: &mut Vec<u8>) {
        out.push(byte);
        self.octets += octets;
        self.at = next;
    }

    /// Copies from inside a line up to a line that begins with a dot, or to the end of the input,
    /// whichever is nearer. Says how much of the input that was.
    fn lines(&mut self, input: &[u8], out: &mut Vec<u8>) -> usize {
        let mut copied = 0;
        for line_feed in memchr_iter(b'\n', input) {
            let line = &input[copied..line_feed];
            if line.last() != Some(&b'\r') {
                continue;
            }
            out.extend_from_slice(line);
            if let Some(carriage_return) = out.last_mut() {
                *carriage_return = b'\n';
            }
            copied = line_feed + 1;
            if input.get(copied).is_none_or(|&byte| byte == b'.') {
                self.at = At::LineStart;
                self.octets += copied as u64;
                return copied;
            }
        }
        let rest = &input[copied..];
        let rest = match rest.strip_suffix(b"\r") {
            Some(rest) => {
                self.at = At::Cr;
                rest
            }
            None => rest,
        };
        out.extend_from_slice(rest);
        self.octets += (copied + rest.len()) as u64;
        input.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a decoder makes of these pieces: the text, the octets, and what it left unread once the
    /// message had ended.
    fn decoded(pieces: &[&[u8]]) -> (Vec<u8>, u64, Option<Vec<u8>>) {
        let mut decoder = Decoder::new();
        let (mut out, mut left) = (Vec::new(), None);
        for piece in pieces {
            let mut piece = *piece;
            while !piece.is_empty() && left.is_none() {
                let progress = decoder.decode(piece, &mut out);
                piece = &piece[progress.consumed..];
                if progress.ended {
                    left = Some(Vec::new());
                }
            }
            if let Some(left) = &mut left {
                left.extend_from_slice(piece);
            }
        }
        (out, decoder.octets(), left)
    }

    /// The same, byte by byte and as RFC 1939 says it.
    fn modelled(wire: &[u8]) -> (Vec<u8>, u64, Option<Vec<u8>>) {
        let mut rest = wire;
        let (mut out, mut octets) = (Vec::new(), 0);
        let mut line_start = true;
        while let Some((&byte, following)) = rest.split_first() {
            if line_start && rest.starts_with(b".\r\n") {
                return (out, octets, Some(rest[3..].to_vec()));
            }
            if line_start && byte == b'.' {
                (rest, line_start) = (following, false);
            } else if rest.starts_with(b"\r\n") {
                out.push(b'\n');
                octets += 2;
                (rest, line_start) = (&rest[2..], true);
            } else {
                out.push(byte);
                octets += 1;
                (rest, line_start) = (following, false);
            }
        }
        (out, octets, None)
    }

    /// The wire form of a text: what a server does to send it.
    fn stuffed(text: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            if line.starts_with(b".") {
                wire.push(b'.');
            }
            wire.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b".\r\n");
        wire
    }

    #[test]
    fn a_message_is_unstuffed_and_its_line_ends_become_lf() {
        let (text, octets, left) = decoded(&[b"Subject: x\r\n\r\n..hidden\r\n...\r\n.\r\n+OK"]);
        assert_eq!(text, b"Subject: x\n\n.hidden\n..\n");
        assert_eq!(octets, 12 + 2 + 9 + 4);
        assert_eq!(left.as_deref(), Some(&b"+OK"[..]));
    }

    #[test]
    fn a_message_may_be_empty() {
        assert_eq!(decoded(&[b".\r\n"]), (vec![], 0, Some(vec![])));
        assert_eq!(
            decoded(&[b".", b"\r", b"\n", b"+"]),
            (vec![], 0, Some(b"+".to_vec()))
        );
    }

    #[test]
    fn only_crlf_dot_crlf_ends_a_message() {
        for (wire, text) in [
            (&b"a\n.\r\nb"[..], &b"a\n.\nb"[..]),
            (b"a\r\n.\nb", b"a\n\nb"),
            (b"a\r.\r\nb", b"a\r.\nb"),
            (b"a\r\n.\rb", b"a\n\rb"),
            (b"a\r\n.\r\r\nb", b"a\n\r\nb"),
            (b"a\r\n. \r\nb", b"a\n \nb"),
            (b"a.\r\nb", b"a.\nb"),
            (b"a\r\r\n", b"a\r\n"),
        ] {
            let (decoded, octets, left) = decoded(&[wire]);
            assert_eq!(decoded, text, "{}", wire.escape_ascii());
            assert_eq!(left, None, "{}", wire.escape_ascii());
            assert_eq!(octets, modelled(wire).1, "{}", wire.escape_ascii());
        }
    }

    #[test]
    fn bytes_that_are_no_line_end_stay() {
        let odd = b"\0\xff\x80\r \n \r\x0b\x1b";
        let wire = [&odd[..], b"\r\n.\r\n"].concat();
        let (text, octets, left) = decoded(&[&wire]);
        assert_eq!(text, [&odd[..], b"\n"].concat());
        assert_eq!(octets, odd.len() as u64 + 2);
        assert!(left.is_some());
    }

    #[test]
    fn the_call_that_ends_a_message_appends_nothing() {
        let mut decoder = Decoder::new();
        let mut out = Vec::new();
        let wire = b"a\r\n.\r\n";
        let progress = decoder.decode(wire, &mut out);
        assert_eq!(
            progress,
            Progress {
                consumed: wire.len() - 1,
                ended: false
            }
        );
        assert_eq!(out, b"a\n");
        let progress = decoder.decode(b"\n+OK", &mut out);
        assert_eq!(
            progress,
            Progress {
                consumed: 1,
                ended: true
            }
        );
        assert_eq!(
            decoder.decode(b"more", &mut out),
            Progress {
                consumed: 0,
                ended: true
            }
        );
        assert_eq!(out, b"a\n");
    }

    /// Bytes in which everything that matters is frequent.
    fn wire() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop::sample::select(&b"\r\n.\r\n.ab\0\xff"[..]);
        let atom = prop_oneof![
            byte.prop_map(|byte| vec![byte]),
            Just(b"\r\n".to_vec()),
            Just(b"\r\n.".to_vec()),
        ];
        prop::collection::vec(atom, 0..60).prop_map(|atoms| atoms.concat())
    }

    fn split<'a>(mut bytes: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        for &length in lengths {
            let (piece, rest) = bytes.split_at(length.min(bytes.len()));
            pieces.push(piece);
            bytes = rest;
        }
        pieces.push(bytes);
        pieces
    }

    proptest! {
        #[test]
        fn any_chunking_gives_what_the_rfc_says(wire in wire(), lengths in prop::collection::vec(0..9_usize, 0..40)) {
            prop_assert_eq!(decoded(&split(&wire, &lengths)), modelled_as_far_as_certain(&wire));
        }

        #[test]
        fn unstuffing_undoes_stuffing(
            lines in prop::collection::vec(line(), 0..20),
            lengths in prop::collection::vec(0..9_usize, 0..40),
        ) {
            let text = lines.concat();
            let wire = stuffed(&text);
            let (decoded, octets, left) = decoded(&split(&wire, &lengths));
            prop_assert_eq!(octets, (text.len() + lines.len()) as u64);
            prop_assert_eq!(decoded, text);
            prop_assert_eq!(left, Some(vec![]));
        }
    }

    fn line() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop::sample::select(&b"..\rab\0\xff"[..]);
        prop::collection::vec(byte, 0..6).prop_map(|mut line| {
            line.push(b'\n');
            line
        })
    }

    /// A decoder holds back what may still become a line end or the end; the model does not.
    fn modelled_as_far_as_certain(wire: &[u8]) -> (Vec<u8>, u64, Option<Vec<u8>>) {
        let (mut text, mut octets, left) = modelled(wire);
        if left.is_none() && wire.ends_with(b"\r") {
            text.pop();
            octets -= 1;
        }
        (text, octets, left)
    }
}
