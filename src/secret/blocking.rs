//! A call that may never return.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::cancel::{CancelToken, Wait};

/// A call in a thread of its own, so that it can be given up. A call that never returns keeps its thread until the
/// process ends.
pub(super) struct BlockingCall<T> {
    started: Instant,
    receiver: Mutex<Receiver<T>>,
    result: OnceLock<T>,
}

impl<T: Send + 'static> BlockingCall<T> {
    /// Starts it.
    pub(super) fn start(call: impl FnOnce() -> T + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::sync_channel(1);
        // Where no thread can be started the sender is dropped, as where the call panics: there is no result.
        let _ = thread::Builder::new()
            .name("call".to_owned())
            .spawn(move || sender.send(call()));
        BlockingCall {
            started: Instant::now(),
            receiver: Mutex::new(receiver),
            result: OnceLock::new(),
        }
    }

    /// The result, if it comes within this time after the start, and before the token is cancelled. A later call does
    /// not wait, but returns a result that came late.
    pub(super) fn result(&self, limit: Duration, token: &CancelToken) -> Option<&T> {
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner);
        if self.result.get().is_none() {
            let wait = Wait::since(self.started, limit, token);
            let result = wait.receive(&receiver).ok().flatten()?;
            return Some(self.result.get_or_init(|| result));
        }
        self.result.get()
    }

    /// The result, where only one caller wants it.
    pub(super) fn into_result(self, limit: Duration, token: &CancelToken) -> Option<T> {
        self.result(limit, token)?;
        self.result.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(60);

    fn wanted() -> CancelToken {
        CancelToken::new()
    }

    #[test]
    fn every_caller_gets_the_result() {
        let call = BlockingCall::start(|| 42);
        assert_eq!(call.result(LONG, &wanted()), Some(&42));
        assert_eq!(call.result(Duration::ZERO, &wanted()), Some(&42));
        assert_eq!(call.into_result(Duration::ZERO, &wanted()), Some(42));
    }

    #[test]
    fn a_call_that_never_returns_is_waited_for_once() {
        let (hold, held) = mpsc::channel::<()>();
        let mut call = BlockingCall::start(move || held.recv());
        assert!(call.result(SHORT, &wanted()).is_none());
        assert!(call.started.elapsed() >= SHORT);

        call.started -= LONG;
        let again = Instant::now();
        assert!(call.result(LONG, &wanted()).is_none());
        assert!(again.elapsed() < LONG);
        drop(hold);
    }

    #[test]
    fn a_late_result_serves_a_later_caller() {
        let (release, released) = mpsc::channel();
        let call = BlockingCall::start(move || released.recv());
        assert!(call.result(SHORT, &wanted()).is_none());
        release.send("late").expect("the thread still listens");
        assert_eq!(call.result(LONG, &wanted()), Some(&Ok("late")));
    }

    #[test]
    fn a_call_that_panics_is_not_waited_for() {
        let call = BlockingCall::<()>::start(|| std::panic::resume_unwind(Box::new("no answer")));
        assert!(call.result(Duration::MAX, &wanted()).is_none());
    }
}
