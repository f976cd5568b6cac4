//! Sizes as a person writes and reads them.

use std::fmt;
use std::str::FromStr;

/// A number of octets. Displays in decimal units with one decimal place (`3.4 MB`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1000 {
            return write!(f, "{} B", self.0);
        }
        // In 128 bits ten times any size fits. The rounding decides the unit: 999,950 B is 1.0 MB.
        let mut unit: u128 = 1000;
        for name in UNITS {
            let tenths = (u128::from(self.0) * 10 + unit / 2) / unit;
            if tenths < 10_000 {
                return write!(f, "{}.{} {name}", tenths / 10, tenths % 10);
            }
            unit *= 1000;
        }
        write!(f, "{} B", self.0)
    }
}

/// A string that is no [`Size`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotASize {
    /// No number, or an unknown unit.
    #[error("a size is a number and a unit: 500kB, 10MB, 1.5GB or 20MiB; without a unit, bytes")]
    Form,
    /// More than 64 bits can hold.
    #[error("the size is too large")]
    TooLarge,
}

impl FromStr for Size {
    type Err = NotASize;

    /// Reads `500kB`, `10 MB`, `10m`, `1.5GB`, `20MiB`, `4096`; the letters' case does not matter.
    fn from_str(text: &str) -> Result<Self, NotASize> {
        let text = text.trim();
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let unit = factor(unit.trim_start()).ok_or(NotASize::Form)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let whole: u128 = digits(whole)?;
        let scale = u32::try_from(fraction.len())
            .ok()
            .and_then(|length| 10_u128.checked_pow(length))
            .ok_or(NotASize::Form)?;
        let part = digits(fraction)?
            .checked_mul(unit)
            .ok_or(NotASize::TooLarge)?
            / scale;
        whole
            .checked_mul(unit)
            .and_then(|octets| octets.checked_add(part))
            .and_then(|octets| u64::try_from(octets).ok())
            .map(Size)
            .ok_or(NotASize::TooLarge)
    }
}

fn digits(text: &str) -> Result<u128, NotASize> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NotASize::Form);
    }
    text.parse().map_err(|_| NotASize::TooLarge)
}

fn factor(unit: &str) -> Option<u128> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1000_u128.pow(2),
        "g" | "gb" => 1000_u128.pow(3),
        "t" | "tb" => 1000_u128.pow(4),
        "kib" => 1024,
        "mib" => 1024_u128.pow(2),
        "gib" => 1024_u128.pow(3),
        "tib" => 1024_u128.pow(4),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shows_decimal_units_and_never_a_thousand_of_one() {
        let shown = |octets| Size(octets).to_string();
        assert_eq!(shown(0), "0 B");
        assert_eq!(shown(999), "999 B");
        assert_eq!(shown(1000), "1.0 kB");
        assert_eq!(shown(3_449_999), "3.4 MB");
        assert_eq!(shown(999_949), "999.9 kB");
        assert_eq!(shown(999_950), "1.0 MB");
        assert_eq!(shown(u64::MAX), "18.4 EB");
    }

    #[test]
    fn reads_what_people_write() {
        let read = |text: &str| text.parse::<Size>().map(|size| size.0);
        assert_eq!(read("4096"), Ok(4096));
        assert_eq!(read("500kB"), Ok(500_000));
        assert_eq!(read("10 mb"), Ok(10_000_000));
        assert_eq!(read("1.5G"), Ok(1_500_000_000));
        assert_eq!(read("20MiB"), Ok(20 * 1024 * 1024));
        assert_eq!(read("0.5k"), Ok(500));
    }

    #[test]
    fn refuses_what_is_no_size() {
        for text in [
            "",
            "MB",
            "-1",
            "1.2.3MB",
            ".5MB",
            "5.",
            "10 apples",
            "1e3",
            "٣MB",
        ] {
            assert_eq!(text.parse::<Size>(), Err(NotASize::Form), "{text:?}");
        }
        for text in ["18446744073709551616", "99999999TB"] {
            assert_eq!(text.parse::<Size>(), Err(NotASize::TooLarge), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_shown_size_reads_back_within_its_rounding(octets in 0..u64::MAX / 1_000_000) {
            let read: Size = Size(octets).to_string().parse().expect("own form");
            prop_assert!(read.0.abs_diff(octets) <= octets / 20, "{octets} became {}", read.0);
        }

        #[test]
        fn no_text_makes_reading_panic(text: String) {
            let _ = text.parse::<Size>();
        }
    }
}
