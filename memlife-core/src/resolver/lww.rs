use super::{Held, Mint, Resolved, Resolver, Side};
use crate::record::{Body, Compression, Head, Kind};
use crate::store::Op;
use crate::{Error, ErrorKind, Result};
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
        let winner = if register(mine).wins_over(&register(theirs)) { mine } else { theirs };
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

fn register(side: Side<'_>) -> Register {
    let value = side.body.filter(|_| side.head.alive).map(|body| body.as_bytes().clone());
    Register { stamp: side.head.stamp, value }
}
