//! The queue between the wire thread and the store thread: bounded in bytes, so that a fast line
//! cannot fill the memory while the disk is slow.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Something that takes memory while it waits.
pub(super) trait Weighted {
    /// How many bytes it holds.
    fn weight(&self) -> usize;
}

/// How many parcels that came back empty are kept.
const SPARE: usize = 4;

/// A queue for one sender and one receiver.
pub(super) struct Queue<T> {
    most: usize,
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    items: VecDeque<T>,
    weight: usize,
    /// Empty again, for the sender to fill: memory that one thread takes and another gives back wanders
    /// through the allocator, and page by page to the kernel and back.
    spare: Vec<T>,
    receiver_gone: bool,
}

/// The other side is gone; nobody will take what is sent.
#[derive(Debug)]
pub(super) struct Gone;

impl<T: Weighted> Queue<T> {
    /// An empty queue that holds items of so many bytes in all; a single larger item passes alone.
    pub(super) fn new(most: usize) -> Self {
        let state = State {
            items: VecDeque::new(),
            weight: 0,
            spare: Vec::new(),
            receiver_gone: false,
        };
        Queue {
            most,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Puts an item in, waiting for room.
    pub(super) fn send(&self, item: T) -> Result<(), Gone> {
        let mut state = self.lock();
        while state.weight > 0 && state.weight + item.weight() > self.most && !state.receiver_gone {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.receiver_gone {
            return Err(Gone);
        }
        state.weight += item.weight();
        state.items.push_back(item);
        self.changed.notify_all();
        Ok(())
    }

    /// Takes the oldest item, waiting for one until then; for ever without a time.
    pub(super) fn receive(&self, until: Option<Instant>) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.items.pop_front() {
                state.weight -= item.weight();
                self.changed.notify_all();
                return Some(item);
            }
            let left = match until {
                None => Duration::MAX,
                Some(until) => until.saturating_duration_since(Instant::now()),
            };
            if left.is_zero() {
                return None;
            }
            state = match until {
                None => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(_) => {
                    let woken = self.changed.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Gives something that was received back, empty.
    pub(super) fn give_back(&self, empty: T) {
        let mut state = self.lock();
        if state.spare.len() < SPARE {
            state.spare.push(empty);
        }
    }

    /// Something that was given back.
    pub(super) fn spare(&self) -> Option<T> {
        self.lock().spare.pop()
    }

    /// Whoever sends once this is dropped is told that nobody receives, also where the receiver panicked.
    pub(super) fn leave_at_end(&self) -> Leave<'_, T> {
        Leave(self)
    }

    fn hang_up(&self) {
        let mut state = self.lock();
        state.receiver_gone = true;
        state.items.clear();
        state.weight = 0;
        self.changed.notify_all();
    }

    /// A poisoned lock is still a good queue: no invariant spans a panic.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hangs up when it is dropped.
pub(super) struct Leave<'a, T: Weighted>(&'a Queue<T>);

impl<T: Weighted> Drop for Leave<'_, T> {
    fn drop(&mut self) {
        self.0.hang_up();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    impl Weighted for Vec<u8> {
        fn weight(&self) -> usize {
            self.len()
        }
    }

    #[test]
    fn items_come_out_in_order_and_never_more_than_the_bound_wait() {
        let queue = Queue::new(1000);
        let waiting = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..2000_usize {
                    let item = vec![(round % 251) as u8; round % 400];
                    waiting.fetch_add(item.len(), Ordering::SeqCst);
                    queue.send(item).expect("a receiver");
                }
            });
            for round in 0..2000_usize {
                let item = queue.receive(None).expect("an item");
                // One item is counted before it is let in.
                assert!(waiting.fetch_sub(item.len(), Ordering::SeqCst) <= 1000 + 400 + item.len());
                assert_eq!(item, vec![(round % 251) as u8; round % 400]);
            }
        });
    }

    #[test]
    fn a_sender_does_not_wait_for_a_receiver_that_is_gone() {
        let queue = Queue::new(10);
        queue.send(vec![0; 10]).expect("room");
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| queue.send(vec![0; 10]));
            drop(queue.leave_at_end());
            assert!(sender.join().expect("no panic").is_err());
        });
    }

    #[test]
    fn a_receiver_gives_up_at_its_time() {
        let queue: Queue<Vec<u8>> = Queue::new(10);
        assert!(queue.receive(Some(Instant::now())).is_none());
    }
}
