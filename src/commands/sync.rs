//! `popfetch sync`: retrieve new mail, then apply the retention rule.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::SignedDuration;

use super::accounts::{self, Chosen};
use super::parallel::in_parallel;
use super::{Context, after_new, signals};
use crate::cancel::Interrupt;
use crate::cli;
use crate::config::Account;
use crate::environment::Environment;
use crate::error::{Failure, Result};
use crate::journal::Absence;
use crate::net::TlsConnectors;
use crate::plan::Rules;
use crate::report::{self, Report};
use crate::sync::{self, Job};

/// Synchronizes the accounts; a failure of one does not affect the others.
pub(super) fn run(context: &Context<'_>, options: &cli::Sync) -> Result<u8> {
    let Chosen {
        accounts,
        environment,
    } = accounts::of_sync(context, options)?;
    let context = &Context {
        environment: &environment,
        ..*context
    };
    let interrupt = Arc::new(Interrupt::default());
    signals::watch(&interrupt)?;
    let connectors = TlsConnectors::default();
    let (reports, unshown) = (Mutex::new(Vec::new()), Mutex::new(None));
    let work = |account: &Account| {
        let mut report = one(context, options, account, &interrupt, &connectors);
        if !options.dry_run {
            apply_quiet_temporary(account, context.environment, &mut report);
        }
        // The other accounts are synchronized even if this report cannot be shown.
        if let Err(failure) = context.ui.report(&report) {
            lock(&unshown).get_or_insert(failure);
        }
        lock(&reports).push(report);
    };
    in_parallel(&accounts, options.jobs, interrupt.stop_token(), work)?;
    let reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
    let report = |account: &Account| reports.iter().find(|done| done.account == account.name);
    let done = accounts
        .iter()
        .filter_map(|account| Some((account, report(account)?)));
    after_new::run(context, done, &interrupt);
    if let Some(interrupted) = interrupt.interrupted() {
        signals::end_by(interrupted.signal);
    }
    match lock(&unshown).take() {
        Some(failure) => Err(failure),
        None => Ok(report::merge(&reports)),
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn one(
    context: &Context<'_>,
    options: &cli::Sync,
    account: &Account,
    interrupt: &Interrupt,
    connectors: &TlsConnectors,
) -> Report {
    let secret = || accounts::secret(context, account, interrupt);
    sync::run(&Job {
        account,
        rules: Rules {
            retention: account.leave_on_server,
            limit: options.limit,
            max_size: options.max_size.map(|size| size.0),
            keeps: true,
        },
        all: options.all,
        dry_run: options.dry_run,
        environment: context.environment,
        monitor: context.ui.monitor(),
        interrupt,
        connectors,
        secret: &secret,
    })
}

/// `quiet_temporary`: decides whether the failure of a server that is unavailable is reported yet. The exit status
/// does not change.
fn apply_quiet_temporary(account: &Account, environment: &Environment, report: &mut Report) {
    let absence = Absence::of(&account.mailbox(), &environment.state_dir);
    let kind = report.failure.as_ref().map(Failure::kind);
    let limit = account.quiet_temporary;
    let Some(limit) = limit.filter(|_| kind.is_some_and(|kind| kind.may_pass())) else {
        absence.end();
        return;
    };
    let now = environment.now();
    // If the time cannot be remembered, the failure is reported at once.
    let Ok(since) = absence.since(now) else {
        return;
    };
    let limit = SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX);
    report.suppressed = now.duration_since(since) < limit;
    if !report.suppressed {
        let hint = format!("It has been like this since {since:.0}.");
        report.failure = report.failure.take().map(|failure| failure.hint(hint));
    }
}
