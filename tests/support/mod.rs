//! What the tests are made of. Nothing here knows the program from inside: the servers speak POP3,
//! the [`sandbox::Sandbox`] runs the program as a person would, the readers read mail as other programs do.
//!
//! - [`messages`]: mail of every shape, the same at every run
//! - [`mailbox`]: a maildrop in memory
//! - [`server`]: a scripted POP3 server that serves one, strictly, with faults wherever a test wants them
//! - [`certificates`]: a throw-away authority, and certificates good and bad
//! - [`disks`]: file systems of a test's own
//! - [`dovecot`]: the real thing
//! - [`fifo`]: holds a command until a test lets it go
//! - [`malicious`]: what servers say that are not honest
//! - [`mailutils`]: another one, which offers APOP whether it can or not
//! - [`sandbox`]: a home for one test, in which the program runs
//! - [`terminal`]: a pseudo-terminal, with a person at the other end
//! - [`keyring`]: a desktop's bus and key ring
//! - [`readers`]: Python and mutt look at what was stored

pub(crate) mod certificates;
pub(crate) mod disks;
pub(crate) mod dovecot;
pub(crate) mod fifo;
pub(crate) mod keyring;
pub(crate) mod mailbox;
pub(crate) mod mailutils;
pub(crate) mod malicious;
pub(crate) mod messages;
pub(crate) mod readers;
pub(crate) mod sandbox;
pub(crate) mod server;
pub(crate) mod terminal;

use std::io::Write as _;

/// How many of a long row of cases to take: some of them, or with `POPFETCH_TEST_ALL` set all.
pub(crate) fn sampled(some: usize, all: usize) -> usize {
    if everything() { all } else { some }
}

/// Tells that a test cannot be run here, even where the harness keeps what a passing test prints to itself.
pub(crate) fn skipped(why: &str) {
    // Where even that cannot be written, there is nobody to read it.
    let _ = std::io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes());
}

/// Tells whoever runs the tests with `--nocapture` how many cases a row had.
#[expect(clippy::print_stdout, reason = "shown only where it is asked for")]
pub(crate) fn figure(text: &str) {
    println!("figure: {text}");
}

/// Whether long rows of cases are wanted whole.
pub(crate) fn everything() -> bool {
    std::env::var_os("POPFETCH_TEST_ALL").is_some()
}
