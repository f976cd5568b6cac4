//! Dovecot, the real thing, with its own configuration, directories and ports, ended by its process id.
//!
//! Runs as root (mail then belongs to `nobody`) and as another user (then everything is theirs).

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use rustix::process::{Pid, Signal, getegid, geteuid, kill_process};
use tempfile::TempDir;

use super::certificates::{Certificates, Kind, write_private};
use super::server::{Endpoint, PASSWORD, USER};

/// The user that mail belongs to where the tests run as root; any but root will do.
const NOBODY: u32 = 65534;

/// How long Dovecot may take to start, and to end.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How to reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    /// TLS from the first byte.
    Implicit,
    /// STLS.
    StartTls,
    /// Neither, on the same port as STLS.
    Plain,
}

/// A running Dovecot with one user, [`USER`]; it ends when this is dropped.
pub(crate) struct Dovecot {
    directory: TempDir,
    master: Child,
    ca_file: PathBuf,
    plain_port: u16,
    tls_port: u16,
    filled: usize,
}

impl Dovecot {
    /// Starts it with an empty maildrop, and returns once it answers.
    pub(crate) fn start(certificates: &Certificates) -> Self {
        // Between finding free ports and using them, another program may take them: then, others.
        for _ in 0..5 {
            if let Some(dovecot) = Self::try_start(certificates) {
                return dovecot;
            }
        }
        panic!("Dovecot found no free ports, five times");
    }

    fn try_start(certificates: &Certificates) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory for Dovecot");
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755))
            .expect("our own directory");
        let (plain_port, tls_port) = two_free_ports();
        let configuration = configuration(directory.path(), certificates, plain_port, tls_port);
        let file = directory.path().join("dovecot.conf");
        write_private(&file, configuration.as_bytes());
        let users = format!("{USER}:{{PLAIN}}{PASSWORD}\n");
        write_for_dovecot(&directory.path().join("users"), &users);
        validate_tokens(directory.path());
        let mut dovecot = Dovecot {
            master: launch(&file),
            ca_file: certificates.authority_file(),
            plain_port,
            tls_port,
            filled: 0,
            directory,
        };
        dovecot.make_maildrop();
        dovecot.answers().then_some(dovecot)
    }

    /// Puts messages, given in wire form, after those that are there. Dovecot keeps lines as LF
    /// and sends them as CRLF.
    pub(crate) fn fill<M: AsRef<[u8]>>(&mut self, messages: impl IntoIterator<Item = M>) {
        let cur = self.maildrop().join("cur");
        for message in messages {
            let wire = message.as_ref();
            let lines = without_carriage_returns(wire);
            self.filled += 1;
            let name = format!(
                "{}.M{}.test,S={},W={}:2,",
                1_700_000_000 + self.filled,
                self.filled,
                lines.len(),
                wire.len()
            );
            let path = cur.join(name);
            fs::write(&path, lines).expect("a message can be put into Dovecot's Maildir");
            give_to_mail_user(&path);
        }
    }

    /// What an account's configuration has to say.
    pub(crate) fn endpoint(&self, port: Port) -> Endpoint {
        let (port, tls) = match port {
            Port::Implicit => (self.tls_port, "implicit"),
            Port::StartTls => (self.plain_port, "starttls"),
            Port::Plain => (self.plain_port, "none"),
        };
        Endpoint {
            port,
            tls,
            ca_file: (tls != "none").then(|| self.ca_file.clone()),
            user: USER.to_owned(),
            password: PASSWORD.to_owned(),
        }
    }

    /// A command line that gives the message on its standard input to Dovecot's own delivery agent.
    pub(crate) fn delivery_agent(&self) -> String {
        let configuration = self.directory.path().join("dovecot.conf");
        format!(
            "/usr/lib/dovecot/dovecot-lda -c '{}' -d {USER} -f \"$POPFETCH_SENDER\"",
            configuration.display()
        )
    }

    /// The texts that were delivered to its user.
    pub(crate) fn delivered(&self) -> Vec<Vec<u8>> {
        let entries =
            fs::read_dir(self.maildrop().join("new")).expect("Dovecot's Maildir is there");
        entries
            .map(|entry| fs::read(entry.expect("readable").path()).expect("a message"))
            .collect()
    }

    /// How many messages are in its Maildir.
    pub(crate) fn messages(&self) -> usize {
        let count = |directory: &str| {
            let entries = fs::read_dir(self.maildrop().join(directory));
            entries.expect("Dovecot's Maildir is there").count()
        };
        count("cur") + count("new")
    }

    /// Waits until its log contains this: another process writes it, a little later.
    #[track_caller]
    pub(crate) fn logs(&self, part: &str) {
        let deadline = Instant::now() + TIMEOUT;
        while !self.log().contains(part) {
            assert!(
                Instant::now() < deadline,
                "no \"{part}\" in:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it wrote to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    fn maildrop(&self) -> PathBuf {
        self.directory.path().join("mail").join("Maildir")
    }

    fn make_maildrop(&self) {
        let maildrop = self.maildrop();
        for directory in ["cur", "new", "tmp"] {
            fs::create_dir_all(maildrop.join(directory)).expect("Dovecot's Maildir can be created");
            give_to_mail_user(&maildrop.join(directory));
        }
        give_to_mail_user(&maildrop);
        give_to_mail_user(&self.directory.path().join("mail"));
    }

    /// Waits for the greeting. `false` where Dovecot ended because a port was taken.
    fn answers(&mut self) -> bool {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if greets(self.plain_port) {
                return true;
            }
            if self.master.try_wait().expect("our own child").is_some() {
                let log = self.log();
                assert!(
                    log.contains("already in use"),
                    "Dovecot did not start:\n{log}"
                );
                return false;
            }
            assert!(
                Instant::now() < deadline,
                "Dovecot does not answer:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let pid = i32::try_from(self.master.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + TIMEOUT;
        while matches!(self.master.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.master.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        if std::thread::panicking() {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "Dovecot's log:\n{}", self.log());
        }
    }
}

/// The key that access tokens are signed with.
const TOKEN_KEY: &[u8] = b"a key that only Dovecot and the makers of tokens know";

/// An access token for this user (RFC 7519) that ends this many seconds from now.
pub(crate) fn access_token(user: &str, seconds: i64) -> String {
    let now = jiff::Timestamp::now().as_second();
    let end = now + seconds;
    let parts = [
        r#"{"alg":"HS256","typ":"JWT"}"#.to_owned(),
        format!(r#"{{"sub":"{user}","iat":{},"exp":{end}}}"#, now - 60),
    ];
    let text = parts
        .map(|part| BASE64_URL_SAFE_NO_PAD.encode(part))
        .join(".");
    let key = PKey::hmac(TOKEN_KEY).expect("OpenSSL takes any key");
    let signature = Signer::new(MessageDigest::sha256(), &key)
        .and_then(|mut signer| signer.sign_oneshot_to_vec(text.as_bytes()))
        .expect("OpenSSL can sign");
    format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// Dovecot checks the signature of a token itself and asks no other server.
fn validate_tokens(directory: &Path) {
    let keys = directory.join("keys");
    let place = keys.join("default/HS256");
    fs::create_dir_all(&place).expect("our own directory");
    write_for_dovecot(&place.join("default"), &BASE64_STANDARD.encode(TOKEN_KEY));
    let configuration = format!(
        "introspection_mode = local
local_validation_key_dict = fs:posix:prefix={}/
username_attribute = sub
username_format = %u
",
        keys.display()
    );
    write_for_dovecot(&directory.join("oauth2.conf"), &configuration);
}

/// A file that the authentication process reads, which is not root.
fn write_for_dovecot(path: &Path, text: &str) {
    write_private(path, text.as_bytes());
    if geteuid().is_root() {
        fs::set_permissions(path, Permissions::from_mode(0o644)).expect("our own file");
    }
}

fn launch(configuration: &Path) -> Child {
    let start = |program: &str| {
        Command::new(program)
            .arg("-F")
            .arg("-c")
            .arg(configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    };
    // Directories of system programs are not in every user's PATH.
    match start("dovecot").or_else(|_| start("/usr/sbin/dovecot")) {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("Dovecot is missing: run tests/run, which installs what the tests need")
        }
        Err(error) => panic!("Dovecot cannot be started: {error}"),
    }
}

fn greets(port: u16) -> bool {
    let greet = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let mut beginning = [0; 3];
        stream.read_exact(&mut beginning)?;
        Ok::<_, std::io::Error>(beginning == *b"+OK")
    };
    greet().unwrap_or(false)
}

fn two_free_ports() -> (u16, u16) {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = |socket: &TcpListener| socket.local_addr().expect("a bound socket").port();
    let (one, other) = (bind(), bind());
    (port(&one), port(&other))
}

fn give_to_mail_user(path: &Path) {
    if geteuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("root may give files away");
    }
}

/// CRLF turned into LF; nothing is added at the end.
fn without_carriage_returns(wire: &[u8]) -> Vec<u8> {
    let mut lines = super::messages::stored_form(wire);
    if !wire.is_empty() && !wire.ends_with(b"\r\n") {
        lines.pop();
    }
    lines
}

fn configuration(directory: &Path, certificates: &Certificates, plain: u16, tls: u16) -> String {
    let certificate = certificates.make(Kind::Good);
    let (uid, gid) = match geteuid() {
        user if user.is_root() => (NOBODY, NOBODY),
        user => (user.as_raw(), getegid().as_raw()),
    };
    let mut text = format!(
        "base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/log
protocols = pop3
listen = 127.0.0.1
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = no
ssl_ca = <{authority}
ssl_verify_client_cert = yes
ssl_require_crl = no
auth_ssl_username_from_cert = yes
auth_mechanisms = plain login apop cram-md5 scram-sha-1 scram-sha-256 external xoauth2 oauthbearer
auth_failure_delay = 0 secs
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:~/Maildir
mail_fsync = never
pop3_lock_session = yes
passdb {{
  driver = static
  mechanisms = external
  args = nopassword=y
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {directory}/oauth2.conf
}}
passdb {{
  driver = passwd-file
  mechanisms = plain login apop cram-md5 scram-sha-1 scram-sha-256
  args = scheme=PLAIN username_format=%u {directory}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={directory}/mail allow_all_users=yes
}}
service anvil {{
  # No growing delays after failed logins.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {plain}
  }}
  inet_listener pop3s {{
    port = {tls}
    ssl = yes
  }}
}}
",
        directory = directory.display(),
        authority = certificates.authority_file().display(),
        certificate = certificate.certificate_file.display(),
        key = certificate.key_file.display(),
    );
    if !geteuid().is_root() {
        as_ourselves(&mut text);
    }
    text
}

/// Only root can become another user, and change the root directory of a process.
fn as_ourselves(text: &mut String) {
    let name = |option: &str| {
        let output = Command::new("id")
            .arg(option)
            .output()
            .expect("id is there");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let (user, group) = (name("-un"), name("-gn"));
    for key in ["default_internal_user", "default_login_user"] {
        let _ = writeln!(text, "{key} = {user}");
    }
    let _ = writeln!(text, "default_internal_group = {group}");
    for service in ["anvil", "pop3-login", "stats"] {
        let _ = writeln!(text, "service {service} {{\n  chroot =\n}}");
    }
}
