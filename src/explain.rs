//! What the errors of the layers mean to a person and a script: for each variant, in this one place, its kind (and so the
//! exit status) and its hints.

mod config;
mod fs;
mod net;
mod process;
mod secret;

use crate::cancel::Interrupted;
use crate::error::{Failure, Kind};

/// The failure of this kind that an error is, with these hints.
fn explained(kind: Kind, hints: Vec<String>, error: impl Into<anyhow::Error>) -> Failure {
    hints
        .into_iter()
        .fold(Failure::of(kind, error), Failure::hint)
}

impl From<Interrupted> for Failure {
    fn from(interrupted: Interrupted) -> Self {
        Failure::of(Kind::Interrupted(interrupted.signal), interrupted)
    }
}
