//! Operations on the value.

use super::{Case, Context, Decision, KEEP_MS, MAX_DRIFT_MS, idle};
use crate::record::{Body, Codec, Compression, Head, Kind, MAX_RAW_BYTES, ReclaimClass, Record};
use crate::resolver::{self, Mint, Resolved, Resolver};
use crate::store::{Cause, Op, Outcome};
use crate::{Error, ErrorKind, Hlc, Result, Stamp, Timestamp, Value};
use memlife_crdt::Life;

impl Case<'_> {
    pub(super) fn operate(&self, op: &Op, context: &mut Context<'_>) -> Result<Decision> {
        if matches!(op, Op::Delete) && self.visible.is_none() {
            return Ok(self.unchanged());
        }
        let placed = &self.write.placement.kind;
        let kind = self.visible.map_or(placed, |record| &record.head.kind).clone();
        let Some(resolver) = resolver::native(&kind) else {
            return Ok(idle(Outcome::NotNative { current: self.current.cloned().map(Box::new) }));
        };
        let stamp = match op {
            Op::PutAt(_, at) => match self.accept_time(*at, &kind, context)? {
                Some(stamp) => stamp,
                None => return Ok(self.unchanged()),
            },
            _ => context.mint_stamp(),
        };
        let mint = Mint {
            seq: context.next_seq(),
            stamp,
            replica: context.replica,
            writer: self.write.writer.as_ref(),
            compression: self.write.placement.compression,
            max_siblings: self.write.placement.max_siblings,
        };
        let on_key = |error: Error| error.on(&self.write.key);
        let packed = (kind == Kind::Lww && *placed != Kind::Lww).then(|| compressed(op, mint.compression));
        let packed = packed.transpose().map_err(on_key)?.flatten();
        let op = packed.as_ref().unwrap_or(op);
        let resolved =
            operate_on(resolver, &kind, self.current, self.visible.is_some(), op, &mint).map_err(on_key)?;
        // An entry of several values carries the newest stamp among them.
        let stamp = match self.visible {
            Some(record) if kind != Kind::Lww => stamp.max(record.head.stamp),
            _ => stamp,
        };
        self.write_content(kind, resolved, stamp, Some(op), context)
    }

    /// The stamp of a write that brings its own time; `None` when something newer is there.
    fn accept_time(&self, at: Timestamp, kind: &Kind, context: &mut Context<'_>) -> Result<Option<Stamp>> {
        let stamp = Stamp::new(Hlc::new(at), context.replica);
        let newer_there = self.current.is_some_and(|record| record.head.stamp >= stamp);
        if *kind == Kind::Lww && newer_there {
            return Ok(None);
        }
        context.ledger.clock.receive(stamp.time, context.wall, MAX_DRIFT_MS).map_err(|drift| {
            let message = format!(
                "the timestamp lies {} s ahead of the clock and {} s are allowed: correct it or the clock",
                drift.ahead_ms / 1_000,
                MAX_DRIFT_MS / 1_000
            );
            Error::new(ErrorKind::Invalid, message).on(&self.write.key)
        })?;
        Ok(Some(stamp))
    }

    /// Lengthens the grace, and leaves an entry that says so.
    pub(super) fn grant(&self, grace_ms: u64, context: &mut Context<'_>) -> Result<Decision> {
        if grace_ms <= context.ledger.grace_ms {
            return Ok(self.unchanged());
        }
        context.ledger.grace_ms = grace_ms;
        let body = Body::of_value(&Value::json(&grace_ms)?, Compression::NONE)?;
        let stamp = context.mint_stamp();
        let resolved = Resolved { body: Some(body), alive: true, siblings: 1, dropped: 0 };
        self.write_content(Kind::Lww, resolved, stamp, None, context)
    }

    pub(super) fn write_content(
        &self,
        kind: Kind,
        resolved: Resolved,
        stamp: Stamp,
        op: Option<&Op>,
        context: &mut Context<'_>,
    ) -> Result<Decision> {
        self.check_size(resolved.body.as_ref(), context)?;
        let placement = &self.write.placement;
        let seq = context.mint_seq();
        let there = self.visible.map(|record| &record.head);
        let mut head = Head {
            kind_epoch: self.kind_epoch(&kind, context),
            alive: resolved.alive,
            seq,
            version: seq,
            stamp,
            created_at: there.map_or(stamp.at(), |head| head.created_at),
            life: Life::new(stamp, None),
            origin: placement.origin,
            rule_ttl: placement.rule_ttl,
            keep_until: Timestamp::EPOCH,
            class: placement.class,
            rule: placement.rule.clone(),
            writer: self.write.writer.clone(),
            siblings: resolved.siblings,
            raw_len: 0,
            stored_len: 0,
            codec: Codec::None,
            kind,
        };
        head.measure(resolved.body.as_ref());
        if resolved.alive {
            (head.life, head.origin) = self.life_of_write(stamp, &head.kind, op);
        } else {
            if let Some(there) = there {
                // A delete leaves the life alone: what is added concurrently elsewhere has to stay visible.
                head.life = there.life;
                head.origin = there.origin;
            }
            head.class = ReclaimClass::Tombstone;
            head.keep_until = self.now.max(stamp.at()).plus_ms(KEEP_MS);
        }
        let ended = self.ended((!resolved.alive).then_some(Cause::Deleted));
        let record = Record { key: self.write.key.clone(), head, body: resolved.body };
        Ok(self.put(record, resolved.dropped, ended))
    }

    /// A write that changes the kind of the key starts a kind epoch that beats the older kind between replicas.
    fn kind_epoch(&self, kind: &Kind, context: &mut Context<'_>) -> Hlc {
        match self.current {
            Some(record) if record.head.kind == *kind => record.head.kind_epoch,
            Some(_) => context.mint_stamp().time,
            None => Hlc::default(),
        }
    }
}

/// The operation with its value compressed, for a register whose rule makes it another kind: the writer left that to
/// the state.
fn compressed(op: &Op, how: Compression) -> Result<Option<Op>> {
    let pack = |body: &Body| Body::of_value(&body.value(MAX_RAW_BYTES)?, how);
    Ok(match op {
        Op::Put(body) => Some(Op::Put(pack(body)?)),
        Op::PutAt(body, at) => Some(Op::PutAt(pack(body)?, *at)),
        Op::Assign(body) => Some(Op::Assign(pack(body)?)),
        _ => None,
    })
}

/// The state after `op`, which starts from what is visible or from what is left of an entry that ended.
pub(crate) fn operate_on(
    resolver: &dyn Resolver,
    kind: &Kind,
    current: Option<&Record>,
    is_visible: bool,
    op: &Op,
    mint: &Mint<'_>,
) -> Result<Resolved> {
    let state = current.filter(|record| record.head.kind == *kind).and_then(|record| record.body.as_ref());
    match state {
        Some(body) if !is_visible => {
            let rest = resolver.reset(body, mint.compression)?;
            resolver.change(rest.as_ref(), op, mint)
        }
        body => resolver.change(body, op, mint),
    }
}
