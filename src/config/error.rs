//! What can be wrong with a configuration.

use std::io;

use super::url::NotAUrl;

/// Why there are no accounts to work with. Paths and names in it are sanitized already, and no value is
/// repeated: any could be a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no file in the usual place.
    #[error("there is no configuration: {0} does not exist")]
    Missing(String),
    /// The path that was given cannot be made absolute.
    #[error("the configuration has no usable path")]
    Path(#[source] io::Error),
    /// The file cannot be read, or is no text.
    #[error("cannot read the configuration {path}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// Something in the file is wrong.
    #[error("{shown}")]
    Invalid {
        /// What it is.
        problem: Problem,
        /// The same for a person, in several lines: what is wrong, the place, the line, and a caret under what
        /// is meant.
        shown: String,
    },
    /// No account has the name that the command line gives.
    #[error("no account in {path} is called \"{name}\"")]
    UnknownAccount {
        /// The file.
        path: String,
        /// The name.
        name: String,
        /// What was probably meant.
        nearest: Option<String>,
        /// All there are.
        accounts: Vec<String>,
    },
    /// The command line has a URL in the place of an account's name. There may be a password in it.
    #[error("a URL stands where the name of an account in {path} belongs")]
    UrlForAccount {
        /// The file.
        path: String,
        /// All there are.
        accounts: Vec<String>,
    },
    /// `--url` has something else than the URL of a mailbox.
    #[error(transparent)]
    Url(#[from] NotAUrl),
    /// `--url` without `--to`.
    #[error("a URL does not say where the mail goes")]
    NoDestination,
}

/// What is wrong in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is not TOML.
    #[error("invalid TOML: {0}")]
    Syntax(String),
    /// It is not TOML, since a letter that is no ASCII stands outside of quotes.
    #[error("invalid TOML: {0}")]
    UnquotedLetter(String),
    /// There is no such key.
    #[error("unknown key `{0}`")]
    UnknownKey(String),
    /// There is no such key, and its name is one for a password.
    #[error("unknown key `{0}`")]
    PasswordInClear(String),
    /// A number where text belongs, and the like.
    #[error("a value of the wrong kind")]
    WrongKind,
    /// The right kind of value, and still a wrong one.
    #[error("wrong value for `{0}`")]
    WrongValue(&'static str),
    /// An account lacks a key that it must have.
    #[error("`{key}` is missing")]
    MissingKey {
        /// The key.
        key: &'static str,
        /// A value such as it has.
        example: &'static str,
    },
    /// There is no account at all.
    #[error("no account is configured")]
    NoAccount,
    /// An account's name is none.
    #[error("an account needs a name")]
    NoName,
    /// `auth = "external"` where it cannot work.
    #[error("auth = \"external\" requires TLS and a client certificate")]
    ExternalWithoutCertificate,
    /// `client_key` without `client_cert`.
    #[error("`client_cert` is missing")]
    KeyWithoutCertificate,
    /// More than one key says where the password comes from.
    #[error("the password has more than one source")]
    SeveralPasswordSources,
    /// Two destinations of an account are one place.
    #[error("the same destination twice")]
    SameDestination,
    /// Two accounts are about one mailbox.
    #[error("two accounts name the same mailbox")]
    SameMailbox,
}
