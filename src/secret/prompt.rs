//! A secret that a person types, unseen, at the terminal.

use std::io;

use rpassword::ConfigBuilder;
use zeroize::Zeroizing;

use super::{Secret, WITHOUT_A_KEY_RING, Who, terminal, unusable};
use crate::error::{Failure, Kind, Result};
use crate::text::Foreign;

/// SIGINT, which Ctrl-C stands for.
const INTERRUPT: i32 = 2;

/// Asks the person at the terminal, and says why where the secret should have come from elsewhere.
/// Waits as long as the person takes.
pub(super) fn ask(who: &Who<'_>, because: Option<&Failure>) -> Result<Secret> {
    let _turn = terminal::turn();
    ask_on(terminal::PATH, terminal::PATH, &question(who, because))
}

fn question(who: &Who<'_>, because: Option<&Failure>) -> String {
    let (user, host) = (Foreign(who.user.as_bytes()), Foreign(who.host.as_bytes()));
    let why = because
        .map(|failure| format!("{failure}\n"))
        .unwrap_or_default();
    format!("{why}Password for {user} at {host}: ")
}

fn ask_on(input: &str, output: &str, question: &str) -> Result<Secret> {
    let console = ConfigBuilder::new()
        .input_file_path(input)
        .output_file_path(output)
        .build();
    let typed = rpassword::prompt_password_with_config(question, console)
        .map(Zeroizing::new)
        .map_err(no_answer)?;
    // A keyboard has no key for it: it stands where a byte was typed that is not UTF-8.
    if typed.contains(char::REPLACEMENT_CHARACTER) {
        return Err(Failure::new(
            Kind::Config,
            "the password as it was typed is not valid UTF-8",
        )
        .hint("Set the terminal to UTF-8, or put the password into a file and name it in password_file."));
    }
    Secret::new(typed.as_bytes()).map_err(|why| unusable("what was typed", why))
}

fn no_answer(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::Interrupted => Failure::new(
            Kind::Interrupted(INTERRUPT),
            "interrupted while asking for the password",
        ),
        io::ErrorKind::UnexpectedEof => {
            Failure::new(Kind::Config, "no password was typed").because(error)
        }
        _ => Failure::new(
            Kind::Config,
            "there is no terminal to ask for the password on",
        )
        .because(error)
        .hint(WITHOUT_A_KEY_RING)
        .hint(
            "For a one-off account, use --password-file, --password-command or POPFETCH_PASSWORD.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::WHO;
    use super::*;
    use std::fs;

    /// Types this at a console made of two files; gives the secret and what the person saw.
    fn answer(typed: &[u8]) -> (Result<Secret>, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
        fs::write(at("keyboard"), typed).expect("written");
        fs::write(at("screen"), "").expect("written");
        let secret = ask_on(&at("keyboard"), &at("screen"), &question(&WHO, None));
        (secret, fs::read_to_string(at("screen")).expect("read"))
    }

    #[test]
    fn what_is_typed_up_to_enter_is_the_secret_and_is_not_shown() {
        let (secret, seen) = answer("p ä%s \nrest".as_bytes());
        assert_eq!(secret.expect("a secret").expose(), "p ä%s ".as_bytes());
        assert_eq!(seen, "Password for alice at pop.example.com: ");
    }

    #[test]
    fn just_enter_is_no_secret() {
        let failure = answer(b"\n").0.expect_err("nothing was typed");
        assert_eq!(failure.kind(), Kind::Config);
        assert!(failure.to_string().ends_with("it is empty"));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused_rather_than_changed() {
        let failure = answer(b"p\xe4ss\n").0.expect_err("Latin-1");
        assert!(failure.message().contains("UTF-8"));
    }

    #[test]
    fn ctrl_d_gives_up() {
        let failure = answer(b"\x04").0.expect_err("given up");
        assert_eq!(failure.kind(), Kind::Config);
        assert_eq!(failure.message(), "no password was typed");
    }

    #[test]
    fn without_a_terminal_the_alternatives_are_named() {
        let failure = ask_on("/does/not/exist", "/does/not/exist", "?").expect_err("no terminal");
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

    #[test]
    fn the_question_obeys_nothing_in_the_names_and_says_why_it_is_asked() {
        let who = Who {
            user: "al\x1b[2Jice",
            ..WHO
        };
        let failure = Failure::new(Kind::Config, "the key ring does not answer");
        assert_eq!(
            question(&who, Some(&failure)),
            "the key ring does not answer\nPassword for al\\x1b[2Jice at pop.example.com: "
        );
    }
}
