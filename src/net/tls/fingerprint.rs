//! Certificates named by their hash.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// SHA-256 of a certificate as it crosses the wire (DER): what `openssl x509 -fingerprint -sha256` and
/// browsers show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// A text that is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is sha256: and 64 hexadecimal digits, with or without colons")]
pub struct NotAFingerprint;

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
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        let text = text.to_ascii_lowercase();
        let text = text.strip_prefix("sha256:").unwrap_or(&text);
        let digits = match text.contains(':') {
            true if text.split(':').any(|octet| octet.len() != 2) => return Err(NotAFingerprint),
            true => text.replace(':', ""),
            false => text.to_owned(),
        };
        let mut octets = [0; 32];
        if digits.len() != 2 * octets.len() || !digits.bytes().all(|it| it.is_ascii_hexdigit()) {
            return Err(NotAFingerprint);
        }
        for (octet, pair) in octets.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = str::from_utf8(pair).map_err(|_| NotAFingerprint)?;
            *octet = u8::from_str_radix(pair, 16).map_err(|_| NotAFingerprint)?;
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
            assert_eq!(text.parse::<Fingerprint>(), Err(NotAFingerprint), "{text}");
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
