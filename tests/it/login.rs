//! Logging in: every mechanism, every source of a password, every refusal.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::sandbox::Sandbox;
use crate::support::server::{Fault, GREETING, LOGIN, PASSWORD, RESPONSE, Server, State, USER};

/// Everything that SASL has a name for.
const EVERYTHING: &str = "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 EXTERNAL XOAUTH2 OAUTHBEARER \
                          SCRAM-SHA-1-PLUS SCRAM-SHA-256-PLUS";

#[test]
fn every_mechanism_can_be_chosen() {
    for (auth, command) in [
        ("user", "PASS"),
        ("plain", "AUTH PLAIN "),
        ("login", "AUTH LOGIN"),
        ("apop", "APOP"),
        ("cram-md5", "AUTH CRAM-MD5"),
        ("scram-sha-1", "AUTH SCRAM-SHA-1 "),
        ("scram-sha-1-plus", "AUTH SCRAM-SHA-1-PLUS "),
        ("scram-sha-256", "AUTH SCRAM-SHA-256 "),
        ("scram-sha-256-plus", "AUTH SCRAM-SHA-256-PLUS "),
        ("xoauth2", "AUTH XOAUTH2 "),
        ("oauthbearer", "AUTH OAUTHBEARER "),
    ] {
        let sandbox = Sandbox::new();
        let mailbox = Mailbox::with(small(1));
        let server = Server::start(&mailbox)
            .implicit_tls(sandbox.certificates())
            .apop("<1896.697170952@dbc.mtview.ca.us>")
            .mechanisms(EVERYTHING);
        let auth = format!("{auth:?}");
        sandbox
            .account("it", &server.endpoint())
            .set("auth", &auth)
            .write();
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
        sandbox.mail("it").holds(mailbox.stored_forms());
        let commands = server.sessions()[0].commands();
        assert!(
            commands.iter().any(|used| used.starts_with(command)),
            "{commands:?}"
        );
    }
}

const TIMESTAMP: &str = "<1896.697170952@dbc.mtview.ca.us>";

/// The ways to log in that were begun, session by session, joined by spaces.
fn ways(server: &Server) -> Vec<String> {
    let way = |command: &String| match command.split(' ').collect::<Vec<_>>()[..] {
        ["AUTH", mechanism, ..] => Some(mechanism.to_owned()),
        ["USER" | "APOP", ..] => Some(command[..4].to_owned()),
        _ => None,
    };
    let sessions = server.sessions();
    let of = |commands: Vec<String>| {
        commands
            .iter()
            .filter_map(way)
            .collect::<Vec<_>>()
            .join(" ")
    };
    sessions.iter().map(|log| of(log.commands())).collect()
}

#[test]
fn auto_takes_the_best_that_is_announced_and_safe() {
    for (over_tls, mechanisms, way) in [
        (true, EVERYTHING, "SCRAM-SHA-256"),
        (true, "LOGIN PLAIN CRAM-MD5 SCRAM-SHA-1", "SCRAM-SHA-1"),
        (true, "CRAM-MD5 XOAUTH2 LOGIN PLAIN", "PLAIN"),
        (true, "CRAM-MD5 LOGIN", "LOGIN"),
        (true, "CRAM-MD5 XOAUTH2 EXTERNAL", "USER"),
        (false, EVERYTHING, "SCRAM-SHA-256"),
        (false, "CRAM-MD5 PLAIN", "CRAM-MD5"),
        (false, "PLAIN LOGIN", "APOP"),
    ] {
        let sandbox = Sandbox::new();
        let mut server = Server::start(&Mailbox::default()).apop(TIMESTAMP);
        if over_tls {
            server = server.implicit_tls(sandbox.certificates());
        }
        server = server.mechanisms(mechanisms);
        sandbox.account("it", &server.endpoint()).write();
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
        assert_eq!(ways(&server), [way], "{mechanisms}");
    }
}

#[test]
fn what_is_announced_and_cannot_work_leads_to_one_second_attempt_and_is_remembered() {
    for (step, refusal) in [
        (
            "AUTH SCRAM-SHA-256",
            Fault::reply("-ERR [AUTH] no such secret"),
        ),
        (RESPONSE, Fault::reply("-ERR no such secret")),
    ] {
        let sandbox = Sandbox::new();
        let server = Server::start(&Mailbox::default())
            .implicit_tls(sandbox.certificates())
            .mechanisms("SCRAM-SHA-1 SCRAM-SHA-256 PLAIN LOGIN")
            .on(step, refusal);
        sandbox.account("it", &server.endpoint()).write();
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
        sandbox.run(&["sync"]).ends_with(0).says_nothing();
        assert_eq!(ways(&server), ["SCRAM-SHA-256 PLAIN", "PLAIN"]);
    }
}

#[test]
fn there_is_no_third_attempt() {
    let sandbox = Sandbox::new();
    let server = Server::start(&Mailbox::default())
        .implicit_tls(sandbox.certificates())
        .mechanisms("SCRAM-SHA-1 SCRAM-SHA-256 PLAIN LOGIN")
        .on("AUTH", Fault::reply("-ERR no"));
    sandbox.account("it", &server.endpoint()).write();
    sandbox.run(&["sync"]).ends_with(77);
    assert_eq!(ways(&server), ["SCRAM-SHA-256 PLAIN"]);
}

#[test]
fn a_server_that_hangs_up_after_the_refusal_gets_a_second_connection_and_no_third() {
    let hangs_up = || Fault::last_words("-ERR no such secret");
    for (also_then, status) in [(None, 0), (Some("AUTH PLAIN"), 77)] {
        let sandbox = Sandbox::new();
        let mailbox = Mailbox::with(small(1));
        let mut server = Server::start(&mailbox)
            .apop("<1896.697170952@dbc.mtview.ca.us>")
            .on("APOP", hangs_up());
        if let Some(step) = also_then {
            server = server.on(step, hangs_up());
        }
        sandbox.account("it", &server.endpoint()).write();
        sandbox.run(&["sync"]).ends_with(status);
        assert_eq!(ways(&server), ["APOP", "PLAIN"]);
    }
}

/// What ends the connection then may have heard the password.
#[test]
fn a_server_that_fails_once_it_has_refused_a_mechanism_gets_no_second_connection() {
    let refusing = || {
        let server = Server::start(&Mailbox::default()).apop(TIMESTAMP);
        server.on("APOP", Fault::reply("-ERR [AUTH] no such secret"))
    };
    let nonsense = || Fault::reply("gibberish");
    for (server, status, expected) in [
        (
            refusing().once("AUTH", Fault::CloseBefore),
            69,
            "APOP PLAIN",
        ),
        (refusing().once("AUTH", nonsense()), 76, "APOP PLAIN"),
        // Asked for its capabilities, it shows whether it is still there.
        (refusing().after(1, "CAPA", nonsense()), 76, "APOP"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.account("it", &server.endpoint()).write();
        sandbox.run(&["sync"]).ends_with(status);
        assert_eq!(ways(&server), [expected]);
    }
}

#[test]
fn a_server_that_says_goodbye_with_the_refusal_gets_a_second_connection() {
    let sandbox = Sandbox::new();
    let mailbox = Mailbox::with(small(1));
    let refusal = Fault::last_words("-ERR [AUTH] no such secret\r\n-ERR closing");
    let server = Server::start(&mailbox).apop(TIMESTAMP).on("APOP", refusal);
    sandbox.account("it", &server.endpoint()).write();
    sandbox.run(&["sync"]).ends_with(0);
    assert_eq!(ways(&server), ["APOP", "PLAIN"]);
}

#[test]
fn where_the_second_mechanism_cannot_be_tried_the_first_refusal_is_reported() {
    for (refusal, cause) in [
        (
            "-ERR [LOGIN-DELAY] not so soon",
            "wants a longer pause between logins",
        ),
        ("-ERR too many connections", "too many connections"),
    ] {
        let sandbox = Sandbox::new();
        let server = Server::start(&Mailbox::default())
            .apop(TIMESTAMP)
            .on("APOP", Fault::last_words("-ERR [AUTH] no such secret"))
            .after(1, GREETING, Fault::reply(refusal));
        sandbox.account("it", &server.endpoint()).write();
        let outcome = sandbox.run(&["sync"]);
        outcome.ends_with(77).complains("no such secret");
        outcome.complains(cause).complains("Check the user's name");
        assert!(!outcome.stderr.contains("less often"), "{outcome:#?}");
        assert_eq!(ways(&server).concat(), "APOP");
    }
}

#[test]
fn no_second_attempt_after_what_is_not_about_the_credentials() {
    for answer in [
        "-ERR [IN-USE] somebody else is reading",
        "-ERR [LOGIN-DELAY] too early",
        "-ERR [SYS/TEMP] the disk is asleep",
        "-ERR [SYS/PERM] the disk is dead",
        "-ERR cannot get lock on mailbox",
    ] {
        let sandbox = Sandbox::new();
        let server = Server::start(&Mailbox::default())
            .implicit_tls(sandbox.certificates())
            .mechanisms("SCRAM-SHA-256 PLAIN")
            .on(RESPONSE, Fault::reply(answer));
        sandbox.account("it", &server.endpoint()).write();
        assert!(matches!(sandbox.run(&["sync"]).status, Some(69 | 75)));
        assert_eq!(ways(&server), ["SCRAM-SHA-256"], "{answer}");
    }
}

#[test]
fn a_password_that_was_shown_and_refused_is_not_shown_again() {
    for mechanisms in ["PLAIN LOGIN", "LOGIN", ""] {
        let sandbox = Sandbox::new();
        let server = Server::start(&Mailbox::default())
            .implicit_tls(sandbox.certificates())
            .mechanisms(mechanisms)
            .on(LOGIN, Fault::reply("-ERR no"));
        sandbox.account("it", &server.endpoint()).write();
        sandbox.run(&["sync"]).ends_with(77);
        assert_eq!(ways(&server).join(" ").split(' ').count(), 1);
    }
}

#[test]
fn a_password_that_was_shown_is_not_shown_again_though_the_login_was_broken_off() {
    for (length, expected, status) in [(1, "PLAIN", 76), (60, "PLAIN LOGIN", 0)] {
        let sandbox = Sandbox::new();
        // Only what fits into the command goes with it; the rest waits for an empty challenge.
        let server = Server::start(&Mailbox::default())
            .implicit_tls(sandbox.certificates())
            .mechanisms("PLAIN LOGIN")
            .password(&"long".repeat(length))
            .on("AUTH PLAIN", Fault::reply("+ VXNlcm5hbWU6"));
        sandbox.account("it", &server.endpoint()).write();
        sandbox.run(&["sync"]).ends_with(status);
        assert_eq!(ways(&server), [expected]);
        // This server does not know what is being cancelled.
        let _ = server.violations();
    }
}

#[test]
fn never_weaker_than_the_configuration_says() {
    let strong = [
        "scram-sha-1",
        "scram-sha-256",
        "scram-sha-1-plus",
        "scram-sha-256-plus",
        "cram-md5",
        "apop",
    ];
    for auth in strong {
        let sandbox = Sandbox::new();
        let server = Server::start(&Mailbox::default())
            .apop("<1@a.example>")
            .implicit_tls(sandbox.certificates())
            .on("AUTH", Fault::reply("-ERR no"))
            .on("APOP", Fault::reply("-ERR no"));
        let auth = format!("{auth:?}");
        let account = sandbox.account("it", &server.endpoint()).set("auth", &auth);
        account.write();
        sandbox.run(&["sync"]).ends_with(77);
        assert_eq!(ways(&server).join(" ").split(' ').count(), 1, "{auth}");
        let commands = server.commands();
        let shown = |line: &String| line.starts_with("PASS") || line.starts_with("AUTH PLAIN");
        assert!(!commands.iter().any(shown), "{auth}: {commands:?}");
    }
}

/// Whoever hides the safer way once must not have it hidden for ever.
#[test]
fn what_worked_goes_before_a_safer_mechanism_only_where_that_was_refused() {
    for (over_tls, safer) in [(false, "CRAM-MD5"), (true, "SCRAM-SHA-256")] {
        for refused in [false, true] {
            let sandbox = Sandbox::new();
            let mut server = Server::start(&Mailbox::default()).mechanisms("PLAIN");
            if over_tls {
                server = server.implicit_tls(sandbox.certificates());
            }
            if refused {
                let step = format!("AUTH {safer}");
                let both = server.mechanisms(&format!("{safer} PLAIN"));
                server = both.once(&step, Fault::reply("-ERR no such secret"));
            }
            sandbox.account("it", &server.endpoint()).write();
            sandbox.run(&["sync"]).ends_with(0);
            let server = server.mechanisms(&format!("PLAIN {safer}"));
            sandbox.run(&["sync"]).ends_with(0);
            sandbox.run(&["sync"]).ends_with(0);
            let both = format!("{safer} PLAIN");
            let expected = match refused {
                false => ["PLAIN", safer, safer],
                true => [&both, "PLAIN", "PLAIN"],
            };
            assert_eq!(ways(&server), expected);
        }
    }
}

#[test]
fn what_worked_in_place_of_a_refused_mechanism_does_not_go_before_one_that_is_safer_still() {
    let sandbox = Sandbox::new();
    let server = Server::start(&Mailbox::default())
        .mechanisms("CRAM-MD5 PLAIN")
        .once("AUTH CRAM-MD5", Fault::reply("-ERR no such secret"));
    sandbox.account("it", &server.endpoint()).write();
    sandbox.run(&["sync"]).ends_with(0);
    let server = server.mechanisms("CRAM-MD5 PLAIN SCRAM-SHA-1");
    sandbox.run(&["sync"]).ends_with(0);
    assert_eq!(ways(&server), ["CRAM-MD5 PLAIN", "SCRAM-SHA-1"]);
}

#[test]
fn a_server_that_no_longer_accepts_user_gets_another_mechanism() {
    let sandbox = Sandbox::new();
    let mailbox = Mailbox::with(small(1));
    let server = Server::start(&mailbox)
        .implicit_tls(sandbox.certificates())
        .capabilities(State::Greeted, &["UIDL"]);
    sandbox.account("it", &server.endpoint()).write();
    sandbox.run(&["sync"]).ends_with(0);
    let refusal = Fault::reply("-ERR USER is disabled, use AUTH");
    let server = server
        .capabilities(State::Greeted, &["UIDL", "SASL PLAIN"])
        .on("USER", refusal);
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.run(&["sync"]).ends_with(0);
    assert_eq!(ways(&server), ["USER", "USER PLAIN", "PLAIN"]);
}

#[test]
fn what_worked_over_tls_says_nothing_about_a_connection_in_clear() {
    let sandbox = Sandbox::new();
    let server = Server::start(&Mailbox::default())
        .stls(sandbox.certificates())
        .mechanisms("PLAIN CRAM-MD5");
    sandbox.account("it", &server.endpoint()).write();
    sandbox.run(&["sync"]).ends_with(0);
    std::fs::remove_file(sandbox.home(".config/popfetch/config.toml")).expect("our own file");
    let account = sandbox.account("it", &server.endpoint());
    account
        .set("tls", "\"none\"")
        .set("allow_cleartext_password", "true")
        .write();
    sandbox.run(&["sync"]).ends_with(0);
    assert_eq!(ways(&server), ["PLAIN", "CRAM-MD5"]);
}

#[test]
fn digests_need_no_permission_where_they_are_named() {
    for auth in ["\"apop\"", "\"cram-md5\"", "\"scram-sha-256\""] {
        let sandbox = Sandbox::new();
        let server = Server::start(&Mailbox::default())
            .apop("<1@a.example>")
            .mechanisms(EVERYTHING);
        let account = sandbox.account("it", &server.endpoint()).set("auth", auth);
        account.without("allow_cleartext_password").write();
        sandbox.run(&["sync"]).ends_with(0);
    }
    for auth in [
        "\"login\"",
        "\"xoauth2\"",
        "\"oauthbearer\"",
        "\"scram-sha-256-plus\"",
    ] {
        let sandbox = Sandbox::new();
        let server = Server::start(&Mailbox::default()).mechanisms(EVERYTHING);
        let account = sandbox.account("it", &server.endpoint()).set("auth", auth);
        account.without("allow_cleartext_password").write();
        assert!(
            matches!(sandbox.run(&["sync"]).status, Some(77 | 78)),
            "{auth}"
        );
        assert!(ways(&server).concat().is_empty());
    }
}

#[test]
fn passwords_of_every_kind_work_with_every_mechanism() {
    for password in [
        " begins and ends with a space ",
        "100% p%20rcent",
        "pässwörd",
        "🦀 + \"quotes\" \\ , = <>",
    ] {
        for auth in [
            "user",
            "plain",
            "login",
            "cram-md5",
            "scram-sha-1",
            "scram-sha-256",
            "apop",
        ] {
            let sandbox = Sandbox::new();
            let server = Server::start(&Mailbox::default())
                .apop("<1@a.example>")
                .mechanisms(EVERYTHING)
                .password(password);
            let auth = format!("{auth:?}");
            let account = sandbox.account("it", &server.endpoint()).set("auth", &auth);
            account.write();
            sandbox.run(&["sync"]).ends_with(0);
        }
    }
}

#[test]
fn letters_that_the_server_does_not_promise_to_understand_are_named_where_it_refuses() {
    let hint = "other characters than ASCII";
    for (password, announced, auth, hinted) in [
        ("pässwörd", "UTF8", "user", true),
        ("pässwörd", "UTF8 USER", "user", false),
        ("plain-letters", "UTF8", "user", false),
        // SASL says itself which letters there are.
        ("pässwörd", "UTF8", "plain", false),
    ] {
        let sandbox = Sandbox::new();
        let server = Server::start(&Mailbox::default())
            .capabilities(State::Greeted, &["USER", "SASL PLAIN", announced])
            .on(LOGIN, Fault::reply("-ERR [AUTH] no"));
        let mut endpoint = server.endpoint();
        endpoint.password = password.to_owned();
        let auth = format!("{auth:?}");
        sandbox.account("it", &endpoint).set("auth", &auth).write();
        let outcome = sandbox.run(&["sync"]);
        outcome.ends_with(77).keeps_to_itself(password);
        let context = format!("{password}, {announced}, {auth}: {outcome:#?}");
        assert_eq!(outcome.stderr.contains(hint), hinted, "{context}");
    }
}

/// The keyboard made two characters of one letter, and the two numerals one character.
#[test]
fn apop_proves_the_password_as_a_server_has_it_that_knows_letters_beyond_ascii() {
    let (stored, typed) = ("pässwörd IX", "pa\u{308}sswo\u{308}rd \u{2168}");
    for (announced, auth, password, status) in [
        ("UTF8 USER", "apop", typed, 0),
        ("UTF8 USER", "apop", stored, 0),
        ("UTF8", "apop", typed, 77),
        ("UTF8", "apop", stored, 0),
        // The server would prepare it; this one does not.
        ("UTF8 USER", "user", typed, 77),
    ] {
        let sandbox = Sandbox::new();
        let server = Server::start(&Mailbox::default())
            .apop("<1@a.example>")
            .capabilities(State::Greeted, &["USER", announced])
            .password(stored);
        let mut endpoint = server.endpoint();
        endpoint.password = password.to_owned();
        let auth = format!("{auth:?}");
        sandbox.account("it", &endpoint).set("auth", &auth).write();
        let outcome = sandbox.run(&["sync"]);
        let context = format!("{announced}, {auth}, {password}: {outcome:#?}");
        assert_eq!(outcome.status, Some(status), "{context}");
    }
}

/// A token that the server does not accept any more is reported as that, and not shown.
#[track_caller]
fn an_old_token_is_refused(sandbox: &Sandbox, server: &Server, auth: &str) {
    let mut endpoint = server.endpoint();
    endpoint.password = "an-old-token".to_owned();
    sandbox.account("it", &endpoint).set("auth", auth).write();
    let outcome = sandbox.run(&["sync"]);
    outcome.ends_with(77).complains("invalid_token");
    outcome.complains("expire").keeps_to_itself("an-old-token");
}

#[test]
fn a_refused_token_says_why_and_what_to_do() {
    for auth in ["\"xoauth2\"", "\"oauthbearer\""] {
        let sandbox = Sandbox::new();
        let server = Server::start(&Mailbox::default())
            .implicit_tls(sandbox.certificates())
            .mechanisms(EVERYTHING);
        an_old_token_is_refused(&sandbox, &server, auth);
    }
}

#[test]
fn a_refused_token_says_why_though_the_server_hangs_up_instead_of_refusing_the_login() {
    for auth in ["\"xoauth2\"", "\"oauthbearer\""] {
        let sandbox = Sandbox::new();
        let server = Server::start(&Mailbox::default())
            .implicit_tls(sandbox.certificates())
            .mechanisms(EVERYTHING)
            .on(RESPONSE, Fault::CloseBefore);
        an_old_token_is_refused(&sandbox, &server, auth);
    }
}

#[test]
fn a_token_of_thousands_of_characters_goes_in_two_steps() {
    for auth in ["\"xoauth2\"", "\"oauthbearer\""] {
        let sandbox = Sandbox::new();
        let server = Server::start(&Mailbox::default())
            .implicit_tls(sandbox.certificates())
            .mechanisms(EVERYTHING)
            .password(&"t0ken.".repeat(700));
        let account = sandbox.account("it", &server.endpoint()).set("auth", auth);
        account.write();
        sandbox.run(&["sync"]).ends_with(0);
    }
}

#[test]
fn a_long_password_goes_in_two_steps_and_a_bare_plus_is_a_challenge() {
    for challenge in ["+", "+ "] {
        let sandbox = Sandbox::new();
        let mailbox = Mailbox::with(small(1));
        let server = Server::start(&mailbox)
            .password(&"long".repeat(60))
            .on("AUTH PLAIN", Fault::say(challenge));
        sandbox
            .account("it", &server.endpoint())
            .set("auth", "\"plain\"")
            .write();
        sandbox.run(&["sync"]).ends_with(0);
        sandbox.mail("it").holds(mailbox.stored_forms());
        assert!(
            server
                .commands()
                .iter()
                .any(|command| command == "AUTH PLAIN")
        );
    }
}

#[test]
fn a_server_without_capa_is_logged_in_to_with_user_and_pass() {
    let sandbox = Sandbox::new();
    let mailbox = Mailbox::with(small(2));
    let server = Server::start(&mailbox)
        .without_capa()
        .capabilities(State::Greeted, &[])
        .capabilities(State::LoggedIn, &[]);
    sandbox.account("it", &server.endpoint()).write();
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(mailbox.stored_forms());
    assert!(server.commands().contains(&format!("USER {USER}")));
}

#[test]
fn a_refusal_of_apop_is_not_the_end() {
    let sandbox = Sandbox::new();
    let mailbox = Mailbox::with(small(1));
    let server = Server::start(&mailbox)
        .implicit_tls(sandbox.certificates())
        .apop("<1896.697170952@dbc.mtview.ca.us>")
        .on("APOP", Fault::reply("-ERR this user has no secret"));
    sandbox.account("it", &server.endpoint()).write();
    sandbox.run(&["sync"]).ends_with(0);
    sandbox.mail("it").holds(mailbox.stored_forms());
}

#[test]
fn a_wrong_password_ends_with_77_and_is_never_shown() {
    for auth in ["\"user\"", "\"plain\"", "\"apop\"", "\"auto\""] {
        let sandbox = Sandbox::new();
        let server = Server::start(&Mailbox::default())
            .apop("<1896.697170952@dbc.mtview.ca.us>")
            .on(LOGIN, Fault::reply("-ERR [AUTH] who says hush-hush?"));
        let mut endpoint = server.endpoint();
        endpoint.password = "hush-hush".to_owned();
        sandbox.account("it", &endpoint).set("auth", auth).write();
        let outcome = sandbox.run(&["-v", "sync"]);
        outcome.ends_with(77).complains("it");
        outcome.keeps_to_itself("hush-hush");
    }
}

#[test]
fn what_may_work_later_ends_with_75() {
    for answer in [
        "-ERR [IN-USE] somebody else is reading",
        "-ERR [in-use] somebody else is reading",
        "-ERR [LOGIN-DELAY] too early",
        "-ERR [SYS/TEMP] the disk is asleep",
    ] {
        let sandbox = Sandbox::new();
        let server = Server::start(&Mailbox::default()).on(LOGIN, Fault::reply(answer));
        sandbox.account("it", &server.endpoint()).write();
        sandbox.run(&["sync"]).ends_with(75);
    }
}

#[test]
fn a_password_can_come_from_a_command_and_from_the_environment() {
    for (key, value) in [
        (
            "password_command",
            format!("\"echo '{PASSWORD}'; echo more\""),
        ),
        ("password_env", "\"SECRET\"".to_owned()),
    ] {
        let mut sandbox = Sandbox::new();
        sandbox.variable("SECRET", PASSWORD);
        let mailbox = Mailbox::with(small(1));
        let server = Server::start(&mailbox);
        let account = sandbox
            .account("it", &server.endpoint())
            .without("password_file");
        account.set(key, &value).write();
        sandbox.run(&["sync"]).ends_with(0);
        sandbox.mail("it").holds(mailbox.stored_forms());
    }
}

#[test]
fn no_password_is_sent_where_it_cannot_be_had_safely() {
    let sandbox = Sandbox::new();
    let server = Server::start(&Mailbox::default());
    let open = sandbox.private_file("open", PASSWORD);
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&open, everybody).expect("our own file");
    for (key, value) in [
        ("password_file", format!("{:?}", open.display().to_string())),
        ("password_file", "\"/nowhere/password\"".to_owned()),
        ("password_command", "\"echo useless; exit 3\"".to_owned()),
        ("password_env", "\"NOT_SET\"".to_owned()),
    ] {
        let account = sandbox
            .account("it", &server.endpoint())
            .without("password_file");
        account.set(key, &value).write();
        let outcome = sandbox.run(&["sync"]);
        assert_ne!(outcome.status, Some(0), "{key} = {value}");
        outcome.keeps_to_itself(PASSWORD).complains("password");
        std::fs::remove_file(sandbox.home(".config/popfetch/config.toml")).expect("our own file");
    }
    let verbs: Vec<String> = server
        .sessions()
        .iter()
        .flat_map(|log| log.verbs())
        .collect();
    assert!(
        !verbs.iter().any(|verb| verb == "PASS" || verb == "AUTH"),
        "{verbs:?}"
    );
}

#[test]
fn a_password_file_that_others_can_read_is_refused() {
    let sandbox = Sandbox::new();
    let server = Server::start(&Mailbox::default());
    sandbox.account("it", &server.endpoint()).write();
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o604);
    std::fs::set_permissions(sandbox.home("it.password"), everybody).expect("our own file");
    sandbox.run(&["sync"]).ends_with(78).complains("chmod");
}

#[test]
fn without_tls_a_password_needs_permission() {
    let sandbox = Sandbox::new();
    let server = Server::start(&Mailbox::default());
    let account = sandbox.account("it", &server.endpoint());
    account.without("allow_cleartext_password").write();
    sandbox
        .run(&["sync"])
        .ends_with(78)
        .complains("allow_cleartext_password");
    let verbs: Vec<String> = server
        .sessions()
        .iter()
        .flat_map(|log| log.verbs())
        .collect();
    assert!(
        !verbs
            .iter()
            .any(|verb| ["USER", "PASS", "AUTH"].contains(&verb.as_str()))
    );
}

#[test]
fn without_a_key_ring_the_alternatives_are_named_and_nothing_is_waited_for() {
    let sandbox = Sandbox::new();
    let server = Server::start(&Mailbox::default());
    sandbox
        .account("it", &server.endpoint())
        .without("password_file")
        .write();
    for arguments in [["sync", "it"], ["login", "it"]] {
        let outcome = sandbox.run(&arguments);
        assert_ne!(outcome.status, Some(0));
        outcome
            .complains("password_file")
            .complains("password_command");
    }
}

#[test]
fn a_password_with_a_line_end_never_reaches_the_wire() {
    let mut sandbox = Sandbox::new();
    sandbox.variable("SECRET", "one\r\nDELE 1");
    let server = Server::start(&Mailbox::with(small(1)));
    let account = sandbox
        .account("it", &server.endpoint())
        .without("password_file");
    account
        .set("password_env", "\"SECRET\"")
        .set("auth", "\"user\"")
        .write();
    assert_ne!(sandbox.run(&["sync"]).status, Some(0));
    assert!(server.deletions().is_empty());
    assert!(
        !server
            .commands()
            .iter()
            .any(|command| command.starts_with("PASS"))
    );
}

#[test]
fn a_server_that_does_not_prove_itself_gets_nothing_else() {
    for last in [
        "+OK welcome",
        "+ dj1ub3QgdGhlIHNpZ25hdHVyZQ==",
        "+ ZT1vdGhlci1lcnJvcg==",
    ] {
        let sandbox = Sandbox::new();
        let server = Server::start(&Mailbox::with(small(1)))
            .implicit_tls(sandbox.certificates())
            .mechanisms("SCRAM-SHA-256 PLAIN")
            .scram_last(last);
        sandbox.account("it", &server.endpoint()).write();
        sandbox.run(&["sync"]).ends_with(76);
        assert_eq!(ways(&server), ["SCRAM-SHA-256"], "{last}");
        sandbox.mail("it").holds(Vec::<Vec<u8>>::new());
    }
}

#[test]
fn a_server_that_makes_the_password_cheap_to_guess_gets_nothing_else() {
    for iterations in ["1", "4095", "600001"] {
        let sandbox = Sandbox::new();
        let server = Server::start(&Mailbox::default())
            .implicit_tls(sandbox.certificates())
            .mechanisms("SCRAM-SHA-256 PLAIN")
            .scram_first(&format!("r=NONCEmore,s=c2FsdA==,i={iterations}"));
        sandbox.account("it", &server.endpoint()).write();
        sandbox.run(&["sync"]).ends_with(76).complains(iterations);
        assert_eq!(ways(&server), ["SCRAM-SHA-256"]);
    }
}

#[test]
fn a_server_that_does_not_prove_itself_is_named_though_it_hangs_up() {
    for (fault, last) in [
        (Fault::CloseBefore, "+ dj1ub3QgdGhlIHNpZ25hdHVyZQ=="),
        (Fault::Stall, "+ dj1ub3QgdGhlIHNpZ25hdHVyZQ=="),
        (Fault::reply("gibberish"), "+ ZT1vdGhlci1lcnJvcg=="),
    ] {
        let sandbox = Sandbox::new();
        let server = Server::start(&Mailbox::default())
            .implicit_tls(sandbox.certificates())
            .mechanisms("SCRAM-SHA-256 PLAIN")
            .scram_last(last)
            .after(1, RESPONSE, fault);
        let account = sandbox.account("it", &server.endpoint());
        account.set("timeout", "\"2s\"").write();
        let outcome = sandbox.run(&["sync"]);
        outcome.ends_with(76).complains("the server");
        assert!(!outcome.stderr.contains("closed the connection"));
        assert_eq!(ways(&server), ["SCRAM-SHA-256"]);
    }
}

/// RFC 5802 section 7 has words for it.
#[test]
fn scram_has_its_own_words_for_a_wrong_password() {
    let last = |error: &str| format!("+ {}", BASE64_STANDARD.encode(error));
    let server = |sandbox: &Sandbox| {
        Server::start(&Mailbox::default())
            .implicit_tls(sandbox.certificates())
            .mechanisms("SCRAM-SHA-256 PLAIN")
    };
    for (error, status) in [
        ("e=invalid-proof", 77),
        ("e=unknown-user", 77),
        ("e=invalid-proof,x=more", 77),
        ("e=channel-bindings-dont-match", 76),
        ("e=invalid-proofs", 76),
    ] {
        let sandbox = Sandbox::new();
        let servers = [
            server(&sandbox).scram_first(error),
            server(&sandbox).scram_last(&last(error)),
            server(&sandbox)
                .scram_last(&last(error))
                .after(1, RESPONSE, Fault::CloseBefore),
        ];
        for server in servers {
            let sandbox = Sandbox::new();
            sandbox.account("it", &server.endpoint()).write();
            let outcome = sandbox.run(&["sync"]);
            outcome.ends_with(status).complains(&error[2..8]);
            let hinted = outcome.stderr.contains("Check the user's name");
            assert_eq!(hinted, status == 77, "{outcome:#?}");
            assert_eq!(ways(&server), ["SCRAM-SHA-256"], "{error}");
        }
    }
}

#[test]
fn a_login_that_will_never_work_comes_with_a_hint_that_is_as_safe() {
    let another = "Another `auth`";
    for (over_tls, lie, hint) in [
        (true, "i=1000000", another),
        (false, "i=1000000", "provider"),
        // A server that lies like that may be after the password.
        (true, "i=1", "provider"),
        (true, "PLAIN", another),
        (false, "PLAIN", "provider"),
    ] {
        let sandbox = Sandbox::new();
        let mut server = Server::start(&Mailbox::default());
        if over_tls {
            server = server.implicit_tls(sandbox.certificates());
        }
        let auth = match lie {
            "PLAIN" => "\"plain\"",
            _ => "\"auto\"",
        };
        server = match lie {
            "PLAIN" => server.on("AUTH PLAIN", Fault::say("+ VXNlcm5hbWU6")),
            count => server
                .mechanisms("SCRAM-SHA-256 PLAIN")
                .scram_first(&format!("r=NONCEmore,s=c2FsdA==,{count}")),
        };
        let account = sandbox.account("it", &server.endpoint());
        account.set("auth", auth).write();
        let outcome = sandbox.run(&["sync"]);
        outcome.ends_with(76).complains("hint").complains(hint);
        let unsafe_words = hint != another && outcome.stderr.contains("`auth`");
        assert!(!unsafe_words, "{outcome:#?}");
        // To this server we may be logged in.
        let _ = server.violations();
    }
}

#[test]
fn each_answer_of_a_login_has_the_whole_timeout() {
    let sandbox = Sandbox::new();
    let server = Server::start(&Mailbox::default())
        .implicit_tls(sandbox.certificates())
        .mechanisms("LOGIN")
        .on("AUTH", Fault::Delay(Duration::from_millis(2_500)))
        .once(RESPONSE, Fault::Delay(Duration::from_millis(2_500)));
    let account = sandbox.account("it", &server.endpoint());
    account.set("timeout", "\"4s\"").write();
    sandbox.run(&["sync"]).ends_with(0);
}

/// RFC 3206 section 6: such a server would have said [AUTH].
#[test]
fn a_server_that_would_say_so_if_it_were_the_credentials_is_taken_at_its_word() {
    for (announced, refusal, credentials) in [
        ("AUTH-RESP-CODE", "-ERR not today", false),
        ("AUTH-RESP-CODE", "-ERR [AUTH] no", true),
        ("RESP-CODES", "-ERR not today", true),
    ] {
        for auth in ["\"user\"", "\"plain\"", "\"scram-sha-1\""] {
            let sandbox = Sandbox::new();
            let server = Server::start(&Mailbox::default())
                .implicit_tls(sandbox.certificates())
                .capabilities(
                    State::Greeted,
                    &["USER", "SASL PLAIN SCRAM-SHA-1", announced],
                )
                .on(LOGIN, Fault::reply(refusal));
            let account = sandbox.account("it", &server.endpoint());
            account.set("auth", auth).write();
            let outcome = sandbox.run(&["sync"]);
            outcome.ends_with(77);
            let context = format!("{announced}, {refusal}: {outcome:#?}");
            let blamed = outcome.stderr.contains("Check the user's name");
            assert_eq!(blamed, credentials, "{context}");
            let other = outcome.stderr.contains("[AUTH] where");
            assert_eq!(other, !credentials, "{context}");
        }
    }
}

#[test]
fn a_mechanism_that_the_server_does_not_announce_is_not_taken_for_a_wrong_password() {
    for auth in ["xoauth2", "scram-sha-256-plus"] {
        let sandbox = Sandbox::new();
        let server = Server::start(&Mailbox::with(small(1)))
            .implicit_tls(sandbox.certificates())
            .mechanisms("PLAIN SCRAM-SHA-1");
        let account = sandbox.account("it", &server.endpoint());
        account.set("auth", &format!("{auth:?}")).write();
        let outcome = sandbox.run(&["sync"]);
        outcome.ends_with(77);
        let hint = format!("does not announce {}", auth.to_uppercase());
        outcome.complains(&hint).keeps_to_itself("expire");
        assert!(!outcome.stderr.contains("Check the user"), "{outcome:#?}");
    }
}
