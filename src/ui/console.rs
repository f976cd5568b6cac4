//! Lines for people, kept apart from the bars.

use std::io::{self, BufWriter, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::MultiProgress;
use jiff::Zoned;

use super::palette::Palette;
use super::screen::{Curtain, Stage};

/// So much waits to be said while somebody uses the terminal, in bytes; what comes beyond that is said
/// at once.
const UNSAID: usize = 64 * 1024;

type Output = Mutex<Box<dyn Write + Send>>;

/// Standard output, standard error, and the bars that make room for both.
pub(super) struct Console {
    bars: MultiProgress,
    curtain: Curtain,
    stdout: Output,
    stderr: Output,
    palette: Palette,
    aside: Mutex<Aside>,
    /// Whether each line on standard error begins with the time.
    stamped: bool,
}

/// What is known of those who have the terminal for themselves.
#[derive(Default)]
struct Aside {
    users: usize,
    /// What is said once there are none.
    unsaid: String,
}

impl Console {
    pub(super) fn new(
        stage: Stage,
        stdout: Box<dyn Write + Send>,
        stderr: Box<dyn Write + Send>,
        palette: Palette,
        stamped: bool,
    ) -> Self {
        Console {
            bars: MultiProgress::with_draw_target(stage.bars),
            curtain: stage.curtain,
            stdout: Mutex::new(stdout),
            stderr: Mutex::new(stderr),
            palette,
            aside: Mutex::default(),
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
        let mut aside = self.lock_aside();
        match aside.users > 0 && aside.unsaid.len() < UNSAID {
            true => aside.unsaid.push_str(&block),
            false => self.bars.suspend(|| self.write(&block)),
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

    /// Does something while no bar is on the screen. What is said meanwhile, where there are bars, is
    /// shown afterwards. indicatif's `println` would lose the line where bars are hidden; `suspend` does
    /// not, but keeps whoever counts a message waiting: so it lasts no longer than the curtain moves.
    pub(super) fn aside<R>(&self, act: impl FnOnce() -> R) -> R {
        if self.bars.is_hidden() {
            return act();
        }
        let _alone = Alone::begin(self);
        act()
    }

    fn lock_aside(&self) -> MutexGuard<'_, Aside> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time in which somebody uses the terminal.
struct Alone<'a>(&'a Console);

impl<'a> Alone<'a> {
    fn begin(console: &'a Console) -> Self {
        let mut aside = console.lock_aside();
        aside.users += 1;
        console.bars.suspend(|| console.curtain.close());
        Alone(console)
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        let Alone(console) = self;
        let mut aside = console.lock_aside();
        aside.users -= 1;
        if aside.users == 0 {
            let unsaid = std::mem::take(&mut aside.unsaid);
            console.bars.suspend(|| {
                console.curtain.open();
                console.write(&unsaid);
            });
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
