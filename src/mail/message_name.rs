//! How a person names a message of a maildrop.

use std::fmt;
use std::str::FromStr;

use super::{NotAUniqueId, Number, UniqueId};

/// What stands in front of a unique-id that could be taken for something else.
const UID: &str = "uid:";

/// A message as the command line names it: digits alone are a number, `uid:WORD` is always a unique-id, and
/// anything else is one too. Unique-ids are read and displayed in their readable form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MessageName {
    /// By its number in the session.
    Number(Number),
    /// By its unique-id.
    Uid(UniqueId),
}

/// A string that names no message.
#[derive(Debug, thiserror::Error)]
pub enum NotAMessageName {
    /// Nothing, or nothing after `uid:`.
    #[error("a unique-id has at least one character")]
    Empty,
    /// Digits, but not those of a number that a message may have.
    #[error("no message has this number; a unique-id of digits alone is written uid:{0}")]
    OutOfRange(String),
    /// Not the readable form of a unique-id.
    #[error(transparent)]
    Unreadable(#[from] NotAUniqueId),
}

impl FromStr for MessageName {
    type Err = NotAMessageName;

    fn from_str(text: &str) -> Result<Self, NotAMessageName> {
        if is_digits(text) {
            let number = text.parse().ok().filter(|&number| number > 0);
            let out_of_range = || NotAMessageName::OutOfRange(text.to_owned());
            return number.map(MessageName::Number).ok_or_else(out_of_range);
        }
        match text.strip_prefix(UID).unwrap_or(text) {
            "" => Err(NotAMessageName::Empty),
            word => Ok(MessageName::Uid(word.parse()?)),
        }
    }
}

/// As a person may write it.
impl fmt::Display for MessageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MessageName::Number(number) => write!(f, "{number}"),
            MessageName::Uid(uid) => {
                let word = uid.to_string();
                let is_plain = !is_digits(&word) && !word.starts_with(UID);
                f.write_str(if is_plain { "" } else { UID })?;
                f.write_str(&word)
            }
        }
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn uid(bytes: &[u8]) -> MessageName {
        MessageName::Uid(UniqueId::new(bytes))
    }

    #[test]
    fn digits_are_a_number_and_all_else_is_a_unique_id() {
        for (text, expected) in [
            ("7", MessageName::Number(7)),
            ("007", MessageName::Number(7)),
            ("uid:7", uid(b"7")),
            ("uid:uid:7", uid(b"uid:7")),
            ("7a", uid(b"7a")),
            ("-7", uid(b"-7")),
            ("\u{661}", uid("\u{661}".as_bytes())),
            ("a%25%20b", uid(b"a% b")),
            ("UID:7", uid(b"UID:7")),
        ] {
            assert_eq!(text.parse::<MessageName>().expect(text), expected, "{text}");
        }
    }

    #[test]
    fn what_names_no_message_says_what_to_write() {
        let refusal = |text: &str| text.parse::<MessageName>().expect_err(text).to_string();
        for text in ["", "uid:"] {
            assert!(refusal(text).contains("at least one character"), "{text}");
        }
        for text in ["0", "4294967296", "1746382917364"] {
            assert!(refusal(text).ends_with(&format!("uid:{text}")), "{text}");
        }
        assert!(refusal("100%").contains("hexadecimal"));
    }

    proptest! {
        #[test]
        fn any_name_comes_back(bytes in prop::collection::vec(any::<u8>(), 1..30), number in 1..Number::MAX) {
            for name in [uid(&bytes), uid(number.to_string().as_bytes()), MessageName::Number(number)] {
                prop_assert_eq!(name.to_string().parse::<MessageName>().expect("own form"), name);
            }
        }
    }
}
