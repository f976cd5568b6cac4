//! What `strace -f -y` saw: calls, each with the lines where it began and ended.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A trace, in the order in which the calls ended.
pub(super) struct Trace(Vec<Call>);

/// A system call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) name: String,
    /// How many calls of this name its thread had made by then, this one included.
    pub(super) nth: usize,
    /// Whether it was done.
    succeeded: bool,
    /// All of it as strace writes it: file descriptors with their paths, strings escaped.
    pub(super) text: String,
    began: usize,
    ended: usize,
}

impl Trace {
    /// Reads `PROCESS name(arguments) = result`; a call that others interrupted takes two lines.
    pub(super) fn parse(text: &str) -> Self {
        let mut calls = Vec::new();
        let mut unfinished: HashMap<&str, (usize, String)> = HashMap::new();
        let mut counts: HashMap<(&str, String), usize> = HashMap::new();
        for (number, line) in text.lines().enumerate() {
            let Some((process, rest)) = line.split_once(' ') else {
                continue;
            };
            let rest = rest.trim_start();
            if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
                unfinished.insert(process, (number, begun.to_owned()));
                continue;
            }
            let (began, text) = match rest.split_once(" resumed>") {
                Some((start, end)) if start.starts_with("<... ") => {
                    let Some((began, start)) = unfinished.remove(process) else {
                        continue;
                    };
                    (began, start + end)
                }
                _ => (number, rest.to_owned()),
            };
            let Some((name, _)) = text.split_once('(') else {
                continue;
            };
            let name = name.to_owned();
            let nth = counts.entry((process, name.clone())).or_default();
            *nth += 1;
            let result = text.rsplit(" = ").next().unwrap_or_default();
            calls.push(Call {
                name,
                nth: *nth,
                succeeded: !result.starts_with('-'),
                text,
                began,
                ended: number,
            });
        }
        Trace(calls)
    }

    /// All calls, those that failed included.
    pub(super) fn calls(&self) -> &[Call] {
        &self.0
    }

    /// The calls before this one: up to the last that made this file or directory durable, and since then.
    pub(super) fn around_last_sync(&self, path: &Path, until: &Call) -> (&[Call], &[Call]) {
        let end = self.0.iter().position(|call| std::ptr::eq(call, until));
        let before = &self.0[..end.expect("a call of this trace")];
        let last = before.iter().rposition(|call| call.makes_durable(path));
        before.split_at(last.map_or(0, |last| last + 1))
    }

    /// The directories in which a directory was made whose entry was not made durable after that.
    pub(super) fn left_unsynced(&self) -> Vec<PathBuf> {
        let mut left = Vec::new();
        for (place, call) in self.0.iter().enumerate() {
            if !call.succeeded || !call.name.starts_with("mkdir") {
                continue;
            }
            let after = &self.0[place..];
            let is_synced = |holder: &Path| after.iter().any(|call| call.makes_durable(holder));
            let made = call.named_paths();
            let mut holders: Vec<_> = made.iter().filter_map(|made| made.parent()).collect();
            holders.retain(|holder| !is_synced(holder));
            left.extend(holders.into_iter().map(Path::to_owned));
        }
        left
    }

    /// The first call like this.
    #[track_caller]
    pub(super) fn first(&self, what: &str, like: impl Fn(&Call) -> bool) -> &Call {
        let found = self.0.iter().find(|call| call.succeeded && like(call));
        found.unwrap_or_else(|| panic!("no call {what} in a trace of {} calls", self.0.len()))
    }

    /// The last call like this.
    #[track_caller]
    pub(super) fn last(&self, what: &str, like: impl Fn(&Call) -> bool) -> &Call {
        let found = self.0.iter().rfind(|call| call.succeeded && like(call));
        found.unwrap_or_else(|| panic!("no call {what} in a trace of {} calls", self.0.len()))
    }
}

impl Call {
    /// Writes something with this in it to a file whose path has this in it.
    pub(super) fn writes(&self, path: &str, content: &str) -> bool {
        matches!(self.name.as_str(), "write" | "writev" | "pwrite64")
            && self.first_argument().contains(path)
            && self.text.contains(content)
    }

    /// Makes a file or directory durable whose path has this in it.
    pub(super) fn syncs(&self, path: &str) -> bool {
        self.is_sync() && self.text.contains(path)
    }

    /// Gives a file this name.
    pub(super) fn moves_to(&self, name: &str) -> bool {
        let moving = self.name.starts_with("rename") || self.name.starts_with("link");
        moving && self.text.contains(&format!("\"{name}\""))
    }

    /// Sends something with this in it to the server.
    pub(super) fn sends(&self, content: &str) -> bool {
        let sending = matches!(
            self.name.as_str(),
            "write" | "writev" | "sendto" | "sendmsg"
        );
        let target = self.first_argument();
        let to_socket = target.contains("socket:") || target.contains("TCP:");
        sending && to_socket && self.text.contains(content)
    }

    /// Whether strace made it fail.
    pub(super) fn is_injected(&self) -> bool {
        self.text.ends_with("(INJECTED)")
    }

    /// Whether it makes something durable.
    pub(super) fn is_sync(&self) -> bool {
        matches!(self.name.as_str(), "fsync" | "fdatasync")
    }

    /// Made this file or directory durable.
    fn makes_durable(&self, path: &Path) -> bool {
        self.succeeded && self.is_sync() && self.open_path() == Some(path)
    }

    /// Writes to this file.
    pub(super) fn writes_to(&self, path: &Path) -> bool {
        let writing = matches!(self.name.as_str(), "write" | "writev" | "pwrite64");
        self.succeeded && writing && self.open_path() == Some(path)
    }

    /// Forgets what memory holds of this file.
    pub(super) fn forgets(&self, path: &Path) -> bool {
        let forgets = self.name == "fadvise64" && self.text.contains("DONTNEED");
        forgets && self.open_path() == Some(path)
    }

    /// The names in this directory that it gives to files and directories.
    pub(super) fn names_in(&self, directory: &Path) -> Vec<PathBuf> {
        let naming = ["rename", "link", "mkdir"];
        let naming = naming.iter().any(|name| self.name.starts_with(name));
        if !self.succeeded || !(naming || self.text.contains("O_CREAT")) {
            return Vec::new();
        }
        let mut names = self.named_paths();
        names.retain(|name| name.parent() == Some(directory));
        names
    }

    /// The path of the open file or directory that is its first argument.
    pub(super) fn open_path(&self) -> Option<&Path> {
        let argument = self.first_argument();
        let (path, _) = argument[argument.find("</")? + 1..].split_once('>')?;
        Some(Path::new(path))
    }

    /// The paths that its arguments name, as `"/path"` or as `3</directory>, "name"`.
    pub(super) fn named_paths(&self) -> Vec<PathBuf> {
        let parts: Vec<&str> = self.text.split('"').collect();
        let pairs = parts.chunks_exact(2).map(|pair| {
            let directory = pair[0].strip_suffix(">, ").and_then(|before| {
                let (_, directory) = before.rsplit_once('<')?;
                Some(directory)
            });
            Path::new(directory.unwrap_or_default()).join(pair[1])
        });
        pairs.collect()
    }

    /// What the call returned, where that is a number.
    pub(super) fn result(&self) -> Option<u64> {
        let (_, result) = self.text.rsplit_once(" = ")?;
        result.split(' ').next()?.parse().ok()
    }

    /// This call was over before the other began.
    pub(super) fn comes_before_if(&self, other: &Call) -> bool {
        self.ended < other.began
    }

    /// The same, or the test fails.
    #[track_caller]
    pub(super) fn comes_before(&self, other: &Call) {
        assert!(
            self.comes_before_if(other),
            "wrong order: {:.200} … {:.200}",
            self.text,
            other.text
        );
    }

    fn first_argument(&self) -> &str {
        let arguments = self.text.split_once('(').map_or("", |(_, rest)| rest);
        arguments.split(", ").next().unwrap_or_default()
    }
}
