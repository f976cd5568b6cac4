//! One message on its way into the destinations.

use super::batch::{DeliveryGap, Slot};
use super::stop::StopFlag;
use crate::deliver::{Complete, DeliveryError, MessageWriter};
use crate::error::Failure;

/// A message that is being written into the destinations. Those that it is not finished in keep nothing of it.
pub(super) struct Delivery<'a> {
    parts: Vec<Part<'a>>,
    /// Why one of the destinations lacks it.
    gap: Option<DeliveryGap>,
    stop: &'a StopFlag,
}

/// One destination of a message.
struct Part<'a> {
    /// What the journal calls it.
    to: u32,
    /// Why nothing more can be stored there in this run.
    failure: &'a mut Option<Failure>,
    /// None where it lacks the message.
    writer: Option<Box<dyn MessageWriter + 'a>>,
}

/// Where a message has become part of the batch.
pub(super) struct Delivered {
    /// The destinations that have it, as indices.
    pub(super) slots: Vec<usize>,
    /// Why another one lacks it.
    pub(super) gap: Option<DeliveryGap>,
}

impl<'a> Delivery<'a> {
    /// A message begins in every destination that works.
    pub(super) fn begin(slots: &'a mut [Slot], stop: &'a StopFlag) -> Self {
        let mut delivery = Delivery {
            parts: Vec::with_capacity(slots.len()),
            gap: None,
            stop,
        };
        let mut destinations = Vec::with_capacity(slots.len());
        for slot in slots {
            destinations.push(&mut slot.destination);
            delivery.parts.push(Part {
                to: slot.id,
                failure: &mut slot.failure,
                writer: None,
            });
        }
        // Only now: where one cannot begin, it is seen that others work.
        for (at, destination) in destinations.into_iter().enumerate() {
            if delivery.parts[at].failure.is_none() {
                let begun = destination.begin();
                delivery.parts[at].writer = delivery.taken(at, begun);
            }
        }
        delivery
    }

    /// More of its text.
    pub(super) fn write(&mut self, text: &[u8]) {
        for at in 0..self.parts.len() {
            if let Some(mut writer) = self.parts[at].writer.take() {
                let written = writer.write(text).map(|()| writer);
                self.parts[at].writer = self.taken(at, written);
            }
        }
    }

    /// Only these destinations are to have it, by the journal's numbers.
    pub(super) fn keep_to(&mut self, wanted: impl Fn(u32) -> bool) {
        for part in &mut self.parts {
            if !wanted(part.to) {
                part.writer = None;
            } else if part.failure.is_some() {
                self.gap.get_or_insert(DeliveryGap::Broken);
            }
        }
    }

    /// The message is complete.
    pub(super) fn finish(mut self, message: &Complete<'_>) -> Delivered {
        let mut slots = Vec::new();
        for at in 0..self.parts.len() {
            if let Some(writer) = self.parts[at].writer.take() {
                let finished = writer.finish(message);
                slots.extend(self.taken(at, finished).map(|()| at));
            }
        }
        Delivered {
            slots,
            gap: self.gap,
        }
    }

    /// What a destination gave; none where it lacks the message from now on.
    fn taken<T>(&mut self, at: usize, result: Result<T, DeliveryError>) -> Option<T> {
        match result {
            Ok(taken) => return Some(taken),
            Err(DeliveryError::Message(failure)) => {
                self.gap = Some(DeliveryGap::Refused(failure));
            }
            Err(DeliveryError::Destination(failure)) => {
                self.gap = Some(DeliveryGap::Broken);
                self.parts[at].failure.get_or_insert(failure);
                let states = self
                    .parts
                    .iter()
                    .map(|part| (part.to, part.failure.is_none()));
                self.stop.update(states);
            }
        }
        None
    }
}
