//! What README.md shows is run, as it stands there, but for the servers' names: those of the README
//! stand for a scripted server on this machine.

use std::path::Path;

use popfetch::error::Kind;

use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::readers::git_mailsplit;
use crate::support::sandbox::Sandbox;
use crate::support::server::{PASSWORD, Server};

const README: &str = include_str!("../../README.md");

/// The commands that are not run here, and what runs them instead.
const ELSEWHERE: [(&str, &str); 6] = [
    ("tests/run", "this is part of it"),
    ("tests/demo", "tests/run"),
    ("cargo install --locked --path .", "tests/run, with --debug"),
    (
        "sudo apt-get install gcc libc6-dev libssl-dev pkg-config",
        "tests/run, by the list in tests/support/install.sh",
    ),
    ("popfetch login work", "tests/it/keyring.rs"),
    ("popfetch logout work", "tests/it/keyring.rs"),
];

/// The lines of each fenced block of this kind.
fn blocks(kind: &str) -> Vec<Vec<&'static str>> {
    let mut blocks = Vec::new();
    let mut inside: Option<(&str, Vec<&str>)> = None;
    for line in README.lines() {
        match (line.strip_prefix("```"), &mut inside) {
            (Some(kind), None) => inside = Some((kind, Vec::new())),
            (Some(_), Some(_)) => blocks.extend(inside.take()),
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => {}
        }
    }
    let of_kind = blocks.into_iter().filter(|(of, _)| *of == kind);
    of_kind.map(|(_, lines)| lines).collect()
}

/// The lines of all of them.
fn fenced(kind: &str) -> Vec<&'static str> {
    blocks(kind).concat()
}

/// A sandbox as the README leads to it, up to its `chmod`, with its first configuration, and a server
/// with mail.
fn set_up(mailbox: &Mailbox) -> (Sandbox, Server) {
    let mut sandbox = Sandbox::new();
    let server = Server::start(mailbox).implicit_tls(sandbox.certificates());
    let authority = sandbox.certificates().authority_file();
    sandbox.variable("SSL_CERT_FILE", &authority.display().to_string());
    sandbox.configure(&here(&blocks("toml")[0].join("\n"), &server));
    let password = sandbox.private_file(".config/popfetch/work.password", PASSWORD);
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(password, everybody).expect("our own file");
    (sandbox, server)
}

/// The same text with this server in place of the README's.
fn here(text: &str, server: &Server) -> String {
    let port = server.address().port();
    text.replace(
        "host = \"pop.example.com\"",
        &format!("host = \"localhost\"\nport = {port}"),
    )
    .replace("@pop.example.net", &format!("@127.0.0.1:{port}"))
}

/// The commands of the README that are run here.
fn commands() -> impl Iterator<Item = &'static str> {
    let elsewhere = |line: &&str| ELSEWHERE.iter().any(|(command, _)| command == line);
    fenced("sh")
        .into_iter()
        .filter(move |line| !elsewhere(line))
}

#[test]
fn every_command_works_in_the_order_of_the_readme() {
    let mailbox = Mailbox::with(small(3));
    let (sandbox, server) = set_up(&mailbox);
    // procmail takes the home directory of the user for $HOME.
    let sorted = format!("DEFAULT={}\n", sandbox.home("sorted").display());
    sandbox.private_file(".procmailrc", &sorted);
    for command in commands() {
        let outcome = sandbox.shell(&here(command, &server));
        outcome.ends_with(0).keeps_to_itself(PASSWORD);
    }
    for account in ["work", "alice"] {
        sandbox.mail(account).holds(mailbox.stored_forms());
    }
    for mbox in ["sorted", "archive/work.mbox"] {
        let texts = git_mailsplit(&sandbox.home(mbox));
        assert_eq!(texts, mailbox.stored_forms(), "{mbox}");
    }
    assert_eq!(mailbox.uids().len(), 3, "only dry runs were to delete");
}

#[test]
fn the_cron_line_fetches_and_says_nothing() {
    let mailbox = Mailbox::with(small(3));
    let (sandbox, _server) = set_up(&mailbox);
    let installed = sandbox.home(".cargo/bin");
    std::fs::create_dir_all(&installed).expect("our own directory");
    let program = env!("CARGO_BIN_EXE_popfetch");
    std::os::unix::fs::symlink(program, installed.join("popfetch")).expect("our own directory");
    sandbox
        .shell("chmod 600 .config/popfetch/work.password")
        .ends_with(0);
    for line in fenced("cron") {
        let fields: Vec<&str> = line.splitn(6, ' ').collect();
        let [.., command] = fields.as_slice() else {
            panic!("{line} is no line of a crontab")
        };
        sandbox.shell(command).ends_with(0).says_nothing();
    }
    sandbox.mail("work").holds(mailbox.stored_forms());
}

#[test]
fn every_configuration_is_a_good_one() {
    let sandbox = Sandbox::new();
    for block in blocks("toml") {
        sandbox.configure(&block.join("\n"));
        // Good as far as it goes; the account's name is not in it.
        let outcome = sandbox.run(&["sync", "nobody"]);
        outcome.ends_with(64).complains("work");
    }
}

#[test]
fn the_commands_to_deliver_to_are_those_of_the_recipes() {
    let recipes = include_str!("recipes.rs");
    let commands: Vec<&str> = README
        .lines()
        .filter_map(|line| line.strip_suffix("\"` |")?.split_once("`\"pipe:"))
        .map(|(_, command)| command)
        .collect();
    assert_eq!(commands.len(), 3, "{commands:?}");
    for command in commands {
        assert!(recipes.contains(command), "{command}");
    }
}

#[test]
fn nothing_in_a_block_escapes_these_tests() {
    for line in README.lines() {
        if let Some(kind) = line.trim_start().strip_prefix("```") {
            assert!(["", "sh", "toml", "cron"].contains(&kind), "{line}");
            assert!(line.starts_with('`'), "{line}");
        }
    }
    for (command, by) in ELSEWHERE {
        assert!(fenced("sh").contains(&command), "{command} ({by})");
    }
    assert!(!fenced("cron").is_empty());
}

#[test]
fn the_packages_to_install_are_those_that_the_scripts_install() {
    let scripts = include_str!("../support/install.sh");
    let list = scripts.split_once("for_building=(").expect("a list").1;
    let list = list.split_once(')').expect("its end").0;
    let install = ELSEWHERE[3].0;
    for package in list.split_whitespace() {
        assert!(install.contains(&format!(" {package}")), "{package}");
    }
}

#[test]
fn the_exit_statuses_are_those_of_the_help() {
    let help = Sandbox::new().run(&["--help"]).stdout;
    let help = help.split_once("Exit status:").expect("a section").1;
    let in_help: Vec<&str> = help.lines().filter_map(|line| status(line, "  ")).collect();
    let in_readme = README.split_once("## Exit status").expect("a section").1;
    let in_readme: Vec<&str> = in_readme
        .lines()
        .filter_map(|line| status(line.trim_start_matches("| "), " | "))
        .collect();
    assert_eq!(in_readme, in_help);
    assert!(in_help.contains(&"77"));
}

#[test]
fn the_kinds_of_errors_stand_with_their_statuses_here_and_in_the_manual() {
    let manual = include_str!("../../man/popfetch-sync.1").replace('\\', "");
    let (_, manual) = manual.split_once("\n.B kind\n").expect("a paragraph");
    let (manual, _) = manual.split_once(')').expect("a list");
    let (_, rows) = README.split_once("## Exit status").expect("a section");
    for kind in [
        Kind::Usage,
        Kind::Data,
        Kind::HostUnknown,
        Kind::Unreachable,
        Kind::Destination,
        Kind::Io,
        Kind::Temporary,
        Kind::Protocol,
        Kind::Tls,
        Kind::Certificate,
        Kind::Auth,
        Kind::Config,
        Kind::Interrupted(2),
    ] {
        let (name, status) = (format!("`{}`", kind.name()), kind.status().to_string());
        let row = rows.lines().find(|row| row.contains(&name)).expect(&name);
        assert!(row.contains(&status), "{row}");
        let mut words = manual.split(|c: char| !c.is_ascii_lowercase() && c != '-');
        assert!(words.any(|word| word == kind.name()), "{name}");
    }
}

/// The documented limits, in this order, and where in src/ each of them is set.
const LIMITS: [(&str, &str, &str); 16] = [
    ("64 KiB", "pop3/limits.rs", "LINE: usize = 64 * 1024;"),
    ("1 KiB", "pop3/limits.rs", "UNIQUE_ID: usize = 1024;"),
    (
        "128 MiB",
        "pop3/limits.rs",
        "UNIQUE_IDS: usize = 128 * 1024 * 1024;",
    ),
    ("1,000,000", "pop3/limits.rs", "MESSAGES: u32 = 1_000_000;"),
    ("500", "pop3/limits.rs", "CAPABILITIES: usize = 500;"),
    (
        "64 MiB",
        "pop3/limits.rs",
        "MESSAGE_EXCESS: u64 = 64 * 1024 * 1024;",
    ),
    (
        "4 GiB",
        "pop3/limits.rs",
        "MESSAGE_UNLISTED: u64 = 4 * 1024 * 1024 * 1024;",
    ),
    ("8", "sasl/mod.rs", "MAX_CHALLENGES: usize = 8;"),
    (
        "4,096 to 600,000",
        "sasl/mod.rs",
        "SCRAM_ITERATIONS: RangeInclusive<u32> = 4_096..=600_000;",
    ),
    ("100", "sync/account_run.rs", "MAX_SESSIONS: usize = 100;"),
    ("20", "sync/retry.rs", "MAX_UNDERSTOOD: usize = 20;"),
    (
        "60 s",
        "config/account.rs",
        "DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);",
    ),
    (
        "60 s",
        "deliver/pipe.rs",
        "PIPE_TIMEOUT: Duration = Duration::from_secs(60);",
    ),
    (
        "30 s",
        "deliver/mbox.rs",
        "LOCK_TIMEOUT: Duration = Duration::from_secs(30);",
    ),
    (
        "5 min",
        "fs/secret.rs",
        "SECRET_TIMEOUT: Duration = Duration::from_secs(5 * 60);",
    ),
    (
        "1 h",
        "commands/after_new.rs",
        "AFTER_NEW_TIMEOUT: Duration = Duration::from_secs(60 * 60);",
    ),
];

/// Limits that are not documented: one of ours, or what is beyond it is cut, passed over or taken for unknown.
const NOT_FOR_USERS: [&str; 4] = ["COMMAND", "MECHANISMS", "TIMESTAMP", "MESSAGE_OCTETS"];

#[test]
fn the_limits_are_those_of_the_code_here_and_in_the_manual() {
    let (_, section) = README.split_once("## Limits\n").expect("a section");
    let (section, _) = section.split_once("\n## ").expect("its end");
    let first_cells = section.lines().filter_map(|row| row.split(" | ").next());
    let in_readme: Vec<&str> = first_cells
        .filter_map(|cell| cell.strip_prefix("| "))
        .skip(1)
        .collect();
    let manual = include_str!("../../man/popfetch.1");
    let (_, manual) = manual.split_once(".SH LIMITS\n").expect("a section");
    let (manual, _) = manual.split_once(".SH").expect("its end");
    let in_manual: Vec<String> = manual
        .split(".TP\n.B ")
        .skip(1)
        .filter_map(|entry| entry.lines().next())
        .map(|amount| {
            amount
                .replace(" seconds", " s")
                .replace(" minutes", " min")
                .replace(" hour", " h")
        })
        .collect();
    let documented = LIMITS.map(|(amount, ..)| amount);
    assert_eq!(in_readme, documented);
    assert_eq!(in_manual, documented);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (amount, file, line) in LIMITS {
        let text = std::fs::read_to_string(source.join(file)).expect("source can be read");
        assert!(text.contains(&format!("const {line}")), "{amount}: {file}");
    }
    let limits = std::fs::read_to_string(source.join("pop3/limits.rs")).expect("readable");
    for constant in limits
        .lines()
        .filter_map(|line| line.strip_prefix("pub const "))
    {
        let (name, _) = constant.split_once(':').expect("a type");
        let is_told = LIMITS
            .iter()
            .any(|(_, _, line)| line.starts_with(&format!("{name}:")));
        assert!(is_told != NOT_FOR_USERS.contains(&name), "{name}");
    }
    for text in [section, manual] {
        let rate = format!("{} octets a second", popfetch::net::MIN_RATE);
        assert!(text.contains(&rate), "{rate}");
    }
}

/// What stands in front of the gap, where that begins with a digit.
fn status<'a>(line: &'a str, gap: &str) -> Option<&'a str> {
    let (status, _) = line.trim_start().split_once(gap)?;
    status
        .starts_with(|c: char| c.is_ascii_digit())
        .then_some(status)
}
