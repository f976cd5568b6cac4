//! What a person sees. The only place that knows a terminal: bars, colors, tables, log lines.
//!
//! Mail and results that were asked for (`--json`, the table of `--dry-run`) go to standard output,
//! everything else to standard error. A good run is silent where standard error is no terminal.

mod console;
mod failure;
mod log;
mod palette;
mod plan;
mod progress;
mod screen;
mod summary;
#[cfg(test)]
mod testing;
mod words;

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::Arc;

use clap::ColorChoice;
use indicatif::ProgressDrawTarget;

use crate::error::{Failure, Kind, OrFail, Result};
use crate::monitor::Monitor;
use crate::report::{Marks, Report};
use crate::text::Sanitized;

use console::Console;
use palette::Palette;
use progress::Progress;
use screen::{BarTarget, DrawingPause, Screen, Terminal};

/// How much a person wants to know. Each says what the ones before it say, and more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors (`-q`).
    Quiet,
    /// Warnings; on a terminal also bars and summaries.
    Normal,
    /// What is being done (`-v`).
    Verbose,
    /// The dialogue with the server (`-vv`).
    Dialogue,
}

impl Verbosity {
    /// What these options ask for.
    #[must_use]
    pub fn new(quiet: bool, verbose: u8) -> Self {
        match (quiet, verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, 1) => Verbosity::Verbose,
            (false, _) => Verbosity::Dialogue,
        }
    }
}

/// What the command line says about output.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How much to say.
    pub verbosity: Verbosity,
    /// Whether to use colors.
    pub color: ColorChoice,
    /// Whether reports go to standard output as JSON.
    pub json: bool,
}

/// Standard output and standard error as a person sees them, on a terminal or in cron's email.
pub struct Ui {
    options: Options,
    attended: bool,
    console: Arc<Console>,
    progress: Progress,
}

impl Ui {
    /// This process's.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let terminal = Terminal::of_standard_error();
        let pause = DrawingPause::default();
        let screen = Screen::new(io::stderr(), screen::size_of_standard_error, pause.clone());
        let often = progress::REDRAWS_PER_SECOND;
        let bars = ProgressDrawTarget::term_like_with_hz(Box::new(screen), often);
        Self::on(
            options,
            &terminal,
            BarTarget { bars, pause },
            Box::new(io::stdout()),
            Box::new(io::stderr()),
        )
    }

    fn on(
        options: Options,
        terminal: &Terminal,
        target: BarTarget,
        stdout: Box<dyn Write + Send>,
        stderr: Box<dyn Write + Send>,
    ) -> Self {
        let palette = Palette::new(options.color, terminal);
        // Between the lines of a dialogue, bars would only flicker.
        let draws = matches!(options.verbosity, Verbosity::Normal | Verbosity::Verbose);
        let target = if terminal.can_draw_bars() && draws {
            target
        } else {
            BarTarget::hidden()
        };
        let timestamps = !terminal.attended && options.verbosity >= Verbosity::Verbose;
        let console = Arc::new(Console::new(target, stdout, stderr, palette, timestamps));
        Ui {
            options,
            attended: terminal.attended,
            progress: Progress::new(Arc::clone(&console), options.verbosity, terminal.columns),
            console,
        }
    }

    /// Shows from now on what the program logs, as far as the verbosity asks for it. Once a process:
    /// a second call changes nothing.
    pub fn install_log(&self) {
        log::install(Arc::clone(&self.console), self.options.verbosity);
    }

    /// What shows the progress of the work.
    pub fn monitor(&self) -> &dyn Monitor {
        &self.progress
    }

    /// Shows what an account's run came to, in place of its bar.
    ///
    /// # Errors
    ///
    /// Standard output could not be written. That its reader went away is no error.
    pub fn report(&self, report: &Report) -> Result<()> {
        self.progress.finish(&report.account);
        if self.summary_is_due(report)
            && let Some(line) = summary::of_report(report)
        {
            self.console.write_lines(&line);
        }
        if let Some(text) = failure::of_report(report, self.console.palette())
            && !self.is_suppressed(report)
        {
            self.console.write_lines(&text);
        }
        if self.options.json {
            self.print(|out| report.write_json(out))
        } else if let Some(lines) = &report.plan {
            self.print(|out| plan::write(out, report, lines))
        } else {
            Ok(())
        }
    }

    /// Shows what `state mark-seen` came to.
    ///
    /// # Errors
    ///
    /// As [`Ui::report`].
    pub fn marks(&self, marks: &Marks) -> Result<()> {
        self.progress.finish(&marks.account);
        if self.shows_summaries()
            && let Some(line) = summary::of_marks(marks)
        {
            self.console.write_lines(&line);
        }
        if let Some(text) = failure::of_marks(marks, self.console.palette()) {
            self.console.write_lines(&text);
        }
        if self.options.json {
            self.print(|out| marks.write_json(out))?;
        }
        Ok(())
    }

    /// Shows a failure that belongs to no account's run.
    pub fn failure(&self, failure: &Failure) {
        let text = failure::of(failure, self.console.palette());
        self.console.write_lines(&text);
    }

    /// Confirms in one sentence that what was asked for is done; shown where summaries are.
    pub fn done(&self, sentence: impl Display) {
        if self.shows_summaries() {
            let sentence = sentence.to_string();
            self.console.write_lines(&Sanitized(&sentence).to_string());
        }
    }

    /// Does something that needs the terminal for itself, such as asking for a password. Bars are hidden
    /// and lines wait until it is done; the work that they are about does not wait.
    pub fn with_terminal<R>(&self, act: impl FnOnce() -> R) -> R {
        self.console.with_terminal(act)
    }

    /// Whether it is said what was done, and not only what went wrong.
    fn shows_summaries(&self) -> bool {
        match self.options.verbosity {
            Verbosity::Quiet => false,
            Verbosity::Normal => self.attended,
            Verbosity::Verbose | Verbosity::Dialogue => true,
        }
    }

    /// Whether a run's failure is not shown. A message that failed always is.
    fn is_suppressed(&self, report: &Report) -> bool {
        let is_shown = self.attended || self.options.verbosity >= Verbosity::Verbose;
        report.suppressed && report.problems.is_empty() && !is_shown
    }

    /// What is left for later is never left in silence, unless silence was asked for. The table of a
    /// dry run has its own last line.
    fn summary_is_due(&self, report: &Report) -> bool {
        let left = report.skipped.messages > 0 && self.options.verbosity > Verbosity::Quiet;
        report.plan.is_none() && (self.shows_summaries() || left)
    }

    fn print(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        match self.console.print(write) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.or_fail(Kind::Io, || "cannot write to standard output"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{Buffer, Glass, NO_TERMINAL, TERMINAL, report, ui};
    use super::*;
    use crate::monitor::{Event, FailedMessage, Phase, Problem};

    const OPTIONS: Options = Options {
        verbosity: Verbosity::Normal,
        color: ColorChoice::Auto,
        json: false,
    };

    fn with(verbosity: Verbosity) -> Options {
        Options {
            verbosity,
            ..OPTIONS
        }
    }

    fn stored() -> Report {
        let mut report = report();
        report.stored.count(1000);
        report
    }

    fn failed() -> Report {
        let mut report = report();
        report.failure = Some(Failure::new(Kind::Auth, "refused").hint("Log in again."));
        report
    }

    /// What standard error shows after this report.
    fn said(terminal: &Terminal, options: Options, report: &Report) -> Vec<String> {
        let glass = Glass::new(100);
        let (ui, _) = ui(terminal, options, &glass);
        ui.report(report).expect("shown");
        glass.lines()
    }

    #[test]
    fn options_become_a_verbosity() {
        assert_eq!(Verbosity::new(true, 0), Verbosity::Quiet);
        assert_eq!(Verbosity::new(false, 0), Verbosity::Normal);
        assert_eq!(Verbosity::new(false, 1), Verbosity::Verbose);
        assert_eq!(Verbosity::new(false, 9), Verbosity::Dialogue);
    }

    #[test]
    fn a_good_run_is_silent_for_cron_and_one_line_for_a_person() {
        let line = "work: 1 new message (1.0 kB) stored, in 0.0 s";
        assert_eq!(said(&NO_TERMINAL, OPTIONS, &stored()), [""; 0]);
        assert_eq!(said(&TERMINAL, OPTIONS, &stored()), [line]);
        assert_eq!(said(&TERMINAL, with(Verbosity::Quiet), &stored()), [""; 0]);
        let verbose = said(&NO_TERMINAL, with(Verbosity::Verbose), &stored());
        assert!(verbose[0].ends_with(line), "{verbose:?}");
    }

    #[test]
    fn errors_are_shown_even_when_quiet() {
        for terminal in [&TERMINAL, &NO_TERMINAL] {
            assert_eq!(
                said(terminal, with(Verbosity::Quiet), &failed()),
                ["popfetch: work: refused", "hint: Log in again."]
            );
        }
    }

    #[test]
    fn a_short_absence_is_told_to_those_who_watch_or_ask() {
        let suppressed = || {
            let mut report = failed();
            report.suppressed = true;
            report
        };
        for verbosity in [Verbosity::Normal, Verbosity::Quiet] {
            assert_eq!(said(&NO_TERMINAL, with(verbosity), &suppressed()), [""; 0]);
        }
        for (terminal, verbosity) in [
            (&TERMINAL, Verbosity::Normal),
            (&NO_TERMINAL, Verbosity::Verbose),
        ] {
            assert!(said(terminal, with(verbosity), &suppressed()).len() >= 2);
        }
        let mut with_message = suppressed();
        let message = FailedMessage {
            number: 1,
            uid: None,
            failure: Failure::new(Kind::Protocol, "no such message"),
        };
        with_message.apply(&Event::MessageFailed(&Problem::failed(10, message)));
        assert!(said(&NO_TERMINAL, OPTIONS, &with_message).len() >= 2);
    }

    #[test]
    fn what_is_left_for_later_is_told_to_cron_too() {
        let mut report = report();
        report.skipped.count(50_000_000);
        let line = "work: 1 message left for later, in 0.0 s";
        assert_eq!(said(&NO_TERMINAL, OPTIONS, &report), [line]);
        assert_eq!(said(&NO_TERMINAL, with(Verbosity::Quiet), &report), [""; 0]);
    }

    #[test]
    fn the_summary_takes_the_place_of_the_bar() {
        let glass = Glass::new(100);
        let (ui, _) = ui(&TERMINAL, OPTIONS, &glass);
        ui.monitor().event("work", &Event::Phase(Phase::Connect));
        ui.progress.draw("work");
        assert!(glass.shows("connecting"));
        ui.report(&stored()).expect("shown");
        assert_eq!(
            glass.lines(),
            ["work: 1 new message (1.0 kB) stored, in 0.0 s"]
        );
    }

    #[test]
    fn no_bar_is_drawn_off_a_terminal_or_among_many_lines() {
        for (terminal, verbosity) in [
            (&NO_TERMINAL, Verbosity::Normal),
            (&TERMINAL, Verbosity::Quiet),
            (&TERMINAL, Verbosity::Dialogue),
        ] {
            let (ui, _) = ui(terminal, with(verbosity), &Glass::new(100));
            assert!(ui.console.bars().is_hidden(), "{verbosity:?}");
        }
    }

    #[test]
    fn colors_follow_the_option_and_the_terminal() {
        let colored = |terminal: &Terminal, color| {
            let glass = Glass::new(100);
            let (ui, _) = ui(terminal, Options { color, ..OPTIONS }, &glass);
            ui.failure(&Failure::new(Kind::Config, "wrong"));
            glass.is_colored()
        };
        assert!(colored(&TERMINAL, ColorChoice::Auto));
        assert!(!colored(&TERMINAL, ColorChoice::Never));
        assert!(!colored(&NO_TERMINAL, ColorChoice::Auto));
        let no_color = Terminal {
            no_color: true,
            ..TERMINAL
        };
        assert!(!colored(&no_color, ColorChoice::Auto));
        assert!(colored(&NO_TERMINAL, ColorChoice::Always));
    }

    #[test]
    fn json_goes_to_standard_output_and_takes_the_tables_place() {
        let glass = Glass::new(100);
        let json = Options {
            json: true,
            ..OPTIONS
        };
        let (ui, stdout) = ui(&NO_TERMINAL, json, &glass);
        let mut planned = report();
        planned.plan = Some(Vec::new());
        ui.report(&planned).expect("shown");
        ui.report(&failed()).expect("shown");
        let text = stdout.text();
        assert_eq!(text.lines().count(), 2);
        assert!(
            text.lines()
                .all(|line| line.starts_with(r#"{"account":"work""#))
        );
        assert_eq!(
            glass.lines(),
            ["popfetch: work: refused", "hint: Log in again."]
        );
    }

    #[test]
    fn a_dry_run_prints_its_table_for_everybody() {
        let mut planned = report();
        planned.plan = Some(Vec::new());
        for (terminal, verbosity) in [
            (&NO_TERMINAL, Verbosity::Normal),
            (&TERMINAL, Verbosity::Quiet),
        ] {
            let glass = Glass::new(100);
            let (ui, stdout) = ui(terminal, with(verbosity), &glass);
            ui.report(&planned).expect("shown");
            assert!(stdout.text().starts_with("work (alice@pop.example.com):\n"));
            assert_eq!(glass.lines(), [""; 0]);
        }
    }

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn report_into(kind: io::ErrorKind) -> Result<()> {
        let glass = Glass::new(100);
        let ui = Ui::on(
            Options {
                json: true,
                ..OPTIONS
            },
            &NO_TERMINAL,
            glass.bar_target(),
            Box::new(Broken(kind)),
            Box::new(glass),
        );
        ui.report(&stored())
    }

    #[test]
    fn a_reader_that_went_away_is_no_error_but_a_full_disk_is() {
        assert!(report_into(io::ErrorKind::BrokenPipe).is_ok());
        let full = report_into(io::ErrorKind::StorageFull).expect_err("no room");
        assert_eq!(full.kind(), Kind::Io);
    }

    #[test]
    fn a_terminal_that_went_away_does_not_end_the_work() {
        let pause = DrawingPause::default();
        let gone = Screen::new(Broken(io::ErrorKind::Other), || (100, 24), pause.clone());
        let bars = ProgressDrawTarget::term_like(Box::new(gone));
        let ui = Ui::on(
            OPTIONS,
            &TERMINAL,
            BarTarget { bars, pause },
            Box::new(Buffer::default()),
            Box::new(Broken(io::ErrorKind::Other)),
        );
        ui.monitor().event("work", &Event::Phase(Phase::Connect));
        ui.monitor().event("work", &Event::Warning("odd"));
        assert!(ui.report(&stored()).is_ok());
    }

    #[test]
    fn what_was_asked_for_is_confirmed_to_those_who_watch() {
        let confirmed = |terminal| {
            let glass = Glass::new(100);
            let (ui, _) = ui(terminal, OPTIONS, &glass);
            ui.done("The password is kept\x1b.");
            glass.lines()
        };
        assert_eq!(confirmed(&TERMINAL), ["The password is kept\\x1b."]);
        assert_eq!(confirmed(&NO_TERMINAL), [""; 0]);
    }
}
