use crate::flag::Positions;
use crate::{Changed, Lattice, Overflow, ReplicaId, Resettable};
use serde::{Deserialize, Serialize};

/// A flag that is on or off, disable-wins: of two writes that are concurrent, disabling beats enabling.
///
/// Choose it for what must not happen once anybody forbade it: a permission, an automatism. It takes 5 bytes for each write that no
/// other has seen, mostly one, and 10 to 20 for each replica that ever wrote.
///
/// Source: the disable-wins flag of Almeida, Shoker and Baquero, "Delta State Replicated Data Types" (2018), which keeps
/// every position under its dot, so that a flag that is off differs from none.
///
/// ```
/// use memlife_crdt::{FlagDw, Lattice, ReplicaId};
///
/// let mut here = FlagDw::default();
/// here.set(ReplicaId(1), 1, true)?;
/// let mut there = here.clone();
///
/// here.set(ReplicaId(1), 2, false)?; // concurrent: it wins
/// there.set(ReplicaId(2), 1, true)?;
/// let _ = here.join(&there);
/// assert!(!here.is_on());
/// # Ok::<(), memlife_crdt::Overflow>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FlagDw(Positions);

impl FlagDw {
    /// Sets the flag for `replica` and returns the delta; `seq` names its presence when it has none yet.
    ///
    /// # Errors
    /// [`Overflow`] when the replica has no dot left; the flag is unchanged then.
    pub fn set(&mut self, replica: ReplicaId, seq: u64, is_on: bool) -> Result<FlagDw, Overflow> {
        self.0.set(replica, seq, is_on).map(FlagDw)
    }

    /// Whether the flag is on.
    pub fn is_on(&self) -> bool {
        self.0.any(true) && !self.0.any(false)
    }
}

impl Lattice for FlagDw {
    fn join(&mut self, other: &Self) -> Changed {
        self.0.join(&other.0)
    }
}

impl Resettable for FlagDw {
    fn reset(&mut self) -> Self {
        FlagDw(self.0.clear())
    }

    fn is_live(&self) -> bool {
        !self.0.is_empty()
    }

    fn renew(&mut self, replica: ReplicaId, seq: u64) -> Changed {
        self.0.renew(replica, seq)
    }
}
