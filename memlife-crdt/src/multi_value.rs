use crate::causal::Causal;
use crate::{CausalContext, Changed, Dot, Lattice, Overflow, ReplicaId, Resettable, Stamp, pairs};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::cmp::{Ordering, Reverse};

/// One of the values that a multi-value register holds at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sibling {
    /// Names this write among all others.
    pub dot: Dot,
    /// When it was written.
    pub stamp: Stamp,
    /// Who wrote it, where the writer gave a name.
    pub writer: Option<String>,
    /// What was written.
    pub value: Bytes,
}

impl Sibling {
    /// Decides between two values under one dot, which only a copied store can mint.
    fn rank(&self) -> (Stamp, &Bytes, &Option<String>, Dot) {
        (self.stamp, &self.value, &self.writer, self.dot)
    }
}

impl Ord for Sibling {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Sibling {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A multi-value register: every value that no later write has seen.
///
/// One dot per value and one context for all, so that many writers behind one replica neither make false
/// conflicts nor explode the state (Preguiça et al., "Dotted Version Vectors", 2010). Where two copies of one
/// store gave a dot to different values, every replica keeps the same one of them.
///
/// Choose it where no concurrent write may be lost and somebody can resolve what stands side by side. Each
/// value takes about 35 bytes beside its own and the writer's name; the context takes 10 to 20 bytes for each
/// replica that ever wrote. Decoding refuses siblings out of order and those whose dots the context lacks.
///
/// ```
/// use memlife_crdt::{Contribution, Hlc, Lattice, MultiValue, ReplicaId, Stamp, Timestamp};
///
/// let write = |replica, ms, value: &'static str| Contribution {
///     replica: ReplicaId(replica),
///     seq: 1,
///     stamp: Stamp::new(Hlc::new(Timestamp::from_ms(ms)), ReplicaId(replica)),
///     writer: None,
///     value: value.into(),
/// };
/// let (mut here, mut there) = (MultiValue::default(), MultiValue::default());
/// here.put(write(1, 1_000, "left"))?;
/// there.put(write(2, 1_001, "right"))?;
/// let _ = here.join(&there);
/// let values: Vec<_> = here.newest_first().iter().map(|sibling| &sibling.value[..]).collect();
/// assert_eq!(values, [b"right".as_slice(), b"left"]);
///
/// here.assign(write(1, 1_002, "both"))?; // has seen both, so it replaces both
/// let _ = here.join(&there);
/// assert_eq!(here.len(), 1);
/// # Ok::<(), memlife_crdt::Overflow>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Encoded", into = "Encoded")]
pub struct MultiValue(Causal<Sibling>);

/// A value on its way into a multi-value register.
#[derive(Clone, Debug)]
pub struct Contribution {
    /// The replica that writes.
    pub replica: ReplicaId,
    /// The `seq` of the write.
    pub seq: u64,
    /// The stamp of the write.
    pub stamp: Stamp,
    /// Who writes, where known.
    pub writer: Option<String>,
    /// The value.
    pub value: Bytes,
}

impl MultiValue {
    /// Adds a value that has seen only what the same named writer wrote on the same replica, replaces that, and
    /// returns the delta.
    ///
    /// # Errors
    /// [`Overflow`] when the replica has no dot left; the register is unchanged then.
    pub fn put(&mut self, new: Contribution) -> Result<MultiValue, Overflow> {
        let is_own = |old: &Sibling| old.dot.actor.replica == new.replica && old.writer == new.writer;
        let own = self.dots(|old| new.writer.is_some() && is_own(old));
        self.write(new, &own)
    }

    /// Replaces every value held now, since the writer has seen them all, and returns the delta.
    ///
    /// # Errors
    /// [`Overflow`] when the replica has no dot left; the register is unchanged then.
    pub fn assign(&mut self, new: Contribution) -> Result<MultiValue, Overflow> {
        let all = self.dots(|_| true);
        self.write(new, &all)
    }

    /// Drops the oldest values until at most `most` are left; returns how many went, and the delta.
    pub fn cap(&mut self, most: usize) -> (usize, MultiValue) {
        let surplus = self.len().saturating_sub(most);
        let mut ages: Vec<_> = self.0.iter().map(|(dot, sibling)| (sibling.stamp, dot)).collect();
        ages.sort_unstable();
        let oldest: Vec<Dot> = ages.into_iter().take(surplus).map(|(_, dot)| dot).collect();
        (surplus, MultiValue(self.0.remove(&oldest)))
    }

    /// The values, newest first.
    pub fn newest_first(&self) -> Vec<&Sibling> {
        let mut siblings: Vec<&Sibling> = self.0.iter().map(|(_, sibling)| sibling).collect();
        siblings.sort_by_key(|sibling| Reverse((sibling.stamp, &sibling.value, sibling.dot)));
        siblings
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no value is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn dots(&self, is_meant: impl Fn(&Sibling) -> bool) -> Vec<Dot> {
        self.0.iter().filter(|(_, sibling)| is_meant(sibling)).map(|(dot, _)| dot).collect()
    }

    fn write(&mut self, new: Contribution, observed: &[Dot]) -> Result<MultiValue, Overflow> {
        let Contribution { replica, seq, stamp, writer, value } = new;
        let sibling = |dot| Sibling { dot, stamp, writer, value };
        self.0.write(replica, seq, sibling, observed).map(MultiValue)
    }
}

impl Lattice for MultiValue {
    /// Keeps what both have and what only one has and the other has never seen.
    fn join(&mut self, other: &Self) -> Changed {
        self.0.join(&other.0)
    }
}

impl Resettable for MultiValue {
    fn reset(&mut self) -> Self {
        MultiValue(self.0.clear())
    }

    fn is_live(&self) -> bool {
        !self.is_empty()
    }

    fn renew(&mut self, replica: ReplicaId, seq: u64) -> Changed {
        self.0.renew(replica, seq)
    }
}

/// The serde form: values in the order of their dots, so that equal states are equal bytes.
#[derive(Serialize, Deserialize)]
#[serde(rename = "MultiValue")]
struct Encoded {
    siblings: Vec<Sibling>,
    context: CausalContext,
}

impl From<MultiValue> for Encoded {
    fn from(register: MultiValue) -> Self {
        let (values, context) = register.0.into_parts();
        Encoded { siblings: values.into_values().collect(), context }
    }
}

impl TryFrom<Encoded> for MultiValue {
    type Error = &'static str;

    fn try_from(encoded: Encoded) -> Result<Self, Self::Error> {
        let Encoded { siblings, context } = encoded;
        if !pairs::ascend(siblings.iter().map(|sibling| sibling.dot)) {
            return Err("the values of a multi-value register are out of order");
        }
        if !siblings.iter().all(|sibling| sibling.dot.n > 0 && context.contains(sibling.dot)) {
            return Err("a multi-value register holds a value that its context has not seen");
        }
        let values = siblings.into_iter().map(|sibling| (sibling.dot, sibling)).collect();
        Ok(MultiValue(Causal::from_parts(values, context)))
    }
}
