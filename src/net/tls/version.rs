//! How old a version of TLS may be.

use std::fmt;
use std::str::FromStr;

use native_tls::Protocol;

/// The oldest version of TLS that is accepted. Older ones than these are never (RFC 8996).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TlsVersion {
    /// 1.2 (RFC 5246): what RFC 8314 section 5 demands at least.
    #[default]
    V1_2,
    /// 1.3 (RFC 8446).
    V1_3,
}

/// A text that is none of these versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write 1.2 or 1.3: older versions of TLS are not safe")]
pub struct NotAVersion;

impl FromStr for TlsVersion {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        match text {
            "1.2" => Ok(TlsVersion::V1_2),
            "1.3" => Ok(TlsVersion::V1_3),
            _ => Err(NotAVersion),
        }
    }
}

/// As the configuration takes it.
impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsVersion::V1_2 => "1.2",
            TlsVersion::V1_3 => "1.3",
        })
    }
}

impl From<TlsVersion> for Protocol {
    fn from(version: TlsVersion) -> Self {
        match version {
            TlsVersion::V1_2 => Protocol::Tlsv12,
            TlsVersion::V1_3 => Protocol::Tlsv13,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_it_is_written_and_nothing_older_is_one() {
        for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
            assert_eq!(version.to_string().parse(), Ok(version));
        }
        for text in ["", "1", "1.0", "1.1", "1.4", "TLS 1.2", "ssl3", " 1.3"] {
            assert_eq!(text.parse::<TlsVersion>(), Err(NotAVersion), "{text}");
        }
    }
}
