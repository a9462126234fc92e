use crate::{Changed, Lattice, Overflow, ReplicaId, pairs};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Who adds to a causal state: a replica, and which of its presences in this entry.
///
/// A replica that contributes again after its metadata was dropped takes a new `generation` (the `seq` of that
/// write), so that no dot is ever minted twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// The replica.
    pub replica: ReplicaId,
    /// The `seq` of its first write of this presence.
    pub generation: u64,
}

/// One contribution: the `n`-th of an actor, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dot {
    /// Who.
    pub actor: Actor,
    /// Which.
    pub n: u64,
}

/// The set of dots a state has seen, whether their values are still there or not.
///
/// A version vector for the contiguous part and a cloud for what arrived out of order, as in
/// Almeida, Shoker and Baquero, "Delta State Replicated Data Types" (2018), section 7.2. Equal sets are equal
/// states and equal bytes. Decoding refuses every other form of a set.
///
/// Choose it to build a state of your own whose removals must not outlive what they saw. It takes 10 to 20
/// bytes per actor, whatever was removed; a dot in the cloud takes about as much.
///
/// ```
/// use memlife_crdt::{CausalContext, Lattice, ReplicaId};
///
/// let mut here = CausalContext::default();
/// let first = here.mint(ReplicaId(1), 1)?;
/// let mut there = here.clone();
/// let second = there.mint(ReplicaId(2), 1)?;
///
/// assert!(here.contains(first) && !here.contains(second));
/// let _ = here.join(&there);
/// assert_eq!(here, there);
/// # Ok::<(), memlife_crdt::Overflow>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Encoded")]
pub struct CausalContext {
    /// Never 0: the dots 1 to this number were seen.
    #[serde(serialize_with = "pairs::serialize")]
    vector: BTreeMap<Actor, u64>,
    /// Only what lies beyond the vector with a gap between.
    cloud: BTreeSet<Dot>,
}

impl CausalContext {
    /// Whether `dot` was seen.
    pub fn contains(&self, dot: Dot) -> bool {
        dot.n <= self.seen(dot.actor) || self.cloud.contains(&dot)
    }

    /// Whether `dot` was seen and nothing else.
    pub(crate) fn is_only(&self, dot: Dot) -> bool {
        match (self.vector.len(), self.cloud.len()) {
            (0, 1) => self.cloud.contains(&dot),
            (1, 0) => dot.n == 1 && self.seen(dot.actor) == 1,
            _ => false,
        }
    }

    /// Records `dot` as seen. There is no dot 0: it counts as seen by all.
    pub fn insert(&mut self, dot: Dot) -> Changed {
        let changed = self.see(dot);
        self.compact();
        changed
    }

    /// Mints the next dot of `replica`, under its latest presence or, with none, under `generation`.
    ///
    /// # Errors
    /// [`Overflow`] when the presence has no number left and `generation` is no later one; nothing changes then.
    pub fn mint(&mut self, replica: ReplicaId, generation: u64) -> Result<Dot, Overflow> {
        let fresh = Actor { replica, generation };
        let dot = match self.latest(replica) {
            None => Dot { actor: fresh, n: 1 },
            Some(Dot { actor, n }) => match n.checked_add(1) {
                Some(n) => Dot { actor, n },
                None if generation > actor.generation => Dot { actor: fresh, n: 1 },
                None => return Err(Overflow),
            },
        };
        let _ = self.insert(dot);
        Ok(dot)
    }

    /// Has `replica` go on under `generation`, if it is known here and that is a later one.
    pub(crate) fn renew(&mut self, replica: ReplicaId, generation: u64) -> Changed {
        let actor = Actor { replica, generation };
        match self.latest(replica) {
            // Its first dot counts as seen and holds nothing.
            Some(last) if last.actor < actor => self.insert(Dot { actor, n: 1 }),
            _ => Changed::No,
        }
    }

    /// The actors and up to which number their dots were seen without a gap, in order.
    pub(crate) fn vector(&self) -> impl Iterator<Item = (Actor, u64)> {
        self.vector.iter().map(|(&actor, &n)| (actor, n))
    }

    /// The dots seen beyond that, in order.
    pub(crate) fn cloud(&self) -> impl Iterator<Item = Dot> {
        self.cloud.iter().copied()
    }

    /// The context of what was read, if it is the one form of one.
    pub(crate) fn from_parts(vector: Vec<(Actor, u64)>, cloud: Vec<Dot>) -> Result<Self, &'static str> {
        Encoded { vector, cloud }.try_into()
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.vector.is_empty() && self.cloud.is_empty()
    }

    /// Records `dot`; what continues the vector goes there, what is beyond a gap waits in the cloud.
    fn see(&mut self, dot: Dot) -> Changed {
        let seen = self.seen(dot.actor);
        if dot.n <= seen || self.cloud.contains(&dot) {
            return Changed::No;
        }
        if seen.checked_add(1) == Some(dot.n) {
            self.vector.insert(dot.actor, dot.n);
        } else {
            self.cloud.insert(dot);
        }
        Changed::Yes
    }

    /// Up to which number the dots of `actor` were seen without a gap.
    fn seen(&self, actor: Actor) -> u64 {
        self.vector.get(&actor).copied().unwrap_or(0)
    }

    /// The last dot that was seen of the latest presence of `replica`.
    fn latest(&self, replica: ReplicaId) -> Option<Dot> {
        let oldest = Actor { replica, generation: 0 };
        let newest = Actor { replica, generation: u64::MAX };
        let counted = self.vector.range(oldest..=newest).next_back().map(|(&actor, &n)| Dot { actor, n });
        // A dot that waits in the cloud was minted, too.
        let cloud = Dot { actor: oldest, n: 0 }..=Dot { actor: newest, n: u64::MAX };
        counted.max(self.cloud.range(cloud).next_back().copied())
    }

    /// Moves dots that continue the vector out of the cloud, which is in order.
    fn compact(&mut self) {
        let vector = &mut self.vector;
        self.cloud.retain(|dot| {
            let seen = vector.get(&dot.actor).copied().unwrap_or(0);
            if seen.checked_add(1) == Some(dot.n) {
                vector.insert(dot.actor, dot.n);
                return false;
            }
            dot.n > seen
        });
    }
}

impl Lattice for CausalContext {
    fn join(&mut self, other: &Self) -> Changed {
        let mut changed = Changed::No;
        for (&actor, &n) in &other.vector {
            if n > self.seen(actor) {
                self.vector.insert(actor, n);
                changed = Changed::Yes;
            }
        }
        for &dot in &other.cloud {
            changed = changed.or(self.see(dot));
        }
        self.compact();
        changed
    }
}

/// A context as read, before it is known to be one.
#[derive(Deserialize)]
#[serde(rename = "CausalContext")]
struct Encoded {
    vector: Vec<(Actor, u64)>,
    cloud: Vec<Dot>,
}

impl TryFrom<Encoded> for CausalContext {
    type Error = &'static str;

    fn try_from(encoded: Encoded) -> Result<Self, Self::Error> {
        let Encoded { vector, cloud } = encoded;
        if !pairs::ascend(vector.iter().map(|(actor, _)| actor)) || !pairs::ascend(cloud.iter()) {
            return Err("a causal context is out of order");
        }
        if vector.iter().any(|&(_, n)| n == 0) {
            return Err("a causal context counts no dot of an actor that it lists");
        }
        let context =
            CausalContext { vector: vector.into_iter().collect(), cloud: cloud.into_iter().collect() };
        if context.cloud.iter().any(|dot| dot.n <= context.seen(dot.actor).saturating_add(1)) {
            return Err("a causal context sets apart a dot that belongs to its vector");
        }
        Ok(context)
    }
}
