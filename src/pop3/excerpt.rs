//! What an error keeps of a server's words.

use std::fmt;

use super::limits;
use crate::text::Untrusted;

/// The beginning of something the server said, at most [`limits::EXCERPT`] octets. Displays escaped.
///
/// A hostile server may repeat a secret here: whoever shows it looks for that first.
#[derive(Clone, PartialEq, Eq)]
pub struct Excerpt(Box<[u8]>);

impl Excerpt {
    /// The beginning of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let end = bytes.len().min(limits::EXCERPT);
        Excerpt(bytes[..end].into())
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Untrusted(&self.0).fmt(f)
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}
