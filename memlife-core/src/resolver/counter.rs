use super::{Held, Mint, Resolved, Resolver, Side};
use crate::record::{Body, Compression, Content, Head, Kind, codec};
use crate::store::Op;
use crate::{Encoding, Error, ErrorKind, Result, Value};
use memlife_crdt::{Counter, Lattice};

/// Integers add up; deleting takes back what was seen and nothing else.
#[derive(Clone, Copy, Debug)]
pub struct CounterResolver;

/// A counter's state is small, about 20 bytes a replica: room for 200,000 of them.
const MAX_STATE_BYTES: usize = 4 << 20;

impl Resolver for CounterResolver {
    fn kind(&self) -> Kind {
        Kind::Counter
    }

    fn change(&self, current: Option<&Body>, op: &Op, mint: &Mint<'_>) -> Result<Resolved> {
        let mut counter = current.map_or_else(|| Ok(Counter::default()), decode)?;
        let add = |counter: &mut Counter, amount| {
            counter.add(mint.replica, mint.seq, amount).map_err(|overflow| {
                let message = "the counter would pass 2^64 - 1: delete it to start again";
                Error::new(ErrorKind::Invalid, message).because(overflow)
            })
        };
        match op {
            Op::Put(body) | Op::PutAt(body, _) => add(&mut counter, integer(body)?)?,
            Op::Add(amount) => add(&mut counter, *amount)?,
            Op::Assign(body) => {
                let value = integer(body)?;
                counter.reset();
                add(&mut counter, value)?;
            }
            Op::Delete => {
                counter.reset();
                let body = Some(encode(&counter, mint.compression)?);
                return Ok(Resolved { body, alive: false, siblings: 0, dropped: 0 });
            }
        }
        Ok(Resolved::one(encode(&counter, mint.compression)?))
    }

    fn reset(&self, current: &Body, how: Compression) -> Result<Option<Body>> {
        let mut counter = decode(current)?;
        counter.reset();
        encode(&counter, how).map(Some)
    }

    fn join(&self, mine: Side<'_>, theirs: Side<'_>, how: Compression) -> Result<Resolved> {
        let mut counter = mine.body.map_or_else(|| Ok(Counter::default()), decode)?;
        let other = theirs.body.map_or_else(|| Ok(Counter::default()), decode)?;
        let _ = counter.join(&other);
        let alive = counter.is_live();
        let body = Some(encode(&counter, how)?);
        Ok(Resolved { body, alive, siblings: u32::from(alive), dropped: 0 })
    }

    fn read(&self, head: &Head, body: &Body, _limit: usize) -> Result<Vec<Held>> {
        let text = decode(body)?.value().to_string();
        let value = Value { encoding: Encoding::Json, bytes: text.into() };
        Ok(vec![Held { value, stamp: head.stamp, writer: head.writer.clone() }])
    }
}

fn integer(body: &Body) -> Result<i64> {
    let value = match body.value(1 << 10) {
        Ok(value) => value.as_integer(),
        // Longer than any integer.
        Err(error) if error.kind() == ErrorKind::TooLarge => None,
        Err(error) => return Err(error),
    };
    value.ok_or_else(|| {
        Error::new(ErrorKind::TypeMismatch, "the key holds a counter, which takes integers of 64 bits only")
    })
}

fn decode(body: &Body) -> Result<Counter> {
    codec::decode_state(body, MAX_STATE_BYTES)
}

/// # Errors
/// `TooLarge` when [`decode`] would refuse the state.
fn encode(counter: &Counter, how: Compression) -> Result<Body> {
    let bytes = codec::encode(counter)?;
    if bytes.len() > MAX_STATE_BYTES {
        let message = "the counter has taken writes of too many stores: go on under another key";
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    Body::pack(Content::State, &bytes, how)
}
