//! Programs that fetch mail: how each is configured and run, and what it has stored.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::certificates::write_private;
use crate::support::server::{PASSWORD, USER};

/// The user that mail belongs to where a program does not work as root.
const NOBODY: u32 = 65534;

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
    Implicit,
}

/// What is to be done.
pub(crate) struct Order<'a> {
    pub(crate) ports: &'a [u16],
    pub(crate) tls: Tls,
    pub(crate) authority: PathBuf,
    pub(crate) store: Store,
    pub(crate) delete: bool,
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
        // There is no key ring, and nobody looks for one.
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
        let tls = match order.tls {
            Tls::None => "\"none\"\nallow_cleartext_password = true",
            Tls::Implicit => "\"implicit\"",
        };
        let _ = writeln!(
            text,
            "[accounts.a{index}]\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"{USER}\"\n\
             tls = {tls}\npassword_file = {password:?}\nca_file = {:?}\ndeliver = {deliver:?}\n\
             leave_on_server = \"{leave}\"",
            order.authority
        );
    }
    let file = home.join("config.toml");
    write_private(&file, text.as_bytes());
    let mut command = clean(popfetch);
    command.arg("--config").arg(file).args(["sync", "-q"]);
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
            Tls::None => "tls off\nauth user",
            Tls::Implicit => "tls on\ntls_starttls off",
        };
        let _ = writeln!(
            text,
            "account a{index}\nhost 127.0.0.1\nport {port}\nuser {USER}\npassword \"{PASSWORD}\"\n\
             {tls}\ntls_trust_file {}\nkeep {keep}\nreceived_header off\n\
             uidls_file {}/uidls-{index}\ndelivery {delivery}",
            order.authority.display(),
            home.display()
        );
    }
    let file = home.join("mpoprc");
    write_private(&file, text.as_bytes());
    let mut command = clean("mpop");
    command.arg("-C").arg(file).args(["-q", "-a"]);
    command
}

fn configure_fetchmail(home: &Path, order: &Order<'_>) -> Command {
    let procmailrc = home.join("procmailrc");
    let place = place(home, order.store, 0);
    let (default, from) = match order.store {
        Store::Maildir => {
            make_maildir(&place);
            (format!("DEFAULT={}/\n", place.display()), "")
        }
        // Without the sender procmail writes no From_ line.
        Store::Mbox => (format!("DEFAULT={}\n", place.display()), "-f %F"),
    };
    write_private(&procmailrc, default.as_bytes());
    let keep = if order.delete { "nokeep" } else { "keep" };
    let tls = match order.tls {
        // The empty protocol is its word for never.
        Tls::None => "sslproto \"\"",
        Tls::Implicit => "ssl",
    };
    let ports = order.ports.iter().map(|port| {
        format!(
            "poll 127.0.0.1 protocol pop3 port {port} uidl auth password user \"{USER}\" \
             password \"{PASSWORD}\" {tls} sslcommonname localhost sslcertfile \"{}\" {keep} no rewrite \
             mda \"/usr/bin/procmail {from} {}\"\n",
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
    command.arg("-f").arg(file).args(["--silent", "--nodetach"]);
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
    let retriever = match order.tls {
        Tls::None => "SimplePOP3Retriever".to_owned(),
        Tls::Implicit => format!(
            "SimplePOP3SSLRetriever\nca_certs = {}",
            order.authority.display()
        ),
    };
    let text = format!(
        "[retriever]\ntype = {retriever}\nserver = localhost\nport = {port}\n\
         username = {USER}\npassword = {PASSWORD}\n\
         [destination]\n{destination}\n{user}\
         [options]\nread_all = false\ndelete = {delete}\nverbose = 0\nreceived = false\n\
         delivered_to = false\n",
    );
    write_private(&home.join("getmailrc"), text.as_bytes());
    let mut command = clean("getmail");
    command.arg("--getmaildir").arg(home);
    command
}

/// Where an account's mail goes.
fn place(home: &Path, store: Store, index: usize) -> PathBuf {
    home.join(match store {
        Store::Maildir => format!("mail-{index}"),
        Store::Mbox => format!("mbox-{index}"),
    })
}

fn give_to_nobody(place: &Path) {
    let inside = ["tmp", "new", "cur"].map(|name| place.join(name));
    let folders = inside.iter().filter(|folder| folder.exists());
    for path in folders.map(PathBuf::as_path).chain([place]) {
        std::os::unix::fs::chown(path, Some(NOBODY), None).expect("root may give files away");
    }
}

fn make_maildir(path: &Path) {
    for folder in ["tmp", "new", "cur"] {
        fs::create_dir_all(path.join(folder)).expect("our own folder");
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
    let folders = entries(home).into_iter();
    let places = folders.flat_map(|folder| ["new", "cur"].map(|name| folder.join(name)));
    let files = places.flat_map(|place| entries(&place));
    files
        .map(|file| fs::read(file).expect("a message"))
        .collect()
}

/// What is in a folder; nothing, where there is none.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
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
