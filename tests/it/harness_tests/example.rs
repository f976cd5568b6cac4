//! The example in the documentation of the test kit.

use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::sandbox::Sandbox;
use crate::support::server::{Fault, Server};

#[test]
fn the_example_of_the_documentation_passes() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox).once("RETR 2", Fault::CloseAfter);
    let sandbox = Sandbox::new();
    sandbox.account("it", &server.endpoint()).write();
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    sandbox.mail("it").holds(mailbox.stored_forms());
}

#[test]
fn the_documentation_shows_this_example() {
    let documentation = include_str!("../../support/mod.rs");
    let shown = documentation.split("//! ```\n").nth(1).expect("an example");
    let shown: Vec<&str> = shown
        .lines()
        .map(|line| line.trim_start_matches("//! "))
        .collect();
    let passing = include_str!("example.rs");
    let passing = passing
        .split_once("_passes() {\n")
        .expect("the test above")
        .1;
    let passing = passing.lines().map(str::trim).take(shown.len());
    assert_eq!(shown, passing.collect::<Vec<_>>());
}
