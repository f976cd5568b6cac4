//! What is said, to whom, and how much of it; and what is never said.

use std::time::Duration;

use jiff::Timestamp;

use crate::support::mailbox::Mailbox;
use crate::support::messages::{Generator, Shape, small};
use crate::support::sandbox::Sandbox;
use crate::support::server::{Fault, LOGIN, PASSWORD, Server};
use crate::support::terminal::{Terminal, left_on_screen};

/// A sandbox with one account, `it`, for this server.
fn sandbox_for(server: &Server) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.account("it", &server.endpoint()).write();
    sandbox
}

/// The lines without the time in front of each, which must be there.
#[track_caller]
fn without_time(text: &str) -> Vec<&str> {
    let line_alone = |line| {
        let (time, rest) = str::split_once(line, ' ').expect("a time and the line");
        assert!(time.parse::<Timestamp>().is_ok(), "{line}");
        rest
    };
    text.lines().map(line_alone).collect()
}

#[test]
fn the_times_of_a_log_are_those_of_the_zone_that_is_named() {
    let server = Server::start(&Mailbox::default());
    let mut sandbox = sandbox_for(&server);
    sandbox.variable("TZ", "Asia/Kolkata");
    let outcome = sandbox.run(&["-v", "sync"]);
    let (time, _) = outcome.stderr.split_once(' ').expect("a time");
    assert!(time.ends_with("+05:30"), "{time}");
}

#[test]
fn each_level_says_what_the_one_before_says_and_more() {
    // A message that fails, and one that is left for later.
    let run = |option: &[&str]| {
        let mailbox = Mailbox::with(small(2));
        mailbox.add("large", Generator::new(9).message(Shape::Plain, 50_000));
        let server = Server::start(&mailbox).on("RETR 2", Fault::reply("-ERR no"));
        let arguments = [&["sync", "--max-size", "10k"], option].concat();
        let outcome = sandbox_for(&server).run(&arguments);
        outcome.ends_with(1);
        assert!(outcome.stdout.is_empty());
        outcome.stderr
    };
    let (quiet, normal, verbose, dialogue) = (run(&["-q"]), run(&[]), run(&["-v"]), run(&["-vv"]));
    assert!(quiet.lines().count() == 1 && quiet.starts_with("popfetch: it: message 2"));
    assert_eq!(normal.lines().count(), 2);
    assert!(normal.contains("1 left for later") && normal.ends_with(&quiet));

    let (verbose, dialogue) = (without_time(&verbose), without_time(&dialogue));
    assert!(
        verbose.contains(&"popfetch: it: connecting"),
        "{verbose:#?}"
    );
    assert!(verbose.contains(&quiet.trim_end()), "{verbose:#?}");
    let commands = |lines: &[&str]| lines.iter().filter(|line| line.contains(" > ")).count();
    assert_eq!(commands(&verbose), 0);
    for line in ["> STAT", "< -ERR no", "> RETR 2", "> QUIT"] {
        let line = format!("popfetch: it: {line}");
        assert!(dialogue.contains(&&*line), "{line} in {dialogue:#?}");
    }
    let events: Vec<_> = verbose
        .iter()
        .filter(|line| !line.contains(" in "))
        .collect();
    assert!(
        events.iter().all(|line| dialogue.contains(line)),
        "{events:#?}"
    );
}

#[test]
fn the_dialogue_hides_secrets_in_every_form_and_sanitizes_untrusted_text() {
    let encoded = openssl::base64::encode_block(format!("\0alice\0{PASSWORD}").as_bytes());
    for auth in ["plain", "user", "apop"] {
        let repeated = format!("+OK \x1b[31m{PASSWORD} {encoded} \u{202e}welcome");
        let server = Server::start(&Mailbox::with(small(1)))
            .apop("<1896.697170952@dbc.mtview.ca.us>")
            .on(LOGIN, Fault::say(&repeated));
        let sandbox = Sandbox::new();
        let account = sandbox.account("it", &server.endpoint());
        account.set("auth", &format!("{auth:?}")).write();
        let outcome = sandbox.run(&["sync", "-vv"]);
        outcome
            .ends_with(0)
            .complains("****")
            .complains("\\x1b[31m");
        for never in [PASSWORD, &encoded, "\x1b", "\u{202e}"] {
            outcome.keeps_to_itself(never);
        }
        if auth == "apop" {
            let digest = server.commands();
            let digest = digest
                .iter()
                .find_map(|line| line.strip_prefix("APOP alice "));
            outcome.keeps_to_itself(digest.expect("a digest"));
        }
        without_time(&outcome.stderr);
    }
}

#[test]
fn on_a_terminal_lines_begin_without_the_time() {
    let server = Server::start(&Mailbox::with(small(1)));
    let sandbox = sandbox_for(&server);
    let outcome = Terminal::start(&sandbox, &["popfetch", "sync", "-v"]).finish();
    outcome.ends_with(0);
    let lines = left_on_screen(&outcome.stdout);
    assert!(
        lines.iter().any(|line| line == "popfetch: it: logging in"),
        "{lines:#?}"
    );
}

/// A terminal of 200 columns, drawn by tmux.
struct Screen<'a>(&'a Sandbox);

impl<'a> Screen<'a> {
    /// Starts a command line on it; the file `done` is there when it is over.
    fn show(sandbox: &'a Sandbox, line: &str) -> Self {
        let start = format!(
            "tmux -L test -f /dev/null new-session -d -x 200 -y 40 '{line}; touch done; sleep 600'"
        );
        sandbox.shell(&start).ends_with(0);
        Screen(sandbox)
    }

    /// What can be read on it.
    fn lines(&self) -> Vec<String> {
        let shown = self.0.shell("tmux -L test capture-pane -p").stdout;
        let lines = shown.lines().map(str::trim_end).map(str::to_owned);
        lines.filter(|line| !line.is_empty()).collect()
    }

    fn wait_until_done(&self) {
        while !self.0.home("done").exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        self.0.shell("tmux -L test kill-server");
    }
}

#[test]
fn bars_never_tear_lines_and_leave_no_trace() {
    let servers = [(); 2].map(|()| {
        Server::start(&Mailbox::with(small(8)))
            .on("RETR 3", Fault::reply("-ERR no"))
            .on("RETR 6", Fault::Delay(Duration::from_millis(1500)))
    });
    let mut sandbox = Sandbox::new();
    let directory = sandbox.home("").display().to_string();
    sandbox.variable("TMUX_TMPDIR", &directory);
    sandbox.variable("TERM", "xterm");
    for (name, server) in ["one", "two"].into_iter().zip(&servers) {
        sandbox.account(name, &server.endpoint()).write();
    }
    let screen = Screen::show(&sandbox, "NO_COLOR=1 popfetch sync -v");
    servers[1].wait_for("RETR 6");
    let bars = ["one ", "two "];
    while !bars
        .iter()
        .all(|bar| screen.lines().iter().any(|line| line.starts_with(bar)))
    {
        assert!(!sandbox.home("done").exists(), "no two bars were drawn");
    }
    screen.wait_until_done();
    let after = screen.lines();
    let whole = |line: &&String| {
        let known = ["popfetch: one: ", "popfetch: two: ", "one: ", "two: "];
        known.iter().any(|start| line.starts_with(start))
    };
    let torn: Vec<_> = after.iter().filter(|line| !whole(line)).collect();
    assert_eq!(torn, Vec::<&String>::new(), "{after:#?}");
    for name in ["one", "two"] {
        let failed = format!("popfetch: {name}: message 3 (unique-id uid-3)");
        assert!(
            after.iter().any(|line| line.starts_with(&failed)),
            "{after:#?}"
        );
        let summary = format!("{name}: 7 new messages");
        assert!(
            after.iter().any(|line| line.starts_with(&summary)),
            "{after:#?}"
        );
    }
}
