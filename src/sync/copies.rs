//! Whether messages that only their content identifies are still where they were stored. Whoever
//! reads mail may have moved or deleted them since; only what is found can stand for a deletion.

use std::collections::HashSet;

use super::batch::Slot;
use super::{Job, mailbox};
use crate::crash;
use crate::deliver::Sought;
use crate::error::Result;
use crate::journal::{Found, Journal};
use crate::mail::Digest;

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
    let stored = Journal::copies(&job.environment.state_dir, &mailbox(job.account), wanted)?;
    for slot in slots.iter_mut().filter(|slot| slot.works()) {
        let here = stored.iter().filter(|copy| copy.to == slot.id);
        let sought: Vec<_> = here
            .map(|copy| Sought {
                place: &copy.place,
                digest: &copy.digest,
            })
            .collect();
        match slot.destination.find(&sought, !job.dry_run) {
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
