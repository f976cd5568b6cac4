//! Where a password or token comes from: key ring, command, file, environment, prompt.
//!
//! Whatever the source, a [`Secret`] comes out: bytes that are wiped from memory when dropped and
//! that no error, log or debug output ever shows. What the sources read passes through buffers that
//! are wiped too and never grow, since a growing buffer leaves its old copy behind.

#[cfg(feature = "keyring")]
mod blocking;
mod command;
mod error;
#[cfg_attr(not(feature = "keyring"), path = "no_keyring.rs")]
mod keyring;
mod prompt;
mod terminal;

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use zeroize::Zeroizing;

use crate::cancel::{CancelToken, Wait};
use crate::environment::Environment;
use crate::fs::{SECRET_TIMEOUT, read_secret, shown};
use crate::text::Untrusted;

pub use error::{Error, NotASecret, Origin};

use error::Result;

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

/// The secret in what a source gave.
fn usable(bytes: &[u8], origin: impl FnOnce() -> Origin) -> Result<Secret> {
    Secret::new(bytes).map_err(|reason| Error::Unusable {
        origin: origin(),
        reason,
    })
}

/// Where a password comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// The desktop's key ring; on a terminal, a prompt where it has none.
    Keyring,
    /// A file that is closed to others, with the password alone in it.
    File(PathBuf),
    /// A command; the first line that it prints is the password.
    Command(String),
    /// An environment variable.
    Variable(String),
    /// A prompt on the terminal.
    Prompt,
}

/// The account that a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountRef<'a> {
    /// What the person calls it.
    pub name: &'a str,
    /// The server's host name or address.
    pub host: &'a str,
    /// The TCP port.
    pub port: u16,
    /// The user's name at the server.
    pub user: &'a str,
}

/// As errors name it: `account work`.
impl fmt::Display for AccountRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account {}", Untrusted(self.name.as_bytes()))
    }
}

/// Gets the secret from where the account says it is.
///
/// May wait for a person: at a prompt as long as the person takes, for a command at most 5 minutes,
/// for the key ring 5 seconds to answer and a minute to be unlocked; and no longer than until the
/// token is cancelled. A command is then ended, where it has no terminal with all that it started, and a
/// terminal is left as it was. Of the sources that may use the terminal, only one does at a time, whatever
/// thread asks.
///
/// # Errors
///
/// The source gives no usable secret, takes too long, or cannot be read; or the token was cancelled.
pub fn obtain(
    source: &SecretSource,
    account: &AccountRef<'_>,
    environment: &Environment,
    token: &CancelToken,
) -> Result<Secret> {
    let ask =
        |account: &AccountRef<'_>, reason: Option<&Error>| prompt::ask(account, reason, token);
    match source {
        SecretSource::Keyring => {
            let found = keyring::get(account, token);
            let can_ask = !token.is_cancelled() && terminal::is_there();
            keyring_or_person(found, can_ask.then_some(ask), account)
        }
        SecretSource::File(path) => from_file(path, account, Wait::at_most(SECRET_TIMEOUT, token)),
        SecretSource::Command(line) => command::run(line, account, environment, token),
        SecretSource::Variable(name) => from_variable(name, environment.variable(name), account),
        SecretSource::Prompt => ask(account, None),
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

/// Whether there is a key ring: worth asking before a person types what is to be kept there.
///
/// # Errors
///
/// It cannot be used.
pub fn check_keyring(account: &AccountRef<'_>, token: &CancelToken) -> Result<()> {
    keyring::check(account, token)
}

/// Puts the secret into the key ring, in place of one that is there already.
///
/// # Errors
///
/// The key ring cannot be used.
pub fn store(account: &AccountRef<'_>, secret: &Secret) -> Result<()> {
    keyring::store(account, secret)
}

/// Removes the secret from the key ring; says whether there was one.
///
/// # Errors
///
/// The key ring cannot be used.
pub fn forget(account: &AccountRef<'_>) -> Result<bool> {
    keyring::forget(account)
}

/// What the key ring has, or else what a person types where one can be asked. A person who is asked
/// because the key ring cannot be used learns why.
fn keyring_or_person(
    found: Result<Option<Secret>>,
    ask: Option<impl FnOnce(&AccountRef<'_>, Option<&Error>) -> Result<Secret>>,
    account: &AccountRef<'_>,
) -> Result<Secret> {
    match (found, ask) {
        (Ok(Some(secret)), _) => Ok(secret),
        (Ok(None), Some(ask)) => ask(account, None),
        (Ok(None), None) => {
            let name = Untrusted(account.name.as_bytes());
            Err(Error::NothingStored(name.to_string()))
        }
        (Err(error), Some(ask)) => ask(account, Some(&error)),
        (Err(error), None) => Err(error),
    }
}

fn from_file(path: &Path, account: &AccountRef<'_>, wait: Wait<'_>) -> Result<Secret> {
    let name = format!("the password file of {account}");
    let bytes = read_secret(path, &name, wait)?;
    usable(&bytes, || {
        Origin::File(format!("the password file {} of {account}", shown(path)))
    })
}

fn from_variable(name: &str, value: Option<OsString>, account: &AccountRef<'_>) -> Result<Secret> {
    let shown = Untrusted(name.as_bytes()).to_string();
    let Some(value) = value else {
        return Err(Error::NotSet {
            variable: shown,
            account: account.to_string(),
        });
    };
    let value = Zeroizing::new(value.into_vec());
    usable(&value, || Origin::Variable(shown))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use proptest::prelude::*;

    use super::*;
    use crate::error::Failure;

    pub(super) const WORK: AccountRef<'static> = AccountRef {
        name: "work",
        host: "pop.example.com",
        port: 995,
        user: "alice",
    };

    type Ask = fn(&AccountRef<'_>, Option<&Error>) -> Result<Secret>;

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
    fn nobody_is_asked_for_a_stored_secret() {
        let stored = Secret::new(b"stored").expect("a secret");
        let ask: Ask = |_, _| panic!("somebody was asked");
        let secret = keyring_or_person(Ok(Some(stored)), Some(ask), &WORK).expect("a secret");
        assert_eq!(secret.expose(), b"stored");
    }

    #[test]
    fn a_person_is_asked_where_nothing_is_stored() {
        let ask: Ask = |_, reason| {
            assert!(reason.is_none());
            Ok(Secret::new(b"typed").expect("a secret"))
        };
        let secret = keyring_or_person(Ok(None), Some(ask), &WORK).expect("a secret");
        assert_eq!(secret.expose(), b"typed");
        let error = keyring_or_person(Ok(None), None::<Ask>, &WORK).expect_err("nobody there");
        assert!(matches!(error, Error::NothingStored(_)), "{error}");
    }

    #[test]
    fn a_person_who_is_asked_in_place_of_the_key_ring_learns_why() {
        let ask: Ask = |_, reason| {
            assert!(matches!(reason, Some(Error::KeyRing(why)) if why == "no bus"));
            Ok(Secret::new(b"typed").expect("a secret"))
        };
        let broken = || Err(Error::KeyRing("no bus".into()));
        let secret = keyring_or_person(broken(), Some(ask), &WORK).expect("a secret");
        assert_eq!(secret.expose(), b"typed");
        let error = keyring_or_person(broken(), None::<Ask>, &WORK).expect_err("no key ring");
        assert!(matches!(error, Error::KeyRing(_)), "{error}");
    }

    #[test]
    fn a_second_line_of_a_file_is_an_error_that_does_not_show_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("password");
        let mut file = fs::File::create(&path).expect("made");
        file.set_permissions(fs::Permissions::from_mode(0o600))
            .expect("ours");
        let token = CancelToken::new();
        let read = || from_file(&path, &WORK, Wait::at_most(SECRET_TIMEOUT, &token));
        file.write_all(b" p%s \xff\n").expect("written");
        assert_eq!(read().expect("a secret").expose(), b" p%s \xff");
        file.write_all(b"marker\n").expect("written");
        let failure = Failure::from(read().expect_err("two lines"));
        assert_eq!(
            failure.to_string(),
            format!(
                "the password file {} of account work gives no usable password: it has more than one line",
                path.display()
            )
        );
        assert!(!failure.hints().is_empty());
    }

    #[test]
    fn the_value_of_a_variable_is_the_secret() {
        let value = OsString::from_vec(b"a %b\xff".to_vec());
        let secret = from_variable("WORK_PASSWORD", Some(value), &WORK).expect("a secret");
        assert_eq!(secret.expose(), b"a %b\xff");
    }

    #[test]
    fn a_missing_variable_is_named() {
        let error = from_variable("WORK_PASSWORD", None, &WORK).expect_err("nothing there");
        let message = error.to_string();
        assert!(message.contains("WORK_PASSWORD") && message.contains("account work"));
    }

    #[test]
    fn an_unusable_value_is_never_shown() {
        let value = OsString::from("marker\nmarker");
        let error = from_variable("WORK_PASSWORD", Some(value), &WORK).expect_err("two lines");
        assert_eq!(
            Failure::from(error).to_string(),
            "the environment variable WORK_PASSWORD gives no usable password: it has more than one line"
        );
    }
}
