//! Which of the system's trusted roots are read.
//!
//! A system has its roots twice: all in one file, a bundle, and each in a file of its own, which a
//! directory holds under a hash of the root's name. OpenSSL reads a bundle as a whole before it does
//! anything, native-tls has it do so twice, and that takes longer than a small run does besides. In a
//! directory it looks only for the root that it needs.
//!
//! Only environment variables say that no bundle is to be read, and no process can change its own
//! without risk. So popfetch begins anew, first of all, with such an environment, in which one more
//! variable names the bundles that nobody has read. They are read after all before a certificate is
//! refused (see `net`): so neither more nor less is trusted than without all this.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where OpenSSL and native-tls look for a bundle, if it is set.
const FILE: &str = "SSL_CERT_FILE";

/// Where OpenSSL looks for a directory, if it is set.
const DIRECTORY: &str = "SSL_CERT_DIR";

/// A bundle without anything in it.
const EMPTY: &str = "/dev/null";

/// The bundles that were left unread, as PATH lists directories.
///
/// It counts only beside an empty bundle in [`FILE`]. A person who sets both by hand gets what naming
/// these bundles in [`FILE`] would give, only that they are read when they are needed.
const UNREAD: &str = "POPFETCH_UNREAD_ROOTS";

/// Begins the program anew, with the same arguments, so that roots are read when they are needed; does
/// nothing where that is not possible or gains nothing. To be called before there is anything to lose.
pub fn begin_anew() {
    let is_set = |name| std::env::var_os(name).is_some();
    if !is_ours_to_say(is_set) {
        return;
    }
    let program = std::env::current_exe().unwrap_or_default();
    if let (true, Some(list)) = (is_popfetch(&program), Places::find().worth_leaving()) {
        let mut arguments = std::env::args_os();
        let mut again = Command::new(&program);
        again.arg0(arguments.next().unwrap_or_else(|| program.into()));
        again.args(arguments).env(FILE, EMPTY).env(UNREAD, list);
        // It returns only where it fails, and then the roots are read as ever.
        let _ = again.exec();
    }
}

/// The bundles that were left unread: none where the program did not begin anew.
pub(crate) fn unread() -> Vec<PathBuf> {
    let list = std::env::var_os(UNREAD).filter(|_| has_begun_anew());
    list.iter().flat_map(std::env::split_paths).collect()
}

/// The variables that we set for ourselves, and that were not there for whoever started us.
pub(crate) fn our_variables() -> &'static [&'static str] {
    match has_begun_anew() {
        true => &[UNREAD, FILE],
        false => &[UNREAD],
    }
}

fn has_begun_anew() -> bool {
    let bundle = std::env::var_os(FILE);
    std::env::var_os(UNREAD).is_some() && bundle.is_some_and(|bundle| bundle == EMPTY)
}

/// Whether nobody has said which roots to read: neither a person, nor we when we began anew. So nothing
/// begins anew for ever.
fn is_ours_to_say(is_set: impl Fn(&'static str) -> bool) -> bool {
    ![FILE, DIRECTORY, UNREAD].into_iter().any(is_set)
}

/// Whether this is popfetch, and no loader or emulator that runs it and would take its arguments for
/// other ones.
fn is_popfetch(program: &Path) -> bool {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    name.contains(env!("CARGO_PKG_NAME"))
}

/// Where this system's roots are.
#[derive(Debug, Default)]
struct Places {
    bundles: Vec<PathBuf>,
    directories: Vec<PathBuf>,
}

impl Places {
    /// Where OpenSSL and native-tls look while no variable says otherwise.
    fn find() -> Self {
        if let Some(places) = Self::of_a_test() {
            return places;
        }
        let probed = openssl_probe::probe();
        let mut places = Places {
            bundles: probed.cert_file.into_iter().collect(),
            directories: probed.cert_dir,
        };
        if let Some(home) = home_of_openssl(openssl::version::dir()) {
            places.bundles.push(home.join("cert.pem"));
            places.directories.push(home.join("certs"));
        }
        places
    }

    /// With the test hooks, `POPFETCH_TEST_ROOTS` is a directory that is to be taken for OpenSSL's own.
    fn of_a_test() -> Option<Self> {
        let name = cfg!(feature = "test-hooks").then_some("POPFETCH_TEST_ROOTS")?;
        let home = PathBuf::from(std::env::var_os(name)?);
        Some(Places {
            bundles: vec![home.join("cert.pem")],
            directories: vec![home.join("certs")],
        })
    }

    /// The bundles as [`UNREAD`] lists them, if there is one, and a directory in their place.
    fn worth_leaving(&self) -> Option<OsString> {
        let bundles = each_once(&self.bundles);
        let directory = self
            .directories
            .iter()
            .any(|directory| holds_roots(directory));
        match directory && !bundles.is_empty() {
            true => std::env::join_paths(bundles).ok(),
            false => None,
        }
    }
}

/// The directory in which OpenSSL was told to look when it was built: it says `OPENSSLDIR: "/usr/lib/ssl"`.
fn home_of_openssl(said: &str) -> Option<&Path> {
    said.split('"').nth(1).map(Path::new)
}

/// Those of the files that are there. Many names may lead to one.
fn each_once(files: &[PathBuf]) -> Vec<PathBuf> {
    let mut there: Vec<PathBuf> = files.iter().flat_map(fs::canonicalize).collect();
    there.sort();
    there.dedup();
    there
}

/// Whether the directory holds a root under its hash.
fn holds_roots(directory: &Path) -> bool {
    let mut entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.any(|entry| is_hash(&entry.file_name()) && entry.path().is_file())
}

/// Eight hexadecimal digits, a dot and a number.
fn is_hash(name: &OsStr) -> bool {
    let Some((hash, number)) = name.to_str().and_then(|name| name.split_once('.')) else {
        return false;
    };
    let is_number = !number.is_empty() && number.bytes().all(|it| it.is_ascii_digit());
    is_number && hash.len() == 8 && hash.bytes().all(|it| it.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn where_somebody_has_said_what_to_read_it_stays_so() {
        assert!(is_ours_to_say(|_| false));
        for name in [FILE, DIRECTORY, UNREAD] {
            assert!(!is_ours_to_say(|asked| asked == name), "{name}");
        }
    }

    #[test]
    fn only_what_is_called_popfetch_is_started_again() {
        for path in ["/usr/bin/popfetch", "/nix/store/x/bin/.popfetch-wrapped"] {
            assert!(is_popfetch(Path::new(path)), "{path}");
        }
        for path in ["/lib64/ld-linux-x86-64.so.2", "/opt/popfetch/emulator", ""] {
            assert!(!is_popfetch(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn a_root_is_known_by_the_hash_in_its_name() {
        for name in ["002c0b4f.0", "ABCDEF01.12"] {
            assert!(is_hash(name.as_ref()), "{name}");
        }
        for name in [
            "002c0b4f",
            "002c0b4f.",
            "002c0b4f.r0",
            "02c0b4f.0",
            "g02c0b4f.0",
            "root.pem",
        ] {
            assert!(!is_hash(name.as_ref()), "{name}");
        }
    }

    #[test]
    fn a_bundle_stays_unread_only_where_a_directory_holds_roots_in_its_place() {
        let home = tempfile::tempdir().unwrap();
        let [bundle, directory] = ["cert.pem", "certs"].map(|name| home.path().join(name));
        let places = Places {
            bundles: vec![bundle.clone(), home.path().join("same.pem")],
            directories: vec![home.path().join("missing"), directory.clone()],
        };
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("root.pem"), "").unwrap();
        fs::write(&bundle, "").unwrap();
        symlink(&bundle, home.path().join("same.pem")).unwrap();
        symlink("nowhere", directory.join("00000000.0")).unwrap();
        assert_eq!(places.worth_leaving(), None);

        symlink("root.pem", directory.join("00000000.1")).unwrap();
        let bundle = fs::canonicalize(bundle).unwrap();
        assert_eq!(places.worth_leaving(), Some(bundle.clone().into()));

        fs::remove_file(bundle).unwrap();
        assert_eq!(places.worth_leaving(), None);
    }

    #[test]
    fn openssl_says_where_it_looks() {
        let said = "OPENSSLDIR: \"/usr/lib/ssl\"";
        assert_eq!(home_of_openssl(said), Some(Path::new("/usr/lib/ssl")));
        assert_eq!(home_of_openssl("OPENSSLDIR: N/A"), None);
        assert!(home_of_openssl(openssl::version::dir()).is_some());
    }
}
