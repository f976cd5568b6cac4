//! Files that are ours alone.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, OFlags};
use rustix::io::Errno;

use super::FILE_MODE;
use super::directory::Directory;
use super::error::{Error, Result, shown};
use crate::crash;

/// How many bytes of a new file are written at once.
const BUFFER: usize = 64 * 1024;

/// How many names are tried for a file that is to have none.
const MAX_NAMES_TRIED: u32 = 1000;

/// Opens or creates a file, ours alone; a symbolic link is refused.
///
/// # Errors
///
/// It cannot be opened or made.
pub(crate) fn open_private(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = options
        .create(true)
        .mode(FILE_MODE.bits())
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mode = metadata.permissions().mode();
    if mode & FILE_MODE.bits() != FILE_MODE.bits() {
        // The umask has taken away what the next run needs.
        file.set_permissions(Permissions::from_mode(mode | FILE_MODE.bits()))?;
    }
    Ok(file)
}

/// A file of ours that is written as a whole.
pub(crate) struct NewFile {
    path: PathBuf,
    out: BufWriter<File>,
}

impl NewFile {
    /// Begins it, in the place of a remainder of an earlier run.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = open_private(path, OpenOptions::new().write(true).truncate(true))
            .map_err(|error| Error::cannot("write", path, error))?;
        Ok(NewFile {
            path: path.to_owned(),
            out: BufWriter::with_capacity(BUFFER, file),
        })
    }

    /// More of it.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.out.write_all(bytes);
        written.map_err(|error| Error::cannot("write", &self.path, error))
    }

    /// It is whole, and durable from now on.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub(crate) fn finish(self) -> Result<()> {
        let file = self
            .out
            .into_inner()
            .map_err(io::IntoInnerError::into_error);
        file.and_then(|file| file.sync_all())
            .map_err(|error| Error::cannot("write", &self.path, error))
    }
}

/// Puts one file in the place of another in the same directory, durably.
///
/// # Errors
///
/// It cannot be renamed, or the directory not be synced; then either of the two is there.
pub(crate) fn replace(new: &Path, old: &Path) -> Result<()> {
    crash::point("file: written, not in its place");
    fs::rename(new, old).map_err(|error| {
        let doing = format!("put {} in the place of", shown(new));
        Error::cannot(&doing, old, error)
    })?;
    crash::point("file: in its place, not synced");
    let directory = old.parent().map_or(Ok(None), Directory::find)?;
    directory.as_ref().map_or(Ok(()), Directory::sync)
}

impl Directory {
    /// A file in it without a name, for reading and writing: gone when it is closed.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub(crate) fn anonymous_file(&self) -> Result<File> {
        let flags = OFlags::TMPFILE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::openat(self, ".", flags, FILE_MODE) {
            Ok(file) => Ok(file.into()),
            Err(Errno::NOTSUP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {
                self.file_without_its_name()
            }
            Err(errno) => Err(Error::cannot(
                "create a temporary file in",
                self.path(),
                errno,
            )),
        }
    }

    /// For file systems that know no anonymous files: one whose name is removed at once.
    fn file_without_its_name(&self) -> Result<File> {
        let mut tried = 0;
        loop {
            let name = format!("spool.{}.{tried}", std::process::id());
            let cannot = |doing, errno| Error::cannot(doing, &self.path().join(&name), errno);
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
            match rustix::fs::openat(self, &name, flags, FILE_MODE) {
                Ok(file) => {
                    let removed = rustix::fs::unlinkat(self, &name, AtFlags::empty());
                    removed.map_err(|errno| cannot("remove", errno))?;
                    return Ok(file.into());
                }
                Err(Errno::EXIST) if tried < MAX_NAMES_TRIED => tried += 1,
                Err(errno) => return Err(cannot("create", errno)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use rustix::fs::{CWD, FileType, Mode};

    use super::*;

    #[test]
    fn nothing_is_seen_of_a_file_without_a_name() {
        let root = tempfile::tempdir().expect("tempdir");
        let directory = Directory::make(root.path()).expect("there");
        for made in [
            directory.anonymous_file(),
            directory.file_without_its_name(),
        ] {
            made.expect("made").write_all_at(b"x", 0).expect("written");
            assert_eq!(fs::read_dir(root.path()).expect("readable").count(), 0);
        }
    }

    #[test]
    fn a_fifo_in_the_place_of_a_file_is_refused_and_not_waited_for() {
        let root = tempfile::tempdir().expect("tempdir");
        let fifo = root.path().join("fifo");
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).expect("made");
        for options in [
            OpenOptions::new().write(true),
            OpenOptions::new().read(true).write(true),
        ] {
            assert!(open_private(&fifo, options).is_err());
        }
    }

    #[test]
    fn a_link_in_the_place_of_a_new_file_is_not_followed() {
        let root = tempfile::tempdir().expect("tempdir");
        let [precious, link] = ["precious", "link"].map(|name| root.path().join(name));
        fs::write(&precious, "mine").expect("written");
        std::os::unix::fs::symlink(&precious, &link).expect("linked");
        assert!(NewFile::create(&link).is_err());
        assert_eq!(fs::read(&precious).expect("there"), b"mine");
    }
}
