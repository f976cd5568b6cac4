//! Python and mutt read what is there.

use std::fs;

use crate::support::messages::{one_of_each, stored_form};
use crate::support::readers::{digests, mutt, python_maildir, python_mbox};
use crate::support::sandbox::Sandbox;

/// mutt adds the empty line after a header that lacks it.
fn as_mutt_has_it(text: &Vec<u8>) -> Vec<u8> {
    match memchr::memmem::find(text, b"\n\n") {
        Some(_) => text.clone(),
        None => [text.as_slice(), b"\n"].concat(),
    }
}

#[test]
fn python_and_mutt_read_a_maildir() {
    let sandbox = Sandbox::new();
    let maildir = sandbox.mail("readers");
    for directory in ["tmp", "new", "cur"] {
        fs::create_dir_all(maildir.path.join(directory)).expect("our own directory");
    }
    let texts: Vec<_> = one_of_each().iter().map(|wire| stored_form(wire)).collect();
    for (index, text) in texts.iter().enumerate() {
        let directory = if index % 2 == 0 { "new" } else { "cur" };
        let path = maildir.path.join(directory).join(format!("{index}.test"));
        fs::write(path, text).expect("our own directory");
    }
    let all = digests(&texts);
    assert_eq!(python_maildir(&maildir.path), all);
    assert_eq!(
        mutt(&maildir.path),
        digests(texts.iter().map(as_mutt_has_it))
    );
}

#[test]
fn python_reads_an_mbox() {
    let sandbox = Sandbox::new();
    let (one, two) = ("Subject: one\n\n>From here\n", "Subject: two\n\nend\n");
    let text = format!(
        "From a@b Tue Mar  3 10:00:00 2026\n{one}\nFrom a@b Tue Mar  3 10:00:00 2026\n{two}\n"
    );
    let path = sandbox.private_file("mbox", &text);
    assert_eq!(python_mbox(&path), digests([one, two]));
}
