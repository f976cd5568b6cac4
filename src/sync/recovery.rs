//! What a run that was cut off left behind is settled before anything new is begun.

use jiff::Timestamp;

use super::batch::Slot;
use super::{Job, open};
use crate::crash;
use crate::deliver::{Destination, Unsettled};
use crate::error::Result;
use crate::journal::{Intent, Journal, Memory, Record};

/// Finishes what can be finished and records what came of it. A destination that cannot be looked into
/// is broken for this run: what was begun there is neither known to be there nor known not to be.
///
/// # Errors
///
/// No destination is left, or the journal cannot be written.
pub(super) fn settle(slots: &mut [Slot], journal: &mut Journal, now: Timestamp) -> Result<()> {
    for slot in slots.iter_mut().filter(|slot| slot.works()) {
        let intents = of(journal.memory(), slot.id);
        crash::point("recovery: not begun");
        match ask(slot.destination.as_mut(), intents, true, now) {
            Ok(records) => {
                crash::point("recovery: settled, not recorded");
                journal.commit(&records)?;
                crash::point("recovery: recorded");
            }
            Err(failure) => slot.fail(failure),
        }
    }
    match slots.iter().all(|slot| !slot.works()) {
        true => slots
            .iter()
            .find_map(|slot| slot.failure.clone())
            .map_or(Ok(()), Err),
        false => Ok(()),
    }
}

/// What [`settle`] would record, as if it had: nothing is changed but the memory.
///
/// # Errors
///
/// No destination can be looked into.
pub(super) fn foresee(job: &Job<'_>, memory: &mut Memory) -> Result<()> {
    let mut seen = Err(None);
    for spec in &job.account.deliver {
        let intents = memory
            .destination(&spec.to_string())
            .map_or(Vec::new(), |id| of(memory, id));
        match ask(
            open(job, spec).as_mut(),
            intents,
            false,
            job.environment.now(),
        ) {
            Ok(records) => {
                records.iter().for_each(|record| memory.apply(record));
                seen = Ok(());
            }
            Err(failure) => seen = seen.map_err(|_| Some(failure)),
        }
    }
    seen.or_else(|failure| failure.map_or(Ok(()), Err))
}

fn of(memory: &Memory, to: u32) -> Vec<Intent> {
    memory
        .unsettled()
        .into_iter()
        .filter(|intent| intent.to == to)
        .cloned()
        .collect()
}

fn ask(
    destination: &mut dyn Destination,
    intents: Vec<Intent>,
    act: bool,
    now: Timestamp,
) -> Result<Vec<Record>> {
    if intents.is_empty() {
        return Ok(Vec::new());
    }
    let unsettled: Vec<_> = intents
        .iter()
        .map(|intent| Unsettled {
            place: &intent.place,
            digest: &intent.digest,
        })
        .collect();
    let stored = destination.settle(&unsettled, act)?;
    let record = |(intent, stored): (Intent, bool)| match stored {
        true => Record::Stored { intent, at: now },
        false => Record::Void {
            uid: intent.uid,
            to: intent.to,
        },
    };
    Ok(intents.into_iter().zip(stored).map(record).collect())
}
