//! A sandbox keeps to itself, and looks closely at what was stored.

use std::fs;

use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::sandbox::{Sandbox, assert_same_texts, mode};
use crate::support::server::Server;

#[test]
fn accounts_are_written_one_after_the_other() {
    let sandbox = Sandbox::new();
    let server = Server::start(&Mailbox::default());
    sandbox.account("one", &server.endpoint()).write();
    sandbox
        .account("two", &server.endpoint())
        .set("leave_on_server", "\"never\"")
        .without("timeout")
        .write();
    let path = sandbox.home(".config/popfetch/config.toml");
    assert_eq!(mode(&path), 0o600);
    let text = fs::read_to_string(path).expect("the configuration");
    let (one, two) = text.split_once("[accounts.two]").expect("two accounts");
    assert!(one.contains("timeout = ") && !two.contains("timeout = "));
    assert!(two.contains("leave_on_server = \"never\"\n"));
    let port = format!("port = {}\n", server.endpoint().port);
    assert!(one.contains(&port) && two.contains(&port));
}

#[test]
fn the_program_runs_in_it() {
    Sandbox::new().run(&["--version"]).ends_with(0);
}

#[test]
fn texts_are_compared_however_they_are_ordered() {
    assert_same_texts(["a", "b", "b"], ["b", "a", "b"]);
}

#[test]
#[should_panic(expected = "missing, 1 bytes: b")]
fn a_text_that_came_once_instead_of_twice_is_noticed() {
    assert_same_texts(["a", "b"], ["a", "b", "b"]);
}

#[test]
#[should_panic(expected = "left in tmp/")]
fn what_is_left_in_tmp_is_noticed() {
    let sandbox = Sandbox::new();
    let maildir = sandbox.mail("sound");
    for directory in ["", "tmp", "new", "cur"] {
        use std::os::unix::fs::PermissionsExt as _;
        let path = maildir.path.join(directory);
        fs::create_dir_all(&path).expect("our own directory");
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).expect("our own directory");
    }
    maildir.is_sound();
    maildir.holds(Vec::<Vec<u8>>::new());
    fs::write(maildir.path.join("tmp/left"), &small(1)[0]).expect("our own directory");
    maildir.is_sound();
}
