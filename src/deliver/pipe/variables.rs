//! What a command finds in its environment. What comes from a message or a server goes nowhere else:
//! not into the command line, where a shell would obey it.

use std::process::Command;

use crate::deliver::Complete;
use crate::process::{MAX_VALUE, is_plain, word};

/// What a command finds about one message.
pub(super) struct Variables {
    uid: String,
    sender: String,
    size: u64,
}

impl Variables {
    /// About this message.
    pub(super) fn of(message: &Complete<'_>) -> Self {
        Variables {
            uid: message
                .uid
                .map(|uid| percent(uid.as_bytes()))
                .unwrap_or_default(),
            sender: word(message.sender.unwrap_or_default()),
            size: message.length,
        }
    }

    /// Gives them to the command. A value that is not known is empty, so that none comes from outside.
    pub(super) fn set(&self, command: &mut Command, account: &str) {
        command
            .env("POPFETCH_ACCOUNT", word(account.as_bytes()))
            .env("POPFETCH_UID", &self.uid)
            .env("POPFETCH_SENDER", &self.sender)
            .env("POPFETCH_SIZE", self.size.to_string());
    }
}

/// The unique-id as the journal has it, and what else a shell would take for its own as `%XX`: still the same unique-id.
fn percent(uid: &[u8]) -> String {
    let mut text = String::new();
    for (at, byte) in uid.iter().enumerate() {
        if text.len() >= MAX_VALUE {
            break;
        }
        match *byte {
            b'-' if at == 0 => text.push_str("%2D"),
            byte if is_plain(byte) => text.push(char::from(byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mail::UniqueId;

    proptest! {
        #[test]
        fn no_value_means_anything_to_a_shell(bytes in prop::collection::vec(any::<u8>(), 1..40)) {
            for value in [word(&bytes), percent(&bytes)] {
                let plain = |c: char| c.is_ascii_alphanumeric() || "@._+-=/:,%".contains(c);
                prop_assert!(value.chars().all(plain) && !value.starts_with('-'), "{}", value);
            }
        }

        #[test]
        fn the_value_of_a_unique_id_reads_as_that_id(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let uid = UniqueId::new(&bytes);
            prop_assert_eq!(percent(&bytes).parse::<UniqueId>().expect("own form"), uid);
        }
    }

    #[test]
    fn an_address_stays_one() {
        assert_eq!(
            word(b"alice+tag@mail.example.org"),
            "alice+tag@mail.example.org"
        );
        assert_eq!(word(b"-f'\n$(x)@y"), "_f____x_@y");
    }
}
