//! The name of a destination: `maildir:PATH`.

use std::fmt;
use std::path::{Path, PathBuf};

/// A destination as a person writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Spec {
    /// `maildir:PATH`
    Maildir(PathBuf),
}

/// A string that names no destination.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotADestination {
    /// No known kind before the colon.
    #[error("a destination is written maildir:PATH")]
    Kind,
    /// Nothing behind the colon.
    #[error("the path of the Maildir is missing")]
    Empty,
}

impl Spec {
    /// Reads `maildir:PATH`; `~` is the home folder, and a path that is not absolute begins in `base`.
    ///
    /// # Errors
    ///
    /// The text names no destination.
    pub fn parse(text: &str, home: &Path, base: &Path) -> Result<Self, NotADestination> {
        let Some(path) = text.strip_prefix("maildir:") else {
            return Err(NotADestination::Kind);
        };
        if path.is_empty() {
            return Err(NotADestination::Empty);
        }
        Ok(Spec::Maildir(absolute(path, home, base)))
    }
}

/// A path as a person writes it: `~` is the home folder; what is not absolute begins in `base`.
#[must_use]
pub fn absolute(path: &str, home: &Path, base: &Path) -> PathBuf {
    match path.strip_prefix('~') {
        Some("") => home.to_owned(),
        Some(rest) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => base.join(path),
    }
}

/// As it is written in the journal and in reports.
impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spec::Maildir(path) => write!(f, "maildir:{}", path.display()),
        }
    }
}
