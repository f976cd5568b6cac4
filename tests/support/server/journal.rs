//! What a server received.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use popfetch::text::Untrusted;

/// One line from the client.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Without its line end; secrets as they came.
    pub(crate) line: Vec<u8>,
    /// Whether it came over TLS.
    pub(crate) encrypted: bool,
    /// Whether the next command had come before this one was answered.
    pub(crate) followed: bool,
}

/// One session.
#[derive(Debug, Clone, Default)]
pub(crate) struct SessionLog {
    /// Everything that came, in order.
    pub(crate) received: Vec<Received>,
    /// The unique-ids of the messages that RETR was carried out for, in order.
    pub(crate) retrieved: Vec<String>,
    /// The unique-ids of the messages that DELE was carried out for, in order.
    pub(crate) deleted: Vec<String>,
    /// The challenges that were put, in base64.
    pub(crate) challenges: Vec<String>,
    /// What no client should do.
    pub(crate) violations: Vec<String>,
    closed: bool,
}

impl SessionLog {
    /// What came, in a readable form.
    pub(crate) fn commands(&self) -> Vec<String> {
        let readable = |received: &Received| Untrusted(&received.line).to_string();
        self.received.iter().map(readable).collect()
    }

    /// The first word of each command.
    pub(crate) fn verbs(&self) -> Vec<String> {
        let verb = |command: String| command.split(' ').next().unwrap_or_default().to_owned();
        self.commands().into_iter().map(verb).collect()
    }

    /// What came before TLS, or without it.
    pub(crate) fn in_clear(&self) -> Vec<String> {
        let clear = self.received.iter().filter(|received| !received.encrypted);
        clear
            .map(|received| Untrusted(&received.line).to_string())
            .collect()
    }
}

/// All sessions of a server.
#[derive(Default)]
pub(super) struct Journal {
    sessions: Mutex<Vec<SessionLog>>,
    changed: Condvar,
}

impl Journal {
    /// A session begins; the answer is its number here.
    pub(super) fn open(&self) -> usize {
        let mut sessions = self.lock();
        sessions.push(SessionLog::default());
        sessions.len() - 1
    }

    /// Something happened in a session.
    pub(super) fn note(&self, session: usize, change: impl FnOnce(&mut SessionLog)) {
        change(&mut self.lock()[session]);
        self.changed.notify_all();
    }

    /// How often the message with this unique-id was retrieved in this many sessions, the first ones.
    pub(super) fn retrievals(&self, uid: &str, sessions: usize) -> usize {
        let logs = self.lock();
        let retrieved = logs.iter().take(sessions).flat_map(|log| &log.retrieved);
        retrieved.filter(|known| *known == uid).count()
    }

    /// The session is over.
    pub(super) fn close(&self, session: usize) {
        self.note(session, |log| log.closed = true);
    }

    /// All sessions, once none is open.
    pub(super) fn finished(&self, time_limit: Duration) -> Vec<SessionLog> {
        let open = |sessions: &mut Vec<SessionLog>| sessions.iter().any(|log| !log.closed);
        let (sessions, _) = self
            .changed
            .wait_timeout_while(self.lock(), time_limit, open)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(
            sessions.iter().all(|log| log.closed),
            "a session is still open: {sessions:#?}"
        );
        sessions.clone()
    }

    /// Returns once this command came.
    pub(super) fn wait_for(&self, command: &str, time_limit: Duration) {
        let came = |log: &SessionLog| log.received.iter().any(|r| r.line == command.as_bytes());
        let missing = |sessions: &mut Vec<SessionLog>| !sessions.iter().any(came);
        let (sessions, waited) = self
            .changed
            .wait_timeout_while(self.lock(), time_limit, missing)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "{command} never came: {sessions:#?}");
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SessionLog>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
