//! A configuration file, and a URL in the place of one.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use popfetch::config::{self, Account, MAX_PIPE_JOBS, Overrides, Server, Tls};
use popfetch::deliver::Spec;
use popfetch::environment::Environment;
use popfetch::error::{Failure, Kind};
use popfetch::secret::SecretSource;

/// What was written where no password belongs.
const PASSWORD: &str = "hunter2";

/// The file; or, where it begins so, a URL.
pub(super) fn run(input: &[u8]) {
    let text = str::from_utf8(input).ok();
    match text.and_then(|text| text.strip_prefix("--url ")) {
        Some(url) => of_url(url),
        None => of_file(input),
    }
}

fn of_file(input: &[u8]) {
    super::with_directory(|directory| {
        let path = directory.join("config.toml");
        fs::write(&path, input).expect("our own file");
        let mut environment = Environment::system().expect("an environment");
        environment.home = directory.join("home");
        match config::load(Some(&path), &environment, &Overrides::default()) {
            Ok(config) => sound(&config.accounts),
            Err(error) => {
                let failure = Failure::from(error);
                assert_eq!(failure.kind(), Kind::Config);
                check_report(&failure, !hides_password(input));
            }
        }
    });
}

fn sound(accounts: &[Account]) {
    let distinct = |of: fn(&Account) -> String| {
        let all: BTreeSet<_> = accounts.iter().map(of).collect();
        all.len() == accounts.len()
    };
    assert!(!accounts.is_empty());
    assert!(distinct(|account| account.name.clone()));
    assert!(
        distinct(|account| account.mailbox().file_stem()),
        "two accounts would share a journal"
    );
    for account in accounts {
        let server = &account.server;
        let no_control = |text: &str| !text.is_empty() && !text.contains(char::is_control);
        assert!(no_control(&server.host) && no_control(&server.user) && server.port != 0);
        assert!(!account.deliver.is_empty());
        let distinct: BTreeSet<_> = account.deliver.iter().map(ToString::to_string).collect();
        assert_eq!(distinct.len(), account.deliver.len());
        assert!((Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&server.timeout));
        assert!(account.pipe_jobs.get() <= MAX_PIPE_JOBS);
        for spec in &account.deliver {
            let (Spec::Maildir(path) | Spec::Mbox(path)) = spec else {
                continue;
            };
            assert!(path.is_absolute(), "{}", path.display());
        }
    }
}

/// Whether the password stands only where it could not be taken for anything else: at the end of a
/// line that begins with the word.
fn hides_password(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let is_simple = !text.contains("\"\"\"") && !text.contains("'''");
    let mut lines = text.split('\n').filter(|line| line.contains(PASSWORD));
    is_simple
        && lines.all(|line| line.starts_with("password = ") && !line.contains(['[', '{', '.']))
}

fn check_report(failure: &Failure, may_repeat: bool) {
    let whole = std::iter::once(failure.message()).chain(failure.hints().iter().cloned());
    let whole: String = whole.collect::<Vec<_>>().join("\n");
    super::assert_harmless(&whole);
    assert!(!whole.is_empty() && whole.len() < 64 * 1024);
    assert!(may_repeat || !whole.contains(PASSWORD), "{whole}");
}

fn of_url(url: &str) {
    let overrides = Overrides {
        deliver: Some(Spec::Stdout),
        ..Overrides::default()
    };
    let account = match config::one_off(url, SecretSource::Prompt, &overrides) {
        Ok(account) => account,
        Err(error) => {
            let failure = Failure::from(error);
            assert_eq!(failure.kind(), Kind::Usage);
            return check_report(&failure, false);
        }
    };
    sound(std::slice::from_ref(&account));
    let server = &account.server;
    assert!(server.tls != Tls::None && !server.allow_cleartext_password);
    assert_eq!(account.name, format!("{}@{}", server.user, server.host));
    let again = config::one_off(&written(&account.server), SecretSource::Prompt, &overrides);
    let again = again.expect("what was read can be written");
    assert_eq!(format!("{again:?}"), format!("{account:?}"));
}

fn written(server: &Server) -> String {
    let scheme = match server.tls {
        Tls::Implicit => "pops",
        Tls::StartTls | Tls::None => "pop3",
    };
    let user: String = server
        .user
        .bytes()
        .map(|byte| format!("%{byte:02x}"))
        .collect();
    let host = match server.host.contains(':') {
        true => format!("[{}]", server.host),
        false => server.host.clone(),
    };
    format!("{scheme}://{user}@{host}:{}", server.port)
}
