//! A private place for the messages of a batch until they can be handed on: an anonymous file that is
//! gone when we are. It proves nothing durable, and needs not: what is in it is still on the server.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::fs::{Directory, Error, Result};

/// Text is written and read in blocks of this size, in bytes.
const BUFFER: usize = 64 * 1024;

/// Messages one after the other.
pub(super) struct Spool {
    directory: PathBuf,
    /// Made when the first block is full.
    file: Option<File>,
    /// How many bytes are in the file.
    filed: u64,
    /// What comes after those.
    buffer: Vec<u8>,
}

impl Spool {
    /// An empty spool in this directory. Nothing is made there before something has to be written.
    pub(super) fn new(directory: PathBuf) -> Self {
        Spool {
            directory,
            file: None,
            filed: 0,
            buffer: Vec::new(),
        }
    }

    /// How many bytes are in it.
    pub(super) fn length(&self) -> u64 {
        self.filed + self.buffer.len() as u64
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    ///
    /// They could not be written. What was added before is untouched.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        if bytes.len() > BUFFER {
            return self.file(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let filed = self.file(&buffer);
        if filed.is_ok() {
            buffer.clear();
        }
        self.buffer = buffer;
        filed
    }

    /// Writes after what is in the file.
    fn file(&mut self, bytes: &[u8]) -> Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => Directory::make(&self.directory)?.anonymous_file()?,
        };
        let written = self.file.insert(file).write_all_at(bytes, self.filed);
        written.map_err(|error| self.cannot("write", error))?;
        self.filed += bytes.len() as u64;
        Ok(())
    }

    /// Forgets everything from here on.
    pub(super) fn cut(&mut self, length: u64) {
        match length.checked_sub(self.filed) {
            Some(kept) => self
                .buffer
                .truncate(usize::try_from(kept).unwrap_or(usize::MAX)),
            None => {
                self.buffer.clear();
                self.filed = length;
                if let Some(file) = &self.file {
                    // Only to give the space back: what is beyond the length is never read.
                    let _ = file.set_len(length);
                }
            }
        }
    }

    /// Reads bytes from `at` on; how many, at least one unless nothing is there. What [`Spool::cut`] away isn't there.
    ///
    /// # Errors
    ///
    /// They could not be read.
    pub(super) fn read(&self, at: u64, buffer: &mut [u8]) -> Result<usize> {
        if let Some(start) = at.checked_sub(self.filed) {
            let start = usize::try_from(start).unwrap_or(usize::MAX);
            let rest = self.buffer.get(start..).unwrap_or_default();
            let n = rest.len().min(buffer.len());
            buffer[..n].copy_from_slice(&rest[..n]);
            return Ok(n);
        }
        let Some(file) = &self.file else {
            return Ok(0);
        };
        let most = usize::try_from(self.filed - at)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let read = file.read_at(&mut buffer[..most], at);
        read.map_err(|error| self.cannot("read", error))
    }

    /// Reads from the beginning of the range and takes what was read off it; none when it is empty.
    ///
    /// # Errors
    ///
    /// It could not be read, or there is less in the spool than the range says.
    pub(super) fn read_within(&self, range: &mut Range<u64>, buffer: &mut [u8]) -> Result<usize> {
        let left = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let most = left.min(buffer.len());
        match self.read(range.start, &mut buffer[..most])? {
            0 if most > 0 => Err(self.cannot("read", io::ErrorKind::UnexpectedEof.into())),
            n => {
                range.start += n as u64;
                Ok(n)
            }
        }
    }

    /// Passes a range on, block by block.
    ///
    /// # Errors
    ///
    /// It could not be read, or the first thing that went wrong while it was passed on.
    pub(super) fn copy<E: From<Error>>(
        &self,
        mut range: Range<u64>,
        mut pass: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut block = vec![0; BUFFER];
        while !range.is_empty() {
            let n = self.read_within(&mut range, &mut block)?;
            pass(&block[..n])?;
        }
        Ok(())
    }

    fn cannot(&self, doing: &str, error: io::Error) -> Error {
        let doing = format!("{doing} a temporary file in");
        Error::cannot(&doing, &self.directory, error)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{lchown, symlink};

    use proptest::prelude::*;
    use rustix::process::geteuid;

    use super::*;
    use crate::test_report::skip;

    fn content(spool: &Spool, range: Range<u64>) -> Vec<u8> {
        let mut content = Vec::new();
        let copied = spool.copy(range, |piece| {
            content.extend_from_slice(piece);
            Ok::<_, Error>(())
        });
        copied.expect("read");
        content
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_spool_is_a_growing_string_of_bytes(
            steps in prop::collection::vec((0..3 * BUFFER, any::<u8>(), any::<prop::sample::Index>()), 1..12),
        ) {
            let root = tempfile::tempdir().expect("tempdir");
            let mut spool = Spool::new(root.path().join("state"));
            let mut model = Vec::new();
            for (size, byte, index) in steps {
                spool.write(&vec![byte; size]).expect("written");
                model.extend(vec![byte; size]);
                if byte < 64 {
                    let length = index.index(model.len() + 1);
                    spool.cut(length as u64);
                    model.truncate(length);
                }
                let from = index.index(model.len() + 1);
                prop_assert_eq!(spool.length(), model.len() as u64);
                prop_assert!(content(&spool, from as u64..model.len() as u64) == model[from..]);
            }
        }
    }

    #[test]
    fn root_spools_nothing_by_a_link_of_another_user() {
        let root = tempfile::tempdir().expect("tempdir");
        let state = root.path().join("theirs/state");
        fs::create_dir_all(root.path().join("theirs")).expect("made");
        fs::create_dir_all(root.path().join("ours")).expect("made");
        symlink(root.path().join("ours"), &state).expect("linked");
        if !geteuid().is_root() {
            return skip("only root can give a directory away");
        }
        lchown(root.path().join("theirs"), Some(12345), None).expect("root may");
        let failure = Spool::new(state).write(&[0; 2 * BUFFER]);
        let error = failure.expect_err("a link of theirs");
        assert!(matches!(error, Error::LinkInShared(_)), "{error}");
    }

    #[test]
    fn nothing_is_seen_of_it_in_its_directory() {
        let root = tempfile::tempdir().expect("tempdir");
        let mut spool = Spool::new(root.path().join("state"));
        spool.write(b"small").expect("written");
        assert!(!root.path().join("state").exists());
        spool.write(&[0; 2 * BUFFER]).expect("written");
        assert_eq!(
            fs::read_dir(root.path().join("state"))
                .expect("made")
                .count(),
            0
        );
    }
}
