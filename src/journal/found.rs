//! Copies of messages that only their content identifies: which of them were found.

use std::collections::HashSet;

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
