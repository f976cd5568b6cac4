//! The program against servers, scripted and real; and first of all, the test support itself.

#[path = "../support/mod.rs"]
mod support;

mod harness_tests;

mod again;
mod attacks;
mod cli;
mod config;
mod crash;
mod cron;
mod dependencies;
mod dovecot;
mod faults;
mod filesystem;
mod generated;
mod gone;
mod identity;
mod jobs;
mod keyring;
mod known_servers;
mod layers;
mod login;
mod logs;
mod mailutils;
mod mbox;
mod model;
mod pipe;
mod readme;
mod recipes;
mod renumbered;
mod secrets;
mod signals;
mod sloppy;
mod state;
mod status;
mod stdout;
mod sync;
mod terminal;
mod tls;
mod windows;
