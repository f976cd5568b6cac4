//! Which ways to log in, and in which order.

use std::fmt;

use super::capability::Capabilities;
use super::sasl::Plain;

/// A way to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// SASL PLAIN (RFC 4616).
    Plain,
    /// USER and PASS (RFC 1939 section 7).
    User,
    /// APOP (RFC 1939 section 7).
    Apop,
}

/// Its name in the configuration, in capitals.
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Plain => "PLAIN",
            Method::User => "USER",
            Method::Apop => "APOP",
        })
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

/// The ways to log in, in the order to try them; none where the rule allows nothing that this
/// connection can safely carry.
///
/// Never weaker than the rule, and a password crosses a connection without TLS only where that is
/// accepted. There APOP comes first, since it keeps the password itself from a listener; without the
/// owner's consent it is used only if named, because its digest can be attacked at leisure.
/// USER is not given up when it is not announced: many servers never do, or have no CAPA.
#[must_use]
pub fn methods(rule: Rule, offer: Offer<'_>, protection: Protection) -> Vec<Method> {
    let apop = offer.stamp.then_some(Method::Apop);
    let plain = offer
        .capabilities
        .filter(|capabilities| capabilities.offers(Plain::NAME))
        .map(|_| Method::Plain);
    let user = Some(Method::User);
    match (rule, protection) {
        (Rule::Only(Method::Apop), _) => apop.into_iter().collect(),
        (_, Protection::Clear) => Vec::new(),
        (Rule::Only(method), _) => vec![method],
        (Rule::Auto, Protection::Tls) => [plain, user].into_iter().flatten().collect(),
        (Rule::Auto, Protection::ClearAccepted) => {
            [apop, plain, user].into_iter().flatten().collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Method::{Apop, Plain, User};
    use super::Protection::{Clear, ClearAccepted, Tls};
    use super::*;

    fn capabilities(sasl: &str) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.add(sasl.as_bytes()).expect("one line");
        capabilities
    }

    fn auto(sasl: &str, stamp: bool, protection: Protection) -> Vec<Method> {
        let capabilities = capabilities(sasl);
        let offer = Offer {
            capabilities: Some(&capabilities),
            stamp,
        };
        methods(Rule::Auto, offer, protection)
    }

    #[test]
    fn over_tls_plain_comes_before_user_and_apop_is_not_needed() {
        assert_eq!(auto("SASL LOGIN PLAIN", true, Tls), [Plain, User]);
        assert_eq!(auto("SASL XOAUTH2", true, Tls), [User]);
        assert_eq!(auto("TOP", false, Tls), [User]);
    }

    #[test]
    fn a_server_without_capa_gets_user() {
        let offer = Offer {
            capabilities: None,
            stamp: false,
        };
        assert_eq!(methods(Rule::Auto, offer, Tls), [User]);
        assert_eq!(methods(Rule::Only(Plain), offer, Tls), [Plain]);
    }

    #[test]
    fn without_tls_a_digest_is_tried_before_a_password_and_a_password_only_where_accepted() {
        assert_eq!(auto("SASL PLAIN", true, ClearAccepted), [Apop, Plain, User]);
        assert_eq!(auto("SASL PLAIN", false, ClearAccepted), [Plain, User]);
        assert_eq!(auto("SASL PLAIN", true, Clear), []);
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
                let apop = methods(Rule::Only(Apop), offer, protection);
                assert_eq!(apop, if stamp { vec![Apop] } else { vec![] });
                for named in [Plain, User] {
                    let found = methods(Rule::Only(named), offer, protection);
                    assert_eq!(
                        found,
                        if protection == Clear {
                            vec![]
                        } else {
                            vec![named]
                        }
                    );
                }
            }
        }
    }
}
