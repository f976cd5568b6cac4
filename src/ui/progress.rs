//! How the work gets on: one bar per account.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use log::Level;

use super::Verbosity;
use super::console::Console;
use super::palette::{Palette, Role};
use super::{log as line, words};
use crate::monitor::{Event, Monitor, Phase, Tally};
use crate::size::Size;
use crate::text::Sanitized;

/// How often bars may be drawn.
pub(super) const REDRAWS_PER_SECOND: u8 = 20;

/// How often a bar is drawn although nothing happened, so that rate and time left stay true.
const TICK: Duration = Duration::from_millis(100);

/// Below this width there is no room for a bar beside its numbers.
const MIN_COLUMNS_FOR_BAR: u16 = 80;

/// Below this width there is only room for the counts.
const MIN_COLUMNS_FOR_NUMBERS: u16 = 60;

/// A listener that shows the work on the console.
pub(super) struct Progress {
    console: Arc<Console>,
    verbosity: Verbosity,
    columns: u16,
    /// Whether bars are drawn at all; where not, none is made.
    visible: bool,
    tracks: Mutex<HashMap<String, Arc<Track>>>,
}

impl Progress {
    pub(super) fn new(console: Arc<Console>, verbosity: Verbosity, columns: u16) -> Self {
        Progress {
            visible: !console.bars().is_hidden(),
            console,
            verbosity,
            columns,
            tracks: Mutex::default(),
        }
    }

    /// The account's run is over: its bar goes.
    pub(super) fn finish(&self, account: &str) {
        let Some(track) = self.tracks().remove(account) else {
            return;
        };
        track.bar.disable_steady_tick();
        track.bar.finish_and_clear();
        self.console.bars().remove(&track.bar);
    }

    fn tracks(&self) -> MutexGuard<'_, HashMap<String, Arc<Track>>> {
        self.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account's bar; made when it is first needed.
    fn track(&self, account: &str) -> Arc<Track> {
        let mut tracks = self.tracks();
        if let Some(track) = tracks.get(account) {
            return Arc::clone(track);
        }
        let track = Arc::new(Track::new(account, &self.console, self.columns));
        tracks.insert(account.to_owned(), Arc::clone(&track));
        track
    }

    /// Shows an account's bar as it is now, without waiting for its next tick.
    #[cfg(test)]
    pub(super) fn draw(&self, account: &str) {
        self.track(account).bar.force_draw();
    }

    /// Writes the line of an event that has one.
    fn write_line(&self, account: &str, event: &Event<'_>) {
        let (level, needed, text) = match event {
            Event::Warning(text) => (Level::Warn, Verbosity::Normal, (*text).to_owned()),
            Event::Remark(text) => (Level::Info, Verbosity::Verbose, (*text).to_owned()),
            Event::Phase(phase) => (Level::Info, Verbosity::Verbose, doing(*phase).to_owned()),
            Event::Planned { retrieve, .. } => (
                Level::Info,
                Verbosity::Verbose,
                match retrieve.messages {
                    0 => "nothing to retrieve".to_owned(),
                    messages => format!(
                        "{} to retrieve ({})",
                        words::messages(messages),
                        Size(retrieve.octets)
                    ),
                },
            ),
            _ => return,
        };
        if self.verbosity >= needed {
            let message = format!("{account}: {text}");
            self.console
                .write_lines(&line::line(level, &message, self.console.palette()));
        }
    }
}

impl Monitor for Progress {
    fn event(&self, account: &str, event: &Event<'_>) {
        self.write_line(account, event);
        if self.visible {
            self.track(account).event(event);
        }
    }
}

/// What a phase is called while it lasts.
fn doing(phase: Phase) -> &'static str {
    match phase {
        Phase::Resolve => "looking up the host",
        Phase::Connect => "connecting",
        Phase::Tls => "securing the connection",
        Phase::Auth => "logging in",
        Phase::List => "listing messages",
        Phase::Transfer => "transferring",
    }
}

/// One account's bar. Its position and length are octets; messages are counted beside.
struct Track {
    bar: ProgressBar,
    counts: Arc<Counts>,
    /// Shown from the plan on.
    counting: ProgressStyle,
    /// Shown while there is nothing to count.
    waiting: ProgressStyle,
}

/// What a bar's numbers are read from whenever it is drawn, so that an event only adds to them.
#[derive(Default)]
struct Counts {
    planned: AtomicU64,
    stored: AtomicU64,
    failed: AtomicU64,
    deleted: AtomicU64,
}

impl Track {
    fn new(account: &str, console: &Console, columns: u16) -> Self {
        let counts = Arc::new(Counts::default());
        let name = words::cut(Sanitized(account).to_string(), usize::from(columns / 6));
        let waiting = style(&waiting_template(console.palette()), &counts);
        let bar = ProgressBar::no_length()
            .with_style(waiting.clone())
            .with_prefix(name);
        let bar = console.bars().add(bar);
        bar.enable_steady_tick(TICK);
        Track {
            bar,
            counting: style(&counting_template(columns, console.palette()), &counts),
            waiting,
            counts,
        }
    }

    fn event(&self, event: &Event<'_>) {
        let counts = &self.counts;
        match event {
            Event::Phase(phase) => self.begin(*phase),
            Event::Planned { retrieve, .. } => self.planned(*retrieve),
            Event::Received { octets } => self.received(*octets),
            Event::Stored { .. } => counts.stored.add(1),
            Event::MessageFailed(problem) => counts.failed.add(u64::from(!problem.is_withheld)),
            Event::Deleting { messages } => counts.deleted.add(*messages),
            _ => (),
        }
    }

    fn begin(&self, phase: Phase) {
        if phase == Phase::Transfer && self.counts.planned.get() > 0 {
            self.bar.set_style(self.counting.clone());
        } else {
            // Also where a lost connection is opened once more.
            self.bar.set_style(self.waiting.clone());
            self.bar.set_message(doing(phase));
        }
    }

    /// After a reconnect the rest is planned anew: what is done stays done.
    fn planned(&self, Tally { messages, octets }: Tally) {
        let counts = &self.counts;
        let done = counts.stored.get().saturating_add(counts.failed.get());
        counts.planned.set(done.saturating_add(messages));
        if counts.planned.get() > 0 {
            let length = self.bar.position().saturating_add(octets);
            self.bar.set_length(length);
            self.bar.set_style(self.counting.clone());
            self.bar.reset_eta();
        }
    }

    /// Sizes by LIST are hints: where more comes, the bar grows.
    fn received(&self, octets: u64) {
        self.bar.inc(octets);
        let position = self.bar.position();
        if self.bar.length().is_some_and(|length| length < position) {
            self.bar.set_length(position);
        }
    }
}

/// A template with our own keys. A key's number is read when the bar is drawn.
fn style(template: &str, counts: &Arc<Counts>) -> ProgressStyle {
    let counts = Arc::clone(counts);
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
        .with_key(
            "messages",
            move |_: &ProgressState, w: &mut dyn fmt::Write| {
                let _ = write!(w, "{counts}");
            },
        )
        .with_key("octets", |state: &ProgressState, w: &mut dyn fmt::Write| {
            let _ = match state.len().unwrap_or(0).max(state.pos()) {
                0 => Ok(()),
                all => write!(w, "{}/{}", Size(state.pos()), Size(all)),
            };
        })
        .with_key("rate", |state: &ProgressState, w: &mut dyn fmt::Write| {
            let _ = write!(w, "{}/s", Size(whole(state.per_sec())));
        })
        .with_key("left", |state: &ProgressState, w: &mut dyn fmt::Write| {
            let _ = match state.eta().as_secs() {
                0 => Ok(()),
                seconds => write!(w, "{} left", clock(seconds)),
            };
        })
}

/// A rate without its fraction. The cast saturates, and one that is no number is none.
fn whole(rate: f64) -> u64 {
    rate as u64
}

/// `0:07`, `12:30`, `3:00:00`.
fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds % 3600 / 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

fn waiting_template(palette: Palette) -> String {
    let name = palette.paint(Role::Name, "{prefix:12}");
    format!("{name} {{wide_msg}}")
}

fn counting_template(columns: u16, palette: Palette) -> String {
    let rest = match columns {
        MIN_COLUMNS_FOR_BAR.. => "[{wide_bar}] {messages}  {octets}  {rate:>10}  {left:10}",
        MIN_COLUMNS_FOR_NUMBERS.. => "{messages}  {octets}  {rate}",
        _ => "{messages}",
    };
    let name = palette.paint(Role::Name, "{prefix:12}");
    format!("{name} {rest}")
}

/// `12/40`, `12/40, 2 failed`, `40/40, 3 deleted`.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stored.get(), self.planned.get())?;
        for (count, what) in [(&self.failed, "failed"), (&self.deleted, "deleted")] {
            match count.get() {
                0 => {}
                count => write!(f, ", {count} {what}")?,
            }
        }
        Ok(())
    }
}

/// A number that several threads add to and a bar reads: no order among them matters.
trait Counter {
    fn get(&self) -> u64;
    fn set(&self, value: u64);
    fn add(&self, more: u64);
}

impl Counter for AtomicU64 {
    fn get(&self) -> u64 {
        self.load(Ordering::Relaxed)
    }

    fn set(&self, value: u64) {
        self.store(value, Ordering::Relaxed);
    }

    fn add(&self, more: u64) {
        self.fetch_add(more, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Failure, Kind};
    use crate::mail::UniqueId;
    use crate::monitor::{FailedMessage, Problem};
    use crate::ui::testing::{Glass, NO_TERMINAL, TERMINAL, colorful, console, plain};
    use std::io::Write as _;

    fn progress(glass: &Glass, verbosity: Verbosity) -> Progress {
        let console = console(&TERMINAL, verbosity, glass);
        Progress::new(Arc::new(console), verbosity, TERMINAL.columns)
    }

    fn store(progress: &Progress, account: &str, octets: u64) {
        let uid = &UniqueId::new(b"a");
        progress.event(account, &Event::Received { octets });
        progress.event(account, &Event::Stored { uid, octets });
    }

    const PLAN: Event<'_> = planned(4, 4_000);

    const fn planned(messages: u64, octets: u64) -> Event<'static> {
        let retrieve = Tally { messages, octets };
        Event::Planned {
            server: retrieve,
            retrieve,
            skipped: Tally {
                messages: 0,
                octets: 0,
            },
            problems: Vec::new(),
        }
    }

    #[test]
    fn a_bar_tells_the_phase_then_counts_messages_and_octets() {
        let glass = Glass::new(100);
        let progress = progress(&glass, Verbosity::Normal);
        progress.event("work", &Event::Phase(Phase::Auth));
        progress.draw("work");
        assert_eq!(glass.lines(), ["work         logging in"]);

        progress.event("work", &PLAN);
        progress.event("work", &Event::Phase(Phase::Transfer));
        store(&progress, "work", 3_000);
        progress.draw("work");
        let line = glass.line(0);
        assert!(line.starts_with("work         [=="), "{line}");
        assert!(line.contains("] 1/4  3.0 kB/4.0 kB"), "{line}");
        let (filled, empty) = (line.matches('=').count(), line.matches(' ').count());
        assert!(filled > 20 && empty > 10, "{line}");
        progress.finish("work");
    }

    #[test]
    fn a_finished_bar_leaves_no_trace() {
        let glass = Glass::new(100);
        let progress = progress(&glass, Verbosity::Normal);
        for account in ["work", "home"] {
            progress.event(account, &PLAN);
            progress.draw(account);
        }
        assert_eq!(glass.lines().len(), 2);
        progress.finish("work");
        progress.draw("home");
        assert!(
            !glass.shows("work") && glass.shows("home"),
            "{:?}",
            glass.lines()
        );
        progress.finish("home");
        assert_eq!(glass.lines(), [""; 0]);
    }

    #[test]
    fn lines_and_bars_never_mix() {
        let glass = Glass::new(100);
        let progress = progress(&glass, Verbosity::Normal);
        for account in ["work", "home", "club"] {
            progress.event(account, &PLAN);
            progress.draw(account);
        }
        let said = "x".repeat(250);
        progress.event("work", &Event::Warning(&said));
        store(&progress, "home", 10);
        progress.draw("home");
        progress.event("club", &Event::Warning("second"));
        for account in ["work", "home", "club"] {
            progress.draw(account);
        }
        let lines = glass.lines();
        assert_eq!(
            lines[..3].concat(),
            format!("popfetch: warning: work: {said}")
        );
        assert_eq!(lines[3], "popfetch: warning: club: second");
        assert_eq!(lines.len(), 7, "{lines:#?}");
        for account in ["work", "home", "club"] {
            progress.finish(account);
        }
        assert_eq!(glass.lines().len(), 4);
    }

    #[test]
    fn a_question_on_the_terminal_is_not_disturbed_and_blocks_no_work() {
        let glass = Glass::new(100);
        let progress = progress(&glass, Verbosity::Normal);
        for account in ["work", "home"] {
            progress.event(account, &PLAN);
            progress.draw(account);
        }
        progress.console.with_terminal(|| {
            progress
                .console
                .with_terminal(|| assert_eq!(glass.lines(), [""; 0]));
            store(&progress, "work", 3_000);
            progress.event("work", &Event::Warning("odd"));
            progress.draw("work");
            assert_eq!(glass.lines(), [""; 0]);
            let answered = glass.clone().write_all(b"Password: \r\n");
            answered.expect("a terminal");
            progress.finish("home");
        });
        progress.draw("work");
        let lines = glass.lines();
        assert_eq!(lines[..2], ["Password:", "popfetch: warning: work: odd"]);
        assert!(lines[2].contains("1/4  3.0 kB/4.0 kB"), "{lines:?}");
        assert_eq!(lines.len(), 3, "{lines:?}");
    }

    #[test]
    fn two_threads_write_whole_lines_between_moving_bars() {
        let glass = Glass::new(100);
        let progress = progress(&glass, Verbosity::Normal);
        std::thread::scope(|scope| {
            for account in ["work", "home"] {
                let progress = &progress;
                scope.spawn(move || {
                    progress.event(account, &PLAN);
                    for number in 0..50 {
                        store(progress, account, 50);
                        progress.event(account, &Event::Warning(&format!("line {number}.")));
                        progress.draw(account);
                    }
                    progress.finish(account);
                });
            }
        });
        let lines = glass.lines();
        assert_eq!(lines.len(), 100);
        for account in ["work", "home"] {
            let prefix = format!("popfetch: warning: {account}: ");
            let own: Vec<_> = lines
                .iter()
                .filter_map(|line| line.strip_prefix(&prefix))
                .collect();
            let expected: Vec<_> = (0..50).map(|number| format!("line {number}.")).collect();
            assert_eq!(own, expected);
        }
    }

    #[test]
    fn failed_and_deleted_messages_are_counted() {
        let glass = Glass::new(100);
        let progress = progress(&glass, Verbosity::Normal);
        progress.event("work", &PLAN);
        store(&progress, "work", 10);
        let message = FailedMessage {
            number: 2,
            uid: None,
            failure: Failure::new(Kind::Protocol, "no such message"),
        };
        let problem = Problem::failed(10, message);
        progress.event("work", &Event::MessageFailed(&problem));
        progress.event("work", &Event::Deleting { messages: 3 });
        progress.draw("work");
        assert!(
            glass.shows("1/4, 1 failed, 3 deleted"),
            "{:?}",
            glass.lines()
        );
        progress.finish("work");
    }

    #[test]
    fn a_second_plan_after_a_reconnect_counts_on() {
        let glass = Glass::new(100);
        let progress = progress(&glass, Verbosity::Normal);
        progress.event("work", &PLAN);
        store(&progress, "work", 1_000);
        progress.event("work", &Event::Phase(Phase::Connect));
        progress.draw("work");
        assert!(glass.shows("connecting"), "{:?}", glass.lines());
        progress.event("work", &planned(3, 3_000));
        progress.draw("work");
        assert!(glass.shows("1/4  1.0 kB/4.0 kB"), "{:?}", glass.lines());
        progress.finish("work");
    }

    #[test]
    fn more_octets_than_announced_stretch_the_bar() {
        let glass = Glass::new(100);
        let progress = progress(&glass, Verbosity::Normal);
        progress.event("work", &PLAN);
        store(&progress, "work", 9_000);
        progress.draw("work");
        assert!(glass.shows("1/4  9.0 kB/9.0 kB"), "{:?}", glass.lines());
        progress.finish("work");
    }

    #[test]
    fn verbosity_decides_which_events_are_lines() {
        let said = |verbosity| {
            let glass = Glass::new(100);
            let console = console(&NO_TERMINAL, Verbosity::Normal, &glass);
            let progress = Progress::new(Arc::new(console), verbosity, 80);
            progress.event("work", &Event::Phase(Phase::Connect));
            progress.event("work", &PLAN);
            progress.event("work", &Event::Warning("odd"));
            glass.lines()
        };
        let warning = "popfetch: warning: work: odd";
        assert_eq!(said(Verbosity::Quiet), [""; 0]);
        assert_eq!(said(Verbosity::Normal), [warning]);
        assert_eq!(
            said(Verbosity::Verbose),
            [
                "popfetch: work: connecting",
                "popfetch: work: 4 messages to retrieve (4.0 kB)",
                warning
            ]
        );
    }

    #[test]
    fn every_template_is_valid_and_narrow_terminals_get_less() {
        for columns in [30, 60, 80, 200] {
            for palette in [plain(), colorful()] {
                let template = counting_template(columns, palette);
                assert!(
                    ProgressStyle::with_template(&template).is_ok(),
                    "{template}"
                );
                assert_eq!(template.contains("wide_bar"), columns >= 80);
            }
        }
        assert!(ProgressStyle::with_template(&waiting_template(colorful())).is_ok());
    }

    #[test]
    fn time_left_reads_like_a_clock() {
        assert_eq!(clock(7), "0:07");
        assert_eq!(clock(750), "12:30");
        assert_eq!(clock(10_800), "3:00:00");
    }
}
