//! A30–A40: attacks on the login.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::case::{Attack, Case};
use super::scene::Scene;
use crate::shared::fetcher::{Login, Tls};
use crate::support::malicious::{SCRAM_FIRSTS, SCRAM_LASTS};
use crate::support::server::{Fault, GREETING, LOGIN, PASSWORD, RESPONSE, Server, USER};

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        Attack::new("A30", "APOP stamps that are no message-ids", stamps()),
        Attack::new("A31", "mechanisms stripped without TLS", stripped()),
        Attack::new("A32", "every lie of SCRAM", lies_of_scram()),
        Attack::new(
            "A35",
            "challenges with nonsense, and without an end",
            challenges(),
        ),
        Attack::new("A38", "success too early", early_success()),
        Attack::new("A40", "the server repeats the password", repetitions()),
        Attack::new(
            "A40",
            "the password in arguments and environment of what runs",
            [Case::fault("RETR 1", Fault::StallWithin(400))
                .deleting()
                .scene(Scene::Inspected)],
        ),
        Attack::new(
            "A40",
            "the password in a log for finding errors",
            [
                Case::server(|server, _| server).scene(Scene::Loud),
                Case::reply(LOGIN, "-ERR [AUTH] no\r\n").scene(Scene::Loud),
            ],
        ),
    ]
}

/// A server without TLS shows this timestamp; an answer gives something about the password away.
fn stamps() -> Vec<Case> {
    let long = format!("<{}@example.com>", "x".repeat(600));
    let stamps = [
        "<no-at-sign>",
        "<\u{e9}@example.com>",
        "<a\x07@example.com>",
        "<a@b> <c@d>",
        "<a@b@c>",
        "<>",
        &long,
    ];
    let case = |stamp: &str| {
        let stamp = stamp.to_owned();
        Case::server(move |server, _| server.apop(&stamp))
            .login(Login::Apop)
            .distrusted()
    };
    stamps.map(case).into()
}

/// A login that hides the password was asked for, and is not offered.
fn stripped() -> Vec<Case> {
    let without_stamp = Case::reply(GREETING, "+OK ready\r\n").login(Login::Apop);
    let without_mechanism =
        Case::server(|server, _| server.mechanisms("PLAIN LOGIN").on("AUTH CRAM-MD5", no()))
            .login(Login::CramMd5);
    let without_capabilities =
        Case::server(|server, _| server.without_capa().on("AUTH CRAM-MD5", no()))
            .login(Login::CramMd5);
    vec![without_stamp, without_mechanism, without_capabilities]
}

fn no() -> Fault {
    Fault::reply("-ERR no such mechanism")
}

fn lies_of_scram() -> Vec<Case> {
    let firsts = SCRAM_FIRSTS.map(|first| Case::server(move |server, _| server.scram_first(first)));
    let lasts = SCRAM_LASTS.map(|last| Case::server(move |server, _| server.scram_last(last)));
    let cases = firsts.into_iter().chain(lasts);
    let lied_to = |case: Case| {
        case.login(Login::ScramSha1)
            .tls(Tls::Implicit)
            .at("AUTH SCRAM")
            .unproven()
    };
    cases.map(lied_to).collect()
}

fn challenges() -> Vec<Case> {
    let endless = |login| {
        Case::server(|server, _| {
            server
                .on("AUTH", Fault::reply("+ eA=="))
                .on(RESPONSE, Fault::say("+ eA=="))
                // What comes after the first response is a command to it.
                .on(crate::support::server::ANY, Fault::reply("+ eA=="))
                .once(GREETING, Fault::reply("+OK ready"))
        })
        .login(login)
        .tls(Tls::Implicit)
    };
    let json = BASE64_STANDARD.encode("{\"status\":\"\x1b[2J\u{202e}401\"}");
    let nonsense = ["no base64!".to_owned(), json, "A".repeat(1 << 20)];
    let nonsense = nonsense.into_iter().flat_map(|challenge| {
        [Login::Token, Login::CramMd5].map(|login| {
            let challenge = format!("+ {challenge}");
            Case::server(move |server, _| {
                server
                    .on("AUTH", Fault::say(&challenge))
                    .on(RESPONSE, Fault::reply("-ERR [AUTH] \x1b[31mno"))
            })
            .login(login)
            .tls(Tls::Implicit)
        })
    });
    let endless = [Login::CramMd5, Login::ScramSha1, Login::Token].map(endless);
    let cases = endless.into_iter().chain(nonsense);
    cases.map(|case| case.at("AUTH").unproven()).collect()
}

fn early_success() -> Vec<Case> {
    let hasty = |step, answer| Case::reply(step, answer);
    let without_proof = Case::reply("AUTH", "+OK logged in\r\n")
        .login(Login::ScramSha1)
        .tls(Tls::Implicit)
        .unproven();
    let without_challenge = Case::reply("AUTH", "+OK logged in\r\n")
        .login(Login::CramMd5)
        .unproven();
    vec![
        hasty("USER", "+OK you are in\r\n+OK 0 0\r\n"),
        hasty("USER", "+OK you are in\r\n+OK\r\n+OK 1 20\r\n"),
        without_proof,
        without_challenge,
    ]
}

fn repetitions() -> Vec<Case> {
    let plain = BASE64_STANDARD.encode(format!("\0{USER}\0{PASSWORD}"));
    let alone = BASE64_STANDARD.encode(PASSWORD);
    let said = [
        format!("-ERR \"{PASSWORD}\" is wrong\r\n"),
        format!("-ERR {plain}\r\n"),
        format!("-ERR {alone}\r\n"),
        format!("-ERR {}{PASSWORD}\r\n", "x".repeat(195)),
        format!("{PASSWORD}\r\n"),
    ];
    let case = |answer: String| {
        Case::server(move |server: Server, _| {
            server.on(LOGIN, Fault::Reply(answer.clone().into_bytes()))
        })
    };
    said.into_iter().map(case).collect()
}
