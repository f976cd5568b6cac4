//! A question that may never be answered.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::cancel::{CancelToken, Wait};

/// A question asked in a thread of its own, so that nobody has to wait for ever for the answer. A
/// thread that never gets one stays until the process ends; nothing can end it.
pub(super) struct Question<T> {
    asked: Instant,
    coming: Mutex<Receiver<T>>,
    answer: OnceLock<T>,
}

impl<T: Send + 'static> Question<T> {
    /// Asks now.
    pub(super) fn ask(question: impl FnOnce() -> T + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::sync_channel(1);
        // Where no thread can be started the sender is dropped, as where the question panics: there is no answer.
        let _ = thread::Builder::new()
            .name("question".to_owned())
            .spawn(move || sender.send(question()));
        Question {
            asked: Instant::now(),
            coming: Mutex::new(receiver),
            answer: OnceLock::new(),
        }
    }

    /// The answer, if it comes within this time after the question was asked, and before the token is
    /// cancelled. A call after that time does not wait, but returns an answer that came late.
    pub(super) fn answer(&self, limit: Duration, token: &CancelToken) -> Option<&T> {
        let coming = self.coming.lock().unwrap_or_else(PoisonError::into_inner);
        if self.answer.get().is_none() {
            let wait = Wait::since(self.asked, limit, token);
            let answer = wait.receive(&coming).ok().flatten()?;
            return Some(self.answer.get_or_init(|| answer));
        }
        self.answer.get()
    }

    /// Like [`Question::answer`], for somebody who alone asked.
    pub(super) fn into_answer(self, limit: Duration, token: &CancelToken) -> Option<T> {
        self.answer(limit, token)?;
        self.answer.into_inner()
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
    fn an_answer_is_given_to_everybody_who_asks_for_it() {
        let question = Question::ask(|| 42);
        assert_eq!(question.answer(LONG, &wanted()), Some(&42));
        assert_eq!(question.answer(Duration::ZERO, &wanted()), Some(&42));
        assert_eq!(question.into_answer(Duration::ZERO, &wanted()), Some(42));
    }

    #[test]
    fn an_answer_that_never_comes_is_waited_for_once() {
        let (hold, held) = mpsc::channel::<()>();
        let mut question = Question::ask(move || held.recv());
        assert!(question.answer(SHORT, &wanted()).is_none());
        assert!(question.asked.elapsed() >= SHORT);

        question.asked -= LONG;
        let again = Instant::now();
        assert!(question.answer(LONG, &wanted()).is_none());
        assert!(again.elapsed() < LONG);
        drop(hold);
    }

    #[test]
    fn an_answer_that_comes_late_serves_whoever_asks_later() {
        let (release, released) = mpsc::channel();
        let question = Question::ask(move || released.recv());
        assert!(question.answer(SHORT, &wanted()).is_none());
        release.send("late").expect("the thread still listens");
        assert_eq!(question.answer(LONG, &wanted()), Some(&Ok("late")));
    }

    #[test]
    fn a_question_that_panics_is_not_waited_for() {
        let question = Question::<()>::ask(|| std::panic::resume_unwind(Box::new("no answer")));
        assert!(question.answer(Duration::MAX, &wanted()).is_none());
    }
}
