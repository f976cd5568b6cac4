//! What a server's certificate says.
//!
//! native-tls checks certificates and shows none. OpenSSL, on which it stands here, reads them.

use std::fmt;
use std::net::IpAddr;

use openssl::asn1::Asn1Time;
use openssl::nid::Nid;
use openssl::x509::{X509, X509NameRef};

use super::fingerprint::Fingerprint;
use crate::text::Untrusted;

/// The most names that are shown of one certificate; some have hundreds.
const NAMES: usize = 8;

/// A certificate that a server showed, whether or not it is to be trusted. Displays in a sentence, the
/// foreign words in it escaped.
pub struct Certificate {
    x509: X509,
    fingerprint: Fingerprint,
}

impl Certificate {
    /// Reads a certificate, DER. None where it makes no sense.
    pub(in crate::net) fn read(der: &[u8]) -> Option<Self> {
        Some(Certificate {
            x509: X509::from_der(der).ok()?,
            fingerprint: Fingerprint::of(der),
        })
    }

    /// Its hash.
    pub(in crate::net) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Whether it says in a field of its own which hosts it is for. In the absence of that OpenSSL takes
    /// the common name for one, which RFC 9525 section 2 no longer allows. (Never for an address.)
    pub(in crate::net) fn names_hosts(&self) -> bool {
        let names = self.x509.subject_alt_names();
        names.is_some_and(|names| names.iter().any(|name| name.dnsname().is_some()))
    }

    /// Whether its time is over.
    pub(super) fn has_expired(&self) -> bool {
        now().is_some_and(|now| *self.x509.not_after() < *now)
    }

    /// Whether its time is yet to come.
    pub(super) fn is_early(&self) -> bool {
        now().is_some_and(|now| *now < *self.x509.not_before())
    }

    /// The names and addresses that it is for, escaped.
    fn names(&self) -> Vec<String> {
        let names = self.x509.subject_alt_names();
        let names = names.iter().flatten().filter_map(|name| {
            let dns = name
                .dnsname()
                .map(|name| Untrusted(name.as_bytes()).to_string());
            dns.or_else(|| address(name.ipaddress()?).map(|address| address.to_string()))
        });
        names.take(NAMES).collect()
    }
}

/// This machine's time, by which OpenSSL judges.
fn now() -> Option<Asn1Time> {
    Asn1Time::days_from_now(0).ok()
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
        .ok()
}

/// Who it is, as briefly as it can be said.
fn whom(name: &X509NameRef) -> String {
    let fields = [Nid::COMMONNAME, Nid::ORGANIZATIONNAME];
    let entry = fields
        .into_iter()
        .find_map(|field| name.entries_by_nid(field).next());
    match entry {
        Some(entry) => Untrusted(entry.data().as_slice()).to_string(),
        None => "nobody it names".to_owned(),
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = match self.names() {
            names if names.is_empty() => "no host".to_owned(),
            names => names.join(", "),
        };
        write!(
            f,
            "made for {names}; issued by \"{}\"; valid from {} until {}; fingerprint {}",
            whom(self.x509.issuer_name()),
            self.x509.not_before(),
            self.x509.not_after(),
            self.fingerprint
        )
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testing::{Authority, Leaf};

    fn certificate(name: &str) -> Certificate {
        let (x509, _) = Authority::new("some\x1bbody").issue_parts(&Leaf::good(name));
        Certificate::read(&x509.to_der().unwrap()).unwrap()
    }

    #[test]
    fn a_certificate_says_for_whom_by_whom_and_until_when() {
        let certificate = certificate("pop.example.com");
        let text = certificate.to_string();
        let begin = "made for pop.example.com; issued by \"some\\x1bbody\"; valid from ";
        assert!(text.starts_with(begin), "{text}");
        assert!(text.contains(" GMT until "), "{text}");
        let fingerprint = certificate.fingerprint().to_string();
        assert!(text.ends_with(&fingerprint), "{text}");
        assert!(certificate.names_hosts());
    }

    #[test]
    fn an_address_is_shown_as_one() {
        let text = certificate("127.0.0.1").to_string();
        assert!(text.starts_with("made for 127.0.0.1; "), "{text}");
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        assert!(Certificate::read(b"").is_none());
        assert!(Certificate::read(&[0x30; 100]).is_none());
    }
}
