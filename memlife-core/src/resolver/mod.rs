//! How the states of one conflict strategy are created, changed, joined and read.

pub(crate) mod convert;
mod counter;
mod extremes;
mod flags;
mod lattice;
mod lww;
mod map;
mod multi_value;
mod sets;

pub use convert::{beside_each_other, convert};
pub use lww::LwwResolver;
pub use multi_value::MultiValueResolver;

use crate::record::{Body, Compression, Head, Kind, Record};
use crate::store::Op;
use crate::{ReplicaId, Result, Stamp, Value};
use lattice::LatticeResolver;
use memlife_crdt::{Counter, FlagDw, FlagEw, GCounter, Map, Max, Min, OrSet, RwSet};
use std::sync::Arc;

/// The largest state that is changed or joined inside a store's atomic section, in bytes.
pub const MAX_NATIVE_STATE_BYTES: usize = 64 << 10;

/// One conflict strategy. Pure: the same arguments give the same answer on every replica.
///
/// A program adds its own by registering it with the engine under a name that policy files then use. Such a
/// strategy is never called inside a store: the engine reads, calls it, and writes under a version guard.
pub trait Resolver: Send + Sync {
    /// The kind of the entries it resolves.
    fn kind(&self) -> Kind;

    /// The state after `op` on `current`, which is `None` for a new entry.
    ///
    /// # Errors
    /// `TypeMismatch` when the operation is not one of this kind's.
    fn change(&self, current: Option<&Body>, op: &Op, mint: &Mint<'_>) -> Result<Resolved>;

    /// The state that is left when everything seen in `current` is deleted: what later joins need to know.
    fn reset(&self, current: &Body, how: Compression) -> Result<Option<Body>>;

    /// The least upper bound of two states of one key.
    fn join(&self, mine: Side<'_>, theirs: Side<'_>, how: Compression) -> Result<Resolved>;

    /// The state with which this store may go on writing after it took over `current` from elsewhere; `None` where
    /// that is the same.
    ///
    /// What a store wrote before it forgot an entry comes back in copies that may lack its last writes. Going on from
    /// there would give two writes one name.
    ///
    /// # Errors
    /// `Corrupt` when the state does not decode.
    fn renew(&self, _current: &Body, _mint: &Mint<'_>) -> Result<Option<Body>> {
        Ok(None)
    }

    /// The values held, newest first; never empty for a living entry.
    fn read(&self, head: &Head, body: &Body, limit: usize) -> Result<Vec<Held>>;
}

/// What a change may put its name to.
#[derive(Clone, Copy, Debug)]
pub struct Mint<'a> {
    /// The change number.
    pub seq: u64,
    /// The stamp.
    pub stamp: Stamp,
    /// The replica that the store's own changes count for; `stamp` may be of another.
    pub replica: ReplicaId,
    /// Who writes.
    pub writer: Option<&'a Arc<str>>,
    /// How to compress the state.
    pub compression: Compression,
    /// The most values a put leaves beside each other.
    pub max_siblings: u32,
}

/// A state and what to know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The state; `None` when nothing is left of it.
    pub body: Option<Body>,
    /// Whether the entry is alive with it.
    pub alive: bool,
    /// How many values it holds.
    pub siblings: u32,
    /// How many the cap dropped.
    pub dropped: u32,
}

impl Resolved {
    /// One living value.
    pub fn one(body: Body) -> Self {
        Resolved { body: Some(body), alive: true, siblings: 1, dropped: 0 }
    }
}

/// One side of a join.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// Its head.
    pub head: &'a Head,
    /// Its state.
    pub body: Option<&'a Body>,
}

impl<'a> Side<'a> {
    /// The side that `record` is.
    pub fn of(record: &'a Record) -> Self {
        Side { head: &record.head, body: record.body.as_ref() }
    }
}

/// One value that an entry holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The value.
    pub value: Value,
    /// When it was written.
    pub stamp: Stamp,
    /// Who wrote it, where known.
    pub writer: Option<Arc<str>>,
}

/// The built-in resolver of `kind`; `None` for one that a program registers.
pub fn native(kind: &Kind) -> Option<&'static dyn Resolver> {
    match kind {
        Kind::Lww => Some(&LwwResolver),
        Kind::MultiValue => Some(&MultiValueResolver),
        Kind::Counter => Some(&LatticeResolver::<Counter>::NEW),
        Kind::GCounter => Some(&LatticeResolver::<GCounter>::NEW),
        Kind::OrSet => Some(&LatticeResolver::<OrSet>::NEW),
        Kind::RwSet => Some(&LatticeResolver::<RwSet>::NEW),
        Kind::Max => Some(&LatticeResolver::<Max>::NEW),
        Kind::Min => Some(&LatticeResolver::<Min>::NEW),
        Kind::FlagEw => Some(&LatticeResolver::<FlagEw>::NEW),
        Kind::FlagDw => Some(&LatticeResolver::<FlagDw>::NEW),
        Kind::Map => Some(&LatticeResolver::<Map>::NEW),
        Kind::Custom(_) => None,
    }
}
