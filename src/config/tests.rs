//! Whole configurations. The samples in `tests/data/config` stand beside what is made of them: the
//! accounts of a valid one, the error of an invalid one, in a `.txt` of the same name.
//! `SNAPSHOTS=overwrite` writes these anew; read them before they are committed.

use std::fmt::Write as _;
use std::fs;

use snapbox::{Data, assert_data_eq};
use tempfile::TempDir;

use super::*;
use crate::error::{Failure, Kind};

const HOME: &str = "/home/alice";

fn read_sample(text: &str) -> Result<Vec<Account>, Failure> {
    let path = Path::new("/etc/popfetch/config.toml");
    Ok(parse(text, path, Path::new(HOME), &Overrides::default())?)
}

/// Compares what becomes of each sample in the directory with the text beside it.
fn each_sample(directory: &str, outcome: impl Fn(&str) -> String) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/config")
        .join(directory);
    let mut samples = 0;
    for entry in fs::read_dir(&directory).expect("the directory of samples") {
        let path = entry.expect("a sample").path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            samples += 1;
            let text = fs::read_to_string(&path).expect("a readable sample");
            let expected = Data::read_from(&path.with_extension("txt"), None);
            assert_data_eq!(outcome(&text), expected.raw());
        }
    }
    assert!(samples > 0, "no samples in {}", directory.display());
}

fn described(account: &Account) -> String {
    let mut text = String::new();
    writeln!(
        text,
        "{}: {} at {} port {}",
        account.name, account.server.user, account.server.host, account.server.port
    )
    .expect("a string takes it");
    for (what, value) in [
        ("tls", format!("{:?}", account.server.tls)),
        (
            "tls_min_version",
            account.server.tls_min_version.to_string(),
        ),
        ("ca_files", format!("{:?}", account.server.ca_files)),
        (
            "pins",
            format!(
                "{:?}",
                account
                    .server
                    .tls_fingerprints
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
            ),
        ),
        (
            "server name",
            format!("{:?}", account.server.tls_server_name),
        ),
        ("client", format!("{:?}", account.server.client_certificate)),
        ("secret", format!("{:?}", account.server.secret)),
        ("auth", format!("{:?}", account.server.auth)),
        (
            "cleartext",
            account.server.allow_cleartext_password.to_string(),
        ),
        ("leave", format!("{:?}", account.leave_on_server)),
        ("timeout", format!("{:?}", account.server.timeout)),
        ("pipe_jobs", account.pipe_jobs.to_string()),
        ("quiet_temporary", format!("{:?}", account.quiet_temporary)),
        ("after_new", format!("{:?}", account.after_new)),
    ] {
        writeln!(text, "  {what}: {value}").expect("a string takes it");
    }
    for destination in &account.deliver {
        writeln!(text, "  deliver: {destination}").expect("a string takes it");
    }
    text
}

#[test]
fn valid_samples_give_the_accounts_beside_them() {
    each_sample("valid", |text| {
        let accounts = read_sample(text).expect("a valid sample");
        accounts.iter().map(described).collect()
    });
}

#[test]
fn invalid_samples_give_the_errors_beside_them() {
    each_sample("invalid", |text| {
        let failure = read_sample(text).expect_err("an invalid sample");
        assert_eq!(failure.kind(), Kind::Config);
        let mut shown = format!("error: {failure}\n");
        for hint in failure.hints() {
            writeln!(shown, "hint: {hint}").expect("a string takes it");
        }
        assert!(!shown.contains("hunter2"), "a secret is shown:\n{shown}");
        shown
    });
}

#[test]
fn a_wrong_destination_is_explained_where_it_stands() {
    for wrong in ["~/Mail", "maildir:"] {
        let why = Spec::parse(wrong, Path::new(HOME), Path::new("/")).expect_err("none");
        let why = format!(" {why}");
        let accounts = "[accounts.w]\nhost = \"h\"\nuser = \"u\"\n";
        let alone = format!("{accounts}deliver = \"{wrong}\"");
        let listed = format!("{accounts}deliver = [\n  \"maildir:a\",\n  \"{wrong}\",\n]");
        for (text, place) in [(alone, ".toml:4:11"), (listed, ".toml:6:3")] {
            let failure = read_sample(&text).expect_err("a wrong destination");
            let message = failure.message();
            assert!(message.contains(place), "{message}");
            assert!(message.ends_with(&why), "{message}");
        }
    }
}

/// A machine whose home, configuration and state are in a directory of the test.
fn machine(directory: &TempDir) -> Environment {
    let mut environment = Environment::system().expect("an environment");
    environment.home = directory.path().join("home");
    environment.config_dir = directory.path().join("config");
    environment.state_dir = directory.path().join("state");
    fs::create_dir(&environment.config_dir).expect("a new directory");
    environment
}

const ACCOUNTS: &str = r#"
[accounts.work]
host = "pop.example.com"
user = "alice"
ca_file = "roots.pem"
deliver = "maildir:Mail"
leave_on_server = "never"

[accounts.home]
host = "pop.example.org"
user = "alice"
deliver = "maildir:~/Mail"
"#;

#[test]
fn relative_paths_begin_in_the_files_directory() {
    let directory = TempDir::new().expect("a directory");
    let environment = machine(&directory);
    fs::write(environment.config_dir.join("config.toml"), ACCOUNTS).expect("written");

    let config = load(None, &environment, &Overrides::default()).expect("a configuration");
    assert_eq!(config.path, environment.config_dir.join("config.toml"));
    let [work, home] = &config.accounts[..] else {
        panic!("two accounts: {:?}", config.accounts);
    };
    let base = &environment.config_dir;
    assert_eq!(work.server.ca_files, [base.join("roots.pem")]);
    assert_eq!(work.deliver, [Spec::Maildir(base.join("Mail"))]);
    assert_eq!(home.deliver, [Spec::Maildir(environment.home.join("Mail"))]);
}

#[test]
fn the_command_line_overrides_every_account_and_adds_roots() {
    let directory = TempDir::new().expect("a directory");
    let environment = machine(&directory);
    let path = directory.path().join("other.toml");
    let without_destination = "[accounts.w]\nhost = \"h\"\nuser = \"u\"\n";
    fs::write(&path, ACCOUNTS.to_owned() + without_destination).expect("written");
    assert!(load(Some(&path), &environment, &Overrides::default()).is_err());

    let to = Spec::Maildir(PathBuf::from("/elsewhere"));
    let overrides = Overrides {
        deliver: Some(to.clone()),
        leave_on_server: Some(Retention::Always),
        ca_file: Some(PathBuf::from("/other.pem")),
    };
    let config = load(Some(&path), &environment, &overrides).expect("a configuration");
    assert_eq!(config.accounts.len(), 3);
    let own = directory.path().join("roots.pem");
    let extra = PathBuf::from("/other.pem");
    assert_eq!(config.accounts[0].server.ca_files, [own, extra.clone()]);
    assert_eq!(config.accounts[1].server.ca_files, [extra]);
    for account in &config.accounts {
        assert_eq!(account.deliver, std::slice::from_ref(&to));
        assert_eq!(account.leave_on_server, Retention::Always);
    }
}

#[test]
fn a_first_run_is_told_what_to_write() {
    let directory = TempDir::new().expect("a directory");
    let environment = machine(&directory);
    let error = load(None, &environment, &Overrides::default()).expect_err("no file");
    let failure = Failure::from(error);
    assert_eq!(failure.kind(), Kind::Config);
    assert!(failure.message().contains("config.toml"), "{failure}");
    let (_, example) = failure.hints()[0].split_once('\n').expect("an example");
    read_sample(example).expect("an example that works");
    assert!(failure.hints()[1].contains("--url"));
}

#[test]
fn a_file_that_cannot_be_read_is_a_configuration_error() {
    let directory = TempDir::new().expect("a directory");
    let environment = machine(&directory);
    let missing = directory.path().join("missing.toml");
    let no_text = directory.path().join("latin1.toml");
    fs::write(&no_text, b"# caf\xe9\n").expect("written");
    let endless = directory.path().join("large.toml");
    fs::write(&endless, vec![b'#'; 1024 * 1024 + 1]).expect("written");
    for path in [&missing, &no_text, &endless, &directory.path().to_owned()] {
        let error = load(Some(path), &environment, &Overrides::default()).expect_err("no text");
        let failure = Failure::from(error);
        assert_eq!(failure.kind(), Kind::Config);
        let name = path.display().to_string();
        assert!(failure.message().contains(&name), "{failure}");
    }
}

#[test]
fn accounts_are_selected_in_the_order_of_the_command_line() {
    let config = Config {
        accounts: read_sample(ACCOUNTS).expect("a configuration"),
        path: PathBuf::from("/etc/popfetch/config.toml"),
    };
    let selected = |names: &[&str]| -> Result<Vec<String>, Failure> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let accounts = config.select(&names)?;
        Ok(accounts.into_iter().map(|account| account.name).collect())
    };
    assert_eq!(selected(&[]).expect("all"), ["work", "home"]);
    assert_eq!(
        selected(&["home", "work", "home"]).expect("both"),
        ["home", "work"]
    );

    let failure = selected(&["wrok"]).expect_err("a misspelt name");
    assert_eq!(failure.kind(), Kind::Usage);
    assert_eq!(failure.hints(), ["Did you mean work?"]);
    let failure = selected(&["\u{1b}[2J"]).expect_err("an odd name");
    assert!(!failure.to_string().contains('\u{1b}'));
    assert_eq!(failure.hints(), ["There are: work, home."]);
}

#[test]
fn a_url_in_the_place_of_a_name_is_not_repeated() {
    let config = Config {
        accounts: read_sample(ACCOUNTS).expect("a configuration"),
        path: PathBuf::from("/etc/popfetch/config.toml"),
    };
    for name in [
        "pops://alice:hunter2@host",
        "pops://alice@host:hunter2",
        "imap://hunter2",
        "alice:hunter2@host",
    ] {
        let error = config.select(&[name.to_owned()]).expect_err("no account");
        let failure = Failure::from(error);
        assert_eq!(failure.kind(), Kind::Usage);
        let told = format!("{failure} {:?}", failure.hints());
        assert!(!told.contains("hunter2"), "{told}");
        assert!(told.contains("--url") && told.contains("work"), "{told}");
    }
}
