//! One file for each command: it turns the command line into work for the library, and the outcome into an exit
//! status.

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
    /// The machine and its user.
    pub environment: &'a Environment,
    /// Where results and errors are shown.
    pub ui: &'a Ui,
}

/// Does what the command line says, and returns the exit status.
///
/// # Errors
///
/// The work could not begin. A failure of a single account is shown, and becomes a part of the status.
pub fn run(context: &Context<'_>) -> Result<u8> {
    secret::keep_out_of_core_files();
    match &context.cli.command {
        Command::Sync(options) => sync::run(context, options),
        Command::Login(options) => login::run(context, &options.account),
        Command::Logout(options) => logout::run(context, &options.account),
        Command::State(State::MarkSeen(options)) => state::mark_seen(context, options),
    }
}
