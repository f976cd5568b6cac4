//! Which authentication mechanisms to use, and in which order.

use std::fmt;
use std::str::FromStr;

use super::capability::Capabilities;
use super::reply::{Reply, Status};
use crate::sasl::{Answer, Hash, Mechanism};

/// An authentication mechanism of POP3: one of its own two, or one of SASL's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// USER and PASS (RFC 1939 section 7).
    User,
    /// APOP (RFC 1939 section 7).
    Apop,
    /// AUTH (RFC 5034).
    Sasl(Mechanism),
}

impl Method {
    /// Every mechanism.
    pub fn all() -> impl Iterator<Item = Self> {
        let sasl = Mechanism::ALL.into_iter().map(Method::Sasl);
        [Method::User, Method::Apop].into_iter().chain(sasl)
    }

    /// Its name in upper case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Method::User => "USER",
            Method::Apop => "APOP",
            Method::Sasl(mechanism) => mechanism.name(),
        }
    }

    /// Whether the server, and anybody who listens, gets the password or token itself.
    #[must_use]
    pub fn exposes_secret(self) -> bool {
        match self {
            Method::User => true,
            Method::Apop => false,
            Method::Sasl(mechanism) => mechanism.exposes_secret(),
        }
    }

    /// Whether the server has to prove that it knows the password, too.
    #[must_use]
    pub fn proves_server(self) -> bool {
        matches!(self, Method::Sasl(mechanism) if mechanism.proves_server())
    }

    /// Whether the secret is an access token.
    #[must_use]
    pub fn takes_token(self) -> bool {
        matches!(self, Method::Sasl(mechanism) if mechanism.takes_token())
    }

    /// How well it keeps the password from the other end, and from listeners.
    fn safety(self) -> Safety {
        if self.proves_server() {
            Safety::Proven
        } else if self.exposes_secret() {
            Safety::Exposed
        } else {
            Safety::Digested
        }
    }
}

/// The safest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Safety {
    /// They get it.
    Exposed,
    /// They get what it can be guessed from.
    Digested,
    /// They get nothing unless they know it.
    Proven,
}

/// Its name.
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no authentication mechanism")]
pub struct UnknownMethod;

/// Its name, in any letter case.
impl FromStr for Method {
    type Err = UnknownMethod;

    fn from_str(name: &str) -> Result<Self, UnknownMethod> {
        let mut all = Method::all();
        all.find(|method| method.name().eq_ignore_ascii_case(name))
            .ok_or(UnknownMethod)
    }
}

/// The mechanism that worked in an earlier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastLogin {
    /// The mechanism.
    pub method: Method,
    /// The one that the server had refused before.
    pub after_refused: Option<Method>,
}

const INSTEAD_OF: &str = " instead of ";

/// As a journal remembers it: `PLAIN instead of SCRAM-SHA-256`.
impl fmt::Display for LastLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.method)?;
        match self.after_refused {
            Some(refused) => write!(f, "{INSTEAD_OF}{refused}"),
            None => Ok(()),
        }
    }
}

impl FromStr for LastLogin {
    type Err = UnknownMethod;

    fn from_str(text: &str) -> Result<Self, UnknownMethod> {
        let (method, after_refused) = match text.split_once(INSTEAD_OF) {
            Some((method, refused)) => (method, Some(refused.parse()?)),
            None => (text, None),
        };
        Ok(LastLogin {
            method: method.parse()?,
            after_refused,
        })
    }
}

/// Which mechanisms the account's owner allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// All that are safe on the connection, the best first.
    Auto,
    /// This one alone, whether the server announces it or not.
    Only(Method),
}

impl Rule {
    /// Every rule as it is written in a configuration.
    pub const NAMES: [&str; 13] = [
        "auto",
        "user",
        "plain",
        "login",
        "apop",
        "cram-md5",
        "scram-sha-1",
        "scram-sha-1-plus",
        "scram-sha-256",
        "scram-sha-256-plus",
        "external",
        "xoauth2",
        "oauthbearer",
    ];

    /// Whether a password or a token is needed: not where a client certificate says who we are.
    #[must_use]
    pub fn needs_secret(self) -> bool {
        self != Rule::Only(Method::Sasl(Mechanism::External))
    }
}

/// One of [`Rule::NAMES`].
impl FromStr for Rule {
    type Err = UnknownMethod;

    fn from_str(text: &str) -> Result<Self, UnknownMethod> {
        match text {
            "auto" => Ok(Rule::Auto),
            name if Rule::NAMES.contains(&name) => name.parse().map(Rule::Only),
            _ => Err(UnknownMethod),
        }
    }
}

/// What protects what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// TLS.
    Tls,
    /// Nothing, and the account's owner accepts that a password can be read on the way.
    ClearAccepted,
    /// Nothing.
    Clear,
}

/// What the server offers.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// Its newest capabilities; none where it has no CAPA.
    pub capabilities: Option<&'a Capabilities>,
    /// Whether its greeting has a timestamp that [`super::apop::timestamp`] accepts.
    pub timestamp: bool,
}

impl Offer<'_> {
    /// Whether this mechanism is offered. USER is not given up when it is not announced: many servers never do, or have no CAPA.
    #[must_use]
    pub fn has(&self, method: Method) -> bool {
        match method {
            Method::User => true,
            Method::Apop => self.timestamp,
            Method::Sasl(mechanism) => self
                .capabilities
                .is_some_and(|capabilities| capabilities.offers(mechanism.name())),
        }
    }
}

const SCRAM_SHA_256: Method = Method::Sasl(Mechanism::Scram(Hash::Sha256));
const SCRAM_SHA_1: Method = Method::Sasl(Mechanism::Scram(Hash::Sha1));
const CRAM_MD5: Method = Method::Sasl(Mechanism::CramMd5);
const PLAIN: Method = Method::Sasl(Mechanism::Plain);
const LOGIN: Method = Method::Sasl(Mechanism::Login);

/// What [`Rule::Auto`] takes over TLS: with SCRAM the server has to know the password, too.
const OVER_TLS: [Method; 5] = [SCRAM_SHA_256, SCRAM_SHA_1, PLAIN, LOGIN, Method::User];

/// What [`Rule::Auto`] takes without TLS where that is accepted: what keeps the password itself from
/// a listener comes first.
const IN_CLEAR: [Method; 7] = [
    SCRAM_SHA_256,
    SCRAM_SHA_1,
    CRAM_MD5,
    Method::Apop,
    PLAIN,
    LOGIN,
    Method::User,
];

/// The mechanisms in the order to try them; none where the rule allows nothing that this
/// connection can safely carry. `worked` did so in an earlier run: it comes first if it is among them,
/// but for safer ones.
///
/// Never weaker than the rule, and a password crosses a connection without TLS only where that is
/// accepted. Without that, what only proves the password is used if it is named: what a listener
/// hears can be attacked at leisure. The -PLUS mechanisms are used only if they are named:
/// servers mostly want another kind of binding than the one we have.
#[must_use]
pub fn methods(
    rule: Rule,
    offer: Offer<'_>,
    protection: Protection,
    worked: Option<LastLogin>,
) -> Vec<Method> {
    let candidates = match (rule, protection) {
        (Rule::Only(Method::Apop), _) if !offer.timestamp => return Vec::new(),
        (Rule::Only(method), Protection::Clear) if method.exposes_secret() => return Vec::new(),
        (Rule::Only(method), _) => return vec![method],
        (Rule::Auto, Protection::Clear) => return Vec::new(),
        (Rule::Auto, Protection::Tls) => &OVER_TLS[..],
        (Rule::Auto, Protection::ClearAccepted) => &IN_CLEAR[..],
    };
    let offered = |method: &Method| offer.has(*method);
    match worked.filter(|worked| candidates.contains(&worked.method)) {
        Some(worked) => reordered(candidates, worked).filter(offered).collect(),
        None => candidates.iter().copied().filter(offered).collect(),
    }
}

/// The same mechanisms with the one that worked before those that are as safe or less, and before the one
/// that was refused then with all after it. A safer one stays in front of it: where it was not offered
/// then, somebody may have hidden it.
fn reordered(candidates: &[Method], worked: LastLogin) -> impl Iterator<Item = Method> {
    let LastLogin {
        method: last,
        after_refused,
    } = worked;
    let yields = move |&method: &Method| {
        method.safety() <= last.safety() || after_refused == Some(method) || method == last
    };
    let place = candidates.iter().position(yields).unwrap_or(0);
    let (safer, others) = candidates.split_at(place);
    let others = others.iter().filter(move |&&method| method != last);
    safer.iter().copied().chain([last]).chain(others.copied())
}

/// The one mechanism to try where the first turned out to be of no use; there is no third.
///
/// What only proves a password needs a server that has it in the right form. One that lacks it for
/// the first such mechanism most likely lacks it for the others: next comes what gives the server the
/// password, which is safe wherever it is among these.
#[must_use]
pub fn second(methods: &[Method], first: Method) -> Option<Method> {
    let others = || methods.iter().copied().filter(|&method| method != first);
    let exposing = others().find(|method| method.exposes_secret() && !first.exposes_secret());
    exposing.or_else(|| others().next())
}

impl<'a> From<&Reply<'a>> for Answer<'a> {
    fn from(reply: &Reply<'a>) -> Self {
        match reply.status {
            Status::Ok => Answer::Accepted,
            Status::Err => Answer::Refused,
            Status::Continue => Answer::Challenge(reply.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Method::{Apop, User};
    use super::Protection::{Clear, ClearAccepted, Tls};
    use super::*;

    const EVERYTHING: &str = "SASL EXTERNAL OAUTHBEARER XOAUTH2 PLAIN LOGIN CRAM-MD5 DIGEST-MD5 \
                              SCRAM-SHA-1 SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-256-PLUS NTLM";

    fn capabilities(sasl: &str) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.add(sasl.as_bytes()).expect("one line");
        capabilities
    }

    fn remembering(
        sasl: &str,
        timestamp: bool,
        protection: Protection,
        worked: Option<LastLogin>,
    ) -> Vec<Method> {
        let capabilities = capabilities(sasl);
        let offer = Offer {
            capabilities: Some(&capabilities),
            timestamp,
        };
        methods(Rule::Auto, offer, protection, worked)
    }

    fn auto(sasl: &str, timestamp: bool, protection: Protection) -> Vec<Method> {
        remembering(sasl, timestamp, protection, None)
    }

    #[test]
    fn over_tls_scram_comes_before_plain_login_and_user() {
        assert_eq!(
            auto(EVERYTHING, true, Tls),
            [SCRAM_SHA_256, SCRAM_SHA_1, PLAIN, LOGIN, User]
        );
        assert_eq!(auto("SASL LOGIN PLAIN", true, Tls), [PLAIN, LOGIN, User]);
        assert_eq!(auto("SASL XOAUTH2 CRAM-MD5", true, Tls), [User]);
        assert_eq!(auto("TOP", false, Tls), [User]);
    }

    #[test]
    fn a_server_without_capa_gets_user() {
        let offer = Offer {
            capabilities: None,
            timestamp: false,
        };
        assert_eq!(methods(Rule::Auto, offer, Tls, None), [User]);
        assert_eq!(methods(Rule::Only(PLAIN), offer, Tls, None), [PLAIN]);
    }

    #[test]
    fn without_tls_a_digest_is_tried_before_a_password_and_a_password_only_where_accepted() {
        assert_eq!(
            auto(EVERYTHING, true, ClearAccepted),
            [
                SCRAM_SHA_256,
                SCRAM_SHA_1,
                CRAM_MD5,
                Apop,
                PLAIN,
                LOGIN,
                User
            ]
        );
        assert_eq!(auto("SASL PLAIN", true, ClearAccepted), [Apop, PLAIN, User]);
        assert_eq!(auto("SASL PLAIN", false, ClearAccepted), [PLAIN, User]);
        assert_eq!(auto(EVERYTHING, true, Clear), []);
    }

    fn plainly(method: Method) -> LastLogin {
        LastLogin {
            method,
            after_refused: None,
        }
    }

    fn instead(method: Method, refused: Method) -> LastLogin {
        LastLogin {
            method,
            after_refused: Some(refused),
        }
    }

    #[test]
    fn what_worked_comes_first_among_what_is_as_safe_and_only_where_it_is_allowed_at_all() {
        let worked = |method, protection| {
            let worked = Some(plainly(method));
            remembering("SASL PLAIN LOGIN SCRAM-SHA-1", false, protection, worked)
        };
        assert_eq!(worked(PLAIN, Tls), [SCRAM_SHA_1, PLAIN, LOGIN, User]);
        assert_eq!(worked(User, Tls), [SCRAM_SHA_1, User, PLAIN, LOGIN]);
        assert_eq!(worked(SCRAM_SHA_1, Tls), [SCRAM_SHA_1, PLAIN, LOGIN, User]);
        assert_eq!(
            worked(SCRAM_SHA_256, Tls),
            [SCRAM_SHA_1, PLAIN, LOGIN, User]
        );
        assert_eq!(worked(CRAM_MD5, Tls), [SCRAM_SHA_1, PLAIN, LOGIN, User]);
        assert_eq!(worked(PLAIN, Clear), []);
        let offer = Offer {
            capabilities: None,
            timestamp: false,
        };
        let named = methods(Rule::Only(SCRAM_SHA_1), offer, Tls, Some(plainly(PLAIN)));
        assert_eq!(named, [SCRAM_SHA_1]);
    }

    #[test]
    fn what_worked_comes_before_what_was_refused_then_and_after_what_is_safer_still() {
        let worked = |worked| remembering(EVERYTHING, true, ClearAccepted, Some(worked));
        assert_eq!(
            worked(instead(PLAIN, SCRAM_SHA_256)),
            [
                PLAIN,
                SCRAM_SHA_256,
                SCRAM_SHA_1,
                CRAM_MD5,
                Apop,
                LOGIN,
                User
            ]
        );
        assert_eq!(
            worked(instead(User, CRAM_MD5)),
            [
                SCRAM_SHA_256,
                SCRAM_SHA_1,
                User,
                CRAM_MD5,
                Apop,
                PLAIN,
                LOGIN
            ]
        );
        assert_eq!(
            worked(plainly(Apop)),
            [
                SCRAM_SHA_256,
                SCRAM_SHA_1,
                Apop,
                CRAM_MD5,
                PLAIN,
                LOGIN,
                User
            ]
        );
        // It was refused, and is not offered any more.
        let gone = remembering("SASL PLAIN SCRAM-SHA-1", false, Tls, {
            Some(instead(PLAIN, SCRAM_SHA_256))
        });
        assert_eq!(gone, [PLAIN, SCRAM_SHA_1, User]);
    }

    #[test]
    fn what_worked_is_remembered_in_words() {
        for (worked, text) in [
            (plainly(User), "USER"),
            (
                instead(PLAIN, SCRAM_SHA_256),
                "PLAIN instead of SCRAM-SHA-256",
            ),
        ] {
            assert_eq!(worked.to_string(), text);
            assert_eq!(text.parse(), Ok(worked));
        }
        for unknown in ["", "NTLM", "PLAIN instead of NTLM", "PLAIN instead of "] {
            assert!(unknown.parse::<LastLogin>().is_err());
        }
    }

    #[test]
    fn the_second_mechanism_gives_the_server_what_it_may_have_lacked() {
        let over_tls = auto(EVERYTHING, true, Tls);
        assert_eq!(second(&over_tls, SCRAM_SHA_256), Some(PLAIN));
        assert_eq!(second(&[Apop, LOGIN, User], Apop), Some(LOGIN));
        assert_eq!(second(&[PLAIN, LOGIN, User], PLAIN), Some(LOGIN));
        assert_eq!(second(&[SCRAM_SHA_256], SCRAM_SHA_256), None);
        assert_eq!(second(&[], Apop), None);
    }

    #[test]
    fn a_named_mechanism_is_the_only_one() {
        let capabilities = capabilities("SASL PLAIN");
        for protection in [Tls, ClearAccepted, Clear] {
            for timestamp in [true, false] {
                let offer = Offer {
                    capabilities: Some(&capabilities),
                    timestamp,
                };
                for named in Method::all() {
                    let found = methods(Rule::Only(named), offer, protection, None);
                    let safe = protection != Clear || !named.exposes_secret();
                    let possible = named != Apop || timestamp;
                    assert_eq!(found.contains(&named), safe && possible, "{named}");
                    assert!(found.len() <= 1);
                }
            }
        }
    }

    #[test]
    fn every_mechanism_has_a_name_of_its_own() {
        for method in Method::all() {
            assert_eq!(method.name().parse(), Ok(method));
            let written = method.name().to_ascii_lowercase();
            assert_eq!(written.parse(), Ok(Rule::Only(method)));
        }
        assert_eq!("NTLM".parse::<Method>(), Err(UnknownMethod));
        assert_eq!(Method::all().count() + 1, Rule::NAMES.len());
        assert_eq!("PLAIN".parse::<Rule>(), Err(UnknownMethod));
    }
}
