//! The key ring of a popfetch that was built without one.

use super::error::Result;
use super::{AccountRef, Error, Secret};
use crate::cancel::CancelToken;

pub(super) fn check(account: &AccountRef<'_>, _token: &CancelToken) -> Result<()> {
    Err(Error::NoKeyRing(account.to_string()))
}

pub(super) fn get(account: &AccountRef<'_>, _token: &CancelToken) -> Result<Option<Secret>> {
    Err(Error::NoKeyRing(account.to_string()))
}

pub(super) fn store(account: &AccountRef<'_>, _secret: &Secret) -> Result<()> {
    Err(Error::NoKeyRing(account.to_string()))
}

pub(super) fn forget(account: &AccountRef<'_>) -> Result<bool> {
    Err(Error::NoKeyRing(account.to_string()))
}
