//! A secret in a file that nobody else can get at.

use std::path::Path;

use zeroize::Zeroizing;

use super::read::{PATIENCE, ReadError, to_end};
use super::{Secret, Who, stopped, unusable};
use crate::cancel::{CancelToken, Wait, WaitError};
use crate::error::{Failure, Kind, Result};
use crate::fs::{self, open_secret, shown};

/// The secret in this file, or what comes out of this FIFO.
pub(super) fn read(path: &Path, who: &Who<'_>, token: &CancelToken) -> Result<Secret> {
    read_within(Wait::at_most(PATIENCE, token), path, who)
}

/// What is in a file that nobody else can get at; errors call it by this name.
pub(super) fn private(path: &Path, name: &str) -> Result<Zeroizing<Vec<u8>>> {
    private_within(Wait::at_most(PATIENCE, &CancelToken::new()), path, name)
}

fn private_within(wait: Wait<'_>, path: &Path, name: &str) -> Result<Zeroizing<Vec<u8>>> {
    let file = open_secret(path).map_err(|error| unfit(error, name))?;
    to_end(&file, wait).map_err(|error| unreadable(error, name))
}

fn read_within(wait: Wait<'_>, path: &Path, who: &Who<'_>) -> Result<Secret> {
    let name = format!("the password file {} of {who}", shown(path));
    let bytes = private_within(wait, path, &name)?;
    Secret::new(&bytes)
        .map_err(|why| unusable(&name, why).hint("Keep the password in it and nothing else."))
}

fn unfit(error: fs::Error, name: &str) -> Failure {
    let could_not_open = error.errno().is_some();
    let explained = Failure::from(error.clone());
    let failure = Failure::new(Kind::Config, format!("cannot use {name}")).because(error);
    match could_not_open {
        true => failure.hint("Check the path, and that this user may read the file."),
        false => explained
            .hints()
            .iter()
            .cloned()
            .fold(failure, Failure::hint),
    }
}

fn unreadable(error: ReadError, name: &str) -> Failure {
    let kind = match error {
        ReadError::TooLong { .. } => Kind::Config,
        ReadError::Wait(WaitError::TimedOut) => Kind::Temporary,
        ReadError::Wait(WaitError::Cancelled) => return stopped(name),
        ReadError::Io(_) => Kind::Io,
    };
    Failure::new(kind, format!("cannot read {name}")).because(error)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::time::Duration;

    use tempfile::TempDir;

    use super::super::read::LIMIT;
    use super::super::tests::WHO;
    use super::*;

    fn read_file(path: &Path) -> Result<Secret> {
        read(path, &WHO, &CancelToken::new())
    }

    fn file(mode: u32, content: &[u8]) -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("password");
        fs::write(&path, content).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("mode set");
        (directory, path)
    }

    #[test]
    fn a_private_file_gives_its_secret() {
        for mode in [0o600, 0o400] {
            let (_directory, path) = file(mode, b" p%s \xff\n");
            assert_eq!(read_file(&path).expect("a secret").expose(), b" p%s \xff");
        }
    }

    #[test]
    fn a_file_that_is_open_to_others_is_refused_whatever_they_may_do() {
        for mode in [0o644, 0o660, 0o620, 0o604, 0o602, 0o610, 0o601] {
            let (_directory, path) = file(mode, b"marker");
            let failure = read_file(&path).expect_err("open to others");
            assert_eq!(failure.kind(), Kind::Config, "{mode:o}");
            let failure_text = failure.to_string();
            assert!(failure_text.contains(&format!("mode {mode:04o}")));
            assert!(!failure_text.contains("marker"));
            let hint = format!("chmod 600 {}", path.display());
            assert!(
                failure.hints().join("").contains(&hint),
                "{:?}",
                failure.hints()
            );
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let failure = read_file(Path::new("/does/not/exist")).expect_err("missing");
        assert_eq!(failure.kind(), Kind::Config);
        assert!(
            failure
                .message()
                .contains("/does/not/exist of account work")
        );
    }

    #[test]
    fn a_second_line_is_an_error_that_does_not_show_it() {
        let (_directory, path) = file(0o600, b"marker\nmarker\n");
        let failure = read_file(&path).expect_err("two lines");
        assert_eq!(failure.kind(), Kind::Config);
        assert!(failure.to_string().ends_with("it has more than one line"));
        assert!(!format!("{failure} {:?}", failure.hints()).contains("marker"));
    }

    #[test]
    fn a_file_too_long_for_a_secret_is_refused() {
        let (_directory, path) = file(0o600, &vec![b'x'; LIMIT + 1]);
        let failure = read_file(&path).expect_err("too long");
        assert_eq!(failure.kind(), Kind::Config);
        assert!(failure.to_string().ends_with("more than 64 KiB came"));
    }

    /// What a shell's `<(command)` gives: a pipe by a path.
    #[test]
    fn a_pipe_by_its_path_gives_its_secret() {
        use std::io::Write;
        use std::os::fd::AsRawFd;
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let path = PathBuf::from(format!("/dev/fd/{}", reader.as_raw_fd()));
        let later = std::thread::spawn(move || writer.write_all(b"piped\n").expect("written"));
        let secret = read_file(&path).expect("a secret");
        later.join().expect("written");
        assert_eq!(secret.expose(), b"piped");
    }

    fn fifo() -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("fifo");
        let made = std::process::Command::new("mkfifo")
            .args(["-m", "600"])
            .arg(&path)
            .status();
        assert!(made.expect("mkfifo runs").success());
        (directory, path)
    }

    #[test]
    fn a_fifo_gives_the_secret_of_a_writer_that_comes_later() {
        let (_directory, path) = fifo();
        let writer = {
            let path = path.clone();
            std::thread::spawn(move || fs::write(path, "handed over\n").expect("written"))
        };
        let secret = read_file(&path).expect("a secret");
        writer.join().expect("written");
        assert_eq!(secret.expose(), b"handed over");
    }

    #[test]
    fn a_fifo_that_nobody_writes_to_is_not_waited_for_for_ever() {
        let (_directory, path) = fifo();
        let token = CancelToken::new();
        let short = Wait::at_most(Duration::from_millis(50), &token);
        let failure = read_within(short, &path, &WHO).expect_err("nobody writes");
        assert_eq!(failure.kind(), Kind::Temporary);
        assert!(failure.to_string().ends_with("it took too long"));
    }
}
