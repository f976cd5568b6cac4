//! `--url`: a one-off account without a configuration.
//!
//! People put passwords into URLs, and put them into the wrong place; so no error repeats any part of one.

use std::num::NonZeroUsize;

use super::account::{Account, DEFAULT_TIMEOUT, Tls};
use super::{Overrides, values};
use crate::error::{Failure, Kind, OrFail, Result};
use crate::mail::Retention;
use crate::net::TlsVersion;
use crate::pop3::login::Rule;
use crate::secret::SecretSource;

const FORM: &str = "A mailbox is written pops://user@host or pop3://user@host, with :port at the end where it is not the usual one.";

/// The account that a URL names: `pops://user@host[:port]` (TLS from the first byte, port 995) or
/// `pop3://user@host[:port]` (port 110, STLS required). It is called `user@host`.
///
/// The user's name may have any character as `%XX`, and must have `:`, `/`, `?`, `#` and `%` so; the
/// last `@` ends it. An IPv6 address stands in brackets.
///
/// # Errors
///
/// [`Kind::Usage`]: the text is not such a URL, or holds a password; or no destination is given.
pub fn one_off(url: &str, secret: SecretSource, overrides: &Overrides) -> Result<Account> {
    let (tls, authority) = scheme(url)?;
    let (user, server) = authority
        .rsplit_once('@')
        .ok_or_else(|| misspelt("the URL names no user"))?;
    let user = decoded_user(user)?;
    let (host, port) = server_of(server)?;
    let deliver = overrides.deliver.clone().ok_or_else(|| {
        Failure::new(Kind::Usage, "a URL does not say where the mail goes")
            .hint("Say it with --to, such as --to maildir:~/Mail.")
    })?;
    Ok(Account {
        name: format!("{user}@{host}"),
        port: port.unwrap_or_else(|| tls.default_port()),
        host,
        user,
        tls,
        tls_min_version: TlsVersion::default(),
        ca_files: overrides.ca_file.iter().cloned().collect(),
        tls_fingerprints: Vec::new(),
        tls_server_name: None,
        client_certificate: None,
        secret,
        auth: Rule::Auto,
        allow_cleartext_password: false,
        deliver: vec![deliver],
        deliver_otherwise: Vec::new(),
        leave_on_server: overrides.leave_on_server.unwrap_or(Retention::Always),
        timeout: DEFAULT_TIMEOUT,
        pipe_jobs: NonZeroUsize::MIN,
        quiet_temporary: None,
        after_new: None,
    })
}

fn misspelt(message: impl Into<String>) -> Failure {
    Failure::new(Kind::Usage, message).hint(FORM)
}

fn scheme(url: &str) -> Result<(Tls, &str)> {
    let (scheme, rest) = url
        .split_once("://")
        .ok_or_else(|| misspelt("the URL has no scheme"))?;
    match scheme.to_ascii_lowercase().as_str() {
        "pops" => Ok((Tls::Implicit, rest)),
        "pop3" => Ok((Tls::StartTls, rest)),
        "pop3s" => Err(misspelt("the URL's scheme is unknown").hint("Did you mean pops?")),
        "pop" => Err(misspelt("the URL's scheme is unknown").hint("Did you mean pop3?")),
        _ => Err(misspelt("the URL's scheme is unknown")),
    }
}

fn decoded_user(encoded: &str) -> Result<String> {
    if encoded.contains(':') {
        return Err(
            Failure::new(Kind::Usage, "a password does not belong in a URL, where others can see it")
                .hint("Say where it comes from: --password-file, --password-command or POPFETCH_PASSWORD in the environment.")
                .hint("A colon that is part of the user's name is written %3A."),
        );
    }
    if encoded.contains(['/', '?', '#']) {
        return Err(misspelt("the user's name in the URL has a /, ? or # in it")
            .hint("As part of the name they are written %2F, %3F and %23."));
    }
    let user = percent_decoded(encoded).ok_or_else(|| {
        misspelt("the user's name in the URL has a % that begins no character")
            .hint("A % that is part of the name is written %25.")
    })?;
    values::user(&user).or_fail(Kind::Usage, || "the URL's user cannot be used")?;
    Ok(user)
}

/// The text with each `%XX` decoded; none where a `%` is followed by something else, or the result is not UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if first == b'%' {
            let (digits, behind) = rest.split_at_checked(2)?;
            bytes.push(hexadecimal(digits)?);
            rest = behind;
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8(bytes).ok()
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    digits.iter().try_fold(0, |byte: u8, &digit| {
        let value = char::from(digit).to_digit(16)?;
        Some(byte << 4 | u8::try_from(value).ok()?)
    })
}

fn server_of(text: &str) -> Result<(String, Option<u16>)> {
    if text.contains(['/', '?', '#']) {
        return Err(misspelt("the URL goes on behind host and port"));
    }
    let (host, port) = match text.rsplit_once(':') {
        // The colons of an address stand inside its brackets.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    if host.contains(':') && !host.starts_with('[') {
        return Err(misspelt("the URL's host has a colon")
            .hint("An IPv6 address stands in brackets: pops://user@[2001:db8::1]."));
    }
    let host = values::host(host).or_fail(Kind::Usage, || "the URL's host cannot be used")?;
    let port = port.map(port_of).transpose()?;
    Ok((host.to_owned(), port))
}

fn port_of(text: &str) -> Result<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or(values::NotAPort)
        .and_then(values::port)
        .or_fail(Kind::Usage, || "the URL's port cannot be used")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::deliver::Spec;

    fn read(url: &str) -> Result<Account> {
        let overrides = Overrides {
            deliver: Some(Spec::Maildir(PathBuf::from("/mail"))),
            ..Overrides::default()
        };
        one_off(url, SecretSource::Prompt, &overrides)
    }

    #[test]
    fn the_scheme_decides_on_tls_and_port() {
        let account = read("pops://alice@pop.example.com").expect("a URL");
        assert_eq!((account.tls, account.port), (Tls::Implicit, 995));
        assert_eq!(account.name, "alice@pop.example.com");
        assert_eq!(account.secret, SecretSource::Prompt);
        assert_eq!(account.leave_on_server, Retention::Always);
        assert!(!account.allow_cleartext_password);

        let account = read("POP3://alice@pop.example.com").expect("a URL");
        assert_eq!((account.tls, account.port), (Tls::StartTls, 110));
    }

    #[test]
    fn the_last_at_sign_ends_the_user() {
        for url in [
            "pops://alice@example.com@pop.example.com:1995",
            "pops://alice%40example.com@pop.example.com:1995",
        ] {
            let account = read(url).expect("a URL");
            assert_eq!(account.user, "alice@example.com");
            assert_eq!(account.host, "pop.example.com");
            assert_eq!(account.port, 1995);
        }
    }

    #[test]
    fn percent_signs_hide_any_character_of_a_user() {
        let account = read("pops://a%25b%3a%2F%c3%A9@h").expect("a URL");
        assert_eq!(account.user, "a%b:/é");
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
        assert_eq!((account.host.as_str(), account.port), ("2001:db8::1", 995));
        let account = read("pops://alice@[::1]:1995").expect("a URL");
        assert_eq!((account.host.as_str(), account.port), ("::1", 1995));
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
        let failure = one_off(
            "pops://alice@h",
            SecretSource::Prompt,
            &Overrides::default(),
        )
        .expect_err("no destination");
        assert_eq!(failure.kind(), Kind::Usage);
        assert!(failure.hints()[0].contains("--to"));
    }
}
