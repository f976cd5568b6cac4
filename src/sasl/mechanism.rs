//! The mechanisms: their names, their safety, and how each begins.

use std::fmt;

use memchr::memchr3;

use super::Client;
use super::client_first::OneMessage;
use super::scram::{Binding, Hash, Scram};
use super::server_first::{CramMd5, Login};

/// An authentication mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// Name and password as they are (RFC 4616).
    Plain,
    /// The same, each after a question (never a standard; draft-murchison-sasl-login).
    Login,
    /// A digest of the password over a challenge (RFC 2195). The server proves nothing.
    CramMd5,
    /// Both sides prove that they know the password, and neither learns it (RFC 5802, RFC 7677).
    Scram(Hash),
    /// The same, bound to the TLS connection by the server's certificate.
    ScramPlus(Hash),
    /// The client certificate of the TLS connection says who we are (RFC 4422 appendix A).
    External,
    /// An access token (Google's and Microsoft's, older than RFC 7628).
    Xoauth2,
    /// An access token (RFC 7628).
    OauthBearer,
}

/// All that a mechanism may need. Each takes what it uses.
#[derive(Clone, Default)]
pub struct Parameters<'a> {
    /// The user's name at the server.
    pub user: &'a [u8],
    /// The password or access token.
    pub secret: &'a [u8],
    /// The server's name, which OAUTHBEARER names: a server that is somebody else cannot use the token elsewhere
    /// without saying so.
    pub host: &'a str,
    /// The server's port, for the same reason.
    pub port: u16,
    /// The hash of the server's certificate (`tls-server-end-point`, RFC 5929 section 4), where the connection has TLS
    /// and the certificate allows it.
    pub end_point: Option<Vec<u8>>,
    /// Whether the server announces a mechanism with channel binding, or cannot have done so yet.
    pub offers_binding: bool,
    /// Random bytes that are never used twice.
    pub random: [u8; 18],
}

/// A mechanism that cannot be used with these [`Parameters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// There is no name, or no secret.
    #[error("{mechanism} needs a user's name and a secret, but one of them is empty")]
    Empty {
        /// The mechanism.
        mechanism: Mechanism,
    },
    /// A byte that would end a line, the string of some server, or a part of the message.
    #[error("the user's name or the secret contains a {}, which {mechanism} cannot carry", name(*byte))]
    Forbidden {
        /// The mechanism.
        mechanism: Mechanism,
        /// CR, LF or NUL; with an access token also 0x01.
        byte: u8,
    },
    /// Channel binding is not possible on this connection.
    #[error("it needs TLS, and a certificate whose signature has a hash of its own")]
    NoBinding,
}

fn name(byte: u8) -> &'static str {
    match byte {
        b'\r' => "carriage return",
        b'\n' => "line feed",
        b'\0' => "NUL byte",
        _ => "control character",
    }
}

impl Mechanism {
    /// Every mechanism.
    pub const ALL: [Mechanism; 10] = [
        Mechanism::Plain,
        Mechanism::Login,
        Mechanism::CramMd5,
        Mechanism::Scram(Hash::Sha1),
        Mechanism::ScramPlus(Hash::Sha1),
        Mechanism::Scram(Hash::Sha256),
        Mechanism::ScramPlus(Hash::Sha256),
        Mechanism::External,
        Mechanism::Xoauth2,
        Mechanism::OauthBearer,
    ];

    /// Its name as servers list it, in upper case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
            Mechanism::CramMd5 => "CRAM-MD5",
            Mechanism::Scram(Hash::Sha1) => "SCRAM-SHA-1",
            Mechanism::ScramPlus(Hash::Sha1) => "SCRAM-SHA-1-PLUS",
            Mechanism::Scram(Hash::Sha256) => "SCRAM-SHA-256",
            Mechanism::ScramPlus(Hash::Sha256) => "SCRAM-SHA-256-PLUS",
            Mechanism::External => "EXTERNAL",
            Mechanism::Xoauth2 => "XOAUTH2",
            Mechanism::OauthBearer => "OAUTHBEARER",
        }
    }

    /// Whether the server, and anybody who listens, gets the password or token itself: not for connections in clear.
    #[must_use]
    pub fn exposes_secret(self) -> bool {
        matches!(self, Mechanism::Plain | Mechanism::Login) || self.takes_token()
    }

    /// Whether the server has to prove that it knows the password, too.
    #[must_use]
    pub fn proves_server(self) -> bool {
        matches!(self, Mechanism::Scram(_) | Mechanism::ScramPlus(_))
    }

    /// Whether the secret is an access token.
    #[must_use]
    pub fn takes_token(self) -> bool {
        matches!(self, Mechanism::Xoauth2 | Mechanism::OauthBearer)
    }

    /// Begins one run of it.
    ///
    /// # Errors
    ///
    /// It cannot carry these credentials, or cannot be bound to this connection.
    pub fn client(self, with: &Parameters<'_>) -> Result<Box<dyn Client>, Unfit> {
        self.check(with)?;
        Ok(match self {
            Mechanism::Plain => Box::new(OneMessage::plain(with)),
            Mechanism::External => Box::new(OneMessage::external(with)),
            Mechanism::Xoauth2 => Box::new(OneMessage::xoauth2(with)),
            Mechanism::OauthBearer => Box::new(OneMessage::oauthbearer(with)),
            Mechanism::Login => Box::new(Login::new(with)),
            Mechanism::CramMd5 => Box::new(CramMd5::new(with)),
            Mechanism::Scram(hash) => Box::new(Scram::new(hash, Binding::unbound(with), with)),
            Mechanism::ScramPlus(hash) => {
                let binding = Binding::bound(with).ok_or(Unfit::NoBinding)?;
                Box::new(Scram::new(hash, binding, with))
            }
        })
    }

    /// CR, LF and NUL are refused everywhere: some server takes them for the end of a line or a string, and in PLAIN
    /// a NUL would move the border between name and password.
    fn check(self, with: &Parameters<'_>) -> Result<(), Unfit> {
        let secret = (self != Mechanism::External).then_some(with.secret);
        let host = (self == Mechanism::OauthBearer).then_some(with.host.as_bytes());
        for part in [Some(with.user), secret, host].into_iter().flatten() {
            if part.is_empty() {
                return Err(Unfit::Empty { mechanism: self });
            }
            let separator = memchr::memchr(1, part).filter(|_| self.takes_token());
            if let Some(at) = memchr3(b'\r', b'\n', b'\0', part).or(separator) {
                return Err(Unfit::Forbidden {
                    mechanism: self,
                    byte: part[at],
                });
            }
        }
        Ok(())
    }
}

/// Its name.
impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(mechanism: Mechanism, user: &[u8], secret: &[u8]) -> Option<Unfit> {
        let parameters = Parameters {
            user,
            secret,
            host: "h",
            ..Parameters::default()
        };
        mechanism.client(&parameters).err()
    }

    #[test]
    fn no_mechanism_takes_what_would_end_a_line_or_a_part_of_its_message() {
        for mechanism in Mechanism::ALL {
            let needs_secret = mechanism != Mechanism::External;
            for byte in *b"\r\n\0" {
                let forbidden = Some(Unfit::Forbidden { mechanism, byte });
                assert_eq!(refused(mechanism, &[b'a', byte, b'b'], b"c"), forbidden);
                let in_secret = refused(mechanism, b"a", &[b'b', byte]);
                assert_eq!(in_secret == forbidden, needs_secret, "{mechanism}");
            }
            let empty = Some(Unfit::Empty { mechanism });
            assert_eq!(refused(mechanism, b"", b"b"), empty);
            assert_eq!(refused(mechanism, b"a", b"") == empty, needs_secret);
        }
    }

    #[test]
    fn nothing_can_add_parts_to_the_message_that_carries_a_token() {
        for mechanism in [Mechanism::Xoauth2, Mechanism::OauthBearer] {
            let forbidden = Some(Unfit::Forbidden { mechanism, byte: 1 });
            assert_eq!(refused(mechanism, b"u\x01auth=", b"t"), forbidden);
            assert_eq!(refused(mechanism, b"u", b"t\x01"), forbidden);
        }
        assert_eq!(refused(Mechanism::Plain, b"u\x01", b"t\x01"), None);
    }

    #[test]
    fn an_error_does_not_repeat_the_secret() {
        let refused = refused(Mechanism::Plain, b"user", b"hunter2\n").expect("a line feed");
        assert_eq!(
            refused.to_string(),
            "the user's name or the secret contains a line feed, which PLAIN cannot carry"
        );
    }

    #[test]
    fn a_mechanism_with_binding_is_not_used_without() {
        let unbound = refused(Mechanism::ScramPlus(Hash::Sha256), b"user", b"pencil");
        assert_eq!(unbound, Some(Unfit::NoBinding));
    }
}
