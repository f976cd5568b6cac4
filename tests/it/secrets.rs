//! No secret in arguments, logs, JSON, the journal, or the environment of children, whatever way to log in it is
//! for and whether it is right or wrong.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use openssl::hash::{MessageDigest, hash};
use rustix::process::geteuid;

use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::sandbox::Sandbox;
use crate::support::server::{Fault, PASSWORD, RESPONSE, Server, USER};

/// Nothing else looks like this.
const MARKER: &str = "xK7-marker-q9Z";

const STAMP: &str = "<1896.697170952@dbc.mtview.ca.us>";

const MECHANISMS: &str = "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 XOAUTH2 OAUTHBEARER \
                          SCRAM-SHA-1-PLUS SCRAM-SHA-256-PLUS";

const WAYS: [&str; 12] = [
    "auto",
    "user",
    "plain",
    "login",
    "apop",
    "cram-md5",
    "scram-sha-1",
    "scram-sha-1-plus",
    "scram-sha-256",
    "scram-sha-256-plus",
    "xoauth2",
    "oauthbearer",
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What must not be found anywhere: the marker as it is, encoded, and what proved it on the wire.
fn forms(server: &Server) -> Vec<String> {
    let digest = hash(MessageDigest::md5(), format!("{STAMP}{MARKER}").as_bytes());
    let mut forms = vec![
        MARKER.to_owned(),
        BASE64_STANDARD.encode(MARKER),
        BASE64_STANDARD.encode(format!("\0{USER}\0{MARKER}")),
        hex(MARKER.as_bytes()),
        hex(&digest.expect("OpenSSL knows MD5")),
    ];
    for command in server.commands() {
        // Responses to challenges, and initial responses.
        let response = command.rsplit(' ').next().unwrap_or_default().to_owned();
        let Ok(decoded) = BASE64_STANDARD.decode(&response) else {
            continue;
        };
        let decoded = String::from_utf8_lossy(&decoded).into_owned();
        if response.len() > 20 && decoded != USER {
            forms.push(response);
        }
        if let Some((_, proof)) = decoded.rsplit_once(",p=") {
            forms.push(proof.to_owned());
        }
        if let Some((_, digest)) = decoded.split_once(&format!("{USER} ")) {
            forms.push(digest.to_owned());
        }
    }
    // With SCRAM's salt and nonces, its signature is as good for guessing as the proof is.
    for challenge in server.sessions().into_iter().flat_map(|log| log.challenges) {
        let decoded = BASE64_STANDARD.decode(&challenge).expect("base64");
        if let Some(signature) = decoded.strip_prefix(b"v=") {
            forms.push(String::from_utf8_lossy(signature).into_owned());
        }
        if challenge.len() > 20 {
            forms.push(challenge);
        }
    }
    forms
}

/// Every file below this directory that the program could have written.
fn files(directory: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).expect("our own directory") {
        let path = entry.expect("our own directory").path();
        let name = path.display().to_string();
        if path.is_dir() {
            files(&path, found);
        } else if !name.ends_with("it.password") && !name.ends_with("token") {
            let bytes = fs::read(&path).expect("our own file");
            found.push((name, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
}

#[track_caller]
fn nowhere(sandbox: &Sandbox, server: &Server, outputs: &[String], context: &str) {
    let mut texts = Vec::new();
    files(&sandbox.home(""), &mut texts);
    texts.extend(
        outputs
            .iter()
            .map(|text| ("its output".to_owned(), text.clone())),
    );
    for form in forms(server) {
        for (place, text) in &texts {
            assert!(
                !text.contains(&form),
                "{context}: \"{form}\" is in {place}:\n{text}"
            );
        }
    }
}

#[test]
fn no_mechanism_leaves_a_secret_anywhere() {
    for way in WAYS {
        for (broken, fault) in [
            (None, "right"),
            (Some(Fault::reply("-ERR [AUTH] wrong")), "refused"),
            (Some(Fault::CloseBefore), "cut off"),
            (Some(Fault::reply("gibberish")), "gibberish"),
        ] {
            let sandbox = Sandbox::new();
            let mut server = Server::start(&Mailbox::with(small(2)))
                .implicit_tls(sandbox.certificates())
                .mechanisms(MECHANISMS)
                .apop(STAMP)
                .password(MARKER);
            if let Some(fault) = broken {
                for step in ["PASS", "APOP", RESPONSE, "AUTH"] {
                    server = server.on(step, fault.clone());
                }
            }
            let auth = format!("{way:?}");
            sandbox
                .account("it", &server.endpoint())
                .set("auth", &auth)
                .write();
            let outputs = [
                &["-vv", "sync", "--json"][..],
                &["-vv", "sync", "--dry-run"],
            ]
            .map(|arguments| {
                let outcome = sandbox.run(arguments);
                outcome.stdout + &outcome.stderr
            });
            nowhere(&sandbox, &server, &outputs, &format!("{way}, {fault}"));
            let _ = server.violations();
        }
    }
}

#[test]
fn while_it_works_its_arguments_and_its_environment_hold_no_secret_but_what_it_was_given() {
    let sandbox = Sandbox::new();
    let server = Server::start(&Mailbox::with(small(1)))
        .implicit_tls(sandbox.certificates())
        .mechanisms(MECHANISMS)
        .password(MARKER)
        .on("STAT", Fault::Stall);
    sandbox.account("it", &server.endpoint()).write();
    let running = sandbox.start(&["-vv", "sync"]);
    server.wait_for("STAT");
    for file in ["cmdline", "environ", "comm"] {
        let path = format!("/proc/{}/{file}", running.id());
        let text = fs::read(path).expect("it is at work");
        assert!(!String::from_utf8_lossy(&text).contains(MARKER), "{file}");
    }
    running.signal(rustix::process::Signal::TERM);
    let outcome = running.finish();
    nowhere(
        &sandbox,
        &server,
        &[outcome.stdout, outcome.stderr],
        "stopped",
    );
}

#[test]
fn a_password_command_finds_no_password_in_its_environment() {
    let mut sandbox = Sandbox::new();
    sandbox.variable("POPFETCH_PASSWORD", MARKER);
    sandbox.variable("SECRET", MARKER);
    let server = Server::start(&Mailbox::default()).password("another");
    let account = sandbox
        .account("it", &server.endpoint())
        .without("password_file");
    account
        .set("password_command", "\"env > ~/seen; echo another\"")
        .write();
    sandbox.run(&["sync"]).ends_with(0);
    let seen = fs::read_to_string(sandbox.home("seen")).expect("the command wrote it");
    assert!(!seen.contains("POPFETCH_PASSWORD"), "{seen}");
}

/// A sandbox whose account has its password in a file that anybody may read, in a directory `credentials`.
fn sandbox_with_a_credential(server: &Server) -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.home("credentials")).expect("our own directory");
    let credential = sandbox.private_file("credentials/password", PASSWORD);
    set_mode(&credential, 0o444);
    set_mode(&sandbox.home("credentials"), 0o755);
    let account = sandbox.account("it", &server.endpoint());
    account
        .set("password_file", "\"~/credentials/password\"")
        .write();
    sandbox
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own file");
}

#[test]
fn a_credential_of_systemd_is_accepted_by_its_place() {
    let server = Server::start(&Mailbox::default());
    let mut sandbox = sandbox_with_a_credential(&server);
    sandbox.run(&["sync"]).ends_with(78).complains("chmod");
    let place = sandbox.home("credentials").display().to_string();
    sandbox.variable("CREDENTIALS_DIRECTORY", &place);
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    if geteuid().is_root() {
        chown(sandbox.home("credentials/password"), Some(4711), None).expect("root may");
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
    }
}

#[test]
fn a_place_of_credentials_must_be_an_absolute_directory_that_others_cannot_write_to() {
    let server = Server::start(&Mailbox::default());
    let mut sandbox = sandbox_with_a_credential(&server);
    for place in ["/", "/.", "//", "credentials", "./credentials", ""] {
        sandbox.variable("CREDENTIALS_DIRECTORY", place);
        let outcome = sandbox.run(&["sync"]);
        outcome.ends_with(78).complains("open to other users");
    }
    let place = sandbox.home("credentials");
    sandbox.variable("CREDENTIALS_DIRECTORY", &place.display().to_string());
    set_mode(&place, 0o777);
    let outcome = sandbox.run(&["sync"]);
    outcome
        .ends_with(78)
        .complains("other users can write to")
        .complains("chmod go-w");
    set_mode(&place, 0o755);
    let outside = sandbox.private_file("outside", PASSWORD);
    set_mode(&outside, 0o644);
    fs::rename(&outside, place.join("inside")).expect("our own file");
    fs::remove_file(place.join("password")).expect("our own file");
    symlink("inside", place.join("password")).expect("our own directory");
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    fs::rename(place.join("inside"), &outside).expect("our own file");
    symlink("../outside", place.join("inside")).expect("our own directory");
    let outcome = sandbox.run(&["sync"]);
    outcome.ends_with(78).complains("open to other users");
    let logins = server.sessions().into_iter();
    assert_eq!(logins.filter(|log| log.verbs().len() > 1).count(), 1);
}
