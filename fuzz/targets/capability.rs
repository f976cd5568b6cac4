//! The answer to CAPA, line by line.

use std::time::Duration;

use popfetch::pop3::{Capabilities, Expire};

use super::reply::number;

pub(super) fn run(input: &[u8]) {
    let lines: Vec<&[u8]> = input.split(|&byte| byte == b'\n').collect();
    let mut capabilities = Capabilities::default();
    let taken = lines
        .iter()
        .take_while(|line| capabilities.add(line).is_ok())
        .count();
    assert_eq!(taken, lines.len().min(500));
    let lines: Vec<Vec<Vec<u8>>> = lines[..taken].iter().map(|line| words(line)).collect();

    let has = |tag: &str| {
        lines
            .iter()
            .any(|line| line.first().is_some_and(|word| word == tag.as_bytes()))
    };
    let of = |tag: &'static str| {
        let lines = lines.iter().filter_map(|line| line.split_first());
        lines
            .filter(move |(word, _)| word.as_slice() == tag.as_bytes())
            .map(|(_, rest)| rest)
    };
    assert_eq!(capabilities.uidl, has("UIDL"));
    assert_eq!(capabilities.pipelining, has("PIPELINING"));
    assert_eq!(capabilities.auth_resp_code, has("AUTH-RESP-CODE"));
    assert_eq!(capabilities.utf8, has("UTF8"));
    let by_user = |arguments: &[Vec<u8>]| arguments.contains(&b"USER".to_vec());
    assert_eq!(capabilities.utf8_user, of("UTF8").any(by_user));

    let limit = |arguments: &[Vec<u8>]| {
        let number = number(arguments.first()?)?;
        Some(u32::try_from(number).unwrap_or(u32::MAX))
    };
    let days = of("EXPIRE").filter_map(limit).min().map(Expire::Days);
    let never =
        of("EXPIRE").any(|arguments| arguments.first().is_some_and(|word| word == b"NEVER"));
    assert_eq!(capabilities.expire, days.or(never.then_some(Expire::Never)));
    let delay = of("LOGIN-DELAY").filter_map(limit).max();
    assert_eq!(
        capabilities.login_delay,
        delay.map(|seconds| Duration::from_secs(seconds.into()))
    );

    let mut mechanisms: Vec<String> = Vec::new();
    for name in of("SASL").flatten() {
        let is_name = name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte));
        let name = String::from_utf8_lossy(name).into_owned();
        if is_name && name.len() <= 20 && mechanisms.len() < 64 && !mechanisms.contains(&name) {
            mechanisms.push(name);
        }
    }
    assert!(capabilities.mechanisms().eq(&mechanisms));
    assert!(mechanisms.iter().all(|name| capabilities.offers(name)));
    assert_eq!(capabilities.has_sasl(), !mechanisms.is_empty());
}

/// In upper case.
fn words(line: &[u8]) -> Vec<Vec<u8>> {
    let words = line.split(|&byte| byte == b' ' || byte == b'\t');
    words
        .filter(|word| !word.is_empty())
        .map(<[u8]>::to_ascii_uppercase)
        .collect()
}
