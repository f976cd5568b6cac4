//! Single values as people write them, the same in the configuration and on the command line.
//!
//! The errors are clauses that can stand beside a caret or after the value, which they do not repeat.

use std::net::Ipv6Addr;
use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo};

use crate::mail::Retention;

/// The longest time to keep messages on a server, in days: about 100 years, so that adding it to any
/// time of this century gives a time.
pub const LONGEST_RETENTION: i64 = 36_500;

/// A text that is no length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotADuration {
    /// A number alone.
    #[error("a unit is missing: s, min, h, d or w, as in 60s or 12h")]
    Unit,
    /// Years or months.
    #[error("months and years have no fixed length: write days, as in 180d")]
    Calendar,
    /// Less than nothing.
    #[error("a time cannot be negative")]
    Negative,
    /// No time at all.
    #[error("a time must be longer than nothing")]
    Zero,
    /// Anything else.
    #[error("this is not a time such as 60s, 12h or 30d")]
    Unreadable,
}

/// Reads a length of time such as `60s`, `5min`, `1h 30min`, `12h`, `30d` or `2w`; a day has 24 hours.
///
/// # Errors
///
/// The text is something else, has months or years, or is not more than nothing.
pub fn duration(text: &str) -> Result<Duration, NotADuration> {
    Duration::try_from(signed(text)?).map_err(|_| NotADuration::Negative)
}

fn signed(text: &str) -> Result<SignedDuration, NotADuration> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NotADuration::Unit);
    }
    let span: Span = text.parse().map_err(|_| NotADuration::Unreadable)?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err(NotADuration::Calendar);
    }
    let duration = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| NotADuration::Unreadable)?;
    if duration.is_negative() {
        return Err(NotADuration::Negative);
    }
    if duration.is_zero() {
        return Err(NotADuration::Zero);
    }
    Ok(duration)
}

/// A text that is no retention rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotARetention {
    /// No word that it knows, nor a number with a unit.
    #[error("write always, never or a time such as 30d")]
    Unreadable,
    /// A number alone.
    #[error("a unit is missing: 30d for days, 2w for weeks, 12h for hours")]
    Unit,
    /// Years or months.
    #[error("months and years have no fixed length: write days, as in 180d")]
    Calendar,
    /// `6m`: mistaken one way, mail would be deleted after six minutes instead of six months.
    #[error("m could mean minutes or months: write 180d, or 6min")]
    Ambiguous,
    /// Nothing, or less.
    #[error("to delete messages as soon as they are stored, write never")]
    NotPositive,
    /// More than [`LONGEST_RETENTION`].
    #[error("this is longer than 36500d: to delete nothing, write always")]
    TooLong,
}

/// Reads a retention rule: `always`, `never`, or a length of time such as `30d`, `2w` or `12h`
/// counted from the moment a message was stored; a day has 24 hours.
///
/// # Errors
///
/// The text is something else, or a time that could be misunderstood.
pub fn retention(text: &str) -> Result<Retention, NotARetention> {
    match text {
        "always" => return Ok(Retention::Always),
        "never" => return Ok(Retention::Never),
        _ => {}
    }
    let mut words = text.split(|c: char| !c.is_ascii_alphabetic());
    if words.any(|word| word.eq_ignore_ascii_case("m")) {
        return Err(NotARetention::Ambiguous);
    }
    let duration = signed(text).map_err(|error| match error {
        NotADuration::Unit => NotARetention::Unit,
        NotADuration::Calendar => NotARetention::Calendar,
        NotADuration::Negative | NotADuration::Zero => NotARetention::NotPositive,
        NotADuration::Unreadable => NotARetention::Unreadable,
    })?;
    if duration > SignedDuration::from_hours(LONGEST_RETENTION * 24) {
        return Err(NotARetention::TooLong);
    }
    Ok(Retention::For(duration))
}

/// A text that is no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAHost {
    /// Nothing, or a dot.
    #[error("the host is empty")]
    Empty,
    /// A URL.
    #[error("this is a URL: only the host's name belongs here")]
    Url,
    /// A colon, and no IPv6 address.
    #[error("a port does not belong to the host's name")]
    Port,
    /// A character that no host's name has.
    #[error("a host's name has no spaces, control characters or any of /@?#[]")]
    Character,
}

/// Checks a host's name or address, and takes an IPv6 address out of its brackets.
///
/// # Errors
///
/// It is empty, or has what no host's name has.
pub fn host(text: &str) -> Result<&str, NotAHost> {
    if text.contains("://") {
        return Err(NotAHost::Url);
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|inside| inside.strip_suffix(']'))
        .filter(|inside| is_ipv6(inside))
        .unwrap_or(text);
    if bare.trim_end_matches('.').is_empty() {
        return Err(NotAHost::Empty);
    }
    if bare
        .chars()
        .any(|c| c.is_whitespace() || c.is_control() || "/@?#[]".contains(c))
    {
        return Err(NotAHost::Character);
    }
    if bare.contains(':') && !is_ipv6(bare) {
        return Err(NotAHost::Port);
    }
    Ok(bare)
}

/// Whether it is an IPv6 address, with or without a zone (`fe80::1%eth0`).
fn is_ipv6(text: &str) -> bool {
    let address = text
        .split_once('%')
        .map_or(text, |(address, _zone)| address);
    address.parse::<Ipv6Addr>().is_ok()
}

/// A text that is no port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a port is a number from 1 to 65535")]
pub struct NotAPort;

/// Checks a port's number.
///
/// # Errors
///
/// It is not one of 1 to 65535.
pub fn port(number: i64) -> Result<u16, NotAPort> {
    match u16::try_from(number) {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(NotAPort),
    }
}

/// A text that is no user's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAUser {
    /// Nothing.
    #[error("the user's name is empty")]
    Empty,
    /// A line end would let a name give commands of its own to the server (as in CVE-2012-0036).
    #[error("a user's name has no line ends or other control characters")]
    Control,
}

/// Checks a user's name: any text without control characters.
///
/// # Errors
///
/// It is empty or has control characters.
pub fn user(text: &str) -> Result<&str, NotAUser> {
    if text.is_empty() {
        return Err(NotAUser::Empty);
    }
    if text.chars().any(char::is_control) {
        return Err(NotAUser::Control);
    }
    Ok(text)
}

/// A text that is no name of an environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not the name of an environment variable")]
pub struct NotAVariable;

/// Checks the name of an environment variable.
///
/// # Errors
///
/// It is empty, or has what no such name has.
pub fn variable(name: &str) -> Result<&str, NotAVariable> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(NotAVariable);
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: u64 = 60 * 60;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1h 30min"), Ok(Duration::from_secs(90 * 60)));
        assert_eq!(duration("2w"), Ok(Duration::from_secs(14 * 24 * HOUR)));
        assert_eq!(duration("60"), Err(NotADuration::Unit));
        assert_eq!(duration("-3s"), Err(NotADuration::Negative));
        assert_eq!(duration("3s ago"), Err(NotADuration::Negative));
        assert_eq!(duration("0s"), Err(NotADuration::Zero));
        assert_eq!(duration("6mo"), Err(NotADuration::Calendar));
        assert_eq!(duration("soon"), Err(NotADuration::Unreadable));
        assert_eq!(duration(""), Err(NotADuration::Unreadable));
    }

    #[test]
    fn a_retention_rule_is_a_word_or_a_time() {
        let hours = |hours| Ok(Retention::For(SignedDuration::from_hours(hours)));
        assert_eq!(retention("always"), Ok(Retention::Always));
        assert_eq!(retention("never"), Ok(Retention::Never));
        assert_eq!(retention("30d"), hours(30 * 24));
        assert_eq!(retention("2w"), hours(14 * 24));
        assert_eq!(retention("12h"), hours(12));
        assert_eq!(retention("1d12h"), hours(36));
        assert_eq!(retention("36500d"), hours(36_500 * 24));
        assert_eq!(retention("120min"), hours(2));
    }

    #[test]
    fn a_retention_rule_that_could_be_misunderstood_is_refused() {
        assert_eq!(retention("30"), Err(NotARetention::Unit));
        assert_eq!(retention("6m"), Err(NotARetention::Ambiguous));
        assert_eq!(retention("PT6M"), Err(NotARetention::Ambiguous));
        assert_eq!(retention("6mo"), Err(NotARetention::Calendar));
        assert_eq!(retention("1y"), Err(NotARetention::Calendar));
        assert_eq!(retention("0d"), Err(NotARetention::NotPositive));
        assert_eq!(retention("-30d"), Err(NotARetention::NotPositive));
        assert_eq!(retention("30d ago"), Err(NotARetention::NotPositive));
        assert_eq!(retention("36501d"), Err(NotARetention::TooLong));
        assert_eq!(retention("Always"), Err(NotARetention::Unreadable));
        assert_eq!(retention(""), Err(NotARetention::Unreadable));
    }

    #[test]
    fn a_host_is_a_name_or_an_address() {
        assert_eq!(host("pop.example.com."), Ok("pop.example.com."));
        assert_eq!(host("192.0.2.1"), Ok("192.0.2.1"));
        assert_eq!(host("[2001:db8::1]"), Ok("2001:db8::1"));
        assert_eq!(host("fe80::1%eth0"), Ok("fe80::1%eth0"));
        assert_eq!(host(""), Err(NotAHost::Empty));
        assert_eq!(host("."), Err(NotAHost::Empty));
        assert_eq!(host("pop.example.com:995"), Err(NotAHost::Port));
        assert_eq!(host("pops://pop.example.com"), Err(NotAHost::Url));
        assert_eq!(host("pop example"), Err(NotAHost::Character));
        assert_eq!(host("pop\r\nQUIT"), Err(NotAHost::Character));
        assert_eq!(host("[pop.example.com]"), Err(NotAHost::Character));
    }

    #[test]
    fn a_users_name_gives_no_commands() {
        assert_eq!(
            user("alice smith@example.com"),
            Ok("alice smith@example.com")
        );
        assert_eq!(user(""), Err(NotAUser::Empty));
        for name in ["a\rb", "a\nb", "a\0b"] {
            assert_eq!(user(name), Err(NotAUser::Control));
        }
    }

    #[test]
    fn ports_end_at_65535() {
        assert_eq!(port(1), Ok(1));
        assert_eq!(port(65_535), Ok(65_535));
        for number in [0, -1, 65_536, i64::MAX] {
            assert_eq!(port(number), Err(NotAPort));
        }
    }

    proptest! {
        #[test]
        fn a_time_that_is_read_is_longer_than_nothing(text in "[-+]?[0-9]{1,12} ?[a-zA-Z]{0,3}( ago)?") {
            if let Ok(duration) = duration(&text) {
                prop_assert!(duration > Duration::ZERO);
            }
            if let Ok(Retention::For(duration)) = retention(&text) {
                prop_assert!(duration > SignedDuration::ZERO);
                prop_assert!(duration <= SignedDuration::from_hours(LONGEST_RETENTION * 24));
            }
        }
    }
}
