//! What a run that was cut off left behind is settled before anything new is begun.

use jiff::Timestamp;

use super::batch::Slot;
use super::{Job, open};
use crate::crash;
use crate::deliver::{Destination, Unsettled};
use crate::error::Result;
use crate::journal::{Intent, Journal, Memory, Record};

/// Finishes what can be finished and records what came of it.
///
/// # Errors
///
/// A destination could not be looked into, or the journal not be written: what was begun in it is
/// neither known to be there nor known not to be, so nothing new may be stored.
pub(super) fn settle(slots: &mut [Slot], journal: &mut Journal, now: Timestamp) -> Result<()> {
    for slot in slots {
        let intents = of(journal.memory(), slot.id);
        crash::point("recovery: not begun");
        let records = ask(slot.destination.as_mut(), intents, true, now)?;
        crash::point("recovery: settled, not recorded");
        journal.commit(&records)?;
        crash::point("recovery: recorded");
    }
    Ok(())
}

/// What [`settle`] would record, as if it had: nothing is changed but the memory.
pub(super) fn foresee(job: &Job<'_>, memory: &mut Memory) -> Result<()> {
    for spec in &job.account.deliver {
        let Some(id) = memory.destination(&spec.to_string()) else {
            continue;
        };
        let intents = of(memory, id);
        let records = ask(
            open(job, spec).as_mut(),
            intents,
            false,
            job.environment.now(),
        )?;
        records.iter().for_each(|record| memory.apply(record));
    }
    Ok(())
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
