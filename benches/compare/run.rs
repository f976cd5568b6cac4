//! Runs the programs of a row in turns.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::load::{Expected, Load, Maildrop};
use crate::measure::{Cost, Spread, measure};
use crate::program::Program;
use crate::proxy::Proxy;
use crate::rows::{Before, Disk, Row};
use crate::shared::fetcher::{Order, Tls};
use crate::support::certificates::Certificates;

/// What `statfs` calls ext4 (ext2 and ext3 have the same number).
const EXT4: u64 = 0xEF53;

/// What `statfs` calls tmpfs.
const TMPFS: u64 = 0x0102_1994;

/// What the programs of a row took, each in the order of the rounds.
pub(crate) struct Outcome {
    pub(crate) costs: BTreeMap<Program, Vec<Cost>>,
    /// What the servers hold, in octets.
    pub(crate) octets: u64,
}

/// Everything that rows share.
pub(crate) struct Bench {
    popfetch: PathBuf,
    pairs: usize,
    memory: TempDir,
    disk: TempDir,
    certificates: Certificates,
    /// The servers of the last row, which the next one may want too.
    maildrops: Option<(Load, Vec<Maildrop>)>,
}

impl Bench {
    /// Work directories in memory and in this directory.
    pub(crate) fn new(popfetch: PathBuf, work_dir: &Path, pairs: usize) -> Result<Self, String> {
        let cannot = |error: std::io::Error| format!("no work directory: {error}");
        // Dovecot's mail stays in memory: its disk is not what is measured.
        tempfile::env::override_temp_dir(Path::new("/dev/shm"))
            .map_err(|_| "the directory for temporary files is chosen already")?;
        fs::create_dir_all(work_dir).map_err(cannot)?;
        let memory = tempfile::tempdir().map_err(cannot)?;
        let disk = tempfile::tempdir_in(work_dir).map_err(cannot)?;
        // A peer may deliver as another user.
        fs::set_permissions(memory.path(), Permissions::from_mode(0o711)).map_err(cannot)?;
        is_on(memory.path(), TMPFS, "tmpfs")?;
        is_on(disk.path(), EXT4, "ext4")?;
        Ok(Bench {
            popfetch,
            pairs,
            certificates: Certificates::new(&memory.path().join("certificates")),
            memory,
            disk,
            maildrops: None,
        })
    }

    /// Measures one row.
    pub(crate) fn run(&mut self, row: &Row) -> Result<Outcome, String> {
        self.fill_servers(row);
        let (_, mut maildrops) = self.maildrops.take().expect("just filled");
        let expected = self.seen_before(row, &mut maildrops)?;
        let proxies: Vec<_> = maildrops
            .iter()
            .map(|m| Proxy::start(m.port(), row.round_trip))
            .collect();
        let ports: Vec<u16> = match row.round_trip {
            Duration::ZERO => maildrops.iter().map(Maildrop::port).collect(),
            _ => proxies.iter().map(|proxy| proxy.port).collect(),
        };
        let mut costs: BTreeMap<Program, Vec<Cost>> = BTreeMap::new();
        for round in 0..=self.pairs {
            for program in programs(row) {
                maildrops.iter_mut().for_each(Maildrop::refill);
                let cost = self.once(row, program, &ports, &expected)?;
                let deletes = row.delete && !matches!(program, Program::Floor(_));
                if deletes && !maildrops.iter().all(Maildrop::is_empty) {
                    return Err(format!("{} left messages on the server", program.name()));
                }
                // The first round warms everything up.
                if round > 0 {
                    costs.entry(program).or_default().push(cost);
                }
            }
        }
        let octets = maildrops.iter().map(|maildrop| maildrop.octets).sum();
        if row.before == Before::Nothing {
            self.maildrops = Some((row.load, maildrops));
        }
        Ok(Outcome { costs, octets })
    }

    /// How long popfetch takes to say its version.
    pub(crate) fn start_up(&self) -> Result<Spread, String> {
        let mut command = Command::new(&self.popfetch);
        command.arg("--version");
        let runs = (0..20).map(|_| Ok(measure(&command, self.memory.path())?.wall));
        Ok(Spread::of(runs.collect::<Result<Vec<f64>, String>>()?))
    }

    fn fill_servers(&mut self, row: &Row) {
        let fitting = |(load, maildrops): &(Load, Vec<Maildrop>)| {
            *load == row.load && maildrops.len() == row.accounts
        };
        if !self.maildrops.as_ref().is_some_and(fitting) {
            self.maildrops = None;
            let maildrop = |seed| Maildrop::new(&self.certificates, row.load, seed);
            self.maildrops = Some((row.load, (0..row.accounts as u64).map(maildrop).collect()));
        }
    }

    /// Lets the programs store what they have seen when the row begins, and keeps what they remember of it.
    /// Returns what is left for them to store.
    fn seen_before(&self, row: &Row, maildrops: &mut [Maildrop]) -> Result<Expected, String> {
        let Before::AllBut(count) = row.before else {
            return Ok(Expected::of(maildrops.iter()));
        };
        let ports: Vec<u16> = maildrops.iter().map(Maildrop::port).collect();
        for program in programs(row).filter(|program| !matches!(program, Program::Floor(_))) {
            let home = self.home(row, program);
            let order = self.order(row, &ports);
            let command = self.prepared(program, &home, &order)?;
            measure(&command, self.memory.path())?;
            for entry in fs::read_dir(&home).into_iter().flatten().flatten() {
                if entry.file_name().to_string_lossy().starts_with("mail-") {
                    fs::remove_dir_all(entry.path()).map_err(|error| error.to_string())?;
                }
            }
            let kept = self.kept(row, program);
            fs::rename(&home, kept).map_err(|error| error.to_string())?;
        }
        Ok(maildrops.first_mut().expect("a maildrop").arrive(count))
    }

    fn once(
        &self,
        row: &Row,
        program: Program,
        ports: &[u16],
        expected: &Expected,
    ) -> Result<Cost, String> {
        let order = self.order(row, ports);
        let home = self.home(row, program);
        let kept = self.kept(row, program);
        if kept.exists() {
            copy(&kept, &home)?;
        }
        let command = self.prepared(program, &home, &order)?;
        if row.disk == Disk::Ext4 {
            // What earlier runs left to be written is not this one's.
            rustix::fs::sync();
        }
        let cost = measure(&command, self.memory.path())
            .map_err(|error| format!("{}, {}: {error}", row.name, program.name()))?;
        program.check(&home, &order, expected)?;
        fs::remove_dir_all(&home).map_err(|error| error.to_string())?;
        Ok(cost)
    }

    fn prepared(
        &self,
        program: Program,
        home: &Path,
        order: &Order<'_>,
    ) -> Result<Command, String> {
        fs::create_dir_all(home).map_err(|error| error.to_string())?;
        Ok(program.prepare(&self.popfetch, home, order))
    }

    fn order<'a>(&'a self, row: &Row, ports: &'a [u16]) -> Order<'a> {
        Order {
            tls: Tls::Implicit,
            store: row.store,
            delete: row.delete,
            ..Order::new(ports, self.certificates.authority_file())
        }
    }

    fn home(&self, row: &Row, program: Program) -> PathBuf {
        let directory = match row.disk {
            Disk::Tmpfs => &self.memory,
            Disk::Ext4 => &self.disk,
        };
        directory
            .path()
            .join(format!("home-{}", program.name().replace(' ', "-")))
    }

    fn kept(&self, row: &Row, program: Program) -> PathBuf {
        let name = row.name.replace([' ', ','], "-");
        self.home(row, program).with_extension(name)
    }
}

fn programs(row: &Row) -> impl Iterator<Item = Program> {
    std::iter::once(Program::POPFETCH).chain(row.against.clone())
}

fn is_on(directory: &Path, wanted: u64, name: &str) -> Result<(), String> {
    let stat = rustix::fs::statfs(directory).map_err(|error| error.to_string())?;
    match stat.f_type.cast_unsigned() == wanted {
        true => Ok(()),
        false => Err(format!(
            "{} is not on {name}: its file system has the number {:#x}; choose another with --work-dir",
            directory.display(),
            stat.f_type
        )),
    }
}

/// Copies a directory of directories and files.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!("cp: {other:?}")),
    }
}
