//! A server, or somebody between it and us, that lies. Whatever it does: refused or survived, in bounded time
//! and memory, nothing leaked, nothing wrongly stored or deleted, no control character on the
//! terminal, no panic.
//!
//! The attacks have numbers. Those that stand elsewhere, because they are ordinary tests too:
//!
//! | attack | what it is | where |
//! |---|---|---|
//! | A01 | answers injected behind STLS | `tls::whatever_comes_behind_the_answer_to_stls_is_an_attack` |
//! | A03–A05 | STLS missing, refused, hidden | `tls::stls_is_required_once_it_is_asked_for` |
//! | A08 | other capabilities before TLS than after | `tls::capabilities_from_before_tls_are_forgotten` |
//! | A10–A13, A17 | self-signed, unknown issuer, other name, expired, not yet valid | `tls::a_certificate_that_is_not_good_ends_with_76` |
//! | A14–A16, A18 | common name only, wide wildcard, NUL in a name, address | `tls::only_the_field_for_hosts_names_one_and_only_so_far_as_it_says` |
//! | A19 | TLS 1.1 | `tls::a_server_that_knows_only_old_tls_ends_with_76` |
//! | A20 | a handshake without an end | `tls::a_handshake_that_never_ends_is_given_up` |
//! | A22 | another certificate than the pinned one | `tls::a_certificate_that_is_not_the_pinned_one_is_refused_before_anything_is_said` |
//! | A31 | mechanisms stripped without TLS | `login::without_tls_a_password_needs_permission` |
//! | A39 | what a refusal means | `login::what_may_work_later_ends_with_75`, `login::a_wrong_password_ends_with_77_and_is_never_shown` |
//! | A40 | secrets in any output | `secrets` |
//! | A41 | open password file, private state | `login::a_password_file_that_others_can_read_is_refused`, `sync::the_state_is_private_and_named_after_the_mailbox` |
//! | A55, A69 | an answer that drips | `faults::silence_and_slowness_have_an_end` |
//! | A56 | sizes that are wrong | `sync::wrong_sizes_are_only_hints`; huge ones below |
//! | A59 | the connection ends at every step | `faults::at_every_step_every_fault_costs_nothing_but_another_run`, `faults::the_end_of_the_connection_is_never_the_end_of_a_message` |
//! | A60, A61 | odd bytes, lines that begin with From | `sync::every_shape_of_message_arrives_byte_for_byte_and_only_once` |
//! | A62, A74 | ids that look like paths or colours | `sync::an_id_that_looks_like_a_path_or_a_colour_stays_text` |
//! | A63 | ids listed twice | `sync::an_id_listed_twice_names_two_messages` |
//! | A70 | QUIT without an answer | `faults::a_quit_without_an_answer_leaves_deletions_in_doubt_but_no_mail` |
//! | A75 | a disk that takes no more | `faults::a_destination_that_cannot_be_written_ends_with_73_before_anything_is_retrieved` |
//! | A76 | two at once | `faults::another_popfetch_at_work_ends_with_75` |
//!
//! A36, A77 and A78 attack what there is not: referrals, XML discovery, SRV records. A42 and A73 are about mbox and
//! pipe; their tests are those of these destinations.

mod authentication;
mod machine;
mod parsing;
mod protection;

use crate::support::server::{Dialogue, PASSWORD, Server, SessionLog, Turn};
use crate::support::world::{Outcome, World};

/// More than the program needs for any of this, and much less than what is thrown at it.
const MEMORY: u64 = 64 << 20;

/// A world with an account for this server; keys are changed as given.
fn world_for(server: &Server, keys: &[(&'static str, &str)]) -> World {
    configured(World::new(), &server.endpoint(), keys)
}

fn world_against(server: &Dialogue) -> World {
    configured(World::new(), &server.endpoint(), &[("timeout", "\"2s\"")])
}

fn configured(
    world: World,
    endpoint: &crate::support::server::Endpoint,
    keys: &[(&'static str, &str)],
) -> World {
    let mut account = world.account("it", endpoint);
    for (key, value) in keys {
        account = account.set(key, value);
    }
    account.write();
    world
}

/// The program was attacked, ended with one of these, and kept its manners.
#[track_caller]
fn withstands(world: &World, statuses: &[i32]) -> Outcome {
    let outcome = world.run(&["-v", "sync"]);
    let status = outcome.status.unwrap_or(-1);
    assert!(statuses.contains(&status), "{statuses:?}: {outcome:#?}");
    well_behaved(&outcome);
    outcome
}

/// No panic, no control character, no password, not much memory, few words.
#[track_caller]
fn well_behaved(outcome: &Outcome) {
    let Outcome { stdout, stderr, .. } = outcome;
    assert!(!stderr.contains("panicked"), "{outcome:#?}");
    let raw = |c: char| c != '\n' && (c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c));
    assert!(
        !stdout.contains(raw) && !stderr.contains(raw),
        "{outcome:#?}"
    );
    outcome.keeps_to_itself(PASSWORD);
    assert!(stderr.len() < 20_000, "it says too much: {}", stderr.len());
    assert!(outcome.peak < MEMORY, "{} octets of memory", outcome.peak);
}

/// Nothing arrived.
#[track_caller]
fn stored_nothing(world: &World) {
    world.mail("it").holds(Vec::<Vec<u8>>::new());
}

/// Nothing of a login was sent; in clear, where that is asked.
#[track_caller]
fn no_login(sessions: &[SessionLog]) {
    let commands: Vec<String> = sessions.iter().flat_map(SessionLog::commands).collect();
    let begins = |command: &&String| {
        let verbs = ["USER", "PASS", "AUTH", "APOP"];
        verbs.iter().any(|verb| command.starts_with(verb))
    };
    assert_eq!(commands.iter().find(begins), None);
}

/// From the greeting to an open maildrop, without capabilities.
fn opened() -> Vec<Turn> {
    [
        Turn::send("+OK\r\n"),
        Turn::Expect("CAPA"),
        Turn::send("-ERR\r\n"),
        Turn::Expect("USER"),
        Turn::send("+OK\r\n"),
        Turn::Expect("PASS"),
        Turn::send("+OK\r\n"),
        Turn::Expect("CAPA"),
        Turn::send("-ERR\r\n"),
    ]
    .into()
}

/// The same, and one message listed: number 1, `uid-1`, of 20 octets.
fn listed() -> Vec<Turn> {
    let mut turns = opened();
    turns.extend([
        Turn::Expect("STAT"),
        Turn::send("+OK 1 20\r\n"),
        Turn::Expect("UIDL"),
        Turn::send("+OK\r\n1 uid-1\r\n.\r\n"),
        Turn::Expect("LIST"),
        Turn::send("+OK\r\n1 20\r\n.\r\n"),
    ]);
    turns
}

/// A dialogue of these turns, then silence.
fn then(mut turns: Vec<Turn>, more: impl IntoIterator<Item = Turn>) -> Dialogue {
    turns.extend(more);
    turns.push(Turn::Stall);
    Dialogue::start(turns)
}
