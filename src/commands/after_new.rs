//! `after_new`: what a person wants done once new mail is stored, such as indexing it.

use std::time::Duration;

use super::Context;
use crate::cancel::Interrupt;
use crate::config::Account;
use crate::error::{Failure, Kind, Result};
use crate::process::{self, Ending, Group, Input, Stderr, Terms};
use crate::report::Report;
use crate::text::Untrusted;

/// How long a command may take: indexing a mail store for the first time takes long.
const AFTER_NEW_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// A command, and what was stored in the accounts that name it.
struct Due<'a> {
    command: &'a str,
    messages: u64,
    accounts: Vec<String>,
}

/// Runs each command once, however many accounts name it, if something was stored in any of them; none
/// once a signal asked us to stop. What goes wrong is shown and changes nothing else.
pub(super) fn run<'a>(
    context: &Context<'_>,
    done: impl Iterator<Item = (&'a Account, &'a Report)>,
    interrupt: &Interrupt,
) {
    for due in due(done) {
        if interrupt.is_stopping() {
            return;
        }
        if let Err(failure) = one(context, &due, interrupt) {
            context.ui.failure(&failure);
        }
    }
}

fn due<'a>(done: impl Iterator<Item = (&'a Account, &'a Report)>) -> Vec<Due<'a>> {
    let mut list: Vec<Due<'a>> = Vec::new();
    for (account, report) in done.filter(|(_, report)| report.placed > 0) {
        let Some(command) = account.after_new.as_deref() else {
            continue;
        };
        let name = process::word(account.name.as_bytes());
        match list.iter_mut().find(|due| due.command == command) {
            Some(due) => {
                due.messages += report.placed;
                due.accounts.push(name);
            }
            None => list.push(Due {
                command,
                messages: report.placed,
                accounts: vec![name],
            }),
        }
    }
    list
}

fn one(context: &Context<'_>, due: &Due<'_>, interrupt: &Interrupt) -> Result<()> {
    let timeout = context
        .environment
        .wait("POPFETCH_TEST_AFTER_NEW_WAIT", AFTER_NEW_TIMEOUT);
    let mut shell = process::shell(due.command, context.environment);
    shell
        .env("POPFETCH_STORED", due.messages.to_string())
        .env("POPFETCH_ACCOUNTS", due.accounts.join(" "));
    let terms = Terms {
        input: Input::Empty,
        max_output: None,
        stderr: Stderr::Kept,
        group: Group::Own,
        timeout,
        token: interrupt.stop_token(),
    };
    let outcome = process::run(&mut shell, terms)?;
    for message in outcome.messages(due.command) {
        log::warn!("{message}");
    }
    let how = match outcome.ending {
        Ending::Exited(status) if status.success() => return Ok(()),
        Ending::Exited(status) => format!("failed ({status})"),
        Ending::TimedOut => format!(
            "did not end within {} minutes and was killed",
            timeout.as_secs() / 60
        ),
        Ending::Stopped | Ending::PrintedTooMuch => "was ended".to_owned(),
    };
    let shown = Untrusted(due.command.as_bytes());
    Err(
        Failure::new(Kind::Io, format!("after_new: \"{shown}\" {how}"))
            .hint("The mail is stored. The command runs again when the next new mail is."),
    )
}
