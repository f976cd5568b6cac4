//! Whether the places where mail was stored are still there: a disk may not be mounted, a directory be removed.

use super::Job;
use super::batch::{Slot, some_works};
use crate::deliver::Spec;
use crate::error::{Failure, Result};
use crate::journal::Memory;
use crate::mail::Retention;
use crate::plan::Rules;

/// The rules of this run. A destination that is gone takes no mail, and as long as one of the account's is gone, nothing
/// is deleted on the server: what is there may be the last copy.
///
/// # Errors
///
/// Every destination of the run is gone; why the first one counts as gone.
pub(super) fn check(job: &Job<'_>, slots: &mut [Slot], memory: &Memory) -> Result<Rules> {
    let mut rules = job.rules.clone();
    rules.keeps = slots.iter().any(|slot| slot.destination.is_durable());
    for slot in slots.iter_mut().filter(|slot| memory.has_used(slot.id)) {
        if let Err(failure) = slot.destination.expect_present() {
            slot.fail(failure);
            rules.retention = Retention::Always;
        }
    }
    some_works(slots)?;
    if rules.retention != Retention::Always
        && let Some(failure) = gone_elsewhere(job, memory)
    {
        job.warn(&format!("{failure}: nothing is deleted on the server"));
        rules.retention = Retention::Always;
    }
    Ok(rules)
}

/// Why a destination counts as gone that others take the place of for this run.
fn gone_elsewhere(job: &Job<'_>, memory: &Memory) -> Option<Failure> {
    let is_used = |spec: &&Spec| {
        let number = memory.destination(&spec.to_string());
        number.is_some_and(|number| memory.has_used(number))
    };
    let used = job.account.deliver_otherwise.iter().filter(is_used);
    let mut opened = used.map(|spec| spec.open(&job.settings(), job.environment));
    opened.find_map(|mut destination| destination.expect_present().err())
}
