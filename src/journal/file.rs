//! A journal's file: opened safely, appended whole lines, made durable.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::crash;
use crate::error::{Failure, Kind, OrFail, Result};

/// What to do where the journal cannot be written.
pub(super) const WAY_OUT: &str = "popfetch remembers there what is stored, and stores nothing that it could not remember. XDG_STATE_HOME can name another directory, the same one for every run.";

/// Mode of the files we make, whatever the umask says.
const FILE_MODE: u32 = 0o600;

/// Mode of the directories we make.
const DIRECTORY_MODE: u32 = 0o700;

/// An open journal file. What was appended is there for other programs at once, and after a power
/// cut once it is synced.
pub(super) struct Appender {
    path: PathBuf,
    file: File,
    length: u64,
    /// How much of it is durable.
    durable: u64,
    unsynced: bool,
    /// Why nothing can be relied on any more: a failed append that could not be taken back, or a failed sync.
    broken: Option<Failure>,
}

impl Appender {
    /// Opens or creates the file; a symbolic link is refused.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = open(path, OpenOptions::new().append(true))
            .or_fail(Kind::Io, || {
                format!("cannot open the journal {}", path.display())
            })
            .map_err(|failure| failure.hint(WAY_OUT))?;
        let length = file
            .metadata()
            .or_fail(Kind::Io, || format!("cannot read {}", path.display()))?
            .len();
        Ok(Appender {
            path: path.to_owned(),
            file,
            length,
            durable: length,
            unsynced: false,
            broken: None,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether all that was appended is durable.
    pub(super) fn is_synced(&self) -> bool {
        !self.unsynced && self.broken.is_none()
    }

    /// Cuts the file to this length.
    pub(super) fn cut(&mut self, length: u64) -> Result<()> {
        self.file
            .set_len(length)
            .or_fail(Kind::Io, || self.cannot("cut"))?;
        self.length = length;
        self.durable = length;
        self.unsynced = true;
        Ok(())
    }

    /// Appends lines, all or none: what a full disk cut off is taken back.
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<()> {
        self.is_reliable()?;
        self.unsynced = true;
        crash::point("journal: before an append");
        if let Err(error) = self.file.write_all(lines) {
            let failure = Failure::new(Kind::Io, self.cannot("write"))
                .because(error)
                .hint(WAY_OUT);
            if self.file.set_len(self.length).is_err() {
                self.broken = Some(failure.clone());
            }
            return Err(failure);
        }
        self.length += lines.len() as u64;
        Ok(())
    }

    /// Makes all that was appended durable. After a failed sync nobody knows what the disk holds, so
    /// nothing is claimed durable any more, and what may not be is taken back: the next run would find it
    /// in memory and take it for durable.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.is_reliable()?;
        if self.unsynced {
            crash::point("journal: appended, not synced");
            let synced = self.file.sync_data();
            synced
                .or_fail(Kind::Io, || self.cannot("sync"))
                .inspect_err(|failure| {
                    self.broken = Some(failure.clone());
                    let _ = self.file.set_len(self.durable);
                })?;
            (self.durable, self.unsynced) = (self.length, false);
            crash::point("journal: synced");
        }
        Ok(())
    }

    /// Removes a file that was only just made.
    pub(super) fn remove_if_empty(&self) {
        if self.is_empty() {
            let _ = fs::remove_file(&self.path);
        }
    }

    fn cannot(&self, what: &str) -> String {
        format!("cannot {what} the journal {}", self.path.display())
    }

    fn is_reliable(&self) -> Result<()> {
        self.broken.clone().map_or(Ok(()), Err)
    }
}

/// Writes a whole file beside the journal, durably.
pub(super) fn write_new(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let file = open(path, OpenOptions::new().write(true).truncate(true));
    let file = file.or_fail(Kind::Io, cannot)?;
    let mut buffered = io::BufWriter::with_capacity(64 * 1024, file);
    fill(&mut buffered)?;
    let file = buffered
        .into_inner()
        .map_err(io::IntoInnerError::into_error)
        .or_fail(Kind::Io, cannot)?;
    file.sync_all().or_fail(Kind::Io, cannot)
}

/// Opens or creates a file, private to us; a symbolic link is refused.
pub(super) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = options
        .create(true)
        .mode(FILE_MODE)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)?;
    let mode = file.metadata()?.permissions().mode();
    if mode & FILE_MODE != FILE_MODE {
        // The umask has taken away what the next run needs.
        file.set_permissions(Permissions::from_mode(mode | FILE_MODE))?;
    }
    Ok(file)
}

/// Makes the directory, private to us, where it is missing; durable up to the first one that stood.
pub(super) fn make_directory(directory: &Path) -> Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let parent = directory
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        let stood = parent.is_dir();
        make_directory(parent)?;
        if stood {
            sync_entry(parent)?;
        }
    }
    let cannot = || format!("cannot make the directory {}", directory.display());
    match DirBuilder::new().mode(DIRECTORY_MODE).create(directory) {
        // The umask may have taken away what we need ourselves.
        Ok(()) => {
            fs::set_permissions(directory, Permissions::from_mode(DIRECTORY_MODE))
                .or_fail(Kind::Io, cannot)?;
        }
        // Another process was quicker.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.or_fail(Kind::Io, cannot)?,
    }
    crash::point("journal: directory made, not synced");
    parent.map_or(Ok(()), sync_directory).inspect_err(|_| {
        // The next run would find it and take it for durable. Where there is something in it already,
        // it stays.
        let _ = fs::remove_dir(directory);
    })
}

/// Makes the entry of a directory that stood already durable: it may be what a run left that was cut off. Where the
/// directory above isn't ours to read, somebody else made it.
pub(super) fn sync_entry(directory: &Path) -> Result<()> {
    match directory.parent().map(File::open) {
        Some(Ok(parent)) => parent.sync_all().or_fail(Kind::Io, || {
            format!("cannot sync the directory above {}", directory.display())
        }),
        Some(Err(_)) | None => Ok(()),
    }
}

/// Makes what was created, renamed or removed in a directory durable.
pub(super) fn sync_directory(directory: &Path) -> Result<()> {
    let sync = |directory| File::open(directory)?.sync_all();
    sync(directory).or_fail(Kind::Io, || {
        format!("cannot sync the directory {}", directory.display())
    })
}

/// Puts one file in the place of another, durably.
pub(super) fn replace(new: &Path, old: &Path) -> Result<()> {
    crash::point("journal: rewritten, not in its place");
    fs::rename(new, old).or_fail(Kind::Io, || {
        format!("cannot rename {} to {}", new.display(), old.display())
    })?;
    crash::point("journal: in its place, not synced");
    old.parent().map_or(Ok(()), sync_directory)
}
