//! Logging in: from a server that does not know us to the open maildrop.

use log::debug;
use zeroize::Zeroizing;

use super::authorization::Authorization;
use super::refusal::{When, refused_login, way_out};
use super::transaction::Transaction;
use crate::error::{Failure, Kind, OrFail, Result};
use crate::net::Awaited;
use crate::pop3::login::{LastLogin, Method, Offer, Protection, Rule, methods, second};
use crate::pop3::sasl::{
    Binding, CramMd5, Exchange, External, Hash, Mechanism, Next, OauthBearer, Plain, Refused,
    Scram, Xoauth2, nonce,
};
use crate::pop3::{Capabilities, Command, Unsendable, apop, sasl};
use crate::secret::Secret;

/// Who logs in, and how it may be done.
pub struct Login<'a> {
    /// The user's name at the server.
    pub user: &'a str,
    /// The password or access token; none where a certificate says who we are.
    pub secret: Option<&'a Secret>,
    /// The server's port, which OAUTHBEARER tells the server.
    pub port: u16,
    /// Which ways are allowed.
    pub rule: Rule,
    /// Whether a password may cross a connection without TLS.
    pub allow_cleartext: bool,
    /// The way that worked before.
    pub worked: Option<LastLogin>,
    /// The way that was refused on another connection, which ended with that: only the second is left.
    pub refused: Option<&'a Refusal>,
}

/// A way to log in that does not work here, though the password was not shown.
#[derive(Debug, Clone)]
pub struct Refusal {
    way: Method,
    failure: Failure,
}

impl Refusal {
    /// The failure where no second way could be tried for this reason: the first refusal is what has
    /// to be dealt with.
    #[must_use]
    pub fn left_alone(&self, because: &Failure) -> Failure {
        let Refusal { failure, .. } = self;
        let told = Failure::new(failure.kind(), failure.to_string());
        let told = told.because(format!("no other way could be tried: {because}"));
        let hints = failure.hints().iter();
        hints.fold(told, |told, hint| told.hint(hint))
    }
}

/// What came of it.
pub enum LoggedIn {
    /// The maildrop is open, and this is how.
    Open(Box<Transaction>, LastLogin),
    /// The server refused a way and hung up; a new connection may try the second.
    HungUp(Refusal),
}

impl Authorization {
    /// Logs in, with the first way that is allowed, safe on this connection and offered. A second one
    /// is tried only where the server cannot have refused the password itself, and a third never:
    /// servers lock accounts. None after a server that failed to prove itself, or that
    /// refused for another reason than the credentials.
    ///
    /// # Errors
    ///
    /// No such way is left, or the server refused.
    pub fn log_in(mut self, login: &Login<'_>) -> Result<LoggedIn> {
        let may_go_elsewhere = login.refused.is_none();
        let mut refused = login.refused.cloned();
        for method in self.ways(login) {
            if may_go_elsewhere
                && let Some(first) = &refused
                && self.has_hung_up()?
            {
                return Ok(LoggedIn::HungUp(first.clone()));
            }
            debug!("{}: logging in with {method}", self.wire.account());
            match (self.attempt(method, login), refused.take()) {
                (Ok(Attempt::Accepted), first) => {
                    let worked = login.worked_with(method, first.map(|first| first.way));
                    let transaction = Transaction::new(self.wire, self.capabilities);
                    return Ok(LoggedIn::Open(Box::new(transaction), worked));
                }
                (Ok(Attempt::Unusable(failure)), _) => {
                    debug!("{}: {failure}", self.wire.account());
                    let way = method;
                    refused = Some(Refusal { way, failure });
                }
                (Ok(Attempt::Denied(failure)), _) => return Err(failure),
                (Err(unfit), Some(first)) if unfit.kind() == Kind::Config => {
                    return Err(first.left_alone(&unfit));
                }
                (Err(failure), _) => return Err(failure),
            }
        }
        Err(refused.map_or_else(|| self.no_way(login), |refused| refused.failure))
    }

    /// Whether the server has hung up since its last answer. It is asked for something harmless: once a
    /// password was sent, nobody could tell whether it came through, and it would be shown twice.
    fn has_hung_up(&mut self) -> Result<bool> {
        // What lies there is its goodbye, and would be taken for the next answer.
        if self.wire.has_leftover() {
            return Ok(true);
        }
        let sent = self.wire.send(&Command::Capa);
        match sent.and_then(|()| self.wire.capabilities()) {
            Ok(_) => Ok(false),
            Err(lost) if lost.kind() == Kind::Unreachable => Ok(true),
            Err(failure) => Err(failure),
        }
    }

    /// The first way and the second; the second alone where the first was refused before.
    fn ways(&self, login: &Login<'_>) -> Vec<Method> {
        let offer = Offer {
            capabilities: self.capabilities.as_ref(),
            stamp: self.stamp.is_some(),
        };
        let methods = methods(login.rule, offer, self.protection(login), login.worked);
        let first = match login.refused {
            None => methods.first().copied(),
            Some(_) => None,
        };
        let refused = login.refused.map(|refused| refused.way);
        let other = refused.or(first).and_then(|it| second(&methods, it));
        first.into_iter().chain(other).collect()
    }

    fn protection(&self, login: &Login<'_>) -> Protection {
        match (self.wire.is_protected(), login.allow_cleartext) {
            (true, _) => Protection::Tls,
            (false, true) => Protection::ClearAccepted,
            (false, false) => Protection::Clear,
        }
    }

    /// There is nothing to try.
    fn no_way(&self, login: &Login<'_>) -> Failure {
        let host = self.wire.host();
        match (login.rule, self.protection(login)) {
            (Rule::Only(Method::Apop), _) => Failure::new(
                Kind::Auth,
                format!("{host} does not offer APOP: its greeting has no usable stamp"),
            )
            .hint("Use auth = \"auto\"."),
            (_, Protection::Clear) => Failure::new(
                Kind::Config,
                format!("the connection to {host} is not protected, so no password is sent"),
            )
            .hint("Use tls = \"implicit\" or \"starttls\"."),
            _ => Failure::new(
                Kind::Auth,
                format!("{host} offers no way to log in that is allowed here"),
            ),
        }
    }
}

/// What came of one way to log in.
enum Attempt {
    Accepted,
    /// This way does not work here, and the password was not shown: a second may be tried.
    Unusable(Failure),
    /// The server refused, and that is that.
    Denied(Failure),
}

impl Attempt {
    /// The server refused. Some announce a way without having the secrets that it needs.
    fn refused(failure: Failure, shown: bool) -> Self {
        match failure.kind() {
            Kind::Auth if !shown => Attempt::Unusable(failure),
            _ => Attempt::Denied(failure),
        }
    }
}

impl Authorization {
    fn attempt(&mut self, method: Method, login: &Login<'_>) -> Result<Attempt> {
        let (user, secret) = (login.user.as_bytes(), login.secret());
        let made = match method {
            Method::User => return self.user_and_pass(login),
            Method::Apop => return self.apop(login),
            Method::Plain => boxed(Plain::new(user, secret)),
            Method::Login => boxed(sasl::Login::new(user, secret)),
            Method::CramMd5 => boxed(CramMd5::new(user, secret)),
            Method::Scram(hash) => login.scram(hash, self.unbound())?,
            Method::ScramPlus(hash) => login.scram(hash, self.bound(hash)?)?,
            Method::External => boxed(External::new(user)),
            Method::Xoauth2 => boxed(Xoauth2::new(user, secret)),
            Method::OauthBearer => {
                let host = self.wire.host();
                boxed(OauthBearer::new(user, secret, &host, login.port))
            }
        };
        let mechanism = made.or_fail(Kind::Config, || "this user and password cannot be sent")?;
        let announced = self.announced(Capabilities::has_sasl);
        self.exchange(method, login, Exchange::new(mechanism, announced))
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
        let stamp = self.stamp.clone().unwrap_or_default();
        let [user, secret] = self.for_apop(login);
        let digest = apop::digest(&stamp, &secret);
        self.wire.censor().hide(digest.as_bytes());
        let (user, digest) = (&user, &digest);
        let command = Command::Apop { user, digest };
        self.ask(Method::Apop, false, login, &command, "the answer to APOP")
    }

    /// Name and password for APOP. A server that announces more than ASCII makes its digest of the
    /// prepared password, and cannot prepare what is in ours (RFC 6856 section 2.2). What comes with USER
    /// and PASS it prepares itself.
    fn for_apop(&self, login: &Login<'_>) -> [Zeroizing<Vec<u8>>; 2] {
        let form = match self.announced(|capabilities| capabilities.utf8_user) {
            true => sasl::prepared,
            false => |text: &[u8]| Zeroizing::new(text.to_vec()),
        };
        [login.user.as_bytes(), login.secret()].map(form)
    }

    /// SCRAM without binding: says that we could have, where the server announces no -PLUS. If the
    /// true server does, it learns that somebody took it away.
    fn unbound(&self) -> Binding {
        let announced = self.capabilities.as_ref();
        let mut announced = announced.into_iter().flat_map(Capabilities::mechanisms);
        let hidden = !announced.any(|name| name.ends_with("-PLUS"));
        match self.wire.end_point() {
            Some(_) if hidden => Binding::NotOffered,
            _ => Binding::None,
        }
    }

    /// SCRAM with binding, or not at all.
    fn bound(&self, hash: Hash) -> Result<Binding> {
        self.wire.end_point().map(Binding::EndPoint).ok_or_else(|| {
            let (host, name) = (self.wire.host(), hash.mechanism_plus());
            let message = format!("{name} is not possible with {host}");
            Failure::new(Kind::Auth, message)
                .because("it needs TLS, and a certificate whose signature has a hash of its own")
                .hint("Use auth = \"auto\".")
        })
    }

    /// One command of the login and its answer; `shows` is whether the password is in it.
    ///
    /// These carry ASCII, unless the server announces more (RFC 6856 section 2.2; no UTF8 command is
    /// needed for that). Most take any bytes without a word about it, so that it is tried all the same.
    fn ask(
        &mut self,
        method: Method,
        shows: bool,
        login: &Login<'_>,
        command: &Command<'_>,
        awaited: &'static str,
    ) -> Result<Attempt> {
        let daring = !login.is_ascii() && !self.announced(|capabilities| capabilities.utf8_user);
        let when = self.when(method);
        self.wire.send(command)?;
        self.wire
            .reply(Awaited::named(awaited), |said| match said.reply.is_ok() {
                true => Attempt::Accepted,
                false => {
                    let failure = said.failure("the login", when);
                    let failure = match failure.kind() == Kind::Auth && daring {
                        true => failure.hint(BEYOND_ASCII),
                        false => failure,
                    };
                    Attempt::refused(failure, shows)
                }
            })
    }

    fn exchange(
        &mut self,
        method: Method,
        login: &Login<'_>,
        mut exchange: Exchange,
    ) -> Result<Attempt> {
        if let Command::Auth {
            initial: Some(initial),
            ..
        } = exchange.command()
        {
            let user = login.user.as_bytes();
            self.wire.censor().hide_response(initial, user);
        }
        self.wire.send(&exchange.command())?;
        loop {
            match self.turn(method, login, &mut exchange) {
                Ok(None) => {}
                Ok(Some(attempt)) => return Ok(attempt),
                Err(lost) => return self.cut_short(method, &exchange, lost),
            }
        }
    }

    /// Takes the next answer, and goes on or says what came of it.
    fn turn(
        &mut self,
        method: Method,
        login: &Login<'_>,
        exchange: &mut Exchange,
    ) -> Result<Option<Attempt>> {
        let shown = shows(method, exchange);
        let awaited = Awaited::named("the answer to AUTH");
        let when = self.when(method);
        let (next, denied) = self.wire.reply(awaited, |said| {
            let denied = said.failure("the login", when);
            (exchange.proceed(&said.reply), denied)
        })?;
        Ok(Some(match next {
            Next::Send(command) => {
                if let Command::Respond(response) = command {
                    let user = login.user.as_bytes();
                    self.wire.censor().hide_response(response, user);
                }
                self.wire.send(&command)?;
                return Ok(None);
            }
            Next::Done => Attempt::Accepted,
            Next::Denied => Attempt::refused(self.with_complaint(denied, exchange), shown),
            Next::Cancelled(refused) => self.cancelled(method, &refused, shown),
            Next::Untrusted(refused) => {
                let message = format!("{} cannot be trusted", self.wire.host());
                Attempt::Denied(self.broken_off(message, &refused))
            }
        }))
    }

    fn when(&self, method: Method) -> When {
        let marked = self.announced(|capabilities| capabilities.auth_resp_code);
        let is_sasl = !matches!(method, Method::User | Method::Apop);
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
    fn cancelled(&self, method: Method, refused: &Refused, shown: bool) -> Attempt {
        let host = self.wire.host();
        let failure = match refused {
            Refused::Credentials { .. } => {
                refused_login(&host, method).because(self.wire.clean(refused))
            }
            _ => self.broken_off(format!("the login at {host} failed"), refused),
        };
        match method.proves_server() || shown {
            true => Attempt::Denied(failure),
            false => Attempt::Unusable(failure),
        }
    }

    /// The server hung up, fell silent or talked nonsense. Where it had shown before why this login
    /// fails, that is the reason.
    fn cut_short(&self, method: Method, exchange: &Exchange, lost: Failure) -> Result<Attempt> {
        let attempt = match (exchange.cancelled(), exchange.complaint()) {
            (Some(refused), _) => self.cancelled(method, refused, shows(method, exchange)),
            (None, Some(_)) => {
                let refused = refused_login(&self.wire.host(), method);
                Attempt::Denied(self.with_complaint(refused, exchange))
            }
            (None, None) => return Err(lost),
        };
        Ok(match attempt {
            Attempt::Unusable(failure) if lost.kind() != Kind::Unreachable => {
                Attempt::Denied(failure)
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

    fn broken_off(&self, message: String, refused: &Refused) -> Failure {
        Failure::new(Kind::Protocol, message)
            .because(self.wire.clean(refused))
            .hint(way_out(refused, self.wire.is_protected()))
    }
}

impl Login<'_> {
    /// Whether name and password are such as every server understands.
    fn is_ascii(&self) -> bool {
        self.user.is_ascii() && self.secret().is_ascii()
    }

    /// What to remember once this way has worked and this one not. What was refused in an earlier run
    /// still counts: it was not tried again.
    fn worked_with(&self, way: Method, refused: Option<Method>) -> LastLogin {
        let before = self.worked.filter(|worked| worked.way == way);
        let after_refused = refused.or(before.and_then(|worked| worked.after_refused));
        LastLogin { way, after_refused }
    }

    fn scram(&self, hash: Hash, binding: Binding) -> Result<Made> {
        let (user, secret) = (self.user.as_bytes(), self.secret());
        let scram = Scram::new(hash, binding, user, secret, fresh_nonce()?);
        Ok(boxed(scram))
    }

    /// The secret, or nothing; no way that needs one takes nothing for it.
    fn secret(&self) -> &[u8] {
        self.secret.map(Secret::expose).unwrap_or_default()
    }
}

/// Whether the password may have crossed the wire in this exchange.
fn shows(method: Method, exchange: &Exchange) -> bool {
    exchange.has_answered() && method.shows_secret()
}

/// A SASL mechanism, where it can carry these credentials.
type Made = Result<Box<dyn Mechanism>, Unsendable>;

fn boxed<M: Mechanism + 'static>(made: Result<M, Unsendable>) -> Made {
    made.map(|mechanism| Box::new(mechanism) as Box<dyn Mechanism>)
}

const BEYOND_ASCII: &str = "The user's name or the password has other characters than ASCII, which the server does not \
                            promise to understand: a password of plain letters and digits would show whether that is it.";

fn fresh_nonce() -> Result<String> {
    let mut random = [0; 18];
    getrandom::fill(&mut random).or_fail(Kind::Io, || "this machine gives no random numbers")?;
    Ok(nonce(random))
}
