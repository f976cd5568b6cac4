//! Several accounts at the same time.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::cancel::CancelToken;
use crate::config::Account;
use crate::error::{Kind, OrFail, Result};

/// How many accounts of one server are worked on at the same time; servers limit it, and others use them too.
const PER_SERVER: usize = 4;

/// Does the work for every account, for so many at the same time, each in a thread, in their order as far as
/// their servers allow. A slow account holds up no other. Once the token
/// is cancelled, no further account is begun.
///
/// # Errors
///
/// Not a single thread can be started. With fewer than wanted, the work takes longer.
pub(super) fn in_parallel(
    accounts: &[Account],
    jobs: NonZeroUsize,
    token: &CancelToken,
    work: impl Fn(&Account) + Sync,
) -> Result<()> {
    let waiting = Waiting::new(accounts);
    let worker = || {
        while let Some(turn) = waiting.take(token) {
            work(turn.account);
        }
    };
    thread::scope(|scope| {
        for started in 0..jobs.get().min(accounts.len()) {
            let thread = thread::Builder::new().name("account".into());
            if let Err(error) = thread.spawn_scoped(scope, worker) {
                return match started {
                    0 => Err(error).or_fail(Kind::Temporary, || "cannot start a thread"),
                    _ => Ok(()),
                };
            }
        }
        Ok(())
    })
}

/// The accounts that have not begun.
struct Waiting<'a> {
    state: Mutex<State<'a>>,
    done: Condvar,
}

struct State<'a> {
    accounts: Vec<&'a Account>,
    /// How many accounts of each server are being worked on.
    busy: HashMap<(&'a str, u16), usize>,
}

impl<'a> Waiting<'a> {
    fn new(accounts: &'a [Account]) -> Self {
        Waiting {
            state: Mutex::new(State {
                accounts: accounts.iter().collect(),
                busy: HashMap::new(),
            }),
            done: Condvar::new(),
        }
    }

    /// The next account; waits while all that are left are of busy servers.
    fn take(&self, token: &CancelToken) -> Option<Turn<'_, 'a>> {
        let mut state = self.lock();
        loop {
            if state.accounts.is_empty() || token.is_cancelled() {
                return None;
            }
            if let Some(account) = state.next() {
                return Some(Turn {
                    waiting: self,
                    account,
                });
            }
            state = self
                .done
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An account that is being worked on; also where the work panics, its server is free again afterwards.
struct Turn<'w, 'a> {
    waiting: &'w Waiting<'a>,
    account: &'a Account,
}

impl Drop for Turn<'_, '_> {
    fn drop(&mut self) {
        let mut state = self.waiting.lock();
        *state.busy.entry(server(self.account)).or_default() -= 1;
        drop(state);
        self.waiting.done.notify_all();
    }
}

impl<'a> State<'a> {
    /// The first account whose server is not too busy.
    fn next(&mut self) -> Option<&'a Account> {
        let is_free = |account: &&Account| {
            let busy = self.busy.get(&server(account));
            busy.is_none_or(|&busy| busy < PER_SERVER)
        };
        let index = self.accounts.iter().position(is_free)?;
        let account = self.accounts.remove(index);
        *self.busy.entry(server(account)).or_default() += 1;
        Some(account)
    }
}

fn server(account: &Account) -> (&str, u16) {
    (&account.server.host, account.server.port)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::config::{self, Overrides};
    use crate::deliver::Spec;
    use crate::secret::SecretSource;

    /// An account at each of these hosts.
    fn accounts(hosts: &[&str]) -> Vec<Account> {
        let overrides = Overrides {
            deliver: Some(Spec::Stdout),
            ..Overrides::default()
        };
        let account = |host: &&str| {
            config::one_off(
                &format!("pops://me@{host}"),
                SecretSource::Keyring,
                &overrides,
            )
        };
        hosts
            .iter()
            .map(account)
            .collect::<Result<_, _>>()
            .expect("accounts")
    }

    fn jobs(jobs: usize) -> NonZeroUsize {
        NonZeroUsize::new(jobs).expect("some")
    }

    /// More than any of this takes on a busy machine.
    const TEST_TIMEOUT: Duration = Duration::from_secs(20);

    /// The most accounts that were worked on at the same time. Each holds on until so many are expected to be
    /// there, and then for a moment, in which one too many would come.
    fn most_at_once(accounts: &[Account], count: usize, expected: usize) -> usize {
        let (state, changed) = (Mutex::new((0, 0)), Condvar::new());
        let work = |_: &Account| {
            let mut counts = state.lock().expect("no panic");
            counts.0 += 1;
            counts.1 = counts.1.max(counts.0);
            changed.notify_all();
            let too_few = |(_, most): &mut (usize, usize)| *most < expected;
            let waited = changed.wait_timeout_while(counts, TEST_TIMEOUT, too_few);
            drop(waited.expect("no panic"));
            thread::sleep(Duration::from_millis(20));
            state.lock().expect("no panic").0 -= 1;
        };
        in_parallel(accounts, jobs(count), &CancelToken::new(), work).expect("threads");
        state.into_inner().expect("no panic").1
    }

    #[test]
    fn never_more_at_once_than_wanted_and_than_a_server_can_bear() {
        assert_eq!(most_at_once(&accounts(&["a", "b", "c", "d", "e"]), 2, 2), 2);
        assert_eq!(
            most_at_once(&accounts(&["a"; 9]), 9, PER_SERVER),
            PER_SERVER
        );
    }

    #[test]
    fn every_account_has_its_turn_and_a_busy_server_holds_up_no_other() {
        let accounts = accounts(&["a", "a", "a", "a", "a", "a", "b"]);
        let (begun, changed) = (Mutex::new(Vec::new()), Condvar::new());
        let b_is_missing = |begun: &mut Vec<String>| !begun.contains(&"b".to_owned());
        let work = |account: &Account| {
            let mut begun = begun.lock().expect("no panic");
            begun.push(account.server.host.clone());
            changed.notify_all();
            let waited = changed.wait_timeout_while(begun, TEST_TIMEOUT, b_is_missing);
            drop(waited.expect("no panic"));
        };
        in_parallel(&accounts, jobs(5), &CancelToken::new(), work).expect("threads");
        let begun = begun.into_inner().expect("no panic");
        assert_eq!(begun.len(), 7);
        assert!(begun[..5].contains(&"b".to_owned()), "{begun:?}");
    }

    #[test]
    fn once_stopped_nobody_else_begins() {
        let (begun, token) = (AtomicUsize::new(0), CancelToken::new());
        let work = |_: &Account| {
            begun.fetch_add(1, Ordering::SeqCst);
            token.cancel();
        };
        in_parallel(&accounts(&["a", "b", "c"]), jobs(1), &token, work).expect("a thread");
        assert_eq!(begun.into_inner(), 1);
    }

    #[test]
    fn an_account_that_panics_leaves_its_server_free() {
        let accounts = accounts(&["a"; 6]);
        let begun = AtomicUsize::new(0);
        let work = |_: &Account| {
            let first = begun.fetch_add(1, Ordering::SeqCst) == 0;
            assert!(!first, "the first one panics");
        };
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            in_parallel(&accounts, jobs(6), &CancelToken::new(), work)
        }));
        assert!(ended.is_err());
        assert_eq!(begun.into_inner(), 6);
    }
}
