//! What the errors of the layers mean to a person and a script: for each variant, in this one place, its kind (and so the
//! exit status) and its hints.

mod config;
mod fs;
mod net;
mod process;
mod secret;

use crate::cancel::Interrupted;
use crate::error::{Failure, Kind};

impl From<Interrupted> for Failure {
    fn from(interrupted: Interrupted) -> Self {
        Failure::of(Kind::Interrupted(interrupted.signal), interrupted)
    }
}
