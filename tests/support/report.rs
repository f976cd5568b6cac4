//! What a run of the tests left out. `tests/run` names a file in [`REPORT`], to which each omission is added as a
//! line, and shows them at its end.
//!
//! The unit tests in `src/` use this file, too.

use std::fs::OpenOptions;
use std::io::Write as _;

/// The environment variable that names the file.
const REPORT: &str = "POPFETCH_TEST_REPORT";

/// Reports that the test that calls this cannot run on this machine. It must return then, and pass.
pub(crate) fn skip(reason: &str) {
    let was_added = add("skipped", reason);
    if !was_added {
        // Past the harness, which keeps to itself what a passing test prints.
        let _ = std::io::stderr().write_all(format!("SKIPPED: {reason}\n").as_bytes());
    }
}

/// Adds a line: what kind it is, which test, and the rest. False where there is no file.
pub(crate) fn add(kind: &str, rest: &str) -> bool {
    let Some(path) = std::env::var_os(REPORT) else {
        return false;
    };
    // The harness names each test's thread after the test.
    let thread = std::thread::current();
    let line = format!("{kind}\t{}\t{rest}\n", thread.name().unwrap_or("?"));
    let file = OpenOptions::new().append(true).create(true).open(path);
    let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
    written.expect("the report of the tests can be written");
    true
}
