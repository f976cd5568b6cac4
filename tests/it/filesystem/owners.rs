//! Root stores mail for another user, who can write where it goes: the mail is theirs in the end, and no name that
//! they put there leads root anywhere else.

use std::fmt::Debug;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use crate::support::mailbox::Mailbox;
use crate::support::messages::{Generator, Shape, small};
use crate::support::report::skip;
use crate::support::sampling::{count_cases, everything};
use crate::support::sandbox::{Sandbox, mode};
use crate::support::server::Server;
use crate::sync::sandbox_for;

/// Another user and their group, which need no names.
const ALICE: (u32, u32) = (12345, 12346);

const KILLED: i32 = 137;

/// Whether this can be tested at all.
fn are_root() -> bool {
    let are_root = geteuid().is_root();
    if !are_root {
        skip("only root can store mail for another user");
    }
    are_root
}

fn give(path: &Path, (user, group): (u32, u32)) {
    lchown(path, Some(user), Some(group)).expect("root may");
}

fn owner(path: &Path) -> (u32, u32) {
    let found = fs::symlink_metadata(path).expect("it is there");
    (found.uid(), found.gid())
}

/// A directory of Alice's, with those above it that are missing.
fn make_for_alice(sandbox: &Sandbox, path: &str) -> PathBuf {
    let mut whole = sandbox.home("");
    for name in Path::new(path) {
        whole.push(name);
        if !whole.exists() {
            fs::create_dir(&whole).expect("our own directory");
            fs::set_permissions(&whole, fs::Permissions::from_mode(0o700)).expect("ours");
            give(&whole, ALICE);
        }
    }
    whole
}

/// A sandbox in which mail goes there and is deleted on the server.
fn sandbox_to(server: &Server, deliver: &str) -> Sandbox {
    let deliver = format!("{deliver:?}");
    let keys = [
        ("deliver", deliver.as_str()),
        ("leave_on_server", "\"never\""),
    ];
    let sandbox = sandbox_for(server, &keys);
    // Alice gets to what is hers.
    for path in [sandbox.home(""), sandbox.home("..")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o711)).expect("ours");
    }
    sandbox
}

/// Messages small and large.
fn messages() -> Mailbox {
    let mailbox = Mailbox::with(small(3));
    mailbox.add("large", Generator::new(5).message(Shape::Plain, 200_000));
    mailbox
}

/// Everything below her directory is Alice's, private, and hers to read.
#[track_caller]
fn is_all_hers(sandbox: &Sandbox, destination: &str, expected: &[Vec<u8>], context: &dyn Debug) {
    let hers: Vec<_> = sandbox.files();
    let hers = hers
        .iter()
        .filter(|path| path.starts_with(sandbox.home("alice")));
    for path in hers {
        assert_eq!(owner(path), ALICE, "{context:?}: {}", path.display());
        let private = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(path), private, "{context:?}: {}", path.display());
    }
    sandbox.holds_at(destination, expected, &format!("{context:?}"));
    // Any file that she can't read ends it with another status.
    let (user, group) = ALICE;
    let read = format!(
        "setpriv --reuid {user} --regid {group} --clear-groups sh -c 'umask 077; cd alice && find . -type f -exec cat {{}} + | wc -c'"
    );
    let read = sandbox.shell(&read);
    let most: usize = expected.iter().map(Vec::len).sum();
    let octets: usize = read.ends_with(0).stdout.trim().parse().expect("a number");
    assert!(octets >= most && read.stderr.is_empty(), "{read:#?}");
}

/// Destinations of Alice's, and the directories that are there before.
const HERS: [(&str, &[&str]); 11] = [
    (
        "maildir:~/alice/Mail",
        &["Mail/cur", "Mail/new", "Mail/tmp"],
    ),
    ("maildir:~/alice/Mail", &["Mail/cur", "Mail/new"]),
    ("maildir:~/alice/Mail", &["Mail/cur", "Mail/tmp"]),
    ("maildir:~/alice/Mail", &["Mail/new", "Mail/tmp"]),
    ("maildir:~/alice/Mail", &["Mail"]),
    ("maildir:~/alice/Mail", &[]),
    ("maildir:~/alice/Mail/all/it", &["Mail"]),
    ("maildir:~/alice/Mail/all/it", &[]),
    ("mbox:~/alice/inbox", &[]),
    ("mbox:~/alice/Mail/inbox", &["Mail"]),
    ("mbox:~/alice/Mail/all/inbox", &[]),
];

#[test]
fn what_root_stores_for_another_user_is_theirs() {
    if !are_root() {
        return;
    }
    for umask in ["022", "077", "777"] {
        for (deliver, before) in HERS {
            let mailbox = messages();
            let expected = mailbox.stored_forms();
            let server = Server::start(&mailbox);
            let sandbox = sandbox_to(&server, deliver);
            make_for_alice(&sandbox, "alice");
            for path in before {
                make_for_alice(&sandbox, &format!("alice/{path}"));
            }
            let run = format!("umask {umask}; popfetch sync");
            sandbox.shell(&run).ends_with(0).says_nothing();
            is_all_hers(&sandbox, deliver, &expected, &(deliver, before, umask));
            assert!(mailbox.uids().is_empty());
        }
    }
}

#[test]
fn an_mbox_that_is_there_keeps_its_owner_and_what_is_in_it() {
    if !are_root() {
        return;
    }
    let mailbox = messages();
    let server = Server::start(&mailbox);
    let sandbox = sandbox_to(&server, "mbox:~/alice/inbox");
    let inbox = make_for_alice(&sandbox, "alice").join("inbox");
    fs::write(&inbox, "From x\n\nfirst\n\n").expect("our own file");
    fs::set_permissions(&inbox, fs::Permissions::from_mode(0o640)).expect("ours");
    give(&inbox, (ALICE.0, 8));
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    assert_eq!((owner(&inbox), mode(&inbox)), ((ALICE.0, 8), 0o640));
    let stored = sandbox.stored_at("mbox:~/alice/inbox");
    assert_eq!(stored.len(), 5);
    assert_eq!(stored[0], b"\nfirst\n");
}

#[test]
fn what_is_made_in_roots_own_directory_has_its_group() {
    if !are_root() {
        return;
    }
    for deliver in ["maildir:~/alice/it", "mbox:~/alice/it"] {
        for group in [0, ALICE.1] {
            let server = Server::start(&messages());
            let sandbox = sandbox_to(&server, deliver);
            give(&make_for_alice(&sandbox, "alice"), (0, group));
            sandbox.run(&["sync"]).ends_with(0).says_nothing();
            for path in sandbox.files() {
                let below = path.starts_with(sandbox.home("alice"));
                let group = if below { group } else { 0 };
                assert_eq!(owner(&path), (0, group), "{}", path.display());
            }
        }
    }
}

#[test]
fn a_maildir_of_another_user_that_is_gone_is_to_be_made_by_them() {
    if !are_root() {
        return;
    }
    let mailbox = messages();
    let mut expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let sandbox = sandbox_to(&server, "maildir:~/alice/Mail");
    make_for_alice(&sandbox, "alice");
    sandbox.run(&["sync"]).ends_with(0);
    fs::remove_dir_all(sandbox.home("alice/Mail")).expect("our own directory");
    mailbox.add("new", small(4).remove(3));
    expected.extend(mailbox.stored_forms());
    let failed = sandbox.run(&["sync"]);
    failed
        .ends_with(73)
        .complains("If it is to begin empty, as user 12345: mkdir -p ");
    let (_, command) = failed.stderr.split_once("12345: ").expect("a hint");
    let (user, group) = ALICE;
    let as_alice = format!("setpriv --reuid {user} --regid {group} --clear-groups");
    let command = command.lines().next().unwrap_or_default();
    let command = format!("umask 077; {as_alice} {command}");
    sandbox.shell(&command).ends_with(0);
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    is_all_hers(
        &sandbox,
        "maildir:~/alice/Mail",
        &expected[4..],
        &"made anew",
    );
}

#[test]
fn empty_directories_that_root_made_in_anothers_maildir_are_given_to_them() {
    if !are_root() {
        return;
    }
    let mailbox = messages();
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let sandbox = sandbox_to(&server, "maildir:~/alice");
    make_for_alice(&sandbox, "alice");
    // By the hint of a Maildir that is gone, for instance.
    sandbox
        .shell("umask 077; mkdir -p alice/cur alice/new alice/tmp")
        .ends_with(0);
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    is_all_hers(&sandbox, "maildir:~/alice", &expected, &"by a hint");
}

#[test]
fn killed_at_any_step_what_is_stored_in_the_end_is_theirs() {
    if !are_root() {
        return;
    }
    let step = if everything() { 1 } else { 5 };
    let kinds = HERS.iter().filter(|(deliver, _)| deliver.contains("all/"));
    for (deliver, before) in kinds {
        for point in (1..).step_by(step) {
            let mailbox = messages();
            let expected = mailbox.stored_forms();
            let server = Server::start(&mailbox);
            let sandbox = sandbox_to(&server, deliver);
            make_for_alice(&sandbox, "alice");
            for path in *before {
                make_for_alice(&sandbox, &format!("alice/{path}"));
            }
            let at = point.to_string();
            let running = sandbox.start_with(&[], &["sync"], &[("POPFETCH_CRASH_AT", &at)]);
            let ended = running.finish().status;
            sandbox.run(&["sync"]).ends_with(0).says_nothing();
            is_all_hers(&sandbox, deliver, &expected, &(deliver, point));
            assert!(mailbox.uids().is_empty());
            if ended == Some(0) {
                count_cases(point / step, point);
                break;
            }
            assert_eq!(ended, Some(KILLED));
        }
    }
}

#[test]
fn killed_before_anything_is_given_away_the_next_run_gives_it() {
    if !are_root() {
        return;
    }
    for (deliver, before) in HERS {
        for count in 1.. {
            let mailbox = messages();
            let expected = mailbox.stored_forms();
            let server = Server::start(&mailbox);
            let sandbox = sandbox_to(&server, deliver);
            make_for_alice(&sandbox, "alice");
            for path in before {
                make_for_alice(&sandbox, &format!("alice/{path}"));
            }
            let inject = format!("--inject=fchown:signal=SIGKILL:when={count}");
            let strace = ["strace", "-f", "-qq", "-o", "/dev/null", &inject];
            let ended = sandbox.start_with(&strace, &["sync"], &[]).finish().status;
            sandbox.run(&["sync"]).ends_with(0).says_nothing();
            forget_remainders(&sandbox, deliver);
            is_all_hers(&sandbox, deliver, &expected, &(deliver, before, count));
            if ended == Some(0) {
                assert!(count > 1, "{deliver} {before:?}");
                break;
            }
            assert_eq!(ended, Some(KILLED));
        }
    }
}

/// A file in `tmp/` that was never given away, nor anything written into it, goes away when it is stale.
fn forget_remainders(sandbox: &Sandbox, deliver: &str) {
    let (kind, path) = deliver.split_once(":~/").expect("below home");
    if kind == "maildir" {
        for entry in fs::read_dir(sandbox.home(path).join("tmp")).expect("a Maildir") {
            let path = entry.expect("a file").path();
            if owner(&path) != ALICE {
                assert_eq!(fs::metadata(&path).expect("there").len(), 0);
                fs::remove_file(path).expect("our own file");
            }
        }
    }
}

#[test]
fn what_cannot_be_given_to_its_owner_is_not_stored() {
    if !are_root() {
        return;
    }
    for (error, words) in [
        ("EPERM", "Operation not permitted"),
        ("EINVAL", "Invalid argument"),
    ] {
        for (deliver, before) in HERS {
            let mailbox = messages();
            let expected = mailbox.stored_forms();
            let server = Server::start(&mailbox);
            let sandbox = sandbox_to(&server, deliver);
            make_for_alice(&sandbox, "alice");
            for path in before {
                make_for_alice(&sandbox, &format!("alice/{path}"));
            }
            let there = sandbox.files();
            let inject = format!("--inject=fchown:error={error}");
            let strace = ["strace", "-f", "-qq", "-o", "/dev/null", &inject];
            let outcome = sandbox.start_with(&strace, &["sync"], &[]).finish();
            outcome
                .ends_with(73)
                .complains("to user 12345 and group 12346")
                .complains(words)
                .complains("run popfetch as user 12345");
            assert_eq!(sandbox.files(), there, "{deliver} {before:?}");
            assert!(server.deletions().is_empty());
            sandbox.run(&["sync"]).ends_with(0).says_nothing();
            is_all_hers(&sandbox, deliver, &expected, &(deliver, before));
        }
    }
}

#[test]
fn a_user_who_is_not_root_gives_nothing_away_and_follows_links() {
    if !are_root() {
        return;
    }
    for (deliver, place) in [("maildir:~/link/it", "it/new"), ("mbox:~/link/it", "it")] {
        let mailbox = messages();
        let expected = mailbox.stored_forms();
        let server = Server::start(&mailbox);
        let sandbox = sandbox_to(&server, deliver);
        let shared = make_for_alice(&sandbox, "shared");
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).expect("ours");
        give(&shared, (0, 8));
        symlink("shared", sandbox.home("link")).expect("our own directory");
        fs::copy(env!("CARGO_BIN_EXE_popfetch"), sandbox.home("program")).expect("copied");
        let (user, group) = ALICE;
        let run = format!(
            "chown -Rh {user}:{group} .. && chown 0:8 shared && exec setpriv --reuid {user} --regid {group} --clear-groups ./program sync"
        );
        sandbox.shell(&run).ends_with(0).says_nothing();
        sandbox.holds_at(deliver, &expected, "as Alice");
        assert_eq!(owner(&shared.join(place)), ALICE);
        assert!(mailbox.uids().is_empty());
    }
}

/// A directory in which others may put names: how it is, and whose.
const SHARED: [(u32, (u32, u32)); 4] = [
    (0o700, ALICE),
    (0o707, (0, 0)),
    (0o1777, (0, 0)),
    (0o770, (0, ALICE.1)),
];

/// What no mail may get into: directories and files of root's, and what is in them.
fn make_precious(sandbox: &Sandbox) {
    for name in ["cur", "new", "tmp"] {
        fs::create_dir_all(sandbox.home("precious").join(name)).expect("our own directory");
    }
    sandbox.private_file("precious/mbox", "From x\n\nprecious\n\n");
    sandbox.private_file("precious/empty", "");
}

/// All that could change of it.
fn precious(sandbox: &Sandbox) -> impl PartialEq + Debug + use<> {
    let paths = sandbox.files().into_iter();
    let paths = paths.filter(|path| path.starts_with(sandbox.home("precious")));
    let state = |path: PathBuf| {
        let found = fs::metadata(&path).expect("it is there");
        let content = fs::read(&path).unwrap_or_default();
        let lock = fs::read(path.with_extension("lock")).is_ok();
        (
            owner(&path),
            found.mode(),
            found.mtime_nsec(),
            content,
            lock,
            path,
        )
    };
    paths.map(state).collect::<Vec<_>>()
}

/// A name in the way: the destination, the name, and where it leads.
const TRAPS: [(&str, &str, &str); 19] = [
    ("maildir:~/shared/Mail", "Mail", "precious"),
    ("maildir:~/shared/Mail", "Mail", "precious/none"),
    ("maildir:~/shared/Mail/it", "Mail", "precious"),
    ("maildir:~/shared/Mail/it", "Mail", "precious/none"),
    ("maildir:~/shared", "tmp", "precious/tmp"),
    ("maildir:~/shared", "new", "precious/new"),
    ("maildir:~/shared", "cur", "precious/cur"),
    ("maildir:~/shared", "tmp", "precious/none"),
    ("maildir:~/shared", "new", "precious/none"),
    ("maildir:~/shared", "cur", "precious/none"),
    ("mbox:~/shared/inbox", "inbox", "precious/mbox"),
    ("mbox:~/shared/inbox", "inbox", "precious/empty"),
    ("mbox:~/shared/inbox", "inbox", "precious/none"),
    ("mbox:~/shared/Mail/mbox", "Mail", "precious"),
    ("mbox:~/shared/Mail/none", "Mail", "precious"),
    ("mbox:~/shared/Mail/inbox", "Mail", "precious/none"),
    ("mbox:~/shared/Mail/all/inbox", "Mail", "precious"),
    ("mbox:~/shared/inbox", "inbox.lock", "precious/mbox"),
    ("mbox:~/shared/inbox", "inbox.lock", "precious/none"),
];

#[test]
fn no_link_that_another_user_may_have_put_there_leads_root_anywhere() {
    if !are_root() {
        return;
    }
    for (trap, (deliver, name, target)) in TRAPS.into_iter().enumerate() {
        // Every combination is tried by some trap.
        for (at, (permissions, whose)) in SHARED.into_iter().enumerate() {
            let mailbox = messages();
            let server = Server::start(&mailbox);
            let sandbox = sandbox_to(&server, deliver);
            make_precious(&sandbox);
            let shared = make_for_alice(&sandbox, "shared");
            give(&shared, whose);
            fs::set_permissions(&shared, fs::Permissions::from_mode(permissions)).expect("ours");
            symlink(sandbox.home(target), shared.join(name)).expect("our own directory");
            // She may have moved one there that root made.
            let maker = if (trap + at) % 2 == 0 { ALICE } else { (0, 0) };
            give(&shared.join(name), maker);
            let before = precious(&sandbox);
            let context = format!("{deliver}, {name} to {target}, {permissions:o}, {maker:?}");
            let is_lock = name.ends_with(".lock");
            for run in [&["sync", "--dry-run"][..], &["sync"], &["sync"]] {
                let outcome = sandbox.run(run);
                assert_eq!(precious(&sandbox), before, "{context}: {outcome:#?}");
                assert_eq!(mailbox.uids().len(), 4, "{context}");
                if is_lock && run.contains(&"--dry-run") {
                    continue; // Nothing is locked.
                }
                outcome
                    .ends_with(73)
                    .complains(&shared.join(name).display().to_string())
                    .complains("is a symbolic link")
                    .complains("run popfetch as the user");
                assert!(is_lock || server.retrievals().is_empty() || run.len() == 1);
            }
        }
    }
}

#[test]
fn links_that_only_root_can_have_made_are_followed_and_those_of_others_are_not() {
    if !are_root() {
        return;
    }
    for (deliver, link, target) in [
        ("maildir:~/link/it", "link", "alice"),
        ("maildir:~/own/it", "own/it", "alice/it"),
        ("maildir:~/own/", "own/tmp", "alice/it/tmp"),
        ("mbox:~/link/it/mbox", "link", "alice"),
        ("mbox:~/own/mbox", "own/mbox", "alice/it/mbox"),
    ] {
        let mailbox = messages();
        let expected = mailbox.stored_forms();
        let server = Server::start(&mailbox);
        let sandbox = sandbox_to(&server, deliver);
        make_for_alice(&sandbox, "alice/it/tmp");
        fs::create_dir(sandbox.home("own")).expect("our own directory");
        let mbox = sandbox.private_file("alice/it/mbox", "");
        give(&mbox, ALICE);
        let link = sandbox.home(link);
        symlink(sandbox.home(target), &link).expect("our own directory");
        give(&link, ALICE);
        sandbox
            .run(&["sync"])
            .ends_with(73)
            .complains("is a symbolic link that another user made");
        assert!(server.deletions().is_empty());
        give(&link, (0, 0));
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
        sandbox.holds_at(deliver, &expected, deliver);
        assert!(link.is_symlink());
    }
}

#[test]
fn a_link_in_a_directory_of_roots_is_not_followed_where_another_user_can_move_that() {
    if !are_root() {
        return;
    }
    for (deliver, name, target) in [
        ("maildir:~/alice/own/Mail", "Mail", "precious"),
        ("maildir:~/alice/own", "new", "precious/new"),
        ("mbox:~/alice/own/inbox", "inbox", "precious/mbox"),
    ] {
        let mailbox = messages();
        let server = Server::start(&mailbox);
        let sandbox = sandbox_to(&server, deliver);
        make_precious(&sandbox);
        let own = make_for_alice(&sandbox, "alice/own");
        give(&own, (0, 0));
        symlink(sandbox.home(target), own.join(name)).expect("our own directory");
        let before = precious(&sandbox);
        sandbox
            .run(&["sync"])
            .ends_with(73)
            .complains("is a symbolic link, in a directory that other users can write to");
        assert_eq!(precious(&sandbox), before);
        assert_eq!(mailbox.uids().len(), 4);
    }
}

#[test]
fn a_link_of_roots_into_a_directory_of_another_user_ends_where_theirs_begin() {
    if !are_root() {
        return;
    }
    for (deliver, name) in [("maildir:~/link", "Mail"), ("mbox:~/link", "inbox")] {
        let mailbox = messages();
        let server = Server::start(&mailbox);
        let sandbox = sandbox_to(&server, deliver);
        make_precious(&sandbox);
        let shared = make_for_alice(&sandbox, "shared");
        let target = if name == "Mail" {
            "precious"
        } else {
            "precious/mbox"
        };
        symlink(sandbox.home(target), shared.join(name)).expect("our own directory");
        symlink(shared.join(name), sandbox.home("link")).expect("our own directory");
        let before = precious(&sandbox);
        sandbox
            .run(&["sync"])
            .ends_with(73)
            .complains(&shared.join(name).display().to_string())
            .complains("is a symbolic link, in a directory that other users can write to");
        assert_eq!(precious(&sandbox), before);
        assert_eq!(mailbox.uids().len(), 4);
    }
}

#[test]
fn two_dots_lead_nowhere_from_a_directory_that_another_user_can_move() {
    if !are_root() {
        return;
    }
    for deliver in ["maildir:~/alice/a/../Mail", "mbox:~/alice/a/../inbox"] {
        let mailbox = messages();
        let server = Server::start(&mailbox);
        let sandbox = sandbox_to(&server, deliver);
        make_for_alice(&sandbox, "alice/a");
        sandbox
            .run(&["sync"])
            .ends_with(73)
            .complains("leads out of a directory that other users can move");
        assert!(server.deletions().is_empty());
    }
    let mailbox = messages();
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let sandbox = sandbox_to(&server, "maildir:~/own/../Mail");
    fs::create_dir(sandbox.home("own")).expect("our own directory");
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    sandbox.maildir("Mail").holds(&expected);
}

#[test]
fn a_file_with_a_second_name_is_no_mbox_where_others_can_give_it_one() {
    if !are_root() {
        return;
    }
    for file in ["precious/mbox", "precious/empty"] {
        for (permissions, whose) in SHARED {
            let mailbox = messages();
            let expected = mailbox.stored_forms();
            let server = Server::start(&mailbox);
            let sandbox = sandbox_to(&server, "mbox:~/shared/inbox");
            make_precious(&sandbox);
            let shared = make_for_alice(&sandbox, "shared");
            fs::hard_link(sandbox.home(file), shared.join("inbox")).expect("root may");
            give(&shared, whose);
            fs::set_permissions(&shared, fs::Permissions::from_mode(permissions)).expect("ours");
            let before = precious(&sandbox);
            for run in [&["sync", "--dry-run"][..], &["sync"]] {
                sandbox
                    .run(run)
                    .ends_with(73)
                    .complains("has another name too (a hard link)")
                    .complains("run popfetch as the user");
            }
            assert_eq!(precious(&sandbox), before);
            assert_eq!(mailbox.uids().len(), 4);
            // In root's own directory no other user can have done that.
            chown(&shared, Some(0), Some(0)).expect("root may");
            fs::set_permissions(&shared, fs::Permissions::from_mode(0o755)).expect("ours");
            sandbox.run(&["sync"]).ends_with(0).says_nothing();
            let stored = sandbox.stored_at("mbox:~/shared/inbox");
            assert!(expected.iter().all(|text| stored.contains(text)));
        }
    }
}

#[test]
fn what_stands_for_a_draft_of_a_lock_is_replaced_and_not_followed() {
    if !are_root() {
        return;
    }
    for target in ["precious/mbox", "precious/none"] {
        let mailbox = messages();
        let expected = mailbox.stored_forms();
        let server = Server::start(&mailbox);
        let sandbox = sandbox_to(&server, "mbox:~/alice/inbox");
        make_precious(&sandbox);
        let before = precious(&sandbox);
        let draft = make_for_alice(&sandbox, "alice").join("inbox.lock.popfetch");
        symlink(sandbox.home(target), draft).expect("our own directory");
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
        assert_eq!(precious(&sandbox), before);
        is_all_hers(&sandbox, "mbox:~/alice/inbox", &expected, &target);
    }
}

#[test]
fn recovery_follows_no_link_out_of_a_maildir_and_completes_once_it_is_gone() {
    if !are_root() {
        return;
    }
    let steps = [
        "batch: intended, not placed",
        "maildir: message not placed",
        "batch: placed, not recorded",
    ];
    for step in steps {
        for name in ["tmp", "new", "cur", "."] {
            let mailbox = messages();
            let expected = mailbox.stored_forms();
            let server = Server::start(&mailbox);
            let sandbox = sandbox_to(&server, "maildir:~/alice/Mail");
            make_precious(&sandbox);
            make_for_alice(&sandbox, "alice");
            let running = sandbox.start_with(&[], &["sync"], &[("POPFETCH_CRASH_AT", step)]);
            running.finish().ends_with(KILLED);
            let (before, fetched) = (precious(&sandbox), server.retrievals());
            let place = sandbox.home("alice/Mail").join(name);
            let place: PathBuf = place.components().collect();
            let away = sandbox.home("alice/away");
            fs::rename(&place, &away).expect("our own directory");
            symlink(sandbox.home("precious").join(name), &place).expect("our own directory");
            give(&place, ALICE);
            for run in [&["sync", "--dry-run"][..], &["sync"]] {
                sandbox
                    .run(run)
                    .ends_with(73)
                    .complains("is a symbolic link");
            }
            assert_eq!(precious(&sandbox), before, "{step}, {name}");
            assert_eq!(server.retrievals(), fetched, "{step}, {name}");
            fs::remove_file(&place).expect("our own link");
            fs::rename(&away, &place).expect("our own directory");
            sandbox.run(&["sync"]).ends_with(0).says_nothing();
            is_all_hers(&sandbox, "maildir:~/alice/Mail", &expected, &(step, name));
            assert!(mailbox.uids().is_empty());
        }
    }
}

#[test]
fn a_copy_reached_through_a_link_of_another_user_authorises_no_deletion() {
    if !are_root() {
        return;
    }
    for deliver in ["maildir:~/alice/Mail", "mbox:~/alice/inbox"] {
        let mailbox = messages();
        let server = Server::start(&mailbox);
        let sandbox = sandbox_to(&server, deliver);
        make_for_alice(&sandbox, "alice");
        let keeping = ["sync", "--leave-on-server", "always"];
        sandbox.run(&keeping).ends_with(0).says_nothing();
        mailbox.renumber("moved-");
        sandbox.run(&keeping).ends_with(0);
        // The very same mail, but not where it was put.
        let place = sandbox.home(deliver.split_once("~/").expect("below home").1);
        fs::rename(&place, sandbox.home("away")).expect("our own directory");
        symlink(sandbox.home("away"), &place).expect("our own directory");
        for run in [&["sync", "--dry-run"][..], &["sync"]] {
            sandbox
                .run(run)
                .ends_with(73)
                .complains("is a symbolic link");
        }
        assert_eq!(mailbox.uids().len(), 4, "{deliver}");
    }
}
