//! Maildir: a directory with one file for each message.
//!
//! A message grows in `tmp/` and is moved into `new/` once it is whole and durable. No lock
//! is needed: names are unique, and readers never look into `tmp/`.

mod directories;
mod name;
mod recovery;
mod search;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use jiff::Timestamp;
use rustix::fs::Advice;
use rustix::io::Errno;

use self::directories::Directories;
use self::name::Names;
use super::{
    Complete, DeliveryError, Destination, MessageWriter, Mode, PreparedBatch, StoredRef, disk,
};
use crate::crash;
use crate::environment::Environment;
use crate::error::{Failure, Result};
use crate::fs::Directory;
use crate::mail::{Identity, Place};

/// What a Maildir consists of.
const DIRECTORIES: [&str; 3] = ["cur", "new", "tmp"];

/// How many files of a batch are kept open until they are durable. A batch may have more messages
/// than a process may have files; then it is made durable in several turns.
const MAX_OPEN_FILES: usize = 64;

/// Text is written in pieces of this size, in bytes.
const BUFFER: usize = 64 * 1024;

/// How many names are tried before all are taken to be in use.
const MAX_NAMES_TRIED: usize = 10;

/// A Maildir that takes messages.
pub struct Maildir {
    path: PathBuf,
    names: Names,
    environment: Environment,
    /// Mail was stored in it by an earlier run: it is not made anew.
    is_used: bool,
    /// Opened, and made where missing, by the first message.
    directories: Option<Directories>,
    batch: Batch,
}

/// The messages that are whole and wait in `tmp/`.
#[derive(Default)]
struct Batch {
    messages: Vec<Waiting>,
    /// How many of them are open.
    open: usize,
    /// Why some file could not be made durable.
    broken: Option<Failure>,
}

/// A message that is whole and waits in `tmp/`.
struct Waiting {
    unique: String,
    bytes: u64,
    /// Open as long as its data may not be durable.
    file: Option<File>,
}

impl Maildir {
    /// The Maildir at this path. Nothing is made there before a message comes.
    #[must_use]
    pub fn new(path: PathBuf, environment: &Environment) -> Self {
        Maildir {
            path,
            names: Names::new(&environment.host_name),
            environment: environment.clone(),
            is_used: false,
            directories: None,
            batch: Batch::default(),
        }
    }

    fn open(&self) -> Result<Directories> {
        if self.is_used {
            self.check_present()?;
        }
        let directories = Directories::open(&self.path)?;
        recovery::remove_stale(&directories, self.environment.now());
        Ok(directories)
    }

    /// A mount point without its disk is an empty directory. One of the three may be missing: readers of mail
    /// remove what is empty.
    fn check_present(&self) -> Result<()> {
        if let Some(maildir) = Directory::find(&self.path)? {
            for name in DIRECTORIES {
                if maildir.find_in(name)?.is_some() {
                    return Ok(());
                }
            }
        }
        Err(disk::gone("the Maildir", &self.path, &DIRECTORIES))
    }
}

/// A new file in `tmp/`, and its name.
fn create(directories: &Directories, names: &Names, now: Timestamp) -> Result<(String, File)> {
    for _ in 0..MAX_NAMES_TRIED {
        let unique = names.next(now);
        if let Some(file) = directories.create(&unique)? {
            return Ok((unique, file));
        }
    }
    Err(directories.failure("create a file in", "tmp", Errno::EXIST))
}

impl Batch {
    /// Adds a message. Where too many are open, they are made durable now.
    fn add(&mut self, message: Waiting, directories: &Directories) {
        self.messages.push(message);
        self.open += 1;
        if self.open >= MAX_OPEN_FILES {
            self.sync_files(directories);
        }
    }

    /// Makes the data of all files that are still open durable, and closes them. A failure is
    /// remembered, because asking again would prove nothing: the kernel reports a lost write once.
    fn sync_files(&mut self, directories: &Directories) {
        crash::point("maildir: data not synced");
        self.open = 0;
        let messages = self.messages.iter_mut();
        let files: Vec<_> = messages.filter_map(|message| message.file.take()).collect();
        // This begins the writing of all of them, so that they share the disk's flushes; it makes the whole
        // nearly twice as fast. Where the hint is not taken, the next step does all the work.
        for file in &files {
            let _ = rustix::fs::fadvise(file, 0, None, Advice::DontNeed);
        }
        let mut synced = files.iter().map(|file| directories.sync_file(file));
        if let Err(errno) = synced.try_for_each(|synced| synced) {
            self.broken = Some(directories.failure("make durable a message in", "tmp", errno));
        }
    }

    /// Makes all of it durable, and says which place each message will have.
    fn sync(&mut self, directories: &Directories) -> Result<Vec<Place>> {
        self.sync_files(directories);
        if let Some(failure) = self.broken.take() {
            return Err(failure);
        }
        crash::point("maildir: data synced, tmp/ not");
        let synced = directories.sync_tmp();
        synced.map_err(|errno| directories.failure("make durable what is in", "tmp", errno))?;
        Ok(self.messages.iter().map(Waiting::place).collect())
    }
}

impl Waiting {
    /// Its name in `new/`.
    fn name(&self) -> String {
        name::sized(&self.unique, self.bytes)
    }

    fn place(&self) -> Place {
        Place::Maildir { name: self.name() }
    }

    /// Moves the message where readers see it.
    fn publish(&self, directories: &Directories) -> Result<(), DeliveryError> {
        crash::point("maildir: message not placed");
        let published = directories.publish(&self.unique, &self.name());
        published.map_err(|errno| {
            directories.remove(&self.unique);
            let failure = directories.failure("put a message into", "new", errno);
            match errno {
                // The file was removed meanwhile, or its name was taken.
                Errno::NOENT | Errno::EXIST => DeliveryError::Message(failure),
                _ => DeliveryError::Destination(failure),
            }
        })
    }
}

/// A message that grows in `tmp/`.
struct Writer<'a> {
    directories: &'a Directories,
    batch: &'a mut Batch,
    unique: String,
    bytes: u64,
    /// None once the message is whole.
    file: Option<BufWriter<File>>,
}

impl Writer<'_> {
    fn cannot_write(&self, error: &io::Error) -> DeliveryError {
        let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
        let failure = self.directories.failure("write a message in", "tmp", errno);
        match errno {
            // Larger than a limit allows; a smaller one may pass.
            Errno::FBIG => DeliveryError::Message(failure),
            _ => DeliveryError::Destination(failure),
        }
    }
}

impl MessageWriter for Writer<'_> {
    fn write(&mut self, text: &[u8]) -> Result<(), DeliveryError> {
        self.bytes += text.len() as u64;
        let written = self
            .file
            .as_mut()
            .map_or(Ok(()), |file| file.write_all(text));
        written.map_err(|error| self.cannot_write(&error))
    }

    fn finish(mut self: Box<Self>, message: &Complete<'_>) -> Result<(), DeliveryError> {
        debug_assert_eq!(self.bytes, message.length);
        let flushed = self.file.as_mut().map_or(Ok(()), Write::flush);
        flushed.map_err(|error| self.cannot_write(&error))?;
        if let Some(file) = self.file.take() {
            let message = Waiting {
                unique: std::mem::take(&mut self.unique),
                bytes: self.bytes,
                file: Some(file.into_parts().0),
            };
            self.batch.add(message, self.directories);
        }
        Ok(())
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            // Taken apart, so that what is left in the buffer isn't written.
            drop(file.into_parts());
            self.directories.remove(&self.unique);
        }
    }
}

/// A batch whose data is durable in `tmp/`.
struct Prepared<'a> {
    maildir: &'a mut Maildir,
    places: Vec<Place>,
}

impl PreparedBatch for Prepared<'_> {
    fn places(&self) -> &[Place] {
        &self.places
    }

    fn commit(self: Box<Self>) -> Vec<Result<Place, DeliveryError>> {
        let messages = std::mem::take(&mut self.maildir.batch.messages);
        let Some(directories) = &self.maildir.directories else {
            return Vec::new(); // No message was begun.
        };
        let publish = |message: &Waiting| message.publish(directories).map(|()| message.place());
        let mut results: Vec<_> = messages.iter().map(publish).collect();
        crash::point("maildir: messages placed, new/ not synced");
        if let Err(errno) = directories.sync_new() {
            let published = messages.iter().zip(&mut results);
            for (message, result) in published.filter(|(_, result)| result.is_ok()) {
                // The next run places it anew: if it found it here, it would take it for durable.
                directories.withdraw(&message.unique, &message.name());
                let failure = directories.failure("make durable what is in", "new", errno);
                *result = Err(DeliveryError::Destination(failure));
            }
        }
        results
    }
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        self.maildir.discard();
    }
}

impl Destination for Maildir {
    fn is_durable(&self) -> bool {
        true
    }

    fn check(&self) -> Result<()> {
        let Some(maildir) = Directory::find(&self.path)? else {
            return Ok(Directory::check(&self.path)?);
        };
        DIRECTORIES.iter().try_for_each(|name| {
            let directory = maildir.find_in(name)?;
            Ok(directory.as_ref().unwrap_or(&maildir).check_writable()?)
        })
    }

    fn expect_present(&mut self) -> Result<()> {
        self.is_used = true;
        self.check_present()
    }

    fn begin(&mut self) -> Result<Box<dyn MessageWriter + '_>, DeliveryError> {
        let directories = match self.directories.take() {
            Some(directories) => directories,
            None => self.open().map_err(DeliveryError::Destination)?,
        };
        let directories = &*self.directories.insert(directories);
        let created = create(directories, &self.names, self.environment.now());
        let (unique, file) = created.map_err(DeliveryError::Destination)?;
        crash::point("maildir: message begun");
        Ok(Box::new(Writer {
            directories,
            batch: &mut self.batch,
            unique,
            bytes: 0,
            file: Some(BufWriter::with_capacity(BUFFER, file)),
        }))
    }

    fn prepare(&mut self) -> Result<Box<dyn PreparedBatch + '_>> {
        let directories = self.directories.as_ref();
        let synced = directories.map(|directories| self.batch.sync(directories));
        let places = synced.transpose()?.unwrap_or_default();
        Ok(Box::new(Prepared {
            maildir: self,
            places,
        }))
    }

    fn discard(&mut self) {
        let messages = std::mem::take(&mut self.batch).messages;
        if let Some(directories) = &self.directories {
            let unique = messages.iter().map(|message| &message.unique);
            unique.for_each(|unique| directories.remove(unique));
        }
    }

    fn recover(&mut self, intents: &[StoredRef<'_>], mode: Mode) -> Result<Vec<bool>> {
        recovery::recover(&self.path, intents, mode)
    }

    fn find(&mut self, stored: &[StoredRef<'_>], mode: Mode) -> Result<Vec<bool>> {
        search::find(&self.path, stored, mode)
    }

    fn identify(&mut self, stored: &[StoredRef<'_>]) -> Result<Vec<Option<Identity>>> {
        search::identify(&self.path, stored)
    }
}

/// Whatever ends the work, nothing half-done is left.
impl Drop for Maildir {
    fn drop(&mut self) {
        self.discard();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;
    use std::process::Command;
    use std::time::{Duration, SystemTime};

    use tempfile::TempDir;

    use super::*;
    use crate::deliver::testing::{add, commit, environment, find, finish, recover, store};
    use crate::error::Kind;

    fn maildir(root: &Path) -> Maildir {
        Maildir::new(root.join("Mail/work"), &environment(root))
    }

    fn tempdir() -> TempDir {
        tempfile::tempdir().expect("tempdir")
    }

    /// The files of one of the three directories: name and content.
    fn files(root: &Path, directory: &str) -> Vec<(String, Vec<u8>)> {
        let directory = root.join("Mail/work").join(directory);
        let Ok(entries) = fs::read_dir(directory) else {
            return Vec::new();
        };
        let mut files: Vec<_> = entries
            .map(|entry| {
                let entry = entry.expect("entry");
                let name = entry.file_name().into_string().expect("ASCII");
                (name, fs::read(entry.path()).expect("readable"))
            })
            .collect();
        files.sort();
        files
    }

    fn count(root: &Path) -> [usize; 3] {
        ["tmp", "new", "cur"].map(|directory| files(root, directory).len())
    }

    fn name(place: &Place) -> &str {
        match place {
            Place::Maildir { name } => name,
            other => panic!("{other:?} in a Maildir"),
        }
    }

    /// A place that is prepared, as it is when the run is killed before [`PreparedBatch::commit`].
    fn prepared(root: &Path, text: &[u8]) -> Place {
        let mut maildir = maildir(root);
        add(&mut maildir, text);
        let prepared = maildir.prepare().expect("prepared");
        let place = prepared.places()[0].clone();
        std::mem::forget(prepared);
        std::mem::forget(maildir);
        place
    }

    #[test]
    fn a_batch_is_stored_byte_for_byte_under_the_names_it_promised() {
        let root = tempdir();
        let big = vec![b'x'; 3 * BUFFER + 1];
        let texts: [&[u8]; 4] = [b"", b"A: 1\n\nb\xff\0\r.\n", b"no end", &big];
        let places = store(&mut maildir(root.path()), &texts);
        for (place, text) in places.iter().zip(texts) {
            assert!(name(place).ends_with(&format!(".host.test,S={}", text.len())));
            let path = root.path().join("Mail/work/new").join(name(place));
            assert_eq!(fs::read(path).expect("stored"), text);
        }
        assert_eq!(count(root.path()), [0, 4, 0]);
    }

    #[test]
    fn a_batch_larger_than_the_number_of_open_files_is_whole() {
        let root = tempdir();
        let texts: Vec<_> = (0..3 * MAX_OPEN_FILES)
            .map(|n| format!("N: {n}\n\n"))
            .collect();
        let texts: Vec<_> = texts.iter().map(String::as_bytes).collect();
        store(&mut maildir(root.path()), &texts);
        let mut stored: Vec<_> = files(root.path(), "new")
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        stored.sort();
        let mut expected: Vec<_> = texts.iter().map(|text| text.to_vec()).collect();
        expected.sort();
        assert_eq!(stored, expected);
    }

    /// The umask belongs to the process, so the test runs itself again in one of its own.
    #[test]
    fn modes_do_not_depend_on_the_umask() {
        const ROOT: &str = "POPFETCH_TEST_UMASK_ROOT";
        if let Some(root) = std::env::var_os(ROOT) {
            store(&mut maildir(Path::new(&root)), &[b"A: 1\n"]);
            return;
        }
        for umask in ["000", "277"] {
            let root = tempdir();
            let this = "deliver::maildir::tests::modes_do_not_depend_on_the_umask";
            let status = Command::new("sh")
                .args([
                    "-c",
                    "umask \"$1\"; exec \"$2\" --exact \"$3\"",
                    "sh",
                    umask,
                ])
                .arg(std::env::current_exe().expect("test program"))
                .arg(this)
                .env(ROOT, root.path())
                .output()
                .expect("run");
            assert!(status.status.success(), "{status:?}");
            let mode = |path: &str| {
                let found = fs::metadata(root.path().join(path)).expect("made");
                found.permissions().mode() & 0o7777
            };
            for directory in [
                "Mail",
                "Mail/work",
                "Mail/work/tmp",
                "Mail/work/new",
                "Mail/work/cur",
            ] {
                assert_eq!(mode(directory), 0o700, "{directory} under umask {umask}");
            }
            let (name, _) = files(root.path(), "new").remove(0);
            assert_eq!(
                mode(&format!("Mail/work/new/{name}")),
                0o600,
                "under umask {umask}"
            );
        }
    }

    #[test]
    fn nothing_is_made_before_a_message_comes() {
        let root = tempdir();
        let mut maildir = maildir(root.path());
        assert_eq!(maildir.prepare().expect("empty").places(), []);
        assert!(commit(&mut maildir).is_empty());
        let place = Place::Maildir {
            name: "1.M2P3Q4.h,S=1".into(),
        };
        assert!(!recover(&mut maildir, &place, b"x", Mode::Apply));
        drop(maildir);
        assert!(!root.path().join("Mail").exists());
    }

    #[test]
    fn a_maildir_that_vanishes_after_it_was_looked_at_is_not_made_anew() {
        let root = tempdir();
        store(&mut maildir(root.path()), &[b"text"]);
        let mut maildir = maildir(root.path());
        maildir.expect_present().expect("there");
        fs::remove_dir_all(root.path().join("Mail")).expect("unmounted");
        match maildir.begin() {
            Err(DeliveryError::Destination(failure)) => {
                assert_eq!(failure.kind(), Kind::Destination)
            }
            _ => panic!("no error without a Maildir"),
        }
        assert!(maildir.expect_present().is_err());
        assert!(!root.path().join("Mail").exists());
    }

    #[test]
    fn a_path_that_is_a_file_is_an_error_of_the_destination() {
        for file in ["Mail", "Mail/work", "Mail/work/new"] {
            let root = tempdir();
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().expect("parent")).expect("made");
            fs::write(&file, "").expect("written");
            match maildir(root.path()).begin() {
                Err(DeliveryError::Destination(failure)) => {
                    assert_eq!(failure.kind(), Kind::Destination);
                    assert!(failure.message().contains(&disk::shown(&file)), "{failure}");
                }
                _ => panic!("no error with a file at {}", file.display()),
            }
        }
    }

    #[test]
    fn a_place_where_nothing_can_be_made_is_an_error_of_the_destination() {
        let root = tempdir();
        let mut maildir = Maildir::new("/proc/popfetch".into(), &environment(root.path()));
        match maildir.begin() {
            Err(DeliveryError::Destination(failure)) => {
                assert_eq!(failure.kind(), Kind::Destination)
            }
            _ => panic!("no error in /proc"),
        }
    }

    #[test]
    fn what_is_given_up_leaves_nothing() {
        let root = tempdir();
        let mut maildir = maildir(root.path());
        let mut writer = maildir.begin().expect("begun");
        writer.write(&[0; 2 * BUFFER]).expect("written");
        assert_eq!(count(root.path()), [1, 0, 0]);
        drop(writer);
        assert_eq!(count(root.path()), [0, 0, 0]);

        add(&mut maildir, b"one");
        add(&mut maildir, b"two");
        drop(maildir.prepare().expect("prepared"));
        assert_eq!(count(root.path()), [0, 0, 0]);

        add(&mut maildir, b"three");
        maildir.discard();
        assert_eq!(count(root.path()), [0, 0, 0]);

        add(&mut maildir, b"four");
        drop(maildir);
        assert_eq!(count(root.path()), [0, 0, 0]);
    }

    #[test]
    fn an_abandoned_message_does_not_disturb_its_batch() {
        let root = tempdir();
        let mut maildir = maildir(root.path());
        add(&mut maildir, b"one");
        let mut writer = maildir.begin().expect("begun");
        writer.write(b"half of t").expect("written");
        drop(writer);
        store(&mut maildir, &[b"three"]);
        let mut stored: Vec<_> = files(root.path(), "new")
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        stored.sort();
        assert_eq!(stored, [&b"one"[..], b"three"]);
    }

    #[test]
    fn a_message_whose_file_vanished_fails_alone() {
        let root = tempdir();
        let mut maildir = maildir(root.path());
        add(&mut maildir, b"one");
        add(&mut maildir, b"two");
        let prepared = maildir.prepare().expect("prepared");
        let (gone, _) = files(root.path(), "tmp")
            .into_iter()
            .find(|(_, text)| text == b"one")
            .expect("waits");
        fs::remove_file(root.path().join("Mail/work/tmp").join(gone)).expect("removed");
        let results = prepared.commit();
        assert!(
            matches!(results[0], Err(DeliveryError::Message(_))),
            "{results:?}"
        );
        assert!(results[1].is_ok(), "{results:?}");
        assert_eq!(files(root.path(), "new").len(), 1);
    }

    #[test]
    fn what_is_put_in_the_place_of_the_directories_changes_nothing_for_what_was_begun() {
        let root = tempdir();
        let mut maildir = maildir(root.path());
        add(&mut maildir, b"one");
        let mut writer = maildir.begin().expect("begun");
        for name in DIRECTORIES {
            let directory = root.path().join("Mail/work").join(name);
            fs::rename(&directory, root.path().join(name)).expect("moved");
            fs::create_dir_all(root.path().join("precious").join(name)).expect("made");
            symlink(root.path().join("precious").join(name), directory).expect("linked");
        }
        writer.write(b"two").expect("written");
        finish(writer, b"two", None);
        let results = commit(&mut maildir);
        assert_eq!(results.len(), 2);
        assert!(results.iter().all(Result::is_ok));
        assert_eq!(count(root.path()), [0, 0, 0], "where the links lead");
        let new = fs::read_dir(root.path().join("new")).expect("there");
        assert_eq!(new.count(), 2);
    }

    #[test]
    fn a_message_that_waits_whole_is_placed_by_recovery() {
        let root = tempdir();
        let place = prepared(root.path(), b"text");
        assert!(recover(
            &mut maildir(root.path()),
            &place,
            b"text",
            Mode::DryRun
        ));
        assert_eq!(count(root.path()), [1, 0, 0], "looking changes nothing");
        assert!(recover(
            &mut maildir(root.path()),
            &place,
            b"text",
            Mode::Apply
        ));
        assert_eq!(
            files(root.path(), "new"),
            [(name(&place).to_owned(), b"text".to_vec())]
        );
        assert!(
            recover(&mut maildir(root.path()), &place, b"text", Mode::Apply),
            "again the same"
        );
        assert_eq!(count(root.path()), [0, 1, 0]);
    }

    #[test]
    fn a_message_that_waits_damaged_is_removed_and_not_stored() {
        for damaged in [&b"tex"[..], b"texT", b"text and more", b""] {
            let root = tempdir();
            let place = prepared(root.path(), b"text");
            let (file, _) = files(root.path(), "tmp").remove(0);
            fs::write(root.path().join("Mail/work/tmp").join(file), damaged).expect("damaged");
            assert!(!recover(
                &mut maildir(root.path()),
                &place,
                b"text",
                Mode::DryRun
            ));
            assert_eq!(count(root.path()), [1, 0, 0], "looking changes nothing");
            assert!(!recover(
                &mut maildir(root.path()),
                &place,
                b"text",
                Mode::Apply
            ));
            assert_eq!(count(root.path()), [0, 0, 0]);
        }
    }

    #[test]
    fn a_stored_message_is_found_wherever_readers_put_it() {
        for read_as in ["", ":2,S", ",U=7:2,FS", ":2,"] {
            let root = tempdir();
            let place = store(&mut maildir(root.path()), &[b"text"]).remove(0);
            let work = root.path().join("Mail/work");
            let read = format!("{}{read_as}", name(&place));
            fs::rename(
                work.join("new").join(name(&place)),
                work.join("cur").join(read),
            )
            .expect("read");
            for mode in [Mode::DryRun, Mode::Apply] {
                assert!(
                    recover(&mut maildir(root.path()), &place, b"text", mode),
                    "{read_as}"
                );
            }
            assert_eq!(count(root.path()), [0, 0, 1]);
        }
    }

    #[test]
    fn a_copy_is_found_by_name_and_content_and_only_where_readers_see_it() {
        for (put, content, is_found) in [
            ("new/{}", &b"text"[..], true),
            ("cur/{}:2,S", b"text", true),
            ("cur/{},U=7:2,FS", b"text", true),
            ("cur/{}:2,S", b"tex", false),
            ("cur/{}:2,S", b"texT", false),
            ("cur/other{}", b"text", false),
            ("tmp/{}", b"text", false),
            (".Archive/cur/{}:2,S", b"text", false),
        ] {
            let root = tempdir();
            let place = store(&mut maildir(root.path()), &[b"text"]).remove(0);
            let work = root.path().join("Mail/work");
            fs::remove_file(work.join("new").join(name(&place))).expect("moved");
            let put = work.join(put.replace("{}", name(&place)));
            fs::create_dir_all(put.parent().expect("a directory")).expect("made");
            fs::write(&put, content).expect("written");
            for mode in [Mode::DryRun, Mode::Apply] {
                let found = find(&mut maildir(root.path()), &place, b"text", mode);
                assert_eq!(found, is_found, "{}", put.display());
                assert_eq!(fs::read(&put).expect("left alone"), content);
            }
        }
    }

    #[test]
    fn where_no_maildir_is_no_copy_is_found_and_none_is_made() {
        let root = tempdir();
        let place = Place::Maildir {
            name: "1.M2P3Q4.h,S=4".into(),
        };
        assert!(!find(
            &mut maildir(root.path()),
            &place,
            b"text",
            Mode::Apply
        ));
        assert!(!root.path().join("Mail").exists());
    }

    #[test]
    fn a_link_that_was_cut_off_between_its_steps_is_tidied() {
        let root = tempdir();
        let place = prepared(root.path(), b"text");
        let work = root.path().join("Mail/work");
        let (file, _) = files(root.path(), "tmp").remove(0);
        fs::hard_link(
            work.join("tmp").join(file),
            work.join("new").join(name(&place)),
        )
        .expect("linked");
        assert!(recover(
            &mut maildir(root.path()),
            &place,
            b"text",
            Mode::Apply
        ));
        assert_eq!(count(root.path()), [0, 1, 0]);
    }

    #[test]
    fn a_message_that_is_nowhere_is_not_stored() {
        let root = tempdir();
        let place = store(&mut maildir(root.path()), &[b"text"]).remove(0);
        fs::remove_file(root.path().join("Mail/work/new").join(name(&place))).expect("deleted");
        assert!(!recover(
            &mut maildir(root.path()),
            &place,
            b"text",
            Mode::Apply
        ));
        let elsewhere = Place::Maildir {
            name: "../../escape,S=4".into(),
        };
        assert!(!recover(
            &mut maildir(root.path()),
            &elsewhere,
            b"text",
            Mode::Apply
        ));
    }

    #[test]
    fn only_our_own_stale_remainders_are_removed() {
        let root = tempdir();
        store(&mut maildir(root.path()), &[b"makes the directories"]);
        let old = SystemTime::now() - Duration::from_hours(37);
        let tmp = root.path().join("Mail/work/tmp");
        for (name, written) in [
            ("1.M2P3Q4.h", old),
            ("1.M2P3Q5.h", SystemTime::now()),
            ("somebody.elses.file", old),
        ] {
            let file = File::create(tmp.join(name)).expect("made");
            file.set_modified(written).expect("dated");
        }
        drop(maildir(root.path()).begin().expect("begun"));
        let left: Vec<_> = files(root.path(), "tmp")
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(left, ["1.M2P3Q5.h", "somebody.elses.file"]);
    }
}
