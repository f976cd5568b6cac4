//! Numbers as a person says them.

use std::time::Duration;

/// `1 message`, `2 messages`.
pub(super) fn messages(count: u64) -> String {
    match count {
        1 => "1 message".to_owned(),
        _ => format!("{count} messages"),
    }
}

/// `0.3 s`, `59.9 s`, `3 min 20 s`, `2 h 5 min`.
pub(super) fn duration(duration: Duration) -> String {
    let tenths = (duration.as_millis() + 50) / 100;
    let seconds = duration.as_secs();
    if tenths < 600 {
        format!("{}.{} s", tenths / 10, tenths % 10)
    } else if seconds < 3600 {
        // 59.96 seconds round to a minute.
        let seconds = seconds.max(60);
        format!("{} min {} s", seconds / 60, seconds % 60)
    } else {
        format!("{} h {} min", seconds / 3600, seconds % 3600 / 60)
    }
}

/// Text, cut where it is longer than so many characters.
pub(super) fn cut(mut text: String, characters: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(characters) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        assert_eq!(messages(0), "0 messages");
        assert_eq!(messages(1), "1 message");
        assert_eq!(messages(2), "2 messages");
    }

    #[test]
    fn durations_have_the_precision_that_matters() {
        let shown = |millis| duration(Duration::from_millis(millis));
        assert_eq!(shown(0), "0.0 s");
        assert_eq!(shown(2_149), "2.1 s");
        assert_eq!(shown(59_949), "59.9 s");
        assert_eq!(shown(59_951), "1 min 0 s");
        assert_eq!(shown(200_000), "3 min 20 s");
        assert_eq!(shown(7_530_000), "2 h 5 min");
    }

    #[test]
    fn long_text_is_cut_and_marked() {
        assert_eq!(cut("abcdef".to_owned(), 6), "abcdef");
        assert_eq!(cut("abcdefg".to_owned(), 6), "abcdef…");
        assert_eq!(cut("äöü".to_owned(), 2), "äö…");
    }
}
