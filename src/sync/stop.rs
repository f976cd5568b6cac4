//! How much can no longer be stored in a run: the store thread says it, and the wire thread asks for no more then.

use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
pub(super) struct StopFlag(Mutex<Stopped>);

#[derive(Default)]
enum Stopped {
    #[default]
    Nothing,
    /// What only goes to these destinations, by the journal's numbers: they are broken.
    Destinations(Vec<u32>),
    Everything,
}

impl StopFlag {
    /// Which destinations work, by the journal's numbers.
    pub(super) fn update(&self, states: impl Iterator<Item = (u32, bool)>) {
        let (working, broken): (Vec<_>, Vec<_>) = states.partition(|(_, works)| *works);
        let mut stopped = self.stopped();
        if working.is_empty() {
            *stopped = Stopped::Everything;
        } else if !broken.is_empty() && !matches!(*stopped, Stopped::Everything) {
            *stopped = Stopped::Destinations(broken.into_iter().map(|(to, _)| to).collect());
        }
    }

    /// Nothing can be stored any more.
    pub(super) fn everything(&self) {
        *self.stopped() = Stopped::Everything;
    }

    pub(super) fn is_everything(&self) -> bool {
        matches!(*self.stopped(), Stopped::Everything)
    }

    /// Whether a message is of no use that only these destinations lack. One that none lacks is new.
    pub(super) fn covers(&self, gaps: &[u32]) -> bool {
        !gaps.is_empty()
            && match &*self.stopped() {
                Stopped::Destinations(broken) => gaps.iter().all(|to| broken.contains(to)),
                Stopped::Nothing | Stopped::Everything => false,
            }
    }

    fn stopped(&self) -> MutexGuard<'_, Stopped> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_of_no_use_where_each_destination_that_lacks_it_is_broken() {
        let stop = StopFlag::default();
        assert!(!stop.covers(&[1]));
        stop.update([(1, false), (2, false), (3, true)].into_iter());
        assert!(stop.covers(&[1]) && stop.covers(&[2, 1]));
        assert!(!stop.covers(&[1, 3]));
        assert!(!stop.covers(&[]), "a new message goes everywhere");
        assert!(!stop.is_everything());
    }

    #[test]
    fn what_is_stopped_entirely_stays_so() {
        let stop = StopFlag::default();
        stop.everything();
        stop.update([(1, false), (2, true)].into_iter());
        assert!(stop.is_everything());
    }

    #[test]
    fn where_no_destination_works_all_is_stopped() {
        let stop = StopFlag::default();
        stop.update([(1, false), (2, false)].into_iter());
        assert!(stop.is_everything());
    }
}
