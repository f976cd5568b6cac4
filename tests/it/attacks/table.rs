//! The table of attacks is whole, and true.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const TABLE: &str = include_str!("mod.rs");

/// The numbers that were given to attacks.
fn numbers() -> BTreeSet<u32> {
    (1..=25).chain(30..=42).chain(50..=78).collect()
}

/// The rows of the table: numbers, and what stands in the last column.
fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("//! | A")?.split(" | ").collect();
        let [numbers, _, tests] = cells[..] else {
            panic!("not three columns: {line}")
        };
        Some((numbers, tests.trim_end_matches(" |")))
    })
}

/// `03–A05, A17` without its first `A`.
fn expanded(cell: &str) -> BTreeSet<u32> {
    let number = |text: &str| -> u32 {
        let digits = text.trim_start_matches('A');
        digits
            .parse()
            .unwrap_or_else(|_| panic!("no number: {cell}"))
    };
    let ranges = cell.split(", ").map(|range| {
        let (first, last) = range.split_once('–').unwrap_or((range, range));
        number(first)..=number(last)
    });
    ranges.flatten().collect()
}

/// The source of a module of these tests.
fn source(module: &[&str]) -> String {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let path: PathBuf = directory.join(module.join("/"));
    let text = fs::read_to_string(path.with_extension("rs"));
    text.unwrap_or_else(|_| panic!("there is no module {}", module.join("::")))
}

#[test]
fn every_attack_has_one_row() {
    let mut listed = BTreeSet::new();
    for number in rows().flat_map(|(numbers, _)| expanded(numbers)) {
        assert!(listed.insert(number), "A{number:02} is listed twice");
    }
    assert_eq!(listed, numbers());
}

#[test]
fn every_test_of_the_table_exists() {
    for (numbers, tests) in rows() {
        if expanded(numbers)
            .iter()
            .all(|number| [77, 78].contains(number))
        {
            assert_eq!(tests, "popfetch asks for none");
            continue;
        }
        for test in tests.split(", ") {
            let path = test.trim_matches('`').split("::").collect::<Vec<_>>();
            let (name, module) = path.split_last().expect("a path");
            let test = format!("#[test]\nfn {name}() {{");
            assert!(
                source(module).contains(&test),
                "A{numbers}: {}",
                path.join("::")
            );
        }
    }
}

#[test]
fn every_test_with_a_number_is_in_the_row_of_that_number() {
    for module in ["authentication", "machine", "parsing", "protection"] {
        let source = source(&["attacks", module]);
        let tests = source.split("#[test]\nfn ").skip(1);
        for name in tests.filter_map(|test| test.split('(').next()) {
            let path = format!("`attacks::{module}::{name}`");
            let row = rows().find(|(_, tests)| tests.contains(&path));
            let (numbers, _) = row.unwrap_or_else(|| panic!("{path} is not in the table"));
            let numbers = expanded(numbers);
            for word in name.split('_').filter_map(|word| word.strip_prefix('a')) {
                if let Ok(number) = word.parse() {
                    assert!(numbers.contains(&number), "{path}");
                }
            }
        }
    }
}
