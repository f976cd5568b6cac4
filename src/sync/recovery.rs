//! What a run that was cut off left is recovered before anything new is begun.

use jiff::Timestamp;

use super::batch::{Slot, some_works};
use crate::crash;
use crate::deliver::{Destination, Mode, StoredRef};
use crate::error::Result;
use crate::journal::{Intent, Journal, Memory, Record};

/// Finishes what can be finished and records what came of it. A destination that cannot be looked into
/// is broken for this run: what was begun there is neither known to be there nor known not to be.
///
/// # Errors
///
/// No destination is left, or the journal cannot be written.
pub(super) fn recover(slots: &mut [Slot], journal: &mut Journal, now: Timestamp) -> Result<()> {
    for slot in slots.iter_mut().filter(|slot| slot.works()) {
        let intents = of(journal.memory(), slot.id);
        crash::point("recovery: not begun");
        match ask(slot.destination.as_mut(), intents, Mode::Apply, now) {
            Ok(records) => {
                crash::point("recovery: recovered, not recorded");
                journal.commit(records)?;
                crash::point("recovery: recorded");
            }
            Err(failure) => slot.fail(failure),
        }
    }
    some_works(slots)
}

/// What [`recover`] would record, as if it had: nothing is changed but the memory.
///
/// # Errors
///
/// No destination can be looked into.
pub(super) fn foresee(slots: &mut [Slot], memory: &mut Memory, now: Timestamp) -> Result<()> {
    for slot in slots.iter_mut().filter(|slot| slot.works()) {
        let intents = of(memory, slot.id);
        match ask(slot.destination.as_mut(), intents, Mode::DryRun, now) {
            Ok(records) => records.into_iter().for_each(|record| memory.apply(record)),
            Err(failure) => slot.fail(failure),
        }
    }
    some_works(slots)
}

fn of(memory: &Memory, to: u32) -> Vec<Intent> {
    memory
        .unsettled()
        .iter()
        .filter(|intent| intent.to == to)
        .cloned()
        .collect()
}

fn ask(
    destination: &mut dyn Destination,
    intents: Vec<Intent>,
    mode: Mode,
    now: Timestamp,
) -> Result<Vec<Record>> {
    if intents.is_empty() {
        return Ok(Vec::new());
    }
    let places = intents.iter().map(|intent| StoredRef {
        place: &intent.place,
        digest: &intent.digest,
    });
    let stored = destination.recover(&places.collect::<Vec<_>>(), mode)?;
    let record = |(intent, stored): (Intent, bool)| {
        if stored {
            return Record::Stored { intent, at: now };
        }
        Record::IntentAborted {
            uid: intent.uid,
            to: intent.to,
        }
    };
    Ok(intents.into_iter().zip(stored).map(record).collect())
}
