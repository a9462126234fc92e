use super::{Held, Mint, Resolved, Resolver, Side};
use super::multi_value::tagged;
use crate::record::{Body, Compression, Head, Kind, MAX_RAW_BYTES};
use crate::store::Op;
use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use memlife_crdt::Register;

/// The last write wins: the value with the greatest stamp.
#[derive(Clone, Copy, Debug)]
pub struct LwwResolver;

impl Resolver for LwwResolver {
    fn kind(&self) -> Kind {
        Kind::Lww
    }

    fn change(&self, _current: Option<&Body>, op: &Op, _mint: &Mint<'_>) -> Result<Resolved> {
        match op {
            Op::Put(body) | Op::PutAt(body, _) | Op::Assign(body) => Ok(Resolved::one(body.clone())),
            Op::Add(_) => Err(Error::new(
                ErrorKind::TypeMismatch,
                "the key holds a plain value (lww) and counters only can be added to: put a value instead",
            )),
            Op::Delete => Ok(Resolved { body: None, alive: false, siblings: 0, dropped: 0 }),
        }
    }

    fn reset(&self, _current: &Body, _how: Compression) -> Result<Option<Body>> {
        Ok(None)
    }

    fn join(&self, mine: Side<'_>, theirs: Side<'_>, _how: Compression) -> Result<Resolved> {
        let winner = if wins(mine, theirs)? { mine } else { theirs };
        Ok(Resolved {
            body: winner.body.cloned(),
            alive: winner.head.alive,
            siblings: u32::from(winner.head.alive),
            dropped: 0,
        })
    }

    fn read(&self, head: &Head, body: &Body, limit: usize) -> Result<Vec<Held>> {
        let value = body.value(limit)?;
        Ok(vec![Held { value, stamp: head.stamp, writer: head.writer.clone() }])
    }
}

/// Whether `mine` remains when both are joined.
///
/// Equal stamps are imported ones. Then the values decide as they were given, not as they are stored: two stores
/// may compress one value differently, and that is no difference to tell anybody about.
fn wins(mine: Side<'_>, theirs: Side<'_>) -> Result<bool> {
    let is_tie = mine.head.stamp == theirs.head.stamp && mine.body != theirs.body;
    let register = |side: Side<'_>| {
        let body = side.body.filter(|_| is_tie && side.head.alive);
        let value = body.map(|body| body.value(MAX_RAW_BYTES)).transpose()?;
        let removed = (!side.head.alive).then_some(None);
        let value = removed.unwrap_or_else(|| Some(value.as_ref().map_or_else(Bytes::new, tagged)));
        Ok(Register { stamp: side.head.stamp, value })
    };
    Ok(register(mine)?.wins_over(&register(theirs)?))
}
