//! Why there is no secret, or why it cannot be kept.

use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use crate::fs;

pub(super) type Result<T, E = Error> = std::result::Result<T, E>;

/// A secret could not be had, or not be kept. No message shows anything of a secret, or of a command that prints one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What the source gives cannot be a password.
    #[error("{origin} gives no usable password: {reason}")]
    Unusable {
        /// Where it comes from.
        origin: Origin,
        /// What is wrong with it.
        reason: NotASecret,
    },
    /// The file cannot be used or read.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// What the command prints could not be read.
    #[error("cannot read what {command} prints")]
    Output {
        /// What it is: "the password command of account work".
        command: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The environment variable is not set.
    #[error("the environment variable {variable} with the password of {account} is not set")]
    NotSet {
        /// Its name, safe to show.
        variable: String,
        /// The account.
        account: String,
    },
    /// The command could not be started.
    #[error("cannot run {command}")]
    CannotRun {
        /// What it is: "the password command of account work".
        command: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The command ended with an error.
    #[error("{command} {}", ending(*status))]
    CommandFailed {
        /// What it is.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// The command was killed.
    #[error("{command} did not end within {} minutes and was killed", limit.as_secs() / 60)]
    CommandTimedOut {
        /// What it is.
        command: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The wait was cancelled.
    #[error("stopped while waiting for {0}")]
    Cancelled(String),
    /// There is no person to ask.
    #[error("there is no terminal to ask for the password on")]
    NoTerminal(#[source] io::Error),
    /// The person typed nothing, or went away.
    #[error("no password was typed")]
    NothingTyped,
    /// The terminal has another encoding.
    #[error("the password as it was typed is not valid UTF-8")]
    NotUtf8,
    /// The terminal could not tell this key from text.
    #[error("a key was pressed that writes nothing, such as an arrow")]
    CursorKey,
    /// The key ring has no password for the account with this name.
    #[error("the key ring has no password for account {0}")]
    NothingStored(String),
    /// The key ring cannot be used.
    #[error("the key ring cannot be used: {0}")]
    KeyRing(String),
    /// The key ring has several entries for the mailbox of the account with this name.
    #[error("the key ring cannot be used: it has several entries for this mailbox")]
    SeveralEntries(String),
    /// The key ring did not do this in time.
    #[error("the key ring {what} within {} seconds", limit.as_secs())]
    KeyRingTimedOut {
        /// What it did not do: "did not answer".
        what: &'static str,
        /// How long it was waited for.
        limit: Duration,
    },
    /// This program was built without the key ring that this account needs.
    #[error("this popfetch was built without the key ring that {0} needs")]
    NoKeyRing(String),
}

fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("failed with exit status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "failed".to_owned(),
    }
}

/// Where bytes come from that are to be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file, named so: "the password file /p of account work".
    File(String),
    /// A command, named so: "the password command of account work".
    Command(String),
    /// An environment variable, whose name is safe to show.
    Variable(String),
    /// The keyboard.
    Typed,
    /// The key ring.
    KeyRing,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(name) | Origin::Command(name) => f.write_str(name),
            Origin::Variable(name) => write!(f, "the environment variable {name}"),
            Origin::Typed => f.write_str("what was typed"),
            Origin::KeyRing => f.write_str("the key ring"),
        }
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
    /// There are more of them than there may be.
    #[error("more than {} KiB came", .limit / 1024)]
    TooLong {
        /// How many there may be.
        limit: usize,
    },
}
