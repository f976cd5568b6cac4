//! What a `-ERR` means for the run.

use std::error::Error as _;
use std::fmt;

use super::censor::Censor;
use crate::error::{Failure, Kind};
use crate::pop3::login::Method;
use crate::pop3::{Reply, ResponseCode, Status, says_busy};
use crate::sasl::{Aborted, Mechanism};

/// A status line, and what it takes to show it.
pub(super) struct Said<'a> {
    pub(super) reply: Reply<'a>,
    pub(super) host: &'a str,
    pub(super) censor: &'a Censor,
}

/// When the server said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Instead of a greeting.
    Greeting,
    /// While logging in.
    Login {
        /// With this mechanism.
        method: Method,
        /// The server promises to say `[AUTH]` where the credentials are wrong (AUTH-RESP-CODE, RFC 3206).
        marked: bool,
        /// The server lists mechanisms (SASL, RFC 5034 section 3), and not this one.
        unlisted: bool,
    },
    /// To anything else.
    Command,
}

/// As it stood on the wire, without our secrets and without challenges: who has SCRAM's can try
/// passwords on them at leisure. What one says that matters is reported where the login fails.
impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.reply.status, self.reply.text) {
            (Status::Ok, text) => write!(f, "+OK {}", self.censor.show(text)),
            (Status::Err, text) => write!(f, "-ERR {}", self.censor.show(text)),
            (Status::Continue, []) => f.write_str("+"),
            (Status::Continue, _) => f.write_str("+ ****"),
        }
    }
}

impl Said<'_> {
    /// The failure that this is, where a command was refused.
    pub(super) fn accepted(&self, what: &str) -> Result<(), Failure> {
        if self.reply.is_ok() {
            Ok(())
        } else {
            Err(self.failure(what, When::Command))
        }
    }

    /// The failure that this refusal is. The response code decides (RFC 2449 section 8, RFC 3206),
    /// then when it came, then the text.
    pub(super) fn failure(&self, what: &str, when: When) -> Failure {
        let refused = |kind, message: &str| self.refused(kind, message);
        match self.reply.code {
            Some(ResponseCode::InUse) => {
                refused(Kind::Temporary, "says that the mailbox is in use").hint(IN_USE)
            }
            Some(ResponseCode::LoginDelay) => {
                let message = format!("{} wants a longer pause between logins", self.host);
                let cause = anyhow::Error::new(TooSoon(self.censor.show(self.reply.text)));
                Failure::of(Kind::Temporary, cause.context(message))
                    .hint("Run popfetch less often for this account.")
            }
            Some(ResponseCode::SysTemp | ResponseCode::Sys) => {
                refused(Kind::Temporary, "has a problem that should pass")
            }
            Some(ResponseCode::SysPerm) => refused(
                Kind::Unreachable,
                "has a problem that will not pass by itself",
            )
            .hint("Ask the provider's support."),
            code => {
                let is_auth = code == Some(ResponseCode::Auth);
                let by_default = |kind| if is_auth { Kind::Auth } else { kind };
                match when {
                    When::Greeting => {
                        refused(by_default(Kind::Unreachable), "rejected the connection")
                    }
                    When::Command => {
                        refused(by_default(Kind::Protocol), &format!("refused {what}"))
                    }
                    When::Login { .. } if !is_auth && says_busy(self.reply.text) => {
                        refused(Kind::Temporary, "says that the mailbox is busy").hint(IN_USE)
                    }
                    When::Login {
                        method,
                        marked,
                        unlisted,
                    } => {
                        let failure = refused(Kind::Auth, "refused the login");
                        if unlisted {
                            failure.hint(not_announced(method))
                        } else if marked && !is_auth {
                            failure.hint(NOT_MARKED)
                        } else {
                            failure.hint(what_to_check(method))
                        }
                    }
                }
            }
        }
    }

    /// The host, what it did, and what it said.
    fn refused(&self, kind: Kind, message: &str) -> Failure {
        let text = match self.reply.text {
            [] => String::new(),
            text => format!(": \"{}\"", self.censor.show(text)),
        };
        Failure::new(kind, format!("{} {message}{text}", self.host))
    }
}

const IN_USE: &str = "Another program has it open; a later run will find it free.";

/// What to do about a mechanism that the server does not announce.
pub(super) fn not_announced(method: Method) -> String {
    format!(
        "The server does not announce {method}. Without `auth` in the configuration, popfetch takes the best of what it announces; -vv shows that."
    )
}

/// The cause of a refusal with the code LOGIN-DELAY (RFC 2449 section 8.1.1): what the server said, ready
/// to be shown.
#[derive(Debug, thiserror::Error)]
#[error("\"{0}\"")]
struct TooSoon(String);

/// Whether the server refused a login because the one before was not long enough ago.
#[must_use]
pub fn is_too_soon(failure: &Failure) -> bool {
    failure.source().is_some_and(|cause| cause.is::<TooSoon>())
}

/// The failure that the server wants none of these credentials.
pub(super) fn refused_login(host: &str, method: Method) -> Failure {
    Failure::new(Kind::Auth, format!("{host} refused the login")).hint(what_to_check(method))
}

/// What may help where an exchange was broken off for this reason: nothing that gives the password to
/// somebody in the server's place, or to a listener.
pub(super) fn way_out(reason: &Aborted, is_protected: bool) -> &'static str {
    match reason {
        Aborted::NotBase64(_)
        | Aborted::Unexpected { .. }
        | Aborted::TooManyChallenges
        | Aborted::Iterations { too_many: true, .. } => {
            if is_protected {
                "Another `auth` may work with this server. Its provider should know of this."
            } else {
                "The server's provider has to put that right."
            }
        }
        _ => "The server is broken, or somebody in between takes its place: tell the provider.",
    }
}

/// A mechanism that cannot work is not about the credentials either: a second way is tried all the same.
const NOT_MARKED: &str = "This server says [AUTH] where the name or the password is wrong, and did not say so here: something \
                          else is, such as the authentication mechanism (`auth`) or a rule of the provider's.";

/// What may be wrong with the credentials.
fn what_to_check(method: Method) -> &'static str {
    match method {
        Method::Sasl(Mechanism::External) => {
            "Check that the server knows this client certificate, and that it is this user's."
        }
        _ if method.takes_token() => {
            "Access tokens expire, mostly after an hour; check that this one is new, for this user, and for mail."
        }
        _ => {
            "Check the user's name and the password. Many providers want POP3 switched on in their settings, or a password made for one program."
        }
    }
}
