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
    /// Also fetch what was stored before.
    pub all: bool,
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
    /// It was stored, but one or more destinations that it is owed lack it.
    Lacking,
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
    /// message.
    Deleted {
        /// When it was first stored here.
        at: Timestamp,
    },
}

/// One listed message and what we remember of it.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    /// As the maildrop lists it.
    pub listed: &'a Listed,
    /// What we remember.
    pub known: Known,
    /// Fetching it ended the connection the last time: it is asked for after all others.
    pub troublesome: bool,
}

/// What will be done with each message of a maildrop.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// One step for each listed message, in the order of the listing.
    pub steps: Vec<Step>,
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
        /// It is deleted on the server in the same session, once it is stored.
        then_delete: bool,
        /// It is asked for after all others.
        last: bool,
    },
    /// It is deleted on the server; it was stored earlier.
    Delete,
    /// Nothing is done.
    Leave,
}

/// Why something is done with a message. Days are those of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It was never stored.
    New,
    /// A destination lacks it.
    Lacking,
    /// `--all` asks for it.
    Again,
    /// It was deleted once and is listed again.
    Returned,
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
    /// It was stored on this day under another id and is due, but its copies are not where they were stored.
    Renumbered(Date),
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
}

/// Whole sentences would be repeated a thousand times; these are read in a column.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::New => f.write_str("new"),
            Reason::Lacking => f.write_str("missing in a destination"),
            Reason::Again => f.write_str("asked for again"),
            Reason::Returned => f.write_str("was deleted, is listed again"),
            Reason::Compare => f.write_str("due, to be compared with the stored copy"),
            Reason::Shared(day) => write!(f, "stored {day}, its id is not its own"),
            Reason::Due(day) => write!(f, "stored {day}, due"),
            Reason::Stored(day) => write!(f, "stored {day}"),
            Reason::DueLater(day) => write!(f, "due {day}"),
            Reason::Renumbered(day) => write!(f, "stored {day} under another id, no copy found"),
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
        let mut left = rules.limit.unwrap_or(u64::MAX);
        let steps = candidates
            .into_iter()
            .map(|candidate| step(&candidate, rules, now, &mut left));
        Plan {
            steps: steps.collect(),
        }
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
        let retrieved = |late| {
            let chosen =
                move |action| matches!(action, Action::Retrieve { last, .. } if last == late);
            (0..self.steps.len()).filter(move |&index| chosen(self.steps[index].action))
        };
        retrieved(false).chain(retrieved(true)).collect()
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
    /// Whether the message is retrieved after all others, since it has ended a connection.
    #[must_use]
    pub fn is_troublesome(&self) -> bool {
        matches!(self.action, Action::Retrieve { last: true, .. })
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

fn step(candidate: &Candidate<'_>, rules: &Rules, now: Timestamp, left: &mut u64) -> Step {
    let (mut action, mut reason) = decide(candidate, rules, now);
    if let Action::Retrieve { .. } = action
        && let Some(why) = held_back(candidate.listed.octets, rules, left)
    {
        (action, reason) = (Action::Leave, why);
    }
    Step { action, reason }
}

/// Why a message that would be retrieved is left for later; else one of the messages left is used up.
fn held_back(octets: Option<u64>, rules: &Rules, left: &mut u64) -> Option<Reason> {
    if rules
        .max_size
        .zip(octets)
        .is_some_and(|(most, octets)| octets > most)
    {
        return Some(Reason::TooLarge);
    }
    match left.checked_sub(1) {
        None => Some(Reason::OverLimit),
        Some(fewer) => {
            *left = fewer;
            None
        }
    }
}

fn decide(candidate: &Candidate<'_>, rules: &Rules, now: Timestamp) -> (Action, Reason) {
    let last = candidate.troublesome;
    let retrieve = |then_delete| Action::Retrieve { then_delete, last };
    let as_new = retrieve(rules.retention == Retention::Never);
    let due = |at: Timestamp| due(at.min(now), rules.retention, now);
    match candidate.known {
        Known::New => (as_new, Reason::New),
        Known::Lacking => (as_new, Reason::Lacking),
        Known::Deleted { at } => (retrieve(due(at).is_ok()), Reason::Returned),
        Known::Stored { at, .. } | Known::Renumbered { at, .. } if rules.all => {
            (retrieve(due(at).is_ok()), Reason::Again)
        }
        Known::Seen if rules.all => (as_new, Reason::Again),
        Known::Seen => (Action::Leave, Reason::Seen),
        Known::Renumbered { at, in_place } => match due(at) {
            Err(reason) => (Action::Leave, reason),
            Ok(()) if in_place => (retrieve(true), Reason::Compare),
            Ok(()) => (Action::Leave, Reason::Renumbered(day(at))),
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
            Ok(()) => (retrieve(true), Reason::Compare),
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
            all: false,
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
        let listed = listed(1, octets);
        let candidate = Candidate {
            listed: &listed,
            known,
            troublesome: false,
        };
        let plan = Plan::new([candidate], rules, now());
        (plan.steps[0].action, plan.steps[0].reason)
    }

    const RETRIEVE: Action = Action::Retrieve {
        then_delete: false,
        last: false,
    };
    const MOVE: Action = Action::Retrieve {
        then_delete: true,
        last: false,
    };

    #[test]
    fn what_is_new_is_retrieved_and_what_is_stored_stays() {
        let always = rules(Retention::Always);
        assert_eq!(
            plan_one(Known::New, Some(100), &always),
            (RETRIEVE, Reason::New)
        );
        assert_eq!(
            plan_one(Known::Lacking, Some(100), &always),
            (RETRIEVE, Reason::Lacking)
        );
        let (action, _) = plan_one(stored(400), Some(100), &always);
        assert_eq!(action, Action::Leave);
    }

    #[test]
    fn never_deletes_in_the_session_that_stored() {
        assert_eq!(
            plan_one(Known::New, Some(1), &rules(Retention::Never)),
            (MOVE, Reason::New)
        );
    }

    #[test]
    fn a_duration_deletes_exactly_what_is_due() {
        let month = rules(Retention::For(DAY * 30));
        assert_eq!(plan_one(Known::New, Some(100), &month).0, RETRIEVE);
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
            (MOVE, Reason::Compare)
        );
        assert_eq!(plan_one(stored(1), None, &never), (MOVE, Reason::Compare));
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
        assert_eq!(plan(renumbered(31, true)), (MOVE, Reason::Compare));
        let (action, reason) = plan(renumbered(31, false));
        let stored = now() - DAY * 31;
        assert_eq!(
            (action, reason),
            (Action::Leave, Reason::Renumbered(day(stored)))
        );
        for in_place in [true, false] {
            let later = Reason::DueLater(day(now() + DAY));
            assert_eq!(plan(renumbered(29, in_place)), (Action::Leave, later));
        }
    }

    #[test]
    fn asking_again_suspends_no_rule() {
        let all = Rules {
            all: true,
            ..rules(Retention::For(DAY * 30))
        };
        assert_eq!(
            plan_one(stored(29), Some(100), &all),
            (RETRIEVE, Reason::Again)
        );
        assert_eq!(plan_one(stored(31), Some(100), &all), (MOVE, Reason::Again));
    }

    #[test]
    fn what_was_only_seen_is_never_deleted() {
        assert_eq!(
            plan_one(Known::Seen, Some(1), &rules(Retention::Never)),
            (Action::Leave, Reason::Seen)
        );
    }

    #[test]
    fn an_id_listed_again_after_its_deletion_is_retrieved() {
        assert_eq!(
            plan_one(
                Known::Deleted { at: now() },
                Some(1),
                &rules(Retention::Never)
            ),
            (MOVE, Reason::Returned)
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
            troublesome: false,
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
    fn a_message_that_ended_the_connection_is_asked_for_last() {
        let listing = [listed(1, None), listed(2, None)];
        let candidates =
            [(&listing[0], true), (&listing[1], false)].map(|(listed, troublesome)| Candidate {
                listed,
                known: Known::New,
                troublesome,
            });
        for (retention, risks) in [(Retention::Always, false), (Retention::Never, true)] {
            let plan = Plan::new(candidates.clone(), &rules(retention), now());
            assert_eq!(plan.retrievals(), [1, 0]);
            assert_eq!(plan.risks_deletions(), risks);
        }
        let [troublesome, _] = candidates;
        let plan = Plan::new([troublesome], &rules(Retention::Never), now());
        assert!(!plan.risks_deletions(), "it is alone");
    }

    fn any_known() -> impl Strategy<Value = Known> {
        prop_oneof![
            Just(Known::New),
            Just(Known::Lacking),
            Just(Known::Seen),
            Just(Known::Deleted { at: now() }),
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
        (
            retention,
            any::<bool>(),
            any::<Option<u8>>(),
            any::<Option<u8>>(),
        )
            .prop_map(|(retention, all, limit, max_size)| Rules {
                retention,
                all,
                limit: limit.map(u64::from),
                max_size: max_size.map(u64::from),
            })
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
    }
}
