//! What is in an mbox, read in ranges of bytes.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use memchr::memmem::Finder;
use sha2::{Digest as _, Sha256};

use super::marks::Marker;
use crate::mail::Digest;

/// Bytes are read in pieces of this size.
const BUFFER: usize = 64 * 1024;

/// What separates a message from the one before.
const SEPARATOR: &[u8] = b"\nFrom ";

/// An mbox as long as it is locked.
#[derive(Clone, Copy)]
pub(super) struct Contents<'a> {
    file: &'a File,
    /// Its length in bytes.
    pub(super) length: u64,
}

impl<'a> Contents<'a> {
    /// What is in this file now.
    pub(super) fn of(file: &'a File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Contents { file, length })
    }

    /// A range, for reading.
    pub(super) fn range(self, range: Range<u64>) -> RangeReader<'a> {
        RangeReader {
            file: self.file,
            range,
        }
    }

    /// Passes a range on, piece by piece.
    pub(super) fn each(self, range: Range<u64>, mut pass: impl FnMut(&[u8])) -> io::Result<()> {
        let mut reader = self.range(range);
        let mut piece = vec![0; BUFFER];
        loop {
            match reader.read(&mut piece)? {
                0 => return Ok(()),
                n => pass(&piece[..n]),
            }
        }
    }

    /// Whether it begins as an mbox does: with a From_ line, after empty lines that some programs leave there; or
    /// has nothing in it.
    pub(super) fn is_mbox(self) -> io::Result<bool> {
        const MAX_LOOKED_AT: u64 = 1024;
        let mut beginning = Vec::new();
        self.range(0..self.length.min(MAX_LOOKED_AT))
            .read_to_end(&mut beginning)?;
        let is_text = |byte: &u8| !matches!(byte, b'\n' | b'\r');
        let first = beginning.iter().position(is_text);
        Ok(first.is_none_or(|at| beginning[at..].starts_with(b"From ")))
    }

    /// Whether the last line has no end.
    pub(super) fn is_unfinished(self) -> io::Result<bool> {
        let mut last = [b'\n'];
        if let Some(at) = self.length.checked_sub(1) {
            self.file.read_exact_at(&mut last, at)?;
        }
        Ok(last != *b"\n")
    }

    /// SHA-256 of a range.
    pub(super) fn digest(self, range: Range<u64>) -> io::Result<Digest> {
        let mut hash = Sha256::new();
        self.each(range, |piece| hash.update(piece))?;
        Ok(Digest(hash.finalize().into()))
    }

    /// The marks of a range.
    pub(super) fn marks(self, range: Range<u64>) -> io::Result<Vec<u32>> {
        let mut marker = Marker::new();
        self.each(range, |piece| marker.update(piece))?;
        Ok(marker.finish())
    }

    /// Where the NULs begin that the file ends in: after a power cut a file can have its length and not its bytes.
    pub(super) fn end_of_text(self) -> io::Result<u64> {
        let mut end = self.length;
        let mut piece = vec![0; BUFFER];
        while end > 0 {
            let start = end.saturating_sub(BUFFER as u64);
            let piece = &mut piece[..usize::try_from(end - start).unwrap_or(BUFFER)];
            self.file.read_exact_at(piece, start)?;
            if let Some(last) = piece.iter().rposition(|byte| *byte != 0) {
                return Ok(start + last as u64 + 1);
            }
            end = start;
        }
        Ok(0)
    }

    /// Where each message begins: at its From_ line.
    pub(super) fn messages(self) -> io::Result<Vec<u64>> {
        let finder = Finder::new(SEPARATOR);
        // As if a line ended before the file, so that its first line counts too. Then a separator's
        // place, counted from that line end on, is the place of its From_ line in the file.
        let mut window = b"\n".to_vec();
        let mut passed = 0;
        let mut starts = Vec::new();
        self.each(0..self.length, |piece| {
            window.extend_from_slice(piece);
            starts.extend(finder.find_iter(&window).map(|at| passed + at as u64));
            // What is too short to be a separator may be the beginning of one.
            let looked_at = window.len().saturating_sub(SEPARATOR.len() - 1);
            window.drain(..looked_at);
            passed += looked_at as u64;
        })?;
        Ok(starts)
    }
}

/// Reads a range of a file, wherever others are reading it.
pub(super) struct RangeReader<'a> {
    file: &'a File,
    range: Range<u64>,
}

impl Read for RangeReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.range.end.saturating_sub(self.range.start));
        let most = left.unwrap_or(usize::MAX).min(buffer.len());
        let n = self.file.read_at(&mut buffer[..most], self.range.start)?;
        self.range.start += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("tempfile");
        file.write_all(content).expect("written");
        file
    }

    #[test]
    fn messages_begin_at_from_lines_wherever_the_pieces_end() {
        for shift in 0..8 {
            let mut content = b"From a\n\n".to_vec();
            content.resize(BUFFER - shift, b'x');
            content.extend_from_slice(b"\nFrom b\n>From \n From c\n\nFrom d\n");
            let file = file(&content);
            let starts = Contents::of(&file)
                .expect("there")
                .messages()
                .expect("read");
            let d = (content.len() - b"From d\n".len()) as u64;
            let b = (BUFFER - shift + 1) as u64;
            assert_eq!(starts, [0, b, d], "shifted by {shift}");
        }
        let file = file(b"no From_ line");
        assert!(
            Contents::of(&file)
                .expect("there")
                .messages()
                .expect("read")
                .is_empty()
        );
    }

    #[test]
    fn the_text_ends_where_the_nuls_begin() {
        let mut content = b"text\0text".to_vec();
        content.resize(3 * BUFFER, 0);
        let end = |content: &[u8]| {
            let file = file(content);
            Contents::of(&file)
                .expect("there")
                .end_of_text()
                .expect("read")
        };
        assert_eq!(end(&content), 9);
        assert_eq!(end(&content[..9]), 9);
        assert_eq!(end(&[0; 5]), 0);
        assert_eq!(end(b""), 0);
    }
}
