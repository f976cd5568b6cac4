//! What `state mark-seen` came to, as a person reads it.

use super::words;
use crate::error::{Failure, Kind};
use crate::report::Marks;
use crate::text::Sanitized;

/// What came of it, in one line; none where there is only something that went wrong.
pub(super) fn line(marks: &Marks) -> Option<String> {
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

/// What went wrong.
pub(super) fn failures(marks: &Marks) -> Vec<Failure> {
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
