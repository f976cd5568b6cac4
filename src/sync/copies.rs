//! Whether messages that only their content identifies are still where they were stored. A reader
//! of mail may have moved or deleted them since; only what is found can stand for a deletion.

use std::collections::{HashMap, HashSet};

use super::Job;
use super::batch::Slot;
use crate::crash;
use crate::deliver::{Mode, StoredRef};
use crate::error::Result;
use crate::journal::{Found, Intent, Journal};
use crate::mail::{Digest, Identity};

/// Where messages with such content were stored.
///
/// # Errors
///
/// The journal cannot be read.
pub(super) fn stored(job: &Job<'_>, wanted: &HashSet<Digest>) -> Result<Vec<Intent>> {
    Journal::copies(&job.environment.state_dir, &job.account.mailbox(), wanted)
}

/// What the stored copies of messages with such content are known by where header lines come and go, as far as they are
/// found.
///
/// # Errors
///
/// The journal cannot be read.
pub(super) fn identities(
    job: &Job<'_>,
    slots: &mut [Slot],
    wanted: &HashSet<Digest>,
) -> Result<HashMap<Digest, Identity>> {
    let mut identities = HashMap::new();
    if wanted.is_empty() {
        return Ok(identities);
    }
    let stored = stored(job, wanted)?;
    for slot in slots.iter_mut().filter(|slot| slot.works()) {
        let here = stored.iter().filter(|copy| copy.to == slot.id);
        let sought: Vec<_> = here.map(sought).collect();
        // What cannot be read is as good as not there.
        let found = slot.destination.identify(&sought).unwrap_or_default();
        for (copy, identity) in sought.iter().zip(found) {
            identities.extend(identity.map(|identity| (*copy.digest, identity)));
        }
    }
    Ok(identities)
}

/// Looks for copies of messages with such content, and makes what it finds durable, but for a dry run.
/// A destination that cannot be looked into is broken for this run.
///
/// # Errors
///
/// The journal cannot be read.
pub(super) fn look(job: &Job<'_>, slots: &mut [Slot], wanted: &HashSet<Digest>) -> Result<Found> {
    let mut found = Found::default();
    if wanted.is_empty() {
        return Ok(found);
    }
    crash::point("copies: not looked for");
    let stored = stored(job, wanted)?;
    let mode = if job.dry_run {
        Mode::DryRun
    } else {
        Mode::Apply
    };
    for slot in slots.iter_mut().filter(|slot| slot.works()) {
        let here = stored.iter().filter(|copy| copy.to == slot.id);
        let sought: Vec<_> = here.map(sought).collect();
        match slot.destination.find(&sought, mode) {
            Ok(there) => {
                let there = sought.iter().zip(there).filter(|(_, there)| *there);
                there.for_each(|(copy, _)| found.add(*copy.digest, slot.id));
            }
            Err(failure) => slot.fail(failure),
        }
    }
    crash::point("copies: looked for");
    Ok(found)
}

fn sought(copy: &Intent) -> StoredRef<'_> {
    StoredRef {
        place: &copy.place,
        digest: &copy.digest,
    }
}
