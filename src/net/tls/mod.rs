//! What makes a TLS connection trustworthy, and connectors that insist on it.

mod certificate;
mod error;
mod fingerprint;
mod identity;
mod version;

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use native_tls::{Identity, TlsStream};

use crate::error::{Failure, Kind, OrFail, Result};
use crate::text::Untrusted;

pub use certificate::Certificate;
pub use error::explained;
pub(super) use error::{
    closed, failure, handshake_failure, is_end_of_file, plain_text, speaks_plainly, turned_plain,
};
pub use fingerprint::{Fingerprint, NotAFingerprint};
pub use identity::ClientCertificate;
pub use version::{NotAVersion, TlsVersion};

/// Whom to trust. Accounts with the same policy share a [`TlsConnector`].
///
/// Whatever it says, TLS is at least 1.2 (RFC 8314 section 5), and the certificate must be issued by
/// somebody trusted, be valid now, and be made for the server's name; or it is one of those that are named.
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
    /// Nothing. For a look at a certificate that was refused; nothing is ever sent on such a connection.
    Nothing,
}

impl TlsConnector {
    /// The connector for a policy. Reads the policy's files, so that what is wrong with them is known before
    /// anything is sent. A thread reads the system's roots, while the host is looked up and connected to.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`]: a file of the policy cannot be read or used.
    pub fn new(policy: &TlsPolicy) -> Result<Self> {
        let mut roots = Vec::new();
        for path in &policy.ca_files {
            roots.extend(read_roots(path)?);
        }
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

    /// A connector that trusts anybody, to look at a certificate.
    pub(super) fn for_a_look() -> Self {
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
    /// [`Kind::Certificate`]: it may not.
    pub(super) fn judge<S: Read + Write>(
        &self,
        stream: &TlsStream<S>,
        host: &str,
        name: &str,
    ) -> Result<()> {
        let certificate = peer_certificate(stream).ok_or_else(|| {
            Failure::new(
                Kind::Tls,
                format!("{host} shows no certificate that can be read"),
            )
        })?;
        match &self.0.trust {
            Trust::Pinned(pins) if pins.contains(&certificate.fingerprint()) => Ok(()),
            Trust::Authorities if is_address(name) || certificate.names_hosts() => Ok(()),
            Trust::Pinned(_) => Err(error::not_pinned(host, &certificate)),
            Trust::Authorities => Err(error::names_no_host(host)),
            Trust::Nothing => Err(Failure::new(Kind::Tls, format!("{host} is not trusted"))),
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
        self.0.built().as_ref().map_err(|reason| {
            Failure::new(Kind::Tls, format!("TLS cannot be set up here: {reason}"))
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
        self.built.get_or_init(|| {
            self.build()
                .map_err(|error| error::reason(&error.to_string()).to_owned())
        })
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
            // Judged by its fingerprint, or not trusted at all: see `TlsConnector::judge`.
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

fn read_roots(path: &Path) -> Result<Vec<native_tls::Certificate>> {
    let shown = Untrusted(path.as_os_str().as_encoded_bytes());
    let pem = fs::read(path)
        .or_fail(Kind::Config, || format!("cannot read the ca_file {shown}"))
        .map_err(|failure| failure.hint("Check the path, and that this user may read the file."))?;
    let unusable = |what: &str| {
        Failure::new(Kind::Config, format!("the ca_file {shown} {what}")).hint(
            "It must hold certificates in PEM form, which begin with -----BEGIN CERTIFICATE-----.",
        )
    };
    let roots = native_tls::Certificate::stack_from_pem(&pem)
        .map_err(|_| unusable("holds a certificate that cannot be read"))?;
    if roots.is_empty() {
        return Err(unusable("holds no certificate"));
    }
    Ok(roots)
}

/// The name a certificate must be made for, as OpenSSL takes it: an address without brackets, a name without
/// its final dot (RFC 9525 section 6.3).
///
/// # Errors
///
/// [`Kind::Config`]: it can be no name. An empty one would switch the check off, and a NUL would cut it short.
pub(super) fn name_to_check(name: &str) -> Result<&str> {
    let bare = super::resolve::without_brackets(name);
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    if bare.is_empty() || bare.contains('\0') {
        return Err(Failure::new(
            Kind::Config,
            format!("\"{}\" can be no server's name", Untrusted(name.as_bytes())),
        ));
    }
    Ok(bare)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testing::Authority;
    use std::io::Write;

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
        let connector = TlsConnector::new(&policy).unwrap();
        assert_eq!(connector.0.roots.len(), 2);
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
            let failure = TlsConnector::new(&policy).unwrap_err();
            let path = &policy.ca_files[0];
            assert_eq!(failure.kind(), Kind::Config);
            assert!(
                failure.message().contains(path.to_str().unwrap()),
                "{failure}"
            );
            assert!(!failure.hints().is_empty());
        }
    }

    #[test]
    fn a_name_is_checked_without_brackets_and_final_dot_and_never_empty() {
        assert_eq!(
            name_to_check("pop.example.com.").unwrap(),
            "pop.example.com"
        );
        assert_eq!(name_to_check("[::1]").unwrap(), "::1");
        for name in ["", ".", "[]", "good.example\0.evil.example"] {
            assert_eq!(name_to_check(name).unwrap_err().kind(), Kind::Config);
        }
    }

    #[test]
    fn accounts_with_one_policy_share_a_connector() {
        let connectors = TlsConnectors::default();
        let (_file, other) = policy_with(&Authority::new("one").pem());
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
