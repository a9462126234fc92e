//! Clocks and small delta-state lattices for key-value memory.
//!
//! Replicas that hold these states and exchange them in any order, any number of times, end up equal. The crate
//! does no I/O, reads no clock and knows nothing of keys, stores or policies.
//!
//! | type | promises | choose it when | bytes beside the values |
//! |---|---|---|---|
//! | [`Register`] | the newest write shows | the older of two concurrent writes may go | 20 |
//! | [`MultiValue`] | a value stays until a write that has seen it | no concurrent write may be lost | 35 per value, 20 per replica |
//! | [`Counter`] | every addition counts once, a reset takes what it saw | many count at once | 12 to 20 per replica |
//! | [`GCounter`] | the same, and only a reset lowers it | going down would be a mistake | 12 to 20 per replica |
//! | [`OrSet`] | an element stays until a removal that has seen it | insertions are to win | 4 to 8 per element, 20 per replica |
//! | [`RwSet`] | a removal stays until an insertion that has seen it | removals are to win | 5 to 9 per element ever in it, 20 per replica |
//! | [`Max`], [`Min`] | the best offer since the last reset shows | only the greatest, or the least, matters | 10, 20 per replica |
//! | [`FlagEw`], [`FlagDw`] | on, or off, stays until a write that has seen it | one position is to win | 5, 20 per replica |
//! | [`Map`] | each field keeps the promise of its type | several fill in one object | 25 per plain field, 20 per replica |
//! | [`Life`] | the longest renewal holds, a named end beats all of them | an entry may expire and be renewed | 30 |
//! | [`CausalContext`] | what was seen once is never new again | you build a state of your own | 20 per replica |
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
//!
//! # What two concurrent changes come to
//!
//! Concurrent means that neither side has seen the other's change; a change that has seen another builds on it. An
//! entry is taken to be a state and a [`Life`] beside it, and its changes to be these:
//!
//! - A *write* of a register or a multi-value register starts a new life; of every other type it renews the life.
//! - A *delete* resets the state and leaves the life alone, so that what survives it is visible.
//! - *Expiry* is no change: the clock passes the end of the life. A store may forget the entry then.
//! - A *rewrite* finds the entry expired: it resets what is left of the state, writes, and starts a new life.
//! - A *refresh* renews the life and nothing else; *setting the end* starts a new life without a write.
//!
//! What becomes of the value:
//!
//! | | `Register` | `MultiValue` | counters | `Max`, `Min` | sets | flags | `Map` |
//! |---|---|---|---|---|---|---|---|
//! | write and write | the newer | both | their sum | the better | their union | the winning side | field by field |
//! | write and delete | the newer | the write | the write | the write | the write | the write | the write |
//! | delete and delete | none | none | none | none | none | none | none |
//! | write and expiry | the write | the write | the sum | the best | the union | the write | all fields |
//! | write and rewrite | the newer | both | their sum | the better | their union | the winning side | field by field |
//! | refresh and rewrite | the rewrite | the rewrite | the rewrite | the rewrite | the rewrite | the rewrite | the rewrite |
//! | refresh and delete | none | none | none | none | none | none | none |
//!
//! What was there before is part of the sum, the best, the union and the fields in *write and write* and in *write
//! and expiry*, where the life goes on. In all other rows nothing is left of it. In particular:
//!
//! - Registers: stamps are equal only where they were imported; then a delete beats a value, and the greater bytes
//!   the lesser.
//! - Counters: an addition that a reset has not seen counts in full, and two resets take back once what both saw.
//! - `Max`, `Min`: an offer that does not beat what is there is no write, so that nothing of it survives a delete.
//! - Sets: of an insertion and a removal of one element, the insertion wins in an [`OrSet`] and the removal in an
//!   [`RwSet`].
//! - Flags: of on and off, on wins in a [`FlagEw`] and off in a [`FlagDw`].
//! - Maps: of two values of one plain field the newer; of two counters, sets or other states in one field what their
//!   type says; of a removal of a field and a write to it what the removal has not seen. Of two types in one field
//!   both are kept and the greater [`FieldKind`] shows.
//!
//! What becomes of the life:
//!
//! | changes | the entry lives |
//! |---|---|
//! | refresh and refresh | as long as the longer says |
//! | refresh and expiry | on, by the refresh: it saw the entry alive |
//! | write and expiry | on, by the write |
//! | refresh and write | a register of either sort as long as the write says, all others as the longer does |
//! | write and write | a register of either sort as long as the newer says, all others as the longer does |
//! | creation and creation, write and rewrite | as long as the newer says, which started a new life |
//! | refresh and rewrite | as long as the rewrite says |
//! | setting the end and refresh | until the end that was set |
//! | setting the end, twice | until the end that was set later |
//! | delete and refresh, delete and expiry | no longer |
//!
//! A refresh wins over expiry only if it arrives before the other side has forgotten the entry, or brings the state
//! along.
//!
//! ```
//! use memlife_crdt::{Counter, Hlc, Lattice, Life, ReplicaId, Resettable, Stamp, Timestamp};
//!
//! /// A life that starts at a time on a replica and lasts a minute.
//! fn minute(ms: u64, replica: ReplicaId) -> Life {
//!     let start = Timestamp::from_ms(ms);
//!     Life::new(Stamp::new(Hlc::new(start), replica), Some(start.plus_ms(60_000)))
//! }
//!
//! let (here, there) = (ReplicaId(1), ReplicaId(2));
//! let mut mine = (Counter::default(), minute(0, here));
//! mine.0.add(here, 1, 5)?;
//! let mut theirs = mine.clone();
//!
//! theirs.0.add(there, 1, 2)?; // a write while the entry lives ...
//! mine.0.reset(); // ... and, concurrently, a rewrite after it expired
//! mine.0.add(here, 2, 1)?;
//! mine.1 = minute(61_000, here);
//!
//! let _ = (mine.0.join(&theirs.0), mine.1.join(&theirs.1));
//! assert_eq!(mine.0.value(), 3); // their sum, without the 5
//! assert_eq!(mine.1.expires_at, Some(Timestamp::from_ms(121_000))); // as long as the newer says
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
