//! GNU mailutils' POP3 server. It shows an APOP timestamp in its greeting whether it has a secret for
//! a user or not; here it has none.
//!
//! It runs as inetd would run it, one process for each connection.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::geteuid;
use tempfile::TempDir;

use super::certificates::{Certificates, Kind, write_private};
use super::messages::stored_form;
use super::report::skip;
use super::server::listener::Listener;
use super::server::{Endpoint, PASSWORD, USER};

/// The domain of [`USER`]: the server looks users without one up in the system.
const DOMAIN: &str = "pop.example";

/// The group `mail`, which the server makes its own; Debian gives it this number.
const MAIL_GROUP: u32 = 8;

/// The server, with one user; it ends when this is dropped.
pub(crate) struct Mailutils {
    listener: Listener,
    ca_file: PathBuf,
    sessions: Arc<AtomicUsize>,
    directory: Arc<TempDir>,
}

impl Mailutils {
    /// Starts it with these messages, given in wire form, none of which has a line that begins with
    /// `From `. None where it cannot run: only root has the group `mail`, or may pretend to.
    pub(crate) fn start<M: AsRef<[u8]>>(
        certificates: &Certificates,
        messages: impl IntoIterator<Item = M>,
    ) -> Option<Self> {
        let program = program();
        if !geteuid().is_root() && !pretending("true").status().is_ok_and(|it| it.success()) {
            skip("only root can run GNU mailutils' POP3 server here");
            return None;
        }
        let directory = Arc::new(tempfile::tempdir().expect("a directory for the server"));
        let file = directory.path().join("pop3d.conf");
        write_private(
            &file,
            configuration(directory.path(), certificates).as_bytes(),
        );
        make_user(directory.path());
        fill(&directory.path().join("INBOX"), messages);
        let sessions = Arc::new(AtomicUsize::new(0));
        let (count, logs) = (Arc::clone(&sessions), Arc::clone(&directory));
        let listener = Listener::start(move |stream, _| {
            let log = log_of(logs.path(), count.fetch_add(1, Ordering::SeqCst));
            serve(stream, &program, &file, &log);
        });
        Some(Mailutils {
            listener,
            ca_file: certificates.authority_file(),
            sessions,
            directory,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// What an account's configuration has to say, for this value of `tls`.
    pub(crate) fn endpoint(&self, tls: &'static str) -> Endpoint {
        Endpoint {
            port: self.address().port(),
            tls,
            ca_file: (tls != "none").then(|| self.ca_file.clone()),
            user: format!("{USER}@{DOMAIN}"),
            password: PASSWORD.to_owned(),
        }
    }

    /// The commands that it understood, session by session, with passwords masked.
    pub(crate) fn sessions(&self) -> Vec<Vec<String>> {
        let count = self.sessions.load(Ordering::SeqCst);
        let logs = (0..count).map(|session| log_of(self.directory.path(), session));
        logs.map(|log| commands(&log)).collect()
    }

    /// What is left in the maildrop, as an mbox.
    pub(crate) fn maildrop(&self) -> String {
        fs::read_to_string(self.directory.path().join("INBOX")).expect("the maildrop is there")
    }
}

/// Where it is installed, or where tests/run has unpacked it.
fn program() -> PathBuf {
    let unpacked = Path::new(env!("CARGO_TARGET_TMPDIR")).join("unpacked");
    let places = [Path::new("/"), &unpacked].map(|root| root.join("usr/sbin/pop3d"));
    let found = places.into_iter().find(|place| place.exists());
    found.expect("GNU mailutils' POP3 server is missing: run tests/run, which unpacks it")
}

/// A command run as a user that looks like root and has the group `mail`.
fn pretending(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-user=0"]);
    command.arg(format!("--map-group={MAIL_GROUP}"));
    command.arg(program.as_ref());
    command
}

fn serve(stream: TcpStream, program: &Path, configuration: &Path, log: &Path) {
    let log = File::create(log).expect("our own directory");
    let mut command = match geteuid().is_root() {
        true => Command::new(program),
        false => pretending(program),
    };
    command
        .arg("--inetd")
        .arg("--config-file")
        .arg(configuration);
    let input = OwnedFd::from(stream.try_clone().expect("a connection has two ends"));
    command.stdin(Stdio::from(input));
    command.stdout(Stdio::from(OwnedFd::from(stream)));
    let mut child = command.stderr(log).spawn().expect("it can be started");
    child.wait().expect("our own child");
}

fn log_of(directory: &Path, session: usize) -> PathBuf {
    directory.join(format!("{session}.log"))
}

fn commands(log: &Path) -> Vec<String> {
    let log = fs::read_to_string(log).unwrap_or_default();
    let commands = log.lines().filter_map(|line| line.split_once(" C: "));
    commands.map(|(_, command)| command.to_owned()).collect()
}

fn configuration(directory: &Path, certificates: &Certificates) -> String {
    let certificate = certificates.make(Kind::Good);
    format!(
        "auth {{
  authentication generic;
  authorization virtdomain;
}};
virtdomain {{ passwd-dir {directory}/domains; }};
mailbox {{ mailbox-type mbox; }};
logging {{ syslog no; }};
transcript yes;
tcp-wrappers {{ enable no; }};
apop-database-file {directory}/nobody-has-a-secret;
tls-mode ondemand;
tls {{
  ssl-certificate-file {certificate};
  ssl-key-file {key};
}};
tls-file-checks {{ key-file none; cert-file none; }};
",
        directory = directory.display(),
        certificate = certificate.certificate_file.display(),
        key = certificate.key_file.display(),
    )
}

/// The user's line, as in /etc/passwd, with a password that does for USER and not for APOP.
fn make_user(directory: &Path) {
    let output = Command::new("openssl")
        .args(["passwd", "-6", PASSWORD])
        .output()
        .expect("OpenSSL is installed: tests/run sees to it");
    let hash = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let line = format!(
        "{USER}:{hash}:0:{MAIL_GROUP}::{}:/bin/sh\n",
        directory.display()
    );
    let domains = directory.join("domains");
    fs::create_dir(&domains).expect("our own directory");
    write_private(&domains.join(DOMAIN), line.as_bytes());
}

fn fill<M: AsRef<[u8]>>(mbox: &Path, messages: impl IntoIterator<Item = M>) {
    let mut text = Vec::new();
    for message in messages {
        text.extend_from_slice(b"From a@pop.example Sun Mar  1 12:00:00 2026\n");
        text.extend(stored_form(message.as_ref()));
        text.push(b'\n');
    }
    write_private(mbox, &text);
}
