//! The program against servers, scripted and real; and first of all, the test support itself.

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "tests of the program use the rest")]
mod support;

mod the_support;
