//! Values that were compressed or decompressed lately, so that reading one again costs no second decompression.
//!
//! Decompression is a pure function and dear: some 2 µs per KiB, several times what reading the record takes. What
//! a process writes it mostly reads again, and a change to a lattice state starts with decompressing it inside the
//! store's atomic section. Storage engines keep decompressed blocks for the same reason.

use super::compression::By;
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use xxhash_rust::xxh3::xxh3_64;

/// The most bytes kept, compressed and decompressed ones together, in the whole process.
const MOST_BYTES: usize = 16 << 20;
/// The largest value kept: one that would push out too many others is not.
const LARGEST_BYTES: usize = MOST_BYTES / 32;

static RECENT: LazyLock<Mutex<Recent>> = LazyLock::new(|| Mutex::new(Recent::new(MOST_BYTES)));

/// What `packed` decompresses to, where that is known.
pub(super) fn recall(by: By, packed: &[u8]) -> Option<Bytes> {
    recent().get(xxh3_64(packed), by, packed)
}

/// Remembers that `packed` decompresses to `raw`.
pub(super) fn remember(by: By, packed: &[u8], raw: &Bytes) {
    if packed.len() + raw.len() <= LARGEST_BYTES {
        let (packed, raw) = (Bytes::copy_from_slice(packed), raw.clone());
        recent().insert(xxh3_64(&packed), Pair { by, packed, raw, was_used: false });
    }
}

fn recent() -> MutexGuard<'static, Recent> {
    RECENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Pairs of compressed and decompressed bytes, the latest of each hash.
///
/// The oldest goes first, unless it was asked for since it came or was last spared: "second chance" or CLOCK
/// (Corbató, 1968).
#[derive(Debug)]
struct Recent {
    most_bytes: usize,
    bytes: usize,
    pairs: HashMap<u64, Pair>,
    ages: VecDeque<u64>,
}

#[derive(Debug)]
struct Pair {
    by: By,
    packed: Bytes,
    raw: Bytes,
    was_used: bool,
}

impl Pair {
    fn bytes(&self) -> usize {
        self.packed.len() + self.raw.len()
    }
}

impl Recent {
    fn new(most_bytes: usize) -> Self {
        Recent { most_bytes, bytes: 0, pairs: HashMap::new(), ages: VecDeque::new() }
    }

    fn get(&mut self, hash: u64, by: By, packed: &[u8]) -> Option<Bytes> {
        // A hash alone proves nothing: whoever can choose values can make two collide.
        let is_it = |pair: &&mut Pair| pair.by == by && pair.packed == packed;
        let pair = self.pairs.get_mut(&hash).filter(is_it)?;
        pair.was_used = true;
        Some(pair.raw.clone())
    }

    fn insert(&mut self, hash: u64, pair: Pair) {
        self.bytes += pair.bytes();
        match self.pairs.insert(hash, pair) {
            Some(old) => self.bytes -= old.bytes(),
            None => self.ages.push_back(hash),
        }
        while self.bytes > self.most_bytes
            && let Some(oldest) = self.ages.pop_front()
        {
            if self.pairs.get_mut(&oldest).is_some_and(|pair| std::mem::take(&mut pair.was_used)) {
                self.ages.push_back(oldest);
            } else {
                self.bytes -= self.pairs.remove(&oldest).map_or(0, |pair| pair.bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Codec;

    const ZSTD: By = By(Codec::Zstd, 0);

    fn bytes(number: u64, len: usize) -> Bytes {
        number.to_le_bytes().into_iter().cycle().take(len).collect()
    }

    fn pair(number: u64, packed: usize, raw: usize) -> Pair {
        let (packed, raw) = (bytes(number, packed), bytes(number, raw));
        Pair { by: ZSTD, packed, raw, was_used: false }
    }

    #[test]
    fn what_was_kept_comes_back_and_nothing_else() {
        let mut recent = Recent::new(1 << 10);
        recent.insert(1, pair(1, 20, 50));
        assert_eq!(recent.get(1, ZSTD, &bytes(1, 20)), Some(bytes(1, 50)));
        assert_eq!(recent.get(1, By(Codec::Gzip, 0), &bytes(1, 20)), None, "another codec");
        assert_eq!(recent.get(1, By(Codec::Zstd, 7), &bytes(1, 20)), None, "another dictionary");
        assert_eq!(recent.get(1, ZSTD, &bytes(2, 20)), None, "another input of the same hash");
        assert_eq!(recent.get(2, ZSTD, &bytes(1, 20)), None);
        recent.insert(1, pair(2, 20, 50));
        assert_eq!(recent.get(1, ZSTD, &bytes(2, 20)), Some(bytes(2, 50)));
        assert_eq!((recent.bytes, recent.ages.len()), (70, 1));
    }

    #[test]
    fn it_never_outgrows_its_bound_and_spares_what_is_used() {
        let mut recent = Recent::new(1_000);
        recent.insert(0, pair(0, 20, 80));
        for number in 1..1_000 {
            assert!(recent.get(0, ZSTD, &bytes(0, 20)).is_some(), "in use, and gone at {number}");
            recent.insert(number, pair(number, 20, 80));
            let held: usize = recent.pairs.values().map(Pair::bytes).sum();
            assert_eq!((recent.bytes, recent.pairs.len()), (held, recent.ages.len()));
            assert!(recent.bytes <= 1_000);
        }
        assert_eq!(recent.get(1, ZSTD, &bytes(1, 20)), None);
        recent.insert(2_000, pair(1, 600, 600));
        assert_eq!(recent.get(2_000, ZSTD, &bytes(1, 600)), None, "larger than all room there is");
        assert!(recent.bytes <= 1_000);
    }
}
