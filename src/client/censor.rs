//! A server may repeat what we told it. What it says is shown without our secrets.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use memchr::memmem;
use zeroize::Zeroizing;

use crate::text::Foreign;

/// What stands where a secret stood.
const MASK: &[u8] = b"****";

/// A secret shorter than that is looked for only as a whole word: it may well be part of innocent words.
const SHORT: usize = 4;

/// Knows the secrets of a session, in every form in which they crossed the wire.
#[derive(Default)]
pub(super) struct Censor {
    needles: Vec<Zeroizing<Vec<u8>>>,
}

impl Censor {
    /// Hides this password, and what SASL PLAIN makes of it.
    pub(super) fn of(user: &[u8], secret: &[u8]) -> Self {
        let plain = Zeroizing::new([b"\0", user, b"\0", secret].concat());
        let encoded = |bytes: &[u8]| Zeroizing::new(BASE64_STANDARD.encode(bytes).into_bytes());
        let needles = vec![
            encoded(&plain),
            encoded(secret),
            Zeroizing::new(secret.to_vec()),
        ];
        Censor { needles }
    }

    /// Hides one more form of a secret.
    pub(super) fn and(mut self, secret: &[u8]) -> Self {
        self.needles.push(Zeroizing::new(secret.to_vec()));
        self
    }

    /// The server's words, safe to show.
    pub(super) fn show(&self, said: &[u8]) -> String {
        Foreign(&self.mask(said)).to_string()
    }

    /// A text with the server's words in it, already escaped.
    pub(super) fn clean(&self, text: String) -> String {
        String::from_utf8_lossy(&self.mask(text.as_bytes())).into_owned()
    }

    fn mask(&self, said: &[u8]) -> Vec<u8> {
        let mut shown = said.to_vec();
        for needle in self.needles.iter().filter(|needle| !needle.is_empty()) {
            let mut from = 0;
            while let Some(at) = memmem::find(&shown[from..], needle) {
                let (start, end) = (from + at, from + at + needle.len());
                if needle.len() < SHORT && !stands_alone(&shown, start, end) {
                    from = end;
                    continue;
                }
                shown.splice(start..end, MASK.iter().copied());
                from = start + MASK.len();
            }
        }
        shown
    }
}

fn stands_alone(text: &[u8], start: usize, end: usize) -> bool {
    let letter = |at: Option<&u8>| at.is_some_and(u8::is_ascii_alphanumeric);
    !letter(start.checked_sub(1).and_then(|before| text.get(before))) && !letter(text.get(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_password_is_masked_in_every_form() {
        let censor = Censor::of(b"alice", b"s3cret word");
        assert_eq!(
            censor.show(b"bad password 's3cret word' for alice"),
            "bad password '****' for alice"
        );
        let plain = BASE64_STANDARD.encode(b"\0alice\0s3cret word");
        assert_eq!(
            censor.show(format!("you said {plain}").as_bytes()),
            "you said ****"
        );
        let alone = BASE64_STANDARD.encode(b"s3cret word");
        assert_eq!(censor.show(alone.as_bytes()), "****");
    }

    #[test]
    fn a_tiny_password_does_not_make_all_text_unreadable() {
        let censor = Censor::of(b"alice", b"in");
        assert_eq!(
            censor.show(b"invalid login in 'in'"),
            "invalid login **** '****'"
        );
    }
}
