use crate::{Changed, Lattice, ReplicaId};
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
/// Almeida, Shoker and Baquero, "Delta State Replicated Data Types" (2018), section 7.2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CausalContext {
    vector: BTreeMap<Actor, u64>,
    cloud: BTreeSet<Dot>,
}

impl CausalContext {
    /// Whether `dot` was seen.
    pub fn contains(&self, dot: Dot) -> bool {
        self.vector.get(&dot.actor).is_some_and(|&n| dot.n <= n) || self.cloud.contains(&dot)
    }

    /// Records `dot` as seen.
    pub fn insert(&mut self, dot: Dot) -> Changed {
        if self.contains(dot) {
            return Changed::No;
        }
        self.cloud.insert(dot);
        self.compact();
        Changed::Yes
    }

    /// Mints the next dot of `replica`, under its latest presence or, with none, under `generation`.
    pub fn mint(&mut self, replica: ReplicaId, generation: u64) -> Dot {
        let newest = Actor { replica, generation: u64::MAX };
        let oldest = Actor { replica, generation: 0 };
        let (actor, seen) = self
            .vector
            .range(oldest..=newest)
            .next_back()
            .map_or((Actor { replica, generation }, 0), |(actor, &n)| (*actor, n));
        // A dot of this actor that waits in the cloud was minted already.
        let waiting = self.cloud.iter().filter(|dot| dot.actor == actor).map(|dot| dot.n).max().unwrap_or(0);
        let dot = Dot { actor, n: seen.max(waiting).saturating_add(1) };
        let _ = self.insert(dot);
        dot
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.vector.is_empty() && self.cloud.is_empty()
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
            let seen = self.vector.entry(actor).or_insert(0);
            if n > *seen {
                *seen = n;
                changed = Changed::Yes;
            }
        }
        for &dot in &other.cloud {
            if !self.contains(dot) {
                self.cloud.insert(dot);
                changed = Changed::Yes;
            }
        }
        self.compact();
        changed
    }
}
