//! Where a password or token comes from: key ring, command, file, environment, prompt.
//!
//! Whatever the source, a [`Secret`] comes out: bytes that are wiped from memory when dropped and
//! that no error, log or debug output ever shows. What the sources read passes through buffers that
//! are wiped too and never grow, since a growing buffer leaves its old copy behind.

mod command;
mod file;
#[cfg_attr(not(feature = "keyring"), path = "no_keyring.rs")]
mod keyring;
mod prompt;
#[cfg(feature = "keyring")]
mod question;
mod read;
mod terminal;
mod variable;

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use zeroize::Zeroizing;

use crate::cancel::CancelToken;
use crate::environment::Environment;
use crate::error::{Failure, Kind, Result};
use crate::text::Untrusted;

/// From now on a crash of this process leaves no core file, which would have passwords in it. Programs that
/// it starts inherit that, and may change it for themselves.
pub fn keep_out_of_core_files() {
    let none = Rlimit {
        current: Some(0),
        ..getrlimit(Resource::Core)
    };
    // Less is always allowed.
    let _ = setrlimit(Resource::Core, none);
}

/// A password or an access token: never empty, without CR, LF and NUL, otherwise any bytes. Wiped
/// from memory when dropped.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// The secret in these bytes. One line end (LF or CRLF) at their end belongs to the file, the
    /// command or the variable, not to the secret; everything else is kept byte for byte.
    ///
    /// # Errors
    ///
    /// Where no server could take it: POP3 sends a secret on a line of its own.
    pub fn new(bytes: &[u8]) -> Result<Self, NotASecret> {
        let line = bytes
            .strip_suffix(b"\n")
            .map_or(bytes, |rest| rest.strip_suffix(b"\r").unwrap_or(rest));
        if line.is_empty() {
            return Err(NotASecret::Empty);
        }
        if line.contains(&0) {
            return Err(NotASecret::Nul);
        }
        if line.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
            return Err(NotASecret::SeveralLines);
        }
        Ok(Secret(Zeroizing::new(line.to_vec())))
    }

    /// The bytes, for sending them to the server or putting them into the key ring, and nothing else.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// That there is a secret, and nothing about it.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why bytes cannot be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotASecret {
    /// There is nothing in them.
    #[error("it is empty")]
    Empty,
    /// There is a line end before their end.
    #[error("it has more than one line")]
    SeveralLines,
    /// There is a NUL byte in them.
    #[error("it contains a NUL byte")]
    Nul,
}

/// Where a password comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// The desktop's key ring; on a terminal, a prompt where it has none.
    Keyring,
    /// A file that nobody else can read, with the password alone in it.
    File(PathBuf),
    /// A command; the first line that it prints is the password.
    Command(String),
    /// An environment variable.
    Variable(String),
    /// A prompt on the terminal.
    Prompt,
}

/// Whose secret it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who<'a> {
    /// What the person calls the account.
    pub account: &'a str,
    /// The server's host name or address.
    pub host: &'a str,
    /// The TCP port.
    pub port: u16,
    /// The user's name at the server.
    pub user: &'a str,
}

/// As errors name it: `account work`.
impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account {}", Untrusted(self.account.as_bytes()))
    }
}

/// Gets the secret from where the account says it is.
///
/// May wait for a person: at a prompt as long as the person takes, for a command at most 5 minutes,
/// for the key ring 5 seconds to answer and a minute to be unlocked; and no longer than until the
/// token is cancelled. A command is then ended, where it has no terminal with all that it
/// started, and a terminal is left as it was. Of the sources that may use the terminal, only one does at a time, whatever thread asks.
///
/// # Errors
///
/// [`Kind::Config`] where the source gives no usable secret, [`Kind::Temporary`] where it takes too
/// long or was stopped, [`Kind::Io`] where reading it fails.
pub fn obtain(
    source: &SecretSource,
    who: &Who<'_>,
    environment: &Environment,
    token: &CancelToken,
) -> Result<Secret> {
    let ask = |who: &Who<'_>, because: Option<&Failure>| prompt::ask(who, because, token);
    match source {
        SecretSource::Keyring => {
            let found = keyring::get(who, token);
            let nobody = token.is_cancelled() || !terminal::is_there();
            keyring_or_person(found, (!nobody).then_some(ask), who)
        }
        SecretSource::File(path) => file::read(path, who, token),
        SecretSource::Command(line) => command::run(line, who, environment, token),
        SecretSource::Variable(name) => variable::read(name, environment.variable(name), who),
        SecretSource::Prompt => ask(who, None),
    }
}

/// Whether getting the secret may take the terminal: to ask a person, or for a command that does.
#[must_use]
pub fn may_ask(source: &SecretSource) -> bool {
    match source {
        SecretSource::Keyring | SecretSource::Command(_) | SecretSource::Prompt => {
            terminal::is_there()
        }
        SecretSource::File(_) | SecretSource::Variable(_) => false,
    }
}

/// What is in a file that only this user and root can read, such as a private key; errors call it by
/// this name.
///
/// # Errors
///
/// [`Kind::Config`] where there is no such file, it is open to others, or larger than a secret is.
pub fn private_file(path: &Path, name: &str) -> Result<Zeroizing<Vec<u8>>> {
    file::private(path, name)
}

/// Whether there is a key ring: worth asking before a person types what is to be kept there.
///
/// # Errors
///
/// [`Kind::Config`] where it cannot be used.
pub fn check_keyring(who: &Who<'_>, token: &CancelToken) -> Result<()> {
    keyring::check(who, token)
}

/// Puts the secret into the key ring, in place of one that is there already.
///
/// # Errors
///
/// [`Kind::Config`] where the key ring cannot be used.
pub fn store(who: &Who<'_>, secret: &Secret) -> Result<()> {
    keyring::store(who, secret)
}

/// Removes the secret from the key ring; says whether there was one.
///
/// # Errors
///
/// [`Kind::Config`] where the key ring cannot be used.
pub fn forget(who: &Who<'_>) -> Result<bool> {
    keyring::forget(who)
}

/// What the key ring has, or else what a person says where one can be asked. A person who is asked
/// because the key ring cannot be used learns why.
fn keyring_or_person(
    found: Result<Option<Secret>>,
    ask: Option<impl FnOnce(&Who<'_>, Option<&Failure>) -> Result<Secret>>,
    who: &Who<'_>,
) -> Result<Secret> {
    match (found, ask) {
        (Ok(Some(secret)), _) => Ok(secret),
        (Ok(None), Some(ask)) => ask(who, None),
        (Ok(None), None) => Err(nothing_stored(who)),
        (Err(failure), Some(ask)) => ask(who, Some(&failure)),
        (Err(failure), None) => Err(failure),
    }
}

fn nothing_stored(who: &Who<'_>) -> Failure {
    let account = Untrusted(who.account.as_bytes());
    Failure::new(
        Kind::Config,
        format!("the key ring has no password for {who}"),
    )
    .hint(format!("Store it with: popfetch login '{account}'"))
    .hint(WITHOUT_A_KEY_RING)
}

/// What to do where there is no key ring and nobody to ask.
const WITHOUT_A_KEY_RING: &str = "Without a key ring, give the account password_file, password_command or password_env; with --url, say --password-file or --password-command, or set POPFETCH_PASSWORD.";

/// The wait for this was ended. The kind is provisional: who ended it knows better why.
fn stopped(what: &str) -> Failure {
    Failure::new(Kind::Temporary, format!("stopped while waiting for {what}"))
}

/// Turns an unusable secret into a failure that says where it came from.
fn unusable(from: impl fmt::Display, why: impl Error + Send + Sync + 'static) -> Failure {
    Failure::new(Kind::Config, format!("{from} gives no usable password")).because(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(super) const WHO: Who<'static> = Who {
        account: "work",
        host: "pop.example.com",
        port: 995,
        user: "alice",
    };

    type Nobody = fn(&Who<'_>, Option<&Failure>) -> Result<Secret>;

    fn refused(bytes: &[u8]) -> NotASecret {
        Secret::new(bytes).expect_err("not a secret")
    }

    #[test]
    fn exactly_one_line_end_is_stripped() {
        for bytes in [
            &b" p%20 \xc3\xa4\xff\t"[..],
            b" p%20 \xc3\xa4\xff\t\n",
            b" p%20 \xc3\xa4\xff\t\r\n",
        ] {
            let secret = Secret::new(bytes).expect("a secret");
            assert_eq!(secret.expose(), b" p%20 \xc3\xa4\xff\t");
        }
        assert_eq!(refused(b"one\n\n"), NotASecret::SeveralLines);
        assert_eq!(refused(b"one\r\r\n"), NotASecret::SeveralLines);
        assert_eq!(refused(b"one\r"), NotASecret::SeveralLines);
        assert_eq!(refused(b"one\ntwo\n"), NotASecret::SeveralLines);
    }

    #[test]
    fn nothing_and_nul_are_no_secrets() {
        assert_eq!(refused(b""), NotASecret::Empty);
        assert_eq!(refused(b"\n"), NotASecret::Empty);
        assert_eq!(refused(b"\r\n"), NotASecret::Empty);
        assert_eq!(refused(b"a\0b"), NotASecret::Nul);
    }

    #[test]
    fn debug_output_says_nothing_about_the_secret() {
        let secret = Secret::new(b"hunter2").expect("a secret");
        assert_eq!(
            format!("{secret:?} {:#?}", Some(&secret)),
            "Secret(…) Some(\n    Secret(…),\n)"
        );
    }

    proptest! {
        #[test]
        fn no_secret_can_end_the_line_it_is_sent_on(bytes: Vec<u8>) {
            match Secret::new(&bytes) {
                Ok(secret) => {
                    prop_assert!(!secret.expose().is_empty());
                    prop_assert!(!secret.expose().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
                    prop_assert!(bytes.starts_with(secret.expose()));
                    prop_assert!(matches!(&bytes[secret.expose().len()..], b"" | b"\n" | b"\r\n"));
                }
                Err(_) => prop_assert!(
                    bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) || bytes.is_empty()
                ),
            }
        }
    }

    #[test]
    fn a_stored_secret_needs_nobody() {
        let stored = Secret::new(b"stored").expect("a secret");
        let ask =
            |_: &Who<'_>, _: Option<&Failure>| -> Result<Secret> { panic!("somebody was asked") };
        let secret = keyring_or_person(Ok(Some(stored)), Some(ask), &WHO).expect("a secret");
        assert_eq!(secret.expose(), b"stored");
    }

    #[test]
    fn a_person_is_asked_where_nothing_is_stored() {
        let ask = |_: &Who<'_>, why: Option<&Failure>| {
            assert!(why.is_none());
            Ok(Secret::new(b"typed").expect("a secret"))
        };
        let secret = keyring_or_person(Ok(None), Some(ask), &WHO).expect("a secret");
        assert_eq!(secret.expose(), b"typed");
    }

    #[test]
    fn a_person_who_is_asked_in_place_of_the_key_ring_learns_why() {
        let ask = |_: &Who<'_>, why: Option<&Failure>| {
            assert_eq!(why.map(Failure::message), Some("no bus"));
            Ok(Secret::new(b"typed").expect("a secret"))
        };
        let broken = Err(Failure::new(Kind::Config, "no bus"));
        let secret = keyring_or_person(broken, Some(ask), &WHO).expect("a secret");
        assert_eq!(secret.expose(), b"typed");
    }

    #[test]
    fn with_nobody_to_ask_the_error_names_login_and_the_alternatives() {
        let failure =
            keyring_or_person(Ok(None), None::<Nobody>, &WHO).expect_err("nothing is stored");
        assert_eq!(failure.kind(), Kind::Config);
        let hints = failure.hints().join("\n");
        for word in [
            "popfetch login 'work'",
            "password_file",
            "password_command",
            "password_env",
        ] {
            assert!(hints.contains(word), "{word} is missing in {hints}");
        }
        let broken = Err(Failure::new(Kind::Config, "no bus"));
        let failure = keyring_or_person(broken, None::<Nobody>, &WHO).expect_err("no key ring");
        assert_eq!(failure.message(), "no bus");
    }
}
