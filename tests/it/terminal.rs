//! What a person sees in front of a terminal, and what is written where there is none.

use rustix::process::Signal;

use crate::support::keyring::KeyRing;
use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::server::{Fault, LOGIN, PASSWORD, Server};
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

/// An account without any place for its password: a person is asked.
fn asking_world(server: &Server) -> World {
    let world = World::new();
    let account = world.account("it", &server.endpoint());
    account.without("password_file").write();
    world
}

#[test]
fn a_question_for_the_password_ends_with_the_first_signal() {
    let server = Server::start(&Mailbox::with(small(1)));
    let sync = &["popfetch", "sync"][..];
    let login = &["popfetch", "login", "it"][..];
    for (command, signal, status) in [
        (sync, Some(Signal::TERM), 143),
        (sync, Some(Signal::HUP), 129),
        (sync, Some(Signal::INT), 130),
        (sync, None, 130),
        (login, Some(Signal::TERM), 143),
    ] {
        let mut world = asking_world(&server);
        // Nobody is asked for a password that could not be kept.
        let _ring = (command == login).then(|| KeyRing::start(&mut world));
        let asking = Terminal::start(&world, command);
        asking.shows("Password for alice at 127.0.0.1: ");
        asking.hides_typing().types("half a pass");
        match signal {
            Some(signal) => asking.signal(signal),
            None => asking.types(CTRL_C),
        };
        asking
            .finish()
            .ends_with(status)
            .keeps_to_itself("half a pass");
    }
    assert!(server.sessions().is_empty());
}

#[test]
fn a_question_for_one_password_holds_up_no_other_account_and_is_not_disturbed() {
    let (asked, mailbox) = (Mailbox::with(small(2)), Mailbox::with(small(5)));
    let (asking, other) = (Server::start(&asked), Server::start(&mailbox));
    let world = asking_world(&asking);
    // The other one begins once the question is there.
    let password = world.fifo("other-password");
    let account = world.account("other", &other.endpoint());
    account.set("password_file", "\"~/other-password\"").write();
    let sync = Terminal::start(&world, &["popfetch", "sync"]);
    sync.shows("Password for alice at 127.0.0.1: ");
    password.say(PASSWORD);
    other.wait_for("QUIT");
    sync.type_unseen(PASSWORD);
    let outcome = sync.finish();
    outcome.ends_with(0);
    let shown = &outcome.stdout;
    assert!(shown.contains("at 127.0.0.1: \r\n"), "{outcome:#?}");
    for summary in ["it: 2 new messages", "other: 5 new messages"] {
        assert!(shown.contains(summary), "{outcome:#?}");
    }
    world.mail("it").holds(asked.stored_forms());
    world.mail("other").holds(mailbox.stored_forms());
}

#[test]
fn a_typed_password_can_be_corrected_and_a_person_can_give_up() {
    let mailbox = Mailbox::with(small(1));
    let server = Server::start(&mailbox).password("p ä%s");
    let world = asking_world(&server);
    let sync = Terminal::start(&world, &["popfetch", "sync"]);
    sync.type_unseen("wrong\x15p äö\x7f\x1b[A%s");
    let outcome = sync.finish();
    outcome.ends_with(0).keeps_to_itself("%s");
    world.mail("it").holds(mailbox.stored_forms());

    let world = asking_world(&server);
    let sync = Terminal::start(&world, &["popfetch", "sync"]);
    sync.hides_typing().types("\x04");
    let outcome = sync.finish();
    outcome.ends_with(78);
    assert!(outcome.stdout.contains("no password was typed"));
}

/// Under a shell that could put it into the background: else the system itself would not stop it.
#[test]
fn no_key_stops_or_kills_it_while_typing_is_hidden() {
    let mailbox = Mailbox::with(small(1));
    let server = Server::start(&mailbox);
    let world = asking_world(&server);
    let shell = ["bash", "-mc", "popfetch sync; exit $?"];
    let sync = Terminal::start(&world, &shell);
    // What Ctrl-Z and Ctrl-\ send.
    sync.hides_typing().types("\x1a\x1c").type_unseen(PASSWORD);
    sync.finish().ends_with(0);
    world.mail("it").holds(mailbox.stored_forms());
}

#[test]
fn a_command_that_asks_on_the_terminal_ends_with_the_first_signal() {
    let server = Server::start(&Mailbox::with(small(1)));
    let world = World::new();
    let command = "\"stty -echo </dev/tty; read -r it </dev/tty; stty echo </dev/tty; echo $it\"";
    let account = world.account("it", &server.endpoint());
    let account = account.without("password_file");
    account.set("password_command", command).write();
    let asking = Terminal::start(&world, &["popfetch", "sync"]);
    asking.hides_typing().signal(Signal::TERM);
    asking.finish().ends_with(143);
    assert!(server.sessions().is_empty());
    let asking = Terminal::start(&world, &["popfetch", "sync"]);
    asking.type_unseen(PASSWORD);
    asking.finish().ends_with(0);
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
