//! A40–A42, A73–A76: attacks on this machine, from it, and on it by way of a message.

use std::time::Duration;

use super::case::{Attack, Case, numbered};
use super::scene::Scene;
use crate::shared::fetcher::{Fetcher, Store};
use crate::support::messages::{Generator, Shape};
use crate::support::server::{Fault, Server};

pub(super) fn attacks() -> Vec<Attack> {
    let honest = || Case::server(|server, _| server);
    vec![
        Attack::new(
            "A41",
            "a password that others can read",
            [honest().scene(Scene::Readable).distrusted()],
        ),
        Attack::new(
            "A41",
            "files for everybody, by the umask",
            [Store::Maildir, Store::Mbox].map(|store| honest().store(store).scene(Scene::Umask)),
        ),
        Attack::new(
            "A42",
            "a symbolic link of others in the place of the mbox",
            // As root, getmail delivers as the others.
            [honest()
                .store(Store::Mbox)
                .deleting()
                .scene(Scene::Link)
                .only(&[Fetcher::Popfetch, Fetcher::Fetchmail, Fetcher::Mpop])],
        ),
        Attack::new(
            "A73",
            "messages that look like commands and From_ lines",
            [Store::Maildir, Store::Mbox].map(hostile_senders),
        ),
        Attack::new(
            "A75",
            "a disk that takes no more",
            [Store::Maildir, Store::Mbox].map(full_disk),
        ),
        Attack::new("A76", "two at once", [two_at_once()]),
    ]
}

fn full_disk(store: Store) -> Case {
    let mut generator = Generator::new(5);
    let mail = [(); 3].map(|()| generator.message(Shape::Plain, 120_000));
    Case::server(|server, _| server)
        .mail(numbered(mail.into()))
        .store(store)
        .scene(Scene::FullDisk)
        .deleting()
        .resuming()
}

fn two_at_once() -> Case {
    let pause = Fault::Delay(Duration::from_millis(1500));
    let change = move |server: Server, _: &_| {
        server
            .once("RETR 1", pause.clone())
            .once("TOP 1", pause.clone())
    };
    Case::server(change)
        .at("RETR 1")
        .scene(Scene::TwoAtOnce)
        .deleting()
        .resuming()
}

fn hostile_senders(store: Store) -> Case {
    const MARK: &str = "s3ntinel";
    let senders = [
        format!("<{MARK} b@example.org>"),
        format!("<{MARK}\r\n b@example.org>"),
        format!("<a@b>\r\n\tFrom {MARK}@c Sun Mar  1 12:34:56 2026"),
        format!("{MARK}\r\n From x@y Sun Mar  1 12:34:56 2026"),
        format!("<$(touch${{IFS}}broken)`touch broken`;{MARK}@y>"),
        format!("<';touch broken;'\";touch broken;\"{MARK}@y>"),
        format!("<-d{MARK}@y>"),
        format!("<{}@y>", MARK.repeat(200)),
    ];
    let text = |sender: String| {
        format!(
            "Return-Path: {sender}\r\nFrom: {sender}\r\nSubject: {MARK}\r\n\
             X-$(touch${{IFS}}broken): `touch broken`\r\n\r\n; touch broken; {MARK} {}\r\n",
            sender.len()
        )
    };
    let texts = senders.map(|sender| text(sender).into_bytes());
    Case::server(|server, _| server)
        .mail(numbered(texts.into()))
        .store(store)
        .scene(Scene::Commands)
        .stored_means("changes the text")
        .complete()
}
