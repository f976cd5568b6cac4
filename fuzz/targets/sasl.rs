//! An exchange with a server that does not know the password and says anything.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use popfetch::pop3::{Command, Reply, Status, carries_initial};
use popfetch::sasl::{Answer, Exchange, Hash, Mechanism, Next, Parameters};

const USER: &[u8] = b"user";
const PASSWORD: &[u8] = b"pencil";
/// What the client makes of no random bytes at all.
const NONCE: &str = "AAAAAAAAAAAAAAAAAAAAAAAA";

/// The first byte chooses the mechanism; then come the server's lines. After `+ `, base64 is made of
/// them, but where another `+` follows. `NONCE` in a line stands for the client's nonce.
pub(super) fn run(input: &[u8]) {
    let Some((&choice, lines)) = input.split_first() else {
        return;
    };
    let (mechanism, parameters) = chosen(choice & 0x7f);
    let name = mechanism.name();
    let is_scram = mechanism.proves_server();
    let client = mechanism.client(&parameters).expect("credentials");
    let announced = choice & 0x80 != 0;
    let mut exchange = Exchange::new(client, |initial| {
        announced && carries_initial(name, initial)
    });
    let begun = line_of(&Command::Auth {
        mechanism: name,
        initial: exchange.initial(),
    });
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
        let next = exchange.proceed(Answer::from(&reply));
        match &next {
            Next::Respond(response) => {
                let sent = line_of(&Command::Respond(response));
                assert_eq!(
                    sent,
                    [BASE64_STANDARD.encode(response).as_bytes(), b"\r\n"].concat()
                );
                assert_ne!(reply.status, Status::Err);
                // What the server may see of the password depends on the mechanism alone.
                let holds =
                    |bytes: &[u8]| bytes.windows(PASSWORD.len()).any(|part| part == PASSWORD);
                let reveals = holds(response) && !holds(&challenge);
                assert!(!reveals || mechanism.exposes_secret());
                if is_scram && response.starts_with(b"c=") {
                    assert!(!has_proven, "proven twice");
                    assert!(is_acceptable(&challenge), "{}", challenge.escape_ascii());
                    has_proven = true;
                }
                sent_something = true;
            }
            Next::Cancel => assert_ne!(reply.status, Status::Err),
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

fn chosen(choice: u8) -> (Mechanism, Parameters<'static>) {
    let parameters = Parameters {
        user: USER,
        secret: PASSWORD,
        host: "h",
        port: 995,
        ..Parameters::default()
    };
    let on_tls = Parameters {
        end_point: Some(vec![7; 32]),
        ..parameters.clone()
    };
    match choice % 9 {
        0 => (Mechanism::Scram(Hash::Sha1), parameters),
        1 => (Mechanism::CramMd5, parameters),
        2 => (Mechanism::Login, parameters),
        3 => (Mechanism::Xoauth2, parameters),
        4 => (Mechanism::Plain, parameters),
        5 => (Mechanism::OauthBearer, parameters),
        6 => (Mechanism::External, parameters),
        7 => (Mechanism::Scram(Hash::Sha256), on_tls),
        _ => (Mechanism::ScramPlus(Hash::Sha256), on_tls),
    }
}

fn line_of(command: &Command<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    command.encode(&mut line).expect("a line");
    assert!(line.ends_with(b"\r\n") && !line[..line.len() - 2].contains(&b'\n'));
    line
}

fn with_base64(line: &[u8]) -> Vec<u8> {
    let line = with_nonce(line);
    match line.strip_prefix(b"+ ") {
        Some([b'+', raw @ ..]) => [b"+ ", raw].concat(),
        Some(text) => format!("+ {}", BASE64_STANDARD.encode(text)).into_bytes(),
        None => line,
    }
}

fn with_nonce(line: &[u8]) -> Vec<u8> {
    match line.windows(5).position(|word| word == b"NONCE") {
        Some(at) => [&line[..at], NONCE.as_bytes(), &line[at + 5..]].concat(),
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
