//! APOP (RFC 1939 section 7): a password proven by a digest over the greeting's timestamp.

use md5::{Digest as _, Md5};
use memchr::{memchr, memrchr};
use zeroize::Zeroizing;

use super::limits;

/// The timestamp in the text of a greeting, angle brackets included; none where there is none that can
/// be trusted.
///
/// It must be the only thing in angle brackets and look like the message-id that RFC 1939 demands:
/// visible ASCII with one `@` that has something on both sides, at most [`limits::TIMESTAMP`] octets. A
/// forger who may send any bytes as a timestamp can learn the password from the digests
/// (CVE-2007-1558).
#[must_use]
pub fn timestamp(greeting: &[u8]) -> Option<&str> {
    let start = memchr(b'<', greeting)?;
    let end = memrchr(b'>', greeting)?;
    let timestamp = greeting
        .get(start..=end)
        .filter(|timestamp| timestamp.len() <= limits::TIMESTAMP)?;
    let id = timestamp.strip_prefix(b"<")?.strip_suffix(b">")?;
    let at = memchr(b'@', id)?;
    let (local, domain) = (&id[..at], &id[at + 1..]);
    let is_part = |part: &[u8]| {
        let is_plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'@');
        !part.is_empty() && part.iter().all(is_plain)
    };
    let others = [&greeting[..start], &greeting[end + 1..]];
    let is_alone = others
        .iter()
        .all(|text| !text.contains(&b'<') && !text.contains(&b'>'));
    (is_alone && is_part(local) && is_part(domain)).then(|| str::from_utf8(timestamp).ok())?
}

/// What APOP sends: MD5 over the timestamp and the secret, in lower-case hexadecimal.
#[must_use]
pub fn digest(timestamp: &str, secret: &[u8]) -> Zeroizing<String> {
    let hash = Md5::new()
        .chain_update(timestamp)
        .chain_update(secret)
        .finalize();
    Zeroizing::new(format!("{:032x}", u128::from_be_bytes(hash.into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_digest_is_the_one_of_the_rfc() {
        let greeting = b"POP3 server ready <1896.697170952@dbc.mtview.ca.us>";
        let timestamp = timestamp(greeting).expect("a timestamp");
        assert_eq!(timestamp, "<1896.697170952@dbc.mtview.ca.us>");
        assert_eq!(
            *digest(timestamp, b"tanstaaf"),
            "c4c9334bac560ecc979e58001b3e22fb"
        );
    }

    #[test]
    fn a_timestamp_may_stand_anywhere_and_hold_any_visible_character() {
        assert_eq!(
            timestamp(b"<1.2.3+/=@[10.0.0.1]:110> ready"),
            Some("<1.2.3+/=@[10.0.0.1]:110>")
        );
    }

    #[test]
    fn what_is_not_plainly_a_message_id_is_no_timestamp() {
        for greeting in [
            &b"ready"[..],
            b"<>",
            b"<@>",
            b"<a@>",
            b"<@b>",
            b"<ab>",
            b"<a@b@c>",
            b"<a b@c>",
            b"<a\x01@c>",
            b"<a\x7f@c>",
            b"<a\xc3\xa9@c>",
            b"<a@b",
            b"a@b>",
            b">a@b<",
            b"<a@b> <c@d>",
            b"<x> <a@b>",
            b"<<a@b>",
            b"<a@b>>",
            b"> <a@b>",
        ] {
            assert_eq!(timestamp(greeting), None, "{}", greeting.escape_ascii());
        }
        let longest = format!("<{}@b>", "a".repeat(limits::TIMESTAMP - 4));
        assert_eq!(timestamp(longest.as_bytes()), Some(longest.as_str()));
        assert_eq!(timestamp(longest.replace('@', "a@").as_bytes()), None);
    }

    proptest! {
        #[test]
        fn no_greeting_upsets_it(greeting in prop::collection::vec(prop::sample::select(&b"<<>>@@ab \xff\0"[..]), 0..20)) {
            if let Some(timestamp) = timestamp(&greeting) {
                prop_assert_eq!(timestamp.matches(['<', '>', '@']).count(), 3);
            }
        }
    }
}
