//! The system's trusted roots are read only when they are needed, and nobody notices but the clock.

use std::fs;
use std::path::PathBuf;

use openssl::x509::X509;

use crate::support::certificates::Kind;
use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::sandbox::Sandbox;
use crate::support::server::{Server, SessionLog};

/// A command that writes down what it finds, and what popfetch has in its own environment.
const LOOK: &str = "env > ~/seen; tr '\\0' '\\n' < /proc/$PPID/environ > ~/own";

/// What popfetch sets for itself as it begins anew.
const OURS: [&str; 2] = ["SSL_CERT_FILE=/dev/null", "POPFETCH_UNREAD_ROOTS="];

/// From now on the system has this bundle of roots, and a directory that can take its place.
fn system_has(sandbox: &mut Sandbox, bundle: &[u8]) {
    let home = sandbox.home("system");
    fs::create_dir_all(home.join("certs")).expect("our own directory");
    fs::write(home.join("certs/00000000.0"), "").expect("our own file");
    fs::write(home.join("cert.pem"), bundle).expect("our own file");
    sandbox.variable("POPFETCH_TEST_ROOTS", &home.display().to_string());
}

/// The certificate of this sandbox's authority, PEM.
fn authority(sandbox: &Sandbox) -> Vec<u8> {
    fs::read(sandbox.certificates().authority_file()).expect("our own file")
}

/// A server whose certificate only this sandbox's authority vouches for.
fn server(sandbox: &Sandbox, mailbox: &Mailbox, tls: &str) -> Server {
    match tls {
        "implicit" => Server::start(mailbox).implicit_tls(sandbox.certificates()),
        _ => Server::start(mailbox).stls(sandbox.certificates()),
    }
}

/// An account that trusts whom the system trusts.
fn account_without_ca(sandbox: &Sandbox, server: &Server, deliver: &str) {
    let account = sandbox.account("it", &server.endpoint()).without("ca_file");
    account.set("deliver", &format!("{deliver:?}")).write();
}

fn lines(sandbox: &Sandbox, file: &str) -> Vec<String> {
    let text = fs::read_to_string(sandbox.home(file)).expect("the command wrote it");
    text.lines().map(str::to_owned).collect()
}

fn has(lines: &[String], begin: &str) -> bool {
    lines.iter().any(|line| line.starts_with(begin))
}

#[test]
fn a_root_that_only_the_bundle_holds_is_trusted_and_found_by_a_second_connection() {
    for tls in ["implicit", "starttls"] {
        let mut sandbox = Sandbox::new();
        let bundle = authority(&sandbox);
        system_has(&mut sandbox, &bundle);
        let mailbox = Mailbox::with(small(2));
        let server = server(&sandbox, &mailbox, tls);
        account_without_ca(&sandbox, &server, "maildir:~/Mail/it");
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
        sandbox.mail("it").holds(mailbox.stored_forms());
        let sessions = server.sessions();
        assert_eq!(sessions.len(), 2, "{tls}");
        let heard = |log: &SessionLog| log.commands().into_iter().any(|it| it != "STLS");
        assert!(!heard(&sessions[0]), "{tls}: {:?}", sessions[0].commands());
    }
}

#[test]
fn who_is_in_neither_directory_nor_bundle_is_refused() {
    let other = Sandbox::new();
    for bundle in [authority(&other), b"no certificate".to_vec()] {
        for kind in [Kind::Good, Kind::SelfSigned, Kind::UnknownAuthority] {
            let mut sandbox = Sandbox::new();
            system_has(&mut sandbox, &bundle);
            let certificates = sandbox.certificates();
            let acceptor = certificates.make(kind).acceptor();
            let server = Server::start(&Mailbox::default());
            let server = server.implicit_tls_with(certificates, acceptor);
            account_without_ca(&sandbox, &server, "maildir:~/Mail/it");
            sandbox.run(&["sync"]).ends_with(76);
            let heard = server
                .sessions()
                .iter()
                .flat_map(SessionLog::commands)
                .count();
            assert_eq!(heard, 0, "{kind:?}");
        }
    }
}

#[test]
fn a_pinned_certificate_needs_no_roots_and_another_one_gets_no_second_chance() {
    let mut sandbox = Sandbox::new();
    let bundle = authority(&sandbox);
    system_has(&mut sandbox, &bundle);
    let server = server(&sandbox, &Mailbox::default(), "implicit");
    let pins = format!("[\"sha256:{}\"]", "00".repeat(32));
    let account = sandbox.account("it", &server.endpoint()).without("ca_file");
    account.set("tls_fingerprints", &pins).write();
    sandbox
        .run(&["sync"])
        .ends_with(76)
        .complains("tls_fingerprints");
    assert_eq!(server.sessions().len(), 1);
}

#[test]
fn a_command_finds_the_environment_that_popfetch_was_given() {
    let mut sandbox = Sandbox::new();
    let bundle = authority(&sandbox);
    system_has(&mut sandbox, &bundle);
    let server = server(&sandbox, &Mailbox::with(small(1)), "implicit");
    account_without_ca(&sandbox, &server, &format!("pipe:{LOOK}"));
    sandbox.run(&["sync"]).ends_with(0);
    let own = lines(&sandbox, "own");
    assert!(OURS.iter().all(|begin| has(&own, begin)), "{own:?}");
    let seen = lines(&sandbox, "seen");
    for begin in ["SSL_CERT", "POPFETCH_UNREAD"] {
        assert!(!has(&seen, begin), "{begin} in {seen:?}");
    }
    assert!(has(&seen, "XDG_STATE_HOME="), "{seen:?}");
}

#[test]
fn roots_that_a_person_names_are_the_ones_and_commands_find_them_named() {
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        let mut sandbox = Sandbox::new();
        system_has(&mut sandbox, b"no certificate");
        let place = match name {
            "SSL_CERT_FILE" => sandbox.certificates().authority_file(),
            _ => hashed_directory(&sandbox),
        };
        let place = place.display().to_string();
        sandbox.variable(name, &place);
        let mailbox = Mailbox::with(small(1));
        let server = server(&sandbox, &mailbox, "implicit");
        account_without_ca(&sandbox, &server, &format!("pipe:{LOOK}"));
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
        assert_eq!(server.sessions().len(), 1, "{name}");
        let named = format!("{name}={place}");
        for file in ["own", "seen"] {
            let lines = lines(&sandbox, file);
            assert!(lines.contains(&named), "{lines:?}");
            assert!(!has(&lines, "POPFETCH_UNREAD"), "{lines:?}");
            let others = lines.iter().filter(|line| line.starts_with("SSL_CERT"));
            assert_eq!(others.count(), 1, "{lines:?}");
        }
    }
}

/// A directory in which OpenSSL finds this sandbox's authority.
fn hashed_directory(sandbox: &Sandbox) -> PathBuf {
    let directory = sandbox.home("hashed");
    fs::create_dir(&directory).expect("our own directory");
    let pem = authority(sandbox);
    let certificate = X509::from_pem(&pem).expect("our own certificate");
    let name = format!("{:08x}.0", certificate.subject_name_hash());
    fs::write(directory.join(name), pem).expect("our own file");
    directory
}

#[test]
fn the_list_of_unread_bundles_means_nothing_alone() {
    let mut sandbox = Sandbox::new();
    let bundle = sandbox.certificates().authority_file();
    sandbox.variable("POPFETCH_UNREAD_ROOTS", &bundle.display().to_string());
    let server = server(&sandbox, &Mailbox::default(), "implicit");
    account_without_ca(&sandbox, &server, "maildir:~/Mail/it");
    sandbox.run(&["sync"]).ends_with(76).complains("ca_file");
}

#[test]
fn it_begins_anew_as_the_same_process_with_the_same_arguments_byte_for_byte() {
    let mut sandbox = Sandbox::new();
    let bundle = authority(&sandbox);
    system_has(&mut sandbox, &bundle);
    let server = server(&sandbox, &Mailbox::with(small(1)), "implicit");
    account_without_ca(&sandbox, &server, "maildir:~/Mail/it");
    let look = format!(
        "{LOOK}; cat /proc/$PPID/cmdline > ~/line; cat /proc/$PPID/comm > ~/name; echo $PPID > ~/id"
    );
    sandbox.variable("LOOK", &format!("pipe:{look}"));
    let script = "echo $$ >first; exec -a $'odd \\xff name' popfetch sync --to \"$LOOK\" it";
    sandbox.shell(script).ends_with(0);
    let own = lines(&sandbox, "own");
    assert!(OURS.iter().all(|begin| has(&own, begin)), "{own:?}");
    let line = [
        b"odd \xff name\0sync\0--to\0pipe:",
        look.as_bytes(),
        b"\0it\0",
    ]
    .concat();
    assert_eq!(fs::read(sandbox.home("line")).expect("a line"), line);
    assert_eq!(lines(&sandbox, "name"), ["popfetch"]);
    assert_eq!(lines(&sandbox, "id"), lines(&sandbox, "first"));
}

/// The programs that this run started by itself, or tried to.
fn starts(sandbox: &Sandbox, arguments: &[&str], inject: Option<&str>) -> usize {
    let file = sandbox.home("trace");
    let shown = file.display().to_string();
    let mut strace = vec!["strace", "-qq", "-e", "trace=execve", "-o", &shown];
    strace.extend(inject);
    sandbox
        .start_with(&strace, arguments, &[])
        .finish()
        .ends_with(0);
    let trace = fs::read_to_string(file).expect("a trace");
    trace.matches("execve(").count()
}

#[test]
fn only_what_connects_begins_anew_and_only_once() {
    let mut sandbox = Sandbox::new();
    let bundle = authority(&sandbox);
    system_has(&mut sandbox, &bundle);
    let mailbox = Mailbox::with(small(1));
    let server = server(&sandbox, &mailbox, "implicit");
    sandbox.account("it", &server.endpoint()).write();
    assert_eq!(starts(&sandbox, &["--version"], None), 1);
    assert_eq!(starts(&sandbox, &["sync", "--help"], None), 1);
    assert_eq!(starts(&sandbox, &["sync", "--dry-run"], None), 2);
    // Where it cannot, it goes on.
    let refused = "--inject=execve:error=EACCES:when=2";
    assert_eq!(starts(&sandbox, &["sync"], Some(refused)), 2);
    sandbox.mail("it").holds(mailbox.stored_forms());
}

#[test]
fn without_a_directory_of_roots_the_bundle_is_read_as_ever() {
    let mut sandbox = Sandbox::new();
    system_has(&mut sandbox, b"no certificate");
    fs::remove_file(sandbox.home("system/certs/00000000.0")).expect("our own file");
    let server = server(&sandbox, &Mailbox::default(), "implicit");
    sandbox.account("it", &server.endpoint()).write();
    assert_eq!(starts(&sandbox, &["sync"], None), 1);
}
