//! Fuzzing without any other tool: inputs that lead far are changed at random, again and again.
//!
//! `POPFETCH_FUZZ_SECONDS` says how long for each target (else a few seconds, or with
//! `POPFETCH_TEST_ALL` a minute), `POPFETCH_FUZZ_SEED` where the dice begin: a failure names both it and the input.

#[path = "../fuzz/targets.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime};

use targets::{ALL, Target};

/// The longest input.
const LONGEST: usize = 4096;

/// How many of the inputs that were tried are kept, to be changed again.
const POOL: usize = 256;

/// Words that a random change would take long to hit.
const WORDS: &[&[u8]] = &[
    b"+OK ",
    b"-ERR ",
    b"+ ",
    b"\r\n",
    b".\r\n",
    b"..",
    b"\0",
    b"=",
    b",",
    b"r=",
    b"s=",
    b"i=4096",
    b"v=",
    b"e=",
    b"m=",
    b"[IN-USE]",
    b"<a@b>",
    b"4294967296",
    b"18446744073709551616",
    b"-1",
    b"\xff",
    b"\xe2\x80\xae",
    b"\x1b[",
    b"\"",
    b"{",
    b"}",
    b"null",
    b"[]",
    b"\\u0000",
    b"[accounts.x]\n",
    b"\"\"\"",
    b"1979-05-27",
    b"EXPIRE ",
    b"SASL ",
];

/// Dice: xorshift, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (bound.max(1) as u64)).unwrap_or(0)
    }

    /// A little change.
    fn change(&mut self, input: &mut Vec<u8>, pool: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        match self.below(7) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => {
                input.remove(at);
            }
            2 => input.insert(at, u8::try_from(self.below(256)).unwrap_or(0)),
            3 => {
                let word = WORDS[self.below(WORDS.len())];
                input.splice(at..at, word.iter().copied());
            }
            4 => {
                let end = at + self.below(input.len() - at + 1);
                let piece = input[at..end].to_vec();
                input.splice(at..at, piece);
            }
            5 => input.truncate(at),
            _ => {
                let other = &pool[self.below(pool.len())];
                let from = self.below(other.len() + 1);
                input.splice(at.., other[from..].iter().copied());
            }
        }
        input.truncate(LONGEST);
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn patience() -> Duration {
    let usual = match std::env::var_os("POPFETCH_TEST_ALL") {
        Some(_) => 60,
        None => 4,
    };
    Duration::from_secs(number("POPFETCH_FUZZ_SECONDS").unwrap_or(usual))
}

/// Changes and tries until the time is over.
fn fuzz(target: &Target) {
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = clock.map_or(1, |time| u64::from(time.subsec_nanos()));
    let seed = number("POPFETCH_FUZZ_SEED").unwrap_or(now).max(1);
    let mut dice = Dice(seed);
    let mut pool: Vec<Vec<u8>> = target.seeds.iter().map(|seed| seed.to_vec()).collect();
    pool.iter().for_each(|input| (target.run)(input));
    let end = Instant::now() + patience();
    let mut tried = 0_u64;
    while Instant::now() < end {
        let mut input = pool[dice.below(pool.len())].clone();
        for _ in 0..=dice.below(6) {
            dice.change(&mut input, &pool);
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
        assert!(
            outcome.is_ok(),
            "{} with seed {seed}, input {tried}: b\"{}\"",
            target.name,
            input.escape_ascii()
        );
        tried += 1;
        // The first are never pushed out.
        if pool.len() < POOL {
            pool.push(input);
        } else {
            let place = target.seeds.len() + dice.below(POOL - target.seeds.len());
            pool[place] = input;
        }
    }
    assert!(tried > 100, "{} was tried {tried} times only", target.name);
}

#[test]
fn no_input_is_too_odd() {
    // Two at a time, as many as the smallest machines have processors.
    for pair in ALL.chunks(2) {
        std::thread::scope(|scope| {
            for target in pair {
                scope.spawn(|| fuzz(target));
            }
        });
    }
}
