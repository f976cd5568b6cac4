//! Signals: the first asks a run to stop in order, the second ends it at once, and none kills it
//! without a word.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::server::{Fault, Pipelining, Server};
use crate::sync::world_for;

#[test]
fn what_was_asked_for_still_comes_and_what_is_stored_is_deleted() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mailbox = Mailbox::with(small(5));
        let expected = mailbox.stored_forms();
        let server = Server::start(&mailbox)
            .pipelining(Pipelining::Absent)
            .once("RETR 3", Fault::Delay(Duration::from_millis(500)));
        let world = world_for(&server, &[("leave_on_server", "\"never\"")]);
        let running = world.start(&["sync"]);
        server.wait_for("RETR 3");
        running.signal(signal);
        running.finish().ends_with(status);
        world.mail("it").holds(&expected[..3]);
        world.mail("it").is_sound();
        assert_eq!(
            mailbox.uids(),
            ["uid-4", "uid-5"],
            "QUIT confirmed the others"
        );
        world.run(&["sync"]).ends_with(0);
        world.mail("it").holds(&expected);
    }
}

#[test]
fn a_second_signal_does_not_wait() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox).once("RETR 2", Fault::StallWithin(100));
    let world = world_for(&server, &[("timeout", "\"60s\"")]);
    let running = world.start(&["sync"]);
    server.wait_for("RETR 2");
    let began = Instant::now();
    running.signal(Signal::INT);
    running.signal(Signal::TERM);
    running.finish().ends_with(143);
    // Less than what is in flight may take to come.
    assert!(began.elapsed() < Duration::from_millis(1500));
    world.run(&["sync"]).ends_with(0);
    world.mail("it").holds(mailbox.stored_forms());
    world.mail("it").is_sound();
}

#[test]
fn nobody_reading_its_output_is_no_death_and_costs_no_mail() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox);
    let world = world_for(&server, &[]);
    let script = "{ \"$0\" \"$@\"; echo $? >status; } | true";
    world
        .start_with(&["sh", "-c", script], &["sync", "--json"], &[])
        .finish();
    let status = fs::read_to_string(world.home("status")).expect("an exit status");
    assert!(matches!(status.trim(), "0" | "74"), "exit status {status}");
    world.mail("it").holds(mailbox.stored_forms());
}
