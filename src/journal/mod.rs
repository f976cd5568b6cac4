//! What we remember of a maildrop: an append-only file of records, and what they say together.
//!
//! The file is JSON Lines, one for each maildrop, with a lock beside it; popfetch-journal(5) documents the format.
//! A record is appended before or after what it records, as [`crate::sync`] says, and durable
//! after [`Journal::sync`]. Losing a journal costs duplicates, never mail.

mod absence;
mod compaction;
mod file;
mod format;
mod loading;
mod lock;
mod memory;
mod proof;
mod record;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use file::Appender;
use lock::Lock;

use crate::crash;
use crate::error::Result;
use crate::fs::Directory;
use crate::mail::{Digest, Mailbox};

pub use absence::Absence;
pub use loading::Damage;
pub use memory::{Memory, Position, Remembered, is_short};
pub use proof::{Destinations, Found, Proof};
pub use record::{Fact, Intent, Record};

/// An open journal: ours alone as long as it is open.
pub struct Journal {
    _lock: Lock,
    mailbox: Mailbox,
    file: Appender,
    memory: Memory,
    /// How many lines only matter, or mattered, until another one follows.
    transient_lines: u64,
    corrupt_lines: Vec<Damage>,
}

/// The right to work on a maildrop's journal, which no other process has meanwhile.
pub struct Claim<'a> {
    lock: Lock,
    directory: Directory,
    path: PathBuf,
    mailbox: &'a Mailbox,
}

impl Claim<'_> {
    /// Opens the journal, or begins it. That takes a while where it is long.
    ///
    /// # Errors
    ///
    /// - [`crate::error::Kind::Data`]: the file is another maildrop's, of a newer format, or nothing in it can be read.
    /// - [`crate::error::Kind::Io`]: it cannot be read or written.
    pub fn open(self) -> Result<Journal> {
        let Claim {
            lock,
            directory,
            path,
            mailbox,
        } = self;
        let mut loaded = loading::load(&path, mailbox)?;
        let mut file = Appender::open(&path)?;
        crash::point("journal: opened");
        if loaded.torn {
            file.cut(loaded.read)?;
        }
        // An earlier run may have been cut off before its journal's name was durable.
        let synced = directory.sync().inspect_err(|_| file.remove_if_empty());
        synced.map_err(file::failure)?;
        if file.is_empty() {
            // Nothing was ever remembered, and the directory may be what such a run left, too.
            directory.sync_entry().map_err(file::failure)?;
            file.append(&format::header(format::VERSION, mailbox))?;
            file.sync()?;
        } else if !loaded.is_sound()
            || loaded.is_older()
            || compaction::is_due(&loaded.memory, loaded.transient_lines)
        {
            let is_damaged = !loaded.corrupt_lines.is_empty();
            loaded.memory = compaction::rewrite(&path, mailbox, loaded.memory, is_damaged)?;
            loaded.transient_lines = loaded.memory.transient_lines();
            file = Appender::open(&path)?;
        }
        Ok(Journal {
            _lock: lock,
            mailbox: mailbox.clone(),
            file,
            memory: loaded.memory,
            transient_lines: loaded.transient_lines,
            corrupt_lines: loaded.corrupt_lines,
        })
    }
}

impl Journal {
    /// Claims the journal of a maildrop in this directory, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// - [`crate::error::Kind::Temporary`]: another popfetch is at work on this maildrop.
    /// - [`crate::error::Kind::Io`]: the directory or the lock cannot be made.
    pub fn claim<'a>(directory: &Path, mailbox: &'a Mailbox) -> Result<Claim<'a>> {
        let cannot = |error| file::failure(error).hint(file::WAY_OUT);
        let opened = Directory::make(directory).map_err(cannot)?;
        let lock = Lock::take(&path(directory, mailbox).with_added_extension("lock"))?;
        Ok(Claim {
            lock,
            directory: opened,
            path: path(directory, mailbox),
            mailbox,
        })
    }

    /// Claims the journal and opens it.
    ///
    /// # Errors
    ///
    /// As [`Journal::claim`] and [`Claim::open`].
    pub fn open(directory: &Path, mailbox: &Mailbox) -> Result<Self> {
        Self::claim(directory, mailbox)?.open()
    }

    /// What a journal says, without taking its lock and without changing anything.
    ///
    /// # Errors
    ///
    /// As [`Claim::open`].
    pub fn peek(directory: &Path, mailbox: &Mailbox) -> Result<Memory> {
        Ok(loading::load(&path(directory, mailbox), mailbox)?.memory)
    }

    /// Where messages with such content were stored: too much to remember of each for what is rarely asked.
    ///
    /// # Errors
    ///
    /// [`crate::error::Kind::Io`]: the file cannot be read.
    pub fn copies(
        directory: &Path,
        mailbox: &Mailbox,
        wanted: &HashSet<Digest>,
    ) -> Result<Vec<Intent>> {
        let mut copies = Vec::new();
        loading::each_line(&path(directory, mailbox), |line| {
            // Damage was reported when the journal was opened.
            if let Ok(Record::Stored { intent, .. }) = format::read(line)
                && wanted.contains(&intent.digest)
            {
                copies.push(intent);
            }
            Ok(())
        })?;
        Ok(copies)
    }

    /// What the journal says.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The lines that could not be used.
    #[must_use]
    pub fn corrupt_lines(&self) -> &[Damage] {
        &self.corrupt_lines
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The number that stands for this destination, given now if it has none.
    ///
    /// # Errors
    ///
    /// The journal cannot be written.
    pub fn destination(&mut self, name: &str) -> Result<u32> {
        if let Some(id) = self.memory.destination(name) {
            return Ok(id);
        }
        let id = self.memory.free_destination();
        self.append(vec![Record::Destination {
            id,
            name: name.to_owned(),
        }])?;
        Ok(id)
    }

    /// So many messages will probably be stored: what holds them need not grow and move then.
    pub fn expect(&mut self, messages: usize) {
        self.memory.make_room(messages);
    }

    /// Appends these records, all or none. They are durable after [`Journal::sync`].
    ///
    /// # Errors
    ///
    /// [`crate::error::Kind::Io`]; nothing was appended.
    pub fn append(&mut self, records: Vec<Record>) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::with_capacity(records.len() * 256);
        records
            .iter()
            .for_each(|record| format::write(record, &mut lines));
        self.file.append(&lines)?;
        for record in records {
            self.transient_lines += u64::from(record.is_transient());
            self.memory.apply(record);
        }
        Ok(())
    }

    /// Makes everything that was appended durable.
    ///
    /// # Errors
    ///
    /// [`crate::error::Kind::Io`]; from then on nothing can be appended, since it is not known what the disk holds.
    pub fn sync(&mut self) -> Result<()> {
        self.file.sync()
    }

    /// Appends these records and makes them durable, with all that was appended before.
    ///
    /// # Errors
    ///
    /// As [`Journal::append`] and [`Journal::sync`].
    pub fn commit(&mut self, records: Vec<Record>) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.append(records)?;
        self.sync()
    }

    /// Closes the journal at the end of a run, for which it is rewritten where it has grown far beyond what matters:
    /// a later run does not have to read what a large run wrote.
    ///
    /// # Errors
    ///
    /// It could not be rewritten, and stands as it is: nothing is lost.
    pub fn close(self) -> Result<()> {
        if compaction::is_due(&self.memory, self.transient_lines) {
            compaction::rewrite(self.file.path(), &self.mailbox, self.memory, false)?;
        }
        Ok(())
    }
}

fn path(directory: &Path, mailbox: &Mailbox) -> PathBuf {
    directory.join(mailbox.file_stem() + ".jsonl")
}
