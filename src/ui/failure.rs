//! Failures as a person reads them: what happened and where, then what to do.

use super::palette::{Palette, Role};
use super::words;
use crate::error::{Failure, Kind};
use crate::monitor::FailedMessage;
use crate::report::{Marks, Report};
use crate::text::Sanitized;

/// How much of a unique-id helps a person to recognise it, in characters.
const UNIQUE_ID_SHOWN: usize = 40;

/// A failure that belongs to no account's run.
pub(super) fn of(failure: &Failure, palette: Palette) -> String {
    statement("", &failure.to_string(), palette) + &hints(std::iter::once(failure), palette)
}

/// All that went wrong in a run, if anything did.
pub(super) fn of_report(report: &Report, palette: Palette) -> Option<String> {
    let account = format!("{}: ", report.account);
    let mut text = String::new();
    let shown = report.problems.iter().take(Report::PROBLEMS_SHOWN);
    let shown = shown.map(|problem| &problem.message);
    for message in shown.clone() {
        let place = account.clone() + &name(message);
        text += &statement(&place, &message.failure.to_string(), palette);
    }
    if let Some(failure) = &report.failure {
        text += &statement(&account, &failure.to_string(), palette);
    }
    text += &others(report).map_or_else(String::new, |more| statement(&account, &more, palette));
    let of_messages = shown.map(|message| &message.failure);
    text += &hints(of_messages.chain(&report.failure), palette);
    (!text.is_empty()).then_some(text)
}

/// All that `state mark-seen` could not do, if there was anything.
pub(super) fn of_marks(marks: &Marks, palette: Palette) -> Option<String> {
    let place = format!("{}: ", marks.account);
    let failures = not_marked(marks);
    let statements = failures
        .iter()
        .map(|failure| statement(&place, &failure.to_string(), palette));
    let text = statements.collect::<String>() + &hints(failures.iter(), palette);
    (!text.is_empty()).then_some(text)
}

/// Why messages are not marked.
fn not_marked(marks: &Marks) -> Vec<Failure> {
    let mut failures = Vec::new();
    if !marks.not_found.is_empty() {
        let names = marks.not_found.join(", ");
        let failure = Failure::new(Kind::Usage, format!("not on the server: {names}"));
        let is_number = |name: &String| name.bytes().all(|byte| byte.is_ascii_digit());
        let number = marks.not_found.iter().find(|name| is_number(name));
        let hint = number.map(|number| format!("Digits alone are a number, which means nothing in another session; a unique-id of digits is written uid:{number}."));
        failures.push(hint.into_iter().fold(failure, Failure::hint));
    }
    for (count, why) in [
        (
            marks.shared,
            "not marked: the unique-id stands for several messages",
        ),
        (
            marks.without_unique_id,
            "not marked: the server gives no unique-id",
        ),
    ] {
        if count > 0 {
            let message = format!("{} {why}", words::messages(count));
            failures.push(Failure::new(Kind::Data, message));
        }
    }
    failures.extend(marks.failure.clone());
    failures
}

/// The failed messages that are not named one by one: there are many, or what ended the run is what they failed of.
fn others(report: &Report) -> Option<String> {
    let named = report.problems.len().min(Report::PROBLEMS_SHOWN);
    let all = report.failed.messages + report.withheld.messages;
    let more = all.checked_sub(named as u64);
    let more = more.filter(|&more| more > 0)?;
    Some(match report.failure {
        Some(_) if named < Report::PROBLEMS_SHOWN => {
            let were = if more == 1 { "was" } else { "were" };
            format!(
                "{} {were} not stored because of this",
                words::messages(more)
            )
        }
        _ => format!("{more} more failed"),
    })
}

/// What a person may find a message by, ready to be followed by what happened to it.
fn name(message: &FailedMessage) -> String {
    match &message.uid {
        Some(uid) => {
            let uid = words::cut(uid.to_string(), UNIQUE_ID_SHOWN);
            format!("message {} (unique-id {uid}): ", message.number)
        }
        None => format!("message {}: ", message.number),
    }
}

/// What happened and where.
fn statement(place: &str, what: &str, palette: Palette) -> String {
    let prefix = palette.paint(Role::Error, "popfetch:");
    format!("{prefix} {}{}", Sanitized(place), indented(what))
}

/// The hints of these failures, each once.
fn hints<'a>(failures: impl Iterator<Item = &'a Failure>, palette: Palette) -> String {
    let mut given: Vec<&str> = Vec::new();
    let mut text = String::new();
    for hint in failures.flat_map(Failure::hints) {
        if !given.contains(&hint.as_str()) {
            given.push(hint);
            let label = palette.paint(Role::Hint, "hint:");
            text += &format!("{label} {}", indented(hint));
        }
    }
    text
}

/// A text, escaped. Where it takes several lines, as a place in the configuration does, all but the
/// first are indented, so that none of them passes for a line of its own.
fn indented(text: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .map(|line| Sanitized(line).to_string())
        .collect();
    lines.join("\n  ") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::UniqueId;
    use crate::monitor::{Event, Problem};
    use crate::ui::testing::{colorful, plain, report};

    fn refused() -> Failure {
        Failure::new(Kind::Unreachable, "cannot reach pop.example.com")
            .because(std::io::Error::other("connection refused"))
            .hint("Is the port right?")
            .hint("Is the server up?")
    }

    fn fail(report: &mut Report, number: u32, uid: &[u8]) {
        let message = FailedMessage {
            number,
            uid: Some(UniqueId::new(uid)),
            failure: Failure::new(Kind::Protocol, "the server has no such message")
                .hint("Try again."),
        };
        report.apply(&Event::MessageFailed(&Problem::failed(10, message)));
    }

    #[test]
    fn a_hint_of_several_lines_keeps_them_and_none_passes_for_a_line_of_its_own() {
        let failure =
            Failure::new(Kind::Config, "nothing there").hint("Write it:\n[a]\n\x1b[31mhost");
        let shown = of(&failure, plain());
        let expected = "popfetch: nothing there\nhint: Write it:\n  [a]\n  \\x1b[31mhost\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn says_which_account_what_happened_and_what_to_do() {
        let mut report = report();
        report.failure = Some(refused());
        assert_eq!(
            of_report(&report, plain()).as_deref(),
            Some(
                "popfetch: work: cannot reach pop.example.com: connection refused\n\
                 hint: Is the port right?\n\
                 hint: Is the server up?\n"
            )
        );
    }

    #[test]
    fn a_good_run_has_nothing_to_say() {
        assert_eq!(of_report(&report(), plain()), None);
    }

    #[test]
    fn problems_are_named_and_their_hint_is_given_once() {
        let mut report = report();
        fail(&mut report, 3, b"a\x1bb");
        fail(&mut report, 5, b"c");
        assert_eq!(
            of_report(&report, plain()).as_deref(),
            Some(
                "popfetch: work: message 3 (unique-id a%1Bb): the server has no such message\n\
                 popfetch: work: message 5 (unique-id c): the server has no such message\n\
                 hint: Try again.\n"
            )
        );
    }

    #[test]
    fn a_thousand_problems_take_few_lines() {
        let mut report = report();
        for number in 1..=1000 {
            fail(&mut report, number, b"x");
        }
        let text = of_report(&report, plain()).expect("failures");
        assert_eq!(text.lines().count(), Report::PROBLEMS_SHOWN + 2);
        assert!(
            text.contains("\npopfetch: work: 990 more failed\n"),
            "{text}"
        );
    }

    #[test]
    fn the_cause_comes_before_the_messages_that_were_not_stored_because_of_it() {
        let mut report = report();
        report.failed.count(10);
        report.failed.count(10);
        report.failure = Some(Failure::new(Kind::Destination, "the disk is full"));
        assert_eq!(
            of_report(&report, plain()).as_deref(),
            Some(
                "popfetch: work: the disk is full\n\
                 popfetch: work: 2 messages were not stored because of this\n"
            )
        );
    }

    #[test]
    fn several_lines_are_kept_and_indented() {
        let failure = Failure::new(Kind::Config, "c.toml is wrong\n3 | prot = 1\n  | ^^^^");
        assert_eq!(
            of(&failure, plain()),
            "popfetch: c.toml is wrong\n  3 | prot = 1\n    | ^^^^\n"
        );
    }

    #[test]
    fn a_cause_cannot_reach_the_terminal_raw() {
        let failure = Failure::new(Kind::Tls, "no TLS")
            .because(std::io::Error::other("\x1b[2Jsubject\u{9b}"))
            .hint("\x07");
        assert_eq!(
            of(&failure, plain()),
            "popfetch: no TLS: \\x1b[2Jsubject\\u{9b}\nhint: \\x07\n"
        );
    }

    #[test]
    fn colors_mark_the_beginnings_alone() {
        let failure = Failure::new(Kind::Auth, "refused").hint("Log in again.");
        assert_eq!(
            of(&failure, colorful()),
            "\x1b[1;31mpopfetch:\x1b[0m refused\n\x1b[1;36mhint:\x1b[0m Log in again.\n"
        );
    }
}
