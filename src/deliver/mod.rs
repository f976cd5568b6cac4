//! Where messages go.
//!
//! A [`Destination`] takes messages one after the other and commits them as a batch, so that many
//! messages share one disk flush. The store thread calls it in this order:
//!
//! ```text
//! for each message:   begin → write … → end      (or abandon: the message never was)
//! for the batch:      prepare → place            (or discard: the batch never was)
//! ```
//!
//! Between `prepare` and `place` the places are written to the journal; after `place` the messages
//! are. So whatever is cut off can be settled at the next start.

pub mod maildir;
mod spec;

use crate::environment::Environment;
use crate::error::{Failure, Result};
use crate::mail::{Digest, Place};

pub use spec::{NotADestination, Spec, absolute};

/// What is known of a message once it came in whole.
#[derive(Debug, Clone, Copy)]
pub struct Complete<'a> {
    /// SHA-256 of its text.
    pub digest: Digest,
    /// The length of its text: CRLF turned into LF.
    pub length: u64,
    /// Its envelope sender, as far as the header tells: bytes from outside, without line ends.
    pub sender: Option<&'a [u8]>,
}

/// Something went wrong in a destination.
#[derive(Debug)]
pub enum Trouble {
    /// With this message; the next may well succeed.
    Message(Failure),
    /// With the destination; nothing more can be stored there in this run.
    Destination(Failure),
}

/// An intent that the journal holds without a record of what came of it.
#[derive(Debug, Clone, Copy)]
pub struct Unsettled<'a> {
    /// The place the message was to have.
    pub place: &'a Place,
    /// SHA-256 of its text.
    pub digest: &'a Digest,
}

/// Where messages go; see the module's text for the order of calls.
pub trait Destination: Send {
    /// Whether what it stores is there after a power cut. What proves nothing durable never leads to a deletion.
    fn is_durable(&self) -> bool;

    /// A message begins.
    ///
    /// # Errors
    ///
    /// No place could be made for it. The message is then not part of the batch.
    fn begin(&mut self) -> Result<(), Trouble>;

    /// More of the message's text: CRLF turned into LF, otherwise as the server sent it.
    ///
    /// # Errors
    ///
    /// It could not be written. The caller then calls [`Destination::abandon`].
    fn write(&mut self, text: &[u8]) -> Result<(), Trouble>;

    /// The message is complete and part of the batch.
    ///
    /// # Errors
    ///
    /// It could not be completed; the message is then not part of the batch.
    fn end(&mut self, message: &Complete<'_>) -> Result<(), Trouble>;

    /// The message that was begun last and not ended is given up; nothing of it stays.
    fn abandon(&mut self);

    /// Makes the data of the batch durable and says which place each of its messages will have, in the order they came.
    ///
    /// # Errors
    ///
    /// Nothing of the batch will be placed; the caller then calls [`Destination::discard`].
    fn prepare(&mut self) -> Result<Vec<Place>>;

    /// Puts each message of the batch where [`Destination::prepare`] said, durably, and begins a new batch.
    /// One result for each message, in the same order.
    fn place(&mut self) -> Vec<Result<(), Trouble>>;

    /// Gives the batch up; nothing of it stays.
    fn discard(&mut self);

    /// Settles intents of an earlier run that was cut off: says of each whether its message is stored here.
    /// With `act`, finishes what can be finished and removes what cannot; without it changes nothing
    /// and says what acting would lead to.
    ///
    /// # Errors
    ///
    /// The destination could not be looked into.
    fn settle(&mut self, unsettled: &[Unsettled<'_>], act: bool) -> Result<Vec<bool>>;
}

/// The destination that this specification names, ready to take messages. Nothing is created before
/// the first message or [`Destination::settle`] needs it.
#[must_use]
pub fn open(spec: &Spec, _environment: &Environment) -> Box<dyn Destination> {
    match spec {
        Spec::Maildir(_) => todo!(),
    }
}
