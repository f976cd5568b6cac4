//! What is measured: the rows of the table.

use std::time::Duration;

use crate::floor::{Floor, NEW};
use crate::load::Load;
use crate::program::Program;
use crate::shared::fetcher::Store;

/// Where the mail and the memory of a program are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disk {
    /// In memory.
    Tmpfs,
    /// On a disk.
    Ext4,
}

/// What a program finds when it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// It was never there.
    Nothing,
    /// It has stored everything but these last ones.
    AllBut(usize),
}

/// A ratio of popfetch's figure and another program's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) against: Program,
    pub(crate) at_most: f64,
    /// And as long as one TLS connector takes on top of that.
    pub(crate) plus_connector: bool,
}

/// A row: one kind of work.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) load: Load,
    /// At how many servers at once.
    pub(crate) accounts: usize,
    pub(crate) round_trip: Duration,
    pub(crate) disk: Disk,
    pub(crate) store: Store,
    pub(crate) delete: bool,
    pub(crate) before: Before,
    pub(crate) against: Vec<Program>,
    pub(crate) targets: Vec<Target>,
    /// Most of popfetch's memory, in megabytes.
    pub(crate) memory: f64,
    /// The most processor time that popfetch may take.
    pub(crate) cpu: Option<Allowance>,
}

/// As much processor time as another program, and then some.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    pub(crate) against: Program,
    /// This many seconds a gigabyte.
    pub(crate) by_size: f64,
    /// What one TLS connector takes.
    pub(crate) connector: bool,
}

const DRAIN: Program = Program::Floor(Floor::Drain);
const FILES: Program = Program::Floor(Floor::Files);
const DURABLE: Program = Program::Floor(Floor::DurableFiles);
const UIDL: Program = Program::Floor(Floor::Uidl);
const UIDL_AND_NEW: Program = Program::Floor(Floor::UidlAndNew);
pub(crate) const CONNECTOR: Program = Program::Floor(Floor::Connector);

/// All of them; with `quick`, the long ones are shorter.
pub(crate) fn all(quick: bool) -> Vec<Row> {
    let shorter = |long, short| if quick { short } else { long };
    let small = Load::Equal {
        count: 1000,
        octets: 4_000,
    };
    let fewer = Load::Equal {
        count: 300,
        octets: 4_000,
    };
    let mixed = Load::Mixed {
        count: shorter(5_000, 1_000),
    };
    let tiny = Load::Equal {
        count: shorter(100_000, 10_000),
        octets: 600,
    };
    let large = Load::Equal {
        count: shorter(20, 4),
        octets: 50_000_000,
    };
    let slow = Load::Equal {
        count: shorter(1_000, 100),
        octets: 4_000,
    };
    let first = |name, load, disk, targets: &[(Program, f64)]| Row {
        name,
        load,
        accounts: 1,
        round_trip: Duration::ZERO,
        disk,
        store: Store::Maildir,
        delete: false,
        before: Before::Nothing,
        against: targets.iter().map(|&(against, _)| against).collect(),
        targets: targets
            .iter()
            .map(|&(against, at_most)| Target {
                against,
                at_most,
                plus_connector: false,
            })
            .collect(),
        memory: 16.0,
        cpu: None,
    };
    let far = Duration::from_millis(40);
    vec![
        first(
            "small",
            small,
            Disk::Tmpfs,
            &[(Program::MPOP, 1.0), (FILES, 1.3), (DRAIN, f64::INFINITY)],
        ),
        first(
            "small, durable",
            small,
            Disk::Ext4,
            &[(Program::MPOP, 1.0 / 1.5), (DURABLE, 1.15)],
        ),
        Row {
            store: Store::Mbox,
            ..first(
                "small, mbox, durable",
                small,
                Disk::Ext4,
                &[(Program::MPOP, 0.7)],
            )
        },
        Row {
            against: vec![UIDL, CONNECTOR],
            before: Before::AllBut(0),
            targets: vec![Target {
                against: UIDL,
                at_most: 1.2,
                plus_connector: true,
            }],
            ..first("nothing new", small, Disk::Tmpfs, &[])
        },
        Row {
            round_trip: far,
            ..first(
                "40 ms away",
                fewer,
                Disk::Tmpfs,
                &[(DRAIN, 1.2), (Program::MPOP, f64::INFINITY)],
            )
        },
        Row {
            round_trip: far,
            delete: true,
            ..first(
                "40 ms away, and delete",
                small,
                Disk::Tmpfs,
                &[(DRAIN, 1.3), (Program::MPOP, f64::INFINITY)],
            )
        },
        Row {
            accounts: 4,
            round_trip: far,
            ..first(
                "four accounts 40 ms away",
                Load::Equal {
                    count: 250,
                    octets: 4_000,
                },
                Disk::Tmpfs,
                &[(DRAIN, 1.2), (Program::MPOP, f64::INFINITY)],
            )
        },
        Row {
            cpu: Some(Allowance {
                against: FILES,
                by_size: 1.0,
                connector: false,
            }),
            ..first(
                "mixed",
                mixed,
                Disk::Tmpfs,
                &[
                    (DRAIN, 1.25),
                    (FILES, f64::INFINITY),
                    (Program::MPOP, f64::INFINITY),
                ],
            )
        },
        first(
            "mixed, durable",
            mixed,
            Disk::Ext4,
            &[(DURABLE, 1.15), (Program::MPOP, f64::INFINITY)],
        ),
        first(
            "large",
            large,
            Disk::Tmpfs,
            &[(DRAIN, 1.15), (Program::MPOP, f64::INFINITY)],
        ),
        Row {
            memory: 24.0,
            ..first(
                "tiny",
                tiny,
                Disk::Tmpfs,
                &[(FILES, 1.2), (Program::MPOP, f64::INFINITY)],
            )
        },
        Row {
            before: Before::AllBut(NEW),
            against: vec![UIDL_AND_NEW, UIDL, Program::MPOP, CONNECTOR],
            memory: 24.0,
            cpu: Some(Allowance {
                against: Program::MPOP,
                by_size: 0.0,
                connector: true,
            }),
            ..first(
                "tiny, seen but ten",
                tiny,
                Disk::Tmpfs,
                &[
                    (UIDL_AND_NEW, 1.15),
                    (UIDL, f64::INFINITY),
                    (Program::MPOP, f64::INFINITY),
                ],
            )
        },
        first(
            "against fetchmail and getmail",
            slow,
            Disk::Tmpfs,
            &[(Program::FETCHMAIL, 0.04), (Program::GETMAIL, 0.04)],
        ),
    ]
}
