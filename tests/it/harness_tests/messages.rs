//! Generated messages are what they claim to be, and the same at every run.

use crate::support::messages::{
    Generator, Shape, one_of_each, realistic, sample_mailbox, small, stored_form,
};

#[test]
fn the_stored_form_has_lf_for_crlf_and_a_line_end_at_the_end() {
    for (wire, stored) in [
        (&b""[..], &b""[..]),
        (b"a\r\nb\r\n", b"a\nb\n"),
        (b"a\r\nb", b"a\nb\n"),
        (b"a\rb\r\r\n\n", b"a\rb\r\n\n\n"),
        (b"a\r", b"a\r\n"),
    ] {
        assert_eq!(stored_form(wire), stored, "{wire:?}");
    }
}

#[test]
fn the_same_seed_makes_the_same_messages_and_another_makes_others() {
    assert!(one_of_each() == one_of_each());
    assert!(realistic(20).eq(realistic(20)));
    let of = |seed| Generator::new(seed).message(Shape::Plain, 1000);
    assert!(of(1) != of(2));
    let mut all = small(100);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 100);
}

#[test]
fn every_shape_is_there() {
    let of = |shape| Generator::new(7).message(shape, 5_000);
    let has = |text: &[u8], part: &[u8]| memchr::memmem::find(text, part).is_some();
    assert!(of(Shape::Empty).is_empty());
    assert!(!has(&of(Shape::HeaderOnly), b"\r\n\r\n"));
    assert!(!of(Shape::NoFinalNewline).ends_with(b"\n"));
    assert!(std::str::from_utf8(&of(Shape::EightBit)).is_err());
    assert!(has(&of(Shape::Dots), b"\r\n.\r\n") && has(&of(Shape::Dots), b"\r\n..\r\n"));
    let quoted = of(Shape::FromLines);
    assert!(has(&quoted, b"\r\nFrom ") && has(&quoted, b"\r\n>From "));
    let controls = of(Shape::Controls);
    assert!(controls.contains(&0) && has(&controls, b"\r\r"));
    let longest = of(Shape::LongLine);
    assert!(
        longest
            .split(|&byte| byte == b'\n')
            .any(|line| line.len() > 4_000)
    );
}

#[test]
fn realistic_messages_have_realistic_sizes() {
    let sizes: Vec<usize> = realistic(500).map(|message| message.len()).collect();
    assert!(sizes.iter().all(|size| (3_900..5_100_000).contains(size)));
    assert!(sizes.iter().any(|&size| size >= 5_000_000));
    let sum: usize = sizes.iter().sum();
    assert!((20_000..80_000).contains(&(sum / sizes.len())), "{sum}");
}

#[test]
fn the_sample_mailbox_is_a_dozen_messages() {
    let letters = sample_mailbox();
    assert_eq!(letters.len(), 12);
    assert!(
        letters
            .iter()
            .all(|letter| letter.starts_with(b"From: ") && letter.ends_with(b"\r\n"))
    );
}
