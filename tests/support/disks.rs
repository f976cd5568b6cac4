//! File systems of the tests' own: images with ext4, with btrfs for its quotas, and small ones in memory.
//! They need root and a kernel that lets it mount; where that is missing, tests are skipped, and reported as that.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustix::process::geteuid;
use tempfile::TempDir;

use super::report::skip;

/// A mounted file system; unmounted when this is dropped.
pub(crate) struct Mounted {
    point: Arc<TempDir>,
}

impl Mounted {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.point.path()
    }

    /// Other options from now on, such as `ro` or another size.
    pub(crate) fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let done = command("mount", &["-o", &options, shown(self.path())]);
        assert!(
            done,
            "cannot mount {} with {options}",
            self.path().display()
        );
    }

    /// Everything in it is made durable.
    pub(crate) fn sync(&self) {
        let directory = File::open(self.path()).expect("a mounted directory");
        rustix::fs::syncfs(directory).expect("a file system can be synced");
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if !command("umount", &[shown(self.path())]) {
            // Something still looks into it; then it goes away with that.
            command("umount", &["-l", shown(self.path())]);
        }
    }
}

/// A file system in memory with these options (`size=200k`, `nr_inodes=30`); none without root.
pub(crate) fn memory(options: &str) -> Option<Mounted> {
    let point = Arc::new(tempfile::tempdir().expect("a temporary directory"));
    let arguments = ["-t", "tmpfs", "-o", options, "tmpfs", shown(point.path())];
    may_mount(&arguments).then_some(Mounted { point })
}

/// A directory with a quota, in a file system that has room enough; gone when this is dropped.
pub(crate) struct Quota {
    directory: PathBuf,
    mounted: Mounted,
    _image: Image,
}

impl Quota {
    /// An empty directory in which this much may be written (`200k`), by btrfs's count, which adds some
    /// for names and the like; none without root.
    pub(crate) fn new(limit: &str) -> Option<Self> {
        let image = Image::formatted(64 << 20, "mkfs.btrfs", &["-q", "--mixed"])?;
        let mounted = image.mount("defaults")?;
        let directory = mounted.path().join("limited");
        let quota = Quota {
            directory,
            mounted,
            _image: image,
        };
        let has_quotas = command("btrfs", &["quota", "enable", shown(quota.mounted.path())])
            && command("btrfs", &["subvolume", "create", shown(&quota.directory)])
            && quota.limit(limit);
        if !has_quotas {
            skip("btrfs has no quotas here");
        }
        has_quotas.then_some(quota)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.directory
    }

    /// There is a quota no longer.
    pub(crate) fn lift(&self) {
        assert!(self.limit("none"), "cannot lift the quota");
    }

    fn limit(&self, limit: &str) -> bool {
        command("btrfs", &["qgroup", "limit", limit, shown(&self.directory)])
    }
}

/// An image of a file system.
pub(crate) struct Image {
    file: PathBuf,
    _directory: TempDir,
}

impl Image {
    /// A new one with ext4, empty; none without root.
    pub(crate) fn new() -> Option<Self> {
        Self::formatted(16 << 20, "mkfs.ext4", &["-q", "-F"])
    }

    fn formatted(octets: u64, program: &str, options: &[&str]) -> Option<Self> {
        if !geteuid().is_root() {
            skip("only root may mount an image");
            return None;
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("image");
        let image = File::create(&file).expect("our own file");
        image.set_len(octets).expect("our own file");
        if !command(program, &[options, &[shown(&file)]].concat()) {
            skip(&format!("{program} does not work"));
            return None;
        }
        Some(Image {
            file,
            _directory: directory,
        })
    }

    /// What is on the disk at this moment, as another image.
    pub(crate) fn copy(&self) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("image");
        fs::copy(&self.file, &file).expect("an image can be copied");
        Image {
            file,
            _directory: directory,
        }
    }

    /// Mounts it with these options; none where that is not possible here.
    pub(crate) fn mount(&self, options: &str) -> Option<Mounted> {
        let point = tempfile::tempdir().expect("a temporary directory");
        self.mount_at(Arc::new(point), options)
    }

    /// Mounts it in the place of another one.
    pub(crate) fn mount_instead_of(&self, other: Mounted, options: &str) -> Option<Mounted> {
        let point = Arc::clone(&other.point);
        drop(other);
        self.mount_at(point, options)
    }

    fn mount_at(&self, point: Arc<TempDir>, options: &str) -> Option<Mounted> {
        let options = format!("loop,{options}");
        let arguments = ["-o", &options, shown(&self.file), shown(point.path())];
        may_mount(&arguments).then_some(Mounted { point })
    }
}

fn may_mount(arguments: &[&str]) -> bool {
    let mounted = command("mount", arguments);
    if !mounted {
        skip("mounting is not possible here");
    }
    mounted
}

fn command(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn shown(path: &Path) -> &str {
    path.to_str().expect("a readable path")
}
