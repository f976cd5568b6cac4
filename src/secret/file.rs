//! A secret in a file that nobody else can get at.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Stat};
use zeroize::Zeroizing;

use super::read::{PATIENCE, ReadError, to_end};
use super::{Secret, Who, acl, stopped, unusable};
use crate::cancel::{CancelToken, Wait, WaitError};
use crate::error::{Failure, Kind, OrFail, Result};
use crate::text::Untrusted;

/// What group and others may do.
const OTHERS: u32 = 0o077;

/// The secret in this file, or what comes out of this FIFO. Symbolic links are followed; it is the
/// file at their end that must be closed to others.
pub(super) fn read(path: &Path, who: &Who<'_>, token: &CancelToken) -> Result<Secret> {
    read_within(Wait::at_most(PATIENCE, token), path, who)
}

/// What is in a file that nobody else can get at; errors call it by this name.
pub(super) fn private(path: &Path, name: &str) -> Result<Zeroizing<Vec<u8>>> {
    private_within(Wait::at_most(PATIENCE, &CancelToken::new()), path, name)
}

fn private_within(wait: Wait<'_>, path: &Path, name: &str) -> Result<Zeroizing<Vec<u8>>> {
    let file = open(path)
        .or_fail(Kind::Config, || format!("cannot open {name}"))
        .map_err(|failure| failure.hint("Check the path, and that this user may read the file."))?;
    check(&file, path, name)?;
    to_end(&file, wait).map_err(|trouble| unreadable(trouble, name))
}

fn read_within(wait: Wait<'_>, path: &Path, who: &Who<'_>) -> Result<Secret> {
    let name = format!(
        "the password file {} of {who}",
        Untrusted(path.as_os_str().as_bytes())
    );
    let bytes = private_within(wait, path, &name)?;
    Secret::new(&bytes)
        .map_err(|why| unusable(&name, why).hint("Keep the password in it and nothing else."))
}

/// Opens without waiting: a FIFO nobody writes to yet would otherwise hold us up for ever.
fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Looks at the file that was opened, not at its path, which could lead elsewhere a moment later.
fn check(file: &OwnedFd, path: &Path, name: &str) -> Result<()> {
    let stat = rustix::fs::fstat(file)
        .map_err(io::Error::from)
        .or_fail(Kind::Io, || format!("cannot look at {name}"))?;
    let us = rustix::process::geteuid().as_raw();
    judge(&stat, us, || acl::lets_in_only(us, file)).map_err(|unfit| unfit.failure(path, name))
}

/// Why a file is no place for a password.
#[derive(Debug, PartialEq, Eq)]
enum Unfit {
    /// It is a directory or a device.
    NotAFile,
    /// It belongs to somebody who is neither this user nor root.
    Strangers(u32),
    /// Its mode lets others in.
    Open(u32),
}

fn judge(stat: &Stat, us: u32, lets_in_only_us: impl FnOnce() -> bool) -> Result<(), Unfit> {
    if !matches!(
        FileType::from_raw_mode(stat.st_mode),
        FileType::RegularFile | FileType::Fifo
    ) {
        return Err(Unfit::NotAFile);
    }
    if stat.st_uid != us && stat.st_uid != 0 {
        return Err(Unfit::Strangers(stat.st_uid));
    }
    let mode = stat.st_mode & 0o777;
    if mode & OTHERS != 0 && !lets_in_only_us() {
        return Err(Unfit::Open(mode));
    }
    Ok(())
}

impl Unfit {
    fn failure(&self, path: &Path, name: &str) -> Failure {
        let path = Untrusted(path.as_os_str().as_bytes());
        let (fault, hint) = match self {
            Unfit::NotAFile => (
                "is neither a file nor a pipe".to_owned(),
                "Name the file that contains the password.".to_owned(),
            ),
            Unfit::Strangers(owner) => (
                format!("belongs to another user (user id {owner})"),
                "It must belong to you or to root; otherwise its owner could read and change it."
                    .to_owned(),
            ),
            Unfit::Open(mode) => (
                format!("is open to other users (mode {mode:04o})"),
                format!("Close it to them with: chmod 600 '{path}'"),
            ),
        };
        Failure::new(Kind::Config, format!("{name} {fault}")).hint(hint)
    }
}

fn unreadable(trouble: ReadError, name: &str) -> Failure {
    let kind = match trouble {
        ReadError::TooLong { .. } => Kind::Config,
        ReadError::Wait(WaitError::TimedOut) => Kind::Temporary,
        ReadError::Wait(WaitError::Cancelled) => return stopped(name),
        ReadError::Io(_) => Kind::Io,
    };
    Failure::new(kind, format!("cannot read {name}")).because(trouble)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
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

    fn status(mode: u32, owner: u32) -> Stat {
        let plain = tempfile::tempfile().expect("a file");
        let mut stat = rustix::fs::fstat(&plain).expect("its status");
        stat.st_mode = mode;
        stat.st_uid = owner;
        stat
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
        for mode in [0o644, 0o640, 0o620, 0o604, 0o602, 0o610, 0o601] {
            let (_directory, path) = file(mode, b"marker");
            let failure = read_file(&path).expect_err("open to others");
            assert_eq!(failure.kind(), Kind::Config, "{mode:o}");
            assert!(failure.message().contains(&format!("mode {mode:04o}")));
            assert!(!failure.to_string().contains("marker"));
            let hint = format!("chmod 600 '{}'", path.display());
            assert!(
                failure.hints().join("").contains(&hint),
                "{:?}",
                failure.hints()
            );
        }
    }

    #[test]
    fn the_mode_that_counts_is_that_of_the_file_behind_a_link() {
        let (directory, path) = file(0o600, b"secret");
        let link = directory.path().join("link");
        symlink(&path, &link).expect("linked");
        assert_eq!(read_file(&link).expect("a secret").expose(), b"secret");

        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("mode set");
        read_file(&link).expect_err("open to others");
    }

    #[test]
    fn a_file_must_belong_to_us_or_root() {
        let judged = |owner| judge(&status(0o100_600, owner), 1000, || false);
        assert_eq!(judged(1000), Ok(()));
        assert_eq!(judged(0), Ok(()));
        assert_eq!(judged(1001), Err(Unfit::Strangers(1001)));
    }

    #[test]
    fn a_group_bit_may_stand_for_a_list_that_lets_in_only_us() {
        let credential = status(0o100_440, 0);
        assert_eq!(judge(&credential, 1000, || true), Ok(()));
        assert_eq!(judge(&credential, 1000, || false), Err(Unfit::Open(0o440)));
    }

    #[test]
    fn directories_and_devices_are_no_files() {
        let directory = tempfile::tempdir().expect("a directory");
        for path in [directory.path(), Path::new("/dev/null")] {
            let failure = read_file(path).expect_err("no file");
            assert_eq!(failure.kind(), Kind::Config);
            assert!(failure.message().ends_with("is neither a file nor a pipe"));
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
        let (reader, mut writer) = io::pipe().expect("a pipe");
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
