//! The programs that are compared: how each is configured and run, and where its mail then is.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use popfetch::mail::Digest;

use crate::floor::Floor;
use crate::load::{Expected, body, digest};
use crate::support::certificates::write_private;
use crate::support::server::{PASSWORD, USER};

/// The user that mail belongs to where a program does not work as root.
const NOBODY: u32 = 65534;

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Program {
    Popfetch,
    Mpop,
    Fetchmail,
    Getmail,
    Floor(Floor),
}

/// Where messages are to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Maildir,
    Mbox,
}

/// What is to be done.
pub(crate) struct Order<'a> {
    pub(crate) ports: &'a [u16],
    pub(crate) authority: PathBuf,
    pub(crate) store: Store,
    pub(crate) delete: bool,
}

impl Program {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Program::Popfetch => "popfetch",
            Program::Mpop => "mpop",
            Program::Fetchmail => "fetchmail",
            Program::Getmail => "getmail",
            Program::Floor(floor) => floor.name(),
        }
    }

    /// Writes the configuration into `home` and returns the command to run.
    pub(crate) fn prepare(self, popfetch: &Path, home: &Path, order: &Order<'_>) -> Command {
        let mut command = match self {
            Program::Popfetch => configure_popfetch(popfetch, home, order),
            Program::Mpop => configure_mpop(home, order),
            Program::Fetchmail => configure_fetchmail(home, order),
            Program::Getmail => configure_getmail(home, order),
            Program::Floor(floor) => {
                floor.command(&order.authority, &home.join("files"), order.ports)
            }
        };
        command.env("HOME", home).env("LC_ALL", "C");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        // There is no key ring, and nobody looks for one.
        command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
        command
    }

    /// Whether every one of these messages was stored once and nothing else.
    pub(crate) fn check(
        self,
        home: &Path,
        order: &Order<'_>,
        expected: &Expected,
    ) -> Result<(), String> {
        let texts = match (self, order.store) {
            (Program::Floor(Floor::Drain | Floor::Uidl), _) => return Ok(()),
            (_, Store::Mbox) if !matches!(self, Program::Floor(_)) => mbox(&home.join("mbox-0")),
            _ => files_below(home),
        };
        // These two add to the header.
        let adds = matches!(self, Program::Fetchmail | Program::Getmail);
        let wanted = if adds {
            &expected.bodies
        } else {
            &expected.digests
        };
        let part = |text: &Vec<u8>| digest(if adds { body(text) } else { text });
        let mut stored: Vec<Digest> = texts.iter().map(part).collect();
        stored.sort_unstable_by_key(|digest| digest.0);
        match stored == *wanted {
            true => Ok(()),
            false => Err(format!(
                "{} stored {} messages, which are not the {} it was sent",
                self.name(),
                stored.len(),
                wanted.len()
            )),
        }
    }
}

fn configure_popfetch(popfetch: &Path, home: &Path, order: &Order<'_>) -> Command {
    let mut text = String::new();
    let leave = if order.delete { "never" } else { "always" };
    let password = home.join("password");
    write_private(&password, PASSWORD.as_bytes());
    for (index, port) in order.ports.iter().enumerate() {
        let deliver = match order.store {
            Store::Maildir => format!("maildir:{}", maildir(home, index).display()),
            Store::Mbox => format!("mbox:{}/mbox-{index}", home.display()),
        };
        let _ = writeln!(
            text,
            "[accounts.a{index}]\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"{USER}\"\n\
             password_file = {password:?}\nca_file = {:?}\ndeliver = {deliver:?}\n\
             leave_on_server = \"{leave}\"",
            order.authority
        );
    }
    let file = home.join("config.toml");
    write_private(&file, text.as_bytes());
    let mut command = Command::new(popfetch);
    command.arg("--config").arg(file).args(["sync", "-q"]);
    command
}

fn configure_mpop(home: &Path, order: &Order<'_>) -> Command {
    let keep = if order.delete { "off" } else { "on" };
    let mut text = String::new();
    for (index, port) in order.ports.iter().enumerate() {
        let delivery = match order.store {
            Store::Maildir => {
                make_maildir(&maildir(home, index));
                format!("maildir {}", maildir(home, index).display())
            }
            Store::Mbox => format!("mbox {}/mbox-{index}", home.display()),
        };
        let _ = writeln!(
            text,
            "account a{index}\nhost 127.0.0.1\nport {port}\nuser {USER}\npassword \"{PASSWORD}\"\n\
             tls on\ntls_starttls off\ntls_trust_file {}\nkeep {keep}\nreceived_header off\n\
             uidls_file {}/uidls-{index}\ndelivery {delivery}",
            order.authority.display(),
            home.display()
        );
    }
    let file = home.join("mpoprc");
    write_private(&file, text.as_bytes());
    let mut command = Command::new("mpop");
    command.arg("-C").arg(file).args(["-q", "-a"]);
    command
}

fn configure_fetchmail(home: &Path, order: &Order<'_>) -> Command {
    let procmailrc = home.join("procmailrc");
    let maildir = maildir(home, 0);
    make_maildir(&maildir);
    write_private(
        &procmailrc,
        format!("DEFAULT={}/\n", maildir.display()).as_bytes(),
    );
    let keep = if order.delete { "nokeep" } else { "keep" };
    let ports = order.ports.iter().map(|port| {
        format!(
            "poll 127.0.0.1 protocol pop3 port {port} uidl auth password user \"{USER}\" \
             password \"{PASSWORD}\" ssl sslcommonname localhost sslcertfile \"{}\" {keep} no rewrite \
             mda \"/usr/bin/procmail {}\"\n",
            order.authority.display(),
            procmailrc.display()
        )
    });
    let file = home.join("fetchmailrc");
    let text: String = std::iter::once("set invisible\n".to_owned())
        .chain(ports)
        .collect();
    write_private(&file, text.as_bytes());
    let mut command = Command::new("fetchmail");
    command.arg("-f").arg(file).args(["--silent", "--nodetach"]);
    command.env("FETCHMAILHOME", home);
    command
}

fn configure_getmail(home: &Path, order: &Order<'_>) -> Command {
    let maildir = maildir(home, 0);
    make_maildir(&maildir);
    // It delivers nothing as root.
    let user = match rustix::process::geteuid().is_root() {
        true => {
            give_to_nobody(&maildir);
            "user = nobody\n"
        }
        false => "",
    };
    let port = order.ports.first().copied().unwrap_or_default();
    let delete = order.delete;
    let text = format!(
        "[retriever]\ntype = SimplePOP3SSLRetriever\nserver = localhost\nport = {port}\n\
         username = {USER}\npassword = {PASSWORD}\nca_certs = {}\n\
         [destination]\ntype = Maildir\npath = {}/\n{user}\
         [options]\nread_all = true\ndelete = {delete}\nverbose = 0\nreceived = false\n\
         delivered_to = false\n",
        order.authority.display(),
        maildir.display()
    );
    write_private(&home.join("getmailrc"), text.as_bytes());
    let mut command = Command::new("getmail");
    command.arg("--getmaildir").arg(home);
    command
}

fn maildir(home: &Path, index: usize) -> PathBuf {
    home.join(format!("mail-{index}"))
}

fn give_to_nobody(maildir: &Path) {
    for folder in ["", "tmp", "new", "cur"] {
        let folder = maildir.join(folder);
        std::os::unix::fs::chown(folder, Some(NOBODY), None).expect("root may give files away");
    }
}

fn make_maildir(path: &Path) {
    for folder in ["tmp", "new", "cur"] {
        fs::create_dir_all(path.join(folder)).expect("our own folder");
    }
}

/// The texts of all messages in the Maildirs of a home, or of what a floor wrote there.
fn files_below(home: &Path) -> Vec<Vec<u8>> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for place in [home.to_owned(), home.join("files")] {
        folders.extend(entries(&place).into_iter().filter(|path| path.is_dir()));
    }
    let maildirs = folders.iter().filter(|folder| folder.join("new").is_dir());
    let mut places: Vec<PathBuf> = maildirs.map(|folder| folder.join("new")).collect();
    places.extend(entries(&home.join("files")));
    let files = places.iter().flat_map(|place| entries(place));
    files
        .map(|file| fs::read(file).expect("a message"))
        .collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
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
