//! Commands: the one place that builds what is sent to a server.

use std::fmt;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memchr3;
use zeroize::Zeroizing;

use super::limits;
use super::receiver::Shape;
use crate::mail::Number;
use crate::text::Untrusted;

/// Something to send to a server.
///
/// Displays, also for debugging, as a log may show it: secrets are `****`, untrusted bytes are escaped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// What can the server do (RFC 2449 section 5)?
    Capa,
    /// Go on in TLS (RFC 2595 section 4).
    Stls,
    /// The user's name (RFC 1939 section 7).
    User(&'a [u8]),
    /// The password, spaces and all (RFC 1939 section 7).
    Pass(&'a [u8]),
    /// Name and digest in one, see [`super::apop`] (RFC 1939 section 7).
    Apop {
        /// The user's name.
        user: &'a [u8],
        /// The digest in lower-case hexadecimal.
        digest: &'a str,
    },
    /// A SASL exchange begins (RFC 5034 section 4).
    Auth {
        /// The mechanism's name.
        mechanism: &'a str,
        /// The initial response as the mechanism made it; [`Command::encode`] turns it into base64.
        initial: Option<&'a [u8]>,
    },
    /// The answer to a SASL challenge as the mechanism made it, of any length; sent in base64.
    Respond(&'a [u8]),
    /// Breaks a SASL exchange off (`*`).
    Cancel,
    /// How many messages are there?
    Stat,
    /// All unique-ids (RFC 1939 section 7).
    Uidl,
    /// The unique-id of one message.
    UidlOf(Number),
    /// The sizes of all messages.
    List,
    /// The size of one message.
    ListOf(Number),
    /// A message.
    Retr(Number),
    /// The header of a message, and nothing of its body (RFC 1939 section 7).
    Top(Number),
    /// Marks a message as deleted.
    Dele(Number),
    /// Ends the session; what is marked will be deleted.
    Quit,
    /// Messages may be UTF-8 from now on (RFC 6856 section 2.1).
    Utf8,
}

/// An argument that cannot be sent as it is. Nothing of it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// There is no argument.
    #[error("{command} needs an argument, but it is empty")]
    Empty {
        /// The command's keyword.
        command: &'static str,
    },
    /// A byte that would end the line, or the string of some server.
    #[error("the argument of {command} contains a {}, which no command can carry", name(*byte))]
    Forbidden {
        /// The command's keyword.
        command: &'static str,
        /// CR, LF or NUL.
        byte: u8,
    },
    /// RFC 2449 section 4 allows [`limits::COMMAND`] octets.
    #[error(
        "{command} with its argument has {octets} octets; a command may have {}",
        limits::COMMAND
    )]
    TooLong {
        /// The command's keyword.
        command: &'static str,
        /// The length of the line, CRLF included.
        octets: usize,
    },
}

fn name(byte: u8) -> &'static str {
    match byte {
        b'\r' => "carriage return",
        b'\n' => "line feed",
        b'\0' => "NUL byte",
        _ => "control character",
    }
}

impl Command<'_> {
    /// Appends the line to send, CRLF included. `out` grows at most once and before a secret is in
    /// it, so that no copy of the secret is left in memory; `out` itself is the caller's to wipe.
    ///
    /// # Errors
    ///
    /// An argument is empty, contains CR, LF or NUL, or makes the line longer than
    /// [`limits::COMMAND`]. `out` is unchanged then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), Unsendable> {
        match *self {
            Command::Capa => line(out, "CAPA", &[]),
            Command::Stls => line(out, "STLS", &[]),
            Command::User(user) => line(out, "USER", &[user]),
            Command::Pass(password) => line(out, "PASS", &[password]),
            Command::Apop { user, digest } => line(out, "APOP", &[user, digest.as_bytes()]),
            Command::Auth { mechanism, initial } => auth(out, mechanism, initial),
            Command::Respond(response) => {
                respond(out, response);
                Ok(())
            }
            Command::Cancel => line(out, "*", &[]),
            Command::Stat => line(out, "STAT", &[]),
            Command::Uidl => line(out, "UIDL", &[]),
            Command::UidlOf(number) => numbered(out, format_args!("UIDL {number}")),
            Command::List => line(out, "LIST", &[]),
            Command::ListOf(number) => numbered(out, format_args!("LIST {number}")),
            Command::Retr(number) => numbered(out, format_args!("RETR {number}")),
            Command::Top(number) => numbered(out, format_args!("TOP {number} 0")),
            Command::Dele(number) => numbered(out, format_args!("DELE {number}")),
            Command::Quit => line(out, "QUIT", &[]),
            Command::Utf8 => line(out, "UTF8", &[]),
        }
    }

    /// Which answer follows.
    #[must_use]
    pub fn shape(&self) -> Shape {
        match self {
            Command::Capa | Command::Uidl | Command::List => Shape::Listing,
            Command::Retr(_) | Command::Top(_) => Shape::Message,
            Command::Auth { .. } | Command::Respond(_) => Shape::Challenge,
            _ => Shape::Line,
        }
    }
}

/// Appends a line, or nothing where an argument cannot be sent.
fn line(out: &mut Vec<u8>, keyword: &'static str, arguments: &[&[u8]]) -> Result<(), Unsendable> {
    let mut octets = keyword.len() + b"\r\n".len();
    for argument in arguments {
        check(keyword, argument)?;
        octets += b" ".len() + argument.len();
    }
    if octets > limits::COMMAND {
        let command = keyword;
        return Err(Unsendable::TooLong { command, octets });
    }
    out.reserve(octets);
    out.extend_from_slice(keyword.as_bytes());
    for argument in arguments {
        out.push(b' ');
        out.extend_from_slice(argument);
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Whether this can be an argument of a command.
fn check(command: &'static str, argument: &[u8]) -> Result<(), Unsendable> {
    if argument.is_empty() {
        return Err(Unsendable::Empty { command });
    }
    match memchr3(b'\r', b'\n', b'\0', argument) {
        Some(at) => {
            let byte = argument[at];
            Err(Unsendable::Forbidden { command, byte })
        }
        None => Ok(()),
    }
}

/// Whether AUTH with this initial response is within [`limits::COMMAND`].
#[must_use]
pub fn carries_initial(mechanism: &str, initial: &[u8]) -> bool {
    let base64 = base64::encoded_len(initial.len(), true);
    let around = "AUTH  \r\n".len() + mechanism.len();
    base64.is_some_and(|length| around + length <= limits::COMMAND)
}

fn auth(out: &mut Vec<u8>, mechanism: &str, initial: Option<&[u8]>) -> Result<(), Unsendable> {
    let mechanism = mechanism.as_bytes();
    match initial {
        None => line(out, "AUTH", &[mechanism]),
        // An initial response of no octets is not the same as none (RFC 5034 section 4).
        Some([]) => line(out, "AUTH", &[mechanism, b"="]),
        Some(response) => {
            let base64 = Zeroizing::new(STANDARD.encode(response));
            line(out, "AUTH", &[mechanism, base64.as_bytes()])
        }
    }
}

/// RFC 5034 section 4 exempts these lines from the limit on commands.
fn respond(out: &mut Vec<u8>, response: &[u8]) {
    let base64 = Zeroizing::new(STANDARD.encode(response));
    out.reserve(base64.len() + b"\r\n".len());
    out.extend_from_slice(base64.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Numbers can neither be too long nor hold a forbidden byte.
fn numbered(out: &mut Vec<u8>, command: fmt::Arguments<'_>) -> Result<(), Unsendable> {
    write!(out, "{command}\r\n").expect("a Vec takes what is written");
    Ok(())
}

impl fmt::Display for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Command::User(user) => write!(f, "USER {}", Untrusted(user)),
            Command::Pass(_) => f.write_str("PASS ****"),
            Command::Apop { user, .. } => write!(f, "APOP {} ****", Untrusted(user)),
            Command::Auth { mechanism, initial } => {
                let masked = if initial.is_some() { " ****" } else { "" };
                write!(f, "AUTH {}{masked}", Untrusted(mechanism.as_bytes()))
            }
            Command::Respond(_) => f.write_str("****"),
            _ => self.show_plain(f),
        }
    }
}

impl Command<'_> {
    /// The commands that hold nothing secret and nothing untrusted are shown as they are sent.
    fn show_plain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Vec::new();
        self.encode(&mut line).map_err(|_| fmt::Error)?;
        write!(f, "{}", Untrusted(line.trim_ascii_end()))
    }
}

impl fmt::Debug for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(command: Command<'_>) -> Result<String, Unsendable> {
        let mut out = Vec::new();
        command.encode(&mut out)?;
        Ok(String::from_utf8(out).expect("ASCII"))
    }

    #[test]
    fn commands_are_upper_case_with_single_spaces_and_crlf() {
        for (command, line) in [
            (Command::Capa, "CAPA\r\n"),
            (Command::Stls, "STLS\r\n"),
            (Command::User(b"alice"), "USER alice\r\n"),
            (Command::Stat, "STAT\r\n"),
            (Command::Uidl, "UIDL\r\n"),
            (Command::List, "LIST\r\n"),
            (Command::ListOf(8), "LIST 8\r\n"),
            (Command::UidlOf(8), "UIDL 8\r\n"),
            (Command::Top(8), "TOP 8 0\r\n"),
            (Command::Retr(999_999), "RETR 999999\r\n"),
            (Command::Dele(1), "DELE 1\r\n"),
            (Command::Quit, "QUIT\r\n"),
            (Command::Utf8, "UTF8\r\n"),
            (Command::Cancel, "*\r\n"),
        ] {
            assert_eq!(encoded(command).as_deref(), Ok(line));
            assert_eq!(command.to_string(), line.trim_end());
        }
    }

    #[test]
    fn spaces_belong_to_the_password() {
        assert_eq!(
            encoded(Command::Pass(b" two  words ")).as_deref(),
            Ok("PASS  two  words \r\n")
        );
    }

    #[test]
    fn an_initial_response_is_base64_and_an_empty_one_an_equals_sign() {
        let auth = |initial| Command::Auth {
            mechanism: "PLAIN",
            initial,
        };
        assert_eq!(encoded(auth(None)).as_deref(), Ok("AUTH PLAIN\r\n"));
        assert_eq!(encoded(auth(Some(b""))).as_deref(), Ok("AUTH PLAIN =\r\n"));
        assert_eq!(
            encoded(auth(Some(b"\0test\0test"))).as_deref(),
            Ok("AUTH PLAIN AHRlc3QAdGVzdA==\r\n")
        );
        assert_eq!(encoded(Command::Respond(b"")).as_deref(), Ok("\r\n"));
    }

    #[test]
    fn a_command_may_have_255_octets_and_a_response_any_number() {
        let longest = [b'x'; 248];
        assert_eq!(
            encoded(Command::Pass(&longest)).map(|line| line.len()),
            Ok(255)
        );
        assert_eq!(
            encoded(Command::Pass(&[b'x'; 249])),
            Err(Unsendable::TooLong {
                command: "PASS",
                octets: 256
            })
        );
        let token = [b'x'; 3000];
        assert_eq!(
            encoded(Command::Respond(&token)).map(|line| line.len()),
            Ok(4002)
        );
        for (octets, fits) in [(180, true), (181, false)] {
            let initial = vec![0; octets];
            let auth = Command::Auth {
                mechanism: "PLAIN",
                initial: Some(&initial),
            };
            assert_eq!(encoded(auth).is_ok(), fits);
            assert_eq!(carries_initial("PLAIN", &initial), fits);
        }
    }

    #[test]
    fn an_argument_cannot_smuggle_in_another_command() {
        for byte in *b"\r\n\0" {
            let argument = [b'a', byte, b'D', b'E', b'L', b'E'];
            let mut out = b"NOOP\r\n".to_vec();
            for command in [
                Command::User(&argument),
                Command::Pass(&argument),
                Command::Apop {
                    user: &argument,
                    digest: "00",
                },
            ] {
                let refused = command.encode(&mut out).expect_err("a forbidden byte");
                assert!(
                    matches!(refused, Unsendable::Forbidden { byte: found, .. } if found == byte)
                );
            }
            assert_eq!(out, b"NOOP\r\n");
        }
        assert_eq!(
            encoded(Command::User(b"")),
            Err(Unsendable::Empty { command: "USER" })
        );
    }

    #[test]
    fn secrets_are_never_shown() {
        for command in [
            Command::Pass(b"hunter2"),
            Command::Apop {
                user: b"alice",
                digest: "hunter2",
            },
            Command::Auth {
                mechanism: "PLAIN",
                initial: Some(b"\0alice\0hunter2"),
            },
            Command::Respond(b"hunter2"),
        ] {
            let line = encoded(command).expect("can be sent");
            let secret = line.split_whitespace().last().expect("an argument");
            for shown in [command.to_string(), format!("{command:?}")] {
                assert!(shown.contains("****"), "{shown}");
                assert!(
                    !shown.contains(secret) && !shown.contains("hunter2"),
                    "{shown}"
                );
            }
        }
        assert_eq!(Command::User(b"\x1b[2Jme").to_string(), "USER \\x1b[2Jme");
    }

    #[test]
    fn an_error_does_not_repeat_the_argument() {
        let refused = encoded(Command::Pass(b"hunter2\n")).expect_err("a line feed");
        assert_eq!(
            refused.to_string(),
            "the argument of PASS contains a line feed, which no command can carry"
        );
    }

    #[test]
    fn numbers_are_encoded_without_growing_a_roomy_buffer() {
        let mut out = Vec::with_capacity(64);
        let room = out.as_ptr();
        for number in [1, 12, 123_456] {
            Command::Retr(number).encode(&mut out).expect("a number");
            Command::Dele(number).encode(&mut out).expect("a number");
        }
        assert_eq!(out.as_ptr(), room);
        assert!(out.ends_with(b"RETR 123456\r\nDELE 123456\r\n"));
    }

    proptest! {
        #[test]
        fn whatever_the_argument_one_line_or_nothing_is_written(argument: Vec<u8>) {
            for command in [Command::User(&argument), Command::Pass(&argument), Command::Respond(&argument)] {
                let mut out = Vec::new();
                match command.encode(&mut out) {
                    Ok(()) => {
                        prop_assert!(out.ends_with(b"\r\n"));
                        prop_assert_eq!(memchr3(b'\r', b'\n', 0, &out), Some(out.len() - 2));
                    }
                    Err(_) => prop_assert!(out.is_empty()),
                }
            }
        }
    }
}
