//! The scripted server of the tests with a sample mailbox, over TLS: what `tests/demo` fetches from.
//!
//! `pop3-server DIRECTORY` writes its certificate authority into the directory, prints its port, the
//! authority's file, the user and the password, one a line, and serves until its standard input ends.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use support::certificates::Certificates;
use support::mailbox::Mailbox;
use support::messages;
use support::server::Server;

#[path = ".."]
#[expect(
    dead_code,
    unused_imports,
    reason = "the demo needs only a part of what tests need"
)]
mod support {
    pub(crate) mod certificates;
    pub(crate) mod mailbox;
    pub(crate) mod messages;
    pub(crate) mod server;
}

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1) else {
        return ExitCode::from(64);
    };
    let certificates = Certificates::new(Path::new(&directory));
    let mailbox = Mailbox::with(messages::sample_mailbox());
    let server = Server::start(&mailbox).implicit_tls(&certificates);
    let endpoint = server.endpoint();
    let announced = writeln!(
        std::io::stdout(),
        "{}\n{}\n{}\n{}",
        endpoint.port,
        certificates.authority_file().display(),
        endpoint.user,
        endpoint.password,
    );
    let ended = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    if announced.and(ended.map(drop)).is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(74)
    }
}
