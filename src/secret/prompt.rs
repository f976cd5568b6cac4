//! A secret that a person types, unseen, at the terminal.

use std::io::{self, Write};
use std::os::fd::AsFd;

use zeroize::Zeroizing;

use super::read::{ReadError, Wait, more};
use super::terminal::{self, Terminal};
use super::typing::{Step, Typing};
use super::{Secret, WITHOUT_A_KEY_RING, Who, stopped, unusable};
use crate::error::{Failure, Kind, Result};
use crate::text::Untrusted;

/// Asks the person at the terminal, and says why where the secret should have come from elsewhere.
/// Waits as long as the person takes.
pub(super) fn ask(
    who: &Who<'_>,
    because: Option<&Failure>,
    stop: &dyn Fn() -> bool,
) -> Result<Secret> {
    let _turn = terminal::turn();
    let terminal = Terminal::ours().map_err(no_terminal)?;
    terminal.hide_typing().map_err(no_terminal)?;
    let question = question(who, because);
    ask_on(terminal.keyboard(), terminal.screen(), &question, stop)
}

fn question(who: &Who<'_>, because: Option<&Failure>) -> String {
    let (user, host) = (
        Untrusted(who.user.as_bytes()),
        Untrusted(who.host.as_bytes()),
    );
    let why = because
        .map(|failure| format!("{failure}\n"))
        .unwrap_or_default();
    format!("{why}Password for {user} at {host}: ")
}

fn ask_on(
    keyboard: impl AsFd,
    mut screen: impl Write,
    question: &str,
    stop: &dyn Fn() -> bool,
) -> Result<Secret> {
    let asked = screen.write_all(question.as_bytes());
    asked.map_err(no_terminal)?;
    let typed = line(keyboard, Wait::for_a_person(stop));
    // Not even Enter is shown.
    let _ = screen.write_all(b"\n");
    let typed = typed.map_err(no_answer)?.ok_or_else(nothing_typed)?;
    if str::from_utf8(&typed).is_err() {
        return Err(Failure::new(
            Kind::Config,
            "the password as it was typed is not valid UTF-8",
        )
        .hint("Set the terminal to UTF-8, or put the password into a file and name it in password_file."));
    }
    Secret::new(&typed).map_err(|why| unusable("what was typed", why))
}

/// What is typed up to Enter; none where the person gives up, or goes away before.
fn line(keyboard: impl AsFd, wait: Wait<'_>) -> Result<Option<Zeroizing<Vec<u8>>>, ReadError> {
    let mut typing = Typing::new();
    let mut key = [0];
    while more(&keyboard, wait, &mut key)? > 0 {
        match typing.press(key[0])? {
            Step::More => {}
            Step::Complete => return Ok(Some(typing.into_line())),
            Step::GivenUp => return Ok(None),
        }
    }
    Ok(None)
}

fn no_answer(trouble: ReadError) -> Failure {
    match trouble {
        ReadError::Stopped | ReadError::TooLate => stopped("the password"),
        ReadError::TooLong => unusable("what was typed", trouble),
        ReadError::Io(error) => no_terminal(error),
    }
}

fn nothing_typed() -> Failure {
    Failure::new(Kind::Config, "no password was typed")
}

fn no_terminal(error: io::Error) -> Failure {
    Failure::new(
        Kind::Config,
        "there is no terminal to ask for the password on",
    )
    .because(error)
    .hint(WITHOUT_A_KEY_RING)
    .hint("For a one-off account, use --password-file, --password-command or POPFETCH_PASSWORD.")
}

#[cfg(test)]
mod tests {
    use super::super::tests::WHO;
    use super::*;
    use std::fs::{self, File};

    /// Types this at a keyboard that is a file; gives the secret and what the person saw.
    fn answer(typed: &[u8]) -> (Result<Secret>, String) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("keyboard");
        fs::write(&path, typed).expect("written");
        let keyboard = File::open(&path).expect("opened");
        let mut screen = Vec::new();
        let secret = ask_on(&keyboard, &mut screen, &question(&WHO, None), &|| false);
        (secret, String::from_utf8(screen).expect("text"))
    }

    #[test]
    fn what_is_typed_up_to_enter_is_the_secret_and_is_not_shown() {
        let (secret, seen) = answer("p ä%s \nrest".as_bytes());
        assert_eq!(secret.expect("a secret").expose(), "p ä%s ".as_bytes());
        assert_eq!(seen, "Password for alice at pop.example.com: \n");
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
    fn who_gives_up_or_goes_away_in_the_middle_has_typed_no_password() {
        for typed in [&b"\x04"[..], b"", b"pass"] {
            let failure = answer(typed).0.expect_err("given up");
            assert_eq!(failure.kind(), Kind::Config);
            assert_eq!(failure.message(), "no password was typed");
        }
    }

    #[test]
    fn a_person_is_not_waited_for_any_longer_than_wanted() {
        let (keyboard, person) = io::pipe().expect("a pipe");
        let failure = ask_on(&keyboard, Vec::new(), "?", &|| true).expect_err("stopped");
        assert!(failure.message().starts_with("stopped"), "{failure}");
        drop(person);
    }

    #[test]
    fn without_a_terminal_the_alternatives_are_named() {
        let failure = no_terminal(io::ErrorKind::NotFound.into());
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
