//! Mail of every shape, the same at every run.
//!
//! Texts are made in *wire form*: lines end in CRLF. The last line end may be missing; servers add it.

/// What a client has to store of a text in wire form: the line end that the server adds where the
/// last one is missing, and CRLF turned into LF.
pub(crate) fn stored_form(wire: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(wire.len() + 1);
    let mut bytes = wire.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\r' || bytes.peek() != Some(&b'\n') {
            stored.push(byte);
        }
    }
    if !wire.is_empty() && !wire.ends_with(b"\r\n") {
        stored.push(b'\n');
    }
    stored
}

/// What a message is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Lines of plain words.
    Plain,
    /// A text and an attachment in base64.
    Attachment,
    /// Latin-1, so not UTF-8.
    EightBit,
    /// Lines that begin with dots, and lines of nothing but dots.
    Dots,
    /// Lines that begin with `From `, as an mbox separates messages.
    FromLines,
    /// NUL bytes and CRs without LF.
    Controls,
    /// One line that fills the whole size.
    LongLine,
    /// The last line does not end.
    NoFinalNewline,
    /// Nothing after the header, not even the empty line.
    HeaderOnly,
    /// No octet at all.
    Empty,
}

impl Shape {
    /// Every shape.
    pub(crate) const ALL: [Shape; 10] = [
        Shape::Plain,
        Shape::Attachment,
        Shape::EightBit,
        Shape::Dots,
        Shape::FromLines,
        Shape::Controls,
        Shape::LongLine,
        Shape::NoFinalNewline,
        Shape::HeaderOnly,
        Shape::Empty,
    ];
}

/// One message of every shape, small ones, and a line of a megabyte.
pub(crate) fn one_of_each() -> Vec<Vec<u8>> {
    let mut generator = Generator::new(1);
    let size = |shape| {
        if shape == Shape::LongLine {
            1 << 20
        } else {
            6_000
        }
    };
    let make = |shape| generator.message(shape, size(shape));
    Shape::ALL.into_iter().map(make).collect()
}

/// Small plain messages, each different.
pub(crate) fn small(count: usize) -> Vec<Vec<u8>> {
    let mut generator = Generator::new(2);
    let make = |_| generator.message(Shape::Plain, 600);
    (0..count).map(make).collect()
}

/// Messages as a maildrop holds them: 4 KB to 5 MB, most of them small, of all shapes that mail
/// comes in. About 35 KB on average.
pub(crate) fn realistic(count: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut generator = Generator::new(3);
    (0..count).map(move |index| {
        let size = match index {
            17 => 5_000_000,
            _ => generator.realistic_size(),
        };
        generator.realistic_message(size)
    })
}

/// Makes messages from a seed: the same seed, the same messages.
pub(crate) struct Generator {
    random: Random,
    made: u64,
}

impl Generator {
    /// A generator that begins here.
    pub(crate) fn new(seed: u64) -> Self {
        Generator {
            random: Random(seed),
            made: 0,
        }
    }

    /// A message of about this many octets, where its shape allows it.
    pub(crate) fn message(&mut self, shape: Shape, size: usize) -> Vec<u8> {
        if shape == Shape::Empty {
            return Vec::new();
        }
        let mut message = self.header(shape);
        if shape == Shape::HeaderOnly {
            return message;
        }
        message.extend_from_slice(b"\r\n");
        match shape {
            Shape::LongLine => self.long_line(&mut message, size),
            Shape::Attachment => self.attachment(&mut message, size),
            _ => self.lines(shape, &mut message, size),
        }
        if shape == Shape::NoFinalNewline {
            message.extend_from_slice(b"and here the text stops");
        }
        message
    }

    fn realistic_message(&mut self, size: usize) -> Vec<u8> {
        let shape = match self.random.below(100) {
            0..=39 => Shape::Plain,
            40..=64 => Shape::Attachment,
            65..=84 => Shape::EightBit,
            85..=89 => Shape::Dots,
            90..=94 => Shape::FromLines,
            95..=97 => Shape::NoFinalNewline,
            _ => Shape::LongLine,
        };
        self.message(shape, size)
    }

    fn realistic_size(&mut self) -> usize {
        let (least, most) = match self.random.below(1000) {
            0..=899 => (4_000, 24_000),
            900..=989 => (24_000, 250_000),
            990..=998 => (250_000, 2_000_000),
            _ => (2_000_000, 5_000_000),
        };
        least + self.random.below(most - least)
    }

    fn header(&mut self, shape: Shape) -> Vec<u8> {
        self.made += 1;
        let (number, token) = (self.made, self.random.next());
        let hour = number % 24;
        let kind = match shape {
            Shape::Attachment => "multipart/mixed; boundary=\"=_next\"",
            Shape::EightBit => "text/plain; charset=iso-8859-1",
            _ => "text/plain; charset=us-ascii",
        };
        format!(
            "Return-Path: <sender{number}@example.org>\r\n\
             Received: from mx.example.org (mx.example.org [192.0.2.7])\r\n\
             \tby mail.example.com with ESMTPS id {token:016x}\r\n\
             \tfor <alice@example.com>; Tue, 3 Mar 2026 {hour:02}:15:00 +0100\r\n\
             From: Sender {number} <sender{number}@example.org>\r\n\
             To: Alice <alice@example.com>\r\n\
             Subject: {shape:?}, number {number}\r\n\
             Date: Tue, 3 Mar 2026 {hour:02}:14:58 +0100\r\n\
             Message-ID: <{token:016x}.{number}@example.org>\r\n\
             MIME-Version: 1.0\r\n\
             Content-Type: {kind}\r\n\
             Content-Transfer-Encoding: 8bit\r\n"
        )
        .into_bytes()
    }

    fn lines(&mut self, shape: Shape, message: &mut Vec<u8>, size: usize) {
        loop {
            match shape {
                Shape::Dots => message.extend(std::iter::repeat_n(b'.', self.random.below(4))),
                Shape::FromLines if self.random.below(3) == 0 => {
                    message.extend(std::iter::repeat_n(b'>', self.random.below(3)));
                    message.extend_from_slice(b"From ");
                }
                Shape::Controls => {
                    const CONTROLS: [&[u8]; 4] = [b"\0", b"\r", b"\r\r", b"\x1b[31m"];
                    message.extend_from_slice(CONTROLS[self.random.below(CONTROLS.len())]);
                }
                Shape::EightBit => message.extend_from_slice(b"Gr\xfc\xdfe aus K\xf6ln "),
                _ => {}
            }
            if shape != Shape::Dots || self.random.below(2) == 0 {
                self.words(message);
            }
            message.extend_from_slice(b"\r\n");
            if message.len() >= size {
                return;
            }
        }
    }

    fn words(&mut self, message: &mut Vec<u8>) {
        const WORDS: [&str; 16] = [
            "the", "letter", "harbour", "evening", "and", "seven", "quiet", "meeting", "about",
            "garden", "answer", "window", "please", "with", "thanks", "tomorrow",
        ];
        for _ in 0..3 + self.random.below(8) {
            let word = WORDS[self.random.below(WORDS.len())];
            message.extend_from_slice(word.as_bytes());
            message.push(b' ');
        }
        message.extend_from_slice(b"so it goes");
    }

    fn long_line(&mut self, message: &mut Vec<u8>, size: usize) {
        while message.len() < size {
            self.words(message);
        }
        message.extend_from_slice(b"\r\n");
    }

    fn attachment(&mut self, message: &mut Vec<u8>, size: usize) {
        message.extend_from_slice(b"--=_next\r\nContent-Type: text/plain\r\n\r\n");
        self.words(message);
        message.extend_from_slice(
            b"\r\n--=_next\r\nContent-Type: application/octet-stream; name=\"data.bin\"\r\n\
              Content-Transfer-Encoding: base64\r\n\r\n",
        );
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        while message.len() < size {
            for _ in 0..8 {
                let bits = self.random.next();
                message.extend((0..9).map(|i| ALPHABET[(bits >> (6 * i) & 63) as usize]));
            }
            message.extend_from_slice(b"\r\n");
        }
        message.extend_from_slice(b"--=_next--\r\n");
    }
}

/// SplitMix64: small, quick, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// A dozen pleasant messages for the demo.
pub(crate) fn sample_mailbox() -> Vec<Vec<u8>> {
    const LETTERS: [(&str, &str, &str); 12] = [
        (
            "Ada Lovelace",
            "Notes on the Engine",
            "The Engine weaves algebraic patterns, as the loom weaves flowers and leaves.\n\nMore on note G tomorrow.",
        ),
        (
            "Grace Hopper",
            "Found it",
            "It was a moth. I have taped it into the log book.\n\n  15:45  relay 70, panel F",
        ),
        (
            "The Library",
            "Your reservation is ready",
            "A Room of One's Own is waiting for you at the counter until Saturday.",
        ),
        (
            "Aunt Ottilie",
            "The garden",
            "The plums are early this year. Come before the wasps do,\nand bring the large basket.",
        ),
        (
            "Jon",
            "Tuesday?",
            "Climbing at seven, or soup at eight. Or both.\n\n> Are you free on Tuesday?\nAlways.",
        ),
        (
            "Harbour Office",
            "Ferry timetable, winter",
            "From 1 November the last boat leaves at 21:40.\nFrom the old pier, not the new one.",
        ),
        (
            "Mei",
            "Photos from the ridge",
            "Forty pictures of fog, and one of a goat. You get the goat.\n\n(It is the one with the horns.)",
        ),
        (
            "Night Watch",
            "All quiet",
            "..\n.\n...\nNothing to report. The dots above are stars.",
        ),
        (
            "Proof Reader",
            "Chapter four",
            "From here on it is very good. Two commas on page 91,\nand \"whom\" should be \"who\".",
        ),
        (
            "Radio Club",
            "Band conditions",
            "Ten metres opened at noon. LastLogin three continents with a wire in a tree.",
        ),
        (
            "Tomás",
            "Recipe",
            "1 kg of flour, 20 g of salt, water until it feels right, time until it smells right.",
        ),
        (
            "Postmaster",
            "Welcome",
            "This maildrop is yours. Fetch it while it is warm.",
        ),
    ];
    let letter = |(index, &(from, subject, text)): (usize, &(&str, &str, &str))| {
        let day = index + 1;
        let mailbox = from.split(' ').next().unwrap_or(from);
        let address = mailbox.to_lowercase().replace('á', "a");
        format!(
            "From: {from} <{address}@example.org>\n\
             To: You <alice@example.com>\n\
             Subject: {subject}\n\
             Date: {weekday}, {day} Mar 2026 08:{day:02}:00 +0000\n\
             Message-ID: <{day}.sample@example.org>\n\
             MIME-Version: 1.0\n\
             Content-Type: text/plain; charset=utf-8\n\
             Content-Transfer-Encoding: 8bit\n\n{text}\n",
            weekday = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"][index % 7],
        )
        .replace('\n', "\r\n")
        .into_bytes()
    };
    LETTERS.iter().enumerate().map(letter).collect()
}
