//! One file for each verb: what the command line says becomes work for the library, and what came of
//! it an exit status.

mod absence;
mod accounts;
mod after_new;
mod login;
mod logout;
mod parallel;
mod signals;
mod state;
mod sync;

use crate::cli::{Cli, Command, State};
use crate::environment::Environment;
use crate::error::Result;
use crate::secret;
use crate::ui::Ui;

/// What every command works with.
pub struct Context<'a> {
    /// The command line.
    pub cli: &'a Cli,
    /// The machine.
    pub environment: &'a Environment,
    /// The person.
    pub ui: &'a Ui,
}

/// Does what the command line says, and returns the exit status.
///
/// # Errors
///
/// What could not even begin; what failed for an account is shown, and part of the status.
pub fn run(context: &Context<'_>) -> Result<u8> {
    secret::keep_out_of_core_files();
    match &context.cli.command {
        Command::Sync(options) => sync::run(context, options),
        Command::Login(options) => login::run(context, &options.account),
        Command::Logout(options) => logout::run(context, &options.account),
        Command::State(State::MarkSeen(options)) => state::mark_seen(context, options),
    }
}
