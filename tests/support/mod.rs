//! What the tests are made of. Nothing here knows the program from inside: the servers speak POP3,
//! the [`sandbox::Sandbox`] runs the program as a person would, the readers read mail as other programs do.
//!
//! A maildrop, a server for it, a sandbox with an account there, a run, and what must be true after it:
//!
//! ```
//! let mailbox = Mailbox::with(small(3));
//! let server = Server::start(&mailbox).once("RETR 2", Fault::CloseAfter);
//! let sandbox = Sandbox::new();
//! sandbox.account("it", &server.endpoint()).write();
//! sandbox.run(&["sync"]).ends_with(0).says_nothing();
//! sandbox.mail("it").holds(mailbox.stored_forms());
//! ```
//!
//! - [`messages`]: mail of every shape, the same at every run
//! - [`mailbox`]: a maildrop in memory
//! - [`server`]: a scripted POP3 server that serves one, strictly, with faults wherever a test wants them
//! - [`certificates`]: a throw-away authority, and certificates good and bad
//! - [`disks`]: file systems of a test's own
//! - [`dovecot`]: the real thing
//! - [`fifo`]: holds a command until a test lets it go
//! - [`malicious`]: what malicious servers say
//! - [`mailutils`]: GNU mailutils' server, which offers APOP whether it can or not
//! - [`sandbox`]: a home for one test, in which the program runs
//! - [`terminal`]: a pseudo-terminal, and a person who types
//! - [`keyring`]: a desktop's bus and key ring
//! - [`readers`]: Python and mutt look at what was stored
//! - [`sampling`]: long rows of cases, of which only `tests/run --all` tries all
//! - [`report`]: what a run of the tests left out

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
pub(crate) mod report;
pub(crate) mod sampling;
pub(crate) mod sandbox;
pub(crate) mod server;
pub(crate) mod terminal;
