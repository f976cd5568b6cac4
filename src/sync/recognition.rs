//! Which message one is, now that it is here whole: its content may say that it is stored already.

use std::collections::HashMap;

use super::batch::Batch;
use super::parcel::Incoming;
use super::survey::Again;
use crate::journal::{Memory, Record};
use crate::mail::{Digest, UniqueId};
use crate::plan::Purpose;

/// What messages are recognised by, besides what is remembered of them.
pub(super) struct Recognition<'a> {
    /// What is stored but not listed: a new message with such content is an old one, renumbered.
    pub(super) vanished: HashMap<Digest, UniqueId>,
    /// What the run has stored, where it stores everything.
    pub(super) again: &'a Again,
    /// How many messages may be stored that turn out to be new; none where there is no limit.
    pub(super) most_new: Option<u64>,
}

/// A message that came in whole.
pub(super) struct Arrived<'a> {
    pub(super) incoming: &'a Incoming,
    /// Under which id the journal knows it.
    pub(super) key: &'a UniqueId,
    pub(super) digest: Digest,
}

/// Whether a message is to be stored.
pub(super) enum Recognised {
    /// It is: nothing says that it is stored already, or where it is missing it is wanted.
    New,
    /// It is new, but one more than may be stored.
    BeyondLimit,
    /// It is stored already; this is what the journal must learn of it.
    Stored(Option<Record>),
    /// It was written before to where nothing is durable.
    Seen,
}

impl Recognition<'_> {
    /// What this message is, where a run has these destinations, and this is the batch that it would be in.
    pub(super) fn of(
        &mut self,
        message: &Arrived<'_>,
        batch: &Batch,
        memory: &Memory,
        here: &[u32],
    ) -> Recognised {
        let Arrived {
            incoming,
            key,
            digest,
        } = *message;
        let remembered = memory.recall(key.as_bytes());
        let same = remembered.filter(|remembered| remembered.digest() == Some(digest));
        let stored = same.filter(|same| same.is_stored());
        match incoming.purpose {
            Purpose::StoreAgain if self.again.contains(key) => Recognised::Stored(None),
            Purpose::StoreAgain | Purpose::FillGaps => Recognised::New,
            Purpose::Compare => stored.map_or(Recognised::New, |stored| {
                let was_given_up = stored.is_deleted() || stored.is_asked();
                Recognised::Stored(was_given_up.then(|| same_as(key, key)))
            }),
            Purpose::Store if incoming.key.is_some() => self.vanished(key, digest),
            Purpose::Store | Purpose::StoreIfNew => match same {
                Some(same) if same.lacks(here) => Recognised::New,
                Some(_) if stored.is_some() => Recognised::Stored(None),
                Some(same) if same.is_seen() => Recognised::Seen,
                _ if batch.messages.iter().any(|other| other.key == *key) => {
                    Recognised::Stored(None)
                }
                _ => match self.vanished(key, digest) {
                    Recognised::New => self.within_limit(incoming.purpose),
                    known => known,
                },
            },
        }
    }

    /// Whether such a message is stored under an id that is listed no more.
    fn vanished(&mut self, key: &UniqueId, digest: Digest) -> Recognised {
        match self.vanished.remove(&digest) {
            Some(stored_as) => Recognised::Stored(Some(same_as(key, &stored_as))),
            None => Recognised::New,
        }
    }

    /// A message that turned out to be new counts.
    fn within_limit(&mut self, purpose: Purpose) -> Recognised {
        let counts = purpose == Purpose::StoreIfNew;
        let Some(left) = self.most_new.as_mut().filter(|_| counts) else {
            return Recognised::New;
        };
        match left.checked_sub(1) {
            None => Recognised::BeyondLimit,
            Some(fewer) => {
                *left = fewer;
                Recognised::New
            }
        }
    }
}

fn same_as(uid: &UniqueId, stored_as: &UniqueId) -> Record {
    Record::Same {
        uid: uid.clone(),
        stored_as: stored_as.clone(),
    }
}
