//! The terminal a person sits at, whatever standard input and output are.

use std::fs::File;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{Mode, OFlags};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp,
    tcsetattr,
};

/// The terminal that controls this process, where there is one.
const PATH: &str = "/dev/tty";

static IN_USE: Mutex<()> = Mutex::new(());

/// Whether a person can be asked: under cron and systemd the terminal cannot be opened.
pub(super) fn is_there() -> bool {
    open(OFlags::empty()).is_ok()
}

/// The right to use the terminal, held as long as the guard lives: accounts are worked on in parallel, but a person is
/// asked one thing at a time.
pub(super) fn lock() -> MutexGuard<'static, ()> {
    IN_USE.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Does not show what is typed from now on. The terminal edits the line. Ctrl-C is still a signal; the keys that
    /// suspend or quit a program are off, since the shell that comes back would show what is typed next.
    pub(super) fn hide_typing(&self) -> io::Result<()> {
        let mut hidden = self.before.clone();
        hidden.local_modes -= LocalModes::ECHO | LocalModes::ECHONL;
        hidden.local_modes |= LocalModes::ICANON | LocalModes::ISIG;
        // Enter ends the line, and Backspace erases a whole character.
        hidden.input_modes |= InputModes::ICRNL | InputModes::IUTF8;
        hidden.special_codes[SpecialCodeIndex::VSUSP] = DISABLED;
        hidden.special_codes[SpecialCodeIndex::VQUIT] = DISABLED;
        Ok(tcsetattr(&self.screen, OptionalActions::Now, &hidden)?)
    }
}

/// No key (`_POSIX_VDISABLE` on Linux).
const DISABLED: u8 = 0;

impl Drop for Terminal {
    fn drop(&mut self) {
        // In the background the terminal is not ours, and the kernel stops a process that changes it.
        if tcgetpgrp(&self.screen).is_ok_and(|group| group == rustix::process::getpgrp()) {
            // Half a password is thrown away: the next program would show it.
            let _ = tcsetattr(&self.screen, OptionalActions::Flush, &self.before);
        }
    }
}
