//! Which messages of a listing we know: a listing and the memory become plain values for the plan.

use std::collections::HashMap;

use crate::journal::{Found, Memory, Remembered};
use crate::mail::{Listed, UniqueId};
use crate::plan::Known;
use crate::pop3::Listing;

/// Who a listed message is, as far as we know.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// The id under which the journal knows it, where that is not its unique-id.
    key: Key,
    /// What we remember of it.
    pub(super) known: Known,
    /// Fetching it ended the connection the last time.
    pub(super) troublesome: bool,
}

#[derive(Debug, Clone)]
enum Key {
    /// Its unique-id, which is listed once and always was.
    UniqueId,
    /// Its unique-id stands for several messages; this tells them apart as well as can be.
    Shared(UniqueId),
    /// It has none. It is known by its digest, once it was fetched.
    Digest,
}

impl Key {
    fn of<'a>(&'a self, listed: &'a Listed) -> Option<&'a UniqueId> {
        match self {
            Key::UniqueId => listed.uid.as_ref(),
            Key::Shared(key) => Some(key),
            Key::Digest => None,
        }
    }
}

impl Identity {
    /// The id under which the journal knows this message; none before it was fetched.
    pub(super) fn key<'a>(&'a self, listed: &'a Listed) -> Option<&'a UniqueId> {
        self.key.of(listed)
    }

    /// Whether its unique-id stands for several messages.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.key, Key::Shared(_))
    }

    /// Whether its unique-id says, all by itself and in every session, which message it is.
    pub(super) fn is_certain(&self) -> bool {
        matches!(self.key, Key::UniqueId)
    }
}

/// What we know of each of these messages. `destinations` are the account's, by the journal's names;
/// `found` are copies of those that are known by their content.
///
/// Messages that share a unique-id (popa3d makes them of headers) are told apart by their size and,
/// where that is the same too, by their order: good enough to fetch none in vain, not to delete one.
pub(super) fn identify(
    listing: &Listing,
    memory: &Memory,
    destinations: &[u32],
    found: &Found,
) -> Vec<Identity> {
    let repeated = listing.repeated();
    let mut met: HashMap<(&UniqueId, Option<u64>), u32> = HashMap::new();
    let identify = |listed| {
        let key = key(
            listed,
            |uid| repeated.contains(uid) || memory.is_shared(uid.as_bytes()),
            &mut met,
        );
        let remembered = key.of(listed).and_then(|id| memory.recall(id.as_bytes()));
        let certain = matches!(key, Key::UniqueId);
        Identity {
            known: remembered.map_or(Known::New, |remembered| {
                known(remembered, certain, destinations, found)
            }),
            troublesome: remembered.is_some_and(Remembered::is_dropped),
            key,
        }
    };
    listing.messages.iter().map(identify).collect()
}

fn key<'a>(
    listed: &'a Listed,
    shared: impl Fn(&UniqueId) -> bool,
    met: &mut HashMap<(&'a UniqueId, Option<u64>), u32>,
) -> Key {
    let Some(uid) = &listed.uid else {
        return Key::Digest;
    };
    if !shared(uid) {
        return Key::UniqueId;
    }
    let nth = met
        .entry((uid, listed.octets))
        .and_modify(|nth| *nth += 1)
        .or_insert(1);
    let size = listed
        .octets
        .map_or_else(|| "?".to_owned(), |octets| octets.to_string());
    // No line of a listing has a line feed in it, so this is no other message's unique-id.
    let mut bytes = uid.as_bytes().to_vec();
    bytes.extend_from_slice(format!("\n{size}\n{nth}").as_bytes());
    Key::Shared(UniqueId::new(&bytes))
}

fn known(remembered: &Remembered, certain: bool, destinations: &[u32], found: &Found) -> Known {
    let may_be_gone = remembered.is_deleted() || remembered.is_asked();
    match remembered.first_stored() {
        Some(at) if may_be_gone => Known::Deleted { at },
        _ if remembered.lacks(destinations) => Known::Lacking,
        Some(at) if certain && remembered.is_known_by_content() => Known::Renumbered {
            at,
            in_place: remembered.has_its_copies(destinations, found),
        },
        Some(at) => Known::Stored {
            at,
            octets: remembered.listed(),
            certain,
        },
        None if remembered.is_seen() => Known::Seen,
        None => Known::New,
    }
}
