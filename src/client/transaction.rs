//! The open maildrop: TRANSACTION state, up to QUIT.

use std::collections::VecDeque;

use super::refusal::When;
use super::wire::{Heard, Listed, Wire};
use crate::crash;
use crate::error::{Failure, Kind, Result};
use crate::journal::Proof;
use crate::mail::{Number, UniqueId};
use crate::message::Hasher;
use crate::net::Awaited;
use crate::pop3::{
    Capabilities, Command, Listing, Sizes, Stat, Uids, Window, limits, merge, parse_size,
    parse_stat, parse_uid,
};

/// An open maildrop.
pub struct Transaction {
    wire: Wire,
    /// As announced before the login.
    capabilities: Option<Capabilities>,
    /// That was in an earlier session.
    presumes: bool,
    /// Whether TOP was announced after it; none where nothing was.
    top: Option<bool>,
    expires: bool,
    delays_logins: bool,
    /// What may be in flight. It keeps the size it has grown to: DELE gains by what RETR has shown.
    window: Window,
    /// Messages that came whole while other commands were in flight.
    in_step: usize,
    /// QUIT is on its way.
    quitting: bool,
}

/// A message to retrieve.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Its number in this session.
    pub number: Number,
    /// Its size by LIST.
    pub octets: Option<u64>,
}

/// What to ask for.
#[derive(Debug, Clone, Copy)]
pub enum Ask {
    /// A message.
    Message(Wanted),
    /// Whether the answers are in step with the commands.
    Probe(Probe),
}

/// Something to ask for whose answer no sender of mail can write. A message that a server does not stuff (RFC 1939
/// section 3) may go on after its end with what looks like further answers; where that happens, a probe gets a wrong one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// UIDL with a number: the id is the server's own.
    UniqueId(Number),
    /// The header of a message, as it was shown before: the trace in it is written by the systems on its way.
    Header(Number),
    /// The whole message, for servers that have neither.
    Message(Number),
}

/// What a probe got.
#[derive(Debug)]
pub enum Answer {
    /// A unique-id; none where the answer is about another message, or makes no sense.
    UniqueId(Option<UniqueId>),
    /// A header, or a whole message.
    Text(Box<Hasher>),
    /// The server refused it.
    Refused,
}

/// Takes messages as they come, in the order that it asked for them. One that asks for no message, only for
/// probes, leaves out what is about messages.
pub trait Watcher {
    /// What to ask for next; none where there is nothing for now. Asked again after each answer.
    fn next(&mut self) -> Option<Ask>;

    /// A message begins.
    fn begin(&mut self) {}

    /// More of its text: CRLF turned into LF, otherwise as the server sent it. Takes it out of the buffer.
    fn text(&mut self, text: &mut Vec<u8>) {
        text.clear();
    }

    /// It is complete, having taken so many octets with CRLF counted as two.
    fn end(&mut self, _octets: u64) {}

    /// All that came is taken in; we are about to wait for more.
    fn pause(&mut self) {}

    /// The server refused to send it.
    fn refused(&mut self, _failure: Failure) {}

    /// A probe got this. Whether that shows that the answers are in step, or may be; if not, the session ends.
    fn probed(&mut self, probe: Probe, answer: Answer) -> bool;
}

/// A retrieval that ended early.
#[derive(Debug)]
pub struct Broken {
    /// Why.
    pub failure: Failure,
    /// What was due.
    pub due: Option<Ask>,
    /// That message went on for longer than any message may.
    pub overlong: bool,
}

/// A deletion that ended the session.
#[derive(Debug)]
pub struct BrokenDeletion {
    /// Why.
    pub failure: Failure,
    /// Which of the messages was due, as an index of the proofs.
    pub due: usize,
    /// How many of them the server was asked to delete.
    pub sent: usize,
}

/// What of an answer came.
enum Came {
    /// A part of it; more follows.
    Part,
    /// The last of it.
    Whole,
    /// More than there may be.
    TooMuch,
}

impl Transaction {
    pub(super) fn new(wire: Wire, capabilities: Option<Capabilities>, presumes: bool) -> Self {
        let announced = |this: fn(&Capabilities) -> bool| capabilities.as_ref().is_some_and(this);
        Transaction {
            wire,
            expires: announced(Capabilities::expires_at_once),
            delays_logins: announced(Capabilities::delays_logins),
            capabilities,
            presumes,
            top: None,
            window: Window::new(false),
            in_step: 0,
            quitting: false,
        }
    }

    /// Whether the server may drop at QUIT what was retrieved (RFC 2449 section 6.7).
    #[must_use]
    pub fn expires_at_once(&self) -> bool {
        self.expires
    }

    /// Whether the server says that it wants a pause between two logins (RFC 2449 section 6.5).
    #[must_use]
    pub fn delays_logins(&self) -> bool {
        self.delays_logins
    }

    /// Whether commands are sent ahead of their answers.
    #[must_use]
    pub fn is_pipelining(&self) -> bool {
        self.window.is_wide()
    }

    /// Whether the server has TOP; none where it says nothing about it.
    #[must_use]
    pub fn offers_top(&self) -> Option<bool> {
        self.top
    }

    /// How many commands wait for their answers: after a failure, whether it may be pipelining that failed.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.wire.outstanding()
    }

    /// Whether the server has answered enough commands that were sent ahead, all in step, to show
    /// that it can.
    #[must_use]
    pub fn has_kept_in_step(&self) -> bool {
        self.in_step >= MIN_IN_STEP
    }

    /// From now on every command waits for the answer to the one before.
    pub fn stop_pipelining(&mut self) {
        self.window = Window::new(false);
    }

    /// Asks for the capabilities once more, and for STAT and UIDL: in one flight where the server
    /// promised before the login that it takes that, and `pipelining` allows it. With `sizes`, which
    /// are certain to be needed, LIST joins that flight. Where there is no UIDL, asks for LIST.
    ///
    /// # Errors
    ///
    /// The connection broke, the server refused STAT, or what it lists makes no sense; or what an earlier session
    /// knew of the server is wrong, so that another session has to begin by asking.
    pub fn list(&mut self, pipelining: bool, sizes: bool) -> Result<Listing> {
        let one_flight = pipelining && promises_pipelining(self.capabilities.as_ref());
        let commands = [Command::Capa, Command::Stat, Command::Uidl];
        let asked_for_sizes = one_flight && sizes;
        if one_flight {
            let list = asked_for_sizes.then_some(Command::List);
            commands
                .iter()
                .chain(&list)
                .try_for_each(|command| self.wire.put(command).map(drop))?;
            self.wire.flush()?;
        }
        let send = |wire: &mut Wire, command| {
            if one_flight {
                Ok(())
            } else {
                wire.send(command)
            }
        };
        send(&mut self.wire, &commands[0])?;
        let announced = self.wire.capabilities()?;
        // EXPIRE and LOGIN-DELAY count wherever they were announced; all else counts as it was
        // announced last.
        if let Some(announced) = &announced {
            self.expires |= announced.expires_at_once();
            self.delays_logins |= announced.delays_logins();
        }
        self.top = announced.as_ref().map(|announced| announced.top);
        let lacks_utf8 = self.lacks_utf8(announced.as_ref());
        self.window = Window::new(pipelining && promises_pipelining(announced.as_ref()));
        send(&mut self.wire, &commands[1])?;
        let stat = self.receive_stat()?;
        send(&mut self.wire, &commands[2])?;
        let mut uids = Uids::with_room(stat.messages);
        let awaited = Awaited::named("the answer to UIDL");
        let uids = match self.wire.listing(awaited, |entry| uids.add(entry))? {
            Listed::Whole => Some(uids),
            // A server that has UIDL and cannot answer just now must not pass for one without: its
            // messages would be taken for unknown.
            Listed::Refused(failure) if announced.is_some_and(|announced| announced.uidl) => {
                return Err(failure);
            }
            Listed::Refused(failure) if failure.kind() != Kind::Protocol => return Err(failure),
            Listed::Refused(_) => None,
        };
        if uids.is_none() && !asked_for_sizes {
            self.wire.send(&Command::List)?;
        }
        let sizes = if uids.is_none() || asked_for_sizes {
            self.receive_sizes()?
        } else {
            None
        };
        if one_flight {
            self.window.widen();
        }
        if lacks_utf8 {
            return Err(outdated(&self.wire.host()));
        }
        Ok(merge(Some(stat), uids, sizes))
    }

    /// Whether messages may come other than they are, since it was not known that UTF8 had to be asked for.
    fn lacks_utf8(&self, announced: Option<&Capabilities>) -> bool {
        let utf8 = |capabilities: Option<&Capabilities>| capabilities.is_some_and(|it| it.utf8);
        self.presumes && utf8(announced) && !utf8(self.capabilities.as_ref())
    }

    /// Asks for the sizes of the messages and adds them to a listing that has none.
    ///
    /// # Errors
    ///
    /// The connection broke, or what the server lists makes no sense. Where it refuses LIST, the
    /// sizes stay unknown.
    pub fn add_sizes(&mut self, listing: &mut Listing) -> Result<()> {
        self.wire.send(&Command::List)?;
        if let Some(sizes) = self.receive_sizes()? {
            listing.add_sizes(sizes);
        }
        Ok(())
    }

    /// The same, where only the sizes of these messages matter: those are asked for one by one if they are so
    /// few that it takes no longer. Servers may have to read every message to answer LIST for all.
    ///
    /// # Errors
    ///
    /// As [`Transaction::add_sizes`].
    pub fn add_sizes_of(&mut self, listing: &mut Listing, numbers: &[Number]) -> Result<()> {
        let few = if self.is_pipelining() {
            MAX_SINGLE_SIZES
        } else {
            1
        };
        if numbers.len() > few || numbers.len() * MIN_SHARE > listing.messages.len() {
            return self.add_sizes(listing);
        }
        for number in numbers {
            self.wire.put(&Command::ListOf(*number))?;
        }
        self.wire.flush()?;
        for number in numbers {
            let octets = self.receive_size(*number)?;
            listing.add_size(*number, octets);
        }
        Ok(())
    }

    fn receive_size(&mut self, number: Number) -> Result<Option<u64>> {
        let awaited = Awaited::numbered("the answer to LIST", number);
        let size = self.wire.reply(awaited, |said| {
            said.reply.is_ok().then(|| parse_size(said.reply.text))
        })?;
        match size.transpose() {
            Ok(Some((named, _))) if named != number => Err(self.wire.mismatched()),
            Ok(size) => Ok(size.and_then(|(_, octets)| octets)),
            Err(nonsense) => Err(self.wire.nonsense(&nonsense)),
        }
    }

    fn receive_stat(&mut self) -> Result<Stat> {
        let stat = self
            .wire
            .reply(Awaited::named("the answer to STAT"), |said| {
                said.accepted("STAT").map(|()| parse_stat(said.reply.text))
            })??;
        stat.map_err(|nonsense| self.wire.nonsense(&nonsense))
    }

    fn receive_sizes(&mut self) -> Result<Option<Sizes>> {
        let mut sizes = Sizes::new();
        let awaited = Awaited::named("the answer to LIST");
        match self.wire.listing(awaited, |entry| sizes.add(entry))? {
            Listed::Whole => Ok(Some(sizes)),
            Listed::Refused(_) => Ok(None),
        }
    }

    /// Asks for what the watcher wants, in that order, as much in flight as the window allows, until it wants
    /// nothing more.
    ///
    /// # Errors
    ///
    /// The connection broke, a message is longer than any may be, or the answers are not in step, so that the
    /// connection is of no use any more. What was due then is part of the error.
    pub fn retrieve(&mut self, watcher: &mut dyn Watcher) -> Result<(), Broken> {
        let mut flight = Flight::default();
        loop {
            match self.step(&mut flight, watcher) {
                Ok(_) if flight.asked.is_empty() => return Ok(()),
                Ok(Came::Whole) => {
                    self.in_step += usize::from(self.window.in_flight() > 1);
                    self.window.answered();
                    flight.answered();
                }
                Ok(Came::Part) => {}
                Ok(Came::TooMuch) => {
                    return Err(Broken {
                        failure: self.overlong(flight.message()),
                        due: flight.due(),
                        overlong: true,
                    });
                }
                Err(failure) => {
                    return Err(Broken {
                        failure,
                        due: flight.due(),
                        overlong: false,
                    });
                }
            }
        }
    }

    /// Fills the window, and takes the next piece of the answer that is due.
    fn step(&mut self, flight: &mut Flight, watcher: &mut dyn Watcher) -> Result<Came> {
        if self.window.wants_more() {
            self.send(flight, watcher)?;
        }
        let Some(due) = flight.due() else {
            return Ok(Came::Part);
        };
        if self.wire.is_drained() {
            watcher.pause();
        }
        match due {
            Ask::Message(wanted) => self.receive_message(wanted, watcher),
            Ask::Probe(Probe::UniqueId(number)) => self.receive_uid(number, watcher),
            Ask::Probe(probe) => self.receive_text(probe, &mut flight.text, watcher),
        }
    }

    /// Asks for what the watcher wants, as far as it fits into the window.
    fn send(&mut self, flight: &mut Flight, watcher: &mut dyn Watcher) -> Result<()> {
        let mut sent = false;
        // What there is no room for is not even asked about: the watcher may want something else by then.
        while self.window.fits(MAX_COMMAND, 0) {
            let Some(ask) = flight.waiting.take().or_else(|| watcher.next()) else {
                break;
            };
            let octets = ask.octets();
            if !self.window.fits(MAX_COMMAND, octets) {
                flight.waiting = Some(ask);
                break;
            }
            let bytes = self.wire.put(&ask.command())?;
            self.window.sent(bytes, octets);
            flight.asked.push_back(ask);
            sent = true;
        }
        if sent { self.wire.flush() } else { Ok(()) }
    }

    fn receive_message(&mut self, wanted: Wanted, watcher: &mut dyn Watcher) -> Result<Came> {
        let number = wanted.number;
        let most = limits::message(wanted.octets);
        let awaited = Awaited::numbered("the answer to RETR", number);
        let came = self.wire.receive(awaited, |heard| match heard {
            Heard::Said(said) if said.reply.is_ok() => {
                watcher.begin();
                Some(Came::Part)
            }
            Heard::Said(said) => {
                watcher.refused(said.failure(&format!("RETR {number}"), When::Command));
                Some(Came::Whole)
            }
            Heard::Text { octets, .. } if octets > most => Some(Came::TooMuch),
            Heard::Text { text, .. } => {
                watcher.text(text);
                Some(Came::Part)
            }
            Heard::EndOfMessage { octets } => {
                watcher.end(octets);
                Some(Came::Whole)
            }
            Heard::Entry(_) | Heard::EndOfListing => None,
        })?;
        came.ok_or_else(|| self.wire.mismatched())
    }

    fn receive_uid(&mut self, number: Number, watcher: &mut dyn Watcher) -> Result<Came> {
        let awaited = Awaited::numbered("the answer to UIDL", number);
        let answer = self.wire.reply(awaited, |said| {
            if !said.reply.is_ok() {
                return Answer::Refused;
            }
            let answer = parse_uid(said.reply.text).ok();
            let answer = answer.filter(|(named, _)| *named == number);
            Answer::UniqueId(answer.and_then(|(_, uid)| uid))
        })?;
        self.check(Probe::UniqueId(number), answer, watcher)
    }

    /// Takes the next piece of a header, or of a message that is only looked at.
    fn receive_text(
        &mut self,
        probe: Probe,
        text_so_far: &mut Box<Hasher>,
        watcher: &mut dyn Watcher,
    ) -> Result<Came> {
        let awaited = match probe {
            Probe::Message(number) => Awaited::numbered("the answer to RETR", number),
            Probe::Header(number) | Probe::UniqueId(number) => {
                Awaited::numbered("the answer to TOP", number)
            }
        };
        let heard = self.wire.receive(awaited, |heard| match heard {
            Heard::Said(said) if said.reply.is_ok() => Some((Came::Part, None)),
            Heard::Said(_) => Some((Came::Whole, Some(Answer::Refused))),
            Heard::Text { octets, .. } if octets > limits::MESSAGE_UNLISTED => {
                Some((Came::TooMuch, None))
            }
            Heard::Text { text, .. } => {
                text_so_far.update(text);
                text.clear();
                Some((Came::Part, None))
            }
            Heard::EndOfMessage { .. } => {
                let text = std::mem::take(text_so_far);
                Some((Came::Whole, Some(Answer::Text(text))))
            }
            Heard::Entry(_) | Heard::EndOfListing => None,
        })?;
        match heard {
            None => Err(self.wire.mismatched()),
            Some((_, Some(answer))) => self.check(probe, answer, watcher),
            Some((came, None)) => Ok(came),
        }
    }

    fn check(&self, probe: Probe, answer: Answer, watcher: &mut dyn Watcher) -> Result<Came> {
        if watcher.probed(probe, answer) {
            Ok(Came::Whole)
        } else {
            Err(self.wire.mismatched())
        }
    }

    fn overlong(&self, wanted: Option<Wanted>) -> Failure {
        let Some(Wanted { number, octets }) = wanted else {
            return self.wire.mismatched();
        };
        let most = limits::message(octets);
        let expected = match octets {
            Some(octets) => format!("LIST says {octets}"),
            None => "LIST says nothing of its size".to_owned(),
        };
        let host = self.wire.host();
        let message =
            format!("{host} sent more than {most} octets of message {number}; {expected}");
        Failure::new(Kind::Data, message).hint("The message stays on the server and is asked for last from now on. Look at it there, or inform the server's provider.")
    }

    /// Marks messages as deleted, the last thing before [`Transaction::quit`]. The only place that sends DELE,
    /// and it wants a proof for each. Where commands go ahead of their answers, QUIT follows in the same
    /// flight: a refused DELE changes nothing about the others. Returns those that the server refused, with the
    /// reason.
    ///
    /// # Errors
    ///
    /// The connection broke, or an answer makes no sense: what was marked may be deleted or not, since QUIT may have
    /// come through. Which deletion was due then is part of the error.
    pub fn delete(&mut self, proofs: &[Proof]) -> Result<Vec<(usize, Failure)>, BrokenDeletion> {
        let mut sent = 0;
        let mut refused = Vec::new();
        for (index, proof) in proofs.iter().enumerate() {
            let broken = |failure, sent| BrokenDeletion {
                failure,
                due: index,
                sent,
            };
            if sent < proofs.len() && self.window.wants_more() {
                let more = self.send_deletions(&proofs[sent..]);
                sent += more.map_err(|failure| broken(failure, sent))?;
            }
            let awaited = Awaited::numbered("the answer to DELE", proof.number());
            let command = format!("DELE {}", proof.number());
            let answer = self.wire.reply(awaited, |said| said.accepted(&command));
            let answer = answer.map_err(|failure| broken(failure, sent))?;
            self.window.answered();
            refused.extend(answer.err().map(|failure| (index, failure)));
        }
        Ok(refused)
    }

    fn send_deletions(&mut self, proofs: &[Proof]) -> Result<usize> {
        let mut count = 0;
        for proof in proofs {
            if !self.window.fits(MAX_COMMAND, 0) {
                break;
            }
            let bytes = self.wire.put(&Command::Dele(proof.number()))?;
            self.window.sent(bytes, 0);
            count += 1;
        }
        if count == proofs.len() && self.window.fits(QUIT_COMMAND, 0) {
            self.wire.put(&Command::Quit)?;
            self.quitting = true;
        }
        if count > 0 {
            self.wire.flush()?;
        }
        Ok(count)
    }

    /// Ends the session; the server deletes what was marked (RFC 1939 section 6).
    ///
    /// # Errors
    ///
    /// The server did not confirm it: what was marked may be deleted or not, wholly or in part.
    pub fn quit(mut self) -> Result<()> {
        if !self.quitting {
            self.wire.send(&Command::Quit)?;
        }
        crash::point("QUIT: sent, not answered");
        let answer = self
            .wire
            .reply(Awaited::named("the answer to QUIT"), |said| {
                said.accepted("QUIT")
            })?;
        self.wire.close();
        answer
    }

    /// Ends the connection without QUIT: the server deletes nothing.
    pub fn close(self) {
        self.wire.close();
    }
}

/// Messages that came in step, after which a server is trusted to take commands ahead.
const MIN_IN_STEP: usize = 32;

/// This many sizes are asked for one by one where commands go ahead of their answers: they fit into any
/// kernel's buffers.
const MAX_SINGLE_SIZES: usize = 32;

/// And only where all messages are at least this many times more.
const MIN_SHARE: usize = 4;

/// The longest command that is sent ahead, in bytes: `TOP 1000000 0` and CRLF.
const MAX_COMMAND: usize = 15;

/// QUIT and CRLF.
const QUIT_COMMAND: usize = 6;

/// What is on its way.
#[derive(Default)]
struct Flight {
    /// What was asked for, in that order.
    asked: VecDeque<Ask>,
    /// What does not fit into the window yet.
    waiting: Option<Ask>,
    /// The text of a probe, as far as it has come.
    text: Box<Hasher>,
}

impl Flight {
    fn due(&self) -> Option<Ask> {
        self.asked.front().copied()
    }

    /// The message that is due, if it is one.
    fn message(&self) -> Option<Wanted> {
        match self.due() {
            Some(Ask::Message(wanted)) => Some(wanted),
            _ => None,
        }
    }

    fn answered(&mut self) {
        self.asked.pop_front();
    }
}

impl Ask {
    fn command(&self) -> Command<'static> {
        match *self {
            Ask::Message(Wanted { number, .. }) | Ask::Probe(Probe::Message(number)) => {
                Command::Retr(number)
            }
            Ask::Probe(Probe::UniqueId(number)) => Command::UidlOf(number),
            Ask::Probe(Probe::Header(number)) => Command::Top(number),
        }
    }

    /// How many octets it will bring, as far as that is known.
    fn octets(&self) -> u64 {
        match self {
            Ask::Message(wanted) => wanted.octets.unwrap_or(0),
            Ask::Probe(_) => 0,
        }
    }
}

/// The failure that this session began with what is not true any more. Another one begins by asking.
fn outdated(host: &str) -> Failure {
    let message = format!("{host} announces UTF8 now, which has to be asked for before the login");
    Failure::new(Kind::Unreachable, message)
}

fn promises_pipelining(capabilities: Option<&Capabilities>) -> bool {
    capabilities.is_some_and(|capabilities| capabilities.pipelining)
}
