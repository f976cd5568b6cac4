//! How many commands may be in flight.
//!
//! RFC 2449 section 6.6 lets a client send commands ahead only as far as a blocking write cannot
//! meet a server that has stopped reading: else both wait for each other for ever. So the window is
//! bounded in bytes that any kernel's buffers hold, whatever the server does; and in announced
//! message sizes, so that little is fetched in vain when a connection breaks. It begins small and
//! doubles while the server answers in step: so fast that the second flight already is a long one,
//! since every flight costs a round trip. After a whole flight that was answered in step it is as wide as
//! can be.

use std::collections::VecDeque;

/// Commands in flight at first.
const FIRST_COMMANDS: usize = 32;

/// After so many answers the window doubles.
const ANSWERS_PER_DOUBLING: usize = 8;

/// Commands in flight at most.
const MAX_COMMANDS: usize = 1000;

/// Bytes of commands in flight at most: less than the smallest socket buffers of two hosts hold together.
const MAX_BYTES: usize = 12_000;

/// Announced octets of messages in flight at most; one message larger than that is still asked for, alone.
const MAX_OCTETS: u64 = 64 * 1024 * 1024;

/// The window of commands in flight.
#[derive(Debug)]
pub struct Window {
    size: usize,
    bytes: usize,
    octets: u64,
    flying: VecDeque<(usize, u64)>,
    answered: usize,
}

impl Window {
    /// An empty window; without pipelining it holds one command.
    #[must_use]
    pub fn new(pipelining: bool) -> Self {
        let size = if pipelining { FIRST_COMMANDS } else { 1 };
        Window {
            size,
            bytes: 0,
            octets: 0,
            flying: VecDeque::new(),
            answered: 0,
        }
    }

    /// The server has answered a flight of commands, all in step: it can.
    pub fn widen(&mut self) {
        if self.is_wide() {
            self.size = MAX_COMMANDS;
        }
    }

    /// Whether more than one command may be in flight.
    #[must_use]
    pub fn is_wide(&self) -> bool {
        self.size > 1
    }

    /// How many commands are in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.flying.len()
    }

    /// Whether it is time to send more: the window is at most half full.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        self.flying.len() <= self.size / 2
    }

    /// Whether a command of so many bytes that will bring so many octets fits now.
    #[must_use]
    pub fn fits(&self, bytes: usize, octets: u64) -> bool {
        self.flying.is_empty()
            || self.flying.len() < self.size
                && self.bytes + bytes <= MAX_BYTES
                && self.octets.saturating_add(octets) <= MAX_OCTETS
    }

    /// A command was put on the wire.
    pub fn sent(&mut self, bytes: usize, octets: u64) {
        self.bytes += bytes;
        self.octets = self.octets.saturating_add(octets);
        self.flying.push_back((bytes, octets));
    }

    /// The oldest command in flight was answered.
    pub fn answered(&mut self) {
        let Some((bytes, octets)) = self.flying.pop_front() else {
            return;
        };
        self.bytes -= bytes;
        self.octets = self.octets.saturating_sub(octets);
        self.answered += 1;
        if self.size > 1 && self.answered >= ANSWERS_PER_DOUBLING {
            self.answered = 0;
            self.size = (self.size * 2).min(MAX_COMMANDS);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_pipelining_one_command_is_in_flight() {
        let mut window = Window::new(false);
        for _ in 0..100 {
            assert!(window.wants_more() && window.fits(10, 1));
            window.sent(10, 1);
            assert!(!window.wants_more() && !window.fits(10, 1));
            window.answered();
        }
    }

    #[test]
    fn a_thousand_commands_take_two_flights_and_a_bit() {
        let mut window = Window::new(true);
        let (mut left, mut flights) = (1000, 0);
        while left > 0 || window.in_flight() > 0 {
            // What answers one flight comes together; the next goes out meanwhile.
            for _ in 0..window.in_flight() {
                window.answered();
                while left > 0 && window.wants_more() && window.fits(11, 4000) {
                    window.sent(11, 4000);
                    left -= 1;
                }
            }
            while left > 0 && window.fits(11, 4000) {
                window.sent(11, 4000);
                left -= 1;
            }
            flights += 1;
        }
        assert!(flights <= 4, "{flights} flights");
    }

    #[test]
    fn the_window_grows_while_answers_come() {
        let mut window = Window::new(true);
        let mut widest = 0;
        for _ in 0..5000 {
            while window.fits(11, 0) {
                window.sent(11, 0);
            }
            widest = widest.max(window.in_flight());
            window.answered();
        }
        assert_eq!(widest, MAX_COMMANDS);
    }

    #[test]
    fn after_a_flight_answered_in_step_a_thousand_commands_take_one() {
        for (pipelining, expected) in [(true, MAX_COMMANDS), (false, 1)] {
            let mut window = Window::new(pipelining);
            window.widen();
            while window.fits(11, 4000) {
                window.sent(11, 4000);
            }
            assert_eq!(window.in_flight(), expected);
        }
    }

    #[test]
    fn a_message_larger_than_the_window_is_asked_for_alone() {
        let mut window = Window::new(true);
        assert!(window.fits(10, MAX_OCTETS * 2));
        window.sent(10, MAX_OCTETS * 2);
        assert!(!window.fits(10, 0));
    }

    proptest! {
        #[test]
        fn no_bound_is_ever_passed(steps in prop::collection::vec((any::<bool>(), 8..255usize, 0..MAX_OCTETS), 0..4000)) {
            let mut window = Window::new(true);
            for (send, bytes, octets) in steps {
                if send && window.fits(bytes, octets) {
                    window.sent(bytes, octets);
                } else {
                    window.answered();
                }
                prop_assert!(window.in_flight() <= MAX_COMMANDS);
                prop_assert!(window.bytes <= MAX_BYTES && window.octets <= MAX_OCTETS);
                prop_assert_eq!(window.bytes, window.flying.iter().map(|(bytes, _)| bytes).sum::<usize>());
            }
        }
    }
}
