//! Who we are: client certificates.
//!
//! Keys must not be encrypted. popfetch would need the passphrase, too, which would lie beside the key; what protects
//! both is that no other user can read the file.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use memchr::memmem;
use native_tls::Identity;
use openssl::error::ErrorStack;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::PKey;
use openssl::x509::X509;
use zeroize::Zeroizing;

use super::error::reason;
use super::policy::PolicyError;
use crate::cancel::{CancelToken, Wait};
use crate::fs::{SECRET_TIMEOUT, read_secret, shown};

/// How much of a file is searched for the beginning of PEM, in bytes.
const MAX_PREAMBLE: usize = 64 * 1024;

/// The number of OpenSSL's library for PKCS#12 (`ERR_LIB_PKCS12`).
const ERR_LIB_PKCS12: i32 = 35;

/// A wrong password, the empty one: the file is encrypted (`PKCS12_R_MAC_VERIFY_FAILURE`).
const MAC_VERIFY_FAILURE: i32 = 113;

/// Where a client certificate and its key are. Only servers that ask for one see it (RFC 8314 section 5.5).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// PEM, with the certificates between it and its root after it; or PKCS#12 with everything in it
    /// and an empty password.
    pub certificate: PathBuf,
    /// PEM in PKCS#8 form, without a password; may be the same file. None with PKCS#12.
    pub key: Option<PathBuf>,
}

impl ClientCertificate {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// One cannot be read or used, or others can read the key.
    pub(super) fn read(&self) -> Result<Identity, PolicyError> {
        match &self.key {
            Some(key) => from_pem(&self.certificate, key),
            None => from_pkcs12(&self.certificate),
        }
    }
}

fn from_pem(certificate: &Path, key: &Path) -> Result<Identity, PolicyError> {
    let chain = fs::read(certificate).map_err(|source| PolicyError::Unreadable {
        key: "client_cert",
        path: shown(certificate),
        source,
    })?;
    let file = private(key, "client_key")?;
    // OpenSSL writes what it knows of a key in front of it, and may write certificates, too.
    let Some(begin) = memmem::find(&file, b"-----BEGIN PRIVATE KEY-----") else {
        return Err(no_usable_key(key, &file));
    };
    let pem = &file[begin..];
    let identity = Identity::from_pkcs8(&chain, pem).ok();
    let identity = identity.filter(|_| fits(&chain, pem));
    identity.ok_or_else(|| PolicyError::KeyMismatch {
        key: shown(key),
        certificate: shown(certificate),
    })
}

fn no_usable_key(path: &Path, file: &[u8]) -> PolicyError {
    let path = shown(path);
    match memmem::find(file, b"ENCRYPTED") {
        Some(_) => PolicyError::Encrypted {
            key: "client_key",
            path,
        },
        None => PolicyError::NoPkcs8 { path },
    }
}

/// Whether the key is the certificate's; native-tls would find out only when it connects.
fn fits(certificate: &[u8], key: &[u8]) -> bool {
    let public = X509::from_pem(certificate).and_then(|certificate| certificate.public_key());
    let private = PKey::private_key_from_pem(key);
    public.is_ok_and(|public| private.is_ok_and(|private| private.public_eq(&public)))
}

fn from_pkcs12(path: &Path) -> Result<Identity, PolicyError> {
    let key_missing = || PolicyError::KeyMissing { path: shown(path) };
    // A certificate in PEM form is no secret: whatever its mode, the fault is that its key is missing.
    if holds_pem(path) {
        return Err(key_missing());
    }
    let bytes = private(path, "client_cert")?;
    if is_pem(&bytes) {
        return Err(key_missing());
    }
    let opened = Pkcs12::from_der(&bytes)
        .map_err(|_| PolicyError::InvalidCertificate { path: shown(path) })?
        .parse2("");
    opened.map_err(|error| unopened(path, &error))?;
    Identity::from_pkcs12(&bytes, "").map_err(|error| PolicyError::Unopened {
        path: shown(path),
        reason: error.to_string(),
    })
}

/// Why a PKCS#12 file is of no use.
fn unopened(path: &Path, error: &ErrorStack) -> PolicyError {
    let path = shown(path);
    let is_encrypted = error.errors().iter().any(|error| {
        (error.library_code(), error.reason_code()) == (ERR_LIB_PKCS12, MAC_VERIFY_FAILURE)
    });
    if is_encrypted {
        return PolicyError::Encrypted {
            key: "client_cert",
            path,
        };
    }
    PolicyError::Unopened {
        path,
        reason: reason(error).to_owned(),
    }
}

/// Whether this is a file in PEM form; of a pipe, which can be read only once, nothing is known.
fn holds_pem(path: &Path) -> bool {
    if !fs::metadata(path).is_ok_and(|found| found.is_file()) {
        return false;
    }
    let mut beginning = Zeroizing::new(Vec::with_capacity(MAX_PREAMBLE));
    let file = File::open(path);
    let read = file.and_then(|file| file.take(MAX_PREAMBLE as u64).read_to_end(&mut beginning));
    read.is_ok() && is_pem(&beginning)
}

fn is_pem(bytes: &[u8]) -> bool {
    // OpenSSL may write what it knows of a certificate in front of it.
    memmem::find(bytes, b"-----BEGIN ").is_some()
}

/// A file that holds a private key, and that others must not be able to read.
fn private(path: &Path, key: &str) -> Result<Zeroizing<Vec<u8>>, PolicyError> {
    let token = CancelToken::new();
    let wait = Wait::at_most(SECRET_TIMEOUT, &token);
    Ok(read_secret(path, &format!("the {key}"), wait)?)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::error::{Failure, Kind};
    use crate::net::Error;
    use crate::net::testing::{Authority, Leaf};

    /// What OpenSSL writes in front of a key that it takes out of PKCS#12.
    const ATTRIBUTES: &[u8] =
        b"Bag Attributes\n    localKeyID: 35 9E\nKey Attributes: <No Attributes>\n";

    struct Files {
        directory: tempfile::TempDir,
    }

    impl Files {
        fn new() -> Self {
            let files = Files {
                directory: tempfile::tempdir().unwrap(),
            };
            let (certificate, key) = Authority::new("root").issue_parts(&Leaf::good("alice"));
            files.write("cert.pem", &certificate.to_pem().unwrap());
            let pem = key.private_key_to_pem_pkcs8().unwrap();
            files.write("key.pem", &pem);
            let both = [ATTRIBUTES, &certificate.to_pem().unwrap(), ATTRIBUTES, &pem].concat();
            files.write("both.pem", &both);
            let cipher = openssl::symm::Cipher::aes_256_cbc();
            let locked = key.private_key_to_pem_pkcs8_passphrase(cipher, b"secret");
            files.write("locked.pem", &locked.unwrap());
            let (_, other) = Authority::new("root").issue_parts(&Leaf::good("bob"));
            files.write("other.pem", &other.private_key_to_pem_pkcs8().unwrap());
            files.write("nonsense", b"no certificate");
            let ec = other.ec_key().unwrap().private_key_to_pem().unwrap();
            files.write("sec1.pem", &ec);
            for (name, password) in [("open.p12", ""), ("locked.p12", "secret")] {
                let mut pkcs12 = openssl::pkcs12::Pkcs12::builder();
                pkcs12.pkey(&key).cert(&certificate);
                let pkcs12 = pkcs12.build2(password).unwrap();
                files.write(name, &pkcs12.to_der().unwrap());
            }
            files
        }

        fn write(&self, name: &str, bytes: &[u8]) {
            let path = self.directory.path().join(name);
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        }

        fn open_to_others(&self, name: &str) {
            let path = self.directory.path().join(name);
            fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
        }

        fn read(&self, certificate: &str, key: Option<&str>) -> Result<Identity, Failure> {
            let path = |name: &str| self.directory.path().join(name);
            let certificate = ClientCertificate {
                certificate: path(certificate),
                key: key.map(path),
            };
            Ok(certificate.read().map_err(Error::from)?)
        }
    }

    #[test]
    fn a_certificate_comes_as_pem_with_its_key_or_as_pkcs12() {
        let files = Files::new();
        assert!(files.read("cert.pem", Some("key.pem")).is_ok());
        assert!(files.read("both.pem", Some("both.pem")).is_ok());
        assert!(files.read("open.p12", None).is_ok());
    }

    #[test]
    fn what_cannot_be_used_is_named_with_a_way_out() {
        let files = Files::new();
        for (certificate, key, word) in [
            ("cert.pem", Some("other.pem"), "does not match"),
            ("cert.pem", Some("sec1.pem"), "PKCS#8"),
            ("cert.pem", Some("missing"), "missing"),
            ("missing", Some("key.pem"), "missing"),
            ("cert.pem", None, "without its client_key"),
            ("cert.pem", Some("locked.pem"), "is encrypted"),
            ("locked.p12", None, "is encrypted"),
            ("nonsense", None, "neither PEM nor PKCS#12"),
            ("sec1.pem", Some("key.pem"), "does not match"),
        ] {
            let failure = files.read(certificate, key).err().unwrap();
            assert_eq!(failure.kind(), Kind::Config);
            assert!(failure.to_string().contains(word), "{failure}");
            assert!(!failure.hints().is_empty(), "{failure}");
        }
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let files = Files::new();
        for (certificate, key) in [("cert.pem", Some("key.pem")), ("open.p12", None)] {
            files.open_to_others(key.unwrap_or(certificate));
            let failure = files.read(certificate, key).err().unwrap();
            assert!(failure.hints()[0].contains("chmod"), "{failure}");
        }
    }

    #[test]
    fn a_pem_certificate_may_be_open_to_others_and_lacks_its_key_all_the_same() {
        let files = Files::new();
        let pem = fs::read(files.directory.path().join("cert.pem")).unwrap();
        files.write("described.pem", &[ATTRIBUTES, &pem].concat());
        for certificate in ["cert.pem", "described.pem"] {
            files.open_to_others(certificate);
            assert!(files.read(certificate, Some("key.pem")).is_ok());
            let failure = files.read(certificate, None).err().unwrap();
            assert!(
                failure.message().contains("without its client_key"),
                "{failure}"
            );
        }
    }

    #[test]
    fn a_pem_certificate_from_a_pipe_lacks_its_key_too() {
        let files = Files::new();
        let pipe = files.directory.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
        let pem = fs::read(files.directory.path().join("cert.pem")).unwrap();
        let writer = std::thread::spawn(move || fs::write(pipe, pem).unwrap());
        let failure = files.read("pipe", None).err().unwrap();
        writer.join().unwrap();
        assert!(
            failure.message().contains("without its client_key"),
            "{failure}"
        );
    }
}
