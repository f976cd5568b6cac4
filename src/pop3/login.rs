//! Which ways to log in, and in which order.

use std::fmt;

use super::capability::Capabilities;
use super::sasl::{CramMd5, External, Hash, Login, OauthBearer, Plain, Xoauth2};

/// A way to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// USER and PASS (RFC 1939 section 7).
    User,
    /// APOP (RFC 1939 section 7).
    Apop,
    /// SASL PLAIN (RFC 4616).
    Plain,
    /// SASL LOGIN.
    Login,
    /// SASL CRAM-MD5 (RFC 2195).
    CramMd5,
    /// SASL SCRAM (RFC 5802, RFC 7677).
    Scram(Hash),
    /// The same, bound to the TLS connection by the server's certificate.
    ScramPlus(Hash),
    /// SASL EXTERNAL (RFC 4422): by client certificate.
    External,
    /// SASL XOAUTH2: by access token.
    Xoauth2,
    /// SASL OAUTHBEARER (RFC 7628): by access token.
    OauthBearer,
}

impl Method {
    /// Every way.
    pub const ALL: [Method; 12] = [
        Method::User,
        Method::Apop,
        Method::Plain,
        Method::Login,
        Method::CramMd5,
        Method::Scram(Hash::Sha1),
        Method::ScramPlus(Hash::Sha1),
        Method::Scram(Hash::Sha256),
        Method::ScramPlus(Hash::Sha256),
        Method::External,
        Method::Xoauth2,
        Method::OauthBearer,
    ];

    /// Its name in capitals: the mechanism's where it is SASL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Method::User => "USER",
            Method::Apop => "APOP",
            Method::Plain => Plain::NAME,
            Method::Login => Login::NAME,
            Method::CramMd5 => CramMd5::NAME,
            Method::Scram(hash) => hash.mechanism(),
            Method::ScramPlus(hash) => hash.mechanism_plus(),
            Method::External => External::NAME,
            Method::Xoauth2 => Xoauth2::NAME,
            Method::OauthBearer => OauthBearer::NAME,
        }
    }

    /// The way of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Method::ALL.into_iter().find(|method| method.name() == name)
    }

    /// Whether the server, and whoever listens, gets the password or token itself.
    #[must_use]
    pub fn shows_secret(self) -> bool {
        match self {
            Method::User | Method::Plain | Method::Login => true,
            Method::Xoauth2 | Method::OauthBearer => true,
            Method::Apop | Method::CramMd5 | Method::External => false,
            Method::Scram(_) | Method::ScramPlus(_) => false,
        }
    }

    /// Whether the server has to prove that it knows the password, too.
    #[must_use]
    pub fn proves_server(self) -> bool {
        matches!(self, Method::Scram(_) | Method::ScramPlus(_))
    }

    /// Whether the secret is an access token.
    #[must_use]
    pub fn takes_token(self) -> bool {
        matches!(self, Method::Xoauth2 | Method::OauthBearer)
    }

    /// How well it keeps the password from whoever is at the other end, or listens.
    fn safety(self) -> Safety {
        match self {
            _ if self.proves_server() => Safety::Proven,
            _ if self.shows_secret() => Safety::Shown,
            _ => Safety::Digested,
        }
    }
}

/// The safest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Safety {
    /// They get it.
    Shown,
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

/// A way to log in that worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastLogin {
    /// The way.
    pub way: Method,
    /// The one that the server had refused before.
    pub after_refused: Option<Method>,
}

impl LastLogin {
    /// What this text says that Display has made.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        let (way, refused) = match text.split_once(INSTEAD_OF) {
            Some((way, refused)) => (way, Some(Method::named(refused)?)),
            None => (text, None),
        };
        Some(LastLogin {
            way: Method::named(way)?,
            after_refused: refused,
        })
    }
}

const INSTEAD_OF: &str = " instead of ";

/// As a journal remembers it: `PLAIN instead of SCRAM-SHA-256`.
impl fmt::Display for LastLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.way)?;
        match self.after_refused {
            Some(refused) => write!(f, "{INSTEAD_OF}{refused}"),
            None => Ok(()),
        }
    }
}

/// Which ways the account's owner allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Whatever is safe on the connection, the best first.
    Auto,
    /// This one alone, whether the server announces it or not.
    Only(Method),
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
    /// Whether its greeting has a stamp that [`super::apop::stamp`] accepts.
    pub stamp: bool,
}

impl Offer<'_> {
    /// USER is not given up when it is not announced: many servers never do, or have no CAPA.
    fn has(&self, method: Method) -> bool {
        match method {
            Method::User => true,
            Method::Apop => self.stamp,
            sasl => self
                .capabilities
                .is_some_and(|capabilities| capabilities.offers(sasl.name())),
        }
    }
}

/// What [`Rule::Auto`] takes over TLS: with SCRAM the server has to know the password, too.
const OVER_TLS: [Method; 5] = [
    Method::Scram(Hash::Sha256),
    Method::Scram(Hash::Sha1),
    Method::Plain,
    Method::Login,
    Method::User,
];

/// What [`Rule::Auto`] takes without TLS where that is accepted: what keeps the password itself from
/// a listener comes first.
const IN_CLEAR: [Method; 7] = [
    Method::Scram(Hash::Sha256),
    Method::Scram(Hash::Sha1),
    Method::CramMd5,
    Method::Apop,
    Method::Plain,
    Method::Login,
    Method::User,
];

/// The ways to log in, in the order to try them; none where the rule allows nothing that this
/// connection can safely carry. `worked` did so in an earlier run: it comes first if it is among them,
/// but for safer ways.
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
        (Rule::Only(Method::Apop), _) if !offer.stamp => return Vec::new(),
        (Rule::Only(method), Protection::Clear) if method.shows_secret() => return Vec::new(),
        (Rule::Only(method), _) => return vec![method],
        (Rule::Auto, Protection::Clear) => return Vec::new(),
        (Rule::Auto, Protection::Tls) => &OVER_TLS[..],
        (Rule::Auto, Protection::ClearAccepted) => &IN_CLEAR[..],
    };
    let offered = |method: &Method| offer.has(*method);
    match worked.filter(|worked| candidates.contains(&worked.way)) {
        Some(worked) => reordered(candidates, worked).filter(offered).collect(),
        None => candidates.iter().copied().filter(offered).collect(),
    }
}

/// The same ways with the one that worked before those that are as safe or less, and before the one
/// that was refused then with all behind it. A safer one stays in front of it: where it was not offered
/// then, somebody may have hidden it.
fn reordered(candidates: &[Method], worked: LastLogin) -> impl Iterator<Item = Method> {
    let LastLogin { way, after_refused } = worked;
    let yields = move |&method: &Method| {
        method.safety() <= way.safety() || after_refused == Some(method) || method == way
    };
    let place = candidates.iter().position(yields).unwrap_or(0);
    let (safer, others) = candidates.split_at(place);
    let others = others.iter().filter(move |&&method| method != way);
    safer.iter().copied().chain([way]).chain(others.copied())
}

/// The one way to try where the first turned out to be of no use; there is no third.
///
/// What only proves a password needs a server that has it in the right form. One that lacks it for
/// the first such way most likely lacks it for the others: next comes what gives the server the
/// password, which is safe wherever it is among these ways.
#[must_use]
pub fn second(methods: &[Method], first: Method) -> Option<Method> {
    let others = || methods.iter().copied().filter(|&method| method != first);
    let shown = others().find(|method| method.shows_secret());
    match first.shows_secret() {
        true => others().next(),
        false => shown.or_else(|| others().next()),
    }
}

#[cfg(test)]
mod tests {
    use super::Method::{Apop, CramMd5, Login, Plain, User};
    use super::Protection::{Clear, ClearAccepted, Tls};
    use super::*;

    const SCRAM_1: Method = Method::Scram(Hash::Sha1);
    const SCRAM_256: Method = Method::Scram(Hash::Sha256);
    const EVERYTHING: &str = "SASL EXTERNAL OAUTHBEARER XOAUTH2 PLAIN LOGIN CRAM-MD5 DIGEST-MD5 \
                              SCRAM-SHA-1 SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-256-PLUS NTLM";

    fn capabilities(sasl: &str) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.add(sasl.as_bytes()).expect("one line");
        capabilities
    }

    fn remembering(
        sasl: &str,
        stamp: bool,
        protection: Protection,
        worked: Option<LastLogin>,
    ) -> Vec<Method> {
        let capabilities = capabilities(sasl);
        let offer = Offer {
            capabilities: Some(&capabilities),
            stamp,
        };
        methods(Rule::Auto, offer, protection, worked)
    }

    fn auto(sasl: &str, stamp: bool, protection: Protection) -> Vec<Method> {
        remembering(sasl, stamp, protection, None)
    }

    #[test]
    fn over_tls_scram_comes_before_plain_login_and_user() {
        assert_eq!(
            auto(EVERYTHING, true, Tls),
            [SCRAM_256, SCRAM_1, Plain, Login, User]
        );
        assert_eq!(auto("SASL LOGIN PLAIN", true, Tls), [Plain, Login, User]);
        assert_eq!(auto("SASL XOAUTH2 CRAM-MD5", true, Tls), [User]);
        assert_eq!(auto("TOP", false, Tls), [User]);
    }

    #[test]
    fn a_server_without_capa_gets_user() {
        let offer = Offer {
            capabilities: None,
            stamp: false,
        };
        assert_eq!(methods(Rule::Auto, offer, Tls, None), [User]);
        assert_eq!(methods(Rule::Only(Plain), offer, Tls, None), [Plain]);
    }

    #[test]
    fn without_tls_a_digest_is_tried_before_a_password_and_a_password_only_where_accepted() {
        assert_eq!(
            auto(EVERYTHING, true, ClearAccepted),
            [SCRAM_256, SCRAM_1, CramMd5, Apop, Plain, Login, User]
        );
        assert_eq!(auto("SASL PLAIN", true, ClearAccepted), [Apop, Plain, User]);
        assert_eq!(auto("SASL PLAIN", false, ClearAccepted), [Plain, User]);
        assert_eq!(auto(EVERYTHING, true, Clear), []);
    }

    fn plainly(way: Method) -> LastLogin {
        let after_refused = None;
        LastLogin { way, after_refused }
    }

    fn instead(way: Method, refused: Method) -> LastLogin {
        let after_refused = Some(refused);
        LastLogin { way, after_refused }
    }

    #[test]
    fn what_worked_comes_first_among_what_is_as_safe_and_only_where_it_is_allowed_at_all() {
        let worked = |method, protection| {
            let worked = Some(plainly(method));
            remembering("SASL PLAIN LOGIN SCRAM-SHA-1", false, protection, worked)
        };
        assert_eq!(worked(Plain, Tls), [SCRAM_1, Plain, Login, User]);
        assert_eq!(worked(User, Tls), [SCRAM_1, User, Plain, Login]);
        assert_eq!(worked(SCRAM_1, Tls), [SCRAM_1, Plain, Login, User]);
        assert_eq!(worked(SCRAM_256, Tls), [SCRAM_1, Plain, Login, User]);
        assert_eq!(worked(CramMd5, Tls), [SCRAM_1, Plain, Login, User]);
        assert_eq!(worked(Plain, Clear), []);
        let offer = Offer {
            capabilities: None,
            stamp: false,
        };
        let named = methods(Rule::Only(SCRAM_1), offer, Tls, Some(plainly(Plain)));
        assert_eq!(named, [SCRAM_1]);
    }

    #[test]
    fn what_worked_comes_before_what_was_refused_then_and_behind_what_is_safer_still() {
        let worked = |worked| remembering(EVERYTHING, true, ClearAccepted, Some(worked));
        assert_eq!(
            worked(instead(Plain, SCRAM_256)),
            [Plain, SCRAM_256, SCRAM_1, CramMd5, Apop, Login, User]
        );
        assert_eq!(
            worked(instead(User, CramMd5)),
            [SCRAM_256, SCRAM_1, User, CramMd5, Apop, Plain, Login]
        );
        assert_eq!(
            worked(plainly(Apop)),
            [SCRAM_256, SCRAM_1, Apop, CramMd5, Plain, Login, User]
        );
        // It was refused, and is not offered any more.
        let gone = remembering("SASL PLAIN SCRAM-SHA-1", false, Tls, {
            Some(instead(Plain, SCRAM_256))
        });
        assert_eq!(gone, [Plain, SCRAM_1, User]);
    }

    #[test]
    fn what_worked_is_remembered_in_words() {
        for (worked, text) in [
            (plainly(User), "USER"),
            (instead(Plain, SCRAM_256), "PLAIN instead of SCRAM-SHA-256"),
        ] {
            assert_eq!(worked.to_string(), text);
            assert_eq!(LastLogin::named(text), Some(worked));
        }
        for unknown in ["", "NTLM", "PLAIN instead of NTLM", "PLAIN instead of "] {
            assert_eq!(LastLogin::named(unknown), None);
        }
    }

    #[test]
    fn the_second_way_gives_the_server_what_it_may_have_lacked() {
        let over_tls = auto(EVERYTHING, true, Tls);
        assert_eq!(second(&over_tls, SCRAM_256), Some(Plain));
        assert_eq!(second(&[Apop, Login, User], Apop), Some(Login));
        assert_eq!(second(&[Plain, Login, User], Plain), Some(Login));
        assert_eq!(second(&[SCRAM_256], SCRAM_256), None);
        assert_eq!(second(&[], Apop), None);
    }

    #[test]
    fn a_named_way_is_the_only_one() {
        let capabilities = capabilities("SASL PLAIN");
        for protection in [Tls, ClearAccepted, Clear] {
            for stamp in [true, false] {
                let offer = Offer {
                    capabilities: Some(&capabilities),
                    stamp,
                };
                for named in Method::ALL {
                    let found = methods(Rule::Only(named), offer, protection, None);
                    let safe = protection != Clear || !named.shows_secret();
                    let possible = named != Apop || stamp;
                    assert_eq!(found.contains(&named), safe && possible, "{named}");
                    assert!(found.len() <= 1);
                }
            }
        }
    }

    #[test]
    fn every_way_has_a_name_of_its_own() {
        for method in Method::ALL {
            assert_eq!(Method::named(method.name()), Some(method));
        }
        assert_eq!(Method::named("NTLM"), None);
    }
}
