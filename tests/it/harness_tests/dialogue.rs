//! The server that plays a fixed exchange plays it.

use super::client::Client;
use crate::support::sandbox::Sandbox;
use crate::support::server::{Dialogue, Turn};

#[test]
fn the_exchange_is_played_to_each_connection() {
    let server = Dialogue::start(vec![
        Turn::send("+OK\n"),
        Turn::Expect("CAPA"),
        Turn::send(b"\xff\0 no POP3"),
    ]);
    for _ in 0..2 {
        let mut client = Client::connect_only(&server.endpoint());
        client.send("CAPA\r\n");
        assert_eq!(client.rest(), b"+OK\n\xff\0 no POP3");
    }
    let sessions = server.sessions();
    assert_eq!(sessions.len(), 2);
    assert!(sessions.iter().all(|log| log.commands() == ["CAPA"]));
}

#[test]
fn an_exchange_can_turn_to_tls_and_to_silence() {
    let sandbox = Sandbox::new();
    let acceptor = sandbox.certificates().good();
    let turns = vec![Turn::Tls(acceptor), Turn::send("+OK\r\n"), Turn::Stall];
    let server = Dialogue::start(turns);
    let mut endpoint = server.endpoint();
    endpoint.ca_file = Some(sandbox.certificates().authority_file());
    let mut client = Client::connect_only(&endpoint);
    client.handshake(&endpoint).expect("a good certificate");
    assert_eq!(client.line(), "+OK");
}

#[test]
#[should_panic(expected = "the client left the exchange")]
fn a_client_that_leaves_the_exchange_is_noticed() {
    let server = Dialogue::start(vec![Turn::Expect("CAPA")]);
    let mut client = Client::connect_only(&server.endpoint());
    client.send("STAT\r\n");
    client.rest();
    drop(client);
    drop(server);
}
