//! Headers (TOP): of stored messages before they are deleted unfetched, since an id, and a size, may by now be another
//! message's; and of a message that probes ask for.

use super::survey::Survey;
use crate::client::{Answer, Ask, Broken, Probe, Transaction, Watcher};
use crate::error::{Failure, Kind};
use crate::mail::{HeaderIdentity, Number, UniqueId};
use crate::message::Peek;
use crate::plan::ListingIndex;

/// The headers of these messages, none for those that the server refuses to show: in one flight, after which a probe
/// makes sure that each is the answer to its own command.
///
/// # Errors
///
/// The connection broke, or the answers are not in step.
pub(super) fn read(
    transaction: &mut Transaction,
    survey: &Survey,
    indices: &[ListingIndex],
    probes_by_uid: bool,
) -> Result<Vec<Option<HeaderIdentity>>, Broken> {
    if indices.is_empty() {
        return Ok(Vec::new());
    }
    let number = |index: &ListingIndex| survey.message(*index).listed.number;
    let mut probes: Vec<_> = indices.iter().map(number).map(Probe::Header).collect();
    let uid = any_uid(survey).filter(|_| probes_by_uid);
    let check = match uid {
        Some((number, uid)) => {
            probes.push(Probe::UniqueId(number));
            Check::LastIs(Reply::UniqueId(Some(uid)))
        }
        None => {
            probes.push(probes[0]);
            Check::LastIsFirst
        }
    };
    let replies = ask(transaction, probes, check)?;
    let identity = |reply: &Reply| match reply {
        Reply::Header { identity, .. } => Some(*identity),
        Reply::UniqueId(_) | Reply::Refused => None,
    };
    Ok(replies[..indices.len()].iter().map(identity).collect())
}

/// Makes sure that the server answers UIDL with a number as it should.
///
/// # Errors
///
/// It does not: the session is of no use any more.
pub(super) fn check_single_uidl(
    transaction: &mut Transaction,
    survey: &Survey,
) -> Result<(), Broken> {
    if let Some((number, uid)) = any_uid(survey) {
        let expected = Check::LastIs(Reply::UniqueId(Some(uid)));
        ask(transaction, vec![Probe::UniqueId(number)], expected)?;
    }
    Ok(())
}

/// One of the unique-ids: no sender of mail shall know which.
fn any_uid(survey: &Survey) -> Option<(Number, UniqueId)> {
    let random = getrandom::u64().unwrap_or(0);
    let (number, uid) = survey.some_uid(random)?;
    Some((number, uid.clone()))
}

/// A message of the listing that is asked for once more in each probe, where unique-ids do not serve: what the server
/// says of it is known before any message came that could go on after its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReferenceMessage {
    /// What to ask for.
    pub(super) probe: Probe,
    expected: Expected,
}

/// What the server says of a [`ReferenceMessage`] each time.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// The trace of its way.
    Trace(HeaderIdentity),
    /// Where the trace is another one each time, only what the message is.
    Identity(HeaderIdentity),
}

impl ReferenceMessage {
    /// Chooses one, and asks for it twice: its header, or all of it where the server has no TOP.
    ///
    /// # Errors
    ///
    /// The connection broke, or no message can be asked for twice with the same answer.
    pub(super) fn choose(transaction: &mut Transaction, survey: &Survey) -> Result<Self, Broken> {
        let messages = &survey.listing.messages;
        let random = getrandom::u64().unwrap_or(0);
        let index = random.checked_rem(messages.len() as u64).unwrap_or(0) as usize;
        let number = messages.get(index).map_or(1, |listed| listed.number);
        if transaction.offers_top() != Some(false)
            && let Some(reference) = Self::ask_for(transaction, Probe::Header(number))?
        {
            return Ok(reference);
        }
        let reference = Self::ask_for(transaction, Probe::Message(number))?;
        reference.ok_or_else(|| Broken {
            failure: not_the_same_twice(number),
            due: None,
            overlong: false,
        })
    }

    fn ask_for(transaction: &mut Transaction, probe: Probe) -> Result<Option<Self>, Broken> {
        let replies = ask(transaction, vec![probe, probe], Check::Nothing)?;
        let [
            Reply::Header { identity, trace },
            Reply::Header {
                identity: identity_again,
                trace: trace_again,
            },
        ] = replies[..]
        else {
            return Ok(None);
        };
        let expected = if trace == trace_again {
            Expected::Trace(trace)
        } else {
            Expected::Identity(identity)
        };
        let is_same = identity == identity_again;
        Ok(is_same.then_some(ReferenceMessage { probe, expected }))
    }

    /// Whether this is its header.
    pub(super) fn is(&self, peek: &Peek) -> bool {
        match self.expected {
            Expected::Trace(trace) => peek.trace() == trace,
            Expected::Identity(identity) => peek.identity() == identity,
        }
    }
}

fn not_the_same_twice(number: Number) -> Failure {
    let what = format!(
        "the server gives no unique-ids, and does not show message {number} twice in the same way"
    );
    Failure::new(Kind::Protocol, what)
}

/// Asks for all of this in one flight.
fn ask(
    transaction: &mut Transaction,
    probes: Vec<Probe>,
    check: Check,
) -> Result<Vec<Reply>, Broken> {
    let mut questions = Questions {
        probes,
        asked: 0,
        replies: Vec::new(),
        check,
    };
    transaction.retrieve(&mut questions)?;
    Ok(questions.replies)
}

/// What is asked for in one flight, and what came.
struct Questions {
    probes: Vec<Probe>,
    asked: usize,
    replies: Vec<Reply>,
    check: Check,
}

/// What the last reply has to be.
enum Check {
    Nothing,
    LastIs(Reply),
    /// The trace of the first one.
    LastIsFirst,
}

/// What of an answer is kept.
#[derive(Debug, PartialEq, Eq)]
enum Reply {
    UniqueId(Option<UniqueId>),
    Header {
        identity: HeaderIdentity,
        trace: HeaderIdentity,
    },
    Refused,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::UniqueId(uid) => Reply::UniqueId(uid),
            Answer::Text(text) => Reply::Header {
                identity: text.peek().identity(),
                trace: text.peek().trace(),
            },
            Answer::Refused => Reply::Refused,
        }
    }
}

impl Questions {
    /// Whether the answers are in step, once the last one is here.
    fn are_in_step(&self) -> bool {
        match &self.check {
            Check::Nothing => true,
            Check::LastIs(expected) => self.replies.last() == Some(expected),
            Check::LastIsFirst => self.replies.last() == self.replies.first(),
        }
    }
}

impl Watcher for Questions {
    fn next(&mut self) -> Option<Ask> {
        let probe = self.probes.get(self.asked)?;
        self.asked += 1;
        Some(Ask::Probe(*probe))
    }

    fn probed(&mut self, _: Probe, answer: Answer) -> bool {
        self.replies.push(Reply::from(answer));
        self.replies.len() < self.probes.len() || self.are_in_step()
    }
}
