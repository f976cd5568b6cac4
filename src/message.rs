//! A look at a message's header as it streams by: the envelope sender.

/// How much of a header is looked at, in bytes: a sender behind that is not found.
const HEADER: usize = 64 * 1024;

/// Collects the beginning of a message until its header is complete.
#[derive(Debug, Default)]
pub struct Peek {
    header: Vec<u8>,
    complete: bool,
}

impl Peek {
    /// More of the message's text, with LF line ends.
    pub fn feed(&mut self, text: &[u8]) {
        if self.complete {
            return;
        }
        let from = self.header.len().saturating_sub(1);
        let room = HEADER - self.header.len();
        self.header.extend_from_slice(&text[..text.len().min(room)]);
        let end = memchr::memmem::find(&self.header[from..], b"\n\n").map(|at| from + at + 1);
        if let Some(end) = end {
            self.header.truncate(end);
        }
        self.complete =
            end.is_some() || self.header.len() == HEADER || self.header.starts_with(b"\n");
    }

    /// The envelope sender: Return-Path, else the first address of Sender or From. None for a
    /// message without one, and for the empty return path of a bounce.
    #[must_use]
    pub fn sender(&self) -> Option<&[u8]> {
        if let Some(path) = self.field(b"return-path") {
            return address(path);
        }
        [&b"sender"[..], b"from"]
            .iter()
            .find_map(|name| self.field(name).and_then(address))
    }

    /// The value of the first field of this name, unfolded lines and all.
    fn field(&self, name: &[u8]) -> Option<&[u8]> {
        if self.header.starts_with(b"\n") {
            return None;
        }
        let mut from = 0;
        while from < self.header.len() {
            let field = &self.header[from..from + field_length(&self.header[from..])];
            from += field.len();
            let colon = memchr::memchr(b':', field)?;
            if field[..colon].trim_ascii_end().eq_ignore_ascii_case(name) {
                return Some(field[colon + 1..].trim_ascii());
            }
        }
        None
    }
}

/// The length of the field that begins here: its line, and the lines behind it that begin with a blank.
fn field_length(rest: &[u8]) -> usize {
    let mut ends = memchr::memchr_iter(b'\n', rest).map(|end| end + 1);
    ends.find(|&end| !matches!(rest.get(end), Some(b' ' | b'\t')))
        .unwrap_or(rest.len())
}

/// The first address in a field's value (RFC 5322 section 3.4), as far as an envelope sender needs
/// it: what stands between angle brackets, else the first word with an @ in it.
fn address(value: &[u8]) -> Option<&[u8]> {
    let address = match angle(value) {
        Some(inside) => inside.trim_ascii(),
        None => value
            .split(|byte| byte.is_ascii_whitespace() || *byte == b',')
            .find(|word| word.contains(&b'@'))?,
    };
    let plain = |byte: &u8| !byte.is_ascii_whitespace() && !byte.is_ascii_control();
    (!address.is_empty() && address.iter().all(plain)).then_some(address)
}

/// What stands between the first angle brackets that are not inside a quoted display name.
fn angle(value: &[u8]) -> Option<&[u8]> {
    let mut quoted = false;
    let mut bytes = value.iter().enumerate();
    while let Some((at, &byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => quoted = !quoted,
            b'<' if !quoted => {
                let inside = &value[at + 1..];
                return memchr::memchr(b'>', inside).map(|end| &inside[..end]);
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sender(message: &[u8]) -> Option<String> {
        let mut peek = Peek::default();
        peek.feed(message);
        peek.sender()
            .map(|sender| String::from_utf8_lossy(sender).into_owned())
    }

    #[test]
    fn the_return_path_wins() {
        let message =
            b"From: a@example.org\nReturn-Path: <b@example.org>\n\nReturn-Path: <c@example.org>\n";
        assert_eq!(sender(message).as_deref(), Some("b@example.org"));
    }

    #[test]
    fn a_bounce_has_no_sender() {
        assert_eq!(sender(b"Return-Path: <>\nFrom: a@example.org\n\n"), None);
    }

    #[test]
    fn a_display_name_may_hold_brackets_and_a_field_may_be_folded() {
        let message = b"FROM:\n \"Odd <fake@example.org> \\\" name\"\n <real@example.org>\n\n";
        assert_eq!(sender(message).as_deref(), Some("real@example.org"));
    }

    #[test]
    fn a_bare_address_is_found() {
        assert_eq!(
            sender(b"Sender: a@example.org (Alice)\n\n").as_deref(),
            Some("a@example.org")
        );
        assert_eq!(sender(b"From: Alice\n\n"), None);
        assert_eq!(sender(b"\nFrom: body@example.org\n\n"), None);
        assert_eq!(sender(b""), None);
    }

    #[test]
    fn an_address_with_control_characters_is_none() {
        assert_eq!(sender(b"Return-Path: <a@b\x07c>\n\n"), None);
    }

    proptest! {
        #[test]
        fn pieces_do_not_change_what_is_found(message: Vec<u8>, cuts in prop::collection::vec(1..9usize, 1..40)) {
            let mut message = message;
            message.splice(0..0, b"X: y\nFrom: <a@b.c>\n\nbody".iter().copied());
            let mut peek = Peek::default();
            let mut rest = &message[..];
            for cut in cuts.iter().cycle() {
                let (piece, behind) = rest.split_at((*cut).min(rest.len()));
                peek.feed(piece);
                rest = behind;
                if rest.is_empty() { break }
            }
            prop_assert_eq!(peek.sender(), Some(&b"a@b.c"[..]));
        }

        #[test]
        fn no_header_is_too_odd(message in "[\\x00-\\x7f]{0,300}") {
            let mut peek = Peek::default();
            peek.feed(message.as_bytes());
            if let Some(sender) = peek.sender() {
                prop_assert!(!sender.contains(&b'\n') && !sender.is_empty());
            }
        }
    }
}
