use crate::{Changed, Counter, Lattice, Overflow, ReplicaId, Resettable};
use serde::{Deserialize, Serialize};

/// A counter that only goes up, and can be reset exactly.
///
/// Choose it where going down would be a mistake: things that happened, bytes that were sent. It takes up to 20 bytes
/// for each replica that ever wrote. Decoding refuses one that was subtracted from.
///
/// Source: as [`Counter`], without the half that subtracts.
///
/// ```
/// use memlife_crdt::{GCounter, Lattice, ReplicaId};
///
/// let (mut here, mut there) = (GCounter::default(), GCounter::default());
/// here.add(ReplicaId(1), 1, 2)?;
/// there.add(ReplicaId(2), 1, 3)?;
/// let _ = here.join(&there);
/// assert_eq!(here.value(), 5);
/// # Ok::<(), memlife_crdt::Overflow>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Counter", into = "Counter")]
pub struct GCounter(Counter);

impl GCounter {
    /// Adds `amount` for `replica` and returns the delta; `seq` names its presence when it has no row yet.
    ///
    /// # Errors
    /// [`Overflow`] when the replica's total cannot hold it; the counter is unchanged then.
    pub fn add(&mut self, replica: ReplicaId, seq: u64, amount: u64) -> Result<GCounter, Overflow> {
        self.0.grow(replica, seq, amount).map(GCounter)
    }

    /// The sum of what was added and not reset.
    pub fn value(&self) -> u128 {
        self.0.value().unsigned_abs()
    }
}

impl TryFrom<Counter> for GCounter {
    type Error = &'static str;

    fn try_from(counter: Counter) -> Result<Self, Self::Error> {
        if counter.has_subtracted() {
            return Err("a counter that only goes up was subtracted from");
        }
        Ok(GCounter(counter))
    }
}

impl From<GCounter> for Counter {
    fn from(counter: GCounter) -> Self {
        counter.0
    }
}

impl Lattice for GCounter {
    fn join(&mut self, other: &Self) -> Changed {
        self.0.join(&other.0)
    }
}

impl Resettable for GCounter {
    fn reset(&mut self) -> Self {
        GCounter(Resettable::reset(&mut self.0))
    }

    fn is_live(&self) -> bool {
        self.0.is_live()
    }

    fn renew(&mut self, replica: ReplicaId, seq: u64) -> Changed {
        self.0.renew(replica, seq)
    }
}
