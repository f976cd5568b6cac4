//! Lines for people, kept apart from the bars.

use std::io::{self, BufWriter, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::MultiProgress;
use jiff::Zoned;

use super::palette::Palette;
use super::screen::{BarTarget, DrawingPause};

/// How much is held back while a question on the terminal is answered, in bytes; what exceeds it is written at once.
const MAX_HELD_BACK: usize = 64 * 1024;

type Output = Mutex<Box<dyn Write + Send>>;

/// Standard output, standard error, and the bars that make room for both.
pub(super) struct Console {
    bars: MultiProgress,
    pause: DrawingPause,
    stdout: Output,
    stderr: Output,
    palette: Palette,
    uses: Mutex<TerminalUses>,
    /// Whether each line on standard error begins with the time.
    timestamps: bool,
}

/// What has the terminal for itself now.
#[derive(Default)]
struct TerminalUses {
    count: usize,
    /// What is written once there is none.
    held_back: String,
}

impl Console {
    pub(super) fn new(
        target: BarTarget,
        stdout: Box<dyn Write + Send>,
        stderr: Box<dyn Write + Send>,
        palette: Palette,
        timestamps: bool,
    ) -> Self {
        Console {
            bars: MultiProgress::with_draw_target(target.bars),
            pause: target.pause,
            stdout: Mutex::new(stdout),
            stderr: Mutex::new(stderr),
            palette,
            uses: Mutex::default(),
            timestamps,
        }
    }

    /// The place of all bars.
    pub(super) fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// The colors of standard error.
    pub(super) fn palette(&self) -> Palette {
        self.palette
    }

    /// Writes one or more lines, which are safe to show, to standard error. Where that fails, there is no place left
    /// to report it.
    pub(super) fn write_lines(&self, text: &str) {
        let stamp = if self.timestamps {
            timestamp(&Zoned::now())
        } else {
            String::new()
        };
        // In one write, so that lines of several processes on one terminal or log stay whole.
        let block: String = text
            .lines()
            .map(|line| format!("{stamp}{line}\n"))
            .collect();
        let mut uses = self.lock_uses();
        if uses.count > 0 && uses.held_back.len() < MAX_HELD_BACK {
            uses.held_back.push_str(&block);
        } else {
            self.bars.suspend(|| self.write(&block));
        }
    }

    fn write(&self, block: &str) {
        let mut stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = stderr.write_all(block.as_bytes());
        let _ = stderr.flush();
    }

    /// Writes to standard output.
    pub(super) fn print(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        self.bars.suspend(|| {
            let mut stdout = self.stdout.lock().unwrap_or_else(PoisonError::into_inner);
            let mut buffered = BufWriter::new(&mut **stdout);
            write(&mut buffered)?;
            buffered.flush()?;
            drop(buffered);
            stdout.flush()
        })
    }

    /// Does something while no bar is on the screen. Lines that are written meanwhile, where there are bars, are
    /// shown afterwards. indicatif's `println` would lose a line where bars are hidden; `suspend` does
    /// not, but blocks every thread that counts a message: so it only lasts until the pause has begun.
    pub(super) fn with_terminal<R>(&self, act: impl FnOnce() -> R) -> R {
        if self.bars.is_hidden() {
            return act();
        }
        let _use = TerminalUse::begin(self);
        act()
    }

    fn lock_uses(&self) -> MutexGuard<'_, TerminalUses> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time in which something has the terminal for itself.
struct TerminalUse<'a>(&'a Console);

impl<'a> TerminalUse<'a> {
    fn begin(console: &'a Console) -> Self {
        let mut uses = console.lock_uses();
        uses.count += 1;
        console.bars.suspend(|| console.pause.begin());
        TerminalUse(console)
    }
}

impl Drop for TerminalUse<'_> {
    fn drop(&mut self) {
        let TerminalUse(console) = self;
        let mut uses = console.lock_uses();
        uses.count -= 1;
        if uses.count == 0 {
            let held_back = std::mem::take(&mut uses.held_back);
            console.bars.suspend(|| {
                console.pause.end();
                console.write(&held_back);
            });
        }
    }
}

/// The time at the beginning of a log line: RFC 3339, local.
fn timestamp(now: &Zoned) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%S%:z ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_in_front_of_a_line_is_local_with_its_offset() {
        let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(-3));
        let time: jiff::Timestamp = "2026-03-01T02:04:05.9Z".parse().expect("a time");
        assert_eq!(
            timestamp(&time.to_zoned(zone)),
            "2026-02-28T23:04:05-03:00 "
        );
    }
}
