//! What a server says it can do: the answer to CAPA (RFC 2449).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{decimal, limits};

/// What a server announces. It holds for the state in which it was asked: ask again after STLS
/// (RFC 2595 section 4) and after the login, and let the newer answer replace the older one.
///
/// Absence is not inability: CAPA is younger than POP3, and servers that never mention UIDL or USER have
/// them. What is optional here is tried before it is called missing. Only PIPELINING must not be
/// used unless it is announced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// UIDL.
    pub uidl: bool,
    /// TOP.
    pub top: bool,
    /// Commands may be sent before earlier ones are answered.
    pub pipelining: bool,
    /// AUTH-RESP-CODE (RFC 3206): a login refused without the code AUTH was not refused for the credentials.
    pub auth_resp_code: bool,
    /// UTF8 (RFC 6856): without the command UTF8, other messages may come than there are.
    pub utf8: bool,
    /// UTF8 USER: names and passwords may be UTF-8, with that command or without.
    pub utf8_user: bool,
    /// How long messages are kept. The shortest where it was said more than once.
    pub expire: Option<Expire>,
    /// The least time between two logins. The longest where it was said more than once.
    pub login_delay: Option<Duration>,
    /// In upper case, each once, in the server's order.
    mechanisms: Vec<String>,
    lines: usize,
}

/// How long a server keeps messages (RFC 2449 section 6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expire {
    /// So many days. With 0 the server may delete what was retrieved as soon as the session ends,
    /// without DELE.
    Days(u32),
    /// For ever.
    Never,
}

/// The answer to CAPA has more lines than [`limits::CAPABILITIES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the server's answer to CAPA has more than {} lines",
    limits::CAPABILITIES
)]
pub struct TooManyCapabilities;

impl Capabilities {
    /// Takes in one line of the answer. What is not known is skipped.
    ///
    /// # Errors
    ///
    /// There were too many lines.
    pub fn add(&mut self, entry: &[u8]) -> Result<(), TooManyCapabilities> {
        self.lines += 1;
        if self.lines > limits::CAPABILITIES {
            return Err(TooManyCapabilities);
        }
        let mut words = entry
            .split(|byte| matches!(byte, b' ' | b'\t'))
            .filter(|word| !word.is_empty());
        let tag = words.next().unwrap_or_default().to_ascii_uppercase();
        match tag.as_slice() {
            b"UIDL" => self.uidl = true,
            b"TOP" => self.top = true,
            b"PIPELINING" => self.pipelining = true,
            b"AUTH-RESP-CODE" => self.auth_resp_code = true,
            b"UTF8" => {
                self.utf8 = true;
                self.utf8_user |= words.any(is_user);
            }
            b"SASL" => words.for_each(|word| self.add_mechanism(word)),
            b"EXPIRE" => self.add_expire(words.next().unwrap_or_default()),
            b"LOGIN-DELAY" => self.add_login_delay(words.next().unwrap_or_default()),
            _ => {}
        }
        Ok(())
    }

    /// The SASL mechanisms, in upper case and the server's order.
    pub fn mechanisms(&self) -> impl Iterator<Item = &str> {
        self.mechanisms.iter().map(String::as_str)
    }

    /// Whether this SASL mechanism, named in upper case, is announced.
    #[must_use]
    pub fn offers(&self, mechanism: &str) -> bool {
        self.mechanisms().any(|offered| offered == mechanism)
    }

    /// Whether a mechanism with channel binding is announced (RFC 5802 section 4).
    #[must_use]
    pub fn offers_binding(&self) -> bool {
        self.mechanisms().any(|offered| offered.ends_with("-PLUS"))
    }

    /// Whether a SASL list is announced at all: without one an initial response is not allowed (RFC
    /// 5034 section 3).
    #[must_use]
    pub fn has_sasl(&self) -> bool {
        !self.mechanisms.is_empty()
    }

    /// Whether the server may delete retrieved messages by itself when the session ends.
    #[must_use]
    pub fn expires_at_once(&self) -> bool {
        self.expire == Some(Expire::Days(0))
    }

    /// Whether there must be a pause between two logins.
    #[must_use]
    pub fn delays_logins(&self) -> bool {
        self.login_delay.is_some_and(|delay| !delay.is_zero())
    }

    /// Names are as RFC 4422 section 3.1 has them; others are not remembered.
    fn add_mechanism(&mut self, name: &[u8]) {
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if name.len() > 20
            || !name.iter().all(is_name)
            || self.mechanisms.len() == limits::MECHANISMS
        {
            return;
        }
        let name: String = name
            .iter()
            .map(|byte| char::from(byte.to_ascii_uppercase()))
            .collect();
        if !self.offers(&name) {
            self.mechanisms.push(name);
        }
    }

    fn add_expire(&mut self, policy: &[u8]) {
        let expire = if policy.eq_ignore_ascii_case(b"NEVER") {
            Some(Expire::Never)
        } else {
            number(policy).map(Expire::Days)
        };
        self.expire = [self.expire, expire].into_iter().flatten().min();
    }

    fn add_login_delay(&mut self, seconds: &[u8]) {
        let delay = number(seconds).map(|seconds| Duration::from_secs(seconds.into()));
        self.login_delay = self.login_delay.max(delay);
    }
}

/// The lines that count here, with commas between them: `PIPELINING, SASL PLAIN, EXPIRE 0`.
impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = [
            (self.uidl, "UIDL"),
            (self.top, "TOP"),
            (self.pipelining, "PIPELINING"),
            (self.auth_resp_code, "AUTH-RESP-CODE"),
            (self.utf8 && !self.utf8_user, "UTF8"),
            (self.utf8_user, "UTF8 USER"),
        ];
        let flags = flags.into_iter().filter(|(announced, _)| *announced);
        let mut lines: Vec<_> = flags.map(|(_, line)| line.to_owned()).collect();
        lines.extend(self.expire.map(|expire| match expire {
            Expire::Days(days) => format!("EXPIRE {days}"),
            Expire::Never => "EXPIRE NEVER".to_owned(),
        }));
        let delay = self.login_delay.map(|delay| delay.as_secs());
        lines.extend(delay.map(|seconds| format!("LOGIN-DELAY {seconds}")));
        if self.has_sasl() {
            lines.push(format!("SASL {}", self.mechanisms.join(" ")));
        }
        f.write_str(&lines.join(", "))
    }
}

impl FromStr for Capabilities {
    type Err = TooManyCapabilities;

    fn from_str(text: &str) -> Result<Self, TooManyCapabilities> {
        let mut capabilities = Capabilities::default();
        text.split(',')
            .try_for_each(|line| capabilities.add(line.as_bytes()))?;
        Ok(capabilities)
    }
}

fn is_user(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"USER")
}

/// Digits as a number; `u32::MAX` where it is larger.
fn number(digits: &[u8]) -> Option<u32> {
    decimal(digits).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn capabilities(lines: &[&str]) -> Capabilities {
        let mut capabilities = Capabilities::default();
        for line in lines {
            capabilities.add(line.as_bytes()).expect("few lines");
        }
        capabilities
    }

    #[test]
    fn reads_what_servers_announce_in_any_letter_case() {
        let gmail = capabilities(&[
            "USER",
            "resp-codes",
            "EXPIRE 0",
            "LOGIN-DELAY 300",
            "TOP",
            "Uidl",
            "X-GOOGLE-RICO",
            "SASL PLAIN xoauth2  OAUTHBEARER\tPLAIN",
        ]);
        assert!(gmail.uidl && !gmail.pipelining && !gmail.auth_resp_code && !gmail.utf8);
        assert_eq!(gmail.expire, Some(Expire::Days(0)));
        assert!(gmail.expires_at_once());
        assert_eq!(gmail.login_delay, Some(Duration::from_secs(300)));
        assert_eq!(
            gmail.mechanisms().collect::<Vec<_>>(),
            ["PLAIN", "XOAUTH2", "OAUTHBEARER"]
        );
        assert!(gmail.offers("PLAIN") && !gmail.offers("LOGIN"));
    }

    #[test]
    fn reads_arguments() {
        let other = capabilities(&[
            "STLS",
            "PIPELINING",
            "AUTH-RESP-CODE",
            "UTF8 USER",
            "EXPIRE 31 USER",
            "LOGIN-DELAY 10 user",
            "IMPLEMENTATION Cyrus POP3 v3.8 server",
        ]);
        assert!(other.pipelining && other.auth_resp_code && other.utf8 && other.utf8_user);
        assert_eq!(other.expire, Some(Expire::Days(31)));
        assert!(!other.has_sasl() && !other.expires_at_once() && other.delays_logins());
        // Cyrus announces it also where it wants no pause.
        assert!(!capabilities(&["LOGIN-DELAY 0"]).delays_logins());
    }

    #[test]
    fn what_counts_can_be_written_down_and_read_again() {
        for (lines, text) in [
            (&["IMPLEMENTATION x", "X-OWN, TOP"][..], ""),
            (
                &["sasl plain LOGIN", "UTF8", "expire never", "UIDL"],
                "UIDL, UTF8, EXPIRE NEVER, SASL PLAIN LOGIN",
            ),
            (
                &[
                    "PIPELINING",
                    "TOP",
                    "AUTH-RESP-CODE",
                    "UTF8 USER",
                    "EXPIRE 0",
                    "LOGIN-DELAY 60",
                ],
                "TOP, PIPELINING, AUTH-RESP-CODE, UTF8 USER, EXPIRE 0, LOGIN-DELAY 60",
            ),
        ] {
            let announced = capabilities(lines);
            assert_eq!(announced.to_string(), text);
            let read: Capabilities = text.parse().expect("few lines");
            assert_eq!(read.to_string(), text);
            assert_eq!(
                (read.utf8, read.utf8_user, read.expire, read.mechanisms),
                (
                    announced.utf8,
                    announced.utf8_user,
                    announced.expire,
                    announced.mechanisms
                )
            );
        }
    }

    #[test]
    fn the_most_cautious_of_several_limits_holds() {
        let twice = capabilities(&[
            "EXPIRE NEVER",
            "EXPIRE 0 USER",
            "EXPIRE 30",
            "EXPIRE soon",
            "EXPIRE",
        ]);
        assert_eq!(twice.expire, Some(Expire::Days(0)));
        assert_eq!(capabilities(&["EXPIRE never"]).expire, Some(Expire::Never));
        assert_eq!(
            capabilities(&["EXPIRE 99999999999"]).expire,
            Some(Expire::Days(u32::MAX))
        );
        assert_eq!(
            capabilities(&["LOGIN-DELAY 60", "LOGIN-DELAY 10", "LOGIN-DELAY -1"]).login_delay,
            Some(Duration::from_secs(60))
        );
    }

    #[test]
    fn the_answer_has_a_limit() {
        let mut capabilities = Capabilities::default();
        for _ in 0..limits::CAPABILITIES {
            assert_eq!(capabilities.add(b"X-MORE"), Ok(()));
        }
        assert_eq!(capabilities.add(b"TOP"), Err(TooManyCapabilities));
    }

    #[test]
    fn what_is_remembered_has_a_limit() {
        let mut capabilities = Capabilities::default();
        let many: String = (0..1000).map(|number| format!(" X{number}")).collect();
        capabilities
            .add(format!("SASL{many}").as_bytes())
            .expect("one line");
        capabilities
            .add(b"SASL A-NAME-LONGER-THAN-TWENTY B\xc3\xa9")
            .expect("one line");
        assert_eq!(capabilities.mechanisms().count(), limits::MECHANISMS);
    }

    proptest! {
        #[test]
        fn no_bytes_upset_it(entry: Vec<u8>, tag in "(?i)[ \t]*(sasl|expire|login-delay|utf8)") {
            let mut capabilities = Capabilities::default();
            let _ = capabilities.add(&entry);
            let _ = capabilities.add(&[tag.as_bytes(), &entry].concat());
            prop_assert!(capabilities.mechanisms().all(|name| name.is_ascii() && name.len() <= 20));
        }
    }
}
