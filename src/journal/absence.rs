//! Since when a server has been away, so that a short absence can pass in silence.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::file;
use crate::error::Result;
use crate::fs::{Directory, Error, NewFile};
use crate::mail::Mailbox;

/// The memory of one server's absence: a file beside the journal with one time in it, there only while
/// the absence lasts. It is not a part of the journal, which another popfetch may have locked; losing it
/// only makes the silence longer.
pub struct Absence {
    directory: PathBuf,
    path: PathBuf,
}

impl Absence {
    /// Of the server of this maildrop; the directory is the journals'.
    #[must_use]
    pub fn of(mailbox: &Mailbox, directory: &Path) -> Self {
        Absence {
            directory: directory.to_owned(),
            path: directory.join(mailbox.file_stem() + ".away"),
        }
    }

    /// The server is away at this time: since when? Times to come count as now, since clocks go back.
    ///
    /// # Errors
    ///
    /// [`crate::error::Kind::Io`]: that it is away since now cannot be written down.
    pub fn since(&self, now: Timestamp) -> Result<Timestamp> {
        match self.remembered() {
            Some(since) if since <= now => Ok(since),
            _ => self.begin(now).map(|()| now),
        }
    }

    fn remembered(&self) -> Option<Timestamp> {
        fs::read_to_string(&self.path).ok()?.trim().parse().ok()
    }

    fn begin(&self, now: Timestamp) -> Result<()> {
        self.write(&format!("{now}\n")).map_err(file::failure)
    }

    fn write(&self, text: &str) -> Result<(), Error> {
        Directory::make(&self.directory)?;
        let mut file = NewFile::create(&self.path)?;
        file.write(text.as_bytes())?;
        file.finish()
    }

    /// The server is there. A file that cannot be removed can only make a later absence known too early.
    pub fn end(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn an_absence_lasts_until_it_ends() {
        let root = tempfile::tempdir().expect("a directory");
        let mailbox = Mailbox::new("alice", "pop.example.com", 995);
        let absence = || Absence::of(&mailbox, &root.path().join("state"));
        let (first, later) = (at("2026-03-01T12:00:00Z"), at("2026-03-01T13:00:00.5Z"));
        absence().end();
        assert_eq!(absence().since(first).expect("noted"), first);
        assert_eq!(absence().since(later).expect("known"), first);
        absence().end();
        assert_eq!(absence().since(later).expect("noted"), later);
        assert_eq!(absence().since(first).expect("the clock went back"), first);
    }

    #[test]
    fn what_is_no_time_is_begun_anew() {
        let root = tempfile::tempdir().expect("a directory");
        let absence = Absence::of(&Mailbox::new("a", "h", 110), root.path());
        fs::write(root.path().join("a@h.away"), "2026-03").expect("cut off");
        let now = at("2026-03-01T12:00:00Z");
        assert_eq!(absence.since(now).expect("noted"), now);
        assert_eq!(absence.remembered(), Some(now));
    }
}
