//! What is wrong with a configuration, shown where it is: the line, a caret, and what was probably meant.
//!
//! There is no key for a password, but people write one all the same, misspell it, or put it into a URL. So a
//! line is shown with `…` in the place of its values and without its comment. Only a wrong value of a key that
//! can't be mistaken for the place of a password is shown.

use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Error, Problem};
use super::file::CLEAR_PASSWORD;
use super::keys;
use crate::text::Untrusted;

/// What is wrong with a configuration, and where.
#[derive(Debug)]
pub(super) struct Diagnostic {
    problem: Problem,
    marks: Vec<Mark>,
}

/// A place in the file and what to say about it.
#[derive(Debug)]
struct Mark {
    span: Range<usize>,
    label: String,
    /// Whether the values in the span may be shown.
    is_shown: bool,
}

impl Diagnostic {
    pub(super) fn new(problem: Problem) -> Self {
        Diagnostic {
            problem,
            marks: Vec::new(),
        }
    }

    /// What the parser of TOML says of a text that is none.
    pub(super) fn of_syntax(error: &toml::de::Error, text: &str) -> Self {
        let message = Untrusted(error.message().as_bytes()).to_string();
        let span = error.span().unwrap_or(text.len()..text.len());
        let found = text.get(span.start..).and_then(|rest| rest.chars().next());
        let is_foreign_letter = |c: char| c.is_alphabetic() && !c.is_ascii();
        let problem = if found.is_some_and(is_foreign_letter) {
            Problem::UnquotedLetter(message)
        } else {
            Problem::Syntax(message)
        };
        Diagnostic::new(problem).at(span, "")
    }

    /// Points at a place; the label may be empty.
    #[must_use]
    pub(super) fn at(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.marks.push(Mark {
            span,
            label: label.into(),
            is_shown: false,
        });
        self
    }

    /// Points at a value that can be no secret.
    #[must_use]
    pub(super) fn at_shown(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self = self.at(span, label);
        for mark in &mut self.marks {
            mark.is_shown = true;
        }
        self
    }
}

/// A configuration file that is being read.
pub(super) struct Source<'a> {
    path: &'a Path,
    text: &'a str,
    /// The keys and values, in the order of the text. All else is punctuation and comments.
    parts: Vec<Part>,
}

struct Part {
    span: Range<usize>,
    is_value: bool,
}

/// One line of the file as it is shown: tabs widened, values hidden, control characters escaped. Columns are
/// those of the line as shown: that of the file would tell the length of a hidden value before it.
struct Line {
    /// From 1.
    number: usize,
    text: String,
    /// The part of `text` that the caret stands under.
    marked: Range<usize>,
}

impl<'a> Source<'a> {
    /// A file that is TOML.
    pub(super) fn new(path: &'a Path, text: &'a str, tables: &DeTable<'_>) -> Self {
        let mut parts = Vec::new();
        parts_of(tables, &mut parts);
        parts.sort_by_key(|part| part.span.start);
        Source { path, text, parts }
    }

    /// A file that is not TOML, so that nobody knows for sure what in it is a key and what a value. Of each line
    /// its beginning is a key, if such a key exists, and the rest is hidden.
    pub(super) fn broken(path: &'a Path, text: &'a str) -> Self {
        let mut parts = Vec::new();
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let end = start + line.trim_end_matches(['\n', '\r']).len();
            let span = start + visible_beginning(line)..end;
            let is_value = true;
            parts.push(Part { span, is_value });
            start += line.len();
        }
        parts.retain(|part| !part.span.is_empty());
        Source { path, text, parts }
    }

    /// The error to report.
    pub(super) fn error(&self, diagnostic: Diagnostic) -> Error {
        let shown = if diagnostic.marks.is_empty() {
            format!("{}: {}", self.name(), diagnostic.problem)
        } else {
            self.picture(&diagnostic)
        };
        let problem = diagnostic.problem;
        Error::Invalid { problem, shown }
    }

    fn name(&self) -> String {
        Untrusted(self.path.as_os_str().as_encoded_bytes()).to_string()
    }

    fn picture(&self, diagnostic: &Diagnostic) -> String {
        let title = Level::ERROR
            .no_name()
            .primary_title(diagnostic.problem.to_string());
        let snippets = diagnostic.marks.iter().enumerate().map(|(index, mark)| {
            let line = self.line(mark);
            let kind = if index == 0 {
                AnnotationKind::Primary
            } else {
                AnnotationKind::Context
            };
            let label = Some(mark.label.as_str()).filter(|label| !label.is_empty());
            Snippet::source(line.text)
                .line_start(line.number)
                .path(self.name())
                .annotation(kind.span(line.marked).label(label))
        });
        Renderer::plain().render(&[Group::with_title(title).elements(snippets)])
    }

    /// The line in which the mark begins. What of it lies on later lines is not marked.
    fn line(&self, mark: &Mark) -> Line {
        let start = self.text.floor_char_boundary(mark.span.start);
        let (before, after) = self.text.split_at(start);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = after.find('\n').map_or(self.text.len(), |end| start + end);
        let end = self.text.floor_char_boundary(mark.span.end);
        let end = end.clamp(start, line_end);

        let shown = mark.is_shown.then_some(&mark.span);
        let mut text = self.shown(line_start..start, shown);
        let marked_from = text.len();
        text.push_str(&self.shown(start..end, shown));
        let marked_to = text.len();
        text.push_str(self.shown(end..line_end, shown).trim_end());
        Line {
            number: before.matches('\n').count() + 1,
            text,
            marked: marked_from..marked_to,
        }
    }

    /// This range of one line: values as `…`, unless they lie in the range that is to be shown; no comment.
    fn shown(&self, range: Range<usize>, shown: Option<&Range<usize>>) -> String {
        let mut text = String::new();
        let mut at = range.start;
        let overlaps = |part: &&Part| part.span.start < range.end && range.start < part.span.end;
        for part in self.parts.iter().filter(overlaps) {
            let (start, end) = (part.span.start.max(at), part.span.end.min(range.end));
            if start >= end {
                continue;
            }
            text += without_comment(&self.text[at..start]);
            let is_inside =
                |shown: &Range<usize>| shown.start <= part.span.start && part.span.end <= shown.end;
            let begins = part.span.start >= range.start || self.text[..range.start].ends_with('\n');
            if !part.is_value || shown.is_some_and(is_inside) {
                text += &self.text[start..end];
            } else if begins {
                text += "…";
            }
            at = end;
        }
        text += without_comment(&self.text[at..range.end]);
        printable(text.trim_end_matches('\r'))
    }
}

fn parts_of(table: &DeTable<'_>, parts: &mut Vec<Part>) {
    for (key, value) in table {
        let span = key.span();
        let is_value = false;
        parts.push(Part { span, is_value });
        parts_of_value(value, parts);
    }
}

fn parts_of_value(value: &Spanned<DeValue<'_>>, parts: &mut Vec<Part>) {
    match value.get_ref() {
        DeValue::Table(table) => parts_of(table, parts),
        DeValue::Array(list) => list.iter().for_each(|item| parts_of_value(item, parts)),
        _ => parts.push(Part {
            span: value.span(),
            is_value: true,
        }),
    }
}

/// Where the value begins in a line that begins with a known key; where the header of a table of ours ends; else where
/// the indentation does.
fn visible_beginning(line: &str) -> usize {
    let content = line.trim_start();
    let indentation = line.len() - content.len();
    if content.starts_with("[accounts") || content.starts_with("[defaults") {
        let end = content.find(|c: char| c.is_whitespace() || "#=]".contains(c));
        let with_bracket = |at: usize| at + usize::from(content[at..].starts_with(']'));
        return indentation + end.map_or(content.len(), with_bracket);
    }
    let (key, value) = content.split_once('=').unwrap_or_default();
    let names = keys::names();
    let mut known = names.iter().chain(&CLEAR_PASSWORD);
    if known.any(|name| *name == key.trim_end()) {
        return line.len() - value.trim_start_matches([' ', '\t']).len();
    }
    indentation
}

/// A piece of a line between keys and values, up to the comment in it.
fn without_comment(text: &str) -> &str {
    text.split('#').next().unwrap_or_default()
}

fn printable(text: &str) -> String {
    Untrusted(text.replace('\t', "    ").as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str, diagnostic: Diagnostic) -> String {
        let path = Path::new("config.toml");
        let source = match DeTable::parse(text) {
            Ok(tables) => Source::new(path, text, tables.get_ref()),
            Err(_) => Source::broken(path, text),
        };
        source.error(diagnostic).to_string()
    }

    fn odd() -> Diagnostic {
        Diagnostic::new(Problem::WrongValue("odd"))
    }

    /// The line with this index as an error shows it that points at its beginning.
    fn shown(text: &str, line: usize) -> String {
        let lines = text.split_inclusive('\n').take(line);
        let start: usize = lines.map(str::len).sum();
        let picture = message(text, odd().at(start..start, ""));
        let number = format!("{} |", line + 1);
        let found = picture.lines().find_map(|line| line.strip_prefix(&number));
        found.expect("the line is shown").trim_start().to_owned()
    }

    #[test]
    fn the_caret_stands_below_what_is_wrong() {
        let text = "[accounts.w]\n\thost = \"pøp\" # café\r\nport = 0\r\n";
        let start = text.find("\"pøp").expect("it is there");
        let picture = message(text, odd().at_shown(start..start + 6, "this"));
        let mut lines = picture.lines().skip_while(|line| !line.starts_with('2'));
        let line = lines.next().expect("the line is shown");
        let caret = lines.next().expect("a caret is shown");
        assert!(line.trim_end().ends_with("host = \"pøp\""), "{picture}");
        let column = |line: &str, what: char| line.chars().position(|c| c == what);
        assert_eq!(column(line, '"'), column(caret, '^'), "{picture}");
        assert!(caret.ends_with("^^^^^ this"), "{picture}");
        assert!(picture.contains("config.toml:2:"), "{picture}");
    }

    #[test]
    fn control_characters_of_the_file_stay_off_the_terminal() {
        let text = "host\u{9b}2J = \"\u{9b}2J\u{1b}[0m\u{202e}\"";
        let picture = message(text, odd().at_shown(0..text.len(), ""));
        assert!(
            picture
                .chars()
                .all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')),
            "{picture:?}"
        );
    }

    #[test]
    fn a_place_outside_of_the_text_is_its_end() {
        assert!(message("a = 1", odd().at(70..90, "here")).contains("here"));
        assert!(message("", odd().at(0..0, "here")).contains("here"));
    }

    #[test]
    fn no_value_and_no_comment_is_shown() {
        for (text, visible) in [
            ("password = \"hunter2\" # hunter2", "password = …"),
            ("\"a#b\" = 'hunter2'", "\"a#b\" = …"),
            (
                "w = { user = \"a\", password = \"hunter2\" }",
                "w = { user = …, password = … }",
            ),
            (
                "accounts.w.Password = \"hunter2\"",
                "accounts.w.Password = …",
            ),
            ("host = [\"hunter2\", 1]", "host = […, …]"),
            ("[accounts.w] # hunter2", "[accounts.w]"),
        ] {
            assert_eq!(shown(text, 0).trim_end(), visible);
        }
    }

    #[test]
    fn a_value_of_several_lines_is_hidden_to_its_end() {
        let text = "password = \"\"\"\nhunter2\n# [hunter2 = \"\"\" # hunter2\nport = 995";
        for (line, visible) in [(1, "…"), (2, "…"), (3, "port = …")] {
            assert_eq!(shown(text, line).trim_end(), visible);
        }
    }

    #[test]
    fn of_a_broken_file_only_known_keys_and_tables_are_shown() {
        for (line, visible) in [
            ("password = hunter2", "password = …"),
            ("  host =hunter2", "host =…"),
            ("hunter2 = hunter2", "…"),
            ("hunter2=", "…"),
            ("\"hunter2\",", "…"),
            ("[accounts.w", "[accounts.w"),
            ("[accounts.w # hunter2", "[accounts.w…"),
            ("[accounts.w]password=\"hunter2\"", "[accounts.w]…"),
            ("[accounts.w=hunter2", "[accounts.w…"),
            ("[hunter2", "…"),
            ("# hunter2", "…"),
        ] {
            for below in [false, true] {
                let other = "password = \"\"\"\n";
                let text = format!("{}{line}\n[\n", if below { other } else { "" });
                assert_eq!(shown(&text, below.into()), visible);
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_place_in_any_text_can_be_shown(text: String, start in 0usize..40, length in 0usize..40) {
            let picture = message(&text, odd().at(start..start + length, "here"));
            proptest::prop_assert!(picture.starts_with("wrong value"));
            proptest::prop_assert!(picture.contains("here"));
        }
    }
}
