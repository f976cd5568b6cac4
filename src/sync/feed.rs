//! The wire side of a transfer: asks for messages, passes on what comes, and makes sure that the answers are in step
//! with the commands.

use std::sync::mpsc;

use super::Job;
use super::blame::{InterruptedBy, Interruption, TransferError};
use super::headers::ReferenceMessage;
use super::parcel::{Incoming, Item, ParcelSender};
use super::probing::Probing;
use super::retry::is_nonsense;
use super::stop::StopFlag;
use super::survey::{Survey, Surveyed};
use crate::client::{Answer, Ask, Broken, Probe, Transaction, Wanted, Watcher};
use crate::error::Failure;
use crate::journal::{Fact, is_short};
use crate::mail::UniqueId;
use crate::monitor::{Event, Problem};
use crate::plan::{Action, ListingIndex};

/// A message to retrieve.
#[derive(Debug, Clone)]
pub(super) struct Retrieval {
    pub(super) index: ListingIndex,
    /// Nothing else may be on its way while it is.
    pub(super) is_alone: bool,
    /// The destinations that lack it, by the journal's numbers, where it is only fetched for these.
    pub(super) gaps: Vec<u32>,
}

/// Takes messages from the wire and passes them on.
pub(super) struct Feed<'a> {
    job: &'a Job<'a>,
    parcels: ParcelSender,
    stop: &'a StopFlag,
    survey: &'a Survey,
    /// A message whose size is not what LIST said is withheld.
    pub(super) checks_sizes: bool,
    /// What probes ask for where unique-ids do not serve.
    pub(super) reference: Option<ReferenceMessage>,
    probing: Probing,
    /// What is being fetched.
    order: Vec<Retrieval>,
    /// How many of those were asked for.
    asked: usize,
    /// How many of those were answered.
    answered: usize,
    /// Those that were answered since the last probe was.
    unconfirmed: Vec<ListingIndex>,
    /// Whether one of them came: a refusal alone leaves nothing in doubt.
    came: bool,
    /// What the server refused among those.
    refused: Vec<(ListingIndex, Failure)>,
    /// Messages that were withheld.
    withheld: Vec<Retrieval>,
    /// Less than half of what LIST says came of the last message.
    is_short: bool,
    /// Which messages the server began to send: it may count them as retrieved.
    begun: Vec<bool>,
    fetched: Fetched,
}

/// What came of the messages on the wire.
#[derive(Default)]
pub(super) struct Fetched {
    /// How many messages the server sent, each counted once.
    pub(super) sent: u64,
    /// What it refused to send, by the journal's ids.
    pub(super) refused: Vec<Option<UniqueId>>,
    /// Its sizes turned out to be wrong, or its pipelining to be broken.
    pub(super) learnt: Option<Fact>,
    /// All that was to be asked for was.
    pub(super) is_complete: bool,
    /// Why the session ended early.
    pub(super) error: Option<TransferError>,
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

impl<'a> Feed<'a> {
    /// Batches have at most so many messages.
    pub(super) fn new(
        job: &'a Job<'a>,
        parcels: ParcelSender,
        stop: &'a StopFlag,
        survey: &'a Survey,
        batch: usize,
    ) -> Self {
        Feed {
            job,
            parcels,
            stop,
            survey,
            checks_sizes: false,
            reference: None,
            probing: Probing::new(batch),
            order: Vec::new(),
            asked: 0,
            answered: 0,
            unconfirmed: Vec::new(),
            came: false,
            refused: Vec::new(),
            withheld: Vec::new(),
            is_short: false,
            begun: vec![false; survey.plan.steps.len()],
            fetched: Fetched::default(),
        }
    }

    /// Fetches these messages, as long as the run is not to stop. `verdict` says of each that was withheld and fetched
    /// again whether it was the same.
    pub(super) fn run(
        mut self,
        transaction: &mut Transaction,
        verdict: &mpsc::Receiver<bool>,
        retrievals: Vec<Retrieval>,
    ) -> Fetched {
        match self.fetch_all(transaction, verdict, retrievals) {
            Ok(learnt) => self.fetched.learnt = learnt,
            Err(error) => self.fetched.error = Some(error),
        }
        self.fetched.is_complete = self.asked == self.order.len() && self.withheld.is_empty();
        self.fetched
    }

    /// Fetches these messages. One whose size is not what LIST said may have got mixed up with its
    /// neighbours, where several were in flight: it is fetched once more, alone, and if it is the
    /// same then, this server's sizes are wrong; if it is not, its pipelining is broken. But where less than half
    /// of what LIST says came, that message is odd, and says nothing of the others.
    fn fetch_all(
        &mut self,
        transaction: &mut Transaction,
        verdict: &mpsc::Receiver<bool>,
        mut left: Vec<Retrieval>,
    ) -> Result<Option<Fact>, TransferError> {
        let mut learnt = None;
        loop {
            self.fetch(transaction, left)?;
            left = self.order.split_off(self.asked);
            let mut withheld = std::mem::take(&mut self.withheld).into_iter();
            if withheld.len() == 0 {
                return Ok(learnt);
            }
            let checked_sizes = std::mem::take(&mut self.checks_sizes);
            for retrieval in withheld.by_ref() {
                match self.fetch_alone(transaction, verdict, retrieval)? {
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
        retrieval: Retrieval,
    ) -> Result<Alone, TransferError> {
        let refused = self.fetched.refused.len();
        self.fetch(transaction, vec![retrieval])?;
        if self.asked == 0 {
            return Ok(Alone::Stopped);
        }
        if self.fetched.refused.len() > refused {
            return Ok(Alone::Unclear);
        }
        let is_same = verdict.recv().unwrap_or(false);
        Ok(if self.is_short {
            Alone::Unclear
        } else if is_same {
            Alone::Learnt(Fact::SizesWrong)
        } else {
            Alone::Learnt(Fact::PipeliningBroken)
        })
    }

    /// Fetches these messages, until no more are wanted.
    fn fetch(
        &mut self,
        transaction: &mut Transaction,
        order: Vec<Retrieval>,
    ) -> Result<(), TransferError> {
        self.order = order;
        (self.asked, self.answered) = (0, 0);
        self.probing.is_pipelining = transaction.is_pipelining();
        let retrieved = transaction.retrieve(self);
        self.send();
        retrieved.map_err(|broken| self.interrupted(broken))
    }

    /// What the end of the session says about single messages.
    fn interrupted(&self, broken: Broken) -> TransferError {
        let Broken {
            failure,
            due,
            overlong,
        } = broken;
        let due = match due {
            Some(Ask::Message(_)) => self.order.get(self.answered).map(|due| due.index),
            Some(Ask::Probe(_)) | None => None,
        };
        let cause = if overlong && due.is_some() {
            InterruptedBy::EndlessMessage
        } else if is_nonsense(&failure) {
            InterruptedBy::Nonsense
        } else {
            InterruptedBy::Other
        };
        let interruption = Interruption {
            due,
            unconfirmed: &self.unconfirmed,
            is_alone: self.last_asked().is_some_and(|last| last.is_alone),
            cause,
        };
        TransferError {
            blame: interruption.blame(),
            failure,
        }
    }

    fn last_asked(&self) -> Option<&Retrieval> {
        self.order.get(self.asked.checked_sub(1)?)
    }

    fn due(&self) -> Surveyed<'a> {
        self.survey.message(self.order[self.answered].index)
    }

    /// Whether the message to be asked for next, or the last one, is alone.
    fn is_alone(&self, upcoming: Option<&Retrieval>) -> bool {
        let mut both = upcoming.into_iter().chain(self.last_asked());
        both.any(|retrieval| retrieval.is_alone)
    }

    /// What only fills gaps where nothing can be stored any more is not asked for.
    fn skip_useless(&mut self) {
        let stop = self.stop;
        let is_useless = |retrieval: &Retrieval| stop.covers(&retrieval.gaps);
        if self.order.get(self.asked).is_some_and(is_useless) {
            let rest = self.order.split_off(self.asked).into_iter();
            self.order
                .extend(rest.filter(|retrieval| !is_useless(retrieval)));
        }
    }

    /// What to ask for next, unless the run is to stop.
    fn upcoming(&self) -> Option<&Retrieval> {
        let stops = self.stop.is_everything()
            || self.job.interrupt.is_stopping()
            || !self.withheld.is_empty();
        self.order.get(self.asked).filter(|_| !stops)
    }

    /// Whether nothing is on its way or in doubt.
    fn is_idle(&self) -> bool {
        let is_answered = self.asked == self.answered;
        is_answered && self.unconfirmed.is_empty() && self.probing.is_idle()
    }

    /// The next probe; none where nothing came that could be in doubt.
    fn probe(&mut self) -> Option<Probe> {
        self.probing.restart();
        if self.asked == self.answered && !self.came {
            self.confirm();
            return None;
        }
        self.probing.sent();
        if let Some(reference) = self.reference {
            return Some(reference.probe);
        }
        // No sender of mail shall know which id is asked for.
        let random = getrandom::u64().unwrap_or(0);
        let uid = self.survey.some_uid(random);
        uid.map(|(number, _)| Probe::UniqueId(number))
    }

    /// What came so far is what was asked for.
    fn confirm(&mut self) {
        // What a message that is asked for alone may end is not to cost what came before.
        let is_alone = self.is_alone(self.order.get(self.asked));
        let pauses = !self.probing.is_pipelining || is_alone;
        self.parcels.add(Item::Confirm { pauses });
        self.unconfirmed.clear();
        self.came = false;
        for (index, failure) in std::mem::take(&mut self.refused) {
            let message = self.survey.message(index);
            let problem = Problem::failed(message.octets(), message.failed(failure));
            self.job.event(&Event::MessageFailed(&problem));
            self.fetched.refused.push(problem.message.uid);
        }
    }

    /// The message that is due was answered.
    fn answer(&mut self) {
        self.unconfirmed.push(self.order[self.answered].index);
        self.answered += 1;
    }

    /// Sends what was added to the store thread. Where that is gone, its panic is what counts.
    fn send(&mut self) {
        if self.parcels.send().is_err() {
            self.stop.everything();
        }
    }
}

impl Watcher for Feed<'_> {
    fn next(&mut self) -> Option<Ask> {
        self.skip_useless();
        let survey = self.survey;
        let upcoming = self.upcoming();
        let is_alone = self.is_alone(upcoming);
        let upcoming = upcoming.map(|retrieval| survey.message(retrieval.index));
        let next = upcoming.map(|message| message.octets());
        if (self.probing.is_due(next) || is_alone && self.probing.is_due(None))
            && let Some(probe) = self.probe()
        {
            return Some(Ask::Probe(probe));
        }
        let message = upcoming?;
        if is_alone && !self.is_idle() {
            return None;
        }
        self.asked += 1;
        self.probing.add(message.octets());
        Some(Ask::Message(Wanted {
            number: message.listed.number,
            octets: message.listed.octets,
        }))
    }

    fn begin(&mut self) {
        let message = self.due();
        let begun = std::mem::replace(&mut self.begun[message.index.0], true);
        self.fetched.sent += u64::from(!begun);
        self.came = true;
        let Action::Retrieve {
            purpose,
            then_delete,
            ..
        } = message.step.action
        else {
            return; // Nothing else is asked for.
        };
        self.parcels.add(Item::Begin(Incoming {
            number: message.listed.number,
            key: message.key.cloned(),
            certain: message.certain,
            listed: message.listed.octets,
            due: then_delete,
            purpose,
        }));
    }

    fn text(&mut self, text: &mut Vec<u8>) {
        // On the wire, line ends are longer by one.
        let line_ends = memchr::memchr_iter(b'\n', text).count();
        let octets = (text.len() + line_ends) as u64;
        self.parcels.add_text(text);
        text.clear();
        if self.parcels.is_full() {
            self.send();
        }
        self.job.event(&Event::Received { octets });
    }

    fn pause(&mut self) {
        self.send();
    }

    fn end(&mut self, octets: u64) {
        let retrieval = &self.order[self.answered];
        let listed = self.survey.message(retrieval.index).listed.octets;
        self.is_short = is_short(Some(octets), listed);
        let checks_size = self.checks_sizes && !retrieval.is_alone;
        if checks_size && listed.is_some_and(|listed| listed != octets) {
            self.withheld.push(retrieval.clone());
            self.parcels.add(Item::Withhold);
        } else {
            self.parcels.add(Item::End { octets });
        }
        self.answer();
    }

    fn refused(&mut self, failure: Failure) {
        self.refused
            .push((self.order[self.answered].index, failure));
        self.answer();
    }

    fn probed(&mut self, probe: Probe, answer: Answer) -> bool {
        self.probing.answered();
        let is_right = match (probe, answer) {
            (Probe::UniqueId(number), Answer::UniqueId(Some(uid))) => {
                self.survey.uid_of(number) == Some(&uid)
            }
            (_, Answer::Text(text)) => {
                let reference = self.reference.as_ref();
                reference.is_some_and(|reference| reference.is(text.peek()))
            }
            _ => false,
        };
        if is_right {
            self.confirm();
        }
        is_right
    }
}
