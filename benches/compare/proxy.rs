//! A way to a server that is longer than loopback: what goes in comes out in order, half a round trip
//! later. Its bandwidth has no limit.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// A proxy in front of a port of this machine. It takes no more connections once it is dropped.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    closed: Arc<AtomicBool>,
}

impl Proxy {
    /// Puts a proxy in front of this port.
    pub(crate) fn start(server: u16, round_trip: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let closed = Arc::new(AtomicBool::new(false));
        let is_closed = Arc::clone(&closed);
        thread::spawn(move || {
            for client in listener.incoming() {
                if is_closed.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(client) = client {
                    thread::spawn(move || connect(client, server, round_trip));
                }
            }
        });
        Proxy { port, closed }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // Whoever waits for a connection has one, and sees that it is over.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn connect(client: TcpStream, server: u16, round_trip: Duration) {
    // The kernel answers a connection at once; on a long way that alone takes a round trip.
    thread::sleep(round_trip);
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)) else {
        return;
    };
    for end in [&client, &server] {
        let _ = end.set_nodelay(true);
    }
    let cloned = client
        .try_clone()
        .and_then(|c| Ok((c, server.try_clone()?)));
    if let Ok((client_too, server_too)) = cloned {
        thread::spawn(move || carry(client_too, server_too, round_trip / 2));
        carry(server, client, round_trip / 2);
    }
}

/// Carries one direction, until it ends.
fn carry(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (under_way, arrivals) = mpsc::channel::<(Instant, Vec<u8>)>();
    let arrive = thread::spawn(move || {
        for (at, bytes) in arrivals {
            thread::sleep(at.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let chunk = (Instant::now() + delay, buffer[..length].to_vec());
        if under_way.send(chunk).is_err() {
            break;
        }
    }
    drop(under_way);
    let _ = arrive.join();
}
