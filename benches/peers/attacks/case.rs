//! An attack in all its forms.

use crate::shared::fetcher::{Fetcher, Login, Store, Tls};
use crate::support::certificates::Certificates;
use crate::support::mailbox::Mailbox;
use crate::support::messages::small;
use crate::support::server::{Fault, Server, Turn};

use super::scene::Scene;

/// What a message is fetched with.
pub(crate) const RETR: &str = "RETR";

/// What fetchmail fetches it with, so that the server does not take it for seen.
pub(crate) const TOP: &str = "TOP";

/// An attack of the list.
pub(crate) struct Attack {
    pub(crate) number: &'static str,
    pub(crate) name: &'static str,
    pub(crate) cases: Vec<Case>,
}

/// How the programs are configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setup {
    pub(crate) tls: Tls,
    pub(crate) login: Login,
    pub(crate) store: Store,
    pub(crate) delete: bool,
    /// The host that the certificate is to be for, where it is not `localhost`.
    pub(crate) host: Option<&'static str>,
    /// Only one certificate is good.
    pub(crate) pinned: bool,
}

/// What makes an honest server a bad one.
type Change = Box<dyn Fn(Server, &Certificates) -> Server + Sync>;

/// What a server plays that knows nothing.
type Play = Box<dyn Fn(Fetcher, &Certificates) -> Vec<Turn> + Sync>;

/// Who attacks.
pub(crate) enum Villain {
    Server(Change),
    Dialogue(Play),
}

/// One form of an attack.
pub(crate) struct Case {
    pub(crate) setup: Setup,
    /// The command at which it strikes, or how that begins: who never sends it is never reached. Empty, where
    /// a connection is enough.
    pub(crate) at: &'static str,
    pub(crate) villain: Villain,
    /// The unique-ids and texts of the messages.
    pub(crate) mail: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) scene: Scene,
    /// The program runs a second time, while the server is still bad.
    pub(crate) again: bool,
    /// Behind the attack the server is honest, and the program runs twice more.
    pub(crate) resumes: bool,
    /// Every message is to be there in the end.
    pub(crate) complete: bool,
    /// No client may log in to this server.
    pub(crate) distrusts: bool,
    /// No client may believe that the login was good.
    pub(crate) unproven: bool,
    /// The server goes on after an answer that was forged.
    pub(crate) injects: bool,
    /// What it means where something is stored that is none of the messages; none, where that cannot be known
    /// from one.
    pub(crate) stored: Option<&'static str>,
    /// The clients that can be reached by it; all of them, where none is named.
    pub(crate) only: &'static [Fetcher],
}

impl Attack {
    /// An attack with its number in the list.
    pub(crate) fn new(
        number: &'static str,
        name: &'static str,
        cases: impl IntoIterator<Item = Case>,
    ) -> Self {
        Attack {
            number,
            name,
            cases: cases.into_iter().collect(),
        }
    }
}

impl Setup {
    /// A password without TLS, a Maildir, nothing deleted.
    pub(crate) const PLAIN: Setup = Setup {
        tls: Tls::None,
        login: Login::Password,
        store: Store::Maildir,
        delete: false,
        host: None,
        pinned: false,
    };
}

/// Cases are made of an honest one.
impl Case {
    /// A server with three messages that does what it should.
    pub(crate) fn honest(setup: Setup) -> Self {
        Case {
            setup,
            at: "",
            villain: Villain::Server(Box::new(|server, _| server)),
            mail: numbered(small(3)),
            scene: Scene::Plain,
            again: false,
            resumes: false,
            complete: false,
            distrusts: false,
            unproven: false,
            injects: false,
            stored: Some("stores a part of a message"),
            only: &[],
        }
    }

    /// The server suffers this, always, at this step.
    pub(crate) fn fault(step: &'static str, fault: Fault) -> Self {
        Case::server(move |server, _| strike(server, step, &fault)).at_step(step)
    }

    /// The server answers this at this step, always.
    pub(crate) fn reply(step: &'static str, answer: impl Into<Vec<u8>>) -> Self {
        Case::fault(step, Fault::Reply(answer.into()))
    }

    /// A server that is changed like this.
    pub(crate) fn server(
        change: impl Fn(Server, &Certificates) -> Server + Sync + 'static,
    ) -> Self {
        Case {
            villain: Villain::Server(Box::new(change)),
            ..Case::honest(Setup::PLAIN)
        }
    }

    /// A server that plays this, whatever it serves.
    pub(crate) fn dialogue(
        play: impl Fn(Fetcher, &Certificates) -> Vec<Turn> + Sync + 'static,
    ) -> Self {
        Case {
            villain: Villain::Dialogue(Box::new(play)),
            ..Case::honest(Setup::PLAIN)
        }
    }

    /// The steps that are no commands are reached by every connection.
    fn at_step(self, step: &'static str) -> Self {
        match step.starts_with('(') {
            true => self,
            false => self.at(step),
        }
    }

    /// Who never sends a command that begins so is not reached.
    pub(crate) fn at(self, at: &'static str) -> Self {
        Case { at, ..self }
    }

    /// With this protection.
    pub(crate) fn tls(mut self, tls: Tls) -> Self {
        self.setup.tls = tls;
        self
    }

    /// With this login.
    pub(crate) fn login(mut self, login: Login) -> Self {
        self.setup.login = login;
        self
    }

    /// With this store.
    pub(crate) fn store(mut self, store: Store) -> Self {
        self.setup.store = store;
        self
    }

    /// With a certificate for this host.
    pub(crate) fn host(mut self, host: Option<&'static str>) -> Self {
        self.setup.host = host;
        self
    }

    /// With one certificate that is good.
    pub(crate) fn pinned(mut self) -> Self {
        self.setup.pinned = true;
        self
    }

    /// What is stored is to be deleted.
    pub(crate) fn deleting(mut self) -> Self {
        self.setup.delete = true;
        self
    }

    /// With these messages.
    pub(crate) fn mail(self, mail: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        Case { mail, ..self }
    }

    /// On a machine like this.
    pub(crate) fn scene(self, scene: Scene) -> Self {
        Case { scene, ..self }
    }

    /// The program runs twice.
    pub(crate) fn twice(self) -> Self {
        Case {
            again: true,
            ..self
        }
    }

    /// Once the server is honest again, everything arrives.
    pub(crate) fn resuming(self) -> Self {
        Case {
            resumes: true,
            complete: true,
            ..self
        }
    }

    /// Everything arrives.
    pub(crate) fn complete(self) -> Self {
        Case {
            complete: true,
            ..self
        }
    }

    /// No client logs in.
    pub(crate) fn distrusted(self) -> Self {
        Case {
            distrusts: true,
            ..self
        }
    }

    /// No client goes on after the login.
    pub(crate) fn unproven(self) -> Self {
        Case {
            unproven: true,
            ..self
        }
    }

    /// No client takes the forged answer for an answer.
    pub(crate) fn injecting(self) -> Self {
        Case {
            injects: true,
            ..self
        }
    }

    /// How to call it where something is stored that is none of the messages.
    pub(crate) fn stored_means(self, stored: &'static str) -> Self {
        Case {
            stored: Some(stored),
            ..self
        }
    }

    /// Only these are reached.
    pub(crate) fn only(self, only: &'static [Fetcher]) -> Self {
        Case { only, ..self }
    }

    /// Whether it is to be tried with this program.
    pub(crate) fn concerns(&self, fetcher: Fetcher) -> bool {
        self.only.is_empty() || self.only.contains(&fetcher)
    }

    /// A maildrop with its messages.
    pub(crate) fn mailbox(&self) -> Mailbox {
        let mailbox = Mailbox::default();
        for (uid, text) in &self.mail {
            mailbox.add(uid.clone(), text.clone());
        }
        mailbox
    }
}

/// This fault at this step, always, whichever command a program fetches messages with.
fn strike(server: Server, step: &str, fault: &Fault) -> Server {
    let server = server.on(step, fault.clone());
    match step.strip_prefix(RETR) {
        Some(number) => server.on(&format!("{TOP}{number}"), fault.clone()),
        None => server,
    }
}

/// With unique-ids `uid-1`, `uid-2`…
pub(crate) fn numbered(texts: Vec<Vec<u8>>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let uids = (1..).map(|number| format!("uid-{number}").into_bytes());
    uids.zip(texts).collect()
}
