//! A line that somebody types and nobody sees: what each key does to it. Knows no terminal.

use zeroize::Zeroizing;

use super::read::{LIMIT, ReadError};

const CTRL_D: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const CTRL_U: u8 = 0x15;
const CTRL_W: u8 = 0x17;
const ESCAPE: u8 = 0x1b;
const DELETE: u8 = 0x7f;

/// The line as it is so far. It never grows beyond the room that it has from the beginning.
pub(super) struct Typing {
    line: Zeroizing<Vec<u8>>,
    escape: Escape,
}

/// How much came of what a key such as an arrow sends. Nothing of it belongs to the line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    Nothing,
    Begun,
    Sequence,
}

/// What a key leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    More,
    /// Enter: the line is complete.
    Complete,
    /// Ctrl-D where nothing was typed.
    GivenUp,
}

impl Typing {
    pub(super) fn new() -> Self {
        Typing {
            line: Zeroizing::new(Vec::with_capacity(LIMIT)),
            escape: Escape::Nothing,
        }
    }

    /// The line.
    pub(super) fn into_line(self) -> Zeroizing<Vec<u8>> {
        self.line
    }

    /// The next byte that comes from the keyboard.
    ///
    /// # Errors
    ///
    /// [`ReadError::TooLong`]: there is no room for more.
    pub(super) fn press(&mut self, key: u8) -> Result<Step, ReadError> {
        self.escape = match (self.escape, key) {
            (Escape::Nothing, ESCAPE) => Escape::Begun,
            (Escape::Nothing, _) => return self.type_in(key),
            (Escape::Begun, b'[' | b'O') => Escape::Sequence,
            (Escape::Sequence, 0x40..=0x7e) | (Escape::Begun, _) => Escape::Nothing,
            (Escape::Sequence, _) => Escape::Sequence,
        };
        Ok(Step::More)
    }

    fn type_in(&mut self, key: u8) -> Result<Step, ReadError> {
        match key {
            b'\n' | b'\r' => return Ok(Step::Complete),
            CTRL_D if self.line.is_empty() => return Ok(Step::GivenUp),
            BACKSPACE | DELETE => self.erase_character(),
            CTRL_U => self.line.clear(),
            CTRL_W => self.erase_word(),
            0..b' ' => {}
            _ if self.line.len() == LIMIT => return Err(ReadError::TooLong),
            _ => self.line.push(key),
        }
        Ok(Step::More)
    }

    /// Takes the last character away, all bytes of it.
    fn erase_character(&mut self) {
        let continues = |byte: u8| byte & 0xc0 == 0x80;
        while self.line.pop().is_some_and(continues) {}
    }

    fn erase_word(&mut self) {
        let is_space = |byte: &u8| *byte == b' ';
        let word = self.line.iter().rposition(|byte| !is_space(byte));
        let space = word.and_then(|end| self.line[..end].iter().rposition(is_space));
        self.line.truncate(space.map_or(0, |space| space + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The line after these keys, none of which ends it.
    fn typed(keys: &[u8]) -> Vec<u8> {
        let mut typing = Typing::new();
        for &key in keys {
            assert_eq!(typing.press(key).expect("room"), Step::More, "{key:#x}");
        }
        typing.into_line().to_vec()
    }

    #[test]
    fn keys_that_correct_are_obeyed() {
        assert_eq!(typed("paß\x7f\x7fss".as_bytes()), b"pss");
        assert_eq!(typed(b"\x7f\x08pass"), b"pass");
        assert_eq!(typed(b"wrong\x15right"), b"right");
        assert_eq!(typed(b"open sesam  \x17barley"), b"open barley");
        assert_eq!(typed(b"sesam\x17\x17open"), b"open");
    }

    #[test]
    fn keys_that_write_nothing_leave_no_trace() {
        for key in [
            &b"\x1b[A"[..],
            b"\x1bOP",
            b"\x1b[200~",
            b"\x1bx",
            b"\t",
            b"\0",
            b"\x03",
        ] {
            assert_eq!(typed(&[b"pa", key, b"ss"].concat()), b"pass", "{key:?}");
        }
    }

    #[test]
    fn enter_ends_the_line_and_ctrl_d_an_empty_one() {
        for enter in [b'\n', b'\r'] {
            assert_eq!(Typing::new().press(enter).expect("room"), Step::Complete);
        }
        assert_eq!(Typing::new().press(CTRL_D).expect("room"), Step::GivenUp);
        assert_eq!(typed(b"pass\x04"), b"pass");
    }

    #[test]
    fn the_line_has_a_limit_and_never_moves() {
        let mut typing = Typing::new();
        let place = typing.line.as_ptr();
        for _ in 0..LIMIT {
            assert_eq!(typing.press(b'x').expect("room"), Step::More);
        }
        assert!(matches!(typing.press(b'x'), Err(ReadError::TooLong)));
        assert_eq!(typing.line.as_ptr(), place);
    }

    proptest! {
        #[test]
        fn what_is_typed_is_the_line(text in "[^\\p{Cc}\\x7f]{0,40}") {
            prop_assert_eq!(typed(text.as_bytes()), text.as_bytes());
        }

        #[test]
        fn no_key_puts_an_end_into_the_line(keys: Vec<u8>) {
            let mut typing = Typing::new();
            for key in keys {
                typing.press(key).expect("room");
            }
            prop_assert!(typing.into_line().iter().all(|byte| *byte >= b' '));
        }
    }
}
