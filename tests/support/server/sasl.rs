//! The SASL mechanisms from the server's side, made with OpenSSL and not with what the client is made of.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use openssl::hash::{MessageDigest, hash};
use openssl::pkcs5::pbkdf2_hmac;
use openssl::pkey::PKey;
use openssl::sign::Signer;

use super::session::{Answer, Session};

/// What a response of the client is the answer to.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    /// The initial response of this mechanism.
    Initial(String),
    /// LOGIN's question for the password of this user.
    Password { name: String },
    /// CRAM-MD5's challenge.
    Digest { challenge: String },
    /// SCRAM's first message.
    Proof(ScramDialogue),
    /// SCRAM's last message, with which the server has proven itself to this user.
    Nothing { name: String },
    /// Why a token was refused.
    Acknowledgement,
}

/// A SCRAM exchange up to the server's first message.
#[derive(Debug, Clone)]
pub(super) struct ScramDialogue {
    name: String,
    sha256: bool,
    header: String,
    client_first: String,
    server_first: String,
}

const SALT: &[u8] = b"salt of the tests";

/// What a server says in SCRAM, where it is not the truth. `NONCE` stands for the client's nonce.
#[derive(Debug, Clone, Default)]
pub(super) struct ScramLies {
    pub(super) first: Option<String>,
    /// A whole line.
    pub(super) last: Option<String>,
}

impl Session<'_> {
    /// AUTH. None where it breaks the rules.
    pub(super) fn auth(&mut self, arguments: &str) -> Option<Answer> {
        let (mechanism, initial) = match arguments.split_once(' ') {
            Some((mechanism, initial)) => (mechanism, Some(initial)),
            None => (arguments, None),
        };
        if !self.knows_mechanism(mechanism) {
            return Some(Answer::line("-ERR no such mechanism"));
        }
        let asked = Asked::Initial(mechanism.to_owned());
        match (initial, mechanism) {
            // Without the SASL capability a client must not use it (RFC 5034 section 4).
            (Some(_), _) if !self.announces("SASL") => None,
            // In these the server speaks first.
            (Some(_), "LOGIN" | "CRAM-MD5") => None,
            (Some(initial), _) => Some(self.respond(asked, initial)),
            (None, "CRAM-MD5") => {
                let challenge = "<1896.697170952@pop.example.com>".to_owned();
                let line = challenge.clone();
                Some(self.challenge(Asked::Digest { challenge }, &line))
            }
            (None, "LOGIN") => Some(self.challenge(asked, "Username:")),
            (None, _) => Some(self.challenge(asked, "")),
        }
    }

    /// The response to a challenge.
    pub(super) fn response(&mut self, text: &[u8]) -> Answer {
        let asked = self.asked.take();
        match (str::from_utf8(text), asked) {
            (Ok("*"), _) => Answer::line("-ERR cancelled"),
            (Ok(response), Some(asked)) => self.respond(asked, response),
            _ => Answer::line("-ERR not base64"),
        }
    }

    fn challenge(&mut self, asked: Asked, text: &str) -> Answer {
        self.asked = Some(asked);
        let challenge = BASE64_STANDARD.encode(text);
        self.note(|log| log.challenges.push(challenge.clone()));
        Answer::line(format!("+ {challenge}"))
    }

    fn respond(&mut self, asked: Asked, response: &str) -> Answer {
        let response = if response == "=" { "" } else { response };
        let decoded = BASE64_STANDARD.decode(response).unwrap_or_default();
        let text = String::from_utf8_lossy(&decoded).into_owned();
        let said = match asked {
            Asked::Initial(mechanism) => self.begin(&mechanism, text),
            Asked::Password { name } => Some(self.log_in(&name, |right| right == text)),
            Asked::Digest { challenge } => text.rsplit_once(' ').map(|(name, digest)| {
                self.log_in(name, |right| {
                    hex(&hmac(
                        MessageDigest::md5(),
                        right.as_bytes(),
                        challenge.as_bytes(),
                    )) == digest
                })
            }),
            Asked::Proof(dialogue) => self.scram_proof(&dialogue, &text),
            Asked::Nothing { name } => text.is_empty().then(|| self.log_in(&name, |_| true)),
            Asked::Acknowledgement => {
                let acknowledged = matches!(text.as_str(), "" | "\x01");
                acknowledged.then(|| Answer::line("-ERR [AUTH] token refused"))
            }
        };
        said.unwrap_or_else(|| Answer::line("-ERR not what this mechanism says"))
    }

    fn begin(&mut self, mechanism: &str, text: String) -> Option<Answer> {
        match mechanism {
            "PLAIN" => {
                // RFC 4616: authorization identity (empty here), user, and password.
                let parts: Vec<&str> = text.split('\0').collect();
                let ["", name, password] = parts[..] else {
                    return None;
                };
                Some(self.log_in(name, |right| right == password))
            }
            "LOGIN" => Some(self.challenge(Asked::Password { name: text }, "Password:")),
            "EXTERNAL" => Some(self.log_in(&text, |_| true)),
            "XOAUTH2" => {
                let rest = text.strip_prefix("user=")?;
                let (name, rest) = rest.split_once("\x01auth=Bearer ")?;
                let token = rest.strip_suffix("\x01\x01")?;
                Some(self.token(name, token))
            }
            "OAUTHBEARER" => {
                let rest = text.strip_prefix("n,a=")?;
                let (name, rest) = rest.split_once(",\x01host=127.0.0.1\x01port=")?;
                let (_port, rest) = rest.split_once("\x01auth=Bearer ")?;
                let token = rest.strip_suffix("\x01\x01")?;
                Some(self.token(name, token))
            }
            scram => self.scram_first(scram, &text),
        }
    }

    fn token(&mut self, name: &str, token: &str) -> Answer {
        let right = self.password_of(name).is_some_and(|right| right == token);
        match right {
            true => self.log_in(name, |_| true),
            false => self.challenge(
                Asked::Acknowledgement,
                r#"{"status":"invalid_token","scope":"mail"}"#,
            ),
        }
    }

    fn scram_first(&mut self, mechanism: &str, text: &str) -> Option<Answer> {
        let plus = mechanism.ends_with("-PLUS");
        let header_end = text.match_indices(',').nth(1)?.0 + 1;
        let (header, client_first) = text.split_at(header_end);
        let flag = &header[..1];
        // A client that could bind must say so where it sees no -PLUS, and use it where it is named.
        let offers_plus = self.announced_mechanisms().contains("-PLUS");
        if plus != (flag == "p") || (flag == "y" && offers_plus) {
            return Some(Answer::line("-ERR that is a downgrade"));
        }
        let (name, nonce) = client_first.strip_prefix("n=")?.split_once(",r=")?;
        let template = self.settings.scram.first.clone();
        let template = template
            .unwrap_or_else(|| format!("r=NONCEmore,s={},i=4096", BASE64_STANDARD.encode(SALT)));
        let server_first = template.replace("NONCE", nonce);
        let dialogue = ScramDialogue {
            name: name.to_owned(),
            sha256: mechanism.contains("256"),
            header: header.to_owned(),
            client_first: client_first.to_owned(),
            server_first: server_first.clone(),
        };
        Some(self.challenge(Asked::Proof(dialogue), &server_first))
    }

    fn scram_proof(&mut self, dialogue: &ScramDialogue, text: &str) -> Option<Answer> {
        let password = self.password_of(&dialogue.name);
        if let Some(line) = self.settings.scram.last.clone() {
            self.asked = line.starts_with('+').then(|| Asked::Nothing {
                name: dialogue.name.clone(),
            });
            self.asked.take_if(|_| line.starts_with("+OK"));
            return Some(Answer::line(line));
        }
        let (without_proof, proof) = text.rsplit_once(",p=")?;
        let bound = self.bound(&dialogue.header)?;
        if !without_proof.starts_with(&format!("c={},r=", BASE64_STANDARD.encode(bound))) {
            return None;
        }
        let digest = match dialogue.sha256 {
            true => MessageDigest::sha256(),
            false => MessageDigest::sha1(),
        };
        let mut salted = vec![0; digest.size()];
        pbkdf2_hmac(password?.as_bytes(), SALT, 4096, digest, &mut salted).ok()?;
        let all = [
            &dialogue.client_first,
            &dialogue.server_first,
            without_proof,
        ]
        .join(",");
        let client_key = hmac(digest, &salted, b"Client Key");
        let stored = hash(digest, &client_key).ok()?;
        let signature = hmac(digest, &stored, all.as_bytes());
        let expected: Vec<u8> = client_key
            .iter()
            .zip(&signature)
            .map(|(a, b)| a ^ b)
            .collect();
        if BASE64_STANDARD.decode(proof).ok()? != expected {
            return Some(Answer::line("-ERR [AUTH] name or password is wrong"));
        }
        let server_key = hmac(digest, &salted, b"Server Key");
        let proof = BASE64_STANDARD.encode(hmac(digest, &server_key, all.as_bytes()));
        let name = dialogue.name.clone();
        Some(self.challenge(Asked::Nothing { name }, &format!("v={proof}")))
    }

    /// What a client with this header has to prove that it sees.
    fn bound(&self, header: &str) -> Option<Vec<u8>> {
        let mut bound = header.as_bytes().to_vec();
        if header.starts_with('p') {
            bound.extend(self.end_point()?);
        }
        Some(bound)
    }
}

fn hmac(digest: MessageDigest, key: &[u8], data: &[u8]) -> Vec<u8> {
    let key = PKey::hmac(key).expect("OpenSSL takes any key");
    let mut signer = Signer::new(digest, &key).expect("OpenSSL knows the digest");
    signer.sign_oneshot_to_vec(data).expect("OpenSSL can sign")
}

/// In lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
