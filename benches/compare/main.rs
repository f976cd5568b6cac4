//! Popfetch beside its peers, and beside floors: programs that do as little as the work allows.
//!
//! `cargo bench --bench compare` installs the peers where they are missing, starts Dovecot over TLS and, for
//! what is far away, a delaying proxy; runs every row of the table in turns (A B A B …); checks that every
//! program stored every message right; and prints ratios of paired runs.
//!
//! ```text
//! cargo bench --bench compare -- [--quick] [--only PART] [--pairs N] [--json FILE] [--work-dir FOLDER]
//! ```

mod floor;
mod load;
mod measure;
mod program;
mod proxy;
mod rows;
mod run;
mod table;

#[path = "../../tests/support"]
#[expect(
    dead_code,
    unused_imports,
    reason = "a benchmark needs only a part of what tests need"
)]
mod support {
    pub(crate) mod certificates;
    pub(crate) mod dovecot;
    pub(crate) mod mailbox;
    pub(crate) mod messages;
    pub(crate) mod server;
}

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use run::Bench;

/// What the command line says.
struct Options {
    quick: bool,
    only: Option<String>,
    pairs: usize,
    json: Option<PathBuf>,
    work_dir: PathBuf,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    match arguments.peek().map(String::as_str) {
        Some(measure::MEASURE) => return measure::measured(arguments.skip(1)),
        Some(floor::FLOOR) => return floor::run(arguments.skip(1)),
        _ => {}
    }
    let done = options(arguments).and_then(|options| compare(&options));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            say(&message);
            ExitCode::FAILURE
        }
    }
}

fn options(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        quick: false,
        only: None,
        pairs: 0,
        json: None,
        work_dir: target().join("compare"),
    };
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            // Cargo says so to every benchmark.
            "--bench" => {}
            "--quick" => options.quick = true,
            "--only" => options.only = Some(value()?),
            "--pairs" => options.pairs = value()?.parse().map_err(|_| "--pairs needs a number")?,
            "--json" => options.json = Some(value()?.into()),
            "--work-dir" => options.work_dir = value()?.into(),
            other => return Err(format!("what is {other}?")),
        }
    }
    if options.pairs == 0 {
        options.pairs = if options.quick { 2 } else { 5 };
    }
    Ok(options)
}

fn compare(options: &Options) -> Result<(), String> {
    install_peers()?;
    let popfetch = build()?;
    has_no_test_hooks(&popfetch)?;
    let mut bench = Bench::new(popfetch, &options.work_dir, options.pairs)?;
    let mut results = Vec::new();
    for row in rows::all(options.quick) {
        if options
            .only
            .as_ref()
            .is_some_and(|part| !row.name.contains(part.as_str()))
        {
            continue;
        }
        let result = bench.run(&row)?;
        print(&table::row(&row, &result));
        results.push(table::json(&row, &result));
    }
    let start = bench.start_up()?;
    print(&format!(
        "popfetch --version: {}\n",
        measure::seconds(start.middle)
    ));
    if let Some(file) = &options.json {
        let all = serde_json::json!({ "rows": results, "version_seconds": start });
        std::fs::write(file, format!("{all:#}\n")).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Installs what is to be compared, where it is missing.
fn install_peers() -> Result<(), String> {
    let script = "set -euo pipefail; . tests/support/install.sh; need \"${for_comparing[@]}\"";
    let mut bash = Command::new("bash");
    bash.args(["-c", script, "compare"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    match bash.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the peers could not be installed: {status}")),
        Err(error) => Err(format!("bash cannot be started: {error}")),
    }
}

/// Builds the program as a person does. What cargo built for this benchmark has the hooks of the tests.
fn build() -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args([
        "build",
        "--release",
        "--locked",
        "--quiet",
        "--bin",
        "popfetch",
    ]);
    build
        .arg("--target-dir")
        .arg(target())
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    match build.status() {
        Ok(status) if status.success() => Ok(target().join("release/popfetch")),
        Ok(status) => Err(format!("popfetch could not be built: {status}")),
        Err(error) => Err(format!("cargo cannot be started: {error}")),
    }
}

/// With the hooks, a program takes this for the time, and complains.
fn has_no_test_hooks(popfetch: &Path) -> Result<(), String> {
    let mut command = Command::new(popfetch);
    command
        .args(["--config", "/nonexistent", "sync"])
        .env("POPFETCH_TEST_NOW", "never");
    let said = command.output().map_err(|error| error.to_string())?.stderr;
    match String::from_utf8_lossy(&said).contains("POPFETCH_TEST_NOW") {
        true => Err(format!("{} has test hooks", popfetch.display())),
        false => Ok(()),
    }
}

/// Cargo's target folder: this program is in `target/release/deps`.
fn target() -> PathBuf {
    let myself = std::env::current_exe().expect("a program has a path");
    let above = myself.ancestors().nth(3).expect("cargo puts it there");
    above.to_owned()
}

/// Writes to standard error.
fn say(message: &str) {
    let _ = writeln!(std::io::stderr(), "{message}");
}

fn print(text: &str) {
    let mut output = std::io::stdout();
    let _ = output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush());
}
