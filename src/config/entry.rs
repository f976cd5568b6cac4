//! One key with its value, as it stands in the file.

use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostic;
use super::error::Problem;
use super::nearest::did_you_mean;
use crate::deliver;

pub(super) type Result<T, E = Diagnostic> = std::result::Result<T, E>;

/// Where paths of the configuration begin.
#[derive(Clone, Copy)]
pub(super) struct Directories<'a> {
    /// What `~` stands for.
    pub(super) home: &'a Path,
    /// The directory of the configuration file; absolute.
    pub(super) base: &'a Path,
}

/// A known key, and the value that is to be read; or one item of its list.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) key: &'static str,
    /// Whether an error may show the value.
    pub(super) is_shown: bool,
    pub(super) value: &'a Spanned<DeValue<'a>>,
    pub(super) directories: Directories<'a>,
}

impl<'a> Entry<'a> {
    /// The text, as `read` understands it.
    pub(super) fn text<T, E: Display>(
        &self,
        read: impl FnOnce(&'a str) -> Result<T, E>,
    ) -> Result<T> {
        match self.value.get_ref() {
            DeValue::String(text) => read(text).map_err(|why| self.wrong(why)),
            _ => Err(wrong_kind(self.value, "text in quotes")),
        }
    }

    /// The number, if `check` accepts it.
    pub(super) fn number<T, E: Display>(
        &self,
        check: impl FnOnce(i64) -> Result<T, E>,
    ) -> Result<T> {
        match self.value.get_ref() {
            DeValue::Integer(number) => {
                // What 64 bits cannot hold is too large for every key.
                let number = i64::from_str_radix(number.as_str(), number.radix());
                check(number.unwrap_or(i64::MAX)).map_err(|why| self.wrong(why))
            }
            _ => Err(wrong_kind(self.value, "a whole number, without quotes")),
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Result<bool> {
        match self.value.get_ref() {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(wrong_kind(self.value, "true or false, without quotes")),
        }
    }

    /// What one of these words stands for.
    pub(super) fn word<T: FromStr>(&self, words: &[&str]) -> Result<T> {
        self.text(|text| text.parse().map_err(|_| did_you_mean(text, words)))
    }

    /// A path.
    pub(super) fn path(&self) -> Result<PathBuf> {
        let Directories { home, base } = self.directories;
        self.text(|text| match text {
            "" => Err("the path is empty"),
            _ => Ok(deliver::absolute(text, home, base)),
        })
    }

    /// A command line for the shell.
    pub(super) fn command(&self) -> Result<String> {
        self.text(|text| match text {
            _ if text.trim().is_empty() => Err("the command is empty"),
            _ if text.contains('\0') => Err("a command cannot contain a NUL character"),
            _ => Ok(text.to_owned()),
        })
    }

    /// The items of a list. An empty one could be taken for "none" or "any".
    pub(super) fn items(&self) -> Result<Vec<Entry<'a>>> {
        match self.value.get_ref() {
            DeValue::Array(list) if list.is_empty() => Err(self.wrong("the list is empty")),
            DeValue::Array(list) => Ok(list.iter().map(|value| Entry { value, ..*self }).collect()),
            _ => Err(wrong_kind(self.value, "a list in brackets")),
        }
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.value.span()
    }

    /// The value is of the right kind, and still wrong.
    pub(super) fn wrong(&self, why: impl Display) -> Diagnostic {
        let diagnostic = Diagnostic::new(Problem::WrongValue(self.key));
        if self.is_shown {
            diagnostic.at_shown(self.span(), why.to_string())
        } else {
            diagnostic.at(self.span(), why.to_string())
        }
    }
}

/// The table that this value has to be.
pub(super) fn table<'a>(
    value: &'a Spanned<DeValue<'a>>,
    expected: &str,
) -> Result<&'a DeTable<'a>> {
    match value.get_ref() {
        DeValue::Table(table) => Ok(table),
        _ => Err(wrong_kind(value, expected)),
    }
}

/// The value is something else than what belongs there.
pub(super) fn wrong_kind(value: &Spanned<DeValue<'_>>, expected: &str) -> Diagnostic {
    let found = match value.get_ref() {
        DeValue::String(_) => "text in quotes",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    Diagnostic::new(Problem::WrongKind)
        .at(value.span(), format!("expected {expected}, found {found}"))
}
