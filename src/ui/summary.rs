//! What was done, in one line.

use super::words;
use crate::monitor::Tally;
use crate::report::{Marks, Report};
use crate::size::Size;
use crate::text::Sanitized;

/// The summary of an account's run; none where it failed before anything happened, since the
/// failure says it all.
pub(super) fn of_report(report: &Report) -> Option<String> {
    let mut parts = Vec::new();
    if report.stored.messages > 0 {
        let stored = &report.stored;
        parts.push(match stored.messages {
            1 => format!("1 new message ({}) stored", Size(stored.octets)),
            many => format!("{many} new messages ({}) stored", Size(stored.octets)),
        });
    }
    for (tally, what) in [
        (report.deleted, "deleted on the server"),
        (report.failed, "failed"),
        (report.skipped, "left for later"),
    ] {
        parts.extend(part(tally, what, parts.is_empty()));
    }
    let account = Sanitized(&report.account);
    if !parts.is_empty() {
        let time = words::duration(report.duration);
        return Some(format!("{account}: {}, in {time}", parts.join(", ")));
    }
    report
        .failure
        .is_none()
        .then(|| format!("{account}: nothing new"))
}

/// Only the first part of a line says what is being counted.
fn part(tally: Tally, what: &str, first: bool) -> Option<String> {
    match tally.messages {
        0 => None,
        count if first => Some(format!("{} {what}", words::messages(count))),
        count => Some(format!("{count} {what}")),
    }
}

/// What `state mark-seen` came to; none where there is only something that went wrong.
pub(super) fn of_marks(marks: &Marks) -> Option<String> {
    let mut parts = Vec::new();
    match marks.marked {
        0 if marks.is_complete() => parts.push("nothing new".to_owned()),
        0 => {}
        count => parts.push(format!("{} marked as seen", words::messages(count))),
    }
    if marks.already_known > 0 {
        parts.push(format!("{} already known", marks.already_known));
    }
    let account = Sanitized(&marks.account);
    (!parts.is_empty()).then(|| format!("{account}: {}", parts.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::{Failure, Kind};
    use crate::ui::testing::report;

    fn tally(messages: u64, octets: u64) -> Tally {
        Tally { messages, octets }
    }

    fn shown(change: impl FnOnce(&mut Report)) -> Option<String> {
        let mut report = report();
        report.duration = Duration::from_millis(2_100);
        change(&mut report);
        of_report(&report)
    }

    #[test]
    fn counts_what_was_stored_and_deleted() {
        let line = shown(|report| {
            report.stored = tally(12, 3_400_000);
            report.deleted = tally(3, 100);
        });
        assert_eq!(
            line.as_deref(),
            Some("work: 12 new messages (3.4 MB) stored, 3 deleted on the server, in 2.1 s")
        );
    }

    #[test]
    fn a_run_without_new_mail_is_short() {
        assert_eq!(shown(|_| ()).as_deref(), Some("work: nothing new"));
    }

    #[test]
    fn one_message_is_not_many() {
        let line = shown(|report| report.stored = tally(1, 900));
        assert_eq!(
            line.as_deref(),
            Some("work: 1 new message (900 B) stored, in 2.1 s")
        );
    }

    #[test]
    fn failed_and_skipped_messages_are_never_hidden() {
        let line = shown(|report| {
            report.failed = tally(2, 0);
            report.skipped = tally(1, 50_000_000);
        });
        assert_eq!(
            line.as_deref(),
            Some("work: 2 messages failed, 1 left for later, in 2.1 s")
        );
    }

    #[test]
    fn a_run_that_failed_is_not_called_nothing_new() {
        let failure = || Some(Failure::new(Kind::Auth, "refused"));
        assert_eq!(shown(|report| report.failure = failure()), None);
        let in_part = shown(|report| {
            report.failure = failure();
            report.stored = tally(5, 5000);
        });
        assert_eq!(
            in_part.as_deref(),
            Some("work: 5 new messages (5.0 kB) stored, in 2.1 s")
        );
    }
}
