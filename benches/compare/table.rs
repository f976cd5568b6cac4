//! What came out, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::measure::{Cost, Spread, seconds};
use crate::program::Program;
use crate::rows::{Allowance, CONNECTOR, Row, Target};
use crate::run::Outcome;

/// A row for people.
pub(crate) fn row(row: &Row, outcome: &Outcome) -> String {
    let megabytes = outcome.octets as f64 / 1e6;
    let mut text = format!(
        "{} ({} messages, {megabytes:.1} MB",
        row.name,
        row.load.count() * row.accounts
    );
    let _ = writeln!(text, ", {:?}, RTT {:?})", row.disk, row.round_trip);
    for (program, costs) in &outcome.costs {
        let of = |part: fn(&Cost) -> f64| Spread::of(costs.iter().map(part)).middle;
        let _ = writeln!(
            text,
            "  {:<14} {:>8} wall, {:>8} CPU, {:>5.1} MB at most",
            program.name(),
            seconds(of(|cost| cost.wall)),
            seconds(of(|cost| cost.cpu)),
            of(|cost| cost.peak as f64 / 1e6),
        );
    }
    for target in &row.targets {
        let ratio = ratio(outcome, target.against);
        let _ = writeln!(
            text,
            "  {} popfetch / {}: {:.2} ({:.2} to {:.2}){}",
            mark(is_met(outcome, target)),
            target.against.name(),
            ratio.middle,
            ratio.least,
            ratio.most,
            wanted(target)
        );
    }
    for (met, said) in [memory(row, outcome)].into_iter().chain(cpu(row, outcome)) {
        let _ = writeln!(text, "  {} {said}", mark(met));
    }
    text + "\n"
}

/// The same for programs.
pub(crate) fn json(row: &Row, outcome: &Outcome) -> Value {
    let programs = outcome
        .costs
        .iter()
        .map(|(program, costs)| (program.name().to_owned(), json!(costs)));
    let ratios = row.targets.iter().map(|target| {
        let at_most = Some(target.at_most).filter(|at_most| at_most.is_finite());
        json!({
            "against": target.against.name(),
            "ratio": ratio(outcome, target.against),
            "at_most": at_most,
            "plus_connector": target.plus_connector,
            "met": is_met(outcome, target),
        })
    });
    json!({
        "row": row.name,
        "messages": row.load.count() * row.accounts,
        "octets": outcome.octets,
        "disk": format!("{:?}", row.disk),
        "round_trip_ms": row.round_trip.as_millis() as u64,
        "programs": programs.collect::<serde_json::Map<_, _>>(),
        "ratios": ratios.collect::<Vec<_>>(),
    })
}

/// Popfetch's time by another program's, pair by pair.
fn ratio(outcome: &Outcome, against: Program) -> Spread {
    let pairs = walls(outcome, Program::POPFETCH).zip(walls(outcome, against));
    Spread::of(pairs.map(|(ours, theirs)| ours / theirs))
}

/// Whether popfetch is as quick as it is to be, where it may with one TLS connector on top.
fn is_met(outcome: &Outcome, target: &Target) -> bool {
    if !target.plus_connector {
        return ratio(outcome, target.against).middle <= target.at_most;
    }
    let middle = |program| Spread::of(walls(outcome, program)).middle;
    middle(Program::POPFETCH) <= target.at_most * middle(target.against) + middle(CONNECTOR)
}

fn walls(outcome: &Outcome, program: Program) -> impl Iterator<Item = f64> {
    let costs = outcome.costs.get(&program).into_iter().flatten();
    costs.map(|cost| cost.wall)
}

fn memory(row: &Row, outcome: &Outcome) -> (bool, String) {
    let costs = outcome.costs.get(&Program::POPFETCH).into_iter().flatten();
    let peak = Spread::of(costs.map(|cost| cost.peak as f64 / 1e6)).most;
    (
        peak <= row.memory,
        format!("peak memory: {peak:.1} MB, want {} MB", row.memory),
    )
}

fn cpu(row: &Row, outcome: &Outcome) -> Option<(bool, String)> {
    let Allowance {
        against,
        by_size,
        connector,
    } = row.cpu?;
    let middle = |program| {
        let costs = outcome.costs.get(&program).into_iter().flatten();
        Spread::of(costs.map(|cost| cost.cpu)).middle
    };
    let connector = if connector { middle(CONNECTOR) } else { 0.0 };
    let most = middle(against) + by_size * outcome.octets as f64 / 1e9 + connector;
    let ours = middle(Program::POPFETCH);
    let said = format!("processor time: {}, want {}", seconds(ours), seconds(most));
    Some((ours <= most, said))
}

fn wanted(target: &Target) -> String {
    match (target.at_most.is_finite(), target.plus_connector) {
        (true, true) => format!(", want {:.2} plus a TLS connector", target.at_most),
        (true, false) => format!(", want {:.2}", target.at_most),
        (false, _) => String::new(),
    }
}

fn mark(met: bool) -> &'static str {
    if met { "+" } else { "-" }
}
