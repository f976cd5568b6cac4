//! When to ask for something that no sender of mail can answer.
//!
//! A message whose line of one dot the server does not stuff (RFC 1939 section 3) seems to end there, and what lies
//! after that is taken for the next answers: by chance, or because its sender wants that. So what came is in doubt
//! until a probe was answered. With PIPELINING probes ride along; without, there is one for each batch.

use std::time::{Duration, Instant};

use super::store::{BATCH_BYTES, BATCH_TIME};

/// Where a probe costs no round trip, one follows so many messages at the latest; at first, so many times, each message:
/// of few messages most are certain early.
const PROBE_MESSAGES: usize = 16;

/// Or so many octets by LIST.
const PROBE_OCTETS: u64 = 1024 * 1024;

/// Counts what was asked for since the last probe.
pub(super) struct Probing {
    /// Probes ride along with the messages.
    pub(super) is_pipelining: bool,
    /// How many messages a batch may have.
    batch: usize,
    messages: usize,
    octets: u64,
    since: Instant,
    /// How many probes were sent.
    sent: usize,
    /// How many of those are on their way.
    in_flight: usize,
}

impl Probing {
    pub(super) fn new(batch: usize) -> Self {
        Probing {
            is_pipelining: false,
            batch,
            messages: 0,
            octets: 0,
            since: Instant::now(),
            sent: 0,
            in_flight: 0,
        }
    }

    /// A message of this size is asked for.
    pub(super) fn add(&mut self, octets: u64) {
        self.messages += 1;
        self.octets = self.octets.saturating_add(octets);
    }

    /// Whether a probe is due before the next message, of this size by LIST.
    pub(super) fn is_due(&self, next: Option<u64>) -> bool {
        self.would_be_due(next, self.since.elapsed())
    }

    fn would_be_due(&self, next: Option<u64>, waited: Duration) -> bool {
        let Some(next) = next else {
            return self.messages > 0;
        };
        let is_full = if self.is_pipelining {
            let most = if self.sent < PROBE_MESSAGES {
                1
            } else {
                PROBE_MESSAGES.min(self.batch)
            };
            self.messages >= most || self.octets >= PROBE_OCTETS || next >= PROBE_OCTETS
        } else {
            self.messages >= self.batch || self.octets >= BATCH_BYTES || waited >= BATCH_TIME
        };
        self.messages > 0 && is_full
    }

    /// Nothing was asked for since the last probe.
    pub(super) fn is_idle(&self) -> bool {
        self.messages == 0 && self.in_flight == 0
    }

    /// From here on counts what comes after the next probe.
    pub(super) fn restart(&mut self) {
        (self.messages, self.octets) = (0, 0);
        self.since = Instant::now();
    }

    pub(super) fn sent(&mut self) {
        self.sent += 1;
        self.in_flight += 1;
    }

    pub(super) fn answered(&mut self) {
        self.in_flight -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Option<u64> = Some(100);

    fn is_due(probing: &Probing, next: Option<u64>) -> bool {
        probing.would_be_due(next, Duration::ZERO)
    }

    /// After this many messages of this size.
    fn after(messages: usize, octets: u64, mut probing: Probing) -> Probing {
        (0..messages).for_each(|_| probing.add(octets));
        probing
    }

    fn pipelining(probes_sent: usize) -> Probing {
        Probing {
            is_pipelining: true,
            sent: probes_sent,
            ..Probing::new(256)
        }
    }

    #[test]
    fn where_probes_ride_along_each_of_the_first_messages_has_one() {
        assert!(!is_due(&pipelining(0), SMALL));
        assert!(is_due(&after(1, 100, pipelining(0)), SMALL));
        assert!(!is_due(&after(1, 100, pipelining(PROBE_MESSAGES)), SMALL));
        assert!(!is_due(&after(15, 100, pipelining(PROBE_MESSAGES)), SMALL));
        assert!(is_due(&after(16, 100, pipelining(PROBE_MESSAGES)), SMALL));
    }

    #[test]
    fn a_large_message_is_probed_for_before_and_after() {
        let one = || after(1, 100, pipelining(PROBE_MESSAGES));
        assert!(is_due(&one(), Some(PROBE_OCTETS)));
        let large = after(1, PROBE_OCTETS, pipelining(PROBE_MESSAGES));
        assert!(is_due(&large, SMALL));
    }

    #[test]
    fn where_a_probe_costs_a_round_trip_there_is_one_for_each_batch() {
        assert!(!is_due(&after(255, 100, Probing::new(256)), SMALL));
        assert!(is_due(&after(256, 100, Probing::new(256)), SMALL));
        assert!(is_due(&after(1, BATCH_BYTES, Probing::new(256)), SMALL));
        let one = after(1, 100, Probing::new(256));
        assert!(!one.would_be_due(SMALL, BATCH_TIME / 2));
        assert!(one.would_be_due(SMALL, BATCH_TIME));
    }

    #[test]
    fn the_last_probe_follows_the_last_message_and_none_follows_nothing() {
        assert!(is_due(&after(1, 100, Probing::new(256)), None));
        assert!(!is_due(&Probing::new(256), None));
        assert!(!Probing::new(256).would_be_due(SMALL, BATCH_TIME));
    }
}
