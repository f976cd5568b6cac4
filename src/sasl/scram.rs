//! SCRAM (RFC 5802, RFC 7677): both sides prove that they know the password, and neither learns it.
//!
//! ```text
//! client   n,,n=user,r=NONCE
//! server   r=NONCE+MORE,s=SALT,i=ITERATIONS
//! client   c=biws,r=NONCE+MORE,p=PROOF
//! server   v=SIGNATURE                      no success is believed without it
//! ```

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::prepare::{escaped_name, prepared};
use super::{Aborted, Client, Mechanism, Parameters, SCRAM_ITERATIONS, joined};
use crate::text::Excerpt;

/// Which hash a SCRAM is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SCRAM-SHA-1 (RFC 5802).
    Sha1,
    /// SCRAM-SHA-256 (RFC 7677).
    Sha256,
}

/// What ties the login to the TLS connection it happens on (RFC 5802 section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Binding {
    /// Nothing can, or is meant to.
    None,
    /// We could, but the server does not announce it. If it does, somebody took that away, and the
    /// server will see it.
    NotOffered,
    /// The hash of the server's certificate: a -PLUS mechanism.
    EndPoint(Vec<u8>),
}

impl Binding {
    /// That of a mechanism without.
    pub(super) fn unbound(with: &Parameters<'_>) -> Self {
        if with.end_point.is_some() && !with.offers_binding {
            Binding::NotOffered
        } else {
            Binding::None
        }
    }

    /// That of a -PLUS mechanism, where the connection has any.
    pub(super) fn bound(with: &Parameters<'_>) -> Option<Self> {
        with.end_point.clone().map(Binding::EndPoint)
    }
}

/// A SCRAM mechanism.
pub(super) struct Scram {
    hash: Hash,
    binding: Binding,
    password: Zeroizing<Vec<u8>>,
    /// The client's first message without its GS2 header.
    first: Vec<u8>,
    nonce: String,
    state: State,
}

enum State {
    /// Our first message is on its way.
    Begun,
    /// Our proof is on its way; the server has to sign with this.
    Proven { signature: Zeroizing<Vec<u8>> },
    /// The server has shown that it knows the password.
    Verified,
    /// It has not, and will not.
    Broken,
}

impl Scram {
    pub(super) fn new(hash: Hash, binding: Binding, with: &Parameters<'_>) -> Self {
        Scram::with_nonce(hash, binding, with, BASE64_STANDARD.encode(with.random))
    }

    fn with_nonce(hash: Hash, binding: Binding, with: &Parameters<'_>, nonce: String) -> Self {
        let name = escaped_name(&prepared(with.user));
        Scram {
            hash,
            binding,
            password: prepared(with.secret),
            first: [b"n=", &*name, b",r=", nonce.as_bytes()].concat(),
            nonce,
            state: State::Begun,
        }
    }

    /// The header that says which binding there is (RFC 5801 section 4).
    fn header(&self) -> &'static [u8] {
        match self.binding {
            Binding::None => b"n,,",
            Binding::NotOffered => b"y,,",
            Binding::EndPoint(_) => b"p=tls-server-end-point,,",
        }
    }

    /// The answer to the server's first message.
    fn prove(&self, challenge: &[u8]) -> Result<Proof, Aborted> {
        let Salting {
            nonce,
            salt,
            iterations,
        } = Salting::read(challenge, &self.nonce)?;
        let hash = self.hash;
        let salted = hash.stretch(&self.password, &salt, iterations);
        let client_key = hash.keyed(&salted, b"Client Key");
        let mut bound = self.header().to_vec();
        if let Binding::EndPoint(hash) = &self.binding {
            bound.extend_from_slice(hash);
        }
        let without_proof = format!("c={},r={nonce}", BASE64_STANDARD.encode(bound));
        let dialogue = [&self.first, challenge, without_proof.as_bytes()].join(&b',');
        let client_signature = hash.keyed(&hash.of(&client_key), &dialogue);
        let pairs = client_key.iter().zip(client_signature.iter());
        let proof: Zeroizing<Vec<u8>> =
            Zeroizing::new(pairs.map(|(key, sign)| key ^ sign).collect());
        let proof = Zeroizing::new(BASE64_STANDARD.encode(&*proof));
        let server_key = hash.keyed(&salted, b"Server Key");
        Ok(Proof {
            response: joined(&[without_proof.as_bytes(), b",p=", proof.as_bytes()]),
            signature: hash.keyed(&server_key, &dialogue),
        })
    }
}

/// That we know the password; and what the server has to say to show that it does.
struct Proof {
    response: Zeroizing<Vec<u8>>,
    signature: Zeroizing<Vec<u8>>,
}

/// What the server's first message says.
struct Salting<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    iterations: u32,
}

impl<'a> Salting<'a> {
    /// Reads `r=…,s=…,i=…`; extensions after them mean nothing to us (RFC 5802 section 5.1).
    fn read(message: &'a [u8], ours: &str) -> Result<Self, Aborted> {
        let message = str::from_utf8(message).map_err(|_| nonsense(message))?;
        if let Some(error) = message.strip_prefix("e=") {
            return Err(failed(error));
        }
        if message.starts_with("m=") {
            return Err(failure(
                "the server demands an extension of SCRAM that popfetch does not know",
            ));
        }
        let mut parts = message.split(',');
        let mut part = |name: &str| {
            let found = parts.next().and_then(|part| part.strip_prefix(name));
            found.ok_or_else(|| nonsense(message.as_bytes()))
        };
        let (nonce, salt, iterations) = (part("r=")?, part("s=")?, part("i=")?);
        let graphic = nonce.bytes().all(|byte| byte.is_ascii_graphic());
        if !graphic || nonce.strip_prefix(ours).is_none_or(str::is_empty) {
            return Err(failure("the server's nonce does not continue ours"));
        }
        let salt = BASE64_STANDARD.decode(salt).ok();
        let salt = salt.filter(|salt| !salt.is_empty());
        Ok(Salting {
            nonce,
            salt: salt.ok_or_else(|| failure("the server's salt cannot be decoded"))?,
            iterations: iterations_in(iterations)?,
        })
    }
}

fn iterations_in(text: &str) -> Result<u32, Aborted> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A number too large for its type is above any limit.
    let number = digits.then(|| text.parse().unwrap_or(u32::MAX));
    let allowed = number.filter(|number| SCRAM_ITERATIONS.contains(number));
    allowed.ok_or_else(|| Aborted::Iterations {
        wanted: Excerpt::of(text.as_bytes()),
        too_many: number.is_some_and(|number| number > *SCRAM_ITERATIONS.end()),
    })
}

fn failure(message: &'static str) -> Aborted {
    Aborted::Mechanism(Cow::Borrowed(message))
}

fn nonsense(message: &[u8]) -> Aborted {
    let shown = Excerpt::of(message);
    Aborted::Mechanism(format!("the server does not speak SCRAM: \"{shown}\"").into())
}

/// `e=…`, after which extensions may stand.
fn failed(error: &str) -> Aborted {
    let shown = Excerpt::of(error.as_bytes());
    match error.split(',').next() {
        Some("invalid-proof" | "unknown-user") => Aborted::Credentials(shown),
        _ => Aborted::Mechanism(format!("the server broke SCRAM off: \"{shown}\"").into()),
    }
}

impl Hash {
    fn of(self, bytes: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Hash::Sha1 => Sha1::digest(bytes).to_vec(),
            Hash::Sha256 => Sha256::digest(bytes).to_vec(),
        })
    }

    /// HMAC.
    fn keyed(self, key: &[u8], bytes: &[u8]) -> Zeroizing<Vec<u8>> {
        const ANY: &str = "HMAC takes any key";
        Zeroizing::new(match self {
            Hash::Sha1 => {
                let mac = Hmac::<Sha1>::new_from_slice(key).expect(ANY);
                mac.chain_update(bytes).finalize().into_bytes().to_vec()
            }
            Hash::Sha256 => {
                let mac = Hmac::<Sha256>::new_from_slice(key).expect(ANY);
                mac.chain_update(bytes).finalize().into_bytes().to_vec()
            }
        })
    }

    /// PBKDF2, which RFC 5802 calls Hi.
    fn stretch(self, password: &[u8], salt: &[u8], iterations: u32) -> Zeroizing<Vec<u8>> {
        let mut salted = Zeroizing::new(vec![0; self.octets()]);
        match self {
            Hash::Sha1 => pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, iterations, &mut salted),
            Hash::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut salted),
        }
        salted
    }

    fn octets(self) -> usize {
        match self {
            Hash::Sha1 => 20,
            Hash::Sha256 => 32,
        }
    }
}

/// The same in constant time, so that the time it takes does not show how much of a guess was right.
fn same(one: &[u8], other: &[u8]) -> bool {
    let difference = one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b));
    one.len() == other.len() && difference == 0
}

impl Client for Scram {
    fn mechanism(&self) -> Mechanism {
        match self.binding {
            Binding::EndPoint(_) => Mechanism::ScramPlus(self.hash),
            Binding::None | Binding::NotOffered => Mechanism::Scram(self.hash),
        }
    }

    fn initial(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        Some(joined(&[self.header(), &self.first]))
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, Aborted> {
        match std::mem::replace(&mut self.state, State::Broken) {
            State::Begun => {
                let proof = self.prove(challenge)?;
                self.state = State::Proven {
                    signature: proof.signature,
                };
                Ok(proof.response)
            }
            State::Proven { signature } => {
                verify(challenge, &signature)?;
                self.state = State::Verified;
                Ok(Zeroizing::default())
            }
            State::Verified | State::Broken => Err(nonsense(challenge)),
        }
    }

    fn accept(&self) -> Result<(), Aborted> {
        match self.state {
            State::Verified => Ok(()),
            _ => Err(failure(
                "the server did not prove that it knows the password",
            )),
        }
    }
}

/// Looks at the server's final message: `v=…`, and extensions that mean nothing to us.
fn verify(message: &[u8], signature: &[u8]) -> Result<(), Aborted> {
    let text = str::from_utf8(message).map_err(|_| nonsense(message))?;
    if let Some(error) = text.strip_prefix("e=") {
        return Err(failed(error));
    }
    let first = text.split(',').next().unwrap_or_default();
    let claimed = first.strip_prefix("v=").ok_or_else(|| nonsense(message))?;
    match BASE64_STANDARD.decode(claimed) {
        Ok(claimed) if same(&claimed, signature) => Ok(()),
        _ => Err(failure(
            "the server does not know the password: its signature is wrong",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Vector {
        hash: Hash,
        nonce: &'static str,
        server_first: &'static str,
        client_final: &'static str,
        server_final: &'static str,
    }

    /// RFC 5802 section 5.
    const SHA_1: Vector = Vector {
        hash: Hash::Sha1,
        nonce: "fyko+d2lbbFgONRv9qkxdawL",
        server_first: "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        client_final: "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        server_final: "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    };

    /// RFC 7677 section 3.
    const SHA_256: Vector = Vector {
        hash: Hash::Sha256,
        nonce: "rOprNGfwEbeRWgbNEkqO",
        server_first: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        client_final: "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        server_final: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    };

    const PENCIL: Parameters<'static> = Parameters {
        user: b"user",
        secret: b"pencil",
        host: "",
        port: 0,
        end_point: None,
        offers_binding: false,
        random: [0; 18],
    };

    impl Vector {
        fn scram(&self) -> Scram {
            self.bound(Binding::None)
        }

        fn bound(&self, binding: Binding) -> Scram {
            Scram::with_nonce(self.hash, binding, &PENCIL, self.nonce.to_owned())
        }

        /// The client has sent its proof.
        fn proven(&self) -> Scram {
            let mut scram = self.scram();
            scram
                .respond(self.server_first.as_bytes())
                .expect("a proof");
            scram
        }
    }

    #[test]
    fn the_dialogues_are_those_of_the_rfcs() {
        for vector in [SHA_1, SHA_256] {
            let mut scram = vector.scram();
            let first = scram.initial().expect("the client speaks first");
            let expected = format!("n,,n=user,r={}", vector.nonce);
            assert_eq!(first.as_slice(), expected.as_bytes());
            let proof = scram.respond(vector.server_first.as_bytes());
            let proof = proof.expect("a proof");
            assert_eq!(str::from_utf8(&proof), Ok(vector.client_final));
            assert!(scram.accept().is_err(), "the server has proven nothing yet");
            let last = scram.respond(vector.server_final.as_bytes());
            assert_eq!(last.expect("the server is true").as_slice(), b"");
            assert_eq!(scram.accept(), Ok(()));
        }
    }

    #[test]
    fn what_binds_the_login_to_the_connection_goes_into_the_proof() {
        let hash = vec![7; 32];
        for (binding, header, name) in [
            (Binding::NotOffered, "y,,", "SCRAM-SHA-256"),
            (
                Binding::EndPoint(hash.clone()),
                "p=tls-server-end-point,,",
                "SCRAM-SHA-256-PLUS",
            ),
        ] {
            let mut scram = SHA_256.bound(binding.clone());
            assert_eq!(scram.mechanism().name(), name);
            let first = scram.initial().expect("the client speaks first");
            assert!(first.starts_with(header.as_bytes()));
            let proof = scram.respond(SHA_256.server_first.as_bytes());
            let proof = String::from_utf8(proof.expect("a proof").to_vec()).expect("ASCII");
            let mut bound = header.as_bytes().to_vec();
            if let Binding::EndPoint(hash) = binding {
                bound.extend(hash);
            }
            let expected = format!("c={},r=", BASE64_STANDARD.encode(bound));
            assert!(proof.starts_with(&expected), "{proof}");
            assert!(
                !SHA_256
                    .client_final
                    .ends_with(proof.split(",p=").last().expect("a proof"))
            );
        }
    }

    /// What becomes of a server's first message.
    fn answer_to(first: &str) -> Result<Zeroizing<Vec<u8>>, Aborted> {
        SHA_1.scram().respond(first.as_bytes())
    }

    #[test]
    fn too_few_and_too_many_iterations_are_refused() {
        for iterations in [
            "0",
            "1",
            "4095",
            "600001",
            "2147483648",
            "1000000000000",
            "-1",
            "+4096",
            "abc",
            "",
            "4096 ",
        ] {
            let first = format!("r={}x,s=QSXCR+Q6sek8bf92,i={iterations}", SHA_1.nonce);
            let refused = answer_to(&first).expect_err("out of bounds");
            assert!(refused.to_string().contains("600000"), "{refused}");
        }
    }

    #[test]
    fn a_first_message_that_breaks_the_rules_is_refused() {
        let nonce = SHA_1.nonce;
        for first in [
            String::new(),
            "e=unknown-user".to_owned(),
            format!("m=ext,r={nonce}x,s=QSXCR+Q6sek8bf92,i=4096"),
            format!("r={nonce},s=QSXCR+Q6sek8bf92,i=4096"),
            "r=another,s=QSXCR+Q6sek8bf92,i=4096".to_owned(),
            format!("r=x{nonce},s=QSXCR+Q6sek8bf92,i=4096"),
            format!("r={nonce}x\x07,s=QSXCR+Q6sek8bf92,i=4096"),
            format!("r={nonce}x,i=4096"),
            format!("r={nonce}x,s=QSXCR+Q6sek8bf92"),
            format!("r={nonce}x,s=,i=4096"),
            format!("r={nonce}x,s=QSXCR+Q6sek8bf9,i=4096"),
            format!("r={nonce}x,s=!!!!,i=4096"),
            format!("s=QSXCR+Q6sek8bf92,r={nonce}x,i=4096"),
        ] {
            assert!(answer_to(&first).is_err(), "{first}");
        }
        let extended = format!("{},x=more", SHA_1.server_first);
        assert!(answer_to(&extended).is_ok(), "extensions are allowed");
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_refused() {
        for last in [
            "v=",
            "v=rmF9pqV8S7suAoZWja4dJRkFsKR=",
            "v=rmF9pqV8S7suAoZWja4dJRkFsA==",
            "e=other-error",
            "r=more",
            "",
            "x=y,v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ] {
            let mut scram = SHA_1.proven();
            assert!(scram.respond(last.as_bytes()).is_err(), "{last}");
            assert!(scram.accept().is_err(), "{last}");
            let late = scram.respond(SHA_1.server_final.as_bytes());
            assert!(late.is_err(), "there is no second try");
        }
    }

    #[test]
    fn success_without_the_signature_is_not_believed() {
        assert!(SHA_1.scram().accept().is_err());
        assert!(SHA_1.proven().accept().is_err());
    }

    #[test]
    fn the_servers_words_are_sanitized_and_cut() {
        let refused = answer_to("e=\x1b[2J").expect_err("an error");
        assert_eq!(
            refused.to_string(),
            "the server broke SCRAM off: \"\\x1b[2J\""
        );
        let long = format!("e={}", "x".repeat(60_000));
        let refused = answer_to(&long).expect_err("an error");
        assert!(refused.to_string().len() < 2 * crate::text::MAX_EXCERPT);
    }

    #[test]
    fn names_are_prepared_and_escaped() {
        let with = Parameters {
            user: "I\u{ad}X,=".as_bytes(),
            ..PENCIL
        };
        let scram = Scram::with_nonce(Hash::Sha1, Binding::None, &with, "n".to_owned());
        assert_eq!(scram.first, b"n=IX=2C=3D,r=n");
    }

    #[test]
    fn a_nonce_is_text_without_a_comma() {
        for random in [[0; 18], [255; 18]] {
            let with = Parameters { random, ..PENCIL };
            let scram = Scram::new(Hash::Sha1, Binding::None, &with);
            assert!(scram.nonce.len() == 24 && !scram.nonce.contains(','));
        }
    }

    #[test]
    fn a_binding_that_the_server_does_not_announce_is_told_to_it() {
        let with = |end_point, offers_binding| Parameters {
            end_point,
            offers_binding,
            ..PENCIL
        };
        let hash = vec![7; 32];
        let hidden = with(Some(hash.clone()), false);
        assert_eq!(Binding::unbound(&hidden), Binding::NotOffered);
        let offered = with(Some(hash.clone()), true);
        assert_eq!(Binding::unbound(&offered), Binding::None);
        assert_eq!(Binding::bound(&offered), Some(Binding::EndPoint(hash)));
        assert_eq!(Binding::unbound(&with(None, false)), Binding::None);
        assert_eq!(Binding::bound(&with(None, false)), None);
    }

    proptest! {
        #[test]
        fn no_server_gets_us_to_accept(lines in prop::collection::vec("(?s)[rsivem]=.{0,20}(,[si]=.{0,9}){0,2}", 0..4)) {
            let mut scram = SHA_1.scram();
            for line in &lines {
                let _ = scram.respond(line.as_bytes());
            }
            prop_assert!(scram.accept().is_err());
        }
    }
}
