//! `popfetch sync`: retrieve new mail, then apply the retention rule.

use std::sync::Arc;

use super::accounts::{self, Chosen};
use super::{Context, absence, after_new, signals};
use crate::cli;
use crate::config::Account;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::plan::Rules;
use crate::report::{self, Report};
use crate::secret::{self, Who};
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
    let mut reports = Vec::new();
    let mut shown = Ok(());
    for account in &accounts {
        let mut report = one(context, options, account, &interrupt);
        if !options.dry_run {
            absence::judge(account, context.environment, &mut report);
        }
        // What cannot be shown is no reason to leave the other accounts undone.
        shown = shown.and(context.ui.report(&report));
        reports.push(report);
        if interrupt.requested().is_some() {
            break;
        }
    }
    if interrupt.requested().is_none() {
        after_new::run(context, accounts.iter().zip(&reports), &interrupt);
    }
    if let Some(signal) = interrupt.requested() {
        signals::end_by(signal);
    }
    shown.map(|()| report::merge(&reports))
}

fn one(
    context: &Context<'_>,
    options: &cli::Sync,
    account: &Account,
    interrupt: &Interrupt,
) -> Report {
    let secret = || {
        let who = Who::from(account);
        context
            .ui
            .aside(|| secret::obtain(&account.secret, &who, context.environment))
    };
    sync::run(&Job {
        account,
        rules: Rules {
            retention: account.leave_on_server,
            all: options.all,
            limit: options.limit,
            max_size: options.max_size.map(|size| size.0),
        },
        dry_run: options.dry_run,
        environment: context.environment,
        monitor: context.ui.monitor(),
        interrupt,
        secret: &secret,
    })
}
