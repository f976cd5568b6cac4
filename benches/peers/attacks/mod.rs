//! The attacks of the tests, on popfetch and on its peers: each is configured as its manual recommends, waits
//! no longer than two seconds for the server, and is judged only by what was seen from outside.
//!
//! A program withstands an attack where it ends in time and with little memory and disk, where nothing of the
//! password reaches a party that must not have it and no control character the terminal, and where what is
//! stored is whole, there once, and there before it is deleted on the server. A dash stands where an attack
//! does not reach it, since it knows nothing of what is attacked. Each program has to fetch everything from an
//! honest server first, with the same configuration: else there is no table.

mod answers;
mod authentication;
mod case;
mod finding;
mod machine;
mod messages;
mod peer;
mod protection;
mod scene;
mod set;
mod trial;
mod watch;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use crate::shared::fetcher::Fetcher;
use crate::{Options, print};

use case::{Attack, Case, Setup};
use finding::{Finding, verdict};
use trial::Trial;

/// What came of an attack on one program; none where it never was reached.
type Cell = Option<BTreeSet<Finding>>;

/// All programs, and what is known of them.
struct Contest<'a> {
    popfetch: &'a Path,
    /// What they were seen to fetch all mail with from an honest server.
    honest: Mutex<Vec<(Fetcher, Setup)>>,
}

/// How many attacks a program withstood, and how many reached it.
#[derive(Default)]
struct Score {
    withstood: usize,
    reached: usize,
}

/// Runs all attacks.
pub(crate) fn run(popfetch: &Path, options: &Options) -> Result<(), String> {
    let contest = Contest {
        popfetch,
        honest: Mutex::default(),
    };
    print(&line(
        "attack | what it is",
        Fetcher::ALL.map(Fetcher::name),
    ));
    print("|---|---|---|---|---|---|\n");
    let mut scores: [Score; 4] = Default::default();
    for attack in all() {
        let name = format!("{} | {}", attack.number, attack.name);
        if !name.contains(&options.only) {
            continue;
        }
        let cells = contest.cells(&attack)?;
        for (score, cell) in scores.iter_mut().zip(&cells) {
            score.add(cell);
        }
        print(&line(&name, cells.map(|cell| verdict(&cell))));
    }
    let totals = scores.map(|score| format!("{} of {}", score.withstood, score.reached));
    print(&line(" | withstood", totals));
    Ok(())
}

fn all() -> impl Iterator<Item = Attack> {
    let mut attacks = protection::attacks();
    attacks.extend(authentication::attacks());
    attacks.extend(answers::attacks());
    attacks.extend(messages::attacks());
    attacks.extend(machine::attacks());
    attacks.sort_by_key(|attack| attack.number);
    attacks.into_iter()
}

fn line(name: &str, cells: [impl AsRef<str>; 4]) -> String {
    let cells = cells.each_ref().map(AsRef::as_ref).join(" | ");
    format!("| {name} | {cells} |\n")
}

impl Contest<'_> {
    /// What comes of an attack, program by program.
    fn cells(&self, attack: &Attack) -> Result<[Cell; 4], String> {
        let mut cells: [Cell; 4] = Default::default();
        for case in &attack.cases {
            for (cell, found) in cells.iter_mut().zip(self.at_once(case)) {
                let found = found.map_err(|error| format!("{}: {error}", attack.number))?;
                if let Some(found) = found {
                    cell.get_or_insert_default().extend(found);
                }
            }
        }
        Ok(cells)
    }

    /// One form of it; all programs at the same time, each with a server of its own.
    fn at_once(&self, case: &Case) -> Vec<Result<Cell, String>> {
        std::thread::scope(|scope| {
            let threads = Fetcher::ALL.map(|fetcher| scope.spawn(move || self.one(fetcher, case)));
            threads
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        })
    }

    fn one(&self, fetcher: Fetcher, case: &Case) -> Result<Cell, String> {
        let Setup { tls, login, .. } = case.setup;
        if !fetcher.knows(tls, login) || !case.concerns(fetcher) {
            return Ok(None);
        }
        let trial = Trial {
            popfetch: self.popfetch,
            fetcher,
            case,
        };
        self.trust(&trial)?;
        Ok(trial.run())
    }

    /// Whoever is to withstand an attack has to fetch everything where there is none.
    fn trust(&self, trial: &Trial<'_>) -> Result<(), String> {
        let key = (trial.fetcher, trial.case.setup);
        let known = || self.honest.lock().expect("nobody panics here");
        if known().contains(&key) {
            return Ok(());
        }
        let control = Case::honest(trial.case.setup);
        Trial {
            case: &control,
            ..*trial
        }
        .fetches_everything()?;
        known().push(key);
        Ok(())
    }
}

impl Score {
    fn add(&mut self, cell: &Cell) {
        self.reached += usize::from(cell.is_some());
        self.withstood += usize::from(cell.as_ref().is_some_and(BTreeSet::is_empty));
    }
}
