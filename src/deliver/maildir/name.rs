//! The names of files in a Maildir.
//!
//! `seconds.M<microseconds>P<process>Q<count>.host` makes a name unique; `,S=<bytes>` after it
//! tells readers the size without a look at the file. In `tmp/`, where the size isn't known yet,
//! a file has the first part alone, so that either name leads to the other.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

/// The longest part of the host's name that is used, in octets as written; a file name has at most 255.
const MAX_HOST: usize = 100;

/// Makes unique names.
pub(super) struct Names {
    host: String,
}

/// One counter for the whole process: two accounts may store into one Maildir at the same moment.
static COUNT: AtomicU64 = AtomicU64::new(0);

impl Names {
    /// Names that end in this host's.
    pub(super) fn new(host: &str) -> Self {
        Names { host: escape(host) }
    }

    /// A name that was never used before, for `tmp/`.
    pub(super) fn next(&self, now: Timestamp) -> String {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let micros = now.as_microsecond().max(0);
        format!(
            "{}.M{}P{}Q{count}.{}",
            micros / 1_000_000,
            micros % 1_000_000,
            std::process::id(),
            self.host
        )
    }
}

/// The name in `new/` of the file that had this name in `tmp/`.
pub(super) fn sized(unique: &str, bytes: u64) -> String {
    format!("{unique},S={bytes}")
}

/// Takes a name that [`sized`] made apart. None where it isn't one: names come back from the journal,
/// and what another program wrote there never becomes a path.
pub(super) fn parts(name: &str) -> Option<(&str, u64)> {
    let (unique, bytes) = name.split_once(",S=")?;
    let bytes = bytes.parse().ok()?;
    is_unique_name(unique).then_some((unique, bytes))
}

/// Whether a name has the form that [`Names::next`] gives.
pub(super) fn is_unique_name(name: &str) -> bool {
    let mut fields = name.splitn(3, '.');
    let (Some(seconds), Some(middle), Some(host)) = (fields.next(), fields.next(), fields.next())
    else {
        return false;
    };
    number(seconds) && is_middle(middle) && !host.is_empty() && !host.contains(['/', ':', ','])
}

/// `M…P…Q…` with a number after each letter.
fn is_middle(text: &str) -> bool {
    let split = || {
        let (micros, rest) = text.strip_prefix('M')?.split_once('P')?;
        let (process, count) = rest.split_once('Q')?;
        Some([micros, process, count])
    };
    split().is_some_and(|numbers| numbers.into_iter().all(number))
}

fn number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The part of a file's name that doesn't change when readers set flags (`:2,S`) or add fields (`,U=7`).
pub(super) fn unique_part(name: &str) -> &str {
    name.split([':', ',']).next().unwrap_or(name)
}

/// A host name as the Maildir specification wants it: what would end the name or a field of it, and
/// what isn't plain ASCII, as `\ooo`.
fn escape(host: &str) -> String {
    let mut escaped = String::new();
    for byte in host.bytes() {
        if escaped.len() + 4 > MAX_HOST {
            break;
        }
        match byte {
            b'/' | b':' | b',' | b'\\' => push_octal(&mut escaped, byte),
            0x21..=0x7e => escaped.push(char::from(byte)),
            _ => push_octal(&mut escaped, byte),
        }
    }
    if escaped.is_empty() {
        escaped.push_str("localhost");
    }
    escaped
}

fn push_octal(text: &mut String, byte: u8) {
    // Writing to a String cannot fail.
    let _ = write!(text, "\\{byte:03o}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_name_tells_time_process_and_host() {
        let now = Timestamp::from_microsecond(1_700_000_000_000_042).expect("a time");
        let name = Names::new("mail.example.org").next(now);
        let process = std::process::id();
        assert!(
            name.starts_with(&format!("1700000000.M42P{process}Q")),
            "{name}"
        );
        assert!(name.ends_with(".mail.example.org"), "{name}");
        assert!(is_unique_name(&name));
        assert_eq!(parts(&sized(&name, 7)), Some((&*name, 7)));
        assert_eq!(unique_part(&format!("{name},S=7,U=3:2,S")), name);
    }

    #[test]
    fn a_host_name_cannot_break_the_name() {
        assert_eq!(escape("a/b:c,d"), "a\\057b\\072c\\054d");
        assert_eq!(escape("é h\n"), "\\303\\251\\040h\\012");
        assert_eq!(escape(""), "localhost");
        assert!(escape(&"/".repeat(300)).len() <= MAX_HOST);
    }

    #[test]
    fn names_are_unique_over_threads_at_one_instant() {
        let take = || {
            let names = Names::new("h");
            (0..500)
                .map(|_| names.next(Timestamp::UNIX_EPOCH))
                .collect::<Vec<_>>()
        };
        let all: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            let ended = threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"));
            ended.flatten().collect()
        });
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 2000);
    }

    #[test]
    fn only_our_own_names_are_taken_apart() {
        assert_eq!(parts("1.M2P3Q4.h,S=5"), Some(("1.M2P3Q4.h", 5)));
        for other in [
            "../../etc/passwd,S=5",
            "1.M2P3Q4.h/../x,S=5",
            "1.M2P3Q4.h",
            "1.M2P3Q4.h,S=",
            "1.M2P3Q4.h,S=5,S=6",
            "1.M2P3Q4.,S=5",
            "1.M2P3.h,S=5",
            ".M2P3Q4.h,S=5",
        ] {
            assert_eq!(parts(other), None, "{other}");
        }
    }
}
