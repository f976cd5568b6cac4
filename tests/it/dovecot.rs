//! The program against Dovecot.

use std::path::Path;

use serde_json::Value;

use crate::harness_tests::client::Client;
use crate::support::certificates::Kind;
use crate::support::dovecot::{Dovecot, Port, access_token};
use crate::support::messages::{one_of_each, realistic, small, stored_form};
use crate::support::readers::{digests, mutt, python_maildir};
use crate::support::sampling::sampled;
use crate::support::sandbox::Sandbox;
use crate::support::server::USER;

/// What is to be stored of a message that Dovecot sends: it ends each with a line end, even an empty one.
fn stored(wire: &[u8]) -> Vec<u8> {
    if wire.is_empty() {
        b"\n".to_vec()
    } else {
        stored_form(wire)
    }
}

#[test]
fn thousands_of_messages_arrive_over_tls_and_none_a_second_time() {
    let count = sampled(500, 5_000);
    let mut sandbox = Sandbox::new();
    sandbox.time_limit(std::time::Duration::from_secs(300));
    let mut dovecot = Dovecot::start(sandbox.certificates());
    dovecot.fill(realistic(count));
    let account = sandbox.account("it", &dovecot.endpoint(Port::Implicit));
    account.set("leave_on_server", "\"30d\"").write();
    let expected = digests(realistic(count).map(|wire| stored(&wire)));

    sandbox.at("2026-03-01T12:00:00Z");
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    assert_eq!(digests(sandbox.mail("it").texts()), expected);
    assert_eq!(python_maildir(&sandbox.mail("it").path), expected);
    assert_eq!(mutt(&sandbox.mail("it").path), expected);
    sandbox.mail("it").is_sound();

    let outcome = sandbox.run(&["sync", "--json"]);
    outcome.ends_with(0);
    assert_eq!(outcome.json()[0]["stored"]["messages"], 0);
    dovecot.logs("retr=0/0");

    dovecot.fill(small(7));
    sandbox.at("2026-03-20T12:00:00Z");
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.at("2026-03-31T12:00:01Z");
    let dry = sandbox.run(&["sync", "--dry-run", "--json"]);
    let plan = dry.json()[0]["plan"].as_array().expect("a plan").clone();
    let of = |key: &str, is: Value| plan.iter().filter(|line| line[key] == is).count();
    // Dovecot lists some as if they ended their last line: what came in another size is no less whole.
    assert_eq!(of("action", "delete".into()), count);
    sandbox.run(&["sync"]).ends_with(0);
    dovecot.logs(&format!("retr=0/0, del={count}/{}", count + 7));
    assert_eq!(dovecot.messages(), 7);
    assert_eq!(sandbox.mail("it").texts().len(), count + 7);
}

#[test]
fn every_mechanism_works_on_every_kind_of_connection() {
    for port in [Port::Implicit, Port::StartTls, Port::Plain] {
        let sandbox = Sandbox::new();
        let mut dovecot = Dovecot::start(sandbox.certificates());
        dovecot.fill(one_of_each());
        for auth in [
            "auto",
            "plain",
            "login",
            "user",
            "apop",
            "cram-md5",
            "scram-sha-1",
            "scram-sha-256",
        ] {
            let sandbox = Sandbox::new();
            let account = sandbox.account("it", &dovecot.endpoint(port));
            account.set("auth", &format!("{auth:?}")).write();
            sandbox.run(&["sync"]).ends_with(0).says_nothing();
            sandbox
                .mail("it")
                .holds(one_of_each().iter().map(|wire| stored(wire)));
        }
        if port != Port::Plain {
            assert!(
                !dovecot
                    .log()
                    .lines()
                    .any(|line| { line.contains("Login: user=") && !line.contains("TLS") })
            );
        }
    }
}

#[test]
fn a_certificate_logs_in_without_a_password() {
    for port in [Port::Implicit, Port::StartTls] {
        let sandbox = Sandbox::new();
        let certificates = sandbox.certificates();
        let mut dovecot = Dovecot::start(certificates);
        dovecot.fill(small(3));
        let user = certificates.make(Kind::User(USER));
        let path = |path: &Path| format!("{:?}", path.display().to_string());
        let account = sandbox.account("it", &dovecot.endpoint(port));
        account
            .without("password_file")
            .set("auth", "\"external\"")
            .set("client_cert", &path(&user.certificate_file))
            .set("client_key", &path(&user.key_file))
            .write();
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
        sandbox
            .mail("it")
            .holds(small(3).iter().map(|wire| stored(wire)));
        dovecot.logs("method=EXTERNAL");
    }
}

#[test]
fn access_tokens_log_in_until_they_expire() {
    for (auth, method) in [
        ("\"xoauth2\"", "method=XOAUTH2"),
        ("\"oauthbearer\"", "method=OAUTHBEARER"),
    ] {
        for (seconds, status) in [(600, 0), (-30, 77)] {
            let sandbox = Sandbox::new();
            let mut dovecot = Dovecot::start(sandbox.certificates());
            dovecot.fill(small(3));
            let mut endpoint = dovecot.endpoint(Port::Implicit);
            endpoint.password = access_token(USER, seconds);
            let account = sandbox.account("it", &endpoint).set("auth", auth);
            account.write();
            let outcome = sandbox.run(&["-vv", "sync"]);
            outcome
                .ends_with(status)
                .keeps_to_itself(&endpoint.password);
            match status {
                0 => {
                    sandbox
                        .mail("it")
                        .holds(small(3).iter().map(|wire| stored(wire)));
                    dovecot.logs(method);
                }
                _ => {
                    outcome.complains("it says \"{").complains("expire");
                }
            }
        }
    }
}

#[test]
fn never_empties_the_maildrop() {
    let sandbox = Sandbox::new();
    let mut dovecot = Dovecot::start(sandbox.certificates());
    dovecot.fill(small(60));
    let account = sandbox.account("it", &dovecot.endpoint(Port::Implicit));
    account.set("leave_on_server", "\"never\"").write();
    sandbox.run(&["sync"]).ends_with(0);
    sandbox
        .mail("it")
        .holds(small(60).iter().map(|wire| stored(wire)));
    assert_eq!(dovecot.messages(), 0);
}

#[test]
fn a_maildrop_in_use_ends_with_75() {
    let sandbox = Sandbox::new();
    let dovecot = Dovecot::start(sandbox.certificates());
    let endpoint = dovecot.endpoint(Port::Implicit);
    let holding = Client::log_in(&endpoint);
    sandbox
        .account("it", &endpoint)
        .set("timeout", "\"30s\"")
        .write();
    sandbox.run(&["sync"]).ends_with(75);
    drop(holding);
}

#[test]
fn a_wrong_password_ends_with_77() {
    let sandbox = Sandbox::new();
    let dovecot = Dovecot::start(sandbox.certificates());
    let mut endpoint = dovecot.endpoint(Port::Implicit);
    "wrong".clone_into(&mut endpoint.password);
    sandbox.account("it", &endpoint).write();
    sandbox
        .run(&["sync"])
        .ends_with(77)
        .keeps_to_itself("wrong\n");
}
