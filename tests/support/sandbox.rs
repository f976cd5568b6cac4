//! A home for one test: directories, configuration, a clock, and the program run in it as a person would.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::certificates::{Certificates, write_private};
use super::fifo::Fifo;
use super::server::Endpoint;

/// The program.
const PROGRAM: &str = env!("CARGO_BIN_EXE_popfetch");

/// The longest the program may run before the test fails.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Directories that belong to one test, and what the program finds in its environment.
pub(crate) struct Sandbox {
    directory: TempDir,
    variables: BTreeMap<String, String>,
    certificates: OnceCell<Certificates>,
    time_limit: Duration,
}

impl Sandbox {
    /// Empty directories, and an environment of PATH, the directories, and `LC_ALL=C`. There is no D-Bus.
    pub(crate) fn new() -> Self {
        Self::in_directory(&std::env::temp_dir())
    }

    /// The same, all of it below this directory.
    pub(crate) fn in_directory(directory: &Path) -> Self {
        let directory = tempfile::tempdir_in(directory).expect("a temporary directory");
        let mut variables = BTreeMap::new();
        for (name, place) in [
            ("HOME", "home"),
            ("XDG_CONFIG_HOME", "home/.config"),
            ("XDG_STATE_HOME", "home/.local/state"),
            ("TMPDIR", "tmp"),
        ] {
            let path = directory.path().join(place);
            fs::create_dir_all(&path).expect("our own directory");
            variables.insert(name.to_owned(), path.display().to_string());
        }
        variables.insert("LC_ALL".to_owned(), "C".to_owned());
        // Without it, some would look for a bus in /run/user, and there may be one.
        let no_bus = format!("unix:path={}/no-bus", directory.path().display());
        variables.insert("DBUS_SESSION_BUS_ADDRESS".to_owned(), no_bus);
        Sandbox {
            directory,
            variables,
            certificates: OnceCell::new(),
            time_limit: TIMEOUT,
        }
    }

    /// Every file and directory below the home directory, but for the state.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut left = vec![self.home("")];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(&directory).into_iter().flatten() {
                let path = entry.expect("our own directory").path();
                if path == self.state() {
                    continue;
                }
                if path.is_dir() && !path.is_symlink() {
                    left.push(path.clone());
                }
                files.push(path);
            }
        }
        files.sort();
        files
    }

    /// From now on it is this time (RFC 3339) for the program.
    pub(crate) fn at(&mut self, now: &str) {
        self.variable("POPFETCH_TEST_NOW", now);
    }

    /// From now on the program finds this environment variable.
    pub(crate) fn variable(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// From now on the program may take so long.
    pub(crate) fn time_limit(&mut self, time_limit: Duration) {
        self.time_limit = time_limit;
    }

    /// A path below the home directory.
    pub(crate) fn home(&self, path: &str) -> PathBuf {
        self.directory.path().join("home").join(path)
    }

    /// The journals' directory.
    pub(crate) fn state(&self) -> PathBuf {
        self.home(".local/state/popfetch")
    }

    /// The only journal.
    #[track_caller]
    pub(crate) fn journal(&self) -> PathBuf {
        let entries = fs::read_dir(self.state()).expect("a state directory");
        let paths = entries.map(|entry| entry.expect("a directory can be read").path());
        let journal = paths.filter(|path| path.extension().is_some_and(|end| end == "jsonl"));
        journal.last().expect("a journal")
    }

    /// Puts a line that says nothing into the journal, which the next run then writes anew.
    #[track_caller]
    pub(crate) fn damage_journal(&self) {
        let path = self.journal();
        let text = fs::read_to_string(&path).expect("a journal");
        let (header, records) = text.split_once('\n').expect("a header");
        fs::write(path, format!("{header}\nno record\n{records}")).expect("a journal");
    }

    /// The authority of this sandbox.
    pub(crate) fn certificates(&self) -> &Certificates {
        self.certificates
            .get_or_init(|| Certificates::new(&self.directory.path().join("certificates")))
    }

    /// A file below the home directory that no other user can read.
    pub(crate) fn private_file(&self, path: &str, content: &str) -> PathBuf {
        let path = self.home(path);
        fs::create_dir_all(path.parent().expect("a file has a directory"))
            .expect("our own directory");
        write_private(&path, content.as_bytes());
        path
    }

    /// A FIFO below the home directory that no other user can open.
    pub(crate) fn fifo(&self, path: &str) -> Fifo {
        Fifo::new(self.home(path))
    }

    /// Writes the configuration file.
    pub(crate) fn configure(&self, text: &str) {
        self.private_file(".config/popfetch/config.toml", text);
    }

    /// An account for this server, to be changed and written: its mail goes to `~/Mail/NAME`.
    pub(crate) fn account<'a>(&'a self, name: &'a str, endpoint: &Endpoint) -> Account<'a> {
        let text = |value: &str| format!("{value:?}");
        let password = self.private_file(&format!("{name}.password"), &endpoint.password);
        let mut keys = BTreeMap::from([
            ("host", text("127.0.0.1")),
            ("port", endpoint.port.to_string()),
            ("user", text(&endpoint.user)),
            ("tls", text(endpoint.tls)),
            ("password_file", text(&password.display().to_string())),
            ("deliver", text(&format!("maildir:~/Mail/{name}"))),
            ("timeout", text("10s")),
        ]);
        match &endpoint.ca_file {
            Some(file) => keys.insert("ca_file", text(&file.display().to_string())),
            None => keys.insert("allow_cleartext_password", "true".to_owned()),
        };
        let sandbox = self;
        Account {
            sandbox,
            name,
            keys,
        }
    }

    /// Where the mail of an account goes unless its configuration says otherwise.
    pub(crate) fn mail(&self, account: &str) -> Maildir {
        self.maildir(&format!("Mail/{account}"))
    }

    /// A Maildir below the home directory.
    pub(crate) fn maildir(&self, path: &str) -> Maildir {
        Maildir {
            path: self.home(path),
        }
    }

    /// The texts in a destination, named as in the configuration and below the home directory.
    pub(crate) fn stored_at(&self, destination: &str) -> Vec<Vec<u8>> {
        match destination.split_once(":~/") {
            Some(("maildir", path)) => self.maildir(path).texts(),
            Some(("mbox", path)) => mbox_texts(&fs::read(self.home(path)).unwrap_or_default()),
            _ => panic!("no reader for {destination}"),
        }
    }

    /// Only these messages are in this destination, each exactly once, byte for byte.
    #[track_caller]
    pub(crate) fn holds_at(&self, destination: &str, expected: &[Vec<u8>], context: &str) {
        let difference = difference(self.stored_at(destination), expected);
        assert!(
            difference.is_empty(),
            "{context}: {destination}: {difference}"
        );
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.start(arguments).finish()
    }

    /// Starts the program.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        self.start_with(&[], arguments, &[])
    }

    /// Starts the program under another one (`strace -f`, or none), with these environment variables
    /// besides the sandbox's.
    pub(crate) fn start_with(
        &self,
        under: &[&str],
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Running {
        self.launch(&[under, &["popfetch"], arguments].concat(), variables)
    }

    /// Runs a line of shell to its end.
    pub(crate) fn shell(&self, line: &str) -> Outcome {
        self.launch(&["bash", "-c", line], &[]).finish()
    }

    /// Starts any program; this one is called `popfetch`.
    pub(crate) fn launch(&self, line: &[&str], variables: &[(&str, &str)]) -> Running {
        let mut command = self.command(line);
        command.envs(variables.iter().copied()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.watch(&mut command, &line.join(" "))
    }

    /// A command in this sandbox. It has no terminal to ask at, though the tests may have one:
    /// `setsid`, whose options may stand in front, takes it away.
    pub(crate) fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new("setsid");
        command.args(line).env_clear().envs(&self.variables);
        let program = Path::new(PROGRAM);
        let directory = program
            .parent()
            .expect("a program has a directory")
            .to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let directories = std::iter::once(directory).chain(std::env::split_paths(&path));
        command.env(
            "PATH",
            std::env::join_paths(directories).expect("usable directories"),
        );
        command.current_dir(self.home(""));
        command
    }

    /// Starts a command, and reads its output where that is piped.
    pub(crate) fn watch(&self, command: &mut Command, name: &str) -> Running {
        let mut child = command.spawn().expect("the program can be started");
        Running {
            output: child.stdout.take().map(read_in_thread),
            errors: child.stderr.take().map(read_in_thread),
            command: name.to_owned(),
            deadline: Instant::now() + self.time_limit,
            peak: 0,
            child,
        }
    }
}

/// An account on its way into the configuration file.
pub(crate) struct Account<'a> {
    sandbox: &'a Sandbox,
    name: &'a str,
    keys: BTreeMap<&'a str, String>,
}

impl<'a> Account<'a> {
    /// This key has this value, written as TOML.
    pub(crate) fn set(mut self, key: &'a str, value: &str) -> Self {
        self.keys.insert(key, value.to_owned());
        self
    }

    /// This key is not there.
    pub(crate) fn without(mut self, key: &str) -> Self {
        self.keys.remove(key);
        self
    }

    /// Puts it at the end of the configuration file.
    pub(crate) fn write(self) {
        let mut text = format!("[accounts.{}]\n", self.name);
        for (key, value) in &self.keys {
            let _ = writeln!(text, "{key} = {value}");
        }
        let path = self.sandbox.home(".config/popfetch/config.toml");
        if path.exists() {
            let mut file = OpenOptions::new()
                .append(true)
                .open(path)
                .expect("our own file");
            file.write_all(text.as_bytes()).expect("our own file");
        } else {
            self.sandbox.configure(&text);
        }
    }
}

/// The running program; killed if the test forgets it.
pub(crate) struct Running {
    child: Child,
    command: String,
    deadline: Instant,
    peak: u64,
    output: Option<JoinHandle<Vec<u8>>>,
    errors: Option<JoinHandle<Vec<u8>>>,
}

impl Running {
    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a child has an id"), signal).expect("our own child");
    }

    /// Waits for its end; the test fails if that takes too long.
    pub(crate) fn finish(self) -> Outcome {
        let command = self.command.clone();
        let outcome = self.finish_in_time();
        outcome.unwrap_or_else(|| panic!("{command} does not end"))
    }

    /// Waits for its end; none if that takes too long.
    pub(crate) fn finish_in_time(mut self) -> Option<Outcome> {
        let status = self.wait()?;
        let text = |thread: Option<JoinHandle<Vec<u8>>>| {
            let bytes = thread.map(|thread| thread.join().expect("reading does not panic"));
            String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
        };
        Some(Outcome {
            command: std::mem::take(&mut self.command),
            // As a shell reports it.
            status: status.code().or(status.signal().map(|signal| 128 + signal)),
            stdout: text(self.output.take()),
            stderr: text(self.errors.take()),
            peak: self.peak,
        })
    }

    fn wait(&mut self) -> Option<ExitStatus> {
        loop {
            self.peak = self.peak.max(peak_memory(self.child.id()));
            let status = self.child.try_wait().expect("our own child");
            if status.is_some() || Instant::now() >= self.deadline {
                return status;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The most memory that this process has used so far, in octets; 0 where it is over.
fn peak_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    1024 * kibibytes.unwrap_or(0)
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be over.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_in_thread(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came until then is what there is.
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

/// How a run of the program ended.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    command: String,
    /// The exit status; none after a signal that it did not catch.
    pub(crate) status: Option<i32>,
    /// What it wrote.
    pub(crate) stdout: String,
    /// What it wrote to standard error.
    pub(crate) stderr: String,
    /// The most memory that it was seen to use, in octets.
    pub(crate) peak: u64,
}

impl Outcome {
    /// It ended with this status.
    #[track_caller]
    pub(crate) fn ends_with(&self, status: i32) -> &Self {
        let Outcome { command, .. } = self;
        assert_eq!(self.status, Some(status), "{command}: {self:#?}");
        self
    }

    /// It wrote nothing at all.
    #[track_caller]
    pub(crate) fn says_nothing(&self) -> &Self {
        assert!(
            self.stdout.is_empty() && self.stderr.is_empty(),
            "{self:#?}"
        );
        self
    }

    /// Its errors contain this.
    #[track_caller]
    pub(crate) fn complains(&self, part: &str) -> &Self {
        assert!(self.stderr.contains(part), "no \"{part}\" in {self:#?}");
        self
    }

    /// Nothing it wrote contains this.
    #[track_caller]
    pub(crate) fn keeps_to_itself(&self, secret: &str) -> &Self {
        let said = self.stdout.contains(secret) || self.stderr.contains(secret);
        assert!(!said, "\"{secret}\" in {self:#?}");
        self
    }

    /// The JSON objects of its output, one a line.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        let parse =
            |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in {self:#?}"));
        self.stdout.lines().map(parse).collect()
    }
}

/// A Maildir to look into.
pub(crate) struct Maildir {
    /// Where it is.
    pub(crate) path: PathBuf,
}

impl Maildir {
    /// Throws away all that is in it; an empty one is left.
    pub(crate) fn empty(&self) {
        fs::remove_dir_all(&self.path).expect("our own directory");
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        for name in ["cur", "new", "tmp"] {
            let made = builder.create(self.path.join(name));
            made.expect("our own directory");
        }
    }

    /// The texts in `new/` and `cur/`, sorted; none where there is no Maildir.
    pub(crate) fn texts(&self) -> Vec<Vec<u8>> {
        let directories = ["new", "cur"]
            .into_iter()
            .flat_map(|directory| self.files(directory));
        let read = |path: PathBuf| fs::read(path).expect("a stored message can be read");
        let mut texts: Vec<Vec<u8>> = directories.map(read).collect();
        texts.sort();
        texts
    }

    /// Only these messages are in it, each exactly once, byte for byte.
    #[track_caller]
    pub(crate) fn holds<T: AsRef<[u8]>>(&self, expected: impl IntoIterator<Item = T>) {
        assert_same_texts(self.texts(), expected);
    }

    /// It is as a Maildir must be: private, nothing left in `tmp/`, names that say the true size.
    #[track_caller]
    pub(crate) fn is_sound(&self) {
        assert_eq!(mode(&self.path), 0o700, "{}", self.path.display());
        for directory in ["tmp", "new", "cur"] {
            assert_eq!(mode(&self.path.join(directory)), 0o700, "{directory}");
        }
        assert_eq!(self.files("tmp"), Vec::<PathBuf>::new(), "left in tmp/");
        for file in self.files("new") {
            let name = file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let length = fs::metadata(&file)
                .expect("a stored message is there")
                .len();
            assert_eq!(mode(&file), 0o600, "{name}");
            assert!(
                name.contains(&format!(",S={length}")),
                "{name} holds {length} bytes"
            );
            assert!(!name.contains([':', '/']), "{name}");
        }
    }

    fn files(&self, directory: &str) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path.join(directory)) else {
            return Vec::new();
        };
        entries
            .map(|entry| entry.expect("a directory can be read").path())
            .collect()
    }
}

/// The messages of an mbox, without their From_ lines, the empty lines after them, and one `>` of
/// each quoted line (mboxrd).
fn mbox_texts(mbox: &[u8]) -> Vec<Vec<u8>> {
    let mut texts: Vec<Vec<u8>> = Vec::new();
    for line in mbox.split_inclusive(|&byte| byte == b'\n') {
        let quoted = line.iter().skip_while(|&&byte| byte == b'>').copied();
        let is_quoted = line.starts_with(b">") && quoted.take(5).eq(*b"From ");
        match texts.last_mut() {
            _ if line.starts_with(b"From ") => texts.push(Vec::new()),
            Some(text) => text.extend_from_slice(&line[usize::from(is_quoted)..]),
            None => texts.push(line.to_owned()),
        }
    }
    // The last one may be there in part, after a crash.
    for text in &mut texts {
        text.pop();
    }
    texts
}

/// The permission bits of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    let metadata = fs::metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    metadata.permissions().mode() & 0o7777
}

/// The same texts, each as often, in any order. Says how they differ without showing megabytes.
#[track_caller]
pub(crate) fn assert_same_texts<A: AsRef<[u8]>, B: AsRef<[u8]>>(
    actual: impl IntoIterator<Item = A>,
    expected: impl IntoIterator<Item = B>,
) {
    let difference = difference(actual, expected);
    assert!(difference.is_empty(), "{difference}");
}

/// How these texts differ from the expected ones, in any order: nothing, or one line for each.
pub(crate) fn difference<A: AsRef<[u8]>, B: AsRef<[u8]>>(
    actual: impl IntoIterator<Item = A>,
    expected: impl IntoIterator<Item = B>,
) -> String {
    let mut balance: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    for text in actual {
        *balance.entry(text.as_ref().to_owned()).or_default() += 1;
    }
    for text in expected {
        *balance.entry(text.as_ref().to_owned()).or_default() -= 1;
    }
    let mut difference = String::new();
    for (text, count) in balance.into_iter().filter(|(_, count)| *count != 0) {
        let what = if count > 0 { "too much" } else { "missing" };
        let shown = popfetch::text::Untrusted(&text);
        let _ = writeln!(difference, "{what}, {} bytes: {shown}", text.len());
    }
    difference
}
