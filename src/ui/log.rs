//! What the program logs, as lines on standard error.

use std::sync::Arc;

use log::{Level, LevelFilter, Log, Metadata, Record};

use super::Verbosity;
use super::console::Console;
use super::palette::{Palette, Role};
use crate::text::Sanitized;

/// Shows the log of this process from now on.
pub(super) fn install(console: Arc<Console>, verbosity: Verbosity) {
    let logger = Logger {
        console,
        filter: filter(verbosity),
    };
    let filter = logger.filter;
    if log::set_boxed_logger(Box::new(logger)).is_ok() {
        log::set_max_level(filter);
    }
}

struct Logger {
    console: Arc<Console>,
    filter: LevelFilter,
}

impl Log for Logger {
    /// Only our own records: what libraries log about a connection or a key ring might hold a secret.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        let ours = target == "popfetch" || target.starts_with("popfetch::");
        ours && metadata.level() <= self.filter
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let message = record.args().to_string();
            self.console
                .write_lines(&line(record.level(), &message, self.console.palette()));
        }
    }

    fn flush(&self) {}
}

fn filter(verbosity: Verbosity) -> LevelFilter {
    match verbosity {
        Verbosity::Quiet => LevelFilter::Error,
        Verbosity::Normal => LevelFilter::Warn,
        Verbosity::Verbose => LevelFilter::Info,
        Verbosity::Dialogue => LevelFilter::Trace,
    }
}

/// One line of the log; whatever the message holds, it stays one line.
pub(super) fn line(level: Level, message: &str, palette: Palette) -> String {
    let label = match level {
        Level::Error => palette.paint(Role::Error, "error:") + " ",
        Level::Warn => palette.paint(Role::Warning, "warning:") + " ",
        Level::Info | Level::Debug | Level::Trace => String::new(),
    };
    format!("popfetch: {label}{}", Sanitized(message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::testing::{Glass, NO_TERMINAL, TERMINAL, colorful, console, plain};

    fn shown(verbosity: Verbosity, target: &str, level: Level) -> bool {
        let glass = Glass::new(80);
        let logger = Logger {
            console: Arc::new(console(&NO_TERMINAL, verbosity, &glass)),
            filter: filter(verbosity),
        };
        logger.log(
            &Record::builder()
                .level(level)
                .target(target)
                .args(format_args!("hello"))
                .build(),
        );
        glass.shows("hello")
    }

    #[test]
    fn each_verbosity_shows_its_levels() {
        let ours = |verbosity, level| shown(verbosity, "popfetch::client", level);
        assert!(ours(Verbosity::Quiet, Level::Error));
        assert!(!ours(Verbosity::Quiet, Level::Warn));
        assert!(ours(Verbosity::Normal, Level::Warn));
        assert!(!ours(Verbosity::Normal, Level::Info));
        assert!(ours(Verbosity::Verbose, Level::Info));
        assert!(!ours(Verbosity::Verbose, Level::Debug));
        assert!(ours(Verbosity::Dialogue, Level::Debug));
    }

    #[test]
    fn other_peoples_records_are_not_shown() {
        assert!(!shown(
            Verbosity::Dialogue,
            "zbus::connection",
            Level::Error
        ));
        assert!(!shown(Verbosity::Dialogue, "popfetching", Level::Error));
    }

    #[test]
    fn a_line_stays_one_line_and_moves_no_cursor() {
        assert_eq!(
            line(Level::Warn, "work: \x1b]0;x\x07\nfake", plain()),
            "popfetch: warning: work: \\x1b]0;x\\x07\\nfake"
        );
    }

    #[test]
    fn labels_are_painted_where_colors_are_on() {
        assert_eq!(
            line(Level::Warn, "odd", colorful()),
            "popfetch: \x1b[1;33mwarning:\x1b[0m odd"
        );
    }

    #[test]
    fn with_v_lines_have_the_time_only_off_a_terminal() {
        let first = |terminal| {
            let glass = Glass::new(80);
            console(terminal, Verbosity::Verbose, &glass).write_lines("popfetch: hello");
            glass.line(0)
        };
        assert_eq!(first(&TERMINAL), "popfetch: hello");
        let timestamps = first(&NO_TERMINAL);
        let (time, rest) = timestamps.split_once(' ').expect("a time and the line");
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
        assert_eq!(rest, "popfetch: hello");
    }
}
