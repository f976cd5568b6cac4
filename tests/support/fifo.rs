//! FIFOs: to hold a command until a test lets it go, and to learn that it is gone. Nothing here waits
//! for ever.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

/// The longest a test waits for the other end.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A FIFO that no other user can open.
pub(crate) struct Fifo(PathBuf);

impl Fifo {
    /// A new one at this path.
    pub(crate) fn new(path: PathBuf) -> Self {
        let mode = Mode::RUSR | Mode::WUSR;
        mknodat(CWD, &path, FileType::Fifo, mode, 0).expect("our own directory");
        Fifo(path)
    }

    /// Waits for a reader, and writes this.
    #[track_caller]
    pub(crate) fn say(&self, text: &str) {
        let mut there = None;
        wait_until("reads", || {
            there = self.open(OpenOptions::new().write(true)).ok();
            there.is_some()
        });
        let said = there.map(|mut file| file.write_all(text.as_bytes()));
        said.expect("there is a reader").expect("it is read");
    }

    /// Listens from now on.
    pub(crate) fn listen(&self) -> Listener {
        Listener(self.open(OpenOptions::new().read(true)).expect("our own"))
    }

    fn open(&self, options: &mut OpenOptions) -> std::io::Result<File> {
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).expect("a flag");
        options.custom_flags(flags).open(&self.0)
    }
}

/// Who listens at a FIFO.
pub(crate) struct Listener(File);

impl Listener {
    /// Waits until something is written.
    #[track_caller]
    pub(crate) fn hears_something(&mut self) {
        wait_until("says anything", || {
            self.0.read(&mut [0; 64]).is_ok_and(|heard| heard > 0)
        });
    }

    /// Waits until there is no writer any more.
    #[track_caller]
    pub(crate) fn hears_the_end(&mut self) {
        wait_until("goes away", || match self.0.read(&mut [0; 64]) {
            Ok(heard) => heard == 0,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                false
            }
        });
    }
}

#[track_caller]
fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !happened() {
        assert!(Instant::now() < deadline, "no program {what} at a FIFO");
        std::thread::sleep(Duration::from_millis(5));
    }
}
