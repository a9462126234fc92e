//! The laws that the types here obey.

use crate::ReplicaId;

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

    /// The same with a state that nobody else needs: what it holds may be taken over instead of copied.
    fn absorb(&mut self, other: Self) -> Changed
    where
        Self: Sized,
    {
        self.join(&other)
    }
}

/// A state that can be deleted in part: what was seen goes, and what others wrote concurrently stays.
///
/// ```
/// use memlife_crdt::{Lattice, OrSet, Resettable, ReplicaId};
///
/// let mut here = OrSet::default();
/// here.insert(ReplicaId(1), 1, "plan")?;
/// let mut there = here.clone();
/// there.insert(ReplicaId(2), 1, "review")?;
///
/// let delta = here.reset(); // what a delete does
/// let _ = there.join(&delta);
/// assert_eq!(there.iter().collect::<Vec<_>>(), ["review"]);
/// # Ok::<(), memlife_crdt::Overflow>(())
/// ```
pub trait Resettable: Lattice + Sized {
    /// Takes back everything this state holds, and returns the delta.
    fn reset(&mut self) -> Self;

    /// Whether anything is held: an entry without is deleted.
    fn is_live(&self) -> bool;

    /// Gives `replica` a new presence from `seq` on, if it is known here: for a store that takes over a copy of what it
    /// once wrote and has forgotten since. The copy may lack its last writes, and another write under one of their
    /// names would be lost.
    fn renew(&mut self, replica: ReplicaId, seq: u64) -> Changed;
}
