use super::Memory;
use crate::decide::{operate_on, wins_kind};
use crate::record::Record;
use crate::resolver::{Mint, Side};
use crate::store::{Change, Durability, Guard, Op, Outcome, Want, Write};
use crate::{Error, ErrorKind, Hlc, Key, Result, Stamp};
use std::time::Duration;

/// How long a key may be contended before a writer gives up, told in attempts and in time.
pub(super) struct Patience {
    deadline: Duration,
    attempt: u32,
}

/// The longest pause between two attempts, in microseconds.
const LONGEST_PAUSE_US: u64 = 20_000;
/// The most attempts, where a clock stands still.
const MAX_ATTEMPTS: u32 = 10_000;

impl Memory {
    pub(super) fn patience(&self) -> Patience {
        Patience { deadline: self.inner.clock.monotonic() + self.inner.limits.contention, attempt: 0 }
    }

    /// Waits a little, longer each time, before the next attempt on a contended key.
    ///
    /// # Errors
    /// `Contended` once patience is over.
    pub(super) async fn pause(&self, patience: &mut Patience, key: &Key) -> Result<()> {
        if self.inner.clock.monotonic() >= patience.deadline || patience.attempt >= MAX_ATTEMPTS {
            let message = format!(
                "others kept changing the key for {} attempts: try again later",
                patience.attempt + 1
            );
            return Err(Error::new(ErrorKind::Contended, message).on(key));
        }
        let most = (100_u64 << patience.attempt.min(8)).min(LONGEST_PAUSE_US);
        patience.attempt += 1;
        let pause = Duration::from_micros(self.inner.seed.below(most));
        match tokio::runtime::Handle::try_current() {
            Ok(_) => tokio::time::sleep(pause).await,
            // Without a runtime the caller blocks anyway.
            Err(_) => std::thread::sleep(pause),
        }
        Ok(())
    }

    /// Decides what the store left to the engine, and puts the state over the record it came from.
    pub(super) async fn resolve_here(
        &self,
        write: Write,
        mut current: Option<Box<Record>>,
        durability: Option<Durability>,
    ) -> Result<Outcome> {
        let mut patience = self.patience();
        loop {
            let replace = match &write.change {
                Change::Op(op) => self.replacement(&write, op, current.as_deref())?,
                Change::Join(theirs) => match self.merging(&write, theirs, current.as_deref()).await? {
                    Some(merged) => merged,
                    None => return Ok(Outcome::Unchanged { current: None }),
                },
                _ => {
                    let message = "only operations and joins are resolved outside the store";
                    return Err(super::write::internal(message).on(&write.key));
                }
            };
            match self.apply_one(replace, durability).await? {
                Outcome::Refused { .. } if matches!(write.guard, Guard::Any | Guard::Visible) => {
                    self.pause(&mut patience, &write.key).await?
                }
                Outcome::NotNative { current: there } => {
                    current = there;
                    continue;
                }
                outcome => return Ok(outcome),
            }
            let fetched = self.inner.store.get(std::slice::from_ref(&write.key), Want::Whole).await?;
            current = fetched.slots.into_iter().next().flatten().map(Box::new);
        }
    }

    /// The join of `theirs` with what is there, its states merged; the join itself where nothing is there any more.
    /// Of two kinds one wins and the other is set aside: `None` when that is `theirs`.
    async fn merging(
        &self,
        write: &Write,
        theirs: &Record,
        current: Option<&Record>,
    ) -> Result<Option<Write>> {
        let Some(mine) = current else { return Ok(Some(write.clone())) };
        if mine.head.kind != theirs.head.kind {
            if !wins_kind(&theirs.head, &mine.head) {
                self.keep_lost(theirs).await?;
                return Ok(None);
            }
            self.keep_lost(mine).await?;
            let change = Change::Merged { record: Box::new(theirs.clone()), over: mine.head.seq };
            return Ok(Some(Write { change, ..write.clone() }));
        }
        let resolver = self.inner.resolver(&mine.head.kind, &write.key)?;
        let resolved = resolver.join(Side::of(mine), Side::of(theirs), write.placement.compression)?;
        let mut record = Record { body: resolved.body, ..theirs.clone() };
        (record.head.alive, record.head.siblings) = (resolved.alive, resolved.siblings);
        let change = Change::Merged { record: Box::new(record), over: mine.head.seq };
        Ok(Some(Write { change, ..write.clone() }))
    }

    fn replacement(&self, write: &Write, op: &Op, current: Option<&Record>) -> Result<Write> {
        let now = self.inner.now(crate::Timestamp::EPOCH);
        let visible = current.filter(|record| self.is_visible(&record.key, &record.head, now));
        let kind = visible.map_or(&write.placement.kind, |record| &record.head.kind).clone();
        let resolver = self.inner.resolver(&kind, &write.key)?;
        let mut time = current.map_or(Hlc::default(), |record| record.head.stamp.time);
        let stamp = Stamp::new(
            match op {
                Op::PutAt(_, at) => Hlc::new(*at),
                _ => time.tick(now),
            },
            self.inner.store.info().replica,
        );
        // A new presence of this replica in the state needs a generation of its own: later than every change
        // of the key so far, and than any that a purge made forgotten.
        let seq = current.map_or(0, |record| record.head.seq + 1).max(now.ms());
        let mint = Mint {
            seq,
            stamp,
            replica: stamp.replica,
            writer: write.writer.as_ref(),
            compression: write.placement.compression,
            max_siblings: write.placement.max_siblings,
        };
        let resolved = operate_on(resolver, &kind, current, visible.is_some(), op, &mint)?;
        let guard = match (write.guard, visible) {
            (Guard::Any | Guard::Visible, Some(record)) => Guard::Version(record.head.version),
            (Guard::Any, None) => Guard::Absent,
            (guard, _) => guard,
        };
        let siblings = if resolved.alive { resolved.siblings.max(1) } else { 0 };
        let change = Change::Replace { kind, body: resolved.body, siblings, stamp: None };
        Ok(Write { guard, change, ..write.clone() })
    }
}
