//! Servers on loopback, well-behaved and not, and certificates of every kind.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use native_tls::{Identity, TlsAcceptor, TlsStream};
use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name};
use rustix::net::{AddressFamily, SocketType};

use super::{Result, Stream, TlsConnector, TlsPolicy};
use crate::cancel::CancelToken;

/// Longer than anything takes that works, also on a busy machine.
pub(crate) const AMPLE: Duration = Duration::from_secs(30);

/// A port at which nothing listens, and that no other process gets meanwhile.
pub(crate) struct ClosedPort {
    pub(crate) address: SocketAddr,
    _socket: OwnedFd,
}

pub(crate) fn closed_port(address: Ipv4Addr) -> ClosedPort {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from((address, 0))).unwrap();
    let bound = rustix::net::getsockname(&socket).unwrap();
    ClosedPort {
        address: bound.try_into().unwrap(),
        _socket: socket,
    }
}

/// A port that answers nothing at all: its queue of connections is full.
pub(crate) struct SilentPort {
    pub(crate) address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

pub(crate) fn silent_port() -> SilentPort {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(connection) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        queue.push(connection);
    }
    SilentPort {
        address,
        _listener: listener,
        _queue: queue,
    }
}

/// A server for one connection, in a thread.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    thread: JoinHandle<()>,
}

impl Server {
    pub(crate) fn new(talk: impl FnOnce(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let thread = thread::spawn(move || talk(listener.accept().unwrap().0));
        Server { address, thread }
    }

    /// A server under TLS. A client that breaks the handshake off ends it quietly.
    pub(crate) fn tls(
        identity: Identity,
        talk: impl FnOnce(TlsStream<TcpStream>) + Send + 'static,
    ) -> Self {
        let acceptor = TlsAcceptor::new(identity).unwrap();
        Server::new(move |connection| {
            if let Ok(protected) = acceptor.accept(connection) {
                talk(protected);
            }
        })
    }

    /// Waits until it is done, and fails if it failed.
    pub(crate) fn finish(self) {
        self.thread.join().unwrap();
    }

    /// A stream in the clear to this server.
    pub(crate) fn stream(&self, timeout: Duration) -> Stream {
        self.cancellable(timeout, &CancelToken::new())
    }

    /// The same, which this ends.
    pub(crate) fn cancellable(&self, timeout: Duration, token: &CancelToken) -> Stream {
        let connection = TcpStream::connect(self.address).unwrap();
        Stream::new(connection, "pop.example.com", timeout, token)
    }

    /// A stream under TLS to this server, which must prove to be `name` to those who trust `authority`.
    pub(crate) fn secure(&self, authority: &Authority, name: &str) -> Result<Stream> {
        self.stream(AMPLE).secure(&authority.connector(), name)
    }
}

/// Reads until the client hangs up.
pub(crate) fn listen_to_the_end(mut connection: impl Read) {
    let mut heard = [0; 1024];
    while connection.read(&mut heard).is_ok_and(|octets| octets > 0) {}
}

/// Sends an octet every so often until the client hangs up.
pub(crate) fn drip(mut connection: impl Write, pause: Duration) {
    while connection.write_all(b"x").is_ok() {
        thread::sleep(pause);
    }
}

/// Somebody who issues certificates.
pub(crate) struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

/// What a server's certificate says.
pub(crate) struct Leaf<'a> {
    pub(crate) name: &'a str,
    /// Validity, in days from today.
    pub(crate) days: std::ops::Range<i64>,
    pub(crate) for_servers: bool,
}

impl<'a> Leaf<'a> {
    /// A certificate with nothing wrong.
    pub(crate) fn good(name: &'a str) -> Self {
        Leaf {
            name,
            days: -1..30,
            for_servers: true,
        }
    }
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = key();
        let mut builder = builder(name, &key, &(-10..300));
        builder.set_issuer_name(&common_name(name)).unwrap();
        let constraints = BasicConstraints::new().critical().ca().build().unwrap();
        builder.append_extension(constraints).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Authority {
            certificate: builder.build(),
            key,
        }
    }

    pub(crate) fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }

    /// A connector that trusts this authority by a `ca_file`.
    pub(crate) fn connector(&self) -> TlsConnector {
        connector_trusting(&self.pem())
    }

    pub(crate) fn issue(&self, leaf: &Leaf<'_>) -> Identity {
        let (certificate, key) = self.issue_parts(leaf);
        identity(&certificate, &key)
    }

    pub(crate) fn issue_parts(&self, leaf: &Leaf<'_>) -> (X509, PKey<Private>) {
        let key = key();
        (self.issue_for(leaf, &key), key)
    }

    /// A certificate for this key.
    pub(crate) fn issue_for(&self, leaf: &Leaf<'_>, key: &PKey<Private>) -> X509 {
        let mut builder = builder(leaf.name, key, &leaf.days);
        builder
            .set_issuer_name(self.certificate.subject_name())
            .unwrap();
        let mut names = SubjectAlternativeName::new();
        match leaf.name.parse::<IpAddr>() {
            Ok(_) => names.ip(leaf.name),
            Err(_) => names.dns(leaf.name),
        };
        let names = names.build(&builder.x509v3_context(None, None)).unwrap();
        builder.append_extension(names).unwrap();
        let mut usage = ExtendedKeyUsage::new();
        if leaf.for_servers {
            usage.server_auth();
        } else {
            usage.client_auth();
        }
        builder.append_extension(usage.build().unwrap()).unwrap();
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        builder.build()
    }
}

/// A server's certificate that it signed itself, as PEM and with its key.
pub(crate) fn self_signed(name: &str) -> (Vec<u8>, Identity) {
    let key = key();
    let mut builder = builder(name, &key, &(-1..30));
    builder.set_issuer_name(&common_name(name)).unwrap();
    let mut names = SubjectAlternativeName::new();
    let names = names
        .dns(name)
        .build(&builder.x509v3_context(None, None))
        .unwrap();
    builder.append_extension(names).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    let certificate = builder.build();
    (certificate.to_pem().unwrap(), identity(&certificate, &key))
}

/// A connector with this `ca_file`.
pub(crate) fn connector_trusting(pem: &[u8]) -> TlsConnector {
    let directory = tempfile::tempdir().unwrap();
    let ca_file: PathBuf = directory.path().join("ca.pem");
    std::fs::write(&ca_file, pem).unwrap();
    TlsConnector::new(&TlsPolicy {
        ca_files: vec![ca_file],
        ..TlsPolicy::default()
    })
    .unwrap()
}

fn key() -> PKey<Private> {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap()
}

fn builder(name: &str, key: &PKey<Private>, days: &std::ops::Range<i64>) -> X509Builder {
    let today = jiff::Timestamp::now().as_second();
    let day = |offset: i64| Asn1Time::from_unix(today + offset * 86_400).unwrap();
    let mut serial = BigNum::new().unwrap();
    serial
        .rand(120, openssl::bn::MsbOption::MAYBE_ZERO, false)
        .unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder
        .set_serial_number(&Asn1Integer::from_bn(&serial).unwrap())
        .unwrap();
    builder.set_subject_name(&common_name(name)).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&day(days.start)).unwrap();
    builder.set_not_after(&day(days.end)).unwrap();
    builder
}

fn common_name(name: &str) -> X509Name {
    let mut builder = X509Name::builder().unwrap();
    builder.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    builder.build()
}

fn identity(certificate: &X509, key: &PKey<Private>) -> Identity {
    let pem = certificate.to_pem().unwrap();
    Identity::from_pkcs8(&pem, &key.private_key_to_pem_pkcs8().unwrap()).unwrap()
}
