//! Status lines, response codes, the answer to STAT, and the timestamp of a greeting.

use popfetch::pop3::{Reply, ResponseCode, Status, apop, parse_stat, says_busy};
use popfetch::text::{SHOWN_CHARACTERS, Untrusted};

pub(super) fn run(input: &[u8]) {
    let shown = Untrusted(input).to_string();
    super::assert_harmless(&shown);
    assert!(shown.chars().count() <= SHOWN_CHARACTERS * "\\u{e007f}".len() + 1);

    let reply = Reply::parse(input);
    let expected = plainly(input);
    assert_eq!(reply.map(|reply| (reply.status, reply.text)), expected);
    let Some(reply) = reply else {
        return;
    };
    super::assert_harmless(&format!("{reply:?}"));
    let code = (reply.status != Status::Continue).then(|| code(reply.text));
    assert_eq!(reply.code, code.flatten());
    let _ = says_busy(reply.text);
    stat(reply.text);
    timestamp(reply.text);
}

fn plainly(line: &[u8]) -> Option<(Status, &[u8])> {
    let statuses: [(&[u8], _); 2] = [(b"+OK", Status::Ok), (b"-ERR", Status::Err)];
    for (word, status) in statuses {
        if line.len() >= word.len() && line[..word.len()].to_ascii_uppercase() == word {
            return Some((status, line[word.len()..].trim_ascii()));
        }
    }
    let is_challenge = line == b"+" || line.starts_with(b"+ ") || line.starts_with(b"+\t");
    is_challenge.then(|| (Status::Continue, line[1..].trim_ascii()))
}

/// A response code is a word in brackets at the very beginning (RFC 2449 section 8).
fn code(text: &[u8]) -> Option<ResponseCode> {
    let text = text.to_ascii_uppercase();
    let end = text.iter().position(|&byte| byte == b']')?;
    if text[0] != b'[' || end == 1 || !text[1..end].iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let code = String::from_utf8(text[1..end].to_vec()).expect("ASCII");
    let levels: Vec<_> = code.split('/').collect();
    Some(match levels[..] {
        ["IN-USE", ..] => ResponseCode::InUse,
        ["LOGIN-DELAY", ..] => ResponseCode::LoginDelay,
        ["AUTH", ..] => ResponseCode::Auth,
        ["UTF8", ..] => ResponseCode::Utf8,
        ["SYS", "TEMP", ..] => ResponseCode::SysTemp,
        ["SYS", "PERM", ..] => ResponseCode::SysPerm,
        ["SYS", ..] => ResponseCode::Sys,
        _ => ResponseCode::Other,
    })
}

fn stat(text: &[u8]) {
    let words = || text.split(|&byte| matches!(byte, b' ' | b'\t'));
    let mut numbers = words().filter(|word| !word.is_empty()).map(number);
    let count = numbers.next().flatten().filter(|&count| count <= 1_000_000);
    let octets = numbers.next().flatten().filter(|&octets| octets < 1 << 63);
    let read = parse_stat(text).ok();
    let read = read.map(|stat| (u128::from(stat.messages), stat.octets.map(u128::from)));
    assert_eq!(read, count.map(|count| (count, octets)));
}

/// Digits as a number; a very large one where there are more than fit.
pub(super) fn number(word: &[u8]) -> Option<u128> {
    let is_number = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    let digits = str::from_utf8(word).ok().filter(|_| is_number)?;
    Some(digits.parse().unwrap_or(u128::MAX))
}

/// One thing between angle brackets, and in it one @ between visible characters.
fn timestamp(text: &[u8]) {
    let count = |wanted| text.iter().filter(|&&byte| byte == wanted).count();
    let place = |wanted| text.iter().position(|&byte| byte == wanted);
    let plainly = || {
        let (start, end) = (place(b'<')?, place(b'>')?);
        if start > end || count(b'<') > 1 || count(b'>') > 1 || end - start >= 512 {
            return None;
        }
        let timestamp = str::from_utf8(&text[start..=end]).ok()?;
        let (local, domain) = timestamp[1..timestamp.len() - 1].split_once('@')?;
        let is_part = |part: &str| {
            !part.is_empty()
                && !part.contains('@')
                && part.bytes().all(|byte| byte.is_ascii_graphic())
        };
        (is_part(local) && is_part(domain)).then_some(timestamp)
    };
    assert_eq!(apop::timestamp(text), plainly());
}
