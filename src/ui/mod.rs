//! What a person sees. The only place that knows a terminal: bars, colors, tables, log lines.
//!
//! Mail and results that were asked for (`--json`, the table of `--dry-run`) go to standard output,
//! everything else to standard error. A good run that nobody watches is silent.

mod console;
mod failure;
mod log;
mod marks;
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
use screen::{Curtain, Screen, Stage, Terminal};

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

/// The one who talks to the person in front of the screen, or to whoever reads cron's mail.
pub struct Ui {
    options: Options,
    attended: bool,
    console: Arc<Console>,
    progress: Progress,
}

impl Ui {
    /// Talks through this process's standard output and standard error.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let terminal = Terminal::of_standard_error();
        let curtain = Curtain::default();
        let screen = Screen::new(
            io::stderr(),
            screen::size_of_standard_error,
            curtain.clone(),
        );
        let often = progress::REDRAWN_PER_SECOND;
        let bars = ProgressDrawTarget::term_like_with_hz(Box::new(screen), often);
        Self::on(
            options,
            &terminal,
            Stage { bars, curtain },
            Box::new(io::stdout()),
            Box::new(io::stderr()),
        )
    }

    fn on(
        options: Options,
        terminal: &Terminal,
        stage: Stage,
        stdout: Box<dyn Write + Send>,
        stderr: Box<dyn Write + Send>,
    ) -> Self {
        let palette = Palette::new(options.color, terminal);
        // Between the lines of a dialogue, bars would only flicker.
        let calm = matches!(options.verbosity, Verbosity::Normal | Verbosity::Verbose);
        let stage = if terminal.can_draw_bars() && calm {
            stage
        } else {
            Stage::hidden()
        };
        let stamped = !terminal.attended && options.verbosity >= Verbosity::Verbose;
        let console = Arc::new(Console::new(stage, stdout, stderr, palette, stamped));
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

    /// Who shows how the work gets on.
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
            && let Some(line) = summary::line(report)
        {
            self.console.say(&line);
        }
        if let Some(text) = failure::of_report(report, self.console.palette())
            && !self.is_hushed(report)
        {
            self.console.say(&text);
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
        if self.somebody_watches()
            && let Some(line) = marks::line(marks)
        {
            self.console.say(&line);
        }
        let failures = marks::failures(marks);
        if !failures.is_empty() {
            let text = failure::of_account(&marks.account, &failures, self.console.palette());
            self.console.say(&text);
        }
        match self.options.json {
            true => self.print(|out| marks.write_json(out)),
            false => Ok(()),
        }
    }

    /// Shows a failure that belongs to no account's run.
    pub fn failure(&self, failure: &Failure) {
        let text = failure::of(failure, self.console.palette());
        self.console.say(&text);
    }

    /// Tells a person that what they asked for is done: one sentence. Like a summary, it is for those
    /// who watch or asked for more.
    pub fn done(&self, sentence: impl Display) {
        if self.somebody_watches() {
            let sentence = sentence.to_string();
            self.console.say(&Sanitized(&sentence).to_string());
        }
    }

    /// Does something that needs the terminal for itself, such as asking for a password. Bars are hidden
    /// and lines wait until it is done; the work that they are about does not wait.
    pub fn aside<R>(&self, act: impl FnOnce() -> R) -> R {
        self.console.aside(act)
    }

    fn somebody_watches(&self) -> bool {
        match self.options.verbosity {
            Verbosity::Quiet => false,
            Verbosity::Normal => self.attended,
            Verbosity::Verbose | Verbosity::Dialogue => true,
        }
    }

    /// A message that failed is always worth a line.
    fn is_hushed(&self, report: &Report) -> bool {
        let nobody_asked = !self.attended && self.options.verbosity < Verbosity::Verbose;
        report.hushed && report.problems.is_empty() && nobody_asked
    }

    /// What is left for later is never left in silence, unless silence was asked for. The table of a
    /// dry run has its own last line.
    fn summary_is_due(&self, report: &Report) -> bool {
        let left = report.skipped.messages > 0 && self.options.verbosity > Verbosity::Quiet;
        report.plan.is_none() && (self.somebody_watches() || left)
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
    use super::testing::{Buffer, Glass, NOBODY, TERMINAL, report, ui};
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
        assert_eq!(said(&NOBODY, OPTIONS, &stored()), [""; 0]);
        assert_eq!(said(&TERMINAL, OPTIONS, &stored()), [line]);
        assert_eq!(said(&TERMINAL, with(Verbosity::Quiet), &stored()), [""; 0]);
        let verbose = said(&NOBODY, with(Verbosity::Verbose), &stored());
        assert!(verbose[0].ends_with(line), "{verbose:?}");
    }

    #[test]
    fn errors_are_shown_even_when_quiet() {
        for terminal in [&TERMINAL, &NOBODY] {
            assert_eq!(
                said(terminal, with(Verbosity::Quiet), &failed()),
                ["popfetch: work: refused", "hint: Log in again."]
            );
        }
    }

    #[test]
    fn a_short_absence_is_told_to_those_who_watch_or_ask() {
        let hushed = || {
            let mut report = failed();
            report.hushed = true;
            report
        };
        for verbosity in [Verbosity::Normal, Verbosity::Quiet] {
            assert_eq!(said(&NOBODY, with(verbosity), &hushed()), [""; 0]);
        }
        for (terminal, verbosity) in [
            (&TERMINAL, Verbosity::Normal),
            (&NOBODY, Verbosity::Verbose),
        ] {
            assert!(said(terminal, with(verbosity), &hushed()).len() >= 2);
        }
        let mut with_message = hushed();
        let message = FailedMessage {
            number: 1,
            uid: None,
            failure: Failure::new(Kind::Protocol, "no such message"),
        };
        with_message.apply(&Event::MessageFailed(&Problem::failed(10, message)));
        assert!(said(&NOBODY, OPTIONS, &with_message).len() >= 2);
    }

    #[test]
    fn what_is_left_for_later_is_told_to_cron_too() {
        let mut report = report();
        report.skipped.count(50_000_000);
        let line = "work: 1 message left for later, in 0.0 s";
        assert_eq!(said(&NOBODY, OPTIONS, &report), [line]);
        assert_eq!(said(&NOBODY, with(Verbosity::Quiet), &report), [""; 0]);
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
    fn no_bar_is_drawn_where_nobody_watches_or_lines_abound() {
        for (terminal, verbosity) in [
            (&NOBODY, Verbosity::Normal),
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
        assert!(!colored(&NOBODY, ColorChoice::Auto));
        let no_color = Terminal {
            no_color: true,
            ..TERMINAL
        };
        assert!(!colored(&no_color, ColorChoice::Auto));
        assert!(colored(&NOBODY, ColorChoice::Always));
    }

    #[test]
    fn json_goes_to_standard_output_and_takes_the_tables_place() {
        let glass = Glass::new(100);
        let json = Options {
            json: true,
            ..OPTIONS
        };
        let (ui, stdout) = ui(&NOBODY, json, &glass);
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
        for (terminal, verbosity) in [(&NOBODY, Verbosity::Normal), (&TERMINAL, Verbosity::Quiet)] {
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
            &NOBODY,
            glass.stage(),
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
        let curtain = Curtain::default();
        let gone = Screen::new(Broken(io::ErrorKind::Other), || (100, 24), curtain.clone());
        let bars = ProgressDrawTarget::term_like(Box::new(gone));
        let ui = Ui::on(
            OPTIONS,
            &TERMINAL,
            Stage { bars, curtain },
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
        assert_eq!(confirmed(&NOBODY), [""; 0]);
    }
}
