//! What both flags are made of: the positions that no later write has seen.

use crate::causal::Causal;
use crate::{Changed, Lattice, Overflow, ReplicaId};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Positions(Causal<bool>);

impl Positions {
    pub(crate) fn set(&mut self, replica: ReplicaId, seq: u64, is_on: bool) -> Result<Self, Overflow> {
        let observed: Vec<_> = self.0.iter().map(|(dot, _)| dot).collect();
        self.0.write(replica, seq, |_| is_on, &observed).map(Positions)
    }

    pub(crate) fn clear(&mut self) -> Self {
        Positions(self.0.clear())
    }

    /// Whether any position that stands is `is_on`.
    pub(crate) fn any(&self, is_on: bool) -> bool {
        self.0.iter().any(|(_, position)| *position == is_on)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn renew(&mut self, replica: ReplicaId, seq: u64) -> Changed {
        self.0.renew(replica, seq)
    }
}

impl Lattice for Positions {
    fn join(&mut self, other: &Self) -> Changed {
        self.0.join(&other.0)
    }
}
