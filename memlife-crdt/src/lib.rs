//! Clocks and small delta-state lattices for key-value memory.
//!
//! Replicas that hold these states and exchange them in any order, any number of times, end up equal. The crate
//! does no I/O, reads no clock and knows nothing of keys, stores or policies.
//!
//! | type | holds | choose it when | bytes beside the values |
//! |---|---|---|---|
//! | [`Register`] | the newest value | the older of two concurrent writes may go | 20 |
//! | [`MultiValue`] | every value no later write has seen | no concurrent write may be lost | 35 per value, 20 per replica |
//! | [`Counter`] | a sum | many count at once, and a reset must be exact | 20 per replica |
//! | [`GCounter`] | a sum | the same, and going down would be a mistake | 20 per replica |
//! | [`OrSet`] | a set | concurrent insertions are to win over removals | 4 to 8 per element, 20 per replica |
//! | [`RwSet`] | a set | concurrent removals are to win | 5 to 9 per element ever written, 20 per replica |
//! | [`Max`], [`Min`] | a number | only the greatest, or the least, matters | 10, 20 per replica |
//! | [`FlagEw`], [`FlagDw`] | true or false | concurrent writes are to turn it on, or off | 5, 20 per replica |
//! | [`Map`] | fields | several fill in one object | 25 per plain field, 20 per replica |
//! | [`Life`] | an expiry | an entry may expire and be renewed | 30 |
//! | [`CausalContext`] | the set of writes seen | you build a state of your own | 20 per replica |
//!
//! A replica is one store, not one process, so the numbers per replica stay small.
//!
//! Each state has one serde form: equal states are equal bytes, and decoding answers bytes that no honest
//! replica can have written with an error. No operation panics, whatever was decoded.
//!
//! ```
//! use memlife_crdt::{Counter, Lattice, ReplicaId, Resettable};
//!
//! let (here, there) = (ReplicaId(1), ReplicaId(2));
//! let mut counter = Counter::default();
//! counter.add(here, 1, 5)?;
//!
//! let mut copy = counter.clone();
//! copy.add(there, 1, 1)?; // concurrent with the reset
//! counter.reset();
//!
//! let _ = counter.join(&copy);
//! assert_eq!(counter.value(), 1); // exactly what the reset had not seen
//! # Ok::<(), memlife_crdt::Overflow>(())
//! ```

mod causal;
mod clock;
mod counter;
mod dot;
mod elements;
mod extreme;
mod flag;
mod flag_dw;
mod flag_ew;
mod g_counter;
mod lattice;
mod life;
mod map;
mod multi_value;
mod number;
mod or_set;
mod pairs;
mod register;
mod rw_set;
mod time;

pub use clock::{Drift, Hlc, ReplicaId, Stamp};
pub use counter::{Counter, Overflow};
pub use dot::{Actor, CausalContext, Dot};
pub use extreme::{Max, Min};
pub use flag_dw::FlagDw;
pub use flag_ew::FlagEw;
pub use g_counter::GCounter;
pub use lattice::{Changed, Lattice, Resettable};
pub use life::Life;
pub use map::{Field, FieldKind, FieldRef, FieldType, Map};
pub use multi_value::{Contribution, MultiValue, Sibling};
pub use number::Number;
pub use or_set::OrSet;
pub use register::Register;
pub use rw_set::RwSet;
pub use time::Timestamp;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
