use crate::{Changed, Lattice, Stamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A last-write-wins register: the value with the greatest stamp, or its removal.
///
/// Equal stamps occur only where stamps were imported; then a removal beats a value and the greater bytes
/// beat the lesser, so that replicas agree whatever they saw first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// When the value was written.
    pub stamp: Stamp,
    /// The value; `None` once removed.
    pub value: Option<Bytes>,
}

impl Register {
    /// Whether `self` is what remains when both are joined.
    pub fn wins_over(&self, other: &Register) -> bool {
        rank(self) >= rank(other)
    }
}

fn rank(register: &Register) -> (Stamp, bool, Option<&Bytes>) {
    (register.stamp, register.value.is_none(), register.value.as_ref())
}

impl Lattice for Register {
    fn join(&mut self, other: &Self) -> Changed {
        if self.wins_over(other) {
            return Changed::No;
        }
        *self = other.clone();
        Changed::Yes
    }
}
