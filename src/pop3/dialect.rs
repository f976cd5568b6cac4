//! Which protocol is spoken where POP3 was expected: for a hint about a wrong port.

/// What the first bytes of something that is not POP3 look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// A TLS record: the port wants, or speaks, TLS from the first byte.
    Tls,
    /// An HTTP answer or a page.
    Http,
    /// Three digits, as SMTP and FTP greet.
    Smtp,
    /// An untagged IMAP answer.
    Imap,
    /// An SSH greeting.
    Ssh,
    /// Nothing that is known here.
    Unknown,
}

impl Dialect {
    /// What these bytes, the beginning of an answer, look like.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0x14..=0x17, 0x03, 0x00..=0x04, ..] => Dialect::Tls,
            [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9', b' ' | b'-', ..] => Dialect::Smtp,
            [b'*', b' ', ..] => Dialect::Imap,
            _ if begins(bytes, b"HTTP/")
                || begins(bytes, b"<html")
                || begins(bytes, b"<!doctype") =>
            {
                Dialect::Http
            }
            _ if begins(bytes, b"SSH-") => Dialect::Ssh,
            _ => Dialect::Unknown,
        }
    }

    /// Behind "neither with +OK nor with -ERR".
    pub(super) fn aside(self) -> &'static str {
        match self {
            Dialect::Tls => " but looks like TLS",
            Dialect::Http => " but looks like HTTP",
            Dialect::Smtp => " but looks like SMTP",
            Dialect::Imap => " but looks like IMAP",
            Dialect::Ssh => " but looks like SSH",
            Dialect::Unknown => "",
        }
    }
}

fn begins(bytes: &[u8], prefix: &[u8]) -> bool {
    super::without_prefix(bytes, prefix).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_usually_answers_on_a_wrong_port() {
        for (bytes, expected) in [
            (&b"\x15\x03\x01\x00\x02\x02\x46"[..], Dialect::Tls),
            (b"\x16\x03\x03", Dialect::Tls),
            (b"HTTP/1.1 400 Bad Request", Dialect::Http),
            (b"<!DOCTYPE html>", Dialect::Http),
            (b"220 mx.example.com ESMTP", Dialect::Smtp),
            (b"220-mx.example.com", Dialect::Smtp),
            (b"* OK IMAP4rev1 ready", Dialect::Imap),
            (b"* PREAUTH welcome", Dialect::Imap),
            (b"SSH-2.0-OpenSSH_9.6", Dialect::Ssh),
            (b"hello", Dialect::Unknown),
            (b"", Dialect::Unknown),
        ] {
            assert_eq!(Dialect::of(bytes), expected, "{:?}", bytes.escape_ascii());
        }
    }
}
