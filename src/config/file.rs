//! From the tables of a file to accounts that can be used: no unknown key, every value right for itself,
//! nothing missing, and no two accounts for one mailbox.

use std::collections::HashMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::account::{Account, Tls};
use super::diagnostic::Diagnostic;
use super::entry::{Directories, Result, table};
use super::error::Problem;
use super::nearest::{did_you_mean, nearest};
use super::{Overrides, keys};
use crate::text::Untrusted;

/// The tables of a file.
const TABLES: [&str; 2] = ["defaults", "accounts"];

/// The accounts of this file, in its order.
pub(super) fn accounts(
    file: &DeTable<'_>,
    directories: Directories<'_>,
    overrides: &Overrides,
) -> Result<Vec<Account>> {
    if let Some(key) = first_unknown(file, &TABLES) {
        return Err(unknown_table(key));
    }
    let defaults = match file.get("defaults") {
        Some(settings) => with_settings(Account::default(), settings, directories)?,
        None => Account::default(),
    };
    let mut accounts = Vec::new();
    if let Some(tables) = file.get("accounts") {
        for (name, settings) in
            in_order(table(tables, "a table for each account, [accounts.NAME]")?)
        {
            check_name(name)?;
            let account = with_settings(defaults.clone(), settings, directories)?;
            accounts.push((name.span(), complete(account, name, overrides)?));
        }
    }
    if accounts.is_empty() {
        return Err(Diagnostic::new(Problem::NoAccount));
    }
    one_account_a_mailbox(&accounts)?;
    Ok(accounts.into_iter().map(|(_, account)| account).collect())
}

/// The account, and over it what this table says.
fn with_settings(
    account: Account,
    settings: &Spanned<DeValue<'_>>,
    directories: Directories<'_>,
) -> Result<Account> {
    let settings = table(settings, "a table of settings")?;
    match first_unknown(settings, &keys::names()) {
        Some(key) => Err(unknown_setting(key)),
        None => keys::read(account, settings, directories),
    }
}

/// The entries of a table as they follow each other in the file.
fn in_order<'a>(
    table: &'a DeTable<'a>,
) -> Vec<(&'a Spanned<DeString<'a>>, &'a Spanned<DeValue<'a>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

fn first_unknown<'a>(table: &'a DeTable<'a>, known: &[&str]) -> Option<&'a Spanned<DeString<'a>>> {
    let mut keys = in_order(table).into_iter().map(|(key, _)| key);
    keys.find(|key| !known.contains(&key.get_ref().as_ref()))
}

/// What people write who expect a key for a password.
pub(super) const CLEAR_PASSWORD: [&str; 6] =
    ["password", "passwd", "passphrase", "pass", "pwd", "secret"];

/// Keys of other programs, and ours for the same.
const ALSO_CALLED: [(&str, &str); 12] = [
    ("username", "user"),
    ("login", "user"),
    ("hostname", "host"),
    ("server", "host"),
    ("ssl", "tls"),
    ("keep", "leave_on_server"),
    ("delete_after", "leave_on_server"),
    ("passwordeval", "password_command"),
    ("destination", "deliver"),
    ("maildir", "deliver"),
    ("mda", "deliver"),
    ("tls_trust_file", "ca_file"),
];

fn unknown_setting(key: &Spanned<DeString<'_>>) -> Diagnostic {
    let (span, key) = (key.span(), key.get_ref().as_ref());
    let shown = Untrusted(key.as_bytes()).to_string();
    let names = keys::names();
    let with_passwords = names.iter().copied().chain(CLEAR_PASSWORD);
    if nearest(key, with_passwords).is_some_and(|name| CLEAR_PASSWORD.contains(&name)) {
        let label = "a password is never written here";
        return Diagnostic::new(Problem::PasswordInClear(shown)).at(span, label);
    }
    let ours = ALSO_CALLED.iter().find(|(theirs, _)| *theirs == key);
    let label = match ours {
        Some((_, ours)) => format!("did you mean `{ours}`?"),
        None => did_you_mean(key, &names),
    };
    Diagnostic::new(Problem::UnknownKey(shown)).at(span, label)
}

/// A key outside of all tables, or a table that there is not.
fn unknown_table(key: &Spanned<DeString<'_>>) -> Diagnostic {
    let (span, key) = (key.span(), key.get_ref().as_ref());
    let label = if let Some(name) = nearest(key, TABLES) {
        format!("did you mean `{name}`?")
    } else if keys::names().contains(&key) {
        "this belongs below [accounts.NAME] or [defaults]".to_owned()
    } else {
        "an account is written [accounts.NAME]".to_owned()
    };
    let shown = Untrusted(key.as_bytes()).to_string();
    Diagnostic::new(Problem::UnknownKey(shown)).at(span, label)
}

fn check_name(name: &Spanned<DeString<'_>>) -> Result<()> {
    let label = if name.get_ref().trim().is_empty() {
        "the name is empty"
    } else if name.get_ref().chars().any(char::is_control) {
        "a name has no control characters"
    } else {
        return Ok(());
    };
    Err(Diagnostic::new(Problem::NoName).at(name.span(), label))
}

/// The account with its name and what the command line says, if nothing is missing then.
fn complete(
    account: Account,
    name: &Spanned<DeString<'_>>,
    overrides: &Overrides,
) -> Result<Account> {
    let mut account = account.overridden(overrides);
    name.get_ref().as_ref().clone_into(&mut account.name);
    for (is_missing, key, example) in [
        (account.server.host.is_empty(), "host", "pop.example.com"),
        (account.server.user.is_empty(), "user", "alice@example.com"),
        (account.deliver.is_empty(), "deliver", "maildir:~/Mail"),
    ] {
        if is_missing {
            let label = format!("this account has no `{key}`");
            return Err(
                Diagnostic::new(Problem::MissingKey { key, example }).at(name.span(), label)
            );
        }
    }
    let server = &mut account.server;
    if server.port == 0 {
        server.port = server.tls.default_port();
    }
    let has_certificate = server.client_certificate.is_some() && server.tls != Tls::None;
    if !server.auth.needs_secret() && !has_certificate {
        return Err(Diagnostic::new(Problem::ExternalWithoutCertificate)
            .at(name.span(), "this account lacks one of them"));
    }
    Ok(account)
}

/// Two accounts for one mailbox would share a journal and wait for each other's lock.
fn one_account_a_mailbox(accounts: &[(Range<usize>, Account)]) -> Result<()> {
    let mut seen = HashMap::new();
    for (span, account) in accounts {
        if let Some(first) = seen.insert(account.mailbox(), span) {
            return Err(Diagnostic::new(Problem::SameMailbox)
                .at(span.clone(), "this account has the same host and user")
                .at(first.clone(), "as this one"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_other_programs_lead_to_ours() {
        let names = keys::names();
        for (theirs, ours) in ALSO_CALLED {
            assert!(
                names.contains(&ours) && !names.contains(&theirs),
                "{theirs}: {ours}"
            );
        }
        for key in CLEAR_PASSWORD {
            assert!(!names.contains(&key), "{key}");
        }
    }
}
