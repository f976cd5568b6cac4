//! The file system as destinations need it: files that are moved without harm, and errors in plain words.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{Advice, AtFlags, Mode, RenameFlags};
use rustix::io::Errno;

use crate::crash;
use crate::error::{Failure, Kind, Result};
use crate::text::Untrusted;

/// Symbolic links that lead from one to the next; the kernel follows as many.
pub(super) const LINKS: usize = 40;

/// Mode of the files we make.
pub(super) const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A path, safe to show.
pub(super) fn shown(path: &Path) -> String {
    Untrusted(path.as_os_str().as_bytes()).to_string()
}

/// A failure to do this to this path: "cannot write /home/alice/Mail/tmp: No space left on device".
pub(super) fn failure(doing: &str, path: &Path, error: impl Into<io::Error>) -> Failure {
    let error = error.into();
    let errno = Errno::from_io_error(&error);
    let failure = Failure::new(kind(errno), format!("cannot {doing} {}", shown(path)));
    match errno.and_then(hint) {
        Some(hint) => failure.because(error).hint(hint),
        None => failure.because(error),
    }
}

/// A place where mail was stored, and that is gone. These directories in it would begin it anew.
pub(super) fn gone(what: &str, place: &Path, directories: &[&str]) -> Failure {
    let makeable = without_dead_links(place);
    let directories = directories.iter().map(|name| makeable.join(name));
    let words: Vec<_> = directories
        .map(|path| quoted(&path.components().collect::<PathBuf>()))
        .collect();
    Failure::new(
        Kind::Destination,
        format!("{what} {} is gone, and mail was stored there", shown(place)),
    )
    .hint("If it is on a disk or a server that is not mounted, mount that.")
    .hint(format!(
        "If it is to begin empty{}: mkdir -p {}",
        other_owner(&makeable)
            .map(|user| format!(", as user {user}"))
            .unwrap_or_default(),
        words.join(" ")
    ))
}

/// As root: the other user who owns a place, or the directory that it would be made in. What root made there by hand
/// would not be theirs.
fn other_owner(path: &Path) -> Option<u32> {
    let found = path
        .ancestors()
        .find_map(|above| fs::metadata(above).ok())?;
    Some(found.uid()).filter(|&user| user != 0 && rustix::process::geteuid().is_root())
}

/// A path to the same place on which `mkdir -p` can make what is missing: it does not go through a link that leads nowhere.
pub(super) fn without_dead_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let is_dead = |way: &&Path| way.is_symlink() && !way.exists();
        let Some(link) = path.ancestors().find(is_dead) else {
            break;
        };
        let Ok(target) = fs::read_link(link) else {
            break;
        };
        let rest = path.strip_prefix(link).unwrap_or(Path::new(""));
        let start = link.parent().unwrap_or(link);
        path = start.join(target).join(rest).components().collect();
    }
    path
}

/// A path as one word for a shell, safe to show.
fn quoted(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._+-,:@%=".contains(byte);
    let shown = format!("{:#}", Untrusted(bytes));
    if bytes.iter().all(is_plain) {
        shown
    } else if shown.as_bytes() == bytes {
        format!("'{}'", shown.replace('\'', r"'\''"))
    } else {
        let escaped = bytes.iter().map(|byte| match byte {
            b'\'' | b'\\' => format!("\\{}", char::from(*byte)),
            b' '..=b'~' => char::from(*byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        });
        format!("$'{}'", escaped.collect::<String>())
    }
}

/// Whether the place cannot be used as it stands, or the machine failed us.
fn kind(errno: Option<Errno>) -> Kind {
    match errno {
        Some(
            Errno::ACCESS
            | Errno::PERM
            | Errno::ROFS
            | Errno::NOSPC
            | Errno::DQUOT
            | Errno::FBIG
            | Errno::NOENT
            | Errno::NOTDIR
            | Errno::ISDIR
            | Errno::EXIST
            | Errno::LOOP
            | Errno::NAMETOOLONG,
        ) => Kind::Destination,
        _ => Kind::Io,
    }
}

fn hint(errno: Errno) -> Option<&'static str> {
    match errno {
        Errno::NOSPC => Some(
            "The disk is full, or has no inodes left: make room and run popfetch again. What is not stored is still on the server.",
        ),
        Errno::DQUOT => Some(
            "The disk quota is used up: make room and run popfetch again. What is not stored is still on the server.",
        ),
        Errno::ROFS => Some("The file system is mounted read-only."),
        Errno::ACCESS | Errno::PERM => {
            Some("Check who owns the path and each directory on the way to it.")
        }
        Errno::NOTDIR => Some(
            "Something on the way to it is no directory: choose another path, or move that away.",
        ),
        Errno::FBIG => Some("A limit on the size of files forbids it: see \"ulimit -f\"."),
        _ => None,
    }
}

/// Whether both paths lead to one file or directory, or would once it is made.
pub(super) fn lead_to_one(one: &Path, two: &Path) -> bool {
    match (fs::metadata(one), fs::metadata(two)) {
        (Ok(one), Ok(two)) => (one.dev(), one.ino()) == (two.dev(), two.ino()),
        _ => real(one) == real(two),
    }
}

/// A path without symbolic links and `..`, as far as there is something there.
fn real(path: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    let mut components = path.components();
    let Some(last) = components.next_back() else {
        return path.to_owned();
    };
    let mut real = real(components.as_path());
    match last {
        // What is yet to be made will be no link.
        Component::ParentDir => {
            real.pop();
        }
        _ => real.push(last),
    }
    real
}

/// Something that is no directory is where one was expected.
pub(super) fn not_a_directory(path: &Path) -> Failure {
    Failure::new(
        Kind::Destination,
        format!("{} is not a directory", shown(path)),
    )
    .hint("Choose another path, or move the file away.")
}

/// Whether something written at this time, in seconds since 1970, has more than this age, in seconds. Some
/// file systems hold any number as a time.
pub(super) fn is_older(written: i64, age: i64, now: Timestamp) -> bool {
    now.as_second().saturating_sub(written) > age
}

/// Makes the entries of a directory durable: files made, renamed and removed in it.
pub(super) fn sync_entries(directory: impl AsFd) -> Result<(), Errno> {
    match rustix::fs::fsync(directory) {
        // Some network file systems have nothing to sync for a directory and say so in this way.
        Err(Errno::INVAL) => Ok(()),
        other => other,
    }
}

/// Makes the data of a file durable that a run which was cut off may have written. Where that fails, what
/// memory holds of it is forgotten: the next run is to see what the disk holds.
pub(super) fn sync_found(file: impl AsFd) -> Result<(), Errno> {
    rustix::fs::fdatasync(&file).inspect_err(|_| {
        let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
    })
}

/// Moves a file to another name, never over one that is there ([`Errno::EXIST`]).
pub(super) fn move_without_replacing(
    from_directory: BorrowedFd<'_>,
    from: &Path,
    to_directory: BorrowedFd<'_>,
    to: &Path,
) -> Result<(), Errno> {
    let flags = RenameFlags::NOREPLACE;
    match rustix::fs::renameat_with(from_directory, from, to_directory, to, flags) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            move_by_link(from_directory, from, to_directory, to)
        }
        other => other,
    }
}

/// The classic way, for file systems that cannot rename without replacing. Cut off between its two steps,
/// the file has both names.
fn move_by_link(
    from_directory: BorrowedFd<'_>,
    from: &Path,
    to_directory: BorrowedFd<'_>,
    to: &Path,
) -> Result<(), Errno> {
    match rustix::fs::linkat(from_directory, from, to_directory, to, AtFlags::empty()) {
        Ok(()) => {
            crash::point("file linked, still under its first name");
            let _ = rustix::fs::unlinkat(from_directory, from, AtFlags::empty());
            Ok(())
        }
        Err(Errno::PERM | Errno::NOSYS | Errno::NOTSUP | Errno::MLINK) => {
            move_by_rename(from_directory, from, to_directory, to)
        }
        Err(errno) => Err(errno),
    }
}

/// For file systems without hard links. Our names are unique, so that looking first is good enough.
fn move_by_rename(
    from_directory: BorrowedFd<'_>,
    from: &Path,
    to_directory: BorrowedFd<'_>,
    to: &Path,
) -> Result<(), Errno> {
    match rustix::fs::statat(to_directory, to, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Err(Errno::EXIST),
        Err(Errno::NOENT) => rustix::fs::renameat(from_directory, from, to_directory, to),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::process::Command;

    use super::*;
    use crate::deliver::directory::Directory;

    #[test]
    fn a_file_of_any_time_has_an_age() {
        let now = Timestamp::now();
        let old = |written| is_older(written, 60, now);
        assert!(old(i64::MIN) && old(0) && old(now.as_second() - 61));
        assert!(!old(now.as_second() - 60) && !old(i64::MAX));
    }

    #[test]
    fn no_way_of_moving_a_file_replaces_another() {
        let root = tempfile::tempdir().expect("tempdir");
        let directory = Directory::make(root.path()).expect("opened");
        for way in [move_without_replacing, move_by_link, move_by_rename] {
            let path = |name: &str| root.path().join(name);
            let [first, second, to] = ["first", "second", "to"].map(Path::new);
            fs::write(path("first"), "first").expect("written");
            fs::write(path("second"), "second").expect("written");
            way(directory.as_fd(), first, directory.as_fd(), to).expect("moved");
            assert!(!path("first").exists());
            assert_eq!(
                way(directory.as_fd(), second, directory.as_fd(), to),
                Err(Errno::EXIST)
            );
            assert_eq!(fs::read(path("to")).expect("there"), b"first");
            fs::remove_file(path("to")).expect("removed");
        }
    }

    #[test]
    fn a_shell_reads_a_quoted_path_as_it_is() {
        for path in [
            &b"/mnt/nas/Mail.d/a_b+c-d,e:f@g%h=i"[..],
            b"/mnt/my mail/it's $HOME `x` \"y\" \\ * ~",
            "/mnt/gr\u{fc}n".as_bytes(),
            b"/mnt/\xff\x1b[2J\n'\\ end",
            "/mnt/\u{202e}live\u{9b}2J".as_bytes(),
        ] {
            let word = quoted(Path::new(OsStr::from_bytes(path)));
            assert_eq!(format!("{:#}", Untrusted(word.as_bytes())), word);
            let printed = Command::new("bash")
                .args(["-c", &format!("printf %s {word}")])
                .output()
                .expect("run");
            assert_eq!(printed.stdout, path, "{word}");
        }
    }

    #[test]
    fn a_full_disk_is_the_destinations_trouble_and_a_broken_one_is_not() {
        let full = failure("write", Path::new("/m/tmp/1"), Errno::NOSPC);
        assert_eq!(full.kind(), Kind::Destination);
        assert!(full.hints()[0].contains("make room"));
        assert_eq!(
            failure("write", Path::new("/m"), Errno::IO).kind(),
            Kind::Io
        );
    }
}
