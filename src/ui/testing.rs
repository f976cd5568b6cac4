//! A terminal made of memory, and other things that several tests of this module need.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use clap::ColorChoice;
use indicatif::ProgressDrawTarget;

use super::console::Console;
use super::palette::Palette;
use super::screen::{BarTarget, DrawingPause, Screen, Terminal};
use super::{Options, Ui, Verbosity};
use crate::report::Report;

/// A usual terminal.
pub(super) const TERMINAL: Terminal = Terminal {
    attended: true,
    dumb: false,
    no_color: false,
    columns: WIDTH as u16,
};

/// No terminal: a file, or cron.
pub(super) const NO_TERMINAL: Terminal = Terminal {
    attended: false,
    ..TERMINAL
};

const WIDTH: usize = 100;

pub(super) fn plain() -> Palette {
    Palette::new(ColorChoice::Never, &TERMINAL)
}

pub(super) fn colorful() -> Palette {
    Palette::new(ColorChoice::Always, &TERMINAL)
}

/// The report of a run in which nothing happened.
pub(super) fn report() -> Report {
    let started = "2026-03-01T12:00:00Z".parse().expect("a time");
    Report::new("work", "pop.example.com", "alice", started)
}

/// A console on this glass, with bars where the terminal can draw them.
pub(super) fn console(terminal: &Terminal, verbosity: Verbosity, glass: &Glass) -> Console {
    let timestamps = !terminal.attended && verbosity >= Verbosity::Verbose;
    let target = if terminal.can_draw_bars() {
        glass.bar_target()
    } else {
        BarTarget::hidden()
    };
    let (stdout, stderr) = (Box::new(io::sink()), Box::new(glass.clone()));
    Console::new(target, stdout, stderr, plain(), timestamps)
}

/// A whole user interface: standard error on the glass, standard output in a buffer.
pub(super) fn ui(terminal: &Terminal, options: Options, glass: &Glass) -> (Ui, Buffer) {
    let stdout = Buffer::default();
    let ui = Ui::on(
        options,
        terminal,
        glass.bar_target(),
        Box::new(stdout.clone()),
        Box::new(glass.clone()),
    );
    (ui, stdout)
}

/// A shared buffer to write into.
#[derive(Clone, Default)]
pub(super) struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("whole").clone()).expect("text")
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("whole").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a terminal shows of what was written to it: enough of ECMA-48 for bars and colors. A
/// character in the last column leaves the cursor after it until the next one comes.
#[derive(Clone)]
pub(super) struct Glass(Arc<Mutex<Grid>>);

struct Grid {
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
    width: usize,
    colored: bool,
}

impl Glass {
    pub(super) fn new(width: usize) -> Self {
        Glass(Arc::new(Mutex::new(Grid {
            rows: Vec::new(),
            row: 0,
            column: 0,
            width,
            colored: false,
        })))
    }

    /// Bars that are drawn here, as often as something changes.
    pub(super) fn bar_target(&self) -> BarTarget {
        let pause = DrawingPause::default();
        let screen = Screen::new(self.clone(), || (WIDTH as u16, 24), pause.clone());
        BarTarget {
            bars: ProgressDrawTarget::term_like(Box::new(screen)),
            pause,
        }
    }

    /// All lines down to the last one that is not empty, without blanks at their ends.
    pub(super) fn lines(&self) -> Vec<String> {
        let grid = self.0.lock().expect("whole");
        let mut lines: Vec<_> = grid
            .rows
            .iter()
            .map(|row| row.iter().collect::<String>().trim_end().to_owned())
            .collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    pub(super) fn line(&self, row: usize) -> String {
        self.lines().get(row).cloned().unwrap_or_default()
    }

    pub(super) fn shows(&self, text: &str) -> bool {
        self.lines().iter().any(|line| line.contains(text))
    }

    /// Whether any color was ever used.
    pub(super) fn is_colored(&self) -> bool {
        self.0.lock().expect("whole").colored
    }
}

impl Write for Glass {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = str::from_utf8(bytes).expect("whole characters");
        self.0.lock().expect("whole").show(text);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Grid {
    fn show(&mut self, text: &str) {
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '\r' => self.column = 0,
                '\n' => {
                    self.row += 1;
                    self.column = 0;
                }
                '\x1b' => self.obey(&mut characters),
                _ => self.put(character),
            }
        }
    }

    fn put(&mut self, character: char) {
        assert!(
            !character.is_control(),
            "{character:?} reached the terminal"
        );
        if self.column == self.width {
            self.row += 1;
            self.column = 0;
        }
        let column = self.column;
        let row = self.row();
        if row.len() <= column {
            row.resize(column + 1, ' ');
        }
        row[column] = character;
        self.column += 1;
    }

    fn row(&mut self) -> &mut Vec<char> {
        if self.rows.len() <= self.row {
            self.rows.resize(self.row + 1, Vec::new());
        }
        &mut self.rows[self.row]
    }

    fn obey(&mut self, characters: &mut std::str::Chars<'_>) {
        assert_eq!(characters.next(), Some('['), "an unknown escape sequence");
        let mut parameters = String::new();
        let end = characters.find(|&character| {
            let ends = character.is_ascii_alphabetic();
            if !ends {
                parameters.push(character);
            }
            ends
        });
        let count = || parameters.parse::<usize>().expect("a number of steps");
        match end {
            Some('A') => self.row = self.row.checked_sub(count()).expect("above the first line"),
            Some('B') => self.row += count(),
            Some('K') => self.row().clear(),
            Some('m') => self.colored = true,
            other => panic!("an unknown escape sequence: {other:?}"),
        }
    }
}
