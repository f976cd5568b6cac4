//! What runs that were cut off left in a Maildir.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;

use jiff::Timestamp;

use super::directories::Directories;
use super::name;
use super::search::{self, Files, Named, PUBLISHED};
use crate::crash;
use crate::deliver::{Mode, StoredRef, disk};
use crate::error::Result;
use crate::fs::sync_found;

/// A file in `tmp/` of this age, in seconds (36 hours), is a remainder, says the Maildir specification.
const STALE_AGE: i64 = 36 * 60 * 60;

/// See [`crate::deliver::Destination::recover`]. A message is stored where its file is in `new/` or `cur/`,
/// and as good as stored where it waits whole in `tmp/`.
pub(super) fn recover(maildir: &Path, intents: &[StoredRef<'_>], mode: Mode) -> Result<Vec<bool>> {
    let named = intents.iter().filter_map(Named::of);
    let wanted: HashSet<_> = named.map(|named| named.unique).collect();
    let published = find_published(maildir, &wanted)?;
    let is_wanted = |name: &str| wanted.contains(name);
    let waiting = search::files_in(maildir, "tmp", |name| name, is_wanted)?;
    if published.is_empty() && waiting.is_empty() {
        return Ok(vec![false; intents.len()]);
    }
    let directories = (mode == Mode::Apply).then(|| Directories::open(maildir));
    let remains = Remains {
        published,
        waiting,
        directories: directories.transpose()?,
    };
    let recovered = intents.iter().map(|intent| remains.recover(intent));
    let recovered = recovered.collect::<Result<Vec<_>>>()?;
    crash::point("maildir: recovered, not synced");
    if let Some(directories) = &remains.directories {
        search::make_durable(directories).inspect_err(|_| {
            // The next run places them anew: if it found them here, it would take them for durable.
            for named in intents.iter().filter_map(Named::of) {
                directories.withdraw(named.unique, named.name);
            }
        })?;
    }
    Ok(recovered)
}

/// Those of the wanted that are in `new/` or `cur/`, whatever flags they have by now.
fn find_published(maildir: &Path, wanted: &HashSet<&str>) -> Result<HashSet<String>> {
    let mut found = HashSet::new();
    for directory in PUBLISHED {
        if found.len() == wanted.len() {
            break;
        }
        let is_wanted = |name: &str| wanted.contains(name);
        let files = search::files_in(maildir, directory, name::unique_part, is_wanted)?;
        found.extend(files.into_unique_parts());
    }
    Ok(found)
}

/// What was found of the wanted messages.
struct Remains {
    /// Unique parts of the names in `new/` and `cur/`.
    published: HashSet<String>,
    /// Those in `tmp/`.
    waiting: Files,
    /// Opened where something may be changed.
    directories: Option<Directories>,
}

impl Remains {
    /// Whether this message is stored, finishing what can be finished.
    fn recover(&self, intent: &StoredRef<'_>) -> Result<bool> {
        let Some(Named {
            name,
            unique,
            bytes,
        }) = Named::of(intent)
        else {
            return Ok(false);
        };
        let published = self.published.contains(unique);
        if !self.waiting.contains(unique) {
            return Ok(published);
        }
        let whole = if published {
            None
        } else {
            self.waiting.whole(unique, bytes, intent.digest)?
        };
        match (&self.directories, &whole) {
            (None, _) => {}
            (Some(directories), Some((file, _))) => publish(directories, file, unique, name)?,
            (Some(directories), None) => directories.remove(unique),
        }
        Ok(published || whole.is_some())
    }
}

fn publish(directories: &Directories, file: &File, unique: &str, name: &str) -> Result<()> {
    crash::point("maildir: message to be recovered");
    sync_found(file)
        .map_err(|errno| directories.failure("make durable a file in", "tmp", errno))?;
    directories
        .publish(unique, name)
        .map_err(|errno| directories.failure("put a message into", "new", errno))
}

/// Removes files with our kind of name from `tmp/` that no program can still be writing. What cannot be removed stays.
pub(super) fn remove_stale(directories: &Directories, now: Timestamp) {
    let Ok(entries) = directories.waiting() else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_str();
        let Some(name) = name.ok().filter(|name| name::is_unique_name(name)) else {
            continue;
        };
        if directories
            .written(name)
            .is_ok_and(|written| disk::is_older(written, STALE_AGE, now))
        {
            directories.remove(name);
        }
    }
}
