//! The crash test: a program and all that it started are killed after one of the system calls by which
//! it writes, or talks to the server. Then it runs twice undisturbed.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::fixture::{Fixture, Tally, kill_group};
use crate::shared::fetcher::{Fetcher, Order, Store};
use crate::support::mailbox::Mailbox;
use crate::support::messages::{Generator, Shape};
use crate::support::sandbox::Sandbox;
use crate::support::server::Server;
use crate::{Options, print};

/// The calls after which it is killed.
const CALLS: &str = "write,writev,pwrite64,sendto,sendmsg,connect,fsync,fdatasync,?rename,?renameat,\
                     ?renameat2,?link,?linkat,?unlink,?unlinkat,?mkdir,?mkdirat,?ftruncate";

/// A program, and what it is to do.
struct Row {
    fetcher: Fetcher,
    store: Store,
    delete: bool,
}

/// In how many runs this became of some message or other.
#[derive(Default)]
struct Counts {
    kills: usize,
    lost: usize,
    missing: usize,
    duplicated: usize,
    partial: usize,
    /// Of the two runs after the kill, the second still failed, or waited for a lock that no process holds.
    blocked: usize,
}

/// Runs all rows.
pub(crate) fn run(popfetch: &Path, options: &Options) -> Result<(), String> {
    print(
        "| program | store | on the server | kills | a message lost | a message missing \
         | duplicated | a part of one visible | blocked |\n|---|---|---|--:|--:|--:|--:|--:|--:|\n",
    );
    for row in rows().filter(|row| row.name().contains(&options.only)) {
        let counts = row.counts(popfetch, options.kills)?;
        print(&row.line(&counts));
    }
    Ok(())
}

fn rows() -> impl Iterator<Item = Row> {
    let kinds = [Store::Maildir, Store::Mbox]
        .into_iter()
        .flat_map(|store| [false, true].map(|delete| (store, delete)));
    Fetcher::ALL.into_iter().flat_map(move |fetcher| {
        kinds.clone().map(move |(store, delete)| Row {
            fetcher,
            store,
            delete,
        })
    })
}

impl Row {
    fn name(&self) -> String {
        let kept = if self.delete { "deleted" } else { "kept" };
        format!("{} | {:?} | {kept}", self.fetcher.name(), self.store)
    }

    fn line(&self, counts: &Counts) -> String {
        let Counts {
            kills,
            lost,
            missing,
            duplicated,
            partial,
            blocked,
        } = counts;
        format!(
            "| {} | {kills} | {lost} | {missing} | {duplicated} | {partial} | {blocked} |\n",
            self.name()
        )
    }

    /// Kills this many runs, evenly spread over all that a run does.
    fn counts(&self, popfetch: &Path, kills: usize) -> Result<Counts, String> {
        let (fixture, server) = set_up();
        let command = self.command(popfetch, &fixture, &server);
        let calls = kill(&server, &command, usize::MAX)?;
        if fixture.tally(self.store) != Tally::default() {
            return Err(format!("{}: it fails where nobody kills it", self.name()));
        }
        let mut counts = Counts::default();
        for number in 0..kills {
            let (fixture, server) = set_up();
            let command = || self.command(popfetch, &fixture, &server);
            let last = 1 + number * calls / kills;
            // Not every run makes as many calls.
            if kill(&server, &command(), last)? < last {
                continue;
            }
            counts.kills += 1;
            let mut fine = false;
            for _ in 0..2 {
                let outcome = fixture.start(command()).finish();
                fine = outcome.is_some_and(|outcome| self.fetcher.is_success(outcome.status));
                server.sessions();
            }
            counts.add(&fixture.tally(self.store), fine);
        }
        Ok(counts)
    }

    fn command(&self, popfetch: &Path, fixture: &Fixture, server: &Server) -> Command {
        let ports = [server.endpoint().port];
        let order = Order {
            store: self.store,
            delete: self.delete,
            ..Order::new(&ports, fixture.sandbox.certificates().authority_file())
        };
        self.fetcher.prepare(popfetch, &fixture.home(), &order)
    }
}

impl Counts {
    fn add(&mut self, tally: &Tally, fine: bool) {
        let Tally {
            lost,
            missing,
            duplicated,
            partial,
        } = *tally;
        self.lost += usize::from(lost > 0);
        self.missing += usize::from(missing > 0);
        self.duplicated += usize::from(duplicated > 0);
        self.partial += usize::from(partial > 0);
        self.blocked += usize::from(!fine);
    }
}

fn set_up() -> (Fixture, Server) {
    let mut generator = Generator::new(3);
    let sizes = [600, 5_000, 200_000, 700, 30_000];
    let mailbox = Mailbox::with(sizes.map(|size| generator.message(Shape::Plain, size)));
    let server = Server::start(&mailbox);
    // What the peers send is theirs.
    let _ = server.violations();
    (Fixture::new(mailbox, Sandbox::new()), server)
}

/// Runs a program, and kills it and all that it started after the call of this number. How many
/// calls there were.
fn kill(server: &Server, command: &Command, last: usize) -> Result<usize, String> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "--signal=none", "-o", "/dev/stdout", "-e"]);
    strace.arg(format!("trace={CALLS}"));
    // The trace is on standard output, where the program must not write.
    strace.args(["setsid", "sh", "-c", "exec \"$0\" \"$@\" >/dev/null 2>&1"]);
    strace.arg(command.get_program()).args(command.get_args());
    let variables = command.get_envs();
    strace
        .env_clear()
        .envs(variables.filter_map(|(name, value)| Some((name, value?))));
    strace.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = strace.spawn().map_err(|error| format!("strace: {error}"))?;
    let trace = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut leader = None;
    let mut calls = 0;
    for line in trace.lines() {
        let line = line.map_err(|error| error.to_string())?;
        let process = line.split(' ').next().and_then(|id| id.parse().ok());
        // Strace itself lives, so that no dead process stays that looks alive to who asks.
        let leader = *leader.get_or_insert(process.ok_or(line)?);
        calls += 1;
        if calls == last {
            kill_group(leader);
        }
    }
    let _ = child.wait();
    server.sessions();
    Ok(calls.min(last))
}
