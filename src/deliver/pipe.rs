//! `pipe:COMMAND`: each message is handed to a command, and counts as stored when that exits with 0.
//!
//! Messages wait in a spool until the batch is complete, so that no command ever waits for our network.
//! What became of a message cannot be looked up later, so that one whose run was cut off is handed over
//! again: at least once, not exactly once.

mod variables;

use std::collections::VecDeque;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::variables::Variables;
use super::batch::{Batch, Spooled};
use super::spool::Spool;
use super::{DeliveryError, Destination, MessageWriter, PreparedBatch, Settings};
use crate::cancel::CancelToken;
use crate::environment::Environment;
use crate::error::{Failure, Kind, Result};
use crate::mail::Place;
use crate::process::{self, Ending, Group, Input, Outcome, Stderr, Terms};
use crate::text::Untrusted;

/// The longest time in which a command neither reads nor ends.
const PIPE_TIMEOUT: Duration = Duration::from_secs(60);

/// After this many refusals in a row the command itself is taken to be at fault.
const MAX_REFUSALS: u32 = 5;

/// "Temporary failure" in `sysexits.h`, as mail programs say it.
const TEMPFAIL: i32 = 75;

/// A command that takes messages.
pub struct Pipe {
    command: String,
    account: String,
    environment: Environment,
    jobs: NonZeroUsize,
    timeout: Duration,
    batch: Batch<Variables>,
    health: Health,
    warnings: Vec<String>,
}

/// Whether the command can be expected to take more messages.
#[derive(Default)]
struct Health {
    /// Refusals since the last message that was taken.
    refusals: u32,
    /// It gets no more messages, for a reason of this kind.
    ended: Option<Kind>,
}

/// Why a command did not take a message.
struct Refusal {
    what: String,
    kind: Kind,
    /// It would be the same with every other message.
    is_lasting: bool,
}

impl Pipe {
    /// The command, for `/bin/sh -c`. It isn't run before a batch is complete.
    #[must_use]
    pub fn new(command: String, settings: &Settings<'_>, environment: &Environment) -> Self {
        Pipe {
            command,
            account: settings.account.to_owned(),
            environment: environment.clone(),
            jobs: settings.pipe_jobs,
            timeout: environment.wait("POPFETCH_TEST_PIPE_WAIT", PIPE_TIMEOUT),
            batch: Batch::new(environment.state_dir.clone()),
            health: Health::default(),
            warnings: Vec::new(),
        }
    }

    fn shown(&self) -> Untrusted<'_> {
        Untrusted(self.command.as_bytes())
    }

    /// Takes messages from the queue and hands them over, one after another, until it is empty.
    fn work(&self, queue: &Mutex<Queue<'_>>) {
        while let Some((index, message)) = self.next(queue) {
            let outcome = self.hand_over(message);
            let mut queue = lock(queue);
            queue.results[index] = match outcome {
                Ok(outcome) => {
                    queue.warnings[index] = outcome.messages(&self.command);
                    self.result(&outcome.ending, &mut queue.health)
                }
                Err(error) => {
                    let failure = Failure::from(error);
                    queue.health.ended = Some(failure.kind());
                    Err(DeliveryError::Destination(failure))
                }
            };
        }
    }

    /// The next message; those that are not to be handed over any more get their result.
    fn next<'a>(&self, queue: &Mutex<Queue<'a>>) -> Option<(usize, &'a Spooled<Variables>)> {
        let mut queue = lock(queue);
        while let Some((index, message)) = queue.waiting.pop_front() {
            let Some(kind) = queue.health.ended else {
                return Some((index, message));
            };
            queue.results[index] = Err(self.ended(kind));
        }
        None
    }

    fn hand_over(&self, message: &Spooled<Variables>) -> Result<Outcome, process::Error> {
        let mut shell = process::shell(&self.command, &self.environment);
        message.about.set(&mut shell, &self.account);
        let mut text = Text {
            spool: self.batch.spool(),
            rest: message.text.clone(),
        };
        let terms = Terms {
            input: Input::From(&mut text),
            max_output: None,
            stderr: Stderr::Kept,
            group: Group::Own,
            timeout: self.timeout,
            // The handing over of a message is never cut off.
            token: &CancelToken::new(),
        };
        process::run(&mut shell, terms)
    }

    /// Why a message isn't handed over at all.
    fn ended(&self, kind: Kind) -> DeliveryError {
        let what = format!("\"{}\" gets no more messages after that", self.shown());
        DeliveryError::Destination(Failure::new(kind, what))
    }

    /// What the end of the command means for the message, and for those to come.
    fn result(&self, ending: &Ending, health: &mut Health) -> Result<Place, DeliveryError> {
        let Some(refusal) = self.refusal(ending) else {
            health.refusals = 0;
            return Ok(Place::Untracked);
        };
        let what = format!("\"{}\" {}", self.shown(), refusal.what);
        let failure = Failure::new(refusal.kind, what);
        health.refusals += 1;
        if refusal.is_lasting || health.refusals >= MAX_REFUSALS {
            health.ended = Some(refusal.kind);
            let hint = "It gets no more messages in this run. What it did not take is still on the server.";
            return Err(DeliveryError::Destination(failure.hint(hint)));
        }
        Err(DeliveryError::Message(failure))
    }

    /// Why the message was not taken, if it wasn't.
    fn refusal(&self, ending: &Ending) -> Option<Refusal> {
        let Ending::Exited(status) = ending else {
            let seconds = self.timeout.as_secs();
            return Some(Refusal {
                what: format!("neither read nor ended for {seconds} seconds and was killed"),
                kind: Kind::Temporary,
                is_lasting: true,
            });
        };
        if status.success() {
            return None;
        }
        let (what, kind, is_lasting) = match status.code() {
            Some(126) => ("cannot be run", Kind::Destination, true),
            Some(127) => ("was not found", Kind::Destination, true),
            Some(TEMPFAIL) => ("cannot take a message now", Kind::Temporary, false),
            _ => ("did not take a message", Kind::Destination, false),
        };
        Some(Refusal {
            what: format!("{what} ({status})"),
            kind,
            is_lasting,
        })
    }
}

/// The text of a message on its way into the command.
struct Text<'a> {
    spool: &'a Spool,
    rest: Range<u64>,
}

impl Read for Text<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.spool.read_within(&mut self.rest, buffer);
        read.map_err(|error| io::Error::other(Failure::from(error)))
    }
}

/// The work of a batch, shared by the threads that do it.
struct Queue<'a> {
    waiting: VecDeque<(usize, &'a Spooled<Variables>)>,
    results: Vec<Result<Place, DeliveryError>>,
    warnings: Vec<Vec<String>>,
    health: Health,
}

/// What a thread did before it panicked is still true.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Destination for Pipe {
    /// The command vouches for it with its exit status.
    fn is_durable(&self) -> bool {
        true
    }

    fn batch_limit(&self) -> usize {
        self.jobs.get()
    }

    fn waits_for_others(&self) -> bool {
        true
    }

    fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    fn begin(&mut self) -> Result<Box<dyn MessageWriter + '_>, DeliveryError> {
        match self.health.ended {
            Some(kind) => Err(self.ended(kind)),
            None => Ok(Box::new(self.batch.begin(None, Variables::of))),
        }
    }

    fn prepare(&mut self) -> Result<Box<dyn PreparedBatch + '_>> {
        let places = vec![Place::Untracked; self.batch.messages().len()];
        Ok(Box::new(Prepared { pipe: self, places }))
    }

    fn discard(&mut self) {
        self.batch.clear();
    }
}

/// A batch, ready to be handed over.
struct Prepared<'a> {
    pipe: &'a mut Pipe,
    places: Vec<Place>,
}

impl PreparedBatch for Prepared<'_> {
    fn places(&self) -> &[Place] {
        &self.places
    }

    fn commit(self: Box<Self>) -> Vec<Result<Place, DeliveryError>> {
        let health = std::mem::take(&mut self.pipe.health);
        let pipe = &*self.pipe;
        let messages = pipe.batch.messages();
        let queue = Mutex::new(Queue {
            waiting: messages.iter().enumerate().collect(),
            // Each gets another one. But what isn't known to be taken never counts as stored.
            results: messages.iter().map(|_| Err(pipe.ended(Kind::Io))).collect(),
            warnings: vec![Vec::new(); messages.len()],
            health,
        });
        std::thread::scope(|scope| {
            // One of the workers is this thread.
            for _ in 1..pipe.jobs.get().min(messages.len()) {
                scope.spawn(|| pipe.work(&queue));
            }
            pipe.work(&queue);
        });
        let queue = queue.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Queue {
            results,
            warnings,
            health,
            ..
        } = queue;
        self.pipe.health = health;
        self.pipe.warnings.extend(warnings.into_iter().flatten());
        results
    }
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        self.pipe.discard();
    }
}

#[cfg(test)]
mod tests;
