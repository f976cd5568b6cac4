//! A secret that a person types, unseen, at the terminal.

use std::io::{self, Write};
use std::os::fd::AsFd;

use zeroize::Zeroizing;

use super::read::{ReadError, more};
use super::terminal::{self, Terminal};
use super::{Secret, WITHOUT_A_KEY_RING, Who, stopped, unusable};
use crate::cancel::{CancelToken, Wait};
use crate::error::{Failure, Kind, Result};
use crate::text::Untrusted;

/// The longest line that Linux lets a person edit, in bytes, with its end (`N_TTY_BUF_SIZE`). Of a longer one it drops
/// what is beyond.
const MAX_LINE: usize = 4096;

/// How the keys begin that write nothing, such as an arrow.
const ESCAPE: u8 = 0x1b;

/// Asks the person at the terminal, and says why where the secret should have come from elsewhere.
/// Waits as long as the person takes.
pub(super) fn ask(who: &Who<'_>, because: Option<&Failure>, token: &CancelToken) -> Result<Secret> {
    let _turn = terminal::turn();
    let terminal = Terminal::ours().map_err(no_terminal)?;
    terminal.hide_typing().map_err(no_terminal)?;
    let question = question(who, because);
    ask_on(terminal.keyboard(), terminal.screen(), &question, token)
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
    token: &CancelToken,
) -> Result<Secret> {
    let asked = screen.write_all(question.as_bytes());
    asked.map_err(no_terminal)?;
    let typed = line(keyboard, Wait::unlimited(token));
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
    if typed.contains(&ESCAPE) {
        return Err(Failure::new(
            Kind::Config,
            "a key was pressed that writes nothing, such as an arrow",
        )
        .hint("Type the password again. Backspace erases a character, Ctrl-U the line."));
    }
    Secret::new(&typed).map_err(|why| unusable("what was typed", why))
}

/// The line that is typed, without the keys that mean nothing; none where the person gives up, or goes away before its
/// end.
fn line(keyboard: impl AsFd, wait: Wait<'_>) -> Result<Option<Zeroizing<Vec<u8>>>, ReadError> {
    let mut line = Zeroizing::new(vec![0; MAX_LINE]);
    let mut filled = 0;
    while filled < line.len() {
        match more(&keyboard, wait, &mut line[filled..])? {
            0 => return Ok(None),
            count => filled += count,
        }
        // A line that fills the terminal's buffer may have been cut.
        let whole = &line[..filled.min(MAX_LINE - 1)];
        if let Some(end) = whole.iter().position(|byte| *byte == b'\n') {
            line.truncate(end);
            line.retain(|byte| *byte >= b' ' || *byte == ESCAPE);
            return Ok(Some(line));
        }
    }
    Err(ReadError::TooLong { limit: MAX_LINE })
}

fn no_answer(error: ReadError) -> Failure {
    match error {
        ReadError::Wait(_) => stopped("the password"),
        ReadError::TooLong { .. } => unusable("what was typed", error)
            .hint("Put it into a file and name it in password_file."),
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
        let secret = ask_on(
            &keyboard,
            &mut screen,
            &question(&WHO, None),
            &CancelToken::new(),
        );
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
    fn an_end_before_enter_is_no_password() {
        for typed in [&b""[..], b"pass"] {
            let failure = answer(typed).0.expect_err("given up");
            assert_eq!(failure.kind(), Kind::Config);
            assert_eq!(failure.message(), "no password was typed");
        }
    }

    #[test]
    fn keys_that_mean_nothing_are_left_out_and_an_arrow_is_named() {
        let secret = answer(b"\x1ap\0a\tss\x1c\n").0.expect("a secret");
        assert_eq!(secret.expose(), b"pass");
        let failure = answer(b"pa\x1b[Dss\n").0.expect_err("an arrow");
        assert!(failure.message().contains("arrow"), "{failure}");
    }

    #[test]
    fn a_line_that_a_terminal_would_cut_is_refused() {
        let typed = |length| answer(&[&vec![b'x'; length][..], b"\n"].concat()).0;
        let secret = typed(MAX_LINE - 2).expect("a secret");
        assert_eq!(secret.expose().len(), MAX_LINE - 2);
        for length in [MAX_LINE - 1, MAX_LINE, MAX_LINE + 1] {
            let failure = typed(length).expect_err("it may have been cut");
            assert!(failure.hints()[0].contains("password_file"), "{failure}");
        }
    }

    #[test]
    fn a_person_is_not_waited_for_any_longer_than_wanted() {
        let (keyboard, person) = io::pipe().expect("a pipe");
        let token = CancelToken::new();
        token.cancel();
        let failure = ask_on(&keyboard, Vec::new(), "?", &token).expect_err("stopped");
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
