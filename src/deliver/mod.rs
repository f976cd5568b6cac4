//! Where messages go.
//!
//! A [`Destination`] takes messages one after another and commits them as a batch, so that many
//! messages share one disk flush. The types have the order of the steps:
//!
//! ```text
//! for each message:   begin → MessageWriter: write … → finish     (dropped: the message never was)
//! for the batch:      prepare → PreparedBatch: commit             (dropped: the batch never was)
//! ```
//!
//! Between `prepare` and `commit` the places are written to the journal; after `commit` the messages
//! are. So whatever is cut off can be recovered at the next start.

mod batch;
mod disk;
mod maildir;
mod mbox;
mod mboxrd;
mod pipe;
mod spec;
mod spool;
mod stdout;

use std::num::NonZeroUsize;

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

/// Whether something may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// What can be finished is finished, and what is found is made durable.
    Apply,
    /// Nothing is changed; the answer is what [`Mode::Apply`] would lead to.
    DryRun,
}

/// Where messages go; see the module's text for the order of the steps.
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

    /// Whether storing a message waits for another program. Then nothing more is begun once the run was asked to stop,
    /// not even with what is here already.
    fn waits_for_others(&self) -> bool {
        false
    }

    /// What is worth reporting although nothing failed, since this was last asked: whole sentences, safe to show.
    /// Worth asking after a commit.
    fn take_warnings(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// A message begins. Dropping the writer gives the message up; nothing of it stays.
    ///
    /// # Errors
    ///
    /// No place could be made for it.
    fn begin(&mut self) -> Result<Box<dyn MessageWriter + '_>, DeliveryError>;

    /// Makes the data of all finished messages durable. Dropping the batch gives it up; nothing of it stays.
    ///
    /// # Errors
    ///
    /// The data could not be made durable. The batch is to be discarded then.
    fn prepare(&mut self) -> Result<Box<dyn PreparedBatch + '_>>;

    /// Gives up all messages that were finished since the last commit; nothing of them stays.
    fn discard(&mut self);

    /// Recovers intents of an earlier run that was cut off: says of each whether its message is stored here. Finishes
    /// what can be finished and removes what cannot. Where nothing can be looked up, nothing is stored: it comes again.
    ///
    /// # Errors
    ///
    /// The destination could not be looked into.
    fn recover(&mut self, intents: &[StoredRef<'_>], mode: Mode) -> Result<Vec<bool>> {
        let _ = mode;
        Ok(vec![false; intents.len()])
    }

    /// Says of each of these messages, stored by an earlier run, whether its copy is here, with the same
    /// text still. Where nothing can be looked up, nothing is found.
    ///
    /// # Errors
    ///
    /// The destination could not be looked into.
    fn find(&mut self, stored: &[StoredRef<'_>], mode: Mode) -> Result<Vec<bool>> {
        let _ = mode;
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

/// A message that is coming in.
pub trait MessageWriter {
    /// More of the message's text: CRLF turned into LF, otherwise as the server sent it.
    ///
    /// # Errors
    ///
    /// It could not be written; the message is to be given up.
    fn write(&mut self, text: &[u8]) -> Result<(), DeliveryError>;

    /// The message is complete and part of the batch.
    ///
    /// # Errors
    ///
    /// It could not be completed; nothing of it stays.
    fn finish(self: Box<Self>, message: &Complete<'_>) -> Result<(), DeliveryError>;
}

/// A batch whose data is durable.
pub trait PreparedBatch {
    /// Which place each message will have, in the order they came.
    fn places(&self) -> &[Place];

    /// Puts each message into its place, durably: for each, in the same order, the place that it has. One that failed is
    /// not known to be stored and is not known to be gone either (the disk may have failed in between): its intent stays
    /// to be recovered at the next start.
    fn commit(self: Box<Self>) -> Vec<Result<Place, DeliveryError>>;
}

/// What a destination has to know of the account it works for.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The account's name.
    pub account: &'a str,
    /// How many commands of a `pipe:` run at the same time.
    pub pipe_jobs: NonZeroUsize,
}

/// What the tests of all destinations need.
#[cfg(test)]
mod testing {
    use std::path::Path;

    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::environment::Environment;

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
        let mut writer = destination.begin().expect("begun");
        let (one, two) = text.split_at(text.len() / 2);
        writer.write(one).expect("written");
        writer.write(two).expect("written");
        finish(writer, text, sender);
    }

    /// Finishes a message of which this was written.
    pub(super) fn finish(writer: Box<dyn MessageWriter + '_>, text: &[u8], sender: Option<&[u8]>) {
        let complete = Complete {
            digest: digest(text),
            length: text.len() as u64,
            sender,
            uid: None,
        };
        writer.finish(&complete).expect("finished");
    }

    /// Commits the batch.
    pub(super) fn commit(destination: &mut dyn Destination) -> Vec<Result<Place, DeliveryError>> {
        destination.prepare().expect("prepared").commit()
    }

    /// Stores a batch and says where.
    pub(super) fn store(destination: &mut dyn Destination, texts: &[&[u8]]) -> Vec<Place> {
        texts.iter().for_each(|text| add(destination, text));
        let prepared = destination.prepare().expect("prepared");
        let promised = prepared.places().to_vec();
        let stored: Result<Vec<_>, _> = prepared.commit().into_iter().collect();
        assert_eq!(stored.expect("stored"), promised);
        promised
    }

    /// Asks for one intent.
    pub(super) fn recover(
        destination: &mut dyn Destination,
        place: &Place,
        text: &[u8],
        mode: Mode,
    ) -> bool {
        let digest = &digest(text);
        let recovered = destination.recover(&[StoredRef { place, digest }], mode);
        recovered.expect("recovered")[0]
    }

    /// Asks for one stored copy.
    pub(super) fn find(
        destination: &mut dyn Destination,
        place: &Place,
        text: &[u8],
        mode: Mode,
    ) -> bool {
        let digest = &digest(text);
        let found = destination.find(&[StoredRef { place, digest }], mode);
        found.expect("looked for")[0]
    }
}
