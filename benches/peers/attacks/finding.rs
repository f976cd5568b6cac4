//! What a program did that it should not have done.

use std::fmt::{self, Display, Formatter};

use super::Cell;
use super::watch::TOO_MUCH;

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Finding {
    /// It did not end in time.
    Hangs,
    /// A signal ended it that was not sent to it.
    Crashes,
    /// It used more memory than any of this needs, or more disk: this many octets.
    Memory(u64),
    Disk(u64),
    /// Characters reached the terminal that could control it.
    Paints,
    ShowsPassword,
    /// Without TLS, though the configuration asks for it or for a login that hides the password.
    SendsPassword,
    LogsIn,
    /// After a login in which the server has not proven itself, or was to say something else.
    BelievesServer,
    /// Stored what is no message, or not all of one; the case says how to call it.
    Stores(&'static str),
    Loses,
    Doubles,
    Misses,
    /// Something else that only this attack can lead to.
    Also(&'static str),
}

impl Display for Finding {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Finding::Hangs => "hangs",
            Finding::Crashes => "crashes",
            Finding::Memory(octets) => return write!(f, "takes {} of memory", amount(*octets)),
            Finding::Disk(octets) => return write!(f, "takes {} of disk", amount(*octets)),
            Finding::Paints => "prints control characters",
            Finding::ShowsPassword => "shows the password",
            Finding::SendsPassword => "sends the password in clear",
            Finding::LogsIn => "logs in all the same",
            Finding::BelievesServer => "believes the server",
            Finding::Stores(what) | Finding::Also(what) => what,
            Finding::Loses => "deletes what is not stored",
            Finding::Doubles => "stores it twice",
            Finding::Misses => "leaves messages out",
        })
    }
}

/// This much, in words; no client may go on where it is too much.
fn amount(octets: u64) -> String {
    match octets > TOO_MUCH {
        true => format!("more than {} MB", TOO_MUCH >> 20),
        false => format!("{} MB", octets >> 20),
    }
}

impl Finding {
    /// Whether the other one is the same, only more or less of it.
    fn is_like(self, other: &Finding) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(other)
            && matches!(self, Finding::Memory(_) | Finding::Disk(_))
    }
}

/// A cell of the table. Of what was found more than once, the worst counts.
pub(crate) fn verdict(cell: &Cell) -> String {
    let Some(findings) = cell else {
        return "—".to_owned();
    };
    let mut worst: Vec<Finding> = Vec::new();
    for finding in findings {
        worst.retain(|other| !finding.is_like(other));
        worst.push(*finding);
    }
    match worst.is_empty() {
        true => "withstands".to_owned(),
        false => worst
            .iter()
            .map(Finding::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    }
}
