//! Popfetch beside its peers, and beside floors: programs that do as little as the work allows.
//!
//! `cargo bench --bench compare` installs the peers where they are missing, starts Dovecot over TLS and, for
//! what is far away, a delaying proxy; runs every row of the table in turns (A B A B …); checks that every
//! program stored every message right; and prints ratios of paired runs.
//!
//! ```text
//! cargo bench --bench compare -- [--quick] [--only PART] [--pairs N] [--json FILE] [--work-dir DIRECTORY]
//! ```

mod floor;
mod load;
mod measure;
mod program;
mod proxy;
mod rows;
mod run;
mod table;

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
    pub(crate) mod dovecot;
    pub(crate) mod mailbox;
    pub(crate) mod messages;
    pub(crate) mod server;
}

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use run::Bench;
use shared::set_up;

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
        work_dir: set_up::target().join("compare"),
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
    set_up::install("for_comparing")?;
    let popfetch = set_up::build()?;
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
