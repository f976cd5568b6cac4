//! A01–A25: attacks on TLS and STLS.

use std::sync::{Arc, Mutex};

use openssl::ssl::{NameType, SslVersion};

use super::{no_login, sandbox_against, sandbox_for, stored_nothing, then, withstands};
use crate::support::certificates::Kind;
use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::sandbox::Sandbox;
use crate::support::server::{Dialogue, Fault, Server, SessionLog, State, Turn};

/// An account for this dialogue that wants STLS.
fn wanting_stls(server: &Dialogue, sandbox: &Sandbox) {
    let mut endpoint = server.endpoint();
    endpoint.tls = "starttls";
    endpoint.ca_file = Some(sandbox.certificates().authority_file());
    let account = sandbox.account("it", &endpoint);
    account.set("timeout", "\"2s\"").write();
}

#[test]
fn a01_a_refusal_of_stls_with_more_after_it() {
    let server = then(
        vec![Turn::send("+OK\r\n"), Turn::Expect("STLS")],
        [Turn::send("-ERR no\r\n+OK injected\r\n")],
    );
    let sandbox = Sandbox::new();
    wanting_stls(&server, &sandbox);
    withstands(&sandbox, &[76]);
    let last = |log: &SessionLog| log.commands().pop();
    assert_eq!(
        server.sessions().iter().find_map(last).as_deref(),
        Some("STLS")
    );
    no_login(&server.sessions());
}

#[test]
fn a02_plain_text_in_place_of_a_handshake() {
    let server = then(
        vec![
            Turn::send("+OK\r\n"),
            Turn::Expect("STLS"),
            Turn::send("+OK begin\r\n"),
            // The client has begun its handshake by now.
            Turn::Pause(std::time::Duration::from_millis(50)),
        ],
        [Turn::send("+OK injected \x1b[2J\r\n")],
    );
    let sandbox = Sandbox::new();
    wanting_stls(&server, &sandbox);
    withstands(&sandbox, &[76]).complains("injected \\x1b[2J");
    no_login(&server.sessions());
}

#[test]
fn a06_a_timestamp_in_the_greeting_is_not_answered_without_tls() {
    let server = Server::start(&Mailbox::default())
        .apop("<1896.697170952@dbc.mtview.ca.us>")
        .on("STLS", Fault::reply("-ERR no"));
    for auth in ["\"auto\"", "\"apop\""] {
        let sandbox = sandbox_for(&server, &[("tls", "\"starttls\""), ("auth", auth)]);
        withstands(&sandbox, &[76]);
    }
    let _ = server.violations();
    no_login(&server.sessions());
}

#[test]
fn a07_a_greeting_that_pretends_or_refuses() {
    for (greeting, statuses) in [
        ("+OK you are logged in already\r\n", &[76][..]),
        ("+OK [AUTH] PREAUTH\r\n", &[76]),
        ("-ERR come back another day\r\n", &[69]),
        ("-ERR [SYS/TEMP] \x1b]0;gotcha\x07\r\n", &[75]),
        ("* PREAUTH welcome\r\n", &[76]),
        ("220 mail ESMTP\r\n", &[76]),
        ("\r\n", &[76]),
        ("+ \r\n", &[76]),
    ] {
        let sandbox = Sandbox::new();
        let server = Dialogue::start(vec![
            Turn::send(greeting),
            Turn::Expect("STLS"),
            Turn::send("-ERR no need\r\n"),
            Turn::Stall,
        ]);
        wanting_stls(&server, &sandbox);
        withstands(&sandbox, statuses);
        no_login(&server.sessions());
    }
}

#[test]
fn a08_an_expiry_announced_before_tls_is_forgotten() {
    let sandbox = Sandbox::new();
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox)
        .stls(sandbox.certificates())
        .capabilities(State::Greeted, &["STLS", "EXPIRE 0"])
        .capabilities(State::Secured, &["USER"])
        .on("RETR 2", Fault::reply("-ERR no"));
    let account = sandbox.account("it", &server.endpoint());
    account.set("leave_on_server", "\"never\"").write();
    // Where what was retrieved expires, the session would end without QUIT, and so without deletions.
    withstands(&sandbox, &[1]);
    assert_eq!(mailbox.uids(), ["uid-2"]);
}

#[test]
fn a09_an_extra_answer_after_the_handshake() {
    let sandbox = Sandbox::new();
    let server = then(
        vec![
            Turn::send("+OK\r\n"),
            Turn::Expect("STLS"),
            Turn::send("+OK\r\n"),
            Turn::Tls(sandbox.certificates().good()),
        ],
        [
            Turn::send("+OK nobody asked\r\n"),
            Turn::Expect("CAPA"),
            Turn::send("+OK\r\nSASL PLAIN\r\n.\r\n"),
        ],
    );
    wanting_stls(&server, &sandbox);
    withstands(&sandbox, &[65, 75, 76]);
    stored_nothing(&sandbox);
}

#[test]
fn a21_tls_cut_off_in_the_middle_of_a_message() {
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let sandbox = Sandbox::new();
        let certificates = sandbox.certificates();
        let acceptor = certificates.make(Kind::Good).acceptor_up_to(version);
        let mailbox = Mailbox::with(small(1));
        let server = Server::start(&mailbox)
            .implicit_tls_with(certificates, acceptor)
            .on("RETR 1", Fault::CloseWithin(200));
        let account = sandbox.account("it", &server.endpoint());
        account.set("leave_on_server", "\"never\"").write();
        withstands(&sandbox, &[1, 69]);
        stored_nothing(&sandbox);
        assert_eq!(mailbox.uids(), ["uid-1"]);
    }
}

#[test]
fn a23_a_password_without_tls_is_refused_before_connecting() {
    let sandbox = Sandbox::new();
    let server = Server::start(&Mailbox::default());
    let account = sandbox.account("it", &server.endpoint());
    account.without("allow_cleartext_password").write();
    withstands(&sandbox, &[78]);
    assert!(server.sessions().is_empty());
}

#[test]
fn a24_a_second_connection_is_not_less_protected() {
    let sandbox = Sandbox::new();
    let mailbox = Mailbox::with(small(3));
    // The first session breaks; from then on the server has no STLS.
    let server = Server::start(&mailbox)
        .stls(sandbox.certificates())
        .once("RETR 2", Fault::CloseBefore)
        .once("STLS", Fault::Trickle)
        .on("STLS", Fault::reply("-ERR no longer"));
    sandbox.account("it", &server.endpoint()).write();
    withstands(&sandbox, &[1, 76]);
    let sessions = server.sessions();
    assert!(sessions.len() > 1, "it did not try again");
    for session in sessions {
        let clear = session.in_clear();
        let harmless = |command: &String| matches!(command.as_str(), "CAPA" | "STLS" | "QUIT");
        assert!(clear.iter().all(harmless), "{clear:?}");
    }
}

#[test]
fn a25_the_server_is_told_the_hosts_name() {
    let sandbox = Sandbox::new();
    let certificates = sandbox.certificates();
    let name = Arc::new(Mutex::new(None));
    let heard = Arc::clone(&name);
    let mut builder = certificates.make(Kind::Good).builder(SslVersion::TLS1_3);
    builder.set_servername_callback(move |ssl, _| {
        let name = ssl.servername(NameType::HOST_NAME).map(str::to_owned);
        *heard.lock().expect("not poisoned") = name;
        Ok(())
    });
    let server =
        Server::start(&Mailbox::default()).implicit_tls_with(certificates, builder.build());
    let account = sandbox.account("it", &server.endpoint());
    account.set("host", "\"localhost\"").write();
    withstands(&sandbox, &[0]);
    assert_eq!(
        name.lock().expect("not poisoned").as_deref(),
        Some("localhost")
    );
}

#[test]
fn capabilities_that_change_after_the_login_are_believed_then() {
    let sandbox = Sandbox::new();
    let mailbox = Mailbox::with(small(30));
    let server = Server::start(&mailbox)
        .implicit_tls(sandbox.certificates())
        .capabilities(State::Greeted, &["PIPELINING", "USER"])
        .capabilities(State::LoggedIn, &["UIDL"]);
    sandbox.account("it", &server.endpoint()).write();
    withstands(&sandbox, &[0]);
    sandbox.mail("it").holds(mailbox.stored_forms());
}

#[test]
fn a_server_that_talks_for_ever_in_place_of_a_handshake_is_given_up() {
    let server = Dialogue::start(vec![Turn::Flood(vec![0x16; 1 << 16]), Turn::Stall]);
    let sandbox = sandbox_against(&server);
    withstands(&sandbox, &[65, 75, 76]);
}
