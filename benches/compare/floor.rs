//! The floors: small programs that do as little as the work allows, as the least that it can take.
//!
//! They trust one authority without reading the system's roots, log in with USER and PASS, ask for
//! nothing but STAT before they begin, and remember nothing.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;

use openssl::ssl::{Ssl, SslContext, SslMethod, SslStream, SslVerifyMode};
use popfetch::pop3::{Event, Receiver, Shape};
use rustix::fs::Advice;

use crate::support::server::{PASSWORD, USER};

/// The first argument that makes this program a floor.
pub(crate) const FLOOR: &str = "--floor";

/// How many messages share a flush.
const BATCH: usize = 256;

/// What a floor does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Floor {
    /// Retrieves everything and throws it away.
    Drain,
    /// Writes one file for each message.
    Files,
    /// And makes them durable, batch by batch.
    DurableFiles,
    /// Asks for the unique-ids and throws them away.
    Uidl,
    /// And retrieves the last [`NEW`] messages.
    UidlAndNew,
    /// Connects to no server: makes a TLS connector that trusts what the system trusts, as native-tls makes it.
    Connector,
}

/// How many messages are new where most were seen before.
pub(crate) const NEW: usize = 10;

impl Floor {
    const ALL: [Floor; 6] = [
        Floor::Drain,
        Floor::Files,
        Floor::DurableFiles,
        Floor::Uidl,
        Floor::UidlAndNew,
        Floor::Connector,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Floor::Drain => "drain",
            Floor::Files => "files",
            Floor::DurableFiles => "durable files",
            Floor::Uidl => "UIDL drain",
            Floor::UidlAndNew => "UIDL, ten drain",
            Floor::Connector => "TLS connector",
        }
    }

    /// The command that does this for these ports, all at once.
    pub(crate) fn command(self, authority: &Path, directory: &Path, ports: &[u16]) -> Command {
        let myself = std::env::current_exe().expect("a program has a path");
        let mut command = Command::new(myself);
        command
            .arg(FLOOR)
            .arg(self.name())
            .arg(authority)
            .arg(directory);
        command.args(ports.iter().map(u16::to_string));
        command
    }
}

/// What such a command does: `FLOOR AUTHORITY DIRECTORY PORT…`.
pub(crate) fn run(arguments: impl Iterator<Item = String>) -> ExitCode {
    let arguments: Vec<String> = arguments.collect();
    let [name, authority, directory, ports @ ..] = arguments.as_slice() else {
        return ExitCode::from(64);
    };
    let floor = Floor::ALL.into_iter().find(|floor| floor.name() == name);
    let Some(floor) = floor else {
        return ExitCode::from(64);
    };
    if floor == Floor::Connector {
        return match native_tls::TlsConnector::new() {
            Ok(_) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let one = |port: &str| -> io::Result<()> {
        let port = port.parse().map_err(io::Error::other)?;
        let directory = PathBuf::from(directory).join(format!("{port}"));
        Session::open(authority, port)?.work(floor, &directory)
    };
    let done = thread::scope(|scope| {
        let one = &one;
        let threads: Vec<_> = ports
            .iter()
            .map(|port| scope.spawn(move || one(port)))
            .collect();
        let ended = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"));
        ended.collect::<io::Result<()>>()
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::say(&format!("{name}: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// An open maildrop.
struct Session {
    stream: SslStream<Below>,
    receiver: Receiver,
    input: Vec<u8>,
    start: usize,
}

/// A large buffer below TLS.
#[derive(Debug)]
struct Below(BufReader<TcpStream>);

impl Read for Below {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Below {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.get_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Session {
    fn open(authority: &str, port: u16) -> io::Result<Self> {
        let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        tcp.set_nodelay(true)?;
        let mut context = SslContext::builder(SslMethod::tls_client())?;
        context.set_ca_file(authority)?;
        context.set_verify(SslVerifyMode::PEER);
        let ssl = Ssl::new(&context.build())?;
        let below = Below(BufReader::with_capacity(64 * 1024, tcp));
        let stream = ssl.connect(below).map_err(io::Error::other)?;
        let mut session = Session {
            stream,
            receiver: Receiver::new(),
            input: Vec::with_capacity(256 * 1024),
            start: 0,
        };
        session.receiver.expect(Shape::Greeting);
        session.next_line()?;
        for command in [format!("USER {USER}\r\n"), format!("PASS {PASSWORD}\r\n")] {
            session.ask(&command, Shape::Line)?;
            session.next_line()?;
        }
        Ok(session)
    }

    fn work(mut self, floor: Floor, directory: &Path) -> io::Result<()> {
        self.ask("STAT\r\n", Shape::Line)?;
        let stat = self.next_line()?;
        let count = stat.split(' ').next().and_then(|count| count.parse().ok());
        let count: usize = count.ok_or_else(|| io::Error::other(stat))?;
        match floor {
            Floor::Drain => self.retrieve(1..=count, &mut Nowhere)?,
            Floor::Files | Floor::DurableFiles => {
                fs::create_dir_all(directory)?;
                let durable = floor == Floor::DurableFiles;
                let mut files = Files::new(directory, durable)?;
                self.retrieve(1..=count, &mut files)?;
                files.flush()?;
            }
            Floor::Uidl => self.list()?,
            Floor::UidlAndNew => {
                self.list()?;
                self.retrieve(count - NEW + 1..=count, &mut Nowhere)?;
            }
            Floor::Connector => {}
        }
        self.ask("QUIT\r\n", Shape::Line)?;
        self.next_line()?;
        Ok(())
    }

    /// Retrieves these messages, with up to a thousand commands in flight.
    fn retrieve(&mut self, messages: RangeInclusive<usize>, sink: &mut dyn Sink) -> io::Result<()> {
        let (before, last) = (messages.start() - 1, *messages.end());
        let (mut sent, mut done) = (before, before);
        let mut text = Vec::new();
        while done < last {
            if sent - done <= 500 && sent < last {
                let more = last.min(done + 1000);
                let commands: String = (sent + 1..=more).map(|n| format!("RETR {n}\r\n")).collect();
                (sent..more).for_each(|_| self.receiver.expect(Shape::Message));
                self.stream.write_all(commands.as_bytes())?;
                sent = more;
            }
            match self.step(&mut text)? {
                Step::Said => sink.begin()?,
                Step::Text => sink.text(&mut text)?,
                Step::End => {
                    sink.end()?;
                    done += 1;
                }
                Step::Entry => {}
            }
        }
        Ok(())
    }

    fn ask(&mut self, command: &str, shape: Shape) -> io::Result<()> {
        self.receiver.expect(shape);
        self.stream.write_all(command.as_bytes())
    }

    fn next_line(&mut self) -> io::Result<String> {
        loop {
            let input = self.input.get(self.start..).unwrap_or_default();
            let received = self.receiver.receive(input, &mut Vec::new());
            let (used, event) =
                received.map_err(|violation| io::Error::other(violation.to_string()))?;
            let said = match event {
                Event::Reply(reply) if reply.is_ok() => {
                    Some(String::from_utf8_lossy(reply.text).into())
                }
                Event::Incomplete => None,
                other => return Err(io::Error::other(format!("{other:?}"))),
            };
            self.start += used;
            match said {
                Some(said) => return Ok(said),
                None => self.fill()?,
            }
        }
    }

    fn list(&mut self) -> io::Result<()> {
        self.ask("UIDL\r\n", Shape::Listing)?;
        self.next_line()?;
        let mut text = Vec::new();
        while !matches!(self.step(&mut text)?, Step::End) {}
        Ok(())
    }

    fn step(&mut self, text: &mut Vec<u8>) -> io::Result<Step> {
        loop {
            let input = self.input.get(self.start..).unwrap_or_default();
            let received = self.receiver.receive(input, text);
            let (used, event) =
                received.map_err(|violation| io::Error::other(violation.to_string()))?;
            let step = match event {
                Event::Incomplete => None,
                Event::Reply(reply) if reply.is_ok() => Some(Step::Said),
                Event::Reply(reply) => return Err(io::Error::other(format!("{reply:?}"))),
                Event::Text { .. } => Some(Step::Text),
                Event::Entry(_) => Some(Step::Entry),
                Event::EndOfMessage { .. } | Event::EndOfListing => Some(Step::End),
            };
            self.start += used;
            match step {
                Some(step) => return Ok(step),
                None => self.fill()?,
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.input.drain(..self.start);
        self.start = 0;
        let length = self.input.len();
        self.input.resize(length + 128 * 1024, 0);
        let read = self
            .stream
            .read(self.input.get_mut(length..).unwrap_or_default())?;
        self.input.truncate(length + read);
        match read {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

enum Step {
    Said,
    Text,
    Entry,
    End,
}

/// Where messages go.
trait Sink {
    fn begin(&mut self) -> io::Result<()>;
    fn text(&mut self, text: &mut Vec<u8>) -> io::Result<()>;
    fn end(&mut self) -> io::Result<()>;
}

struct Nowhere;

impl Sink for Nowhere {
    fn begin(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn text(&mut self, text: &mut Vec<u8>) -> io::Result<()> {
        text.clear();
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One file for each message.
struct Files {
    directory: PathBuf,
    open_directory: File,
    durable: bool,
    count: usize,
    current: Option<File>,
    batch: Vec<File>,
}

impl Files {
    fn new(directory: &Path, durable: bool) -> io::Result<Self> {
        Ok(Files {
            open_directory: File::open(directory)?,
            directory: directory.to_owned(),
            durable,
            count: 0,
            current: None,
            batch: Vec::new(),
        })
    }

    /// The cheapest way that we know: begin to write all of them back, then wait for each.
    fn flush(&mut self) -> io::Result<()> {
        for file in &self.batch {
            let _ = rustix::fs::fadvise(file, 0, None, Advice::DontNeed);
        }
        for file in self.batch.drain(..) {
            file.sync_data()?;
        }
        match self.durable {
            true => self.open_directory.sync_all(),
            false => Ok(()),
        }
    }
}

impl Sink for Files {
    fn begin(&mut self) -> io::Result<()> {
        self.count += 1;
        self.current = Some(File::create(self.directory.join(self.count.to_string()))?);
        Ok(())
    }

    fn text(&mut self, text: &mut Vec<u8>) -> io::Result<()> {
        let written = self
            .current
            .as_mut()
            .map_or(Ok(()), |file| file.write_all(text));
        text.clear();
        written
    }

    fn end(&mut self) -> io::Result<()> {
        let current = self.current.take();
        if self.durable {
            self.batch.extend(current);
            if self.batch.len() >= BATCH {
                self.flush()?;
            }
        }
        Ok(())
    }
}
