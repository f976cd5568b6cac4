//! The man pages and the completions of the shells are rendered from the command line's definition
//! and kept in `man/` and `completions/`. `SNAPSHOTS=overwrite` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::{Command as Verb, CommandFactory as _};
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use snapbox::{Data, assert_data_eq};

use crate::support::sandbox::Sandbox;

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The command line's definition, complete.
fn definition() -> Verb {
    let mut definition = popfetch::cli::Cli::command();
    definition.build();
    definition
}

/// Compares a rendered text with the file.
fn is_current(file: &Path, text: String) {
    assert_data_eq!(text, Data::read_from(file, None).raw());
}

/// A man page: what clap knows of the verb, the sections of its help's end, and what is written by
/// hand in `man/sections`: the description, then more sections.
fn page(verb: &Verb) -> String {
    let man = Man::new(verb.clone());
    let mut options = Vec::new();
    man.render_options_section(&mut options)
        .and_then(|()| match verb.has_subcommands() {
            true => man.render_subcommands_section(&mut options),
            false => Ok(()),
        })
        .expect("a Vec takes all");
    let options = String::from_utf8(options).expect("text");
    let help = verb.get_after_help().map(ToString::to_string);
    let by_hand = fs::read_to_string(directory("man/sections").join(man.get_filename()));
    let by_hand = by_hand.expect("each page has something written by hand");
    let first = by_hand.find(".SH").unwrap_or(by_hand.len());
    let (description, more) = by_hand.split_at(first);

    // Each part that is rendered begins with a preamble of its own; one is enough.
    let preamble = Roff::new().render();
    let parts = [
        head(verb).render(),
        description.to_owned(),
        options.replace("\n\n", "\n.sp\n"),
        sections(&help.unwrap_or_default()),
        more.to_owned(),
    ];
    format!(
        ".\\\" Rendered from src/cli.rs and man/sections by tests/it/generated.rs: do not edit.\n{preamble}{}",
        parts.concat().replace(&preamble, "")
    )
}

/// Title, name and synopsis, up to the heading of the description.
fn head(verb: &Verb) -> Roff {
    let name = verb.get_display_name().unwrap_or_else(|| verb.get_name());
    let about = verb.get_about().map(ToString::to_string);
    let usage = verb.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let program = verb.get_bin_name().unwrap_or_else(|| verb.get_name());
    let arguments = usage.strip_prefix(program).unwrap_or(usage);
    let mut roff = Roff::new();
    let release = concat!("popfetch ", env!("CARGO_PKG_VERSION"));
    roff.control(
        "TH",
        [&*name.to_uppercase(), "1", "\"\"", release, "popfetch"],
    );
    roff.control("SH", ["NAME"]);
    let about = about.unwrap_or_default();
    roff.text([roman(format!("{name} - {}", lower(&about)))]);
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold(program), roman(arguments)]);
    roff.control("SH", ["DESCRIPTION"]);
    roff
}

/// As the line stands in an index of pages.
fn lower(about: &str) -> String {
    let mut characters = about.chars();
    let first = characters.next().into_iter().flat_map(char::to_lowercase);
    first.chain(characters).collect()
}

/// The end of a help text as sections: a heading, then lines of a term and what it means.
fn sections(help: &str) -> String {
    let mut roff = Roff::new();
    for line in help.lines() {
        let content = line.trim_start();
        let indent = line.len() - content.len();
        if indent == 0 {
            roff.control(
                "SH",
                [content.trim_end_matches(':').to_uppercase().as_str()],
            );
        } else if indent > 4 {
            roff.text([roman(content)]);
        } else {
            let (term, meaning) = content.split_once("  ").unwrap_or((content, ""));
            roff.control("TP", []);
            roff.text([bold(term)]);
            if !meaning.is_empty() {
                roff.text([roman(meaning.trim_start())]);
            }
        }
    }
    roff.to_roff()
}

/// This verb and all below it.
fn with_verbs_below(verb: &Verb) -> Vec<&Verb> {
    let below = verb.get_subcommands().flat_map(with_verbs_below);
    std::iter::once(verb).chain(below).collect()
}

/// Every page that is rendered, by its file's name.
fn pages() -> Vec<(String, String)> {
    let definition = definition();
    with_verbs_below(&definition)
        .into_iter()
        .map(|verb| (Man::new(verb.clone()).get_filename(), page(verb)))
        .collect()
}

#[test]
fn the_man_pages_are_current() {
    for (name, text) in pages() {
        is_current(&directory("man").join(name), text);
    }
}

#[test]
fn the_man_pages_pass_mandoc() {
    for entry in fs::read_dir(directory("man")).expect("the pages") {
        let page = entry.expect("readable").path();
        if page.is_dir() {
            continue;
        }
        let mut command = Command::new("mandoc");
        command.args(["-T", "lint", "-W", "error"]).arg(&page);
        let output = command.output().expect("mandoc is installed");
        assert!(output.status.success(), "{output:#?}");
    }
}

#[test]
fn the_manual_knows_every_key_of_the_configuration() {
    let sandbox = Sandbox::new();
    sandbox.configure("[accounts.it]\nno-such-key-at-all = 1\n");
    let outcome = sandbox.run(&["sync"]);
    let (_, list) = outcome
        .ends_with(78)
        .stderr
        .split_once("expected one of")
        .expect("a list of all keys");
    let keys: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
    assert!(keys.len() > 10, "{keys:?}");
    let manual = fs::read_to_string(directory("man/popfetch-config.5")).expect("the manual");
    for key in keys {
        let heading = format!("\n.BR {key} ");
        assert!(manual.contains(&heading), "{key} has no paragraph");
    }
}

#[test]
fn the_example_of_the_manual_is_a_configuration() {
    let manual = fs::read_to_string(directory("man/popfetch-config.5")).expect("the manual");
    let (_, example) = manual.split_once(".EX\n").expect("an example");
    let (example, _) = example.split_once(".EE\n").expect("its end");
    let sandbox = Sandbox::new();
    sandbox.configure(example);
    // Good as far as it goes; the account's name is not in it.
    sandbox
        .run(&["sync", "nobody"])
        .ends_with(64)
        .complains("work");
}

/// The verbs that take names of accounts.
fn verbs_with_accounts(definition: &Verb) -> Vec<&str> {
    let takes_account = |verb: &Verb| {
        let mut positionals = verb.get_positionals();
        positionals.any(|argument| {
            let names = argument.get_value_names().unwrap_or_default();
            names.iter().any(|name| name.as_str() == "ACCOUNT")
        })
    };
    let mut verbs = with_verbs_below(definition);
    verbs.retain(|verb| takes_account(verb));
    verbs.into_iter().map(Verb::get_name).collect()
}

/// The options that take a value, as they are written.
fn options_with_values(definition: &Verb) -> Vec<String> {
    let verbs = with_verbs_below(definition);
    let arguments = verbs.into_iter().flat_map(Verb::get_arguments);
    let with_values = arguments.filter(|argument| argument.get_action().takes_values());
    let mut options: Vec<String> = with_values
        .filter_map(|argument| argument.get_long().map(|long| format!("--{long}")))
        .collect();
    options.sort();
    options.dedup();
    options
}

/// Arguments of `sed -n` that make it print the names of the accounts of a configuration. No single
/// quote is in them, so that they can stand in single quotes in every shell.
const NAMES: &str = r"-e 's/^[[:space:]]*\[[[:space:]]*accounts[[:space:]]*\.[[:space:]]*\([A-Za-z0-9_-]\{1,\}\)[[:space:]]*\].*/\1/p' \
        -e 's/^[[:space:]]*\[[[:space:]]*accounts[[:space:]]*\.[[:space:]]*[^][:space:]A-Za-z0-9_-]\([A-Za-z0-9_.@+-]\{1,\}\)[^][:space:]A-Za-z0-9_-][[:space:]]*\].*/\1/p'";

/// A shell's script: what clap renders, and the part that knows about accounts.
fn script(shell: Shell, by_hand: &str, separator: &str) -> String {
    let mut definition = definition();
    let verbs = verbs_with_accounts(&definition).join(separator);
    let values = options_with_values(&definition).join(separator);
    let mut rendered = Vec::new();
    generate(shell, &mut definition, "popfetch", &mut rendered);
    let rendered = String::from_utf8(rendered).expect("text");
    let by_hand = fs::read_to_string(directory("completions/accounts").join(by_hand));
    let by_hand = by_hand
        .expect("a part for each shell")
        .replace("@VERBS@", &verbs)
        .replace("@VALUES@", &values)
        .replace("@NAMES@", NAMES);
    if shell != Shell::Zsh {
        return rendered + &by_hand;
    }
    // zsh calls the script's first function at its end, so that ours stands before.
    let after = "\n(( $+functions[_popfetch_commands] ))";
    let (head, tail) = rendered.split_once(after).expect("the other functions");
    format!("{}{by_hand}{after}{tail}", with_accounts(head))
}

/// Where zsh would complete an account's name with a file's, it asks our function.
fn with_accounts(rendered: &str) -> String {
    let mut lines = Vec::new();
    for line in rendered.lines() {
        let argument = line.starts_with("'*::accounts --") || line.starts_with("':account --");
        lines.push(match argument {
            true => line.replace(":_default'", ":_popfetch_accounts'"),
            false => line.to_owned(),
        });
    }
    lines.join("\n") + "\n"
}

const BASH: &str = "completions/popfetch.bash";
const ZSH: &str = "completions/_popfetch";
const FISH: &str = "completions/popfetch.fish";

#[test]
fn the_completions_are_current() {
    is_current(&directory(BASH), script(Shell::Bash, "bash", " | "));
    is_current(&directory(ZSH), script(Shell::Zsh, "zsh", " "));
    is_current(&directory(FISH), script(Shell::Fish, "fish", " "));
}

/// What a shell makes of the last word of a line, in a directory with two configurations.
type Completer = fn(&Sandbox, line: &str) -> Vec<String>;

fn run(sandbox: &Sandbox, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .current_dir(sandbox.home(""));
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.env("HOME", sandbox.home("")).env("TERM", "xterm");
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|e| panic!("{program} is not installed: {e}"));
    assert!(output.status.success(), "{output:#?}");
    String::from_utf8(output.stdout).expect("text")
}

fn in_bash(sandbox: &Sandbox, line: &str) -> Vec<String> {
    const SCRIPT: &str = r#"
        source "$1"; shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        words=($(complete -p popfetch))
        for at in "${!words[@]}"; do [[ ${words[at]} == -F ]] && function=${words[at + 1]}; done
        "$function" popfetch "${@: -1}" "${@: -2:1}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let script = directory(BASH).display().to_string();
    let mut arguments = vec!["--norc", "-c", SCRIPT, "bash", &script];
    arguments.extend(line.split(' '));
    let said = run(sandbox, "bash", &arguments);
    said.lines().map(str::to_owned).collect()
}

fn in_fish(sandbox: &Sandbox, line: &str) -> Vec<String> {
    let script = directory(FISH).display().to_string();
    let ask = "source $argv[1]; complete -C $argv[2]";
    let said = run(sandbox, "fish", &["--no-config", "-c", ask, &script, line]);
    let name = |line: &str| line.split('\t').next().unwrap_or_default().to_owned();
    said.lines().map(name).collect()
}

/// zsh completes only what is typed at a terminal: in a pseudo-terminal of its own. A key of the test makes
/// it show what the line has become.
fn in_zsh(sandbox: &Sandbox, line: &str) -> Vec<String> {
    const SCRIPT: &str = r#"
        zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell "PROMPT=; fpath=(${(q)1} \$fpath); autoload -Uz compinit; compinit -u -D"
        zpty -w shell 'show() { print -r -- "<""<$BUFFER>"">" }; zle -N show; bindkey "^T" show'
        zpty -w -n shell "$2"$'\t\x14'
        zpty -r shell said '*<<*>>*'
        said=${said##*<<}; print -r -- ${said%%>>*}"#;
    let scripts = directory("completions").display().to_string();
    let said = run(sandbox, "zsh", &["-f", "-c", SCRIPT, "zsh", &scripts, line]);
    let word = said.trim_end().rsplit(' ').next().unwrap_or_default();
    vec![word.to_owned()]
}

#[test]
fn every_shell_completes_the_names_of_accounts() {
    let sandbox = Sandbox::new();
    sandbox.configure(
        "# [accounts.commented]\n[defaults]\n[accounts.work]\nuser = \"[accounts.no]\"\n\
         [ accounts . home ] # mine\n[accounts.\"alice@example.org\"]\n[accounts.'bob.c']\n\
         [accounts.work.more]\n",
    );
    sandbox.private_file("other.toml", "[accounts.remote]\n[accounts.removed]\n");
    let shells: [Completer; 3] = [in_bash, in_fish, in_zsh];
    for (line, expected) in [
        ("popfetch sync wo", "work"),
        ("popfetch sync work ho", "home"),
        ("popfetch -v login al", "alice@example.org"),
        ("popfetch logout bo", "bob.c"),
        ("popfetch state mark-seen wo", "work"),
        ("popfetch state mark", "mark-seen"),
        ("popfetch --config other.toml sync remot", "remote"),
        ("popfetch syn", "sync"),
        ("popfetch sync --dry", "--dry-run"),
        ("popfetch sync --config oth", "other.toml"),
    ] {
        for (shell, complete) in ["bash", "fish", "zsh"].into_iter().zip(shells) {
            let candidates = complete(&sandbox, line);
            assert_eq!(candidates, [expected], "{shell}: {line}");
        }
    }
    for complete in [in_bash, in_fish] {
        let mut all = complete(&sandbox, "popfetch sync ");
        all.sort();
        assert_eq!(all, ["alice@example.org", "bob.c", "home", "work"]);
    }
}
