//! What a person sees in front of a terminal, and what is written where there is none.

use rustix::process::Signal;

use crate::support::keyring::KeyRing;
use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::sandbox::{Outcome, Sandbox};
use crate::support::server::{Fault, LOGIN, PASSWORD, Server};
use crate::support::terminal::{Terminal, left_on_screen};

/// How a line is wiped.
const WIPED: &str = "\r\x1b[2K";
/// How a color begins.
const COLOR: &str = "\x1b[1;";
/// What Ctrl-C sends.
const CTRL_C: &str = "\x03";

fn sandbox_for(server: &Server) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.account("it", &server.endpoint()).write();
    sandbox
}

fn on_terminal(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    Terminal::start(sandbox, &[&["popfetch"], arguments].concat()).finish()
}

#[test]
fn a_bar_comes_and_goes_and_one_line_stays() {
    let server = Server::start(&Mailbox::with(small(5)));
    let sandbox = sandbox_for(&server);
    for summary in ["it: 5 new messages (", "it: nothing new"] {
        let outcome = on_terminal(&sandbox, &["sync"]);
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
    let sandbox = sandbox_for(&server);
    let sync = Terminal::start(&sandbox, &["popfetch", "sync"]);
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
    assert_eq!(sandbox.mail("it").texts().len(), 4);
    server.heal();
    sandbox.run(&["sync"]).ends_with(0);
    assert!(server.retrievals().values().all(|&count| count == 1));
}

/// An account without any place for its password: a person is asked.
fn asking_sandbox(server: &Server) -> Sandbox {
    let sandbox = Sandbox::new();
    let account = sandbox.account("it", &server.endpoint());
    account.without("password_file").write();
    sandbox
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
        let mut sandbox = asking_sandbox(&server);
        // A password that could not be kept is not asked for.
        let _ring = (command == login).then(|| KeyRing::start(&mut sandbox));
        let asking = Terminal::start(&sandbox, command);
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
    let sandbox = asking_sandbox(&asking);
    // The other one begins once the question is there.
    let password = sandbox.fifo("other-password");
    let account = sandbox.account("other", &other.endpoint());
    account.set("password_file", "\"~/other-password\"").write();
    let sync = Terminal::start(&sandbox, &["popfetch", "sync"]);
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
    sandbox.mail("it").holds(asked.stored_forms());
    sandbox.mail("other").holds(mailbox.stored_forms());
}

#[test]
fn a_typed_password_can_be_corrected_and_a_person_can_give_up() {
    let mailbox = Mailbox::with(small(1));
    let server = Server::start(&mailbox).password("p ä%s");
    let sandbox = asking_sandbox(&server);
    let sync = Terminal::start(&sandbox, &["popfetch", "sync"]);
    sync.type_unseen("wrong\x15p äö\x7f%s");
    let outcome = sync.finish();
    outcome.ends_with(0).keeps_to_itself("%s");
    sandbox.mail("it").holds(mailbox.stored_forms());

    let sandbox = asking_sandbox(&server);
    let sync = Terminal::start(&sandbox, &["popfetch", "sync"]);
    sync.hides_typing().types("\x04");
    let outcome = sync.finish();
    outcome.ends_with(78);
    assert!(outcome.stdout.contains("no password was typed"));
}

/// What the terminal holds of an unfinished line would be typed into the shell, which shows it.
#[test]
fn half_a_password_does_not_stay_in_the_terminal() {
    let server = Server::start(&Mailbox::with(small(1)));
    let sandbox = asking_sandbox(&server);
    let popfetch = "sh -c 'echo $$ > pid; exec popfetch sync'";
    let shell = format!("{popfetch}; read -r rest; echo \"[$rest]\"");
    let sync = Terminal::start(&sandbox, &["sh", "-c", &shell]);
    sync.hides_typing().types("half a pass");
    sandbox.shell("kill $(cat pid)").ends_with(0);
    sync.shows_typing().types("\n").shows("[]");
    sync.finish().keeps_to_itself("half a pass");
}

#[test]
fn an_arrow_in_a_typed_password_is_refused() {
    let server = Server::start(&Mailbox::with(small(1)));
    let sandbox = asking_sandbox(&server);
    let sync = Terminal::start(&sandbox, &["popfetch", "sync"]);
    sync.type_unseen("pa\x1b[Dss");
    let outcome = sync.finish();
    outcome.ends_with(78).keeps_to_itself("ss\r");
    assert!(outcome.stdout.contains("such as an arrow"), "{outcome:#?}");
    assert!(server.sessions().is_empty());
}

/// Under a shell that could put it into the background: else the system itself would not stop it.
#[test]
fn no_key_stops_or_kills_it_while_typing_is_hidden() {
    let mailbox = Mailbox::with(small(1));
    let server = Server::start(&mailbox);
    let sandbox = asking_sandbox(&server);
    let shell = ["bash", "-mc", "popfetch sync; exit $?"];
    let sync = Terminal::start(&sandbox, &shell);
    // What Ctrl-Z and Ctrl-\ send.
    sync.hides_typing().types("\x1a\x1c").type_unseen(PASSWORD);
    sync.finish().ends_with(0);
    sandbox.mail("it").holds(mailbox.stored_forms());
}

#[test]
fn a_command_that_asks_on_the_terminal_ends_with_the_first_signal() {
    let server = Server::start(&Mailbox::with(small(1)));
    let sandbox = Sandbox::new();
    let command = "\"stty -echo </dev/tty; read -r it </dev/tty; stty echo </dev/tty; echo $it\"";
    let account = sandbox.account("it", &server.endpoint());
    let account = account.without("password_file");
    account.set("password_command", command).write();
    let asking = Terminal::start(&sandbox, &["popfetch", "sync"]);
    asking.hides_typing().signal(Signal::TERM);
    asking.finish().ends_with(143);
    assert!(server.sessions().is_empty());
    let asking = Terminal::start(&sandbox, &["popfetch", "sync"]);
    asking.type_unseen(PASSWORD);
    asking.finish().ends_with(0);
}

#[test]
fn a_dry_run_is_a_table_and_quiet_is_silence_on_a_terminal_too() {
    let server = Server::start(&Mailbox::with(small(2)));
    let sandbox = sandbox_for(&server);
    let table = left_on_screen(&on_terminal(&sandbox, &["sync", "--dry-run"]).stdout);
    assert_eq!(
        table
            .iter()
            .filter(|line| line.contains("retrieve  new"))
            .count(),
        2,
        "{table:?}"
    );
    let outcome = on_terminal(&sandbox, &["-q", "sync"]);
    outcome.ends_with(0).says_nothing();
}

#[test]
fn colors_are_for_terminals_that_want_them_unless_an_option_says_otherwise() {
    let server = Server::start(&Mailbox::default()).on(LOGIN, Fault::reply("-ERR [AUTH] no"));
    let mut sandbox = sandbox_for(&server);
    for (no_color, option, colored) in [
        ("", "auto", true),
        ("", "never", false),
        ("1", "auto", false),
        ("1", "always", true),
    ] {
        sandbox.variable("NO_COLOR", no_color);
        let outcome = on_terminal(&sandbox, &["--color", option, "sync"]);
        outcome.ends_with(77);
        let context = format!("NO_COLOR={no_color} --color {option}: {outcome:#?}");
        assert_eq!(outcome.stdout.contains(COLOR), colored, "{context}");
    }
    sandbox.variable("NO_COLOR", "");
    for (option, colored) in [("auto", false), ("always", true)] {
        let outcome = sandbox.run(&["--color", option, "sync"]);
        outcome.ends_with(77);
        assert_eq!(outcome.stderr.contains(COLOR), colored, "{outcome:#?}");
    }
}

#[test]
fn without_a_terminal_a_good_run_is_silent_and_a_bad_one_has_no_control_characters() {
    let server = Server::start(&Mailbox::with(small(3)));
    let sandbox = sandbox_for(&server);
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    let _server = server.on(LOGIN, Fault::reply("-ERR [AUTH] \x1b[31mno"));
    let outcome = sandbox.run(&["sync"]);
    outcome
        .ends_with(77)
        .keeps_to_itself("\x1b")
        .keeps_to_itself("\r");
}
