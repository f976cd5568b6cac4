//! Which files a password or a key may be in.
//!
//! The file that was opened is judged, not its name. It must be closed to others: ours with 0600 or stricter, or root's
//! with 0640 or stricter. Container platforms and systemd hand secrets over with other modes and owners, in places that
//! they make for this: there any file will do, unless others could have put it there.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags, Stat, StatVfsMountFlags};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::error::{Error, Result};
use super::read::to_end;
use crate::cancel::Wait;

/// Where containers find the secrets that their platform hands over.
const HANDED_OVER: [&str; 2] = ["/run/secrets", "/var/run/secrets"];

/// The variable in which systemd names the directory with a service's secrets.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// The longest that a secret may take to come, from a FIFO or a command: a person may have to type a passphrase there.
pub(crate) const SECRET_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Reads a file with a password or a key, or what comes out of a FIFO; errors call it by this name.
///
/// # Errors
///
/// [`Error::Secret`]: it cannot be opened, others could read or change it, or it cannot be read in time.
pub(crate) fn read_secret(path: &Path, name: &str, wait: Wait<'_>) -> Result<Zeroizing<Vec<u8>>> {
    let user = rustix::process::geteuid().as_raw();
    let credentials = std::env::var_os(CREDENTIALS_DIRECTORY).map(PathBuf::from);
    let places = HANDED_OVER.iter().map(PathBuf::from);
    let places: Vec<_> = places.chain(credentials).collect();
    let opened = open_secret(user, path, &places);
    let read = opened.and_then(|file| {
        to_end(&file, wait).map_err(|error| Error::Read {
            path: path.to_owned(),
            source: Arc::new(error),
        })
    });
    read.map_err(|source| Error::Secret {
        name: name.to_owned(),
        source: Box::new(source),
    })
}

/// Opens it without waiting for the writer of a FIFO.
fn open_secret(user: u32, path: &Path, places: &[PathBuf]) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let cannot = |doing| move |errno: Errno| Error::cannot(doing, path, errno);
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(cannot("open"))?;
    let stat = rustix::fs::fstat(&file).map_err(cannot("look at"))?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if !matches!(kind, FileType::RegularFile | FileType::Fifo) {
        return Err(Error::NotAFile(path.to_owned()));
    }
    if let Err(error) = check_closed(&stat, user, path)
        && !is_handed_over(&stat, path, places)?
    {
        return Err(error);
    }
    Ok(file)
}

fn check_closed(stat: &Stat, user: u32, path: &Path) -> Result<()> {
    let (uid, mode) = (stat.st_uid, stat.st_mode & 0o777);
    let is_ours = uid == user;
    if uid == 0 && mode & 0o037 == 0 || is_ours && mode & 0o077 == 0 {
        return Ok(());
    }
    let path = path.to_owned();
    Err(match uid == 0 || is_ours {
        true => Error::Exposed {
            path,
            mode,
            is_ours,
        },
        false => Error::OwnedByOther { path, uid },
    })
}

/// Whether a file lies, all links resolved, in one of these places.
///
/// # Errors
///
/// It does, but others can write to it, or to a directory from the place down.
fn is_handed_over(opened: &Stat, path: &Path, places: &[PathBuf]) -> Result<bool> {
    let Ok(file) = path.canonicalize() else {
        return Ok(false);
    };
    let is_above =
        |place: &PathBuf| place != Path::new("/") && *place != file && file.starts_with(place);
    let places = places.iter().filter(|place| place.is_absolute());
    let places = places.filter_map(|place| place.canonicalize().ok());
    // Of two places, one in the other, the inner one has fewer directories that could be open to others.
    let innermost = places
        .filter(is_above)
        .max_by_key(|place| place.as_os_str().len());
    let Some(place) = innermost else {
        return Ok(false);
    };
    // From the place down: what others cannot write to holds what it held a moment ago.
    let steps: Vec<_> = file.ancestors().collect();
    let steps = steps.into_iter().rev().filter(|at| at.starts_with(&place));
    let mut last = None;
    for at in steps {
        last = Some(check_unwritable(at)?);
    }
    let is_opened = |stat: Stat| (stat.st_dev, stat.st_ino) == (opened.st_dev, opened.st_ino);
    Ok(last.is_some_and(is_opened))
}

/// Fails where other users can write to a file or a directory. A file system that is mounted read-only lets nobody write:
/// Kubernetes mounts secrets so, in a directory whose mode would let everybody.
fn check_unwritable(path: &Path) -> Result<Stat> {
    let cannot = |errno| Error::cannot("look at", path, errno);
    let stat = rustix::fs::lstat(path).map_err(cannot)?;
    let mode = stat.st_mode & 0o777;
    let mount = rustix::fs::statvfs(path).map_err(cannot)?;
    if mode & 0o022 != 0 && !mount.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(Error::WritableByOthers {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(stat)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::io::Write as _;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::thread;

    use tempfile::TempDir;

    use super::*;
    use crate::cancel::CancelToken;
    use crate::error::{Failure, Kind};
    use crate::fs::MAX_SECRET;

    /// Neither the user who runs the tests, nor root.
    const OTHER: u32 = 4711;

    fn us() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("our own file");
    }

    fn status(mode: u32, uid: u32) -> Stat {
        let plain = tempfile::tempfile().expect("a file");
        let mut stat = rustix::fs::fstat(&plain).expect("its status");
        (stat.st_mode, stat.st_uid) = (0o100_000 | mode, uid);
        stat
    }

    #[test]
    fn ours_must_be_0600_or_stricter_and_roots_0640_or_stricter() {
        let path = Path::new("/secret");
        let is_closed = |mode, uid, user| check_closed(&status(mode, uid), user, path).is_ok();
        for mode in [0o600, 0o400, 0] {
            assert!(is_closed(mode, 1000, 1000), "{mode:o}");
            assert!(is_closed(mode, 0, 1000), "{mode:o}, root's");
            assert!(!is_closed(mode, OTHER, 1000), "{mode:o}, another user's");
        }
        for mode in [0o640, 0o440] {
            assert!(!is_closed(mode, 1000, 1000), "{mode:o}");
            assert!(is_closed(mode, 0, 1000), "{mode:o}, root's");
            assert!(is_closed(mode, 0, 0), "{mode:o}, root's, for root");
        }
        for mode in [0o644, 0o660, 0o620, 0o650, 0o604, 0o602, 0o601] {
            assert!(!is_closed(mode, 1000, 1000), "{mode:o}");
            assert!(!is_closed(mode, 0, 1000), "{mode:o}, root's");
            assert!(!is_closed(mode, 0, 0), "{mode:o}, root's, for root");
        }
    }

    #[test]
    fn directories_and_devices_are_no_files() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = directory.path().parent().expect("it is in one").to_owned();
        for path in [directory.path(), Path::new("/dev/null")] {
            let error = open_secret(us(), path, std::slice::from_ref(&place)).expect_err("no file");
            assert!(matches!(error, Error::NotAFile(_)), "{error}");
        }
    }

    #[test]
    fn the_file_at_the_end_of_a_link_is_judged() {
        let directory = tempfile::tempdir().expect("a directory");
        let [file, link] = ["file", "link"].map(|name| directory.path().join(name));
        fs::write(&file, "secret").expect("written");
        symlink(&file, &link).expect("linked");
        for (mode, is_closed) in [(0o600, true), (0o644, false)] {
            set_mode(&file, mode);
            let opened = open_secret(us(), &link, &[]);
            assert_eq!(opened.is_ok(), is_closed, "{mode:o}");
        }
    }

    /// A place where secrets are handed over, as Kubernetes has it, and a file beside it that nobody may use.
    struct Place {
        root: TempDir,
    }

    impl Place {
        fn new() -> Self {
            let root = tempfile::tempdir().expect("a directory");
            let place = Place { root };
            fs::create_dir_all(place.at("place/..2026/deep")).expect("made");
            for name in [
                "place/..2026/password",
                "place/..2026/deep/password",
                "outside",
            ] {
                fs::write(place.at(name), "secret").expect("written");
                set_mode(&place.at(name), 0o644);
            }
            symlink("..2026", place.at("place/..data")).expect("linked");
            symlink("..data/password", place.at("place/password")).expect("linked");
            symlink("../outside", place.at("place/out")).expect("linked");
            symlink("place/password", place.at("in")).expect("linked");
            symlink("place", place.at("alias")).expect("linked");
            for directory in ["place", "place/..2026", "place/..2026/deep"] {
                set_mode(&place.at(directory), 0o755);
            }
            place
        }

        fn at(&self, name: &str) -> PathBuf {
            self.root.path().join(name)
        }

        /// Opens one of its files as another user would, who finds the place under this name.
        fn open_as(&self, place: &Path, name: &str) -> Result<OwnedFd> {
            open_secret(OTHER, &self.at(name), &[place.to_owned()])
        }

        fn open(&self, name: &str) -> Result<OwnedFd> {
            self.open_as(&self.at("place"), name)
        }
    }

    #[test]
    fn what_is_handed_over_may_have_any_owner_and_mode() {
        let place = Place::new();
        let names = ["password", "..data/deep/password", "..2026/password"];
        let names = names.map(|name| format!("place/{name}"));
        for name in names.iter().map(String::as_str).chain(["in"]) {
            for mode in [0o444, 0o644, 0o755, 0o640] {
                set_mode(&place.at("place/..2026/password"), mode);
                place.open(name).expect("handed over");
                place.open_as(&place.at("alias"), name).expect("the same");
            }
        }
    }

    #[test]
    fn what_a_link_leads_out_to_is_judged_as_anywhere() {
        let place = Place::new();
        for name in ["place/out", "outside", "place/../outside"] {
            assert!(place.open(name).is_err(), "{name}");
            set_mode(&place.at("outside"), 0o600);
            let ours = open_secret(us(), &place.at(name), &[place.at("place")]);
            assert!(ours.is_ok(), "{name}");
            set_mode(&place.at("outside"), 0o644);
        }
    }

    #[test]
    fn nothing_is_handed_over_where_others_can_write() {
        for (name, mode) in [
            ("place", 0o777),
            ("place", 0o1777),
            ("place", 0o775),
            ("place/..2026", 0o757),
            ("place/..2026/deep", 0o770),
            ("place/..2026/deep/password", 0o646),
            ("place/..2026/deep/password", 0o464),
        ] {
            let place = Place::new();
            set_mode(&place.at(name), mode);
            let error = place.open("place/..data/deep/password");
            let error = error.expect_err("others can write");
            let shown = place.at(name).display().to_string();
            assert!(error.to_string().contains(&shown), "{mode:o}: {error}");
        }
    }

    #[test]
    fn who_can_write_above_and_beside_does_not_matter() {
        let place = Place::new();
        set_mode(place.root.path(), 0o777);
        set_mode(&place.at("place/..2026/deep"), 0o777);
        place.open("place/password").expect("handed over");
    }

    #[test]
    fn a_place_within_another_counts_by_itself() {
        let place = Place::new();
        set_mode(&place.at("place"), 0o777);
        let places = [place.at("place"), place.at("place/..2026")];
        let file = place.at("place/..2026/password");
        open_secret(OTHER, &file, &places).expect("handed over");
    }

    #[test]
    fn no_place_is_the_root_a_relative_path_or_a_file() {
        let place = Place::new();
        let rooted = place.at("rooted");
        symlink("/", &rooted).expect("linked");
        let up = "../".repeat(64);
        let relative = up + place.at("place").to_str().expect("text");
        assert!(Path::new(&relative).exists(), "it leads there all the same");
        let file = place.at("place/..2026/password");
        for no_place in [Path::new("/"), &rooted, Path::new(&relative), &file] {
            let error = place.open_as(no_place, "place/password");
            let error = error.expect_err("it is handed over nowhere");
            let by_place = matches!(error, Error::WritableByOthers { .. });
            assert!(!by_place, "{}: {error}", no_place.display());
        }
    }

    #[test]
    fn the_places_are_where_containers_and_systemd_hand_secrets_over() {
        assert_eq!(HANDED_OVER, ["/run/secrets", "/var/run/secrets"]);
    }

    const LONG: Duration = Duration::from_secs(30);

    fn read_within(limit: Duration, path: &Path) -> Result<Zeroizing<Vec<u8>>> {
        read_secret(path, "it", Wait::at_most(limit, &CancelToken::new()))
    }

    fn ours(content: &[u8]) -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secret");
        fs::write(&path, content).expect("written");
        set_mode(&path, 0o600);
        (directory, path)
    }

    fn fifo() -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RUSR | Mode::WUSR).expect("made");
        (directory, path)
    }

    #[test]
    fn an_error_names_the_file_and_shows_nothing_of_it() {
        let (_directory, path) = ours(b"marker");
        set_mode(&path, 0o604);
        let failure = Failure::from(read_within(LONG, &path).expect_err("open to others"));
        assert_eq!(failure.kind(), Kind::Config);
        let shown = path.display();
        let message = format!("cannot use it: {shown} is open to other users (mode 0604)");
        assert_eq!(failure.to_string(), message);
        let hint = format!("Close it to them with: chmod 600 {shown}");
        assert_eq!(failure.hints(), [hint]);

        let missing = read_within(LONG, Path::new("/does/not/exist")).expect_err("missing");
        let failure = Failure::from(missing);
        assert_eq!(failure.kind(), Kind::Config);
        let message = failure.to_string();
        assert!(message.starts_with("cannot use it: cannot open /does/not/exist: "));
        assert!(!failure.hints().is_empty());
    }

    #[test]
    fn a_file_too_long_for_a_secret_is_refused() {
        let (_directory, path) = ours(&vec![b'x'; MAX_SECRET + 1]);
        let failure = Failure::from(read_within(LONG, &path).expect_err("too long"));
        assert_eq!(failure.kind(), Kind::Config);
        assert!(failure.to_string().ends_with("more than 64 KiB came"));
    }

    /// What a shell's `<(command)` gives: a pipe by a path.
    #[test]
    fn a_pipe_by_its_path_is_read() {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let path = PathBuf::from(format!("/dev/fd/{}", reader.as_raw_fd()));
        let later = thread::spawn(move || writer.write_all(b"piped\n").expect("written"));
        let read = read_within(LONG, &path).expect("read");
        later.join().expect("written");
        assert_eq!(*read, b"piped\n");
    }

    #[test]
    fn a_fifo_is_waited_for_until_its_writer_comes_but_not_for_ever() {
        let (_directory, path) = fifo();
        let short = read_within(Duration::from_millis(50), &path);
        let failure = Failure::from(short.expect_err("nobody writes"));
        assert_eq!(failure.kind(), Kind::Temporary);
        assert!(failure.to_string().ends_with("it took too long"));

        let to = path.clone();
        let writer = thread::spawn(move || fs::write(to, "handed over\n").expect("written"));
        let read = read_within(LONG, &path).expect("read");
        writer.join().expect("written");
        assert_eq!(*read, b"handed over\n");
    }
}
