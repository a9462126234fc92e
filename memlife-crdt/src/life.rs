use crate::{Changed, Lattice, Stamp, Timestamp};
use serde::{Deserialize, Serialize};

/// How long an entry lives: the epoch that set the expiry, and the expiry.
///
/// Ordered by epoch, then by expiry: inside one epoch the longest refresh wins, and a write or an explicit
/// expiry starts a new epoch that beats every refresh of the older one. Expiry is no operation: an entry is
/// visible while the clock is before `expires_at`, on every replica alike.
///
/// Choose it beside any other state whose entry may expire. Encoded it takes about 30 bytes.
///
/// ```
/// use memlife_crdt::{Hlc, Lattice, Life, ReplicaId, Stamp, Timestamp};
///
/// let at = Timestamp::from_ms;
/// let written = Stamp::new(Hlc::new(at(1_000)), ReplicaId(1));
/// let mut life = Life::new(written, Some(at(5_000)));
///
/// let renewed = Life::new(written, Some(at(9_000))); // the same epoch: the longer wins
/// let _ = life.join(&renewed);
/// assert!(life.lasts(at(8_999)) && !life.lasts(at(9_000)));
///
/// let rewritten = Life::new(Stamp::new(Hlc::new(at(2_000)), ReplicaId(2)), Some(at(4_000)));
/// let _ = life.join(&rewritten); // a newer epoch: explicit intent wins, though it is shorter
/// assert_eq!(life.expires_at, Some(at(4_000)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// The stamp of the write that started this life.
    pub epoch: Stamp,
    /// The instant from which the entry is invisible; `None` is never.
    pub expires_at: Option<Timestamp>,
}

impl Life {
    /// A life that starts with `epoch`.
    pub const fn new(epoch: Stamp, expires_at: Option<Timestamp>) -> Self {
        Life { epoch, expires_at }
    }

    /// Whether the life has not ended at `now`.
    pub fn lasts(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    fn rank(&self) -> (Stamp, u64) {
        (self.epoch, self.expires_at.map_or(u64::MAX, Timestamp::ms))
    }
}

impl Lattice for Life {
    fn join(&mut self, other: &Self) -> Changed {
        if other.rank() > self.rank() {
            *self = *other;
            return Changed::Yes;
        }
        Changed::No
    }
}
