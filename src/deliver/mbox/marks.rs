//! Marks by which a part of some bytes is known again when the bytes themselves are gone: the CRC-32 of
//! the first 16, 32, 48 … 256 of them, then of the first 512, 1024, 2048 … So of a short part all but
//! the last few bytes are known for sure; of a long one more than half, and with it the lines of the header in
//! which no two messages are alike.

use crc32fast::Hasher;

/// The length of the shortest part that has a mark, in bytes. A From_ line is longer.
pub(super) const FIRST: u64 = 16;

/// Up to this length each part with a mark is [`FIRST`] bytes longer than the one before, then twice as long.
const DENSE: u64 = 256;

/// Computes the marks of the bytes it is given.
pub(super) struct Marker {
    hasher: Hasher,
    /// How many bytes came.
    length: u64,
    /// The length of the part that gets the next mark.
    next: u64,
    marks: Vec<u32>,
}

impl Marker {
    /// Before the first byte.
    pub(super) fn new() -> Self {
        Marker {
            hasher: Hasher::new(),
            length: 0,
            next: FIRST,
            marks: Vec::new(),
        }
    }

    /// More bytes.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let missing = usize::try_from(self.next - self.length).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(missing.min(bytes.len()));
            self.hasher.update(now);
            self.length += now.len() as u64;
            bytes = later;
            if self.length == self.next {
                self.marks.push(self.hasher.clone().finalize());
                self.next = after(self.next);
            }
        }
    }

    /// The marks.
    pub(super) fn finish(self) -> Vec<u32> {
        self.marks
    }
}

/// The length of the part with the mark after this one.
fn after(length: u64) -> u64 {
    if length < DENSE {
        length + FIRST
    } else {
        length.saturating_mul(2)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn marks_are_those_of_the_parts_however_the_bytes_come(
            bytes in prop::collection::vec(any::<u8>(), 0..3000),
            size in 1_usize..50,
        ) {
            let mut marker = Marker::new();
            bytes.chunks(size).for_each(|chunk| marker.update(chunk));
            let lengths = (1..=16).map(|n| n * 16).chain([512, 1024, 2048, 4096]);
            let parts = lengths.map_while(|length| bytes.get(..length));
            let expected: Vec<_> = parts.map(crc32fast::hash).collect();
            prop_assert_eq!(marker.finish(), expected);
        }
    }
}
