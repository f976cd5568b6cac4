//! `popfetch logout`: remove an account's password from the key ring.

use super::{Context, accounts};
use crate::error::Result;
use crate::secret::{self, AccountRef};

/// Removes it; that there is none is no error, since then nothing is left to do.
pub(super) fn run(context: &Context<'_>, name: &str) -> Result<u8> {
    let account = accounts::named(context, name)?;
    let there_was = secret::forget(&AccountRef::from(&account))?;
    context.ui.done(match there_was {
        true => format!("The password of {name} is no longer in the key ring."),
        false => format!("There was no password of {name} in the key ring."),
    });
    Ok(0)
}
