//! `--url`: a one-off account without a configuration.
//!
//! People put passwords into URLs, and put them into the wrong place; so no error repeats any part of one.

use super::Overrides;
use super::account::{Account, Server, Tls};
use super::error::Error;
use super::values::{self, NotAHost, NotAPort, NotAUser};
use crate::secret::SecretSource;
use crate::text;

/// A text that is no URL of a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAUrl {
    /// No `://`.
    #[error("the URL has no scheme")]
    NoScheme,
    /// Neither `pops` nor `pop3`; with what was probably meant.
    #[error("the URL's scheme is unknown")]
    UnknownScheme(Option<&'static str>),
    /// No `@`.
    #[error("the URL names no user")]
    NoUser,
    /// A colon before the `@`.
    #[error("a password does not belong in a URL, where others can see it")]
    Password,
    /// Punctuation of a URL before the `@`.
    #[error("the user's name in the URL has a /, ? or # in it")]
    UserPunctuation,
    /// A `%` without two hexadecimal digits, or of bytes that are no text.
    #[error("the user's name in the URL has a % that begins no character")]
    UserEscape,
    /// No name that a user may have.
    #[error("the URL's user cannot be used")]
    User(#[source] NotAUser),
    /// A path, query or fragment.
    #[error("unexpected path or query after host:port")]
    Path,
    /// An IPv6 address without brackets, probably.
    #[error("the URL's host has a colon")]
    HostColon,
    /// No name or address that a host may have.
    #[error("the URL's host cannot be used")]
    Host(#[source] NotAHost),
    /// No number that a port may have.
    #[error("the URL's port cannot be used")]
    Port(#[source] NotAPort),
}

type Result<T, E = NotAUrl> = std::result::Result<T, E>;

/// The account that a URL names: `pops://user@host[:port]` (TLS from the first byte, port 995) or
/// `pop3://user@host[:port]` (port 110, STLS required). It is called `user@host`.
///
/// The user's name may have any character as `%XX`, and must have `:`, `/`, `?`, `#` and `%` so; the
/// last `@` ends it. An IPv6 address stands in brackets.
///
/// # Errors
///
/// The text is not such a URL, or holds a password; or no destination is given.
pub fn one_off(url: &str, secret: SecretSource, overrides: &Overrides) -> Result<Account, Error> {
    let mut server = server(url)?;
    server.secret = secret;
    if overrides.deliver.is_none() {
        return Err(Error::NoDestination);
    }
    let account = Account {
        name: format!("{}@{}", server.user, server.host),
        server,
        ..Account::default()
    };
    Ok(account.overridden(overrides))
}

fn server(url: &str) -> Result<Server> {
    let (scheme, authority) = url.split_once("://").ok_or(NotAUrl::NoScheme)?;
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "pops" => Tls::Implicit,
        "pop3" => Tls::StartTls,
        "pop3s" => return Err(NotAUrl::UnknownScheme(Some("pops"))),
        "pop" => return Err(NotAUrl::UnknownScheme(Some("pop3"))),
        _ => return Err(NotAUrl::UnknownScheme(None)),
    };
    let (user, place) = authority.rsplit_once('@').ok_or(NotAUrl::NoUser)?;
    let user = decoded_user(user)?;
    let (host, port) = host_and_port(place)?;
    Ok(Server {
        host: host.to_owned(),
        port: port.unwrap_or_else(|| tls.default_port()),
        user,
        tls,
        ..Server::default()
    })
}

fn decoded_user(encoded: &str) -> Result<String> {
    if encoded.contains(':') {
        return Err(NotAUrl::Password);
    }
    if encoded.contains(['/', '?', '#']) {
        return Err(NotAUrl::UserPunctuation);
    }
    let bytes = text::percent_decoded(encoded).ok_or(NotAUrl::UserEscape)?;
    let user = String::from_utf8(bytes).map_err(|_| NotAUrl::UserEscape)?;
    values::user(&user).map_err(NotAUrl::User)?;
    Ok(user)
}

fn host_and_port(text: &str) -> Result<(&str, Option<u16>)> {
    if text.contains(['/', '?', '#']) {
        return Err(NotAUrl::Path);
    }
    let (host, port) = match text.rsplit_once(':') {
        // The colons of an address stand inside its brackets.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    if host.contains(':') && !host.starts_with('[') {
        return Err(NotAUrl::HostColon);
    }
    let host = values::host(host).map_err(NotAUrl::Host)?;
    let port = port.map(port_of).transpose().map_err(NotAUrl::Port)?;
    Ok((host, port))
}

fn port_of(text: &str) -> Result<u16, NotAPort> {
    // `parse` would accept a plus sign.
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or(NotAPort).and_then(values::port)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::deliver::Spec;
    use crate::error::{Failure, Kind};
    use crate::mail::Retention;

    fn read(url: &str) -> Result<Account, Failure> {
        let overrides = Overrides {
            deliver: Some(Spec::Maildir(PathBuf::from("/mail"))),
            ..Overrides::default()
        };
        Ok(one_off(url, SecretSource::Prompt, &overrides)?)
    }

    #[test]
    fn the_scheme_decides_on_tls_and_port() {
        let account = read("pops://alice@pop.example.com").expect("a URL");
        assert_eq!(
            (account.server.tls, account.server.port),
            (Tls::Implicit, 995)
        );
        assert_eq!(account.name, "alice@pop.example.com");
        assert_eq!(account.server.secret, SecretSource::Prompt);
        assert_eq!(account.leave_on_server, Retention::Always);
        assert!(!account.server.allow_cleartext_password);

        let account = read("POP3://alice@pop.example.com").expect("a URL");
        assert_eq!(
            (account.server.tls, account.server.port),
            (Tls::StartTls, 110)
        );
    }

    #[test]
    fn the_last_at_sign_ends_the_user() {
        for url in [
            "pops://alice@example.com@pop.example.com:1995",
            "pops://alice%40example.com@pop.example.com:1995",
        ] {
            let account = read(url).expect("a URL");
            assert_eq!(account.server.user, "alice@example.com");
            assert_eq!(account.server.host, "pop.example.com");
            assert_eq!(account.server.port, 1995);
        }
    }

    #[test]
    fn percent_signs_hide_any_character_of_a_user() {
        let account = read("pops://a%25b%3a%2F%c3%A9@h").expect("a URL");
        assert_eq!(account.server.user, "a%b:/é");
        for url in [
            "pops://a%2@h",
            "pops://a%zz@h",
            "pops://a%+1@h",
            "pops://%ff@h",
        ] {
            assert_eq!(read(url).expect_err("no URL").kind(), Kind::Usage, "{url}");
        }
    }

    #[test]
    fn an_ipv6_address_stands_in_brackets() {
        let account = read("pops://alice@[2001:db8::1]").expect("a URL");
        assert_eq!(
            (account.server.host.as_str(), account.server.port),
            ("2001:db8::1", 995)
        );
        let account = read("pops://alice@[::1]:1995").expect("a URL");
        assert_eq!(
            (account.server.host.as_str(), account.server.port),
            ("::1", 1995)
        );
        assert!(read("pops://alice@2001:db8::1").is_err());
    }

    #[test]
    fn a_user_gives_no_commands_to_the_server() {
        for url in [
            "pops://alice%0d%0aDELE%201@h",
            "pops://alice%0aQUIT@h",
            "pops://alice%00@h",
            "pops://alice\r\nQUIT@h",
        ] {
            assert_eq!(read(url).expect_err("no URL").kind(), Kind::Usage, "{url}");
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for url in [
            "pops://alice:hunter2@pop.example.com",
            "pop3://alice:hunter2/x@pop.example.com",
            "pops://alice:hunter2@example.com@pop.example.com",
            "imap://alice:hunter2@pop.example.com",
            "pops://alice?hunter2@pop.example.com",
            "pops://alice%hunter2@pop.example.com",
            "alice:hunter2@pop.example.com",
            "pops://alice@pop.example.com:hunter2",
            "pops://alice@hunter2 @",
            "pops://alice@hunter2^ ",
        ] {
            let failure = read(url).expect_err("no URL");
            assert_eq!(failure.kind(), Kind::Usage);
            let told = format!("{failure} {:?}", failure.hints());
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn what_is_no_mailbox_is_refused() {
        for url in [
            "",
            "pop.example.com",
            "pop3s://alice@h",
            "pops://pop.example.com",
            "pops://@h",
            "pops://alice@",
            "pops://alice@:995",
            "pops://alice@h:",
            "pops://alice@h:0",
            "pops://alice@h:+1",
            "pops://alice@h:65536",
            "pops://alice@h:pop",
            "pops://alice@h/",
            "pops://alice@h?x",
            "pops://alice@h#x",
            "pops://alice@a b",
            "pops://alice@[h]",
        ] {
            assert_eq!(read(url).expect_err("no URL").kind(), Kind::Usage, "{url}");
        }
    }

    #[test]
    fn a_destination_has_to_be_given() {
        let overrides = Overrides::default();
        let error = one_off("pops://alice@h", SecretSource::Prompt, &overrides);
        let failure = Failure::from(error.expect_err("no destination"));
        assert_eq!(failure.kind(), Kind::Usage);
        assert!(failure.hints()[0].contains("--to"));
    }
}
