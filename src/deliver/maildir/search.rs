//! Looking for messages in a Maildir, by the names that they were given.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::directories::Directories;
use super::name;
use crate::crash;
use crate::deliver::{Mode, StoredRef, disk};
use crate::error::Result;
use crate::fs::{Directory, sync_found};
use crate::mail::{Digest, Identity, Place};
use crate::message::{Hasher, Hashes};

/// Where readers see messages, in the order to look. A reader that renames a file while its directory is
/// being read can hide it from us: what was not seen is looked for a second time. `new` comes first,
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
    pub(super) fn of(sought: &StoredRef<'a>) -> Option<Self> {
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
pub(super) fn find(maildir: &Path, stored: &[StoredRef<'_>], mode: Mode) -> Result<Vec<bool>> {
    let applies = mode == Mode::Apply;
    let mut found = vec![false; stored.len()];
    each_copy(maildir, stored, |n, file, _| {
        found[n] = !applies || sync_found(file).is_ok();
        found[n]
    })?;
    if applies && found.contains(&true) {
        crash::point("maildir: copies found, not synced");
        make_durable(&Directories::open(maildir)?)?;
    }
    Ok(found)
}

/// What stored copies are known by where header lines come and go: see [`crate::deliver::Destination::identify`].
pub(super) fn identify(maildir: &Path, stored: &[StoredRef<'_>]) -> Result<Vec<Option<Identity>>> {
    let mut found = vec![None; stored.len()];
    each_copy(maildir, stored, |n, _, identity| {
        found[n] = Some(identity);
        true
    })?;
    Ok(found)
}

/// Passes each stored copy that is there on, until it is taken.
fn each_copy(
    maildir: &Path,
    stored: &[StoredRef<'_>],
    mut takes: impl FnMut(usize, File, Identity) -> bool,
) -> Result<()> {
    let mut taken = vec![false; stored.len()];
    for directory in PUBLISHED {
        let missing = (0..stored.len()).filter(|n| !taken[*n]);
        let named = missing.filter_map(|n| Some((Named::of(&stored[n])?, n)));
        let missing: HashMap<_, _> = named.map(|(named, n)| (named.unique, (named, n))).collect();
        if missing.is_empty() {
            break;
        }
        let is_missing = |name: &str| missing.contains_key(name);
        let there = files_in(maildir, directory, name::unique_part, is_missing)?;
        for unique in there.names.keys() {
            let (named, n) = &missing[&**unique];
            let copy = there.whole(unique, named.bytes, stored[*n].digest);
            if let Ok(Some((file, identity))) = copy {
                taken[*n] = takes(*n, file, identity);
            }
        }
    }
    Ok(())
}

/// Files in one of the three directories.
#[derive(Default)]
pub(super) struct Files {
    /// None where it is missing.
    directory: Option<Directory>,
    /// Each name by its `unique` part.
    names: HashMap<String, String>,
}

/// Those of the wanted whose file is in a directory, by the `unique` part of its name. A directory that is missing has none.
pub(super) fn files_in(
    maildir: &Path,
    directory: &str,
    unique: fn(&str) -> &str,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Files> {
    let maildir = Directory::find(maildir)?;
    let directory = maildir
        .map(|maildir| maildir.find_in(directory))
        .transpose()?;
    let Some(directory) = directory.flatten() else {
        return Ok(Files::default());
    };
    let mut names = HashMap::new();
    for entry in directory.entries()? {
        let entry = entry.map_err(|errno| disk::failure("read", directory.path(), errno))?;
        if let Ok(name) = entry.file_name().to_str()
            && is_wanted(unique(name))
        {
            names.insert(unique(name).to_owned(), name.to_owned());
        }
    }
    Ok(Files {
        directory: Some(directory),
        names,
    })
}

impl Files {
    /// Whether none of the wanted was found.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether this one was found, by the `unique` part of its name.
    pub(super) fn contains(&self, unique: &str) -> bool {
        self.names.contains_key(unique)
    }

    /// The unique parts of the names of those that were found.
    pub(super) fn into_unique_parts(self) -> impl Iterator<Item = String> {
        self.names.into_keys()
    }

    /// The file with this `unique` part if it is the message, byte for byte: after a power cut a file can have its length
    /// and not its bytes.
    pub(super) fn whole(
        &self,
        unique: &str,
        bytes: u64,
        digest: &Digest,
    ) -> Result<Option<(File, Identity)>> {
        let (Some(directory), Some(name)) = (&self.directory, self.names.get(unique)) else {
            return Ok(None);
        };
        let path = directory.path().join(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = match rustix::fs::openat(directory, name, flags, rustix::fs::Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
            Err(errno) => return Err(disk::failure("open", &path, errno)),
        };
        let cannot_read = |error| disk::failure("read", &path, error);
        let metadata = file.metadata().map_err(cannot_read)?;
        if !metadata.is_file() || metadata.len() != bytes {
            return Ok(None);
        }
        let found = hashes_of(&mut file).map_err(cannot_read)?;
        Ok((found.digest == *digest).then_some((file, found.identity)))
    }
}

fn hashes_of(file: &mut impl Read) -> io::Result<Hashes> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.hashes()),
            n => hasher.update(&buffer[..n]),
        }
    }
}

/// Another program may have moved the files that were found: the record that they are stored must not outlive them.
pub(super) fn make_durable(directories: &Directories) -> Result<()> {
    let cannot =
        |directory| move |errno| directories.failure("make durable what is in", directory, errno);
    directories.sync_new().map_err(cannot("new"))?;
    directories.sync_cur().map_err(cannot("cur"))
}
