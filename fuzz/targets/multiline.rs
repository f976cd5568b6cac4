//! The text of a message on the wire, in pieces of any size.

use popfetch::pop3::Decoder;

use super::{Choices, pieces};

pub(super) fn run(input: &[u8]) {
    let mut choices = Choices(input);
    let lengths = choices.lengths();
    let wire = choices.0;
    let expected = as_far_as_certain(plainly(wire), wire);
    assert_eq!(decoded(wire, &lengths), expected);
    assert_eq!(decoded(wire, &[1]), expected);
    assert_eq!(decoded(wire, &[wire.len().max(1)]), expected);

    let sent = stuffed(wire);
    let mut text = wire.to_vec();
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    let came = decoded(&sent, &lengths);
    assert_eq!((came.text, came.end), (text, Some(sent.len())));
}

/// What came of a message.
#[derive(Debug, PartialEq)]
pub(super) struct Decoded {
    pub(super) text: Vec<u8>,
    pub(super) octets: u64,
    /// Where in the input the message ends.
    pub(super) end: Option<usize>,
}

fn decoded(wire: &[u8], lengths: &[usize]) -> Decoded {
    let (mut decoder, mut text) = (Decoder::new(), Vec::new());
    let mut at = 0;
    for mut piece in pieces(wire, lengths) {
        while !piece.is_empty() {
            let before = text.len();
            let progress = decoder.decode(piece, &mut text);
            assert!(text.len() - before <= piece.len() + 1);
            assert!(
                !progress.ended || text.len() == before,
                "the end has no text"
            );
            at += progress.consumed;
            piece = &piece[progress.consumed..];
            if progress.ended {
                let octets = decoder.octets();
                return Decoded {
                    text,
                    octets,
                    end: Some(at),
                };
            }
            assert!(progress.consumed > 0, "it would go on for ever");
        }
    }
    let octets = decoder.octets();
    Decoded {
        text,
        octets,
        end: None,
    }
}

/// The same, byte by byte and as RFC 1939 says it.
pub(super) fn plainly(wire: &[u8]) -> Decoded {
    let (mut text, mut octets) = (Vec::new(), 0);
    let (mut at, mut line_start) = (0, true);
    while let Some(&byte) = wire.get(at) {
        let rest = &wire[at..];
        if line_start && rest.starts_with(b".\r\n") {
            return Decoded {
                text,
                octets,
                end: Some(at + 3),
            };
        }
        if line_start && byte == b'.' {
            line_start = false;
        } else if rest.starts_with(b"\r\n") {
            text.push(b'\n');
            (octets, at, line_start) = (octets + 2, at + 1, true);
        } else {
            text.push(byte);
            (octets, line_start) = (octets + 1, false);
        }
        at += 1;
    }
    Decoded {
        text,
        octets,
        end: None,
    }
}

/// A decoder holds back what may still become a line end; the plain way does not.
pub(super) fn as_far_as_certain(mut plainly: Decoded, wire: &[u8]) -> Decoded {
    if plainly.end.is_none() && wire.ends_with(b"\r") {
        plainly.text.pop();
        plainly.octets -= 1;
    }
    plainly
}

/// What a server does to send a text.
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
