//! The messages of a batch, one after another in a spool, until all of it can be handed on.

use std::ops::Range;
use std::path::PathBuf;

use super::mboxrd::Quoter;
use super::spool::Spool;
use super::{Complete, DeliveryError, MessageWriter};
use crate::error::Result;
use crate::fs::Error;

/// A batch; of each message it knows a `T`.
pub(super) struct Batch<T> {
    spool: Spool,
    messages: Vec<Spooled<T>>,
}

/// A message that is whole.
pub(super) struct Spooled<T> {
    pub(super) about: T,
    /// Where its text is in the spool.
    pub(super) text: Range<u64>,
}

impl<T> Batch<T> {
    /// An empty batch, with its spool in this directory.
    pub(super) fn new(directory: PathBuf) -> Self {
        Batch {
            spool: Spool::new(directory),
            messages: Vec::new(),
        }
    }

    /// A message begins, quoted as in an mbox or as it is. Once it is whole, `describe` says what there is to know of it.
    pub(super) fn begin<D>(&mut self, quoter: Option<Quoter>, describe: D) -> Writer<'_, T, D>
    where
        D: FnOnce(&Complete<'_>) -> T,
    {
        Writer {
            start: self.spool.length(),
            batch: self,
            quoter,
            describe: Some(describe),
        }
    }

    /// The messages that are whole, in the order they came.
    pub(super) fn messages(&self) -> &[Spooled<T>] {
        &self.messages
    }

    /// The texts of all messages.
    pub(super) fn spool(&self) -> &Spool {
        &self.spool
    }

    /// Begins a new batch.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
        self.spool.cut(0);
    }
}

/// A message that is being written.
pub(super) struct Writer<'a, T, D> {
    batch: &'a mut Batch<T>,
    /// Where it begins in the spool.
    start: u64,
    quoter: Option<Quoter>,
    /// None once the message is whole.
    describe: Option<D>,
}

impl<T, D> MessageWriter for Writer<'_, T, D>
where
    D: FnOnce(&Complete<'_>) -> T,
{
    fn write(&mut self, text: &[u8]) -> Result<(), DeliveryError> {
        let spool = &mut self.batch.spool;
        let written = match &mut self.quoter {
            Some(quoter) => quoter.quote(text, |bytes| spool.write(bytes)),
            None => spool.write(text),
        };
        written.map_err(|error| DeliveryError::Destination(error.into()))
    }

    fn finish(mut self: Box<Self>, message: &Complete<'_>) -> Result<(), DeliveryError> {
        let spool = &mut self.batch.spool;
        let quoter = self.quoter.take();
        let ended = quoter.map(|quoter| quoter.finish(|bytes| spool.write(bytes)));
        let ended = ended.transpose();
        ended.map_err(|error| DeliveryError::Destination(error.into()))?;
        if let Some(describe) = self.describe.take() {
            let text = self.start..self.batch.spool.length();
            let about = describe(message);
            self.batch.messages.push(Spooled { about, text });
        }
        Ok(())
    }
}

impl<T, D> Drop for Writer<'_, T, D> {
    fn drop(&mut self) {
        if self.describe.is_some() {
            self.batch.spool.cut(self.start);
        }
    }
}

/// A message in mboxrd form: its text is quoted, and this its From_ line.
pub(super) type Quoted = Spooled<String>;

impl Batch<String> {
    /// Passes all of a quoted message on, piece by piece.
    ///
    /// # Errors
    ///
    /// It could not be read, or the first thing that went wrong while it was passed on.
    pub(super) fn copy<E: From<Error>>(
        &self,
        message: &Quoted,
        mut pass: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        pass(message.about.as_bytes())?;
        self.spool.copy(message.text.clone(), pass)
    }
}

impl Quoted {
    /// The length of all of it, in bytes.
    pub(super) fn length(&self) -> u64 {
        self.about.len() as u64 + self.text.end - self.text.start
    }
}
