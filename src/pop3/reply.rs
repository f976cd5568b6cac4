//! Status lines: `+OK`, `-ERR` and the SASL `+`, with their response codes.

use std::fmt;

use super::without_prefix;
use crate::text::Untrusted;

/// A status line. What Display leaves to the caller: show [`Reply::text`] through [`Untrusted`] only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    /// Yes, no, or go on.
    pub status: Status,
    /// The response code directly after the status (RFC 2449 section 8); none after `+`.
    /// A classification only: it is read even where RESP-CODES was not announced.
    pub code: Option<ResponseCode>,
    /// Everything after the status, the response code included, without white space around it.
    pub text: &'a [u8],
}

/// How a server answers a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// `+OK`
    Ok,
    /// `-ERR`
    Err,
    /// `+`: a SASL challenge (RFC 5034 section 4).
    Continue,
}

/// A response code (RFC 2449 section 8, RFC 3206, RFC 6856). They form a hierarchy: a detail that is
/// not known here counts as what stands before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseCode {
    /// `IN-USE`: the credentials were right, another session has the maildrop.
    InUse,
    /// `LOGIN-DELAY`: the last login is not long enough ago.
    LoginDelay,
    /// `SYS/TEMP`: a problem of the server that will pass.
    SysTemp,
    /// `SYS/PERM`: a problem of the server that its operator must solve.
    SysPerm,
    /// `SYS` alone, or with a detail that is not known: a problem of the server, not of the credentials.
    Sys,
    /// `AUTH`: something is wrong with the credentials.
    Auth,
    /// `UTF8`: the message needs the UTF8 command (RFC 6856 section 5).
    Utf8,
    /// Another one.
    Other,
}

impl<'a> Reply<'a> {
    /// Reads a line without its line end. Upper and lower case are the same, and `+OK` and `-ERR`
    /// need no space after them. None for everything else.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let (status, rest) = if let Some(rest) = without_prefix(line, b"+OK") {
            (Status::Ok, rest)
        } else if let Some(rest) = without_prefix(line, b"-ERR") {
            (Status::Err, rest)
        } else {
            match line {
                [b'+'] => (Status::Continue, &[][..]),
                [b'+', b' ' | b'\t', rest @ ..] => (Status::Continue, rest),
                _ => return None,
            }
        };
        let text = rest.trim_ascii();
        let code = match status {
            Status::Continue => None,
            Status::Ok | Status::Err => ResponseCode::leading(text),
        };
        Some(Reply { status, code, text })
    }

    /// Whether the answer is `+OK`.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.status == Status::Ok
    }
}

impl fmt::Debug for Reply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("code", &self.code)
            .field("text", &Untrusted(self.text))
            .finish()
    }
}

impl ResponseCode {
    /// The code that the text begins with. Brackets elsewhere are text.
    fn leading(text: &[u8]) -> Option<Self> {
        let inner = text.strip_prefix(b"[")?;
        let end = memchr::memchr(b']', inner)?;
        let code = &inner[..end];
        let is_code = !code.is_empty() && code.iter().all(u8::is_ascii_graphic);
        is_code.then(|| Self::named(code))
    }

    fn named(code: &[u8]) -> Self {
        let mut levels = code
            .split(|&byte| byte == b'/')
            .map(<[u8]>::to_ascii_uppercase);
        let (first, detail) = (levels.next(), levels.next());
        match (first.as_deref().unwrap_or_default(), detail.as_deref()) {
            (b"IN-USE", _) => ResponseCode::InUse,
            (b"LOGIN-DELAY", _) => ResponseCode::LoginDelay,
            (b"AUTH", _) => ResponseCode::Auth,
            (b"UTF8", _) => ResponseCode::Utf8,
            (b"SYS", Some(b"TEMP")) => ResponseCode::SysTemp,
            (b"SYS", Some(b"PERM")) => ResponseCode::SysPerm,
            (b"SYS", _) => ResponseCode::Sys,
            _ => ResponseCode::Other,
        }
    }
}

/// Whether the text of an `-ERR` without a response code says that the maildrop is in use: the way
/// qpopper, InterMail and popa3d do. A guess, so only for answers that came after a password or a
/// digest was sent, where "locked" is about the maildrop.
#[must_use]
pub fn says_busy(text: &[u8]) -> bool {
    let words: Vec<_> = text
        .split(|byte| !byte.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(<[u8]>::to_ascii_lowercase)
        .collect();
    let has = |wanted: &[&[u8]]| words.iter().any(|word| wanted.contains(&word.as_slice()));
    let has_pair = |first: &[u8], second: &[u8]| {
        words
            .windows(2)
            .any(|pair| pair[0] == first && pair[1] == second)
    };

    // "Account locked" is the administrator's lock: waiting does not open it.
    let locked = has(&[b"lock", b"locks", b"locked", b"locking"]) && !has(&[b"account", b"user"]);
    locked
        || has(&[b"busy", b"wait"])
        || has_pair(b"in", b"use")
        || has_pair(b"another", b"session")
        || has_pair(b"another", b"mua")
}

/// What the first bytes of something that is not POP3 look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// A TLS record: the port wants, or speaks, TLS from the first byte.
    Tls,
    /// An HTTP answer or a page.
    Http,
    /// Three digits, as SMTP and FTP greet.
    Smtp,
    /// An untagged IMAP response.
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
            _ if begins(bytes, b"HTTP/") || begins(bytes, b"<html") => Dialect::Http,
            _ if begins(bytes, b"<!doctype") => Dialect::Http,
            _ if begins(bytes, b"SSH-") => Dialect::Ssh,
            _ => Dialect::Unknown,
        }
    }

    /// Follows "neither with +OK nor with -ERR".
    pub(super) fn likeness(self) -> &'static str {
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
    without_prefix(bytes, prefix).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(line: &str) -> Option<ResponseCode> {
        Reply::parse(line.as_bytes()).expect("a status line").code
    }

    #[test]
    fn reads_each_status_in_any_letter_case_and_without_a_space() {
        for (line, status, text) in [
            ("+OK", Status::Ok, ""),
            ("+OK ", Status::Ok, ""),
            ("+ok  ready ", Status::Ok, "ready"),
            ("+Ok[AUTH]", Status::Ok, "[AUTH]"),
            ("-ERR", Status::Err, ""),
            ("-err no", Status::Err, "no"),
            ("+", Status::Continue, ""),
            ("+ ", Status::Continue, ""),
            ("+ dGVzdA==", Status::Continue, "dGVzdA=="),
        ] {
            let reply = Reply::parse(line.as_bytes()).expect(line);
            assert_eq!(
                (reply.status, reply.text),
                (status, text.as_bytes()),
                "{line}"
            );
        }
    }

    #[test]
    fn anything_else_is_no_status_line() {
        for line in [
            "",
            " +OK",
            "OK",
            "+O",
            "+dGVzdA==",
            "-ER",
            "ERR",
            "* OK",
            "220 hello",
            ".",
        ] {
            assert_eq!(Reply::parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn knows_the_registered_response_codes() {
        assert_eq!(code("-ERR [IN-USE] busy"), Some(ResponseCode::InUse));
        assert_eq!(
            code("-ERR [login-delay] wait"),
            Some(ResponseCode::LoginDelay)
        );
        assert_eq!(code("-ERR [SYS/TEMP] x"), Some(ResponseCode::SysTemp));
        assert_eq!(code("-err [sys/perm]x"), Some(ResponseCode::SysPerm));
        assert_eq!(code("-ERR [AUTH] x"), Some(ResponseCode::Auth));
        assert_eq!(code("-ERR [UTF8] x"), Some(ResponseCode::Utf8));
        assert_eq!(code("-ERR [X-OWN] x"), Some(ResponseCode::Other));
    }

    #[test]
    fn an_unknown_detail_counts_as_its_parent() {
        assert_eq!(code("-ERR [AUTH/EXPIRED] x"), Some(ResponseCode::Auth));
        assert_eq!(code("-ERR [SYS/TEMP/DISK] x"), Some(ResponseCode::SysTemp));
        assert_eq!(code("-ERR [SYS/ODD] x"), Some(ResponseCode::Sys));
        assert_eq!(code("-ERR [SYS] x"), Some(ResponseCode::Sys));
        assert_eq!(code("-ERR [SYSTEM/TEMP] x"), Some(ResponseCode::Other));
    }

    #[test]
    fn brackets_elsewhere_are_text() {
        for line in [
            "+OK ready [AUTH]",
            "-ERR see [IN-USE]",
            "-ERR [mail box] locked",
            "-ERR [] x",
            "-ERR [AUTH",
            "+ [AUTH]",
        ] {
            assert_eq!(code(line), None, "{line}");
        }
    }

    #[test]
    fn a_lock_on_the_maildrop_is_recognised_by_whole_words() {
        for text in [
            "maildrop already locked",
            "unable to LOCK maildrop",
            "/var/mail/.alice.pop lock busy! Is another session active? (11)",
            "Mailbox in use",
            "Another MUA active",
            "please wait",
            // Each word by itself.
            "lock",
            "it locks",
            "locked",
            "still locking",
            "busy",
            "another session",
        ] {
            assert!(says_busy(text.as_bytes()), "{text}");
        }
        for text in [
            "invalid password",
            "blocked",
            "clock skew",
            "your account is locked",
            "user locked out",
            "use in vain",
            "another day",
            "in this session",
            "session of another",
            "",
        ] {
            assert!(!says_busy(text.as_bytes()), "{text}");
        }
    }

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

    proptest! {
        #[test]
        fn no_bytes_upset_it(line: Vec<u8>) {
            let _ = Reply::parse(&line);
            let _ = says_busy(&line);
        }

        #[test]
        fn what_begins_with_a_status_is_one(tail: Vec<u8>) {
            let line = [b"-ERR ", tail.as_slice()].concat();
            let reply = Reply::parse(&line).expect("a status line");
            prop_assert_eq!(reply.text, tail.trim_ascii());
        }
    }
}
