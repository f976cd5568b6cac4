//! A30–A40: attacks on the login.

use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use openssl::pkey::PKey;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::X509;

use super::{no_login, sandbox_against, sandbox_for, stored_nothing, then, withstands};
use crate::support::mailbox::Mailbox;
use crate::support::malicious::{SCRAM_FIRSTS, SCRAM_LASTS};
use crate::support::messages::small;
use crate::support::sandbox::Sandbox;
use crate::support::server::{
    Dialogue, Fault, GREETING, LOGIN, PASSWORD, RESPONSE, Server, State, Turn, USER,
};

/// A server over TLS that announces these mechanisms.
fn announcing(sandbox: &Sandbox, mechanisms: &str) -> Server {
    Server::start(&Mailbox::with(small(1)))
        .implicit_tls(sandbox.certificates())
        .mechanisms(mechanisms)
}

fn account(sandbox: &Sandbox, server: &Server, auth: &str) {
    let auth = format!("{auth:?}");
    let account = sandbox.account("it", &server.endpoint());
    account.set("auth", &auth).set("timeout", "\"3s\"").write();
}

/// How often a login was begun.
fn logins(server: &Server) -> usize {
    let begins = |command: &&String| {
        let verbs = ["USER", "AUTH", "APOP"];
        verbs.iter().any(|verb| command.starts_with(verb))
    };
    server.commands().iter().filter(begins).count()
}

#[test]
fn a30_timestamps_that_are_no_message_ids() {
    for timestamp in [
        "<no-at-sign>",
        "<\u{e9}@example.com>",
        "<a\x07@example.com>",
        "<a@b> <c@d>",
        "<a@b@c>",
        "<>",
        &format!("<{}@example.com>", "x".repeat(600)),
    ] {
        let server = Server::start(&Mailbox::default()).apop(timestamp);
        let sandbox = sandbox_for(&server, &[("auth", "\"apop\"")]);
        withstands(&sandbox, &[77]);
        no_login(&server.sessions());
        // Without a timestamp there are other ways.
        let sandbox = sandbox_for(&server, &[]);
        withstands(&sandbox, &[0]);
        assert!(
            !server
                .commands()
                .iter()
                .any(|line| line.starts_with("APOP"))
        );
    }
}

#[test]
fn a32_every_forged_message_of_scram_ends_the_login() {
    // Others may go on after these.
    let more = [
        "r=NONCEx,s=c2FsdA==,i=1",
        "r=NONCEx,s=c2FsdA==,i=4095",
        "r=NONCEx,s=c2FsdA==,i=600001",
        "r=NONCEx,s=c2FsdA==,i=2147483648",
        "r=NONCEx,s=,i=4096",
        "e=other-error",
    ];
    let firsts = SCRAM_FIRSTS.into_iter().chain(more);
    let lie = |sandbox: &Sandbox| announcing(sandbox, "SCRAM-SHA-256 PLAIN LOGIN");
    let sandboxes = firsts.map(|first| {
        let sandbox = Sandbox::new();
        let server = lie(&sandbox).scram_first(first);
        (first, sandbox, server)
    });
    let lasts = SCRAM_LASTS.map(|last| {
        let sandbox = Sandbox::new();
        let server = lie(&sandbox).scram_last(last);
        (last, sandbox, server)
    });
    for (lie, sandbox, server) in sandboxes.chain(lasts) {
        account(&sandbox, &server, "auto");
        withstands(&sandbox, &[76]);
        assert_eq!(logins(&server), 1, "{lie}");
        stored_nothing(&sandbox);
    }
    // A challenge that is no base64, in place of the server's first message.
    let sandbox = Sandbox::new();
    let server = lie(&sandbox).on("AUTH", Fault::reply("+ !!! no base64"));
    account(&sandbox, &server, "auto");
    withstands(&sandbox, &[76]);
    assert_eq!(logins(&server), 1);
    // To this server the exchange never began.
    let _ = server.violations();
}

/// What the client says first in SCRAM.
fn first_message(server: &Server) -> String {
    let commands = server.commands();
    let auth = commands
        .iter()
        .find_map(|line| line.strip_prefix("AUTH SCRAM-SHA-256 "));
    let decoded = BASE64_STANDARD.decode(auth.expect("SCRAM was used"));
    String::from_utf8(decoded.expect("base64")).expect("ASCII")
}

#[test]
fn a33_a_client_that_could_bind_says_so() {
    for (mechanisms, flag) in [
        ("SCRAM-SHA-256 PLAIN", "y,,"),
        ("SCRAM-SHA-256 SCRAM-SHA-256-PLUS", "n,,"),
    ] {
        let sandbox = Sandbox::new();
        let server = announcing(&sandbox, mechanisms);
        account(&sandbox, &server, "auto");
        withstands(&sandbox, &[0]);
        assert!(first_message(&server).starts_with(flag), "{mechanisms}");
    }
    // Without TLS there is nothing to bind to.
    let server = Server::start(&Mailbox::default()).mechanisms("SCRAM-SHA-256");
    let sandbox = sandbox_for(&server, &[]);
    withstands(&sandbox, &[0]);
    assert!(first_message(&server).starts_with("n,,"));
}

#[test]
fn a34_a_certificate_that_nothing_can_be_bound_to() {
    let sandbox = Sandbox::new();
    let path = |name: &str| sandbox.home(name).display().to_string();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ed25519", "-noenc", "-days", "2"])
        .args(["-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-keyout", &path("ed.key"), "-out", &path("ed.pem")])
        .output()
        .expect("OpenSSL is installed: tests/run sees to it");
    assert!(made.status.success(), "{made:?}");
    let read = |name: &str| std::fs::read(sandbox.home(name)).expect("OpenSSL wrote it");
    let mut acceptor = SslAcceptor::mozilla_modern_v5(SslMethod::tls()).expect("OpenSSL works");
    let key = PKey::private_key_from_pem(&read("ed.key")).expect("a key");
    acceptor.set_private_key(&key).expect("a key");
    let certificate = X509::from_pem(&read("ed.pem")).expect("a certificate");
    acceptor
        .set_certificate(&certificate)
        .expect("a certificate");
    let server = Server::start(&Mailbox::default())
        .implicit_tls_with(sandbox.certificates(), acceptor.build())
        .mechanisms("SCRAM-SHA-256");
    for (auth, status) in [("auto", 0), ("scram-sha-256-plus", 77)] {
        let ca_file = format!("{:?}", path("ed.pem"));
        let auth = format!("{auth:?}");
        let account = sandbox.account("it", &server.endpoint()).set("auth", &auth);
        account.set("ca_file", &ca_file).write();
        withstands(&sandbox, &[status]);
        std::fs::remove_file(sandbox.home(".config/popfetch/config.toml")).expect("our own file");
    }
    assert!(first_message(&server).starts_with("n,,"));
    assert_eq!(
        logins(&server),
        1,
        "with binding named, nothing else is tried"
    );
}

#[test]
fn a35_a_token_refused_with_nonsense() {
    let json = BASE64_STANDARD.encode("{\"status\":\"\x1b[2J\u{202e}401\"}");
    let long = BASE64_STANDARD.encode(format!("{{{}}}", "x".repeat(40_000)));
    let endless = "A".repeat(1 << 20);
    for auth in ["xoauth2", "oauthbearer"] {
        for (challenge, statuses) in [
            (&*json, &[77][..]),
            (&*long, &[77]),
            ("no base64!", &[76]),
            (&*endless, &[76]),
        ] {
            let sandbox = Sandbox::new();
            let server = announcing(&sandbox, "XOAUTH2 OAUTHBEARER PLAIN")
                .on("AUTH", Fault::say(&format!("+ {challenge}")))
                .on(RESPONSE, Fault::reply("-ERR [AUTH] \x1b[31mno"));
            account(&sandbox, &server, auth);
            withstands(&sandbox, statuses);
            assert_eq!(logins(&server), 1);
            // To this server we are logged in.
            let _ = server.violations();
        }
    }
}

#[test]
fn a35_challenges_without_an_end() {
    for auth in [
        "plain",
        "login",
        "cram-md5",
        "scram-sha-1",
        "xoauth2",
        "oauthbearer",
    ] {
        let sandbox = Sandbox::new();
        let server = announcing(
            &sandbox,
            "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 XOAUTH2 OAUTHBEARER",
        )
        .on("AUTH", Fault::say("+ eA=="))
        .on(RESPONSE, Fault::say("+ eA=="));
        account(&sandbox, &server, auth);
        withstands(&sandbox, &[76, 77]);
        assert!(server.commands().len() < 16, "{auth}");
        let _ = server.violations();
    }
}

#[test]
fn a36_no_other_host_gets_the_password() {
    let elsewhere = Server::start(&Mailbox::default());
    let url = format!("pop://{}", elsewhere.address());
    for answer in [
        format!("-ERR [REFERRAL {url}] your mailbox has moved"),
        format!("-ERR [SYS/TEMP] try {url}"),
        format!("+OK [REFERRAL {url}]"),
    ] {
        let greeting = Server::start(&Mailbox::default()).once(GREETING, Fault::reply(&answer));
        let login = Server::start(&Mailbox::default()).on(LOGIN, Fault::say(&answer));
        for server in [greeting, login] {
            let sandbox = sandbox_for(&server, &[("timeout", "\"2s\"")]);
            withstands(&sandbox, &[0, 69, 75, 76, 77]);
            // To this server we may be logged in.
            let _ = server.violations();
        }
    }
    assert!(elsewhere.sessions().is_empty());
}

#[test]
fn a37_a_line_end_in_a_url_is_refused() {
    for user in ["a%0D%0ADELE%201", "a%0Ab", "a%00b"] {
        let server = Server::start(&Mailbox::default());
        let sandbox = Sandbox::new();
        let url = format!("pop3://{user}@{}", server.address());
        let arguments = ["sync", "--url", &url, "--to", "maildir:~/Mail/it"];
        let outcome = sandbox.run(&arguments);
        super::well_behaved(&outcome);
        assert!(matches!(outcome.status, Some(64 | 78)), "{outcome:#?}");
        assert!(server.sessions().is_empty());
    }
}

#[test]
fn a37_what_cannot_be_in_a_line_is_not_sent() {
    for secret in ["one\\r\\nDELE 1", "one\\ntwo", "nul\\0byte"] {
        for auth in ["user", "plain", "login", "xoauth2", "scram-sha-256"] {
            let sandbox = Sandbox::new();
            let server = announcing(&sandbox, "PLAIN LOGIN XOAUTH2 SCRAM-SHA-256");
            let auth = format!("{auth:?}");
            let command = format!("\"printf '{}'\"", secret.replace('\\', "\\\\"));
            let account = sandbox
                .account("it", &server.endpoint())
                .without("password_file");
            account
                .set("password_command", &command)
                .set("auth", &auth)
                .write();
            // Of a command, the first line is the password.
            withstands(&sandbox, &[77, 78]);
            assert!(
                !server
                    .commands()
                    .iter()
                    .any(|line| line.contains("DELE") || line.contains("two"))
            );
        }
    }
    for user in ["a\\r\\nDELE 1", "a\\u0000b", "a\\nb"] {
        let server = Server::start(&Mailbox::default());
        let sandbox = sandbox_for(&server, &[("user", &format!("\"{user}\""))]);
        withstands(&sandbox, &[78]);
        assert!(server.sessions().is_empty());
    }
}

#[test]
fn a37_a_password_too_long_for_a_line() {
    for (length, status) in [(248, 0), (249, 78)] {
        let server = Server::start(&Mailbox::default()).password(&"x".repeat(length));
        let sandbox = sandbox_for(&server, &[("auth", "\"user\"")]);
        withstands(&sandbox, &[status]);
    }
}

#[test]
fn a38_success_before_anything_was_said() {
    for (auth, statuses) in [
        // Servers exist that say +OK where + belongs: the response is due all the same.
        ("plain", &[0][..]),
        ("xoauth2", &[0]),
        ("login", &[76]),
        ("cram-md5", &[76, 77]),
    ] {
        let sandbox = Sandbox::new();
        let server = announcing(&sandbox, "LOGIN CRAM-MD5 XOAUTH2")
            .on("AUTH PLAIN", Fault::say("+OK logged in"))
            .on("AUTH XOAUTH2", Fault::say("+OK logged in"))
            .on("AUTH LOGIN", Fault::say("+OK logged in"))
            .on("AUTH CRAM-MD5", Fault::say("+OK logged in"))
            .password(&"long".repeat(60));
        let server = match auth {
            "login" => server.on(RESPONSE, Fault::reply("+OK logged in")),
            _ => server,
        };
        account(&sandbox, &server, auth);
        withstands(&sandbox, statuses);
        let _ = server.violations();
    }
}

#[test]
fn a38_success_in_place_of_a_password() {
    let server = then(
        vec![
            Turn::send("+OK\r\n"),
            Turn::Expect("CAPA"),
            Turn::send("-ERR\r\n"),
            Turn::Expect("USER"),
        ],
        [Turn::send("+OK you are in\r\n+OK 0 0\r\n")],
    );
    let sandbox = sandbox_against(&server);
    withstands(&sandbox, &[65, 75, 76]);
    stored_nothing(&sandbox);
}

#[test]
fn a39_a_refusal_that_speaks_of_a_lock_is_no_refusal_of_the_password() {
    for (answer, status) in [
        ("-ERR unable to lock the maildrop", 75),
        ("-ERR no", 77),
        ("-ERR [AUTH] no", 77),
    ] {
        let server = Server::start(&Mailbox::default()).on("PASS", Fault::reply(answer));
        let sandbox = sandbox_for(&server, &[("auth", "\"user\"")]);
        withstands(&sandbox, &[status]);
    }
}

#[test]
fn a40_a_server_that_repeats_the_password_is_not_quoted() {
    let plain = BASE64_STANDARD.encode(format!("\0{USER}\0{PASSWORD}"));
    let alone = BASE64_STANDARD.encode(PASSWORD);
    for said in [
        format!("-ERR \"{PASSWORD}\" is wrong"),
        format!("-ERR {plain}"),
        format!("-ERR {alone}"),
        format!("-ERR {}{PASSWORD}", "x".repeat(195)),
        format!("+ {alone}"),
        format!(
            "+ {}",
            BASE64_STANDARD.encode(format!("{}{PASSWORD}", "x".repeat(195)))
        ),
        PASSWORD.to_owned(),
    ] {
        for auth in ["plain", "user", "login", "xoauth2"] {
            let sandbox = Sandbox::new();
            let server = announcing(&sandbox, "PLAIN LOGIN XOAUTH2").on(LOGIN, Fault::reply(&said));
            account(&sandbox, &server, auth);
            let outcome = sandbox.run(&["-vv", "sync", "--json"]);
            super::well_behaved(&outcome);
            for form in [PASSWORD, &plain, &alone, &PASSWORD[..8]] {
                outcome.keeps_to_itself(form);
            }
            let _ = server.violations();
        }
    }
}

#[test]
fn a40_a_server_that_repeats_a_token_as_it_was_sent_is_not_quoted() {
    for auth in ["xoauth2", "oauthbearer"] {
        let sandbox = Sandbox::new();
        let server = announcing(&sandbox, "XOAUTH2 OAUTHBEARER");
        let port = server.address().port();
        let sent = BASE64_STANDARD.encode(match auth {
            "xoauth2" => format!("user={USER}\x01auth=Bearer {PASSWORD}\x01\x01"),
            _ => format!(
                "n,a={USER},\x01host=127.0.0.1\x01port={port}\x01auth=Bearer {PASSWORD}\x01\x01"
            ),
        });
        let server = server.on(LOGIN, Fault::reply(&format!("-ERR [AUTH] not {sent}")));
        account(&sandbox, &server, auth);
        let outcome = sandbox.run(&["-vv", "sync", "--json"]);
        outcome.ends_with(77).complains("not ****");
        outcome.keeps_to_itself(&sent);
        super::well_behaved(&outcome);
        assert!(server.commands().concat().contains(&sent), "it was sent so");
    }
}

#[test]
fn a40_a_server_that_repeats_the_password_in_a_listing_is_not_quoted() {
    for (step, answer) in [
        ("STAT", format!("+OK {PASSWORD}")),
        ("UIDL", format!("+OK\r\n{PASSWORD}\r\n.")),
        ("LIST", format!("+OK\r\n{PASSWORD}\r\n.")),
    ] {
        let server = Server::start(&Mailbox::with(small(1))).on(step, Fault::reply(&answer));
        let sandbox = sandbox_for(&server, &[]);
        let outcome = sandbox.run(&["-vv", "sync", "--json"]);
        outcome.ends_with(65).complains("\"****\"");
        super::well_behaved(&outcome);
    }
}

/// A server has the password from an earlier session, and repeats it before we log in.
#[test]
fn a40_a_server_that_repeats_the_password_before_the_login_is_not_quoted() {
    let said = format!("you are {USER}/{PASSWORD}");
    let refusal = format!("-ERR too many sessions: {said}");
    let capability = format!("X-SEEN {said}");
    let capabilities = ["USER", "SASL PLAIN", &capability];
    let sandbox = Sandbox::new();
    let servers = [
        Server::start(&Mailbox::default()).on(GREETING, Fault::reply(&refusal)),
        Server::start(&Mailbox::default()).once(GREETING, Fault::say(&format!("+OK {said}"))),
        Server::start(&Mailbox::default()).on(GREETING, Fault::reply(&said)),
        Server::start(&Mailbox::default()).capabilities(State::Greeted, &capabilities),
        announcing(&sandbox, "PLAIN").on(GREETING, Fault::reply(&refusal)),
        Server::start(&Mailbox::default())
            .stls(sandbox.certificates())
            .on("STLS", Fault::reply(&refusal)),
        Server::start(&Mailbox::default())
            .stls(sandbox.certificates())
            .capabilities(State::Secured, &capabilities),
    ];
    for server in servers {
        let sandbox = sandbox_for(&server, &[]);
        let outcome = sandbox.run(&["-vv", "sync", "--json"]);
        assert!(outcome.stderr.contains("****"), "{outcome:#?}");
        super::well_behaved(&outcome);
    }
}

#[test]
fn a40_a_server_that_repeats_the_password_in_place_of_a_handshake_is_not_quoted() {
    let said = format!("+OK you are {USER}/{PASSWORD}\r\n");
    for (tls, turns) in [
        ("implicit", vec![Turn::send(&said)]),
        (
            "starttls",
            vec![
                Turn::send("+OK\r\n"),
                Turn::Expect("STLS"),
                Turn::send("+OK begin\r\n"),
                Turn::Pause(std::time::Duration::from_millis(50)),
                Turn::send(&said),
            ],
        ),
    ] {
        let server = then(turns, []);
        let sandbox = Sandbox::new();
        let mut endpoint = server.endpoint();
        endpoint.tls = tls;
        let account = sandbox.account("it", &endpoint);
        account.set("timeout", "\"2s\"").write();
        let outcome = sandbox.run(&["-vv", "sync", "--json"]);
        outcome.ends_with(76).complains("****");
        super::well_behaved(&outcome);
    }
}

#[test]
fn a64_a_refusal_that_is_endless_or_has_control_characters_is_cut_and_sanitized() {
    for text in [
        "\x1b[2J\x08\x08\x1b]0;gotcha\x07 \u{202e}",
        &"long ".repeat(10_000),
    ] {
        let server = Dialogue::start(vec![
            Turn::send("+OK\r\n"),
            Turn::Expect("CAPA"),
            Turn::send("-ERR\r\n"),
            Turn::Expect("USER"),
            Turn::send(format!("-ERR {text}\r\n")),
            Turn::Stall,
        ]);
        let sandbox = sandbox_against(&server);
        let outcome = withstands(&sandbox, &[77]);
        assert!(outcome.stderr.len() < 3_000);
    }
}
