//! What a server's certificate says, and its fingerprint.
//!
//! native-tls checks certificates and shows none. OpenSSL, on which it stands here, reads them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use openssl::asn1::Asn1Time;
use openssl::nid::Nid;
use openssl::x509::{X509, X509NameRef};
use sha2::{Digest as _, Sha256};

use crate::text::Untrusted;

/// The most names that are shown of one certificate; some have hundreds.
const MAX_NAMES: usize = 8;

/// A certificate that a server showed, whether or not it is to be trusted. Displays in a sentence; untrusted text in it
/// is sanitized.
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

    /// The names and addresses that it is for, sanitized.
    fn names(&self) -> Vec<String> {
        let names = self.x509.subject_alt_names();
        let names = names.iter().flatten().filter_map(|name| {
            let dns = name
                .dnsname()
                .map(|name| Untrusted(name.as_bytes()).to_string());
            dns.or_else(|| address(name.ipaddress()?).map(|address| address.to_string()))
        });
        names.take(MAX_NAMES).collect()
    }
}

/// This machine's time, by which OpenSSL goes.
fn now() -> Option<Asn1Time> {
    Asn1Time::days_from_now(0).ok()
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
        .ok()
}

/// The shortest name that there is.
fn name_of(name: &X509NameRef) -> String {
    let fields = [Nid::COMMONNAME, Nid::ORGANIZATIONNAME];
    let entry = fields
        .into_iter()
        .find_map(|field| name.entries_by_nid(field).next());
    match entry {
        Some(entry) => Untrusted(entry.data().as_slice()).to_string(),
        None => "an unnamed issuer".to_owned(),
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
            name_of(self.x509.issuer_name()),
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

/// SHA-256 of a certificate as it crosses the wire (DER): what `openssl x509 -fingerprint -sha256` and
/// browsers show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// A text that is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is sha256: and 64 hexadecimal digits, with or without colons")]
pub struct InvalidFingerprint;

impl Fingerprint {
    /// The fingerprint of this certificate, DER.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        Fingerprint(Sha256::digest(certificate).into())
    }
}

/// `sha256:`, which may be left out, and 32 octets in hexadecimal; there may be colons between octets,
/// and case does not count.
impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let text = text.to_ascii_lowercase();
        let text = text.strip_prefix("sha256:").unwrap_or(&text);
        let digits = match text.contains(':') {
            true if text.split(':').any(|octet| octet.len() != 2) => {
                return Err(InvalidFingerprint);
            }
            true => text.replace(':', ""),
            false => text.to_owned(),
        };
        let mut octets = [0; 32];
        if digits.len() != 2 * octets.len() || !digits.bytes().all(|it| it.is_ascii_hexdigit()) {
            return Err(InvalidFingerprint);
        }
        for (octet, pair) in octets.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = str::from_utf8(pair).map_err(|_| InvalidFingerprint)?;
            *octet = u8::from_str_radix(pair, 16).map_err(|_| InvalidFingerprint)?;
        }
        Ok(Fingerprint(octets))
    }
}

/// As the configuration takes it.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
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

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn what_is_shown_can_be_read() {
        assert_eq!(Fingerprint::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse(), Ok(Fingerprint::of(b"")));
    }

    #[test]
    fn colons_and_capitals_are_taken_as_openssl_writes_them() {
        let (_, digits) = EMPTY.split_at("sha256:".len());
        let pairs: Vec<String> = digits
            .as_bytes()
            .chunks(2)
            .map(|pair| String::from_utf8_lossy(pair).to_uppercase())
            .collect();
        for text in [pairs.join(":"), format!("SHA256:{}", pairs.join(":"))] {
            assert_eq!(text.parse(), Ok(Fingerprint::of(b"")));
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "sha256:",
            "sha256:00",
            "sha1:00",
            &EMPTY[1..],
            &EMPTY[..70],
        ] {
            assert_eq!(
                text.parse::<Fingerprint>(),
                Err(InvalidFingerprint),
                "{text}"
            );
        }
        assert!(format!("{EMPTY}0").parse::<Fingerprint>().is_err());
        assert!(EMPTY.replace('e', "é").parse::<Fingerprint>().is_err());
        assert!(
            EMPTY
                .replace("b0c4", "b:0c4")
                .parse::<Fingerprint>()
                .is_err()
        );
    }
}
