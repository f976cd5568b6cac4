//! Runs one program to its end and says what that took.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use wait4::Wait4 as _;

/// What a run took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// From start to end, in seconds.
    pub(crate) wall: f64,
    /// User and system time of the program and of the children it waited for, in seconds.
    pub(crate) cpu: f64,
    /// Most memory that any one process of it held, in bytes.
    pub(crate) peak: u64,
}

/// The first argument that makes this program a [`measured`] one.
pub(crate) const MEASURE: &str = "--measure";

/// Runs a command and measures it. Between us and the command stands a small process of our own: Linux
/// counts what a process held before it executed a program as that program's peak.
pub(crate) fn measure(command: &Command, scratch: &Path) -> Result<Cost, String> {
    let report = scratch.join("cost.json");
    let myself = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut through = Command::new(myself);
    through.arg(MEASURE).arg(&report).arg(command.get_program());
    through.args(command.get_args()).env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            through.env(name, value);
        }
    }
    let said = scratch.join("said");
    let file = fs::File::create(&said).and_then(|file| Ok((file.try_clone()?, file)));
    let (output, errors) = file.map_err(|error| error.to_string())?;
    through.stdin(Stdio::null()).stdout(output).stderr(errors);
    let status = through.status().map_err(|error| error.to_string())?;
    if !status.success() {
        let said = fs::read(&said).unwrap_or_default();
        return Err(format!("{status}: {}", String::from_utf8_lossy(&said)));
    }
    let report = fs::read(&report).map_err(|error| error.to_string())?;
    serde_json::from_slice(&report).map_err(|error| error.to_string())
}

/// What the small process does: `FILE PROGRAM ARGUMENT…`.
pub(crate) fn measured(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let (Some(report), Some(program)) = (arguments.next(), arguments.next()) else {
        return ExitCode::from(64);
    };
    let run = || -> io::Result<bool> {
        let begun = Instant::now();
        let ended = Command::new(program).args(arguments).spawn()?.wait4()?;
        let cost = Cost {
            wall: begun.elapsed().as_secs_f64(),
            cpu: (ended.rusage.utime + ended.rusage.stime).as_secs_f64(),
            peak: ended.rusage.maxrss,
        };
        fs::write(report, serde_json::to_vec(&cost)?)?;
        Ok(ended.status.success())
    };
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            crate::say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Least, middle and most of some numbers.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) middle: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of at least one number.
    pub(crate) fn of(numbers: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let (low, high) = (sorted.len().saturating_sub(1) / 2, sorted.len() / 2);
        Spread {
            least: at(0),
            middle: f64::midpoint(at(low), at(high)),
            most: at(sorted.len().saturating_sub(1)),
        }
    }
}

/// Seconds, short.
pub(crate) fn seconds(seconds: f64) -> String {
    let duration = Duration::from_secs_f64(seconds.max(0.0));
    match duration.as_millis() {
        0..10 => format!("{:.1} ms", seconds * 1e3),
        10..1000 => format!("{:.0} ms", seconds * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}
