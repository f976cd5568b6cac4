//! What a dry run found, as a table on standard output.

use std::io::{self, Write};

use super::words;
use crate::monitor::Tally;
use crate::report::{Action, PlanLine, Report};
use crate::size::Size;
use crate::text::{Sanitized, Untrusted};

/// How much of a unique-id is shown, in characters. `--json` has all of it.
const UNIQUE_ID_SHOWN: usize = 40;

/// Writes the table, a line at a time: a maildrop may hold very many messages.
///
/// # Errors
///
/// It could not be written.
pub(super) fn write(out: &mut dyn Write, report: &Report, lines: &[PlanLine]) -> io::Result<()> {
    let (account, user, host) = (&report.account, &report.user, &report.host);
    // For a one-off account both are the same.
    let mailbox = format!("{user}@{host}");
    if *account == mailbox {
        writeln!(out, "{}:", Sanitized(account))?;
    } else {
        writeln!(out, "{} ({}):", Sanitized(account), Sanitized(&mailbox))?;
    }
    if !lines.is_empty() {
        let columns = Columns::of(lines);
        columns.heading(out)?;
        for line in lines {
            columns.row(out, line)?;
        }
    }
    writeln!(out, "{}", sum(lines))
}

/// The widths of the columns that differ from table to table, in characters.
struct Columns {
    number: usize,
    action: usize,
    reason: usize,
}

const NUMBER: &str = "No.";
const REASON: &str = "Reason";

impl Columns {
    fn of(lines: &[PlanLine]) -> Self {
        let largest = lines.iter().map(|line| line.number).max().unwrap_or(0);
        let widest = |width: fn(&PlanLine) -> usize| lines.iter().map(width).max().unwrap_or(0);
        Columns {
            number: largest.to_string().len().max(NUMBER.len()),
            action: widest(|line| action(line).len()),
            reason: widest(|line| reason(line).chars().count()).max(REASON.len()),
        }
    }

    fn heading(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "  {NUMBER:>number$}  {:>8}  {:<action$}  {REASON:<reason$}  Unique-id",
            "Size",
            "Action",
            number = self.number,
            action = self.action,
            reason = self.reason,
        )
    }

    fn row(&self, out: &mut dyn Write, line: &PlanLine) -> io::Result<()> {
        let unknown = || "-".to_owned();
        let size = line
            .octets
            .map_or_else(unknown, |octets| Size(octets).to_string());
        let uid = line
            .uid
            .as_ref()
            .map_or_else(unknown, |uid| words::cut(uid.to_string(), UNIQUE_ID_SHOWN));
        writeln!(
            out,
            "  {:>number$}  {size:>8}  {:<action$}  {:<reason$}  {uid}",
            line.number,
            action(line),
            reason(line),
            number = self.number,
            action = self.action,
            reason = self.reason,
        )
    }
}

fn action(line: &PlanLine) -> &'static str {
    match (line.action, line.then_delete) {
        (Action::Retrieve, true) => "retrieve, then delete",
        (Action::Retrieve, false) => "retrieve",
        (Action::Delete, _) => "delete",
        (Action::Leave, _) => "leave",
    }
}

fn reason(line: &PlanLine) -> String {
    Untrusted(line.reason.as_bytes()).to_string()
}

/// `12 messages: 3 to retrieve (3.4 MB), 1 to delete, 9 to leave as they are`.
fn sum(lines: &[PlanLine]) -> String {
    let (mut retrieve, mut delete, mut leave) = (Tally::default(), 0_u64, 0_u64);
    let mut most = "";
    for line in lines {
        match line.action {
            Action::Retrieve => retrieve.count(line.octets.unwrap_or(0)),
            Action::Delete => delete += 1,
            Action::Leave => leave += 1,
        }
        if line.action == Action::Retrieve && line.then_delete {
            delete += 1;
            if line.if_new {
                most = "at most ";
            }
        }
    }
    let mut parts = vec![match retrieve.messages {
        0 => "nothing to retrieve".to_owned(),
        count => format!("{count} to retrieve ({})", Size(retrieve.octets)),
    }];
    if delete > 0 {
        parts.push(format!("{most}{delete} to delete on the server"));
    }
    if leave > 0 {
        parts.push(format!("{leave} to leave as they are"));
    }
    let all = words::messages(lines.len() as u64);
    format!("{all} on the server: {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::UniqueId;
    use crate::ui::testing::report;

    fn line(number: u32, uid: &[u8], octets: u64, action: Action, reason: &str) -> PlanLine {
        PlanLine {
            number,
            uid: Some(UniqueId::new(uid)),
            octets: Some(octets),
            action,
            reason: reason.to_owned(),
            then_delete: false,
            if_new: false,
        }
    }

    fn table(lines: &[PlanLine]) -> String {
        let mut out = Vec::new();
        write(&mut out, &report(), lines).expect("a Vec takes all");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn columns_line_up_and_the_last_line_adds_up() {
        let mut lines = vec![
            line(8, b"0001a", 3_400_000, Action::Retrieve, "new"),
            line(9, b"0001b", 900, Action::Delete, "stored 31 days ago"),
            line(10, b"0001c", 12_000, Action::Leave, "stored before"),
        ];
        lines[2].octets = None;
        assert_eq!(
            table(&lines),
            "work (alice@pop.example.com):\n\
             \x20 No.      Size  Action    Reason              Unique-id\n\
             \x20   8    3.4 MB  retrieve  new                 0001a\n\
             \x20   9     900 B  delete    stored 31 days ago  0001b\n\
             \x20  10         -  leave     stored before       0001c\n\
             3 messages on the server: 1 to retrieve (3.4 MB), 1 to delete on the server, 1 to leave as they are\n"
        );
    }

    #[test]
    fn a_message_that_goes_once_it_is_stored_counts_as_deleted() {
        let mut lines = vec![line(1, b"a", 1000, Action::Retrieve, "new")];
        lines[0].then_delete = true;
        let table = table(&lines);
        assert!(table.contains("retrieve, then delete"), "{table}");
        assert!(
            table.ends_with(
                "1 message on the server: 1 to retrieve (1.0 kB), 1 to delete on the server\n"
            ),
            "{table}"
        );
    }

    #[test]
    fn an_empty_maildrop_has_no_table() {
        assert_eq!(
            table(&[]),
            "work (alice@pop.example.com):\n0 messages on the server: nothing to retrieve\n"
        );
    }

    #[test]
    fn long_and_hostile_unique_ids_stay_in_their_column() {
        let lines = [
            line(1, &[0x1b; 1000], 1, Action::Leave, "x\x1b[2J"),
            line(2, b"b", 1, Action::Leave, "y"),
        ];
        let table = table(&lines);
        assert!(!table.contains('\x1b'), "{table:?}");
        assert!(
            table.lines().all(|line| line.chars().count() < 100),
            "{table}"
        );
    }

    #[test]
    fn a_hundred_thousand_messages_are_written_line_by_line() {
        struct Largest(usize, usize);
        impl Write for Largest {
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                self.0 = self.0.max(buf.len());
                self.1 += buf.iter().filter(|&&byte| byte == b'\n').count();
                Ok(buf.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines: Vec<_> = (1..=100_000)
            .map(|number| line(number, b"uid", 5, Action::Leave, "stored before"))
            .collect();
        let mut out = Largest(0, 0);
        write(&mut out, &report(), &lines).expect("written");
        assert_eq!(out.1, 100_003);
        assert!(out.0 < 1000, "wrote {} bytes at once", out.0);
    }
}
