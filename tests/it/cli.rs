//! The command line.

use crate::support::sandbox::Sandbox;

#[test]
fn help_and_version_go_to_standard_output() {
    for arguments in [&["--help"][..], &["--version"], &["sync", "--help"]] {
        let outcome = Sandbox::new().run(arguments);
        outcome.ends_with(0);
        assert!(outcome.stdout.contains("popfetch"), "{outcome:#?}");
        assert!(outcome.stderr.is_empty(), "{outcome:#?}");
    }
}

#[test]
fn a_wrong_command_line_ends_with_64() {
    for arguments in [
        &["fetch"][..],
        &["sync", "--no-such-option"],
        &["sync", "--limit", "many"],
        &["sync", "--max-size", "large"],
        &["sync", "--leave-on-server", "sometimes"],
        &["sync", "--url", "https://example.com"],
        &[
            "sync",
            "--url",
            "pops://alice@127.0.0.1",
            "--to",
            "nowhere:/x",
        ],
        &["login"],
    ] {
        let outcome = Sandbox::new().run(arguments);
        outcome.ends_with(64);
        assert!(!outcome.stderr.is_empty(), "{arguments:?}");
    }
}
