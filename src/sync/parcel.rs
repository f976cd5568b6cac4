//! What the wire thread says to the store thread.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

use super::queue::{Queue, Weighted};
use crate::mail::{Number, UniqueId};
use crate::plan::Purpose;

/// A parcel goes to the store thread at the latest when it holds this much text, in bytes.
const MAX_TEXT: usize = 64 * 1024;

/// Many things at once: waking a thread costs more than storing a small message.
#[derive(Default)]
pub(super) struct Parcel {
    items: VecDeque<Item>,
    /// The texts of all items, one after another.
    text: Vec<u8>,
}

impl Parcel {
    /// Adds an item; a text with [`Parcel::add_text`].
    pub(super) fn add(&mut self, item: Item) {
        self.items.push_back(item);
    }

    /// Adds more of a message's text.
    pub(super) fn add_text(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
        match self.items.back_mut() {
            Some(Item::Text { bytes }) => *bytes += text.len(),
            _ => self.items.push_back(Item::Text { bytes: text.len() }),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.text.len() >= MAX_TEXT
    }
}

/// One thing that the wire thread says.
pub(super) enum Item {
    /// A message begins.
    Begin(Incoming),
    /// More of its text: the next bytes of the parcel's.
    Text { bytes: usize },
    /// It is complete, and had this many octets on the wire.
    End {
        /// With CRLF counted as two.
        octets: u64,
    },
    /// It came in whole, but it had another size than LIST said: only its digest is kept.
    Withhold,
    /// The rest of it will not come.
    Abandon,
    /// All that came so far is the answer to what was asked, and not made up by a sender of mail.
    Confirm {
        /// Nothing more is on its way: what came can be stored now.
        pauses: bool,
    },
    /// No more messages.
    Finish,
}

/// A message that begins.
#[derive(Debug, Clone)]
pub(super) struct Incoming {
    /// Its number in this session.
    pub(super) number: Number,
    /// Under which id the journal will remember it; none where the server gives it no identity.
    pub(super) key: Option<UniqueId>,
    /// That id says, all by itself, which message it is.
    pub(super) certain: bool,
    /// Its size by LIST.
    pub(super) listed: Option<u64>,
    /// It is to be deleted on the server in this session, once it is safe.
    pub(super) due: bool,
    /// What it is fetched for.
    pub(super) purpose: Purpose,
}

/// An item's own size counts too, so that a flood of tiny messages is bounded as well.
impl Weighted for Parcel {
    fn weight(&self) -> usize {
        self.text.capacity() + self.items.capacity() * size_of::<Item>()
    }
}

/// The items that the store thread takes out of the queue, one after another.
pub(super) struct Items<'a> {
    queue: &'a Queue<Parcel>,
    parcel: Parcel,
    /// The text of the item that was taken last.
    text: Range<usize>,
}

impl<'a> Items<'a> {
    pub(super) fn of(queue: &'a Queue<Parcel>) -> Self {
        Items {
            queue,
            parcel: Parcel::default(),
            text: 0..0,
        }
    }

    /// The next item, waiting for one until then; for ever without a time.
    pub(super) fn next(&mut self, until: Option<Instant>) -> Option<Item> {
        while self.parcel.is_empty() {
            self.give_back();
            self.parcel = self.queue.receive(until)?;
        }
        let item = self.parcel.items.pop_front()?;
        let bytes = match item {
            Item::Text { bytes } => bytes,
            _ => 0,
        };
        self.text = self.text.end..self.text.end + bytes;
        Some(item)
    }

    /// The text of an [`Item::Text`] that was taken last.
    pub(super) fn text(&self) -> &[u8] {
        &self.parcel.text[self.text.clone()]
    }

    /// The parcel is empty.
    fn give_back(&mut self) {
        let mut empty = std::mem::take(&mut self.parcel);
        self.text = 0..0;
        if empty.text.capacity() > 0 {
            empty.text.clear();
            self.queue.give_back(empty);
        }
    }
}
