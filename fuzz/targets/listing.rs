//! STAT, UIDL and LIST, separated by NULs, and the three put together.

use std::collections::{BTreeMap, BTreeSet};

use popfetch::mail::{Listed, UniqueId};
use popfetch::pop3::{Sizes, Uids, merge, parse_stat};

use super::reply::number;

pub(super) fn run(input: &[u8]) {
    let mut parts = input.splitn(3, |&byte| byte == 0);
    let stat = parts.next().unwrap_or_default();
    let stat = parse_stat(stat).ok();
    // There are as many messages as it says: large ones only take long.
    let stat = stat.filter(|stat| stat.messages < 1000);
    let uidl = parts.next();
    let list = parts.next();

    let uids = uidl.and_then(|uidl| {
        let mut uids = Uids::new();
        lines(uidl)
            .all(|line| uids.add(line).is_ok())
            .then_some(uids)
    });
    let sizes = list.and_then(|list| {
        let mut sizes = Sizes::new();
        lines(list)
            .all(|line| sizes.add(line).is_ok())
            .then_some(sizes)
    });
    let expected_uids = uidl.and_then(|uidl| plainly(uidl, uid));
    let expected_sizes = list.and_then(|list| plainly(list, size));
    assert_eq!(uids.is_some(), expected_uids.is_some());
    assert_eq!(sizes.is_some(), expected_sizes.is_some());
    if let (Some(uids), Some(expected)) = (&uids, &expected_uids) {
        let listed: BTreeMap<_, _> = uids
            .iter()
            .map(|(number, uid)| (number, uid.cloned()))
            .collect();
        assert_eq!((uids.len(), &listed), (expected.len(), expected));
    }

    let listing = merge(stat, uids, sizes);
    let counts = [
        stat.map(|stat| stat.messages as usize),
        expected_sizes.as_ref().map(BTreeMap::len),
        expected_uids.as_ref().map(BTreeMap::len),
    ];
    let counts: BTreeSet<_> = counts.into_iter().flatten().collect();
    let lacks_size = match (&expected_uids, &expected_sizes) {
        (Some(uids), Some(sizes)) => uids.keys().any(|number| !sizes.contains_key(number)),
        _ => false,
    };
    assert_eq!(
        listing.disagreement.is_some(),
        counts.len() > 1 || lacks_size
    );
    let numbers: Vec<u32> = match (&expected_uids, &expected_sizes) {
        (Some(uids), _) => uids.keys().copied().collect(),
        (None, Some(sizes)) => sizes.keys().copied().collect(),
        (None, None) => (1..=stat.map_or(0, |stat| stat.messages)).collect(),
    };
    let listed = |number: u32| Listed {
        number,
        uid: expected_uids
            .as_ref()
            .and_then(|uids| uids.get(&number).cloned().flatten()),
        octets: expected_sizes
            .as_ref()
            .and_then(|sizes| sizes.get(&number).copied().flatten()),
    };
    let expected: Vec<Listed> = numbers.into_iter().map(listed).collect();
    assert_eq!(listing.messages, expected);
    let uids = || expected.iter().filter_map(|listed| listed.uid.as_ref());
    if let Some(disagreement) = listing.disagreement {
        super::assert_harmless(&disagreement.to_string());
    }
    for uid in uids() {
        super::assert_harmless(&uid.to_string());
        assert_eq!(uid.to_string().parse::<UniqueId>().ok().as_ref(), Some(uid));
    }
}

fn lines(answer: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = answer.split(|&byte| byte == b'\n');
    lines.filter(|line| !line.is_empty())
}

/// Each number once, or nothing can be relied on.
fn plainly<T>(answer: &[u8], read: fn(&[u8]) -> T) -> Option<BTreeMap<u32, T>> {
    let mut listed = BTreeMap::new();
    for line in lines(answer) {
        let mut line = trimmed(line);
        if line.len() >= 3 && line[..3].eq_ignore_ascii_case(b"+OK") {
            line = trimmed(&line[3..]);
        }
        let end = line
            .iter()
            .position(|byte| b" \t".contains(byte))
            .unwrap_or(line.len());
        let number = u32::try_from(number(&line[..end])?).ok()?;
        let is_new = listed.insert(number, read(trimmed(&line[end..]))).is_none();
        if number == 0 || number > 1_000_000 || !is_new {
            return None;
        }
    }
    Some(listed)
}

fn uid(rest: &[u8]) -> Option<UniqueId> {
    (!rest.is_empty() && rest.len() <= 1024).then(|| UniqueId::new(rest))
}

fn size(rest: &[u8]) -> Option<u64> {
    let word = rest.split(|byte| b" \t".contains(byte)).next()?;
    let size = u64::try_from(number(word)?).ok()?;
    (size <= 1 << 43).then_some(size)
}

fn trimmed(mut line: &[u8]) -> &[u8] {
    while line.first().is_some_and(|byte| b" \t".contains(byte)) {
        line = &line[1..];
    }
    while line.last().is_some_and(|byte| b" \t".contains(byte)) {
        line = &line[..line.len() - 1];
    }
    line
}
