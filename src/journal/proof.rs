//! The only thing that authorises a deletion.

use crate::mail::{Number, UniqueId};

/// Proof that a message is stored durably in every destination that it is owed, and that the journal
/// says so durably. Only a journal makes one, each is good for one DELE.
#[derive(Debug)]
pub struct Proof {
    number: Number,
    uid: UniqueId,
}

impl Proof {
    pub(super) fn new(number: Number, uid: UniqueId) -> Self {
        Proof { number, uid }
    }

    /// The message's number in this session.
    #[must_use]
    pub fn number(&self) -> Number {
        self.number
    }

    /// Under which id the journal knows it.
    #[must_use]
    pub fn uid(&self) -> &UniqueId {
        &self.uid
    }
}
