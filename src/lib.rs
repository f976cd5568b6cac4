//! popfetch retrieves mail over POP3 and stores every message exactly once.
//!
//! The library does the work and never prints; the binary wires it to a person.
//!
//! ```text
//!  what a person wrote          what the server holds         what we remember
//!    config, secret      →        pop3 over net        →          journal
//!           \                          |                          /
//!            \                         v                         /
//!             \------------>   plan  (pure: no clock, no I/O)  <-
//!                                      |
//!                                      v   Plan { retrieve, delete, leave + why }
//!                                    sync  (carries the plan out)
//!                                 /     |      \
//!                        wire thread  store thread  monitor
//!                   RETR window →  batches → destination + journal → DELE window → QUIT
//! ```
//!
//! Everything flows one way: `--dry-run` stops after [`plan`] and prints it, `sync` carries it out.
//! There is no second place that decides what to fetch or delete.

pub mod cancel;
pub mod cli;
pub mod client;
pub mod commands;
pub mod config;
pub mod connecting;
mod crash;
pub mod deliver;
pub mod environment;
pub mod error;
mod explain;
pub mod fs;
pub mod journal;
pub mod mail;
pub mod message;
pub mod monitor;
pub mod net;
pub mod plan;
pub mod pop3;
mod process;
pub mod report;
pub mod sasl;
pub mod secret;
pub mod size;
pub mod sync;
#[cfg(test)]
#[path = "../tests/support/report.rs"]
mod test_report;
pub mod text;
pub mod ui;
