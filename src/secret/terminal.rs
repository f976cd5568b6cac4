//! The terminal a person sits at, whatever standard input and output are.

use std::fs::File;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{Mode, OFlags};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
};

/// The terminal that controls this process, where there is one.
const PATH: &str = "/dev/tty";

static TURN: Mutex<()> = Mutex::new(());

/// Whether a person can be asked: under cron and systemd the terminal cannot be opened.
pub(super) fn is_there() -> bool {
    open(OFlags::empty()).is_ok()
}

/// The right to use the terminal, held as long as what is returned lives: accounts are worked on
/// side by side, but a person is asked one thing at a time.
pub(super) fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open(flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(PATH, flags, Mode::empty())?))
}

/// The terminal, which is put back into its present state when this is dropped.
pub(super) struct Terminal {
    /// What was there to be read a moment ago may be gone: Ctrl-C takes it away. So reading never waits.
    keyboard: File,
    screen: File,
    before: Termios,
}

impl Terminal {
    /// The one that controls this process.
    pub(super) fn ours() -> io::Result<Self> {
        let keyboard = open(OFlags::NONBLOCK)?;
        Ok(Terminal {
            before: tcgetattr(&keyboard)?,
            screen: open(OFlags::empty())?,
            keyboard,
        })
    }

    /// To read from, where something is there.
    pub(super) fn keyboard(&self) -> &File {
        &self.keyboard
    }

    /// To write to.
    pub(super) fn screen(&self) -> &File {
        &self.screen
    }

    /// From now on each key comes as it is pressed, and is not shown. Ctrl-C is still a signal; the keys
    /// that stop a program for a while, or end it on the spot, mean nothing, since afterwards typing
    /// would be seen.
    pub(super) fn hide_typing(&self) -> io::Result<()> {
        let mut hidden = self.before.clone();
        hidden.local_modes -= LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON;
        hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
        hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
        hidden.special_codes[SpecialCodeIndex::VSUSP] = DISABLED;
        hidden.special_codes[SpecialCodeIndex::VQUIT] = DISABLED;
        Ok(tcsetattr(&self.screen, OptionalActions::Now, &hidden)?)
    }
}

/// No key (`_POSIX_VDISABLE` on Linux).
const DISABLED: u8 = 0;

impl Drop for Terminal {
    fn drop(&mut self) {
        // In the background it is not ours, and who touches it there is stopped.
        if tcgetpgrp(&self.screen).is_ok_and(|group| group == rustix::process::getpgrp()) {
            let _ = tcsetattr(&self.screen, OptionalActions::Now, &self.before);
        }
    }
}
