//! Signals that ask us to stop.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::cancel::Interrupt;
use crate::error::{Kind, OrFail, Result};

/// How long messages that were asked for may still come after the first signal.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// From now on the first signal asks the run to stop in order, and the second ends it at once. A
/// file that grows beyond a limit is an error like any other, and no death by SIGXFSZ. A signal that
/// was ignored before stays so.
///
/// # Errors
///
/// The system refuses us a signal handler or a thread.
pub(super) fn watch(interrupt: &Arc<Interrupt>) -> Result<()> {
    let refused = || "cannot watch for signals";
    let heeded = [SIGINT, SIGTERM, SIGHUP]
        .into_iter()
        .filter(|signal| !is_ignored(*signal));
    let mut signals = Signals::new(heeded).or_fail(Kind::Io, refused)?;
    // The write then fails with EFBIG; the flag itself is not used.
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).or_fail(Kind::Io, refused)?;
    let interrupt = Arc::clone(interrupt);
    let wait = move || {
        for signal in signals.forever() {
            if interrupt.is_stopping() {
                end_by(signal);
            }
            interrupt.stop(signal);
            log::warn!("stopping once what was begun is stored; a second signal ends at once");
            let interrupt = Arc::clone(&interrupt);
            // Without this thread the run still stops, at the latest when the server's time is up.
            let _ = thread::Builder::new().spawn(move || {
                thread::sleep(DRAIN_TIMEOUT);
                interrupt.abort();
            });
        }
    };
    thread::Builder::new()
        .name("signals".into())
        .spawn(wait)
        .or_fail(Kind::Io, refused)?;
    Ok(())
}

/// Whether this signal was ignored when we were started, as with `nohup`. If the system does not say, it was not.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or(0) >> (signal - 1) & 1 == 1
}

/// Ends the process the way this signal would have, so that a shell sees what happened.
pub(super) fn end_by(signal: i32) {
    // It returns only where the signal cannot be raised; the exit status then says the same.
    let _ = emulate_default_handler(signal);
}
