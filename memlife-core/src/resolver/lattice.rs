//! Kinds whose states are lattices of which every write is an operation: all but the registers.

use super::{Held, Mint, Resolved, Resolver, Side};
use crate::record::{Body, Compression, Content, Head, Kind, codec};
use crate::store::Op;
use crate::{Encoding, Error, ErrorKind, Result, Value};
use memlife_crdt::{Overflow, Resettable};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;

/// A lattice under the verbs of the engine.
pub(super) trait Shape:
    Resettable + Clone + Default + Serialize + DeserializeOwned + Send + Sync
{
    /// The kind of the entries that hold it.
    const KIND: Kind;

    /// What it is and takes, for messages.
    const ABOUT: &'static str;

    /// What a plain put of `value` means.
    ///
    /// # Errors
    /// `TypeMismatch` for a value that it does not take.
    fn put(&mut self, value: &Value, mint: &Mint<'_>) -> Result<()>;

    /// Replaces all that is held by `value`.
    ///
    /// # Errors
    /// As [`Shape::put`].
    fn assign(&mut self, value: &Value, mint: &Mint<'_>) -> Result<()> {
        self.reset();
        self.put(value, mint)
    }

    /// An operation of its own; `None` when `op` is another kind's.
    ///
    /// # Errors
    /// As [`Shape::put`].
    fn operate(&mut self, _op: &Op, _mint: &Mint<'_>) -> Option<Result<()>> {
        None
    }

    /// What is held, as JSON text.
    fn show(&self) -> String;
}

/// The resolver of a [`Shape`].
pub(super) struct LatticeResolver<S>(PhantomData<S>);

impl<S> LatticeResolver<S> {
    pub(super) const NEW: LatticeResolver<S> = LatticeResolver(PhantomData);
}

impl<S: Shape> fmt::Debug for LatticeResolver<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LatticeResolver({})", S::KIND)
    }
}

impl<S: Shape> Resolver for LatticeResolver<S> {
    fn kind(&self) -> Kind {
        S::KIND
    }

    fn change(&self, current: Option<&Body>, op: &Op, mint: &Mint<'_>) -> Result<Resolved> {
        let mut state = current.map_or_else(|| Ok(S::default()), decode)?;
        match op {
            Op::Put(body) | Op::PutAt(body, _) => state.put(&value_of(body)?, mint)?,
            Op::Assign(body) => state.assign(&value_of(body)?, mint)?,
            Op::Delete => drop(state.reset()),
            Op::Add(_) | Op::Insert(_) | Op::Remove(_) | Op::Switch(_) | Op::Field { .. } => {
                state.operate(op, mint).unwrap_or_else(|| Err(mismatch::<S>(verb_of(op))))?;
            }
        }
        resolved(&state, mint.compression)
    }

    fn reset(&self, current: &Body, how: Compression) -> Result<Option<Body>> {
        let mut state: S = decode(current)?;
        state.reset();
        encode(&state, how).map(Some)
    }

    fn join(&self, mine: Side<'_>, theirs: Side<'_>, how: Compression) -> Result<Resolved> {
        let mut state: S = mine.body.map_or_else(|| Ok(S::default()), decode)?;
        let other: S = theirs.body.map_or_else(|| Ok(S::default()), decode)?;
        let _ = state.absorb(other);
        resolved(&state, how)
    }

    fn read(&self, head: &Head, body: &Body, _limit: usize) -> Result<Vec<Held>> {
        let text = decode::<S>(body)?.show();
        let value = Value { encoding: Encoding::Json, bytes: text.into() };
        Ok(vec![Held { value, stamp: head.stamp, writer: head.writer.clone() }])
    }

    fn renew(&self, current: &Body, mint: &Mint<'_>) -> Result<Option<Body>> {
        let mut state: S = decode(current)?;
        let changed = state.renew(mint.replica, mint.seq);
        (changed == memlife_crdt::Changed::Yes).then(|| encode(&state, mint.compression)).transpose()
    }
}

/// The JSON of a value that became part of a state.
///
/// # Errors
/// `TypeMismatch` for plain bytes.
pub(super) fn json_of<S: Shape>(value: &Value) -> Result<serde_json::Value> {
    match value.encoding {
        Encoding::Json => value.parse(),
        Encoding::Bytes => Err(mismatch::<S>("plain bytes")),
    }
}

/// What the key holds, and that `given` is nothing for it.
pub(super) fn mismatch<S: Shape>(given: &str) -> Error {
    Error::new(ErrorKind::TypeMismatch, format!("the key holds {}: it does not take {given}", S::ABOUT))
}

pub(super) fn exhausted(overflow: Overflow) -> Error {
    let message = "the key has taken as many writes as can be told apart: go on under another key";
    Error::new(ErrorKind::Invalid, message).because(overflow)
}

fn verb_of(op: &Op) -> &'static str {
    match op {
        Op::Add(_) => "additions",
        Op::Insert(_) | Op::Remove(_) => "elements",
        Op::Switch(_) => "a flag's position",
        Op::Field { .. } => "fields",
        Op::Put(_) | Op::PutAt(..) | Op::Assign(_) => "this value",
        Op::Delete => "a deletion",
    }
}

fn value_of(body: &Body) -> Result<Value> {
    body.value(codec::MAX_BYTES)
}

fn resolved<S: Shape>(state: &S, how: Compression) -> Result<Resolved> {
    let alive = state.is_live();
    Ok(Resolved { body: Some(encode(state, how)?), alive, siblings: u32::from(alive), dropped: 0 })
}

fn decode<S: Shape>(body: &Body) -> Result<S> {
    codec::decode_state(body, codec::MAX_BYTES)
}

fn encode<S: Shape>(state: &S, how: Compression) -> Result<Body> {
    Body::pack(Content::State, &codec::encode(state)?, how)
}
