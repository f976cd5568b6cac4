//! What PLAIN, EXTERNAL, XOAUTH2 and OAUTHBEARER have in common: all that the client says is one message.

use zeroize::Zeroizing;

use super::{Mechanism, Refused};
use crate::pop3::Excerpt;

/// The one message of a mechanism.
pub(super) struct Message {
    mechanism: &'static str,
    text: Zeroizing<Vec<u8>>,
    /// What is said to the only challenge there may be, which tells why the message will be refused.
    /// None where there may be no challenge.
    acknowledgement: Option<&'static [u8]>,
    complaint: Option<Excerpt>,
}

impl Message {
    /// The message of a mechanism that has no challenges.
    pub(super) fn new(mechanism: &'static str, text: Zeroizing<Vec<u8>>) -> Self {
        Message {
            mechanism,
            text,
            acknowledgement: None,
            complaint: None,
        }
    }

    /// The message of a mechanism whose server may complain of it, and waits for this then.
    pub(super) fn acknowledging(self, with: &'static [u8]) -> Self {
        Message {
            acknowledgement: Some(with),
            ..self
        }
    }
}

/// A mechanism that is its message.
pub(super) trait OneMessage {
    fn message(&self) -> &Message;
    fn message_mut(&mut self) -> &mut Message;
}

impl<M: OneMessage> Mechanism for M {
    fn name(&self) -> &'static str {
        self.message().mechanism
    }

    fn initial(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        Some(self.message().text.clone())
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refused> {
        let message = self.message_mut();
        match (message.acknowledgement, &message.complaint) {
            (Some(acknowledgement), None) => {
                message.complaint = Some(Excerpt::of(challenge));
                Ok(Zeroizing::new(acknowledgement.to_vec()))
            }
            _ => Err(Refused::Unexpected {
                mechanism: message.mechanism,
                challenge: Excerpt::of(challenge),
            }),
        }
    }

    fn accept(&self) -> Result<(), Refused> {
        match self.message().complaint {
            None => Ok(()),
            Some(_) => Err(Refused::Mechanism(
                "the server answered +OK though it had refused the token".into(),
            )),
        }
    }

    fn complaint(&self) -> Option<&Excerpt> {
        self.message().complaint.as_ref()
    }
}
