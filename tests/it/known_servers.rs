//! Capabilities that an earlier session over TLS has shown: the round trip that they save, and what becomes of them when
//! they are not true any more.

use std::fs;

use crate::support::certificates::Kind;
use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::sandbox::Sandbox;
use crate::support::server::{Fault, Pipelining, RESPONSE, Server, SessionLog, State};

const SCRAM: &str = "SCRAM-SHA-256 PLAIN";

/// What a session asked and how it logged in, responses left out, joined by spaces.
fn dialogue(log: &SessionLog) -> String {
    let commands = log.commands();
    let words = commands.iter().filter_map(|command| {
        let mut words = command.split(' ');
        match words.next()? {
            "AUTH" => words.next(),
            verb @ ("CAPA" | "UTF8" | "USER" | "APOP" | "QUIT") => Some(verb),
            _ => None,
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn dialogues(server: &Server) -> Vec<String> {
    server.sessions().iter().map(dialogue).collect()
}

/// With an account in a sandbox, and one run that has ended.
fn known(server: &Server) -> Sandbox {
    known_with(server, "auth", "\"auto\"")
}

fn known_with(server: &Server, key: &str, value: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let account = sandbox.account("it", &server.endpoint());
    account.set(key, value).write();
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    sandbox
}

const ASKED: &str = "CAPA SCRAM-SHA-256 CAPA QUIT";
const PRESUMED: &str = "SCRAM-SHA-256 CAPA QUIT";

#[test]
fn a_server_that_is_known_over_tls_is_asked_after_the_login_alone() {
    let certificates = Sandbox::new();
    let certificates = certificates.certificates();
    let mailbox = Mailbox::with(small(3));
    for server in [
        Server::start(&mailbox).implicit_tls(certificates),
        Server::start(&mailbox).stls(certificates),
    ] {
        let server = server.mechanisms(SCRAM).pipelining(Pipelining::Works);
        let sandbox = known(&server);
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
        assert_eq!(dialogues(&server), [ASKED, PRESUMED]);
        // Two lines of SCRAM, and what follows in one flight.
        let sessions = server.sessions();
        let commands = sessions[1].commands();
        let begins = usize::from(commands[0] == "STLS");
        let commands = &commands[begins..];
        assert_eq!(commands.len(), 7, "{commands:?}");
        assert_eq!(commands[3..], ["CAPA", "STAT", "UIDL", "QUIT"]);
        sandbox.mail("it").holds(mailbox.stored_forms());
    }
}

#[test]
fn a_mechanism_that_is_named_needs_no_announcement_either() {
    let certificates = Sandbox::new();
    let server = Server::start(&Mailbox::default()).implicit_tls(certificates.certificates());
    let server = server.mechanisms("CRAM-MD5 PLAIN");
    let sandbox = known_with(&server, "auth", "\"cram-md5\"");
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    assert_eq!(
        dialogues(&server),
        ["CAPA CRAM-MD5 CAPA QUIT", "CRAM-MD5 CAPA QUIT"]
    );
}

/// Where the password is exposed, a refusal is the end, so that nothing in it may rest on what was true once.
#[test]
fn a_server_is_asked_before_a_password_is_sent_to_it() {
    let certificates = Sandbox::new();
    let server = Server::start(&Mailbox::default()).implicit_tls(certificates.certificates());
    let server = server.mechanisms(SCRAM);
    let sandbox = known_with(&server, "auth", "\"plain\"");
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    let asked = "CAPA PLAIN CAPA QUIT";
    assert_eq!(dialogues(&server), [asked, asked]);
}

#[test]
fn a_server_is_asked_again_after_a_week() {
    let certificates = Sandbox::new();
    let server = Server::start(&Mailbox::default()).implicit_tls(certificates.certificates());
    let server = server.mechanisms(SCRAM);
    let mut sandbox = Sandbox::new();
    sandbox.account("it", &server.endpoint()).write();
    for (day, expected) in [
        ("2026-03-01", ASKED),
        ("2026-03-07", PRESUMED),
        ("2026-03-09", ASKED),
        ("2026-03-14", PRESUMED),
        // The clock was wrong, or is.
        ("2026-03-02", ASKED),
    ] {
        sandbox.at(&format!("{day}T06:00:00Z"));
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
        let dialogues = dialogues(&server);
        assert_eq!(
            dialogues.last().map(String::as_str),
            Some(expected),
            "{day}"
        );
    }
}

/// Something better may be announced by now, or somebody may have answered in the server's place.
#[test]
fn a_server_is_asked_where_that_may_lead_to_a_safer_login() {
    let certificates = Sandbox::new();
    let certificates = certificates.certificates();
    let with_password = Server::start(&Mailbox::default())
        .implicit_tls(certificates)
        .mechanisms("PLAIN");
    let in_clear = Server::start(&Mailbox::default()).mechanisms(SCRAM);
    for (server, method) in [(with_password, "PLAIN"), (in_clear, "SCRAM-SHA-256")] {
        let sandbox = known(&server);
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
        let asked = format!("CAPA {method} CAPA QUIT");
        assert_eq!(dialogues(&server), [asked.as_str(), &asked]);
    }
}

#[test]
fn a_dry_run_asks() {
    let certificates = Sandbox::new();
    let server = Server::start(&Mailbox::default()).implicit_tls(certificates.certificates());
    let server = server.mechanisms(SCRAM);
    let sandbox = known(&server);
    sandbox.run(&["sync", "--dry-run"]).ends_with(0);
    assert_eq!(dialogues(&server), [ASKED, ASKED]);
}

#[test]
fn another_certificate_or_another_way_to_begin_tls_is_not_known() {
    let certificates = Sandbox::new();
    let certificates = certificates.certificates();
    let server = Server::start(&Mailbox::default())
        .implicit_tls(certificates)
        .mechanisms(SCRAM);
    let sandbox = known(&server);
    let renewed = certificates.make(Kind::Good).acceptor();
    let server = server.implicit_tls_with(certificates, renewed);
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    assert_eq!(dialogues(&server), [ASKED, ASKED, PRESUMED]);

    let same = certificates.good();
    let server = Server::start(&Mailbox::default())
        .implicit_tls_with(certificates, same.clone())
        .mechanisms(SCRAM);
    let sandbox = known(&server);
    let server = server.stls_with(certificates, same);
    fs::remove_file(sandbox.home(".config/popfetch/config.toml")).expect("our own file");
    sandbox.account("it", &server.endpoint()).write();
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    assert_eq!(dialogues(&server), [ASKED, ASKED]);
}

#[test]
fn nothing_is_sent_before_tls_because_of_what_is_known() {
    let certificates = Sandbox::new();
    let server = Server::start(&Mailbox::default())
        .stls(certificates.certificates())
        .mechanisms(SCRAM);
    let sandbox = known(&server);
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    for log in server.sessions() {
        assert_eq!(log.in_clear(), ["STLS"]);
    }
}

#[test]
fn a_refusal_of_the_credentials_is_the_end_where_the_mechanism_is_still_announced() {
    let certificates = Sandbox::new();
    for fault in [
        Fault::reply("-ERR [AUTH] wrong password"),
        Fault::last_words("-ERR [AUTH] wrong password"),
    ] {
        let server = Server::start(&Mailbox::default()).implicit_tls(certificates.certificates());
        let server = server.mechanisms(SCRAM);
        let sandbox = known(&server);
        let server = server.on(RESPONSE, fault);
        let outcome = sandbox.run(&["sync"]);
        outcome.ends_with(77).complains("wrong password");
        assert_eq!(dialogues(&server)[1..].join(" "), "SCRAM-SHA-256 CAPA");
    }
}

#[test]
fn a_refusal_stays_one_where_the_server_says_nothing_sensible_after_it() {
    let certificates = Sandbox::new();
    let server = Server::start(&Mailbox::default()).implicit_tls(certificates.certificates());
    let server = server.mechanisms(SCRAM);
    let sandbox = known(&server);
    let refused = Fault::reply("-ERR [AUTH] wrong password");
    let _server = server
        .on(RESPONSE, refused)
        .on("CAPA", Fault::reply("gibberish"));
    let outcome = sandbox.run(&["sync"]);
    outcome.ends_with(77).complains("wrong password");
}

#[test]
fn a_refusal_that_is_not_about_the_credentials_leads_to_one_second_login() {
    let certificates = Sandbox::new();
    let server = Server::start(&Mailbox::default()).implicit_tls(certificates.certificates());
    let server = server.mechanisms(SCRAM);
    let sandbox = known(&server);
    let server = server.on(RESPONSE, Fault::reply("-ERR no such secret"));
    sandbox.run(&["sync"]).ends_with(0);
    assert_eq!(
        dialogues(&server),
        [ASKED, "SCRAM-SHA-256 CAPA PLAIN CAPA QUIT"]
    );
}

#[test]
fn no_second_login_where_the_mailbox_is_in_use() {
    let certificates = Sandbox::new();
    let server = Server::start(&Mailbox::default()).implicit_tls(certificates.certificates());
    let server = server.mechanisms(SCRAM);
    let sandbox = known(&server);
    let server = server.on(RESPONSE, Fault::reply("-ERR [IN-USE] wait"));
    sandbox.run(&["sync"]).ends_with(75);
    assert_eq!(dialogues(&server), [ASKED, "SCRAM-SHA-256"]);
}

#[test]
fn a_mechanism_that_has_gone_is_replaced_and_used_again_when_it_is_back() {
    let certificates = Sandbox::new();
    let server = Server::start(&Mailbox::default()).implicit_tls(certificates.certificates());
    let server = server.mechanisms(SCRAM);
    let sandbox = known(&server);
    let server = server.mechanisms("PLAIN");
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    let server = server.mechanisms(SCRAM);
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    assert_eq!(
        dialogues(&server),
        [ASKED, "SCRAM-SHA-256 CAPA PLAIN CAPA QUIT", ASKED]
    );
}

/// The mechanism is not what the account's owner has named: nothing weaker takes its place.
#[test]
fn a_named_mechanism_that_has_gone_is_not_replaced() {
    let certificates = Sandbox::new();
    let server = Server::start(&Mailbox::default()).implicit_tls(certificates.certificates());
    let server = server.mechanisms(SCRAM);
    let sandbox = known_with(&server, "auth", "\"scram-sha-256\"");
    let server = server.mechanisms("PLAIN");
    let outcome = sandbox.run(&["sync"]);
    outcome.ends_with(77).complains("does not announce");
    assert_eq!(dialogues(&server), [ASKED, "SCRAM-SHA-256 CAPA"]);
}

/// A server with channel binding must refuse a client that says that there is none (RFC 5802 section 6).
#[test]
fn a_server_that_offers_channel_binding_by_now_is_logged_in_to_at_the_second_attempt() {
    let certificates = Sandbox::new();
    let server = Server::start(&Mailbox::default()).implicit_tls(certificates.certificates());
    let server = server.mechanisms(SCRAM);
    let sandbox = known(&server);
    let server = server.mechanisms("SCRAM-SHA-256 SCRAM-SHA-256-PLUS PLAIN");
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    assert_eq!(
        dialogues(&server),
        [
            ASKED,
            "SCRAM-SHA-256 CAPA SCRAM-SHA-256 CAPA QUIT",
            PRESUMED
        ]
    );
}

/// Until it is asked for UTF8, such a server sends other messages than it has.
#[test]
fn a_server_that_announces_utf8_by_now_is_asked_for_it_before_anything_is_fetched() {
    let certificates = Sandbox::new();
    let mailbox = Mailbox::with(small(2));
    let server = Server::start(&mailbox)
        .implicit_tls(certificates.certificates())
        .mechanisms(SCRAM);
    let sandbox = known(&server);
    let server = server.knowing_utf8();
    mailbox.add("new", &b"Subject: gr\xc3\xbc\xc3\x9fe\r\n\r\nhello\r\n"[..]);
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(mailbox.stored_forms());
    sandbox.run(&["sync"]).ends_with(0);
    assert_eq!(
        dialogues(&server),
        [
            ASKED,
            "SCRAM-SHA-256 CAPA",
            "CAPA UTF8 SCRAM-SHA-256 CAPA QUIT",
            "UTF8 SCRAM-SHA-256 CAPA QUIT",
        ]
    );
    let sessions = server.sessions();
    let fetched = sessions[1].verbs().contains(&"RETR".to_owned());
    assert!(!fetched, "{:?}", sessions[1].commands());
}

#[test]
fn a_server_that_takes_pipelining_back_gets_one_command_at_a_time_after_the_first_flight() {
    let certificates = Sandbox::new();
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox)
        .implicit_tls(certificates.certificates())
        .mechanisms(SCRAM)
        .pipelining(Pipelining::Works);
    let sandbox = known(&server);
    let capabilities = ["UIDL", "SASL SCRAM-SHA-256"];
    let server = server
        .capabilities(State::Greeted, &capabilities)
        .capabilities(State::LoggedIn, &["UIDL"]);
    mailbox.add("new", &b"Subject: one more\r\n\r\nhello\r\n"[..]);
    mailbox.add("newer", &b"Subject: and one\r\n\r\nhello\r\n"[..]);
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    sandbox.mail("it").holds(mailbox.stored_forms());
    assert_eq!(dialogues(&server), [ASKED, PRESUMED]);
}
