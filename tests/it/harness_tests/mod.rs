//! The test support is right: whoever relies on a server to be strict must know that it is.

mod certificates;
pub(crate) mod client;
mod dialogue;
mod dovecot;
mod faults;
mod messages;
mod readers;
mod sandbox;
mod server;
mod serving;
mod strictness;
