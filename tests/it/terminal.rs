//! What a person sees in front of a terminal, and what is written where there is none.

use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::server::{Fault, LOGIN, Server};
use crate::support::terminal::{Terminal, left_on_screen};
use crate::support::world::{Outcome, World};

/// How a line is wiped.
const WIPED: &str = "\r\x1b[2K";
/// How a color begins.
const COLOR: &str = "\x1b[1;";
/// What Ctrl-C sends.
const CTRL_C: &str = "\x03";

fn world_for(server: &Server) -> World {
    let world = World::new();
    world.account("it", &server.endpoint()).write();
    world
}

fn on_terminal(world: &World, arguments: &[&str]) -> Outcome {
    Terminal::start(world, &[&["popfetch"], arguments].concat()).finish()
}

#[test]
fn a_bar_comes_and_goes_and_one_line_stays() {
    let server = Server::start(&Mailbox::with(small(5)));
    let world = world_for(&server);
    for summary in ["it: 5 new messages (", "it: nothing new"] {
        let outcome = on_terminal(&world, &["sync"]);
        outcome.ends_with(0);
        assert!(outcome.stdout.contains(WIPED), "{outcome:#?}");
        let lines = left_on_screen(&outcome.stdout);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(summary), "{lines:?}");
    }
}

#[test]
fn the_bar_counts_and_ctrl_c_stops_in_order() {
    let server = Server::start(&Mailbox::with(small(5))).on("RETR 5", Fault::Stall);
    let world = world_for(&server);
    let sync = Terminal::start(&world, &["popfetch", "sync"]);
    sync.shows("4/5").types(CTRL_C);
    let outcome = sync.finish();
    outcome.ends_with(130);
    let lines = left_on_screen(&outcome.stdout);
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("it: 4 new messages")),
        "{lines:?}"
    );
    assert_eq!(world.mail("it").texts().len(), 4);
    server.heal();
    world.run(&["sync"]).ends_with(0);
    assert!(server.retrievals().values().all(|&count| count == 1));
}

#[test]
fn a_dry_run_is_a_table_and_quiet_is_silence_on_a_terminal_too() {
    let server = Server::start(&Mailbox::with(small(2)));
    let world = world_for(&server);
    let table = left_on_screen(&on_terminal(&world, &["sync", "--dry-run"]).stdout);
    assert_eq!(
        table
            .iter()
            .filter(|line| line.contains("retrieve  new"))
            .count(),
        2,
        "{table:?}"
    );
    let outcome = on_terminal(&world, &["-q", "sync"]);
    outcome.ends_with(0).says_nothing();
}

#[test]
fn colors_are_for_terminals_that_want_them_unless_told_otherwise() {
    let server = Server::start(&Mailbox::default()).on(LOGIN, Fault::reply("-ERR [AUTH] no"));
    let mut world = world_for(&server);
    for (no_color, option, colored) in [
        ("", "auto", true),
        ("", "never", false),
        ("1", "auto", false),
        ("1", "always", true),
    ] {
        world.variable("NO_COLOR", no_color);
        let outcome = on_terminal(&world, &["--color", option, "sync"]);
        outcome.ends_with(77);
        let context = format!("NO_COLOR={no_color} --color {option}: {outcome:#?}");
        assert_eq!(outcome.stdout.contains(COLOR), colored, "{context}");
    }
    world.variable("NO_COLOR", "");
    for (option, colored) in [("auto", false), ("always", true)] {
        let outcome = world.run(&["--color", option, "sync"]);
        outcome.ends_with(77);
        assert_eq!(outcome.stderr.contains(COLOR), colored, "{outcome:#?}");
    }
}

#[test]
fn without_a_terminal_a_good_run_is_silent_and_a_bad_one_has_no_control_characters() {
    let server = Server::start(&Mailbox::with(small(3)));
    let world = world_for(&server);
    world.run(&["sync"]).ends_with(0).says_nothing();
    world.run(&["sync"]).ends_with(0).says_nothing();
    let _server = server.on(LOGIN, Fault::reply("-ERR [AUTH] \x1b[31mno"));
    let outcome = world.run(&["sync"]);
    outcome
        .ends_with(77)
        .keeps_to_itself("\x1b")
        .keeps_to_itself("\r");
}
