//! Who we are: client certificates.
//!
//! Keys must not be locked with a password. popfetch would have to be given that one too, and it would
//! lie beside the key; what protects both is that nobody else can read the file.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use memchr::memmem;
use native_tls::Identity;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::PKey;
use openssl::x509::X509;
use zeroize::Zeroizing;

use super::error::reason;
use crate::cancel::{CancelToken, Wait};
use crate::error::{Failure, Kind, OrFail, Result};
use crate::fs::{SECRET_TIMEOUT, read_secret};
use crate::text::Untrusted;

/// So much of a file tells whether it is PEM, in bytes.
const BEGINNING: usize = 64 * 1024;

/// Where a client certificate and its key are. Only servers that ask for one see it (RFC 8314 section 5.5).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// PEM, with the certificates between it and its root behind it; or PKCS#12 with everything in it
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
    /// [`Kind::Config`]: one cannot be read or used, or others can read the key.
    pub(super) fn read(&self) -> Result<Identity> {
        match &self.key {
            Some(key) => from_pem(&self.certificate, key),
            None => from_pkcs12(&self.certificate),
        }
    }
}

fn from_pem(certificate: &Path, key: &Path) -> Result<Identity> {
    let shown = Untrusted(certificate.as_os_str().as_encoded_bytes());
    let chain = fs::read(certificate)
        .or_fail(Kind::Config, || {
            format!("cannot read the client_cert {shown}")
        })
        .map_err(|failure| failure.hint("Check the path, and that this user may read the file."))?;
    let key_shown = Untrusted(key.as_os_str().as_encoded_bytes());
    let file = private(key, "client_key")?;
    // OpenSSL writes what it knows of a key in front of it, and may write certificates, too.
    let Some(begin) = memmem::find(&file, b"-----BEGIN PRIVATE KEY-----") else {
        return Err(no_usable_key(&key_shown, &file));
    };
    let pem = &file[begin..];
    let identity = Identity::from_pkcs8(&chain, pem).ok();
    identity.filter(|_| fits(&chain, pem)).ok_or_else(|| {
        let message = format!("the client_cert {shown} and the client_key {key_shown} do not fit");
        Failure::new(Kind::Config, message).hint(
            "client_cert must begin with the certificate, in PEM form, that was made for this key.",
        )
    })
}

fn no_usable_key(shown: &Untrusted<'_>, file: &[u8]) -> Failure {
    let (what, how) = match memmem::find(file, b"ENCRYPTED") {
        Some(_) => (
            "is locked with a password",
            "popfetch has no way to unlock it. Take the password away with: openssl pkey -in OLD -out NEW",
        ),
        None => (
            "is no private key in PKCS#8 form",
            "It must have a line -----BEGIN PRIVATE KEY-----. Convert it with: openssl pkey -in OLD -out NEW",
        ),
    };
    Failure::new(Kind::Config, format!("the client_key {shown} {what}")).hint(how)
}

/// Whether the key is the certificate's; native-tls would find out only when it connects.
fn fits(certificate: &[u8], key: &[u8]) -> bool {
    let public = X509::from_pem(certificate).and_then(|certificate| certificate.public_key());
    let private = PKey::private_key_from_pem(key);
    public.is_ok_and(|public| private.is_ok_and(|private| private.public_eq(&public)))
}

fn from_pkcs12(path: &Path) -> Result<Identity> {
    let shown = Untrusted(path.as_os_str().as_encoded_bytes());
    // A certificate in PEM form is no secret: whoever may read it, what is wrong is that its key is missing.
    if holds_pem(path) {
        return Err(without_key(&shown));
    }
    let bytes = private(path, "client_cert")?;
    if is_pem(&bytes) {
        return Err(without_key(&shown));
    }
    Identity::from_pkcs12(&bytes, "").map_err(|error| unopened(&shown, &bytes, &error.to_string()))
}

fn without_key(shown: &Untrusted<'_>) -> Failure {
    let message = format!("the client_cert {shown} comes without its client_key");
    Failure::new(Kind::Config, message)
        .hint("Name the file with its private key, in PKCS#8 PEM form, as client_key.")
}

/// Whether this is a file in PEM form; of a pipe, which can be read only once, nothing is known.
fn holds_pem(path: &Path) -> bool {
    if !fs::metadata(path).is_ok_and(|found| found.is_file()) {
        return false;
    }
    let mut beginning = Zeroizing::new(Vec::with_capacity(BEGINNING));
    let read =
        File::open(path).and_then(|file| file.take(BEGINNING as u64).read_to_end(&mut beginning));
    read.is_ok() && is_pem(&beginning)
}

fn is_pem(bytes: &[u8]) -> bool {
    // OpenSSL may write what it knows of a certificate in front of it.
    memmem::find(bytes, b"-----BEGIN ").is_some()
}

/// Why a PKCS#12 file is of no use.
fn unopened(shown: &Untrusted<'_>, bytes: &[u8], error: &str) -> Failure {
    let failure = |what| Failure::new(Kind::Config, format!("the client_cert {shown} {what}"));
    if Pkcs12::from_der(bytes).is_err() {
        return failure("is neither PEM nor PKCS#12")
            .hint("It must hold a certificate in one of these forms.");
    }
    let failure = match reason(error) {
        "mac verify failure" => failure("is locked with a password"),
        reason => failure("cannot be opened").because(reason.to_owned()),
    };
    failure.hint(
        "Convert it with: openssl pkcs12 -in OLD -out NEW -noenc (and -legacy where OpenSSL calls it \
         unsupported), and name NEW both as client_cert and as client_key.",
    )
}

/// A file that holds a private key, and that others must not be able to read.
fn private(path: &Path, key: &str) -> Result<Zeroizing<Vec<u8>>> {
    let token = CancelToken::new();
    let wait = Wait::at_most(SECRET_TIMEOUT, &token);
    Ok(read_secret(path, &format!("the {key}"), wait)?)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
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

        fn read(&self, certificate: &str, key: Option<&str>) -> Result<Identity> {
            let path = |name: &str| self.directory.path().join(name);
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
        assert!(files.read("both.pem", Some("both.pem")).is_ok());
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
            ("cert.pem", Some("locked.pem"), "locked with a password"),
            ("locked.p12", None, "locked with a password"),
            ("nonsense", None, "neither PEM nor PKCS#12"),
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
