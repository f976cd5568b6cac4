//! What a program takes while it runs, and that this does not become too much for the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::id;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::fixture::{Run, kill_group};
use crate::shared::fetcher::entries;
use crate::support::sandbox::Outcome;

/// Whoever takes more, of memory or of disk, is ended.
pub(crate) const TOO_MUCH: u64 = 400 << 20;

/// How often it is looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// What it took at most, in octets.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Taken {
    /// The memory of any one of its processes.
    pub(crate) memory: u64,
    /// What is in its home.
    pub(crate) disk: u64,
}

impl Taken {
    /// So much that it was ended.
    pub(crate) fn is_too_much(self) -> bool {
        self.memory > TOO_MUCH || self.disk > TOO_MUCH
    }

    fn look(&mut self, group: u32, home: &Path) {
        let own = members(group).filter(|process| program_of(*process) != program_of(id()));
        let memory = own.filter_map(peak_memory).max();
        self.memory = self.memory.max(memory.unwrap_or(0));
        self.disk = self.disk.max(octets_below(home));
    }
}

/// Waits for its end; none if that takes too long.
pub(crate) fn finish(run: Run, home: &Path) -> (Option<Outcome>, Taken) {
    let group = run.group();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut taken = Taken::default();
            while !is_over.load(Ordering::Relaxed) {
                taken.look(group, home);
                if taken.is_too_much() {
                    kill_group(group);
                    break;
                }
                std::thread::sleep(INTERVAL);
            }
            taken
        });
        let outcome = run.finish();
        is_over.store(true, Ordering::Relaxed);
        (outcome, watching.join().expect("watching does not panic"))
    })
}

/// The processes of a group.
pub(crate) fn members(group: u32) -> impl Iterator<Item = u32> {
    let directories = entries(Path::new("/proc")).into_iter();
    let ids = directories.filter_map(|directory| directory.file_name()?.to_str()?.parse().ok());
    ids.filter(move |id| group_of(*id) == Some(group))
}

fn group_of(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may hold anything; after it are the state, the parent, and the group.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(2)?.parse().ok()
}

/// As long as this is ours, the process has not begun to be another program, and its memory is ours.
fn program_of(process: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/exe")).ok()
}

fn peak_memory(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(1024 * kibibytes)
}

fn octets_below(directory: &Path) -> u64 {
    let octets = |path: &Path| match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => octets_below(path),
        Ok(metadata) => metadata.len(),
        // It is gone already.
        Err(_) => 0,
    };
    // Of a directory that is changing, what can be read counts.
    let found = fs::read_dir(directory).into_iter().flatten().flatten();
    found.map(|entry| octets(&entry.path())).sum()
}
