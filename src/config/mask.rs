//! Keeps secrets out of errors that show a line of the configuration.
//!
//! There is no key for a password, but people write one all the same, misspell it, or forget a quote.
//! So the rule goes by looks and errs on the hiding side: behind a word that resembles one for a
//! secret, the rest of the line is not shown, nor where a URL names a user; nor what follows below
//! while such a value seems to go on.

use super::raw;

/// Parts of the words that announce a secret, as people spell and misspell them.
const TELLTALES: [&str; 7] = ["pas", "word", "psw", "pw", "secret", "token", "cred"];

/// How much of the line with this index (from 0) may be shown, in bytes from its start;
/// none where all of it may.
pub(super) fn hidden_from(text: &str, wanted: usize) -> Option<usize> {
    let keys = raw::setting_names();
    let mut open = Open::default();
    for (index, line) in text.split('\n').enumerate() {
        if open.text.is_none() && says_something_else(line, &keys) {
            open.value = false;
        }
        let hidden = match open.is_open() {
            true => Some(0),
            false => secret_value(line)
                .into_iter()
                .chain(credentials(line))
                .min(),
        };
        if index == wanted {
            return hidden;
        }
        if let Some(start) = hidden {
            open.go_on(line, start);
        }
    }
    None
}

/// What of a secret is still to come behind the end of a line.
#[derive(Default)]
struct Open {
    /// A string of several lines, up to this delimiter.
    text: Option<&'static str>,
    /// A value that did not begin yet, or a list or table that may have no end: up to a line that
    /// says something else.
    value: bool,
}

impl Open {
    fn is_open(&self) -> bool {
        self.text.is_some() || self.value
    }

    /// A line is over that is hidden from here on.
    fn go_on(&mut self, line: &str, start: usize) {
        let (before, piece) = line.split_at_checked(start).unwrap_or((line, ""));
        self.value |= self.text.is_none() && has_no_end(before, piece);
        self.text = left_open(self.text, piece);
    }
}

/// Whether a value seems to go on below its line: nothing or a bracket stands where it should be, or
/// at the end. Brackets are not counted, since those in a secret would count as well.
fn has_no_end(before: &str, piece: &str) -> bool {
    let value = piece.trim();
    let begins = before.trim_end().ends_with('=');
    (begins && (value.is_empty() || value.starts_with(['[', '{', '#'])))
        || value.ends_with(['=', '[', '{'])
}

/// Whether a line is no part of a secret: it begins with a key that there is, or with a table. Any word
/// before an `=` would not do, since secrets have that too.
fn says_something_else(line: &str, keys: &[String]) -> bool {
    let line = line.trim_start();
    if let Some(table) = line.strip_prefix('[') {
        let name = table.trim_start_matches(['[', ' ', '\t']);
        return name.starts_with("accounts") || name.starts_with("defaults");
    }
    let key = line.split_once('=').map_or("", |(key, _)| key);
    let last = key.rsplit('.').next().unwrap_or_default();
    let last = last.trim_matches(['"', '\'', ' ', '\t']);
    keys.iter().any(|known| known == last)
}

/// Where the credentials of a URL may begin on a line: people write one for the host, and a password into it.
fn credentials(line: &str) -> Option<usize> {
    let begin = line.find("://")? + "://".len();
    line.get(begin..)?.contains('@').then_some(begin)
}

/// Where the value begins on a line that seems to give a secret.
fn secret_value(line: &str) -> Option<usize> {
    let lower = line.to_ascii_lowercase();
    let telltale = TELLTALES.iter().filter_map(|part| lower.find(part)).min()?;
    let rest = lower.get(telltale..)?;
    let word = rest
        .find(|c: char| !c.is_alphanumeric() && c != '_' && c != '-')
        .unwrap_or(rest.len());
    let behind = rest.get(word..)?;
    let value = behind.trim_start_matches(['"', '\'', ' ', '\t']);
    let skipped = match value.strip_prefix('=') {
        Some(value) => behind.len() - value.trim_start_matches([' ', '\t']).len(),
        None => 0,
    };
    Some(telltale + word + skipped)
}

/// The delimiter of the string of several lines that is open behind this piece of a line, if one is.
fn left_open(open: Option<&'static str>, piece: &str) -> Option<&'static str> {
    match open {
        Some(delimiter) if piece.contains(delimiter) => None,
        Some(delimiter) => Some(delimiter),
        None => ["\"\"\"", "'''"]
            .into_iter()
            .find(|delimiter| piece.matches(delimiter).count() == 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line as it would be shown.
    fn shown(text: &str, line: usize) -> &str {
        let whole = text.split('\n').nth(line).expect("the text has this line");
        hidden_from(text, line).map_or(whole, |end| &whole[..end])
    }

    #[test]
    fn a_value_behind_anything_like_password_is_hidden() {
        for (line, visible) in [
            ("password = \"hunter2\"", "password = "),
            ("pasword=hunter2", "pasword="),
            ("\"passwd\" = 'hunter2'", "\"passwd\" = "),
            (
                "w = { user = \"a\", password = \"hunter2\" }",
                "w = { user = \"a\", password = ",
            ),
            (
                "accounts.w.Password = \"hunter2\"",
                "accounts.w.Password = ",
            ),
            ("passwd hunter2", "passwd"),
            ("password_command = \"echo hunter2\"", "password_command = "),
            ("api-token = hunter2", "api-token = "),
            (
                "host = \"pops://alice:hunter2@pop.example.com\"",
                "host = \"pops://",
            ),
        ] {
            assert_eq!(shown(line, 0), visible);
        }
    }

    #[test]
    fn a_secret_of_several_lines_is_hidden_to_its_end() {
        let text = "password = \"\"\"\nhunter2\nhunter3\"\"\"\nport = 995";
        assert_eq!(shown(text, 1), "");
        assert_eq!(shown(text, 2), "");
        assert_eq!(shown(text, 3), "port = 995");
    }

    #[test]
    fn a_secret_below_its_key_is_hidden_up_to_what_is_none() {
        for key in [
            "password =",
            "password = # mine",
            "\"passwd\" = [",
            "password = { in =",
            "w = { password_env = \"A\", password =",
        ] {
            for below in [
                "\"hunter2\"",
                "  hunter2,",
                "[\"hunter2\"]",
                "hunter2=",
                "\"\"\"\nport = hunter2\n\"\"\"",
            ] {
                for behind in [
                    "port = 995",
                    "a.\"host\"=1",
                    "[accounts.two]",
                    "[[ defaults ]]",
                ] {
                    let text = format!("{key}\n{below}\n\n]\n{behind}\nprot = 995");
                    let last = text.split('\n').count() - 1;
                    let lines = (0..=last).map(|line| shown(&text, line));
                    let lines: Vec<&str> = lines.collect();
                    assert!(!lines.concat().contains("hunter2"), "{text}: {lines:?}");
                    assert_eq!(lines[last - 1..], [behind, "prot = 995"], "{text}");
                }
            }
        }
    }

    #[test]
    fn a_line_that_is_complete_hides_none_below() {
        for line in [
            "password = \"hunter2[\"",
            "password_file = \"/x\"",
            "[accounts.wordpress]",
            "  \"maildir:~/passwords\",",
        ] {
            assert_eq!(shown(&format!("{line}\nprot = 995"), 1), "prot = 995");
        }
    }

    #[test]
    fn other_lines_are_shown_whole() {
        let text = "host = \"pop.example.com\"\nport = 995\nhost = \"pops://h\"";
        for line in [0, 1, 2] {
            assert_eq!(hidden_from(text, line), None);
        }
    }
}
