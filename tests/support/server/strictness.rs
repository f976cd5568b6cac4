//! What no client should send.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The longest command, its line end included (RFC 2449 section 4).
const LONGEST_COMMAND: usize = 255;

/// What is wrong with the form of a command, given with its line end.
pub(super) fn form_of_command(line: &[u8]) -> Vec<&'static str> {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let verb = text.split(|&byte| byte == b' ').next().unwrap_or_default();
    // Spaces are part of a password (RFC 1939 section 7).
    let spaces_count = verb != b"PASS";
    let broken = [
        (
            !line.ends_with(b"\r\n"),
            "a command that does not end in CRLF",
        ),
        (
            line.len() > LONGEST_COMMAND,
            "a command of more than 255 octets",
        ),
        (
            text.iter().any(|byte| matches!(byte, 0 | b'\r')),
            "a NUL or CR in a command",
        ),
        (
            verb.is_empty() || !verb.iter().all(upper_case),
            "a verb that is not upper case",
        ),
        (
            spaces_count && text.ends_with(b" "),
            "a space at the end of a command",
        ),
        (
            spaces_count && contains_two_spaces(text),
            "two spaces in a command",
        ),
    ];
    let rules = broken.into_iter().filter(|(broken, _)| *broken);
    rules.map(|(_, rule)| rule).collect()
}

/// UTF8 has a digit.
fn upper_case(byte: &u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

/// What is wrong with the form of a response to a challenge, given with its line end.
pub(super) fn form_of_response(line: &[u8]) -> Vec<&'static str> {
    let Some(text) = line.strip_suffix(b"\r\n") else {
        return vec!["a response that does not end in CRLF"];
    };
    if text == b"*" || BASE64_STANDARD.decode(text).is_ok() {
        Vec::new()
    } else {
        vec!["a response that is not base64"]
    }
}

fn contains_two_spaces(text: &[u8]) -> bool {
    text.windows(2).any(|pair| pair == b"  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_commands_are_none() {
        let longest = format!("USER {}\r\n", "a".repeat(248));
        for line in ["CAPA\r\n", "RETR 3\r\n", "PASS  two  spaces \r\n", &longest] {
            assert!(form_of_command(line.as_bytes()).is_empty(), "{line:?}");
        }
        assert!(form_of_response(b"AGEAYg==\r\n").is_empty());
        assert!(form_of_response(b"*\r\n").is_empty());
    }

    #[test]
    fn bad_commands_are_violations() {
        let too_long = format!("USER {}\r\n", "a".repeat(249));
        let bad = [
            "capa\r\n",
            "CAPA\n",
            "CAPA \r\n",
            "RETR  3\r\n",
            "\r\n",
            "USER a\rb\r\n",
            &too_long,
        ];
        for line in bad {
            assert_eq!(form_of_command(line.as_bytes()).len(), 1, "{line:?}");
        }
        assert_eq!(form_of_response(b"a b\r\n").len(), 1);
    }
}
