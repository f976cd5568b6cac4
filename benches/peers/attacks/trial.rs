//! One program against one form of an attack: what it did.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::fixture::{Fixture, Tally};
use crate::shared::fetcher::{Fetcher, Login, Order, Tls};
use crate::support::certificates::{Certificates, Kind};
use crate::support::sandbox::Outcome;
use crate::support::server::{Dialogue, PASSWORD, Server, SessionLog, USER};

use super::Cell;
use super::case::{Case, Setup, Villain};
use super::finding::Finding;
use super::peer::Peer;
use super::set::Set;
use super::watch::Taken;

/// The longest silence that it is configured to wait through, in seconds.
const TIMEOUT: u32 = 2;

/// More memory than any of this needs.
const MEMORY: u64 = 64 << 20;

/// More disk than any of this needs, where popfetch takes 64 MiB for a sign that a message has no end.
const DISK: u64 = 80 << 20;

/// A program and what it is up against.
#[derive(Clone, Copy)]
pub(crate) struct Trial<'a> {
    pub(crate) popfetch: &'a Path,
    pub(crate) fetcher: Fetcher,
    pub(crate) case: &'a Case,
}

/// What was seen.
struct Seen {
    outcome: Option<Outcome>,
    taken: Taken,
    sessions: Vec<SessionLog>,
    tally: Tally,
    also: Option<Finding>,
}

impl Trial<'_> {
    /// Against an honest server: all mail is there, and gone from the server where that was asked for.
    pub(crate) fn fetches_everything(&self) -> Result<(), String> {
        let set = Set::new(self.case).ok_or("there is no place for it")?;
        let peer = self.peer(&set.fixture);
        let outcome = set
            .fixture
            .start(self.command(&set.fixture, &peer))
            .finish();
        peer.sessions();
        let is_fine = outcome
            .as_ref()
            .is_some_and(|outcome| self.fetcher.is_success(outcome.status));
        let left = match self.case.setup.delete {
            true => 0,
            false => self.case.mail.len(),
        };
        let everything = set.fixture.tally(self.case.setup.store) == Tally::default();
        match is_fine && everything && set.fixture.mailbox.uids().len() == left {
            true => Ok(()),
            false => Err(format!(
                "{} does not fetch all mail from an honest server with {:?}: {outcome:#?}",
                self.fetcher.name(),
                self.case.setup
            )),
        }
    }

    /// Against a bad one. None where it was not reached.
    pub(crate) fn run(&self) -> Cell {
        let case = self.case;
        let set = Set::new(case)?;
        let peer = self.peer(&set.fixture);
        let command = self.command(&set.fixture, &peer);
        let before = set.before(command, self.fetcher);
        let (outcome, taken, also) = set.perform((before, self.fetcher), &peer, || {
            self.command(&set.fixture, &peer)
        });
        if case.again {
            set.fixture
                .start(self.command(&set.fixture, &peer))
                .finish();
        }
        let sessions = peer.sessions();
        if case.resumes {
            peer.heal();
            set.relieve();
            for _ in 0..2 {
                set.fixture
                    .start(self.command(&set.fixture, &peer))
                    .finish();
                peer.sessions();
            }
        }
        let seen = Seen {
            outcome,
            taken,
            sessions,
            tally: set.fixture.tally(case.setup.store),
            also,
        };
        set.reaches(&seen.sessions).then(|| self.findings(&seen))
    }

    fn command(&self, fixture: &Fixture, peer: &Peer) -> Command {
        let Setup {
            tls,
            login,
            store,
            delete,
            host,
            pinned,
        } = self.case.setup;
        let ports = [peer.port()];
        let order = Order {
            tls,
            login,
            store,
            delete,
            host,
            pinned: pinned.then(|| pinned_file(fixture)),
            timeout: Some(TIMEOUT),
            quiet: false,
            ..Order::new(&ports, fixture.sandbox.certificates().authority_file())
        };
        self.fetcher.prepare(self.popfetch, &fixture.home(), &order)
    }

    fn peer(&self, fixture: &Fixture) -> Peer {
        let certificates = fixture.sandbox.certificates();
        match &self.case.villain {
            Villain::Server(change) => {
                let server = honest_server(fixture, self.case.setup);
                // What the peers send is theirs.
                let _ = server.violations();
                Peer::Server(change(server, certificates))
            }
            Villain::Dialogue(play) => {
                let dialogue = Dialogue::start(play(self.fetcher, certificates));
                let _ = dialogue.abandoned();
                Peer::Dialogue(dialogue)
            }
        }
    }

    fn findings(&self, seen: &Seen) -> BTreeSet<Finding> {
        let mut found: BTreeSet<Finding> = seen.also.into_iter().collect();
        found.extend(self.appetite(seen));
        found.extend(seen.outcome.iter().flat_map(words));
        found.extend(self.trust(seen));
        found.extend(self.mail(&seen.tally));
        found
    }

    /// Whether it ended in time, and with how much.
    fn appetite(&self, seen: &Seen) -> Vec<Finding> {
        let Taken { memory, disk } = seen.taken;
        let most = match self.fetcher {
            // Python needs some itself.
            Fetcher::Getmail => 2 * MEMORY,
            _ => MEMORY,
        };
        let ended = seen.taken.is_too_much();
        let crashed = |outcome: &Outcome| outcome.status.is_none_or(|status| status > 128);
        let found = [
            (memory > most, Finding::Memory(memory)),
            (disk > DISK, Finding::Disk(disk)),
            (seen.outcome.is_none() && !ended, Finding::Hangs),
            (
                seen.outcome.as_ref().is_some_and(crashed) && !ended,
                Finding::Crashes,
            ),
        ];
        chosen(found)
    }

    /// What it let the server know, and took from it.
    fn trust(&self, seen: &Seen) -> Vec<Finding> {
        let Setup { tls, login, .. } = self.case.setup;
        let all: Vec<String> = seen
            .sessions
            .iter()
            .flat_map(SessionLog::commands)
            .collect();
        let clear: Vec<String> = seen
            .sessions
            .iter()
            .flat_map(SessionLog::in_clear)
            .collect();
        let hides = !matches!(login, Login::Password | Login::Any);
        let protects = tls != Tls::None;
        let sends = clear.iter().any(|line| shows_password(line)) && (hides || protects);
        let begins = |lines: &[String]| lines.iter().any(|line| begins_login(line));
        let logs_in = (self.case.distrusts && begins(&all)) || (protects && begins(&clear));
        let goes_on = all.iter().any(|line| needs_login(line));
        let believes = (self.case.unproven && goes_on)
            || (self.case.injects && all.len() > clear.len() && seen.tally.missing > 0);
        chosen([
            (sends, Finding::SendsPassword),
            (logs_in && !sends, Finding::LogsIn),
            (believes, Finding::BelievesServer),
        ])
    }

    /// What became of the mail.
    fn mail(&self, tally: &Tally) -> Vec<Finding> {
        let Tally {
            lost,
            missing,
            duplicated,
            partial,
        } = *tally;
        chosen([
            (
                partial > 0 && self.case.stored.is_some(),
                Finding::Stores(self.case.stored.unwrap_or_default()),
            ),
            (lost > 0, Finding::Loses),
            (duplicated > 0, Finding::Doubles),
            (missing > 0 && self.case.complete, Finding::Misses),
        ])
    }
}

/// The server of a case before it was made a bad one.
fn honest_server(fixture: &Fixture, setup: Setup) -> Server {
    let server = Server::start(&fixture.mailbox);
    let certificates = fixture.sandbox.certificates();
    let kind = match setup.host {
        None | Some("127.0.0.1") => Kind::Good,
        Some(host) => Kind::For(host.as_bytes()),
    };
    let server = match (setup.tls, setup.pinned) {
        (Tls::None, _) => server,
        (tls, false) => with(certificates, tls, kind, server),
        (_, true) => {
            let certificate = certificates.make(kind);
            // Whoever makes another one writes it to the same file.
            std::fs::copy(&certificate.certificate_file, pinned_file(fixture))
                .expect("our own file");
            server.implicit_tls_with(certificates, certificate.acceptor())
        }
    };
    match setup.login {
        Login::Password | Login::Any => server,
        Login::Apop => server.apop("<1896.697170952@pop.example.com>"),
        Login::CramMd5 => server.mechanisms("CRAM-MD5"),
        Login::ScramSha1 => server.mechanisms("SCRAM-SHA-1"),
        Login::Token => server.mechanisms("XOAUTH2"),
    }
}

/// The one certificate that is good, where there is such a one.
fn pinned_file(fixture: &Fixture) -> PathBuf {
    fixture.home().join("pinned.pem")
}

/// What it said.
fn words(outcome: &Outcome) -> Vec<Finding> {
    let Outcome { stdout, stderr, .. } = outcome;
    let said = format!("{stdout}\n{stderr}").replace("\r\n", "\n");
    let plain = BASE64_STANDARD.encode(format!("\0{USER}\0{PASSWORD}"));
    let alone = BASE64_STANDARD.encode(PASSWORD);
    let secrets = [PASSWORD, &plain, &alone];
    chosen([
        (said.contains(controls), Finding::Paints),
        (
            secrets.iter().any(|secret| said.contains(secret)),
            Finding::ShowsPassword,
        ),
    ])
}

/// Whether a terminal may obey it.
fn controls(c: char) -> bool {
    let bidirectional = ('\u{202a}'..='\u{202e}').contains(&c);
    bidirectional || (c.is_control() && !matches!(c, '\n' | '\t'))
}

fn begins_login(line: &str) -> bool {
    ["USER", "PASS", "AUTH", "APOP"].contains(&verb(line))
}

fn shows_password(line: &str) -> bool {
    ["PASS ", "AUTH PLAIN", "AUTH LOGIN"]
        .iter()
        .any(|beginning| line.starts_with(beginning))
}

/// Whether it is a command after the login.
fn needs_login(line: &str) -> bool {
    ["STAT", "LIST", "UIDL", "RETR", "TOP", "DELE", "LAST"].contains(&verb(line))
}

fn verb(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

fn chosen<const N: usize>(found: [(bool, Finding); N]) -> Vec<Finding> {
    let true_ones = found.into_iter().filter(|(is_so, _)| *is_so);
    true_ones.map(|(_, finding)| finding).collect()
}

/// The certificates of a villain who takes the place of the server.
pub(crate) fn with(certificates: &Certificates, tls: Tls, kind: Kind, server: Server) -> Server {
    let acceptor = certificates.make(kind).acceptor();
    match tls {
        Tls::Stls => server.stls_with(certificates, acceptor),
        _ => server.implicit_tls_with(certificates, acceptor),
    }
}
