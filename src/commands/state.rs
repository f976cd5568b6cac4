//! `popfetch state`: correct what popfetch remembers.

use std::sync::Arc;

use super::{Context, accounts, signals};
use crate::cancel::Interrupt;
use crate::cli;
use crate::error::{Failure, Kind, Result};
use crate::net::TlsConnectors;
use crate::plan::Rules;
use crate::sync::{self, Job};

/// `mark-seen`: messages that are not to be retrieved. They stay on the server.
pub(super) fn mark_seen(context: &Context<'_>, options: &cli::MarkSeen) -> Result<u8> {
    if options.messages.is_empty() && !options.all {
        return Err(nothing_named(&options.account));
    }
    let (account, environment) = accounts::one_named(context, &options.account)?;
    let context = &Context {
        environment: &environment,
        ..*context
    };
    let interrupt = Arc::new(Interrupt::default());
    signals::watch(&interrupt)?;
    let job = Job {
        account: &account,
        rules: Rules {
            retention: account.leave_on_server,
            limit: None,
            max_size: None,
            keeps: true,
        },
        all: false,
        dry_run: false,
        environment: context.environment,
        monitor: context.ui.monitor(),
        interrupt: &interrupt,
        connectors: &TlsConnectors::default(),
        secret: &|| accounts::secret(context, &account, &interrupt),
    };
    let names = (!options.all).then_some(options.messages.as_slice());
    let marks = sync::mark_seen(&job, names);
    let shown = context.ui.marks(&marks);
    if let Some(interrupted) = interrupt.interrupted() {
        signals::end_by(interrupted.signal);
    }
    shown.map(|()| marks.status())
}

fn nothing_named(account: &str) -> Failure {
    let hint = format!(
        "Name messages by number or unique-id, or mark all that the server lists now: popfetch state mark-seen {account} --all"
    );
    Failure::new(Kind::Usage, "no message is named").hint(hint)
}
