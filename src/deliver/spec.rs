//! Destinations as a person names them: `maildir:PATH`, `mbox:PATH`, `mbox:-` or `pipe:COMMAND`. Each kind is known here,
//! and in its own module.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{Destination, Maildir, Mbox, Pipe, Settings, Stdout};
use crate::environment::Environment;
use crate::fs::lead_to_one;

/// A destination as a person writes it. Its canonical text ([`fmt::Display`]) is its name in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Spec {
    /// `maildir:PATH`
    Maildir(PathBuf),
    /// `mbox:PATH`
    Mbox(PathBuf),
    /// `mbox:-`: standard output.
    Stdout,
    /// `pipe:COMMAND`, for `/bin/sh -c`.
    Pipe(String),
}

/// A string that names no destination.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotADestination {
    /// No known kind before the colon.
    #[error("a destination is written maildir:PATH, mbox:PATH, mbox:- or pipe:COMMAND")]
    Kind,
    /// Nothing after the colon of this kind.
    #[error("the {what} is missing after {0}:", what = if *.0 == "pipe" { "command" } else { "path" })]
    Empty(&'static str),
    /// What a shell would have put something in place of.
    #[error(
        "~NAME and $NAME mean nothing here: write the path itself, or ~/ for the home directory"
    )]
    Unexpanded,
    /// A NUL, which no path and no command can contain.
    #[error("a destination cannot contain a NUL character")]
    Nul,
}

impl Spec {
    /// Reads a destination; in a path, `~` is the home directory, and one that is not absolute begins in `base`.
    ///
    /// # Errors
    ///
    /// The text names no destination.
    pub fn parse(text: &str, home: &Path, base: &Path) -> Result<Self, NotADestination> {
        if text.contains('\0') {
            return Err(NotADestination::Nul);
        }
        let path = |path| absolute(path, home, base);
        match text.split_once(':') {
            Some(("maildir", "")) => Err(NotADestination::Empty("maildir")),
            Some(("mbox", "")) => Err(NotADestination::Empty("mbox")),
            Some(("mbox", "-")) => Ok(Spec::Stdout),
            Some(("maildir" | "mbox", rest)) if wants_a_shell(rest) => {
                Err(NotADestination::Unexpanded)
            }
            Some(("maildir", rest)) => Ok(Spec::Maildir(path(rest))),
            Some(("mbox", rest)) => Ok(Spec::Mbox(path(rest))),
            Some(("pipe", rest)) if rest.trim().is_empty() => Err(NotADestination::Empty("pipe")),
            Some(("pipe", rest)) => Ok(Spec::Pipe(rest.trim().to_owned())),
            _ => Err(NotADestination::Kind),
        }
    }

    /// The destination, ready to take messages. Nothing is created before the first message or
    /// [`Destination::recover`] needs it.
    #[must_use]
    pub fn open(&self, settings: &Settings<'_>, environment: &Environment) -> Box<dyn Destination> {
        match self {
            Spec::Maildir(path) => Box::new(Maildir::new(path.clone(), environment)),
            Spec::Mbox(path) => Box::new(Mbox::new(path.clone(), environment)),
            Spec::Stdout => Box::new(Stdout::new(environment)),
            Spec::Pipe(command) => Box::new(Pipe::new(command.clone(), settings, environment)),
        }
    }

    /// Whether what became of a message can be looked up there after a crash.
    #[must_use]
    pub fn can_be_looked_into(&self) -> bool {
        match self {
            Spec::Maildir(_) | Spec::Mbox(_) => true,
            Spec::Stdout | Spec::Pipe(_) => false,
        }
    }

    /// Whether both are one place, as far as can be seen now: by a symbolic link, two paths may lead to one.
    /// A message for both would be there twice, and an mbox would wait for its own lock.
    #[must_use]
    pub fn is_same_place(&self, other: &Spec) -> bool {
        match (self, other) {
            (Spec::Maildir(one), Spec::Maildir(two)) | (Spec::Mbox(one), Spec::Mbox(two)) => {
                one == two || lead_to_one(one, two)
            }
            _ => self == other,
        }
    }
}

/// Whether a path begins with `~NAME` or `$NAME`. Hardly ever is a directory of that name wanted, and it
/// would be made and the mail put into it; where it is wanted, it is written with `./` in front.
fn wants_a_shell(path: &str) -> bool {
    let is_home = path == "~" || path.starts_with("~/");
    path.starts_with('$') || path.starts_with('~') && !is_home
}

/// A path as a person writes it: `~` is the home directory; what is not absolute begins in `base`.
/// Doubled and trailing slashes and `.` are dropped, so that one place has one name.
#[must_use]
pub fn absolute(path: &str, home: &Path, base: &Path) -> PathBuf {
    let whole = match path.strip_prefix('~') {
        Some("") => home.to_owned(),
        Some(rest) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => base.join(path),
    };
    whole.components().collect()
}

/// As it is written in the journal and in reports.
impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spec::Maildir(path) => write!(f, "maildir:{}", path.display()),
            Spec::Mbox(path) => write!(f, "mbox:{}", path.display()),
            Spec::Stdout => f.write_str("mbox:-"),
            Spec::Pipe(command) => write!(f, "pipe:{command}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Spec, NotADestination> {
        Spec::parse(text, Path::new("/home/alice"), Path::new("/work"))
    }

    #[test]
    fn every_kind_is_read_and_has_one_canonical_text() {
        for (written, canonical) in [
            ("maildir:~/Mail//work/", "maildir:/home/alice/Mail/work"),
            ("maildir:~", "maildir:/home/alice"),
            ("mbox:inbox", "mbox:/work/inbox"),
            ("mbox:./-", "mbox:/work/-"),
            ("mbox:./$x", "mbox:/work/$x"),
            ("maildir:./~bob/a~$", "maildir:/work/~bob/a~$"),
            ("mbox:/var/mail/./alice", "mbox:/var/mail/alice"),
            ("mbox:-", "mbox:-"),
            ("pipe: procmail -d \"a:b\" ", "pipe:procmail -d \"a:b\""),
        ] {
            let spec = parse(written).expect(written);
            assert_eq!(spec.to_string(), canonical);
            assert_eq!(parse(canonical).expect(canonical), spec);
        }
    }

    #[test]
    fn what_names_no_destination_is_refused() {
        assert_eq!(parse("/home/alice/Mail"), Err(NotADestination::Kind));
        assert_eq!(parse("imap:x"), Err(NotADestination::Kind));
        assert_eq!(parse("maildir:"), Err(NotADestination::Empty("maildir")));
        assert_eq!(parse("pipe:  "), Err(NotADestination::Empty("pipe")));
        assert_eq!(parse("mbox:a\0b"), Err(NotADestination::Nul));
        for path in ["maildir:~bob/Mail", "mbox:$HOME/inbox", "mbox:${MAIL}"] {
            assert_eq!(parse(path), Err(NotADestination::Unexpanded), "{path}");
        }
        assert_eq!(
            NotADestination::Empty("pipe").to_string(),
            "the command is missing after pipe:"
        );
    }
}
