//! Running a command that takes one message from its standard input.

use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::deliver::spool::Spool;
use crate::error::{Failure, Kind, OrFail, Result};

/// So much of what a command says on standard error is kept, in bytes.
const SAID: usize = 4096;

/// The command is fed, and listened to, in pieces of this size, in bytes.
const PIECE: usize = 64 * 1024;

/// Where the kernel doesn't tell us when a process ends, we look so often.
const LOOK: Duration = Duration::from_millis(20);

/// How a command ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// By itself, or by somebody's signal.
    Exited(ExitStatus),
    /// By us, with its whole process group: it neither read nor ended for too long.
    Stuck,
}

/// What came of a command.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) ending: Ending,
    /// The beginning of what it said on standard error.
    pub(super) said: Vec<u8>,
}

/// Runs the command in a process group of its own, with a range of the spool as its input. It may end
/// without reading all of it; what it leaves running doesn't hold us. After `patience` without a byte being
/// read, it is killed.
///
/// # Errors
///
/// It could not be started, or the spool not be read.
pub(super) fn run(
    command: &mut Command,
    spool: &Spool,
    input: Range<u64>,
    patience: Duration,
) -> Result<Outcome> {
    let mut child = command
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .or_fail(Kind::Io, || "cannot start /bin/sh")?;
    let watched = watch(&mut child, spool, input, patience);
    if !matches!(watched, Ok((Ending::Exited(_), _))) {
        kill(&child);
        child
            .wait()
            .or_fail(Kind::Io, || "cannot wait for a command to end")?;
    }
    let (ending, said) = watched?;
    Ok(Outcome { ending, said })
}

/// Kills a command and what it started. It was not waited for yet, so that its number is still its own.
fn kill(child: &Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
}

fn watch(
    child: &mut Child,
    spool: &Spool,
    input: Range<u64>,
    patience: Duration,
) -> Result<(Ending, Vec<u8>)> {
    let cannot = || "cannot talk to a command";
    let mut feed = Feed::new(child.stdin.take(), spool, input).or_fail(Kind::Io, cannot)?;
    let mut voice = Voice::new(child.stderr.take()).or_fail(Kind::Io, cannot)?;
    let end = end_of(child);
    let mut deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().or_fail(Kind::Io, cannot)? {
            voice.listen();
            return Ok((Ending::Exited(status), voice.said));
        }
        let Some(left) = deadline.checked_duration_since(Instant::now()) else {
            return Ok((Ending::Stuck, voice.said));
        };
        wait(&feed, &voice, end.as_ref(), left).or_fail(Kind::Io, cannot)?;
        voice.listen();
        if feed.feed()? {
            deadline = Instant::now() + patience;
        }
    }
}

/// What becomes readable when the command ends.
fn end_of(child: &Child) -> Option<OwnedFd> {
    let process = i32::try_from(child.id()).ok().and_then(Pid::from_raw)?;
    rustix::process::pidfd_open(process, PidfdFlags::empty()).ok()
}

/// Waits until the command reads, speaks or ends, or the time is up.
fn wait(feed: &Feed<'_>, voice: &Voice, end: Option<&OwnedFd>, left: Duration) -> io::Result<()> {
    let mut wanted = Vec::new();
    wanted.extend(
        feed.pipe
            .as_ref()
            .map(|pipe| PollFd::new(pipe, PollFlags::OUT)),
    );
    wanted.extend(
        voice
            .pipe
            .as_ref()
            .map(|pipe| PollFd::new(pipe, PollFlags::IN)),
    );
    wanted.extend(end.map(|end| PollFd::new(end, PollFlags::IN)));
    let left = if end.is_some() { left } else { left.min(LOOK) };
    let left = Timespec::try_from(left).unwrap_or(Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    });
    match rustix::event::poll(&mut wanted, Some(&left)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn unblock(pipe: impl rustix::fd::AsFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(&pipe)?;
    Ok(rustix::fs::fcntl_setfl(&pipe, flags | OFlags::NONBLOCK)?)
}

/// The message on its way into the command.
struct Feed<'a> {
    /// Closed when all is written, or nobody reads any more.
    pipe: Option<ChildStdin>,
    spool: &'a Spool,
    rest: Range<u64>,
    /// What was read from the spool and not yet written.
    piece: Vec<u8>,
    written: usize,
}

impl<'a> Feed<'a> {
    fn new(pipe: Option<ChildStdin>, spool: &'a Spool, input: Range<u64>) -> io::Result<Self> {
        pipe.as_ref().map(unblock).transpose()?;
        Ok(Feed {
            pipe,
            spool,
            rest: input,
            piece: Vec::new(),
            written: 0,
        })
    }

    /// Writes as much as the command takes; says whether it took anything.
    fn feed(&mut self) -> Result<bool> {
        let mut progress = false;
        while let Some(pipe) = &mut self.pipe {
            if self.written == self.piece.len() {
                self.refill()?;
                if self.piece.is_empty() {
                    self.pipe = None;
                }
                continue;
            }
            match pipe.write(&self.piece[self.written..]) {
                Ok(n) => {
                    self.written += n;
                    progress |= n > 0;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // It reads no more. Whether that is an error, its exit status says.
                Err(_) => self.pipe = None,
            }
        }
        Ok(progress)
    }

    fn refill(&mut self) -> Result<()> {
        let most = usize::try_from(self.rest.end - self.rest.start)
            .unwrap_or(PIECE)
            .min(PIECE);
        self.piece.resize(most, 0);
        let n = self.spool.read(self.rest.start, &mut self.piece)?;
        if n == 0 && most > 0 {
            return Err(Failure::new(Kind::Io, "a temporary file ended too early"));
        }
        self.piece.truncate(n);
        self.rest.start += n as u64;
        self.written = 0;
        Ok(())
    }
}

/// What the command says on standard error.
struct Voice {
    pipe: Option<ChildStderr>,
    said: Vec<u8>,
    piece: Vec<u8>,
}

impl Voice {
    fn new(pipe: Option<ChildStderr>) -> io::Result<Self> {
        pipe.as_ref().map(unblock).transpose()?;
        Ok(Voice {
            pipe,
            said: Vec::new(),
            piece: vec![0; PIECE],
        })
    }

    /// Takes what has been said since, keeps the beginning and forgets the rest, so that nobody is held who says much.
    fn listen(&mut self) {
        // One piece at a time: who never stops talking doesn't keep us from looking whether time is up.
        let Some(pipe) = &mut self.pipe else {
            return;
        };
        match pipe.read(&mut self.piece) {
            Ok(0) => self.pipe = None,
            Ok(n) => {
                let kept = n.min(SAID - self.said.len());
                self.said.extend_from_slice(&self.piece[..kept]);
            }
            Err(error) => match error.kind() {
                ErrorKind::Interrupted | ErrorKind::WouldBlock => {}
                _ => self.pipe = None,
            },
        }
    }
}
