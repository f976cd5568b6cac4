//! The key ring of a popfetch that was built without one.

use super::{Secret, WITHOUT_A_KEY_RING, Who};
use crate::cancel::CancelToken;
use crate::error::{Failure, Kind, Result};

pub(super) fn check(who: &Who<'_>, _token: &CancelToken) -> Result<()> {
    Err(left_out(who))
}

pub(super) fn get(who: &Who<'_>, _token: &CancelToken) -> Result<Option<Secret>> {
    Err(left_out(who))
}

pub(super) fn store(who: &Who<'_>, _secret: &Secret) -> Result<()> {
    Err(left_out(who))
}

pub(super) fn forget(who: &Who<'_>) -> Result<bool> {
    Err(left_out(who))
}

fn left_out(who: &Who<'_>) -> Failure {
    Failure::new(
        Kind::Config,
        format!("this popfetch was built without the key ring that {who} needs"),
    )
    .hint(WITHOUT_A_KEY_RING)
}

#[cfg(test)]
mod tests {
    use super::super::tests::WHO;
    use super::*;

    #[test]
    fn what_is_left_out_is_said_with_the_alternatives() {
        let failure = get(&WHO, &CancelToken::new()).expect_err("left out");
        assert_eq!(failure.kind(), Kind::Config);
        assert!(failure.message().contains("built without"));
        assert_eq!(failure.hints(), [WITHOUT_A_KEY_RING]);
    }
}
