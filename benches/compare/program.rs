//! The programs that are compared: those that fetch mail, and floors.

use std::fs;
use std::path::Path;
use std::process::Command;

use popfetch::mail::Digest;

use crate::floor::Floor;
use crate::load::{Expected, digest};
use crate::shared::fetcher::{Fetcher, Order, body, entries, stored};

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Program {
    Fetcher(Fetcher),
    Floor(Floor),
}

impl Program {
    pub(crate) const POPFETCH: Program = Program::Fetcher(Fetcher::Popfetch);
    pub(crate) const MPOP: Program = Program::Fetcher(Fetcher::Mpop);
    pub(crate) const FETCHMAIL: Program = Program::Fetcher(Fetcher::Fetchmail);
    pub(crate) const GETMAIL: Program = Program::Fetcher(Fetcher::Getmail);

    pub(crate) fn name(self) -> &'static str {
        match self {
            Program::Fetcher(fetcher) => fetcher.name(),
            Program::Floor(floor) => floor.name(),
        }
    }

    /// Writes the configuration into `home` and returns the command to run.
    pub(crate) fn prepare(self, popfetch: &Path, home: &Path, order: &Order<'_>) -> Command {
        match self {
            Program::Fetcher(fetcher) => fetcher.prepare(popfetch, home, order),
            Program::Floor(floor) => {
                floor.command(&order.authority, &home.join("files"), order.ports)
            }
        }
    }

    /// Whether every one of these messages was stored once and nothing else.
    pub(crate) fn check(
        self,
        home: &Path,
        order: &Order<'_>,
        expected: &Expected,
    ) -> Result<(), String> {
        let (texts, bodies_alone) = match self {
            Program::Floor(Floor::Files | Floor::DurableFiles) => (written(home), false),
            Program::Floor(_) => return Ok(()),
            Program::Fetcher(fetcher) => (stored(home, order.store), fetcher.adds_to_header()),
        };
        let wanted = match bodies_alone {
            true => &expected.bodies,
            false => &expected.digests,
        };
        let part = |text: &Vec<u8>| digest(if bodies_alone { body(text) } else { text });
        let mut stored: Vec<Digest> = texts.iter().map(part).collect();
        stored.sort_unstable_by_key(|digest| digest.0);
        match stored == *wanted {
            true => Ok(()),
            false => Err(format!(
                "{} stored {} messages, which are not the {} it was sent",
                self.name(),
                stored.len(),
                wanted.len()
            )),
        }
    }
}

/// What a floor wrote: a directory of files for each server.
fn written(home: &Path) -> Vec<Vec<u8>> {
    let directories = entries(&home.join("files"));
    let files = directories.iter().flat_map(|directory| entries(directory));
    files
        .map(|file| fs::read(file).expect("a message"))
        .collect()
}
