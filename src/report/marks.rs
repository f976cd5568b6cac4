//! What `state mark-seen` came to.

use std::io::{self, Write};

use serde::Serialize;

use super::{DONE_IN_PART, ErrorLine};
use crate::error::Failure;

/// What marking an account's messages as seen came to.
#[derive(Debug, Default)]
pub struct Marks {
    /// The account's name.
    pub account: String,
    /// How many messages were marked.
    pub marked: u64,
    /// How many were stored or seen before, and left as they are.
    pub already_known: u64,
    /// How many were not marked, since several messages have their unique-id.
    pub shared: u64,
    /// How many were not marked, since the server gives them no unique-id.
    pub without_unique_id: u64,
    /// What names no message that the server lists, as a person may write it.
    pub not_found: Vec<String>,
    /// Why nothing was marked.
    pub failure: Option<Failure>,
}

impl Marks {
    /// Whether every message that was meant is marked or known.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failure.is_none()
            && self.shared == 0
            && self.without_unique_id == 0
            && self.not_found.is_empty()
    }

    /// The exit status.
    #[must_use]
    pub fn status(&self) -> u8 {
        match &self.failure {
            Some(failure) => failure.kind().status(),
            None if self.is_complete() => 0,
            None => DONE_IN_PART,
        }
    }

    /// Writes it as one line of JSON, line end included. The keys and their order are an interface.
    ///
    /// # Errors
    ///
    /// It could not be written.
    pub fn write_json(&self, mut out: impl Write) -> io::Result<()> {
        let line = Line {
            account: &self.account,
            marked: self.marked,
            already_known: self.already_known,
            shared: self.shared,
            without_unique_id: self.without_unique_id,
            not_found: &self.not_found,
            error: self.failure.as_ref().map(ErrorLine::from),
        };
        serde_json::to_writer(&mut out, &line)?;
        out.write_all(b"\n")
    }
}

/// The fields' order is the keys' order.
#[derive(Serialize)]
struct Line<'a> {
    account: &'a str,
    marked: u64,
    already_known: u64,
    shared: u64,
    without_unique_id: u64,
    not_found: &'a [String],
    error: Option<ErrorLine>,
}
