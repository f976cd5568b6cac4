//! Installs the peers and builds popfetch.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Installs what is to be compared, where it is missing: a list of `tests/support/install.sh`.
pub(crate) fn install(list: &str) -> Result<(), String> {
    let script = format!("set -euo pipefail; . tests/support/install.sh; need \"${{{list}[@]}}\"");
    let mut bash = Command::new("bash");
    bash.args(["-c", &script, "install"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    match bash.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the peers could not be installed: {status}")),
        Err(error) => Err(format!("bash cannot be started: {error}")),
    }
}

/// Builds the program as a person does. What cargo built for this benchmark has the hooks of the tests.
pub(crate) fn build() -> Result<PathBuf, String> {
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
    let popfetch = match build.status() {
        Ok(status) if status.success() => target().join("release/popfetch"),
        Ok(status) => return Err(format!("popfetch could not be built: {status}")),
        Err(error) => return Err(format!("cargo cannot be started: {error}")),
    };
    has_no_test_hooks(&popfetch)?;
    Ok(popfetch)
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

/// Cargo's target directory: this program is in `target/release/deps`.
pub(crate) fn target() -> PathBuf {
    let myself = std::env::current_exe().expect("a program has a path");
    let above = myself.ancestors().nth(3).expect("cargo puts it there");
    above.to_owned()
}
