//! What a run will do with each message of a maildrop. Pure: no clock, no I/O.
//!
//! `--dry-run` prints a [`Plan`], `sync` carries it out; nothing else decides what is fetched or
//! deleted. A plan is made from plain values: what the server lists, what we remember of each
//! message, the rules, and the time.
//!
//! Sizes cost some servers a look into every message, so a plan can be made without them. Where
//! [`Plan::wanting_sizes`] names some, LIST is asked for and the plan made once more.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

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
}

/// What we remember of a listed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    New,
    /// It has no unique-id, and others are remembered: only its content will say whether it is one of those.
    Unnamed,
    /// It was stored, but one or more destinations that it is owed lack it.
    Lacking {
        /// One of them is a destination of this run.
        here: bool,
    },
    /// It is stored wherever it is owed.
    Stored {
        /// When it was first stored here. A time in the future counts as now.
        at: Timestamp,
        /// Its size by LIST in the session that stored it; none where it came in another.
        octets: Option<u64>,
        /// Whether its unique-id says, all by itself, which message it is. One that was ever listed
        /// twice does not: such a message is deleted only in the session that stored it.
        certain: bool,
    },
    /// It was stored under another id; the server has renumbered its maildrop. Only its content says so.
    Renumbered {
        /// When it was first stored here.
        at: Timestamp,
        /// Whether its copies were found where they were stored; nobody looks before it is due.
        in_place: bool,
    },
    /// It was written to standard output or marked by hand. That proves nothing durable.
    Seen,
    /// Its deletion was confirmed, or asked for and never confirmed: what is listed now may be another
    /// message, or the same from a backup of the server's.
    Deleted {
        /// When it was first stored here.
        at: Timestamp,
        /// Whether its deletion was never confirmed, or its copies were found where they were stored; nobody
        /// looks before it is due.
        in_place: bool,
    },
}

/// One listed message and what we remember of it.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    /// As the maildrop lists it.
    pub listed: &'a Listed,
    /// What we remember.
    pub known: Known,
    /// It is to be stored, whatever is remembered: with `--all`, everything that this run has not stored yet.
    pub again: bool,
    /// When it is asked for, if it is.
    pub turn: Turn,
}

/// When a message is asked for. A message that did not come the last time waits for those that may, so that
/// neither a limit nor the end of the connection keeps these from coming.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Turn {
    /// In the order of the listing.
    #[default]
    InOrder,
    /// The server refused it the last time: after all of those.
    Later,
    /// Fetching it ended the connection the last time: after all others.
    Last,
}

impl Turn {
    const ALL: [Turn; 3] = [Turn::InOrder, Turn::Later, Turn::Last];
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
        turn: Turn,
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
    /// Only its content says whether it was stored.
    Unnamed,
    /// A destination lacks it.
    Lacking,
    /// A destination lacks it that is not one of this run.
    LackingElsewhere,
    /// `--all` asks for it.
    Again,
    /// It was deleted once and is listed again.
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
            Reason::Unnamed => f.write_str("has no unique-id, may be new"),
            Reason::Lacking => f.write_str("missing in a destination"),
            Reason::LackingElsewhere => f.write_str("missing in another destination"),
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
            let (action, reason) = decide(&candidate, rules, now);
            match action {
                Action::Retrieve { .. } if is_too_large(candidate.listed, rules) => {
                    Step::leave(Reason::TooLarge)
                }
                _ => Step { action, reason },
            }
        });
        let mut steps: Vec<Step> = steps.collect();
        let most_new = rules.limit.map(|most| limit(&mut steps, most));
        Plan { steps, most_new }
    }

    /// The steps that may become others once the message's size by LIST is known, as indices: what is
    /// retrieved or deleted, and what a limit holds back.
    pub fn wanting_sizes(&self) -> impl Iterator<Item = usize> {
        let wants = |step: &Step| match step.action {
            Action::Retrieve { .. } | Action::Delete => true,
            Action::Leave => step.reason.is_limit(),
        };
        (0..self.steps.len()).filter(move |&index| wants(&self.steps[index]))
    }

    /// The steps that retrieve, as indices, in the order to ask for them.
    #[must_use]
    pub fn retrievals(&self) -> Vec<usize> {
        let in_turn = |turn| {
            (0..self.steps.len()).filter(move |&index| self.steps[index].turn() == Some(turn))
        };
        Turn::ALL.into_iter().flat_map(in_turn).collect()
    }

    /// The steps that delete, now or once the message is stored, as indices.
    pub fn deletions(&self) -> impl Iterator<Item = usize> {
        (0..self.steps.len()).filter(move |&index| self.steps[index].deletes())
    }

    /// Whether a message may end the connection, as it did before, while others are to be deleted: then
    /// nothing would be.
    #[must_use]
    pub fn risks_deletions(&self) -> bool {
        let deletes_another = |step: &Step| step.deletes() && !step.is_troublesome();
        self.steps.iter().any(Step::is_troublesome) && self.steps.iter().any(deletes_another)
    }
}

impl Step {
    fn leave(reason: Reason) -> Self {
        let action = Action::Leave;
        Step { action, reason }
    }

    /// When the message is asked for; none where it is not.
    fn turn(&self) -> Option<Turn> {
        match self.action {
            Action::Retrieve { turn, .. } => Some(turn),
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
    pub fn is_troublesome(&self) -> bool {
        self.turn() == Some(Turn::Last)
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

fn is_too_large(listed: &Listed, rules: &Rules) -> bool {
    let sizes = rules.max_size.zip(listed.octets);
    sizes.is_some_and(|(most, octets)| octets > most)
}

/// Leaves what is beyond the limit for later; returns how much of it is left for those that only turn out to be
/// new, or not, once they are here.
fn limit(steps: &mut [Step], most: u64) -> u64 {
    let mut left = most;
    for turn in Turn::ALL {
        let in_turn = |step: &&mut Step| step.turn() == Some(turn);
        let counted = |step: &&mut Step| step.purpose() != Some(Purpose::StoreIfNew);
        for step in steps.iter_mut().filter(in_turn).filter(counted) {
            match left.checked_sub(1) {
                Some(fewer) => left = fewer,
                None => *step = Step::leave(Reason::OverLimit),
            }
        }
    }
    left
}

fn decide(candidate: &Candidate<'_>, rules: &Rules, now: Timestamp) -> (Action, Reason) {
    let turn = candidate.turn;
    let retrieve = |purpose, then_delete| Action::Retrieve {
        purpose,
        then_delete,
        turn,
    };
    let at_once = rules.retention == Retention::Never;
    let due = |at: Timestamp| due(at.min(now), rules.retention, now);
    if candidate.again {
        return match candidate.known {
            Known::New => (retrieve(Purpose::StoreAgain, at_once), Reason::New),
            Known::Stored { at, .. } | Known::Renumbered { at, .. } => (
                retrieve(Purpose::StoreAgain, due(at).is_ok()),
                Reason::Again,
            ),
            // What is not stored, or may be another message, is not due before it is stored.
            _ => (retrieve(Purpose::StoreAgain, at_once), Reason::Again),
        };
    }
    match candidate.known {
        Known::New => (retrieve(Purpose::Store, at_once), Reason::New),
        Known::Unnamed => (retrieve(Purpose::StoreIfNew, at_once), Reason::Unnamed),
        Known::Lacking { here: true } => (retrieve(Purpose::FillGaps, at_once), Reason::Lacking),
        Known::Lacking { here: false } => (Action::Leave, Reason::LackingElsewhere),
        Known::Deleted { at, in_place } => match due(at) {
            Err(_) => (retrieve(Purpose::Compare, false), Reason::Returned),
            Ok(()) if in_place => (retrieve(Purpose::Compare, true), Reason::Returned),
            Ok(()) => (
                retrieve(Purpose::Compare, false),
                Reason::ReturnedWithoutCopy,
            ),
        },
        Known::Seen => (Action::Leave, Reason::Seen),
        Known::Renumbered { at, in_place } => match due(at) {
            Err(reason) => (Action::Leave, reason),
            Ok(()) if in_place => (retrieve(Purpose::Compare, true), Reason::Compare),
            Ok(()) => (Action::Leave, Reason::NoCopy(day(at))),
        },
        Known::Stored {
            at,
            octets,
            certain,
        } => match due(at) {
            Err(reason) => (Action::Leave, reason),
            Ok(()) if !certain => (Action::Leave, Reason::Shared(day(at))),
            Ok(()) if same_size(octets, candidate.listed.octets) => {
                (Action::Delete, Reason::Due(day(at)))
            }
            Ok(()) => (retrieve(Purpose::Compare, true), Reason::Compare),
        },
    }
}

/// Whether the rule deletes now what was stored then; else why it stays.
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

/// Sizes that nobody knows are not the same.
fn same_size(stored: Option<u64>, listed: Option<u64>) -> bool {
    stored
        .zip(listed)
        .is_some_and(|(stored, listed)| stored == listed)
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
        }
    }

    fn stored(days_ago: i32) -> Known {
        Known::Stored {
            at: now() - DAY * days_ago,
            octets: Some(100),
            certain: true,
        }
    }

    fn plan_one(known: Known, octets: Option<u64>, rules: &Rules) -> (Action, Reason) {
        plan_candidate(known, octets, false, rules)
    }

    fn plan_again(known: Known, octets: Option<u64>, rules: &Rules) -> (Action, Reason) {
        plan_candidate(known, octets, true, rules)
    }

    fn plan_candidate(
        known: Known,
        octets: Option<u64>,
        again: bool,
        rules: &Rules,
    ) -> (Action, Reason) {
        let listed = listed(1, octets);
        let candidate = Candidate {
            listed: &listed,
            known,
            again,
            turn: Turn::InOrder,
        };
        let plan = Plan::new([candidate], rules, now());
        (plan.steps[0].action, plan.steps[0].reason)
    }

    const fn retrieve(purpose: Purpose) -> Action {
        Action::Retrieve {
            purpose,
            then_delete: false,
            turn: Turn::InOrder,
        }
    }

    const fn and_delete(purpose: Purpose) -> Action {
        Action::Retrieve {
            purpose,
            then_delete: true,
            turn: Turn::InOrder,
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
            plan_one(Known::Lacking { here: true }, Some(100), &always),
            (retrieve(Purpose::FillGaps), Reason::Lacking)
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
        let shared = Known::Stored {
            at: now(),
            octets: Some(100),
            certain: false,
        };
        assert_eq!(
            plan_one(shared, Some(100), &never),
            (Action::Leave, Reason::Shared(day(now())))
        );
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
            plan_one(
                Known::Lacking { here: false },
                Some(1),
                &rules(Retention::Never)
            ),
            (Action::Leave, Reason::LackingElsewhere)
        );
    }

    #[test]
    fn what_was_only_seen_is_never_deleted() {
        assert_eq!(
            plan_one(Known::Seen, Some(1), &rules(Retention::Never)),
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
            again: false,
            turn: Turn::InOrder,
        });
        let rules = Rules {
            limit: Some(2),
            max_size: Some(1000),
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
        let wanting: Vec<_> = plan.wanting_sizes().collect();
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
        let turns = [
            Turn::Last,
            Turn::Later,
            Turn::InOrder,
            Turn::InOrder,
            Turn::InOrder,
        ];
        let knowns = [
            Known::New,
            Known::New,
            Known::Unnamed,
            Known::New,
            Known::New,
        ];
        let plan = |limit| {
            let candidates = listing.iter().zip(turns).zip(knowns);
            let candidates = candidates.map(|((listed, turn), known)| Candidate {
                listed,
                known,
                again: false,
                turn,
            });
            let rules = Rules {
                limit: Some(limit),
                ..rules(Retention::Always)
            };
            Plan::new(candidates, &rules, now())
        };
        assert_eq!(plan(1).retrievals(), [2, 3]);
        assert_eq!(plan(3).retrievals(), [2, 3, 4, 1]);
        assert_eq!(plan(3).most_new, Some(0));
        assert_eq!(plan(6).retrievals(), [2, 3, 4, 1, 0]);
        assert_eq!(plan(6).most_new, Some(2));
    }

    #[test]
    fn a_message_that_ended_the_connection_is_asked_for_last() {
        let listing = [listed(1, None), listed(2, None), listed(3, None)];
        let turns = [Turn::Last, Turn::Later, Turn::InOrder];
        let candidates = [0, 1, 2].map(|index| Candidate {
            listed: &listing[index],
            known: Known::New,
            again: false,
            turn: turns[index],
        });
        for (retention, risks) in [(Retention::Always, false), (Retention::Never, true)] {
            let plan = Plan::new(candidates.clone(), &rules(retention), now());
            assert_eq!(plan.retrievals(), [2, 1, 0]);
            assert_eq!(plan.risks_deletions(), risks);
        }
        let [troublesome, refused, _] = candidates;
        for alone in [troublesome, refused] {
            let plan = Plan::new([alone], &rules(Retention::Never), now());
            assert!(!plan.risks_deletions());
        }
    }

    fn any_known() -> impl Strategy<Value = Known> {
        prop_oneof![
            Just(Known::New),
            Just(Known::Unnamed),
            any::<bool>().prop_map(|here| Known::Lacking { here }),
            Just(Known::Seen),
            any::<bool>().prop_map(|in_place| Known::Deleted {
                at: now(),
                in_place,
            }),
            any::<bool>().prop_map(|in_place| Known::Renumbered {
                at: now() - DAY * 100,
                in_place,
            }),
            (-900..900i32, any::<Option<u8>>(), any::<bool>()).prop_map(
                |(days, octets, certain)| {
                    Known::Stored {
                        at: now() - DAY * days,
                        octets: octets.map(u64::from),
                        certain,
                    }
                }
            ),
        ]
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
            },
        )
    }

    proptest! {
        #[test]
        fn only_what_is_certainly_stored_is_deleted_unfetched(
            known in any_known(), octets in any::<Option<u8>>(), rules in any_rules(),
        ) {
            let (action, _) = plan_one(known, octets.map(u64::from), &rules);
            if action == Action::Delete {
                let Known::Stored { octets: recorded, certain, .. } = known else {
                    panic!("{known:?} is deleted");
                };
                prop_assert!(certain && recorded.is_some() && recorded == octets.map(u64::from));
                prop_assert_ne!(rules.retention, Retention::Always);
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
