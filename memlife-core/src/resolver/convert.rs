//! Carries an entry's value from one kind to another.

use super::{Held, Mint, Resolved, multi_value, native};
use crate::record::{Body, Compression, ExpiryOrigin, Kind, MAX_RAW_BYTES, Record};
use crate::store::{Change, Op, Write};
use crate::{ErrorKind, Result};

/// The state of kind `to` that holds what `record` holds; `None` where the kind cannot hold it or is not built in.
///
/// A multi-value register takes every value with its own stamp and writer; every other kind takes the newest value as a
/// put of it would be taken: a counter an integer, a set an array, a map an object. `mint` names the dots; its stamp is not used.
///
/// # Errors
/// `Corrupt` when the stored state does not decode.
pub fn convert(record: &Record, to: &Kind, mint: &Mint<'_>) -> Result<Option<Resolved>> {
    let (Some(body), Some(from)) = (record.body.as_ref(), native(&record.head.kind)) else {
        return Ok(None);
    };
    let held = from.read(&record.head, body, MAX_RAW_BYTES).map_err(|error| error.on(&record.key))?;
    let Some(newest) = held.first() else { return Ok(None) };
    match to {
        Kind::Lww => Body::of_value(&newest.value, mint.compression).map(|body| Some(Resolved::one(body))),
        Kind::MultiValue => beside_each_other(&held, mint).map(Some),
        Kind::Custom(_) => Ok(None),
        _ => {
            let Some(resolver) = native(to) else { return Ok(None) };
            let value = Op::Put(Body::of_value(&newest.value, Compression::NONE)?);
            match resolver.change(None, &value, mint) {
                Ok(resolved) => Ok(Some(resolved)),
                Err(error) if error.kind() == ErrorKind::TypeMismatch => Ok(None),
                Err(error) => Err(error),
            }
        }
    }
}

/// A multi-value state of values that are known to stand beside each other, each at its own time.
///
/// The same values, replica and `seq` give the same state.
///
/// # Errors
/// `TooLarge` past 1 GiB.
pub fn beside_each_other(held: &[Held], mint: &Mint<'_>) -> Result<Resolved> {
    multi_value::of_held(held, mint)
}

/// The entry as the write's rule would have had it, for one that no rule has judged yet.
///
/// What the Python original wrote carries no kind: an integer under a counter rule is just an integer in its
/// file. The first write by rule decides what it was. Values that stand beside each other stay so.
///
/// The state is named after the entry's own stamp, so that copies of one directory, each opened by a store of
/// its own, converge to the value they began with and not to its double.
pub(crate) fn adopt(current: Option<&Record>, write: &Write) -> Result<Option<Record>> {
    let keeps_as_is = matches!(write.change, Change::Erase(_) | Change::Replace { .. });
    let Some(record) = current.filter(|record| {
        let head = &record.head;
        !keeps_as_is
            && head.alive
            && head.origin == ExpiryOrigin::Unjudged
            && head.kind == Kind::Lww
            && write.placement.kind != Kind::Lww
    }) else {
        return Ok(None);
    };
    let mint = Mint {
        seq: record.head.stamp.at().ms(),
        stamp: record.head.stamp,
        replica: record.head.stamp.replica,
        writer: None,
        compression: write.placement.compression,
        max_siblings: u32::MAX,
    };
    let Some(resolved) = convert(record, &write.placement.kind, &mint)? else { return Ok(None) };
    let mut settled = record.clone();
    settled.head.kind = write.placement.kind.clone();
    settled.head.siblings = resolved.siblings;
    settled.head.measure(resolved.body.as_ref());
    settled.body = resolved.body;
    Ok(Some(settled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Codec, Compression, Head, ReclaimClass};
    use crate::store::{Guard, Placement, Reply};
    use crate::{Context, Decision, Effect, Key, Ledger, ReplicaId, Stamp, Timestamp, Value, decide};
    use std::sync::Arc;

    const REPLICA: ReplicaId = ReplicaId(7);
    const ORIGINAL: ReplicaId = ReplicaId(0);

    fn legacy(json: &str) -> Record {
        let body = Body::of_value(&Value::json_text(json.to_owned()).unwrap(), Compression::NONE).unwrap();
        let stamp = Stamp::new(crate::Hlc::new(Timestamp::from_ms(1_000)), ORIGINAL);
        let mut head = Head {
            kind: Kind::Lww,
            kind_epoch: Default::default(),
            alive: true,
            seq: 1,
            version: 1,
            stamp,
            created_at: stamp.at(),
            life: Default::default(),
            origin: ExpiryOrigin::Unjudged,
            rule_ttl: None,
            keep_until: Timestamp::EPOCH,
            class: ReclaimClass::Unjudged,
            rule: "".into(),
            writer: None,
            siblings: 1,
            raw_len: 0,
            stored_len: 0,
            codec: Codec::None,
        };
        head.measure(Some(&body));
        Record { key: Key::new("metrics/task/count").unwrap(), head, body: Some(body) }
    }

    fn write(kind: Kind, change: Change) -> Write {
        let placement = Placement { max_siblings: 32, ..Placement::permanent("metrics/**", kind) };
        Write {
            key: Key::new("metrics/task/count").unwrap(),
            guard: Guard::Any,
            change,
            placement: Arc::new(placement),
            writer: None,
            reply: Reply::Whole,
        }
    }

    fn put(json: &str) -> Change {
        let value = Value::json_text(json.to_owned()).unwrap();
        Change::Op(Op::Put(Body::of_value(&value, Compression::NONE).unwrap()))
    }

    fn decided(current: &Record, write: &Write) -> Decision {
        let mut ledger = Ledger { seq: 10, ..Ledger::default() };
        let mut context = Context {
            wall: Timestamp::from_ms(2_000),
            replica: REPLICA,
            body_limit: 1 << 20,
            ledger: &mut ledger,
        };
        decide(Some(current), write, &mut context).unwrap()
    }

    fn values(decision: &Decision) -> Vec<String> {
        let Effect::Put(record) = &decision.effect else { panic!("nothing was put: {decision:?}") };
        let held = native(&record.head.kind)
            .unwrap()
            .read(&record.head, record.body.as_ref().unwrap(), 1 << 20)
            .unwrap();
        held.into_iter().map(|held| String::from_utf8(held.value.bytes.to_vec()).unwrap()).collect()
    }

    #[test]
    fn an_unjudged_integer_under_a_counter_rule_is_added_to() {
        assert_eq!(values(&decided(&legacy("8"), &write(Kind::Counter, put("3")))), ["11"]);
        assert_eq!(values(&decided(&legacy("8"), &write(Kind::Counter, Change::Op(Op::Add(-9))))), ["-1"]);
        assert_eq!(values(&decided(&legacy("8"), &write(Kind::Counter, Change::Restamp))), ["8"]);
    }

    #[test]
    fn an_unjudged_value_under_a_multi_value_rule_becomes_a_sibling() {
        let decision = decided(&legacy("\"old\""), &write(Kind::MultiValue, put("\"new\"")));
        assert_eq!(values(&decision), ["\"new\"", "\"old\""]);
        let Effect::Put(record) = decision.effect else { panic!("nothing was put") };
        assert_eq!((record.head.siblings, &record.head.kind), (2, &Kind::MultiValue));
    }

    #[test]
    fn copies_of_one_directory_converge_to_what_they_began_with() {
        let write = write(Kind::Counter, Change::Restamp);
        let settled = adopt(Some(&legacy("8")), &write).unwrap().unwrap();
        let there = adopt(Some(&legacy("8")), &write).unwrap().unwrap();
        let (mine, theirs) = (
            super::super::Side { head: &settled.head, body: settled.body.as_ref() },
            super::super::Side { head: &there.head, body: there.body.as_ref() },
        );
        let joined = native(&Kind::Counter).unwrap().join(mine, theirs, Compression::NONE).unwrap();
        assert_eq!(joined.body, settled.body);
    }

    #[test]
    fn what_the_kind_cannot_hold_keeps_its_own() {
        let text = legacy("\"eight\"");
        assert_eq!(values(&decided(&text, &write(Kind::Counter, put("3")))), ["3"]);
        assert_eq!(values(&decided(&text, &write(Kind::Counter, Change::Restamp))), ["\"eight\""]);
    }

    #[test]
    fn a_judged_entry_keeps_its_kind() {
        let mut judged = legacy("8");
        judged.head.origin = ExpiryOrigin::Rule;
        assert_eq!(values(&decided(&judged, &write(Kind::Counter, put("3")))), ["3"]);
    }

    #[test]
    fn converts_between_all_built_in_kinds() {
        let counter = values(&decided(&legacy("8"), &write(Kind::Counter, put("3"))));
        assert_eq!(counter, ["11"]);
        let mint = Mint {
            seq: 4,
            stamp: Stamp::default(),
            replica: REPLICA,
            writer: None,
            compression: Compression::NONE,
            max_siblings: 32,
        };
        let mut there = legacy("8");
        for to in [Kind::Counter, Kind::MultiValue, Kind::Lww] {
            let resolved = convert(&there, &to, &mint).unwrap().unwrap();
            there.head.kind = to;
            there.body = resolved.body;
        }
        assert_eq!(there.body.unwrap(), legacy("8").body.unwrap());
    }
}
