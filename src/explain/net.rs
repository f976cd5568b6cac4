//! Connections to a server.

use super::explained;
use crate::error::{Failure, Kind};
use crate::net::{CertificateError, CertificateProblem, Error, PolicyError, TlsProblem};

const MORE_TIME: &str =
    "Try again later, or let `timeout` in the configuration give the server more time.";

const PLAIN_PORT: &str = "The port may be one for plain POP3: set `tls = \"starttls\"` (port 110), \
                          or use the port for TLS, usually 995.";

const CONVERT_PKCS12: &str = "Convert it with: openssl pkcs12 -in OLD -out NEW -noenc (and -legacy where OpenSSL calls it \
                              unsupported), and name NEW both as client_cert and as client_key.";

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let error = match error {
            // What is wrong with a secret file is the same for every layer.
            Error::Policy(PolicyError::Secret(error)) => return error.into(),
            error => error,
        };
        let (kind, hints) = (kind(&error), hints(&error));
        explained(kind, hints, error)
    }
}

fn kind(error: &Error) -> Kind {
    match error {
        Error::UnknownHost { .. } => Kind::HostUnknown,
        Error::Unreachable { .. } | Error::Lost { .. } => Kind::Unreachable,
        Error::ResolveTimeout { .. }
        | Error::ConnectTimeout { .. }
        | Error::ReadTimeout { .. }
        | Error::TooSlow { .. }
        | Error::WriteTimeout { .. }
        | Error::Cancelled { .. }
        | Error::Thread(_) => Kind::Temporary,
        Error::Policy(_) | Error::InvalidName { .. } => Kind::Config,
        Error::Certificate(_) => Kind::Certificate,
        Error::Setup { .. }
        | Error::AlreadyProtected { .. }
        | Error::DataBeforeHandshake { .. }
        | Error::PlainText { .. }
        | Error::PlainTextAfterAgreement { .. }
        | Error::OldTls { .. }
        | Error::Tls { .. }
        | Error::OtherTls { .. }
        | Error::NoCertificate { .. }
        | Error::NotPinned { .. } => Kind::Tls,
    }
}

fn hints(error: &Error) -> Vec<String> {
    let hint = match error {
        Error::UnknownHost { host, .. } => return of_unknown_host(host),
        Error::Certificate(error) => return of_certificate(error),
        Error::NotPinned { certificate, .. } => {
            return vec![
                format!("It is {certificate}."),
                "It may have been renewed, or somebody in between shows another: ask the server's operator before you \
                 change the configuration."
                    .to_owned(),
            ];
        }
        Error::ResolveTimeout { .. } => {
            "Check this machine's network and its name servers, or try again later."
        }
        Error::Unreachable {
            is_refused: true, ..
        } => {
            "Nothing listens there: check host and port. POP3 with TLS from the first byte is usually at port 995, with \
             STLS or without TLS at 110."
        }
        Error::Unreachable { .. } => {
            "Check this machine's network, and that the host is the right one."
        }
        Error::ConnectTimeout { .. } => {
            "Check host and port, and whether a firewall is in between; or try again later."
        }
        Error::ReadTimeout { .. } | Error::TooSlow { .. } | Error::WriteTimeout { .. } => MORE_TIME,
        Error::Lost { .. } => {
            "Try again; if it happens every time, the server or something in between breaks the connection."
        }
        Error::Policy(error) => of_policy(error),
        Error::DataBeforeHandshake { .. } => {
            "This is how somebody in between slips in forged answers; nothing secret was sent."
        }
        Error::PlainText { said, .. } if is_pop3(said) => PLAIN_PORT,
        Error::PlainText { .. } => "Check that host and port are those of a POP3 server with TLS.",
        Error::PlainTextAfterAgreement { .. } => {
            "The server is broken, or somebody in between slips in answers; nothing secret was sent."
        }
        Error::OldTls { .. } => {
            "With tls_min_version = \"1.2\", the default, TLS 1.2 will do, which is safe too."
        }
        Error::Tls { problem, .. } => of_tls(*problem),
        Error::Cancelled { .. }
        | Error::Thread(_)
        | Error::InvalidName { .. }
        | Error::Setup { .. }
        | Error::AlreadyProtected { .. }
        | Error::OtherTls { .. }
        | Error::NoCertificate { .. } => return Vec::new(),
    };
    vec![hint.to_owned()]
}

fn of_unknown_host(host: &str) -> Vec<String> {
    let mut hints = vec![
        "Check the spelling of the host's name, and that this machine's network and name servers work.",
    ];
    if !host.is_ascii() {
        hints.push("Write a name with letters beyond ASCII in its xn-- form.");
    }
    hints.into_iter().map(str::to_owned).collect()
}

fn is_pop3(said: &str) -> bool {
    said.starts_with("+OK") || said.starts_with("-ERR")
}

fn of_tls(problem: TlsProblem) -> &'static str {
    match problem {
        TlsProblem::OldVersion => SERVERS_FAULT,
        TlsProblem::NotTls => PLAIN_PORT,
        TlsProblem::Closed => {
            "Try again later; if it stays, check that host and port are those of a POP3 server with TLS."
        }
        TlsProblem::ClientCertificate => {
            "Ask the server's operator how to get one, and name it as `client_cert`."
        }
        TlsProblem::NameNotServed => OTHER_NAME,
        TlsProblem::NothingInCommon => {
            "The server's operator must allow current methods, or this machine's OpenSSL settings exclude them."
        }
    }
}

const SERVERS_FAULT: &str = "The server's operator must correct that.";

const OTHER_NAME: &str =
    "Use the name that the server's certificate is made for as its host; your provider says which.";

fn of_certificate(error: &CertificateError) -> Vec<String> {
    let hint = match error.problem {
        CertificateProblem::OtherName => Some(OTHER_NAME),
        CertificateProblem::OtherAddress => {
            Some("Use the server's name as its host instead of its address.")
        }
        CertificateProblem::NoName => Some(
            "The server's operator must get one with a subjectAltName; a common name has not been enough since 2011.",
        ),
        CertificateProblem::Expired if error.is_servers_own() == Some(false) => Some(
            "The server's operator must have it send the one that is in force now. If only this machine complains, \
             check its clock, and whether its package ca-certificates is up to date.",
        ),
        CertificateProblem::Expired => Some(
            "The server's operator must renew it. If only this machine complains, check its clock.",
        ),
        CertificateProblem::NotYetValid => Some("Check this machine's clock."),
        CertificateProblem::SelfSigned => Some(
            "If you run the server or got its certificate from its operator, name that file as `ca_file`. If the \
             operator confirms the fingerprint, name that as `tls_fingerprints`.",
        ),
        CertificateProblem::UnknownIssuer => Some(
            "If the issuer is your organisation, name its root certificate as `ca_file`. Otherwise the server may not \
             send its intermediate certificate, or this machine lacks the package ca-certificates. If the server's \
             operator confirms the fingerprint, name that as `tls_fingerprints`.",
        ),
        CertificateProblem::Weak | CertificateProblem::WrongPurpose => Some(SERVERS_FAULT),
        CertificateProblem::Other(_) => None,
    };
    let description = error.certificate.as_ref();
    let description = description
        .map(|certificate| format!("The certificate of {} is {certificate}.", error.host));
    hint.map(str::to_owned)
        .into_iter()
        .chain(description)
        .collect()
}

fn of_policy(error: &PolicyError) -> &'static str {
    match error {
        PolicyError::Unreadable { .. } | PolicyError::Secret(_) => {
            "Check the path, and that this user may read the file."
        }
        PolicyError::InvalidRoot { .. } | PolicyError::NoRoot { .. } => {
            "It must hold certificates in PEM form, which begin with -----BEGIN CERTIFICATE-----."
        }
        PolicyError::KeyMismatch { .. } => {
            "client_cert must begin with the certificate, in PEM form, that was made for this key."
        }
        PolicyError::Encrypted {
            key: "client_key", ..
        } => {
            "popfetch has no way to decrypt it. Remove the passphrase with: openssl pkey -in OLD -out NEW"
        }
        PolicyError::Encrypted { .. } | PolicyError::Unopened { .. } => CONVERT_PKCS12,
        PolicyError::NoPkcs8 { .. } => {
            "It must have a line -----BEGIN PRIVATE KEY-----. Convert it with: openssl pkey -in OLD -out NEW"
        }
        PolicyError::KeyMissing { .. } => {
            "Name the file with its private key, in PKCS#8 PEM form, as client_key."
        }
        PolicyError::InvalidCertificate { .. } => {
            "It must hold a certificate in one of these forms."
        }
    }
}
