//! A secret that a command prints.

use std::io::{self, IsTerminal};
use std::time::Duration;

use super::error::Result;
use super::terminal::{self, Terminal};
use super::{AccountRef, Error, NotASecret, Origin, Secret, usable};
use crate::cancel::CancelToken;
use crate::environment::Environment;
use crate::fs::{MAX_SECRET, SECRET_TIMEOUT};
use crate::process::{self, Ending, Group, Input, Stderr, Terms};

/// The secret that this command line prints when a shell runs it. Its standard error is ours, for
/// what it has to say to the person; what it prints otherwise is never shown.
pub(super) fn run(
    line: &str,
    account: &AccountRef<'_>,
    environment: &Environment,
    token: &CancelToken,
) -> Result<Secret> {
    if !terminal::is_there() {
        return run_in(
            Group::Own,
            SECRET_TIMEOUT,
            line,
            account,
            environment,
            token,
        );
    }
    // It may ask a person for a passphrase. One that is ended meanwhile leaves a terminal that shows nothing.
    let _lock = terminal::lock();
    let _terminal = Terminal::ours();
    run_in(
        Group::Ours,
        SECRET_TIMEOUT,
        line,
        account,
        environment,
        token,
    )
}

fn run_in(
    group: Group,
    limit: Duration,
    line: &str,
    account: &AccountRef<'_>,
    environment: &Environment,
    token: &CancelToken,
) -> Result<Secret> {
    // The command line itself is not shown: people do write `echo` and a password there.
    let command = format!("the password command of {account}");
    let input = if group == Group::Ours && io::stdin().is_terminal() {
        Input::Inherited
    } else {
        Input::Empty
    };
    let terms = Terms {
        input,
        max_output: Some(MAX_SECRET),
        stderr: Stderr::Inherited,
        group,
        timeout: limit,
        token,
    };
    let outcome = match process::run(&mut process::shell(line, environment), terms) {
        Ok(outcome) => outcome,
        Err(process::Error::Start(source)) => return Err(Error::CannotRun { command, source }),
        Err(process::Error::Input(source) | process::Error::Talk(source)) => {
            return Err(Error::Output { command, source });
        }
    };
    match outcome.ending {
        Ending::Exited(status) if status.success() => {}
        Ending::Exited(status) => return Err(Error::CommandFailed { command, status }),
        Ending::TimedOut => return Err(Error::CommandTimedOut { command, limit }),
        Ending::Stopped => return Err(Error::Cancelled(command)),
        Ending::PrintedTooMuch => {
            return Err(Error::Unusable {
                origin: Origin::Command(command),
                reason: NotASecret::TooLong { limit: MAX_SECRET },
            });
        }
    }
    // Password stores keep notes after the password.
    let first = outcome.output.split_inclusive(|byte| *byte == b'\n').next();
    usable(first.unwrap_or_default(), || Origin::Command(command))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use rustix::fs::{Mode, OFlags};

    use super::super::tests::WORK;
    use super::*;
    use crate::cancel::Wait;
    use crate::environment::PASSWORD_VARIABLE;
    use crate::error::{Failure, Kind};
    use crate::fs::to_end;
    use crate::process::shell;

    fn environment() -> Environment {
        Environment::system().expect("surroundings")
    }

    const LONG: Duration = Duration::from_secs(60);

    fn run_in_background(line: &str) -> Result<Secret, Failure> {
        run_within(LONG, line, &CancelToken::new())
    }

    fn run_within(limit: Duration, line: &str, token: &CancelToken) -> Result<Secret, Failure> {
        Ok(run_in(
            Group::Own,
            limit,
            line,
            &WORK,
            &environment(),
            token,
        )?)
    }

    #[test]
    fn what_the_command_prints_is_the_secret() {
        let secret = run_in_background(r"printf ' p%%s \303\244 \n'").expect("a secret");
        assert_eq!(secret.expose(), " p%s ä ".as_bytes());
    }

    #[test]
    fn standard_input_is_empty_in_the_background() {
        let secret = run_in_background("cat; echo secret").expect("a secret");
        assert_eq!(secret.expose(), b"secret");
    }

    #[test]
    fn no_variable_with_a_password_reaches_the_command() {
        let environment = environment().with_password_variables(["WORK_PASSWORD".to_owned()]);
        let command = shell("true", &environment);
        for name in [PASSWORD_VARIABLE, "WORK_PASSWORD"] {
            let withheld = command
                .get_envs()
                .any(|(key, value)| key == name && value.is_none());
            assert!(withheld, "{name} is passed on");
        }
    }

    #[test]
    fn a_command_that_fails_gives_no_secret_and_its_output_is_never_shown() {
        let failure = run_in_background("echo marker; exit 3").expect_err("failed");
        assert_eq!(failure.kind(), Kind::Config);
        assert_eq!(
            failure.message(),
            "the password command of account work failed with exit status 3"
        );
        assert!(!format!("{failure} {:?}", failure.hints()).contains("marker"));

        let failure = run_in_background("echo marker; kill -TERM $$").expect_err("killed");
        assert!(failure.message().ends_with("was ended by signal 15"));
    }

    #[test]
    fn only_the_first_line_counts() {
        let secret = run_in_background("echo 'first line'; echo note").expect("a secret");
        assert_eq!(secret.expose(), b"first line");
        let failure = run_in_background("echo; echo marker").expect_err("an empty line");
        assert_eq!(failure.kind(), Kind::Config);
        assert!(failure.to_string().ends_with("it is empty"));
        assert!(!format!("{failure} {:?}", failure.hints()).contains("marker"));
    }

    #[test]
    fn a_command_that_prints_nothing_gives_no_secret() {
        let failure = run_in_background("true").expect_err("nothing");
        assert!(failure.to_string().ends_with("it is empty"));
    }

    #[test]
    fn a_command_that_hangs_is_not_waited_for_for_ever() {
        for line in ["sleep 1000", "exec >&-; sleep 1000"] {
            let short = Duration::from_millis(100);
            let failure = run_within(short, line, &CancelToken::new()).expect_err("it hangs");
            assert_eq!(failure.kind(), Kind::Temporary, "{line}");
            assert!(failure.message().contains("did not end"), "{failure}");
        }
    }

    #[test]
    fn a_command_that_is_no_longer_wanted_is_ended() {
        for line in ["sleep 1000", "exec >&-; sleep 1000"] {
            let token = CancelToken::new();
            token.cancel();
            let failure = run_within(LONG, line, &token).expect_err("stopped");
            assert!(failure.message().starts_with("stopped"), "{failure}");
        }
    }

    /// The command opens a FIFO before it floods its output, so that the FIFO's end tells when
    /// everything the command started is gone.
    #[test]
    fn what_a_command_started_is_ended_with_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let fifo = directory.path().join("alive");
        let line = format!(
            "exec 3>'{}'; sleep 1000 & head -c 70000 /dev/zero; wait",
            fifo.display()
        );
        assert!(
            Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .expect("mkfifo runs")
                .success()
        );
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let alive = rustix::fs::open(&fifo, flags, Mode::empty()).expect("opened");

        let failure = run_in_background(&line).expect_err("flooded");
        assert!(
            failure.to_string().ends_with("more than 64 KiB came"),
            "{failure}"
        );
        let token = CancelToken::new();
        assert!(
            to_end(&alive, Wait::at_most(LONG, &token))
                .expect("the FIFO ends")
                .is_empty()
        );
    }

    #[test]
    fn a_command_that_leaves_a_process_behind_in_peace_does_not_lose_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let (ready, done) = (
            directory.path().join("ready"),
            directory.path().join("done"),
        );
        for fifo in [&ready, &done] {
            assert!(
                Command::new("mkfifo")
                    .arg(fifo)
                    .status()
                    .expect("mkfifo runs")
                    .success()
            );
        }
        let agent = format!(
            "read -r _ <'{}'; echo alive >'{}'",
            ready.display(),
            done.display()
        );
        let line = format!("({agent}) >/dev/null 2>&1 & echo secret");
        let secret = run_in_background(&line).expect("a secret");
        assert_eq!(secret.expose(), b"secret");
        fs::write(&ready, "go\n").expect("the agent listens");
        assert_eq!(
            fs::read_to_string(&done).expect("the agent answers"),
            "alive\n"
        );
    }
}
