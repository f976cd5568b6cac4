//! Programs that fetch mail: how each is configured and run, and what it has stored.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use openssl::hash::MessageDigest;
use openssl::x509::X509;

use crate::support::certificates::write_private;
use crate::support::server::{PASSWORD, USER};

/// The user that mail belongs to where a program does not work as root.
pub(crate) const NOBODY: u32 = 65534;

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fetcher {
    Popfetch,
    Mpop,
    Fetchmail,
    Getmail,
}

/// Where messages are to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Maildir,
    Mbox,
}

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    None,
    Stls,
    Implicit,
}

/// How the user is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Login {
    /// By the password, as it is.
    Password,
    /// In the best way that both sides know.
    Any,
    Apop,
    CramMd5,
    ScramSha1,
    /// By a token in place of the password (XOAUTH2).
    Token,
}

/// What is to be done.
pub(crate) struct Order<'a> {
    pub(crate) ports: &'a [u16],
    pub(crate) tls: Tls,
    pub(crate) authority: PathBuf,
    pub(crate) store: Store,
    pub(crate) delete: bool,
    pub(crate) login: Login,
    /// The host that the certificate is to be for, where that is not the one that is connected to.
    pub(crate) host: Option<&'static str>,
    /// The one certificate that the server may show.
    pub(crate) pinned: Option<PathBuf>,
    /// The longest silence of the server, in seconds.
    pub(crate) timeout: Option<u32>,
    /// Whether it keeps its words to itself.
    pub(crate) quiet: bool,
}

impl<'a> Order<'a> {
    /// All mail from these servers, without TLS, left there and put into a Maildir.
    pub(crate) fn new(ports: &'a [u16], authority: PathBuf) -> Self {
        Order {
            ports,
            tls: Tls::None,
            authority,
            store: Store::Maildir,
            delete: false,
            login: Login::Password,
            host: None,
            pinned: None,
            timeout: None,
            quiet: true,
        }
    }
}

impl Fetcher {
    pub(crate) const ALL: [Fetcher; 4] = [
        Fetcher::Popfetch,
        Fetcher::Fetchmail,
        Fetcher::Mpop,
        Fetcher::Getmail,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Fetcher::Popfetch => "popfetch",
            Fetcher::Mpop => "mpop",
            Fetcher::Fetchmail => "fetchmail",
            Fetcher::Getmail => "getmail",
        }
    }

    /// Writes the configuration into `home` and returns the command to run.
    pub(crate) fn prepare(self, popfetch: &Path, home: &Path, order: &Order<'_>) -> Command {
        let mut command = match self {
            Fetcher::Popfetch => configure_popfetch(popfetch, home, order),
            Fetcher::Mpop => configure_mpop(home, order),
            Fetcher::Fetchmail => configure_fetchmail(home, order),
            Fetcher::Getmail => configure_getmail(home, order),
        };
        command.env("HOME", home).env("LC_ALL", "C");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        // There is no key ring, and none is looked for.
        command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
        command
    }

    /// Whether this exit status means that it did what it was to do.
    pub(crate) fn is_success(self, status: Option<i32>) -> bool {
        match self {
            // Its 1 means that there was nothing new.
            Fetcher::Fetchmail => matches!(status, Some(0 | 1)),
            _ => status == Some(0),
        }
    }

    /// Whether it has an option for that.
    pub(crate) fn knows(self, tls: Tls, login: Login) -> bool {
        let stls = self != Fetcher::Getmail || tls != Tls::Stls;
        stls && match login {
            Login::Password | Login::Any | Login::Apop => true,
            Login::CramMd5 => self != Fetcher::Getmail,
            Login::ScramSha1 | Login::Token => matches!(self, Fetcher::Popfetch | Fetcher::Mpop),
        }
    }

    /// Whether it adds to the header.
    pub(crate) fn adds_to_header(self) -> bool {
        matches!(self, Fetcher::Fetchmail | Fetcher::Getmail)
    }
}

/// A command that inherits nothing.
fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    command
}

fn configure_popfetch(popfetch: &Path, home: &Path, order: &Order<'_>) -> Command {
    let mut text = String::new();
    let leave = if order.delete { "never" } else { "always" };
    let password = home.join("password");
    write_private(&password, PASSWORD.as_bytes());
    for (index, port) in order.ports.iter().enumerate() {
        let place = place(home, order.store, index);
        let deliver = match order.store {
            Store::Maildir => format!("maildir:{}", place.display()),
            Store::Mbox => format!("mbox:{}", place.display()),
        };
        let hidden = !matches!(order.login, Login::Password | Login::Any);
        let tls = match order.tls {
            Tls::None if hidden => "\"none\"",
            Tls::None => "\"none\"\nallow_cleartext_password = true",
            Tls::Stls => "\"starttls\"",
            Tls::Implicit => "\"implicit\"",
        };
        let auth = match order.login {
            Login::Password | Login::Any => "auto",
            Login::Apop => "apop",
            Login::CramMd5 => "cram-md5",
            Login::ScramSha1 => "scram-sha-1",
            Login::Token => "xoauth2",
        };
        let _ = writeln!(
            text,
            "[accounts.a{index}]\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"{USER}\"\n\
             tls = {tls}\npassword_file = {password:?}\nca_file = {:?}\ndeliver = {deliver:?}\n\
             leave_on_server = \"{leave}\"\nauth = \"{auth}\"",
            order.authority
        );
        if let Some(seconds) = order.timeout {
            let _ = writeln!(text, "timeout = \"{seconds}s\"");
        }
        if let Some(host) = order.host {
            let _ = writeln!(text, "tls_server_name = {host:?}");
        }
        if let Some(certificate) = &order.pinned {
            let pin = fingerprint(certificate, MessageDigest::sha256());
            let _ = writeln!(text, "tls_fingerprints = [\"sha256:{pin}\"]");
        }
    }
    let file = home.join("config.toml");
    write_private(&file, text.as_bytes());
    let mut command = clean(popfetch);
    command.arg("--config").arg(file).arg("sync");
    if order.quiet {
        command.arg("-q");
    }
    command
}

fn configure_mpop(home: &Path, order: &Order<'_>) -> Command {
    let keep = if order.delete { "off" } else { "on" };
    let mut text = String::new();
    for (index, port) in order.ports.iter().enumerate() {
        let place = place(home, order.store, index);
        let delivery = match order.store {
            Store::Maildir => {
                make_maildir(&place);
                format!("maildir {}", place.display())
            }
            Store::Mbox => format!("mbox {}", place.display()),
        };
        let tls = match order.tls {
            Tls::None => "tls off",
            Tls::Stls => "tls on\ntls_starttls on",
            Tls::Implicit => "tls on\ntls_starttls off",
        };
        let auth = match order.login {
            // By itself it sends no password without TLS.
            Login::Password if order.tls == Tls::None => "user",
            Login::Password | Login::Any => "on",
            Login::Apop => "apop",
            Login::CramMd5 => "cram-md5",
            Login::ScramSha1 => "scram-sha-1",
            Login::Token => "xoauth2",
        };
        let trust = match &order.pinned {
            Some(certificate) => {
                let pin = fingerprint(certificate, MessageDigest::sha256());
                format!("tls_fingerprint {pin}")
            }
            None => format!("tls_trust_file {}", order.authority.display()),
        };
        let _ = writeln!(
            text,
            "account a{index}\nhost 127.0.0.1\nport {port}\nuser {USER}\npassword \"{PASSWORD}\"\n\
             {tls}\nauth {auth}\n{trust}\nkeep {keep}\nreceived_header off\n\
             uidls_file {}/uidls-{index}\ndelivery {delivery}",
            home.display()
        );
        if let Some(seconds) = order.timeout {
            let _ = writeln!(text, "timeout {seconds}");
        }
        if let Some(host) = order.host {
            let _ = writeln!(text, "tls_host_override {host}");
        }
    }
    let file = home.join("mpoprc");
    write_private(&file, text.as_bytes());
    let mut command = clean("mpop");
    // Its progress is made of control characters, wherever it goes. What is wrong it tells all the same.
    command.arg("-C").arg(file).args(["-q", "-a"]);
    command
}

fn configure_fetchmail(home: &Path, order: &Order<'_>) -> Command {
    let procmailrc = home.join("procmailrc");
    let place = place(home, order.store, 0);
    let (slash, from) = match order.store {
        Store::Maildir => {
            make_maildir(&place);
            ("/", "")
        }
        // Without the sender procmail writes no From_ line, and by itself it quotes none of those that a
        // Content-Length covers.
        Store::Mbox => ("", "-Y -f %F"),
    };
    let place = format!("{}{slash}", place.display());
    // What cannot be put there would go to the machine's own mailboxes.
    let places = format!("DEFAULT={place}\nORGMAIL={place}\n");
    write_private(&procmailrc, places.as_bytes());
    let keep = if order.delete { "nokeep" } else { "keep" };
    let tls = match order.tls {
        // The empty protocol is its word for never.
        Tls::None => "sslproto \"\"",
        Tls::Stls => "sslproto \"TLS1.2+\" sslcertck",
        Tls::Implicit => "ssl sslproto \"TLS1.2+\" sslcertck",
    };
    let (protocol, auth) = match order.login {
        Login::Password => ("pop3", "password"),
        Login::Apop => ("apop", "any"),
        Login::CramMd5 => ("pop3", "cram-md5"),
        Login::Any | Login::ScramSha1 | Login::Token => ("pop3", "any"),
    };
    let host = order.host.unwrap_or("localhost");
    let pin = match &order.pinned {
        Some(certificate) => {
            let pin = fingerprint(certificate, MessageDigest::md5());
            format!("sslfingerprint \"{pin}\"")
        }
        None => String::new(),
    };
    let timeout = match order.timeout {
        Some(seconds) => format!("timeout {seconds}"),
        None => String::new(),
    };
    let ports = order.ports.iter().map(|port| {
        format!(
            "poll 127.0.0.1 protocol {protocol} port {port} uidl {timeout} auth {auth} user \"{USER}\" \
             password \"{PASSWORD}\" {tls} sslcommonname {host} {pin} sslcertfile \"{}\" {keep} \
             no rewrite mda \"/usr/bin/procmail {from} {}\"\n",
            order.authority.display(),
            procmailrc.display()
        )
    });
    let file = home.join("fetchmailrc");
    // For root, its lock would be one for the whole machine.
    let settings = format!("set invisible\nset pidfile \"{}/pid\"\n", home.display());
    let text: String = std::iter::once(settings).chain(ports).collect();
    write_private(&file, text.as_bytes());
    let mut command = clean("fetchmail");
    command.arg("-f").arg(file).arg("--nodetach");
    if order.quiet {
        command.arg("--silent");
    }
    command.env("FETCHMAILHOME", home);
    command
}

fn configure_getmail(home: &Path, order: &Order<'_>) -> Command {
    let place = place(home, order.store, 0);
    let destination = match order.store {
        Store::Maildir => {
            make_maildir(&place);
            format!("type = Maildir\npath = {}/", place.display())
        }
        Store::Mbox => {
            // It makes none itself.
            if !place.exists() {
                write_private(&place, b"");
            }
            format!("type = Mboxrd\npath = {}", place.display())
        }
    };
    // It delivers nothing as root.
    let user = match rustix::process::geteuid().is_root() {
        true => {
            give_to_nobody(&place);
            "user = nobody\n"
        }
        false => "",
    };
    let port = order.ports.first().copied().unwrap_or_default();
    let delete = order.delete;
    let mut retriever = match order.tls {
        // It knows no STLS.
        Tls::None | Tls::Stls => "SimplePOP3Retriever".to_owned(),
        Tls::Implicit => format!(
            "SimplePOP3SSLRetriever\nca_certs = {}",
            order.authority.display()
        ),
    };
    if let Some(host) = order.host {
        let _ = write!(retriever, "\nssl_cert_hostname = {host}");
    }
    if let Some(certificate) = &order.pinned {
        let pin = fingerprint(certificate, MessageDigest::sha256()).replace(':', "");
        let _ = write!(retriever, "\nssl_fingerprints = (\"{pin}\",)");
    }
    if let Some(seconds) = order.timeout {
        let _ = write!(retriever, "\ntimeout = {seconds}");
    }
    let apop = order.login == Login::Apop;
    let verbose = u8::from(!order.quiet);
    let text = format!(
        "[retriever]\ntype = {retriever}\nserver = localhost\nport = {port}\n\
         username = {USER}\npassword = {PASSWORD}\nuse_apop = {apop}\n\
         [destination]\n{destination}\n{user}\
         [options]\nread_all = false\ndelete = {delete}\nverbose = {verbose}\nreceived = false\n\
         delivered_to = false\n",
    );
    write_private(&home.join("getmailrc"), text.as_bytes());
    let mut command = clean("getmail");
    command.arg("--getmaildir").arg(home);
    command
}

/// The digest of a certificate, in hexadecimal with colons.
fn fingerprint(certificate: &Path, digest: MessageDigest) -> String {
    let pem = fs::read(certificate).expect("a certificate");
    let certificate = X509::from_pem(&pem).expect("a certificate");
    let octets = certificate.digest(digest).expect("OpenSSL knows it");
    let hex: Vec<String> = octets.iter().map(|octet| format!("{octet:02X}")).collect();
    hex.join(":")
}

/// Where an account's mail goes.
pub(crate) fn place(home: &Path, store: Store, index: usize) -> PathBuf {
    home.join(match store {
        Store::Maildir => format!("mail-{index}"),
        Store::Mbox => format!("mbox-{index}"),
    })
}

fn give_to_nobody(place: &Path) {
    let inside = ["tmp", "new", "cur"].map(|name| place.join(name));
    let directories = inside.iter().filter(|directory| directory.exists());
    for path in directories.map(PathBuf::as_path).chain([place]) {
        std::os::unix::fs::chown(path, Some(NOBODY), None).expect("root may give files away");
    }
}

fn make_maildir(path: &Path) {
    for directory in ["tmp", "new", "cur"] {
        fs::create_dir_all(path.join(directory)).expect("our own directory");
    }
}

/// What follows the header, without the line ends that some programs add.
pub(crate) fn body(message: &[u8]) -> &[u8] {
    let start = memchr::memmem::find(message, b"\n\n").map_or(message.len(), |at| at + 2);
    message.get(start..).unwrap_or_default().trim_ascii_end()
}

/// The texts that a reader finds in a home's stores.
pub(crate) fn stored(home: &Path, store: Store) -> Vec<Vec<u8>> {
    match store {
        Store::Maildir => maildirs(home),
        Store::Mbox => mbox(&place(home, store, 0)),
    }
}

/// The texts of all messages in the Maildirs of a home.
fn maildirs(home: &Path) -> Vec<Vec<u8>> {
    let directories = entries(home).into_iter();
    let places = directories.flat_map(|directory| ["new", "cur"].map(|name| directory.join(name)));
    let files = places.flat_map(|place| entries(&place));
    files
        .map(|file| fs::read(file).expect("a message"))
        .collect()
}

/// What is in a directory; nothing, where there is none.
pub(crate) fn entries(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

/// The texts of an mbox (mboxrd).
fn mbox(path: &Path) -> Vec<Vec<u8>> {
    let text = fs::read(path).unwrap_or_default();
    let mut messages: Vec<Vec<u8>> = Vec::new();
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(b"From ") {
            messages.push(Vec::new());
            continue;
        }
        let unquoted = line.iter().position(|&byte| byte != b'>').unwrap_or(0);
        let is_quoted = unquoted > 0
            && line
                .get(unquoted..)
                .is_some_and(|l| l.starts_with(b"From "));
        if let Some(message) = messages.last_mut() {
            message.extend_from_slice(line.get(usize::from(is_quoted)..).unwrap_or_default());
        }
    }
    // The empty line that ends a message is not part of it.
    messages
        .iter_mut()
        .for_each(|message| message.truncate(message.len().saturating_sub(1)));
    messages
}
