//! A secret that a command prints.

use std::io::{self, IsTerminal};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::read::{PATIENCE, ReadError, Wait, to_end};
use super::terminal::{self, Terminal};
use super::{Secret, Who, stopped, unusable};
use crate::child::shell;
use crate::environment::Environment;
use crate::error::{Failure, Kind, OrFail, Result};

/// How often a command that closed its output is looked at, whether it has ended: there is no
/// portable way to wait for a child with a limit.
const LOOK: Duration = Duration::from_millis(10);

/// The secret that this command line prints when a shell runs it. Its standard error is ours, for
/// what it has to say to the person; what it prints otherwise is never shown.
pub(super) fn run(
    line: &str,
    who: &Who<'_>,
    environment: &Environment,
    stop: &dyn Fn() -> bool,
) -> Result<Secret> {
    let place = Place::here();
    let _turn = (place == Place::Terminal).then(terminal::turn);
    // A command that is ended while it asks for a passphrase leaves a terminal that shows nothing.
    let _terminal = (place == Place::Terminal).then(Terminal::ours);
    run_at(
        place,
        Wait::at_most(PATIENCE, stop),
        shell(line, environment),
        who,
    )
}

/// Where a command runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At a terminal, where it may ask a person for a passphrase. It stays in our process group:
    /// the terminal stops whatever reads from it in another, and Ctrl-C ends the whole group.
    Terminal,
    /// In the background. It gets a process group of its own, which is ended as a whole.
    Background,
}

impl Place {
    fn here() -> Self {
        if terminal::is_there() {
            Place::Terminal
        } else {
            Place::Background
        }
    }
}

fn run_at(place: Place, wait: Wait<'_>, mut command: Command, who: &Who<'_>) -> Result<Secret> {
    command.stdout(Stdio::piped());
    match place {
        Place::Terminal if io::stdin().is_terminal() => command.stdin(Stdio::inherit()),
        Place::Terminal => command.stdin(Stdio::null()),
        Place::Background => command.stdin(Stdio::null()).process_group(0),
    };
    let name = format!("the password command of {who}");
    let child = command
        .spawn()
        .or_fail(Kind::Config, || format!("cannot run {name}"))?;
    let mut running = Running {
        child,
        place,
        ended: false,
    };
    let output = running.child.stdout.take();
    let output = output.ok_or_else(|| Failure::new(Kind::Io, format!("{name} has no output")))?;

    let printed = to_end(output, wait).map_err(|trouble| unreadable(trouble, &name))?;
    let status = running
        .end(wait)
        .map_err(|trouble| unreadable(trouble, &name))?;
    if !status.success() {
        return Err(unsuccessful(status, &name));
    }
    // Password stores keep notes behind the password.
    let first = printed.split_inclusive(|byte| *byte == b'\n').next();
    Secret::new(first.unwrap_or_default()).map_err(|why| {
        unusable(&name, why).hint("The first line that it prints must be the password.")
    })
}

/// A command that is ended when it is no longer of use.
struct Running {
    child: Child,
    place: Place,
    ended: bool,
}

impl Running {
    /// How it ended by itself.
    fn end(&mut self, wait: Wait<'_>) -> Result<ExitStatus, ReadError> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.ended = true;
                return Ok(status);
            }
            thread::sleep(wait.glance()?.min(LOOK));
        }
    }
}

/// Nothing can be done about an error here: the process is gone, or it will never go.
impl Drop for Running {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let _ = match self.place {
            Place::Terminal => self.child.kill(),
            Place::Background => kill_process_group(Pid::from_child(&self.child), Signal::KILL)
                .map_err(io::Error::from),
        };
        let _ = self.child.wait();
    }
}

fn unreadable(trouble: ReadError, name: &str) -> Failure {
    match trouble {
        ReadError::TooLong { .. } => unusable(name, trouble),
        ReadError::TooLate => Failure::new(
            Kind::Temporary,
            format!("{name} did not end within {} minutes and was killed", PATIENCE.as_secs() / 60),
        )
        .hint("It may be waiting for a passphrase, or have left a process behind that keeps its output open."),
        ReadError::Stopped => stopped(name),
        ReadError::Io(_) => Failure::new(Kind::Io, format!("cannot read what {name} prints")).because(trouble),
    }
}

/// The command line itself is not shown: people do write `echo` and a password there.
fn unsuccessful(status: ExitStatus, name: &str) -> Failure {
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("failed with exit status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "failed".to_owned(),
    };
    Failure::new(Kind::Config, format!("{name} {how}"))
        .hint("Run the account's password_command by hand to see what is wrong.")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::fs::{Mode, OFlags};

    use super::super::tests::WHO;
    use super::*;
    use crate::environment::PASSWORD_VARIABLE;

    fn environment() -> Environment {
        Environment::system().expect("surroundings")
    }

    fn soon() -> Wait<'static> {
        Wait::at_most(Duration::from_secs(60), &|| false)
    }

    fn run_in_background(line: &str, wait: Wait<'_>) -> Result<Secret> {
        run_at(Place::Background, wait, shell(line, &environment()), &WHO)
    }

    #[test]
    fn what_the_command_prints_is_the_secret() {
        let secret = run_in_background(r"printf ' p%%s \303\244 \n'", soon()).expect("a secret");
        assert_eq!(secret.expose(), " p%s ä ".as_bytes());
    }

    #[test]
    fn standard_input_is_empty_in_the_background() {
        let secret = run_in_background("cat; echo secret", soon()).expect("a secret");
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
        let failure = run_in_background("echo marker; exit 3", soon()).expect_err("failed");
        assert_eq!(failure.kind(), Kind::Config);
        assert_eq!(
            failure.message(),
            "the password command of account work failed with exit status 3"
        );
        assert!(!format!("{failure} {:?}", failure.hints()).contains("marker"));

        let failure = run_in_background("echo marker; kill -TERM $$", soon()).expect_err("killed");
        assert!(failure.message().ends_with("was ended by signal 15"));
    }

    #[test]
    fn only_the_first_line_counts() {
        let secret = run_in_background("echo 'first line'; echo note", soon()).expect("a secret");
        assert_eq!(secret.expose(), b"first line");
        let failure = run_in_background("echo; echo marker", soon()).expect_err("an empty line");
        assert_eq!(failure.kind(), Kind::Config);
        assert!(failure.to_string().ends_with("it is empty"));
        assert!(!format!("{failure} {:?}", failure.hints()).contains("marker"));
    }

    #[test]
    fn a_command_that_prints_nothing_gives_no_secret() {
        let failure = run_in_background("true", soon()).expect_err("nothing");
        assert!(failure.to_string().ends_with("it is empty"));
    }

    #[test]
    fn a_command_that_hangs_is_not_waited_for_for_ever() {
        for line in ["sleep 1000", "exec >&-; sleep 1000"] {
            let short = Wait::at_most(Duration::from_millis(100), &|| false);
            let failure = run_in_background(line, short).expect_err("it hangs");
            assert_eq!(failure.kind(), Kind::Temporary, "{line}");
            assert!(failure.message().contains("did not end"), "{failure}");
        }
    }

    #[test]
    fn a_command_that_is_no_longer_wanted_is_ended() {
        for line in ["sleep 1000", "exec >&-; sleep 1000"] {
            let wait = Wait::at_most(Duration::from_secs(60), &|| true);
            let failure = run_in_background(line, wait).expect_err("stopped");
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

        let failure = run_in_background(&line, soon()).expect_err("flooded");
        assert!(
            failure.to_string().ends_with("more than 64 KiB came"),
            "{failure}"
        );
        assert!(to_end(&alive, soon()).expect("the FIFO ends").is_empty());
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
        let secret = run_in_background(&line, soon()).expect("a secret");
        assert_eq!(secret.expose(), b"secret");
        fs::write(&ready, "go\n").expect("the agent listens");
        assert_eq!(
            fs::read_to_string(&done).expect("the agent answers"),
            "alive\n"
        );
    }
}
