//! Reading a secret from a descriptor: bounded in bytes and in time, leaving no copy behind.

use std::io;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use zeroize::Zeroizing;

use crate::cancel::{Wait, WaitError};

/// The longest secret that is read, in bytes, with its line end. Access tokens have a few thousand.
pub(crate) const MAX_SECRET: usize = 64 * 1024;

/// Why a secret could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is more than a secret can be.
    #[error("more than {} KiB came", limit / 1024)]
    TooLong {
        /// The most that is read, in bytes.
        limit: usize,
    },
    /// It did not come in time, or was no longer wanted.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// The system could not read it.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Everything that comes until the end.
pub(crate) fn to_end(source: impl AsFd, wait: Wait<'_>) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    // One byte more than may come, so that the end is seen without the buffer ever growing.
    let mut buffer = Zeroizing::new(vec![0; MAX_SECRET + 1]);
    let mut filled = 0;
    while filled < buffer.len() {
        match more(&source, wait, &mut buffer[filled..])? {
            0 => {
                buffer.truncate(filled);
                return Ok(buffer);
            }
            count => filled += count,
        }
    }
    Err(ReadError::TooLong { limit: MAX_SECRET })
}

/// What comes next, as much as there is room for; 0 bytes are the end.
pub(crate) fn more(source: impl AsFd, wait: Wait<'_>, room: &mut [u8]) -> Result<usize, ReadError> {
    loop {
        let timeout = Timespec::try_from(wait.next_poll()?).map_err(io::Error::other)?;
        let read = match poll(&mut [PollFd::new(&source, PollFlags::IN)], Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) => rustix::io::read(&source, &mut *room),
            Err(error) => Err(error),
        };
        match read {
            Err(Errno::AGAIN | Errno::INTR) => {}
            read => return read.map_err(|error| ReadError::Io(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cancel::CancelToken;
    use std::io::Write;
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(30);

    fn read(source: impl AsFd) -> Result<Zeroizing<Vec<u8>>, ReadError> {
        to_end(source, Wait::at_most(LONG, &CancelToken::new()))
    }

    #[test]
    fn as_much_as_the_limit_is_read_and_no_more() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&vec![b'x'; MAX_SECRET]).expect("written");
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).expect("at the start");
        assert_eq!(read(&file).expect("read").len(), MAX_SECRET);

        file.write_all(b"x").expect("written");
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).expect("at the start");
        assert!(matches!(read(&file), Err(ReadError::TooLong { .. })));
    }

    #[test]
    fn what_comes_in_pieces_is_put_together() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let pieces = std::thread::spawn(move || {
            for piece in ["one", " two", "\n"] {
                writer.write_all(piece.as_bytes()).expect("written");
            }
        });
        let read = read(&reader).expect("read");
        pieces.join().expect("the writer ends");
        assert_eq!(*read, b"one two\n");
    }

    #[test]
    fn an_end_that_never_comes_is_not_waited_for() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        writer.write_all(b"begun").expect("written");
        let token = CancelToken::new();
        let short = Wait::at_most(Duration::from_millis(50), &token);
        let ended = to_end(&reader, short);
        assert!(matches!(ended, Err(ReadError::Wait(WaitError::TimedOut))));
        drop(writer);
    }

    #[test]
    fn a_wait_ends_as_soon_as_it_is_to() {
        let (reader, writer) = io::pipe().expect("a pipe");
        let token = CancelToken::new();
        let ended = std::thread::scope(|scope| {
            let canceller = token.clone();
            scope.spawn(move || canceller.cancel());
            to_end(&reader, Wait::unlimited(&token))
        });
        assert!(matches!(ended, Err(ReadError::Wait(WaitError::Cancelled))));
        drop(writer);
    }
}
