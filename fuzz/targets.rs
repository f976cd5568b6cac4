//! What is fuzzed: each takes any bytes, and must neither panic nor break what is asserted.

use std::fs;

use popfetch::config::{self, Overrides};
use popfetch::environment::Environment;
use popfetch::journal::{Journal, Mailbox};
use popfetch::pop3::sasl::{
    Binding, CramMd5, Exchange, Hash, Login, Mechanism, Next, OauthBearer, Plain, Scram, Xoauth2,
};
use popfetch::pop3::{
    Capabilities, Decoder, Event, Receiver, Reply, Shape, Sizes, Status, Uids, apop, merge,
    parse_stat,
};
use tempfile::TempDir;

/// A target and where its search begins.
pub(crate) struct Target {
    /// What it is about.
    pub(crate) name: &'static str,
    /// Inputs that lead far into the code.
    pub(crate) seeds: &'static [&'static [u8]],
    /// Takes any bytes.
    pub(crate) run: fn(&[u8]),
}

/// Every target.
pub(crate) const ALL: [Target; 7] = [
    Target {
        name: "reply",
        seeds: &[
            b"+OK [LOGIN-DELAY] <1896.697170952@dbc.mtview.ca.us>",
            b"-ERR [SYS/TEMP/x] lock",
            b"+ dGVzdA==",
            b"+OK 2 320",
        ],
        run: reply,
    },
    Target {
        name: "receiver",
        seeds: &[
            b"\x03+OK\r\nSubject: x\r\n\r\n..\r\ntext\r\n.\r\n+OK\r\n1 a\r\n2 b\r\n.\r\n",
            b"\x01+OK\n1 a\n.\n-ERR no\r\n+OK\r\n\r.\r\n.\r\n",
        ],
        run: receiver,
    },
    Target {
        name: "multiline",
        seeds: &[b"\x05Subject: x\r\n\r\n..\r\nlone\nlf\rcr\r\n.\r\nrest", b"\x01.\r\n", b"\x02a\r\n.\r"],
        run: multiline,
    },
    Target {
        name: "capability",
        seeds: &[
            b"TOP\nUIDL\nSASL PLAIN SCRAM-SHA-256 X\nEXPIRE 31 USER\nLOGIN-DELAY 900",
            b"IMPLEMENTATION Shlemazle-Plotz-v302\nUTF8 USER\nexpire never\nSTLS\nPIPELINING",
        ],
        run: capability,
    },
    Target {
        name: "listing",
        seeds: &[b"1 a\n2 b\n2 c\x003 100\n1 200 more\x005 320", b"4294967295 x\n0 y\x001 -5\x00-1 0"],
        run: listing,
    },
    Target {
        name: "sasl",
        seeds: &[
            b"\x00+ r=NONCEmore,s=c2FsdA==,i=4096\n+ v=AAAA\n+OK",
            b"\x01+ <1@a>\n+OK\x02+\n+\n+OK",
            b"\x03+ {\"status\":\"401\"}\n-ERR\n+OK",
            b"\x04+OK\n+OK\n+OK",
        ],
        run: sasl,
    },
    Target {
        name: "journal and configuration",
        seeds: &[
            br#"{"is":"stored","uid":"0001","to":0,"digest":"0000000000000000000000000000000000000000000000000000000000000000","octets":9,"listed":9,"file":"1.x","at":"2026-03-01T06:00:00Z"}"#,
            b"{\"is\":\"fact\",\"name\":\"sizes-wrong\",\"holds\":true}\n{\"is\":\"logged-in\",\"name\":\"PLAIN\",\"tls\":true}",
            b"{\"is\":\"destination\",\"to\":0,\"name\":\"maildir:/m\"}\n{\"is\":\"asked\",\"uid\":\"%FF\"}",
            b"[accounts.work]\nhost = \"h\"\nuser = \"u\"\ndeliver = [\"maildir:m\"]\nleave_on_server = \"30d\"\ntimeout = \"60s\"\ntls_fingerprints = [\"sha256:00\"]\n",
            b"[defaults]\ntls = \"none\"\nport = 1\n[accounts.\"a b\"]\npassword = \"x\"\nauth = \"scram-sha-1\"\n",
        ],
        run: files,
    },
];

fn reply(input: &[u8]) {
    let Some(reply) = Reply::parse(input) else {
        return;
    };
    let shown = format!("{reply:?}");
    assert!(!shown.contains('\x1b') && shown.len() < 4096);
    let _ = parse_stat(reply.text);
    if let Some(stamp) = apop::stamp(reply.text) {
        assert!(stamp.len() <= 512 && stamp.bytes().all(|byte| byte.is_ascii_graphic()));
    }
}

/// The first byte says in how large pieces the rest comes: the same must come of any.
fn receiver(input: &[u8]) {
    let Some((&size, input)) = input.split_first() else {
        return;
    };
    let whole = received(input, input.len().max(1));
    assert_eq!(whole, received(input, usize::from(size).max(1)));
}

fn received(input: &[u8], size: usize) -> (Vec<u8>, String) {
    let mut receiver = Receiver::new();
    for shape in [
        Shape::Greeting,
        Shape::Message,
        Shape::Listing,
        Shape::Message,
        Shape::Challenge,
        Shape::Line,
    ] {
        receiver.expect(shape);
    }
    let (mut text, mut events) = (Vec::new(), String::new());
    let (mut start, mut end) = (0, 0);
    loop {
        match receiver.receive(&input[start..end], &mut text) {
            Err(violation) => return (text, events + &violation.to_string()),
            Ok((used, event)) => {
                start += used;
                match event {
                    Event::Incomplete if end == input.len() => return (text, events),
                    Event::Incomplete => end = input.len().min(end + size),
                    Event::Text { .. } => {}
                    event => events += &format!("{event:?}\n"),
                }
            }
        }
    }
}

/// The same for the decoder alone; and it never takes what is behind the end.
fn multiline(input: &[u8]) {
    let Some((&size, input)) = input.split_first() else {
        return;
    };
    let decoded = |size: usize| {
        let (mut decoder, mut out) = (Decoder::new(), Vec::new());
        let (mut start, mut end) = (0, 0);
        loop {
            let progress = decoder.decode(&input[start..end], &mut out);
            start += progress.consumed;
            if progress.ended {
                return (out, Some(start));
            }
            if progress.consumed == 0 {
                if end == input.len() {
                    return (out, None);
                }
                end = input.len().min(end + size.max(1));
            }
        }
    };
    let whole = decoded(input.len());
    assert_eq!(whole, decoded(usize::from(size)));
    if let Some(end) = whole.1 {
        assert!(input[..end].ends_with(b".\r\n"));
    }
}

fn capability(input: &[u8]) {
    let mut capabilities = Capabilities::default();
    for line in input.split(|&byte| byte == b'\n') {
        if capabilities.add(line).is_err() {
            break;
        }
    }
    assert!(capabilities.mechanisms().count() <= 64);
    let _ = format!("{capabilities:?}");
}

/// UIDL, LIST and STAT, separated by NULs.
fn listing(input: &[u8]) {
    let mut parts = input.split(|&byte| byte == 0);
    let mut lines = || {
        let part = parts.next().unwrap_or_default();
        part.split(|&byte| byte == b'\n')
    };
    let (mut uids, mut sizes) = (Uids::new(), Sizes::new());
    let uids_are_sound = lines().all(|line| uids.add(line).is_ok());
    let sizes_are_sound = lines().all(|line| sizes.add(line).is_ok());
    let stat = parse_stat(lines().next().unwrap_or_default()).ok();
    let listing = merge(
        stat,
        uids_are_sound.then_some(uids),
        sizes_are_sound.then_some(sizes),
    );
    let numbers = || listing.messages.iter().map(|listed| listed.number);
    assert!(
        numbers()
            .zip(numbers().skip(1))
            .all(|(one, next)| one < next)
    );
}

/// The first byte chooses the mechanism; then the server's lines. Behind `+ `, base64 is made of them.
fn sasl(input: &[u8]) {
    let Some((&choice, input)) = input.split_first() else {
        return;
    };
    let mechanism: Box<dyn Mechanism> = match choice % 6 {
        0 => {
            let nonce = "NONCE".to_owned();
            let scram = Scram::new(Hash::Sha1, Binding::None, b"user", b"pencil", nonce);
            Box::new(scram.expect("credentials"))
        }
        1 => Box::new(CramMd5::new(b"user", b"pencil").expect("credentials")),
        2 => Box::new(Login::new(b"user", b"pencil").expect("credentials")),
        3 => Box::new(Xoauth2::new(b"user", b"token").expect("credentials")),
        4 => Box::new(Plain::new(b"user", b"pencil").expect("credentials")),
        _ => Box::new(OauthBearer::new(b"user", b"token", "h", 995).expect("credentials")),
    };
    let mut exchange = Exchange::new(mechanism, choice & 0x80 != 0);
    for line in input.split(|&byte| byte == b'\n') {
        let line = with_base64(line);
        let Some(reply) = Reply::parse(&line) else {
            continue;
        };
        match exchange.proceed(&reply) {
            Next::Send(_) => {}
            Next::Done => {
                assert_eq!(reply.status, Status::Ok);
                assert!(
                    choice % 6 != 0,
                    "nobody knows the password, so nobody can sign"
                );
                return;
            }
            Next::Denied | Next::Cancelled(_) | Next::Untrusted(_) => return,
        }
    }
}

fn with_base64(line: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    match line.strip_prefix(b"+ ") {
        Some(text) => format!("+ {}", BASE64_STANDARD.encode(text)).into_bytes(),
        None => line.to_vec(),
    }
}

/// As a journal, each line under a right checksum, and as a configuration.
fn files(input: &[u8]) {
    thread_local! {
        static FOLDER: TempDir = tempfile::tempdir().expect("a folder");
    }
    FOLDER.with(|folder| {
        let mailbox = Mailbox::new("alice", "pop.example.com", 995);
        let mut lines =
            sealed(br#"{"popfetch":1,"user":"alice","host":"pop.example.com","port":110}"#);
        for line in input.split(|&byte| byte == b'\n') {
            lines.extend(sealed(line));
        }
        let journal = folder.path().join("alice@pop.example.com.jsonl");
        fs::write(journal, lines).expect("our own file");
        let _ = Journal::peek(folder.path(), &mailbox);

        let path = folder.path().join("config.toml");
        fs::write(&path, input).expect("our own file");
        let environment = Environment::system().expect("an environment");
        match config::load(Some(&path), &environment, &Overrides::default()) {
            Ok(config) => assert!(!config.accounts.is_empty()),
            Err(failure) => assert!(!failure.to_string().is_empty()),
        }
    });
}

fn sealed(line: &[u8]) -> Vec<u8> {
    let content = line.strip_suffix(b"}").unwrap_or(line);
    let mut sealed = content.to_vec();
    let checksum = crc32fast::hash(content);
    sealed.extend(format!(",\"crc\":\"{checksum:08x}\"}}\n").into_bytes());
    sealed
}
