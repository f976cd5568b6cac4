//! Looking for messages in a Maildir, by the names that they were given.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::folders::Folders;
use super::name;
use crate::crash;
use crate::deliver::{Sought, disk};
use crate::error::Result;
use crate::mail::{Digest, Place};

/// Where readers see messages, in the order to look. A reader that renames a file while its folder is
/// being read can hide it from us: who was not seen is looked for a second time. `new` comes first,
/// because files move from there to `cur`.
pub(super) const PUBLISHED: [&str; 4] = ["new", "cur", "new", "cur"];

/// The name that a message was given.
pub(super) struct Named<'a> {
    /// All of it.
    pub(super) name: &'a str,
    /// The part that no reader changes.
    pub(super) unique: &'a str,
    /// The length that it tells.
    pub(super) bytes: u64,
}

impl<'a> Named<'a> {
    /// None where the message was not for a Maildir.
    pub(super) fn of(sought: &Sought<'a>) -> Option<Self> {
        let Place::Maildir { name } = sought.place else {
            return None;
        };
        let (unique, bytes) = name::parts(name)?;
        Some(Named {
            name,
            unique,
            bytes,
        })
    }
}

/// Finds stored copies: see [`crate::deliver::Destination::find`]. One that cannot be read is as good as not there.
pub(super) fn find(maildir: &Path, stored: &[Sought<'_>], act: bool) -> Result<Vec<bool>> {
    let mut found = vec![false; stored.len()];
    for folder in PUBLISHED {
        let missing = (0..stored.len()).filter(|n| !found[*n]);
        let named = missing.filter_map(|n| Some((Named::of(&stored[n])?, n)));
        let missing: HashMap<_, _> = named.map(|(named, n)| (named.unique, (named, n))).collect();
        if missing.is_empty() {
            break;
        }
        let is_missing = |name: &str| missing.contains_key(name);
        let there = names_in(&maildir.join(folder), name::unique_part, is_missing)?;
        for (unique, path) in there {
            let (named, n) = &missing[&*unique];
            if let Ok(Some(file)) = whole(&path, named.bytes, stored[*n].digest) {
                found[*n] = !act || disk::sync_found(file).is_ok();
            }
        }
    }
    if act && found.contains(&true) {
        crash::point("maildir: copies found, not synced");
        make_durable(&Folders::open(maildir)?)?;
    }
    Ok(found)
}

/// Those of the wanted whose file is in a folder, by the `unique` part of its name, and its path. A folder that is missing has none.
pub(super) fn names_in(
    folder: &Path,
    unique: fn(&str) -> &str,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<HashMap<String, PathBuf>> {
    let cannot = |error| disk::failure("read", folder, error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(cannot(error)),
    };
    let mut found = HashMap::new();
    for entry in entries {
        let entry = entry.map_err(cannot)?;
        let name = entry.file_name();
        if let Some(unique) = name.to_str().map(unique).filter(|name| is_wanted(name)) {
            found.insert(unique.to_owned(), entry.path());
        }
    }
    Ok(found)
}

/// The file at this path if it is the message, byte for byte: after a power cut a file can have its length and not its bytes.
pub(super) fn whole(path: &Path, bytes: u64, digest: &Digest) -> Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
        Err(errno) => return Err(disk::failure("open", path, errno)),
    };
    let cannot_read = |error| disk::failure("read", path, error);
    let metadata = file.metadata().map_err(cannot_read)?;
    if !metadata.is_file() || metadata.len() != bytes {
        return Ok(None);
    }
    let found = digest_of(&mut file).map_err(cannot_read)?;
    Ok((found == *digest).then_some(file))
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

/// Whoever moved the files that were found, the record that they are stored must not outlive them.
pub(super) fn make_durable(folders: &Folders) -> Result<()> {
    let cannot = |folder| move |errno| folders.failure("make durable what is in", folder, errno);
    folders.sync_new().map_err(cannot("new"))?;
    folders.sync_cur().map_err(cannot("cur"))
}
