//! The fixture of a case, laid out as its scene wants it.

use std::cell::RefCell;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::geteuid;

use super::case::{Case, RETR, TOP};
use super::finding::Finding;
use super::peer::Peer;
use super::scene::Scene;
use super::watch::{Taken, finish, members};
use crate::fixture::Fixture;
use crate::shared::fetcher::{Fetcher, NOBODY, Store, entries, place};
use crate::support::disks::{self, Mounted};
use crate::support::sandbox::{Outcome, Sandbox, mode};
use crate::support::server::{PASSWORD, SessionLog};

/// How long a program may take, though the server is silent for ever.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The content of a file that must not change.
const PRECIOUS: &str = "nothing is to be added here\n";

/// A fixture on which a case takes place.
pub(crate) struct Set<'a> {
    case: &'a Case,
    pub(crate) fixture: Fixture,
    // Unmounted when the fixture is gone.
    disk: Option<Mounted>,
    /// What was in the home before.
    made: RefCell<Vec<PathBuf>>,
}

impl<'a> Set<'a> {
    /// None where this machine does not let us build it.
    pub(crate) fn new(case: &'a Case) -> Option<Self> {
        let needs_root = matches!(case.scene, Scene::FullDisk | Scene::Link);
        if needs_root && !geteuid().is_root() {
            return None;
        }
        let disk = match case.scene {
            Scene::FullDisk => Some(disks::memory("size=300k")?),
            _ => None,
        };
        let sandbox = match &disk {
            Some(disk) => Sandbox::in_directory(disk.path()),
            None => Sandbox::new(),
        };
        let mut fixture = Fixture::new(case.mailbox(), sandbox);
        fixture.sandbox.time_limit(TIMEOUT);
        Some(Set {
            case,
            fixture,
            disk,
            made: RefCell::default(),
        })
    }

    /// What has to be done before it starts, and what to start.
    pub(crate) fn before(&self, command: Command, fetcher: Fetcher) -> Command {
        let home = self.fixture.home();
        let command = match self.case.scene {
            Scene::Umask => under_umask(&command),
            Scene::Loud => loud(command, fetcher),
            _ => command,
        };
        match self.case.scene {
            Scene::Link => lay_link(&home),
            Scene::Readable => open_to_all(&home),
            _ => {}
        }
        self.made.replace(all_below(&home));
        command
    }

    /// Runs it; what only this scene can lead to comes last.
    pub(crate) fn perform(
        &self,
        (command, fetcher): (Command, Fetcher),
        peer: &Peer,
        again: impl Fn() -> Command,
    ) -> (Option<Outcome>, Taken, Option<Finding>) {
        let home = self.fixture.home();
        let run = self.fixture.start(command);
        let meanwhile = match self.case.scene {
            Scene::TwoAtOnce => {
                peer.wait_for(first_message(fetcher));
                self.fixture.start(again()).finish();
                None
            }
            Scene::Inspected => {
                peer.wait_for(first_message(fetcher));
                // So that the recipient of the message is there, too.
                std::thread::sleep(Duration::from_millis(300));
                inspect(run.group())
            }
            _ => None,
        };
        let (outcome, taken) = finish(run, &home);
        (outcome, taken, meanwhile.or_else(|| self.traces(&home)))
    }

    /// What is found afterwards.
    fn traces(&self, home: &Path) -> Option<Finding> {
        let before = self.made.borrow();
        let for_all = |path: &PathBuf| !before.contains(path) && mode(path) & 0o077 != 0;
        let found = match self.case.scene {
            Scene::Umask => (
                all_below(home).iter().any(for_all),
                "lets others read the mail",
            ),
            Scene::Link => (
                fs::read(home.join("precious")).expect("our own file") != PRECIOUS.as_bytes(),
                "writes where it leads",
            ),
            Scene::Commands => (home.join("broken").exists(), "runs the command"),
            _ => return None,
        };
        found.0.then_some(Finding::Also(found.1))
    }

    /// There is room again.
    pub(crate) fn relieve(&self) {
        if let Some(disk) = &self.disk {
            disk.remount("size=64m");
        }
    }

    /// Whether the program came so far.
    pub(crate) fn reaches(&self, sessions: &[SessionLog]) -> bool {
        let mut commands = sessions.iter().flat_map(SessionLog::commands);
        match (self.case.scene, self.case.at) {
            // It may refuse to begin.
            (Scene::Readable, _) => true,
            (_, "") => !sessions.is_empty(),
            (_, at) => commands.any(|command| is_like(at, &command)),
        }
    }
}

/// What it asks for the first message with.
fn first_message(fetcher: Fetcher) -> &'static str {
    match fetcher {
        Fetcher::Fetchmail => "TOP 1 99999999",
        _ => "RETR 1",
    }
}

/// Whether a command is of the kind at which an attack strikes.
fn is_like(at: &str, command: &str) -> bool {
    let as_top = at
        .strip_prefix(RETR)
        .is_some_and(|number| command.starts_with(&format!("{TOP}{number}")));
    command.starts_with(at) || as_top
}

/// The same command with a umask that lets all users read what it makes.
fn under_umask(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 000; exec \"$0\" \"$@\""]);
    shell.arg(command.get_program()).args(command.get_args());
    let variables = command.get_envs();
    shell
        .env_clear()
        .envs(variables.filter_map(|(name, value)| Some((name, value?))));
    shell
}

fn loud(mut command: Command, fetcher: Fetcher) -> Command {
    match fetcher {
        Fetcher::Popfetch => command.arg("-vv"),
        Fetcher::Fetchmail => command.args(["-v", "-v"]),
        Fetcher::Mpop => command.arg("--debug"),
        Fetcher::Getmail => command.args(["-v", "--trace"]),
    };
    command
}

fn lay_link(home: &Path) {
    let (shared, precious) = (home.join("shared"), home.join("precious"));
    let theirs = shared.join("theirs");
    fs::create_dir(&shared).expect("our own directory");
    chown(&shared, Some(NOBODY), None).expect("root may");
    fs::write(&precious, PRECIOUS).expect("our own file");
    symlink(&precious, &theirs).expect("root may");
    lchown(&theirs, Some(NOBODY), None).expect("root may");
    symlink(&theirs, place(home, Store::Mbox, 0)).expect("our own directory");
}

fn open_to_all(home: &Path) {
    let files = ["password", "fetchmailrc", "mpoprc", "getmailrc"].map(|name| home.join(name));
    for file in files.iter().filter(|file| file.exists()) {
        fs::set_permissions(file, Permissions::from_mode(0o644)).expect("our own file");
    }
}

/// Whether the password is where every user can see it, or in the hands of a child.
fn inspect(group: u32) -> Option<Finding> {
    let mut files = members(group).flat_map(|process| {
        ["cmdline", "environ"].map(|name| PathBuf::from(format!("/proc/{process}/{name}")))
    });
    let shows = files.any(|file| {
        // It may be over.
        let text = fs::read(file).unwrap_or_default();
        memchr::memmem::find(&text, PASSWORD.as_bytes()).is_some()
    });
    shows.then_some(Finding::ShowsPassword)
}

/// Every file and directory below this one.
fn all_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in entries(directory) {
        if path.is_dir() && !path.is_symlink() {
            found.extend(all_below(&path));
        }
        found.push(path);
    }
    found
}
