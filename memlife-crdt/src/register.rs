use crate::{Changed, Lattice, Stamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A last-write-wins register: the value with the greatest stamp, or its removal.
///
/// Equal stamps occur only where stamps were imported; then a removal beats a value and the greater bytes
/// beat the lesser, so that replicas agree whatever they saw first.
///
/// Choose it where only the newest value matters and losing the older of two concurrent writes is right. It is
/// the cheapest state: about 20 bytes beside the value, however many replicas write.
///
/// ```
/// use memlife_crdt::{Changed, Hlc, Lattice, Register, ReplicaId, Stamp, Timestamp};
///
/// let stamp = |ms, replica| Stamp::new(Hlc::new(Timestamp::from_ms(ms)), ReplicaId(replica));
/// let mut here = Register { stamp: stamp(1_000, 1), value: Some("draft".into()) };
/// let there = Register { stamp: stamp(1_001, 2), value: Some("final".into()) };
///
/// assert_eq!(here.join(&there), Changed::Yes);
/// assert_eq!(here.value.as_deref(), Some(&b"final"[..]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// When the value was written.
    pub stamp: Stamp,
    /// The value; `None` once removed.
    pub value: Option<Bytes>,
}

impl Register {
    /// Whether `self` is what remains when both are joined.
    pub fn wins_over(&self, other: &Register) -> bool {
        rank(self) >= rank(other)
    }
}

fn rank(register: &Register) -> (Stamp, bool, Option<&Bytes>) {
    (register.stamp, register.value.is_none(), register.value.as_ref())
}

impl Lattice for Register {
    fn join(&mut self, other: &Self) -> Changed {
        if self.wins_over(other) {
            return Changed::No;
        }
        *self = other.clone();
        Changed::Yes
    }

    fn absorb(&mut self, other: Self) -> Changed {
        if self.wins_over(&other) {
            return Changed::No;
        }
        *self = other;
        Changed::Yes
    }
}
