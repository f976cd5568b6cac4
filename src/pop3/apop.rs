//! APOP (RFC 1939 section 7): a password proven by a digest over the greeting's stamp.

use std::fmt::Write as _;

use md5::{Digest as _, Md5};
use memchr::{memchr, memrchr};
use zeroize::Zeroizing;

use super::limits;

/// The stamp in the text of a greeting, angle brackets included; none where there is none that can
/// be trusted.
///
/// It must be the only thing in angle brackets and look like the message-id that RFC 1939 demands:
/// visible ASCII with one `@` that has something on both sides, at most [`limits::STAMP`] octets. A
/// forger who may send any bytes as a stamp can learn the password from the digests
/// (CVE-2007-1558).
#[must_use]
pub fn stamp(greeting: &[u8]) -> Option<&str> {
    let start = memchr(b'<', greeting)?;
    let end = memrchr(b'>', greeting)?;
    let stamp = greeting
        .get(start..=end)
        .filter(|stamp| stamp.len() <= limits::STAMP)?;
    let id = stamp.strip_prefix(b"<")?.strip_suffix(b">")?;
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
    (is_alone && is_part(local) && is_part(domain)).then(|| str::from_utf8(stamp).ok())?
}

/// What APOP sends: MD5 over the stamp and the secret, in lower-case hexadecimal.
#[must_use]
pub fn digest(stamp: &str, secret: &[u8]) -> Zeroizing<String> {
    let hash = Md5::new()
        .chain_update(stamp)
        .chain_update(secret)
        .finalize();
    let mut digest = Zeroizing::new(String::with_capacity(2 * hash.len()));
    for byte in hash {
        write!(digest, "{byte:02x}").expect("a String takes what is written");
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_digest_is_the_one_of_the_rfc() {
        let greeting = b"POP3 server ready <1896.697170952@dbc.mtview.ca.us>";
        let stamp = stamp(greeting).expect("a stamp");
        assert_eq!(stamp, "<1896.697170952@dbc.mtview.ca.us>");
        assert_eq!(
            *digest(stamp, b"tanstaaf"),
            "c4c9334bac560ecc979e58001b3e22fb"
        );
    }

    #[test]
    fn a_stamp_may_stand_anywhere_and_hold_any_visible_character() {
        assert_eq!(
            stamp(b"<1.2.3+/=@[10.0.0.1]:110> ready"),
            Some("<1.2.3+/=@[10.0.0.1]:110>")
        );
    }

    #[test]
    fn what_is_not_plainly_a_message_id_is_no_stamp() {
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
            assert_eq!(stamp(greeting), None, "{}", greeting.escape_ascii());
        }
        let longest = format!("<{}@b>", "a".repeat(limits::STAMP - 4));
        assert_eq!(stamp(longest.as_bytes()), Some(longest.as_str()));
        assert_eq!(stamp(longest.replace('@', "a@").as_bytes()), None);
    }

    proptest! {
        #[test]
        fn no_greeting_upsets_it(greeting in prop::collection::vec(prop::sample::select(&b"<<>>@@ab \xff\0"[..]), 0..20)) {
            if let Some(stamp) = stamp(&greeting) {
                prop_assert_eq!(stamp.matches(['<', '>', '@']).count(), 3);
            }
        }
    }
}
