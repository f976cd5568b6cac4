//! `mbox:-`: messages as a stream in mboxrd form on standard output, for `formail -s`, `zstd` or `ssh`.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use super::batch::{Batch, Quoted};
use super::mboxrd::{Quoter, from_line};
use super::{Complete, DeliveryError, Destination, MessageWriter, PreparedBatch};
use crate::environment::Environment;
use crate::error::{Failure, Kind, OrFail, Result};
use crate::mail::Place;

/// Several accounts may write to standard output; their messages come out one after another.
static TURN: Mutex<()> = Mutex::new(());

/// A stream that takes messages. What becomes of them cannot be known, so that it proves nothing durable.
pub struct Stdout {
    environment: Environment,
    batch: Batch<String>,
    stream: Option<Box<dyn Write + Send>>,
}

impl Stdout {
    /// Standard output.
    #[must_use]
    pub fn new(environment: &Environment) -> Self {
        Stdout {
            environment: environment.clone(),
            batch: Batch::new(environment.state_dir.clone()),
            stream: None,
        }
    }

    /// Any other stream.
    #[cfg(test)]
    fn to(stream: impl Write + Send + 'static, environment: &Environment) -> Self {
        Stdout {
            stream: Some(Box::new(stream)),
            ..Stdout::new(environment)
        }
    }
}

/// Standard output without the library's buffer, which would hide when a write fails.
fn standard_output() -> Result<Box<dyn Write + Send>> {
    if io::stdout().is_terminal() {
        let what = "standard output is a terminal, where mail could do anything";
        return Err(Failure::new(Kind::Destination, what).hint(
            "Send it on to a program or into a file: popfetch sync --to mbox:- | formail -s …",
        ));
    }
    let stream = io::stdout().as_fd().try_clone_to_owned();
    let stream = stream.or_fail(Kind::Io, || "cannot use standard output")?;
    Ok(Box::new(File::from(stream)))
}

fn cannot_write(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::new(
            Kind::Io,
            "the program that reads our standard output has stopped reading",
        )
        .hint("Nothing was deleted on the server. The next run goes on where this one could no longer write, and with --all begins anew."),
        _ => Failure::new(Kind::Io, "cannot write to standard output").because(error),
    }
}

impl Destination for Stdout {
    fn is_durable(&self) -> bool {
        false
    }

    fn begin(&mut self) -> Result<Box<dyn MessageWriter + '_>, DeliveryError> {
        if self.stream.is_none() {
            self.stream = Some(standard_output().map_err(DeliveryError::Destination)?);
        }
        let now = self.environment.now();
        let from_line = move |message: &Complete<'_>| from_line(message.sender, now);
        Ok(Box::new(self.batch.begin(Some(Quoter::new()), from_line)))
    }

    fn prepare(&mut self) -> Result<Box<dyn PreparedBatch + '_>> {
        let places = vec![Place::Untracked; self.batch.messages().len()];
        Ok(Box::new(Prepared {
            stdout: self,
            places,
        }))
    }

    fn discard(&mut self) {
        self.batch.clear();
    }
}

/// A batch, ready to be written.
struct Prepared<'a> {
    stdout: &'a mut Stdout,
    places: Vec<Place>,
}

impl PreparedBatch for Prepared<'_> {
    fn places(&self) -> &[Place] {
        &self.places
    }

    fn commit(self: Box<Self>) -> Vec<Result<Place, DeliveryError>> {
        let Stdout { batch, stream, .. } = &mut *self.stdout;
        let Some(stream) = stream else {
            return Vec::new(); // No message was begun.
        };
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        // After a part of a message is lost, what comes next would be taken for the rest of it.
        let mut is_broken = false;
        let mut write = |message: &Quoted| {
            if is_broken {
                return Err(cannot_write(io::ErrorKind::BrokenPipe.into()));
            }
            let copied = batch.copy(message, |bytes| {
                stream.write_all(bytes).map_err(cannot_write)
            });
            let written = copied.and_then(|()| stream.flush().map_err(cannot_write));
            is_broken = written.is_err();
            written.map(|()| Place::Untracked)
        };
        let messages = batch.messages().iter();
        messages
            .map(|message| write(message).map_err(DeliveryError::Destination))
            .collect()
    }
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        self.stdout.discard();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::Arc;

    use super::*;
    use crate::deliver::testing::{add, add_from, commit, environment, store};

    #[test]
    fn the_stream_is_an_mbox() {
        let root = tempfile::tempdir().expect("tempdir");
        let time = "2026-08-03T04:05:06Z".parse().expect("a time");
        let environment = environment(root.path()).with_clock(move || time);
        let (mut reader, writer) = io::pipe().expect("pipe");
        let mut stdout = Stdout::to(writer, &environment);
        add_from(&mut stdout, b"A: 1\n\nFrom here\n", Some(b"a@b"));
        store(&mut stdout, &[b"no end"]);
        store(&mut stdout, &[b""]);
        drop(stdout);
        let mut read = String::new();
        reader.read_to_string(&mut read).expect("read");
        assert_eq!(
            read,
            "From a@b Mon Aug  3 04:05:06 2026\nA: 1\n\n>From here\n\n\
             From MAILER-DAEMON Mon Aug  3 04:05:06 2026\nno end\n\n\
             From MAILER-DAEMON Mon Aug  3 04:05:06 2026\n\n"
        );
    }

    #[test]
    fn a_closed_pipe_ends_the_destination_for_this_and_all_later_messages() {
        let root = tempfile::tempdir().expect("tempdir");
        let (reader, writer) = io::pipe().expect("pipe");
        let mut stdout = Stdout::to(writer, &environment(root.path()));
        drop(reader);
        add(&mut stdout, b"one");
        add(&mut stdout, b"two");
        let results = commit(&mut stdout);
        assert_eq!(results.len(), 2);
        for result in results {
            match result {
                Err(DeliveryError::Destination(failure)) => assert_eq!(failure.kind(), Kind::Io),
                other => panic!("{other:?} from a closed pipe"),
            }
        }
    }

    /// Keeps what it is given, but for one piece with this word in it.
    struct Flaw {
        word: Option<&'static str>,
        kept: Arc<Mutex<String>>,
    }

    impl Write for Flaw {
        fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8_lossy(piece);
            match self.word.take_if(|word| text.contains(*word)) {
                Some(_) => Err(io::ErrorKind::StorageFull.into()),
                None => {
                    self.kept.lock().expect("kept").push_str(&text);
                    Ok(piece.len())
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nothing_comes_after_a_message_that_is_not_whole() {
        let root = tempfile::tempdir().expect("tempdir");
        let kept = Arc::new(Mutex::new(String::new()));
        let stream = Flaw {
            word: Some("two"),
            kept: Arc::clone(&kept),
        };
        let mut stdout = Stdout::to(stream, &environment(root.path()));
        let texts = [&b"one"[..], b"two", b"three", b"four"];
        texts.iter().for_each(|text| add(&mut stdout, text));
        let written = commit(&mut stdout);
        let written: Vec<bool> = written.iter().map(Result::is_ok).collect();
        assert_eq!(written, [true, false, false, false]);
        let kept = kept.lock().expect("kept");
        let (whole, rest) = kept.split_once("\none\n\n").expect(&kept);
        assert!(whole.starts_with("From "), "{kept}");
        let from_line = rest.strip_suffix('\n').expect("a From_ line");
        assert!(!from_line.contains('\n'), "{kept}");
    }

    #[test]
    fn what_was_given_up_is_not_in_the_stream() {
        let root = tempfile::tempdir().expect("tempdir");
        let (mut reader, writer) = io::pipe().expect("pipe");
        let mut stdout = Stdout::to(writer, &environment(root.path()));
        add(&mut stdout, b"discarded");
        stdout.discard();
        let mut writer = stdout.begin().expect("begun");
        writer.write(b"abandoned").expect("written");
        drop(writer);
        store(&mut stdout, &[b"kept"]);
        drop(stdout);
        let mut read = String::new();
        reader.read_to_string(&mut read).expect("read");
        assert!(
            read.starts_with("From ") && read.ends_with("\nkept\n\n"),
            "{read}"
        );
        assert!(
            !read.contains("discarded") && !read.contains("abandoned"),
            "{read}"
        );
    }
}
