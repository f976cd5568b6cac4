//! From OpenSSL's error codes to what went wrong.

use std::error::Error as _;
use std::fmt;
use std::io;

use openssl::error::ErrorStack;
use openssl::ssl;

use super::certificate::Certificate;
use super::policy::TlsVersion;
use crate::net::Error;
use crate::text::Untrusted;

/// The number of OpenSSL's TLS library (`ERR_LIB_SSL`).
const ERR_LIB_SSL: i32 = 20;

/// OpenSSL's reason for an alert of the server is this and the number of the alert (`SSL_AD_REASON_OFFSET`).
const ALERT: i32 = 1000;

/// OpenSSL refused the server's certificate (`SSL_R_CERTIFICATE_VERIFY_FAILED`).
const CERTIFICATE_VERIFY_FAILED: i32 = 134;

/// What goes wrong with TLS often enough to have words of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsProblem {
    /// The server knows no version that is new enough.
    OldVersion,
    /// What the server sent is not TLS.
    NotTls,
    /// The server closed the connection during the handshake.
    Closed,
    /// The server requires a client certificate, and got none that it accepts.
    ClientCertificate,
    /// The server has no certificate for this name.
    NameNotServed,
    /// Server and client have no method in common.
    NothingInCommon,
}

impl TlsProblem {
    pub(in crate::net) fn message(self, host: &str, name: &str) -> String {
        match self {
            TlsProblem::OldVersion => format!("{host} speaks only versions of TLS older than 1.2"),
            TlsProblem::NotTls => format!("{host} does not speak TLS on this port"),
            TlsProblem::Closed => format!("{host} closed the connection during the TLS handshake"),
            TlsProblem::ClientCertificate => {
                format!("{host} wants a client certificate, and got none that it accepts")
            }
            TlsProblem::NameNotServed => format!("{host} has no certificate for the name {name}"),
            TlsProblem::NothingInCommon => {
                format!("no common TLS version or cipher suite with {host}")
            }
        }
    }
}

/// What is wrong with a server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateProblem {
    /// It is made for other names.
    OtherName,
    /// It is made for other addresses.
    OtherAddress,
    /// It does not say which host it is for.
    NoName,
    /// It, or one that signed it, has expired.
    Expired,
    /// It, or one that signed it, is not valid yet.
    NotYetValid,
    /// It signed itself.
    SelfSigned,
    /// Its issuer is not trusted.
    UnknownIssuer,
    /// A key or a signature is too weak.
    Weak,
    /// It is not meant for a server.
    WrongPurpose,
    /// Something else, in OpenSSL's words.
    Other(String),
}

/// A server's certificate that is not trusted.
#[derive(Debug)]
pub struct CertificateError {
    /// The server.
    pub host: String,
    /// The name that the certificate must be made for.
    pub name: String,
    /// What is wrong with it.
    pub problem: CertificateProblem,
    /// The certificate, if another connection had a look at it: a refusal does not show it.
    pub certificate: Option<Certificate>,
}

impl CertificateError {
    /// Whether the server's own certificate is out of its time, not one that signed it; none where that is unknown.
    pub(crate) fn is_servers_own(&self) -> Option<bool> {
        let certificate = self.certificate.as_ref()?;
        Some(match self.problem {
            CertificateProblem::Expired => certificate.has_expired(),
            CertificateProblem::NotYetValid => certificate.is_early(),
            _ => true,
        })
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CertificateError { host, name, .. } = self;
        let out_of_time = match self.is_servers_own() {
            None => format!("the certificate of {host}, or one that signed it,"),
            Some(true) => format!("the certificate of {host}"),
            Some(false) => format!("an intermediate or CA certificate of {host}"),
        };
        match &self.problem {
            CertificateProblem::OtherName => {
                write!(
                    f,
                    "the server's certificate is not made for the name {name}"
                )
            }
            CertificateProblem::OtherAddress => {
                write!(
                    f,
                    "the server's certificate is not made for the address {name}"
                )
            }
            CertificateProblem::NoName => {
                write!(
                    f,
                    "the certificate of {host} does not say which host it is for"
                )
            }
            CertificateProblem::Expired => write!(f, "{out_of_time} has expired"),
            CertificateProblem::NotYetValid => write!(f, "{out_of_time} is not valid yet"),
            CertificateProblem::SelfSigned => {
                write!(
                    f,
                    "the certificate of {host} is self-signed, and not trusted here"
                )
            }
            CertificateProblem::UnknownIssuer => {
                write!(
                    f,
                    "the issuer of the certificate of {host} is not trusted here"
                )
            }
            CertificateProblem::Weak => {
                write!(f, "{host} uses a key or a signature too weak to be trusted")
            }
            CertificateProblem::WrongPurpose => {
                write!(f, "the certificate of {host} is not meant for a server")
            }
            CertificateProblem::Other(reason) => write!(f, "TLS with {host} failed: {reason}"),
        }
    }
}

impl std::error::Error for CertificateError {}

/// What one of OpenSSL's reasons stands for.
enum Reason {
    Problem(TlsProblem),
    RefusedCertificate,
    WeakKey,
}

impl Reason {
    /// The first one in the stack that is known.
    fn find(stack: &ErrorStack) -> Option<Self> {
        let errors = stack.errors().iter();
        let mut of_tls = errors.filter(|error| error.library_code() == ERR_LIB_SSL);
        of_tls.find_map(|error| Reason::of(error.reason_code()))
    }

    fn of(code: i32) -> Option<Self> {
        Some(match code {
            CERTIFICATE_VERIFY_FAILED => Reason::RefusedCertificate,
            // Keys: of Diffie-Hellman, of an authority, of the server; and an authority's signature.
            394 | 397 | 398 | 399 => Reason::WeakKey,
            // `SSL_R_UNSUPPORTED_PROTOCOL`, and signatures that only old versions have.
            258 | 333 => Reason::Problem(TlsProblem::OldVersion),
            // `SSL_R_WRONG_VERSION_NUMBER`: that is not even the beginning of TLS.
            267 => Reason::Problem(TlsProblem::NotTls),
            _ => Reason::Problem(of_alert(code - ALERT)?),
        })
    }
}

/// What an alert of the server's (RFC 8446 section 6) is about.
fn of_alert(alert: i32) -> Option<TlsProblem> {
    Some(match alert {
        // handshake_failure, insufficient_security
        40 | 71 => TlsProblem::NothingInCommon,
        // Alerts about a certificate are about ours: bad, unsupported, revoked, expired, unknown, of an unknown CA,
        // required.
        42..=46 | 48 | 116 => TlsProblem::ClientCertificate,
        // protocol_version
        70 => TlsProblem::OldVersion,
        // unrecognized_name
        112 => TlsProblem::NameNotServed,
        _ => return None,
    })
}

/// Why a handshake failed in which no version below `least` was offered. `host` is the server, ready to be shown; `name`
/// is what its certificate must be made for.
pub(in crate::net) fn handshake_error(
    error: &native_tls::Error,
    host: &str,
    name: &str,
    least: TlsVersion,
) -> Error {
    log::debug!("TLS with {host}: {error}");
    let stack = error.source().and_then(|source| source.downcast_ref());
    let reason = stack.and_then(Reason::find);
    match (reason, stack) {
        // A server that knows nothing of 1.3 finds no version among ours, or else no cipher.
        (Some(Reason::Problem(TlsProblem::OldVersion | TlsProblem::NothingInCommon)), Some(_))
            if least == TlsVersion::V1_3 =>
        {
            Error::OldTls {
                host: host.to_owned(),
                least,
            }
        }
        (Some(Reason::Problem(problem)), _) => known(problem, host, name),
        (Some(Reason::RefusedCertificate), Some(stack)) => {
            refused(CertificateProblem::of(&verdict(error, stack)), host, name)
        }
        (Some(_), _) => refused(CertificateProblem::Weak, host, name),
        (None, Some(stack)) => other(stack, host),
        (None, None) => Error::OtherTls {
            host: host.to_owned(),
            reason: error.to_string(),
        },
    }
}

/// Why reading or writing failed on a connection under TLS.
pub(in crate::net) fn stream_error(error: &io::Error, host: &str) -> Error {
    log::debug!("TLS with {host}: {error}");
    let error = error.get_ref().and_then(|error| error.downcast_ref());
    let stack = error.and_then(ssl::Error::ssl_error);
    match (stack.and_then(Reason::find), stack) {
        (Some(Reason::Problem(problem)), _) => known(problem, host, host),
        (_, Some(stack)) => other(stack, host),
        (_, None) => Error::OtherTls {
            host: host.to_owned(),
            reason: NO_REASON.to_owned(),
        },
    }
}

const NO_REASON: &str = "OpenSSL gives no reason";

pub(in crate::net) fn known(problem: TlsProblem, host: &str, name: &str) -> Error {
    Error::Tls {
        host: host.to_owned(),
        name: Untrusted(name.as_bytes()).to_string(),
        problem,
    }
}

pub(super) fn refused(problem: CertificateProblem, host: &str, name: &str) -> Error {
    Error::Certificate(Box::new(CertificateError {
        host: host.to_owned(),
        name: Untrusted(name.as_bytes()).to_string(),
        problem,
        certificate: None,
    }))
}

fn other(stack: &ErrorStack, host: &str) -> Error {
    Error::OtherTls {
        host: host.to_owned(),
        reason: reason(stack).to_owned(),
    }
}

/// OpenSSL's reason, without codes and the names of its source files.
pub(super) fn reason(stack: &ErrorStack) -> &'static str {
    let first = stack.errors().first();
    first.and_then(|error| error.reason()).unwrap_or(NO_REASON)
}

/// What OpenSSL found wrong with the server's certificate, in its words. It has a code for that
/// (`X509VerifyResult`), which native-tls hides: only the text of its error ends with it, in parentheses.
fn verdict(error: &native_tls::Error, stack: &ErrorStack) -> String {
    let text = error.to_string();
    let verdict = text.strip_prefix(&stack.to_string());
    let verdict = verdict.and_then(|rest| rest.strip_prefix(" (")?.strip_suffix(')'));
    verdict.unwrap_or(NO_REASON).to_owned()
}

impl CertificateProblem {
    /// What a verdict of OpenSSL 1.1.1 to 3.x means.
    fn of(verdict: &str) -> Self {
        let text = verdict.to_ascii_lowercase();
        let known = VERDICTS.iter().find(|(part, _)| text.contains(part));
        match known {
            Some((_, problem)) => problem.clone(),
            None => CertificateProblem::Other(verdict.to_owned()),
        }
    }
}

/// Parts of the verdicts, which differ between versions. The first that occurs decides.
const VERDICTS: &[(&str, CertificateProblem)] = &[
    ("hostname mismatch", CertificateProblem::OtherName),
    ("ip address mismatch", CertificateProblem::OtherAddress),
    ("certificate has expired", CertificateProblem::Expired),
    (
        "certificate is not yet valid",
        CertificateProblem::NotYetValid,
    ),
    // The server sent its root along, and we do not know that.
    (
        "signed certificate in certificate chain",
        CertificateProblem::UnknownIssuer,
    ),
    ("self-signed certificate", CertificateProblem::SelfSigned),
    ("self signed certificate", CertificateProblem::SelfSigned),
    ("issuer certificate", CertificateProblem::UnknownIssuer),
    (
        "unable to verify the first certificate",
        CertificateProblem::UnknownIssuer,
    ),
    ("key too weak", CertificateProblem::Weak),
    ("digest algorithm too weak", CertificateProblem::Weak),
    ("certificate purpose", CertificateProblem::WrongPurpose),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Failure, Kind};
    use crate::net::testing::{
        AMPLE, Authority, Leaf, Server, connector_trusting, listen_to_the_end, self_signed,
    };
    use crate::net::{Result, Stream, TlsConnector, TlsPolicy};
    use native_tls::{Identity, Protocol, TlsAcceptor};
    use openssl::pkey::{PKey, Private};
    use openssl::rsa::Rsa;
    use openssl::ssl::{SslAcceptor, SslAcceptorBuilder, SslMethod, SslVersion};
    use openssl::x509::X509;
    use std::io::{Read, Write};

    const NAME: &str = "pop.example.com";

    fn refused(secured: Result<Stream>) -> Failure {
        secured.unwrap_err().into()
    }

    /// What a handshake with a server of this identity ends with where the authority is trusted.
    fn refusal(authority: &Authority, identity: Identity, name: &str) -> Failure {
        let server = Server::tls(identity, listen_to_the_end);
        let failure = refused(server.secure(authority, name));
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
            "the certificate of pop.example.com, or one that signed it, has expired"
        );
        let early = authority.issue(&with_days(2..30));
        let failure = refusal(&authority, early, NAME);
        assert_eq!(
            failure.to_string(),
            "the certificate of pop.example.com, or one that signed it, is not valid yet"
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
            "the issuer of the certificate of pop.example.com is not trusted here"
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
        let failure = refused(server.secure(&authority, NAME));
        server.finish();
        assert_eq!(failure.kind(), Kind::Tls);
        assert_eq!(
            failure.to_string(),
            "pop.example.com speaks only versions of TLS older than 1.2"
        );
    }

    #[test]
    fn a_server_without_tls_1_3_is_not_taken_for_one_without_a_common_cipher() {
        let authority = Authority::new("root");
        for least in [TlsVersion::V1_2, TlsVersion::V1_3] {
            let mut acceptor = acceptor(&authority.issue_parts(&Leaf::good(NAME)));
            let version = SslVersion::TLS1_2;
            acceptor.set_max_proto_version(Some(version)).unwrap();
            acceptor.set_cipher_list("AES256-SHA").unwrap();
            let acceptor = acceptor.build();
            let server = Server::new(move |connection| drop(acceptor.accept(connection)));
            let policy = TlsPolicy {
                least,
                ..TlsPolicy::default()
            };
            let connector = TlsConnector::new(&policy).unwrap();
            let failure = refused(server.stream(AMPLE).secure(&connector, NAME));
            server.finish();
            let expected = match least {
                TlsVersion::V1_2 => "no common TLS version or cipher suite with pop.example.com",
                TlsVersion::V1_3 => "pop.example.com does not speak TLS 1.3",
            };
            assert_eq!(failure.to_string(), expected);
        }
    }

    /// A server's settings that refuse nothing.
    fn acceptor((certificate, key): &(X509, PKey<Private>)) -> SslAcceptorBuilder {
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
        acceptor.set_security_level(0);
        acceptor.set_certificate(certificate).unwrap();
        acceptor.set_private_key(key).unwrap();
        acceptor
    }

    #[test]
    fn a_root_that_the_server_sends_along_is_an_unknown_issuer() {
        let stranger = Authority::new("a stranger");
        let mut acceptor = acceptor(&stranger.issue_parts(&Leaf::good(NAME)));
        let root = X509::from_pem(&stranger.pem()).unwrap();
        acceptor.add_extra_chain_cert(root).unwrap();
        let acceptor = acceptor.build();
        let server = Server::new(move |connection| drop(acceptor.accept(connection)));
        let failure = refused(server.secure(&Authority::new("root"), NAME));
        server.finish();
        assert_eq!(
            failure.to_string(),
            "the issuer of the certificate of pop.example.com is not trusted here"
        );
    }

    #[test]
    fn a_key_that_is_too_weak_is_refused() {
        let authority = Authority::new("root");
        let key = PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap();
        let certificate = authority.issue_for(&Leaf::good(NAME), &key);
        let acceptor = acceptor(&(certificate, key)).build();
        let server = Server::new(move |connection| drop(acceptor.accept(connection)));
        let failure = refused(server.secure(&authority, NAME));
        server.finish();
        assert_eq!(failure.kind(), Kind::Certificate);
        assert_eq!(
            failure.to_string(),
            "pop.example.com uses a key or a signature too weak to be trusted"
        );
    }

    #[test]
    fn a_server_that_speaks_plain_pop3_is_quoted_and_the_right_port_is_hinted_at() {
        let server = Server::new(|mut connection| {
            connection.write_all(b"+OK ready \x1b[2J\r\n").unwrap();
            listen_to_the_end(connection);
        });
        let failure = refused(server.secure(&Authority::new("root"), NAME));
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
        let failure = refused(server.secure(&Authority::new("root"), NAME));
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
        let failure = refused(server.secure(&Authority::new("root"), NAME));
        server.finish();
        assert_eq!(failure.kind(), Kind::Tls);
        assert_eq!(
            failure.to_string(),
            "pop.example.com closed the connection during the TLS handshake"
        );
    }

    #[test]
    fn an_alert_without_words_of_its_own_is_given_in_those_of_openssl() {
        let server = Server::new(|mut connection| {
            let mut hello = [0; 1024];
            assert!(connection.read(&mut hello).unwrap() > 0);
            // A fatal alert: internal_error.
            connection
                .write_all(b"\x15\x03\x03\x00\x02\x02\x50")
                .unwrap();
            listen_to_the_end(connection);
        });
        let failure = refused(server.secure(&Authority::new("root"), NAME));
        server.finish();
        assert_eq!(failure.kind(), Kind::Tls);
        assert_eq!(
            failure.to_string(),
            "TLS with pop.example.com failed: tlsv1 alert internal error"
        );
    }

    #[test]
    fn a_verdict_without_words_of_its_own_is_about_the_certificate_all_the_same() {
        let problem = CertificateProblem::of("path length constraint exceeded");
        let failure = Failure::from(super::refused(problem, NAME, NAME));
        assert_eq!(failure.kind(), Kind::Certificate);
        assert_eq!(
            failure.to_string(),
            "TLS with pop.example.com failed: path length constraint exceeded"
        );
    }

    #[test]
    fn both_spellings_of_self_signed_are_known() {
        for (verdict, problem) in [
            ("self signed certificate", CertificateProblem::SelfSigned),
            ("self-signed certificate", CertificateProblem::SelfSigned),
            (
                "self-signed certificate in certificate chain",
                CertificateProblem::UnknownIssuer,
            ),
        ] {
            assert_eq!(CertificateProblem::of(verdict), problem);
        }
    }

    #[test]
    fn a_servers_alert_about_our_certificate_is_not_taken_for_a_verdict_on_its_own() {
        // Expired, revoked, required, of an unknown CA.
        for alert in [45, 44, 116, 48] {
            assert_eq!(of_alert(alert), Some(TlsProblem::ClientCertificate));
        }
    }
}
