//! Appending a batch to an mbox.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::contents::Contents;
use super::file;
use super::lock::Locked;
use super::marks::Marker;
use crate::crash;
use crate::deliver::batch::{Batch, Quoted};
use crate::deliver::{DeliveryError, disk};
use crate::error::{Failure, Kind, Result};
use crate::mail::{Digest, Place};

/// Text is appended in pieces of this size, in bytes.
const BUFFER: usize = 128 * 1024;

/// A locked mbox, about to be appended to.
pub(super) struct Append {
    locked: Locked,
    /// Its length before.
    start: u64,
    /// Where the last message that is whole ends.
    end: u64,
    /// The last line lacks its end, which comes before our first message then.
    lacks_newline: bool,
    /// After a message could not be written, none is; for a reason of this kind.
    broken: Option<Kind>,
}

impl Append {
    /// # Errors
    ///
    /// It cannot be read, or is no mbox.
    pub(super) fn to(locked: Locked) -> Result<Self> {
        let read = |file: &File| {
            let contents = Contents::of(file)?;
            let (is_unfinished, is_mbox) = (contents.is_unfinished()?, contents.is_mbox()?);
            Ok((contents.length, is_unfinished, is_mbox))
        };
        let (start, lacks_newline, is_mbox) = read(&locked.file)
            .map_err(|error: io::Error| disk::failure("read", &locked.spot.path, error))?;
        if !is_mbox {
            return Err(no_mbox(&locked.spot.path));
        }
        Ok(Append {
            locked,
            start,
            end: start,
            lacks_newline,
            broken: None,
        })
    }

    /// Makes the entry of the mbox durable, be it that it stood already.
    ///
    /// # Errors
    ///
    /// It is not.
    pub(super) fn sync_entry(&self) -> Result<()> {
        self.locked.spot.sync_entry()?;
        if self.start == 0 {
            // Nothing was ever stored, and the directory may be what a run left, too.
            self.locked.spot.sync_directory()?;
        }
        Ok(())
    }

    /// Where each message of the batch will be.
    ///
    /// # Errors
    ///
    /// The batch cannot be read.
    pub(super) fn places(&self, batch: &Batch<String>) -> Result<Vec<Place>> {
        let mut offset = self.start;
        let mut before = self.newline();
        let mut places = Vec::new();
        for message in batch.messages() {
            let mut hash = Sha256::new();
            let mut marker = Marker::new();
            let mut update = |bytes: &[u8]| {
                hash.update(bytes);
                marker.update(bytes);
                Ok::<_, Failure>(())
            };
            update(before)?;
            batch.copy(message, update)?;
            let length = before.len() as u64 + message.length();
            places.push(Place::Mbox {
                offset,
                length,
                digest: Digest(hash.finalize().into()),
                marks: marker.finish(),
            });
            offset += length;
            before = b"";
        }
        Ok(places)
    }

    /// The missing end of the last line.
    fn newline(&self) -> &'static [u8] {
        if self.lacks_newline { b"\n" } else { b"" }
    }

    /// Appends the batch, durably. Whatever fails, no part of a message stays.
    pub(super) fn append(&mut self, batch: &Batch<String>) -> Vec<Result<(), DeliveryError>> {
        let messages = batch.messages().iter();
        let length = Contents::of(&self.locked.file).map(|now| now.length);
        if length.ok() != Some(self.start) {
            let changed = |_| Err(DeliveryError::Message(changed(self.path())));
            return messages.map(changed).collect();
        }
        let mut results: Vec<_> = messages
            .map(|message| self.append_message(batch, message))
            .collect();
        crash::point("mbox: messages appended, not synced");
        if let Err(errno) = rustix::fs::fdatasync(&self.locked.file) {
            // What is not known to be durable comes again, and should not be there twice.
            let _ = file::cut(&self.locked.file, self.start);
            for result in results.iter_mut().filter(|result| result.is_ok()) {
                let doing = "make durable what was appended to";
                let failure = disk::failure(doing, self.path(), errno);
                *result = Err(DeliveryError::Destination(failure));
            }
        }
        results
    }

    fn append_message(
        &mut self,
        batch: &Batch<String>,
        message: &Quoted,
    ) -> Result<(), DeliveryError> {
        if let Some(kind) = self.broken {
            let shown = disk::shown(self.path());
            let what = format!("{shown} took no more messages after that");
            return Err(DeliveryError::Destination(Failure::new(kind, what)));
        }
        match self.write(batch, message) {
            Ok(length) => {
                self.end += length;
                self.lacks_newline = false;
                Ok(())
            }
            Err(failure) => {
                self.broken = Some(failure.kind());
                Err(DeliveryError::Destination(self.cut_back(failure)))
            }
        }
    }

    /// Writes one message; how many bytes that were.
    fn write(&self, batch: &Batch<String>, message: &Quoted) -> Result<u64> {
        let mut writer = BufWriter::with_capacity(BUFFER, &self.locked.file);
        let cannot = |error: io::Error| disk::failure("append to", self.path(), error);
        crash::point("mbox: message not appended");
        let written = writer
            .write_all(self.newline())
            .map_err(cannot)
            .and_then(|()| batch.copy(message, |piece| writer.write_all(piece).map_err(cannot)));
        // What is longer than the buffer is there in part.
        crash::point("mbox: message appended in part");
        let written = written.and_then(|()| writer.flush().map_err(cannot));
        // Taken apart, so that what is left in the buffer isn't written after all.
        drop(writer.into_parts());
        written.map(|()| self.newline().len() as u64 + message.length())
    }

    /// Takes back what was written of a message that isn't whole.
    fn cut_back(&self, failure: Failure) -> Failure {
        match file::cut(&self.locked.file, self.end) {
            Ok(()) => failure,
            Err(_) => failure.hint(
                "A part of a message is left at the end of the mbox; the next run takes it away.",
            ),
        }
    }

    fn path(&self) -> &Path {
        &self.locked.spot.path
    }
}

/// Nothing is appended to what holds no mail: the path may be a mistake.
pub(super) fn no_mbox(path: &Path) -> Failure {
    let shown = disk::shown(path);
    Failure::new(
        Kind::Destination,
        format!("{shown} is no mbox: its first line does not begin with \"From \""),
    )
    .hint("Name another file. If it is a damaged mbox, mend it first.")
}

fn changed(path: &Path) -> Failure {
    let what = format!("{} changed although it was locked", disk::shown(path));
    Failure::new(Kind::Temporary, what)
        .hint("Some program writes to it without locking it. Run popfetch again when that is done.")
}
