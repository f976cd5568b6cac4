//! One exchange, driven for any mechanism.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Aborted, Client, MAX_CHALLENGES};
use crate::text::Excerpt;

/// One exchange, from the initial response to its end.
///
/// Name the mechanism to the server, with [`Exchange::initial`] where there is one; then hand each answer to
/// [`Exchange::proceed`] and do what it says.
pub struct Exchange {
    client: Box<dyn Client>,
    /// What the client says first, until the server took it.
    initial: Option<Zeroizing<Vec<u8>>>,
    /// The response that is being sent.
    response: Zeroizing<Vec<u8>>,
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
        reason: Aborted,
        /// Something of the mechanism's was sent before.
        answered: bool,
    },
}

/// What the server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<'a> {
    /// A challenge, in base64.
    Challenge(&'a [u8]),
    /// The login succeeded.
    Accepted,
    /// The login failed.
    Refused,
}

/// What to do after an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// Send this, in base64, and come back with the answer.
    Respond(&'a [u8]),
    /// Send the line that cancels the exchange (`*`), and come back with the answer.
    Cancel,
    /// The login succeeded.
    Done,
    /// The server refused; its answer says why. The session is as before, and another mechanism may be tried.
    Denied,
    /// We broke the exchange off, and the server agreed. The session is as before, and another mechanism
    /// may be tried; nothing weaker where the mechanism's own check failed ([`Aborted::Mechanism`]).
    Cancelled(Aborted),
    /// The server's success must not be believed. The connection is to be closed, and nothing weaker to be tried.
    Untrusted(Aborted),
}

impl Exchange {
    /// An exchange that has not begun. `allows_initial` is whether the protocol lets this initial response go with the
    /// mechanism's name.
    pub fn new(mut client: Box<dyn Client>, allows_initial: impl FnOnce(&[u8]) -> bool) -> Self {
        let initial = client.initial();
        let is_sent = initial
            .as_ref()
            .is_some_and(|initial| allows_initial(initial));
        Exchange {
            client,
            initial,
            response: Zeroizing::default(),
            stage: if is_sent {
                Stage::Answered
            } else {
                Stage::Named
            },
            challenges: 0,
        }
    }

    /// The initial response, where it goes with the mechanism's name.
    #[must_use]
    pub fn initial(&self) -> Option<&[u8]> {
        match self.stage {
            Stage::Answered => self.initial.as_ref().map(|initial| initial.as_slice()),
            _ => None,
        }
    }

    /// What to do after this answer.
    pub fn proceed(&mut self, answer: Answer<'_>) -> Next<'_> {
        match (answer, &self.stage) {
            (Answer::Refused, Stage::Cancelled { reason, .. }) => Next::Cancelled(reason.clone()),
            (_, Stage::Cancelled { .. }) => Next::Untrusted(Aborted::NotCancelled),
            (Answer::Refused, _) => Next::Denied,
            (Answer::Accepted, Stage::Answered) => match self.client.accept() {
                Ok(()) => Next::Done,
                Err(reason) => Next::Untrusted(reason),
            },
            // Nothing was proven yet, so this is no success: Exchange 2003 writes +OK where + belongs.
            (Answer::Accepted, Stage::Named) => self.challenged(b""),
            (Answer::Challenge(base64), _) => self.challenged(base64),
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
    pub fn cancelled(&self) -> Option<&Aborted> {
        match &self.stage {
            Stage::Cancelled { reason, .. } => Some(reason),
            Stage::Named | Stage::Answered => None,
        }
    }

    /// Why the server refuses, where it has said so in a challenge.
    #[must_use]
    pub fn complaint(&self) -> Option<&Excerpt> {
        self.client.complaint()
    }

    fn challenged(&mut self, base64: &[u8]) -> Next<'_> {
        match self.response_to(base64) {
            Ok(response) => {
                self.response = response;
                self.stage = Stage::Answered;
                Next::Respond(&self.response)
            }
            Err(reason) => {
                let answered = self.has_answered();
                self.stage = Stage::Cancelled { reason, answered };
                Next::Cancel
            }
        }
    }

    fn response_to(&mut self, base64: &[u8]) -> Result<Zeroizing<Vec<u8>>, Aborted> {
        self.challenges += 1;
        if self.challenges > MAX_CHALLENGES {
            return Err(Aborted::TooManyChallenges);
        }
        let challenge = STANDARD
            .decode(base64)
            .map_err(|_| Aborted::NotBase64(Excerpt::of(base64)))?;
        // The empty challenge asks for the initial response, and some servers ask although they
        // were given it.
        match self.initial.take() {
            Some(initial) if challenge.is_empty() => Ok(initial),
            Some(_) if matches!(self.stage, Stage::Named) => Err(Aborted::Unexpected {
                mechanism: self.client.mechanism(),
                challenge: Excerpt::of(&challenge),
            }),
            _ => self.client.respond(&challenge),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sasl::{Mechanism, Parameters};
    use proptest::prelude::*;

    /// What a line of a POP3 server leads to: the line we send, or the end.
    fn step(exchange: &mut Exchange, line: &str) -> Result<String, Next<'static>> {
        let answer = match line.as_bytes() {
            [b'+', b'O', b'K', ..] => Answer::Accepted,
            [b'-', ..] => Answer::Refused,
            line => Answer::Challenge(line[1..].trim_ascii()),
        };
        Err(match exchange.proceed(answer) {
            Next::Respond(response) => return Ok(STANDARD.encode(response) + "\r\n"),
            Next::Cancel => return Ok("*\r\n".to_owned()),
            Next::Done => Next::Done,
            Next::Denied => Next::Denied,
            Next::Cancelled(reason) => Next::Cancelled(reason),
            Next::Untrusted(reason) => Next::Untrusted(reason),
        })
    }

    fn plain(allows_initial: bool) -> Exchange {
        let parameters = Parameters {
            user: b"test",
            secret: b"test",
            ..Parameters::default()
        };
        let client = Mechanism::Plain.client(&parameters);
        Exchange::new(client.expect("credentials"), |_| allows_initial)
    }

    const TEST_TEST: &str = "AHRlc3QAdGVzdA==\r\n";

    #[test]
    fn the_initial_response_goes_with_the_command() {
        let mut exchange = plain(true);
        assert_eq!(exchange.initial(), Some(&b"\0test\0test"[..]));
        assert_eq!(step(&mut exchange, "+OK welcome"), Err(Next::Done));
    }

    #[test]
    fn without_a_sasl_capability_the_server_asks_first() {
        for challenge in ["+", "+ "] {
            let mut exchange = plain(false);
            assert_eq!(exchange.initial(), None);
            assert_eq!(step(&mut exchange, challenge).as_deref(), Ok(TEST_TEST));
            assert_eq!(step(&mut exchange, "+OK"), Err(Next::Done));
        }
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
                matches!(end, Err(Next::Cancelled(Aborted::NotBase64(_)))),
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
            Err(Next::Untrusted(Aborted::NotCancelled))
        );
    }

    /// A mechanism in which the server must prove itself: it answers any challenge and counts them down.
    struct Countdown {
        first: Option<&'static [u8]>,
        left: usize,
    }

    fn countdown(first: Option<&'static [u8]>, left: usize) -> Exchange {
        Exchange::new(Box::new(Countdown { first, left }), |first| {
            first.len() < 100
        })
    }

    impl Client for Countdown {
        fn mechanism(&self) -> Mechanism {
            Mechanism::Plain
        }

        fn initial(&mut self) -> Option<Zeroizing<Vec<u8>>> {
            Some(Zeroizing::new(self.first?.to_vec()))
        }

        fn respond(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, Aborted> {
            self.left = self.left.saturating_sub(1);
            Ok(Zeroizing::new(challenge.to_vec()))
        }

        fn accept(&self) -> Result<(), Aborted> {
            match self.left {
                0 => Ok(()),
                _ => Err(Aborted::Mechanism("the server proved nothing".into())),
            }
        }
    }

    #[test]
    fn a_mechanism_may_let_the_server_speak_first() {
        let mut exchange = countdown(None, 1);
        assert_eq!(exchange.initial(), None);
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
        assert_eq!(exchange.initial(), None);
        assert_eq!(step(&mut exchange, "+ dGVzdA==").as_deref(), Ok("*\r\n"));
        let end = step(&mut exchange, "-ERR");
        assert!(matches!(
            end,
            Err(Next::Cancelled(Aborted::Unexpected { .. }))
        ));
    }

    #[test]
    fn a_challenge_after_the_initial_response_is_for_the_mechanism() {
        let mut exchange = countdown(Some(b"hello"), 1);
        assert_eq!(exchange.initial(), Some(&b"hello"[..]));
        assert_eq!(
            step(&mut exchange, "+ dGVzdA==").as_deref(),
            Ok("dGVzdA==\r\n")
        );
        assert_eq!(step(&mut exchange, "+OK"), Err(Next::Done));
    }

    #[test]
    fn challenges_have_a_limit() {
        let mut exchange = countdown(None, 0);
        for _ in 0..MAX_CHALLENGES {
            assert_eq!(step(&mut exchange, "+").as_deref(), Ok("\r\n"));
        }
        assert_eq!(step(&mut exchange, "+").as_deref(), Ok("*\r\n"));
        assert_eq!(
            step(&mut exchange, "-ERR"),
            Err(Next::Cancelled(Aborted::TooManyChallenges))
        );
    }

    #[test]
    fn an_empty_initial_response_is_one() {
        let with = |allowed| {
            let first = Some(&b""[..]);
            Exchange::new(Box::new(Countdown { first, left: 0 }), move |_| allowed)
        };
        assert_eq!(with(true).initial(), Some(&b""[..]));
        assert_eq!(step(&mut with(false), "+").as_deref(), Ok("\r\n"));
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
