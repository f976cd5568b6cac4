//! Marks messages as seen: they are not retrieved from then on, and a mark never leads to a deletion.

use std::collections::HashSet;

use indexmap::IndexSet;

use super::Job;
use super::survey::{PlanInputs, Survey};
use crate::connecting::Connecting;
use crate::error::{Failure, Kind, Result};
use crate::journal::{Destinations, Fact, Found, Journal, Memory, Record};
use crate::mail::{MessageName, UniqueId};
use crate::monitor::{Event, Phase};
use crate::plan::{ListingIndex, Reason};
use crate::pop3::Listing;
use crate::report::Marks;

/// Marks what these names stand for, or with none every message that is listed now. The server is asked for
/// unique-ids and nothing else.
#[must_use]
pub fn mark_seen(job: &Job<'_>, names: Option<&[MessageName]>) -> Marks {
    let mut marks = Marks {
        account: job.account.name.clone(),
        ..Marks::default()
    };
    if let Err(failure) = mark(job, names, &mut marks) {
        marks.failure = Some(job.interrupt.interrupted().map_or(failure, Failure::from));
    }
    marks
}

fn mark(job: &Job<'_>, names: Option<&[MessageName]>, marks: &mut Marks) -> Result<()> {
    job.with_connection(|connecting| {
        let mut journal = Journal::open(&job.environment.state_dir, &job.account.mailbox())?;
        job.warn_of_damage(&journal);
        job.remember_login(&connecting, journal.memory());
        let listing = list(job, &connecting)?;
        mark_listed(job, listing, names, &mut journal, marks)?;
        job.close(journal);
        Ok(())
    })
}

fn mark_listed(
    job: &Job<'_>,
    listing: Listing,
    names: Option<&[MessageName]>,
    journal: &mut Journal,
    marks: &mut Marks,
) -> Result<()> {
    if nothing_can_be_marked(&listing) {
        return Err(no_unique_ids());
    }
    let chosen = choose(&listing, names, &mut marks.not_found);
    let survey = survey(job, listing, journal.memory());
    let Sorted { new, lacking } = sort(&survey, chosen, marks);
    let marked = new.len() as u64;
    let mut records = survey.shared_ids(journal.memory());
    records.extend(new.into_iter().map(|uid| Record::Seen {
        uid,
        to: None,
        digest: None,
        owed: Vec::new(),
        at: job.environment.now(),
    }));
    journal.commit(records)?;
    marks.marked = marked;
    warn_of_the_rest(job, lacking, journal.memory());
    Ok(())
}

/// What the server lists. The session is over then: nothing is deleted, so nothing hangs on its end.
fn list(job: &Job<'_>, connecting: &Connecting<'_>) -> Result<Listing> {
    let mut transaction = connecting.open()?;
    job.event(&Event::Phase(Phase::List));
    // Three commands are not worth the risk that the server cannot take them ahead of its answers.
    let listing = transaction.list(false, false)?;
    let _ = transaction.quit();
    if let Some(disagreement) = listing.disagreement {
        job.warn(&disagreement.to_string());
    }
    Ok(listing)
}

/// The listing, with what a run into the account's own destinations would do with each message.
fn survey(job: &Job<'_>, listing: Listing, memory: &Memory) -> Survey {
    let own = job.destinations(&[], memory).elsewhere;
    let inputs = PlanInputs {
        destinations: Destinations {
            here: own,
            elsewhere: Vec::new(),
        },
        found: Found::default(),
        rules: &job.rules,
        stored_again: None,
        now: job.environment.now(),
    };
    Survey::new(listing, memory, &inputs)
}

/// The messages that are meant. What names none of them is added to `not_found`.
fn choose(
    listing: &Listing,
    names: Option<&[MessageName]>,
    not_found: &mut Vec<String>,
) -> Vec<ListingIndex> {
    let Some(names) = names else {
        return (0..listing.messages.len()).map(ListingIndex).collect();
    };
    let wanted: IndexSet<&MessageName> = names.iter().collect();
    let (mut chosen, mut found) = (Vec::new(), HashSet::new());
    for (index, listed) in listing.messages.iter().enumerate() {
        let number = MessageName::Number(listed.number);
        let uid = listed.uid.clone().map(MessageName::Uid);
        let names = std::iter::once(number).chain(uid);
        let meant: Vec<_> = names.filter(|name| wanted.contains(name)).collect();
        if !meant.is_empty() {
            chosen.push(ListingIndex(index));
            found.extend(meant);
        }
    }
    let missing = wanted.into_iter().filter(|name| !found.contains(name));
    not_found.extend(missing.map(MessageName::to_string));
    chosen
}

/// What there is to do for the messages that are meant.
struct Sorted {
    /// The unique-ids to mark.
    new: Vec<UniqueId>,
    /// How many are known, and missing in a destination of the account.
    lacking: u64,
}

/// Sorts these messages, and counts those that are not to be marked.
fn sort(survey: &Survey, chosen: Vec<ListingIndex>, marks: &mut Marks) -> Sorted {
    let (mut new, mut lacking) = (Vec::new(), 0);
    for index in chosen {
        let message = survey.message(index);
        match (&message.listed.uid, message.step.reason) {
            (None, _) => marks.without_unique_id += 1,
            (Some(_), _) if !message.certain => marks.shared += 1,
            (Some(uid), Reason::New) => new.push(uid.clone()),
            (Some(_), reason) => {
                marks.already_known += 1;
                lacking += u64::from(reason == Reason::PartiallyDelivered);
            }
        }
    }
    Sorted { new, lacking }
}

fn nothing_can_be_marked(listing: &Listing) -> bool {
    let messages = &listing.messages;
    !messages.is_empty() && messages.iter().all(|listed| listed.uid.is_none())
}

fn no_unique_ids() -> Failure {
    Failure::new(Kind::Data, "the server gives no unique-ids, so that no message can be marked: nothing would tell it from others the next time")
        .hint("To begin with what is new from now on, let one run of sync store everything: set deliver to another place, such as \"maildir:~/Mail/old\", run it, and set deliver back. What is stored once is known by its content.")
}

/// Says what the next run retrieves all the same.
fn warn_of_the_rest(job: &Job<'_>, lacking: u64, memory: &Memory) {
    if lacking > 0 {
        job.warn(&format!("{lacking} of the messages that are already known are missing in a destination of the account: the next sync retrieves them"));
    }
    if memory.fact(Fact::ShowsWindows) {
        job.warn("the server lists a part of its mailbox at a time: what it did not list now is not marked");
    }
}
