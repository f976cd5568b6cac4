//! `popfetch sync`: retrieve new mail, then apply the retention rule.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::accounts::{self, Chosen};
use super::parallel::in_parallel;
use super::{Context, absence, after_new, signals};
use crate::cancel::Interrupt;
use crate::cli;
use crate::config::Account;
use crate::error::Result;
use crate::net::TlsConnectors;
use crate::plan::Rules;
use crate::report::{self, Report};
use crate::sync::{self, Job};

/// Works through the accounts; what failed for one holds up no other.
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
            absence::judge(account, context.environment, &mut report);
        }
        // What cannot be shown is no reason to leave the other accounts undone.
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
