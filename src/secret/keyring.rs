//! The desktop's key ring: the Secret Service, over D-Bus.
//!
//! An entry's service is `popfetch` and its user name is the mailbox, named as its journal is: the
//! port only where it is not 110 or 995, so that a password stays known when TLS is switched on.

use std::sync::LazyLock;
use std::time::Duration;

use keyring::v1::{Entry, Error};
use zeroize::Zeroizing;

use super::question::Question;
use super::{Secret, WITHOUT_A_KEY_RING, Who, stopped, unusable};
use crate::cancel::CancelToken;
use crate::error::{Failure, Kind, Result};
use crate::text::Untrusted;

/// The entries' service.
const SERVICE: &str = "popfetch";

/// The longest the key ring may take to say that it is there. A bus that accepts the connection and
/// then never answers would otherwise hold us up for ever.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The longest it may take for the rest: a person may have to unlock it in a dialog.
const UNLOCK_LIMIT: Duration = Duration::from_secs(60);

/// Whether there is a key ring, asked once: whoever asks while the answer is awaited shares the wait.
static THERE: LazyLock<Question<Result<(), String>>> = LazyLock::new(|| {
    // Asked for by itself, since every later error says only that there is none.
    Question::ask(|| Entry::store_status().as_ref().copied().map_err(in_words))
});

/// Whether there is one.
pub(super) fn check(_who: &Who<'_>, token: &CancelToken) -> Result<()> {
    match THERE.answer(ANSWER_LIMIT, token) {
        None if token.is_cancelled() => Err(stopped("the key ring")),
        None => Err(silent("did not answer", ANSWER_LIMIT)),
        Some(Err(why)) => Err(unavailable().because(why.clone())),
        Some(Ok(())) => Ok(()),
    }
}

/// What it has for this mailbox.
pub(super) fn get(who: &Who<'_>, token: &CancelToken) -> Result<Option<Secret>> {
    let found = ask(who, token, |entry| match entry.get_secret() {
        Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
        Err(Error::NoEntry) => Ok(None),
        Err(error) => Err(error),
    })?;
    found
        .map(|bytes| Secret::new(&bytes).map_err(|why| unusable("the key ring", why)))
        .transpose()
}

/// Puts it there, in place of what is there already.
pub(super) fn store(who: &Who<'_>, secret: &Secret) -> Result<()> {
    let secret = Zeroizing::new(secret.expose().to_vec());
    ask(who, &CancelToken::new(), move |entry| {
        entry.set_secret(&secret)
    })
}

/// Removes what it has for this mailbox, were it more than one entry; says whether there was any.
pub(super) fn forget(who: &Who<'_>) -> Result<bool> {
    ask(who, &CancelToken::new(), |entry| {
        match entry.delete_credential() {
            Ok(()) => Ok(true),
            Err(Error::NoEntry) => Ok(false),
            Err(Error::Ambiguous(entries)) => {
                entries
                    .iter()
                    .try_for_each(|entry| entry.delete_credential())?;
                Ok(true)
            }
            Err(error) => Err(error),
        }
    })
}

fn ask<T: Send + 'static>(
    who: &Who<'_>,
    token: &CancelToken,
    question: impl FnOnce(&Entry) -> Result<T, Error> + Send + 'static,
) -> Result<T> {
    check(who, token)?;
    let name = entry_name(who);
    Question::ask(move || question(&Entry::new(SERVICE, &name)?))
        .into_answer(UNLOCK_LIMIT, token)
        .ok_or_else(|| match token.is_cancelled() {
            true => stopped("the key ring"),
            false => silent("was not unlocked or did not answer", UNLOCK_LIMIT),
        })?
        .map_err(|error| refused(&error, who))
}

fn entry_name(who: &Who<'_>) -> String {
    let host = who.host.to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    match who.port {
        110 | 995 => format!("{}@{host}", who.user),
        port => format!("{}@{host}:{port}", who.user),
    }
}

/// What went wrong, without anything the entry contains, and causes already told.
fn in_words(error: &Error) -> String {
    match error {
        Error::NoStorageAccess(_) => "it is locked and was not unlocked".to_owned(),
        Error::Ambiguous(_) => "it has several entries for this mailbox".to_owned(),
        Error::BadDataFormat(..) | Error::BadEncoding(_) => "its entry is damaged".to_owned(),
        Error::PlatformFailure(cause) => Untrusted(cause.to_string().as_bytes()).to_string(),
        other => Untrusted(other.to_string().as_bytes()).to_string(),
    }
}

fn refused(error: &Error, who: &Who<'_>) -> Failure {
    let account = Untrusted(who.account.as_bytes());
    let failure = unavailable().because(in_words(error));
    match error {
        Error::Ambiguous(_) => failure.hint(format!(
            "To remove them all, run: popfetch logout '{account}'"
        )),
        _ => failure,
    }
}

fn unavailable() -> Failure {
    Failure::new(Kind::Config, "the key ring cannot be used").hint(WITHOUT_A_KEY_RING)
}

fn silent(what: &str, limit: Duration) -> Failure {
    let seconds = limit.as_secs();
    Failure::new(
        Kind::Config,
        format!("the key ring {what} within {seconds} seconds"),
    )
    .hint(WITHOUT_A_KEY_RING)
}

#[cfg(test)]
mod tests {
    use super::super::tests::WHO;
    use super::*;

    #[test]
    fn an_entry_is_named_as_the_mailbox_is() {
        let named = |host, port| entry_name(&Who { host, port, ..WHO });
        assert_eq!(named("Pop.Example.COM.", 995), "alice@pop.example.com");
        assert_eq!(named("pop.example.com", 110), "alice@pop.example.com");
        assert_eq!(named("pop.example.com", 1995), "alice@pop.example.com:1995");
    }

    #[test]
    fn errors_show_nothing_of_what_an_entry_contains() {
        let damaged = Error::BadDataFormat(b"marker".to_vec(), "marker".into());
        for error in [damaged, Error::BadEncoding(b"marker".to_vec())] {
            assert_eq!(in_words(&error), "its entry is damaged");
        }
    }

    #[test]
    fn several_entries_lead_to_logout() {
        let failure = refused(&Error::Ambiguous(Vec::new()), &WHO);
        assert!(
            failure
                .hints()
                .join("\n")
                .contains("popfetch logout 'work'")
        );
    }

    #[test]
    fn a_key_ring_that_cannot_be_used_leads_to_the_alternatives() {
        for failure in [unavailable(), silent("did not answer", ANSWER_LIMIT)] {
            assert_eq!(failure.kind(), Kind::Config);
            let hints = failure.hints().join("\n");
            for word in ["password_file", "password_command", "password_env"] {
                assert!(hints.contains(word), "{word} is missing in {hints}");
            }
        }
        assert_eq!(
            silent("did not answer", ANSWER_LIMIT).message(),
            "the key ring did not answer within 5 seconds"
        );
    }
}
