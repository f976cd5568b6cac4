//! What a server may make us hold. Everything it controls has a limit here, with a name.

/// A status line or a line of a listing, without its line end. Lines inside messages have no limit: they stream through.
pub const LINE: usize = 64 * 1024;

/// A unique-id (RFC 1939 says 70; real servers exceed it).
pub const UNIQUE_ID: usize = 1024;

/// Messages in a maildrop.
pub const MESSAGES: u32 = 1_000_000;

/// Lines of an answer to CAPA.
pub const CAPABILITIES: usize = 500;

/// SASL challenges in one exchange.
pub const CHALLENGES: usize = 8;

/// A command line, CRLF included (RFC 2449 section 4). SASL responses may be longer.
pub const COMMAND: usize = 255;
