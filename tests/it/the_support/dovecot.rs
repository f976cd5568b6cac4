//! Dovecot runs here and gives back, byte for byte, what it was given.

use super::client::Client;
use crate::support::dovecot::{Dovecot, Port};
use crate::support::messages::{one_of_each, realistic};
use crate::support::sampled;
use crate::support::server::USER;
use crate::support::world::World;

/// What Dovecot sends of a message: a line end is added where there is none, even to no octet at all.
fn sent(wire: &[u8]) -> Vec<u8> {
    let end: &[u8] = if wire.ends_with(b"\r\n") {
        b""
    } else {
        b"\r\n"
    };
    [wire, end].concat()
}

#[test]
fn every_port_gives_every_shape_of_message() {
    let world = World::new();
    let originals = one_of_each();
    let mut dovecot = Dovecot::start(world.certificates());
    dovecot.fill(&originals);
    for port in [Port::Implicit, Port::StartTls, Port::Plain] {
        let mut client = Client::log_in(&dovecot.endpoint(port));
        for (number, original) in (1..).zip(&originals) {
            assert!(client.ask(&format!("RETR {number}")).starts_with("+OK"));
            assert!(
                client.message() == sent(original),
                "message {number}, {port:?}"
            );
        }
        client.ask("QUIT");
    }
    assert!(dovecot.log().contains(&format!("user=<{USER}>")));
}

#[test]
fn many_messages_come_in_one_flight() {
    let count = sampled(500, 5_000);
    let world = World::new();
    let mut dovecot = Dovecot::start(world.certificates());
    dovecot.fill(realistic(count));
    let mut client = Client::log_in(&dovecot.endpoint(Port::Implicit));
    assert!(client.ask("STAT").starts_with(&format!("+OK {count} ")));
    let numbers: Vec<usize> = (1..=count).collect();
    let mut originals = realistic(count);
    for flight in numbers.chunks(250) {
        let commands = flight.iter().map(|number| format!("RETR {number}\r\n"));
        client.send(commands.collect::<String>());
        for number in flight {
            assert!(client.line().starts_with("+OK"));
            let original = originals.next().unwrap_or_default();
            assert!(client.message() == sent(&original), "message {number}");
        }
    }
    client.ask("DELE 1");
    client.ask("QUIT");
    assert_eq!(dovecot.messages(), count - 1);
}
