//! What runs that were cut off left in a Maildir.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::folders::Folders;
use super::name;
use crate::crash;
use crate::deliver::{Unsettled, disk};
use crate::error::Result;
use crate::mail::{Digest, Place};

/// After so many seconds (36 hours) a file in `tmp/` is a remainder, says the Maildir specification.
const STALE: i64 = 36 * 60 * 60;

/// Settles intents: see [`crate::deliver::Destination::settle`]. A message is stored where its file is in `new/` or `cur/`,
/// and as good as stored where it waits whole in `tmp/`.
pub(super) fn settle(maildir: &Path, unsettled: &[Unsettled<'_>], act: bool) -> Result<Vec<bool>> {
    let wanted: HashSet<&str> = unsettled
        .iter()
        .filter_map(intended)
        .map(|(unique, ..)| unique)
        .collect();
    let published = find_published(maildir, &wanted)?;
    let waiting = names_in(&maildir.join("tmp"), &wanted, |name| name)?;
    if published.is_empty() && waiting.is_empty() {
        return Ok(vec![false; unsettled.len()]);
    }
    let remains = Remains {
        tmp: maildir.join("tmp"),
        published,
        waiting,
        folders: act.then(|| Folders::open(maildir)).transpose()?,
    };
    let settled = unsettled.iter().map(|one| remains.settle(one));
    let settled = settled.collect::<Result<Vec<_>>>()?;
    crash::point("maildir: recovered, not synced");
    if let Some(folders) = &remains.folders {
        make_durable(folders)?;
    }
    Ok(settled)
}

/// The unique part of the name, the size, and the name that a message was to have.
fn intended<'a>(unsettled: &Unsettled<'a>) -> Option<(&'a str, u64, &'a str)> {
    let Place::Maildir { name } = unsettled.place else {
        return None;
    };
    name::parts(name).map(|(unique, bytes)| (unique, bytes, &**name))
}

/// Those of the wanted that are in `new/` or `cur/`, whatever flags they have by now.
fn find_published(maildir: &Path, wanted: &HashSet<&str>) -> Result<HashSet<String>> {
    let mut found = HashSet::new();
    // A reader that renames a file while its folder is being read can hide it from us: who was not
    // seen is looked for a second time. `new` comes first, because files move from there to `cur`.
    for folder in ["new", "cur", "new", "cur"] {
        if found.len() == wanted.len() {
            break;
        }
        found.extend(names_in(&maildir.join(folder), wanted, name::unique_part)?);
    }
    Ok(found)
}

/// Those of the wanted whose file is in a folder. A folder that is missing has none.
fn names_in(
    folder: &Path,
    wanted: &HashSet<&str>,
    unique: fn(&str) -> &str,
) -> Result<HashSet<String>> {
    let cannot = |error| disk::failure("read", folder, error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
        Err(error) => return Err(cannot(error)),
    };
    let mut found = HashSet::new();
    for entry in entries {
        let name = entry.map_err(cannot)?.file_name();
        if let Some(unique) = name
            .to_str()
            .map(unique)
            .filter(|name| wanted.contains(name))
        {
            found.insert(unique.to_owned());
        }
    }
    Ok(found)
}

/// What was found of the wanted messages.
struct Remains {
    tmp: PathBuf,
    /// Unique parts of the names in `new/` and `cur/`.
    published: HashSet<String>,
    /// Names in `tmp/`.
    waiting: HashSet<String>,
    /// Opened where something may be changed.
    folders: Option<Folders>,
}

impl Remains {
    /// Whether this message is stored, finishing what can be finished.
    fn settle(&self, unsettled: &Unsettled<'_>) -> Result<bool> {
        let Some((unique, bytes, name)) = intended(unsettled) else {
            return Ok(false);
        };
        let published = self.published.contains(unique);
        if !self.waiting.contains(unique) {
            return Ok(published);
        }
        let whole = if published {
            None
        } else {
            self.whole(unique, bytes, unsettled.digest)?
        };
        match (&self.folders, &whole) {
            (None, _) => {}
            (Some(folders), Some(file)) => publish(folders, file, unique, name)?,
            (Some(folders), None) => folders.remove(unique),
        }
        Ok(published || whole.is_some())
    }

    /// The file in `tmp/` if it is the message, byte for byte: after a power cut a file can have its length and not its bytes.
    fn whole(&self, unique: &str, bytes: u64, digest: &Digest) -> Result<Option<File>> {
        let path = self.tmp.join(unique);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
            Err(errno) => return Err(disk::failure("open", &path, errno)),
        };
        let cannot_read = |error| disk::failure("read", &path, error);
        let metadata = file.metadata().map_err(cannot_read)?;
        if !metadata.is_file() || metadata.len() != bytes {
            return Ok(None);
        }
        let found = digest_of(&mut file).map_err(cannot_read)?;
        Ok((found == *digest).then_some(file))
    }
}

fn publish(folders: &Folders, file: &File, unique: &str, name: &str) -> Result<()> {
    crash::point("maildir: message to be recovered");
    rustix::fs::fdatasync(file)
        .map_err(|errno| folders.failure("make durable a file in", "tmp", errno))?;
    folders
        .publish(unique, name)
        .map_err(|errno| folders.failure("put a message into", "new", errno))
}

/// Whoever moved the files that were found, the record that they are stored must not outlive them.
fn make_durable(folders: &Folders) -> Result<()> {
    let cannot = |folder| move |errno| folders.failure("make durable what is in", folder, errno);
    folders.sync_new().map_err(cannot("new"))?;
    folders.sync_cur().map_err(cannot("cur"))
}

fn digest_of(file: &mut impl Read) -> io::Result<Digest> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Digest(hash.finalize().into())),
            n => hash.update(&buffer[..n]),
        }
    }
}

/// Removes files with our kind of name from `tmp/` that nobody can still be writing. What cannot be removed stays.
pub(super) fn remove_stale(maildir: &Path, folders: &Folders, now: Timestamp) {
    let Ok(entries) = fs::read_dir(maildir.join("tmp")) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name::is_unique_name(name)) else {
            continue;
        };
        if folders
            .written(name)
            .is_ok_and(|written| now.as_second() - written > STALE)
        {
            folders.remove(name);
        }
    }
}
