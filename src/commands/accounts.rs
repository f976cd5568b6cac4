//! The accounts that a command works on.

use std::env;

use super::Context;
use crate::cancel::Interrupt;
use crate::cli;
use crate::config::{self, Account, Overrides, values};
use crate::deliver::Spec;
use crate::environment::{Environment, PASSWORD_VARIABLE};
use crate::error::{Failure, Kind, OrFail, Result};
use crate::secret::{self, AccountRef, Secret, SecretSource};
use crate::text::Untrusted;

/// The accounts of a run, and its environment, which knows the variables that hold passwords.
pub(super) struct Chosen {
    pub(super) accounts: Vec<Account>,
    pub(super) environment: Environment,
}

/// The accounts of `sync`: those that are named, all of the configuration, or the one of `--url`.
pub(super) fn of_sync(context: &Context<'_>, options: &cli::Sync) -> Result<Chosen> {
    let overrides = overrides(context, options)?;
    if let Some(url) = &options.url {
        let accounts = vec![config::one_off(
            url,
            secret_of_url(context, options),
            &overrides,
        )?];
        one_thing_on_standard_output(&accounts, options)?;
        return Ok(Chosen {
            accounts,
            environment: context.environment.clone(),
        });
    }
    let chosen = of_configuration(context, &options.accounts, &overrides)?;
    one_thing_on_standard_output(&chosen.accounts, options)?;
    Ok(chosen)
}

/// The accounts of the configuration that are named; with no name, all of them.
fn of_configuration(
    context: &Context<'_>,
    names: &[String],
    overrides: &Overrides,
) -> Result<Chosen> {
    let path = context.cli.config.as_deref();
    let config = config::load(path, context.environment, overrides)?;
    let variables = config
        .accounts
        .iter()
        .filter_map(|account| match &account.server.secret {
            SecretSource::Variable(name) => Some(name.clone()),
            _ => None,
        });
    let environment = context.environment.clone();
    Ok(Chosen {
        environment: environment.with_password_variables(variables),
        accounts: config.select(names)?,
    })
}

/// Standard output carries either mail or reports.
fn one_thing_on_standard_output(accounts: &[Account], options: &cli::Sync) -> Result<()> {
    let to_stdout = |account: &&Account| account.deliver.contains(&Spec::Stdout);
    match accounts.iter().find(to_stdout) {
        Some(account) if options.json && !options.dry_run => {
            let name = Untrusted(account.name.as_bytes());
            let what = format!("--json and the mail of {name} would both go to standard output");
            Err(Failure::new(Kind::Usage, what)
                .hint("Drop --json, or deliver elsewhere with --to."))
        }
        _ => Ok(()),
    }
}

/// The account with this name.
pub(super) fn named(context: &Context<'_>, name: &str) -> Result<Account> {
    Ok(one_named(context, name)?.0)
}

/// The same, with the environment.
pub(super) fn one_named(context: &Context<'_>, name: &str) -> Result<(Account, Environment)> {
    // Where its mail goes does not matter to a command that stores none.
    let overrides = Overrides {
        deliver: Some(Spec::Stdout),
        ..Overrides::default()
    };
    let Chosen {
        mut accounts,
        environment,
    } = of_configuration(context, &[name.to_owned()], &overrides)?;
    Ok((accounts.remove(0), environment))
}

/// The account's password, from where its configuration says that it is.
pub(super) fn secret(
    context: &Context<'_>,
    account: &Account,
    interrupt: &Interrupt,
) -> Result<Secret> {
    let owner = AccountRef::from(account);
    let token = interrupt.stop_token();
    let obtain = || {
        let obtained = secret::obtain(&account.server.secret, &owner, context.environment, token);
        Ok(obtained?)
    };
    match secret::may_ask(&account.server.secret) {
        true => context.ui.with_terminal(obtain),
        false => obtain(),
    }
}

fn overrides(context: &Context<'_>, options: &cli::Sync) -> Result<Overrides> {
    let here = env::current_dir().or_fail(Kind::Io, || "the current directory is gone")?;
    let home = &context.environment.home;
    let deliver = options.to.as_deref().map(|to| {
        // It is not repeated: a URL with a password may stand there by mistake.
        Spec::parse(to, home, &here).or_fail(Kind::Usage, || "what --to says cannot be used")
    });
    let leave_on_server = options.leave_on_server.as_deref().map(|rule| {
        values::retention(rule).or_fail(Kind::Usage, || {
            format!("--leave-on-server {rule} cannot be used")
        })
    });
    Ok(Overrides {
        deliver: deliver.transpose()?,
        leave_on_server: leave_on_server.transpose()?,
        ca_file: options.ca_file.as_ref().map(|file| here.join(file)),
    })
}

fn secret_of_url(context: &Context<'_>, options: &cli::Sync) -> SecretSource {
    if let Some(file) = &options.password_file {
        return SecretSource::File(file.clone());
    }
    if let Some(command) = &options.password_command {
        return SecretSource::Command(command.clone());
    }
    match context.environment.variable(PASSWORD_VARIABLE) {
        Some(_) => SecretSource::Variable(PASSWORD_VARIABLE.to_owned()),
        None => SecretSource::Keyring,
    }
}
