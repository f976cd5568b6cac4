//! Errors in a configuration, shown where they are: the line, a caret, and what was probably meant.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::mask;
use super::nearest::nearest;
use super::raw;
use crate::error::{Failure, Kind};
use crate::text::Untrusted;

/// What is wrong with a configuration, and where.
#[derive(Debug)]
pub(super) struct Complaint {
    title: String,
    marks: Vec<Mark>,
    hints: Vec<String>,
}

/// A place in the file and what to say about it.
#[derive(Debug)]
struct Mark {
    span: Range<usize>,
    label: String,
}

impl Complaint {
    /// A clause that says what is wrong.
    pub(super) fn new(title: impl Into<String>) -> Self {
        Complaint {
            title: title.into(),
            marks: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// The value of this key, which stands there, is wrong.
    pub(super) fn value(key: &str, span: Range<usize>, why: impl fmt::Display) -> Self {
        Complaint::new(format!("wrong value for `{key}`")).at(span, why.to_string())
    }

    /// Points at a place; the label may be empty.
    #[must_use]
    pub(super) fn at(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.marks.push(Mark {
            span,
            label: label.into(),
        });
        self
    }

    /// Adds a sentence on what to do.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

/// A configuration file that is being read.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    /// Where it is, to be shown.
    pub(super) path: &'a Path,
    /// What it says.
    pub(super) text: &'a str,
}

/// One line of the file as it is shown: tabs widened, secrets hidden, control characters escaped.
struct Shown {
    /// From 1.
    number: usize,
    text: String,
    /// The part of `text` that the caret stands under.
    marked: Range<usize>,
}

impl Source<'_> {
    /// The complaint as the failure to report; its message has several lines where it points at any.
    pub(super) fn failure(&self, complaint: Complaint) -> Failure {
        let message = if complaint.marks.is_empty() {
            format!("{}: {}", self.name(), complaint.title)
        } else {
            self.picture(&complaint)
        };
        complaint
            .hints
            .into_iter()
            .fold(Failure::new(Kind::Config, message), Failure::hint)
    }

    fn name(&self) -> String {
        Untrusted(self.path.as_os_str().as_encoded_bytes()).to_string()
    }

    fn picture(&self, complaint: &Complaint) -> String {
        let title = Level::ERROR
            .no_name()
            .primary_title(complaint.title.as_str());
        let snippets = complaint.marks.iter().enumerate().map(|(index, mark)| {
            let shown = self.shown(&mark.span);
            let kind = if index == 0 {
                AnnotationKind::Primary
            } else {
                AnnotationKind::Context
            };
            let label = Some(mark.label.as_str()).filter(|label| !label.is_empty());
            Snippet::source(shown.text)
                .line_start(shown.number)
                .path(self.name())
                .annotation(kind.span(shown.marked).label(label))
        });
        Renderer::plain().render(&[Group::with_title(title).elements(snippets)])
    }

    /// The line in which the span begins. What of the span lies on later lines is not marked.
    fn shown(&self, span: &Range<usize>) -> Shown {
        let start = self.text.floor_char_boundary(span.start);
        let (before, behind) = self.text.split_at(start);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = behind.find('\n').map_or(self.text.len(), |end| start + end);
        let end = self
            .text
            .floor_char_boundary(span.end)
            .clamp(start, line_end);
        let index = before.matches('\n').count();
        let visible = mask::hidden_from(self.text, index)
            .map_or(line_end, |bytes| (line_start + bytes).min(line_end));
        let hides = visible < line_end;

        let part = |from: usize, to: usize| {
            let text = self.text.get(from.min(visible)..to.min(visible));
            printable(text.unwrap_or_default().trim_end_matches('\r'))
        };
        let mut text = part(line_start, start);
        let marked_from = text.len();
        text.push_str(&part(start, end));
        let mut marked_to = text.len();
        text.push_str(&part(end, line_end));
        if hides {
            text.push('…');
            if end > visible || start >= visible {
                marked_to = text.len();
            }
        }
        Shown {
            number: index + 1,
            text,
            marked: marked_from..marked_to,
        }
    }
}

fn printable(text: &str) -> String {
    Untrusted(text.replace('\t', "    ").as_bytes()).to_string()
}

/// What toml and serde say, in our words. Values that a message repeats are left out: any could be a secret.
pub(super) fn from_toml(error: &toml::de::Error) -> Complaint {
    let message = error.message();
    let (complaint, label) = if let Some((key, valid)) = choice(message, "unknown field") {
        unknown_key(key, &valid)
    } else if let Some((word, valid)) = choice(message, "unknown variant") {
        let title = format!("unknown value `{}`", Untrusted(word.as_bytes()));
        (Complaint::new(title), meant(word, &valid))
    } else if let Some(found) = message.strip_prefix("invalid type: ") {
        (
            Complaint::new("a value of the wrong kind"),
            wrong_kind(found),
        )
    } else {
        invalid_toml(message)
    };
    match error.span() {
        Some(span) => complaint.at(span, label),
        None => complaint,
    }
}

/// The parts of serde's "unknown … `name`, expected one of `a`, `b`".
fn choice<'a>(message: &'a str, what: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let rest = message.strip_prefix(what)?.strip_prefix(" `")?;
    let (name, expected) = rest.rsplit_once("`, expected ")?;
    Some((name, backquoted(expected)))
}

fn backquoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// What people write who know another program, or expect a key for a password.
const CLEAR_PASSWORD: [&str; 6] = ["password", "passwd", "passphrase", "pass", "pwd", "secret"];

/// Keys of other programs, and ours for the same.
const ALSO_CALLED: [(&str, &str); 12] = [
    ("username", "user"),
    ("login", "user"),
    ("hostname", "host"),
    ("server", "host"),
    ("ssl", "tls"),
    ("keep", "leave_on_server"),
    ("delete_after", "leave_on_server"),
    ("passwordeval", "password_command"),
    ("destination", "deliver"),
    ("maildir", "deliver"),
    ("mda", "deliver"),
    ("tls_trust_file", "ca_file"),
];

/// The complaint about a key that is not there, and what to say below it.
fn unknown_key(key: &str, valid: &[&str]) -> (Complaint, String) {
    let complaint = Complaint::new(format!("unknown key `{}`", Untrusted(key.as_bytes())));
    if valid.contains(&"accounts") {
        return (complaint, misplaced(key, valid));
    }
    let names = valid.iter().copied();
    match nearest(key, names.chain(CLEAR_PASSWORD)) {
        Some(word) if CLEAR_PASSWORD.contains(&word) => (
            complaint
                .hint("Put the password into the keyring with `popfetch login ACCOUNT`.")
                .hint(
                    "Or say where it comes from: password_file, password_command or password_env.",
                ),
            "a password is never written here".to_owned(),
        ),
        _ => (complaint, meant(key, valid)),
    }
}

/// What to say of a key that stands outside of all tables, or of an unknown table.
fn misplaced(key: &str, valid: &[&str]) -> String {
    if let Some(name) = nearest(key, valid.iter().copied()) {
        format!("did you mean `{name}`?")
    } else if raw::setting_names().iter().any(|name| name == key) {
        "this belongs below [accounts.NAME] or [defaults]".to_owned()
    } else {
        "an account is written [accounts.NAME]".to_owned()
    }
}

/// The name that was probably meant, or all there are.
fn meant(wrong: &str, valid: &[&str]) -> String {
    let also = ALSO_CALLED
        .iter()
        .find(|(theirs, ours)| *theirs == wrong && valid.contains(ours))
        .map(|&(_, ours)| ours);
    match also.or_else(|| nearest(wrong, valid.iter().copied())) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("expected one of `{}`", valid.join("`, `")),
    }
}

/// serde's "string "x", expected a boolean" without the value.
fn wrong_kind(message: &str) -> String {
    const KINDS: [(&str, &str); 6] = [
        ("string", "text in quotes"),
        ("integer", "a number"),
        ("floating", "a number"),
        ("boolean", "true or false"),
        ("sequence", "a list"),
        ("map", "a table"),
    ];
    let (found, expected) = message.rsplit_once(", expected ").unwrap_or((message, ""));
    let expected = match expected {
        "a string" => "text in quotes",
        "a boolean" => "true or false, without quotes",
        "i64" => "a whole number, without quotes",
        "a sequence" => "a list in brackets",
        other => other,
    };
    let word = found.split([' ', ',']).next().unwrap_or_default();
    match KINDS.iter().find(|(serde, _)| *serde == word) {
        Some((_, found)) => format!("expected {expected}, found {found}"),
        None => format!("expected {expected}"),
    }
}

/// A syntax error. Only what is expected literally helps; the rest names rules of TOML's grammar.
fn invalid_toml(message: &str) -> (Complaint, String) {
    let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let complaint = Complaint::new(format!("invalid TOML: {}", Untrusted(what.as_bytes())));
    let complaint = match what {
        "invalid unquoted key" => complaint
            .hint("A name with other characters stands in quotes: [accounts.\"jörg@work\"]."),
        _ => complaint,
    };
    let label = if expected.contains('`') {
        format!("expected {}", Untrusted(expected.as_bytes()))
    } else {
        String::new()
    };
    (complaint, label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str, complaint: Complaint) -> String {
        let source = Source {
            path: Path::new("config.toml"),
            text,
        };
        source.failure(complaint).message().to_owned()
    }

    #[test]
    fn the_caret_stands_below_what_is_wrong() {
        let text = "[accounts.w]\n\thost = \"pøp\" # café\r\nport = 0\r\n";
        let start = text.find("\"pøp").expect("it is there");
        let picture = message(text, Complaint::new("odd").at(start..start + 6, "this"));
        let mut lines = picture.lines().skip_while(|line| !line.starts_with('2'));
        let line = lines.next().expect("the line is shown");
        let caret = lines.next().expect("a caret is shown");
        assert!(line.ends_with("host = \"pøp\" # café"), "{picture}");
        let column = |line: &str, what: char| line.chars().position(|c| c == what);
        assert_eq!(column(line, '"'), column(caret, '^'), "{picture}");
        assert!(caret.ends_with("^^^^^ this"), "{picture}");
        assert!(picture.contains("config.toml:2:"), "{picture}");
    }

    #[test]
    fn control_characters_of_the_file_stay_off_the_terminal() {
        let text = "host = \"\u{9b}2J\u{1b}[0m\u{202e}\"";
        let picture = message(text, Complaint::new("odd").at(0..4, ""));
        assert!(
            picture
                .chars()
                .all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')),
            "{picture:?}"
        );
    }

    #[test]
    fn a_place_outside_of_the_text_is_its_end() {
        assert!(message("a = 1", Complaint::new("odd").at(70..90, "here")).contains("here"));
        assert!(message("", Complaint::new("odd").at(0..0, "here")).contains("here"));
    }

    #[test]
    fn keys_of_other_programs_lead_to_ours() {
        let names = raw::setting_names();
        for (_, ours) in ALSO_CALLED {
            assert!(names.iter().any(|name| name == ours), "{ours}");
        }
        for key in CLEAR_PASSWORD {
            assert!(names.iter().all(|name| name != key), "{key}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_place_in_any_text_can_be_shown(text: String, start in 0usize..40, length in 0usize..40) {
            let picture = message(&text, Complaint::new("odd").at(start..start + length, "here"));
            proptest::prop_assert!(picture.starts_with("odd\n"));
            proptest::prop_assert!(picture.contains("here"));
        }
    }
}
