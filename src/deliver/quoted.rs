//! A batch of messages in mboxrd form, waiting to be written behind one another.

use std::ops::Range;
use std::path::PathBuf;

use jiff::Timestamp;

use super::mboxrd::{self, Quoter};
use super::spool::Spool;
use super::{Complete, DeliveryError};
use crate::error::{Failure, Result};

/// The messages of a batch, quoted.
pub(super) struct QuotedBatch {
    spool: Spool,
    growing: Option<Growing>,
    messages: Vec<Quoted>,
}

/// A message that is being written.
struct Growing {
    quoter: Quoter,
    start: u64,
}

/// A message that is whole.
pub(super) struct Quoted {
    from_line: String,
    /// Where the quoted text and its empty line are in the spool.
    text: Range<u64>,
}

impl Quoted {
    /// The length of all of it, in bytes.
    pub(super) fn length(&self) -> u64 {
        self.from_line.len() as u64 + self.text.end - self.text.start
    }
}

impl QuotedBatch {
    /// An empty batch, with its spool in this directory.
    pub(super) fn new(directory: PathBuf) -> Self {
        QuotedBatch {
            spool: Spool::new(directory),
            growing: None,
            messages: Vec::new(),
        }
    }

    /// See [`super::Destination::begin`].
    pub(super) fn begin(&mut self) {
        self.abandon();
        self.growing = Some(Growing {
            quoter: Quoter::new(),
            start: self.spool.length(),
        });
    }

    /// See [`super::Destination::write`].
    pub(super) fn write(&mut self, text: &[u8]) -> Result<(), DeliveryError> {
        let growing = self.growing.as_mut().expect("begin comes before write");
        let written = growing.quoter.quote(text, |bytes| self.spool.write(bytes));
        written.map_err(DeliveryError::Destination)
    }

    /// See [`super::Destination::end`]; the message counts as stored at this time.
    pub(super) fn end(
        &mut self,
        message: &Complete<'_>,
        stored: Timestamp,
    ) -> Result<(), DeliveryError> {
        let Growing { quoter, start } = self.growing.take().expect("begin comes before end");
        if let Err(failure) = quoter.finish(|bytes| self.spool.write(bytes)) {
            self.spool.cut(start);
            return Err(DeliveryError::Destination(failure));
        }
        self.messages.push(Quoted {
            from_line: mboxrd::from_line(message.sender, stored),
            text: start..self.spool.length(),
        });
        Ok(())
    }

    /// See [`super::Destination::abandon`].
    pub(super) fn abandon(&mut self) {
        if let Some(growing) = self.growing.take() {
            self.spool.cut(growing.start);
        }
    }

    /// The messages that are whole, in the order they came.
    pub(super) fn messages(&self) -> &[Quoted] {
        &self.messages
    }

    /// Passes all of a message on, piece by piece.
    ///
    /// # Errors
    ///
    /// It could not be read, or the first thing that went wrong while it was passed on.
    pub(super) fn copy<E: From<Failure>>(
        &self,
        message: &Quoted,
        mut pass: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        pass(message.from_line.as_bytes())?;
        self.spool.copy(message.text.clone(), pass)
    }

    /// Begins a new batch.
    pub(super) fn clear(&mut self) {
        self.growing = None;
        self.messages.clear();
        self.spool.cut(0);
    }
}
