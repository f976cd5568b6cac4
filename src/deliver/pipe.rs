//! `pipe:COMMAND`: each message is handed to a command, and counts as stored when that exits with 0.
//!
//! Messages wait in a spool until the batch is complete, so that no command ever waits for our network.
//! Nobody can look up later what became of a message, so that one whose run was cut off is handed over
//! again: at least once, not exactly once.

mod variables;

use std::collections::VecDeque;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use self::variables::Variables;
use super::spool::Spool;
use super::{Complete, DeliveryError, Destination, Settings, StoredRef};
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
    spool: Spool,
    /// Where the message that is being written begins.
    start: Option<u64>,
    batch: Vec<Waiting>,
    course: Course,
    notices: Vec<String>,
}

/// A message that is whole.
struct Waiting {
    text: Range<u64>,
    variables: Variables,
}

/// How it has been going.
#[derive(Default)]
struct Course {
    /// Refusals since the last message that was taken.
    refusals: u32,
    /// Nothing more is handed over, for a reason of this kind.
    ended: Option<Kind>,
}

/// Why a command did not take a message.
struct Fault {
    what: String,
    kind: Kind,
    /// Whether it would be the same with every other message.
    lasts: bool,
}

/// A result and what the command said.
type Handed = (Result<(), DeliveryError>, Vec<String>);

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
            spool: Spool::new(environment.state_dir.clone()),
            start: None,
            batch: Vec::new(),
            course: Course::default(),
            notices: Vec::new(),
        }
    }

    fn shown(&self) -> Untrusted<'_> {
        Untrusted(self.command.as_bytes())
    }

    /// Hands one message over.
    fn hand(&self, message: &Waiting) -> Result<Outcome> {
        let mut shell = process::shell(&self.command, &self.environment);
        message.variables.tell(&mut shell, &self.account);
        let mut text = Text {
            spool: &self.spool,
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
        Ok(process::run(&mut shell, terms)?)
    }

    /// Takes messages from the queue and hands them over, one after the other, until it is empty.
    fn work(&self, queue: &Mutex<Queue<'_>>) {
        loop {
            let (index, message) = {
                let mut queue = lock(queue);
                let Some((index, message)) = queue.waiting.pop_front() else {
                    return;
                };
                if let Some(kind) = queue.course.ended {
                    queue.results[index] = Some((Err(self.ended(kind)), Vec::new()));
                    continue;
                }
                (index, message)
            };
            let outcome = self.hand(message);
            let mut queue = lock(queue);
            let (result, said) = match outcome {
                Ok(outcome) => (
                    self.judge(&outcome.ending, &mut queue.course),
                    outcome.messages(&self.command),
                ),
                Err(failure) => {
                    queue.course.ended = Some(failure.kind());
                    (Err(DeliveryError::Destination(failure)), Vec::new())
                }
            };
            queue.results[index] = Some((result, said));
        }
    }

    /// Why a message isn't handed over at all.
    fn ended(&self, kind: Kind) -> DeliveryError {
        let what = format!("\"{}\" gets no more messages after that", self.shown());
        DeliveryError::Destination(Failure::new(kind, what))
    }

    /// What the end of the command means for the message, and for those to come.
    fn judge(&self, ending: &Ending, course: &mut Course) -> Result<(), DeliveryError> {
        let Some(fault) = self.fault(ending) else {
            course.refusals = 0;
            return Ok(());
        };
        let failure = Failure::new(fault.kind, format!("\"{}\" {}", self.shown(), fault.what));
        course.refusals += 1;
        if fault.lasts || course.refusals >= MAX_REFUSALS {
            course.ended = Some(fault.kind);
            let hint = "It gets no more messages in this run. What it did not take is still on the server.";
            return Err(DeliveryError::Destination(failure.hint(hint)));
        }
        Err(DeliveryError::Message(failure))
    }

    /// What is wrong when a command ends like this.
    fn fault(&self, ending: &Ending) -> Option<Fault> {
        let (what, kind, lasts) = match ending {
            Ending::Exited(status) if status.success() => return None,
            Ending::Exited(status) => match status.code() {
                Some(126) => ("cannot be run".into(), Kind::Destination, true),
                Some(127) => ("was not found".into(), Kind::Destination, true),
                Some(TEMPFAIL) => ("cannot take a message now".into(), Kind::Temporary, false),
                _ => ("did not take a message".into(), Kind::Destination, false),
            },
            Ending::TimedOut | Ending::Stopped | Ending::PrintedTooMuch => {
                let seconds = self.timeout.as_secs();
                let what = format!("neither read nor ended for {seconds} seconds and was killed");
                (what, Kind::Temporary, true)
            }
        };
        let what = match ending {
            Ending::Exited(status) => format!("{what} ({status})"),
            _ => what,
        };
        Some(Fault { what, kind, lasts })
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
        read.map_err(io::Error::other)
    }
}

/// The work of a batch, shared by those who do it.
struct Queue<'a> {
    waiting: VecDeque<(usize, &'a Waiting)>,
    results: Vec<Option<Handed>>,
    course: Course,
}

/// What somebody did who panicked is still true.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
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

    fn takes_its_time(&self) -> bool {
        true
    }

    fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    fn begin(&mut self) -> Result<(), DeliveryError> {
        self.abandon();
        if let Some(kind) = self.course.ended {
            return Err(self.ended(kind));
        }
        self.start = Some(self.spool.length());
        Ok(())
    }

    fn write(&mut self, text: &[u8]) -> Result<(), DeliveryError> {
        debug_assert!(self.start.is_some(), "begin comes before write");
        self.spool.write(text).map_err(DeliveryError::Destination)
    }

    fn end(&mut self, message: &Complete<'_>) -> Result<(), DeliveryError> {
        let start = self.start.take().expect("begin comes before end");
        self.batch.push(Waiting {
            text: start..self.spool.length(),
            variables: Variables::of(message),
        });
        Ok(())
    }

    fn abandon(&mut self) {
        if let Some(start) = self.start.take() {
            self.spool.cut(start);
        }
    }

    fn prepare(&mut self) -> Result<Vec<Place>> {
        self.abandon();
        Ok(vec![Place::Untracked; self.batch.len()])
    }

    fn place(&mut self) -> Vec<Result<(), DeliveryError>> {
        let queue = Mutex::new(Queue {
            waiting: self.batch.iter().enumerate().collect(),
            results: self.batch.iter().map(|_| None).collect(),
            course: std::mem::take(&mut self.course),
        });
        let workers = self.jobs.get().min(self.batch.len());
        std::thread::scope(|scope| {
            // One of the workers is this thread.
            for _ in 1..workers {
                scope.spawn(|| self.work(&queue));
            }
            self.work(&queue);
        });
        let queue = queue.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Queue {
            results, course, ..
        } = queue;
        self.course = course;
        self.discard();
        let mut handed = Vec::new();
        for result in results {
            // Each has one: had a worker panicked, so had we. But what isn't known to be stored never counts as stored.
            let (result, said) = result.unwrap_or_else(|| (Err(self.ended(Kind::Io)), Vec::new()));
            self.notices.extend(said);
            handed.push(result);
        }
        handed
    }

    fn discard(&mut self) {
        self.start = None;
        self.batch.clear();
        self.spool.cut(0);
    }

    /// Whether the command took a message before we were cut off, nobody can say: it is handed over again.
    fn settle(&mut self, unsettled: &[StoredRef<'_>], _act: bool) -> Result<Vec<bool>> {
        Ok(vec![false; unsettled.len()])
    }
}

#[cfg(test)]
mod tests;
