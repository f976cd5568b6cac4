//! The main job: what is on the server comes here, byte for byte, and only once.

use std::fs;

use serde_json::Value;

use crate::support::mailbox::Mailbox;
use crate::support::messages::{Generator, Shape, one_of_each, small};
use crate::support::readers::{digests, mutt, python_maildir};
use crate::support::sandbox::{Sandbox, mode};
use crate::support::server::{Fault, PASSWORD, Pipelining, Server, SessionLog, State, USER};

/// A sandbox with one account, `it`, for this server, with some keys set.
pub(crate) fn sandbox_for(server: &Server, keys: &[(&'static str, &str)]) -> Sandbox {
    let sandbox = Sandbox::new();
    let mut account = sandbox.account("it", &server.endpoint());
    for (key, value) in keys {
        account = account.set(key, value);
    }
    account.write();
    sandbox
}

#[test]
fn every_shape_of_message_arrives_byte_for_byte_and_only_once() {
    let mailbox = Mailbox::with(one_of_each());
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    sandbox.mail("it").holds(mailbox.stored_forms());
    sandbox.mail("it").is_sound();
    assert_eq!(
        python_maildir(&sandbox.mail("it").path),
        digests(mailbox.stored_forms())
    );

    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    mailbox.add("new", small(1).remove(0));
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(mailbox.stored_forms());
    assert!(server.retrievals().values().all(|&count| count == 1));
    assert!(server.deletions().is_empty());
}

#[test]
fn a_header_that_is_not_ascii_comes_as_it_is_where_the_server_has_to_be_asked_for_that() {
    let mailbox = Mailbox::with(small(2));
    mailbox.add(
        "grüße",
        "Subject: Grüße\r\nFrom: Jörg <j@x.example>\r\n\r\nHallo\r\n".as_bytes(),
    );
    let certificates = Sandbox::new();
    for (name, server) in [
        ("clear", Server::start(&mailbox)),
        (
            "stls",
            Server::start(&mailbox).stls(certificates.certificates()),
        ),
    ] {
        let server = server.knowing_utf8();
        let sandbox = sandbox_for(&server, &[]);
        sandbox.run(&["sync"]).ends_with(0);
        // Its content is the same in every session, too.
        mailbox.renumber(name);
        sandbox.run(&["sync"]).ends_with(0);
        sandbox.mail("it").holds(mailbox.stored_forms());
        assert!(server.retrievals().len() > 3, "they were compared");
        let sessions = server.sessions();
        let in_clear = |log: &SessionLog| log.in_clear().contains(&"UTF8".to_owned());
        assert_eq!(sessions.iter().any(in_clear), name == "clear");
    }
}

#[test]
fn a_server_that_refuses_to_be_asked_for_utf8_is_served_all_the_same() {
    let mailbox = Mailbox::with(small(2));
    let server = Server::start(&mailbox)
        .knowing_utf8()
        .on("UTF8", Fault::reply("-ERR not today"));
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    sandbox.mail("it").holds(mailbox.stored_forms());
}

#[test]
fn mutt_sees_what_was_stored() {
    let mailbox = Mailbox::with(small(30));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]).ends_with(0);
    assert_eq!(
        mutt(&sandbox.mail("it").path),
        digests(mailbox.stored_forms())
    );
}

#[test]
fn the_state_is_private_and_named_after_the_mailbox() {
    let server = Server::start(&Mailbox::with(small(1)));
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]).ends_with(0);
    let port = server.endpoint().port;
    let names: Vec<String> = fs::read_dir(sandbox.state())
        .expect("the state directory")
        .map(|entry| entry.expect("a directory can be read"))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".jsonl"))
        .collect();
    assert_eq!(names.len(), 1);
    assert!(names[0].starts_with("alice@127.0.0.1") && names[0].contains(&port.to_string()));
    assert_eq!(mode(&sandbox.state().join(&names[0])), 0o600);
    assert_eq!(mode(&sandbox.state()), 0o700);
}

#[test]
fn never_deletes_what_is_stored() {
    let mailbox = Mailbox::with(small(5));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[("leave_on_server", "\"never\"")]);
    sandbox.run(&["sync"]).ends_with(0).says_nothing();
    sandbox.mail("it").holds(expected);
    assert!(mailbox.uids().is_empty());
    assert_eq!(server.commands().last().map(String::as_str), Some("QUIT"));
}

#[test]
fn a_duration_deletes_exactly_what_is_due() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox);
    let mut sandbox = sandbox_for(&server, &[("leave_on_server", "\"30d\"")]);
    sandbox.at("2026-03-01T12:00:00Z");
    sandbox.run(&["sync"]).ends_with(0);
    mailbox.add("later", small(4).remove(3));
    sandbox.at("2026-03-31T11:59:59Z");
    sandbox.run(&["sync"]).ends_with(0);
    assert_eq!(mailbox.uids(), ["uid-1", "uid-2", "uid-3", "later"]);
    let expected = mailbox.stored_forms();
    sandbox.at("2026-03-31T12:00:01Z");
    sandbox.run(&["sync"]).ends_with(0);
    assert_eq!(mailbox.uids(), ["later"]);
    sandbox.at("2026-04-30T12:00:00Z");
    sandbox.run(&["sync"]).ends_with(0);
    assert!(mailbox.uids().is_empty());
    sandbox.mail("it").holds(expected);
    assert_eq!(server.retrievals().values().sum::<usize>(), 4);
}

#[test]
fn a_dry_run_touches_nothing_and_the_next_run_does_what_it_said() {
    let mailbox = Mailbox::with(small(4));
    let server = Server::start(&mailbox);
    let mut sandbox = sandbox_for(&server, &[("leave_on_server", "\"30d\"")]);
    sandbox.at("2026-01-01T00:00:00Z");
    sandbox.run(&["sync", "--limit", "2"]).ends_with(0);
    sandbox.at("2026-02-15T00:00:00Z");
    let before = (server.retrievals(), sandbox.mail("it").texts());
    let dry = sandbox.run(&["sync", "--dry-run", "--json"]);
    dry.ends_with(0);
    assert_eq!((server.retrievals(), sandbox.mail("it").texts()), before);
    assert!(server.deletions().is_empty());
    let planned = |action: &str| -> Vec<String> {
        let objects = dry.json();
        let plan = objects[0]["plan"].as_array().expect("a plan").clone();
        let chosen = plan.iter().filter(|line| line["action"] == action);
        chosen
            .map(|line| line["uid"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(planned("retrieve"), ["uid-3", "uid-4"]);
    assert_eq!(planned("delete"), ["uid-1", "uid-2"]);

    sandbox.run(&["sync"]).ends_with(0);
    assert_eq!(server.deletions(), planned("delete"));
    let last = server.sessions().pop().expect("a session");
    assert_eq!(last.retrieved, planned("retrieve"));
}

#[test]
fn a_first_dry_run_creates_neither_mail_nor_state() {
    let server = Server::start(&Mailbox::with(small(2)));
    let sandbox = sandbox_for(&server, &[("leave_on_server", "\"never\"")]);
    let outcome = sandbox.run(&["sync", "--dry-run"]);
    outcome.ends_with(0);
    assert!(!outcome.stdout.is_empty());
    assert!(!sandbox.home("Mail").exists());
    assert!(!sandbox.state().exists());
    assert!(server.retrievals().is_empty() && server.deletions().is_empty());
}

#[test]
fn all_brings_also_what_was_stored_before() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").empty();
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(Vec::<Vec<u8>>::new());
    sandbox.run(&["sync", "--all"]).ends_with(0);
    sandbox.mail("it").holds(mailbox.stored_forms());
}

#[test]
fn a_limit_takes_the_oldest_first() {
    let mailbox = Mailbox::with(small(5));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    for (run, count) in [(1, 2), (2, 4), (3, 5)] {
        sandbox.run(&["sync", "--limit", "2"]).ends_with(0);
        sandbox.mail("it").holds(&mailbox.stored_forms()[..count]);
        assert_eq!(server.sessions().len(), run);
    }
}

#[test]
fn larger_messages_are_left_for_later_and_reported() {
    let mailbox = Mailbox::with(small(2));
    mailbox.add("large", Generator::new(9).message(Shape::Plain, 50_000));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    let outcome = sandbox.run(&["sync", "--max-size", "10K", "--json"]);
    sandbox.mail("it").holds(&mailbox.stored_forms()[..2]);
    assert_eq!(outcome.json()[0]["skipped"]["messages"], 1);
    let plain = sandbox.run(&["sync", "--max-size", "10K"]);
    assert!(!plain.stderr.is_empty(), "silent about what it left");
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(mailbox.stored_forms());
}

#[test]
fn every_destination_of_a_list_gets_every_message_once() {
    let mailbox = Mailbox::with(small(3));
    let server = Server::start(&mailbox);
    let both = "[\"maildir:~/Mail/it\", \"maildir:~/Mail/copy\"]";
    let sandbox = sandbox_for(
        &server,
        &[("deliver", both), ("leave_on_server", "\"never\"")],
    );
    let expected = mailbox.stored_forms();
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(&expected);
    sandbox.mail("copy").holds(&expected);
    assert!(server.retrievals().values().all(|&count| count == 1));
}

#[test]
fn json_reports_what_was_done() {
    let mailbox = Mailbox::with(small(3));
    let octets: usize = small(3).iter().map(Vec::len).sum();
    let server = Server::start(&mailbox).once("RETR 2", Fault::reply("-ERR [SYS/TEMP] no"));
    let sandbox = sandbox_for(&server, &[]);
    let outcome = sandbox.run(&["sync", "--json"]);
    outcome.ends_with(1);
    let objects = outcome.json();
    assert_eq!(objects.len(), 1);
    let object = &objects[0];
    assert_eq!(object["account"], "it");
    assert_eq!(object["host"], "127.0.0.1");
    assert_eq!(object["user"], USER);
    assert_eq!(object["server"]["messages"], 3);
    assert_eq!(object["server"]["octets"], octets);
    assert_eq!(object["stored"]["messages"], 2);
    assert_eq!(object["failed"]["messages"], 1);
    assert_eq!(object["deleted"]["messages"], 0);
    assert!(object["started"].is_string() && object["duration_ms"].is_u64());
    for phase in ["resolve", "connect", "tls", "auth", "list", "transfer"] {
        assert!(object["timing_ms"].get(phase).is_some(), "{phase}");
    }
}

#[test]
fn json_reports_why_an_account_failed() {
    let server = Server::start(&Mailbox::default()).password("another");
    let mut endpoint = server.endpoint();
    PASSWORD.clone_into(&mut endpoint.password);
    let sandbox = Sandbox::new();
    sandbox.account("it", &endpoint).write();
    let outcome = sandbox.run(&["sync", "--json"]);
    outcome.ends_with(77);
    let error = outcome.json()[0]["error"].clone();
    assert_eq!(error["kind"], "auth");
    assert!(matches!(&error["message"], Value::String(text) if !text.is_empty()));
}

#[test]
fn a_url_needs_no_configuration() {
    let mut sandbox = Sandbox::new();
    let mailbox = Mailbox::with(small(2));
    let servers = [
        (
            "pops",
            Server::start(&mailbox).implicit_tls(sandbox.certificates()),
        ),
        ("pop3", Server::start(&mailbox).stls(sandbox.certificates())),
    ];
    sandbox.variable("POPFETCH_PASSWORD", PASSWORD);
    let ca_file = sandbox
        .certificates()
        .authority_file()
        .display()
        .to_string();
    for (scheme, server) in &servers {
        let url = format!("{scheme}://{USER}@127.0.0.1:{}", server.endpoint().port);
        let to = format!("maildir:{}", sandbox.mail(scheme).path.display());
        sandbox
            .run(&["sync", "--url", &url, "--to", &to, "--ca-file", &ca_file])
            .ends_with(0);
        sandbox.mail(scheme).holds(mailbox.stored_forms());
    }
}

#[test]
fn broken_pipelining_costs_time_but_no_message() {
    for pipelining in [
        Pipelining::Absent,
        Pipelining::Drops,
        Pipelining::Disconnects,
        Pipelining::Interleaves,
        Pipelining::Swaps,
    ] {
        let mailbox = Mailbox::default();
        let mut generator = Generator::new(5);
        for number in 0..40 {
            let text = generator.message(Shape::Plain, 500 + 40 * number);
            mailbox.add(format!("uid-{number}"), text);
        }
        let server = Server::start(&mailbox).pipelining(pipelining);
        let sandbox = sandbox_for(&server, &[("timeout", "\"2s\"")]);
        sandbox.run(&["sync"]).ends_with(0);
        sandbox.mail("it").holds(mailbox.stored_forms());
        let sessions = server.sessions().len();
        for number in 40..50 {
            let text = generator.message(Shape::Plain, 500 + 40 * number);
            mailbox.add(format!("uid-{number}"), text);
        }
        sandbox.run(&["sync"]).ends_with(0);
        sandbox.mail("it").holds(mailbox.stored_forms());
        assert_eq!(
            server.sessions().len(),
            sessions + 1,
            "{pipelining:?}: it is known"
        );
    }
}

#[test]
fn pipelining_promised_before_login_and_taken_back_is_not_used() {
    let mailbox = Mailbox::with(small(40));
    let server = Server::start(&mailbox)
        .capabilities(State::Greeted, &["USER", "UIDL", "PIPELINING"])
        .capabilities(State::LoggedIn, &["UIDL"]);
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(mailbox.stored_forms());
}

#[test]
fn where_retrieved_mail_expires_quit_waits_until_all_of_it_is_stored() {
    let mailbox = Mailbox::with(small(3));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox)
        .expires_at_once()
        .on("RETR 2", Fault::CloseWithin(100));
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]);
    assert!(
        mailbox.uids().contains(&"uid-2".to_owned()),
        "an unstored message was given up"
    );
    server.heal();
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(expected);
    assert!(!mailbox.uids().contains(&"uid-2".to_owned()));
}

#[test]
fn an_id_listed_twice_names_two_messages() {
    let mailbox = Mailbox::default();
    for text in small(4) {
        mailbox.add("same", text);
    }
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    for _ in 0..2 {
        sandbox.run(&["sync"]).ends_with(0);
        sandbox.mail("it").holds(&expected);
    }
    let sandbox = sandbox_for(&server, &[("leave_on_server", "\"never\"")]);
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(&expected);
    assert!(mailbox.uids().is_empty());
}

#[test]
fn an_id_that_looks_like_a_path_or_a_colour_stays_text() {
    let mailbox = Mailbox::default();
    let uids = [
        &b"../../../escaped"[..],
        b"/etc/x",
        b"\x1b[31mred",
        b"\xff\xfe%00",
    ];
    for (uid, text) in uids.into_iter().zip(small(4)) {
        mailbox.add(uid, text);
    }
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    let dry = sandbox.run(&["sync", "--dry-run"]);
    dry.ends_with(0).keeps_to_itself("\x1b");
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(mailbox.stored_forms());
    sandbox.mail("it").is_sound();
}

#[test]
fn wrong_sizes_are_only_hints() {
    let mailbox = Mailbox::with(small(5));
    let expected = mailbox.stored_forms();
    let server = Server::start(&mailbox)
        .claiming_size(1, 1)
        .claiming_size(2, expected[1].len() as u64 * 3 / 2)
        .claiming_size(3, 0);
    let sandbox = sandbox_for(&server, &[("leave_on_server", "\"never\"")]);
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(expected);
    assert!(mailbox.uids().is_empty());
}

#[test]
fn of_many_messages_only_the_sizes_that_matter_are_asked_for() {
    let mailbox = Mailbox::with(small(40));
    let server = Server::start(&mailbox);
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]).ends_with(0);
    for (uid, text) in ["new-1", "new-2"].into_iter().zip(small(2)) {
        mailbox.add(uid, text);
    }
    let sizes_asked_for = || -> Vec<String> {
        let last = server.sessions().pop().expect("a session").commands();
        let is_list = |command: &String| command.starts_with("LIST");
        last.into_iter().filter(is_list).collect()
    };
    let octets = |of: &Value| of["octets"].as_u64();
    let rehearsed = sandbox.run(&["sync", "--dry-run", "--json"]).json();
    let plan = rehearsed[0]["plan"].as_array().expect("a plan");
    let all: Option<u64> = plan.iter().map(octets).sum();
    assert!(all.is_some(), "a person looks at all sizes: {plan:?}");
    assert_eq!(sizes_asked_for(), ["LIST"]);

    let outcome = sandbox.run(&["sync", "--json"]);
    assert_eq!(octets(&outcome.ends_with(0).json()[0]["server"]), all);
    assert_eq!(sizes_asked_for(), ["LIST 41", "LIST 42"]);
    sandbox.mail("it").holds(mailbox.stored_forms());
}

#[test]
fn a_size_that_the_server_refuses_to_give_holds_up_no_message() {
    let mailbox = Mailbox::with(small(40));
    let server = Server::start(&mailbox).on("LIST 41", Fault::reply("-ERR no"));
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]).ends_with(0);
    mailbox.add("new", small(1).remove(0));
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(mailbox.stored_forms());
}

#[test]
fn the_size_of_another_message_than_asked_for_is_not_believed() {
    let mailbox = Mailbox::with(small(40));
    let server = Server::start(&mailbox).on("LIST 41", Fault::reply("+OK 1 100"));
    let sandbox = sandbox_for(&server, &[]);
    sandbox.run(&["sync"]).ends_with(0);
    mailbox.add("new", small(1).remove(0));
    sandbox.run(&["sync"]).ends_with(76);
    server.heal();
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(mailbox.stored_forms());
}

#[test]
fn uidl_is_tried_even_where_it_is_not_announced() {
    let mailbox = Mailbox::with(small(2));
    let server = Server::start(&mailbox)
        .capabilities(State::Greeted, &["USER"])
        .capabilities(State::LoggedIn, &["USER"]);
    let sandbox = sandbox_for(&server, &[]);
    for _ in 0..2 {
        sandbox.run(&["sync"]).ends_with(0);
    }
    sandbox.mail("it").holds(mailbox.stored_forms());
    assert!(server.retrievals().values().all(|&count| count == 1));
}

#[test]
fn one_bad_account_holds_up_no_other_and_equal_failures_have_one_status() {
    let sandbox = Sandbox::new();
    let mailbox = Mailbox::with(small(2));
    let good = Server::start(&mailbox);
    let bad = Server::start(&Mailbox::default()).on("STAT", Fault::CloseBefore);
    let mut refused = bad.endpoint();
    "wrong".clone_into(&mut refused.password);
    sandbox.account("bad", &refused).write();
    sandbox
        .account("good", &good.endpoint())
        .set("host", "\"localhost\"")
        .write();
    sandbox.run(&["sync"]).ends_with(1).complains("bad");
    sandbox.mail("good").holds(mailbox.stored_forms());

    let mut also_refused = good.endpoint();
    "wrong".clone_into(&mut also_refused.password);
    let sandbox = Sandbox::new();
    sandbox.account("bad", &refused).write();
    sandbox
        .account("worse", &also_refused)
        .set("host", "\"localhost\"")
        .write();
    sandbox.run(&["sync"]).ends_with(77);
}

#[test]
fn a_dry_run_says_that_a_destination_cannot_be_used() {
    let mailbox = Mailbox::with(small(2));
    let server = Server::start(&mailbox);
    for (deliver, is_directory, text) in [
        ("maildir:~/it", false, ""),
        ("maildir:~/it/below", false, ""),
        ("mbox:~/it", true, ""),
        ("mbox:~/it", false, "no mbox"),
        ("mbox:~/it/below", false, ""),
    ] {
        let sandbox = sandbox_for(&server, &[("deliver", &format!("{deliver:?}"))]);
        if is_directory {
            fs::create_dir(sandbox.home("it")).expect("a directory")
        } else {
            fs::write(sandbox.home("it"), text).expect("a file")
        }
        let dry = sandbox.run(&["sync", "--dry-run"]);
        dry.ends_with(73);
        assert!(dry.stdout.contains("2 to retrieve"), "{dry:#?}");
        let run = sandbox.run(&["sync"]);
        run.ends_with(73);
        let cause = |stderr: &str| stderr.lines().next().map(str::to_owned);
        assert_eq!(cause(&dry.stderr), cause(&run.stderr), "{deliver}");
    }
    for deliver in [
        "maildir:~/new/one",
        "mbox:~/new/one",
        "pipe:cat > /dev/null",
    ] {
        let sandbox = sandbox_for(&server, &[("deliver", &format!("{deliver:?}"))]);
        sandbox.run(&["sync", "--dry-run"]).ends_with(0);
        assert!(!sandbox.home("new").exists(), "nothing is changed");
    }
}
