//! An exchange with a server that does not know the password and says anything.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use popfetch::pop3::sasl::{
    Binding, CramMd5, Exchange, External, Hash, Login, Mechanism, Next, OauthBearer, Plain, Scram,
    Xoauth2,
};
use popfetch::pop3::{Command, Reply, Status};

const USER: &[u8] = b"user";
const PASSWORD: &[u8] = b"pencil";
const NONCE: &str = "NONCE";

/// The first byte chooses the mechanism; then come the server's lines. Behind `+ `, base64 is made of
/// them, but where another `+` follows.
pub(super) fn run(input: &[u8]) {
    let Some((&choice, lines)) = input.split_first() else {
        return;
    };
    let mechanism = mechanism(choice & 0x7f);
    let name = mechanism.name();
    let is_scram = name.starts_with("SCRAM");
    let mut exchange = Exchange::new(mechanism, choice & 0x80 != 0);
    let begun = line_of(&exchange.command());
    assert!(begun.len() <= 255 && begun.starts_with(format!("AUTH {name}").as_bytes()));
    let mut sent_something = begun.len() > format!("AUTH {name}\r\n").len();

    let mut answers = 0;
    let mut has_proven = false;
    for line in lines.split(|&byte| byte == b'\n') {
        let line = with_base64(line);
        let Some(reply) = Reply::parse(&line) else {
            continue;
        };
        let challenge = challenge(&reply);
        if is_scram && is_slow(&challenge) {
            return;
        }
        answers += 1;
        assert!(answers <= 10, "it goes on for ever");
        let has_answered = sent_something;
        let next = exchange.proceed(&reply);
        match &next {
            Next::Send(command @ Command::Respond(response)) => {
                let sent = line_of(command);
                assert_eq!(
                    sent,
                    [BASE64_STANDARD.encode(response).as_bytes(), b"\r\n"].concat()
                );
                assert_ne!(reply.status, Status::Err);
                // What the server may see of the password depends on the mechanism alone.
                let holds =
                    |bytes: &[u8]| bytes.windows(PASSWORD.len()).any(|part| part == PASSWORD);
                let reveals = holds(response) && !holds(&challenge);
                assert!(!reveals || matches!(name, "PLAIN" | "LOGIN" | "XOAUTH2" | "OAUTHBEARER"));
                if is_scram && response.starts_with(b"c=") {
                    assert!(!has_proven, "proven twice");
                    assert!(is_acceptable(&challenge), "{}", challenge.escape_ascii());
                    has_proven = true;
                }
                sent_something = true;
            }
            Next::Send(command) => assert_eq!(line_of(command), b"*\r\n"),
            Next::Done => {
                assert_eq!(reply.status, Status::Ok);
                assert!(has_answered, "nothing was shown to the server");
                assert!(!is_scram, "nobody knows the password, so nobody can sign");
                return;
            }
            Next::Denied => return assert_eq!(reply.status, Status::Err),
            Next::Cancelled(refused) => {
                assert_eq!(reply.status, Status::Err);
                return super::assert_harmless(&refused.to_string());
            }
            Next::Untrusted(refused) => {
                assert_ne!(reply.status, Status::Err);
                return super::assert_harmless(&refused.to_string());
            }
        }
        drop(next);
        if let Some(complaint) = exchange.complaint() {
            super::assert_harmless(&complaint.to_string());
        }
    }
}

fn mechanism(choice: u8) -> Box<dyn Mechanism> {
    const SOUND: &str = "credentials";
    let scram = |hash, binding| {
        let scram = Scram::new(hash, binding, USER, PASSWORD, NONCE.to_owned());
        Box::new(scram.expect(SOUND))
    };
    match choice % 9 {
        0 => scram(Hash::Sha1, Binding::None),
        1 => Box::new(CramMd5::new(USER, PASSWORD).expect(SOUND)),
        2 => Box::new(Login::new(USER, PASSWORD).expect(SOUND)),
        3 => Box::new(Xoauth2::new(USER, PASSWORD).expect(SOUND)),
        4 => Box::new(Plain::new(USER, PASSWORD).expect(SOUND)),
        5 => Box::new(OauthBearer::new(USER, PASSWORD, "h", 995).expect(SOUND)),
        6 => Box::new(External::new(USER).expect(SOUND)),
        7 => scram(Hash::Sha256, Binding::NotOffered),
        _ => scram(Hash::Sha256, Binding::EndPoint(vec![7; 32])),
    }
}

fn line_of(command: &Command<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    command.encode(&mut line).expect("a line");
    assert!(line.ends_with(b"\r\n") && !line[..line.len() - 2].contains(&b'\n'));
    line
}

fn with_base64(line: &[u8]) -> Vec<u8> {
    match line.strip_prefix(b"+ ") {
        Some([b'+', raw @ ..]) => [b"+ ", raw].concat(),
        Some(text) => format!("+ {}", BASE64_STANDARD.encode(text)).into_bytes(),
        None => line.to_vec(),
    }
}

fn challenge(reply: &Reply<'_>) -> Vec<u8> {
    BASE64_STANDARD.decode(reply.text).unwrap_or_default()
}

/// The value of an attribute of SCRAM.
fn attribute<'a>(message: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut parts = message.split(|&byte| byte == b',');
    parts.find_map(|part| part.strip_prefix(name))
}

fn iterations(challenge: &[u8]) -> Option<u128> {
    super::reply::number(attribute(challenge, b"i=")?)
}

/// Hashing so often would only take time.
fn is_slow(challenge: &[u8]) -> bool {
    iterations(challenge).is_some_and(|count| (5_000..=600_000).contains(&count))
}

/// What a proof may be given for (RFC 5802 section 5).
fn is_acceptable(challenge: &[u8]) -> bool {
    let nonce = attribute(challenge, b"r=").unwrap_or_default();
    let salt = attribute(challenge, b"s=").and_then(|salt| BASE64_STANDARD.decode(salt).ok());
    str::from_utf8(challenge).is_ok()
        && !challenge.starts_with(b"m=")
        && nonce.len() > NONCE.len()
        && nonce.starts_with(NONCE.as_bytes())
        && nonce.iter().all(u8::is_ascii_graphic)
        && salt.is_some_and(|salt| !salt.is_empty())
        && iterations(challenge).is_some_and(|count| (4_096..=600_000).contains(&count))
}
