//! Text from outside, made safe to show: nothing that a server, a message or a file name says
//! reaches a terminal, a log or an error message except through [`Untrusted`]. And text in which some bytes
//! are written `%XX`, read back.

use std::fmt;

/// The longest piece of untrusted text that is shown, in characters; the rest is cut and marked.
pub const SHOWN_CHARACTERS: usize = 200;

/// The longest piece of untrusted text that an error keeps, in octets.
pub const MAX_EXCERPT: usize = 1024;

/// Bytes from outside. Displays as text in which control characters, invalid UTF-8 and characters
/// that change the direction of writing are escaped (`\r`, `\x1b`, `\u{202e}`), cut after
/// [`SHOWN_CHARACTERS`]; in the alternate form (`{:#}`) whole.
#[derive(Clone, Copy)]
pub struct Untrusted<'a>(pub &'a [u8]);

impl fmt::Display for Untrusted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = if f.alternate() {
            usize::MAX
        } else {
            SHOWN_CHARACTERS
        };
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if left == 0 {
                    return f.write_str("…");
                }
                left -= 1;
                show(character, f)?;
            }
            for byte in chunk.invalid() {
                if left == 0 {
                    return f.write_str("…");
                }
                left -= 1;
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Untrusted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// The beginning of something a server said, at most [`MAX_EXCERPT`] octets, as an error keeps it. Displays as
/// [`Untrusted`] does.
///
/// A hostile server may repeat a secret here: it is masked where this is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Excerpt(Box<[u8]>);

impl Excerpt {
    /// The beginning of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Excerpt(bytes[..bytes.len().min(MAX_EXCERPT)].into())
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Untrusted(&self.0).fmt(f)
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Untrusted(&self.0), f)
    }
}

/// Text of ours that may carry a word from outside: an operating system's error, a path, a cause.
/// Displays escaped like [`Untrusted`], but whole. Escaping it twice changes nothing more.
#[derive(Clone, Copy)]
pub struct Sanitized<'a>(pub &'a str);

impl fmt::Display for Sanitized<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| show(character, f))
    }
}

fn show(character: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match character {
        '\t' => f.write_str("\\t"),
        '\r' => f.write_str("\\r"),
        '\n' => f.write_str("\\n"),
        '\u{0}'..='\u{1f}' | '\u{7f}' => write!(f, "\\x{:02x}", u32::from(character)),
        '\u{80}'..='\u{9f}' => write!(f, "\\u{{{:x}}}", u32::from(character)),
        _ if turns_the_line(character) => write!(f, "\\u{{{:x}}}", u32::from(character)),
        _ => write!(f, "{character}"),
    }
}

/// Unicode's line separators and the format characters that reorder or hide what stands around them.
fn turns_the_line(character: char) -> bool {
    matches!(character,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The bytes of a text with each `%XX` decoded; none where a `%` is followed by something else.
#[must_use]
pub fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let decoded: Vec<u8> = percent_encoding::percent_decode_str(text).collect();
    // The crate leaves a stray % as it is; each good one makes three bytes into one.
    let escapes = memchr::memchr_iter(b'%', text.as_bytes()).count();
    (decoded.len() + 2 * escapes == text.len()).then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_a_terminal_would_obey() {
        let bell = Untrusted(b"\x1b]0;owned\x07 \x9b31m caf\xc3\xa9 \xe2\x80\xae\r\n");
        assert_eq!(
            bell.to_string(),
            "\\x1b]0;owned\\x07 \\x9b31m café \\u{202e}\\r\\n"
        );
    }

    #[test]
    fn escapes_c1_controls_in_utf8_form() {
        assert_eq!(Untrusted("\u{9b}2J".as_bytes()).to_string(), "\\u{9b}2J");
    }

    #[test]
    fn escapes_what_a_reader_cannot_see_and_nothing_else() {
        let hidden = [
            ('\0', '\u{1f}'),
            ('\u{7f}', '\u{9f}'),
            ('\u{61c}', '\u{61c}'),
            ('\u{200b}', '\u{200f}'),
            ('\u{2028}', '\u{202e}'),
            ('\u{2060}', '\u{206f}'),
            ('\u{feff}', '\u{feff}'),
            ('\u{fff9}', '\u{fffb}'),
            ('\u{e0000}', '\u{e007f}'),
        ];
        for character in '\0'..=char::MAX {
            let shown = Untrusted(character.encode_utf8(&mut [0; 4]).as_bytes()).to_string();
            let is_hidden = hidden
                .iter()
                .any(|&(first, last)| (first..=last).contains(&character));
            assert_eq!(shown != character.to_string(), is_hidden, "{character:?}");
            assert!(!is_hidden || shown.is_ascii(), "{character:?}");
        }
    }

    #[test]
    fn cuts_long_text_and_says_so() {
        let shown = Untrusted(&[b'a'; 1000]).to_string();
        assert_eq!(shown.chars().count(), SHOWN_CHARACTERS + 1);
        assert!(shown.ends_with('…'));
        let whole = format!("{:#}", Untrusted(&[0xe4; 1000]));
        assert_eq!(whole, "\\xe4".repeat(1000));
    }

    #[test]
    fn escapes_a_whole_line_however_long_and_only_once() {
        let once = Sanitized("\x1b[2J").to_string() + &"a".repeat(2 * SHOWN_CHARACTERS);
        assert!(once.starts_with("\\x1b[2Ja"));
        assert_eq!(Sanitized(&once).to_string(), once);
    }
}
