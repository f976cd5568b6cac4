//! A01–A25: attacks on TLS and STLS.

use std::time::Duration;

use openssl::ssl::SslVersion;

use super::case::{Attack, Case, numbered};
use super::trial::with;
use crate::shared::fetcher::{Fetcher, Login, Tls};
use crate::support::certificates::Certificates;
use crate::support::certificates::Kind;
use crate::support::messages::small;
use crate::support::server::{Fault, GREETING, HANDSHAKE, Pipelining, Server, State, Turn};

/// How TLS begins.
const BOTH: [Tls; 2] = [Tls::Implicit, Tls::Stls];

pub(super) fn attacks() -> Vec<Attack> {
    let mut attacks = beginnings();
    attacks.extend(certificates());
    attacks.extend([
        Attack::new("A19", "a server that knows only TLS 1.1", BOTH.map(old_tls)),
        Attack::new(
            "A20",
            "a handshake without an end",
            BOTH.map(endless_handshake),
        ),
        Attack::new("A21", "TLS cut off in the middle of a message", cut()),
        Attack::new(
            "A22",
            "another certificate than the pinned one",
            [other_certificate()],
        ),
        Attack::new(
            "A24",
            "a second connection without TLS",
            [second_connection()],
        ),
    ]);
    attacks
}

/// What happens before TLS, or in its place.
fn beginnings() -> Vec<Attack> {
    vec![
        Attack::new("A01", "answers injected after STLS", injections()),
        Attack::new(
            "A02",
            "the same, a moment later",
            [plain_handshake(), endless_plain_handshake()],
        ),
        Attack::new("A03", "STLS missing", [stripped("USER")]),
        Attack::new(
            "A04",
            "STLS refused",
            [stls(Case::reply("STLS", "-ERR not today\r\n"))],
        ),
        Attack::new("A05", "STLS hidden", [hidden()]),
        Attack::new("A06", "an APOP stamp before TLS", [bait()]),
        Attack::new("A07", "a greeting that pretends or refuses", greetings()),
        Attack::new(
            "A08",
            "other capabilities before TLS than after",
            [other_capabilities()],
        ),
        Attack::new(
            "A09",
            "an extra answer after the handshake",
            [answer_too_many()],
        ),
    ]
}

fn stls(case: Case) -> Case {
    case.tls(Tls::Stls)
}

fn injections() -> Vec<Case> {
    let after = ["+OK injected\r\n", "+OK\r\nX-INJECTED\r\n.\r\n"]
        .map(|answer| Case::fault("STLS", Fault::Inject(answer.into())).injecting());
    let refusal = Case::reply("STLS", "-ERR no\r\n+OK injected\r\n");
    after.into_iter().chain([refusal]).map(stls).collect()
}

/// What a server without TLS of its own says until it is asked for STLS and agrees.
fn agreeing(fetcher: Fetcher) -> Vec<Turn> {
    let mut turns = vec![Turn::send("+OK ready\r\n")];
    // The others ask for STLS whatever the server knows.
    if matches!(fetcher, Fetcher::Mpop | Fetcher::Fetchmail) {
        turns.push(Turn::Expect("CAPA"));
        turns.push(Turn::send("+OK\r\nSTLS\r\nUSER\r\n.\r\n"));
    }
    turns.extend([Turn::Expect("STLS"), Turn::send("+OK begin\r\n")]);
    turns
}

fn plain_handshake() -> Case {
    let play = |fetcher, _: &_| {
        let mut turns = agreeing(fetcher);
        turns.extend([
            // The client has begun its handshake by now.
            Turn::Pause(Duration::from_millis(50)),
            Turn::send("+OK injected \x1b[2J\r\n"),
            Turn::Stall,
        ]);
        turns
    };
    stls(Case::dialogue(play).at("STLS"))
}

fn endless_plain_handshake() -> Case {
    let play = |fetcher, _: &_| {
        let mut turns = agreeing(fetcher);
        turns.push(Turn::Flood(b"+OK injected\r\n".repeat(1000)));
        turns
    };
    stls(Case::dialogue(play).at("STLS"))
}

/// Only this is announced, and STLS refused.
fn stripped(capability: &'static str) -> Case {
    stls(Case::server(move |server, _| {
        server
            .capabilities(State::Greeted, &[capability])
            .on("STLS", Fault::reply("-ERR what is that?"))
    }))
}

fn hidden() -> Case {
    stls(Case::server(|server, _| {
        server
            .without_capa()
            .on("STLS", Fault::reply("-ERR what is that?"))
    }))
}

fn bait() -> Case {
    let change = |server: Server, _: &_| {
        server
            .apop("<1896.697170952@pop.example.com>")
            .capabilities(State::Greeted, &["USER"])
            .on("STLS", Fault::reply("-ERR no"))
    };
    stls(Case::server(change)).login(Login::Any)
}

fn greetings() -> Vec<Case> {
    let greetings = [
        "+OK you are logged in already",
        "+OK [AUTH] PREAUTH",
        "-ERR come back another day",
        "-ERR [SYS/TEMP] \x1b]0;gotcha\x07",
        "* PREAUTH welcome",
        "* OK IMAP4rev1 ready",
        "220 mail ESMTP",
        "HTTP/1.1 400 Bad",
        "",
        "+ ",
    ];
    let case = |greeting: &'static str| {
        stls(Case::server(move |server, _| {
            server
                .on(GREETING, Fault::Reply(format!("{greeting}\r\n").into()))
                .on("STLS", Fault::reply("-ERR no need"))
        }))
    };
    greetings.map(case).into()
}

fn other_capabilities() -> Case {
    let change = |server: Server, _: &_| {
        server
            .capabilities(
                State::Greeted,
                &["STLS", "PIPELINING", "SASL PLAIN", "EXPIRE 0"],
            )
            .capabilities(State::Secured, &["USER"])
            .capabilities(State::LoggedIn, &["UIDL"])
            .pipelining(Pipelining::Drops)
            // What was sent ahead is here by then.
            .on("RETR", Fault::Delay(Duration::from_millis(50)))
    };
    let mail = numbered(small(20));
    stls(Case::server(change).mail(mail)).at("STLS").complete()
}

fn answer_too_many() -> Case {
    let play = |fetcher, certificates: &Certificates| {
        let mut turns = agreeing(fetcher);
        turns.extend([
            Turn::Tls(certificates.good()),
            Turn::send("+OK nobody asked\r\n"),
            Turn::Expect(""),
            Turn::send("+OK\r\nSASL PLAIN\r\n.\r\n"),
            Turn::Stall,
        ]);
        turns
    };
    stls(Case::dialogue(play).at("STLS"))
}

fn certificates() -> Vec<Attack> {
    let bad =
        |number, name, kind| Attack::new(number, name, BOTH.map(|tls| showing(tls, kind, None)));
    vec![
        bad("A10", "a self-signed certificate", Kind::SelfSigned),
        bad(
            "A11",
            "a certificate of an unknown issuer",
            Kind::UnknownAuthority,
        ),
        bad("A12", "a certificate for another name", Kind::WrongName),
        bad("A13", "an expired certificate", Kind::Expired),
        bad(
            "A14",
            "a certificate that names the host only as its common name",
            Kind::CommonName("localhost"),
        ),
        Attack::new("A15", "a wildcard that is too wide", wildcards()),
        bad(
            "A16",
            "a NUL in a name",
            Kind::For(b"localhost\0.evil.example"),
        ),
        bad(
            "A17",
            "a certificate that is not valid yet",
            Kind::NotYetValid,
        ),
        Attack::new("A18", "an address in the place of a name", addresses()),
    ]
}

/// A server with this certificate, where one for this host is due.
fn showing(tls: Tls, kind: Kind, host: Option<&'static str>) -> Case {
    Case::server(move |server, certificates| with(certificates, tls, kind, server))
        .tls(tls)
        .host(host)
        .distrusted()
}

fn wildcards() -> Vec<Case> {
    let names: [(&[u8], _); 4] = [
        (b"*.com", "example.com"),
        (b"*.com", "pop.example.com"),
        (b"pop.*.com", "pop.example.com"),
        (b"*.example.com", "a.pop.example.com"),
    ];
    names
        .map(|(pattern, host)| showing(Tls::Implicit, Kind::For(pattern), Some(host)))
        .into()
}

/// For fetchmail there are no certificates for addresses.
fn addresses() -> [Case; 2] {
    [Kind::For(b"127.0.0.1"), Kind::CommonName("127.0.0.1")].map(|kind| {
        showing(Tls::Implicit, kind, Some("127.0.0.1")).only(&[
            Fetcher::Popfetch,
            Fetcher::Mpop,
            Fetcher::Getmail,
        ])
    })
}

fn old_tls(tls: Tls) -> Case {
    let change = move |server: Server, certificates: &Certificates| {
        let acceptor = certificates
            .make(Kind::Good)
            .acceptor_up_to(SslVersion::TLS1_1);
        match tls {
            Tls::Stls => server.stls_with(certificates, acceptor),
            _ => server.implicit_tls_with(certificates, acceptor),
        }
    };
    Case::server(change).tls(tls).distrusted()
}

fn endless_handshake(tls: Tls) -> Case {
    Case::fault(HANDSHAKE, Fault::Stall).tls(tls)
}

fn cut() -> Vec<Case> {
    let versions = [SslVersion::TLS1_2, SslVersion::TLS1_3];
    let case = |version| {
        Case::server(move |server, certificates| {
            let acceptor = certificates.make(Kind::Good).acceptor_up_to(version);
            server
                .implicit_tls_with(certificates, acceptor)
                .on("RETR 1", Fault::CloseWithin(400))
                .on("TOP 1", Fault::CloseWithin(400))
        })
        .at("RETR 1")
        .tls(Tls::Implicit)
        .deleting()
        .resuming()
    };
    versions.map(case).into()
}

fn other_certificate() -> Case {
    showing(Tls::Implicit, Kind::Good, None).pinned()
}

/// The first session breaks; from then on the server has no STLS.
fn second_connection() -> Case {
    stls(Case::server(|server, _| {
        server
            .once("RETR 2", Fault::CloseBefore)
            .once("TOP 2", Fault::CloseBefore)
            .once("STLS", Fault::Trickle)
            .on("STLS", Fault::reply("-ERR no longer"))
    }))
    .at("STLS")
    .deleting()
    .twice()
}
