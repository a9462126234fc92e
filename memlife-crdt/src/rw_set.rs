use crate::elements::{Elements, Mark};
use crate::{Changed, Lattice, Overflow, ReplicaId, Resettable};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What the newest write that was seen says of an element.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Membership {
    element: Bytes,
    is_in: bool,
}

impl Mark for Membership {
    fn element(&self) -> &Bytes {
        &self.element
    }
}

/// A remove-wins set: of an insertion and a removal that are concurrent, the removal wins.
///
/// A removal is a write as an insertion is, and stays until the element is written again or the set is reset.
///
/// Choose it for deny-lists and revocations, where taking away must not be undone by somebody who has not heard of
/// it. Each element that was ever written takes 5 to 9 bytes beside its own, removed ones too; the context takes 10
/// to 20 bytes for each replica that ever wrote.
///
/// Source: the remove-wins set of Almeida, Shoker and Baquero, "Delta State Replicated Data Types" (2018).
///
/// ```
/// use memlife_crdt::{Lattice, ReplicaId, RwSet};
///
/// let mut here = RwSet::default();
/// here.insert(ReplicaId(1), 1, "token-7")?;
/// let mut there = here.clone();
///
/// here.remove(ReplicaId(1), 2, "token-7")?;
/// there.insert(ReplicaId(2), 1, "token-7")?; // concurrent: it loses
/// let _ = there.join(&here);
/// assert!(!there.contains(b"token-7"));
/// # Ok::<(), memlife_crdt::Overflow>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RwSet(Elements<Membership>);

impl RwSet {
    /// Inserts `element` for `replica` and returns the delta; `seq` names its presence when it has none yet.
    ///
    /// # Errors
    /// [`Overflow`] when the replica has no dot left; the set is unchanged then.
    pub fn insert(
        &mut self,
        replica: ReplicaId,
        seq: u64,
        element: impl Into<Bytes>,
    ) -> Result<RwSet, Overflow> {
        self.0.write(replica, seq, Membership { element: element.into(), is_in: true }).map(RwSet)
    }

    /// Removes `element`, from here and from whoever inserts it without having seen this; returns the delta.
    ///
    /// # Errors
    /// As [`RwSet::insert`].
    pub fn remove(
        &mut self,
        replica: ReplicaId,
        seq: u64,
        element: impl Into<Bytes>,
    ) -> Result<RwSet, Overflow> {
        self.0.write(replica, seq, Membership { element: element.into(), is_in: false }).map(RwSet)
    }

    /// Whether `element` is in the set.
    pub fn contains(&self, element: &[u8]) -> bool {
        is_in(self.0.get(element))
    }

    /// The elements, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.0.iter().filter_map(|(element, marks)| is_in(marks).then_some(element))
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none; removals may be remembered all the same.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

fn is_in<'a>(marks: impl Iterator<Item = &'a Membership>) -> bool {
    let mut marks = marks.peekable();
    marks.peek().is_some() && marks.all(|mark| mark.is_in)
}

impl Lattice for RwSet {
    fn join(&mut self, other: &Self) -> Changed {
        self.0.join(&other.0)
    }
}

impl Resettable for RwSet {
    fn reset(&mut self) -> Self {
        RwSet(self.0.clear())
    }

    /// A set that remembers only removals is live: its denials have to reach others.
    fn is_live(&self) -> bool {
        self.0.len() > 0
    }

    fn renew(&mut self, replica: ReplicaId, seq: u64) -> Changed {
        self.0.renew(replica, seq)
    }
}
