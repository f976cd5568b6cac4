//! Asks for the headers of stored messages before they are deleted unfetched: an id, and a size, may by now be another
//! message's.

use super::survey::Survey;
use crate::client::{Answer, Ask, Broken, Probe, Transaction, Watcher};
use crate::error::{Failure, Kind};
use crate::mail::{HeaderIdentity, Number, UniqueId};
use crate::message::Peek;

/// The headers of the messages at these indices, none for those that the server refuses to show: in one flight, after
/// which a probe makes sure that each is the answer to its own command.
///
/// # Errors
///
/// The connection broke, or the answers are not in step.
pub(super) fn read(
    transaction: &mut Transaction,
    survey: &Survey,
    indices: &[usize],
    tells_single_uids: bool,
) -> Result<Vec<Option<HeaderIdentity>>, Broken> {
    let number = |index: &usize| survey.listing.messages[*index].number;
    let last = match tells_single_uids {
        true => any_uid(survey),
        false => None,
    };
    let mut headers = Headers::new(indices.iter().map(number).collect(), last);
    transaction.retrieve(&mut headers)?;
    Ok(headers.found)
}

/// Makes sure that the server answers UIDL with a number as it should.
///
/// # Errors
///
/// It does not: the session is of no use any more.
pub(super) fn check_single_uid(
    transaction: &mut Transaction,
    survey: &Survey,
) -> Result<(), Broken> {
    let mut single = Headers::new(Vec::new(), any_uid(survey));
    transaction.retrieve(&mut single)
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
pub(super) struct Witness {
    /// What to ask for.
    pub(super) probe: Probe,
    /// What it says: the trace of its way, or, where that is another one each time, only what the message is.
    says: HeaderIdentity,
    has_trace: bool,
}

impl Witness {
    /// Chooses one, and asks for it twice: its header, or all of it where the server has no TOP.
    ///
    /// # Errors
    ///
    /// The connection broke, or no message can be asked for twice with the same answer.
    pub(super) fn choose(transaction: &mut Transaction, survey: &Survey) -> Result<Self, Broken> {
        let messages = &survey.listing.messages;
        let random = getrandom::u64().unwrap_or(0);
        let index = random.checked_rem(messages.len() as u64);
        let number = messages
            .get(index.unwrap_or(0) as usize)
            .map_or(1, |listed| listed.number);
        if transaction.offers_top() != Some(false)
            && let Some(witness) = Witness::ask(transaction, Probe::Header(number))?
        {
            return Ok(witness);
        }
        let witness = Witness::ask(transaction, Probe::Message(number))?;
        witness.ok_or_else(|| Broken {
            failure: unanswered(number),
            due: None,
            overlong: false,
        })
    }

    fn ask(transaction: &mut Transaction, probe: Probe) -> Result<Option<Self>, Broken> {
        let mut twice = Twice {
            probe,
            asked: 0,
            peeks: Vec::new(),
        };
        transaction.retrieve(&mut twice)?;
        let [one, two] = &twice.peeks[..] else {
            return Ok(None);
        };
        let has_trace = one.trace() == two.trace();
        let is_same = one.identity() == two.identity();
        Ok(is_same.then(|| Witness {
            probe,
            says: if has_trace {
                one.trace()
            } else {
                one.identity()
            },
            has_trace,
        }))
    }

    /// Whether this is its header.
    pub(super) fn is(&self, peek: &Peek) -> bool {
        let says = match self.has_trace {
            true => peek.trace(),
            false => peek.identity(),
        };
        says == self.says
    }
}

fn unanswered(number: Number) -> Failure {
    let what = format!(
        "the server gives no unique-ids, and does not show message {number} twice in the same way"
    );
    Failure::new(Kind::Protocol, what)
}

/// Asks for the same twice.
struct Twice {
    probe: Probe,
    asked: usize,
    peeks: Vec<Peek>,
}

impl Watcher for Twice {
    fn next(&mut self) -> Option<Ask> {
        self.asked += 1;
        (self.asked <= 2).then_some(Ask::Probe(self.probe))
    }

    fn probed(&mut self, _: Probe, answer: Answer) -> bool {
        if let Answer::Text(text) = answer {
            self.peeks.push(text.peek().clone());
        }
        true
    }
}

/// Headers to ask for, and a probe.
struct Headers {
    numbers: Vec<Number>,
    asked: usize,
    found: Vec<Option<HeaderIdentity>>,
    /// What the first header says of the way of its message.
    trace: Option<HeaderIdentity>,
    /// The unique-id that the probe asks for; without one it asks for the first header once more.
    uid: Option<(Number, UniqueId)>,
    is_out_of_step: bool,
}

impl Headers {
    fn new(numbers: Vec<Number>, uid: Option<(Number, UniqueId)>) -> Self {
        Headers {
            found: Vec::with_capacity(numbers.len()),
            numbers,
            asked: 0,
            trace: None,
            uid,
            is_out_of_step: false,
        }
    }

    fn last(&self) -> Option<Probe> {
        let first = self.numbers.first().copied();
        match &self.uid {
            Some((number, _)) => Some(Probe::UniqueId(*number)),
            None => first.map(Probe::Header),
        }
    }
}

impl Watcher for Headers {
    fn next(&mut self) -> Option<Ask> {
        let probe = match self.numbers.get(self.asked) {
            Some(number) => Some(Probe::Header(*number)),
            None if self.asked == self.numbers.len() => self.last(),
            None => None,
        };
        self.asked += usize::from(probe.is_some());
        probe.map(Ask::Probe)
    }

    fn probed(&mut self, _: Probe, answer: Answer) -> bool {
        let is_last = self.found.len() == self.numbers.len();
        match answer {
            Answer::Text(text) if !is_last => {
                let trace = text.peek().trace();
                self.trace = self.trace.or(Some(trace).filter(|_| self.found.is_empty()));
                self.found.push(Some(text.peek().identity()));
            }
            _ if !is_last => self.found.push(None),
            Answer::UniqueId(uid) => {
                let expected = self.uid.as_ref().map(|(_, uid)| uid);
                self.is_out_of_step = uid.as_ref() != expected;
            }
            Answer::Text(text) => self.is_out_of_step = self.trace != Some(text.peek().trace()),
            Answer::Refused => self.is_out_of_step = self.uid.is_some() || self.trace.is_some(),
        }
        !self.is_out_of_step
    }
}
