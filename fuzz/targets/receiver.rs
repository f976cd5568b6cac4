//! A whole session's answers: in pieces of any size the same must come of them as in one, and what
//! the protocol says.

use popfetch::pop3::{Event, Receiver, Reply, Shape, Status, Violation, limits};

use super::Choices;
use super::multiline::{as_far_as_certain, plainly as message};

/// What came, with the pieces of a message put together.
#[derive(Debug, PartialEq)]
enum Seen {
    Reply(Status, Vec<u8>),
    Entry(Vec<u8>),
    EndOfListing,
    Message(Vec<u8>, u64),
    Unfinished(Vec<u8>),
    /// Which one. The words may differ: some are reported before the line is whole.
    Violation(&'static str),
}

pub(super) fn run(input: &[u8]) {
    let mut choices = Choices(input);
    let lengths = choices.lengths();
    let count = 1 + choices.byte() % 8;
    let shapes: Vec<_> = (0..count).map(|_| shape(choices.byte())).collect();
    let wire = expanded(choices.0);
    let expected = plainly(&shapes, &wire);
    assert_eq!(seen(&shapes, &wire, &[wire.len()]), expected);
    // A long line is looked through with each piece that comes of it.
    let times = 1 + wire.len() / 1024;
    let lengths: Vec<_> = lengths
        .iter()
        .map(|length| length * times * times)
        .collect();
    assert_eq!(seen(&shapes, &wire, &lengths), expected);
    if times == 1 {
        assert_eq!(seen(&shapes, &wire, &[1]), expected);
    }
}

/// Begins an abbreviation: [`LONG`], a count and a byte stand for this many times 512 of that byte.
const LONG: u8 = 0xfe;

/// The input with its abbreviations written out, so that short inputs reach the limits of lines.
fn expanded(mut input: &[u8]) -> Vec<u8> {
    const MOST: usize = 2 * limits::LINE;
    let mut whole = Vec::with_capacity(input.len());
    loop {
        match input {
            [] => return whole,
            [LONG, count, byte, rest @ ..] if whole.len() < MOST => {
                whole.resize(whole.len() + usize::from(*count) * 512, *byte);
                input = rest;
            }
            [byte, rest @ ..] => {
                whole.push(*byte);
                input = rest;
            }
        }
    }
}

fn shape(byte: u8) -> Shape {
    match byte % 5 {
        0 => Shape::Greeting,
        1 => Shape::Line,
        2 => Shape::Listing,
        3 => Shape::Message,
        _ => Shape::Challenge,
    }
}

fn seen(shapes: &[Shape], wire: &[u8], lengths: &[usize]) -> Vec<Seen> {
    let mut receiver = Receiver::new();
    shapes.iter().for_each(|&shape| receiver.expect(shape));
    let (mut seen, mut text) = (Vec::new(), Vec::new());
    let (mut start, mut end) = (0, 0);
    let mut lengths = lengths.iter().cycle();
    loop {
        let (consumed, event) = match receiver.receive(&wire[start..end], &mut text) {
            Ok(received) => received,
            Err(violation) => {
                super::assert_harmless(&violation.to_string());
                seen.push(Seen::Violation(name(&violation)));
                return seen;
            }
        };
        assert!(
            consumed > 0 || event == Event::Incomplete,
            "an event out of nothing"
        );
        start += consumed;
        seen.push(match event {
            Event::Incomplete if end == wire.len() => {
                if !text.is_empty() {
                    seen.push(Seen::Unfinished(text));
                }
                return seen;
            }
            Event::Incomplete => {
                // No buffer is without bounds, so no more than this may be waited for.
                assert!(end - start <= limits::LINE + 2);
                let length = lengths.next().copied().unwrap_or_default().max(1);
                end = wire.len().min(end + length);
                continue;
            }
            Event::Text { .. } => continue,
            Event::Reply(reply) => Seen::Reply(reply.status, reply.text.to_vec()),
            Event::Entry(entry) => Seen::Entry(entry.to_vec()),
            Event::EndOfListing => Seen::EndOfListing,
            Event::EndOfMessage { octets } => Seen::Message(std::mem::take(&mut text), octets),
        });
    }
}

fn name(violation: &Violation) -> &'static str {
    match violation {
        Violation::LineTooLong(_) => "too long",
        Violation::NoStatus { .. } => "no status",
        Violation::Unsolicited(_) => "unsolicited",
        Violation::Challenge(_) => "challenge",
    }
}

/// The same with everything at hand at once.
fn plainly(shapes: &[Shape], mut wire: &[u8]) -> Vec<Seen> {
    let mut seen = Vec::new();
    for &shape in shapes {
        let reply = match status(shape, &mut wire) {
            Ok(Some(reply)) => reply,
            Ok(None) => return seen,
            Err(violation) => {
                seen.push(Seen::Violation(violation));
                return seen;
            }
        };
        seen.push(Seen::Reply(reply.status, reply.text.to_vec()));
        let more = reply.status == Status::Ok;
        if more && shape == Shape::Listing && !listing(&mut wire, &mut seen) {
            return seen;
        }
        if more && shape == Shape::Message {
            let message = as_far_as_certain(message(wire), wire);
            let Some(end) = message.end else {
                if !message.text.is_empty() {
                    seen.push(Seen::Unfinished(message.text));
                }
                return seen;
            };
            seen.push(Seen::Message(message.text, message.octets));
            wire = &wire[end..];
        }
    }
    if !wire.is_empty() {
        seen.push(Seen::Violation("unsolicited"));
    }
    seen
}

fn status<'a>(shape: Shape, wire: &mut &'a [u8]) -> Result<Option<Reply<'a>>, &'static str> {
    if matches!(wire, [0x14..=0x17, 3, 0..=4, ..]) {
        return Err("no status");
    }
    let Some(line) = line(wire)? else {
        return Ok(None);
    };
    match Reply::parse(line) {
        None => Err("no status"),
        Some(reply) if reply.status == Status::Continue && shape != Shape::Challenge => {
            Err("challenge")
        }
        reply => Ok(reply),
    }
}

/// Whether the listing has an end.
fn listing(wire: &mut &[u8], seen: &mut Vec<Seen>) -> bool {
    loop {
        match line(wire) {
            Ok(None) => return false,
            Err(violation) => {
                seen.push(Seen::Violation(violation));
                return false;
            }
            Ok(Some(b".")) => {
                seen.push(Seen::EndOfListing);
                return true;
            }
            Ok(Some(entry)) => {
                let entry = entry.strip_prefix(b".").unwrap_or(entry);
                seen.push(Seen::Entry(entry.to_vec()));
            }
        }
    }
}

/// Takes a line off the front.
fn line<'a>(wire: &mut &'a [u8]) -> Result<Option<&'a [u8]>, &'static str> {
    let end = wire.iter().position(|&byte| byte == b'\n');
    let line = &wire[..end.unwrap_or(wire.len())];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > 64 * 1024 {
        return Err("too long");
    }
    Ok(end.map(|end| {
        *wire = &wire[end + 1..];
        line
    }))
}
