//! A malicious server, or an attacker on the way to it. Whatever they do: refused or survived, in bounded time
//! and memory, nothing leaked, nothing wrongly stored or deleted, no control character on the
//! terminal, no panic.
//!
//! The attacks have numbers; there is no A26 to A29, and no A43 to A49. Some of the tests stand elsewhere,
//! because they are ordinary tests too:
//!
//! | attack | what it is | where |
//! |---|---|---|
//! | A01 | answers injected after STLS | `tls::whatever_follows_the_answer_to_stls_is_an_attack`, `attacks::protection::a01_a_refusal_of_stls_with_more_after_it` |
//! | A02 | the same, a moment later | `attacks::protection::a02_plain_text_in_place_of_a_handshake`, `attacks::protection::a_server_that_talks_for_ever_in_place_of_a_handshake_is_given_up` |
//! | A03–A05 | STLS missing, refused, hidden | `tls::stls_is_required_once_it_is_asked_for` |
//! | A06 | an APOP timestamp before TLS | `attacks::protection::a06_a_timestamp_in_the_greeting_is_not_answered_without_tls` |
//! | A07 | a greeting that pretends or refuses, or is of another protocol | `attacks::protection::a07_a_greeting_that_pretends_or_refuses`, `tls::a_greeting_that_is_not_pop3_ends_with_76_before_any_login` |
//! | A08 | other capabilities before TLS than after | `tls::capabilities_from_before_tls_are_forgotten`, `attacks::protection::a08_an_expiry_announced_before_tls_is_forgotten`, `attacks::protection::capabilities_that_change_after_the_login_are_believed_then` |
//! | A09 | an extra answer after the handshake | `attacks::protection::a09_an_extra_answer_after_the_handshake` |
//! | A10–A13, A17 | self-signed, unknown issuer, other name, expired, not yet valid | `tls::a_certificate_that_is_not_good_ends_with_76`, `tls::a_refused_certificate_is_described_so_that_one_knows_what_to_do` |
//! | A14–A16, A18 | common name only, wide wildcard, NUL in a name, address | `tls::only_the_field_for_hosts_names_one_and_only_so_far_as_it_says` |
//! | A19 | TLS 1.1 | `tls::a_server_that_knows_only_old_tls_ends_with_76` |
//! | A20 | a handshake without an end | `tls::a_handshake_that_never_ends_is_given_up` |
//! | A21 | TLS cut off in the middle of a message | `attacks::protection::a21_tls_cut_off_in_the_middle_of_a_message` |
//! | A22 | another certificate than the pinned one | `tls::a_certificate_that_is_not_the_pinned_one_is_refused_before_anything_is_said`, `tls::a_pinned_certificate_replaces_every_other_check` |
//! | A23 | a password without TLS | `attacks::protection::a23_a_password_without_tls_is_refused_before_connecting` |
//! | A24 | a second connection without TLS | `attacks::protection::a24_a_second_connection_is_not_less_protected` |
//! | A25 | the name in the handshake | `attacks::protection::a25_the_server_is_told_the_hosts_name` |
//! | A30 | APOP timestamps that are no message-ids | `attacks::authentication::a30_timestamps_that_are_no_message_ids` |
//! | A31 | mechanisms stripped without TLS | `login::without_tls_a_password_needs_permission`, `login::never_weaker_than_the_configuration_says` |
//! | A32 | every lie of SCRAM | `attacks::authentication::a32_every_forged_message_of_scram_ends_the_login` |
//! | A33 | SCRAM-PLUS stripped | `attacks::authentication::a33_a_client_that_could_bind_says_so` |
//! | A34 | a certificate that nothing can be bound to | `attacks::authentication::a34_a_certificate_that_nothing_can_be_bound_to` |
//! | A35 | challenges with nonsense, and without an end | `attacks::authentication::a35_a_token_refused_with_nonsense`, `attacks::authentication::a35_challenges_without_an_end` |
//! | A36 | referred to another host | `attacks::authentication::a36_no_other_host_gets_the_password` |
//! | A37 | passwords and names that do not fit into a line | `attacks::authentication::a37_what_cannot_be_in_a_line_is_not_sent`, `attacks::authentication::a37_a_line_end_in_a_url_is_refused`, `attacks::authentication::a37_a_password_too_long_for_a_line`, `login::passwords_of_every_kind_work_with_every_mechanism`, `login::a_password_with_a_line_end_never_reaches_the_wire` |
//! | A38 | success too early | `attacks::authentication::a38_success_before_anything_was_said`, `attacks::authentication::a38_success_in_place_of_a_password` |
//! | A39 | what a refusal means | `login::what_may_work_later_ends_with_75`, `login::a_wrong_password_ends_with_77_and_is_never_shown`, `attacks::authentication::a39_a_refusal_that_speaks_of_a_lock_is_no_refusal_of_the_password`, `keyring::a_refusal_later_on_leaves_the_password_where_it_is` |
//! | A40 | secrets in any output, in children, in core files | `secrets::no_mechanism_leaves_a_secret_anywhere`, `secrets::while_it_works_its_arguments_and_its_environment_hold_no_secret_but_what_it_was_given`, `attacks::authentication::a40_a_server_that_repeats_the_password_is_not_quoted`, `attacks::authentication::a40_a_server_that_repeats_a_token_as_it_was_sent_is_not_quoted`, `attacks::authentication::a40_a_server_that_repeats_the_password_in_a_listing_is_not_quoted`, `attacks::authentication::a40_a_server_that_repeats_the_password_before_the_login_is_not_quoted`, `attacks::authentication::a40_a_server_that_repeats_the_password_in_place_of_a_handshake_is_not_quoted`, `pipe::what_comes_from_outside_cannot_leave_its_quotes`, `attacks::machine::a40_no_core_file_is_left` |
//! | A41 | a password file that others can read; what we make | `login::a_password_file_that_others_can_read_is_refused`, `attacks::machine::a41_a_password_file_of_another_user_is_refused`, `attacks::machine::a41_what_is_made_is_private_whatever_the_umask` |
//! | A42 | symbolic links where we write | `attacks::machine::a42_a_link_in_the_place_of_the_state_is_not_followed`, `attacks::machine::a42_a_link_in_the_place_of_a_journal_that_is_written_anew_is_not_followed`, `attacks::machine::a42_a_link_of_others_in_the_place_of_an_mbox_is_not_followed`, `filesystem::owners::no_link_that_another_user_may_have_put_there_leads_root_anywhere`, `filesystem::owners::a_file_with_a_second_name_is_no_mbox_where_others_can_give_it_one` |
//! | A50 | a status line without an end | `attacks::parsing::a50_a_status_line_without_an_end`, `faults::endless_lines_and_listings_have_a_limit` |
//! | A51 | capabilities without an end | `attacks::parsing::a51_capabilities_without_an_end` |
//! | A52 | listings without an end, without sense, and odd | `attacks::parsing::a52_listings_without_an_end`, `attacks::parsing::a52_listings_that_make_no_sense`, `attacks::parsing::a52_listings_that_are_odd`, `faults::a_listing_that_makes_no_sense_ends_with_65_or_76` |
//! | A53 | statistics without sense | `attacks::parsing::a53_statistics_that_make_no_sense` |
//! | A54 | listings that disagree | `attacks::parsing::a54_listings_that_disagree` |
//! | A55 | a message without an end, at full speed or dripping | `attacks::parsing::a55_a_message_without_an_end`, `faults::silence_and_slowness_have_an_end` |
//! | A56 | sizes that are wrong, or huge | `sync::wrong_sizes_are_only_hints`, `attacks::parsing::a56_a_size_beyond_every_disk` |
//! | A57 | ends of a message that are none, and the end in pieces | `attacks::parsing::a57_ends_that_are_none`, `attacks::parsing::a57_the_end_in_pieces`, `faults::every_shape_of_message_survives_one_byte_a_packet` |
//! | A58 | a line of one dot that was not stuffed | `attacks::parsing::a58_a_line_of_one_dot_that_was_not_stuffed`, `attacks::parsing::a58_what_breaks_off_at_such_a_line_is_not_stored_and_costs_no_other` |
//! | A59 | the connection ends at every step, after any octet | `attacks::parsing::a59_the_connection_ends_after_any_octet`, `faults::at_every_step_every_fault_costs_nothing_but_another_run`, `faults::the_end_of_the_connection_is_never_the_end_of_a_message` |
//! | A60, A61 | odd bytes, lines that begin with From, Content-Length | `attacks::parsing::a60_a61_texts_that_could_be_taken_for_something_else`, `sync::every_shape_of_message_arrives_byte_for_byte_and_only_once`, `mbox::every_shape_of_message_arrives_byte_for_byte_and_only_once`, `pipe::every_shape_of_message_arrives_byte_for_byte_and_only_once` |
//! | A62, A74 | ids that look like paths, colours or commands | `attacks::parsing::a62_a74_ids_that_could_be_taken_for_something_else`, `sync::an_id_that_looks_like_a_path_or_a_colour_stays_text` |
//! | A63 | ids listed twice | `sync::an_id_listed_twice_names_two_messages` |
//! | A64 | refusals and listings that paint | `attacks::parsing::a64_control_characters_in_a_listing_and_a_refusal`, `attacks::authentication::a64_a_refusal_that_is_endless_or_has_control_characters_is_cut_and_sanitized` |
//! | A65 | a greeting of a megabyte | `attacks::parsing::a65_a_greeting_of_a_megabyte` |
//! | A66 | unsolicited lines | `attacks::parsing::a66_unsolicited_lines`, `attacks::parsing::a66_an_unsolicited_refusal_costs_no_message_of_the_same_size` |
//! | A67 | many lines where one is due | `attacks::parsing::a67_many_lines_where_one_is_due` |
//! | A68 | answers before their questions | `attacks::parsing::a68_answers_before_their_questions` |
//! | A69 | an answer that drips | `faults::silence_and_slowness_have_an_end` |
//! | A70 | QUIT without an answer | `attacks::parsing::a70_a_quit_that_is_not_confirmed`, `faults::a_quit_without_an_answer_leaves_deletions_in_doubt_but_no_mail` |
//! | A71 | a deletion that is refused | `attacks::parsing::a71_a_deletion_that_is_refused_is_asked_for_again` |
//! | A72 | messages mixed up | `attacks::parsing::a72_a_server_that_promises_pipelining_and_mixes_messages_up`, `sync::broken_pipelining_costs_time_but_no_message` |
//! | A73 | messages that look like commands and From_ lines | `attacks::machine::a73_nothing_of_a_message_is_a_command_or_a_line_of_its_own`, `pipe::what_comes_from_outside_cannot_leave_its_quotes` |
//! | A75 | a disk that takes no more, or fails | `filesystem::disk::a_full_disk_ends_with_73_and_the_rest_arrives_once_there_is_room`, `filesystem::disk::a_full_disk_under_the_journal_loses_and_duplicates_nothing`, `filesystem::disk::a_read_only_disk_is_named_and_nothing_is_fetched_in_vain`, `filesystem::disk::a_quota_that_is_used_up_is_reported_as_such_and_the_rest_arrives_once_it_is_lifted`, `crash::failing_calls::a_failed_system_call_is_reported_and_the_next_run_completes` |
//! | A76 | two at once | `faults::another_popfetch_at_work_ends_with_75` |
//! | A77 | a configuration from the net in XML | popfetch asks for none |
//! | A78 | an SRV record that leads elsewhere | popfetch asks for none |

mod authentication;
mod machine;
mod parsing;
mod protection;
mod table;

use crate::support::mailbox::Mailbox;
use crate::support::sandbox::{Outcome, Sandbox};
use crate::support::server::{Dialogue, PASSWORD, Server, SessionLog, Turn, opened};

/// More than the program needs for any of this, and much less than what is thrown at it.
const MEMORY: u64 = 64 << 20;

/// A sandbox with an account for this server; keys are changed as given.
fn sandbox_for(server: &Server, keys: &[(&'static str, &str)]) -> Sandbox {
    configured(Sandbox::new(), &server.endpoint(), keys)
}

fn sandbox_against(server: &Dialogue) -> Sandbox {
    configured(Sandbox::new(), &server.endpoint(), &[("timeout", "\"2s\"")])
}

fn configured(
    sandbox: Sandbox,
    endpoint: &crate::support::server::Endpoint,
    keys: &[(&'static str, &str)],
) -> Sandbox {
    let mut account = sandbox.account("it", endpoint);
    for (key, value) in keys {
        account = account.set(key, value);
    }
    account.write();
    sandbox
}

/// The program was attacked, ended with one of these, and kept its manners.
#[track_caller]
fn withstands(sandbox: &Sandbox, statuses: &[i32]) -> Outcome {
    let outcome = sandbox.run(&["-v", "sync"]);
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
fn stored_nothing(sandbox: &Sandbox) {
    sandbox.mail("it").holds(Vec::<Vec<u8>>::new());
}

/// What is gone from a maildrop that held `uid-1`, `uid-2`… with these texts is stored here.
#[track_caller]
fn what_is_gone_is_here(sandbox: &Sandbox, mailbox: &Mailbox, texts: &[Vec<u8>]) {
    let (here, there) = (sandbox.mail("it").texts(), mailbox.uids());
    for (number, text) in (1..).zip(texts) {
        let is_there = there.contains(&format!("uid-{number}"));
        assert!(is_there || here.contains(text), "uid-{number} is lost");
    }
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

/// From the greeting to one message listed: number 1, `uid-1`, of 20 octets.
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
