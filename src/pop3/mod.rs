//! The protocol, without a socket: bytes in, events out.

pub mod limits;
