//! Exit statuses, as INTERFACE.md has them: each from outside, with one account and with several,
//! and the word that `--json` has for it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::sandbox::Sandbox;
use crate::support::server::{Fault, GREETING, LOGIN, Server};

/// What is wrong with an account, or with all of them.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    Nothing,
    /// The server does this.
    Server(&'static str, &'static str),
    /// The configuration says this.
    Key(&'static str, &'static str),
    /// No state can be kept.
    State,
}

/// An account with two messages; the server has to live as long as the test asks it.
fn account(sandbox: &mut Sandbox, name: &str, wrong: Wrong) -> Server {
    let mut server = Server::start(&Mailbox::with(small(2)));
    let mut key = ("timeout", "\"3s\"");
    match wrong {
        Wrong::Nothing => {}
        Wrong::Server(step, "") => server = server.on(step, Fault::CloseBefore),
        Wrong::Server(step, answer) => server = server.on(step, Fault::reply(answer)),
        Wrong::Key(name, value) => key = (name, value),
        Wrong::State => {
            let file = sandbox.private_file("occupied", "");
            sandbox.variable("XDG_STATE_HOME", &file.display().to_string());
        }
    }
    sandbox.private_file("occupied", "a file, no directory");
    let account = sandbox.account(name, &server.endpoint());
    account.set(key.0, key.1).write();
    server
}

/// One cause for each status that an account can have, and its word.
const CAUSES: [(u8, &str, Wrong); 11] = [
    (0, "", Wrong::Nothing),
    (1, "", Wrong::Server("RETR 2", "-ERR no")),
    (
        65,
        "data",
        Wrong::Server("UIDL", "+OK\r\n1 a\r\n1 b\r\n.\r\n"),
    ),
    (
        68,
        "host-unknown",
        // A label of more than 63 octets: no name server needs to be asked.
        Wrong::Key(
            "host",
            "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example\"",
        ),
    ),
    (69, "unreachable", Wrong::Server(GREETING, "")),
    (
        73,
        "destination",
        Wrong::Key("deliver", "\"maildir:~/occupied\""),
    ),
    (74, "io", Wrong::State),
    (
        75,
        "temporary",
        Wrong::Server(LOGIN, "-ERR [IN-USE] not now"),
    ),
    (
        76,
        "protocol",
        Wrong::Server(GREETING, "HTTP/1.1 400 Bad Request"),
    ),
    (77, "auth", Wrong::Server(LOGIN, "-ERR [AUTH] no")),
    (
        78,
        "config",
        Wrong::Key("allow_cleartext_password", "false"),
    ),
];

#[test]
fn with_one_account_the_status_is_that_accounts() {
    for (status, kind, wrong) in CAUSES {
        let mut sandbox = Sandbox::new();
        let _server = account(&mut sandbox, "it", wrong);
        let outcome = sandbox.run(&["sync", "--json"]);
        outcome.ends_with(i32::from(status));
        let objects = outcome.json();
        assert_eq!(objects.len(), 1, "{wrong:?}");
        match kind {
            "" => assert_eq!(objects[0]["error"], Value::Null, "{wrong:?}"),
            _ => assert_eq!(objects[0]["error"]["kind"], kind, "{wrong:?}"),
        }
        assert_eq!(outcome.stderr.is_empty(), status == 0, "{outcome:#?}");
    }
}

#[test]
fn with_several_it_is_the_one_they_share_and_else_1() {
    for (status, _, wrong) in CAUSES {
        let mut sandbox = Sandbox::new();
        let _servers = ["one", "two"].map(|name| account(&mut sandbox, name, wrong));
        sandbox.run(&["sync"]).ends_with(i32::from(status));
        if matches!(wrong, Wrong::State) {
            continue;
        }
        let _third = account(&mut sandbox, "three", Wrong::Nothing);
        let expected = if status == 0 { 0 } else { 1 };
        sandbox.run(&["sync"]).ends_with(expected);
        sandbox.run(&["sync", "three", "one"]).ends_with(expected);
        sandbox
            .run(&["sync", "two", "one"])
            .ends_with(i32::from(status));
    }
}

#[test]
fn failures_of_different_kinds_make_1_and_of_one_status_that() {
    let mut sandbox = Sandbox::new();
    let _servers = [
        account(&mut sandbox, "away", Wrong::Server(GREETING, "")),
        account(
            &mut sandbox,
            "refused",
            Wrong::Server(LOGIN, "-ERR [AUTH] no"),
        ),
    ];
    let outcome = sandbox.run(&["sync", "--json"]);
    outcome.ends_with(1);
    let kind = |object: &Value| object["error"]["kind"].as_str().map(str::to_owned);
    let kinds: BTreeSet<String> = outcome.json().iter().filter_map(kind).collect();
    // Whichever account is done first comes first.
    assert!(kinds.iter().eq(["auth", "unreachable"]));

    let mut sandbox = Sandbox::new();
    let _servers = [
        account(&mut sandbox, "protocol", Wrong::Server(GREETING, "HELO")),
        // A server that greets in clear where TLS is expected.
        account(&mut sandbox, "tls", Wrong::Key("tls", "\"implicit\"")),
    ];
    sandbox.run(&["sync"]).ends_with(76);
}

#[test]
fn what_is_wrong_with_the_command_line_or_the_configuration_comes_first() {
    let mut sandbox = Sandbox::new();
    let server = account(&mut sandbox, "it", Wrong::Nothing);
    sandbox.run(&["sync", "nobody"]).ends_with(64);
    sandbox.run(&["sync", "--limit", "0"]).ends_with(64);
    let path = sandbox.home(".config/popfetch/config.toml");
    let text = std::fs::read_to_string(path).expect("our own file");
    sandbox.configure(&(text + "colour = \"blue\"\n"));
    sandbox.run(&["sync"]).ends_with(78).complains("colour");
    assert!(server.sessions().is_empty());
}

#[test]
fn json_keeps_its_keys_and_their_order() {
    let mut sandbox = Sandbox::new();
    let _server = account(&mut sandbox, "it", Wrong::Nothing);
    let keys = |line: &str| {
        // serde_json's map would sort them.
        let mut depth = 0_i32;
        let mut keys = Vec::new();
        for (at, character) in line.char_indices() {
            match character {
                '{' | '[' => depth += 1,
                '}' | ']' => depth -= 1,
                _ => {}
            }
            if depth == 1 && line[at..].starts_with("\":") {
                let start = line[..at].rfind('"').map_or(0, |quote| quote + 1);
                keys.push(line[start..at].to_owned());
            }
        }
        keys
    };
    let mut expected = vec![
        "account",
        "host",
        "user",
        "started",
        "duration_ms",
        "server",
        "stored",
        "deleted",
        "skipped",
        "failed",
        "withheld",
        "timing_ms",
        "problems",
        "error",
    ];
    let real = sandbox.run(&["sync", "--json"]);
    assert_eq!(keys(&real.stdout), expected);
    expected.push("plan");
    let dry = sandbox.run(&["sync", "--json", "--all", "-n"]);
    assert_eq!(keys(&dry.stdout), expected);
    let line = &dry.json()[0]["plan"][0];
    for key in ["number", "uid", "octets", "action", "reason"] {
        assert!(line.get(key).is_some(), "{key} in {line}");
    }
    for outcome in [real, dry] {
        assert!(outcome.stdout.ends_with("}\n") && outcome.stdout.lines().count() == 1);
    }
}
