//! The greatest and the least of the numbers offered.

use crate::causal::Causal;
use crate::{Changed, Lattice, Number, Overflow, ReplicaId, Resettable};
use serde::{Deserialize, Serialize};

/// Offers under their dots: one after another on one replica, several after concurrent ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Offers(Causal<Number>);

impl Offers {
    /// Writes `number` in place of what it beats; without effect when it beats nothing that is there.
    fn offer(
        &mut self,
        replica: ReplicaId,
        seq: u64,
        number: Number,
        beats: impl Fn(&Number, &Number) -> bool,
    ) -> Result<Self, Overflow> {
        if self.0.iter().any(|(_, held)| !beats(&number, held)) {
            return Ok(Offers::default());
        }
        let beaten: Vec<_> = self.0.iter().map(|(dot, _)| dot).collect();
        self.0.write(replica, seq, |_| number, &beaten).map(Offers)
    }

    fn numbers(&self) -> impl Iterator<Item = Number> {
        self.0.iter().map(|(_, number)| *number)
    }
}

macro_rules! extreme {
    ($(#[$about:meta])* $name:ident, $beats:expr, $pick:ident) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Offers);

        impl $name {
            /// Offers `number` for `replica` and returns the delta; `seq` names its presence when it has none yet.
            /// An offer that does not beat what is there changes nothing.
            ///
            /// # Errors
            /// [`Overflow`] when the replica has no dot left; nothing changes then.
            pub fn offer(
                &mut self,
                replica: ReplicaId,
                seq: u64,
                number: impl Into<Number>,
            ) -> Result<$name, Overflow> {
                self.0.offer(replica, seq, number.into(), $beats).map($name)
            }

            /// What was offered best; `None` when nothing was, or all of it was reset.
            pub fn value(&self) -> Option<Number> {
                self.0.numbers().$pick()
            }
        }

        impl Lattice for $name {
            fn join(&mut self, other: &Self) -> Changed {
                self.0.0.join(&other.0.0)
            }
        }

        impl Resettable for $name {
            fn reset(&mut self) -> Self {
                $name(Offers(self.0.0.clear()))
            }

            fn is_live(&self) -> bool {
                !self.0.0.is_empty()
            }

            fn renew(&mut self, replica: ReplicaId, seq: u64) -> Changed {
                self.0.0.renew(replica, seq)
            }
        }
    };
}

extreme! {
    /// The greatest number offered since the last reset.
    ///
    /// An offer replaces what it beats; offers that are concurrent stand beside each other, so that a reset takes
    /// back exactly what it has seen.
    ///
    /// Choose it for high-water marks: the longest run, the last event seen. It takes about 10 bytes for each offer
    /// that no better one has seen, mostly one, and 10 to 20 for each replica that ever wrote.
    ///
    /// ```
    /// use memlife_crdt::{Lattice, Max, ReplicaId};
    ///
    /// let (mut here, mut there) = (Max::default(), Max::default());
    /// here.offer(ReplicaId(1), 1, 7)?;
    /// there.offer(ReplicaId(2), 1, 9)?;
    /// let _ = here.join(&there);
    /// assert_eq!(here.value(), Some(9.into()));
    /// # Ok::<(), memlife_crdt::Overflow>(())
    /// ```
    Max, |new, held| new > held, max
}

extreme! {
    /// The least number offered since the last reset.
    ///
    /// As [`Max`](crate::Max), the other way round: choose it for low-water marks, such as the best time or the
    /// oldest open task.
    ///
    /// ```
    /// use memlife_crdt::{Lattice, Min, ReplicaId};
    ///
    /// let (mut here, mut there) = (Min::default(), Min::default());
    /// here.offer(ReplicaId(1), 1, 7)?;
    /// there.offer(ReplicaId(2), 1, 9)?;
    /// let _ = here.join(&there);
    /// assert_eq!(here.value(), Some(7.into()));
    /// # Ok::<(), memlife_crdt::Overflow>(())
    /// ```
    Min, |new, held| new < held, min
}
