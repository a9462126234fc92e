use super::multi_value::tagged;
use super::{Held, Mint, Resolved, Resolver, Side};
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

    fn change(&self, current: Option<&Body>, op: &Op, _mint: &Mint<'_>) -> Result<Resolved> {
        match op {
            Op::Put(body) | Op::PutAt(body, _) | Op::Assign(body) => Ok(Resolved::one(body.clone())),
            Op::Delete => Ok(Resolved { body: None, alive: false, siblings: 0, dropped: 0 }),
            Op::Add(_) => Err(mismatch(current, "counter")),
            Op::Insert(_) | Op::Remove(_) => Err(mismatch(current, "or_set")),
            Op::Switch(_) => Err(mismatch(current, "flag_ew")),
            Op::Field { .. } => Err(mismatch(current, "map")),
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

/// An operation of another strategy: what is there, and what would take it.
fn mismatch(current: Option<&Body>, strategy: &str) -> Error {
    let is = if current.is_some() { "the key holds a plain value" } else { "the key is for a plain value" };
    let message = format!(
        "{is} (lww): put a value instead, or give the key a rule with `conflict_strategy: {strategy}`"
    );
    Error::new(ErrorKind::TypeMismatch, message)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Codec, ExpiryOrigin, ReclaimClass};
    use crate::{Stamp, Timestamp, Value};

    fn head(alive: bool) -> Head {
        Head {
            kind: Kind::Lww,
            kind_epoch: Default::default(),
            alive,
            seq: 1,
            version: 1,
            stamp: Stamp::default(),
            created_at: Timestamp::EPOCH,
            life: Default::default(),
            origin: ExpiryOrigin::Rule,
            rule_ttl: None,
            keep_until: Timestamp::EPOCH,
            class: ReclaimClass::Lazy,
            rule: "".into(),
            writer: None,
            siblings: 1,
            raw_len: 0,
            stored_len: 0,
            codec: Codec::None,
        }
    }

    fn body(text: &str, codec: Codec) -> Body {
        let how = Compression { codec, level: 6, threshold_bytes: 1, dictionary: 0 };
        Body::of_value(&Value::json_text(text.to_owned()).unwrap(), how).unwrap()
    }

    #[test]
    fn one_value_stored_in_two_ways_is_no_change() {
        let text = format!("{:?}", "a".repeat(200));
        let (plain, packed) = (body(&text, Codec::None), body(&text, Codec::Gzip));
        assert_ne!(plain, packed);
        let head = head(true);
        for (mine, theirs) in [(&plain, &packed), (&packed, &plain)] {
            let side = |body| Side { head: &head, body: Some(body) };
            let joined = LwwResolver.join(side(mine), side(theirs), Compression::NONE).unwrap();
            assert_eq!(joined.body.as_ref(), Some(mine));
        }
    }

    #[test]
    fn of_equal_stamps_a_removal_wins_then_the_greater_value_however_stored() {
        let lesser = body(&format!("{:?}", "a".repeat(200)), Codec::None);
        let greater = body(&format!("{:?}", "b".repeat(200)), Codec::Gzip);
        let (live, dead) = (head(true), head(false));
        let (lesser, greater, removed) = (
            Side { head: &live, body: Some(&lesser) },
            Side { head: &live, body: Some(&greater) },
            Side { head: &dead, body: None },
        );
        for (mine, theirs, expected) in [
            (lesser, greater, greater),
            (greater, lesser, greater),
            (removed, greater, removed),
            (greater, removed, removed),
        ] {
            let joined = LwwResolver.join(mine, theirs, Compression::NONE).unwrap();
            assert_eq!((joined.body.as_ref(), joined.alive), (expected.body, expected.head.alive));
        }
    }
}
