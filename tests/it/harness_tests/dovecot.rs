//! Dovecot runs here and gives back, byte for byte, what it was given.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use openssl::hash::{MessageDigest, hash};

use super::client::Client;
use crate::support::dovecot::{Dovecot, Port};
use crate::support::messages::{one_of_each, realistic};
use crate::support::sampling::sampled;
use crate::support::sandbox::Sandbox;
use crate::support::server::{PASSWORD, USER};

/// What Dovecot sends of a message: a line end is added where there is none, even to no octet at all.
fn sent(wire: &[u8]) -> Vec<u8> {
    let end: &[u8] = if wire.ends_with(b"\r\n") {
        b""
    } else {
        b"\r\n"
    };
    [wire, end].concat()
}

#[test]
fn every_port_gives_every_shape_of_message() {
    let sandbox = Sandbox::new();
    let originals = one_of_each();
    let mut dovecot = Dovecot::start(sandbox.certificates());
    dovecot.fill(&originals);
    for port in [Port::Implicit, Port::StartTls, Port::Plain] {
        let mut client = Client::log_in(&dovecot.endpoint(port));
        for (number, original) in (1..).zip(&originals) {
            assert!(client.ask(&format!("RETR {number}")).starts_with("+OK"));
            assert!(
                client.message() == sent(original),
                "message {number}, {port:?}"
            );
        }
        client.ask("QUIT");
    }
    dovecot.logs(&format!("user=<{USER}>"));
}

#[test]
fn many_messages_come_in_one_flight() {
    let count = sampled(500, 5_000);
    let sandbox = Sandbox::new();
    let mut dovecot = Dovecot::start(sandbox.certificates());
    dovecot.fill(realistic(count));
    let mut client = Client::log_in(&dovecot.endpoint(Port::Implicit));
    assert!(client.ask("STAT").starts_with(&format!("+OK {count} ")));
    let numbers: Vec<usize> = (1..=count).collect();
    let mut originals = realistic(count);
    for flight in numbers.chunks(250) {
        let commands = flight.iter().map(|number| format!("RETR {number}\r\n"));
        client.send(commands.collect::<String>());
        for number in flight {
            assert!(client.line().starts_with("+OK"));
            let original = originals.next().unwrap_or_default();
            assert!(client.message() == sent(&original), "message {number}");
        }
    }
    client.ask("DELE 1");
    client.ask("QUIT");
    assert_eq!(dovecot.messages(), count - 1);
}

#[test]
fn every_mechanism_is_there() {
    let sandbox = Sandbox::new();
    let dovecot = Dovecot::start(sandbox.certificates());
    let endpoint = dovecot.endpoint(Port::Plain);

    let mut client = Client::connect_only(&endpoint);
    let greeting = client.line();
    let stamp = &greeting[greeting.find('<').expect("a stamp")..];
    let digest = hash(
        MessageDigest::md5(),
        format!("{stamp}{PASSWORD}").as_bytes(),
    );
    let digest = digest.expect("OpenSSL knows MD5");
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(
        client
            .ask(&format!("APOP {USER} {digest}"))
            .starts_with("+OK")
    );
    drop(client);

    let mut client = Client::connect(&endpoint);
    client.ask("CAPA");
    let capabilities = client.lines();
    assert!(
        capabilities.iter().any(|line| line
            == "SASL PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 EXTERNAL XOAUTH2 OAUTHBEARER"),
        "{capabilities:?}"
    );
    let response = BASE64_STANDARD.encode(format!("\0{USER}\0{PASSWORD}"));
    assert_eq!(client.ask("AUTH PLAIN"), "+");
    assert!(client.ask(&response).starts_with("+OK"));
}
