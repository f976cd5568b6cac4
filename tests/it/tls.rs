//! No connection that cannot be trusted, and no password before there is one.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use openssl::ssl::{NameType, SslVersion};
use openssl::x509::X509;

use crate::support::certificates::Kind;
use crate::support::mailbox::Mailbox;
use crate::support::messages::{one_of_each, small};
use crate::support::sandbox::{Outcome, Sandbox};
use crate::support::server::{
    Dialogue, Fault, GREETING, HANDSHAKE, PASSWORD, Server, SessionLog, State, Turn, USER,
};

/// No session heard anything of a login.
#[track_caller]
fn no_login(sessions: &[SessionLog]) {
    let commands: Vec<String> = sessions.iter().flat_map(SessionLog::commands).collect();
    let secret = |command: &&String| {
        ["USER", "PASS", "AUTH", "APOP"]
            .iter()
            .any(|verb| command.starts_with(verb))
    };
    assert_eq!(commands.iter().find(secret), None);
}

#[test]
fn every_message_comes_over_implicit_tls_and_over_stls() {
    let sandbox = Sandbox::new();
    let mailbox = Mailbox::with(one_of_each());
    let servers = [
        Server::start(&mailbox).implicit_tls(sandbox.certificates()),
        Server::start(&mailbox).stls(sandbox.certificates()),
    ];
    for (name, server) in ["implicit", "stls"].into_iter().zip(&servers) {
        let account = sandbox.account(name, &server.endpoint());
        account
            .set("host", "\"localhost\"")
            .set("user", &format!("{USER:?}"))
            .write();
        sandbox.run(&["sync", name]).ends_with(0).says_nothing();
        sandbox.mail(name).holds(mailbox.stored_forms());
        std::fs::remove_file(sandbox.home(".config/popfetch/config.toml")).expect("our own file");
        std::fs::remove_dir_all(sandbox.state()).expect("our own directory");
    }
    let clear = servers[1].sessions()[0].in_clear();
    assert!(
        clear
            .iter()
            .all(|command| command == "CAPA" || command == "STLS"),
        "{clear:?}"
    );
}

#[test]
fn a_certificate_that_is_not_good_ends_with_76() {
    for (kind, reason) in [
        (Kind::WrongName, "name"),
        (Kind::Expired, "expired"),
        (Kind::NotYetValid, "not valid yet"),
        (Kind::SelfSigned, "ca_file"),
        (Kind::UnknownAuthority, "ca_file"),
    ] {
        let sandbox = Sandbox::new();
        let certificates = sandbox.certificates();
        let acceptor = certificates.make(kind).acceptor();
        let server = Server::start(&Mailbox::with(small(1)));
        let server = server.implicit_tls_with(certificates, acceptor);
        sandbox.account("it", &server.endpoint()).write();
        sandbox.run(&["sync"]).ends_with(76).complains(reason);
        no_login(&server.sessions());
    }
}

/// A run against a server that knows no newer version of TLS than this.
fn run_up_to(newest: SslVersion, tls: &str, least: Option<&str>) -> Outcome {
    let sandbox = Sandbox::new();
    let certificates = sandbox.certificates();
    let acceptor = certificates.make(Kind::Good).acceptor_up_to(newest);
    let server = Server::start(&Mailbox::default());
    let server = match tls {
        "implicit" => server.implicit_tls_with(certificates, acceptor),
        _ => server.stls_with(certificates, acceptor),
    };
    let mut account = sandbox.account("it", &server.endpoint());
    if let Some(least) = least {
        account = account.set("tls_min_version", &format!("{least:?}"));
    }
    account.write();
    let outcome = sandbox.run(&["sync"]);
    if outcome.status != Some(0) {
        no_login(&server.sessions());
    }
    outcome
}

#[test]
fn a_server_that_knows_only_old_tls_ends_with_76() {
    run_up_to(SslVersion::TLS1_1, "implicit", None)
        .ends_with(76)
        .complains("older than 1.2");
}

#[test]
fn tls_1_2_is_enough_unless_the_configuration_wants_1_3() {
    for tls in ["implicit", "starttls"] {
        run_up_to(SslVersion::TLS1_2, tls, None).ends_with(0);
        run_up_to(SslVersion::TLS1_2, tls, Some("1.2")).ends_with(0);
        run_up_to(SslVersion::TLS1_3, tls, Some("1.3")).ends_with(0);
        run_up_to(SslVersion::TLS1_2, tls, Some("1.3"))
            .ends_with(76)
            .complains("127.0.0.1 does not speak TLS 1.3")
            .complains("tls_min_version = \"1.2\"");
    }
}

#[test]
fn a_plain_server_on_the_tls_port_ends_with_76_and_a_hint() {
    let sandbox = Sandbox::new();
    let server = Server::start(&Mailbox::default());
    let account = sandbox
        .account("it", &server.endpoint())
        .set("tls", "\"implicit\"");
    account.write();
    sandbox.run(&["sync"]).ends_with(76).complains("starttls");
    // What it hears is the beginning of a handshake, which is no command.
    let _ = server.violations();
    no_login(&server.sessions());
}

#[test]
fn a_tls_server_on_the_plain_port_ends_with_76_and_a_hint() {
    for tls in ["\"starttls\"", "\"none\""] {
        let sandbox = Sandbox::new();
        let server = Server::start(&Mailbox::default()).implicit_tls(sandbox.certificates());
        let account = sandbox.account("it", &server.endpoint()).set("tls", tls);
        account
            .set("allow_cleartext_password", "true")
            .set("timeout", "\"2s\"")
            .write();
        sandbox.run(&["sync"]).ends_with(76).complains("implicit");
        no_login(&server.sessions());
    }
}

/// Who asks a server once more that wants a pause makes it worse.
#[test]
fn a_server_that_greets_with_not_now_is_not_asked_whether_it_speaks_tls() {
    for refusal in ["-ERR [LOGIN-DELAY] not so soon", "-ERR [IN-USE] not now"] {
        for tls in ["\"none\"", "\"starttls\""] {
            let sandbox = Sandbox::new();
            let server = Server::start(&Mailbox::default()).on(GREETING, Fault::reply(refusal));
            sandbox
                .account("it", &server.endpoint())
                .set("tls", tls)
                .write();
            sandbox.run(&["sync"]).ends_with(75).keeps_to_itself("TLS");
            assert_eq!(server.sessions().len(), 1, "{refusal}, {tls}");
        }
    }
}

#[test]
fn stls_is_required_once_it_is_asked_for() {
    let certificates = Sandbox::new();
    let servers = [
        Server::start(&Mailbox::default()),
        Server::start(&Mailbox::default()).without_capa(),
        Server::start(&Mailbox::default())
            .stls(certificates.certificates())
            .on("STLS", Fault::reply("-ERR not today")),
        Server::start(&Mailbox::default())
            .stls(certificates.certificates())
            .on(HANDSHAKE, Fault::CloseBefore),
    ];
    for server in &servers {
        let sandbox = Sandbox::new();
        sandbox
            .account("it", &server.endpoint())
            .set("tls", "\"starttls\"")
            .write();
        sandbox.run(&["sync"]).ends_with(76);
        // A server without STLS may be asked for it all the same.
        let violations = server.violations();
        assert!(
            violations.iter().all(|text| text.ends_with(": STLS")),
            "{violations:?}"
        );
        no_login(&server.sessions());
    }
}

#[test]
fn whatever_follows_the_answer_to_stls_is_an_attack() {
    let sandbox = Sandbox::new();
    let server = Server::start(&Mailbox::with(small(1)))
        .stls(sandbox.certificates())
        .on("STLS", Fault::Inject(b"+OK injected\r\n".to_vec()));
    sandbox.account("it", &server.endpoint()).write();
    sandbox.run(&["sync"]).ends_with(76);
    let last = server.commands().pop();
    assert_eq!(last.as_deref(), Some("STLS"));
}

#[test]
fn capabilities_from_before_tls_are_forgotten() {
    let sandbox = Sandbox::new();
    let mailbox = Mailbox::with(small(20));
    let server = Server::start(&mailbox)
        .stls(sandbox.certificates())
        .capabilities(State::Greeted, &["STLS", "PIPELINING", "SASL PLAIN"])
        .capabilities(State::Secured, &["USER"])
        .capabilities(State::LoggedIn, &["UIDL"]);
    sandbox.account("it", &server.endpoint()).write();
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(mailbox.stored_forms());
    assert!(server.commands().contains(&format!("PASS {PASSWORD}")));
}

#[test]
fn a_handshake_that_never_ends_is_given_up() {
    let sandbox = Sandbox::new();
    let server = Server::start(&Mailbox::default()).implicit_tls(sandbox.certificates());
    let server = server.on(HANDSHAKE, Fault::Stall);
    sandbox
        .account("it", &server.endpoint())
        .set("timeout", "\"1s\"")
        .write();
    sandbox.run(&["sync"]).ends_with(75).complains("TLS");
}

#[test]
fn a_greeting_that_is_not_pop3_ends_with_76_before_any_login() {
    for greeting in [
        "* OK IMAP4rev1 ready\r\n",
        "220 mail ESMTP\r\n",
        "HTTP/1.1 400 Bad\r\n",
    ] {
        let sandbox = Sandbox::new();
        let server = Dialogue::start(vec![Turn::send(greeting), Turn::Stall]);
        sandbox.account("it", &server.endpoint()).write();
        sandbox.run(&["sync"]).ends_with(76);
        no_login(&server.sessions());
    }
}

#[test]
fn a_refused_certificate_is_described_so_that_one_knows_what_to_do() {
    for (kind, parts) in [
        (Kind::WrongName, &["made for elsewhere.example"][..]),
        (Kind::Expired, &["has expired", "GMT until "][..]),
        (Kind::NotYetValid, &["valid from "][..]),
        (
            Kind::SelfSigned,
            &["tls_fingerprints", "fingerprint sha256:"][..],
        ),
        (
            Kind::UnknownAuthority,
            &[
                "issued by \"nobody\"",
                "tls_fingerprints",
                "fingerprint sha256:",
            ][..],
        ),
    ] {
        for tls in ["implicit", "starttls"] {
            let sandbox = Sandbox::new();
            let certificates = sandbox.certificates();
            let acceptor = certificates.make(kind).acceptor();
            let server = Server::start(&Mailbox::with(small(1)));
            let server = match tls {
                "implicit" => server.implicit_tls_with(certificates, acceptor),
                _ => server.stls_with(certificates, acceptor),
            };
            sandbox.account("it", &server.endpoint()).write();
            let outcome = sandbox.run(&["sync"]);
            outcome.ends_with(76);
            parts.iter().for_each(|part| {
                outcome.complains(part);
            });
            no_login(&server.sessions());
        }
    }
}

/// A run against a server with a certificate of this kind.
fn run_against(kind: Kind, tls: &str) -> Outcome {
    let sandbox = Sandbox::new();
    let certificates = sandbox.certificates();
    let acceptor = certificates.make(kind).acceptor();
    let server = Server::start(&Mailbox::default());
    let server = match tls {
        "implicit" => server.implicit_tls_with(certificates, acceptor),
        _ => server.stls_with(certificates, acceptor),
    };
    sandbox.account("it", &server.endpoint()).write();
    let outcome = sandbox.run(&["sync"]);
    if outcome.status != Some(0) {
        no_login(&server.sessions());
    }
    outcome
}

#[test]
fn an_expired_ca_certificate_is_distinguished_from_an_expired_server_certificate() {
    let own = "it: the certificate of 127.0.0.1";
    let above = "it: an intermediate or CA certificate of 127.0.0.1";
    for tls in ["implicit", "starttls"] {
        for (kind, whose, what) in [
            (Kind::Expired, own, "has expired"),
            (Kind::NotYetValid, own, "is not valid yet"),
            (Kind::Below(-10, -1), above, "has expired"),
            (Kind::Below(1, 10), above, "is not valid yet"),
        ] {
            run_against(kind, tls)
                .ends_with(76)
                .complains(&format!("{whose} {what}\n"))
                .complains("hint: The certificate of 127.0.0.1 is made for localhost");
        }
    }
    run_against(Kind::Below(-1, 10), "implicit").ends_with(0);
}

/// A directory in which OpenSSL finds this sandbox's authority.
fn hashed_directory(sandbox: &Sandbox) -> PathBuf {
    let directory = sandbox.home("hashed");
    fs::create_dir(&directory).expect("our own directory");
    let pem = fs::read(sandbox.certificates().authority_file()).expect("our own file");
    let certificate = X509::from_pem(&pem).expect("our own certificate");
    let name = format!("{:08x}.0", certificate.subject_name_hash());
    fs::write(directory.join(name), pem).expect("our own file");
    directory
}

#[test]
fn roots_that_the_environment_names_are_trusted_and_those_of_ca_file_besides() {
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        for tls in ["implicit", "starttls"] {
            let mut sandbox = Sandbox::new();
            let roots = match name {
                "SSL_CERT_FILE" => sandbox.certificates().authority_file(),
                _ => hashed_directory(&sandbox),
            };
            sandbox.variable(name, &roots.display().to_string());
            let certificates = sandbox.certificates();
            let other = certificates.make(Kind::SelfSigned).certificate_file;
            let mailbox = Mailbox::with(small(2));
            let server = match tls {
                "implicit" => Server::start(&mailbox).implicit_tls(certificates),
                _ => Server::start(&mailbox).stls(certificates),
            };
            sandbox
                .account("it", &server.endpoint())
                .set("ca_file", &format!("{:?}", other.display().to_string()))
                .write();
            sandbox.run(&["sync"]).ends_with(0).says_nothing();
            sandbox.mail("it").holds(mailbox.stored_forms());
            assert_eq!(server.sessions().len(), 1, "{name}, {tls}");
        }
    }
}

#[test]
fn a_certificate_of_an_authority_that_the_system_does_not_know_is_refused() {
    let other = Sandbox::new();
    let other = other.certificates().authority_file().display().to_string();
    for roots in [other.as_str(), "/dev/null"] {
        for kind in [Kind::Good, Kind::SelfSigned, Kind::UnknownAuthority] {
            let mut sandbox = Sandbox::new();
            sandbox.variable("SSL_CERT_FILE", roots);
            let certificates = sandbox.certificates();
            let acceptor = certificates.make(kind).acceptor();
            let server = Server::start(&Mailbox::default());
            let server = server.implicit_tls_with(certificates, acceptor);
            let account = sandbox.account("it", &server.endpoint());
            account.without("ca_file").write();
            sandbox.run(&["sync"]).ends_with(76);
            no_login(&server.sessions());
        }
    }
}

#[test]
fn roots_of_the_command_line_are_trusted_besides_those_of_an_account() {
    let sandbox = Sandbox::new();
    let certificates = sandbox.certificates();
    let own = Server::start(&Mailbox::with(small(1))).implicit_tls(certificates);
    sandbox.account("own", &own.endpoint()).write();
    let self_signed = certificates.make(Kind::SelfSigned);
    let other = Server::start(&Mailbox::with(small(1)));
    let other = other.implicit_tls_with(certificates, self_signed.acceptor());
    let account = sandbox.account("other", &other.endpoint());
    let account = account.set("host", "\"localhost\"").without("ca_file");
    account.write();
    let ca_file = self_signed.certificate_file.display().to_string();
    sandbox.run(&["sync", "--ca-file", &ca_file]).ends_with(0);
    assert_eq!(sandbox.mail("own").texts(), sandbox.mail("other").texts());
}

#[test]
fn a_pinned_certificate_replaces_every_other_check() {
    for kind in [
        Kind::Good,
        Kind::WrongName,
        Kind::Expired,
        Kind::SelfSigned,
        Kind::UnknownAuthority,
        Kind::CommonName("somebody"),
    ] {
        let sandbox = Sandbox::new();
        let certificates = sandbox.certificates();
        let certificate = certificates.make(kind);
        let mailbox = Mailbox::with(small(1));
        let server = Server::start(&mailbox);
        let server = server.implicit_tls_with(certificates, certificate.acceptor());
        let other = format!("sha256:{}", "00".repeat(32));
        let pins = format!("[{other:?}, {:?}]", certificate.fingerprint());
        let account = sandbox.account("it", &server.endpoint()).without("ca_file");
        account.set("tls_fingerprints", &pins).write();
        sandbox.run(&["sync"]).ends_with(0);
        sandbox.mail("it").holds(mailbox.stored_forms());
    }
}

#[test]
fn a_certificate_that_is_not_the_pinned_one_is_refused_before_anything_is_said() {
    for tls in ["implicit", "starttls"] {
        let sandbox = Sandbox::new();
        let certificates = sandbox.certificates();
        let server = Server::start(&Mailbox::with(small(1)));
        let good = certificates.make(Kind::Good);
        let server = match tls {
            "implicit" => server.implicit_tls_with(certificates, good.acceptor()),
            _ => server.stls_with(certificates, good.acceptor()),
        };
        let pins = format!("[{:?}]", certificates.make(Kind::SelfSigned).fingerprint());
        let account = sandbox.account("it", &server.endpoint());
        account.set("tls_fingerprints", &pins).write();
        let outcome = sandbox.run(&["sync"]);
        outcome.ends_with(76).complains("tls_fingerprints");
        let shown = good.fingerprint().replace("sha256:", "").replace(':', "");
        outcome.complains(&shown.to_lowercase());
        let protected = |log: &SessionLog| log.commands().len() - log.in_clear().len();
        assert!(server.sessions().iter().all(|log| protected(log) == 0));
    }
}

#[test]
fn another_name_than_the_hosts_can_be_checked() {
    let sandbox = Sandbox::new();
    let certificates = sandbox.certificates();
    let acceptor = certificates.make(Kind::WrongName).acceptor();
    let server = Server::start(&Mailbox::default()).implicit_tls_with(certificates, acceptor);
    for (name, status) in [("elsewhere.example", 0), ("nowhere.example", 76)] {
        let account = sandbox.account("it", &server.endpoint());
        let name = format!("{name:?}");
        account.set("tls_server_name", &name).write();
        sandbox.run(&["sync"]).ends_with(status);
        std::fs::remove_file(sandbox.home(".config/popfetch/config.toml")).expect("our own file");
    }
}

/// What the second look tells of a certificate is true only of the one that was refused.
#[test]
fn a_refused_certificate_is_looked_at_again_under_the_name_it_was_asked_for_by() {
    for tls in ["implicit", "starttls"] {
        let sandbox = Sandbox::new();
        let certificates = sandbox.certificates();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        let mut builder = certificates
            .make(Kind::WrongName)
            .builder(SslVersion::TLS1_3);
        builder.set_servername_callback(move |ssl, _| {
            let name = ssl.servername(NameType::HOST_NAME).map(str::to_owned);
            heard.lock().expect("not poisoned").push(name);
            Ok(())
        });
        let server = Server::start(&Mailbox::default());
        let server = match tls {
            "implicit" => server.implicit_tls_with(certificates, builder.build()),
            _ => server.stls_with(certificates, builder.build()),
        };
        let account = sandbox.account("it", &server.endpoint());
        account
            .set("tls_server_name", "\"nowhere.example\"")
            .write();
        let outcome = sandbox.run(&["sync"]);
        outcome
            .ends_with(76)
            .complains("made for elsewhere.example");
        no_login(&server.sessions());
        let asked = asked.lock().expect("not poisoned");
        let name = Some("nowhere.example".to_owned());
        assert!(
            asked.len() > 1 && asked.iter().all(|it| *it == name),
            "{asked:?}"
        );
    }
}

#[test]
fn a_client_certificate_is_shown_to_servers_that_ask_and_logs_in() {
    let sandbox = Sandbox::new();
    let certificates = sandbox.certificates();
    let mailbox = Mailbox::with(small(1));
    let server = Server::start(&mailbox)
        .implicit_tls_with(certificates, certificates.wanting_clients())
        .mechanisms("EXTERNAL");
    let user = certificates.make(Kind::User(USER));
    let quoted = |path: &std::path::Path| format!("{:?}", path.display().to_string());
    let pem = (quoted(&user.certificate_file), Some(quoted(&user.key_file)));
    let pkcs12 = (quoted(&user.pkcs12()), None);
    for (certificate, key) in [pem, pkcs12] {
        let account = sandbox.account("it", &server.endpoint());
        // There is no password, and none is asked for.
        let mut account = account
            .without("password_file")
            .set("auth", "\"external\"")
            .set("client_cert", &certificate);
        if let Some(key) = &key {
            account = account.set("client_key", key);
        }
        account.write();
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
        sandbox.mail("it").holds(mailbox.stored_forms());
        std::fs::remove_file(sandbox.home(".config/popfetch/config.toml")).expect("our own file");
    }
}

#[test]
fn a_server_that_wants_a_client_certificate_and_gets_none_is_understood() {
    let sandbox = Sandbox::new();
    let certificates = sandbox.certificates();
    let server = Server::start(&Mailbox::default())
        .implicit_tls_with(certificates, certificates.wanting_clients());
    sandbox.account("it", &server.endpoint()).write();
    sandbox
        .run(&["sync"])
        .ends_with(76)
        .complains("client_cert");
    no_login(&server.sessions());
}

#[test]
fn only_the_field_for_hosts_names_one_and_only_so_far_as_it_says() {
    let refused = [
        (Kind::CommonName("pop.example.com"), "pop.example.com"),
        (Kind::For(b"*.com"), "example.com"),
        (Kind::For(b"*.com"), "pop.example.com"),
        (Kind::For(b"pop.*.com"), "pop.example.com"),
        (Kind::For(b"p*.example.com"), "pop.example.com"),
        (Kind::For(b"*.example.com"), "a.pop.example.com"),
        (
            Kind::For(b"pop.example.com\0.evil.example"),
            "pop.example.com",
        ),
        (
            Kind::CommonName("pop.example.com\0.evil.example"),
            "pop.example.com",
        ),
        (Kind::For(b"127.0.0.1"), "127.0.0.1"),
        (Kind::CommonName("127.0.0.1"), "127.0.0.1"),
    ];
    let accepted = [
        (Kind::For(b"*.example.com"), "pop.example.com"),
        (Kind::For(b"POP.Example.Com"), "pop.example.com"),
    ];
    let refused = refused.into_iter().map(|case| (case, 76));
    for ((kind, name), status) in refused.chain(accepted.into_iter().map(|case| (case, 0))) {
        let sandbox = Sandbox::new();
        let certificates = sandbox.certificates();
        let acceptor = certificates.make(kind).acceptor();
        let server = Server::start(&Mailbox::default()).implicit_tls_with(certificates, acceptor);
        let account = sandbox.account("it", &server.endpoint());
        account.set("tls_server_name", &format!("{name:?}")).write();
        let outcome = sandbox.run(&["sync"]);
        assert_eq!(
            outcome.status,
            Some(status),
            "{kind:?} for {name}: {outcome:#?}"
        );
        assert!(!outcome.stderr.contains('\0'));
        if status != 0 {
            no_login(&server.sessions());
        }
    }
}
