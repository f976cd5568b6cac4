//! What is in the maildrop: the answers to STAT, UIDL and LIST, and the three put together.

use std::fmt;
use std::iter::Peekable;

use super::{decimal, limits, without_prefix};
use crate::mail::{Listed, Number, UniqueId};
use crate::text::Excerpt;

/// The answer to STAT (RFC 1939 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// How many messages there are.
    pub messages: u32,
    /// How large they are together; none where the server says something that cannot be (some count
    /// in 32 bits and go negative).
    pub octets: Option<u64>,
}

/// A listing that makes no sense. Nothing in it can be relied on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadListing {
    /// The answer to STAT has no count.
    #[error("the server's answer to STAT does not begin with a number of messages: \"{0}\"")]
    NoCount(Excerpt),
    /// A line that is about no message.
    #[error("a line of the server's listing does not begin with a message number: \"{0}\"")]
    NoNumber(Excerpt),
    /// A number from outside 1 to [`limits::MESSAGES`].
    #[error(
        "the server's listing has a message number that is not between 1 and {most}: \"{0}\"",
        most = limits::MESSAGES
    )]
    OutOfRange(Excerpt),
    /// More messages than [`limits::MESSAGES`].
    #[error(
        "the server says that there are more than {most} messages: \"{0}\"",
        most = limits::MESSAGES
    )]
    TooMany(Excerpt),
    /// Two lines about one message.
    #[error("the server's listing has message {0} twice")]
    Repeated(Number),
    /// The unique-ids have more than [`limits::UNIQUE_IDS`] octets.
    #[error(
        "the server's unique-ids have more than {} octets together",
        limits::UNIQUE_IDS
    )]
    TooLarge,
}

/// Reads the text of the answer to STAT. The count is strict, the size is a hint.
///
/// # Errors
///
/// There is no count, or it is larger than [`limits::MESSAGES`].
pub fn parse_stat(text: &[u8]) -> Result<Stat, BadListing> {
    let (count, rest) = first_word(text);
    let messages = decimal(count).ok_or_else(|| BadListing::NoCount(Excerpt::of(text)))?;
    let messages = u32::try_from(messages)
        .ok()
        .filter(|&messages| messages <= limits::MESSAGES)
        .ok_or_else(|| BadListing::TooMany(Excerpt::of(text)))?;
    // A size that does not fit 63 bits was a negative one.
    let octets = decimal(first_word(rest).0).filter(|&octets| i64::try_from(octets).is_ok());
    Ok(Stat { messages, octets })
}

/// Reads a line of UIDL, or the text of the answer to UIDL with a number: the number and the unique-id.
///
/// The id is everything after the blanks that follow the number, inner ones included, without those
/// at its end. None where it is empty or longer than [`limits::UNIQUE_ID`]: such an id identifies nothing.
///
/// # Errors
///
/// The line does not begin with a message number.
pub fn parse_uid(entry: &[u8]) -> Result<(Number, Option<UniqueId>), BadListing> {
    let (number, rest) = numbered(entry)?;
    let is_usable = (1..=limits::UNIQUE_ID).contains(&rest.len());
    Ok((number, is_usable.then(|| UniqueId::new(rest))))
}

/// Reads a line of LIST, or the text of the answer to LIST with a number: the number and the size. A size that
/// is no number is unknown; what follows it means nothing (RFC 1939 section 5).
///
/// # Errors
///
/// The line does not begin with a message number.
pub fn parse_size(entry: &[u8]) -> Result<(Number, Option<u64>), BadListing> {
    let (number, rest) = numbered(entry)?;
    Ok((number, size(first_word(rest).0)))
}

/// The unique-ids of a maildrop, taken in line by line. To be used only once the listing is complete.
#[derive(Debug, Default)]
pub struct Uids {
    /// In the order that the server listed them.
    messages: Vec<Listed>,
    seen: Seen,
    octets: usize,
}

impl Uids {
    /// No unique-ids yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No unique-ids yet, but room for those of so many messages.
    #[must_use]
    pub fn with_room(messages: u32) -> Self {
        let room = messages.min(limits::MESSAGES) as usize;
        Uids {
            messages: Vec::with_capacity(room),
            ..Self::default()
        }
    }

    /// Takes in a line of the answer to UIDL. The order does not matter, and numbers may be missing.
    ///
    /// # Errors
    ///
    /// The listing makes no sense.
    pub fn add(&mut self, entry: &[u8]) -> Result<(), BadListing> {
        let (number, uid) = parse_uid(entry)?;
        self.octets += uid.as_ref().map_or(0, |uid| uid.as_bytes().len());
        if self.octets > limits::UNIQUE_IDS {
            return Err(BadListing::TooLarge);
        }
        self.seen.insert(number)?;
        self.messages.push(Listed {
            number,
            uid,
            octets: None,
        });
        Ok(())
    }

    /// How many messages there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether there is no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The messages in the order the server listed them, none for an id that identifies nothing.
    pub fn iter(&self) -> impl Iterator<Item = (Number, Option<&UniqueId>)> {
        let messages = self.messages.iter();
        messages.map(|listed| (listed.number, listed.uid.as_ref()))
    }
}

/// The sizes of the messages of a maildrop, taken in line by line. To be used only once the listing
/// is complete.
#[derive(Debug, Default)]
pub struct Sizes {
    /// In the order that the server listed them.
    entries: Vec<(Number, Option<u64>)>,
    seen: Seen,
}

impl Sizes {
    /// No sizes yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a line of the answer to LIST. The order does not matter, and numbers may be missing.
    ///
    /// # Errors
    ///
    /// The listing makes no sense.
    pub fn add(&mut self, entry: &[u8]) -> Result<(), BadListing> {
        let (number, octets) = parse_size(entry)?;
        self.seen.insert(number)?;
        self.entries.push((number, octets));
        Ok(())
    }

    /// By number. Quick where the server listed them so.
    fn sorted(mut self) -> Vec<(Number, Option<u64>)> {
        self.entries.sort_by_key(|(number, _)| *number);
        self.entries
    }
}

/// The numbers that a listing named, one bit for each.
#[derive(Debug, Default)]
struct Seen(Vec<u64>);

impl Seen {
    /// Each may be named once.
    fn insert(&mut self, number: Number) -> Result<(), BadListing> {
        let (word, bit) = (number as usize / 64, 1 << (number % 64));
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        if self.0[word] & bit != 0 {
            return Err(BadListing::Repeated(number));
        }
        self.0[word] |= bit;
        Ok(())
    }
}

fn count<T>(listed: &[T]) -> u32 {
    u32::try_from(listed.len()).unwrap_or(u32::MAX)
}

/// The messages of a maildrop.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// Each message, by number.
    pub messages: Vec<Listed>,
    /// Where the server contradicts itself.
    pub disagreement: Option<Disagreement>,
    /// The size of all messages by STAT.
    pub octets: Option<u64>,
    counted: Disagreement,
}

impl Listing {
    /// Whether LIST was asked for all messages.
    #[must_use]
    pub fn has_sizes(&self) -> bool {
        self.counted.list.is_some()
    }

    /// Adds sizes that were asked for later. Which messages exist stays as it was.
    pub fn add_sizes(&mut self, sizes: Sizes) {
        self.counted.list = Some(count(&sizes.entries));
        let mut sizes = sizes.sorted().into_iter().peekable();
        for message in &mut self.messages {
            let size = size_of(message.number, &mut sizes);
            self.counted.without_size += u32::from(size.is_none());
            message.octets = size.flatten();
        }
        self.disagreement = self.counted.exists().then_some(self.counted);
    }

    /// Adds the size of a single message.
    pub fn add_size(&mut self, number: Number, octets: Option<u64>) {
        let messages = &mut self.messages;
        if let Ok(index) = messages.binary_search_by_key(&number, |message| message.number) {
            messages[index].octets = octets;
        }
    }
}

/// STAT, LIST and UIDL do not tell of the same messages. Displays as one clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Disagreement {
    /// How many messages STAT counts, where it was asked.
    pub stat: Option<u32>,
    /// How many messages LIST names, where it was asked.
    pub list: Option<u32>,
    /// How many messages UIDL names, where it was asked.
    pub uidl: Option<u32>,
    /// How many of the messages that UIDL names are not in LIST.
    pub without_size: u32,
}

impl Disagreement {
    fn exists(&self) -> bool {
        let mut counts = [self.stat, self.list, self.uidl].into_iter().flatten();
        let first = counts.next();
        self.without_size > 0 || counts.any(|count| Some(count) != first)
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server contradicts itself about which messages there are: ")?;
        let counts = [
            ("STAT", self.stat),
            ("LIST", self.list),
            ("UIDL", self.uidl),
        ];
        let counted: Vec<_> = counts
            .into_iter()
            .filter_map(|(command, count)| Some(format!("{} by {command}", count?)))
            .collect();
        f.write_str(&counted.join(", "))?;
        // Where the counts differ they say enough.
        if self.without_size > 0 && self.list == self.uidl {
            write!(f, ", and LIST lacks {} of UIDL's", self.without_size)?;
        }
        let believed = if self.uidl.is_some() { "UIDL" } else { "LIST" };
        write!(f, "; going by {believed}")
    }
}

/// Puts together the answers to STAT, UIDL and LIST. UIDL decides which messages exist; without it LIST does, and
/// without that STAT, whose messages are numbered from 1 without a gap.
#[must_use]
pub fn merge(stat: Option<Stat>, uids: Option<Uids>, sizes: Option<Sizes>) -> Listing {
    let counted = Disagreement {
        stat: stat.map(|stat| stat.messages),
        list: sizes.as_ref().map(|sizes| count(&sizes.entries)),
        uidl: uids.as_ref().map(|uids| count(&uids.messages)),
        without_size: 0,
    };
    let numbered = |(number, octets)| Listed {
        number,
        uid: None,
        octets,
    };
    let (mut messages, more) = match (uids, sizes) {
        (Some(uids), sizes) => (uids.messages, sizes),
        (None, Some(sizes)) => (sizes.entries.into_iter().map(numbered).collect(), None),
        (None, None) => {
            let numbers = 1..=counted.stat.unwrap_or(0);
            let unsized_ones = numbers.map(|number| numbered((number, None)));
            (unsized_ones.collect(), None)
        }
    };
    // Quick where the server listed them so.
    messages.sort_by_key(|listed| listed.number);
    let disagreement = counted.exists().then_some(counted);
    let mut listing = Listing {
        messages,
        disagreement,
        octets: stat.and_then(|stat| stat.octets),
        counted,
    };
    if let Some(sizes) = more {
        listing.add_sizes(sizes);
    }
    listing
}

/// The size of the message with this number; none where LIST did not name it. Both are walked along in
/// the order of their numbers.
fn size_of(
    number: Number,
    sizes: &mut Peekable<impl Iterator<Item = (Number, Option<u64>)>>,
) -> Option<Option<u64>> {
    while sizes.next_if(|(sized, _)| *sized < number).is_some() {}
    sizes
        .next_if(|(sized, _)| *sized == number)
        .map(|(_, octets)| octets)
}

/// The message number that a line begins with, and what follows, without the blanks around it.
fn numbered(entry: &[u8]) -> Result<(Number, &[u8]), BadListing> {
    // Some servers begin every line of a listing as if it were a status line.
    let line = trim_blanks(entry);
    let line = without_prefix(line, b"+OK").map_or(line, trim_blanks);
    let (digits, rest) = first_word(line);
    let number = decimal(digits).ok_or_else(|| BadListing::NoNumber(Excerpt::of(entry)))?;
    match Number::try_from(number) {
        Ok(number @ 1..=limits::MESSAGES) => Ok((number, rest)),
        _ => Err(BadListing::OutOfRange(Excerpt::of(entry))),
    }
}

fn size(word: &[u8]) -> Option<u64> {
    decimal(word).filter(|&octets| octets <= limits::MESSAGE_OCTETS)
}

/// Everything up to the first blank, and what follows, without the blanks around it.
fn first_word(line: &[u8]) -> (&[u8], &[u8]) {
    let line = trim_blanks(line);
    let end = memchr::memchr2(b' ', b'\t', line).unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    (word, trim_blanks(rest))
}

/// Without the spaces and tabs at both ends. Other white space may belong to a unique-id.
fn trim_blanks(mut line: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = line {
        line = rest;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn uids(lines: &[&str]) -> Result<Uids, BadListing> {
        let mut uids = Uids::new();
        for line in lines {
            uids.add(line.as_bytes())?;
        }
        Ok(uids)
    }

    fn sizes(lines: &[&str]) -> Result<Sizes, BadListing> {
        let mut sizes = Sizes::new();
        for line in lines {
            sizes.add(line.as_bytes())?;
        }
        Ok(sizes)
    }

    fn message(number: Number, uid: Option<&str>, octets: Option<u64>) -> Listed {
        let uid = uid.map(|uid| UniqueId::new(uid.as_bytes()));
        Listed {
            number,
            uid,
            octets,
        }
    }

    #[test]
    fn a_single_size_is_added_to_its_message_alone() {
        let counted = uids(&["2 b", "4 d"]).expect("a listing");
        let mut listing = merge(None, Some(counted), None);
        for answer in ["4 40 octets", "3 30"] {
            let (number, octets) = parse_size(answer.as_bytes()).expect("a size");
            listing.add_size(number, octets);
        }
        let octets: Vec<_> = listing
            .messages
            .iter()
            .map(|message| message.octets)
            .collect();
        assert_eq!(octets, [None, Some(40)]);
        assert!(!listing.has_sizes() && listing.disagreement.is_none());
    }

    fn disagreement(stat: u32, list: &[&str], uidl: &[&str]) -> Option<String> {
        let stat = Stat {
            messages: stat,
            octets: None,
        };
        let listing = merge(
            Some(stat),
            Some(uids(uidl).expect("a listing")),
            Some(sizes(list).expect("a listing")),
        );
        listing
            .disagreement
            .map(|disagreement| disagreement.to_string())
    }

    #[test]
    fn stat_has_a_strict_count_and_a_size_that_is_a_hint() {
        for (text, messages, octets) in [
            ("2 320", 2, Some(320)),
            ("2\t320 and more", 2, Some(320)),
            ("5", 5, None),
            ("33852 -1972428639", 33852, None),
            ("5 messages", 5, None),
            ("0 0", 0, Some(0)),
            ("1000000 18446744073709551615", 1_000_000, None),
        ] {
            assert_eq!(
                parse_stat(text.as_bytes()),
                Ok(Stat { messages, octets }),
                "{text}"
            );
        }
        for text in ["", "x y", "-1 5", "+5 5", "5.0 1"] {
            assert!(
                matches!(parse_stat(text.as_bytes()), Err(BadListing::NoCount(_))),
                "{text}"
            );
        }
        for text in [
            "1000001 1",
            "9223372036854775808 1",
            "99999999999999999999 1",
        ] {
            assert!(
                matches!(parse_stat(text.as_bytes()), Err(BadListing::TooMany(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn every_malformation_of_uidl_that_was_seen_keeps_its_unique_id() {
        for (line, number, uid) in [
            ("1 whqtswO00WBw418f9t5JxYwZ", 1, "whqtswO00WBw418f9t5JxYwZ"),
            ("2   several\t", 2, "several"),
            ("3\ttab", 3, "tab"),
            ("+OK 4 prefixed", 4, "prefixed"),
            (" 5 indented", 5, "indented"),
            ("006 zeros", 6, "zeros"),
            ("7 with  spaces inside ", 7, "with  spaces inside"),
            ("8 -", 8, "-"),
            ("9 ../../etc/passwd", 9, "../../etc/passwd"),
            (
                "10 #\u{1b}]0;\u{7}caf\u{e9}\0\r",
                10,
                "#\u{1b}]0;\u{7}caf\u{e9}\0\r",
            ),
        ] {
            let expected = Some(UniqueId::new(uid.as_bytes()));
            assert_eq!(parse_uid(line.as_bytes()), Ok((number, expected)), "{line}");
        }
        assert_eq!(
            parse_uid(b"1 \xff\x80"),
            Ok((1, Some(UniqueId::new(b"\xff\x80"))))
        );
    }

    #[test]
    fn a_message_whose_unique_id_is_missing_or_too_long_still_exists() {
        let longest = "x".repeat(limits::UNIQUE_ID);
        let counted = uids(&["1", "2 ", &format!("3 {longest}"), &format!("4 {longest}x")])
            .expect("a listing");
        assert_eq!(
            merge(None, Some(counted), None).messages,
            [
                message(1, None, None),
                message(2, None, None),
                message(3, Some(&longest), None),
                message(4, None, None),
            ]
        );
    }

    #[test]
    fn a_listing_that_makes_no_sense_is_refused_whole() {
        for line in ["", "x 1", "-1 a", "1x a", "1.5 a", "-ERR no", "."] {
            assert!(
                matches!(uids(&[line]), Err(BadListing::NoNumber(_))),
                "{line}"
            );
            assert!(
                matches!(sizes(&[line]), Err(BadListing::NoNumber(_))),
                "{line}"
            );
        }
        for line in ["0 a", "1000001 a", "4294967297 a", "99999999999999999999 a"] {
            assert!(
                matches!(uids(&[line]), Err(BadListing::OutOfRange(_))),
                "{line}"
            );
        }
        assert_eq!(
            uids(&["1 a", "2 b", "1 a"]).err(),
            Some(BadListing::Repeated(1))
        );
        assert_eq!(
            sizes(&["64 1", "0064 1"]).err(),
            Some(BadListing::Repeated(64))
        );
    }

    #[test]
    fn unique_ids_are_bounded_together_too() {
        let mut uids = Uids::new();
        let id = "x".repeat(limits::UNIQUE_ID);
        let most = limits::UNIQUE_IDS / limits::UNIQUE_ID;
        uids.octets = limits::UNIQUE_IDS - limits::UNIQUE_ID;
        assert_eq!(uids.add(format!("{most} {id}").as_bytes()), Ok(()));
        assert_eq!(uids.add(b"1 y"), Err(BadListing::TooLarge));
    }

    #[test]
    fn sizes_are_hints() {
        let counted = sizes(&[
            "1 120",
            "2 4294967400 tail",
            "3 -1",
            "4 junk",
            "5",
            "6 18446744073709551615",
        ]);
        let octets: Vec<_> = merge(None, None, Some(counted.expect("a listing")))
            .messages
            .iter()
            .map(|message| message.octets)
            .collect();
        assert_eq!(
            octets,
            [Some(120), Some(4_294_967_400), None, None, None, None]
        );
    }

    #[test]
    fn uidl_decides_which_messages_exist() {
        let listing = merge(
            Some(Stat {
                messages: 3,
                octets: None,
            }),
            Some(uids(&["7 g", "2 b", "4 d"]).expect("a listing")),
            Some(sizes(&["2 20", "7 70", "4 40"]).expect("a listing")),
        );
        assert_eq!(
            listing.messages,
            [
                message(2, Some("b"), Some(20)),
                message(4, Some("d"), Some(40)),
                message(7, Some("g"), Some(70)),
            ]
        );
        assert_eq!(listing.disagreement, None);
    }

    #[test]
    fn without_uidl_list_decides_and_without_list_stat() {
        let stat = Some(Stat {
            messages: 2,
            octets: Some(9),
        });
        let by_list = merge(stat, None, Some(sizes(&["1 4", "3 5"]).expect("a listing")));
        assert_eq!(
            by_list.messages,
            [message(1, None, Some(4)), message(3, None, Some(5))]
        );
        assert_eq!(by_list.disagreement, None);
        let by_stat = merge(stat, None, None);
        assert_eq!(
            by_stat.messages,
            [message(1, None, None), message(2, None, None)]
        );
        assert_eq!(by_stat.disagreement, None);
        assert_eq!(merge(None, None, None), Listing::default());
    }

    #[test]
    fn a_contradiction_is_one_clause_with_the_numbers() {
        assert_eq!(disagreement(2, &["1 1", "2 1"], &["1 a", "2 b"]), None);
        assert_eq!(
            disagreement(3, &["1 1", "2 1"], &["1 a", "2 b", "3 c", "4 d"]).as_deref(),
            Some(
                "the server contradicts itself about which messages there are: \
                 3 by STAT, 2 by LIST, 4 by UIDL; going by UIDL"
            )
        );
        assert_eq!(
            disagreement(2, &["1 1", "2 1"], &["1 a", "3 b"]).as_deref(),
            Some(
                "the server contradicts itself about which messages there are: \
                 2 by STAT, 2 by LIST, 2 by UIDL, and LIST lacks 1 of UIDL's; going by UIDL"
            )
        );
        let stat = Some(Stat {
            messages: 1,
            octets: None,
        });
        let without_uidl = merge(stat, None, Some(Sizes::new()));
        assert!(without_uidl.disagreement.is_some_and(|counted| {
            counted
                .to_string()
                .ends_with("1 by STAT, 0 by LIST; going by LIST")
        }));
    }

    fn odd_line() -> impl Strategy<Value = Vec<u8>> {
        let nearly_right = "[ \t]?[0-9]{0,3}[ \t]{0,2}[a-c ]{0,3}";
        prop_oneof![any::<Vec<u8>>(), nearly_right.prop_map(String::into_bytes)]
    }

    proptest! {
        #[test]
        fn no_lines_upset_it(
            lines in prop::collection::vec(odd_line(), 0..30),
            stat in prop::option::of(0..40_u32),
        ) {
            let (mut uids, mut sizes) = (Uids::new(), Sizes::new());
            for line in &lines {
                let _ = parse_stat(line);
                let _ = uids.add(line);
                let _ = sizes.add(line);
            }
            let count = uids.len();
            let stat = stat.map(|messages| Stat { messages, octets: None });
            let listing = merge(stat, Some(uids), Some(sizes));
            prop_assert_eq!(listing.messages.len(), count);
            prop_assert!(listing.messages.is_sorted_by(|one, next| one.number < next.number));
        }

        #[test]
        fn the_order_of_lines_does_not_matter(order in Just((1..60_u32).collect::<Vec<_>>()).prop_shuffle()) {
            let (mut uids, mut sizes) = (Uids::new(), Sizes::new());
            for number in &order {
                uids.add(format!("{number} id{number}").as_bytes()).expect("a line");
                sizes.add(format!("{} {number}0", 60 - number).as_bytes()).expect("a line");
            }
            let listing = merge(None, Some(uids), Some(sizes));
            let expected: Vec<_> = (1..60_u32)
                .map(|number| message(number, Some(&format!("id{number}")), Some(u64::from(60 - number) * 10)))
                .collect();
            prop_assert_eq!(listing.messages, expected);
            prop_assert_eq!(listing.disagreement, None);
        }
    }
}
