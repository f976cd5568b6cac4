//! What servers say that lie: the tests put it into their mouths, and so does the comparison with the peers.

use super::server::Fault;

/// What UIDL answers with and makes no sense (A52).
pub(crate) const SENSELESS_UIDLS: [&str; 8] = [
    "0 a",
    "-1 a",
    "4294967297 a",
    "99999999999999999999 a",
    "1 a\r\n1 b",
    "one a",
    "1",
    " 1 a\r\nx",
];

/// The same of LIST.
pub(crate) const SENSELESS_LISTS: [&str; 6] = [
    "1",
    "1 x",
    "1 -5",
    "1 99999999999999999999999",
    "7 20",
    "1 20\r\n1 21",
];

/// What UIDL may answer with where there are three messages, though it is odd (A52).
pub(crate) const ODD_UIDLS: [&str; 4] = [
    "007 uid-1\r\n2 uid-2\r\n3 uid-3",
    "3 uid-3\r\n1 uid-1\r\n2 uid-2",
    "1 uid-1\r\n3 uid-3",
    "1 uid-1\r\n2 uid-2\r\n3 uid-3\r\n4 uid-4\r\n1000000 uid-5",
];

/// The same of LIST.
pub(crate) const ODD_LISTS: [&str; 3] = [
    "3 40\r\n2 40\r\n1 40",
    "1 40\r\n3 40",
    "1 40\r\n2 40\r\n3 40\r\n900 40",
];

/// What STAT answers with and makes no sense (A53).
pub(crate) const SENSELESS_STATISTICS: [&str; 6] = [
    "+OK",
    "+OK x y",
    "+OK 5 -3",
    "+OK 9223372036854775808 1",
    "+OK -1 0",
    "+OK 5",
];

/// Ends of a message that are none: only CRLF, a dot and CRLF is one (A57).
pub(crate) const FALSE_ENDS: [&str; 10] = [
    ".\r\n", ".\n", "\r\n.", ".\r", "\r\n.\r", "..\r\n", ". \r\n", "\n.\n", "\r.\r", "\r\n",
];

/// A message with a line of one dot that the server did not stuff (A58).
pub(crate) const UNSTUFFED: &str = "+OK\r\nSubject: x\r\n\r\nbefore\r\n.\r\nand after\r\n.\r\n";

/// Unique-ids that look like paths, options or commands (A62, A74).
pub(crate) const UIDS_LIKE_PATHS: [&[u8]; 9] = [
    b"../../../../escaped",
    b"/",
    b".",
    b"..",
    b"%00",
    b"=cmd",
    b"-rf",
    b"{\"is\":\"stored\"}",
    b"$(touch broken)",
];

/// Unique-ids of what may not be in one (RFC 1939 section 7); a terminal obeys some of it.
pub(crate) const UIDS_OF_CONTROLS: [&[u8]; 4] = [
    b"\x1b]0;gotcha\x07",
    b"\x9b2J",
    "\u{202e}\u{2066}".as_bytes(),
    b"a\rb",
];

/// First messages of SCRAM after which no client may go on; `NONCE` stands for the client's (A32).
pub(crate) const SCRAM_FIRSTS: [&str; 10] = [
    "r=NONCEx,s=c2FsdA==,i=1000000000000",
    "r=NONCEx,s=c2FsdA==,i=2147483647",
    "r=NONCEx,s=c2FsdA==,i=-1",
    "r=NONCEx,s=c2FsdA==,i=abc",
    "r=NONCEx,i=4096",
    "r=NONCEx,s=!!!,i=4096",
    "r=NONCE,s=c2FsdA==,i=4096",
    "r=elsewhere,s=c2FsdA==,i=4096",
    "m=ext,r=NONCEx,s=c2FsdA==,i=4096",
    "\x1b]0;gotcha\x07",
];

/// Lines in the place of its last message that prove nothing.
pub(crate) const SCRAM_LASTS: [&str; 6] = [
    "+OK logged in",
    "+OK v=dGhpcyBpcyBub3QgaXQ=",
    "+ dj1kR2hwY3lCcGN5QnViM1FnYVhRPQ==",
    "+ ZT1vdGhlci1lcnJvcg==",
    "+ ",
    "+ !!!",
];

/// What may come in the place of the answer to QUIT, and says that nothing was deleted (A70).
pub(crate) fn unconfirmed() -> [Fault; 6] {
    [
        Fault::Stall,
        Fault::reply("-ERR \x1b[2Jnot all could be deleted"),
        Fault::reply("gibberish"),
        Fault::ResetWithin(0),
        Fault::CloseBefore,
        Fault::CloseUnanswered,
    ]
}
