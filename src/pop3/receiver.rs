//! Answers, matched to the commands they belong to (RFC 1939 section 3, RFC 2449 section 6.6).

use std::collections::VecDeque;

use memchr::memchr;

use super::limits;
use super::multiline::Decoder;
use super::reply::{Dialect, Reply, Status};
use crate::text::Excerpt;

/// Which answer a command gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The server speaks first: a status line.
    Greeting,
    /// A status line.
    Line,
    /// A status line; after `+OK`, lines up to a line of a single dot.
    Listing,
    /// A status line; after `+OK`, the text of a message.
    Message,
    /// A status line, or a SASL challenge.
    Challenge,
}

/// What came from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// Nothing more can be made of the input: read on, after what is left of it.
    Incomplete,
    /// A status line. For [`Shape::Listing`] and [`Shape::Message`], `+OK` is the beginning of the
    /// answer and `-ERR` all of it.
    Reply(Reply<'a>),
    /// A line of a listing, without its line end and its stuffed dot.
    Entry(&'a [u8]),
    /// The listing is complete.
    EndOfListing,
    /// More of the message was appended to the text.
    Text {
        /// How much of the message came so far, counted as for [`Event::EndOfMessage`].
        octets: u64,
    },
    /// The message is complete; nothing was appended.
    EndOfMessage {
        /// What came, as LIST counts it: CRLF as two, without stuffed dots.
        octets: u64,
    },
}

/// The server broke the protocol: nothing on this connection means anything any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A line longer than [`limits::LINE`].
    #[error(
        "a line of the server's answer is longer than {most} octets: \"{0}\"",
        most = limits::LINE
    )]
    LineTooLong(Excerpt),
    /// No status line where there must be one.
    #[error("the server's answer begins neither with +OK nor with -ERR{}: \"{line}\"", dialect.likeness())]
    NoStatus {
        /// What it looks like.
        dialect: Dialect,
        /// The line, or what there is of it.
        line: Excerpt,
    },
    /// Bytes that answer nothing: sent before the command, or injected.
    #[error("the server sent something that no command asked for: \"{0}\"")]
    Unsolicited(Excerpt),
    /// `+` where no SASL exchange is going on.
    #[error("the server sent a SASL challenge where none is possible: \"{0}\"")]
    Challenge(Excerpt),
}

/// Takes what a server sends apart, in whatever pieces it comes, and knows which command each
/// answer belongs to.
#[derive(Debug, Default)]
pub struct Receiver {
    /// The answers that have not ended, in the order of their commands.
    expected: VecDeque<Shape>,
    inside: Inside,
}

/// What of the first expected answer comes next.
#[derive(Debug, Default)]
enum Inside {
    #[default]
    Status,
    Listing,
    Message(Decoder),
}

type Received<'a> = Result<(usize, Event<'a>), Violation>;

impl Receiver {
    /// A receiver that expects nothing yet; a new connection begins with [`Shape::Greeting`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A command with this answer was sent.
    pub fn expect(&mut self, shape: Shape) {
        self.expected.push_back(shape);
    }

    /// How many answers have not ended.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.expected.len()
    }

    /// What `input` begins with, and how much of it that is. `input` is everything that came and
    /// was not consumed; a line is consumed whole, so the caller's buffer holds more than
    /// [`limits::LINE`] by at least two octets. The text of a message is appended to `text`, at
    /// most one byte more than `input` has.
    ///
    /// Every event but [`Event::Incomplete`] consumes something.
    ///
    /// # Errors
    ///
    /// The server broke the protocol. The connection is of no use any more: asked again, the same comes out.
    pub fn receive<'a>(&mut self, input: &'a [u8], text: &mut Vec<u8>) -> Received<'a> {
        match &mut self.inside {
            Inside::Status => self.status(input),
            Inside::Listing => self.entry(input),
            Inside::Message(decoder) => {
                let before = text.len();
                let progress = decoder.decode(input, text);
                let event = if progress.ended {
                    let octets = decoder.octets();
                    self.end();
                    Event::EndOfMessage { octets }
                } else if text.len() > before {
                    let octets = decoder.octets();
                    Event::Text { octets }
                } else {
                    Event::Incomplete
                };
                Ok((progress.consumed, event))
            }
        }
    }

    fn status<'a>(&mut self, input: &'a [u8]) -> Received<'a> {
        if input.is_empty() {
            return Ok((0, Event::Incomplete));
        }
        let Some(&shape) = self.expected.front() else {
            return Err(Violation::Unsolicited(Excerpt::of(first_line(input))));
        };
        // A TLS record may never hold a line feed: waiting for one would hide what is wrong.
        if Dialect::of(input) == Dialect::Tls {
            return Err(no_status(first_line(input)));
        }
        let Some((line, consumed)) = take_line(input)? else {
            return Ok((0, Event::Incomplete));
        };
        let reply = Reply::parse(line).ok_or_else(|| no_status(line))?;
        match (reply.status, shape) {
            (Status::Continue, Shape::Challenge) => self.end(),
            (Status::Continue, _) => return Err(Violation::Challenge(Excerpt::of(line))),
            (Status::Ok, Shape::Listing) => self.inside = Inside::Listing,
            (Status::Ok, Shape::Message) => self.inside = Inside::Message(Decoder::new()),
            (Status::Ok | Status::Err, _) => self.end(),
        }
        Ok((consumed, Event::Reply(reply)))
    }

    fn entry<'a>(&mut self, input: &'a [u8]) -> Received<'a> {
        let Some((line, consumed)) = take_line(input)? else {
            return Ok((0, Event::Incomplete));
        };
        let event = match line {
            b"." => {
                self.end();
                Event::EndOfListing
            }
            [b'.', unstuffed @ ..] => Event::Entry(unstuffed),
            entry => Event::Entry(entry),
        };
        Ok((consumed, event))
    }

    /// The first expected answer ends here.
    fn end(&mut self) {
        self.expected.pop_front();
        self.inside = Inside::Status;
    }
}

/// The first line without its LF or CRLF, and its length with it; none where it has not come whole.
fn take_line(input: &[u8]) -> Result<Option<(&[u8], usize)>, Violation> {
    let found = memchr(b'\n', input);
    let line = without_cr(&input[..found.unwrap_or(input.len())]);
    if line.len() > limits::LINE {
        return Err(Violation::LineTooLong(Excerpt::of(line)));
    }
    Ok(found.map(|line_feed| (line, line_feed + 1)))
}

fn first_line(input: &[u8]) -> &[u8] {
    without_cr(&input[..memchr(b'\n', input).unwrap_or(input.len())])
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn no_status(line: &[u8]) -> Violation {
    Violation::NoStatus {
        dialect: Dialect::of(line),
        line: Excerpt::of(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop3::ResponseCode;
    use proptest::prelude::*;

    /// An event that owns what it says; the pieces of a message are put together.
    #[derive(Debug, Clone, PartialEq)]
    enum Seen {
        Reply(Status, Option<ResponseCode>, Vec<u8>),
        Entry(Vec<u8>),
        EndOfListing,
        Message(Vec<u8>, u64),
        Unfinished(Vec<u8>),
        Violation(Violation),
    }

    /// Everything a receiver makes of these bytes, given to it in pieces of these lengths, over and over.
    fn seen(shapes: &[Shape], wire: &[u8], lengths: &[usize]) -> Vec<Seen> {
        let mut receiver = Receiver::new();
        for &shape in shapes {
            receiver.expect(shape);
        }
        let (mut seen, mut text) = (Vec::new(), Vec::new());
        let (mut start, mut end) = (0, 0);
        let mut lengths = lengths.iter().cycle();
        loop {
            let (consumed, event) = match receiver.receive(&wire[start..end], &mut text) {
                Ok(received) => received,
                Err(violation) => {
                    seen.push(Seen::Violation(violation));
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
                    let length = lengths.next().copied().unwrap_or(wire.len());
                    end = wire.len().min(end + length.max(1));
                    continue;
                }
                Event::Text { .. } => continue,
                Event::Reply(reply) => Seen::Reply(reply.status, reply.code, reply.text.to_vec()),
                Event::Entry(entry) => Seen::Entry(entry.to_vec()),
                Event::EndOfListing => Seen::EndOfListing,
                Event::EndOfMessage { octets } => Seen::Message(std::mem::take(&mut text), octets),
            });
        }
    }

    fn at_once(shapes: &[Shape], wire: &[u8]) -> Vec<Seen> {
        seen(shapes, wire, &[])
    }

    fn ok(text: &str) -> Seen {
        Seen::Reply(Status::Ok, None, text.into())
    }

    fn violation(shapes: &[Shape], wire: &[u8]) -> Violation {
        match at_once(shapes, wire).pop() {
            Some(Seen::Violation(violation)) => violation,
            other => panic!("no violation but {other:?}"),
        }
    }

    #[test]
    fn answers_come_in_the_order_of_the_commands() {
        let shapes = [Shape::Greeting, Shape::Listing, Shape::Message, Shape::Line];
        let wire = b"+OK hello\r\n+OK\r\n1 10\r\n..2\r\n.\r\n+OK 3 octets\r\na\r\n.\r\n-ERR [IN-USE] no\r\n";
        assert_eq!(
            at_once(&shapes, wire),
            [
                ok("hello"),
                ok(""),
                Seen::Entry(b"1 10".into()),
                Seen::Entry(b".2".into()),
                Seen::EndOfListing,
                ok("3 octets"),
                Seen::Message(b"a\n".into(), 3),
                Seen::Reply(
                    Status::Err,
                    Some(ResponseCode::InUse),
                    b"[IN-USE] no".into()
                ),
            ]
        );
    }

    #[test]
    fn status_lines_and_listings_may_end_in_lf_alone_but_a_message_may_not() {
        assert_eq!(
            at_once(&[Shape::Listing], b"+OK\n1 10\n.\n"),
            [ok(""), Seen::Entry(b"1 10".into()), Seen::EndOfListing]
        );
        assert_eq!(
            at_once(&[Shape::Message], b"+OK\na\n.\n"),
            [ok(""), Seen::Unfinished(b"a\n.\n".into())]
        );
    }

    #[test]
    fn an_error_is_the_whole_answer_to_a_multi_line_command() {
        let err = Seen::Reply(Status::Err, None, b"no such message".into());
        for shape in [Shape::Message, Shape::Listing] {
            assert_eq!(
                at_once(&[shape, Shape::Line], b"-ERR no such message\r\n+OK\r\n"),
                [err.clone(), ok("")]
            );
        }
    }

    #[test]
    fn an_answer_is_outstanding_until_its_end() {
        let mut receiver = Receiver::new();
        let mut text = Vec::new();
        receiver.expect(Shape::Listing);
        receiver.expect(Shape::Line);
        receiver.receive(b"+OK\r\n", &mut text).expect("a reply");
        assert_eq!(receiver.outstanding(), 2);
        receiver.receive(b".\r\n", &mut text).expect("the end");
        assert_eq!(receiver.outstanding(), 1);
        receiver.receive(b"+OK\r\n", &mut text).expect("a reply");
        assert_eq!(receiver.outstanding(), 0);
    }

    #[test]
    fn a_challenge_is_possible_only_in_an_exchange() {
        let challenge = Seen::Reply(Status::Continue, None, b"".into());
        assert_eq!(at_once(&[Shape::Challenge], b"+\r\n"), [challenge]);
        assert_eq!(at_once(&[Shape::Challenge], b"+OK\r\n"), [ok("")]);
        for shape in [Shape::Greeting, Shape::Line, Shape::Listing, Shape::Message] {
            assert!(matches!(
                violation(&[shape], b"+ abc\r\n"),
                Violation::Challenge(_)
            ));
        }
    }

    #[test]
    fn bytes_that_nothing_asked_for_are_a_violation_at_once() {
        let injected = violation(&[Shape::Line], b"+OK begin TLS\r\n+OK inj");
        assert_eq!(
            injected.to_string(),
            "the server sent something that no command asked for: \"+OK inj\""
        );
        assert!(matches!(violation(&[], b"\n"), Violation::Unsolicited(_)));
    }

    #[test]
    fn a_message_that_ended_early_shows_in_the_next_answer() {
        let shapes = [Shape::Message, Shape::Line];
        let broken = violation(&shapes, b"+OK\r\na\r\n.\r\nrest of the body\r\n.\r\n");
        assert_eq!(
            broken.to_string(),
            "the server's answer begins neither with +OK nor with -ERR: \"rest of the body\""
        );
    }

    #[test]
    fn a_server_of_another_protocol_is_named() {
        let smtp = violation(&[Shape::Greeting], b"220 mx\x1b[2J ESMTP\r\n");
        assert_eq!(
            smtp.to_string(),
            "the server's answer begins neither with +OK nor with -ERR but looks like SMTP: \"220 mx\\x1b[2J ESMTP\""
        );
        let tls = violation(&[Shape::Greeting], b"\x15\x03\x01\x00\x02\x02\x46");
        assert!(matches!(
            tls,
            Violation::NoStatus {
                dialect: Dialect::Tls,
                ..
            }
        ));
    }

    #[test]
    fn a_line_has_a_limit_outside_messages_only() {
        let longest = vec![b'x'; limits::LINE];
        let entry = [b"+OK\r\n", longest.as_slice(), b"\r\n"].concat();
        assert_eq!(
            at_once(&[Shape::Listing], &entry),
            [ok(""), Seen::Entry(longest.clone())]
        );
        let endless = [b"+OK ", longest.as_slice()].concat();
        for shape in [Shape::Greeting, Shape::Listing, Shape::Message] {
            let refused = violation(&[shape], &endless);
            assert!(matches!(refused, Violation::LineTooLong(_)));
            assert!(refused.to_string().len() < 400);
        }
        let entry = [b"+OK\r\n", longest.as_slice(), b"x"].concat();
        assert!(matches!(
            violation(&[Shape::Listing], &entry),
            Violation::LineTooLong(_)
        ));
        let message = [b"+OK\r\n", longest.as_slice(), &longest, b"\r\n.\r\n"].concat();
        let octets = 2 * limits::LINE as u64 + 2;
        assert!(matches!(
            at_once(&[Shape::Message], &message)[..],
            [_, Seen::Message(_, counted)] if counted == octets
        ));
    }

    fn shapes() -> impl Strategy<Value = Vec<Shape>> {
        let shape = prop::sample::select(vec![
            Shape::Greeting,
            Shape::Line,
            Shape::Listing,
            Shape::Message,
            Shape::Challenge,
        ]);
        prop::collection::vec(shape, 0..6)
    }

    fn dialogue() -> impl Strategy<Value = Vec<u8>> {
        let atom = prop_oneof![
            4 => prop::sample::select(vec![
                "+OK", "-ERR", "+ ", "+", " ", "[AUTH]", "\r\n", "\r\n", "\r\n", "\n", "\r", ".", ".\r\n", "\r\n.\r\n",
                "1 2", "x", "+OK\r\n", "-ERR no\r\n",
            ])
            .prop_map(|atom| atom.as_bytes().to_vec()),
            1 => any::<u8>().prop_map(|byte| vec![byte]),
        ];
        prop::collection::vec(atom, 0..40).prop_map(|atoms| atoms.concat())
    }

    /// What was unsolicited or TLS is reported without waiting for more of it, so the excerpt may differ.
    fn without_excerpts(seen: Vec<Seen>) -> Vec<Seen> {
        let cut = |seen| match seen {
            Seen::Violation(Violation::Unsolicited(_)) => {
                Seen::Violation(Violation::Unsolicited(Excerpt::of(b"")))
            }
            Seen::Violation(Violation::NoStatus {
                dialect: Dialect::Tls,
                ..
            }) => Seen::Violation(no_status(b"\x16\x03\x01")),
            seen => seen,
        };
        seen.into_iter().map(cut).collect()
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(
            shapes in shapes(),
            wire in dialogue(),
            lengths in prop::collection::vec(1..12_usize, 1..20),
        ) {
            prop_assert_eq!(
                without_excerpts(seen(&shapes, &wire, &lengths)),
                without_excerpts(at_once(&shapes, &wire))
            );
        }

        #[test]
        fn no_bytes_upset_it(shapes in shapes(), wire: Vec<u8>, length in 1..9_usize) {
            // More events than bytes would be a loop.
            prop_assert!(seen(&shapes, &wire, &[length]).len() <= wire.len() + 1);
        }
    }
}
