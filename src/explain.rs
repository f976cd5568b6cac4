//! What the errors of the layers mean to a person and a script: for each variant, in this one place, its kind (and so the
//! exit status) and its hints.

mod config;
mod fs;
mod process;
mod secret;

use std::error::Error;
use std::fmt;

use crate::cancel::Interrupted;
use crate::error::{Failure, Kind};

impl From<Interrupted> for Failure {
    fn from(interrupted: Interrupted) -> Self {
        Failure::new(
            Kind::Interrupted(interrupted.signal),
            interrupted.to_string(),
        )
    }
}

/// The failure that this error is, with the same message and the same cause, and no hint yet.
fn failure(kind: Kind, error: impl Error + Send + Sync + 'static) -> Failure {
    let failure = Failure::new(kind, error.to_string());
    match error.source() {
        Some(_) => failure.because(Cause(Box::new(error))),
        None => failure,
    }
}

/// The cause of an error that is kept whole, since only it can lend its cause.
#[derive(Debug)]
struct Cause(Box<dyn Error + Send + Sync>);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.source().map_or(Ok(()), |cause| write!(f, "{cause}"))
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()?.source()
    }
}
