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
//! are. So whatever is cut off can be settled at the next start. Calls in another order are
//! mistakes of the caller, and may panic.

mod directory;
mod disk;
mod maildir;
mod mbox;
mod mboxrd;
mod pipe;
mod quoted;
mod spec;
mod spool;
mod stdout;

use std::num::NonZeroUsize;

use crate::environment::Environment;
use crate::error::{Failure, Result};
use crate::mail::{Digest, Identity, Place, UniqueId};

pub use maildir::Maildir;
pub use mbox::Mbox;
pub use pipe::Pipe;
pub use spec::{NotADestination, Spec, absolute};
pub use stdout::Stdout;

/// What is known of a message once it came in whole.
#[derive(Debug, Clone, Copy)]
pub struct Complete<'a> {
    /// SHA-256 of its text.
    pub digest: Digest,
    /// The length of its text: CRLF turned into LF.
    pub length: u64,
    /// Its envelope sender, as far as the header tells: bytes from outside, without line ends.
    pub sender: Option<&'a [u8]>,
    /// Its unique-id; none where the server has no UIDL.
    pub uid: Option<&'a UniqueId>,
}

/// Something went wrong in a destination.
#[derive(Debug)]
pub enum DeliveryError {
    /// With this message; the next may well succeed.
    Message(Failure),
    /// With the destination; nothing more can be stored there in this run.
    Destination(Failure),
}

/// A message to be looked for.
#[derive(Debug, Clone, Copy)]
pub struct StoredRef<'a> {
    /// The place that the journal says it was to have.
    pub place: &'a Place,
    /// SHA-256 of its text.
    pub digest: &'a Digest,
}

/// Where messages go; see the module's text for the order of calls.
pub trait Destination: Send {
    /// Whether what it stores is there after a power cut. What proves nothing durable never leads to a deletion.
    fn is_durable(&self) -> bool;

    /// Whether messages could be stored here, as far as can be seen without changing anything.
    ///
    /// # Errors
    ///
    /// Why not.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Mail was stored here before: what is gone now, as the directory of a disk that is not mounted, is never made anew.
    ///
    /// # Errors
    ///
    /// It is gone, or cannot be looked at.
    fn expect_present(&mut self) -> Result<()> {
        Ok(())
    }

    /// How many messages a batch may have. Where nothing can be found again after a crash, everything
    /// since the last commit is delivered twice, so such a destination wants small batches.
    fn batch_limit(&self) -> usize {
        usize::MAX
    }

    /// Whether storing a message takes as long as somebody else's program likes. Then nothing more is begun once the
    /// run was asked to stop, not even with what is here already.
    fn takes_its_time(&self) -> bool {
        false
    }

    /// What is worth telling although nothing failed, since it was last asked: whole sentences, safe to show.
    /// Worth asking after [`Destination::place`].
    fn take_notices(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// A message begins.
    ///
    /// # Errors
    ///
    /// No place could be made for it. The message is then not part of the batch.
    fn begin(&mut self) -> Result<(), DeliveryError>;

    /// More of the message's text: CRLF turned into LF, otherwise as the server sent it.
    ///
    /// # Errors
    ///
    /// It could not be written. The caller then calls [`Destination::abandon`].
    fn write(&mut self, text: &[u8]) -> Result<(), DeliveryError>;

    /// The message is complete and part of the batch.
    ///
    /// # Errors
    ///
    /// It could not be completed; the message is then not part of the batch.
    fn end(&mut self, message: &Complete<'_>) -> Result<(), DeliveryError>;

    /// The message that was begun last and not ended is given up; nothing of it stays.
    fn abandon(&mut self);

    /// Makes the data of the batch durable and says which place each of its messages will have, in the order they came.
    ///
    /// # Errors
    ///
    /// Nothing of the batch will be placed; the caller then calls [`Destination::discard`].
    fn prepare(&mut self) -> Result<Vec<Place>>;

    /// Puts each message of the batch where [`Destination::prepare`] said, durably, and begins a new batch.
    /// One result for each message, in the same order. One that failed is not known to be stored and is not known
    /// to be gone either (the disk may have failed in between): its intent stays to be settled at the next start.
    fn place(&mut self) -> Vec<Result<(), DeliveryError>>;

    /// Gives the batch up; nothing of it stays.
    fn discard(&mut self);

    /// Settles intents of an earlier run that was cut off: says of each whether its message is stored here.
    /// With `act`, finishes what can be finished and removes what cannot; without it changes nothing
    /// and says what acting would lead to.
    ///
    /// # Errors
    ///
    /// The destination could not be looked into.
    fn settle(&mut self, unsettled: &[StoredRef<'_>], act: bool) -> Result<Vec<bool>>;

    /// Says of each of these messages, stored by an earlier run, whether its copy is here, with the same
    /// text still. With `act`, what is found is made durable; without it nothing is changed. Where
    /// nothing can be looked up, nothing is found.
    ///
    /// # Errors
    ///
    /// The destination could not be looked into.
    fn find(&mut self, stored: &[StoredRef<'_>], act: bool) -> Result<Vec<bool>> {
        let _ = act;
        Ok(vec![false; stored.len()])
    }

    /// What the copies of messages that were stored here are known by where header lines come and go; none for a copy
    /// that is not found.
    ///
    /// # Errors
    ///
    /// The destination could not be looked into.
    fn identify(&mut self, stored: &[StoredRef<'_>]) -> Result<Vec<Option<Identity>>> {
        Ok(vec![None; stored.len()])
    }
}

/// What a destination has to know of the account it works for.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The account's name.
    pub account: &'a str,
    /// How many commands of a `pipe:` run at the same time.
    pub pipe_jobs: NonZeroUsize,
}

/// The destination that this specification names, ready to take messages. Nothing is created before
/// the first message or [`Destination::settle`] needs it.
#[must_use]
pub fn open(
    spec: &Spec,
    settings: &Settings<'_>,
    environment: &Environment,
) -> Box<dyn Destination> {
    match spec {
        Spec::Maildir(path) => Box::new(Maildir::new(path.clone(), environment)),
        Spec::Mbox(path) => Box::new(Mbox::new(path.clone(), environment)),
        Spec::Stdout => Box::new(Stdout::new(environment)),
        Spec::Pipe(command) => Box::new(Pipe::new(command.clone(), settings, environment)),
    }
}

/// What the tests of all destinations need.
#[cfg(test)]
mod testing {
    use std::path::Path;

    use sha2::{Digest as _, Sha256};

    use super::*;

    /// Surroundings in a directory of the test's own.
    pub(super) fn environment(root: &Path) -> Environment {
        let mut environment = Environment::system().expect("surroundings");
        environment.host_name = "host.test".into();
        environment.home = root.join("home");
        environment.state_dir = root.join("state");
        environment
    }

    pub(super) fn digest(text: &[u8]) -> Digest {
        Digest(Sha256::digest(text).into())
    }

    /// Writes one message, in two pieces.
    pub(super) fn add(destination: &mut dyn Destination, text: &[u8]) {
        add_from(destination, text, None);
    }

    /// The same, from this envelope sender.
    pub(super) fn add_from(destination: &mut dyn Destination, text: &[u8], sender: Option<&[u8]>) {
        destination.begin().expect("begun");
        let (one, two) = text.split_at(text.len() / 2);
        destination.write(one).expect("written");
        destination.write(two).expect("written");
        let complete = Complete {
            digest: digest(text),
            length: text.len() as u64,
            sender,
            uid: None,
        };
        destination.end(&complete).expect("ended");
    }

    /// Stores a batch and says where.
    pub(super) fn store(destination: &mut dyn Destination, texts: &[&[u8]]) -> Vec<Place> {
        texts.iter().for_each(|text| add(destination, text));
        let places = destination.prepare().expect("prepared");
        for result in destination.place() {
            result.expect("placed");
        }
        places
    }

    /// Asks for one intent.
    pub(super) fn settle(
        destination: &mut dyn Destination,
        place: &Place,
        text: &[u8],
        act: bool,
    ) -> bool {
        let digest = &digest(text);
        let settled = destination.settle(&[StoredRef { place, digest }], act);
        settled.expect("settled")[0]
    }

    /// Asks for one stored copy.
    pub(super) fn find(
        destination: &mut dyn Destination,
        place: &Place,
        text: &[u8],
        act: bool,
    ) -> bool {
        let digest = &digest(text);
        let found = destination.find(&[StoredRef { place, digest }], act);
        found.expect("looked for")[0]
    }
}
