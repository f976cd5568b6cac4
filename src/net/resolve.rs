//! From a host's name to its addresses.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::cancel::{CancelToken, Wait, WaitError};
use crate::text::Untrusted;

use super::{Error, Result};

/// All addresses of a host, in the order the system prefers (RFC 6724), none twice. An address, also
/// one in brackets as URLs write IPv6, is its own answer.
///
/// # Errors
///
/// No address is known for the name; no answer came within `limit`; or cancelled.
pub fn resolve(
    host: &str,
    port: u16,
    limit: Duration,
    token: &CancelToken,
) -> Result<Vec<SocketAddr>> {
    if let Ok(address) = without_brackets(host).parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    if can_never_exist(host) {
        return Err(unknown(host, None));
    }
    let shown = Untrusted(host.as_bytes()).to_string();
    match Wait::at_most(limit, token).receive(&look_up(host, port)?) {
        Ok(Some(Ok(addresses))) if addresses.is_empty() => Err(unknown(host, None)),
        Ok(Some(Ok(addresses))) => Ok(addresses),
        Ok(Some(Err(error))) => Err(unknown(host, Some(error))),
        Ok(None) => Err(unknown(host, None)),
        Err(WaitError::Cancelled) => Err(Error::Cancelled {
            activity: format!("looking up the address of {shown}"),
        }),
        Err(WaitError::TimedOut) => Err(Error::ResolveTimeout { host: shown, limit }),
    }
}

/// The host without the brackets in which URLs write an IPv6 address.
pub(super) fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host)
}

/// Names below `invalid` are set aside for never existing, and need no question (RFC 6761 section 6.4).
fn can_never_exist(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let top = name.rsplit('.').next().unwrap_or(name);
    top.eq_ignore_ascii_case("invalid")
}

/// Asks the system's resolver in a thread: the call cannot be ended, but it need not be waited for.
fn look_up(host: &str, port: u16) -> Result<mpsc::Receiver<io::Result<Vec<SocketAddr>>>> {
    let (report, news) = mpsc::channel();
    let host = host.to_owned();
    thread::Builder::new()
        .name("resolve".into())
        .spawn(move || {
            let addresses = (host.as_str(), port).to_socket_addrs().map(each_once);
            // It is not received once the limit has passed.
            let _ = report.send(addresses);
        })
        .map_err(Error::Thread)?;
    Ok(news)
}

/// A hosts file may give one address twice.
fn each_once(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut once = Vec::new();
    for address in addresses {
        if !once.contains(&address) {
            once.push(address);
        }
    }
    once
}

fn unknown(host: &str, source: Option<io::Error>) -> Error {
    Error::UnknownHost {
        host: Untrusted(host.as_bytes()).to_string(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Failure, Kind};

    const AMPLE: Duration = Duration::from_secs(60);

    fn resolved(host: &str) -> Result<Vec<SocketAddr>> {
        resolve(host, 995, AMPLE, &CancelToken::new())
    }

    #[test]
    fn an_address_is_its_own_answer_with_and_without_brackets() {
        assert_eq!(
            resolved("192.0.2.7").unwrap(),
            ["192.0.2.7:995".parse().unwrap()]
        );
        let six = ["[2001:db8::1]:995".parse().unwrap()];
        assert_eq!(resolved("2001:db8::1").unwrap(), six);
        assert_eq!(resolved("[2001:db8::1]").unwrap(), six);
    }

    #[test]
    fn a_name_is_looked_up_and_gets_the_port() {
        let addresses = resolved("localhost").unwrap();
        assert!(!addresses.is_empty());
        assert!(
            addresses
                .iter()
                .all(|address| address.ip().is_loopback() && address.port() == 995)
        );
    }

    #[test]
    fn a_name_that_cannot_exist_is_unknown() {
        for host in ["pop.example.invalid", "INVALID."] {
            let failure = Failure::from(resolved(host).unwrap_err());
            assert_eq!(failure.kind(), Kind::HostUnknown, "{host}: {failure}");
            assert!(!failure.hints().is_empty());
        }
    }

    #[test]
    fn a_name_that_the_resolver_refuses_is_unknown_and_its_reason_is_given() {
        // A label has at most 63 octets and none is NUL, so no name server is asked.
        for host in [&format!("{}.example", "a".repeat(64)), "pop\0.example"] {
            let failure = Failure::from(resolved(host).unwrap_err());
            assert_eq!(failure.kind(), Kind::HostUnknown, "{failure}");
            assert!(std::error::Error::source(&failure).is_some(), "{failure}");
        }
    }

    #[test]
    fn a_name_shows_no_control_characters() {
        let failure = Failure::from(resolved("\x1b[31m.invalid").unwrap_err());
        assert_eq!(
            failure.to_string(),
            "no address is known for the host \\x1b[31m.invalid"
        );
    }

    #[test]
    fn a_cancelled_lookup_says_so() {
        let token = CancelToken::new();
        token.cancel();
        let error = resolve("localhost", 995, AMPLE, &token).unwrap_err();
        assert_eq!(
            error.to_string(),
            "stopped while looking up the address of localhost"
        );
    }

    #[test]
    fn an_address_given_twice_counts_once() {
        let [one, two] = ["127.0.0.1:1", "127.0.0.2:1"].map(|text| text.parse().unwrap());
        assert_eq!(each_once([one, two, one].into_iter()), [one, two]);
    }
}
