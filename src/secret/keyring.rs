//! The desktop's key ring: the Secret Service, over D-Bus.
//!
//! An entry's service is `popfetch` and its user name is the mailbox, named as its journal is: the
//! port only where it is not 110 or 995, so that a password stays known when TLS is switched on.

use std::sync::LazyLock;
use std::time::Duration;

use keyring::v1::{Entry, Error as KeyringError};
use zeroize::Zeroizing;

use super::blocking::BlockingCall;
use super::error::Result;
use super::{AccountRef, Error, Origin, Secret, usable};
use crate::cancel::CancelToken;
use crate::text::Untrusted;

/// The entries' service.
const SERVICE: &str = "popfetch";

/// The longest the key ring may take to say that it is there. A bus that accepts the connection and
/// then never answers would otherwise hold us up for ever.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest it may take for the rest: a person may have to unlock it in a dialog.
const UNLOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// Whether there is a key ring, asked once for all accounts.
static THERE: LazyLock<BlockingCall<Result<(), String>>> = LazyLock::new(|| {
    // Asked for by itself, since every later error says only that there is none.
    BlockingCall::start(|| Entry::store_status().as_ref().copied().map_err(in_words))
});

/// Whether there is one.
pub(super) fn check(_account: &AccountRef<'_>, token: &CancelToken) -> Result<()> {
    match THERE.result(ANSWER_TIMEOUT, token) {
        None => Err(no_answer("did not answer", ANSWER_TIMEOUT, token)),
        Some(Err(why)) => Err(Error::KeyRing(why.clone())),
        Some(Ok(())) => Ok(()),
    }
}

/// What it has for this mailbox.
pub(super) fn get(account: &AccountRef<'_>, token: &CancelToken) -> Result<Option<Secret>> {
    let found = ask(account, token, |entry| match entry.get_secret() {
        Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
        Err(KeyringError::NoEntry) => Ok(None),
        Err(error) => Err(error),
    })?;
    found
        .map(|bytes| usable(&bytes, || Origin::KeyRing))
        .transpose()
}

/// Puts it there, in place of what is there already.
pub(super) fn store(account: &AccountRef<'_>, secret: &Secret) -> Result<()> {
    let secret = Zeroizing::new(secret.expose().to_vec());
    ask(account, &CancelToken::new(), move |entry| {
        entry.set_secret(&secret)
    })
}

/// Removes what it has for this mailbox, were it more than one entry; says whether there was any.
pub(super) fn forget(account: &AccountRef<'_>) -> Result<bool> {
    ask(account, &CancelToken::new(), remove)
}

fn remove(entry: &Entry) -> Result<bool, KeyringError> {
    match entry.delete_credential() {
        Ok(()) => Ok(true),
        Err(KeyringError::NoEntry) => Ok(false),
        Err(KeyringError::Ambiguous(entries)) => {
            entries
                .iter()
                .try_for_each(|entry| entry.delete_credential())?;
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

fn ask<T: Send + 'static>(
    account: &AccountRef<'_>,
    token: &CancelToken,
    call: impl FnOnce(&Entry) -> Result<T, KeyringError> + Send + 'static,
) -> Result<T> {
    check(account, token)?;
    let name = entry_name(account);
    BlockingCall::start(move || call(&Entry::new(SERVICE, &name)?))
        .into_result(UNLOCK_TIMEOUT, token)
        .ok_or_else(|| no_answer("was not unlocked or did not answer", UNLOCK_TIMEOUT, token))?
        .map_err(|error| refused(&error, account))
}

fn no_answer(what: &'static str, limit: Duration, token: &CancelToken) -> Error {
    match token.is_cancelled() {
        true => Error::Cancelled("the key ring".to_owned()),
        false => Error::KeyRingTimedOut { what, limit },
    }
}

fn entry_name(account: &AccountRef<'_>) -> String {
    let host = account.host.to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    match account.port {
        110 | 995 => format!("{}@{host}", account.user),
        port => format!("{}@{host}:{port}", account.user),
    }
}

fn refused(error: &KeyringError, account: &AccountRef<'_>) -> Error {
    match error {
        KeyringError::Ambiguous(_) => {
            Error::SeveralEntries(Untrusted(account.name.as_bytes()).to_string())
        }
        error => Error::KeyRing(in_words(error)),
    }
}

/// What went wrong, without anything the entry contains.
fn in_words(error: &KeyringError) -> String {
    match error {
        KeyringError::NoStorageAccess(_) => "it is locked and was not unlocked".to_owned(),
        KeyringError::BadDataFormat(..) | KeyringError::BadEncoding(_) => {
            "its entry is damaged".to_owned()
        }
        KeyringError::PlatformFailure(cause) => Untrusted(cause.to_string().as_bytes()).to_string(),
        other => Untrusted(other.to_string().as_bytes()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::WORK;
    use super::*;

    #[test]
    fn an_entry_is_named_as_the_mailbox_is() {
        let named = |host, port| entry_name(&AccountRef { host, port, ..WORK });
        assert_eq!(named("Pop.Example.COM.", 995), "alice@pop.example.com");
        assert_eq!(named("pop.example.com", 110), "alice@pop.example.com");
        assert_eq!(named("pop.example.com", 1995), "alice@pop.example.com:1995");
    }

    #[test]
    fn errors_show_nothing_of_what_an_entry_contains() {
        let damaged = KeyringError::BadDataFormat(b"marker".to_vec(), "marker".into());
        for error in [damaged, KeyringError::BadEncoding(b"marker".to_vec())] {
            assert_eq!(in_words(&error), "its entry is damaged");
        }
    }

    #[test]
    fn several_entries_are_told_from_other_errors() {
        let error = refused(&KeyringError::Ambiguous(Vec::new()), &WORK);
        assert!(matches!(error, Error::SeveralEntries(account) if account == "work"));
    }
}
