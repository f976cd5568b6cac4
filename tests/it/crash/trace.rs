//! What `strace -f -y` saw: calls, each with the lines where it began and ended.

use std::collections::HashMap;

/// A trace, in the order in which the calls ended.
pub(super) struct Trace(Vec<Call>);

/// A system call that succeeded.
#[derive(Debug)]
pub(super) struct Call {
    name: String,
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
            let result = text.rsplit(" = ").next().unwrap_or_default();
            let Some((name, _)) = text.split_once('(').filter(|_| !result.starts_with('-')) else {
                continue;
            };
            calls.push(Call {
                name: name.to_owned(),
                text,
                began,
                ended: number,
            });
        }
        Trace(calls)
    }

    /// The first call like this.
    #[track_caller]
    pub(super) fn first(&self, what: &str, like: impl Fn(&Call) -> bool) -> &Call {
        let found = self.0.iter().find(|call| like(call));
        found.unwrap_or_else(|| panic!("no call {what} in a trace of {} calls", self.0.len()))
    }

    /// The last call like this.
    #[track_caller]
    pub(super) fn last(&self, what: &str, like: impl Fn(&Call) -> bool) -> &Call {
        let found = self.0.iter().rev().find(|call| like(call));
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

    /// Makes a file or folder durable whose path has this in it.
    pub(super) fn syncs(&self, path: &str) -> bool {
        matches!(self.name.as_str(), "fsync" | "fdatasync") && self.text.contains(path)
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
