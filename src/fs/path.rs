//! Paths: whether two lead to one place, and how a shell is given one.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::MAX_LINKS;
use crate::text::Untrusted;

/// Whether both paths lead to one file or directory, or would once it is made.
pub(crate) fn lead_to_one(one: &Path, two: &Path) -> bool {
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

/// A path to the same place on which `mkdir -p` can make what is missing: it does not go through a link that leads nowhere.
pub(crate) fn without_dead_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
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
pub(crate) fn quoted(path: &Path) -> String {
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

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::process::Command;

    use super::*;

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
}
