//! A secret in an environment variable.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use zeroize::Zeroizing;

use super::{Secret, Who, unusable};
use crate::error::{Failure, Kind, Result};
use crate::text::Untrusted;

/// The secret that the variable of this name holds.
pub(super) fn read(name: &str, value: Option<OsString>, who: &Who<'_>) -> Result<Secret> {
    let shown = Untrusted(name.as_bytes());
    let value = value.ok_or_else(|| {
        Failure::new(
            Kind::Config,
            format!("the environment variable {shown} with the password of {who} is not set"),
        )
        .hint("A variable must be exported to reach popfetch; cron and systemd pass on only what their own configuration sets.")
    })?;
    let value = Zeroizing::new(value.into_vec());
    Secret::new(&value)
        .map_err(|why| unusable(format_args!("the environment variable {shown}"), why))
}

#[cfg(test)]
mod tests {
    use super::super::tests::WHO;
    use super::*;

    #[test]
    fn the_value_is_the_secret() {
        let value = OsString::from_vec(b"a %b\xff".to_vec());
        let secret = read("WORK_PASSWORD", Some(value), &WHO).expect("a secret");
        assert_eq!(secret.expose(), b"a %b\xff");
    }

    #[test]
    fn a_missing_variable_is_named() {
        let failure = read("WORK_PASSWORD", None, &WHO).expect_err("nothing there");
        assert_eq!(failure.kind(), Kind::Config);
        assert!(failure.message().contains("WORK_PASSWORD"));
        assert!(failure.message().contains("account work"));
    }

    #[test]
    fn an_unusable_value_is_never_shown() {
        let value = OsString::from("marker\nmarker");
        let failure = read("WORK_PASSWORD", Some(value), &WHO).expect_err("two lines");
        assert_eq!(failure.kind(), Kind::Config);
        assert_eq!(
            failure.to_string(),
            "the environment variable WORK_PASSWORD gives no usable password: it has more than one line"
        );
    }
}
