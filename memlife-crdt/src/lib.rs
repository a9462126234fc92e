//! Clocks and small delta-state lattices for key-value memory.
//!
//! Replicas that hold these states and exchange them in any order, any number of times, end up equal. The crate
//! does no I/O, reads no clock and knows nothing of keys, stores or policies.
//!
//! ```
//! use memlife_crdt::{Counter, Lattice, ReplicaId};
//!
//! let (here, there) = (ReplicaId(1), ReplicaId(2));
//! let mut counter = Counter::default();
//! counter.add(here, 1, 5).unwrap();
//!
//! let mut copy = counter.clone();
//! copy.add(there, 1, 1).unwrap(); // concurrent with the reset
//! counter.reset();
//!
//! let _ = counter.join(&copy);
//! assert_eq!(counter.value(), 1); // exactly what the reset had not seen
//! ```

mod clock;
mod counter;
mod dot;
mod lattice;
mod life;
mod multi_value;
mod register;
mod time;

pub use clock::{Drift, Hlc, ReplicaId, Stamp};
pub use counter::{Counter, Overflow};
pub use dot::{Actor, CausalContext, Dot};
pub use lattice::{Changed, Lattice};
pub use life::Life;
pub use multi_value::{Contribution, MultiValue, Sibling};
pub use register::Register;
pub use time::Timestamp;
