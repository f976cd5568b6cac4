//! What the wire thread says to the store thread. What waits for the disk is bounded, so that a fast line cannot fill
//! the memory.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::Instant;

use crate::error::Failure;
use crate::mail::{Number, UniqueId};
use crate::monitor::FailedMessage;
use crate::plan::Purpose;

/// A parcel goes to the store thread at the latest when it holds so many bytes of text.
const MAX_PARCEL_BYTES: usize = 64 * 1024;

/// Or so many items: a flood of tiny messages is bounded as well.
const MAX_PARCEL_ITEMS: usize = 1024;

/// How many parcels may wait for the disk.
const MAX_WAITING_PARCELS: usize = 16;

/// Many things at once: waking a thread costs more than storing a small message.
#[derive(Default)]
struct Parcel {
    items: VecDeque<Item>,
    /// The texts of all items, one after another.
    text: Vec<u8>,
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
    /// All that came so far is the answer to what was asked, and not made up by a sender of mail.
    Confirm {
        /// Nothing more is on its way: what came can be stored now.
        pauses: bool,
    },
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

impl Incoming {
    /// The same, having failed in this way.
    pub(super) fn failed(&self, failure: Failure) -> FailedMessage {
        FailedMessage {
            number: self.number,
            uid: self.key.clone(),
            failure,
        }
    }
}

/// The wire thread's end. Once it is dropped, nothing more comes.
pub(super) struct ParcelSender {
    /// What will be sent together.
    parcel: Parcel,
    full: SyncSender<Parcel>,
    empty: Receiver<Parcel>,
}

/// The store thread's end.
pub(super) struct ParcelReceiver {
    full: Receiver<Parcel>,
    /// Memory that one thread takes and another gives back wanders through the allocator, and page by page to the
    /// kernel and back: so parcels are given back to be filled again.
    empty: Sender<Parcel>,
    /// What is being taken out.
    parcel: Parcel,
    /// The text of the item that was taken last.
    text: Range<usize>,
}

/// The store thread is gone: nothing that is sent is taken.
#[derive(Debug)]
pub(super) struct StoreGone;

pub(super) fn channel() -> (ParcelSender, ParcelReceiver) {
    let (full_sender, full) = mpsc::sync_channel(MAX_WAITING_PARCELS);
    let (empty_sender, empty) = mpsc::channel();
    let sender = ParcelSender {
        parcel: Parcel::default(),
        full: full_sender,
        empty,
    };
    let receiver = ParcelReceiver {
        full,
        empty: empty_sender,
        parcel: Parcel::default(),
        text: 0..0,
    };
    (sender, receiver)
}

impl ParcelSender {
    /// Adds an item; a text with [`ParcelSender::add_text`].
    pub(super) fn add(&mut self, item: Item) {
        self.parcel.items.push_back(item);
    }

    /// Adds more of a message's text.
    pub(super) fn add_text(&mut self, text: &[u8]) {
        self.parcel.text.extend_from_slice(text);
        match self.parcel.items.back_mut() {
            Some(Item::Text { bytes }) => *bytes += text.len(),
            _ => self.add(Item::Text { bytes: text.len() }),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        let Parcel { items, text } = &self.parcel;
        text.len() >= MAX_PARCEL_BYTES || items.len() >= MAX_PARCEL_ITEMS
    }

    /// Sends what was added, once there is room.
    pub(super) fn send(&mut self) -> Result<(), StoreGone> {
        if self.parcel.items.is_empty() {
            return Ok(());
        }
        let empty = self.empty.try_recv().unwrap_or_default();
        let parcel = std::mem::replace(&mut self.parcel, empty);
        self.full.send(parcel).map_err(|_| StoreGone)
    }
}

impl ParcelReceiver {
    /// The next item, waiting for one until then; for ever without a time.
    pub(super) fn next(&mut self, until: Option<Instant>) -> Result<Item, RecvTimeoutError> {
        let item = loop {
            if let Some(item) = self.parcel.items.pop_front() {
                break item;
            }
            self.give_back();
            self.parcel = match until {
                None => self.full.recv()?,
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    self.full.recv_timeout(left)?
                }
            };
        };
        let bytes = match item {
            Item::Text { bytes } => bytes,
            _ => 0,
        };
        self.text = self.text.end..self.text.end + bytes;
        Ok(item)
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
            // If the wire thread is gone, so is the need for it.
            let _ = self.empty.send(empty);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_out_in_order_and_only_so_many_parcels_wait() {
        let (mut sender, mut receiver) = channel();
        std::thread::scope(move |scope| {
            scope.spawn(move || {
                for round in 0..2000_usize {
                    sender.add(Item::Withhold);
                    sender.add_text(&[0; 3]);
                    sender.add(Item::Withhold);
                    sender.add_text(&[(round % 251) as u8; 7]);
                    sender.send().expect("a receiver");
                }
            });
            for round in 0..2000_usize {
                for _ in 0..3 {
                    receiver.next(None).expect("an item");
                }
                let item = receiver.next(None).expect("an item");
                assert!(matches!(item, Item::Text { bytes: 7 }));
                assert_eq!(receiver.text(), [(round % 251) as u8; 7]);
            }
            let after_all = receiver.next(None);
            assert_eq!(after_all.err(), Some(RecvTimeoutError::Disconnected));
        });
    }

    #[test]
    fn a_parcel_is_full_by_its_text_or_by_its_items() {
        let (mut sender, _receiver) = channel();
        sender.add_text(&[0; MAX_PARCEL_BYTES]);
        assert!(sender.is_full());
        let (mut sender, _receiver) = channel();
        for _ in 0..MAX_PARCEL_ITEMS {
            assert!(!sender.is_full());
            sender.add(Item::Withhold);
        }
        assert!(sender.is_full());
    }

    #[test]
    fn a_sender_does_not_wait_for_a_receiver_that_is_gone() {
        let (mut sender, receiver) = channel();
        for _ in 0..MAX_WAITING_PARCELS {
            sender.add(Item::Withhold);
            sender.send().expect("room");
        }
        std::thread::scope(|scope| {
            let waiting = scope.spawn(move || {
                sender.add(Item::Withhold);
                sender.send()
            });
            drop(receiver);
            assert!(waiting.join().expect("no panic").is_err());
        });
    }

    #[test]
    fn a_receiver_gives_up_at_its_time() {
        let (_sender, mut receiver) = channel();
        let late = receiver.next(Some(Instant::now()));
        assert_eq!(late.err(), Some(RecvTimeoutError::Timeout));
    }
}
