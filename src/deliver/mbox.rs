//! mbox: one file with one message after another, in mboxrd form.
//!
//! Messages wait in a spool until the batch is complete. Only then is the mbox locked, and only for
//! as long as it takes to write down where the messages will be, to append them and to make
//! them durable: nobody who reads mail waits for our network.

mod contents;
mod dot_lock;
mod file;
mod lock;
mod marks;
mod recovery;
mod search;
mod turns;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use self::contents::Contents;
use self::file::Spot;
use self::lock::{Locked, Patience};
use self::marks::Marker;
use self::turns::Turn;
use super::batch::{Batch, Quoted};
use super::directory::Directory;
use super::mboxrd::{Quoter, from_line};
use super::{
    Complete, DeliveryError, Destination, MessageWriter, Mode, PreparedBatch, StoredRef, disk,
};
use crate::crash;
use crate::environment::Environment;
use crate::error::{Failure, Kind, Result};
use crate::mail::{Digest, Identity, Place};

/// The longest wait until others have unlocked the mbox.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// Text is appended in pieces of this size, in bytes.
const BUFFER: usize = 128 * 1024;

/// An mbox that takes messages.
pub struct Mbox {
    path: PathBuf,
    environment: Environment,
    batch: Batch<String>,
    lock_timeout: Duration,
    /// Mail was stored in it by an earlier run: its directory is not made anew.
    is_used: bool,
    /// Whether we looked that an mbox can be there, and made sure that its entry is durable.
    checked: bool,
}

/// A locked mbox, about to be appended to.
struct Append {
    locked: Locked,
    /// Its length before.
    end: u64,
    /// Whether its last line lacks its end, which comes before our first message then.
    unfinished: bool,
}

impl Mbox {
    /// The mbox at this path. Nothing is made there before a message comes.
    #[must_use]
    pub fn new(path: PathBuf, environment: &Environment) -> Self {
        Mbox {
            path,
            environment: environment.clone(),
            batch: Batch::new(environment.state_dir.clone()),
            lock_timeout: environment.wait("POPFETCH_TEST_LOCK_WAIT", LOCK_TIMEOUT),
            is_used: false,
            checked: false,
        }
    }

    fn patience(&self) -> Patience {
        Patience {
            limit: self.lock_timeout,
            now: self.environment.now(),
        }
    }

    /// Looks, before the first message, whether the mbox can be written or made.
    fn make_ready(&self) -> Result<()> {
        if self.is_used {
            file::check_present(&self.path)?;
        }
        file::prepare(&self.path)
    }

    /// Locks the mbox, with an entry that is durable, and says where each message of the batch will be.
    fn lock_and_plan(&mut self) -> Result<(Append, Vec<Place>)> {
        crash::point("mbox: not locked");
        let (append, places) = self.intend()?;
        crash::point("mbox: locked, entry not synced");
        if !self.checked {
            append.locked.spot.sync_entry()?;
            if append.end == 0 {
                // Nothing was ever stored, and the directory may be what a run left, too.
                append.locked.spot.sync_directory()?;
            }
            self.checked = true;
        }
        Ok((append, places))
    }

    /// Locks the mbox and says where each message of the batch will be.
    fn intend(&self) -> Result<(Append, Vec<Place>)> {
        let locked = Locked::create(&self.path, self.patience())?;
        let look = || {
            let contents = Contents::of(&locked.file)?;
            let unfinished = contents.is_unfinished()?;
            Ok((contents.length, unfinished, contents.is_mbox()?))
        };
        let (end, unfinished, is_mbox) =
            look().map_err(|error: io::Error| disk::failure("read", &locked.spot.path, error))?;
        if !is_mbox {
            return Err(no_mbox(&locked.spot.path));
        }
        let mut offset = end;
        let mut missing_newline = if unfinished { &b"\n"[..] } else { b"" };
        let mut places = Vec::new();
        for message in self.batch.messages() {
            let place =
                self.place_of(message, std::mem::take(&mut missing_newline), &mut offset)?;
            places.push(place);
        }
        let append = Append {
            locked,
            end,
            unfinished,
        };
        Ok((append, places))
    }

    /// The place at the offset of a message with these bytes before it; moves the offset to its end.
    fn place_of(&self, message: &Quoted, before: &[u8], offset: &mut u64) -> Result<Place> {
        let mut hash = Sha256::new();
        let mut marker = Marker::new();
        let mut update = |bytes: &[u8]| {
            hash.update(bytes);
            marker.update(bytes);
            Ok::<_, Failure>(())
        };
        update(before)?;
        self.batch.copy(message, update)?;
        let place = Place::Mbox {
            offset: *offset,
            length: before.len() as u64 + message.length(),
            digest: Digest(hash.finalize().into()),
            marks: marker.finish(),
        };
        *offset += before.len() as u64 + message.length();
        Ok(place)
    }

    /// Looks into the mbox as it is; none where there is none. Nothing is changed, not even a lock is made.
    fn look<T>(&self, look: impl FnOnce(&File) -> io::Result<T>) -> Result<Option<T>> {
        let Some(spot) = Spot::find(&self.path)? else {
            return Ok(None);
        };
        let _turn = Turn::wait(spot.identity()?, self.lock_timeout);
        let Some(file) = spot.open_to_read()? else {
            return Ok(None);
        };
        let seen = look(&file).map_err(|error| disk::failure("read", &spot.path, error))?;
        Ok(Some(seen))
    }

    /// Works on the mbox while it is locked; none where there is none.
    fn lock<T>(&self, work: impl FnOnce(&Locked) -> Result<T>) -> Result<Option<T>> {
        let locked = Locked::existing(&self.path, self.patience())?;
        locked.map(|locked| work(&locked)).transpose()
    }

    /// Appends the batch, durably. Whatever fails, no part of a message stays.
    fn append(&self, append: &Append) -> Vec<Result<(), DeliveryError>> {
        let path = &append.locked.spot.path;
        if Contents::of(&append.locked.file).map(|now| now.length).ok() != Some(append.end) {
            let grown = || Err(DeliveryError::Message(changed(path)));
            return self.batch.messages().iter().map(|_| grown()).collect();
        }
        let mut writer = Appender::new(append);
        let messages = self.batch.messages().iter();
        let mut results: Vec<_> = messages
            .map(|message| writer.append(&self.batch, message))
            .collect();
        if let Err(errno) = writer.sync() {
            let stored = results.iter_mut().filter(|result| result.is_ok());
            stored.for_each(|result| {
                let failure = disk::failure("make durable what was appended to", path, errno);
                *result = Err(DeliveryError::Destination(failure));
            });
        }
        results
    }
}

/// Nothing is appended to what holds no mail: the path may be a mistake.
fn no_mbox(path: &Path) -> Failure {
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

/// Appends message by message.
struct Appender<'a> {
    file: &'a File,
    path: &'a Path,
    /// Where the last message that is whole ends; at first, where the file ended.
    whole: u64,
    start: u64,
    missing_newline: bool,
    /// After a message could not be written, none is; why, in a word.
    broken: Option<Kind>,
}

impl<'a> Appender<'a> {
    fn new(append: &'a Append) -> Self {
        Appender {
            file: &append.locked.file,
            path: &append.locked.spot.path,
            whole: append.end,
            start: append.end,
            missing_newline: append.unfinished,
            broken: None,
        }
    }

    fn append(&mut self, batch: &Batch<String>, message: &Quoted) -> Result<(), DeliveryError> {
        if let Some(kind) = self.broken {
            let what = format!(
                "{} took no more messages after that",
                disk::shown(self.path)
            );
            return Err(DeliveryError::Destination(Failure::new(kind, what)));
        }
        match self.write(batch, message) {
            Ok(length) => {
                self.whole += length;
                self.missing_newline = false;
                Ok(())
            }
            Err(failure) => {
                self.broken = Some(failure.kind());
                Err(DeliveryError::Destination(self.cut_back(failure)))
            }
        }
    }

    /// Writes one message, and says how many bytes that were.
    fn write(&mut self, batch: &Batch<String>, message: &Quoted) -> Result<u64> {
        let mut writer = BufWriter::with_capacity(BUFFER, self.file);
        let before: &[u8] = if self.missing_newline { b"\n" } else { b"" };
        let cannot = |error: io::Error| disk::failure("append to", self.path, error);
        crash::point("mbox: message not appended");
        let written = writer
            .write_all(before)
            .map_err(cannot)
            .and_then(|()| batch.copy(message, |piece| writer.write_all(piece).map_err(cannot)));
        // What is longer than the buffer is there in part.
        crash::point("mbox: message appended in part");
        let written = written.and_then(|()| writer.flush().map_err(cannot));
        // Taken apart, so that what is left in the buffer isn't written after all.
        drop(writer.into_parts());
        written.map(|()| before.len() as u64 + message.length())
    }

    /// Takes back what was written of a message that isn't whole.
    fn cut_back(&self, failure: Failure) -> Failure {
        match file::cut(self.file, self.whole) {
            Ok(()) => failure,
            Err(_) => failure.hint(
                "A part of a message is left at the end of the mbox; the next run takes it away.",
            ),
        }
    }

    fn sync(self) -> Result<(), Errno> {
        crash::point("mbox: messages appended, not synced");
        rustix::fs::fdatasync(self.file).inspect_err(|_| {
            // What is not known to be durable comes again, and should not be there twice.
            let _ = file::cut(self.file, self.start);
        })
    }
}

impl Destination for Mbox {
    fn is_durable(&self) -> bool {
        true
    }

    fn check(&self) -> Result<()> {
        let Some(spot) = Spot::find(&self.path)? else {
            return Directory::check(file::parent(&self.path));
        };
        if !spot.check()? {
            return spot.check_writable();
        }
        match self.look(|file| Contents::of(file)?.is_mbox())? {
            Some(false) => Err(no_mbox(&self.path)),
            Some(true) | None => Ok(()),
        }
    }

    fn expect_present(&mut self) -> Result<()> {
        self.is_used = true;
        file::check_present(&self.path)
    }

    fn begin(&mut self) -> Result<Box<dyn MessageWriter + '_>, DeliveryError> {
        if !self.checked {
            self.make_ready().map_err(DeliveryError::Destination)?;
        }
        let now = self.environment.now();
        let from_line = move |message: &Complete<'_>| from_line(message.sender, now);
        Ok(Box::new(self.batch.begin(Some(Quoter::new()), from_line)))
    }

    fn prepare(&mut self) -> Result<Box<dyn PreparedBatch + '_>> {
        let (append, places) = if self.batch.messages().is_empty() {
            (None, Vec::new())
        } else {
            let (append, places) = self.lock_and_plan()?;
            (Some(append), places)
        };
        Ok(Box::new(Prepared {
            append,
            places,
            mbox: self,
        }))
    }

    fn discard(&mut self) {
        self.batch.clear();
    }

    fn recover(&mut self, intents: &[StoredRef<'_>], mode: Mode) -> Result<Vec<bool>> {
        if intents.is_empty() {
            return Ok(Vec::new());
        }
        let recovered = match mode {
            Mode::Apply => self.lock(|locked| recover(locked, intents))?,
            Mode::DryRun => self.look(|file| Ok(recovery::look(file, intents)?.stored))?,
        };
        Ok(recovered.unwrap_or_else(|| vec![false; intents.len()]))
    }

    fn find(&mut self, stored: &[StoredRef<'_>], mode: Mode) -> Result<Vec<bool>> {
        if stored.is_empty() {
            return Ok(Vec::new());
        }
        let found = match mode {
            Mode::Apply => self.lock(|locked| find(locked, stored))?,
            Mode::DryRun => self.look(|file| recovery::find(file, stored))?,
        };
        Ok(found.unwrap_or_else(|| vec![false; stored.len()]))
    }

    fn identify(&mut self, stored: &[StoredRef<'_>]) -> Result<Vec<Option<Identity>>> {
        let found = self.look(|file| recovery::identify(file, stored))?;
        Ok(found.unwrap_or_else(|| vec![None; stored.len()]))
    }
}

/// A batch about to be appended; the mbox is locked as long as this lives.
struct Prepared<'a> {
    /// None for an empty batch.
    append: Option<Append>,
    places: Vec<Place>,
    mbox: &'a mut Mbox,
}

impl PreparedBatch for Prepared<'_> {
    fn places(&self) -> &[Place] {
        &self.places
    }

    fn commit(mut self: Box<Self>) -> Vec<Result<Place, DeliveryError>> {
        let Some(append) = &self.append else {
            return Vec::new();
        };
        let results = self.mbox.append(append);
        crash::point("mbox: messages placed, still locked");
        let places = std::mem::take(&mut self.places);
        let placed = results.into_iter().zip(places);
        placed
            .map(|(result, place)| result.map(|()| place))
            .collect()
    }
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        self.mbox.discard();
    }
}

/// Recovers intents for good.
fn recover(locked: &Locked, intents: &[StoredRef<'_>]) -> Result<Vec<bool>> {
    let cannot = |doing| move |error: io::Error| disk::failure(doing, &locked.spot.path, error);
    let recovered = recovery::look(&locked.file, intents).map_err(cannot("read"))?;
    if let Some(length) = recovered.cut {
        crash::point("mbox: part of a message to be cut off");
        let cut = file::cut(&locked.file, length);
        cut.map_err(cannot("cut a part of a message off the end of"))?;
    }
    crash::point("mbox: recovered, not synced");
    make_durable(locked)?;
    Ok(recovered.stored)
}

/// Finds stored copies, and makes them durable.
fn find(locked: &Locked, stored: &[StoredRef<'_>]) -> Result<Vec<bool>> {
    let found = recovery::find(&locked.file, stored);
    let found = found.map_err(|error| disk::failure("read", &locked.spot.path, error))?;
    crash::point("mbox: copies found, not synced");
    make_durable(locked)?;
    Ok(found)
}

/// Another program may have written what was found: the record that it is stored must not outlive it.
fn make_durable(locked: &Locked) -> Result<()> {
    let synced = disk::sync_found(&locked.file);
    synced.map_err(|errno| disk::failure("make durable", &locked.spot.path, errno))?;
    locked.spot.sync_entry()
}

#[cfg(test)]
mod tests;
