//! Copies of messages that only their content identifies: where they were put.

use std::collections::HashSet;
use std::path::Path;

use super::format;
use super::loading;
use super::record::{Intent, Record};
use crate::error::Result;
use crate::mail::Digest;

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
