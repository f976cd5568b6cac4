//! Running a command that the person configured, in the background: fed, listened to, and never waited
//! for without a limit.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::environment::Environment;
use crate::error::{Kind, OrFail, Result};
use crate::text::{SHOWN_CHARACTERS, Untrusted};

/// So much of what a command says on standard error is kept, in bytes.
const SAID: usize = 4096;

/// What a command is told in a variable has at most so many characters.
pub(crate) const VALUE: usize = 1024;

/// The command is fed, and listened to, in pieces of this size, in bytes.
const PIECE: usize = 64 * 1024;

/// Where the kernel doesn't tell us when a process ends, we look so often.
const LOOK: Duration = Duration::from_millis(20);

/// We look so often whether somebody asked us to stop.
const LISTEN: Duration = Duration::from_millis(200);

/// How a command ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// By itself, or by somebody's signal.
    Exited(ExitStatus),
    /// By us, with its whole process group: it neither read nor ended for too long, or we were asked to stop.
    Killed,
}

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) ending: Ending,
    /// The beginning of what it said on standard error.
    pub(crate) said: Vec<u8>,
}

/// What a command waits for, and how long it is waited for.
pub(crate) struct Terms<'a> {
    /// Fills the buffer with more of the command's input and says how many bytes that were; none at its end.
    pub(crate) input: &'a mut dyn FnMut(&mut [u8]) -> Result<usize>,
    /// How long it may neither read nor end.
    pub(crate) patience: Duration,
    /// Whether it is to be ended now.
    pub(crate) stop: &'a dyn Fn() -> bool,
}

/// This command line, for `/bin/sh`, in the environment that a person gave us, without any password.
pub(crate) fn shell(line: &str, environment: &Environment) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(line);
    environment.hand_down(&mut command);
    command
}

/// Runs the command in a process group of its own. It may end without reading all of its input; what it
/// leaves running doesn't hold us. What it prints goes nowhere.
///
/// # Errors
///
/// It could not be started, or its input not be read.
pub(crate) fn run(command: &mut Command, terms: Terms<'_>) -> Result<Outcome> {
    let mut child = command
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .or_fail(Kind::Io, || "cannot start /bin/sh")?;
    let watched = watch(&mut child, terms);
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

fn watch(child: &mut Child, terms: Terms<'_>) -> Result<(Ending, Vec<u8>)> {
    let Terms {
        input,
        patience,
        stop,
    } = terms;
    let cannot = || "cannot talk to a command";
    let mut feed = Feed::new(child.stdin.take(), input).or_fail(Kind::Io, cannot)?;
    let mut voice = Voice::new(child.stderr.take()).or_fail(Kind::Io, cannot)?;
    let end = end_of(child);
    let mut deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().or_fail(Kind::Io, cannot)? {
            voice.listen();
            return Ok((Ending::Exited(status), voice.said));
        }
        if stop() {
            return Ok((Ending::Killed, voice.said));
        }
        let Some(left) = deadline.checked_duration_since(Instant::now()) else {
            return Ok((Ending::Killed, voice.said));
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
    let left = left.min(if end.is_some() { LISTEN } else { LOOK });
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

/// The input on its way into the command.
struct Feed<'a> {
    /// Closed when all is written, or nobody reads any more.
    pipe: Option<ChildStdin>,
    input: &'a mut dyn FnMut(&mut [u8]) -> Result<usize>,
    /// What was read from the input and not yet written.
    piece: Vec<u8>,
    written: usize,
}

impl<'a> Feed<'a> {
    fn new(
        pipe: Option<ChildStdin>,
        input: &'a mut dyn FnMut(&mut [u8]) -> Result<usize>,
    ) -> io::Result<Self> {
        pipe.as_ref().map(unblock).transpose()?;
        Ok(Feed {
            pipe,
            input,
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
        self.piece.resize(PIECE, 0);
        let n = (self.input)(&mut self.piece)?;
        self.piece.truncate(n);
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

/// What a command said, line by line, each safe to show and not too long.
pub(crate) fn lines(said: &[u8]) -> impl Iterator<Item = String> {
    said.split(|byte| matches!(byte, b'\n' | b'\r'))
        .flat_map(pieces)
        .map(|piece| Untrusted(piece).to_string())
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
    let mut word: String = text.iter().take(VALUE).map(plain).collect();
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
