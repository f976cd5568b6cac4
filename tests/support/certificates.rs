//! A throw-away certificate authority, and certificates good and bad.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use openssl::asn1::{Asn1Object, Asn1OctetString, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{
    SslAcceptor, SslAcceptorBuilder, SslMethod, SslOptions, SslVerifyMode, SslVersion,
};
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509, X509Builder, X509Extension, X509NameBuilder};

/// What is right or wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// For `localhost` and `127.0.0.1`, by our authority, valid now.
    Good,
    /// For `elsewhere.example` only.
    WrongName,
    /// It ended a day ago.
    Expired,
    /// It begins tomorrow.
    NotYetValid,
    /// Signed by itself.
    SelfSigned,
    /// By an authority that the client does not know.
    UnknownAuthority,
    /// By an authority between ours and it, whose certificate is valid from and until this many days
    /// from now.
    Below(i64, i64),
    /// For this name only, as these bytes, whatever they are.
    For(&'static [u8]),
    /// For this name, which it says only where the common name stands.
    CommonName(&'static str),
    /// For the user of this name, who shows it to servers.
    User(&'static str),
}

/// An authority in a directory of its own; makes certificates on demand.
pub(crate) struct Certificates {
    directory: PathBuf,
    authority: Identity,
}

impl Certificates {
    /// A new authority, whose certificate is written into the directory, which is created.
    pub(crate) fn new(directory: &Path) -> Self {
        fs::create_dir_all(directory).expect("the directory for certificates can be created");
        let authority = Identity::authority("popfetch tests");
        let certificates = Certificates {
            directory: directory.to_owned(),
            authority,
        };
        write_private(
            &certificates.authority_file(),
            &certificates.authority.pem(),
        );
        certificates
    }

    /// The authority's certificate, PEM: what goes into `ca_file`.
    pub(crate) fn authority_file(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// A certificate of this kind with its key, written into the directory.
    pub(crate) fn make(&self, kind: Kind) -> Certificate {
        let between = match kind {
            Kind::Below(from, until) => Some(self.between((from, until))),
            _ => None,
        };
        let identity = match kind {
            Kind::Below(..) => Identity::leaf(kind, between.as_ref()),
            Kind::SelfSigned => Identity::leaf(kind, None),
            Kind::UnknownAuthority => Identity::leaf(kind, Some(&Identity::authority("nobody"))),
            _ => Identity::leaf(kind, Some(&self.authority)),
        };
        let certificate = Certificate {
            certificate_file: self.directory.join(format!("{}.pem", kind.file_stem())),
            key_file: self.directory.join(format!("{}.key", kind.file_stem())),
            identity,
            between: between.map(|between| between.certificate),
        };
        write_private(&certificate.certificate_file, &certificate.identity.pem());
        let key = certificate.identity.key.private_key_to_pem_pkcs8();
        write_private(&certificate.key_file, &key.expect("a key has a PEM form"));
        certificate
    }

    /// An authority that ours vouches for.
    fn between(&self, valid: (i64, i64)) -> Identity {
        Identity::draft_of_authority("somebody between", valid).signed_by(Some(&self.authority))
    }

    /// The same for a server that wants a certificate of this authority from its clients, too.
    pub(crate) fn wanting_clients(&self) -> SslAcceptor {
        let mut builder = self.make(Kind::Good).builder(SslVersion::TLS1_3);
        let mut store = X509StoreBuilder::new().expect("OpenSSL works");
        let authority = self.authority.certificate.clone();
        store.add_cert(authority).expect("an authority");
        builder
            .set_verify_cert_store(store.build())
            .expect("a store");
        builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        builder.build()
    }

    /// What a server needs to take TLS connections with a good certificate.
    pub(crate) fn good(&self) -> SslAcceptor {
        self.make(Kind::Good).acceptor()
    }
}

/// A certificate, its key, and both as files.
pub(crate) struct Certificate {
    /// PEM.
    pub(crate) certificate_file: PathBuf,
    /// PEM, PKCS#8.
    pub(crate) key_file: PathBuf,
    identity: Identity,
    /// The certificate that vouches for it, which the server sends along.
    between: Option<X509>,
}

impl Certificate {
    /// What a server needs to take TLS connections with it.
    pub(crate) fn acceptor(&self) -> SslAcceptor {
        self.acceptor_up_to(SslVersion::TLS1_3)
    }

    /// The same for a server that knows nothing newer than this version.
    pub(crate) fn acceptor_up_to(&self, newest: SslVersion) -> SslAcceptor {
        self.builder(newest).build()
    }

    /// Its hash, as an account configures it.
    pub(crate) fn fingerprint(&self) -> String {
        let digest = self.identity.certificate.digest(MessageDigest::sha256());
        let octets = digest.expect("OpenSSL knows SHA-256");
        let hex: Vec<String> = octets.iter().map(|octet| format!("{octet:02X}")).collect();
        format!("sha256:{}", hex.join(":"))
    }

    /// The certificate and its key in one file, PKCS#12, without a password.
    pub(crate) fn pkcs12(&self) -> PathBuf {
        let mut builder = Pkcs12::builder();
        builder
            .cert(&self.identity.certificate)
            .pkey(&self.identity.key);
        let pkcs12 = builder.build2("").and_then(|pkcs12| pkcs12.to_der());
        let path = self.certificate_file.with_extension("p12");
        write_private(&path, &pkcs12.expect("OpenSSL knows PKCS#12"));
        path
    }

    /// The same, not yet finished.
    pub(crate) fn builder(&self, newest: SslVersion) -> SslAcceptorBuilder {
        let mut builder =
            SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("OpenSSL works");
        builder.set_min_proto_version(None).expect("any version");
        builder
            .set_max_proto_version(Some(newest))
            .expect("OpenSSL knows this version");
        if newest == SslVersion::TLS1_1 {
            // By itself our server refuses it, and OpenSSL takes its signatures for too weak.
            builder.clear_options(SslOptions::NO_TLSV1_1);
            let ciphers = builder.set_cipher_list("ALL:@SECLEVEL=0");
            ciphers.expect("OpenSSL knows them");
        }
        builder
            .set_certificate(&self.identity.certificate)
            .expect("the certificate fits");
        builder
            .set_private_key(&self.identity.key)
            .expect("the key fits the certificate");
        if let Some(between) = &self.between {
            let between = between.to_owned();
            builder.add_extra_chain_cert(between).expect("a chain");
        }
        builder
    }
}

/// A certificate and its key, in memory.
struct Identity {
    certificate: X509,
    key: PKey<Private>,
}

impl Identity {
    fn authority(name: &str) -> Self {
        Self::draft_of_authority(name, (-30, 30)).signed_by(None)
    }

    fn draft_of_authority(name: &str, valid: (i64, i64)) -> Draft {
        let mut draft = Draft::new(name, valid);
        draft.extend(|builder| {
            builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
            builder.append_extension(KeyUsage::new().critical().key_cert_sign().build()?)
        });
        draft
    }

    fn leaf(kind: Kind, authority: Option<&Identity>) -> Self {
        let valid = match kind {
            Kind::Expired => (-10, -1),
            Kind::NotYetValid => (1, 10),
            _ => (-1, 10),
        };
        let common_name = match kind {
            Kind::CommonName(name) | Kind::User(name) => name,
            _ => "popfetch test server",
        };
        let mut draft = Draft::new(common_name, valid);
        draft.extend(|builder| {
            if !matches!(kind, Kind::CommonName(_) | Kind::User(_)) {
                builder.append_extension(names(kind, builder)?)?;
            }
            builder.append_extension(BasicConstraints::new().build()?)
        });
        draft.signed_by(authority)
    }

    fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().expect("a PEM form")
    }
}

/// A certificate on its way.
struct Draft {
    builder: X509Builder,
    key: PKey<Private>,
    name: openssl::x509::X509Name,
}

impl Draft {
    /// Valid from and until this many days from now.
    fn new(common_name: &str, (from, until): (i64, i64)) -> Self {
        let make = || {
            let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
            let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
            let mut name = X509NameBuilder::new()?;
            name.append_entry_by_text("CN", common_name)?;
            let name = name.build();
            let mut serial = BigNum::new()?;
            serial.rand(120, MsbOption::MAYBE_ZERO, false)?;
            let mut builder = X509Builder::new()?;
            builder.set_version(2)?;
            builder.set_serial_number(&*serial.to_asn1_integer()?)?;
            builder.set_subject_name(&name)?;
            builder.set_pubkey(&key)?;
            builder.set_not_before(&*days_from_now(from)?)?;
            builder.set_not_after(&*days_from_now(until)?)?;
            Ok::<_, ErrorStack>(Draft { builder, key, name })
        };
        make().expect("OpenSSL can draft a certificate")
    }

    fn extend(&mut self, extend: impl FnOnce(&mut X509Builder) -> Result<(), ErrorStack>) {
        extend(&mut self.builder).expect("OpenSSL knows these extensions");
    }

    fn signed_by(mut self, authority: Option<&Identity>) -> Identity {
        let (issuer, key) = match authority {
            Some(authority) => (authority.certificate.subject_name(), &authority.key),
            None => (&*self.name, &self.key),
        };
        self.builder.set_issuer_name(issuer).expect("an issuer");
        self.builder
            .sign(key, MessageDigest::sha256())
            .expect("OpenSSL can sign");
        Identity {
            certificate: self.builder.build(),
            key: self.key,
        }
    }
}

/// The hosts that a certificate is for.
fn names(kind: Kind, builder: &X509Builder) -> Result<X509Extension, ErrorStack> {
    let context = builder.x509v3_context(None, None);
    match kind {
        Kind::For(name) => raw_name(name),
        Kind::WrongName => SubjectAlternativeName::new()
            .dns("elsewhere.example")
            .build(&context),
        _ => SubjectAlternativeName::new()
            .dns("localhost")
            .ip("127.0.0.1")
            .build(&context),
    }
}

/// A subjectAltName with one dNSName of any bytes, which no builder would make: a sequence of one
/// octet string with the tag \[2\].
fn raw_name(name: &[u8]) -> Result<X509Extension, ErrorStack> {
    let length = u8::try_from(name.len()).expect("a short name");
    let der = [&[0x30, length + 2, 0x82, length], name].concat();
    let der = Asn1OctetString::new_from_bytes(&der)?;
    let kind = Asn1Object::from_str("2.5.29.17")?;
    X509Extension::new_from_der(&kind, false, &der)
}

impl Kind {
    fn file_stem(self) -> String {
        let readable = |character: char| character.is_ascii_alphanumeric().then_some(character);
        format!("{self:?}").chars().filter_map(readable).collect()
    }
}

fn days_from_now(days: i64) -> Result<Asn1Time, ErrorStack> {
    let now = jiff::Timestamp::now().as_second();
    Asn1Time::from_unix(now + days * 24 * 60 * 60)
}

/// Writes a file that no other user can read.
pub(crate) fn write_private(path: &Path, content: &[u8]) {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content))
        .unwrap_or_else(|error| panic!("{} cannot be written: {error}", path.display()));
}
