//! Logging in: from a server that does not know us to the open maildrop.

use log::debug;
use zeroize::Zeroizing;

use super::authorization::Authorization;
use super::refusal::{When, not_announced, refused_login, way_out};
use super::transaction::Transaction;
use crate::error::{Failure, Kind, OrFail, Result};
use crate::net::Awaited;
use crate::pop3::login::{LastLogin, Method, Offer, Protection, Rule, methods, second};
use crate::pop3::{Capabilities, Command, ResponseCode, apop, carries_initial};
use crate::sasl::{self, Aborted, Answer, Exchange, Mechanism, Next, Parameters, Unfit};
use crate::secret::Secret;

/// Who logs in, and how it may be done.
pub struct Login<'a> {
    /// The user's name at the server.
    pub user: &'a str,
    /// The password or access token; none where a certificate says who we are.
    pub secret: Option<&'a Secret>,
    /// The server's name and port, which OAUTHBEARER repeats to the server.
    pub host: &'a str,
    /// See there.
    pub port: u16,
    /// Which mechanisms are allowed.
    pub rule: Rule,
    /// Whether a password may cross a connection without TLS.
    pub allow_cleartext: bool,
    /// The mechanism that worked before.
    pub worked: Option<LastLogin>,
    /// What the server announced in an earlier session on such a connection.
    pub known: Option<Capabilities>,
    /// The mechanism that was refused on another connection, which ended with that: only the second is left.
    pub refused: Option<&'a Refusal>,
}

/// A mechanism that does not work here, though the password was not exposed.
#[derive(Debug, Clone)]
pub struct Refusal {
    method: Method,
    failure: Failure,
    /// The server says that it is about the credentials (RFC 3206).
    is_about_credentials: bool,
    /// The capabilities that the mechanism was chosen by, where they were those of an earlier session.
    presumed: Option<Capabilities>,
}

impl Refusal {
    fn new(method: Method, code: Option<ResponseCode>, failure: Failure) -> Self {
        Refusal {
            method,
            failure,
            is_about_credentials: code == Some(ResponseCode::Auth),
            presumed: None,
        }
    }

    /// The failure where no second mechanism could be tried for this reason: the first refusal is what has
    /// to be dealt with.
    #[must_use]
    pub fn left_alone(&self, because: &Failure) -> Failure {
        let Refusal { failure, .. } = self;
        let reported = Failure::new(failure.kind(), failure.to_string())
            .because(format!("no other mechanism could be tried: {because}"));
        let hints = failure.hints().iter();
        hints.fold(reported, |reported, hint| reported.hint(hint))
    }
}

/// What came of it.
pub enum LoggedIn {
    /// The maildrop is open, and this is how.
    Open(Box<OpenMaildrop>),
    /// The server refused a mechanism and hung up; a new connection may try the second.
    HungUp(Refusal),
}

/// What a login leads to.
pub struct OpenMaildrop {
    /// The maildrop.
    pub transaction: Transaction,
    /// How the login worked.
    pub login: LastLogin,
    /// What the server announced before; none where it was not asked, or has no CAPA.
    pub announced: Option<Capabilities>,
}

impl Authorization {
    /// Logs in, with the first mechanism that is allowed, safe on this connection and offered. A second one
    /// is tried only where the server cannot have refused the password itself, and a third never:
    /// servers lock accounts. None after a server that failed to prove itself, or that
    /// refused for another reason than the credentials.
    ///
    /// # Errors
    ///
    /// No such mechanism is left, or the server refused.
    pub fn log_in(mut self, login: &Login<'_>) -> Result<LoggedIn> {
        let left_alone = |failure| match login.refused {
            Some(refused) => refused.left_alone(&failure),
            None => failure,
        };
        self.learn_capabilities(login).map_err(left_alone)?;
        let mut refused = login.refused.cloned();
        let mut next = match &refused {
            Some(refused) => self.second(refused, login),
            None => self.methods(login).first().copied(),
        };
        while let Some(method) = next.take() {
            debug!("{}: logging in with {method}", self.wire.account());
            match (self.attempt(method, login), refused.take()) {
                (Ok(Attempt::Accepted), first) => {
                    let first = first.map(|first| first.method);
                    let refused = first.filter(|&first| first != method && self.offer().has(first));
                    return Ok(self.opened(login.worked_with(method, refused)));
                }
                (Ok(Attempt::Unusable(mut refusal)), None) => {
                    debug!("{}: {}", self.wire.account(), refusal.failure);
                    refusal.presumed = self.capabilities.clone().filter(|_| self.presumes);
                    // The second is known at once unless the server has to be asked what it offers.
                    next = self.second(&refusal, login);
                    if self.presumes || next.is_some() {
                        // Where nothing was presumed, a refusal without a second mechanism is reported at once.
                        let hung_up = self.has_hung_up().map_err(|lost| {
                            if refusal.presumed.is_some() {
                                refusal.left_alone(&lost)
                            } else {
                                lost
                            }
                        });
                        if hung_up? {
                            return Ok(LoggedIn::HungUp(refusal));
                        }
                    }
                    next = self.second(&refusal, login);
                    refused = Some(refusal);
                }
                (Ok(Attempt::Unusable(refusal)), Some(_)) => return Err(refusal.failure),
                (Ok(Attempt::Denied(failure)), _) => return Err(failure),
                (Err(unfit), Some(first)) if unfit.kind() == Kind::Config => {
                    return Err(first.left_alone(&unfit));
                }
                (Err(failure), _) => return Err(failure),
            }
        }
        Err(refused.map_or_else(
            || self.no_mechanism(login),
            |refused| self.explained(refused),
        ))
    }

    /// With what shows only once the server was asked: that the mechanism is not announced any more.
    fn explained(&self, refusal: Refusal) -> Failure {
        if refusal.presumed.is_some() && !self.offer().has(refusal.method) {
            refusal.failure.hint(not_announced(refusal.method))
        } else {
            refusal.failure
        }
    }

    fn opened(self, login: LastLogin) -> LoggedIn {
        let announced = self.capabilities.clone().filter(|_| !self.presumes);
        LoggedIn::Open(Box::new(OpenMaildrop {
            transaction: Transaction::new(self.wire, self.capabilities, self.presumes),
            login,
            announced,
        }))
    }

    /// Asks what the server can do, unless an earlier session on such a connection knows that: a round trip less. Only
    /// where nothing better could be offered meanwhile: the server has to prove itself, or the account's owner has named
    /// the mechanism. And only where a refusal is not the end, since the server is asked after it.
    fn learn_capabilities(&mut self, login: &Login<'_>) -> Result<()> {
        self.capabilities = login.known.clone().filter(|_| self.wire.is_protected());
        let best = self.methods(login).first().copied();
        let is_best = |method: Method| {
            method.proves_server() || !method.exposes_secret() && login.rule == Rule::Only(method)
        };
        self.presumes = self.capabilities.is_some() && best.is_some_and(is_best);
        if !self.presumes {
            self.ask_capabilities()?;
        }
        self.turn_to_utf8()
    }

    /// Whether the server has hung up since its last answer. It is asked for something harmless: once a
    /// password was sent, a lost connection would not show whether it came through, and it would be sent twice.
    fn has_hung_up(&mut self) -> Result<bool> {
        // What lies there is its goodbye, and would be taken for the next answer.
        if self.wire.has_leftover() {
            return Ok(true);
        }
        let asked = if self.presumes {
            self.ask_anew()
        } else {
            self.wire
                .send(&Command::Capa)
                .and_then(|()| self.wire.capabilities().map(drop))
        };
        match asked {
            Ok(()) => Ok(false),
            Err(lost) if lost.kind() == Kind::Unreachable => Ok(true),
            Err(failure) => Err(failure),
        }
    }

    /// Asks for the capabilities that were presumed, and for messages as they are, where that was not known to be needed.
    fn ask_anew(&mut self) -> Result<()> {
        let turned = self.announced(|capabilities| capabilities.utf8);
        self.ask_capabilities()?;
        if turned {
            return Ok(());
        }
        self.turn_to_utf8()
    }

    /// The mechanism to try after this refusal. Where the refused one was chosen by what an earlier session knew, the server
    /// says now what it offers: without that mechanism, the login begins anew; with it, an answer about the
    /// credentials is the end.
    fn second(&self, refusal: &Refusal, login: &Login<'_>) -> Option<Method> {
        let methods = self.methods(login);
        let Some(presumed) = &refusal.presumed else {
            return second(&methods, refusal.method);
        };
        let is_offered = self.offer().has(refusal.method);
        let offers_binding = self.announced(Capabilities::offers_binding);
        if is_offered && offers_binding != presumed.offers_binding() {
            // SCRAM says whether the server is believed to offer channel binding, and must fail where that is wrong.
            return Some(refusal.method);
        }
        if !is_offered {
            return methods.into_iter().find(|&method| method != refusal.method);
        }
        second(&methods, refusal.method).filter(|_| !refusal.is_about_credentials)
    }

    /// The mechanisms in the order to try them.
    fn methods(&self, login: &Login<'_>) -> Vec<Method> {
        let protection = self.protection(login);
        methods(login.rule, self.offer(), protection, login.worked)
    }

    fn offer(&self) -> Offer<'_> {
        Offer {
            capabilities: self.capabilities.as_ref(),
            timestamp: self.timestamp.is_some(),
        }
    }

    fn protection(&self, login: &Login<'_>) -> Protection {
        match (self.wire.is_protected(), login.allow_cleartext) {
            (true, _) => Protection::Tls,
            (false, true) => Protection::ClearAccepted,
            (false, false) => Protection::Clear,
        }
    }

    /// There is nothing to try.
    fn no_mechanism(&self, login: &Login<'_>) -> Failure {
        let host = self.wire.host();
        match (login.rule, self.protection(login)) {
            (Rule::Only(Method::Apop), _) => Failure::new(
                Kind::Auth,
                format!("{host} does not offer APOP: its greeting has no usable timestamp"),
            )
            .hint("Use auth = \"auto\"."),
            (_, Protection::Clear) => Failure::new(
                Kind::Config,
                format!("the connection to {host} is not protected, so no password is sent"),
            )
            .hint("Use tls = \"implicit\" or \"starttls\"."),
            _ => Failure::new(
                Kind::Auth,
                format!("{host} offers no authentication mechanism that is allowed here"),
            ),
        }
    }
}

/// What came of one mechanism.
enum Attempt {
    Accepted,
    /// It does not work here, and the password was not exposed: a second may be tried.
    Unusable(Refusal),
    /// The server refused, and that is that.
    Denied(Failure),
}

impl Attempt {
    /// The server refused. Some announce a mechanism without having the secrets that it needs.
    fn refused(method: Method, denied: Denial, exposed: bool) -> Self {
        if denied.failure.kind() == Kind::Auth && !exposed {
            Attempt::Unusable(Refusal::new(method, denied.code, denied.failure))
        } else {
            Attempt::Denied(denied.failure)
        }
    }
}

/// What the server says where it refuses a login.
struct Denial {
    code: Option<ResponseCode>,
    failure: Failure,
}

impl Authorization {
    fn attempt(&mut self, method: Method, login: &Login<'_>) -> Result<Attempt> {
        match method {
            Method::User => self.user_and_pass(login),
            Method::Apop => self.apop(login),
            Method::Sasl(mechanism) => self.auth(mechanism, login),
        }
    }

    fn user_and_pass(&mut self, login: &Login<'_>) -> Result<Attempt> {
        let name = Command::User(login.user.as_bytes());
        match self.ask(Method::User, false, login, &name, "the answer to USER")? {
            Attempt::Accepted => {
                let password = Command::Pass(login.secret());
                self.ask(Method::User, true, login, &password, "the answer to PASS")
            }
            refused => Ok(refused),
        }
    }

    fn apop(&mut self, login: &Login<'_>) -> Result<Attempt> {
        let timestamp = self.timestamp.clone().unwrap_or_default();
        let [user, secret] = self.for_apop(login);
        let digest = apop::digest(&timestamp, &secret);
        self.wire.censor().hide(digest.as_bytes());
        let (user, digest) = (&user, &digest);
        let command = Command::Apop { user, digest };
        self.ask(Method::Apop, false, login, &command, "the answer to APOP")
    }

    /// Name and password for APOP. A server that announces more than ASCII makes its digest of the
    /// prepared password, and cannot prepare what is in ours (RFC 6856 section 2.2). What comes with USER
    /// and PASS it prepares itself.
    fn for_apop(&self, login: &Login<'_>) -> [Zeroizing<Vec<u8>>; 2] {
        let prepares = self.announced(|capabilities| capabilities.utf8_user);
        [login.user.as_bytes(), login.secret()].map(|text| {
            if prepares {
                sasl::prepared(text)
            } else {
                Zeroizing::new(text.to_vec())
            }
        })
    }

    /// One command of the login and its answer; `exposes` is whether the password is in it.
    ///
    /// These carry ASCII, unless the server announces more (RFC 6856 section 2.2; no UTF8 command is
    /// needed for that). Most take any bytes without a word about it, so that it is tried all the same.
    fn ask(
        &mut self,
        method: Method,
        exposes: bool,
        login: &Login<'_>,
        command: &Command<'_>,
        awaited: &'static str,
    ) -> Result<Attempt> {
        let daring = !login.is_ascii() && !self.announced(|capabilities| capabilities.utf8_user);
        let when = self.when(method);
        self.wire.send(command)?;
        self.wire.reply(Awaited::named(awaited), |said| {
            if said.reply.is_ok() {
                return Attempt::Accepted;
            }
            let mut failure = said.failure("the login", when);
            if failure.kind() == Kind::Auth && daring {
                failure = failure.hint(BEYOND_ASCII);
            }
            let code = said.reply.code;
            Attempt::refused(method, Denial { code, failure }, exposes)
        })
    }

    /// A SASL exchange. Its initial response goes with AUTH where the server announces mechanisms: without that it must
    /// not (RFC 5034 section 3).
    fn auth(&mut self, mechanism: Mechanism, login: &Login<'_>) -> Result<Attempt> {
        let client = mechanism.client(&self.parameters(login)?);
        let client = client.map_err(|unfit| self.unfit(mechanism, unfit))?;
        let announced = self.announced(Capabilities::has_sasl);
        let mut exchange = Exchange::new(client, |initial| {
            announced && carries_initial(mechanism.name(), initial)
        });
        if let Some(initial) = exchange.initial() {
            let user = login.user.as_bytes();
            self.wire.censor().hide_response(initial, user);
        }
        self.wire.send(&Command::Auth {
            mechanism: mechanism.name(),
            initial: exchange.initial(),
        })?;
        loop {
            match self.turn(mechanism, login, &mut exchange) {
                Ok(None) => {}
                Ok(Some(attempt)) => return Ok(attempt),
                Err(lost) => return self.cut_short(mechanism, &exchange, lost),
            }
        }
    }

    fn parameters<'a>(&self, login: &'a Login<'_>) -> Result<Parameters<'a>> {
        let mut random = [0; 18];
        getrandom::fill(&mut random)
            .or_fail(Kind::Io, || "this machine gives no random numbers")?;
        Ok(Parameters {
            user: login.user.as_bytes(),
            secret: login.secret(),
            host: login.host,
            port: login.port,
            end_point: self.wire.end_point(),
            offers_binding: self.announced(Capabilities::offers_binding),
            random,
        })
    }

    fn unfit(&self, mechanism: Mechanism, unfit: Unfit) -> Failure {
        match unfit {
            Unfit::NoBinding => {
                let message = format!("{mechanism} is not possible with {}", self.wire.host());
                Failure::new(Kind::Auth, message)
                    .because(unfit)
                    .hint("Use auth = \"auto\".")
            }
            Unfit::Empty { .. } | Unfit::Forbidden { .. } => {
                Failure::new(Kind::Config, "this user and password cannot be sent").because(unfit)
            }
        }
    }

    /// Takes the next answer, and goes on or says what came of it.
    fn turn(
        &mut self,
        mechanism: Mechanism,
        login: &Login<'_>,
        exchange: &mut Exchange,
    ) -> Result<Option<Attempt>> {
        let exposed = exposes(mechanism, exchange);
        let awaited = Awaited::named("the answer to AUTH");
        let when = self.when(Method::Sasl(mechanism));
        let (next, denied) = self.wire.reply(awaited, |said| {
            let denied = Denial {
                code: said.reply.code,
                failure: said.failure("the login", when),
            };
            (exchange.proceed(Answer::from(&said.reply)), denied)
        })?;
        Ok(Some(match next {
            Next::Respond(response) => {
                let user = login.user.as_bytes();
                self.wire.censor().hide_response(response, user);
                self.wire.send(&Command::Respond(response))?;
                return Ok(None);
            }
            Next::Cancel => {
                self.wire.send(&Command::Cancel)?;
                return Ok(None);
            }
            Next::Done => Attempt::Accepted,
            Next::Denied => {
                let failure = self.with_complaint(denied.failure, exchange);
                let denied = Denial { failure, ..denied };
                Attempt::refused(Method::Sasl(mechanism), denied, exposed)
            }
            Next::Cancelled(reason) => self.cancelled(mechanism, &reason, exposed),
            Next::Untrusted(reason) => {
                let message = format!("{} cannot be trusted", self.wire.host());
                Attempt::Denied(self.broken_off(message, &reason))
            }
        }))
    }

    fn when(&self, method: Method) -> When {
        let marked = self.announced(|capabilities| capabilities.auth_resp_code);
        let is_sasl = matches!(method, Method::Sasl(_));
        let lists_others = |capabilities: &Capabilities| {
            capabilities.has_sasl() && !capabilities.offers(method.name())
        };
        When::Login {
            method,
            marked,
            unlisted: is_sasl && self.announced(lists_others),
        }
    }

    /// We broke the exchange off, so that the server never judged the password. One that had to prove
    /// itself gets nothing else, and one that was shown the password is not shown it again.
    fn cancelled(&self, mechanism: Mechanism, reason: &Aborted, exposed: bool) -> Attempt {
        let host = self.wire.host();
        let failure = match reason {
            Aborted::Credentials(_) => {
                refused_login(&host, Method::Sasl(mechanism)).because(self.wire.clean(reason))
            }
            _ => self.broken_off(format!("the login at {host} failed"), reason),
        };
        if mechanism.proves_server() || exposed {
            Attempt::Denied(failure)
        } else {
            Attempt::Unusable(Refusal::new(Method::Sasl(mechanism), None, failure))
        }
    }

    /// The server hung up, fell silent or talked nonsense. Where it had shown before why this login
    /// fails, that is the reason.
    fn cut_short(
        &self,
        mechanism: Mechanism,
        exchange: &Exchange,
        lost: Failure,
    ) -> Result<Attempt> {
        let attempt = match (exchange.cancelled(), exchange.complaint()) {
            (Some(reason), _) => self.cancelled(mechanism, reason, exposes(mechanism, exchange)),
            (None, Some(_)) => {
                let refused = refused_login(&self.wire.host(), Method::Sasl(mechanism));
                Attempt::Denied(self.with_complaint(refused, exchange))
            }
            (None, None) => return Err(lost),
        };
        Ok(match attempt {
            Attempt::Unusable(refusal) if lost.kind() != Kind::Unreachable => {
                Attempt::Denied(refusal.failure)
            }
            attempt => attempt,
        })
    }

    fn with_complaint(&self, denied: Failure, exchange: &Exchange) -> Failure {
        match exchange.complaint() {
            None => denied,
            Some(why) => denied.because(self.wire.clean(&format!("it says \"{why}\""))),
        }
    }

    fn broken_off(&self, message: String, reason: &Aborted) -> Failure {
        Failure::new(Kind::Protocol, message)
            .because(self.wire.clean(reason))
            .hint(way_out(reason, self.wire.is_protected()))
    }
}

impl Login<'_> {
    /// Whether name and password are such as every server understands.
    fn is_ascii(&self) -> bool {
        self.user.is_ascii() && self.secret().is_ascii()
    }

    /// What to remember once this mechanism has worked and that one not. What was refused in an earlier run
    /// still counts: it was not tried again.
    fn worked_with(&self, method: Method, refused: Option<Method>) -> LastLogin {
        let before = self.worked.filter(|worked| worked.method == method);
        let after_refused = refused.or(before.and_then(|worked| worked.after_refused));
        LastLogin {
            method,
            after_refused,
        }
    }

    /// The secret, or nothing; a mechanism that needs one refuses an empty one.
    fn secret(&self) -> &[u8] {
        self.secret.map(Secret::expose).unwrap_or_default()
    }
}

/// Whether the password may have crossed the wire in this exchange.
fn exposes(mechanism: Mechanism, exchange: &Exchange) -> bool {
    exchange.has_answered() && mechanism.exposes_secret()
}

const BEYOND_ASCII: &str = "The user's name or the password has other characters than ASCII, which the server does not \
                            promise to understand: a password of plain letters and digits would show whether that is it.";
