//! What it means that a command could not be run.

use crate::error::{Failure, Kind};
use crate::process::Error;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            // What it was fed with says itself what is wrong with it.
            Error::Input(_) => Failure::new(Kind::Io, message),
            Error::Start(error) | Error::Talk(error) => {
                Failure::new(Kind::Io, message).because(error)
            }
        }
    }
}
