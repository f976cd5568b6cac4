//! What the servers hold.

use popfetch::mail::Digest;
use sha2::{Digest as _, Sha256};

use crate::shared::fetcher::body;
use crate::support::certificates::Certificates;
use crate::support::dovecot::{Dovecot, Port};
use crate::support::messages::{Generator, Shape, stored_form};

/// The messages of a maildrop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// This many, each of about this many octets.
    Equal { count: usize, octets: usize },
    /// This many as people have them: median 12 KB, up to 5 MB, some 68 KB on average.
    Mixed { count: usize },
}

impl Load {
    pub(crate) fn count(self) -> usize {
        match self {
            Load::Equal { count, .. } | Load::Mixed { count } => count,
        }
    }

    /// The messages in wire form, the same at every call. `maildrop` makes them differ from another's.
    fn messages(self, maildrop: u64) -> impl Iterator<Item = Vec<u8>> {
        let mut generator = Generator::new(maildrop);
        (0..self.count()).map(move |index| match self {
            Load::Equal { octets, .. } => generator.message(Shape::Plain, octets),
            Load::Mixed { .. } => {
                let shape = match index % 20 {
                    0..8 => Shape::Plain,
                    8..13 => Shape::Attachment,
                    13..17 => Shape::EightBit,
                    17 => Shape::Dots,
                    18 => Shape::FromLines,
                    _ => Shape::NoFinalNewline,
                };
                generator.message(shape, mixed(index))
            }
        })
    }
}

/// A size out of a hundred typical ones, in an order without pattern; now and then one of 5 MB.
fn mixed(index: usize) -> usize {
    if index % 1000 == 17 {
        return 5_000_000;
    }
    let rank = index * 37 % 100;
    match rank {
        0..50 => 2_000 + rank * 200,
        50..85 => 12_000 + (rank - 50) * 800,
        85..97 => 40_000 + (rank - 85) * 30_000,
        _ => 400_000 + (rank - 97) * 600_000,
    }
}

/// A server with a full maildrop, and what has to be stored of it.
pub(crate) struct Maildrop {
    dovecot: Dovecot,
    load: Load,
    seed: u64,
    pub(crate) expected: Expected,
    pub(crate) octets: u64,
}

/// What has to be there in the end: digests, sorted.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// Of messages as they are to be stored.
    pub(crate) digests: Vec<Digest>,
    /// Of their bodies alone: some programs add to the header.
    pub(crate) bodies: Vec<Digest>,
}

impl Expected {
    fn sort(&mut self) {
        self.digests.sort_unstable_by_key(|digest| digest.0);
        self.bodies.sort_unstable_by_key(|digest| digest.0);
    }

    /// What several maildrops hold together.
    pub(crate) fn of<'a>(maildrops: impl IntoIterator<Item = &'a Maildrop>) -> Self {
        let mut all = Expected::default();
        for maildrop in maildrops {
            all.digests.extend(&maildrop.expected.digests);
            all.bodies.extend(&maildrop.expected.bodies);
        }
        all.sort();
        all
    }
}

impl Maildrop {
    /// Starts a server and fills it.
    pub(crate) fn new(certificates: &Certificates, load: Load, seed: u64) -> Self {
        let mut maildrop = Maildrop {
            dovecot: Dovecot::start(certificates),
            load,
            seed,
            expected: Expected::default(),
            octets: 0,
        };
        maildrop.fill();
        maildrop
    }

    pub(crate) fn port(&self) -> u16 {
        self.dovecot.endpoint(Port::Implicit).port
    }

    fn fill(&mut self) {
        for message in self.load.messages(self.seed) {
            self.take(message);
        }
        self.expected.sort();
    }

    /// This many more arrive; returns what has to be stored of these.
    pub(crate) fn arrive(&mut self, count: usize) -> Expected {
        let before = std::mem::take(&mut self.expected);
        let octets = 4_000;
        for message in (Load::Equal { count, octets }).messages(self.seed + 1_000) {
            self.take(message);
        }
        let mut arrived = std::mem::replace(&mut self.expected, before);
        arrived.sort();
        arrived
    }

    fn take(&mut self, message: Vec<u8>) {
        let stored = stored_form(&message);
        self.octets += message.len() as u64;
        self.expected.digests.push(digest(&stored));
        self.expected.bodies.push(digest(body(&stored)));
        self.dovecot.fill([message]);
    }

    /// Fills it again where everything was deleted.
    pub(crate) fn refill(&mut self) {
        if self.dovecot.messages() == 0 {
            self.dovecot.fill(self.load.messages(self.seed));
        }
    }

    /// Whether nothing is left on the server.
    pub(crate) fn is_empty(&self) -> bool {
        self.dovecot.messages() == 0
    }
}

pub(crate) fn digest(text: &[u8]) -> Digest {
    Digest(Sha256::digest(text).into())
}
