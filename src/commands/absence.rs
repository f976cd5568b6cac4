//! `quiet_temporary`: a server that is briefly away is no news.

use jiff::SignedDuration;

use crate::config::Account;
use crate::environment::Environment;
use crate::error::Failure;
use crate::journal::Absence;
use crate::report::Report;

/// Decides whether what ended this account's run is worth telling. The exit status stays what it is.
pub(super) fn judge(account: &Account, environment: &Environment, report: &mut Report) {
    let absence = Absence::of(&account.mailbox(), &environment.state_dir);
    let away = report.failure.as_ref().map(Failure::kind);
    let (Some(limit), true) = (
        account.quiet_temporary,
        away.is_some_and(|kind| kind.may_pass()),
    ) else {
        absence.end();
        return;
    };
    let now = environment.now();
    // Where nothing can be remembered, nothing is kept silent.
    let Ok(since) = absence.since(now) else {
        return;
    };
    let limit = SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX);
    report.hushed = now.duration_since(since) < limit;
    if !report.hushed {
        let hint = format!("It has been like this since {since:.0}.");
        report.failure = report.failure.take().map(|failure| failure.hint(hint));
    }
}
