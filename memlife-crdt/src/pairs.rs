//! The one serde form of maps and sets: a sequence in ascending order, in every format.
//!
//! Some formats take only strings as the keys of a map. And a decoder that took keys unordered or twice would
//! read one state from many byte strings, where digests need one.

use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// Writes `map` as a sequence of pairs.
pub(crate) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
    map: &BTreeMap<K, V>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(map)
}

/// Whether each of `keys` is greater than the one before it.
pub(crate) fn ascend<K: PartialOrd>(keys: impl Iterator<Item = K>) -> bool {
    keys.is_sorted_by(|earlier, later| earlier < later)
}
