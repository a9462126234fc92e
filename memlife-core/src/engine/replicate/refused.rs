use crate::Key;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Keys that are kept at most, and their bytes: all of them fit into one record.
const MAX_KEYS: usize = 1_000;
const MAX_BYTES: usize = 256 << 10;

/// Keys whose records the other side refused, to be tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Refused {
    keys: BTreeSet<Key>,
    /// Whether some found no room.
    is_cut: bool,
}

impl Refused {
    pub(super) fn insert(&mut self, key: &Key) {
        if self.keys.contains(key) {
            return;
        }
        let bytes: usize = self.keys.iter().map(|key| key.as_str().len()).sum();
        if self.keys.len() < MAX_KEYS && bytes + key.as_str().len() <= MAX_BYTES {
            self.keys.insert(key.clone());
        } else {
            self.is_cut = true;
        }
    }

    pub(super) fn contains(&self, key: &Key) -> bool {
        self.keys.contains(key)
    }

    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_number_is_kept_and_told() {
        let mut refused = Refused::default();
        let key = |n: usize| Key::new(&format!("a/{n}")).unwrap();
        (0..MAX_KEYS).for_each(|n| refused.insert(&key(n)));
        refused.insert(&key(0));
        assert!(!refused.is_cut());
        refused.insert(&key(MAX_KEYS));
        assert!(refused.is_cut() && !refused.contains(&key(MAX_KEYS)));
        assert_eq!(refused.keys().count(), MAX_KEYS);
    }

    #[test]
    fn long_keys_find_room_in_one_record() {
        let mut refused = Refused::default();
        (0..MAX_KEYS).for_each(|n| refused.insert(&Key::new(&format!("a/{n:01000}")).unwrap()));
        assert!(refused.is_cut());
        assert!(serde_json::to_string(&refused).unwrap().len() < 1 << 20);
    }
}
