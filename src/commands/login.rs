//! `popfetch login`: put a password into the key ring, proven by logging in.

use std::sync::Arc;

use super::{Context, accounts, signals};
use crate::cancel::Interrupt;
use crate::config::Account;
use crate::connecting::{Connecting, check_protection, needs_secret};
use crate::error::{Failure, Kind, Result};
use crate::net::TlsConnectors;
use crate::secret::{self, AccountRef, Secret, SecretSource};

/// Asks for the password, tries it, and keeps it if the server takes it.
pub(super) fn run(context: &Context<'_>, name: &str) -> Result<u8> {
    let account = accounts::named(context, name)?;
    wants_keyring(&account)?;
    check_protection(&account)?;
    let interrupt = Arc::new(Interrupt::default());
    signals::watch(&interrupt)?;
    let done = log_in(context, &account, &interrupt);
    if let (Err(_), Some(interrupted)) = (&done, interrupt.interrupted()) {
        signals::end_by(interrupted.signal);
    }
    done?;
    context.ui.done(format!(
        "The password of {name} works and is in the key ring."
    ));
    Ok(0)
}

fn log_in(context: &Context<'_>, account: &Account, interrupt: &Interrupt) -> Result<()> {
    let owner = AccountRef::from(account);
    let token = interrupt.stop_token();
    secret::check_keyring(&owner, token)?;
    let ask = || secret::obtain(&SecretSource::Prompt, &owner, context.environment, token);
    let secret = context.ui.with_terminal(ask)?;
    keep_if_it_works(context, account, &secret, interrupt)
}

/// An account that takes its password from elsewhere would never look into the key ring.
fn wants_keyring(account: &Account) -> Result<()> {
    if !needs_secret(account) {
        let message = format!("the account {} has no password", account.name);
        return Err(Failure::new(Kind::Config, message)
            .hint("With auth = \"external\" its certificate says who it is."));
    }
    if account.server.secret == SecretSource::Keyring {
        return Ok(());
    }
    let message = format!(
        "the password of account {} does not come from the key ring",
        account.name
    );
    Err(Failure::new(Kind::Config, message).hint(
        "Remove password_file, password_command or password_env from its configuration first.",
    ))
}

fn keep_if_it_works(
    context: &Context<'_>,
    account: &Account,
    secret: &Secret,
    interrupt: &Interrupt,
) -> Result<()> {
    let connectors = TlsConnectors::default();
    let connecting = Connecting::new(
        account,
        Some(secret),
        context.ui.monitor(),
        interrupt.abort_token(),
        &connectors,
    )?;
    let session = connecting.open()?;
    let kept = secret::store(&AccountRef::from(account), secret);
    // A farewell and no more: the password is proven, and there is nothing for the server to do.
    let _ = session.quit();
    Ok(kept?)
}
