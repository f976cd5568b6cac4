//! Passwords and tokens that cannot be had or kept.

use super::explained;
use crate::error::{Failure, Kind};
use crate::secret::{Error, NotASecret, Origin};

/// What to do where there is no key ring and no person to ask.
const WITHOUT_A_KEY_RING: &str = "Without a key ring, give the account password_file, password_command or password_env; with --url, say --password-file or --password-command, or set POPFETCH_PASSWORD.";

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if let Error::File(error) = error {
            return error.into();
        }
        let (kind, hints) = (kind(&error), hints(&error));
        explained(kind, hints, error)
    }
}

fn kind(error: &Error) -> Kind {
    match error {
        // Who cancelled it knows better why.
        Error::Cancelled(_) | Error::CommandTimedOut { .. } => Kind::Temporary,
        Error::Output { .. } => Kind::Io,
        _ => Kind::Config,
    }
}

fn hints(error: &Error) -> Vec<String> {
    let hints: &[&str] = match error {
        Error::Unusable { origin, reason } => match (origin, reason) {
            (Origin::File(_), _) => &["Keep the password in it and nothing else."],
            (Origin::Command(_), NotASecret::TooLong { .. }) => &[],
            (Origin::Command(_), _) => &["The first line that it prints must be the password."],
            (Origin::Typed, NotASecret::TooLong { .. }) => {
                &["Put it into a file and name it in password_file."]
            }
            _ => &[],
        },
        Error::NotSet { .. } => &[
            "A variable must be exported to reach popfetch; cron and systemd pass on only what their own configuration sets.",
        ],
        Error::CommandFailed { .. } => {
            &["Run the account's password_command by hand to see what is wrong."]
        }
        Error::CommandTimedOut { .. } => &[
            "It may be waiting for a passphrase, or have left a process behind that keeps its output open.",
        ],
        Error::NoTerminal(_) => &[
            WITHOUT_A_KEY_RING,
            "For a one-off account, use --password-file, --password-command or POPFETCH_PASSWORD.",
        ],
        Error::NotUtf8 => &[
            "Set the terminal to UTF-8, or put the password into a file and name it in password_file.",
        ],
        Error::CursorKey => {
            &["Type the password again. Backspace erases a character, Ctrl-U the line."]
        }
        Error::NothingStored(account) => {
            let login = format!("Store it with: popfetch login '{account}'");
            return vec![login, WITHOUT_A_KEY_RING.to_owned()];
        }
        Error::SeveralEntries(account) => {
            let logout = format!("To remove them all, run: popfetch logout '{account}'");
            return vec![WITHOUT_A_KEY_RING.to_owned(), logout];
        }
        Error::KeyRing(_) | Error::KeyRingTimedOut { .. } | Error::NoKeyRing(_) => {
            &[WITHOUT_A_KEY_RING]
        }
        _ => &[],
    };
    hints.iter().map(|&hint| hint.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn where_nobody_can_be_asked_the_alternatives_are_named() {
        for error in [
            Error::NothingStored("work".into()),
            Error::KeyRing("no bus".into()),
            Error::SeveralEntries("work".into()),
            Error::KeyRingTimedOut {
                what: "did not answer",
                limit: Duration::from_secs(5),
            },
            Error::NoKeyRing("account work".into()),
            Error::NoTerminal(std::io::ErrorKind::NotFound.into()),
        ] {
            let failure = Failure::from(error);
            assert_eq!(failure.kind(), Kind::Config);
            let hints = failure.hints().join("\n");
            for word in [
                "password_file",
                "password_command",
                "password_env",
                "POPFETCH_PASSWORD",
            ] {
                assert!(hints.contains(word), "{word} is missing in {hints}");
            }
        }
    }

    #[test]
    fn what_the_key_ring_lacks_or_has_twice_leads_to_the_command_that_helps() {
        for (error, command) in [
            (Error::NothingStored("work".into()), "popfetch login 'work'"),
            (
                Error::SeveralEntries("work".into()),
                "popfetch logout 'work'",
            ),
        ] {
            let failure = Failure::from(error);
            assert!(failure.hints().join("\n").contains(command), "{failure}");
        }
    }
}
