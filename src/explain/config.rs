//! What is wrong with the configuration, or with the URL that stands for one.

use super::explained;
use crate::config::{Error, NotAUrl, Problem};
use crate::error::{Failure, Kind};

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (kind, hints) = match &error {
            Error::Path(_) | Error::Unreadable { .. } => (Kind::Config, Vec::new()),
            Error::Missing(_) => (Kind::Config, first_configuration()),
            Error::Invalid { problem, .. } => (Kind::Config, what_to_write(problem)),
            Error::UnknownAccount {
                nearest, accounts, ..
            } => {
                let hint = match nearest {
                    Some(nearest) => format!("Did you mean {nearest}?"),
                    None => all_accounts(accounts),
                };
                (Kind::Usage, vec![hint])
            }
            Error::UrlForAccount { accounts, .. } => {
                let example = "For a mailbox that is not configured, use: `popfetch sync --url pops://user@host --to maildir:~/Mail`.";
                (
                    Kind::Usage,
                    vec![example.to_owned(), all_accounts(accounts)],
                )
            }
            Error::Url(error) => (Kind::Usage, how_to_write_a_url(*error)),
            Error::NoDestination => (
                Kind::Usage,
                sentences(&["Say it with --to, such as --to maildir:~/Mail."]),
            ),
        };
        explained(kind, hints, error)
    }
}

fn sentences(hints: &[&str]) -> Vec<String> {
    hints.iter().map(|&hint| hint.to_owned()).collect()
}

fn first_configuration() -> Vec<String> {
    sentences(&[
        "Write it, for example:\n\
         [accounts.work]\n\
         host = \"pop.example.com\"\n\
         user = \"alice\"\n\
         deliver = \"maildir:~/Mail/work\"",
        "Or name a mailbox without one, with `--url pops://user@host --to maildir:~/Mail`.",
    ])
}

fn all_accounts(names: &[String]) -> String {
    format!("There are: {}.", names.join(", "))
}

fn what_to_write(problem: &Problem) -> Vec<String> {
    let hints: &[&str] = match problem {
        Problem::MissingKey { key, example } => {
            return vec![format!("Add a line such as {key} = \"{example}\".")];
        }
        Problem::UnquotedLetter(_) => {
            &["A name with other characters stands in quotes: [accounts.\"jörg@work\"]."]
        }
        Problem::PasswordInClear(_) => &[
            "Put the password into the keyring with `popfetch login ACCOUNT`.",
            "Or say where it comes from: password_file, password_command or password_env.",
        ],
        Problem::NoAccount => &["An account begins with a line [accounts.NAME]."],
        Problem::ExternalWithoutCertificate => &["Name its files with client_cert and client_key."],
        Problem::KeyWithoutCertificate => &["Name the file with the certificate as client_cert."],
        Problem::SeveralPasswordSources => {
            &["Keep one of password_file, password_command and password_env."]
        }
        Problem::SameDestination => &["Keep one of them: both lead to the same place."],
        Problem::SameMailbox => {
            &["To deliver to several places, give one account a list: deliver = [\"…\", \"…\"]."]
        }
        Problem::Syntax(_)
        | Problem::UnknownKey(_)
        | Problem::WrongKind
        | Problem::WrongValue(_)
        | Problem::NoName => &[],
    };
    sentences(hints)
}

fn how_to_write_a_url(error: NotAUrl) -> Vec<String> {
    const FORM: &str = "A mailbox is written pops://user@host or pop3://user@host, with :port at the end where it is not the usual one.";
    match error {
        NotAUrl::UnknownScheme(Some(meant)) => {
            vec![FORM.to_owned(), format!("Did you mean {meant}?")]
        }
        NotAUrl::NoScheme | NotAUrl::UnknownScheme(None) | NotAUrl::NoUser | NotAUrl::Path => {
            sentences(&[FORM])
        }
        NotAUrl::Password => sentences(&[
            "Say where it comes from: --password-file, --password-command or POPFETCH_PASSWORD in the environment.",
            "A colon that is part of the user's name is written %3A.",
        ]),
        NotAUrl::UserPunctuation => sentences(&[
            FORM,
            "As part of the name they are written %2F, %3F and %23.",
        ]),
        NotAUrl::UserEscape => sentences(&[FORM, "A % that is part of the name is written %25."]),
        NotAUrl::HostColon => sentences(&[
            FORM,
            "An IPv6 address stands in brackets: pops://user@[2001:db8::1].",
        ]),
        NotAUrl::User(_) | NotAUrl::Host(_) | NotAUrl::Port(_) => Vec::new(),
    }
}
