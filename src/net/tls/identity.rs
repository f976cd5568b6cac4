//! Who we are: client certificates.

use std::fs;
use std::path::{Path, PathBuf};

use native_tls::Identity;
use openssl::pkey::PKey;
use openssl::x509::X509;
use zeroize::Zeroizing;

use crate::error::{Failure, Kind, OrFail, Result};
use crate::secret;
use crate::text::Foreign;

/// Where a client certificate and its key are. Only servers that ask for one see it (RFC 8314 section 5.5).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// PEM, with the certificates between it and its root behind it; or PKCS#12 with everything in it.
    pub certificate: PathBuf,
    /// PEM in PKCS#8 form; none with PKCS#12.
    pub key: Option<PathBuf>,
}

impl ClientCertificate {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`]: one cannot be read or used, or others can read the key.
    pub(super) fn read(&self) -> Result<Identity> {
        match &self.key {
            Some(key) => from_pem(&self.certificate, key),
            None => from_pkcs12(&self.certificate),
        }
    }
}

fn from_pem(certificate: &Path, key: &Path) -> Result<Identity> {
    let shown = Foreign(certificate.as_os_str().as_encoded_bytes());
    let chain = fs::read(certificate)
        .or_fail(Kind::Config, || {
            format!("cannot read the client_cert {shown}")
        })
        .map_err(|failure| failure.hint("Check the path, and that this user may read the file."))?;
    let key_shown = Foreign(key.as_os_str().as_encoded_bytes());
    let pem = private(key, "client_key")?;
    if !pem.starts_with(b"-----BEGIN PRIVATE KEY-----") {
        let message = format!("the client_key {key_shown} is no private key in PKCS#8 form");
        return Err(Failure::new(Kind::Config, message).hint(
            "It must begin with -----BEGIN PRIVATE KEY-----. Convert it with: openssl pkey -in OLD -out NEW",
        ));
    }
    let identity = Identity::from_pkcs8(&chain, &pem).ok();
    identity.filter(|_| fits(&chain, &pem)).ok_or_else(|| {
        let message = format!("the client_cert {shown} and the client_key {key_shown} do not fit");
        Failure::new(Kind::Config, message).hint(
            "client_cert must begin with the certificate, in PEM form, that was made for this key.",
        )
    })
}

/// Whether the key is the certificate's; native-tls would find out only when it connects.
fn fits(certificate: &[u8], key: &[u8]) -> bool {
    let public = X509::from_pem(certificate).and_then(|certificate| certificate.public_key());
    let private = PKey::private_key_from_pem(key);
    public.is_ok_and(|public| private.is_ok_and(|private| private.public_eq(&public)))
}

fn from_pkcs12(path: &Path) -> Result<Identity> {
    let shown = Foreign(path.as_os_str().as_encoded_bytes());
    let bytes = private(path, "client_cert")?;
    if bytes.starts_with(b"-----BEGIN") {
        let message = format!("the client_cert {shown} comes without its client_key");
        return Err(Failure::new(Kind::Config, message)
            .hint("Name the file with its private key, in PKCS#8 PEM form, as client_key."));
    }
    Identity::from_pkcs12(&bytes, "").map_err(|_| {
        let message = format!("the client_cert {shown} is no PKCS#12 file that can be opened without a password");
        Failure::new(Kind::Config, message).hint(
            "Convert it to PEM for client_cert and client_key: openssl pkcs12 -in FILE -clcerts -nokeys, \
             and openssl pkcs12 -in FILE -nocerts -noenc (with -legacy for an old file).",
        )
    })
}

/// A file that holds a private key, and that others must not be able to read.
fn private(path: &Path, key: &str) -> Result<Zeroizing<Vec<u8>>> {
    let shown = Foreign(path.as_os_str().as_encoded_bytes());
    secret::private_file(path, &format!("the {key} {shown}"))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::net::testing::{Authority, Leaf};

    struct Files {
        folder: tempfile::TempDir,
    }

    impl Files {
        fn new() -> Self {
            let files = Files {
                folder: tempfile::tempdir().unwrap(),
            };
            let (certificate, key) = Authority::new("root").issue_parts(&Leaf::good("alice"));
            files.write("cert.pem", &certificate.to_pem().unwrap());
            files.write("key.pem", &key.private_key_to_pem_pkcs8().unwrap());
            let (_, other) = Authority::new("root").issue_parts(&Leaf::good("bob"));
            files.write("other.pem", &other.private_key_to_pem_pkcs8().unwrap());
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
            let path = self.folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        }

        fn read(&self, certificate: &str, key: Option<&str>) -> Result<Identity> {
            let path = |name: &str| self.folder.path().join(name);
            let certificate = ClientCertificate {
                certificate: path(certificate),
                key: key.map(path),
            };
            certificate.read()
        }
    }

    #[test]
    fn a_certificate_comes_as_pem_with_its_key_or_as_pkcs12() {
        let files = Files::new();
        assert!(files.read("cert.pem", Some("key.pem")).is_ok());
        assert!(files.read("open.p12", None).is_ok());
    }

    #[test]
    fn what_cannot_be_used_is_named_with_a_way_out() {
        let files = Files::new();
        for (certificate, key, word) in [
            ("cert.pem", Some("other.pem"), "do not fit"),
            ("cert.pem", Some("sec1.pem"), "PKCS#8"),
            ("cert.pem", Some("missing"), "missing"),
            ("missing", Some("key.pem"), "missing"),
            ("cert.pem", None, "without its client_key"),
            ("locked.p12", None, "password"),
            ("sec1.pem", Some("key.pem"), "do not fit"),
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
        let path = files.folder.path().join("key.pem");
        fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
        let failure = files.read("cert.pem", Some("key.pem")).err().unwrap();
        assert!(failure.hints()[0].contains("chmod"), "{failure}");
    }
}
