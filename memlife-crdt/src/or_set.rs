use crate::elements::Elements;
use crate::{Changed, Lattice, Overflow, ReplicaId, Resettable};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// An observed-remove set: of an insertion and a removal that are concurrent, the insertion wins.
///
/// A removal takes back only the insertions it has seen and leaves nothing behind, so that an element may come and
/// go for ever. Inserting what is there already replaces its insertion by a newer one.
///
/// Choose it for what many add to and few take from: tags, members, work to do. Each element takes 4 to 8 bytes
/// beside its own; the context takes 10 to 20 bytes for each replica that ever wrote. Joining a delta costs what
/// the delta holds.
///
/// Source: Bieniusa et al., "An Optimized Conflict-free Replicated Set" (2012), with the deltas of Almeida, Shoker
/// and Baquero (2018).
///
/// ```
/// use memlife_crdt::{Lattice, OrSet, ReplicaId};
///
/// let mut here = OrSet::default();
/// here.insert(ReplicaId(1), 1, "plan")?;
/// let mut there = here.clone();
///
/// here.remove(b"plan");
/// there.insert(ReplicaId(2), 1, "plan")?; // concurrent: it wins
/// let _ = here.join(&there);
/// assert!(here.contains(b"plan"));
/// # Ok::<(), memlife_crdt::Overflow>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrSet(Elements<Bytes>);

impl OrSet {
    /// Inserts `element` for `replica` and returns the delta; `seq` names its presence when it has none yet.
    ///
    /// # Errors
    /// [`Overflow`] when the replica has no dot left; the set is unchanged then.
    pub fn insert(
        &mut self,
        replica: ReplicaId,
        seq: u64,
        element: impl Into<Bytes>,
    ) -> Result<OrSet, Overflow> {
        self.0.write(replica, seq, element.into()).map(OrSet)
    }

    /// Removes `element`, as far as its insertions were seen here, and returns the delta.
    pub fn remove(&mut self, element: &[u8]) -> OrSet {
        OrSet(self.0.remove(element))
    }

    /// Whether `element` is in the set.
    pub fn contains(&self, element: &[u8]) -> bool {
        self.0.get(element).next().is_some()
    }

    /// The elements, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.0.iter().map(|(element, _)| element)
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }
}

impl Lattice for OrSet {
    fn join(&mut self, other: &Self) -> Changed {
        self.0.join(&other.0)
    }
}

impl Resettable for OrSet {
    fn reset(&mut self) -> Self {
        OrSet(self.0.clear())
    }

    fn is_live(&self) -> bool {
        !self.is_empty()
    }

    fn renew(&mut self, replica: ReplicaId, seq: u64) -> Changed {
        self.0.renew(replica, seq)
    }
}
