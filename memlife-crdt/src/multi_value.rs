use crate::{CausalContext, Changed, Dot, Lattice, Overflow, ReplicaId, Stamp, pairs};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

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
    fn rank(&self) -> (Stamp, &Bytes, &Option<String>) {
        (self.stamp, &self.value, &self.writer)
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
#[serde(try_from = "Encoded")]
pub struct MultiValue {
    /// In the order of their dots, so that equal states are equal bytes.
    siblings: Vec<Sibling>,
    context: CausalContext,
}

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
    /// Adds a value that has seen only what the same named writer wrote on the same replica, and replaces that.
    ///
    /// # Errors
    /// [`Overflow`] when the replica has no dot left; the register is unchanged then.
    pub fn put(&mut self, new: Contribution) -> Result<(), Overflow> {
        let dot = self.context.mint(new.replica, new.seq)?;
        if new.writer.is_some() {
            self.siblings.retain(|old| old.dot.actor.replica != new.replica || old.writer != new.writer);
        }
        self.add(dot, new);
        Ok(())
    }

    /// Replaces every value held now: the writer has seen them all.
    ///
    /// # Errors
    /// [`Overflow`] when the replica has no dot left; the register is unchanged then.
    pub fn assign(&mut self, new: Contribution) -> Result<(), Overflow> {
        let dot = self.context.mint(new.replica, new.seq)?;
        self.siblings.clear();
        self.add(dot, new);
        Ok(())
    }

    /// Removes every value held now; values that others add concurrently survive.
    pub fn clear(&mut self) {
        self.siblings.clear();
    }

    /// Drops the oldest values until at most `most` are left, and returns how many went.
    pub fn cap(&mut self, most: usize) -> usize {
        let surplus = self.siblings.len().saturating_sub(most);
        if surplus > 0 {
            let mut ages: Vec<_> = self.siblings.iter().map(|sibling| (sibling.stamp, sibling.dot)).collect();
            ages.sort_unstable();
            let kept = ages.split_off(surplus);
            let oldest_kept = kept.first();
            self.siblings
                .retain(|sibling| oldest_kept.is_some_and(|oldest| (sibling.stamp, sibling.dot) >= *oldest));
        }
        surplus
    }

    /// The values, newest first.
    pub fn newest_first(&self) -> Vec<&Sibling> {
        let mut siblings: Vec<&Sibling> = self.siblings.iter().collect();
        siblings.sort_by_key(|sibling| Reverse((sibling.stamp, &sibling.value, sibling.dot)));
        siblings
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.siblings.len()
    }

    /// Whether no value is left.
    pub fn is_empty(&self) -> bool {
        self.siblings.is_empty()
    }

    fn add(&mut self, dot: Dot, new: Contribution) {
        let sibling = Sibling { dot, stamp: new.stamp, writer: new.writer, value: new.value };
        let at = self.siblings.partition_point(|old| old.dot < dot);
        self.siblings.insert(at, sibling);
    }

    /// Where the value of `dot` is among the siblings.
    fn find(&self, dot: Dot) -> Option<usize> {
        self.siblings.binary_search_by_key(&dot, |sibling| sibling.dot).ok()
    }
}

impl Lattice for MultiValue {
    /// Keeps what both have and what only one has and the other has never seen.
    fn join(&mut self, other: &Self) -> Changed {
        let before = self.siblings.len();
        self.siblings.retain(|mine| other.find(mine.dot).is_some() || !other.context.contains(mine.dot));
        let mut changed = Changed::when(self.siblings.len() != before);
        let mut news = Vec::new();
        for theirs in &other.siblings {
            match self.find(theirs.dot) {
                Some(at) if theirs.rank() > self.siblings[at].rank() => {
                    self.siblings[at] = theirs.clone();
                    changed = Changed::Yes;
                }
                Some(_) => {}
                None if self.context.contains(theirs.dot) => {}
                None => news.push(theirs.clone()),
            }
        }
        if !news.is_empty() {
            self.siblings.append(&mut news);
            // Two sorted runs: the sort is one merge.
            self.siblings.sort_by_key(|sibling| sibling.dot);
            changed = Changed::Yes;
        }
        changed.or(self.context.join(&other.context))
    }
}

/// A register as read, before it is known to be one.
#[derive(Deserialize)]
#[serde(rename = "MultiValue")]
struct Encoded {
    siblings: Vec<Sibling>,
    context: CausalContext,
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
        Ok(MultiValue { siblings, context })
    }
}
