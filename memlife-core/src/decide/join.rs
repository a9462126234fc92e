//! Records from elsewhere.

use super::{Case, Context, Decision, MAX_DRIFT_MS, idle, shown};
use crate::record::{Body, Head, ReclaimClass, Record};
use crate::resolver::{self, MAX_NATIVE_STATE_BYTES, Mint, Resolved, Side};
use crate::store::{Cause, Outcome};
use crate::{Error, ErrorKind, Hlc, Result};
use memlife_crdt::{Changed, Lattice};

impl Case<'_> {
    pub(super) fn join(&self, theirs: &Record, context: &mut Context<'_>) -> Result<Decision> {
        self.receive(theirs, context)?;
        let Some(mine) = self.current else { return self.take_over(theirs, context) };
        let record = if mine.head.kind != theirs.head.kind {
            let is_theirs = wins_kind(&theirs.head, &mine.head);
            let loser = if is_theirs { mine } else { theirs };
            if loser.head.is_visible(self.now) {
                // The engine sets it aside first.
                return Ok(idle(Outcome::NotNative { current: Some(Box::new(mine.clone())) }));
            }
            if !is_theirs {
                return Ok(self.unchanged());
            }
            Record { key: mine.key.clone(), ..theirs.clone() }
        } else {
            let Some(resolver) = resolver::native(&mine.head.kind).filter(|_| is_small(mine, theirs)) else {
                return Ok(idle(Outcome::NotNative { current: Some(Box::new(mine.clone())) }));
            };
            let resolved =
                resolver.join(Side::of(mine), Side::of(theirs), self.write.placement.compression)?;
            joined(mine, theirs, resolved)
        };
        self.put_joined(mine, record, context)
    }

    /// A join of which the engine has merged the states, if nothing has changed since.
    pub(super) fn merged(&self, theirs: &Record, over: u64, context: &mut Context<'_>) -> Result<Decision> {
        let is_alike = |mine: &Record| mine.head.kind == theirs.head.kind;
        let takes =
            |mine: &&Record| mine.head.seq == over && (is_alike(mine) || wins_kind(&theirs.head, &mine.head));
        let Some(mine) = self.current.filter(takes) else {
            return Ok(idle(Outcome::Refused { current: shown(self.current, self.write.reply) }));
        };
        self.receive(theirs, context)?;
        if !is_alike(mine) {
            return self.put_joined(mine, Record { key: mine.key.clone(), ..theirs.clone() }, context);
        }
        let Head { alive, siblings, .. } = theirs.head;
        let resolved = Resolved { body: theirs.body.clone(), alive, siblings, dropped: 0 };
        self.put_joined(mine, joined(mine, theirs, resolved), context)
    }

    /// Puts what a join made of `mine`, unless that is the same.
    fn put_joined(&self, mine: &Record, mut record: Record, context: &mut Context<'_>) -> Result<Decision> {
        self.place(&mut record.head);
        record.head.measure(record.body.as_ref());
        self.check_size(record.body.as_ref(), context)?;
        (record.head.seq, record.head.version) = (mine.head.seq, mine.head.version);
        if record == *mine {
            return Ok(self.unchanged());
        }
        record.head.seq = context.mint_seq();
        // A renewal from elsewhere moves no version: the holder of one may go on.
        let same_content = (record.head.stamp, record.head.alive, &record.head.kind, &record.body)
            == (mine.head.stamp, mine.head.alive, &mine.head.kind, &mine.body);
        if !same_content {
            record.head.version = record.head.seq;
        }
        let ended = self.ended((!record.head.alive).then_some(Cause::Deleted));
        Ok(self.put(record, 0, ended))
    }

    /// Advances the clock past every time the record brings, or refuses one from too far ahead.
    fn receive(&self, theirs: &Record, context: &mut Context<'_>) -> Result<()> {
        let latest = latest_time(&theirs.head);
        context.ledger.clock.receive(latest, context.wall, MAX_DRIFT_MS).map_err(|drift| {
            let message = format!("a received stamp lies {} ms ahead of the clock", drift.ahead_ms);
            Error::new(ErrorKind::Invalid, message).on(&self.write.key)
        })
    }

    /// Takes a record of which nothing is here, unless its time is over.
    fn take_over(&self, theirs: &Record, context: &mut Context<'_>) -> Result<Decision> {
        let grace_ms = context.ledger.grace_ms;
        let is_over = |head: &Head| {
            let end = if head.alive { head.life.expires_at } else { Some(head.keep_until) };
            end.is_some_and(|end| end.plus_ms(grace_ms) <= self.now)
        };
        if is_over(&theirs.head) {
            return Ok(self.unchanged());
        }
        let mut record = Record { key: self.write.key.clone(), ..theirs.clone() };
        self.place(&mut record.head);
        record.head.seq = context.mint_seq();
        record.head.version = record.head.seq;
        if let Some(renewed) = self.renewed(&record, context)? {
            record.body = Some(renewed);
            record.head.measure(record.body.as_ref());
        }
        self.check_size(record.body.as_ref(), context)?;
        Ok(self.put(record, 0, None))
    }

    /// The state after this store's own part in it got a new presence.
    fn renewed(&self, record: &Record, context: &Context<'_>) -> Result<Option<Body>> {
        let (Some(body), Some(resolver)) = (&record.body, resolver::native(&record.head.kind)) else {
            return Ok(None);
        };
        let mint = Mint {
            seq: record.head.seq,
            stamp: record.head.stamp,
            replica: context.replica,
            writer: None,
            compression: self.write.placement.compression,
            max_siblings: u32::MAX,
        };
        resolver.renew(body, &mint).map_err(|error| error.on(&self.write.key))
    }

    /// How a received entry is reclaimed and counted is this store's policy, not the sender's.
    fn place(&self, head: &mut Head) {
        let placement = &self.write.placement;
        head.class = if head.alive { placement.class } else { ReclaimClass::Tombstone };
        head.rule = placement.rule.clone();
        head.rule_ttl = placement.rule_ttl;
    }
}

/// The latest time that a record brings along: what must not lie far ahead of the clock.
pub(crate) fn latest_time(head: &Head) -> Hlc {
    head.stamp.time.max(head.life.epoch.time).max(head.kind_epoch)
}

/// Whether the entry with the head `one` takes the place of `other`, which is of another kind: the later decision
/// about the kind wins, and of equal ones the name that comes later.
pub(crate) fn wins_kind(one: &Head, other: &Head) -> bool {
    (one.kind_epoch, one.kind.name()) > (other.kind_epoch, other.kind.name())
}

/// The record that holds `resolved`, the join of the states of both, and the later of everything else.
fn joined(mine: &Record, theirs: &Record, resolved: Resolved) -> Record {
    let mut record = Record { body: resolved.body, ..mine.clone() };
    let head = &mut record.head;
    if theirs.head.stamp > head.stamp {
        // All three are what the newest write left, so that every replica takes them from the same one.
        head.stamp = theirs.head.stamp;
        head.writer = theirs.head.writer.clone();
        head.created_at = theirs.head.created_at;
    }
    head.alive = resolved.alive;
    head.siblings = resolved.siblings;
    head.kind_epoch = head.kind_epoch.max(theirs.head.kind_epoch);
    head.keep_until = head.keep_until.max(theirs.head.keep_until);
    if head.life.join(&theirs.head.life) == Changed::Yes {
        head.origin = theirs.head.origin;
    }
    record
}

/// States above the limit are not joined under a store's lock.
fn is_small(mine: &Record, theirs: &Record) -> bool {
    mine.head.raw_len.max(theirs.head.raw_len) as usize <= MAX_NATIVE_STATE_BYTES
}
