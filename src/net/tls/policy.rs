//! What an account demands of TLS, and the files that it names for that.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use native_tls::Protocol;

use super::certificate::Fingerprint;
use super::identity::ClientCertificate;
use crate::fs::shown;

/// Whom to trust. Accounts with the same policy share a [`super::TlsConnector`].
///
/// Whatever it says, TLS is at least 1.2 (RFC 8314 section 5), and the certificate must be issued by a
/// trusted authority, be valid now, and be made for the server's name; or it is one of those that are named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TlsPolicy {
    /// PEM files; every certificate in them is trusted as a root, beside the system's.
    pub ca_files: Vec<PathBuf>,
    /// The certificates of which the server must show one; then nothing else about it is checked.
    pub fingerprints: Vec<Fingerprint>,
    /// Who we are, for servers that ask.
    pub client: Option<ClientCertificate>,
    /// The oldest version of TLS that is accepted.
    pub least: TlsVersion,
}

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
pub struct InvalidTlsVersion;

impl FromStr for TlsVersion {
    type Err = InvalidTlsVersion;

    fn from_str(text: &str) -> Result<Self, InvalidTlsVersion> {
        match text {
            "1.2" => Ok(TlsVersion::V1_2),
            "1.3" => Ok(TlsVersion::V1_3),
            _ => Err(InvalidTlsVersion),
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

/// A file of a policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It cannot be read.
    #[error("cannot read the {key} {path}")]
    Unreadable {
        /// The key of the configuration that names it.
        key: &'static str,
        /// The file.
        path: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It holds a private key, and cannot be read as a secret.
    #[error(transparent)]
    Secret(#[from] crate::fs::Error),
    /// A certificate in it cannot be read.
    #[error("the ca_file {path} holds a certificate that cannot be read")]
    InvalidRoot {
        /// The file.
        path: String,
    },
    /// There is no certificate in it.
    #[error("the ca_file {path} holds no certificate")]
    NoRoot {
        /// The file.
        path: String,
    },
    /// The key is not the certificate's, or there is no certificate.
    #[error("the client_key {key} does not match the client_cert {certificate}")]
    KeyMismatch {
        /// The file with the key.
        key: String,
        /// The file with the certificate.
        certificate: String,
    },
    /// A passphrase protects the private key.
    #[error("the {key} {path} is encrypted")]
    Encrypted {
        /// The key of the configuration that names it.
        key: &'static str,
        /// The file.
        path: String,
    },
    /// There is no private key in the one form that is read.
    #[error("the client_key {path} is no private key in PKCS#8 form")]
    NoPkcs8 {
        /// The file.
        path: String,
    },
    /// It is a certificate in PEM form, whose key must be in a file of its own.
    #[error("the client_cert {path} comes without its client_key")]
    KeyMissing {
        /// The file.
        path: String,
    },
    /// It is not a certificate.
    #[error("the client_cert {path} is neither PEM nor PKCS#12")]
    InvalidCertificate {
        /// The file.
        path: String,
    },
    /// It is PKCS#12, and OpenSSL cannot open it.
    #[error("the client_cert {path} cannot be opened: {reason}")]
    Unopened {
        /// The file.
        path: String,
        /// What OpenSSL says.
        reason: String,
    },
}

impl TlsPolicy {
    /// The certificates of all `ca_files`.
    pub(super) fn read_roots(&self) -> Result<Vec<native_tls::Certificate>, PolicyError> {
        let mut roots = Vec::new();
        for path in &self.ca_files {
            roots.extend(read_roots(path)?);
        }
        Ok(roots)
    }
}

fn read_roots(path: &Path) -> Result<Vec<native_tls::Certificate>, PolicyError> {
    let pem = fs::read(path).map_err(|source| PolicyError::Unreadable {
        key: "ca_file",
        path: shown(path),
        source,
    })?;
    let roots = native_tls::Certificate::stack_from_pem(&pem);
    let roots = roots.map_err(|_| PolicyError::InvalidRoot { path: shown(path) })?;
    if roots.is_empty() {
        return Err(PolicyError::NoRoot { path: shown(path) });
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Failure, Kind};
    use crate::net::Error;
    use crate::net::testing::Authority;
    use std::io::Write;

    #[test]
    fn a_version_is_read_as_it_is_written_and_nothing_older_is_one() {
        for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
            assert_eq!(version.to_string().parse(), Ok(version));
        }
        for text in ["", "1", "1.0", "1.1", "1.4", "TLS 1.2", "ssl3", " 1.3"] {
            assert_eq!(text.parse::<TlsVersion>(), Err(InvalidTlsVersion), "{text}");
        }
    }

    fn policy_with(ca_file: &[u8]) -> (tempfile::NamedTempFile, TlsPolicy) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(ca_file).unwrap();
        let policy = TlsPolicy {
            ca_files: vec![file.path().to_owned()],
            ..TlsPolicy::default()
        };
        (file, policy)
    }

    #[test]
    fn every_certificate_of_a_ca_file_becomes_a_root() {
        let mut pem = b"comments in between are common\n".to_vec();
        pem.extend(Authority::new("one").pem());
        pem.extend(Authority::new("two").pem());
        let (_file, policy) = policy_with(&pem);
        assert_eq!(policy.read_roots().unwrap().len(), 2);
    }

    #[test]
    fn a_ca_file_that_is_missing_empty_or_broken_is_a_configuration_error_with_its_path() {
        let missing = TlsPolicy {
            ca_files: vec!["/nonexistent/ca.pem".into()],
            ..TlsPolicy::default()
        };
        let (_empty, empty) = policy_with(b"");
        let (_broken, broken) =
            policy_with(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        for policy in [missing, empty, broken] {
            let failure = Failure::from(Error::from(policy.read_roots().err().unwrap()));
            let path = &policy.ca_files[0];
            assert_eq!(failure.kind(), Kind::Config);
            assert!(
                failure.message().contains(path.to_str().unwrap()),
                "{failure}"
            );
            assert!(!failure.hints().is_empty());
        }
    }
}
