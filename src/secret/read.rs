//! Reading a secret from a descriptor: bounded in bytes and in time, leaving no copy behind.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use zeroize::Zeroizing;

/// The longest secret that is read, in bytes, with its line end. Access tokens have a few thousand.
pub(super) const LIMIT: usize = 64 * 1024;

/// The longest that a secret may take to come from a command or a FIFO: a person may stand behind it
/// who types a passphrase.
pub(super) const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// Why a secret could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("more than {} KiB came", LIMIT / 1024)]
    TooLong,
    #[error("it took too long")]
    TooLate,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Everything that comes until the end, which must come before the deadline.
pub(super) fn to_end(source: impl AsFd, deadline: Instant) -> Result<Zeroizing<Vec<u8>>, Trouble> {
    // One byte more than may come, so that the end is seen without the buffer ever growing.
    let mut buffer = Zeroizing::new(vec![0; LIMIT + 1]);
    let mut filled = 0;
    while filled < buffer.len() {
        wait_for_more(&source, deadline)?;
        match rustix::io::read(&source, &mut buffer[filled..]) {
            Ok(0) => {
                buffer.truncate(filled);
                return Ok(buffer);
            }
            Ok(count) => filled += count,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(Trouble::Io(error.into())),
        }
    }
    Err(Trouble::TooLong)
}

fn wait_for_more(source: &impl AsFd, deadline: Instant) -> Result<(), Trouble> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| Trouble::TooLate)?;
        match poll(&mut [PollFd::new(source, PollFlags::IN)], Some(&left)) {
            Ok(0) => return Err(Trouble::TooLate),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(Trouble::Io(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[test]
    fn as_much_as_the_limit_is_read_and_no_more() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&vec![b'x'; LIMIT]).expect("written");
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).expect("at the start");
        assert_eq!(to_end(&file, soon()).expect("read").len(), LIMIT);

        file.write_all(b"x").expect("written");
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).expect("at the start");
        assert!(matches!(to_end(&file, soon()), Err(Trouble::TooLong)));
    }

    #[test]
    fn what_comes_in_pieces_is_put_together() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let pieces = std::thread::spawn(move || {
            for piece in ["one", " two", "\n"] {
                writer.write_all(piece.as_bytes()).expect("written");
            }
        });
        let read = to_end(&reader, soon()).expect("read");
        pieces.join().expect("the writer ends");
        assert_eq!(*read, b"one two\n");
    }

    #[test]
    fn an_end_that_never_comes_is_not_waited_for() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        writer.write_all(b"begun").expect("written");
        let deadline = Instant::now() + Duration::from_millis(50);
        assert!(matches!(to_end(&reader, deadline), Err(Trouble::TooLate)));
        drop(writer);
    }
}
