//! The test kit does what it says: other tests rely on a server that is strict.

mod certificates;
pub(crate) mod client;
mod dialogue;
mod dovecot;
mod example;
mod faults;
mod messages;
mod readers;
mod sandbox;
mod server;
mod serving;
mod strictness;
