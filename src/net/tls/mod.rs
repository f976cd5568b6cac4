//! What makes a TLS connection trustworthy, and connectors that insist on it.

mod certificate;
mod error;
mod identity;
mod policy;

use std::collections::HashMap;
use std::fmt;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use native_tls::{Identity, TlsStream};

use super::{Error, Result};
use crate::text::Untrusted;

use error::refused;

pub use certificate::{Certificate, Fingerprint, InvalidFingerprint};
pub use error::{CertificateError, CertificateProblem, TlsProblem};
pub(super) use error::{handshake_error, known, stream_error};
pub use identity::ClientCertificate;
pub use policy::{InvalidTlsVersion, PolicyError, TlsPolicy, TlsVersion};

/// Opens TLS connections under one policy. Clones share what is costly: reading the system's trusted roots takes
/// some 40 ms.
#[derive(Clone)]
pub struct TlsConnector(Arc<Shared>);

/// The connectors of a run: accounts with the same policy share one.
#[derive(Debug, Default)]
pub struct TlsConnectors(Mutex<HashMap<TlsPolicy, TlsConnector>>);

impl TlsConnectors {
    /// The connector for this policy.
    ///
    /// # Errors
    ///
    /// As [`TlsConnector::new`].
    pub fn get(&self, policy: &TlsPolicy) -> Result<TlsConnector> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connector) = made.get(policy) {
            return Ok(connector.clone());
        }
        let connector = TlsConnector::new(policy)?;
        made.insert(policy.clone(), connector.clone());
        Ok(connector)
    }
}

struct Shared {
    roots: Vec<native_tls::Certificate>,
    trust: Trust,
    client: Option<Identity>,
    least: TlsVersion,
    built: OnceLock<Result<native_tls::TlsConnector, String>>,
}

/// What makes a certificate good.
enum Trust {
    /// Issuer, validity and name: OpenSSL looks at these.
    Authorities,
    /// Being one of these, and nothing else.
    Pinned(Vec<Fingerprint>),
    /// Nothing: only a certificate that was refused is looked at, and nothing is ever sent on such a connection.
    Nothing,
}

impl TlsConnector {
    /// The connector for a policy. Reads the policy's files, so that what is wrong with them is known before
    /// anything is sent. A thread reads the system's roots, while the host is looked up and connected to.
    ///
    /// # Errors
    ///
    /// [`Error::Policy`]: a file of the policy cannot be read or used.
    pub fn new(policy: &TlsPolicy) -> Result<Self> {
        let roots = policy.read_roots()?;
        let client = policy.client.as_ref();
        let client = client.map(ClientCertificate::read).transpose()?;
        let trust = match policy.fingerprints.is_empty() {
            true => Trust::Authorities,
            false => Trust::Pinned(policy.fingerprints.clone()),
        };
        let connector = Self::with(roots, trust, client, policy.least);
        connector.begin();
        Ok(connector)
    }

    /// A connector that trusts every server, to look at its certificate.
    pub(super) fn trusting_anyone() -> Self {
        Self::with(Vec::new(), Trust::Nothing, None, TlsVersion::default())
    }

    fn with(
        roots: Vec<native_tls::Certificate>,
        trust: Trust,
        client: Option<Identity>,
        least: TlsVersion,
    ) -> Self {
        TlsConnector(Arc::new(Shared {
            roots,
            trust,
            client,
            least,
            built: OnceLock::new(),
        }))
    }

    /// Whether the server at the other end of a finished handshake may be trusted: to be asked before
    /// anything is sent to it. `host` is ready to be shown, `name` is what the certificate must be made for.
    ///
    /// # Errors
    ///
    /// It may not.
    pub(super) fn check<S: Read + Write>(
        &self,
        stream: &TlsStream<S>,
        host: &str,
        name: &str,
    ) -> Result<()> {
        let host = || host.to_owned();
        let Some(certificate) = peer_certificate(stream) else {
            return Err(Error::NoCertificate { host: host() });
        };
        match &self.0.trust {
            Trust::Pinned(pins) if pins.contains(&certificate.fingerprint()) => Ok(()),
            Trust::Authorities if is_address(name) || certificate.names_hosts() => Ok(()),
            Trust::Authorities => Err(refused(CertificateProblem::NoName, &host(), name)),
            // Nothing is pinned for a mere look, and the connection goes no further.
            Trust::Pinned(_) | Trust::Nothing => Err(Error::NotPinned {
                host: host(),
                certificate: Box::new(certificate),
            }),
        }
    }

    /// Begins with the costly part in a thread.
    fn begin(&self) {
        let shared = Arc::clone(&self.0);
        let build = move || {
            shared.built();
        };
        // Without a thread, the first connection does it.
        let _ = thread::Builder::new()
            .name("trusted roots".into())
            .spawn(build);
    }

    /// The oldest version of TLS that it accepts.
    pub(super) fn least(&self) -> TlsVersion {
        self.0.least
    }

    /// The connector itself, as soon as it is built.
    pub(super) fn ready(&self) -> Result<&native_tls::TlsConnector> {
        let built = self.0.built().as_ref();
        built.map_err(|reason| Error::Setup {
            reason: reason.clone(),
        })
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector")
            .field("extra_roots", &self.0.roots.len())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Builds it, or waits for the thread that is building it.
    fn built(&self) -> &Result<native_tls::TlsConnector, String> {
        self.built
            .get_or_init(|| self.build().map_err(|error| error.to_string()))
    }

    fn build(&self) -> native_tls::Result<native_tls::TlsConnector> {
        let mut builder = native_tls::TlsConnector::builder();
        builder.min_protocol_version(Some(self.least.into()));
        for root in &self.roots {
            builder.add_root_certificate(root.clone());
        }
        if let Some(client) = &self.client {
            builder.identity(client.clone());
        }
        if !matches!(self.trust, Trust::Authorities) {
            // Checked by its fingerprint, or not trusted at all: see `TlsConnector::check`.
            builder
                .danger_accept_invalid_certs(true)
                .danger_accept_invalid_hostnames(true);
        }
        builder.build()
    }
}

fn is_address(name: &str) -> bool {
    let bare = super::resolve::without_brackets(name);
    bare.parse::<IpAddr>().is_ok()
}

/// The certificate that the server showed.
pub(super) fn peer_certificate<S: Read + Write>(stream: &TlsStream<S>) -> Option<Certificate> {
    let certificate = stream.peer_certificate().ok().flatten()?;
    Certificate::read(&certificate.to_der().ok()?)
}

/// The name a certificate must be made for, as OpenSSL takes it: an address without brackets, a name without
/// its final dot (RFC 9525 section 6.3).
///
/// # Errors
///
/// [`Error::InvalidName`]. An empty name would switch the check off, and a NUL would cut it short.
pub(super) fn name_to_check(name: &str) -> Result<&str> {
    let bare = super::resolve::without_brackets(name);
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    if bare.is_empty() || bare.contains('\0') {
        return Err(Error::InvalidName {
            name: Untrusted(name.as_bytes()).to_string(),
        });
    }
    Ok(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_checked_without_brackets_and_final_dot_and_never_empty() {
        assert_eq!(
            name_to_check("pop.example.com.").unwrap(),
            "pop.example.com"
        );
        assert_eq!(name_to_check("[::1]").unwrap(), "::1");
        for name in ["", ".", "[]", "good.example\0.evil.example"] {
            let error = name_to_check(name).unwrap_err();
            assert!(matches!(error, Error::InvalidName { .. }), "{error}");
        }
    }

    #[test]
    fn accounts_with_one_policy_share_a_connector() {
        let connectors = TlsConnectors::default();
        let other = TlsPolicy {
            least: TlsVersion::V1_3,
            ..TlsPolicy::default()
        };
        let [one, same] = [(); 2].map(|()| connectors.get(&TlsPolicy::default()).unwrap());
        assert!(Arc::ptr_eq(&one.0, &same.0));
        assert!(!Arc::ptr_eq(&one.0, &connectors.get(&other).unwrap().0));
    }

    #[test]
    fn clones_share_one_built_connector() {
        let connector = TlsConnector::new(&TlsPolicy::default()).unwrap();
        let clone = connector.clone();
        assert!(std::ptr::eq(
            connector.ready().unwrap(),
            clone.ready().unwrap()
        ));
    }
}
