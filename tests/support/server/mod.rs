//! A scripted POP3 server, in this process, on 127.0.0.1.
//!
//! It serves a [`Mailbox`] as a good server does, keeps a journal of all it receives, and is strict:
//! what no client should send is a *violation*, and a server dropped with violations that the test
//! never looked at fails the test. Where a test wants it, a [`Fault`] takes the place of a good answer.
//!
//! ```ignore
//! let mailbox = Mailbox::with(messages::small(3));
//! let server = Server::start(&mailbox)
//!     .implicit_tls(&certificates)
//!     .on("RETR 2", Fault::reply("-ERR [SYS/TEMP] the disk is asleep"))
//!     .once(LOGIN, Fault::reply("-ERR [IN-USE] not now"));
//! ```
//!
//! [`Dialogue`] is the other kind of server: it knows nothing and plays a fixed exchange of bytes.

mod command;
mod dialogue;
mod fault;
mod journal;
pub(super) mod listener;
mod login;
mod sasl;
mod serving;
mod session;
mod settings;
mod strictness;
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openssl::ssl::SslAcceptor;

use super::certificates::Certificates;
use super::mailbox::Mailbox;

pub(crate) use dialogue::{Dialogue, Turn, opened};
pub(crate) use fault::{ANY, Fault, GREETING, HANDSHAKE, LOGIN, RESPONSE};
pub(crate) use journal::SessionLog;
pub(crate) use serving::{SCAN, STATUS, Serving};
pub(crate) use settings::{Pipelining, State};

use journal::Journal;
use listener::Listener;
use session::Session;
use settings::{Security, Settings};

/// Who may log in, unless a test says otherwise.
pub(crate) const USER: &str = "alice";
/// The password of [`USER`]. It has a space, since a password may (RFC 1939 section 7).
pub(crate) const PASSWORD: &str = "open sesame";

/// The longest a test waits for the server to see something.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The scripted server; it ends when this is dropped.
pub(crate) struct Server {
    shared: Arc<Shared>,
    listener: Listener,
    authority: Mutex<Option<PathBuf>>,
    judged: AtomicBool,
}

/// What the sessions of one server have in common.
struct Shared {
    settings: Mutex<Settings>,
    /// PIPELINING was announced over TLS: a client may remember that until it is taken back.
    promised_over_tls: AtomicBool,
    journal: Journal,
}

impl Shared {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How to reach a server and log in: what an account's configuration says.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// The TCP port on 127.0.0.1.
    pub(crate) port: u16,
    /// The value of the key `tls`.
    pub(crate) tls: &'static str,
    /// The authority to trust.
    pub(crate) ca_file: Option<PathBuf>,
    /// The user's name.
    pub(crate) user: String,
    /// The password.
    pub(crate) password: String,
}

/// Settings. Each takes effect with the next session; faults at once.
impl Server {
    /// Serves this maildrop to [`USER`] without TLS, unless another method says otherwise.
    pub(crate) fn start(mailbox: &Mailbox) -> Self {
        let shared = Arc::new(Shared {
            settings: Mutex::new(Settings::new(mailbox)),
            promised_over_tls: AtomicBool::new(false),
            journal: Journal::default(),
        });
        let sessions = Arc::clone(&shared);
        let listener = Listener::start(move |stream, stop| {
            let settings = sessions.settings().clone();
            Session::serve(stream, stop, &sessions, settings);
        });
        Server {
            shared,
            listener,
            authority: Mutex::new(None),
            judged: AtomicBool::new(false),
        }
    }

    /// TLS from the first byte, with a good certificate of this authority.
    pub(crate) fn implicit_tls(self, certificates: &Certificates) -> Self {
        self.implicit_tls_with(certificates, certificates.good())
    }

    /// TLS from the first byte, with this certificate.
    pub(crate) fn implicit_tls_with(self, ca: &Certificates, acceptor: SslAcceptor) -> Self {
        self.secured(ca, Security::Implicit(acceptor))
    }

    /// STLS, with a good certificate of this authority.
    pub(crate) fn stls(self, certificates: &Certificates) -> Self {
        self.secured(certificates, Security::Stls(certificates.good()))
    }

    /// STLS, with this certificate.
    pub(crate) fn stls_with(self, ca: &Certificates, acceptor: SslAcceptor) -> Self {
        self.secured(ca, Security::Stls(acceptor))
    }

    fn secured(self, certificates: &Certificates, security: Security) -> Self {
        *self.authority() = Some(certificates.authority_file());
        self.set(|settings| settings.security = security)
    }

    fn authority(&self) -> MutexGuard<'_, Option<PathBuf>> {
        self.authority
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// One more user, with a maildrop of their own.
    pub(crate) fn account(self, user: &str, password: &str, mailbox: &Mailbox) -> Self {
        let secret = (password.to_owned(), mailbox.clone());
        self.set(|settings| {
            settings.accounts.insert(user.to_owned(), secret);
        })
    }

    /// Another password for [`USER`]; also between two sessions.
    pub(crate) fn password(self, password: &str) -> Self {
        self.set(|settings| {
            if let Some((old, _)) = settings.accounts.get_mut(USER) {
                *old = password.to_owned();
            }
        })
    }

    /// Shows a timestamp in the greeting and so offers APOP.
    pub(crate) fn apop(self, timestamp: &str) -> Self {
        self.set(|settings| settings.timestamp = Some(timestamp.to_owned()))
    }

    /// Announces these SASL mechanisms, with a space between.
    pub(crate) fn mechanisms(self, names: &str) -> Self {
        self.set(|settings| settings.mechanisms = names.to_owned())
    }

    /// Says this first in SCRAM; `NONCE` in it stands for the client's nonce.
    pub(crate) fn scram_first(self, message: &str) -> Self {
        self.set(|settings| settings.scram.first = Some(message.to_owned()))
    }

    /// Answers the client's proof in SCRAM with this line, whatever the proof is.
    pub(crate) fn scram_last(self, line: &str) -> Self {
        self.set(|settings| settings.scram.last = Some(line.to_owned()))
    }

    /// Exactly these capabilities, in this state. PIPELINING among them means that it works,
    /// unless [`Server::pipelining`] says otherwise.
    pub(crate) fn capabilities(self, state: State, lines: &[&str]) -> Self {
        let lines = lines.iter().map(|&line| line.to_owned()).collect();
        self.set(|settings| {
            settings.capabilities.insert(state, lines);
        })
    }

    /// How it takes commands sent before the answers to those before them came.
    pub(crate) fn pipelining(self, pipelining: Pipelining) -> Self {
        self.set(|settings| settings.pipelining = pipelining)
    }

    /// Shows at most this many messages a session, the oldest that no finished session retrieved, as
    /// Gmail does.
    pub(crate) fn listing_window(self, most: usize) -> Self {
        self.set(|settings| settings.window = Some(most))
    }

    /// Announces EXPIRE 0 and means it: what was retrieved is gone after QUIT (RFC 2449 section 6.7).
    pub(crate) fn expires_at_once(self) -> Self {
        self.set(|settings| settings.expires_at_once = true)
    }

    /// Announces UTF8, and as Courier does hides a message until it is asked for UTF8, another one in each session,
    /// if its header is not ASCII and no UTF8 was asked for (RFC 6856 section 2.1).
    pub(crate) fn knowing_utf8(self) -> Self {
        self.set(|settings| settings.knows_utf8 = true)
    }

    /// Knows no UIDL.
    pub(crate) fn without_uidl(self) -> Self {
        self.capabilities(State::Greeted, &["USER", "TOP"])
            .capabilities(State::LoggedIn, &["USER", "TOP"])
            .on("UIDL", Fault::reply("-ERR what is that?"))
    }

    /// Knows no CAPA.
    pub(crate) fn without_capa(self) -> Self {
        self.on("CAPA", Fault::reply("-ERR what is that?"))
    }

    /// Does not announce this command, and does not know it.
    pub(crate) fn lacking(self, verb: &'static str) -> Self {
        self.set(|settings| {
            settings.lacks.insert(verb);
        })
    }

    /// Sends the message with this unique-id so, or with [`ANY`] every one, until it is healed.
    pub(crate) fn serving(self, uid: &str, serving: Serving) -> Self {
        self.set(|settings| settings.servings.push((uid.to_owned(), serving)))
    }

    /// LIST and STAT claim this size for the message with this unique-id, until it is healed.
    pub(crate) fn claiming_size_of(self, uid: &str, octets: u64) -> Self {
        self.set(|settings| {
            settings.claimed_by_uid.insert(uid.to_owned(), octets);
        })
    }

    /// LIST and STAT count the end of a line as one octet.
    pub(crate) fn counting_line_ends_as_one(self) -> Self {
        self.set(|settings| settings.counts_line_ends_as_one = true)
    }

    /// STAT claims this many octets more than LIST does for all messages together.
    pub(crate) fn adding_to_stat(self, octets: u64) -> Self {
        self.set(|settings| settings.added_to_stat = octets)
    }

    /// LIST and STAT claim this size for the message of this number.
    pub(crate) fn claiming_size(self, number: usize, octets: u64) -> Self {
        self.set(|settings| {
            settings.claimed_sizes.insert(number, octets);
        })
    }

    /// At this step, always, this fault. A step is a command (`RETR 3`), the same with a unique-id in place of the
    /// number (`RETR uid-3`) or with `n` for any (`UIDL n`), a verb (`RETR`), or one of the names of [`fault`]. The
    /// first fault that fits is taken.
    pub(crate) fn on(self, step: &str, fault: Fault) -> Self {
        self.set(|settings| settings.place(step, fault, usize::MAX))
    }

    /// The first time this step comes, this fault; then never again, in no session.
    pub(crate) fn once(self, step: &str, fault: Fault) -> Self {
        self.set(|settings| settings.place(step, fault, 1))
    }

    /// Nothing, this many times when this step comes; then always this fault.
    pub(crate) fn after(self, times: usize, step: &str, fault: Fault) -> Self {
        self.set(|settings| settings.place_after(times, step, fault))
    }

    /// This many octets of good answers go out, all sessions together: after the last of them the
    /// connection ends, and every later one at once.
    pub(crate) fn cut_after(self, octets: usize) -> Self {
        self.set(|settings| settings.most = octets)
    }

    /// The same as [`Server::on`], while the server is at work.
    pub(crate) fn strike(&self, step: &str, fault: Fault) {
        self.shared.settings().place(step, fault, usize::MAX);
    }

    /// Takes all faults away, and whatever is wrong with single messages.
    pub(crate) fn heal(&self) {
        let mut settings = self.shared.settings();
        settings.faults.clear();
        settings.servings.clear();
        settings.claimed_by_uid.clear();
        settings.most = usize::MAX;
    }

    fn set(self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.shared.settings());
        self
    }
}

/// What a test asks afterwards. All of these first wait until no session is open.
impl Server {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// What an account's configuration has to say.
    pub(crate) fn endpoint(&self) -> Endpoint {
        let settings = self.shared.settings();
        let password = settings.accounts.get(USER).map(|(word, _)| word.clone());
        Endpoint {
            port: self.address().port(),
            tls: match settings.security {
                Security::None => "none",
                Security::Stls(_) => "starttls",
                Security::Implicit(_) => "implicit",
            },
            ca_file: self.authority().clone(),
            user: USER.to_owned(),
            password: password.unwrap_or_default(),
        }
    }

    /// Everything received, session by session.
    pub(crate) fn sessions(&self) -> Vec<SessionLog> {
        self.shared.journal.finished(TIMEOUT)
    }

    /// The commands of all sessions, one after the other.
    pub(crate) fn commands(&self) -> Vec<String> {
        let sessions = self.sessions();
        sessions.iter().flat_map(SessionLog::commands).collect()
    }

    /// How many octets of good answers went out.
    pub(crate) fn sent(&self) -> usize {
        self.shared.settings().sent
    }

    /// How often each message was retrieved, by unique-id.
    pub(crate) fn retrievals(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for uid in self.sessions().iter().flat_map(|log| &log.retrieved) {
            *counts.entry(uid.clone()).or_default() += 1;
        }
        counts
    }

    /// The unique-ids of all messages that a DELE was accepted for, whatever came of it.
    pub(crate) fn deletions(&self) -> Vec<String> {
        let sessions = self.sessions();
        sessions.into_iter().flat_map(|log| log.deleted).collect()
    }

    /// What no client should have done. The caller judges from then on: dropping the server no
    /// longer does.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.judged.store(true, Ordering::Relaxed);
        let sessions = self.sessions();
        sessions
            .into_iter()
            .flat_map(|log| log.violations)
            .collect()
    }

    /// Waits until some session received this command, as it was sent.
    pub(crate) fn wait_for(&self, command: &str) {
        self.shared.journal.wait_for(command, TIMEOUT);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.listener.stop();
        if std::thread::panicking() {
            return;
        }
        let violations = self.violations_unless_judged();
        assert!(
            violations.is_empty(),
            "the client misbehaved: {violations:#?}"
        );
    }
}

impl Server {
    fn violations_unless_judged(&self) -> Vec<String> {
        if self.judged.load(Ordering::Relaxed) {
            return Vec::new();
        }
        self.violations()
    }
}
