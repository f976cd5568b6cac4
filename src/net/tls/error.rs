//! What OpenSSL says when something is wrong, in plain words and with what to do about it.
//!
//! native-tls gives no codes, only OpenSSL's text: `error:0A000086:SSL routines:FUNCTION:REASON:FILE:LINE:DATA`,
//! and behind it, in parentheses, what was found wrong with the certificate.

use std::io;

use super::certificate::Certificate;
use super::version::TlsVersion;
use crate::error::{Failure, Kind};
use crate::text::Untrusted;

/// Something that goes wrong often enough to have words of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TlsError {
    OtherName,
    OtherAddress,
    Expired(Whose),
    NotYetValid(Whose),
    SelfSigned,
    UnknownIssuer,
    Weak,
    Purpose,
    Revoked,
    OldVersion,
    NotTls,
    Closed,
    ClientCertificate,
    NameNotServed,
    NothingInCommon,
}

/// Whose certificate is out of its time. OpenSSL's text does not say it: who has seen the server's own
/// knows more ([`explained`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Unknown,
    Servers,
    Issuers,
}

impl Whose {
    fn certificate(self, host: &str) -> String {
        match self {
            Whose::Unknown => format!("the certificate of {host}, or one that vouches for it,"),
            Whose::Servers => format!("the certificate of {host}"),
            Whose::Issuers => format!("a certificate that vouches for that of {host}"),
        }
    }
}

/// The texts of OpenSSL 1.1.1 to 3.x that mean each. The first that occurs decides.
const SIGNS: &[(&str, TlsError)] = &[
    ("hostname mismatch", TlsError::OtherName),
    ("ip address mismatch", TlsError::OtherAddress),
    ("certificate has expired", TlsError::Expired(Whose::Unknown)),
    (
        "certificate is not yet valid",
        TlsError::NotYetValid(Whose::Unknown),
    ),
    // "In certificate chain": the server sent its root along, and we do not know that.
    (
        "signed certificate in certificate chain",
        TlsError::UnknownIssuer,
    ),
    ("self-signed certificate", TlsError::SelfSigned),
    ("self signed certificate", TlsError::SelfSigned),
    ("issuer certificate", TlsError::UnknownIssuer),
    (
        "unable to verify the first certificate",
        TlsError::UnknownIssuer,
    ),
    ("certificate revoked)", TlsError::Revoked),
    ("key too weak", TlsError::Weak),
    ("md too weak", TlsError::Weak),
    ("key too small", TlsError::Weak),
    ("certificate purpose", TlsError::Purpose),
    ("alert protocol version", TlsError::OldVersion),
    ("unsupported protocol", TlsError::OldVersion),
    ("legacy sigalg", TlsError::OldVersion),
    ("wrong version number", TlsError::NotTls),
    ("unexpected eof", TlsError::Closed),
    ("alert close notify", TlsError::Closed),
    ("alert certificate required", TlsError::ClientCertificate),
    ("alert bad certificate", TlsError::ClientCertificate),
    ("alert unsupported certificate", TlsError::ClientCertificate),
    ("alert certificate revoked", TlsError::ClientCertificate),
    ("alert certificate expired", TlsError::ClientCertificate),
    ("alert certificate unknown", TlsError::ClientCertificate),
    ("alert unknown ca", TlsError::ClientCertificate),
    ("unrecognized name", TlsError::NameNotServed),
    ("alert handshake failure", TlsError::NothingInCommon),
    ("alert insufficient security", TlsError::NothingInCommon),
];

impl TlsError {
    fn find(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        SIGNS
            .iter()
            .find(|(sign, _)| text.contains(sign))
            .map(|&(_, error)| error)
    }

    fn message(self, host: &str, name: &str) -> String {
        match self {
            TlsError::OtherName => {
                format!("the server's certificate is not made for the name {name}")
            }
            TlsError::OtherAddress => {
                format!("the server's certificate is not made for the address {name}")
            }
            TlsError::Expired(whose) => format!("{} has expired", whose.certificate(host)),
            TlsError::NotYetValid(whose) => {
                format!("{} is not valid yet", whose.certificate(host))
            }
            TlsError::SelfSigned => {
                format!("the certificate of {host} is self-signed, and not trusted here")
            }
            TlsError::UnknownIssuer => {
                format!("the certificate of {host} was issued by somebody who is not trusted here")
            }
            TlsError::Weak => format!("{host} uses a key or a signature too weak to be trusted"),
            TlsError::Purpose => format!("the certificate of {host} is not meant for a server"),
            TlsError::Revoked => format!("the certificate of {host} has been revoked"),
            TlsError::OldVersion => format!("{host} speaks only versions of TLS older than 1.2"),
            TlsError::NotTls => format!("{host} does not speak TLS on this port"),
            TlsError::Closed => format!("{host} closed the connection during the TLS handshake"),
            TlsError::ClientCertificate => {
                format!("{host} wants a client certificate, and got none that it accepts")
            }
            TlsError::NameNotServed => format!("{host} has no certificate for the name {name}"),
            TlsError::NothingInCommon => {
                format!("{host} and this machine have no secure way of TLS in common")
            }
        }
    }

    /// Whether it is about the server's certificate, so that a look at that tells more.
    fn kind(self) -> Kind {
        match self {
            TlsError::OtherName
            | TlsError::OtherAddress
            | TlsError::Expired(_)
            | TlsError::NotYetValid(_)
            | TlsError::SelfSigned
            | TlsError::UnknownIssuer
            | TlsError::Weak
            | TlsError::Purpose
            | TlsError::Revoked => Kind::Certificate,
            TlsError::OldVersion
            | TlsError::NotTls
            | TlsError::Closed
            | TlsError::ClientCertificate
            | TlsError::NameNotServed
            | TlsError::NothingInCommon => Kind::Tls,
        }
    }

    fn hint(self) -> &'static str {
        match self {
            TlsError::OtherName | TlsError::NameNotServed => {
                "Use the name that the server's certificate is made for as its host; your provider says which."
            }
            TlsError::OtherAddress => "Use the server's name as its host instead of its address.",
            TlsError::Expired(Whose::Issuers) => {
                "Whoever runs the server must have it send the one that is in force now. If only this machine \
                 complains, check its clock, and whether its package ca-certificates is up to date."
            }
            TlsError::Expired(_) => {
                "Whoever runs the server must renew it. If only this machine complains, check its clock."
            }
            TlsError::NotYetValid(_) => "Check this machine's clock.",
            TlsError::SelfSigned => {
                "If you run the server or got its certificate from whoever does, name that file as `ca_file`. \
                 If whoever runs it confirms the fingerprint, name that as `tls_fingerprints`."
            }
            TlsError::UnknownIssuer => {
                "If the issuer is your organisation, name its root certificate as `ca_file`. Otherwise the \
                 server may not send its intermediate certificate, or this machine lacks the package ca-certificates. \
                 If whoever runs the server confirms the fingerprint, name that as `tls_fingerprints`."
            }
            TlsError::Weak | TlsError::Purpose | TlsError::Revoked | TlsError::OldVersion => {
                "Whoever runs the server must put that right."
            }
            TlsError::NotTls => PLAIN_PORT,
            TlsError::Closed => {
                "Try again later; if it stays, check that host and port are those of a POP3 server with TLS."
            }
            TlsError::ClientCertificate => {
                "Ask whoever runs the server how to get one, and name it as `client_cert`."
            }
            TlsError::NothingInCommon => {
                "Whoever runs the server must allow current methods, or this machine's OpenSSL settings exclude them."
            }
        }
    }
}

const PLAIN_PORT: &str = "The port may be one for plain POP3: set `tls = \"starttls\"` (port 110), \
                          or use the port for TLS, usually 995.";

/// The failure that OpenSSL's text stands for. `host` is whom we talk to, ready to be shown;
/// `name` is what its certificate must be made for.
pub(in crate::net) fn failure(text: &str, host: &str, name: &str) -> Failure {
    log::debug!("TLS with {host}: {text}");
    match TlsError::find(text) {
        Some(error) => said(error, host, name),
        None => Failure::new(
            kind_of_the_rest(text),
            format!("TLS with {host} failed: {}", reason(text)),
        ),
    }
}

/// OpenSSL finds more wrong with certificates than there are words for here.
fn kind_of_the_rest(text: &str) -> Kind {
    match text.contains("certificate verify failed") {
        true => Kind::Certificate,
        false => Kind::Tls,
    }
}

/// The same for a handshake in which no version below `least` was offered: then that may be the reason.
pub(in crate::net) fn handshake_failure(
    text: &str,
    host: &str,
    name: &str,
    least: TlsVersion,
) -> Failure {
    match (least, TlsError::find(text)) {
        // A server that knows nothing of 1.3 finds no version among ours, or else no cipher.
        (TlsVersion::V1_3, Some(TlsError::OldVersion | TlsError::NothingInCommon)) => {
            log::debug!("TLS with {host}: {text}");
            Failure::new(Kind::Tls, format!("{host} does not speak TLS {least}")).hint(
                "With tls_min_version = \"1.2\", the default, TLS 1.2 will do, which is safe too.",
            )
        }
        _ => failure(text, host, name),
    }
}

/// A refusal, now that the server's certificate is known: whether it is this one that is out of its time
/// or one above it, and what it says. `host` is who showed it, as a person wrote it.
#[must_use]
pub fn explained(failure: Failure, host: &str, certificate: &Certificate) -> Failure {
    let host = &Untrusted(host.as_bytes()).to_string();
    let whose = |is_its_own| match is_its_own {
        true => Whose::Servers,
        false => Whose::Issuers,
    };
    let is = |error: TlsError| failure.message() == error.message(host, host);
    let failure = if is(TlsError::Expired(Whose::Unknown)) {
        said(
            TlsError::Expired(whose(certificate.has_expired())),
            host,
            host,
        )
    } else if is(TlsError::NotYetValid(Whose::Unknown)) {
        said(
            TlsError::NotYetValid(whose(certificate.is_early())),
            host,
            host,
        )
    } else {
        failure
    };
    failure.hint(format!("The certificate of {host} is {certificate}."))
}

/// The server hung up during the handshake.
pub(in crate::net) fn closed(host: &str) -> Failure {
    said(TlsError::Closed, host, host)
}

fn said(error: TlsError, host: &str, name: &str) -> Failure {
    let name = Untrusted(name.as_bytes()).to_string();
    Failure::new(error.kind(), error.message(host, &name)).hint(error.hint())
}

/// The server's certificate is none of those that the account's owner named.
pub(super) fn not_pinned(host: &str, certificate: &Certificate) -> Failure {
    let message = format!("the certificate of {host} is none of those that tls_fingerprints names");
    Failure::new(Kind::Tls, message)
        .hint(format!("It is {certificate}."))
        .hint("It may have been renewed, or somebody in between shows another: ask whoever runs the server before you change the configuration.")
}

/// The server's certificate says nowhere which host it is for.
pub(super) fn names_no_host(host: &str) -> Failure {
    let message = format!("the certificate of {host} does not say which host it is for");
    Failure::new(Kind::Certificate, message)
        .hint("Whoever runs the server must get one with a subjectAltName; a common name has not been enough since 2011.")
}

/// The server answers TLS with plain text.
pub(in crate::net) fn speaks_plainly(host: &str, said: &[u8]) -> Failure {
    let failure = Failure::new(
        Kind::Tls,
        format!(
            "{host} does not speak TLS on this port: it said \"{}\"",
            Untrusted(said)
        ),
    );
    if said.starts_with(b"+OK") || said.starts_with(b"-ERR") {
        failure.hint(PLAIN_PORT)
    } else {
        failure.hint("Check that host and port are those of a POP3 server with TLS.")
    }
}

/// The server agreed to begin with TLS and went on in plain text.
pub(in crate::net) fn turned_plain(host: &str, said: &[u8]) -> Failure {
    Failure::new(
        Kind::Tls,
        format!(
            "{host} agreed to TLS and then said \"{}\" in plain text",
            Untrusted(said)
        ),
    )
    .hint("The server is broken, or somebody in between slips in answers; nothing secret was sent.")
}

/// The first line of what a server said first in a handshake, if it is no TLS: there a record begins
/// with 20 to 23.
pub(in crate::net) fn plain_text(first_words: &[u8]) -> Option<&[u8]> {
    first_words
        .first()
        .filter(|byte| (b' '..=b'~').contains(byte))?;
    first_words
        .split(|&byte| byte == b'\r' || byte == b'\n')
        .next()
}

/// OpenSSL's own error for a connection that ended without TLS saying so first.
pub(in crate::net) fn is_end_of_file(error: &io::Error) -> bool {
    error.to_string().contains("unexpected eof")
}

/// OpenSSL's reason, without codes and the names of its source files.
pub(super) fn reason(text: &str) -> &str {
    let Some(entry) = text.strip_prefix("error:") else {
        return text;
    };
    // What was found wrong with the certificate says more than that something was.
    if let Some((_, verdict)) = entry.rsplit_once(": (")
        && let Some(verdict) = verdict.strip_suffix(')')
    {
        return verdict;
    }
    match entry.split(':').nth(3) {
        Some(reason) if !reason.is_empty() => reason,
        _ => "OpenSSL gives no reason",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testing::{
        AMPLE, Authority, Leaf, Server, connector_trusting, listen_to_the_end, self_signed,
    };
    use native_tls::{Identity, Protocol, TlsAcceptor};
    use std::io::{Read, Write};

    const NAME: &str = "pop.example.com";

    /// What comes of a handshake with a server of this identity, for somebody who trusts the authority.
    fn refusal(authority: &Authority, identity: Identity, name: &str) -> Failure {
        let server = Server::tls(identity, listen_to_the_end);
        let failure = server.secure(authority, name).unwrap_err();
        server.finish();
        assert_eq!(failure.kind(), Kind::Certificate, "{failure}");
        assert!(!failure.hints().is_empty());
        assert!(!failure.to_string().contains(".c:"), "{failure}");
        failure
    }

    #[test]
    fn a_certificate_for_another_name_is_refused_and_the_wanted_name_is_shown() {
        let authority = Authority::new("root");
        for made_for in ["imap.example.com", "*.com", "*.example.org", "example.com"] {
            let identity = authority.issue(&Leaf::good(made_for));
            assert_eq!(
                refusal(&authority, identity, NAME).to_string(),
                "the server's certificate is not made for the name pop.example.com"
            );
        }
    }

    #[test]
    fn an_address_needs_a_certificate_for_the_address() {
        let authority = Authority::new("root");
        let identity = authority.issue(&Leaf::good("127.0.0.1"));
        let server = Server::tls(identity, listen_to_the_end);
        drop(server.secure(&authority, "127.0.0.1").unwrap());
        server.finish();

        let identity = authority.issue(&Leaf::good("localhost"));
        let failure = refusal(&authority, identity, "[::1]");
        assert_eq!(
            failure.to_string(),
            "the server's certificate is not made for the address ::1"
        );
    }

    #[test]
    fn a_certificate_out_of_its_time_is_refused() {
        let authority = Authority::new("root");
        let with_days = |days| Leaf {
            days,
            ..Leaf::good(NAME)
        };
        let expired = authority.issue(&with_days(-5..-1));
        assert_eq!(
            refusal(&authority, expired, NAME).to_string(),
            "the certificate of pop.example.com, or one that vouches for it, has expired"
        );
        let early = authority.issue(&with_days(2..30));
        let failure = refusal(&authority, early, NAME);
        assert_eq!(
            failure.to_string(),
            "the certificate of pop.example.com, or one that vouches for it, is not valid yet"
        );
        assert!(failure.hints()[0].contains("clock"));
    }

    #[test]
    fn a_self_signed_certificate_is_refused_unless_the_ca_file_holds_it() {
        let (pem, identity) = self_signed(NAME);
        let failure = refusal(&Authority::new("root"), identity.clone(), NAME);
        assert_eq!(
            failure.to_string(),
            "the certificate of pop.example.com is self-signed, and not trusted here"
        );
        assert!(failure.hints()[0].contains("ca_file"));

        let server = Server::tls(identity, listen_to_the_end);
        let stream = server.stream(AMPLE).secure(&connector_trusting(&pem), NAME);
        drop(stream.unwrap());
        server.finish();
    }

    #[test]
    fn an_unknown_issuer_is_refused_with_a_hint_at_the_ca_file() {
        let identity = Authority::new("a stranger").issue(&Leaf::good(NAME));
        let failure = refusal(&Authority::new("root"), identity, NAME);
        assert_eq!(
            failure.to_string(),
            "the certificate of pop.example.com was issued by somebody who is not trusted here"
        );
        assert!(failure.hints()[0].contains("ca_file"));
    }

    #[test]
    fn a_certificate_that_is_not_for_servers_is_refused() {
        let authority = Authority::new("root");
        let identity = authority.issue(&Leaf {
            for_servers: false,
            ..Leaf::good(NAME)
        });
        assert_eq!(
            refusal(&authority, identity, NAME).to_string(),
            "the certificate of pop.example.com is not meant for a server"
        );
    }

    #[test]
    fn a_server_that_stopped_at_tls_1_1_is_refused() {
        let authority = Authority::new("root");
        let acceptor = TlsAcceptor::builder(authority.issue(&Leaf::good(NAME)))
            .min_protocol_version(Some(Protocol::Tlsv10))
            .max_protocol_version(Some(Protocol::Tlsv11))
            .build()
            .unwrap();
        let server = Server::new(move |connection| drop(acceptor.accept(connection)));
        let failure = server.secure(&authority, NAME).unwrap_err();
        server.finish();
        assert_eq!(failure.kind(), Kind::Tls);
        assert_eq!(
            failure.to_string(),
            "pop.example.com speaks only versions of TLS older than 1.2"
        );
    }

    #[test]
    fn where_1_3_is_the_least_a_server_without_it_is_told_from_one_that_has_nothing_to_offer() {
        let alert = |what| format!("error:0A000410:SSL routines:ssl3_read_bytes:{what}:f.c:1:");
        let said = |least, what| handshake_failure(&alert(what), NAME, NAME, least).to_string();
        // The second is all that a server can say that knows nothing of 1.3.
        for what in [
            "tlsv1 alert protocol version",
            "sslv3 alert handshake failure",
        ] {
            let told = said(TlsVersion::V1_3, what);
            assert_eq!(told, "pop.example.com does not speak TLS 1.3");
            assert_ne!(said(TlsVersion::V1_2, what), told);
        }
        let certificate = said(TlsVersion::V1_3, "tlsv1 alert unknown ca");
        assert!(certificate.contains("client certificate"), "{certificate}");
    }

    #[test]
    fn a_server_that_speaks_plain_pop3_is_quoted_and_the_right_port_is_hinted_at() {
        let server = Server::new(|mut connection| {
            connection.write_all(b"+OK ready \x1b[2J\r\n").unwrap();
            listen_to_the_end(connection);
        });
        let failure = server.secure(&Authority::new("root"), NAME).unwrap_err();
        server.finish();
        assert_eq!(failure.kind(), Kind::Tls);
        assert_eq!(
            failure.to_string(),
            "pop.example.com does not speak TLS on this port: it said \"+OK ready \\x1b[2J\""
        );
        assert!(failure.hints()[0].contains("starttls"));
    }

    #[test]
    fn another_protocol_is_quoted_without_talk_of_pop3_ports() {
        let server = Server::new(|mut connection| {
            connection
                .write_all(b"220 mail.example.com ESMTP\r\n")
                .unwrap();
            listen_to_the_end(connection);
        });
        let failure = server.secure(&Authority::new("root"), NAME).unwrap_err();
        server.finish();
        assert!(
            failure
                .message()
                .ends_with("\"220 mail.example.com ESMTP\""),
            "{failure}"
        );
        assert!(!failure.hints()[0].contains("starttls"));
    }

    #[test]
    fn a_server_that_hangs_up_during_the_handshake_is_said_to() {
        let server = Server::new(|mut connection| {
            let mut hello = [0; 1024];
            assert!(connection.read(&mut hello).unwrap() > 0);
        });
        let failure = server.secure(&Authority::new("root"), NAME).unwrap_err();
        server.finish();
        assert_eq!(failure.kind(), Kind::Tls);
        assert_eq!(
            failure.to_string(),
            "pop.example.com closed the connection during the TLS handshake"
        );
    }

    #[test]
    fn a_reason_has_no_codes_and_no_source_files() {
        let alert = "error:0A000438:SSL routines:ssl3_read_bytes:tlsv1 alert internal error:\
                     ../ssl/record/rec_layer_s3.c:1592:SSL alert number 80";
        assert_eq!(reason(alert), "tlsv1 alert internal error");
        let verdict = "error:0A000086:SSL routines:tls_post_process_server_certificate:certificate verify \
                       failed:../ssl/statem/statem_clnt.c:1889: (path length constraint exceeded)";
        assert_eq!(reason(verdict), "path length constraint exceeded");
        assert_eq!(reason("unexpected EOF"), "unexpected EOF");
        assert_eq!(reason("error:1:lib:function"), "OpenSSL gives no reason");
        assert_eq!(
            failure(alert, "pop.example.com", "pop.example.com").message(),
            "TLS with pop.example.com failed: tlsv1 alert internal error"
        );
        let kind = |text| failure(text, NAME, NAME).kind();
        assert_eq!(kind(alert), Kind::Tls);
        assert_eq!(kind(verdict), Kind::Certificate);
    }

    #[test]
    fn both_spellings_of_self_signed_are_known() {
        let error = |text| TlsError::find(text);
        assert_eq!(
            error("(self signed certificate)"),
            Some(TlsError::SelfSigned)
        );
        assert_eq!(
            error("(self-signed certificate)"),
            Some(TlsError::SelfSigned)
        );
        assert_eq!(
            error("(self-signed certificate in certificate chain)"),
            Some(TlsError::UnknownIssuer)
        );
    }

    #[test]
    fn a_servers_alert_about_our_certificate_is_not_taken_for_a_verdict_on_its_own() {
        for alert in [
            "sslv3 alert certificate expired",
            "sslv3 alert certificate revoked",
            "tlsv13 alert certificate required",
        ] {
            let text = format!("error:0A000415:SSL routines:ssl3_read_bytes:{alert}:f.c:1:");
            assert_eq!(
                TlsError::find(&text),
                Some(TlsError::ClientCertificate),
                "{alert}"
            );
        }
    }

    #[test]
    fn plain_text_is_told_from_tls_by_its_first_byte() {
        assert_eq!(plain_text(b"+OK ready\r\nmore"), Some(&b"+OK ready"[..]));
        assert_eq!(plain_text(b"\x15\x03\x01\x00\x02\x02\x46"), None);
        assert_eq!(plain_text(b""), None);
    }
}
