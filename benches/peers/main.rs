//! Popfetch beside its peers where things go wrong.
//!
//! ```text
//! cargo bench --bench peers -- crash [--kills N] [--only PART]
//! cargo bench --bench peers -- attacks [--only PART]
//! ```
//!
//! installs the peers where they are missing, and prints as a table (Markdown) what became of the mail where
//! they are killed, or which of the attacks of the tests they withstand.

mod attacks;
mod crash;
mod fixture;

#[path = "../shared/mod.rs"]
#[expect(dead_code, reason = "not every benchmark needs all of it")]
mod shared;

#[path = "../../tests/support"]
#[expect(
    dead_code,
    unused_imports,
    reason = "a benchmark needs only a part of what tests need"
)]
mod support {
    pub(crate) mod certificates;
    pub(crate) mod disks;
    pub(crate) mod fifo;
    pub(crate) mod mailbox;
    pub(crate) mod malicious;
    pub(crate) mod messages;
    pub(crate) mod report;
    pub(crate) mod sandbox;
    pub(crate) mod server;
}

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use shared::set_up;

/// What the command line says.
struct Options {
    /// How often each program is killed with each store and rule.
    kills: usize,
    /// Only rows whose name contains this.
    only: String,
}

/// Prints a table of how the programs fare.
type Test = fn(&Path, &Options) -> Result<(), String>;

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "{message}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let mut test = None;
    let mut options = Options {
        kills: 40,
        only: String::new(),
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            // Cargo says so to every benchmark.
            "--bench" => {}
            "--kills" => options.kills = value()?.parse().map_err(|_| "--kills needs a number")?,
            "--only" => options.only = value()?,
            "crash" => test = Some(crash::run as Test),
            "attacks" => test = Some(attacks::run),
            other => return Err(format!("what is {other}?")),
        }
    }
    let test = test.ok_or("say what to do: crash or attacks")?;
    set_up::install("for_peers")?;
    test(&set_up::build()?, &options)
}

/// Writes to standard output, for a person who waits.
fn print(text: &str) {
    let mut output = std::io::stdout();
    let _ = output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush());
}
