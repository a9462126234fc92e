use crate::flag::Positions;
use crate::{Changed, Lattice, Overflow, ReplicaId, Resettable};
use serde::{Deserialize, Serialize};

/// A flag that is on or off, enable-wins: of two writes that are concurrent, enabling beats disabling.
///
/// Choose it for what must happen if anybody asked for it: a wake-up, a request to stop. It takes 5 bytes for each write that no
/// other has seen, mostly one, and 10 to 20 for each replica that ever wrote.
///
/// Source: the enable-wins flag of Almeida, Shoker and Baquero, "Delta State Replicated Data Types" (2018), which keeps
/// every position under its dot, so that a flag that is off differs from none.
///
/// ```
/// use memlife_crdt::{FlagEw, Lattice, ReplicaId};
///
/// let mut here = FlagEw::default();
/// here.set(ReplicaId(1), 1, true)?;
/// let mut there = here.clone();
///
/// here.set(ReplicaId(1), 2, false)?;
/// there.set(ReplicaId(2), 1, true)?; // concurrent: it wins
/// let _ = here.join(&there);
/// assert!(here.is_on());
/// # Ok::<(), memlife_crdt::Overflow>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FlagEw(Positions);

impl FlagEw {
    /// Sets the flag for `replica` and returns the delta; `seq` names its presence when it has none yet.
    ///
    /// # Errors
    /// [`Overflow`] when the replica has no dot left; the flag is unchanged then.
    pub fn set(&mut self, replica: ReplicaId, seq: u64, is_on: bool) -> Result<FlagEw, Overflow> {
        self.0.set(replica, seq, is_on).map(FlagEw)
    }

    /// Whether the flag is on.
    pub fn is_on(&self) -> bool {
        self.0.any(true)
    }
}

impl Lattice for FlagEw {
    fn join(&mut self, other: &Self) -> Changed {
        self.0.join(&other.0)
    }
}

impl Resettable for FlagEw {
    fn reset(&mut self) -> Self {
        FlagEw(self.0.clear())
    }

    fn is_live(&self) -> bool {
        !self.0.is_empty()
    }

    fn renew(&mut self, replica: ReplicaId, seq: u64) -> Changed {
        self.0.renew(replica, seq)
    }
}
