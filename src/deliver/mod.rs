//! Where messages go.
//!
//! A [`Destination`] takes messages one after the other and commits them as a batch, so that many
//! messages share one disk flush. The store thread calls it in this order:
//!
//! ```text
//! for each message:   begin → write … → end      (or abandon: the message never was)
//! for the batch:      prepare → place            (or discard: the batch never was)
//! ```
//!
//! Between `prepare` and `place` the places are written to the journal; after `place` the messages
//! are. So whatever is cut off can be settled at the next start. Calls in another order are
//! mistakes of the caller, and may panic.

mod disk;
mod maildir;
mod spec;

use std::num::NonZeroUsize;

use crate::environment::Environment;
use crate::error::{Failure, Result};
use crate::mail::{Digest, Place, UniqueId};

pub use maildir::Maildir;
