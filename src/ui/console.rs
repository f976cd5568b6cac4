//! Lines for people, kept apart from the bars.

use std::io::{self, BufWriter, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressDrawTarget};
use jiff::Zoned;

use super::palette::Palette;

type Output = Mutex<Box<dyn Write + Send>>;

/// Standard output, standard error, and the bars that make room for both.
pub(super) struct Console {
    bars: MultiProgress,
    stdout: Output,
    stderr: Output,
    palette: Palette,
    /// Who has the terminal for itself.
    turn: Mutex<()>,
    /// Whether each line on standard error begins with the time.
    stamped: bool,
}

impl Console {
    pub(super) fn new(
        bars: ProgressDrawTarget,
        stdout: Box<dyn Write + Send>,
        stderr: Box<dyn Write + Send>,
        palette: Palette,
        stamped: bool,
    ) -> Self {
        Console {
            bars: MultiProgress::with_draw_target(bars),
            stdout: Mutex::new(stdout),
            stderr: Mutex::new(stderr),
            palette,
            turn: Mutex::default(),
            stamped,
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

    /// Writes one or more lines, which are safe to show, to standard error. There is nobody to tell
    /// where that fails.
    pub(super) fn say(&self, text: &str) {
        let stamp = if self.stamped {
            stamp(&Zoned::now())
        } else {
            String::new()
        };
        // In one write, so that lines of several processes on one terminal or log stay whole.
        let block: String = text
            .lines()
            .map(|line| format!("{stamp}{line}\n"))
            .collect();
        self.bars.suspend(|| {
            let mut stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = stderr.write_all(block.as_bytes());
            let _ = stderr.flush();
        });
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

    /// Does something while no bar is on the screen; one account after the other. indicatif's `println`
    /// would lose the line where bars are hidden; `suspend` does not. But it keeps whoever draws a bar or
    /// writes a line waiting, so that where there are no bars, only the turn is taken.
    pub(super) fn aside<R>(&self, act: impl FnOnce() -> R) -> R {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        match self.bars.is_hidden() {
            true => act(),
            false => self.bars.suspend(act),
        }
    }
}

/// The time at the beginning of a log line: RFC 3339, local.
fn stamp(now: &Zoned) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%S%:z ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_in_front_of_a_line_is_local_with_its_offset() {
        let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(-3));
        let time: jiff::Timestamp = "2026-03-01T02:04:05.9Z".parse().expect("a time");
        assert_eq!(stamp(&time.to_zoned(zone)), "2026-02-28T23:04:05-03:00 ");
    }
}
