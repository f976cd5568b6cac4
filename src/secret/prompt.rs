//! A secret that a person types, unseen, at the terminal.

use std::io::Write;
use std::os::fd::AsFd;

use zeroize::Zeroizing;

use super::error::Result;
use super::terminal::{self, Terminal};
use super::{AccountRef, Error, NotASecret, Origin, Secret, usable};
use crate::cancel::{CancelToken, Wait};
use crate::fs::{ReadError, more};
use crate::text::Untrusted;

/// The longest line that Linux lets a person edit, in bytes, with its end (`N_TTY_BUF_SIZE`). Of a longer one it drops
/// what is beyond.
const MAX_LINE: usize = 4096;

/// How the keys begin that write nothing, such as an arrow.
const ESCAPE: u8 = 0x1b;

/// Asks the person at the terminal, and says why where the secret should have come from elsewhere.
/// Waits as long as the person takes.
pub(super) fn ask(
    account: &AccountRef<'_>,
    reason: Option<&Error>,
    token: &CancelToken,
) -> Result<Secret> {
    let _turn = terminal::lock();
    let terminal = Terminal::ours().map_err(Error::NoTerminal)?;
    terminal.hide_typing().map_err(Error::NoTerminal)?;
    let question = question(account, reason);
    ask_on(terminal.keyboard(), terminal.screen(), &question, token)
}

fn question(account: &AccountRef<'_>, reason: Option<&Error>) -> String {
    let user = Untrusted(account.user.as_bytes());
    let host = Untrusted(account.host.as_bytes());
    let reason = reason.map(|error| format!("{error}\n")).unwrap_or_default();
    format!("{reason}Password for {user} at {host}: ")
}

fn ask_on(
    keyboard: impl AsFd,
    mut screen: impl Write,
    question: &str,
    token: &CancelToken,
) -> Result<Secret> {
    let asked = screen.write_all(question.as_bytes());
    asked.map_err(Error::NoTerminal)?;
    let typed = line(keyboard, Wait::unlimited(token));
    // Not even Enter is shown.
    let _ = screen.write_all(b"\n");
    let typed = typed.map_err(no_answer)?.ok_or(Error::NothingTyped)?;
    if str::from_utf8(&typed).is_err() {
        return Err(Error::NotUtf8);
    }
    if typed.contains(&ESCAPE) {
        return Err(Error::CursorKey);
    }
    usable(&typed, || Origin::Typed)
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

fn no_answer(error: ReadError) -> Error {
    match error {
        ReadError::TooLong { limit } => Error::Unusable {
            origin: Origin::Typed,
            reason: NotASecret::TooLong { limit },
        },
        ReadError::Wait(_) => Error::Cancelled("the password".to_owned()),
        ReadError::Io(error) => Error::NoTerminal(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::WORK;
    use super::*;
    use crate::error::Failure;
    use std::fs::{self, File};
    use std::io;

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
            &question(&WORK, None),
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
        let error = answer(b"\n").0.expect_err("nothing was typed");
        let reason = NotASecret::Empty;
        assert!(matches!(error, Error::Unusable { reason: r, .. } if r == reason));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused_rather_than_changed() {
        let error = answer(b"p\xe4ss\n").0.expect_err("Latin-1");
        assert!(matches!(error, Error::NotUtf8), "{error}");
    }

    #[test]
    fn an_end_before_enter_is_no_password() {
        for typed in [&b""[..], b"pass"] {
            let error = answer(typed).0.expect_err("given up");
            assert!(matches!(error, Error::NothingTyped), "{error}");
        }
    }

    #[test]
    fn keys_that_mean_nothing_are_left_out_and_an_arrow_is_named() {
        let secret = answer(b"\x1ap\0a\tss\x1c\n").0.expect("a secret");
        assert_eq!(secret.expose(), b"pass");
        let error = answer(b"pa\x1b[Dss\n").0.expect_err("an arrow");
        assert!(matches!(error, Error::CursorKey), "{error}");
    }

    #[test]
    fn a_line_that_a_terminal_would_cut_is_refused() {
        let typed = |length| answer(&[&vec![b'x'; length][..], b"\n"].concat()).0;
        let secret = typed(MAX_LINE - 2).expect("a secret");
        assert_eq!(secret.expose().len(), MAX_LINE - 2);
        for length in [MAX_LINE - 1, MAX_LINE, MAX_LINE + 1] {
            let error = typed(length).expect_err("it may have been cut");
            let hint = &Failure::from(error).hints()[0].clone();
            assert!(hint.contains("password_file"), "{hint}");
        }
    }

    #[test]
    fn a_person_is_not_waited_for_any_longer_than_wanted() {
        let (keyboard, person) = io::pipe().expect("a pipe");
        let token = CancelToken::new();
        token.cancel();
        let error = ask_on(&keyboard, Vec::new(), "?", &token).expect_err("stopped");
        assert!(matches!(error, Error::Cancelled(_)), "{error}");
        drop(person);
    }

    #[test]
    fn the_question_obeys_nothing_in_the_names_and_says_why_it_is_asked() {
        let account = AccountRef {
            user: "al\x1b[2Jice",
            ..WORK
        };
        let error = Error::KeyRing("it is locked".into());
        assert_eq!(
            question(&account, Some(&error)),
            "the key ring cannot be used: it is locked\nPassword for al\\x1b[2Jice at pop.example.com: "
        );
    }
}
