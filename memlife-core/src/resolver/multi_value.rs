use super::lattice::exhausted;
use super::{Held, Mint, Resolved, Resolver, Side};
use crate::record::{Body, Compression, Content, Head, Kind, MAX_RAW_BYTES, codec};
use crate::store::Op;
use crate::{Encoding, Error, ErrorKind, Result, Value};
use bytes::Bytes;
use memlife_crdt::{Changed, Contribution, Lattice, MultiValue, Resettable};

/// Concurrent values stand beside each other until somebody who has seen them resolves them.
#[derive(Clone, Copy, Debug)]
pub struct MultiValueResolver;

impl Resolver for MultiValueResolver {
    fn kind(&self) -> Kind {
        Kind::MultiValue
    }

    fn change(&self, current: Option<&Body>, op: &Op, mint: &Mint<'_>) -> Result<Resolved> {
        let mut register = current.map_or_else(|| Ok(MultiValue::default()), decode)?;
        match op {
            Op::Put(body) | Op::PutAt(body, _) => {
                register.put(contribution(body, mint)?).map_err(exhausted)?;
            }
            Op::Assign(body) => drop(register.assign(contribution(body, mint)?).map_err(exhausted)?),
            Op::Add(_) | Op::Insert(_) | Op::Remove(_) | Op::Switch(_) | Op::Field { .. } => {
                return Err(Error::new(
                    ErrorKind::TypeMismatch,
                    "the key holds values side by side (multi_value): put a value instead",
                ));
            }
            Op::Delete => drop(register.reset()),
        }
        let (dropped, _) = register.cap(mint.max_siblings.max(1) as usize);
        let dropped = u32::try_from(dropped).unwrap_or(u32::MAX);
        Ok(Resolved { dropped, ..resolved(&register, mint.compression)? })
    }

    fn reset(&self, current: &Body, how: Compression) -> Result<Option<Body>> {
        let mut register = decode(current)?;
        register.reset();
        encode(&register, how).map(Some)
    }

    fn join(&self, mine: Side<'_>, theirs: Side<'_>, how: Compression) -> Result<Resolved> {
        let mut register = mine.body.map_or_else(|| Ok(MultiValue::default()), decode)?;
        let other = theirs.body.map_or_else(|| Ok(MultiValue::default()), decode)?;
        let _ = register.absorb(other);
        resolved(&register, how)
    }

    fn renew(&self, current: &Body, mint: &Mint<'_>) -> Result<Option<Body>> {
        let mut register = decode(current)?;
        let changed = register.renew(mint.replica, mint.seq);
        (changed == Changed::Yes).then(|| encode(&register, mint.compression)).transpose()
    }

    fn read(&self, _head: &Head, body: &Body, limit: usize) -> Result<Vec<Held>> {
        let register = decode_within(body, limit)?;
        register
            .newest_first()
            .into_iter()
            .map(|sibling| {
                let value = unpack(&sibling.value)?;
                Ok(Held { value, stamp: sibling.stamp, writer: sibling.writer.as_deref().map(Into::into) })
            })
            .collect()
    }
}

fn resolved(register: &MultiValue, how: Compression) -> Result<Resolved> {
    let siblings = register.len() as u32;
    Ok(Resolved { body: Some(encode(register, how)?), alive: siblings > 0, siblings, dropped: 0 })
}

/// A state of values that stand beside each other, each with its own stamp and writer.
pub(super) fn of_held(held: &[Held], mint: &Mint<'_>) -> Result<Resolved> {
    let mut register = MultiValue::default();
    // Oldest first, so that the order of the dots is the order of the writes.
    for one in held.iter().rev() {
        let contribution = Contribution {
            replica: mint.replica,
            seq: mint.seq,
            stamp: one.stamp,
            writer: one.writer.as_ref().map(|writer| writer.to_string()),
            value: tagged(&one.value),
        };
        register.put(contribution).map_err(exhausted)?;
    }
    resolved(&register, mint.compression)
}

fn contribution(body: &Body, mint: &Mint<'_>) -> Result<Contribution> {
    Ok(Contribution {
        replica: mint.replica,
        seq: mint.seq,
        stamp: mint.stamp,
        writer: mint.writer.map(|writer| writer.to_string()),
        value: tagged(&body.value(MAX_RAW_BYTES)?),
    })
}

/// A sibling's bytes: one byte for the encoding, then the value.
pub(super) fn tagged(value: &Value) -> Bytes {
    let mut bytes = Vec::with_capacity(value.bytes.len() + 1);
    bytes.push(match value.encoding {
        Encoding::Json => 0,
        Encoding::Bytes => 1,
    });
    bytes.extend_from_slice(&value.bytes);
    bytes.into()
}

fn unpack(bytes: &Bytes) -> Result<Value> {
    let encoding = match bytes.first() {
        Some(0) => Encoding::Json,
        Some(1) => Encoding::Bytes,
        _ => return Err(Error::new(ErrorKind::Corrupt, "a sibling is of an unknown encoding")),
    };
    Ok(Value { encoding, bytes: bytes.slice(1..) })
}

fn decode(body: &Body) -> Result<MultiValue> {
    decode_within(body, codec::MAX_BYTES)
}

fn decode_within(body: &Body, limit: usize) -> Result<MultiValue> {
    codec::decode_state(body, limit.min(codec::MAX_BYTES))
}

fn encode(register: &MultiValue, how: Compression) -> Result<Body> {
    Body::pack(Content::State, &codec::encode(register)?, how)
}
