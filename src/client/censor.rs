//! A server may repeat what was sent to it, also on a later connection. What it says is shown without our secrets.

use std::fmt::Write as _;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use memchr::memmem;
use zeroize::Zeroizing;

use crate::error::{Failure, Kind};
use crate::secret::Secret;
use crate::text::Untrusted;

/// What takes the place of a secret.
const MASK: &[u8] = b"****";

/// A secret shorter than that is looked for only as a whole word: it may well be part of innocent words.
const MIN_LONG_SECRET: usize = 4;

/// The shortest part of a response that is looked for by itself.
const MIN_PART: usize = 16;

/// Where untrusted text was cut: perhaps in the middle of a secret.
const CUT: &str = "…";

/// The most octets that one octet takes once it is escaped.
const MAX_ESCAPED: usize = 4;

/// Knows the secrets of a session, in every form in which they cross the wire.
#[derive(Default)]
pub struct Censor {
    needles: Vec<Zeroizing<Vec<u8>>>,
}

impl Censor {
    /// Hides what this user has to keep from others, from before the server's first word on.
    #[must_use]
    pub fn new(user: &str, secret: Option<&Secret>) -> Self {
        let mut censor = Censor::default();
        if let Some(secret) = secret.map(Secret::expose) {
            let user = user.as_bytes();
            let plain = Zeroizing::new([b"\0", user, b"\0", secret].concat());
            censor.hide_response(&plain, user);
            censor.hide_secret(secret);
        }
        censor
    }

    /// A failure to begin with TLS, without our secrets: the server's words may be in it, in its
    /// certificate's names too.
    #[must_use]
    pub fn clean_failure(&self, failure: Failure) -> Failure {
        match failure.kind() {
            Kind::Tls | Kind::Certificate => failure.reworded(|text| self.clean(text)),
            _ => failure,
        }
    }

    /// Hides this password or token, and what base64 makes of it.
    pub(super) fn hide_secret(&mut self, secret: &[u8]) {
        self.hide(BASE64_STANDARD.encode(secret).as_bytes());
        self.hide(secret);
    }

    /// Hides the response of a mechanism in which the password or what proves it may be: whole, in
    /// base64, and its longer parts. The user's name is no secret.
    pub(super) fn hide_response(&mut self, response: &[u8], user: &[u8]) {
        if response == user {
            return;
        }
        self.hide(BASE64_STANDARD.encode(response).as_bytes());
        self.hide(response);
        let parts = response.split(|byte| matches!(byte, b' ' | b',' | 0 | 1));
        for part in parts.filter(|part| part.len() >= MIN_PART && *part != user) {
            self.hide(part);
        }
    }

    /// Hides one form of a secret, and how that looks once it is escaped.
    pub(super) fn hide(&mut self, secret: &[u8]) {
        let mut escaped = Zeroizing::new(String::with_capacity(MAX_ESCAPED * secret.len()));
        // A String takes what is written.
        let _ = write!(escaped, "{:#}", Untrusted(secret));
        self.look_for(secret);
        self.look_for(escaped.as_bytes());
    }

    fn look_for(&mut self, secret: &[u8]) {
        if !secret.is_empty() && !self.needles.iter().any(|needle| **needle == *secret) {
            self.needles.push(Zeroizing::new(secret.to_vec()));
            // What contains another comes first, else its rest would stay.
            self.needles
                .sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        }
    }

    /// The server's words, safe to show.
    pub(super) fn show(&self, said: &[u8]) -> String {
        Untrusted(&self.mask(said)).to_string()
    }

    /// A text with the server's words in it, already escaped.
    pub(super) fn clean(&self, text: String) -> String {
        let mut shown = self.mask(text.as_bytes());
        let mut from = 0;
        while let Some(at) = memmem::find(&shown[from..], CUT.as_bytes()) {
            let start = self.beginning_of_a_secret(&shown[..from + at]);
            shown.splice(
                start..from + at,
                MASK.iter().copied().filter(|_| start < from + at),
            );
            let mask = if start < from + at {
                MASK.len()
            } else {
                at + from - start
            };
            from = start + mask + CUT.len();
        }
        String::from_utf8_lossy(&shown).into_owned()
    }

    /// Where the beginning of a secret begins that ends this text.
    fn beginning_of_a_secret(&self, text: &[u8]) -> usize {
        let lengths = self.needles.iter().filter_map(|needle| {
            let longest = needle.len().min(text.len());
            let ends = |&length: &usize| text.ends_with(&needle[..length]);
            (MIN_LONG_SECRET..=longest).rev().find(ends)
        });
        text.len() - lengths.max().unwrap_or(0)
    }

    fn mask(&self, said: &[u8]) -> Vec<u8> {
        let mut shown = said.to_vec();
        for needle in &self.needles {
            let mut from = 0;
            while let Some(at) = memmem::find(&shown[from..], needle) {
                let (start, end) = (from + at, from + at + needle.len());
                if needle.len() < MIN_LONG_SECRET && !stands_alone(&shown, start, end) {
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

    fn hiding(secret: &[u8]) -> Censor {
        let mut censor = Censor::default();
        censor.hide_secret(secret);
        censor
    }

    #[test]
    fn a_repeated_password_is_masked_in_every_form() {
        let mut censor = hiding(b"s3cret word");
        censor.hide_response(b"\0alice\0s3cret word", b"alice");
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

    /// Untrusted text in an error was escaped before the censor sees it.
    #[test]
    fn a_password_that_has_to_be_escaped_is_masked_in_escaped_text_too() {
        for secret in [
            &b"p\xe4ssw\xf6rd"[..],
            b"tab\tand bell\x07",
            "zero\u{200b}width \u{e0041}".as_bytes(),
            "c1 \u{9b}2J".as_bytes(),
        ] {
            let censor = hiding(secret);
            let said = [b"not '", secret, b"', no"].concat();
            assert_eq!(censor.show(&said), "not '****', no");
            assert_eq!(censor.clean(Untrusted(&said).to_string()), "not '****', no");
        }
        let censor = hiding(b"p\xe4ssw\xf6rd");
        let cut = "\"you said p\\xe4ssw…\"".to_owned();
        assert_eq!(censor.clean(cut), "\"you said ****…\"");
    }

    #[test]
    fn the_escaped_form_of_a_password_fits_into_the_room_made_for_it() {
        for character in '\0'..=char::MAX {
            let mut bytes = [0; 4];
            let bytes = character.encode_utf8(&mut bytes).as_bytes();
            assert!(format!("{:#}", Untrusted(bytes)).len() <= MAX_ESCAPED * bytes.len());
        }
        assert!(format!("{:#}", Untrusted(b"\xff")).len() <= MAX_ESCAPED);
    }

    #[test]
    fn the_parts_of_a_response_are_masked_and_the_users_name_is_not() {
        let mut censor = Censor::default();
        censor.hide_response(b"alice b913a602c7eda7a495b4e6e7334d3890", b"alice");
        censor.hide_response(b"alice", b"alice");
        assert_eq!(
            censor.show(b"alice sent b913a602c7eda7a495b4e6e7334d3890"),
            "alice sent ****"
        );
    }

    #[test]
    fn a_tiny_password_does_not_make_all_text_unreadable() {
        assert_eq!(
            hiding(b"in").show(b"invalid login in 'in'"),
            "invalid login **** '****'"
        );
    }

    #[test]
    fn where_a_text_was_cut_the_beginning_of_a_secret_is_masked() {
        let censor = hiding(b"correct horse battery");
        for (text, shown) in [
            ("\"you said correct ho…\"", "\"you said ****…\""),
            (
                "\"correct horse…\" and \"corr…\"!",
                "\"****…\" and \"****…\"!",
            ),
            ("\"all is correct…\"", "\"all is ****…\""),
            ("\"nothing…\" …", "\"nothing…\" …"),
        ] {
            assert_eq!(censor.clean(text.to_owned()), shown);
        }
    }
}
