//! Who may know whom: the arrows between the modules of the layers, that is, the modules of the crate.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each module, and the modules it knows. All of them are below it, so that nothing goes in circles.
const LAYERS: &[(&str, &str)] = &[
    // the wiring: only these know a command line and the user interface
    ("main", "commands cli ui environment error"),
    (
        "commands",
        "cli ui sync connecting secret config report deliver plan environment error process net cancel journal text",
    ),
    ("cli", "mail size"),
    ("ui", "report monitor size error text"),
    // what the errors of the layers below mean to a person and a script
    ("explain", "config net secret fs process cancel error"),
    // carrying a plan out
    (
        "sync",
        "connecting client secret config report deliver journal plan pop3 monitor environment message error mail crash net cancel",
    ),
    (
        "connecting",
        "client secret config pop3 net monitor error cancel",
    ),
    // the server: DELE takes the journal's proof
    (
        "client",
        "secret journal pop3 sasl net error mail message text crash",
    ),
    // what a person wrote
    ("config", "pop3 deliver environment mail text net secret"),
    ("report", "plan monitor error mail"),
    // three that do not know each other
    (
        "deliver",
        "environment error fs mail message text crash process cancel",
    ),
    ("journal", "error fs mail message text crash"),
    ("plan", "mail"),
    // the protocol without a socket, and sockets without the protocol
    ("pop3", "sasl mail text"),
    ("sasl", "text"),
    ("net", "fs text cancel"),
    // where a password comes from
    ("secret", "process environment fs text cancel"),
    // commands that a person configured
    ("process", "environment text cancel"),
    // files and directories that last
    ("fs", "cancel text crash"),
    // plain values
    ("monitor", "error mail"),
    ("environment", "error"),
    ("message", "mail"),
    ("cancel", ""),
    ("size", ""),
    ("error", ""),
    ("mail", "text"),
    ("text", ""),
    // where tests kill the program
    ("crash", ""),
];

fn known_to(module: &str) -> Option<BTreeSet<String>> {
    let (_, modules) = LAYERS.iter().find(|(name, _)| *name == module)?;
    Some(modules.split_whitespace().map(str::to_owned).collect())
}

/// Every module, and the modules that its source names, tests left out.
fn source() -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in rust_files(&root) {
        let path = file.strip_prefix(&root).expect("a file below src/");
        let module = path.with_extension("");
        let names: Vec<&str> = module.iter().filter_map(|name| name.to_str()).collect();
        // lib.rs only lists the modules.
        if names == ["lib"] || is_for_tests(&file) {
            continue;
        }
        let from_the_top = match names.as_slice() {
            ["main"] => "popfetch::".to_owned(),
            _ => "super::".repeat(names.iter().filter(|name| **name != "mod").count()),
        };
        let text = fs::read_to_string(&file).expect("source can be read");
        let module = modules.entry(names[0].to_owned()).or_default();
        module.extend(
            named_modules(&text, &from_the_top)
                .into_iter()
                .filter(|name| name != names[0]),
        );
    }
    modules
}

/// Whether a file below src/ is there for tests alone.
pub(crate) fn is_for_tests(file: &Path) -> bool {
    let name = file.file_stem().and_then(|name| name.to_str());
    matches!(name, Some("tests" | "testing"))
}

/// Every source file below a directory.
pub(crate) fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("src/ can be read");
    let paths = entries.map(|entry| entry.expect("src/ can be read").path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => rust_files(&path),
            false => vec![path],
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The lines of a module without its comments and its tests.
pub(crate) fn code(text: &str) -> impl Iterator<Item = &str> {
    let for_tests = |line: &&str| matches!(*line, "mod tests {" | "mod testing {");
    let lines = text.lines().take_while(move |line| !for_tests(line));
    lines.filter(|line| !line.trim_start().starts_with("//"))
}

/// The modules that a module names, by either way.
fn named_modules(text: &str, from_the_top: &str) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    for line in code(text) {
        for way in ["crate::", from_the_top] {
            for after in line.split(way).skip(1) {
                let end = after.find(|c: char| !c.is_alphanumeric() && c != '_');
                let module = &after[..end.unwrap_or(after.len())];
                assert!(!module.is_empty(), "one module a line, please: {line}");
                modules.insert(module.to_owned());
            }
        }
    }
    modules
}

#[test]
fn every_module_imports_only_what_it_may() {
    for (module, named) in source() {
        let allowed =
            known_to(&module).unwrap_or_else(|| panic!("{module} has no place in LAYERS"));
        let forbidden: Vec<_> = named.difference(&allowed).collect();
        assert!(forbidden.is_empty(), "{module} must not know {forbidden:?}");
        let unused: Vec<_> = allowed.difference(&named).collect();
        assert!(
            unused.is_empty(),
            "{module} does not use {unused:?} any more"
        );
    }
}

#[test]
fn every_arrow_points_down() {
    for (place, (module, _)) in LAYERS.iter().enumerate() {
        for known in known_to(module).expect("it is in LAYERS") {
            let below = LAYERS[place + 1..].iter().any(|(name, _)| *name == known);
            assert!(below, "{module} → {known}");
        }
    }
}

#[test]
fn only_the_wiring_knows_the_terminal() {
    let knowing = |wanted: &str| -> Vec<String> {
        let modules = source().into_iter();
        let knowing = modules.filter(|(_, named)| named.contains(wanted));
        knowing.map(|(module, _)| module).collect()
    };
    assert_eq!(knowing("ui"), ["commands", "main"]);
    assert_eq!(knowing("commands"), ["main"]);
}

#[test]
fn every_way_of_naming_a_module_is_seen() {
    let text = "use crate::ui::Ui;\n// crate::mail\nfn f(x: &super::super::net::Stream) {}\n\
                use super::wire;\n#[cfg(test)]\nmod tests {\n    use crate::plan;\n}\n";
    let modules: Vec<String> = named_modules(text, "super::super::").into_iter().collect();
    assert_eq!(modules, ["net", "ui"]);
}
