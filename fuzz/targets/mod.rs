//! What is fuzzed: each target takes any bytes, and must neither panic nor break what is asserted.
//! Where it can be said simply, a target says again, in the plainest way, what the program should
//! make of the input, and compares.

mod capability;
mod configuration;
mod journal;
mod listing;
mod mbox;
mod multiline;
mod receiver;
mod reply;
mod sasl;

use tempfile::TempDir;

/// A target.
pub(crate) struct Target {
    /// Its name, and that of the directory with its inputs in `fuzz/corpus`.
    pub(crate) name: &'static str,
    /// Takes any bytes.
    pub(crate) run: fn(&[u8]),
}

/// Every target.
pub(crate) const ALL: [Target; 9] = [
    target("reply", reply::run),
    target("receiver", receiver::run),
    target("multiline", multiline::run),
    target("capability", capability::run),
    target("listing", listing::run),
    target("sasl", sasl::run),
    target("journal", journal::run),
    target("configuration", configuration::run),
    target("mbox", mbox::run),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// Reads choices off the front of an input. Where it is used up, every choice is the first.
struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&byte, rest)) => {
                self.0 = rest;
                byte
            }
            None => 0,
        }
    }

    fn flag(&mut self) -> bool {
        self.byte().is_multiple_of(2)
    }

    fn below(&mut self, bound: usize) -> usize {
        let chosen = usize::from(self.byte()) << 8 | usize::from(self.byte());
        chosen % bound.max(1)
    }

    /// This many bytes, or as many as there are.
    fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// One to four lengths: those of the pieces in which something comes, over and over.
    fn lengths(&mut self) -> Vec<usize> {
        let count = 1 + self.byte() % 4;
        (0..count)
            .map(|_| usize::from(self.byte()).max(1))
            .collect()
    }
}

/// Cuts bytes into pieces of these lengths, over and over.
fn pieces<'a>(mut bytes: &'a [u8], lengths: &[usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut lengths = lengths.iter().cycle();
    std::iter::from_fn(move || {
        let length = (*lengths.next()?).min(bytes.len());
        let (piece, rest) = bytes.split_at(length);
        bytes = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// A directory that this thread has for itself.
fn with_directory(work: impl FnOnce(&std::path::Path)) {
    thread_local! {
        static DIRECTORY: TempDir = tempfile::tempdir().expect("a directory");
    }
    DIRECTORY.with(|directory| work(directory.path()));
}

/// What a person is shown must not be able to do anything to a terminal.
fn assert_harmless(shown: &str) {
    let is_harmful = |character: char| {
        (character.is_control() && character != '\n')
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!shown.contains(is_harmful), "{}", shown.escape_debug());
}
