//! Asks for messages, passes on what comes, and makes sure that the answers are in step with the commands.
//!
//! A message whose line of one dot the server does not stuff (RFC 1939 section 3) seems to end there, and what lies
//! after that is taken for the next answers: by chance, or because its sender wants that. So what came is in doubt
//! until a probe was answered, which no sender of mail can foretell. With PIPELINING probes ride along; without, there
//! is one for each batch.

use std::collections::HashMap;
use std::sync::mpsc;
use std::time::Instant;

use super::Job;
use super::blame::{Culprit, Cut, Suspects, Who};
use super::headers::Witness;
use super::parcel::{Incoming, Item, Parcel};
use super::queue::Queue;
use super::store::{BATCH_BYTES, BATCH_TIME, StopFlag};
use super::survey::{Survey, Surveyed};
use crate::client::{Answer, Ask, Broken, Probe, Transaction, Wanted, Watcher};
use crate::error::{Failure, Kind};
use crate::journal::{Fact, is_short};
use crate::monitor::{Event, FailedMessage, Problem};
use crate::plan::{Action, Reason};

/// Where a probe costs no round trip, one follows so many messages at the latest; at first, so many times, each message:
/// of few messages most are certain early.
const PROBE_MESSAGES: usize = 16;

/// Or so many octets by LIST.
const PROBE_OCTETS: u64 = 1024 * 1024;

/// Takes messages from the wire and passes them on.
pub(super) struct Feed<'a> {
    job: &'a Job<'a>,
    queue: &'a Queue<Parcel>,
    /// What will be sent together.
    parcel: Parcel,
    halt: &'a StopFlag,
    /// All indices are those of its messages.
    survey: &'a Survey,
    /// How many messages a batch may have.
    batch: usize,
    /// Where a message is missing that is only fetched for that, by the journal's names.
    pub(super) gaps: HashMap<usize, Vec<u32>>,
    /// These are asked for alone, as are those that ended a connection before.
    suspects: &'a Suspects,
    /// A message whose size is not what LIST said is withheld.
    pub(super) checks_sizes: bool,
    /// Commands go ahead of their answers.
    is_pipelining: bool,
    /// What is being fetched.
    order: Vec<usize>,
    /// How many of those were asked for.
    asked: usize,
    /// How many of those were answered.
    answered: usize,
    /// What was asked for since the last probe.
    unprobed: Unprobed,
    /// How many probes were sent.
    probed: usize,
    /// How many of those are on their way.
    probes: usize,
    /// Those that were answered since the last probe was.
    unconfirmed: Vec<usize>,
    /// Whether one of them came: a refusal alone leaves nothing in doubt.
    came: bool,
    /// What the server refused among those.
    refused: Vec<(usize, Failure)>,
    /// What probes ask for where unique-ids do not serve.
    witness: Option<Witness>,
    /// Messages that were withheld.
    withheld: Vec<usize>,
    /// Less than half of what LIST says came of the last message.
    is_short: bool,
    /// Which messages the server began to send: it may count them as retrieved.
    begun: Vec<bool>,
    /// How many these are.
    pub(super) sent: u64,
    /// What the server refused to send.
    pub(super) failed: Vec<FailedMessage>,
}

/// What came of fetching a message once more that was withheld.
enum Alone {
    /// It was not fetched: the run is to stop.
    Stopped,
    /// It says nothing of the server.
    Unclear,
    /// What it says.
    Learnt(Fact),
}

/// What was asked for since the last probe.
struct Unprobed {
    messages: usize,
    octets: u64,
    since: Instant,
}

impl Default for Unprobed {
    fn default() -> Self {
        Unprobed {
            messages: 0,
            octets: 0,
            since: Instant::now(),
        }
    }
}

impl<'a> Feed<'a> {
    pub(super) fn new(
        job: &'a Job<'a>,
        queue: &'a Queue<Parcel>,
        halt: &'a StopFlag,
        survey: &'a Survey,
        batch: usize,
        suspects: &'a Suspects,
        witness: Option<Witness>,
    ) -> Self {
        Feed {
            job,
            queue,
            parcel: Parcel::default(),
            halt,
            survey,
            batch,
            gaps: HashMap::new(),
            suspects,
            checks_sizes: false,
            is_pipelining: false,
            order: Vec::new(),
            asked: 0,
            answered: 0,
            unprobed: Unprobed::default(),
            probed: 0,
            probes: 0,
            unconfirmed: Vec::new(),
            came: false,
            refused: Vec::new(),
            witness,
            withheld: Vec::new(),
            is_short: false,
            begun: vec![false; survey.plan.steps.len()],
            sent: 0,
            failed: Vec::new(),
        }
    }

    /// Whether all that was to be fetched was asked for.
    pub(super) fn is_complete(&self) -> bool {
        self.asked == self.order.len() && self.withheld.is_empty()
    }

    /// Fetches these messages. One whose size is not what LIST said may have got mixed up with its
    /// neighbours, where several were in flight: it is fetched once more, alone, and if it is the
    /// same then, this server's sizes are wrong; if it is not, its pipelining is broken. But where less than half
    /// of what LIST says came, that message is odd, and says nothing of the others.
    pub(super) fn fetch_all(
        &mut self,
        transaction: &mut Transaction,
        verdict: &mpsc::Receiver<bool>,
        mut left: Vec<usize>,
    ) -> Result<Option<Fact>, Cut> {
        let mut learnt = None;
        loop {
            self.fetch(transaction, left)?;
            left = self.order.split_off(self.asked);
            let mut withheld = std::mem::take(&mut self.withheld).into_iter();
            if withheld.len() == 0 {
                return Ok(learnt);
            }
            let checked_sizes = std::mem::take(&mut self.checks_sizes);
            for index in withheld.by_ref() {
                match self.fetch_alone(transaction, verdict, index)? {
                    Alone::Stopped => return Ok(learnt),
                    Alone::Unclear => {}
                    Alone::Learnt(fact) => {
                        learnt = Some(fact);
                        break;
                    }
                }
            }
            match learnt {
                Some(Fact::PipeliningBroken) => transaction.stop_pipelining(),
                Some(_) => {}
                None => self.checks_sizes = checked_sizes,
            }
            left.splice(..0, withheld);
        }
    }

    /// Fetches a message that was withheld once more.
    fn fetch_alone(
        &mut self,
        transaction: &mut Transaction,
        verdict: &mpsc::Receiver<bool>,
        index: usize,
    ) -> Result<Alone, Cut> {
        let failed = self.failed.len();
        self.fetch(transaction, vec![index])?;
        if self.asked == 0 {
            return Ok(Alone::Stopped);
        }
        if self.failed.len() > failed {
            return Ok(Alone::Unclear);
        }
        Ok(match (verdict.recv().unwrap_or(false), self.is_short) {
            (_, true) => Alone::Unclear,
            (true, false) => Alone::Learnt(Fact::SizesWrong),
            (false, false) => Alone::Learnt(Fact::PipeliningBroken),
        })
    }

    /// Fetches these messages, until no more are wanted.
    fn fetch(&mut self, transaction: &mut Transaction, order: Vec<usize>) -> Result<(), Cut> {
        self.order = order;
        (self.asked, self.answered) = (0, 0);
        self.is_pipelining = transaction.is_pipelining();
        let retrieved = transaction.retrieve(self);
        self.send();
        retrieved.map_err(|broken| self.cut(broken))
    }

    /// What the end of the session says about single messages.
    fn cut(&self, broken: Broken) -> Cut {
        let Broken {
            failure,
            due,
            overlong,
        } = broken;
        let due = match due {
            Some(Ask::Message(_)) => self.order.get(self.answered).copied(),
            Some(Ask::Probe(_)) | None => None,
        };
        let is_nonsense = failure.kind().is_nonsense();
        let before = self.unconfirmed.last().copied();
        let alone = self.last_asked().is_some_and(|index| self.is_alone(index));
        let culprit = match (before, due) {
            (_, Some(due)) if overlong => Some((due, failure.clone(), false)),
            (Some(before), _) if alone && is_nonsense => Some((before, overrun(&failure), true)),
            (None, Some(due)) if alone && is_nonsense => Some((due, failure.clone(), false)),
            _ => None,
        };
        let culprit = culprit.map(|(index, failure, is_overrun)| Culprit {
            message: self.failed_message(index, failure),
            is_overrun,
        });
        let suspected = due.iter().filter(|_| is_nonsense && !overlong);
        let suspected = self.unconfirmed.iter().chain(suspected);
        let suspects = suspected.map(|index| Who::is(&self.survey.message(*index)));
        // Where what came may be to blame as well, no other message is.
        let dropped = match is_nonsense && !overlong {
            true => due.filter(|_| before.is_none()),
            false => due.or(before.filter(|_| alone)),
        };
        let key = |index| self.survey.message(index).key.cloned();
        Cut {
            dropped: dropped.and_then(key),
            suspects: suspects.collect(),
            failure,
            culprit,
        }
    }

    fn failed_message(&self, index: usize, failure: Failure) -> FailedMessage {
        let Surveyed { listed, key, .. } = self.survey.message(index);
        FailedMessage {
            number: listed.number,
            uid: key.cloned(),
            failure,
        }
    }

    fn last_asked(&self) -> Option<usize> {
        self.order.get(self.asked.checked_sub(1)?).copied()
    }

    /// Whether nothing else may be on its way while this message is.
    fn is_alone(&self, index: usize) -> bool {
        let message = self.survey.message(index);
        // Its size is known to be wrong.
        let was_short = message.step.reason == Reason::Short;
        let is_suspect = !self.suspects.is_empty() && self.suspects.contains(&Who::is(&message));
        message.step.is_troublesome() || was_short || is_suspect
    }

    /// What to ask for next, unless the run is to stop.
    fn upcoming(&mut self) -> Option<usize> {
        let stops =
            self.halt.is_entire() || self.job.interrupt.is_stopping() || !self.withheld.is_empty();
        let index = *self.order.get(self.asked)?;
        if self.halt.is_partial() && self.fills_no_gap(index) {
            let rest = self.order.split_off(self.asked);
            let useful = rest.into_iter().filter(|index| !self.fills_no_gap(*index));
            let useful: Vec<_> = useful.collect();
            self.order.extend(useful);
        }
        self.order.get(self.asked).copied().filter(|_| !stops)
    }

    /// Whether a message is only wanted where nothing can be stored any more.
    fn fills_no_gap(&self, index: usize) -> bool {
        let gaps = self.gaps.get(&index);
        gaps.is_some_and(|gaps| self.halt.covers(gaps))
    }

    /// Whether it is time for a probe.
    fn wants_probe(&self, upcoming: Option<usize>) -> bool {
        let Unprobed {
            messages,
            octets,
            since,
        } = self.unprobed;
        let alone = [upcoming, self.last_asked()].into_iter().flatten();
        let mut alone = alone.filter(|index| self.is_alone(*index));
        let is_large = upcoming.is_some_and(|index| self.octets(index) >= PROBE_OCTETS);
        let is_full = match self.is_pipelining {
            true => messages >= self.pace() || octets >= PROBE_OCTETS || is_large,
            false => {
                messages >= self.batch || octets >= BATCH_BYTES || since.elapsed() >= BATCH_TIME
            }
        };
        messages > 0 && (is_full || upcoming.is_none() || alone.next().is_some())
    }

    /// After how many messages a probe follows that costs no round trip.
    fn pace(&self) -> usize {
        match self.probed < PROBE_MESSAGES {
            true => 1,
            false => PROBE_MESSAGES.min(self.batch),
        }
    }

    /// Whether nothing is on its way or in doubt.
    fn is_idle(&self) -> bool {
        let is_answered = self.asked == self.answered && self.probes == 0;
        is_answered && self.unconfirmed.is_empty() && self.unprobed.messages == 0
    }

    /// The next probe; none where nothing came that could be in doubt.
    fn probe(&mut self) -> Option<Probe> {
        self.unprobed = Unprobed::default();
        if self.asked == self.answered && !self.came {
            self.confirm();
            return None;
        }
        self.probed += 1;
        self.probes += 1;
        if let Some(witness) = self.witness {
            return Some(witness.probe);
        }
        // No sender of mail shall know which id is asked for.
        let random = getrandom::u64().unwrap_or(0);
        let uid = self.survey.some_uid(random);
        uid.map(|(number, _)| Probe::UniqueId(number))
    }

    /// What came so far is what was asked for.
    fn confirm(&mut self) {
        // What a message that is asked for alone may end is not to cost what came before.
        let upcoming = self.order.get(self.asked).copied();
        let alone = [upcoming, self.last_asked()].into_iter().flatten();
        let alone = alone.filter(|index| self.is_alone(*index)).count() > 0;
        let pauses = !self.is_pipelining || alone;
        self.say(Item::Confirm { pauses });
        self.unconfirmed.clear();
        self.came = false;
        for (index, failure) in std::mem::take(&mut self.refused) {
            self.fail(index, failure);
        }
    }

    /// The message at this index will not come, for this reason.
    fn fail(&mut self, index: usize, failure: Failure) {
        let message = self.failed_message(index, failure);
        let problem = Problem::failed(self.octets(index), message);
        self.job.event(&Event::MessageFailed(&problem));
        self.failed.push(problem.message);
    }

    /// Its size by LIST; 0 where it is not known.
    fn octets(&self, index: usize) -> u64 {
        self.survey.message(index).listed.octets.unwrap_or(0)
    }

    /// The message that is due was answered.
    fn answer(&mut self) {
        self.unconfirmed.push(self.order[self.answered]);
        self.answered += 1;
    }

    fn say(&mut self, item: Item) {
        self.parcel.add(item);
    }

    /// Sends what was said to the store thread. Where that is gone, its panic is what counts.
    fn send(&mut self) {
        if self.parcel.is_empty() {
            return;
        }
        let empty = self.queue.spare().unwrap_or_default();
        let parcel = std::mem::replace(&mut self.parcel, empty);
        if self.queue.send(parcel).is_err() {
            self.halt.entirely();
        }
    }
}

impl Watcher for Feed<'_> {
    fn next(&mut self) -> Option<Ask> {
        let upcoming = self.upcoming();
        if self.wants_probe(upcoming)
            && let Some(probe) = self.probe()
        {
            return Some(Ask::Probe(probe));
        }
        let index = upcoming?;
        let last = self.last_asked();
        let alone = self.is_alone(index) || last.is_some_and(|index| self.is_alone(index));
        if alone && !self.is_idle() {
            return None;
        }
        let listed = self.survey.message(index).listed;
        let wanted = Wanted {
            number: listed.number,
            octets: listed.octets,
        };
        self.asked += 1;
        self.unprobed.messages += 1;
        self.unprobed.octets = self
            .unprobed
            .octets
            .saturating_add(wanted.octets.unwrap_or(0));
        Some(Ask::Message(wanted))
    }

    fn begin(&mut self) {
        let index = self.order[self.answered];
        let begun = std::mem::replace(&mut self.begun[index], true);
        self.sent += u64::from(!begun);
        self.came = true;
        let Surveyed {
            listed,
            key,
            certain,
            step,
        } = self.survey.message(index);
        let Action::Retrieve {
            purpose,
            then_delete,
            ..
        } = step.action
        else {
            return; // Nothing else is asked for.
        };
        self.say(Item::Begin(Incoming {
            number: listed.number,
            key: key.cloned(),
            certain,
            listed: listed.octets,
            due: then_delete,
            purpose,
        }));
    }

    fn text(&mut self, text: &mut Vec<u8>) {
        // On the wire, line ends are longer by one.
        let line_ends = memchr::memchr_iter(b'\n', text).count();
        let octets = (text.len() + line_ends) as u64;
        self.parcel.add_text(text);
        text.clear();
        if self.parcel.is_full() {
            self.send();
        }
        self.job.event(&Event::Received { octets });
    }

    fn pause(&mut self) {
        self.send();
    }

    fn end(&mut self, octets: u64) {
        let index = self.order[self.answered];
        let listed = self.survey.message(index).listed.octets;
        self.is_short = is_short(Some(octets), listed);
        let checks_size = self.checks_sizes && !self.is_alone(index);
        if checks_size && listed.is_some_and(|listed| listed != octets) {
            self.withheld.push(index);
            self.say(Item::Withhold);
        } else {
            self.say(Item::End { octets });
        }
        self.answer();
    }

    fn refused(&mut self, failure: Failure) {
        self.refused.push((self.order[self.answered], failure));
        self.answer();
    }

    fn probed(&mut self, probe: Probe, answer: Answer) -> bool {
        self.probes -= 1;
        let is_right = match (probe, answer) {
            (Probe::UniqueId(number), Answer::UniqueId(Some(uid))) => {
                self.survey.uid_of(number) == Some(&uid)
            }
            (_, Answer::Text(text)) => {
                let witness = self.witness.as_ref();
                witness.is_some_and(|witness| witness.is(text.peek()))
            }
            _ => false,
        };
        if is_right {
            self.confirm();
        }
        is_right
    }
}

/// What is said of a message after whose end there was more.
fn overrun(found: &Failure) -> Failure {
    let what =
        "text comes after its end, so that nothing of it can be relied on, and nothing is stored";
    Failure::new(Kind::Protocol, what)
        .because(found.to_string())
        .hint("The server breaks messages off at a line of one dot (RFC 1939, section 3). The message stays there, and is fetched again once a day. Read it by other means, and tell the provider.")
}
