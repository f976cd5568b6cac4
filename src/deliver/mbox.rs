//! mbox: one file with one message after another, in mboxrd form.
//!
//! Messages wait in a spool until the batch is complete. Only then is the mbox locked, and only for
//! as long as it takes to write down where the messages will be, to append them and to make
//! them durable: readers of mail never wait for our network.

mod append;
mod contents;
mod dot_lock;
mod file;
mod lock;
mod marks;
mod recovery;
mod search;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use self::append::{Append, no_mbox};
use self::contents::Contents;
use self::file::Spot;
use self::lock::{Locked, Patience, Turn};
use super::batch::Batch;
use super::mboxrd::{Quoter, from_line};
use super::{
    Complete, DeliveryError, Destination, MessageWriter, Mode, PreparedBatch, StoredRef, disk,
};
use crate::crash;
use crate::environment::Environment;
use crate::error::Result;
use crate::fs::{Directory, sync_found};
use crate::mail::{Identity, Place};

/// The longest wait until others have unlocked the mbox.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

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

    /// Locks the mbox and makes sure that its entry is durable.
    fn lock_to_append(&mut self) -> Result<Append> {
        crash::point("mbox: not locked");
        let append = Append::to(Locked::create(&self.path, self.patience())?)?;
        crash::point("mbox: locked, entry not synced");
        if !self.checked {
            append.sync_entry()?;
            self.checked = true;
        }
        Ok(append)
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
}

impl Destination for Mbox {
    fn is_durable(&self) -> bool {
        true
    }

    fn check(&self) -> Result<()> {
        let Some(spot) = Spot::find(&self.path)? else {
            return Ok(Directory::check(file::parent(&self.path))?);
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
        let (mut append, mut places) = (None, Vec::new());
        if !self.batch.messages().is_empty() {
            let locked = self.lock_to_append()?;
            places = locked.places(&self.batch)?;
            append = Some(locked);
        }
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
        let Some(append) = &mut self.append else {
            return Vec::new();
        };
        let results = append.append(&self.mbox.batch);
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
    let synced = sync_found(&locked.file);
    synced.map_err(|errno| disk::failure("make durable", &locked.spot.path, errno))?;
    locked.spot.sync_entry()
}

#[cfg(test)]
mod tests;
