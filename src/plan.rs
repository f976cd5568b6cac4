//! What a run will do with each message of a maildrop. Pure: no clock, no I/O.
//!
//! `--dry-run` prints a [`Plan`], `sync` carries it out; nothing else decides what is fetched or
//! deleted. A plan is made from plain values: what the server lists, what we remember of each
//! message, the rules, and the time.
//!
//! Sizes cost some servers a look into every message, so a plan can be made without them. Where
//! [`Plan::wanting_sizes`] names some, LIST is asked for and the plan made once more.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use crate::mail::{Listed, Retention};

/// What a person asked for, as far as it decides about single messages.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What happens on the server to messages that are stored.
    pub retention: Retention,
    /// Fetch at most so many messages, the oldest first.
    pub limit: Option<u64>,
    /// Leave larger messages on the server; in octets.
    pub max_size: Option<u64>,
    /// A destination of the run keeps what it gets. What only goes to a stream is never deleted for that.
    pub keeps: bool,
}

/// Which message of a listing one is: a plan has its steps in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListingIndex(pub usize);

/// What we remember of a listed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    New,
    /// It has no unique-id, and others are remembered: only its content will say whether it is one of those.
    WithoutUid,
    /// It was stored, but one or more destinations of this run that it is owed lack it.
    PartiallyDelivered,
    /// It was stored, but a destination that it is owed, and that is not one of this run, lacks it.
    OwedElsewhere,
    /// It is stored wherever it is owed, under a unique-id that is its own.
    Stored {
        /// When it was first stored here. A time in the future counts as now.
        at: Timestamp,
        /// Its size by LIST, as it was listed last.
        octets: Option<u64>,
        /// Whether it is certain that the whole of it is stored.
        whole: bool,
        /// Its deletion was asked for, and never confirmed.
        asked: bool,
    },
    /// It is stored wherever it is owed, but its unique-id was listed twice at some time, and does not say which message
    /// it is: it is deleted only in the session that stores it.
    Shared {
        /// When it was first stored here.
        at: Timestamp,
    },
    /// It was stored under another id; the server has renumbered its maildrop. Only its content says so.
    Renumbered {
        /// When it was first stored here.
        at: Timestamp,
        /// Whether its copies were found where they were stored; they are not looked for before it is due.
        in_place: bool,
    },
    /// It was written to standard output or marked by hand. That proves nothing durable.
    Seen {
        /// Its size by LIST, as it was listed last.
        octets: Option<u64>,
    },
    /// Its deletion was confirmed: what is listed now may be another message, or the same from a backup of the
    /// server's.
    Deleted {
        /// When it was first stored here.
        at: Timestamp,
        /// Whether its copies were found where they were stored; they are not looked for before it is due.
        in_place: bool,
    },
    /// It is stored, but less than half of what LIST says came of it.
    Short {
        /// When it was fetched last.
        tried: Timestamp,
    },
    /// More came after its end than belongs to it, so that nothing of it is stored.
    Overrun {
        /// When it was fetched last.
        tried: Timestamp,
    },
    /// It is stored, but nothing can say whether what is listed is the same message.
    Unproven,
}

/// What the header of a stored message (TOP, RFC 1939 section 7) says: before it is deleted unfetched, it must be that
/// of the message that was stored, since servers give ids, and sizes are, to other messages as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Header {
    /// It was not asked for.
    #[default]
    Unasked,
    /// The server has no TOP.
    Unavailable,
    /// It is the header of the stored message.
    Same,
    /// It is another one, or nothing is remembered to compare it with.
    Doubtful,
}

/// One listed message and what we remember of it.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    /// As the maildrop lists it.
    pub listed: &'a Listed,
    /// What we remember.
    pub known: Known,
    /// How far what is remembered is relied on.
    pub trust: Trust,
    /// When it is asked for, if it is.
    pub priority: Priority,
    /// What its header says, where it is stored.
    pub header: Header,
}

/// How far it is relied on that a message which is listed under a remembered id is the remembered one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trust {
    /// The id says it: STAT says that nothing has changed.
    #[default]
    Id,
    /// The id says it only along with the size by LIST: another one shows that it may be another message.
    IdAndSize,
    /// Nothing says it: it is stored, whatever is remembered. So with `--all`, for all that this run has not stored yet.
    Nothing,
}

/// How long after it came incomplete, or with more after its end, a message is not fetched again.
const RETRY_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// When a message is asked for. A message that did not come the last time waits for those that may, so that
/// neither a limit nor the end of the connection keeps these from coming.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Priority {
    /// In the order of the listing.
    #[default]
    InOrder,
    /// The server refused it the last time: after all of those.
    Refused,
    /// Fetching it ended the connection the last time: after all others.
    BreaksConnection,
}

impl Priority {
    const ALL: [Priority; 3] = [
        Priority::InOrder,
        Priority::Refused,
        Priority::BreaksConnection,
    ];
}

/// What will be done with each message of a maildrop.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// One step for each listed message, in the order of the listing.
    pub steps: Vec<Step>,
    /// How many of those that are stored only if they are new may be; none where there is no limit.
    pub most_new: Option<u64>,
}

/// What will be done with one message, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What will be done.
    pub action: Action,
    /// Why.
    pub reason: Reason,
}

/// What is done with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is fetched and stored.
    Retrieve {
        /// What for.
        purpose: Purpose,
        /// It is deleted on the server in the same session, once it is stored.
        then_delete: bool,
        /// When it is asked for.
        priority: Priority,
    },
    /// It is deleted on the server; it was stored earlier.
    Delete,
    /// Nothing is done.
    Leave,
}

/// What a message is retrieved for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be stored, unless its content says that it is stored already, under another id.
    Store,
    /// To be stored if its content is new, as nothing else can say; a limit counts it only then.
    StoreIfNew,
    /// To be stored, whatever is remembered.
    StoreAgain,
    /// To be stored where it is missing.
    FillGaps,
    /// To be stored only if it is another message than the one that is remembered under its id.
    Compare,
}

/// Why something is done with a message. Days are those of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It was never stored.
    New,
    /// It has no unique-id: only its content says whether it was stored.
    WithoutUid,
    /// A destination lacks it.
    PartiallyDelivered,
    /// A destination lacks it that is not one of this run.
    OwedElsewhere,
    /// `--all` asks for it.
    Again,
    /// It was deleted once, or asked to be, and is listed again.
    Returned,
    /// The same, and it is due, but its copies are not where they were stored.
    ReturnedWithoutCopy,
    /// It is due for deletion, but its id and its size do not say for certain which message it is: it is
    /// compared with what was stored first.
    Compare,
    /// It was stored on this day and is due, but several messages have its unique-id.
    Shared(Date),
    /// It was stored on this day, and the rule deletes it now.
    Due(Date),
    /// It was stored on this day, and the rule says that it stays.
    Stored(Date),
    /// It is stored and will be due on this day.
    DueLater(Date),
    /// It was stored on this day and is due, but only its content says so, and its copies are not where they
    /// were stored.
    NoCopy(Date),
    /// It was written to standard output or marked by hand.
    Seen,
    /// Its size has changed, so that it may be another message.
    Changed,
    /// Less than half of what LIST says came of it.
    Short,
    /// More came after its end than belongs to it.
    Overrun,
    /// Nothing can say whether it is the message that is stored.
    Unproven,
    /// It is larger than `--max-size`.
    TooLarge,
    /// `--limit` is reached.
    OverLimit,
}

impl Reason {
    /// Whether a limit of the run's holds the message back.
    #[must_use]
    pub fn is_limit(self) -> bool {
        matches!(self, Reason::TooLarge | Reason::OverLimit)
    }

    /// Another reason, but for a message that did not come as it should: that is named, whatever else holds it back.
    fn unless_odd(self, other: Reason) -> Reason {
        match self {
            Reason::Short | Reason::Overrun => self,
            _ => other,
        }
    }

    /// Whether the message would be deleted, now or once it is fetched, if its copies were found.
    #[must_use]
    pub fn wants_copies(self) -> bool {
        matches!(self, Reason::NoCopy(_) | Reason::ReturnedWithoutCopy)
    }
}

/// Whole sentences would be repeated a thousand times; these are read in a column.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::New => f.write_str("new"),
            Reason::WithoutUid => f.write_str("has no unique-id, may be new"),
            Reason::PartiallyDelivered => f.write_str("missing in a destination"),
            Reason::OwedElsewhere => f.write_str("missing in another destination"),
            Reason::Again => f.write_str("asked for again"),
            Reason::Returned => f.write_str("was deleted, is listed again"),
            Reason::ReturnedWithoutCopy => {
                f.write_str("was deleted, is listed again, no copy found")
            }
            Reason::Compare => f.write_str("due, to be compared with the stored copy"),
            Reason::Shared(day) => write!(f, "stored {day}, its id is not its own"),
            Reason::Due(day) => write!(f, "stored {day}, due"),
            Reason::Stored(day) => write!(f, "stored {day}"),
            Reason::DueLater(day) => write!(f, "due {day}"),
            Reason::NoCopy(day) => write!(f, "stored {day}, no copy found"),
            Reason::Seen => f.write_str("seen"),
            Reason::Changed => f.write_str("has another size, to be compared"),
            Reason::Short => f.write_str("stored, came incomplete"),
            Reason::Overrun => f.write_str("has text after its end"),
            Reason::Unproven => f.write_str("may not be what is stored"),
            Reason::TooLarge => f.write_str("too large"),
            Reason::OverLimit => f.write_str("over the limit"),
        }
    }
}

impl Plan {
    /// Plans what to do with these messages, at this time.
    #[must_use]
    pub fn new<'a>(
        candidates: impl IntoIterator<Item = Candidate<'a>>,
        rules: &Rules,
        now: Timestamp,
    ) -> Self {
        let steps = candidates.into_iter().map(|candidate| {
            let decision = Decision {
                candidate: &candidate,
                rules,
                now,
            };
            decision.within_max_size()
        });
        let mut steps: Vec<Step> = steps.collect();
        let most_new = rules.limit.map(|most| limit(&mut steps, most));
        Plan { steps, most_new }
    }

    /// The steps that may become others once the message's size by LIST is known, as indices: what is
    /// retrieved or deleted, and what a limit holds back.
    pub fn wanting_sizes(&self) -> impl Iterator<Item = ListingIndex> {
        self.indices(|step| match step.action {
            Action::Retrieve { .. } | Action::Delete => true,
            Action::Leave => step.reason.is_limit(),
        })
    }

    /// The steps that may become others once the message's header is known, as indices: what is deleted unfetched.
    pub fn wanting_headers(&self) -> impl Iterator<Item = ListingIndex> {
        self.indices(|step| step.action == Action::Delete)
    }

    /// The steps that retrieve, as indices, in the order to ask for them.
    #[must_use]
    pub fn retrievals(&self) -> Vec<ListingIndex> {
        let with_priority =
            |priority| self.indices(move |step: &Step| step.priority() == Some(priority));
        Priority::ALL.into_iter().flat_map(with_priority).collect()
    }

    /// The steps that delete, now or once the message is stored, as indices.
    pub fn deletions(&self) -> impl Iterator<Item = ListingIndex> {
        self.indices(Step::deletes)
    }

    /// The steps of which this is true, as indices.
    fn indices(&self, is_wanted: impl Fn(&Step) -> bool) -> impl Iterator<Item = ListingIndex> {
        let steps = self.steps.iter().enumerate();
        steps.filter_map(move |(index, step)| is_wanted(step).then_some(ListingIndex(index)))
    }
}

impl Step {
    fn leave(reason: Reason) -> Self {
        let action = Action::Leave;
        Step { action, reason }
    }

    /// When the message is asked for; none where it is not.
    fn priority(&self) -> Option<Priority> {
        match self.action {
            Action::Retrieve { priority, .. } => Some(priority),
            Action::Delete | Action::Leave => None,
        }
    }

    /// What the message is retrieved for; none where it is not.
    #[must_use]
    pub fn purpose(&self) -> Option<Purpose> {
        match self.action {
            Action::Retrieve { purpose, .. } => Some(purpose),
            Action::Delete | Action::Leave => None,
        }
    }

    /// Whether the message is retrieved after all others, since it has ended a connection.
    #[must_use]
    pub fn breaks_connection(&self) -> bool {
        self.priority() == Some(Priority::BreaksConnection)
    }

    /// Whether the message is deleted, now or once it is stored.
    #[must_use]
    pub fn deletes(&self) -> bool {
        match self.action {
            Action::Retrieve { then_delete, .. } => then_delete,
            Action::Delete => true,
            Action::Leave => false,
        }
    }
}

/// Leaves what is beyond the limit for later; returns how much of it is left for those that only turn out to be
/// new, or not, once they are here.
fn limit(steps: &mut [Step], most: u64) -> u64 {
    let mut left = most;
    for priority in Priority::ALL {
        let with_priority = |step: &&mut Step| step.priority() == Some(priority);
        let counted = |step: &&mut Step| step.purpose() != Some(Purpose::StoreIfNew);
        for step in steps.iter_mut().filter(with_priority).filter(counted) {
            match left.checked_sub(1) {
                Some(fewer) => left = fewer,
                None => *step = Step::leave(step.reason.unless_odd(Reason::OverLimit)),
            }
        }
    }
    left
}

/// What decides about one message.
struct Decision<'a> {
    candidate: &'a Candidate<'a>,
    rules: &'a Rules,
    now: Timestamp,
}

impl Decision<'_> {
    fn within_max_size(&self) -> Step {
        let step = match self.candidate.trust {
            Trust::Nothing => self.store_again(),
            Trust::Id | Trust::IdAndSize => self.by_what_is_known(),
        };
        let sizes = self.rules.max_size.zip(self.candidate.listed.octets);
        let is_too_large = sizes.is_some_and(|(most, octets)| octets > most);
        match step.action {
            Action::Retrieve { .. } if is_too_large => {
                Step::leave(step.reason.unless_odd(Reason::TooLarge))
            }
            _ => step,
        }
    }

    fn store_again(&self) -> Step {
        let known = self.candidate.known;
        let then_delete = match known {
            Known::Stored { at, .. } | Known::Shared { at } | Known::Renumbered { at, .. } => {
                self.due(at).is_ok()
            }
            // What came incomplete may be all that there is.
            Known::Short { .. } => false,
            // What is not stored, or may be another message, is not due before it is stored.
            _ => self.deletes_at_once(),
        };
        let reason = match known {
            Known::New => Reason::New,
            _ => Reason::Again,
        };
        self.retrieve(Purpose::StoreAgain, then_delete, reason)
    }

    fn by_what_is_known(&self) -> Step {
        match self.candidate.known {
            Known::New => self.store(Purpose::Store, Reason::New),
            Known::WithoutUid => self.store(Purpose::StoreIfNew, Reason::WithoutUid),
            Known::PartiallyDelivered => self.store(Purpose::FillGaps, Reason::PartiallyDelivered),
            Known::OwedElsewhere => Step::leave(Reason::OwedElsewhere),
            Known::Seen { octets } if self.has_changed(octets) => {
                self.store(Purpose::Compare, Reason::Changed)
            }
            Known::Seen { .. } => Step::leave(Reason::Seen),
            Known::Short { tried } => self.try_again(tried, Reason::Short),
            Known::Overrun { tried } => self.try_again(tried, Reason::Overrun),
            Known::Unproven => Step::leave(Reason::Unproven),
            Known::Deleted { at, in_place } => self.returned(at, in_place),
            Known::Renumbered { at, in_place } => self.renumbered(at, in_place),
            Known::Shared { at } => {
                Step::leave(self.due(at).err().unwrap_or(Reason::Shared(day(at))))
            }
            Known::Stored {
                at,
                octets,
                whole,
                asked,
            } => match self.due(at) {
                Err(reason) => self.stays(octets, asked, reason),
                Ok(()) if whole && self.is_unchanged(octets, asked) => Step {
                    action: Action::Delete,
                    reason: Reason::Due(day(at)),
                },
                Ok(()) => self.retrieve(Purpose::Compare, true, Reason::Compare),
            },
        }
    }

    /// A message that was deleted and is listed again. It is deleted once more only while its copies are there.
    fn returned(&self, at: Timestamp, in_place: bool) -> Step {
        let is_due = self.due(at).is_ok();
        let reason = if is_due && !in_place {
            Reason::ReturnedWithoutCopy
        } else {
            Reason::Returned
        };
        self.retrieve(Purpose::Compare, is_due && in_place, reason)
    }

    /// A message that was stored under another id. It is deleted only while its copies are there.
    fn renumbered(&self, at: Timestamp, in_place: bool) -> Step {
        match self.due(at) {
            Err(reason) => Step::leave(reason),
            Ok(()) if in_place => self.retrieve(Purpose::Compare, true, Reason::Compare),
            Ok(()) => Step::leave(Reason::NoCopy(day(at))),
        }
    }

    /// A stored message that is not due, for this reason: it is looked at once more if it may be another one.
    fn stays(&self, octets: Option<u64>, asked: bool, reason: Reason) -> Step {
        if asked {
            self.retrieve(Purpose::Compare, false, Reason::Returned)
        } else if self.has_changed(octets) {
            self.retrieve(Purpose::Compare, false, Reason::Changed)
        } else {
            Step::leave(reason)
        }
    }

    /// A message that did not come as it should the last time is fetched again a day later.
    fn try_again(&self, tried: Timestamp, reason: Reason) -> Step {
        // A time in the future is a clock's mistake.
        let is_over = tried > self.now || self.now.duration_since(tried) >= RETRY_AFTER;
        if is_over {
            self.store(Purpose::Compare, reason)
        } else {
            Step::leave(reason)
        }
    }

    fn store(&self, purpose: Purpose, reason: Reason) -> Step {
        self.retrieve(purpose, self.deletes_at_once(), reason)
    }

    fn retrieve(&self, purpose: Purpose, then_delete: bool, reason: Reason) -> Step {
        let action = Action::Retrieve {
            purpose,
            then_delete,
            priority: self.candidate.priority,
        };
        Step { action, reason }
    }

    fn deletes_at_once(&self) -> bool {
        self.rules.retention == Retention::Never && self.rules.keeps
    }

    /// Whether the rule deletes now what was stored then; else why it stays.
    fn due(&self, at: Timestamp) -> Result<(), Reason> {
        due(at.min(self.now), self.rules.retention, self.now)
    }

    /// Whether its size is known to be another one than it was, where that counts.
    fn has_changed(&self, octets: Option<u64>) -> bool {
        let sizes = octets.zip(self.candidate.listed.octets);
        let differ = sizes.is_some_and(|(stored, listed)| stored != listed);
        self.candidate.trust == Trust::IdAndSize && differ
    }

    /// Whether size and header leave no doubt that it is the stored message. Sizes that are not known are not the same.
    fn is_unchanged(&self, octets: Option<u64>, asked: bool) -> bool {
        let sizes = octets.zip(self.candidate.listed.octets);
        let same_size = sizes.is_some_and(|(stored, listed)| stored == listed);
        same_size && is_same_header(self.candidate.header, asked)
    }
}

/// Whether a header leaves no doubt, or may leave none once it is asked for. Where it cannot be had, id and size have
/// to do; but for a message whose deletion was asked for, since it may be gone and its id another's.
fn is_same_header(header: Header, asked: bool) -> bool {
    match header {
        Header::Unasked | Header::Same => true,
        Header::Unavailable => !asked,
        Header::Doubtful => false,
    }
}

fn due(at: Timestamp, retention: Retention, now: Timestamp) -> Result<(), Reason> {
    match retention {
        Retention::Always => Err(Reason::Stored(day(at))),
        Retention::Never => Ok(()),
        Retention::For(time) => match at.saturating_add(time) {
            Ok(then) if then > now => Err(Reason::DueLater(day(then))),
            Ok(_) => Ok(()),
            Err(_) => Err(Reason::Stored(day(at))),
        },
    }
}

fn day(at: Timestamp) -> Date {
    Offset::UTC.to_datetime(at).date()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;

    use crate::mail::{Number, UniqueId};

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn now() -> Timestamp {
        "2026-03-31T12:00:00Z".parse().expect("a time")
    }

    fn listed(number: Number, octets: Option<u64>) -> Listed {
        Listed {
            number,
            uid: Some(UniqueId::new(format!("uid-{number}").as_bytes())),
            octets,
        }
    }

    fn rules(retention: Retention) -> Rules {
        Rules {
            retention,
            limit: None,
            max_size: None,
            keeps: true,
        }
    }

    fn stored(days_ago: i32) -> Known {
        Known::Stored {
            at: now() - DAY * days_ago,
            octets: Some(100),
            whole: true,
            asked: false,
        }
    }

    /// The same, its deletion asked for and never confirmed.
    fn asked(days_ago: i32) -> Known {
        match stored(days_ago) {
            Known::Stored {
                at, octets, whole, ..
            } => Known::Stored {
                at,
                octets,
                whole,
                asked: true,
            },
            other => other,
        }
    }

    fn plan_one(known: Known, octets: Option<u64>, rules: &Rules) -> (Action, Reason) {
        plan_candidate(known, octets, Trust::Id, rules)
    }

    fn plan_again(known: Known, octets: Option<u64>, rules: &Rules) -> (Action, Reason) {
        plan_candidate(known, octets, Trust::Nothing, rules)
    }

    fn plan_candidate(
        known: Known,
        octets: Option<u64>,
        trust: Trust,
        rules: &Rules,
    ) -> (Action, Reason) {
        let listed = listed(1, octets);
        let candidate = Candidate {
            listed: &listed,
            known,
            trust,
            priority: Priority::InOrder,
            header: Header::Unasked,
        };
        let plan = Plan::new([candidate], rules, now());
        (plan.steps[0].action, plan.steps[0].reason)
    }

    fn retrievals(plan: &Plan) -> Vec<usize> {
        let indices = plan.retrievals().into_iter();
        indices.map(|ListingIndex(index)| index).collect()
    }

    const fn retrieve(purpose: Purpose) -> Action {
        Action::Retrieve {
            purpose,
            then_delete: false,
            priority: Priority::InOrder,
        }
    }

    const fn and_delete(purpose: Purpose) -> Action {
        Action::Retrieve {
            purpose,
            then_delete: true,
            priority: Priority::InOrder,
        }
    }

    #[test]
    fn what_is_new_is_retrieved_and_what_is_stored_stays() {
        let always = rules(Retention::Always);
        assert_eq!(
            plan_one(Known::New, Some(100), &always),
            (retrieve(Purpose::Store), Reason::New)
        );
        assert_eq!(
            plan_one(Known::PartiallyDelivered, Some(100), &always),
            (retrieve(Purpose::FillGaps), Reason::PartiallyDelivered)
        );
        let (action, _) = plan_one(stored(400), Some(100), &always);
        assert_eq!(action, Action::Leave);
    }

    #[test]
    fn never_deletes_in_the_session_that_stored() {
        assert_eq!(
            plan_one(Known::New, Some(1), &rules(Retention::Never)),
            (and_delete(Purpose::Store), Reason::New)
        );
    }

    #[test]
    fn what_only_goes_to_a_stream_is_not_deleted_for_that() {
        let never = Rules {
            keeps: false,
            ..rules(Retention::Never)
        };
        let (action, _) = plan_one(Known::New, Some(1), &never);
        assert_eq!(action, retrieve(Purpose::Store));
        assert_eq!(plan_one(stored(1), Some(100), &never).0, Action::Delete);
    }

    #[test]
    fn a_duration_deletes_exactly_what_is_due() {
        let month = rules(Retention::For(DAY * 30));
        let (action, _) = plan_one(Known::New, Some(100), &month);
        assert_eq!(action, retrieve(Purpose::Store));
        assert_eq!(plan_one(stored(29), Some(100), &month).0, Action::Leave);
        assert_eq!(plan_one(stored(30), Some(100), &month).0, Action::Delete);
        assert_eq!(plan_one(stored(31), Some(100), &month).0, Action::Delete);
    }

    #[test]
    fn a_time_in_the_future_counts_as_now() {
        let month = rules(Retention::For(DAY * 30));
        let (action, reason) = plan_one(stored(-500), Some(100), &month);
        assert_eq!(
            (action, reason),
            (Action::Leave, Reason::DueLater(day(now() + DAY * 30)))
        );
    }

    #[test]
    fn what_is_not_certain_is_compared_before_it_is_deleted() {
        let never = rules(Retention::Never);
        assert_eq!(
            plan_one(stored(1), Some(101), &never),
            (and_delete(Purpose::Compare), Reason::Compare)
        );
        assert_eq!(
            plan_one(stored(1), None, &never),
            (and_delete(Purpose::Compare), Reason::Compare)
        );
        let part = Known::Stored {
            at: now(),
            octets: Some(100),
            whole: false,
            asked: false,
        };
        assert_eq!(
            plan_one(part, Some(100), &never),
            (and_delete(Purpose::Compare), Reason::Compare)
        );
        let shared = Known::Shared { at: now() };
        assert_eq!(
            plan_one(shared, Some(100), &never),
            (Action::Leave, Reason::Shared(day(now())))
        );
    }

    #[test]
    fn a_header_that_is_not_the_stored_one_is_compared_before_it_is_deleted() {
        let never = rules(Retention::Never);
        let with_header = |known, header| {
            let listed = listed(1, Some(100));
            let candidate = Candidate {
                listed: &listed,
                known,
                trust: Trust::Id,
                priority: Priority::InOrder,
                header,
            };
            Plan::new([candidate], &never, now()).steps[0].action
        };
        let (delete, compare) = (Action::Delete, and_delete(Purpose::Compare));
        for (header, of_stored, of_asked) in [
            (Header::Unasked, delete, delete),
            (Header::Same, delete, delete),
            (Header::Unavailable, delete, compare),
            (Header::Doubtful, compare, compare),
        ] {
            assert_eq!(with_header(stored(1), header), of_stored, "{header:?}");
            assert_eq!(with_header(asked(1), header), of_asked, "{header:?}, asked");
        }
    }

    #[test]
    fn a_size_that_has_changed_counts_only_where_the_sum_has_changed() {
        let always = rules(Retention::Always);
        for (known, quiet) in [
            (stored(1), Reason::Stored(day(now() - DAY))),
            (Known::Seen { octets: Some(100) }, Reason::Seen),
        ] {
            for (octets, trust, expected) in [
                (Some(101), Trust::IdAndSize, Reason::Changed),
                (Some(101), Trust::Id, quiet),
                (Some(100), Trust::IdAndSize, quiet),
                (None, Trust::IdAndSize, quiet),
            ] {
                let listed = listed(1, octets);
                let candidate = Candidate {
                    listed: &listed,
                    known,
                    trust,
                    priority: Priority::InOrder,
                    header: Header::Unasked,
                };
                let plan = Plan::new([candidate], &always, now());
                assert_eq!(plan.steps[0].reason, expected, "{octets:?}, {trust:?}");
            }
        }
    }

    #[test]
    fn what_did_not_come_as_it_should_is_fetched_once_a_day_and_never_deleted_unfetched() {
        let never = rules(Retention::Never);
        let hours = |hours| now() - SignedDuration::from_hours(hours);
        for known in [
            |tried| Known::Short { tried },
            |tried| Known::Overrun { tried },
        ] {
            let action = |tried| plan_one(known(tried), Some(100), &never).0;
            for lately in [0, 23] {
                assert_eq!(action(hours(lately)), Action::Leave, "{lately} hours ago");
            }
            for long_ago in [24, -500] {
                assert_eq!(action(hours(long_ago)), and_delete(Purpose::Compare));
            }
        }
        let (action, reason) = plan_one(Known::Unproven, Some(100), &never);
        assert_eq!((action, reason), (Action::Leave, Reason::Unproven));
        let again = plan_again(Known::Short { tried: hours(0) }, Some(100), &never);
        assert_eq!(again.0, retrieve(Purpose::StoreAgain));
    }

    #[test]
    fn what_was_renumbered_is_compared_once_it_is_due_and_its_copies_are_found() {
        let renumbered = |days_ago: i32, in_place| Known::Renumbered {
            at: now() - DAY * days_ago,
            in_place,
        };
        let month = rules(Retention::For(DAY * 30));
        let plan = |known| plan_one(known, Some(100), &month);
        assert_eq!(
            plan(renumbered(31, true)),
            (and_delete(Purpose::Compare), Reason::Compare)
        );
        let (action, reason) = plan(renumbered(31, false));
        let stored = now() - DAY * 31;
        assert_eq!(
            (action, reason),
            (Action::Leave, Reason::NoCopy(day(stored)))
        );
        for in_place in [true, false] {
            let later = Reason::DueLater(day(now() + DAY));
            assert_eq!(plan(renumbered(29, in_place)), (Action::Leave, later));
        }
    }

    #[test]
    fn asking_again_suspends_no_rule() {
        let month = rules(Retention::For(DAY * 30));
        assert_eq!(
            plan_again(stored(29), Some(100), &month),
            (retrieve(Purpose::StoreAgain), Reason::Again)
        );
        assert_eq!(
            plan_again(stored(31), Some(100), &month),
            (and_delete(Purpose::StoreAgain), Reason::Again)
        );
    }

    #[test]
    fn what_is_lacking_elsewhere_stays() {
        assert_eq!(
            plan_one(Known::OwedElsewhere, Some(1), &rules(Retention::Never)),
            (Action::Leave, Reason::OwedElsewhere)
        );
    }

    #[test]
    fn what_was_only_seen_is_never_deleted() {
        assert_eq!(
            plan_one(
                Known::Seen { octets: None },
                Some(1),
                &rules(Retention::Never)
            ),
            (Action::Leave, Reason::Seen)
        );
    }

    #[test]
    fn what_is_listed_again_after_its_deletion_is_deleted_again_only_where_its_copies_are() {
        let plan = |in_place, retention| {
            let deleted = Known::Deleted {
                at: now(),
                in_place,
            };
            plan_one(deleted, Some(1), &rules(retention))
        };
        assert_eq!(
            plan(true, Retention::Never),
            (and_delete(Purpose::Compare), Reason::Returned)
        );
        assert_eq!(
            plan(false, Retention::Never),
            (retrieve(Purpose::Compare), Reason::ReturnedWithoutCopy)
        );
        assert_eq!(
            plan(false, Retention::Always),
            (retrieve(Purpose::Compare), Reason::Returned)
        );
    }

    #[test]
    fn the_limit_takes_the_oldest_and_large_ones_do_not_use_it_up() {
        let listing = [
            listed(1, Some(9000)),
            listed(2, Some(10)),
            listed(3, Some(10)),
            listed(4, Some(10)),
        ];
        let candidates = listing.iter().map(|listed| Candidate {
            listed,
            known: Known::New,
            trust: Trust::Id,
            priority: Priority::InOrder,
            header: Header::Unasked,
        });
        let rules = Rules {
            limit: Some(2),
            max_size: Some(1000),
            keeps: true,
            ..rules(Retention::Always)
        };
        let plan = Plan::new(candidates, &rules, now());
        let reasons: Vec<_> = plan.steps.iter().map(|step| step.reason).collect();
        assert_eq!(
            reasons,
            [
                Reason::TooLarge,
                Reason::New,
                Reason::New,
                Reason::OverLimit
            ]
        );
        let wanting: Vec<_> = plan.wanting_sizes().map(|index| index.0).collect();
        assert_eq!(
            wanting,
            [0, 1, 2, 3],
            "a size may let one in, or keep one out"
        );
    }

    #[test]
    fn what_is_just_as_large_as_allowed_is_retrieved() {
        let rules = Rules {
            max_size: Some(100),
            keeps: true,
            ..rules(Retention::Always)
        };
        let plan = |octets| plan_one(Known::New, octets, &rules);
        for octets in [Some(99), Some(100), None] {
            let retrieved = (retrieve(Purpose::Store), Reason::New);
            assert_eq!(plan(octets), retrieved, "{octets:?}");
        }
        assert_eq!(plan(Some(101)), (Action::Leave, Reason::TooLarge));
    }

    #[test]
    fn the_limit_is_for_those_that_may_come_and_not_for_those_that_may_be_known() {
        let listing = [(); 5].map(|()| listed(1, None));
        let priorities = [
            Priority::BreaksConnection,
            Priority::Refused,
            Priority::InOrder,
            Priority::InOrder,
            Priority::InOrder,
        ];
        let knowns = [
            Known::New,
            Known::New,
            Known::WithoutUid,
            Known::New,
            Known::New,
        ];
        let plan = |limit| {
            let candidates = listing.iter().zip(priorities).zip(knowns);
            let candidates = candidates.map(|((listed, priority), known)| Candidate {
                listed,
                known,
                trust: Trust::Id,
                priority,
                header: Header::Unasked,
            });
            let rules = Rules {
                limit: Some(limit),
                ..rules(Retention::Always)
            };
            Plan::new(candidates, &rules, now())
        };
        assert_eq!(retrievals(&plan(1)), [2, 3]);
        assert_eq!(retrievals(&plan(3)), [2, 3, 4, 1]);
        assert_eq!(plan(3).most_new, Some(0));
        assert_eq!(retrievals(&plan(6)), [2, 3, 4, 1, 0]);
        assert_eq!(plan(6).most_new, Some(2));
    }

    #[test]
    fn a_message_that_ended_the_connection_is_asked_for_last() {
        let listing = [listed(1, None), listed(2, None), listed(3, None)];
        let priorities = [
            Priority::BreaksConnection,
            Priority::Refused,
            Priority::InOrder,
        ];
        let candidates = [0, 1, 2].map(|index| Candidate {
            listed: &listing[index],
            known: Known::New,
            trust: Trust::Id,
            priority: priorities[index],
            header: Header::Unasked,
        });
        for retention in [Retention::Always, Retention::Never] {
            let plan = Plan::new(candidates.clone(), &rules(retention), now());
            assert_eq!(retrievals(&plan), [2, 1, 0]);
        }
    }

    fn any_known() -> impl Strategy<Value = Known> {
        prop_oneof![
            Just(Known::New),
            Just(Known::WithoutUid),
            Just(Known::PartiallyDelivered),
            Just(Known::OwedElsewhere),
            any::<Option<u8>>().prop_map(|octets| Known::Seen {
                octets: octets.map(u64::from)
            }),
            (0..90i32).prop_map(|hours| Known::Short {
                tried: now() - SignedDuration::from_hours(i64::from(hours))
            }),
            (0..90i32).prop_map(|hours| Known::Overrun {
                tried: now() - SignedDuration::from_hours(i64::from(hours))
            }),
            Just(Known::Unproven),
            any::<bool>().prop_map(|in_place| Known::Deleted {
                at: now(),
                in_place,
            }),
            any::<bool>().prop_map(|in_place| Known::Renumbered {
                at: now() - DAY * 100,
                in_place,
            }),
            any_stored(),
        ]
    }

    fn any_stored() -> impl Strategy<Value = Known> {
        (-9..900i32).prop_flat_map(stored_days_ago)
    }

    /// A message stored this long ago, of which mostly all is known that is needed to delete it.
    fn stored_days_ago(days: i32) -> impl Strategy<Value = Known> {
        let mostly = || prop::bool::weighted(0.95);
        (mostly_100_octets(), mostly(), any::<bool>(), mostly()).prop_map(
            move |(octets, whole, asked, certain)| {
                let at = now() - DAY * days;
                if certain {
                    Known::Stored {
                        at,
                        octets,
                        whole,
                        asked,
                    }
                } else {
                    Known::Shared { at }
                }
            },
        )
    }

    fn mostly_100_octets() -> impl Strategy<Value = Option<u64>> {
        prop_oneof![18 => Just(Some(100)), 1 => Just(Some(101)), 1 => Just(None)]
    }

    fn any_header() -> impl Strategy<Value = Header> {
        use Header::{Doubtful, Same, Unasked, Unavailable};
        prop_oneof![
            16 => Just(Same),
            2 => Just(Unasked),
            2 => Just(Unavailable),
            1 => Just(Doubtful),
        ]
    }

    /// What is known of a message, and after how many days messages are deleted, if ever. Mostly this one is due.
    fn any_known_and_days() -> impl Strategy<Value = (Known, Option<i32>)> {
        let overdue = prop_oneof![12 => 0..900i32, 1 => -900..0i32];
        (0..900i32, overdue).prop_flat_map(|(days, overdue)| {
            let known = prop_oneof![1 => any_known(), 19 => stored_days_ago(days + overdue)];
            (known, prop::option::weighted(0.95, Just(days)))
        })
    }

    fn any_rules() -> impl Strategy<Value = Rules> {
        let retention = prop_oneof![
            Just(Retention::Always),
            Just(Retention::Never),
            (1..1000i32).prop_map(|days| Retention::For(DAY * days)),
        ];
        (retention, any::<Option<u8>>(), any::<Option<u8>>()).prop_map(
            |(retention, limit, max_size)| Rules {
                retention,
                limit: limit.map(u64::from),
                max_size: max_size.map(u64::from),
                keeps: true,
            },
        )
    }

    proptest! {
        #[test]
        fn only_what_is_certainly_stored_is_deleted_unfetched(
            (known, days) in any_known_and_days(), octets in mostly_100_octets(), header in any_header(),
        ) {
            let retention = days.map_or(Retention::Always, |days| Retention::For(DAY * days));
            let listed = listed(1, octets);
            let (priority, trust) = (Priority::InOrder, Trust::IdAndSize);
            let candidate = Candidate { listed: &listed, known, trust, priority, header };
            let plan = Plan::new([candidate], &rules(retention), now());
            if plan.steps[0].action == Action::Delete {
                let Known::Stored { at, octets: recorded, whole, asked } = known else {
                    panic!("{known:?} is deleted");
                };
                prop_assert!(whole && recorded.is_some() && recorded == octets);
                prop_assert!(header != Header::Doubtful && !(asked && header == Header::Unavailable));
                prop_assert!(days.is_some_and(|days| at.min(now()) + DAY * days <= now()));
            }
        }

        #[test]
        fn what_is_asked_for_again_is_stored_before_it_is_deleted(
            known in any_known(), octets in any::<Option<u8>>(), rules in any_rules(),
        ) {
            let (action, reason) = plan_again(known, octets.map(u64::from), &rules);
            let again = matches!(action, Action::Retrieve { purpose: Purpose::StoreAgain, .. });
            prop_assert!(again || reason.is_limit(), "{action:?}");
        }
    }
}
