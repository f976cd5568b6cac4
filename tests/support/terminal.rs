//! A pseudo-terminal: what a program does where a person sits in front of it.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::sandbox::{Outcome, Running, Sandbox};

/// The longest a test waits for something to appear.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A program at work on a terminal of its own, of 80 columns, with a person at the other end.
pub(crate) struct Terminal {
    person: File,
    seen: Arc<Mutex<Vec<u8>>>,
    eyes: JoinHandle<()>,
    running: Running,
}

impl Terminal {
    /// Starts it, in this sandbox.
    pub(crate) fn start(sandbox: &Sandbox, line: &[&str]) -> Self {
        let (person, terminal) = pair();
        let mut command = sandbox.command(&[&["--ctty"], line].concat());
        let end = || terminal.try_clone().expect("another handle of a terminal");
        command.env("TERM", "xterm");
        command.stdin(end()).stdout(end()).stderr(end());
        let running = sandbox.watch(&mut command, &line.join(" "));
        let seen = Arc::default();
        Terminal {
            eyes: watch(person.try_clone().expect("another handle"), &seen),
            person,
            seen,
            running,
        }
    }

    /// Waits until this was shown.
    #[track_caller]
    pub(crate) fn shows(&self, part: &str) -> &Self {
        self.wait_until(part, || self.text().contains(part));
        self
    }

    /// Types a line as soon as what is typed is not shown, as at a question for a password.
    #[track_caller]
    pub(crate) fn type_unseen(&self, line: &str) -> &Self {
        self.hides_typing();
        self.types(&format!("{line}\n"))
    }

    /// Waits until what is typed is not shown.
    #[track_caller]
    pub(crate) fn hides_typing(&self) -> &Self {
        let hidden = || !shows_typing(&self.person);
        self.wait_until("a terminal that hides what is typed", hidden);
        self
    }

    /// Waits until what is typed is shown again.
    #[track_caller]
    pub(crate) fn shows_typing(&self) -> &Self {
        self.wait_until("a terminal that shows what is typed", || {
            shows_typing(&self.person)
        });
        self
    }

    /// Sends a signal to the program alone.
    pub(crate) fn signal(&self, signal: Signal) -> &Self {
        self.running.signal(signal);
        self
    }

    /// Presses these keys now.
    pub(crate) fn types(&self, keys: &str) -> &Self {
        let typed = (&self.person).write_all(keys.as_bytes());
        typed.expect("a terminal takes keys");
        self
    }

    /// Waits for the program's end. Everything that was shown is its output. The terminal must show again
    /// what is typed.
    #[track_caller]
    pub(crate) fn finish(self) -> Outcome {
        let mut outcome = self.running.finish();
        self.eyes.join().expect("watching does not panic");
        assert!(shows_typing(&self.person), "typing is hidden: {outcome:#?}");
        outcome.stdout = String::from_utf8_lossy(&lock(&self.seen)).into_owned();
        outcome
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.seen)).into_owned()
    }

    #[track_caller]
    fn wait_until(&self, what: &str, happened: impl Fn() -> bool) {
        let deadline = Instant::now() + TIMEOUT;
        while !happened() {
            assert!(
                Instant::now() < deadline,
                "no \"{what}\" in {:?}",
                self.text()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn shows_typing(person: &File) -> bool {
    let attributes = tcgetattr(person).expect("a terminal");
    let needed = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
    attributes.local_modes.contains(needed)
}

/// What is left of this on a screen, line by line: what was wiped is gone. It knows wiping and colors,
/// which is what one bar takes, and refuses everything else.
#[track_caller]
pub(crate) fn left_on_screen(shown: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in shown.split("\r\n") {
        let (_, left) = line.rsplit_once("\r\x1b[2K").unwrap_or(("", line));
        let mut pieces = left.split("\x1b[");
        let mut text = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let colored = piece.split_once('m').filter(|(code, _)| {
                code.bytes()
                    .all(|byte| byte == b';' || byte.is_ascii_digit())
            });
            text += colored.unwrap_or_else(|| panic!("no color: {piece:?}")).1;
        }
        assert!(!text.contains(['\r', '\n', '\x1b']), "{text:?}");
        lines.push(text.trim_end().to_owned());
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// Both ends of a new terminal: the person's, and the program's.
fn pair() -> (File, OwnedFd) {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC);
    let person = person.expect("a pseudo-terminal");
    grantpt(&person).expect("our own terminal");
    unlockpt(&person).expect("our own terminal");
    let name = ptsname(&person, Vec::new()).expect("a terminal has a name");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = rustix::fs::open(name, flags, Mode::empty()).expect("our own terminal");
    let size = Winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&terminal, size).expect("a terminal has a size");
    (File::from(person), terminal)
}

fn watch(mut person: File, seen: &Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    let seen = Arc::clone(seen);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            match person.read(&mut buffer) {
                Ok(read) if read > 0 => lock(&seen).extend(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // EIO says that the other end is closed.
                _ => return,
            }
        }
    })
}

fn lock(seen: &Mutex<Vec<u8>>) -> std::sync::MutexGuard<'_, Vec<u8>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
