use crate::{CausalContext, Changed, Dot, Lattice, ReplicaId, Stamp};
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

/// A multi-value register: every value that no later write has seen.
///
/// One dot per value and one context for all, so that many writers behind one replica neither make false
/// conflicts nor explode the state (Preguiça et al., "Dotted Version Vectors", 2010).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MultiValue {
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
    pub fn put(&mut self, new: Contribution) {
        if new.writer.is_some() {
            let replica = new.replica;
            self.siblings.retain(|old| old.dot.actor.replica != replica || old.writer != new.writer);
        }
        self.add(new);
    }

    /// Replaces every value held now: the writer has seen them all.
    pub fn assign(&mut self, new: Contribution) {
        self.siblings.clear();
        self.add(new);
    }

    /// Removes every value held now; values that others add concurrently survive.
    pub fn clear(&mut self) {
        self.siblings.clear();
    }

    /// Drops the oldest values until at most `most` are left, and returns how many went.
    pub fn cap(&mut self, most: usize) -> usize {
        let surplus = self.siblings.len().saturating_sub(most);
        for _ in 0..surplus {
            let oldest =
                (0..self.siblings.len()).min_by_key(|&i| (self.siblings[i].stamp, self.siblings[i].dot));
            if let Some(oldest) = oldest {
                self.siblings.remove(oldest);
            }
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

    fn add(&mut self, new: Contribution) {
        let dot = self.context.mint(new.replica, new.seq);
        self.siblings.push(Sibling { dot, stamp: new.stamp, writer: new.writer, value: new.value });
        self.sort();
    }

    /// Equal states are equal bytes: siblings stand in the order of their dots.
    fn sort(&mut self) {
        self.siblings.sort_by_key(|sibling| sibling.dot);
    }
}

impl Lattice for MultiValue {
    /// Keeps what both have and what only one has and the other has never seen.
    fn join(&mut self, other: &Self) -> Changed {
        let before = self.siblings.len();
        let has = |side: &[Sibling], dot: Dot| side.iter().any(|sibling| sibling.dot == dot);
        self.siblings.retain(|mine| has(&other.siblings, mine.dot) || !other.context.contains(mine.dot));
        let removed = self.siblings.len() != before;
        let news: Vec<Sibling> = other
            .siblings
            .iter()
            .filter(|theirs| !has(&self.siblings, theirs.dot) && !self.context.contains(theirs.dot))
            .cloned()
            .collect();
        let added = !news.is_empty();
        self.siblings.extend(news);
        self.sort();
        Changed::when(removed || added).or(self.context.join(&other.context))
    }
}
