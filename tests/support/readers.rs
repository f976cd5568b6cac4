//! Other programs look at what was stored: Python's `mailbox`, git and mutt.
//!
//! Each reader gives SHA-256 digests of the messages it sees, sorted, for comparison with [`digests`].

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use sha2::{Digest as _, Sha256};

/// The digests of these texts, sorted.
pub(crate) fn digests<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> Vec<String> {
    let digest = |text: T| {
        let digest = Sha256::digest(text.as_ref());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let mut digests: Vec<String> = texts.into_iter().map(digest).collect();
    digests.sort();
    digests
}

/// What Python's `mailbox.Maildir` reads.
pub(crate) fn python_maildir(path: &Path) -> Vec<String> {
    python("Maildir", path)
}

/// What Python's `mailbox.mbox` reads. It does not undo `>From ` quoting.
pub(crate) fn python_mbox(path: &Path) -> Vec<String> {
    python("mbox", path)
}

/// What an mbox in mboxrd form holds of a text: each line that could begin a message, or was quoted
/// before, has one `>` more.
pub(crate) fn quoted(text: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let signs = line.iter().take_while(|byte| **byte == b'>').count();
        if line[signs..].starts_with(b"From ") {
            quoted.push(b'>');
        }
        quoted.extend_from_slice(line);
    }
    quoted
}

/// What `git mailsplit --mboxrd` reads, in the order of the mbox: it undoes the quoting. Each message
/// comes with its From_ line and the empty line after it, which are taken off.
pub(crate) fn git_mailsplit(path: &Path) -> Vec<Vec<u8>> {
    let directory = tempfile::tempdir().expect("a directory for git");
    let mut command = Command::new("git");
    command
        .args(["mailsplit", "--mboxrd", "--keep-cr", "-d6"])
        .arg(format!("-o{}", directory.path().display()))
        .arg(path);
    run(command);
    let entries = fs::read_dir(directory.path()).expect("our own directory");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.sort();
    files.iter().map(|file| without_envelope(file)).collect()
}

fn without_envelope(file: &Path) -> Vec<u8> {
    let whole = fs::read(file).expect("git wrote it");
    assert!(whole.starts_with(b"From "), "{}", file.display());
    let line = whole.split_inclusive(|byte| *byte == b'\n').next();
    let after = &whole[line.unwrap_or_default().len()..];
    let text = after.strip_suffix(b"\n");
    text.expect("an empty line ends each message").to_vec()
}

fn python(class: &str, path: &Path) -> Vec<String> {
    const SCRIPT: &str = "
import hashlib, mailbox, sys
box = getattr(mailbox, sys.argv[1])(sys.argv[2], create=False)
for key in box.iterkeys():
    print(hashlib.sha256(box.get_bytes(key)).hexdigest())
";
    let mut command = Command::new("python3");
    command.args(["-c", SCRIPT, class]).arg(path);
    let output = run(command);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    sorted(&text)
}

/// What mutt reads in a Maildir.
pub(crate) fn mutt(path: &Path) -> Vec<String> {
    mutt_through("sha256sum", path)
}

/// What mutt reads in an mbox. It does not undo `>From ` quoting, and shows the From_ line too.
pub(crate) fn mutt_mbox(path: &Path) -> Vec<String> {
    mutt_through("sed 1d | sha256sum", path)
}

/// mutt wants a terminal, which `script` gives it, and pipes by key strokes each message,
/// undecoded, into this command.
fn mutt_through(command: &str, path: &Path) -> Vec<String> {
    let directory = tempfile::tempdir().expect("a directory for mutt");
    let digests = directory.path().join("digests");
    let muttrc = directory.path().join("muttrc");
    // Where the mail directory is missing, mutt asks a question, and the keys below would answer it.
    let settings = format!(
        "set folder={0} pipe_decode=no pipe_split=yes pipe_sep=\"\" wait_key=no quit=yes mark_old=no\n\
         push \"<tag-pattern>~A<enter><tag-prefix><pipe-message>\
         {command} >> {0}/digests<enter><exit>\"\n",
        directory.path().display()
    );
    fs::write(&muttrc, settings).expect("our own directory");
    let mutt = format!(
        "mutt -n -F '{}' -R -f '{}'",
        muttrc.display(),
        path.display()
    );
    let mut command = Command::new("script");
    command.args(["-qec", &mutt, "/dev/null"]);
    command.env("TERM", "xterm").env("HOME", directory.path());
    run(command);
    sorted(&fs::read_to_string(digests).unwrap_or_default())
}

fn run(mut command: Command) -> Output {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    match command.stderr(Stdio::piped()).spawn() {
        Ok(mut child) => {
            // It stays open until the program ends: at its end `script` would press keys.
            let input = child.stdin.take();
            let output = child.wait_with_output().expect("our own child");
            drop(input);
            assert!(output.status.success(), "{program} failed: {output:?}");
            output
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("{program} is missing: run tests/run, which installs what the tests need")
        }
        Err(error) => panic!("{program} cannot be started: {error}"),
    }
}

fn sorted(lines: &str) -> Vec<String> {
    let digest = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let mut digests: Vec<String> = lines.lines().map(digest).collect();
    digests.sort();
    digests
}
