//! The program: parse, run, exit status.

use std::process::ExitCode;

use popfetch::cli::Cli;
use popfetch::commands::{self, Context};
use popfetch::environment::Environment;
use popfetch::error::{Kind, Result};
use popfetch::ui::{Options, Ui, Verbosity};

fn main() -> ExitCode {
    match Cli::read(std::env::args_os()) {
        Ok(cli) => ExitCode::from(run(&cli)),
        Err(answer) => {
            // Where even this cannot be printed, there is no place left to report it.
            let _ = answer.print();
            let wrong = answer.use_stderr();
            ExitCode::from(if wrong { Kind::Usage.status() } else { 0 })
        }
    }
}

fn run(cli: &Cli) -> u8 {
    let ui = Ui::new(Options {
        verbosity: Verbosity::new(cli.quiet, cli.verbose),
        color: cli.color,
        json: cli.command.wants_json(),
    });
    ui.install_log();
    work(cli, &ui).unwrap_or_else(|failure| {
        ui.failure(&failure);
        failure.kind().status()
    })
}

fn work(cli: &Cli, ui: &Ui) -> Result<u8> {
    let environment = Environment::system()?;
    commands::run(&Context {
        cli,
        environment: &environment,
        ui,
    })
}
