//! How long a server may keep us waiting, and what the wait was for when that was too long.
//!
//! The clock stays outside: a [`Meter`] gets how long we waited and what came, and decides.

use std::fmt;
use std::time::Duration;

/// Octets that must come in each second, on average over the longest silence, while we wait for a server.
pub const MIN_RATE: u64 = 10;

/// What we wait for, as an error message names it. Costs nothing to make: one is made for every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Awaited {
    what: &'static str,
    number: Option<u32>,
}

impl Awaited {
    /// The server's first words.
    pub const GREETING: Awaited = Awaited::named("the greeting");
    /// The end of the TLS handshake.
    pub(super) const HANDSHAKE: Awaited = Awaited::named("the TLS handshake");

    /// Something that needs no number: `the answer to STAT`.
    #[must_use]
    pub const fn named(what: &'static str) -> Self {
        Awaited { what, number: None }
    }

    /// One of many: `the answer to RETR` and 7.
    #[must_use]
    pub const fn numbered(what: &'static str, number: u32) -> Self {
        Awaited {
            what,
            number: Some(number),
        }
    }
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            None => f.write_str(self.what),
            Some(number) => write!(f, "{} {number}", self.what),
        }
    }
}

/// A length of time as a message says it: `60 s`, `1.5 s`.
pub(super) struct Seconds(pub(super) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}

/// Which limit a server exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exceeded {
    /// Nothing came for the whole span.
    Silence,
    /// Something came, but less than [`MIN_RATE`] over the span.
    Rate,
}

/// Watches one wait: that it never is silent for `span`, and that every `span` of it brings at least
/// [`MIN_RATE`] octets a second, so that a byte now and then does not hold us for ever.
///
/// Only time spent waiting is counted; time in which we were busy ourselves does not count.
/// The rate is checked after each half of the span over the last two halves, so a server that turns
/// slow is found out within one and a half spans, and one that was slow from the start after one.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    span: Duration,
    /// What two halves must bring together.
    least: u64,
    /// Waited since the last octet.
    silent: Duration,
    /// Waited in this half.
    half: Duration,
    /// What this half and the one before it brought.
    octets: u64,
    octets_before: u64,
}

impl Meter {
    /// A meter for waits of which this is the longest silence.
    pub(super) fn new(span: Duration) -> Self {
        let least = span.as_millis().saturating_mul(u128::from(MIN_RATE)) / 1000;
        let least = u64::try_from(least).unwrap_or(u64::MAX);
        Meter {
            span,
            least,
            silent: Duration::ZERO,
            half: Duration::ZERO,
            octets: 0,
            octets_before: least,
        }
    }

    /// A new wait begins, and nothing is held against it yet.
    pub(super) fn restart(&mut self) {
        self.silent = Duration::ZERO;
        self.half = Duration::ZERO;
        self.octets = 0;
        // As if what came before had been just enough: the first verdict falls after a full span.
        self.octets_before = self.least;
    }

    /// How long we may wait now before asking again; never zero.
    pub(super) fn next_timeout(&mut self) -> Result<Duration, Exceeded> {
        if self.silent >= self.span {
            return Err(Exceeded::Silence);
        }
        let half_span = self.span / 2;
        if self.half >= half_span {
            if self.octets_before.saturating_add(self.octets) < self.least {
                return Err(Exceeded::Rate);
            }
            self.half = Duration::ZERO;
            self.octets_before = std::mem::take(&mut self.octets);
        }
        let until_verdict = (self.span - self.silent).min(half_span - self.half);
        Ok(until_verdict.max(MIN_TIMEOUT))
    }

    /// Counts a time that was waited.
    pub(super) fn waited(&mut self, time: Duration) {
        self.silent = self.silent.saturating_add(time);
        self.half = self.half.saturating_add(time);
    }

    /// So many octets came.
    pub(super) fn came(&mut self, octets: usize) {
        self.silent = Duration::ZERO;
        self.octets = self.octets.saturating_add(octets as u64);
    }
}

/// A socket takes no timeout of zero, and shorter ones than this are not kept by kernels.
const MIN_TIMEOUT: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(60);

    /// Waits until `octets` come after each `pause`, and says how long the server got away with it.
    fn endures(meter: &mut Meter, pause: Duration, octets: usize) -> Result<(), (u64, Exceeded)> {
        let mut total = Duration::ZERO;
        while total < SPAN * 100 {
            let mut left = pause;
            while !left.is_zero() {
                let timeout = meter
                    .next_timeout()
                    .map_err(|limit| (total.as_secs(), limit))?;
                let step = timeout.min(left);
                meter.waited(step);
                total += step;
                left -= step;
            }
            meter.came(octets);
        }
        Ok(())
    }

    #[test]
    fn silence_ends_after_exactly_the_span() {
        let verdict = endures(&mut Meter::new(SPAN), SPAN * 2, 0);
        assert_eq!(verdict, Err((60, Exceeded::Silence)));
    }

    #[test]
    fn an_octet_just_before_each_silence_is_too_long_does_not_help() {
        let verdict = endures(&mut Meter::new(SPAN), Duration::from_secs(59), 1);
        assert_eq!(verdict, Err((60, Exceeded::Rate)));
    }

    #[test]
    fn nine_octets_a_second_are_too_slow_and_ten_are_not() {
        let second = Duration::from_secs(1);
        let slow = endures(&mut Meter::new(SPAN), second, 9);
        assert_eq!(slow, Err((60, Exceeded::Rate)));
        assert_eq!(endures(&mut Meter::new(SPAN), second, 10), Ok(()));
    }

    #[test]
    fn a_server_may_pause_for_almost_the_span_if_it_then_sends_enough() {
        let verdict = endures(&mut Meter::new(SPAN), Duration::from_secs(29), 600);
        assert_eq!(verdict, Ok(()));
    }

    #[test]
    fn a_burst_does_not_buy_time_for_a_trickle() {
        let mut meter = Meter::new(SPAN);
        meter.came(100_000_000);
        let (seconds, limit) = endures(&mut meter, Duration::from_secs(1), 1).unwrap_err();
        assert_eq!(limit, Exceeded::Rate);
        assert!(seconds <= 90, "{seconds}");
    }

    #[test]
    fn each_new_wait_has_the_whole_span_again() {
        let mut meter = Meter::new(SPAN);
        for _answer in 0..10 {
            meter.restart();
            for _ in 0..5 {
                assert!(meter.next_timeout().is_ok());
                meter.waited(Duration::from_secs(10));
            }
            meter.came(5);
        }
        assert!(meter.next_timeout().is_ok());
    }

    #[test]
    fn even_the_shortest_span_asks_for_a_wait_that_a_socket_takes() {
        let mut meter = Meter::new(Duration::from_nanos(1));
        assert_eq!(meter.next_timeout(), Ok(MIN_TIMEOUT));
        meter.waited(MIN_TIMEOUT);
        assert_eq!(meter.next_timeout(), Err(Exceeded::Silence));
    }

    #[test]
    fn what_is_awaited_reads_like_a_part_of_a_sentence() {
        assert_eq!(Awaited::GREETING.to_string(), "the greeting");
        assert_eq!(
            Awaited::numbered("the answer to RETR", 7).to_string(),
            "the answer to RETR 7"
        );
        assert_eq!(Seconds(SPAN).to_string(), "60 s");
        assert_eq!(Seconds(Duration::from_millis(1500)).to_string(), "1.5 s");
    }
}
