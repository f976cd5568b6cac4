//! Access control lists, where a file's mode alone says too little.
//!
//! A file with an access control list shows the list's mask in place of its group permissions. So
//! systemd's credentials, which are root's and let the service's user in by such a list, look as if
//! a group could read them (mode 0440) although nobody else can.

use std::os::fd::AsFd;

/// Where Linux keeps a file's list (`linux/posix_acl_xattr.h`).
const ATTRIBUTE: &str = "system.posix_acl_access";
const VERSION: [u8; 4] = 2_u32.to_le_bytes();

/// The longest list that is looked into, in bytes: 500 entries.
const LIMIT: usize = 4 + 500 * 8;

const OWNER: u16 = 0x01;
const NAMED_USER: u16 = 0x02;
const MASK: u16 = 0x10;

/// Whether the file has a list, and it lets in nobody but the file's owner, this user and root.
pub(super) fn lets_in_only(user: u32, file: impl AsFd) -> bool {
    let mut list = [0; LIMIT];
    rustix::fs::fgetxattr(file, ATTRIBUTE, &mut list)
        .ok()
        .and_then(|length| list.get(..length))
        .is_some_and(|list| list_lets_in_only(user, list))
}

fn list_lets_in_only(user: u32, list: &[u8]) -> bool {
    let Some(entries) = list.strip_prefix(&VERSION) else {
        return false;
    };
    let (entries, rest) = entries.as_chunks::<8>();
    rest.is_empty() && !entries.is_empty() && entries.iter().all(|entry| harmless(user, *entry))
}

/// An entry is a tag, permissions and whom it is about. That a mask may take permissions away again
/// is not counted.
fn harmless(user: u32, [t0, t1, p0, p1, id @ ..]: [u8; 8]) -> bool {
    let whom = u32::from_le_bytes(id);
    match u16::from_le_bytes([t0, t1]) {
        OWNER | MASK => true,
        NAMED_USER if whom == user || whom == 0 => true,
        _ => [p0, p1] == [0, 0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: u16 = 0x04;
    const NAMED_GROUP: u16 = 0x08;
    const OTHER: u16 = 0x20;
    const READ: u16 = 4;
    const NOBODY: u32 = u32::MAX;
    const ME: u32 = 1000;

    fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let entries = entries.iter().flat_map(|(tag, permissions, whom)| {
            let mut entry = tag.to_le_bytes().to_vec();
            entry.extend(permissions.to_le_bytes());
            entry.extend(whom.to_le_bytes());
            entry
        });
        VERSION.into_iter().chain(entries).collect()
    }

    /// What systemd gives a credential of a service that runs as this user.
    fn credential_of(user: u32) -> Vec<(u16, u16, u32)> {
        vec![
            (OWNER, READ, NOBODY),
            (NAMED_USER, READ, user),
            (GROUP, 0, NOBODY),
            (MASK, READ, NOBODY),
            (OTHER, 0, NOBODY),
        ]
    }

    #[test]
    fn a_credential_of_this_user_lets_in_nobody_else() {
        assert!(list_lets_in_only(ME, &list(&credential_of(ME))));
        assert!(!list_lets_in_only(ME, &list(&credential_of(ME + 1))));
    }

    #[test]
    fn any_other_permission_lets_somebody_in() {
        for stranger in [
            (NAMED_USER, READ, ME + 1),
            (GROUP, READ, NOBODY),
            (NAMED_GROUP, READ, 0),
            (NAMED_GROUP, READ, ME),
            (OTHER, READ, NOBODY),
            (0x40, READ, NOBODY),
        ] {
            let mut entries = credential_of(ME);
            entries.push(stranger);
            assert!(!list_lets_in_only(ME, &list(&entries)), "{stranger:?}");
        }
    }

    #[test]
    fn what_is_no_list_lets_nobody_off() {
        let whole = list(&credential_of(ME));
        assert!(!list_lets_in_only(ME, b""));
        assert!(!list_lets_in_only(ME, &VERSION));
        assert!(!list_lets_in_only(ME, &whole[..whole.len() - 1]));
        assert!(!list_lets_in_only(ME, &[&[3], &whole[1..]].concat()));
        let plain = tempfile::tempfile().expect("a file");
        assert!(!lets_in_only(ME, &plain));
    }
}
