//! What fuzzing begins with, and what it found: every input in `fuzz/corpus` is tried. The search for
//! new ones is `fuzz/run`.

#[path = "../fuzz/targets/mod.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use targets::{ALL, Target};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

fn entries(directory: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory");
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

/// The inputs that break a target.
fn breaking(target: &Target) -> Vec<PathBuf> {
    let breaks = |path: &PathBuf| {
        let input = fs::read(path).expect("an input");
        catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err()
    };
    let inputs = entries(&corpus().join(target.name));
    assert!(
        inputs.len() > 5,
        "{} has few inputs to begin with",
        target.name
    );
    inputs.into_iter().filter(breaks).collect()
}

#[test]
fn no_input_of_the_corpus_breaks_its_target() {
    let broken: Vec<_> = ALL.iter().flat_map(breaking).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_directory_of_inputs_has_its_target() {
    let targets = ALL.iter().map(|target| corpus().join(target.name));
    assert_eq!(entries(&corpus()), targets.collect());
}
