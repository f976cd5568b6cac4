//! Carries a plan out, for one account.
//!
//! What must hold, whatever happens between any two lines here:
//!
//! 1. DELE is sent only with a [`crate::journal::Proof`]: the message is stored durably in every
//!    destination of the run that it is owed (where none of these has it, in the account's other ones), and the
//!    journal's record of that is durable.
//! 2. Only CRLF.CRLF ends a message; whatever else ends it, nothing of it is stored.
//! 3. A deletion is a fact only after QUIT was answered `+OK`.
//! 4. Absence from a listing proves nothing.
//! 5. A message stored earlier is deleted only when its unique-id is listed once, with the size that was
//!    listed then, and its header (TOP) is the stored one's; else it is fetched and compared. What makes it the same
//!    is its body and its Message-ID, Date, From and Subject.
//! 6. A message that is known by its content alone is not stored again: its id is new (the server has
//!    renumbered its maildrop), or it was deleted and is listed again (from a backup, or because deletions do
//!    not last there). It is deleted only after it was fetched and compared in the same session, and after its
//!    copies were found, durable, where they were stored.
//! 7. Where the server may drop what was retrieved (EXPIRE 0), QUIT is sent only if all that was
//!    asked for is stored durably.
//! 8. Every way out leaves the journal true.
//! 9. Nothing of a batch is *stored* before an answer came in step after it that no sender of mail can write: a
//!    message may go on after its end with what looks like the next answers.
//! 10. A message after whose end there is more is not stored. One of which less than half of LIST came is stored, and
//!     never deleted.
//! 11. A destination that mail was stored in, and that is gone, takes none and costs none.
//!
//! A batch of messages is stored in six steps, each durable before the next begins:
//!
//! ```text
//! write    into a private place            deliver   begin, write, finish
//! sync     the data                        deliver   prepare
//! intend   where each will be              journal   commit
//! place    rename or append                deliver   commit
//! record   that it is there                journal   append, durable with the next commit
//! DELE     then QUIT                       client    delete, quit
//! ```
//!
//! Where what is:
//!
//! ```text
//! account_run      sessions, until nothing more comes          rules: retry, further
//! └ session        one connection: survey, transfer, delete
//!   ├ surveyor     asks for what the plan depends on           survey, identify, headers
//!   ├ transfer     two threads
//!   │ ├ feed       asks for messages, passes on what comes     rules: probing, blame
//!   │ ╎ parcel     from one thread to the other
//!   │ └ store      what a message is, where it goes            recognition, without_uids, delivery, batch
//!   ├ lessons      what a transfer that ended early means
//!   └ deletion     proofs, DELE, QUIT
//! recovery, presence, copies: looking into destinations; announce: what a person learns of a maildrop
//! ```

mod account_run;
mod announce;
mod batch;
mod blame;
mod copies;
mod deletion;
mod delivery;
mod feed;
mod further;
mod headers;
mod identify;
mod lessons;
mod mark;
mod parcel;
mod presence;
mod probing;
mod recognition;
mod recovery;
mod retry;
mod session;
mod stop;
mod store;
mod survey;
mod surveyor;
mod transfer;
mod without_uids;

use std::collections::HashSet;
use std::time::Instant;

use account_run::AccountRun;
use batch::Slot;
use retry::ServerQuirks;
use surveyor::Surveyor;

pub use mark::mark_seen;

use crate::cancel::Interrupt;
use crate::config::{Account, Tls};
use crate::connecting::{Announced, Connecting, check_protection, needs_secret};
use crate::deliver::{self, Spec};
use crate::environment::Environment;
use crate::error::{Failure, Result};
use crate::journal::{Destinations, Journal, Memory};
use crate::monitor::{Event, Monitor, Phases};
use crate::net::TlsConnectors;
use crate::plan::Rules;
use crate::pop3::login::LastLogin;
use crate::report::{PlanLine, Recorder, Report};
use crate::secret::Secret;

/// One account's part of a run.
pub struct Job<'a> {
    /// The account.
    pub account: &'a Account,
    /// What decides about single messages.
    pub rules: Rules,
    /// Everything is stored, also what was stored before.
    pub all: bool,
    /// Says what would happen, and changes nothing.
    pub dry_run: bool,
    /// The machine.
    pub environment: &'a Environment,
    /// What is reported to while the work goes on.
    pub monitor: &'a dyn Monitor,
    /// A signal's request to stop.
    pub interrupt: &'a Interrupt,
    /// What opens TLS connections, for all accounts.
    pub connectors: &'a TlsConnectors,
    /// Where the password comes from; asked once, and not before it is needed.
    pub secret: &'a (dyn Fn() -> Result<Secret> + Sync),
}

/// Does the job and reports what came of it, also where it failed.
#[must_use]
pub fn run(job: &Job<'_>) -> Report {
    let began = Instant::now();
    let Account { name, server, .. } = job.account;
    let report = Report::new(name, &server.host, &server.user, job.environment.now());
    let recorder = Recorder::new(report, job.monitor);
    let mut plan = None;
    let recorded = &Job {
        rules: job.rules.clone(),
        monitor: &recorder,
        ..*job
    };
    let done = recorded.with_connection(|connecting| {
        if job.dry_run {
            dry_run(recorded, connecting, &mut plan)
        } else {
            carry_out(recorded, connecting)
        }
    });
    let mut report = recorder.finish();
    report.plan = plan;
    if let Err(failure) = done {
        report.failure = Some(job.interrupt.interrupted().map_or(failure, Failure::from));
    }
    report.duration = began.elapsed();
    report
}

/// Retrieves, stores and deletes.
fn carry_out(job: &Job<'_>, connecting: Connecting<'_>) -> Result<()> {
    let mailbox = job.account.mailbox();
    let claim = Journal::claim(&job.environment.state_dir, &mailbox)?;
    let mut journal = beside(&connecting, || claim.open())?;
    job.warn_of_damage(&journal);
    let mut slots = open_all(job, |name| journal.destination(name))?;
    let rules = presence::check(job, &mut slots, journal.memory())?;
    job.remember_login(&connecting, journal.memory());
    job.presume_capabilities(&connecting, journal.memory());
    AccountRun::new(job, connecting, slots, journal, rules).run()
}

/// Says what [`carry_out`] would do.
fn dry_run(
    job: &Job<'_>,
    connecting: Connecting<'_>,
    plan: &mut Option<Vec<PlanLine>>,
) -> Result<()> {
    let mailbox = job.account.mailbox();
    let peek = || Journal::peek(&job.environment.state_dir, &mailbox);
    let mut memory = beside(&connecting, peek)?;
    let mut slots = open_all(job, |name| Ok(memory.number_destination(name)))?;
    let rules = presence::check(job, &mut slots, &memory)?;
    job.remember_login(&connecting, &memory);
    recovery::foresee(&mut slots, &mut memory, job.environment.now())?;
    let mut transaction = connecting.open()?;
    let surveyor = Surveyor {
        job,
        transaction: &mut transaction,
        destinations: &mut slots,
        memory: &memory,
        rules: &rules,
        quirks: ServerQuirks::new(&memory),
        stored_again: &HashSet::new(),
    };
    let survey = surveyor.survey().map_err(|error| error.failure)?;
    for warning in announce::warnings(&survey, &rules) {
        job.warn(&warning);
    }
    let problems = survey.messages().filter_map(announce::untried).collect();
    job.event(&announce::planned(&survey, problems));
    let lines = survey
        .messages()
        .map(|message| PlanLine::new(message.listed, message.step));
    *plan = Some(lines.collect());
    transaction.quit()?;
    if let Some(failure) = slots.iter().find_map(|slot| slot.failure.clone()) {
        return Err(failure);
    }
    // A run looks at its destinations only where it has something to store.
    if survey.plan.retrievals().is_empty() {
        return Ok(());
    }
    slots.iter().try_for_each(|slot| slot.destination.check())
}

/// Reads what is remembered while the server is reached: a long journal takes about as long as that.
fn beside<T: Send>(
    connecting: &Connecting<'_>,
    read: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    std::thread::scope(|scope| {
        let reading = scope.spawn(read);
        connecting.begin();
        reading
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl Job<'_> {
    /// Does this with what it takes to connect, once it is certain that the password may be sent.
    fn with_connection<T>(&self, work: impl FnOnce(Connecting<'_>) -> Result<T>) -> Result<T> {
        let Job {
            account,
            monitor,
            interrupt,
            connectors,
            ..
        } = self;
        check_protection(account)?;
        let secret = needs_secret(account).then(self.secret).transpose()?;
        let connecting = Connecting::new(
            account,
            secret.as_ref(),
            *monitor,
            interrupt.abort_token(),
            connectors,
        )?;
        work(connecting)
    }

    /// Begins with how to log in worked the last time on such a connection.
    fn remember_login(&self, connecting: &Connecting<'_>, memory: &Memory) {
        let worked = memory
            .login(self.over_tls())
            .and_then(|text| text.parse::<LastLogin>().ok());
        if let Some(worked) = worked {
            connecting.remember(worked);
        }
    }

    /// Begins with what the server announced the last time. Not in a dry run, which cannot correct what is wrong in it.
    fn presume_capabilities(&self, connecting: &Connecting<'_>, memory: &Memory) {
        if let Some((connection, capabilities)) = memory.announced(self.environment.now()) {
            connecting.presume(Announced {
                connection: connection.to_owned(),
                capabilities: capabilities.to_owned(),
            });
        }
    }

    /// The account's destinations, as far as the journal has numbers for them.
    fn destinations(&self, slots: &[Slot], memory: &Memory) -> Destinations {
        let here = batch::numbers(slots);
        let elsewhere = self.account.deliver_otherwise.iter();
        let elsewhere = elsewhere.filter_map(|spec| memory.destination(&spec.to_string()));
        Destinations {
            elsewhere: elsewhere.filter(|id| !here.contains(id)).collect(),
            here,
        }
    }

    /// What its destinations have to know of the account.
    fn settings(&self) -> deliver::Settings<'_> {
        deliver::Settings {
            account: &self.account.name,
            pipe_jobs: self.account.pipe_jobs,
        }
    }

    fn over_tls(&self) -> bool {
        self.account.server.tls != Tls::None
    }

    fn warn_of_damage(&self, journal: &Journal) {
        for damage in journal.corrupt_lines() {
            self.warn(&damage.to_string());
        }
    }

    fn close(&self, journal: Journal) {
        if let Err(failure) = journal.close() {
            self.warn(&failure.to_string());
        }
    }

    fn event(&self, event: &Event<'_>) {
        self.monitor.event(&self.account.name, event);
    }

    fn phases(&self) -> Phases<'_> {
        Phases::new(&self.account.name, self.monitor)
    }

    fn warn(&self, warning: &str) {
        self.event(&Event::Warning(warning));
    }
}

/// The destinations of this run, each with the number that the journal gives it. Those that cannot be looked into
/// after a crash come last: the less can fail after them the better. The others have an order that
/// is the same for every account: two that lock the same files never wait for each other.
fn open_all(job: &Job<'_>, mut number: impl FnMut(&str) -> Result<u32>) -> Result<Vec<Slot>> {
    let mut specs: Vec<&Spec> = job.account.deliver.iter().collect();
    specs.sort_by_key(|spec| (!spec.can_be_looked_into(), spec.to_string()));
    for spec in &job.account.deliver_otherwise {
        number(&spec.to_string())?;
    }
    let mut slots = Vec::new();
    for spec in specs {
        let id = number(&spec.to_string())?;
        let destination = spec.open(&job.settings(), job.environment);
        slots.push(Slot::new(id, destination));
    }
    Ok(slots)
}
