//! Keeps secrets out of errors that show a line of the configuration.
//!
//! There is no key for a password, but people write one all the same, misspell it, or forget a quote.
//! So the rule goes by looks and errs on the hiding side: behind a word that resembles one for a
//! secret, the rest of the line is not shown.

/// Parts of the words that announce a secret, as people spell and misspell them.
const TELLTALES: [&str; 7] = ["pas", "word", "psw", "pw", "secret", "token", "cred"];

/// How much of the line with this index (from 0) may be shown, in bytes from its start;
/// none where all of it may.
pub(super) fn hidden_from(text: &str, wanted: usize) -> Option<usize> {
    let mut open = None;
    for (index, line) in text.split('\n').enumerate() {
        let hidden = match open {
            Some(_) => Some(0),
            None => secret_value(line),
        };
        if index == wanted {
            return hidden;
        }
        open = hidden.and_then(|start| left_open(open, line.get(start..).unwrap_or_default()));
    }
    None
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
    fn other_lines_are_shown_whole() {
        let text = "host = \"pop.example.com\"\nport = 995";
        assert_eq!(hidden_from(text, 0), None);
        assert_eq!(hidden_from(text, 1), None);
    }
}
