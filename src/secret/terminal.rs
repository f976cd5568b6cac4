//! The terminal a person sits at, whatever standard input and output are.

use std::fs::File;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The terminal that controls this process, where there is one.
pub(super) const PATH: &str = "/dev/tty";

static TURN: Mutex<()> = Mutex::new(());

/// Whether a person can be asked: under cron and systemd the terminal cannot be opened.
pub(super) fn is_there() -> bool {
    File::options().read(true).write(true).open(PATH).is_ok()
}

/// The right to use the terminal, held as long as what is returned lives: accounts are worked on
/// side by side, but a person is asked one thing at a time.
pub(super) fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
