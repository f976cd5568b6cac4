//! Running a command that a person configured: one way to start it, to feed it, to read what it prints and to end it.
//! Every wait has a limit.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};
use zeroize::Zeroizing;

use crate::cancel::{CancelToken, Wait, WaitError};
use crate::environment::Environment;
use crate::text::{SHOWN_CHARACTERS, Untrusted};

/// How much of what a command writes to standard error is kept, in bytes.
const MAX_STDERR: usize = 4096;

/// The longest value of a variable that a command gets, in characters.
pub(crate) const MAX_VALUE: usize = 1024;

/// How much is read and written at once, in bytes.
const BUFFER: usize = 64 * 1024;

/// Why a command could not be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The shell cannot be started.
    #[error("cannot start /bin/sh")]
    Start(#[source] io::Error),
    /// What it is fed with cannot be read.
    #[error(transparent)]
    Input(io::Error),
    /// Its pipes or its end cannot be watched.
    #[error("cannot talk to a command")]
    Talk(#[from] io::Error),
}

/// What a command finds on its standard input.
pub(crate) enum Input<'a> {
    /// Nothing.
    Empty,
    /// What we find there ourselves.
    Inherited,
    /// All of this; it need not read it.
    From(&'a mut dyn Read),
}

/// Where a command writes its errors.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stderr {
    /// Where we do.
    Inherited,
    /// To us: [`Outcome::messages`].
    Kept,
}

/// What is ended together with a command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// All that it started: it gets a process group of its own.
    Own,
    /// Only itself. At a terminal it stays in our group: the terminal stops whatever reads from it in another, and
    /// Ctrl-C ends the whole group.
    Ours,
}

/// How a command is run.
pub(crate) struct Terms<'a> {
    pub(crate) input: Input<'a>,
    /// How many bytes it may print, which are kept. None: what it prints is discarded.
    pub(crate) max_output: Option<usize>,
    pub(crate) stderr: Stderr,
    pub(crate) group: Group,
    /// The longest time in which it neither reads its input nor ends.
    pub(crate) timeout: Duration,
    /// Stops it.
    pub(crate) token: &'a CancelToken,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// By itself, or by another's signal.
    Exited(ExitStatus),
    /// Killed: it neither read nor ended for too long.
    TimedOut,
    /// Killed, because its token was cancelled.
    Stopped,
    /// Killed: it printed more than it may.
    PrintedTooMuch,
}

/// What came of a command.
pub(crate) struct Outcome {
    pub(crate) ending: Ending,
    /// What it printed, which may be a secret.
    pub(crate) output: Zeroizing<Vec<u8>>,
    stderr: Zeroizing<Vec<u8>>,
}

impl Outcome {
    /// What the command wrote to standard error, line by line, each safe to show and not too long.
    pub(crate) fn messages(&self, command: &str) -> Vec<String> {
        let shown = Untrusted(command.as_bytes());
        let lines = self.stderr.split(|byte| matches!(byte, b'\n' | b'\r'));
        lines
            .flat_map(pieces)
            .map(|piece| format!("\"{shown}\" says: {}", Untrusted(piece)))
            .collect()
    }
}

/// This command line, for `/bin/sh`, in the environment that a person gave us, without any password.
pub(crate) fn shell(line: &str, environment: &Environment) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(line);
    environment.hand_down(&mut command);
    command
}

/// Runs the command. What it leaves running is not waited for, unless that holds an output open which is kept.
///
/// # Errors
///
/// It could not be started, its input not be read, or its end not be seen. It is ended then.
pub(crate) fn run(command: &mut Command, terms: Terms<'_>) -> Result<Outcome, Error> {
    let mut running = Running::start(command, terms)?;
    let ending = running.watch()?;
    let (output, stderr) = (&mut running.stdout.kept, &mut running.stderr.kept);
    Ok(Outcome {
        ending,
        output: std::mem::take(output),
        stderr: std::mem::take(stderr),
    })
}

/// A command that is killed when this is dropped, unless it has ended.
struct Running<'a> {
    child: Child,
    /// Its number may be another process's by now.
    is_reaped: bool,
    /// Readable once it has ended; none where the kernel lacks that.
    end: Option<OwnedFd>,
    group: Group,
    timeout: Duration,
    token: &'a CancelToken,
    stdin: Option<Feed<'a>>,
    stdout: Reader<ChildStdout>,
    stderr: Reader<ChildStderr>,
    buffer: Zeroizing<Vec<u8>>,
}

impl<'a> Running<'a> {
    fn start(command: &mut Command, terms: Terms<'a>) -> Result<Self, Error> {
        let piped_if = |wanted: bool, other: fn() -> Stdio| match wanted {
            true => Stdio::piped(),
            false => other(),
        };
        command
            .stdin(match terms.input {
                Input::Empty => Stdio::null(),
                Input::Inherited => Stdio::inherit(),
                Input::From(_) => Stdio::piped(),
            })
            .stdout(piped_if(terms.max_output.is_some(), Stdio::null))
            .stderr(piped_if(terms.stderr == Stderr::Kept, Stdio::inherit));
        if terms.group == Group::Own {
            command.process_group(0);
        }
        let mut child = command.spawn().map_err(Error::Start)?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let mut running = Running {
            end: rustix::process::pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).ok(),
            child,
            is_reaped: false,
            group: terms.group,
            timeout: terms.timeout,
            token: terms.token,
            stdin: None,
            stdout: Reader::new(stdout, terms.max_output.unwrap_or(0)),
            stderr: Reader::new(stderr, MAX_STDERR),
            buffer: Zeroizing::new(vec![0; BUFFER]),
        };
        running.stdout.pipe.as_ref().map(unblock).transpose()?;
        running.stderr.pipe.as_ref().map(unblock).transpose()?;
        if let (Some(pipe), Input::From(input)) = (stdin, terms.input) {
            unblock(&pipe)?;
            running.stdin = Some(Feed::new(pipe, input));
        }
        Ok(running)
    }

    /// Feeds the command and reads what it prints, until it has ended or is to be killed.
    fn watch(&mut self) -> Result<Ending, Error> {
        let mut wait = Wait::at_most(self.timeout, self.token);
        loop {
            // Not before its output has ended: until it is reaped, its group can be killed by its number.
            if self.stdout.pipe.is_none()
                && let Some(status) = self.child.try_wait()?
            {
                self.is_reaped = true;
                self.read_stderr();
                return Ok(Ending::Exited(status));
            }
            match wait.next_poll() {
                Ok(timeout) => self.poll(timeout)?,
                Err(WaitError::Cancelled) => return Ok(Ending::Stopped),
                Err(WaitError::TimedOut) => return Ok(Ending::TimedOut),
            }
            self.read_stderr();
            if self.stdout.read(&mut self.buffer)? > 0 {
                return Ok(Ending::PrintedTooMuch);
            }
            if self.feed()? {
                wait = Wait::at_most(self.timeout, self.token);
            }
        }
    }

    /// Waits until the command reads, prints or ends, or there is a reason to look.
    fn poll(&self, timeout: Duration) -> io::Result<()> {
        let mut wanted = Vec::new();
        let stdin = self.stdin.as_ref().map(|feed| &feed.pipe);
        wanted.extend(stdin.map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
        let stdout = self.stdout.pipe.as_ref();
        wanted.extend(stdout.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        let stderr = self.stderr.pipe.as_ref();
        wanted.extend(stderr.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        // Where its output goes on after its end, that is waited for.
        let end = self.end.as_ref().filter(|_| stdout.is_none());
        wanted.extend(end.map(|end| PollFd::new(end, PollFlags::IN)));
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        match rustix::event::poll(&mut wanted, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether the command read anything.
    fn feed(&mut self) -> Result<bool, Error> {
        let Some(feed) = &mut self.stdin else {
            return Ok(false);
        };
        let (fed, is_done) = feed.feed()?;
        if is_done {
            self.stdin = None;
        }
        Ok(fed)
    }

    /// More than is kept is forgotten, so that a command which writes much is not held up.
    fn read_stderr(&mut self) {
        let _ = self.stderr.read(&mut self.buffer);
    }
}

impl Drop for Running<'_> {
    /// Nothing can be done about an error here: the process is gone, or it will never go.
    fn drop(&mut self) {
        if self.is_reaped {
            return;
        }
        let _ = match self.group {
            Group::Ours => self.child.kill(),
            Group::Own => {
                let group = Pid::from_child(&self.child);
                rustix::process::kill_process_group(group, Signal::KILL).map_err(io::Error::from)
            }
        };
        let _ = self.child.wait();
    }
}

fn unblock(pipe: impl AsFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(&pipe)?;
    Ok(rustix::fs::fcntl_setfl(&pipe, flags | OFlags::NONBLOCK)?)
}

/// The input on its way into the command.
struct Feed<'a> {
    pipe: ChildStdin,
    input: &'a mut dyn Read,
    /// What was read from the input, and how much of it was written.
    buffer: Vec<u8>,
    filled: usize,
    written: usize,
}

impl<'a> Feed<'a> {
    fn new(pipe: ChildStdin, input: &'a mut dyn Read) -> Self {
        Feed {
            pipe,
            input,
            buffer: vec![0; BUFFER],
            filled: 0,
            written: 0,
        }
    }

    /// Writes as much as the command reads: whether it read anything, and whether that was all it will get.
    fn feed(&mut self) -> Result<(bool, bool), Error> {
        let mut fed = false;
        loop {
            if self.written == self.filled {
                self.filled = self.input.read(&mut self.buffer).map_err(Error::Input)?;
                self.written = 0;
                if self.filled == 0 {
                    return Ok((fed, true));
                }
            }
            match self.pipe.write(&self.buffer[self.written..self.filled]) {
                Ok(n) => {
                    self.written += n;
                    fed |= n > 0;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok((fed, false)),
                // It reads no more. Whether that is an error, its exit status says.
                Err(_) => return Ok((fed, true)),
            }
        }
    }
}

/// What the command writes into a pipe.
struct Reader<P> {
    /// None at its end.
    pipe: Option<P>,
    /// Never grows, since it may hold a secret.
    kept: Zeroizing<Vec<u8>>,
    limit: usize,
}

impl<P: Read> Reader<P> {
    fn new(pipe: Option<P>, limit: usize) -> Self {
        Reader {
            pipe,
            kept: Zeroizing::new(Vec::with_capacity(limit)),
            limit,
        }
    }

    /// Reads once, so that a command which never stops writing doesn't keep us from looking at the clock. How many bytes were
    /// too many to be kept.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(0);
        };
        match pipe.read(buffer) {
            Ok(0) => self.pipe = None,
            Ok(n) => {
                let kept = n.min(self.limit - self.kept.len());
                self.kept.extend_from_slice(&buffer[..kept]);
                return Ok(n - kept);
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            Err(error) => {
                self.pipe = None;
                return Err(error);
            }
        }
        Ok(0)
    }
}

/// A long line in pieces that can each be shown whole, cut between characters.
fn pieces(mut line: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let mut at = line.len().min(SHOWN_CHARACTERS);
        let continues = |byte: Option<&u8>| byte.is_some_and(|byte| byte & 0xc0 == 0x80);
        while at > SHOWN_CHARACTERS - 4 && continues(line.get(at)) {
            at -= 1;
        }
        let (piece, rest) = line.split_at(at);
        line = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Whether a character means nothing to a shell, within quotes of any kind and without.
pub(crate) fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"@._+-=/:,".contains(&byte)
}

/// One word that is no option: whatever else there is becomes `_`.
pub(crate) fn word(text: &[u8]) -> String {
    let plain = |byte: &u8| {
        if is_plain(*byte) {
            char::from(*byte)
        } else {
            '_'
        }
    };
    let mut word: String = text.iter().take(MAX_VALUE).map(plain).collect();
    if word.starts_with('-') {
        word.replace_range(..1, "_");
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_between_characters() {
        let line = format!(
            "{}{}",
            "x".repeat(SHOWN_CHARACTERS - 1),
            "é".repeat(SHOWN_CHARACTERS)
        );
        let cut = pieces(line.as_bytes()).map(|piece| str::from_utf8(piece).expect("whole"));
        assert_eq!(cut.collect::<String>(), line);
        assert!(pieces(&[0x80; 1000]).all(|piece| piece.len() <= SHOWN_CHARACTERS));
    }
}
