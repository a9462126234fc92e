//! The one place where it is decided what a write does.

use crate::record::{Body, ExpiryOrigin, Head, Kind, ReclaimClass, Record};
use crate::resolver::{self, MAX_NATIVE_STATE_BYTES, Mint, Resolved, Resolver, Side};
use crate::store::{Cause, Change, Expiry, Guard, Op, Outcome, Placement, Reply, Retouch, Write};
use crate::{Error, ErrorKind, Hlc, ReplicaId, Result, Stamp, Timestamp};
use memlife_crdt::{Lattice, Life};
use serde::{Deserialize, Serialize};

/// How far ahead of the wall clock a stamp from elsewhere may lie, in milliseconds.
pub const MAX_DRIFT_MS: u64 = 60_000;
/// How long a tombstone and a removal record are kept for consumers of the feed, in milliseconds.
pub const KEEP_MS: u64 = 24 * 3_600_000;
/// A refresh is written only if it adds at least this fraction of the TTL.
const REFRESH_FRACTION: u64 = 8;

/// What a store persists beside its records, in the same transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The last change number given out.
    pub seq: u64,
    /// The hybrid clock that stamps are minted from.
    pub clock: Hlc,
}

/// Where a decision is made.
#[derive(Debug)]
pub struct Context<'a> {
    /// The wall clock of the batch.
    pub wall: Timestamp,
    /// The store's replica.
    pub replica: ReplicaId,
    /// How long dead entries wait for replicas, in milliseconds; 0 without any.
    pub grace_ms: u64,
    /// The most bytes of a body.
    pub body_limit: usize,
    /// The change number and the clock, advanced by what is decided.
    pub ledger: &'a mut Ledger,
}

/// What to do, and what to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What the store carries out.
    pub effect: Effect,
    /// Why a living entry ended by this, for statistics: each end is told once.
    pub ended: Option<Cause>,
    /// What the writer is told.
    pub outcome: Outcome,
}

/// What the store carries out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: commit nothing, take no `seq`.
    None,
    /// Put this record in place of what is there.
    Put(Box<Record>),
    /// Remove the bytes and leave a removal record with this number.
    Erase {
        /// Why.
        cause: Cause,
        /// The removal's change number.
        seq: u64,
    },
}

impl Context<'_> {
    /// The instant by which visibility is judged: the wall clock, never behind the store's own.
    pub fn now(&self) -> Timestamp {
        self.wall.max(self.ledger.clock.at)
    }

    fn mint_seq(&mut self) -> u64 {
        self.ledger.seq += 1;
        self.ledger.seq
    }

    fn mint_stamp(&mut self) -> Stamp {
        Stamp::new(self.ledger.clock.tick(self.wall), self.replica)
    }
}

/// Whether a decision on `write` needs the body of the entry whose head this is.
pub fn needs_body(head: &Head, write: &Write) -> bool {
    let decides_by_state = match &write.change {
        Change::Op(_) | Change::Join(_) => head.kind != Kind::Lww || matches!(write.change, Change::Join(_)),
        // These write the record anew with the body it has.
        Change::Touch(_) | Change::Restamp => true,
        Change::Replace { .. } | Change::Erase(_) => false,
    };
    decides_by_state || write.reply == Reply::Whole
}

/// Decides one write against what is there. Pure and total: it reads no clock and panics on no input.
///
/// `current` has its body where [`needs_body`] asks for it.
///
/// # Errors
/// `TypeMismatch`, `Invalid`, `TooLarge` or `Corrupt`: this write fails and changes nothing.
pub fn decide(current: Option<&Record>, write: &Write, context: &mut Context<'_>) -> Result<Decision> {
    let now = context.now();
    let visible = current.filter(|record| is_visible(&record.head, &write.placement, now));
    if !guard_holds(&write.guard, current, visible, now, context.grace_ms) {
        return Ok(idle(Outcome::Refused { current: shown(visible.or(current), write.reply) }));
    }
    let case = Case { current, visible, write, now };
    match &write.change {
        Change::Op(op) => case.operate(op, context),
        Change::Join(theirs) => case.join(theirs, context),
        Change::Replace { kind, body, siblings } => {
            let resolved =
                Resolved { body: body.clone(), alive: *siblings > 0, siblings: *siblings, dropped: 0 };
            let stamp = context.mint_stamp();
            case.write_content(kind.clone(), resolved, stamp, None, context)
        }
        Change::Touch(retouch) => case.touch(*retouch, context),
        Change::Restamp => case.restamp(context),
        Change::Erase(cause) => Ok(case.erase(*cause, context)),
    }
}

/// Whether users can see the entry at `now`, by the present rule where none has judged it yet.
pub fn is_visible(head: &Head, placement: &Placement, now: Timestamp) -> bool {
    if head.origin == ExpiryOrigin::Unjudged {
        let lasts = placement.rule_ttl.is_none_or(|ttl| now < head.stamp.at().plus_ms(ttl.ms()));
        return head.alive && lasts;
    }
    head.is_visible(now)
}

fn guard_holds(
    guard: &Guard,
    current: Option<&Record>,
    visible: Option<&Record>,
    now: Timestamp,
    grace_ms: u64,
) -> bool {
    match guard {
        Guard::Any => true,
        Guard::Absent => visible.is_none(),
        Guard::Visible => visible.is_some(),
        Guard::Version(version) => visible.is_some_and(|record| record.head.version == *version),
        Guard::Due(_) => current
            .and_then(|record| record.head.reclaim_at())
            .is_some_and(|reclaim_at| reclaim_at.plus_ms(grace_ms) <= now),
    }
}

fn idle(outcome: Outcome) -> Decision {
    Decision { effect: Effect::None, ended: None, outcome }
}

fn shown(record: Option<&Record>, reply: Reply) -> Option<Box<Record>> {
    match reply {
        Reply::Outcome => None,
        Reply::Head => record.map(|record| Box::new(record.without_body())),
        Reply::Whole => record.cloned().map(Box::new),
    }
}

/// One write and what it meets.
struct Case<'a> {
    current: Option<&'a Record>,
    visible: Option<&'a Record>,
    write: &'a Write,
    now: Timestamp,
}

impl Case<'_> {
    fn operate(&self, op: &Op, context: &mut Context<'_>) -> Result<Decision> {
        if matches!(op, Op::Delete) && self.visible.is_none() {
            return Ok(self.unchanged());
        }
        let placed = &self.write.placement.kind;
        let kind = self.visible.map_or(placed, |record| &record.head.kind).clone();
        let Some(resolver) = resolver::native(&kind).filter(|_| self.is_small(&kind, op)) else {
            return Ok(idle(Outcome::NotNative { current: self.current.cloned().map(Box::new) }));
        };
        let stamp = match op {
            Op::PutAt(_, at) => match self.accept_time(*at, &kind, context)? {
                Some(stamp) => stamp,
                None => return Ok(self.unchanged()),
            },
            _ => context.mint_stamp(),
        };
        let seq = context.ledger.seq + 1;
        let mint = Mint {
            seq,
            stamp,
            replica: context.replica,
            writer: self.write.writer.as_ref(),
            compression: self.write.placement.compression,
            max_siblings: self.write.placement.max_siblings,
        };
        let base = self.base(resolver, &kind)?;
        let resolved =
            resolver.change(base.as_ref(), op, &mint).map_err(|error| error.on(&self.write.key))?;
        let stamp = self.version_stamp(&kind, stamp);
        self.write_content(kind, resolved, stamp, Some(op), context)
    }

    /// States above the limit are not changed under a store's lock.
    fn is_small(&self, kind: &Kind, op: &Op) -> bool {
        if *kind == Kind::Lww {
            return true;
        }
        let stored = self.current.map_or(0, |record| record.head.raw_len as usize);
        let offered = match op {
            Op::Put(body) | Op::PutAt(body, _) | Op::Assign(body) => body.raw_len(),
            Op::Add(_) | Op::Delete => 0,
        };
        stored.max(offered) <= MAX_NATIVE_STATE_BYTES
    }

    /// What the operation starts from: the visible state, or what is left of one that ended.
    fn base(&self, resolver: &dyn Resolver, kind: &Kind) -> Result<Option<Body>> {
        let state = |record: &Record| record.body.clone();
        if let Some(record) = self.visible {
            return Ok(state(record));
        }
        let ended = self.current.filter(|record| record.head.kind == *kind).and_then(state);
        match ended {
            Some(body) => resolver.reset(&body, self.write.placement.compression),
            None => Ok(None),
        }
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

    /// An entry of several values carries the newest stamp among them.
    fn version_stamp(&self, kind: &Kind, stamp: Stamp) -> Stamp {
        match self.visible {
            Some(record) if *kind != Kind::Lww => stamp.max(record.head.stamp),
            _ => stamp,
        }
    }

    fn write_content(
        &self,
        kind: Kind,
        resolved: Resolved,
        stamp: Stamp,
        op: Option<&Op>,
        context: &mut Context<'_>,
    ) -> Result<Decision> {
        if resolved.body.as_ref().is_some_and(|body| body.as_bytes().len() > context.body_limit) {
            let message = format!("the entry would pass the store's limit of {} bytes", context.body_limit);
            return Err(Error::new(ErrorKind::TooLarge, message).on(&self.write.key));
        }
        let placement = &self.write.placement;
        let seq = context.mint_seq();
        let mut head = Head {
            kind_epoch: self.visible.map_or(Hlc::default(), |record| record.head.kind_epoch),
            alive: resolved.alive,
            seq,
            version: seq,
            stamp,
            created_at: self.visible.map_or(stamp.at(), |record| record.head.created_at),
            life: Life::new(stamp, None),
            origin: placement.origin,
            keep_until: Timestamp::EPOCH,
            class: placement.class,
            rule: placement.rule.clone(),
            writer: self.write.writer.clone(),
            siblings: resolved.siblings,
            raw_len: 0,
            stored_len: 0,
            codec: crate::record::Codec::None,
            kind,
        };
        head.measure(resolved.body.as_ref());
        if resolved.alive {
            let refreshes = head.kind == Kind::Counter && !matches!(op, Some(Op::Assign(_)) | None);
            (head.life, head.origin) = self.life_from(stamp, refreshes);
        } else if let Some(record) = self.visible {
            // A delete leaves the life alone: what is added concurrently elsewhere has to stay visible.
            head.life = record.head.life;
            head.origin = record.head.origin;
            head.class = ReclaimClass::Tombstone;
            head.keep_until = self.now.max(stamp.at()).plus_ms(KEEP_MS);
        }
        let record = Record { key: self.write.key.clone(), head, body: resolved.body };
        Ok(self.put(record, resolved.dropped, self.ended_by(resolved.alive)))
    }

    /// The end that a content write tells: a deletion, or the expiry of what it replaces unseen.
    fn ended_by(&self, alive: bool) -> Option<Cause> {
        match (self.visible, self.current) {
            (Some(_), _) => (!alive).then_some(Cause::Deleted),
            (None, Some(record)) if record.head.alive => Some(Cause::Expired),
            _ => None,
        }
    }

    fn life_from(&self, stamp: Stamp, refreshes: bool) -> (Life, ExpiryOrigin) {
        let placement = &self.write.placement;
        let there = self.visible.map(|record| &record.head);
        let expires_at = match placement.expiry {
            Expiry::Never => None,
            Expiry::After(ttl) => Some(stamp.at().plus_ms(ttl.ms())),
            Expiry::At(at) => Some(at),
            Expiry::Keep => match there {
                Some(head) if head.origin != ExpiryOrigin::Unjudged => {
                    return (Life::new(stamp, head.life.expires_at), head.origin);
                }
                Some(head) => placement.rule_ttl.map(|ttl| head.stamp.at().plus_ms(ttl.ms())),
                None => placement.rule_ttl.map(|ttl| stamp.at().plus_ms(ttl.ms())),
            },
        };
        let mut life = Life::new(stamp, expires_at);
        let refreshed = there.filter(|head| {
            refreshes && placement.origin == ExpiryOrigin::Rule && head.origin != ExpiryOrigin::Unjudged
        });
        if let Some(head) = refreshed {
            life.epoch = head.life.epoch;
            let _ = life.join(&head.life);
        }
        (life, placement.origin)
    }

    fn join(&self, theirs: &Record, context: &mut Context<'_>) -> Result<Decision> {
        if let Err(drift) = context.ledger.clock.receive(theirs.head.stamp.time, context.wall, MAX_DRIFT_MS) {
            let message =
                format!("a received stamp lies {} ms ahead of the clock: quarantine it", drift.ahead_ms);
            return Err(Error::new(ErrorKind::Invalid, message).on(&self.write.key));
        }
        let Some(mine) = self.current else {
            let mut record = theirs.clone();
            record.key = self.write.key.clone();
            record.head.seq = context.mint_seq();
            record.head.version = record.head.seq;
            return Ok(self.put(record, 0, None));
        };
        let mut record = mine.clone();
        if mine.head.kind != theirs.head.kind {
            let rank = |head: &Head| (head.kind_epoch, head.kind.name().to_owned());
            if rank(&theirs.head) <= rank(&mine.head) {
                return Ok(self.unchanged());
            }
            record.head = theirs.head.clone();
            record.body = theirs.body.clone();
        } else if let Some(resolver) = resolver::native(&mine.head.kind) {
            let side = |record: &'_ Record| (record.head.clone(), record.body.clone());
            let ((my_head, my_body), (their_head, their_body)) = (side(mine), side(theirs));
            let joined = resolver.join(
                Side { head: &my_head, body: my_body.as_ref() },
                Side { head: &their_head, body: their_body.as_ref() },
                self.write.placement.compression,
            )?;
            if their_head.stamp > my_head.stamp {
                record.head.stamp = their_head.stamp;
                record.head.writer = their_head.writer.clone();
            }
            record.head.alive = joined.alive;
            record.head.siblings = joined.siblings;
            record.body = joined.body;
            let _ = record.head.life.join(&their_head.life);
            record.head.keep_until = my_head.keep_until.max(their_head.keep_until);
            record.head.class =
                if joined.alive { self.write.placement.class } else { ReclaimClass::Tombstone };
        } else {
            return Ok(idle(Outcome::NotNative { current: Some(Box::new(mine.clone())) }));
        }
        record.head.measure(record.body.as_ref());
        if record == *mine {
            return Ok(self.unchanged());
        }
        record.head.seq = context.mint_seq();
        record.head.version = record.head.seq;
        let ended = (self.visible.is_some() && !record.head.alive).then_some(Cause::Deleted);
        Ok(self.put(record, 0, ended))
    }

    fn touch(&self, retouch: Retouch, context: &mut Context<'_>) -> Result<Decision> {
        let Some(record) = self.visible else { return Ok(self.unchanged()) };
        let before = record.head.life.expires_at;
        let now = self.now;
        let instant = |expiry: Expiry| match expiry {
            Expiry::Never => None,
            Expiry::After(ttl) => Some(now.plus_ms(ttl.ms())),
            Expiry::At(at) => Some(at),
            Expiry::Keep => before,
        };
        let rank = |expires_at: Option<Timestamp>| expires_at.map_or(u64::MAX, Timestamp::ms);
        let (after, wanted) = match retouch {
            Retouch::Set(expiry) => (instant(expiry), true),
            Retouch::Extend(expiry) => (instant(expiry), rank(instant(expiry)) > rank(before)),
            Retouch::Shorten(expiry) => (instant(expiry), rank(instant(expiry)) < rank(before)),
            Retouch::Refresh(ttl) => {
                let after = now.plus_ms(ttl.ms());
                let gain = after.ms().saturating_sub(rank(before));
                (Some(after), gain >= (ttl.ms() / REFRESH_FRACTION).max(1))
            }
        };
        let is_refresh = matches!(retouch, Retouch::Refresh(_));
        let judged = record.head.origin != ExpiryOrigin::Unjudged;
        if !wanted
            || (judged && after == before && (is_refresh || record.head.origin == ExpiryOrigin::Caller))
        {
            return Ok(self.unchanged());
        }
        let mut record = record.clone();
        // A refresh keeps its epoch, so that a concurrent write or delete beats it; a wish starts a new one.
        if !is_refresh {
            record.head.life.epoch = context.mint_stamp();
            record.head.origin = ExpiryOrigin::Caller;
        }
        record.head.life.expires_at = after;
        if record.head.class == ReclaimClass::Unjudged {
            record.head.class = self.write.placement.class;
            record.head.rule = self.write.placement.rule.clone();
        }
        record.head.seq = context.mint_seq();
        Ok(self.put(record, 0, None))
    }

    fn restamp(&self, context: &mut Context<'_>) -> Result<Decision> {
        let Some(record) = self.visible else { return Ok(self.unchanged()) };
        let placement = &self.write.placement;
        let mut restamped = record.clone();
        restamped.head.rule = placement.rule.clone();
        restamped.head.class = placement.class;
        if record.head.origin != ExpiryOrigin::Caller {
            restamped.head.origin = ExpiryOrigin::Rule;
            let from = record.head.stamp.at();
            restamped.head.life.expires_at = placement.rule_ttl.map(|ttl| from.plus_ms(ttl.ms()));
        }
        if restamped == *record {
            return Ok(self.unchanged());
        }
        restamped.head.life.epoch = context.mint_stamp();
        restamped.head.seq = context.mint_seq();
        Ok(self.put(restamped, 0, None))
    }

    fn erase(&self, cause: Cause, context: &mut Context<'_>) -> Decision {
        let Some(record) = self.current else { return self.unchanged() };
        context.ledger.clock.observe(context.wall);
        let seq = context.mint_seq();
        Decision {
            effect: Effect::Erase { cause, seq },
            ended: record.head.alive.then_some(cause),
            outcome: Outcome::Applied {
                version: record.head.version,
                stamp: record.head.stamp,
                expires_at: record.head.life.expires_at,
                dropped: 0,
                record: shown(Some(record), self.write.reply),
            },
        }
    }

    fn unchanged(&self) -> Decision {
        idle(Outcome::Unchanged { current: shown(self.current, self.write.reply) })
    }

    fn put(&self, record: Record, dropped: u32, ended: Option<Cause>) -> Decision {
        let outcome = Outcome::Applied {
            version: record.head.version,
            stamp: record.head.stamp,
            expires_at: record.head.life.expires_at,
            dropped,
            record: shown(Some(&record), self.write.reply),
        };
        Decision { effect: Effect::Put(Box::new(record)), ended, outcome }
    }
}
