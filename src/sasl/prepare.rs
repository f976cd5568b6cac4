//! Names and passwords as SASL wants them.

use std::borrow::Cow;

use zeroize::Zeroizing;

/// A name or a password after SASLprep (RFC 4013), so that different ways to type a character come
/// out the same; as it is where SASLprep has nothing to say: no UTF-8, or characters that it forbids or
/// does not know yet. The server will know whether it is right.
#[must_use]
pub fn prepared(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let prepared = str::from_utf8(text)
        .ok()
        .and_then(|text| stringprep::saslprep(text).ok())
        .filter(|prepared| !prepared.is_empty());
    Zeroizing::new(match prepared {
        Some(Cow::Owned(prepared)) => prepared.into_bytes(),
        Some(Cow::Borrowed(_)) | None => text.to_vec(),
    })
}

/// A name where commas end names: `,` and `=` as `=2C` and `=3D` (RFC 5801 section 4).
pub(super) fn escaped_name(name: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(name.len());
    for &byte in name {
        match byte {
            b',' => escaped.extend_from_slice(b"=2C"),
            b'=' => escaped.extend_from_slice(b"=3D"),
            _ => escaped.push(byte),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_come_out_as_they_must() {
        for (text, expected) in [
            ("I\u{ad}X", "IX"),
            ("user", "user"),
            ("USER", "USER"),
            ("\u{aa}", "a"),
            ("\u{2168}", "IX"),
        ] {
            assert_eq!(prepared(text.as_bytes()).as_slice(), expected.as_bytes());
        }
    }

    #[test]
    fn spaces_percent_signs_and_letters_of_any_script_stay() {
        for text in [" two  words ", "100%", "pässwörd", "пароль"] {
            assert_eq!(prepared(text.as_bytes()).as_slice(), text.as_bytes());
        }
        // Typed in two parts on some keyboards.
        assert_eq!(
            prepared("pa\u{308}ss".as_bytes()).as_slice(),
            "päss".as_bytes()
        );
    }

    #[test]
    fn what_cannot_be_prepared_stays_as_it_is() {
        for text in [
            &b"\xff\xfe"[..],
            "\u{7}bell".as_bytes(),
            "🦀".as_bytes(),
            "\u{ad}".as_bytes(),
        ] {
            assert_eq!(prepared(text).as_slice(), text);
        }
    }

    #[test]
    fn a_name_cannot_end_itself() {
        assert_eq!(escaped_name(b"a,b=c"), b"a=2Cb=3Dc");
    }
}
