//! What a server may make us hold. Everything it controls has a limit here, with a name.

/// A status line or a line of a listing, without its line end. Lines inside messages have no limit:
/// they stream through.
pub const LINE: usize = 64 * 1024;

/// A unique-id (RFC 1939 says 70; real servers exceed it).
pub const UNIQUE_ID: usize = 1024;

/// Messages in a maildrop.
pub const MESSAGES: u32 = 1_000_000;

/// Lines of an answer to CAPA.
pub const CAPABILITIES: usize = 500;

/// A command line, CRLF included (RFC 2449 section 4). SASL responses may be longer.
pub const COMMAND: usize = 255;

/// All unique-ids of a maildrop together: 134 octets each if there were [`MESSAGES`] of them.
pub const UNIQUE_IDS: usize = 128 * 1024 * 1024;

/// SASL mechanisms that are remembered of a server's list.
pub const MECHANISMS: usize = 64;

/// The timestamp in a greeting, angle brackets included; a longer one is not used for APOP.
pub const TIMESTAMP: usize = 512;

/// The size of a message by LIST: 8 TiB. A larger one is taken for unknown, and so the sizes of
/// [`MESSAGES`] can be added.
pub const MESSAGE_OCTETS: u64 = 1 << 43;

/// What a message may bring beyond twice its size by LIST, which is a hint: many servers count the
/// end of a line as one octet, some forget a part of the message.
pub const MESSAGE_EXCESS: u64 = 64 * 1024 * 1024;

/// A message whose size by LIST is not known.
pub const MESSAGE_UNLISTED: u64 = 4 * 1024 * 1024 * 1024;

/// How many octets a message of this size by LIST may bring.
#[must_use]
pub fn message(listed: Option<u64>) -> u64 {
    // Servers that do not know it say 0: no message is that small.
    match listed.filter(|&octets| octets > 0) {
        Some(octets) => octets.saturating_mul(2).saturating_add(MESSAGE_EXCESS),
        None => MESSAGE_UNLISTED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_may_bring_what_a_wrong_listing_explains() {
        assert_eq!(message(Some(1_000)), 2_000 + (64 << 20));
        assert_eq!(message(Some(MESSAGE_OCTETS)), (16 << 40) + (64 << 20));
        assert_eq!(message(Some(u64::MAX)), u64::MAX);
        for unknown in [None, Some(0)] {
            assert_eq!(message(unknown), 4 << 30);
        }
    }
}
