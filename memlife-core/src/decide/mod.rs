//! The one place where it is decided what a write does.

mod content;
mod join;
mod life;

pub(crate) use content::operate_on;
pub(crate) use join::{latest_time, wins_kind};

use crate::record::{ExpiryOrigin, Head, Kind, Record};
use crate::resolver::{Resolved, convert};
use crate::store::{Cause, Change, Guard, Outcome, Placement, Reply, Write};
use crate::{Error, ErrorKind, Hlc, ReplicaId, Result, Stamp, Timestamp};
use serde::{Deserialize, Serialize};

/// How far ahead of the wall clock a stamp from elsewhere may lie, in milliseconds.
pub const MAX_DRIFT_MS: u64 = 60_000;
/// How long a tombstone and a removal record are kept for consumers of the feed, in milliseconds.
pub const KEEP_MS: u64 = 24 * 3_600_000;
/// How long dead entries wait for replicas, in milliseconds, once a store has any.
pub const GRACE_MS: u64 = 24 * 3_600_000;

/// What a store persists beside its records, in the same transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The last change number given out.
    pub seq: u64,
    /// The hybrid clock that stamps are minted from.
    pub clock: Hlc,
    /// How long dead entries wait for replicas, in milliseconds; 0 until the store has one.
    pub grace_ms: u64,
}

/// Change numbers that are skipped where the last one given out is not known. A store that this happened to a million
/// times still counts in numbers that JSON holds exactly.
const LEAP: u64 = 1 << 32;

impl Ledger {
    /// Goes on far beyond every change number that may have been given out and is no longer known of: by the original
    /// of a copied store, or in commits that a killed process took along.
    pub fn leap(&mut self) {
        self.seq = self.seq.saturating_add(LEAP);
    }
}

/// Where a decision is made.
#[derive(Debug)]
pub struct Context<'a> {
    /// The wall clock of the batch.
    pub wall: Timestamp,
    /// The store's replica.
    pub replica: ReplicaId,
    /// The most bytes of a body.
    pub body_limit: usize,
    /// The change number, the clock and the grace, advanced by what is decided.
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
        // Whatever commits tells the clock: what was expired by then stays so though the wall steps back.
        self.ledger.clock.observe(self.wall);
        self.ledger.seq = self.next_seq();
        self.ledger.seq
    }

    fn next_seq(&self) -> u64 {
        self.ledger.seq.saturating_add(1)
    }

    fn mint_stamp(&mut self) -> Stamp {
        Stamp::new(self.ledger.clock.tick(self.wall), self.replica)
    }
}

/// Whether a decision on `write` needs the body of the entry whose head this is.
pub fn needs_body(head: &Head, write: &Write) -> bool {
    let decides_by_state = match &write.change {
        Change::Join(_) | Change::Merged { .. } => true,
        Change::Op(_) => head.kind != Kind::Lww || head.origin == ExpiryOrigin::Unjudged,
        // These write the record anew with the body it has.
        Change::Touch(_) | Change::Restamp => true,
        Change::Replace { .. } | Change::Erase(_) | Change::Grace(_) => false,
    };
    decides_by_state || write.reply == Reply::Whole
}

/// Decides one write against what is there. Pure and total: it reads no clock and panics on no input.
///
/// `current` has its body where [`needs_body`] asks for it.
///
/// # Errors
/// `TypeMismatch`, `Invalid`, `TooLarge` or `Corrupt`: this write fails and changes nothing. The ledger may have
/// moved on; a store that shares it between writes puts it back.
pub fn decide(current: Option<&Record>, write: &Write, context: &mut Context<'_>) -> Result<Decision> {
    let now = context.now();
    let adopted = convert::adopt(current, write)?;
    let current = adopted.as_ref().or(current);
    let visible = current.filter(|record| is_visible(&record.head, &write.placement, now));
    let case = Case { current, visible, write, now };
    if !case.guard_holds(context.ledger.grace_ms) {
        return Ok(idle(Outcome::Refused { current: shown(visible.or(current), write.reply) }));
    }
    match &write.change {
        Change::Op(op) => case.operate(op, context),
        Change::Join(theirs) => case.join(theirs, context),
        Change::Merged { record, over } => case.merged(record, *over, context),
        Change::Replace { kind, body, siblings, stamp } => {
            let resolved =
                Resolved { body: body.clone(), alive: *siblings > 0, siblings: *siblings, dropped: 0 };
            let stamp = stamp.unwrap_or_else(|| context.mint_stamp());
            case.write_content(kind.clone(), resolved, stamp, None, context)
        }
        Change::Touch(retouch) => Ok(case.touch(*retouch, context)),
        Change::Restamp => Ok(case.restamp(context)),
        Change::Erase(cause) => Ok(case.erase(*cause, context)),
        Change::Grace(ms) => case.grant(*ms, context),
    }
}

/// Whether users can see the entry at `now`.
pub fn is_visible(head: &Head, placement: &Placement, now: Timestamp) -> bool {
    head.alive && effective_expiry(head, placement).is_none_or(|end| now < end)
}

/// When the entry expires: by its own mark, or by the present rule where none has judged it yet.
pub fn effective_expiry(head: &Head, placement: &Placement) -> Option<Timestamp> {
    if head.origin != ExpiryOrigin::Unjudged {
        return head.life.expires_at;
    }
    placement.rule_ttl.map(|ttl| head.stamp.at().plus_ms(ttl.ms()))
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
    fn guard_holds(&self, grace_ms: u64) -> bool {
        match &self.write.guard {
            Guard::Any => true,
            Guard::Absent => self.visible.is_none(),
            Guard::Visible => self.visible.is_some(),
            Guard::Version(version) => self.visible.is_some_and(|record| record.head.version == *version),
            // An entry that no rule judged yet is always due; whether it may go is its visibility.
            Guard::Due(_) => self
                .current
                .filter(|_| self.visible.is_none())
                .and_then(|record| record.head.reclaim_at())
                .is_some_and(|reclaim_at| reclaim_at.plus_ms(grace_ms) <= self.now),
        }
    }

    fn erase(&self, cause: Cause, context: &mut Context<'_>) -> Decision {
        let Some(record) = self.current else { return self.unchanged() };
        Decision {
            effect: Effect::Erase { cause, seq: context.mint_seq() },
            ended: self.ended(Some(cause)),
            outcome: Outcome::erased(shown(Some(record), self.write.reply)),
        }
    }

    /// The end that a write tells: `cause` for what was visible, its expiry for what had lapsed unseen.
    fn ended(&self, cause: Option<Cause>) -> Option<Cause> {
        match (self.visible, self.current) {
            (Some(_), _) => cause,
            (None, Some(record)) if record.head.alive => Some(Cause::Expired),
            _ => None,
        }
    }

    fn check_size(&self, body: Option<&crate::record::Body>, context: &Context<'_>) -> Result<()> {
        if body.is_some_and(|body| body.as_bytes().len() > context.body_limit) {
            let message = format!("the entry would pass the store's limit of {} bytes", context.body_limit);
            return Err(Error::new(ErrorKind::TooLarge, message).on(&self.write.key));
        }
        Ok(())
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
