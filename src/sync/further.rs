//! Whether another session follows one that came to its end.

/// What a session says about further ones; by default, that none is worth while.
#[derive(Debug, Default)]
pub(super) struct SessionSummary {
    pub(super) more_mail: Option<MoreMail>,
    /// The server says that it wants a pause before the next login.
    pub(super) delays_logins: bool,
    /// Messages that may end the connection wait for the next session.
    pub(super) postponed: bool,
}

/// How likely it is that another session brings something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MoreMail {
    /// It looks as if this server showed its maildrop in parts: all that was stored before has gone from
    /// the listing at once.
    Suspected,
    /// It does, or it drops what was fetched.
    Expected,
}

/// What follows a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    End,
    /// Nothing, though there may be more: the server is known to refuse a login so soon.
    EndForDelay,
    Session(Further),
}

/// Why another session is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Further {
    pub(super) more_mail: MoreMail,
    pub(super) delays_logins: bool,
}

impl SessionSummary {
    /// What follows a session that brought something from a server of which so much is known.
    pub(super) fn next(&self, shows_windows: bool, refuses_soon_logins: bool) -> Next {
        let expected = shows_windows.then_some(MoreMail::Expected);
        let Some(more_mail) = expected.or(self.more_mail) else {
            return Next::End;
        };
        if self.delays_logins && refuses_soon_logins {
            return Next::EndForDelay;
        }
        Next::Session(Further {
            more_mail,
            delays_logins: self.delays_logins,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(more_mail: Option<MoreMail>, delays_logins: bool) -> SessionSummary {
        SessionSummary {
            more_mail,
            delays_logins,
            postponed: false,
        }
    }

    fn session(more_mail: MoreMail, delays_logins: bool) -> Next {
        Next::Session(Further {
            more_mail,
            delays_logins,
        })
    }

    #[test]
    fn another_session_is_held_where_there_may_be_more() {
        use MoreMail::{Expected, Suspected};
        for (more_mail, shows_windows, expected) in [
            (None, false, Next::End),
            (None, true, session(Expected, false)),
            (Some(Suspected), false, session(Suspected, false)),
            (Some(Suspected), true, session(Expected, false)),
            (Some(Expected), false, session(Expected, false)),
        ] {
            let next = summary(more_mail, false).next(shows_windows, true);
            assert_eq!(next, expected, "{more_mail:?}, {shows_windows}");
        }
    }

    #[test]
    fn a_server_that_refuses_soon_logins_is_asked_once_whether_it_does() {
        let summary = summary(Some(MoreMail::Expected), true);
        let once = session(MoreMail::Expected, true);
        assert_eq!(summary.next(false, false), once);
        assert_eq!(summary.next(false, true), Next::EndForDelay);
    }
}
