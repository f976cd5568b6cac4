//! Crash points: where the tests kill the program, to see that the next run puts everything right.
//!
//! A point stands before and after each step that storing, deleting and recovering take. Only builds
//! with the feature `test-hooks` know them; in any other build they are nothing at all.
//!
//! - `POPFETCH_CRASH_AT=n` kills the process at the n-th point that it passes, counted from 1, and with
//!   a name at the first of this name: no destructor runs, nothing is flushed.
//! - `POPFETCH_CRASH_COUNT=file` writes the name of each point passed to a file, one a line.

/// The program may be killed here.
#[cfg(not(feature = "test-hooks"))]
pub(crate) const fn point(_name: &str) {}

#[cfg(feature = "test-hooks")]
pub(crate) use hooked::point;

#[cfg(feature = "test-hooks")]
mod hooked {
    use std::fs::OpenOptions;
    use std::io::Write as _;
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    static PASSED: AtomicU64 = AtomicU64::new(0);

    /// The program may be killed here.
    pub(crate) fn point(name: &str) {
        let number = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(file) = std::env::var_os("POPFETCH_CRASH_COUNT") {
            let opened = OpenOptions::new().append(true).create(true).open(file);
            let written = opened.and_then(|mut file| writeln!(file, "{name}"));
            written.expect("the file for the crash points can be written");
        }
        let wanted = std::env::var("POPFETCH_CRASH_AT").ok();
        if wanted.is_some_and(|wanted| wanted == name || wanted == number.to_string()) {
            kill_process(getpid(), Signal::KILL).expect("a process may kill itself");
        }
    }
}
