use super::{Effort, Memory, Reach, SweepOptions};
use crate::policy::CleanupStrategy;
use crate::record::ReclaimClass;
use crate::store::{Cause, Due, DueEntry, Outcome, UsageQuery, Write};
use crate::{Key, Result, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Entries a sweep reads and removes per commit, where the store takes as many at once. The commit holds other
/// writers up for some ten milliseconds, and the pages that it changes fit into a store's cache wherever they lie;
/// shorter ones would write the same pages more often.
const PAGE: usize = 2_500;
/// The same under a time budget, so that it is kept on slow stores, too.
const SHORT_PAGE: usize = 500;
/// A wall clock that ran ahead of the monotonic one by more than this makes sweeps pause.
const MAX_JUMP: Duration = Duration::from_secs(3_600);

/// What a sweep did. One is kept per sweep, the last 1,000 of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SweepReport {
    /// When it started, Unix milliseconds.
    pub started_at: Timestamp,
    /// Expired entries removed; in a dry run, those that would have been.
    pub deleted: u64,
    /// Their bytes as stored.
    pub freed_bytes: u64,
    /// Tombstones past their keep that went, too.
    pub tombstones: u64,
    /// Due entries that were written, touched or removed by others meanwhile, or that the present rule holds.
    pub kept: u64,
    /// Due entries that could not be removed because they are damaged: `verify` names them.
    pub failed: u64,
    /// Entries before, tombstones not counted.
    pub entries_before: u64,
    /// Entries after.
    pub entries_after: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Why it ended before everything due was looked at.
    pub stopped: Option<Stop>,
    /// Whether it only planned.
    pub dry_run: bool,
}

/// Why a sweep ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The limit was reached.
    Limit,
    /// The time budget was used up.
    Budget,
    /// The wall clock ran this many seconds ahead of the monotonic one: nothing is removed on such a clock's word.
    /// A forced sweep, or a new start, takes the clock as it is.
    ClockJump(u64),
}

impl Memory {
    /// Removes what expired: one bounded pass over due entries, page by page.
    ///
    /// The cost grows with what is due, not with what is stored. May run at any time beside other sweeps and
    /// writers; what is written or touched meanwhile stays.
    ///
    /// # Errors
    /// The store's. What was removed before the error stays removed.
    pub async fn sweep(&self, options: SweepOptions) -> Result<SweepReport> {
        if options.effort != Effort::DryRun && !self.inner.store.info().read_only {
            self.release_quarantined().await.map_err(|error| error.during("sweep"))?;
        }
        let mut sweep = Sweep::start(self, options).await.map_err(|error| error.during("sweep"))?;
        sweep.run().await.map_err(|error| error.during("sweep"))?;
        let report = sweep.finish().await.map_err(|error| error.during("sweep"))?;
        if !report.dry_run && !self.inner.store.info().read_only {
            self.keep_report(&report).await.map_err(|error| error.during("sweep"))?;
        }
        Ok(report)
    }
}

struct Sweep<'a> {
    memory: &'a Memory,
    options: SweepOptions,
    until: Timestamp,
    started: Duration,
    report: SweepReport,
}

impl<'a> Sweep<'a> {
    async fn start(memory: &'a Memory, options: SweepOptions) -> Result<Self> {
        memory.inner.reclaim.take();
        let usage = memory.inner.store.usage(&UsageQuery { after: None, limit: 0 }).await?;
        let until = memory.inner.now(usage.clock);
        let report = SweepReport {
            started_at: until,
            entries_before: usage.totals.tally.entries,
            dry_run: options.effort == Effort::DryRun,
            ..SweepReport::default()
        };
        Ok(Sweep { memory, options, until, started: memory.inner.clock.monotonic(), report })
    }

    async fn run(&mut self) -> Result<()> {
        let jump = self.memory.inner.clock_jump();
        if jump > MAX_JUMP && self.options.reach == Reach::Due {
            tracing::warn!(seconds = jump.as_secs(), "the clock jumped ahead: the sweep removes nothing");
            self.report.stopped = Some(Stop::ClockJump(jump.as_secs()));
            return Ok(());
        }
        for class in ReclaimClass::ALL {
            if class == ReclaimClass::Manual && self.options.reach == Reach::Due {
                continue;
            }
            self.sweep_class(class).await?;
            if self.report.stopped.is_some() {
                break;
            }
        }
        Ok(())
    }

    async fn sweep_class(&mut self, class: ReclaimClass) -> Result<()> {
        let most = if self.options.budget.is_some() { SHORT_PAGE } else { PAGE };
        let limit = most.min(self.memory.inner.store.info().limits.batch_writes);
        let mut after = None;
        loop {
            self.report.stopped = self.stop();
            if self.report.stopped.is_some() {
                return Ok(());
            }
            let page = self.memory.inner.store.due(&Due { class, until: self.until, after, limit }).await?;
            let Some(last) = page.entries.last() else { return Ok(()) };
            after = Some((last.reclaim_at, last.locator));
            let is_last = page.entries.len() < limit;
            self.sweep_page(class, page.entries).await?;
            if let Some(progress) = &self.options.progress {
                progress(self.report.deleted, None);
            }
            if is_last {
                return Ok(());
            }
            // Whoever waits for something else, too, such as a signal to stop, is heard between pages.
            tokio::task::yield_now().await;
        }
    }

    fn stop(&self) -> Option<Stop> {
        if self.options.limit.is_some_and(|limit| self.report.deleted >= limit) {
            return Some(Stop::Limit);
        }
        let elapsed = self.memory.inner.clock.monotonic().saturating_sub(self.started);
        self.options.budget.filter(|budget| elapsed >= *budget).map(|_| Stop::Budget)
    }

    async fn sweep_page(&mut self, class: ReclaimClass, entries: Vec<DueEntry>) -> Result<()> {
        let met = entries.len();
        let mut chosen: Vec<DueEntry> =
            entries.into_iter().filter(|entry| self.may_remove(class, entry)).collect();
        if class != ReclaimClass::Tombstone
            && let Some(limit) = self.options.limit
        {
            chosen.truncate(usize::try_from(limit - self.report.deleted).unwrap_or(usize::MAX));
        }
        self.report.kept += (met - chosen.len()) as u64;
        if chosen.is_empty() {
            return Ok(());
        }
        if self.options.effort == Effort::DryRun {
            chosen.iter().for_each(|entry| self.count(class, entry.stored_len));
            return Ok(());
        }
        let sizes: Vec<u32> = chosen.iter().map(|entry| entry.stored_len).collect();
        let writes = self.erasures(class, chosen);
        let results = self.memory.inner.store.apply(&self.memory.inner.batch(writes, None)).await?;
        for (result, size) in results.into_iter().zip(sizes) {
            match result {
                Ok(Outcome::Applied { .. }) => self.count(class, size),
                Ok(_) => self.report.kept += 1,
                Err(error) if error.kind() == crate::ErrorKind::Corrupt => self.report.failed += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Only what no rule judged yet is guarded by what its own rule says; the rest shares a placement.
    fn erasures(&self, class: ReclaimClass, entries: Vec<DueEntry>) -> Vec<Write> {
        let inner = &self.memory.inner;
        let shared = entries.first().map(|entry| inner.placement(&entry.key));
        let placement = |key: &Key| match &shared {
            Some(shared) if class != ReclaimClass::Unjudged => Arc::clone(shared),
            _ => inner.placement(key),
        };
        // The end of what a tombstone stands for was told when it was deleted.
        let cause = if class == ReclaimClass::Tombstone { Cause::Purged } else { Cause::Expired };
        entries
            .into_iter()
            .map(|entry| Memory::erasure(placement(&entry.key), entry.key, entry.locator, cause))
            .collect()
    }

    fn count(&mut self, class: ReclaimClass, size: u32) {
        if class == ReclaimClass::Tombstone {
            self.report.tombstones += 1;
        } else {
            self.report.deleted += 1;
            self.report.freed_bytes += u64::from(size);
        }
    }

    /// Whether the present rule lets the entry go.
    fn may_remove(&self, class: ReclaimClass, entry: &DueEntry) -> bool {
        let in_scope = |key: &Key| self.options.scope.as_ref().is_none_or(|scope| scope.matches(key));
        if entry.key.is_system() || !in_scope(&entry.key) {
            return entry.key.is_system() && class == ReclaimClass::Tombstone;
        }
        if class == ReclaimClass::Tombstone {
            return true;
        }
        let rule = self.memory.inner.policy.rule_for(&entry.key);
        if rule.cleanup == CleanupStrategy::Manual && self.options.reach == Reach::Due {
            return false;
        }
        // What the Python original wrote is due by its age under the present rule.
        class != ReclaimClass::Unjudged
            || rule.ttl.is_some_and(|ttl| entry.reclaim_at.plus_ms(ttl.ms()) <= self.until)
    }

    async fn finish(mut self) -> Result<SweepReport> {
        let usage = self.memory.inner.store.usage(&UsageQuery { after: None, limit: 0 }).await?;
        self.report.entries_after = usage.totals.tally.entries;
        self.report.elapsed = self.memory.inner.clock.monotonic().saturating_sub(self.started);
        tracing::info!(
            deleted = self.report.deleted,
            tombstones = self.report.tombstones,
            dry_run = self.report.dry_run,
            "swept"
        );
        Ok(self.report)
    }
}
