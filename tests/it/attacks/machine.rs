//! A40–A42, A73: attacks from this machine, and on it by way of a message.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, lchown, symlink};
use std::path::Path;

use rustix::process::geteuid;

use super::{sandbox_for, well_behaved, withstands};
use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::readers::git_mailsplit;
use crate::support::report::skip;
use crate::support::sandbox::mode;
use crate::support::server::{Fault, PASSWORD, Server};

/// Another user.
const NOBODY: u32 = 65534;

/// The content of a file that must not change.
const PRECIOUS: &str = "nothing is to be added here\n";

/// Every file and directory below this one.
fn all_below(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("our own directory") {
        let path = entry.expect("our own directory").path();
        if path.is_dir() {
            found.extend(all_below(&path));
        }
        found.push(path);
    }
    found
}

#[test]
fn a40_no_core_file_is_left() {
    let server = Server::start(&Mailbox::with(small(1))).on("RETR 1", Fault::Stall);
    let sandbox = sandbox_for(&server, &[]);
    let line = ["bash", "-c", "ulimit -c unlimited; exec popfetch sync"];
    let running = sandbox.launch(&line, &[]);
    server.wait_for("RETR 1");
    // On some machines core files go to another place than the working directory.
    let limits = fs::read_to_string(format!("/proc/{}/limits", running.id()));
    let limits = limits.expect("our own child");
    let is_core_limit = |line: &&str| line.starts_with("Max core file size");
    let limit = limits.lines().find(is_core_limit).expect("a limit");
    assert_eq!(limit.split_whitespace().nth(4), Some("0"), "{limit}");
    running.signal(rustix::process::Signal::ABORT);
    running.finish().ends_with(128 + 6);
    let is_core = |path: &&std::path::PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("core")
    };
    assert_eq!(all_below(&sandbox.home("")).iter().find(is_core), None);
}

#[test]
fn a41_what_is_made_is_private_whatever_the_umask() {
    for umask in ["000", "022", "277", "777"] {
        let server = Server::start(&Mailbox::with(small(2)));
        let deliver = "[\"maildir:~/Mail/it\", \"mbox:~/boxes/inbox\"]";
        let sandbox = sandbox_for(&server, &[("deliver", deliver)]);
        let before = all_below(&sandbox.home(""));
        let run = format!("umask {umask}; popfetch sync");
        sandbox.shell(&run).ends_with(0);
        let begun = mode(&sandbox.journal());
        // So that it is written anew.
        sandbox.damage_journal();
        sandbox.shell(&run).ends_with(0);
        assert_eq!(begun, 0o600, "{umask}: the first journal");
        let mut made = all_below(&sandbox.home(""));
        made.retain(|path| !before.contains(path));
        assert!(made.len() >= 9, "{made:?}");
        for path in made {
            let private = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&path), private, "{umask}: {}", path.display());
        }
    }
}

#[test]
fn a41_a_password_file_of_another_user_is_refused() {
    if !geteuid().is_root() {
        skip("only root can give a file away");
        return;
    }
    let server = Server::start(&Mailbox::default());
    let sandbox = sandbox_for(&server, &[]);
    chown(sandbox.home("it.password"), Some(NOBODY), None).expect("root may");
    withstands(&sandbox, &[78]).complains("belongs to another user");
    assert!(server.sessions().is_empty());
}

#[test]
fn a42_a_link_in_the_place_of_the_state_is_not_followed() {
    let server = Server::start(&Mailbox::with(small(1)));
    let journal = format!("alice@127.0.0.1@{}.jsonl", server.address().port());
    for name in [journal.clone(), format!("{journal}.lock")] {
        let sandbox = sandbox_for(&server, &[]);
        let precious = sandbox.private_file("precious", PRECIOUS);
        fs::create_dir_all(sandbox.state()).expect("our own directory");
        symlink(&precious, sandbox.state().join(&name)).expect("our own directory");
        withstands(&sandbox, &[74]).complains(&name);
        let kept = fs::read_to_string(precious).expect("our own file");
        assert_eq!(kept, PRECIOUS);
        super::stored_nothing(&sandbox);
    }
    super::no_login(&server.sessions());
}

#[test]
fn a42_a_link_in_the_place_of_a_journal_that_is_written_anew_is_not_followed() {
    let mailbox = Mailbox::with(small(2));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    withstands(&sandbox, &[0]);
    sandbox.damage_journal();
    let damaged = fs::read(sandbox.journal()).expect("a journal");
    let precious = sandbox.private_file("precious", PRECIOUS);
    let new = sandbox.journal().with_added_extension("new");
    symlink(&precious, &new).expect("our own directory");
    withstands(&sandbox, &[74]).complains(".jsonl.new");
    let kept = fs::read_to_string(&precious).expect("our own file");
    assert_eq!(kept, PRECIOUS);
    assert_eq!(fs::read(sandbox.journal()).expect("a journal"), damaged);
    fs::remove_file(new).expect("our own directory");
    withstands(&sandbox, &[0]).complains("is damaged");
    sandbox.mail("it").holds(mailbox.stored_forms());
}

#[test]
fn a42_a_link_of_others_in_the_place_of_an_mbox_is_not_followed() {
    if !geteuid().is_root() {
        skip("only root can make a link for another user");
        return;
    }
    // A directory that all may write to; the same, where only owners may remove; another user's own.
    for (permissions, owner) in [(0o777, 0), (0o1777, 0), (0o700, NOBODY)] {
        let mailbox = Mailbox::with(small(2));
        let server = Server::start(&mailbox);
        let sandbox = sandbox_for(
            &server,
            &[
                ("deliver", "\"mbox:~/shared/inbox\""),
                ("leave_on_server", "\"never\""),
            ],
        );
        let precious = sandbox.private_file("precious", PRECIOUS);
        let shared = sandbox.home("shared");
        fs::create_dir(&shared).expect("our own directory");
        fs::set_permissions(&shared, fs::Permissions::from_mode(permissions)).expect("ours");
        chown(&shared, Some(owner), None).expect("root may");
        let inbox = shared.join("inbox");
        // The first one is ours and leads to theirs.
        symlink(shared.join("theirs"), &inbox).expect("root may");
        symlink(&precious, shared.join("theirs")).expect("root may");
        lchown(shared.join("theirs"), Some(NOBODY), None).expect("root may");
        withstands(&sandbox, &[73]).complains("symbolic link");
        let kept = fs::read_to_string(&precious).expect("our own file");
        assert_eq!(kept, PRECIOUS);
        assert_eq!(mailbox.uids().len(), 2);
        // A link of root's may have been moved there.
        lchown(shared.join("theirs"), Some(0), None).expect("root may");
        withstands(&sandbox, &[73]).complains("symbolic link");
        chown(&shared, Some(0), None).expect("root may");
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o755)).expect("ours");
        fs::write(&precious, "").expect("our own file");
        let expected = mailbox.stored_forms();
        withstands(&sandbox, &[0]);
        sandbox.holds_at("mbox:~/precious", &expected, "links of root's");
        assert!(mailbox.uids().is_empty());
    }
}

#[test]
fn a73_nothing_of_a_message_is_a_command_or_a_line_of_its_own() {
    const MARK: &str = "s3ntinel";
    let senders = [
        format!("<{MARK} b@example.org>"),
        format!("<{MARK}\r\n b@example.org>"),
        format!("<a@b>\r\n\tFrom {MARK}@c Sun Mar  1 12:34:56 2026"),
        format!("{MARK}\r\n From x@y Sun Mar  1 12:34:56 2026"),
        format!("<$(touch${{IFS}}broken)`touch broken`;{MARK}@y>"),
        format!("<\x1b[2J\x07{MARK}@\u{202e}y>"),
        format!("<{MARK}\0\r@y>"),
        format!("<{}@y>", MARK.repeat(200)),
    ];
    let mailbox = Mailbox::default();
    for (number, sender) in senders.iter().enumerate() {
        let text = format!(
            "Return-Path: {sender}\r\nSubject: {MARK}\r\nX-$(touch broken): `touch broken`\r\n\r\n; touch broken; {MARK}\r\n"
        );
        mailbox.add(format!("uid-{number}"), text.into_bytes());
    }
    let server = Server::start(&mailbox);
    let command = "cat > /dev/null; env -0 >> environment; cat /proc/$$/cmdline >> arguments";
    let deliver = format!("['mbox:~/inbox', 'pipe:{command}']");
    let sandbox = sandbox_for(&server, &[("deliver", &deliver)]);
    well_behaved(&sandbox.run(&["-vv", "sync"]));
    withstands(&sandbox, &[0]);

    assert!(!sandbox.home("broken").exists());
    let arguments = fs::read(sandbox.home("arguments")).expect("written");
    let arguments = String::from_utf8(arguments).expect("ASCII");
    assert_eq!(arguments.matches("cat > /dev/null").count(), senders.len());
    assert!(!arguments.contains(MARK), "{arguments}");
    let environment = fs::read(sandbox.home("environment")).expect("written");
    let environment = String::from_utf8(environment).expect("text");
    assert!(!environment.contains(PASSWORD));
    let variables = environment.split('\0').filter(|it| it.contains(MARK));
    for variable in variables {
        let value = variable.strip_prefix("POPFETCH_SENDER=").expect(variable);
        let plain = |c: char| c.is_ascii_alphanumeric() || "@._+-=/:,%".contains(c);
        assert!(value.chars().all(plain) && value.len() <= 1024, "{value}");
    }

    let inbox = fs::read(sandbox.home("inbox")).expect("written");
    let inbox = String::from_utf8_lossy(&inbox);
    let lines: Vec<&str> = inbox
        .lines()
        .filter(|line| line.starts_with("From "))
        .collect();
    assert_eq!(lines.len(), senders.len(), "{lines:#?}");
    for line in lines {
        assert!(
            line.len() < 300 && line.bytes().all(|b| matches!(b, b' '..=b'~')),
            "{line}"
        );
        assert_eq!(line.split_whitespace().count(), 7, "{line}");
    }
    assert_eq!(
        git_mailsplit(&sandbox.home("inbox")),
        mailbox.stored_forms()
    );
}
