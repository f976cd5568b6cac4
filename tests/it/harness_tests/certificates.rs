//! Good certificates are good, and each bad one is bad for its own reason.

use std::process::{Command, Stdio};

use openssl::ssl::SslVersion;

use super::client::Client;
use crate::support::certificates::Kind;
use crate::support::mailbox::Mailbox;
use crate::support::sandbox::{Sandbox, mode};
use crate::support::server::Server;

#[test]
fn only_the_good_certificate_is_trusted() {
    let sandbox = Sandbox::new();
    let certificates = sandbox.certificates();
    for (kind, reason) in [
        (Kind::WrongName, "hostname mismatch"),
        (Kind::Expired, "certificate has expired"),
        (Kind::NotYetValid, "certificate is not yet valid"),
        (Kind::SelfSigned, "self-signed certificate"),
        (
            Kind::UnknownAuthority,
            "unable to get local issuer certificate",
        ),
    ] {
        let acceptor = certificates.make(kind).acceptor();
        let server = Server::start(&Mailbox::default()).implicit_tls_with(certificates, acceptor);
        let mut client = Client::connect_only(&server.endpoint());
        let refusal = client
            .handshake(&server.endpoint())
            .expect_err("a bad certificate");
        assert!(refusal.to_string().contains(reason), "{kind:?}: {refusal}");
    }
}

#[test]
fn an_old_server_knows_no_new_tls() {
    let sandbox = Sandbox::new();
    let certificates = sandbox.certificates();
    let acceptor = certificates
        .make(Kind::Good)
        .acceptor_up_to(SslVersion::TLS1_1);
    let server = Server::start(&Mailbox::default()).implicit_tls_with(certificates, acceptor);
    let endpoint = server.endpoint();
    let mut client = Client::connect_only(&endpoint);
    assert!(client.handshake(&endpoint).is_err());
    // Old TLS it does know.
    let address = format!("127.0.0.1:{}", endpoint.port);
    let old = Command::new("openssl")
        .args(["s_client", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"])
        .args(["-connect", &address])
        .stdin(Stdio::null())
        .output()
        .expect("openssl runs");
    let said = String::from_utf8_lossy(&old.stdout);
    assert!(said.contains("Protocol  : TLSv1.1"), "{old:?}");
}

#[test]
fn keys_are_private() {
    let sandbox = Sandbox::new();
    let certificate = sandbox.certificates().make(Kind::Good);
    assert_eq!(mode(&certificate.key_file), 0o600);
    assert_eq!(mode(&certificate.certificate_file), 0o600);
}
