//! Copies of messages that only their content identifies: where they were put, and which were found there.

use std::collections::HashSet;
use std::path::Path;

use super::format;
use super::loading;
use super::record::{Intent, Record};
use crate::error::Result;
use crate::mail::Digest;

/// Copies that were just found, whole, in the places where the journal says that they were put. True of
/// one session: what a mailbox holds is not ours alone.
#[derive(Debug, Default)]
pub struct Found(HashSet<(Digest, u32)>);

impl Found {
    /// A copy of the message with this content was found in this destination.
    pub fn add(&mut self, digest: Digest, to: u32) {
        self.0.insert((digest, to));
    }

    /// Whether there was one.
    pub(super) fn has(&self, digest: Digest, to: u32) -> bool {
        self.0.contains(&(digest, to))
    }
}

/// The records of all messages with such content: see [`super::Journal::copies`].
pub(super) fn read(path: &Path, wanted: &HashSet<Digest>) -> Result<Vec<Intent>> {
    let mut copies = Vec::new();
    loading::each_line(path, |line| {
        // Damage was told when the journal was opened.
        if let Ok(Record::Stored { intent, .. }) = format::read(line)
            && wanted.contains(&intent.digest)
        {
            copies.push(intent);
        }
        Ok(())
    })?;
    Ok(copies)
}
