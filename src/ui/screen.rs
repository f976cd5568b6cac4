//! The terminal at standard error: what it can do, and how bars are drawn on it.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::{ProgressDrawTarget, TermLike};

/// Below this width a bar would not fit into its line.
const MIN_COLUMNS: u16 = 30;

/// The size of a terminal that does not say it: columns and lines.
const DEFAULT_SIZE: (u16, u16) = (80, 24);

/// What is known of the place where standard error appears.
#[derive(Debug, Clone)]
pub(super) struct Terminal {
    /// It is a terminal, so probably a person watches.
    pub(super) attended: bool,
    /// It cannot move its cursor.
    pub(super) dumb: bool,
    /// Its user wants no colors (<https://no-color.org>).
    pub(super) no_color: bool,
    /// Its width when the program began.
    pub(super) columns: u16,
}

impl Terminal {
    /// Looks at standard error and the environment.
    pub(super) fn of_standard_error() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        Terminal {
            attended: io::stderr().is_terminal(),
            dumb: set("TERM").is_none_or(|term| term == "dumb"),
            no_color: set("NO_COLOR").is_some(),
            columns: size_of_standard_error().0,
        }
    }

    /// Whether bars can be drawn here.
    pub(super) fn can_draw_bars(&self) -> bool {
        self.attended && !self.dumb && self.columns >= MIN_COLUMNS
    }
}

/// Columns and lines of the terminal at standard error.
pub(super) fn size_of_standard_error() -> (u16, u16) {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
        _ => DEFAULT_SIZE,
    }
}

/// Where bars are drawn, and what pauses that.
pub(super) struct BarTarget {
    pub(super) bars: ProgressDrawTarget,
    pub(super) pause: DrawingPause,
}

impl BarTarget {
    /// Where nothing is ever drawn.
    pub(super) fn hidden() -> Self {
        BarTarget {
            bars: ProgressDrawTarget::hidden(),
            pause: DrawingPause::default(),
        }
    }
}

/// A pause in drawing, while a question on the terminal is answered: the work that the bars are about does not wait for it.
/// Clones are the same pause.
#[derive(Debug, Clone, Default)]
pub(super) struct DrawingPause(Arc<AtomicBool>);

impl DrawingPause {
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(super) fn end(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    fn is_active(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Where bars are drawn: gathers the pieces of a picture and writes them at once.
///
/// indicatif's own terminal passes a write error on, and panics where bars make room for a line. A
/// terminal that went away must not end the retrieval, so errors stop here.
pub(super) struct Screen<W> {
    picture: Mutex<Picture<W>>,
    size: fn() -> (u16, u16),
    pause: DrawingPause,
}

struct Picture<W> {
    pending: String,
    out: W,
}

impl<W: Write> Screen<W> {
    pub(super) fn new(out: W, size: fn() -> (u16, u16), pause: DrawingPause) -> Self {
        Screen {
            pause,
            picture: Mutex::new(Picture {
                pending: String::new(),
                out,
            }),
            size,
        }
    }

    fn picture(&self) -> MutexGuard<'_, Picture<W>> {
        self.picture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self, text: fmt::Arguments<'_>) -> io::Result<()> {
        // A String takes everything.
        let _ = self.picture().pending.write_fmt(text);
        Ok(())
    }

    /// Moving by 0 would move by 1.
    fn steps(&self, count: usize, direction: char) -> io::Result<()> {
        if count == 0 {
            return Ok(());
        }
        self.draw(format_args!("\x1b[{count}{direction}"))
    }
}

impl<W> fmt::Debug for Screen<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Screen")
    }
}

impl<W: Write + Send> TermLike for Screen<W> {
    fn width(&self) -> u16 {
        (self.size)().0
    }

    fn height(&self) -> u16 {
        (self.size)().1
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.steps(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.steps(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.steps(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.steps(n, 'D')
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        self.draw(format_args!("{s}\n"))
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        self.draw(format_args!("{s}"))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.draw(format_args!("\r\x1b[2K"))
    }

    fn flush(&self) -> io::Result<()> {
        let picture = &mut *self.picture();
        if !self.pause.is_active() {
            let _ = picture.out.write_all(picture.pending.as_bytes());
            let _ = picture.out.flush();
        }
        picture.pending.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::testing::TERMINAL;

    #[test]
    fn bars_need_a_terminal_that_can_draw_them() {
        assert!(TERMINAL.can_draw_bars());
        for useless in [
            Terminal {
                attended: false,
                ..TERMINAL
            },
            Terminal {
                dumb: true,
                ..TERMINAL
            },
            Terminal {
                columns: 12,
                ..TERMINAL
            },
        ] {
            assert!(!useless.can_draw_bars(), "{useless:?}");
        }
    }
}
