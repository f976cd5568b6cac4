//! AUTH (RFC 5034 section 4), driven for any mechanism.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Mechanism, Refused};
use crate::pop3::command::Command;
use crate::pop3::excerpt::Excerpt;
use crate::pop3::limits;
use crate::pop3::reply::{Reply, Status};

/// One AUTH, from its command to its end.
///
/// Send [`Exchange::command`], then hand each answer to [`Exchange::proceed`] and do what it says.
pub struct Exchange {
    mechanism: Box<dyn Mechanism>,
    /// What the client says first, until the server took it.
    initial: Option<Zeroizing<Vec<u8>>>,
    /// The response that is being sent.
    response: Zeroizing<Vec<u8>>,
    /// Whether the server has had anything of the mechanism's yet.
    stage: Stage,
    challenges: usize,
}

enum Stage {
    /// Only the mechanism's name was sent.
    Named,
    /// Something of the mechanism's was sent.
    Answered,
    /// The exchange was cancelled.
    Cancelled {
        /// Why.
        refused: Refused,
        /// Something of the mechanism's was sent before.
        answered: bool,
    },
}

/// What to do after an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// Send this, and come back with the answer.
    Send(Command<'a>),
    /// The login succeeded.
    Done,
    /// The server refused; its answer says why. The session is as before, and another way may be tried.
    Denied,
    /// We broke the exchange off, and the server agreed. The session is as before, and another way
    /// may be tried; nothing weaker where the mechanism's own check failed ([`Refused::Mechanism`]).
    Cancelled(Refused),
    /// The server's +OK must not be believed. The connection is to be closed, and nothing weaker to be tried.
    Untrusted(Refused),
}

impl Exchange {
    /// An exchange that has not begun. `announced` is whether the server's capabilities have a list
    /// of SASL mechanisms: without one an initial response must not be sent (RFC 5034 section 3).
    pub fn new(mut mechanism: Box<dyn Mechanism>, announced: bool) -> Self {
        let initial = mechanism.initial();
        let fits = initial
            .as_ref()
            .is_some_and(|initial| fits(mechanism.name(), initial));
        Exchange {
            mechanism,
            initial,
            response: Zeroizing::default(),
            stage: if announced && fits {
                Stage::Answered
            } else {
                Stage::Named
            },
            challenges: 0,
        }
    }

    /// The command that begins it: with the initial response where one is allowed and fits the line.
    pub fn command(&self) -> Command<'_> {
        let initial = match self.stage {
            Stage::Answered => self.initial.as_ref().map(|initial| initial.as_slice()),
            _ => None,
        };
        Command::Auth {
            mechanism: self.mechanism.name(),
            initial,
        }
    }

    /// What to do after this answer.
    pub fn proceed(&mut self, reply: &Reply<'_>) -> Next<'_> {
        match (reply.status, &self.stage) {
            (Status::Err, Stage::Cancelled { refused, .. }) => Next::Cancelled(refused.clone()),
            (_, Stage::Cancelled { .. }) => Next::Untrusted(Refused::NotCancelled),
            (Status::Err, _) => Next::Denied,
            (Status::Ok, Stage::Answered) => match self.mechanism.accept() {
                Ok(()) => Next::Done,
                Err(refused) => Next::Untrusted(refused),
            },
            // Nothing was proven yet, so this is no success: Exchange 2003 writes +OK where + belongs.
            (Status::Ok, Stage::Named) => self.challenged(b""),
            (Status::Continue, _) => self.challenged(reply.text),
        }
    }

    /// Whether anything of the mechanism's was sent. A server that refuses before knows nothing of
    /// the credentials.
    #[must_use]
    pub fn has_answered(&self) -> bool {
        match self.stage {
            Stage::Named => false,
            Stage::Answered => true,
            Stage::Cancelled { answered, .. } => answered,
        }
    }

    /// Why the exchange is cancelled, if it is.
    #[must_use]
    pub fn cancelled(&self) -> Option<&Refused> {
        match &self.stage {
            Stage::Cancelled { refused, .. } => Some(refused),
            Stage::Named | Stage::Answered => None,
        }
    }

    /// Why the server refuses, where it has said so in a challenge.
    #[must_use]
    pub fn complaint(&self) -> Option<&Excerpt> {
        self.mechanism.complaint()
    }

    fn challenged(&mut self, base64: &[u8]) -> Next<'_> {
        match self.response_to(base64) {
            Ok(response) => {
                self.response = response;
                self.stage = Stage::Answered;
                Next::Send(Command::Respond(&self.response))
            }
            Err(refused) => {
                let answered = self.has_answered();
                self.stage = Stage::Cancelled { refused, answered };
                Next::Send(Command::Cancel)
            }
        }
    }

    fn response_to(&mut self, base64: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refused> {
        self.challenges += 1;
        if self.challenges > limits::CHALLENGES {
            return Err(Refused::TooManyChallenges);
        }
        let challenge = STANDARD
            .decode(base64)
            .map_err(|_| Refused::NotBase64(Excerpt::of(base64)))?;
        // The empty challenge asks for the initial response, and some servers ask although they
        // were given it.
        match self.initial.take() {
            Some(initial) if challenge.is_empty() => Ok(initial),
            Some(_) if matches!(self.stage, Stage::Named) => Err(Refused::Unexpected {
                mechanism: self.mechanism.name(),
                challenge: Excerpt::of(&challenge),
            }),
            _ => self.mechanism.respond(&challenge),
        }
    }
}

/// Whether AUTH with this initial response, in base64, is within [`limits::COMMAND`].
fn fits(mechanism: &str, initial: &[u8]) -> bool {
    let base64 = base64::encoded_len(initial.len(), true);
    let around = "AUTH  \r\n".len() + mechanism.len();
    base64.is_some_and(|length| around + length <= limits::COMMAND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop3::sasl::Plain;
    use proptest::prelude::*;

    /// What a line of the server leads to: the line we send, or the end.
    fn step(exchange: &mut Exchange, line: &str) -> Result<String, Next<'static>> {
        let reply = Reply::parse(line.as_bytes()).expect("a status line");
        match exchange.proceed(&reply) {
            Next::Send(command) => Ok(encoded(command)),
            Next::Done => Err(Next::Done),
            Next::Denied => Err(Next::Denied),
            Next::Cancelled(refused) => Err(Next::Cancelled(refused)),
            Next::Untrusted(refused) => Err(Next::Untrusted(refused)),
        }
    }

    fn encoded(command: Command<'_>) -> String {
        let mut line = Vec::new();
        command.encode(&mut line).expect("can be sent");
        String::from_utf8(line).expect("ASCII")
    }

    fn plain(announced: bool) -> Exchange {
        Exchange::new(
            Box::new(Plain::new(b"test", b"test").expect("credentials")),
            announced,
        )
    }

    const TEST_TEST: &str = "AHRlc3QAdGVzdA==\r\n";

    #[test]
    fn the_initial_response_goes_with_the_command() {
        let mut exchange = plain(true);
        assert_eq!(
            encoded(exchange.command()),
            format!("AUTH PLAIN {TEST_TEST}")
        );
        assert_eq!(step(&mut exchange, "+OK welcome"), Err(Next::Done));
    }

    #[test]
    fn without_a_sasl_capability_the_server_asks_first() {
        for challenge in ["+", "+ "] {
            let mut exchange = plain(false);
            assert_eq!(encoded(exchange.command()), "AUTH PLAIN\r\n");
            assert_eq!(step(&mut exchange, challenge).as_deref(), Ok(TEST_TEST));
            assert_eq!(step(&mut exchange, "+OK"), Err(Next::Done));
        }
    }

    #[test]
    fn a_long_initial_response_waits_for_the_challenge() {
        let password = |octets: usize| vec![b'x'; octets - b"\0u\0".len()];
        let exchange = |octets| {
            let plain = Plain::new(b"u", &password(octets)).expect("credentials");
            Exchange::new(Box::new(plain), true)
        };
        assert_eq!(encoded(exchange(180).command()).len(), 253);
        let mut long = exchange(181);
        assert_eq!(encoded(long.command()), "AUTH PLAIN\r\n");
        assert!(step(&mut long, "+").is_ok_and(|line| line.len() > 240));
    }

    #[test]
    fn a_server_that_ignores_the_initial_response_gets_it_again_but_once() {
        let mut exchange = plain(true);
        assert_eq!(step(&mut exchange, "+").as_deref(), Ok(TEST_TEST));
        assert_eq!(step(&mut exchange, "+").as_deref(), Ok("*\r\n"));
    }

    #[test]
    fn ok_is_no_success_before_anything_was_proven() {
        let mut exchange = plain(false);
        assert_eq!(
            step(&mut exchange, "+OK logged in").as_deref(),
            Ok(TEST_TEST)
        );
        assert_eq!(step(&mut exchange, "+OK"), Err(Next::Done));
    }

    #[test]
    fn a_refusal_leaves_the_session_as_it_was() {
        assert_eq!(step(&mut plain(true), "-ERR [AUTH] no"), Err(Next::Denied));
        assert_eq!(step(&mut plain(false), "-ERR"), Err(Next::Denied));
    }

    #[test]
    fn a_challenge_that_is_not_strict_base64_cancels() {
        for challenge in [
            "+ dGVzdA",
            "+ dGVz dA==",
            "+ =",
            "+ dGVzdA===",
            "+ dGVzdB==",
            "+ d=Vz",
            "+ Go ahead!",
        ] {
            let mut exchange = plain(false);
            assert_eq!(
                step(&mut exchange, challenge).as_deref(),
                Ok("*\r\n"),
                "{challenge}"
            );
            let end = step(&mut exchange, "-ERR cancelled");
            assert!(
                matches!(end, Err(Next::Cancelled(Refused::NotBase64(_)))),
                "{challenge}"
            );
        }
    }

    #[test]
    fn a_prompt_where_plain_has_none_cancels() {
        let mut exchange = plain(false);
        assert_eq!(
            step(&mut exchange, "+ VXNlcm5hbWU6").as_deref(),
            Ok("*\r\n")
        );
        let Err(Next::Cancelled(refused)) = step(&mut exchange, "-ERR") else {
            panic!("the server agreed");
        };
        assert_eq!(
            refused.to_string(),
            "the server put a question where PLAIN has none: \"Username:\""
        );
    }

    #[test]
    fn success_after_cancelling_is_not_believed() {
        let mut exchange = plain(false);
        assert!(exchange.cancelled().is_none());
        assert_eq!(step(&mut exchange, "+ !").as_deref(), Ok("*\r\n"));
        assert!(exchange.cancelled().is_some());
        assert_eq!(
            step(&mut exchange, "+OK logged in"),
            Err(Next::Untrusted(Refused::NotCancelled))
        );
    }

    /// A mechanism in which the server must prove itself: it answers any challenge and counts them down.
    struct Countdown {
        first: Option<&'static [u8]>,
        left: usize,
    }

    fn countdown(first: Option<&'static [u8]>, left: usize) -> Exchange {
        Exchange::new(Box::new(Countdown { first, left }), true)
    }

    impl Mechanism for Countdown {
        fn name(&self) -> &'static str {
            "COUNTDOWN"
        }

        fn initial(&mut self) -> Option<Zeroizing<Vec<u8>>> {
            Some(Zeroizing::new(self.first?.to_vec()))
        }

        fn respond(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refused> {
            self.left = self.left.saturating_sub(1);
            Ok(Zeroizing::new(challenge.to_vec()))
        }

        fn accept(&self) -> Result<(), Refused> {
            match self.left {
                0 => Ok(()),
                _ => Err(Refused::Mechanism("the server proved nothing".into())),
            }
        }
    }

    #[test]
    fn a_mechanism_may_let_the_server_speak_first() {
        let mut exchange = countdown(None, 1);
        assert_eq!(encoded(exchange.command()), "AUTH COUNTDOWN\r\n");
        assert_eq!(
            step(&mut exchange, "+ dGVzdA==").as_deref(),
            Ok("dGVzdA==\r\n")
        );
        assert_eq!(step(&mut exchange, "+OK"), Err(Next::Done));
    }

    #[test]
    fn a_server_that_proved_nothing_is_not_believed() {
        let mut exchange = countdown(None, 2);
        assert_eq!(
            step(&mut exchange, "+ dGVzdA==").as_deref(),
            Ok("dGVzdA==\r\n")
        );
        assert!(matches!(
            step(&mut exchange, "+OK"),
            Err(Next::Untrusted(_))
        ));
    }

    #[test]
    fn a_challenge_is_not_answered_before_the_initial_response_was_sent() {
        let mut exchange = countdown(Some(&[b'x'; 200]), 0);
        assert_eq!(encoded(exchange.command()), "AUTH COUNTDOWN\r\n");
        assert_eq!(step(&mut exchange, "+ dGVzdA==").as_deref(), Ok("*\r\n"));
        let end = step(&mut exchange, "-ERR");
        assert!(matches!(
            end,
            Err(Next::Cancelled(Refused::Unexpected { .. }))
        ));
    }

    #[test]
    fn a_challenge_behind_the_initial_response_is_for_the_mechanism() {
        let mut exchange = countdown(Some(b"hello"), 1);
        assert_eq!(encoded(exchange.command()), "AUTH COUNTDOWN aGVsbG8=\r\n");
        assert_eq!(
            step(&mut exchange, "+ dGVzdA==").as_deref(),
            Ok("dGVzdA==\r\n")
        );
        assert_eq!(step(&mut exchange, "+OK"), Err(Next::Done));
    }

    #[test]
    fn challenges_have_a_limit() {
        let mut exchange = countdown(None, 0);
        for _ in 0..limits::CHALLENGES {
            assert_eq!(step(&mut exchange, "+").as_deref(), Ok("\r\n"));
        }
        assert_eq!(step(&mut exchange, "+").as_deref(), Ok("*\r\n"));
        assert_eq!(
            step(&mut exchange, "-ERR"),
            Err(Next::Cancelled(Refused::TooManyChallenges))
        );
    }

    #[test]
    fn an_empty_initial_response_is_an_equals_sign() {
        struct External;
        impl Mechanism for External {
            fn name(&self) -> &'static str {
                "EXTERNAL"
            }
            fn initial(&mut self) -> Option<Zeroizing<Vec<u8>>> {
                Some(Zeroizing::default())
            }
            fn respond(&mut self, _: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refused> {
                Err(Refused::TooManyChallenges)
            }
            fn accept(&self) -> Result<(), Refused> {
                Ok(())
            }
        }
        assert_eq!(
            encoded(Exchange::new(Box::new(External), true).command()),
            "AUTH EXTERNAL =\r\n"
        );
        let mut asked = Exchange::new(Box::new(External), false);
        assert_eq!(step(&mut asked, "+").as_deref(), Ok("\r\n"));
    }

    proptest! {
        #[test]
        fn every_exchange_ends_and_only_ok_after_a_proof_is_success(
            announced: bool,
            lines in prop::collection::vec("(\\+OK|-ERR|\\+)( [a-z=]{0,5})?", 20),
        ) {
            let mut exchange = plain(announced);
            let mut sent = announced;
            for line in &lines {
                match step(&mut exchange, line) {
                    Ok(response) => sent |= response == TEST_TEST,
                    Err(end) => {
                        prop_assert!(end != Next::Done || (sent && line.starts_with("+OK")));
                        return Ok(());
                    }
                }
            }
            prop_assert!(false, "twenty answers and no end");
        }
    }
}
