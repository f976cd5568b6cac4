//! What a person learns of a maildrop: what is listed, what will be done, and what is odd about it.

use super::store::Completed;
use super::survey::{Survey, Surveyed};
use crate::error::{Failure, Kind};
use crate::mail::{Place, Retention};
use crate::monitor::{Event, Problem, Tally};
use crate::plan::{Action, Reason, Rules, Step};

/// What is listed, and what will be done with it.
pub(super) fn planned(survey: &Survey, problems: Vec<Problem>) -> Event<'static> {
    let (mut server, mut retrieve, mut skipped) = <(Tally, Tally, Tally)>::default();
    for message in survey.messages() {
        let size = message.octets();
        server.count(size);
        if message.step.reason.is_limit() {
            skipped.count(size);
        }
        if matches!(message.step.action, Action::Retrieve { .. }) {
            retrieve.count(size);
        }
    }
    if !survey.listing.has_sizes() {
        server.octets = survey.listing.octets.unwrap_or(0);
    }
    Event::Planned {
        server,
        retrieve,
        skipped,
        problems,
    }
}

/// A message that did not come as it should in an earlier run, if it is not fetched again yet.
pub(super) fn untried(message: Surveyed<'_>) -> Option<Problem> {
    let failed = |what| message.failed(Failure::new(Kind::Data, what));
    match (message.step.action, message.step.reason) {
        (Action::Leave, Reason::Overrun) => {
            let what = "text comes after its end; it is fetched again a day after it was last";
            Some(Problem::failed(message.octets(), failed(what)))
        }
        (Action::Leave, Reason::Short) => {
            let what = "less than half of it came when it was stored; it is fetched again a day after it was last";
            Some(Problem::withheld(message.octets(), failed(what)))
        }
        _ => None,
    }
}

/// What is odd about a maildrop, or keeps messages from being deleted that the rule would delete.
pub(super) fn warnings(survey: &Survey, rules: &Rules) -> Vec<String> {
    let count = |is: fn(&Step) -> bool| survey.plan.steps.iter().filter(|step| is(step)).count();
    let disagreement = survey.listing.disagreement;
    let elsewhere = match rules.retention {
        Retention::Always => 0,
        _ => count(|step| step.reason == Reason::OwedElsewhere),
    };
    let warnings = [
        disagreement.map(|disagreement| disagreement.to_string()),
        missing_uids(survey),
        shared_uids(count(|step| matches!(step.reason, Reason::Shared(_)))),
        missing_copies(count(|step| step.reason.wants_copies())),
        owed_elsewhere(elsewhere),
    ];
    warnings.into_iter().flatten().collect()
}

/// Which messages have to be fetched to be known.
fn missing_uids(survey: &Survey) -> Option<String> {
    let messages = &survey.listing.messages;
    let without = messages.iter().filter(|listed| listed.uid.is_none());
    let what = match without.count() {
        0 => return None,
        count if count == messages.len() => "the server gives no unique-ids".to_owned(),
        count => format!(
            "the server gives no unique-id for {count} of {} messages",
            messages.len()
        ),
    };
    Some(format!(
        "{what}: such a message is fetched each time, to be known by its content; none is stored twice, and only what this run stores is deleted"
    ))
}

fn shared_uids(count: usize) -> Option<String> {
    (count > 0).then(|| format!("{count} stored messages stay on the server: their unique-ids do not say for certain which messages they are"))
}

fn owed_elsewhere(count: usize) -> Option<String> {
    (count > 0).then(|| format!("{count} stored messages stay on the server: a destination of the account that this run leaves out lacks them"))
}

/// How many messages are due but known by their content alone, with nothing here to prove it by.
pub(super) fn missing_copies(count: usize) -> Option<String> {
    (count > 0).then(|| format!("{count} stored messages that are due stay on the server: it has given them other ids since, or lists them again though they were deleted, and their copies are not found where they were stored; delete them there by other means, or fetch everything once more with --all"))
}

/// Where the incomplete copies of a message are that came whole now.
pub(super) fn completed(message: &Completed, places: &[String]) -> String {
    let Completed { number, uid, .. } = message;
    let places = places.join(", ");
    format!(
        "message {number} (unique-id {uid}) has come whole now and is stored as a further message; the incomplete one is still in {places}"
    )
}

/// A place in a destination of this name.
pub(super) fn place(destination: &str, place: &Place) -> String {
    match place {
        Place::Maildir { name } => format!("{destination} ({name})"),
        Place::Mbox { offset, .. } => format!("{destination} (at octet {offset})"),
        Place::Untracked => destination.to_owned(),
    }
}
