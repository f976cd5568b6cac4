//! Every direct dependency stands in Cargo.toml below a line that says what it is for, and is used.
//! Which dependencies of theirs are allowed, `cargo deny` knows from deny.toml.

use std::fs;
use std::path::Path;

use crate::layers::{code, is_for_tests, rust_files};

/// A package whose library has another name.
const CALLED: [(&str, &str); 1] = [("md-5", "md5")];

/// A dependency as Cargo.toml names it, and the line above it.
struct Dependency {
    name: String,
    above: String,
}

fn dependencies(section: &str) -> Vec<Dependency> {
    let manifest = include_str!("../../Cargo.toml");
    let start = format!("[{section}]\n");
    let (_, after) = manifest.split_once(&start).expect("the section is there");
    let section = after.split("\n[").next().unwrap_or(after);
    let lines: Vec<&str> = section.lines().collect();
    let pairs = std::iter::once("").chain(lines.iter().copied()).zip(&lines);
    let named = pairs.filter(|(_, line)| !line.starts_with('#'));
    named
        .filter_map(|(above, line)| {
            Some(Dependency {
                name: line.split_once(" = ")?.0.to_owned(),
                above: above.to_owned(),
            })
        })
        .collect()
}

/// Whether one of these lines names the library of this package.
fn is_named<'a>(package: &str, mut lines: impl Iterator<Item = &'a str>) -> bool {
    let called = CALLED.iter().find(|(name, _)| *name == package);
    let library = called.map_or_else(
        || package.replace('-', "_"),
        |(_, library)| (*library).to_owned(),
    );
    let names = ["::", "!"].map(|after| library.clone() + after);
    let begins = |line: &str, at: usize| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || before == '_')
    };
    let is_in =
        |line: &str, name: &String| line.match_indices(name).any(|(at, _)| begins(line, at));
    lines.any(|line| names.iter().any(|name| is_in(line, name)))
}

fn sources(directories: &[&str]) -> Vec<(bool, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = directories
        .iter()
        .flat_map(|directory| rust_files(&root.join(directory)));
    let read = |file: &Path| fs::read_to_string(file).expect("source can be read");
    files
        .map(|file| (is_for_tests(&file), read(&file)))
        .collect()
}

#[test]
fn every_dependency_has_a_reason() {
    for section in ["dependencies", "dev-dependencies"] {
        for Dependency { name, above } in dependencies(section) {
            let is_reason = above.starts_with("# ") && above.ends_with('.') && above.len() > 10;
            assert!(is_reason, "what is {name} for? \"{above}\"");
        }
    }
}

#[test]
fn every_dependency_is_used() {
    let src = sources(&["src"]);
    let used = || {
        src.iter()
            .filter(|(for_tests, _)| !for_tests)
            .flat_map(|(_, text)| code(text))
    };
    for Dependency { name, .. } in dependencies("dependencies") {
        assert!(is_named(&name, used()), "nothing in src/ names {name}");
    }
    let all = sources(&["src", "tests", "benches"]);
    for Dependency { name, .. } in dependencies("dev-dependencies") {
        let lines = all.iter().flat_map(|(_, text)| text.lines());
        assert!(is_named(&name, lines), "no test names {name}");
    }
}

#[test]
fn a_word_that_only_contains_a_name_does_not_name_it() {
    assert!(is_named("md-5", ["use md5::Md5;"].into_iter()));
    assert!(is_named("log", ["    log::info!(\"x\");"].into_iter()));
    assert!(!is_named("log", ["use catalog::x; // log"].into_iter()));
    assert!(dependencies("dependencies").len() > 20);
}
