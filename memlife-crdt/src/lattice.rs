//! The one law every type here obeys.

/// Whether a join inflated the state.
///
/// A replica forwards only what changed something, so that a quiet set of replicas stays quiet
/// (Enes et al., "Efficient Synchronization of State-based CRDTs", ICDE 2019).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Changed {
    /// The other side held nothing new.
    No,
    /// The state grew.
    Yes,
}

impl Changed {
    /// `Yes` when `changed` holds.
    pub fn when(changed: bool) -> Self {
        if changed { Changed::Yes } else { Changed::No }
    }

    /// `Yes` when either is.
    pub fn or(self, other: Changed) -> Changed {
        Changed::when(self == Changed::Yes || other == Changed::Yes)
    }
}

/// A join semilattice: states that any two replicas merge alike, in any order, any number of times.
///
/// ```
/// use memlife_crdt::{Changed, Counter, Lattice, ReplicaId};
///
/// let (mut here, mut there) = (Counter::default(), Counter::default());
/// here.add(ReplicaId(1), 1, 5)?;
/// there.add(ReplicaId(2), 1, 3)?;
///
/// assert_eq!(here.join(&there), Changed::Yes);
/// assert_eq!(here.join(&there), Changed::No); // a message that arrives twice changes nothing
/// assert_eq!(there.join(&here), Changed::Yes);
/// assert_eq!(here, there);
/// # Ok::<(), memlife_crdt::Overflow>(())
/// ```
pub trait Lattice {
    /// Replaces `self` by the least upper bound of both.
    ///
    /// Commutative, associative and idempotent. A delta is a small state of the same type, so this one
    /// function merges deltas too (Almeida, Shoker and Baquero, "Delta State Replicated Data Types", 2018).
    /// The answer is [`Changed::Yes`] exactly if `self` is another state than before.
    fn join(&mut self, other: &Self) -> Changed;
}
