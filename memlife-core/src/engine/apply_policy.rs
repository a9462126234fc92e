use super::write::places_alike;
use super::{Memory, Progress};
use crate::record::{ExpiryOrigin, Record};
use crate::resolver::{Mint, convert};
use crate::store::{Change, Expiry, Guard, Outcome, Placement, Scan, UsageQuery, Want, Write};
use crate::{Key, Result};
use std::sync::Arc;

/// Entries per commit.
const PAGE: usize = 500;

/// What applying a policy did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApplyReport {
    /// Entries looked at.
    pub checked: u64,
    /// Entries that changed their expiry, reclaim class or rule.
    pub restamped: u64,
    /// Entries whose kind was converted, too.
    pub converted: u64,
    /// Entries that are damaged: `verify` names them.
    pub failed: u64,
}

impl Memory {
    /// Gives every stored entry what its present rule says, counted from the entry's own stamp.
    ///
    /// An expiry that a caller set stays. Nothing expired is revived. May be stopped and repeated at any time.
    ///
    /// # Errors
    /// The store's; what was applied before the error stays applied.
    pub async fn apply_policy(&self, progress: Option<Progress>) -> Result<ApplyReport> {
        let report = self.restamp_all(progress).await.map_err(|error| error.during("policy apply"))?;
        self.set_applied_policy(Guard::Any).await.map_err(|error| error.during("policy apply"))?;
        Ok(report)
    }

    async fn restamp_all(&self, progress: Option<Progress>) -> Result<ApplyReport> {
        let total = self.inner.store.usage(&UsageQuery { after: None, limit: 0 }).await?.totals.tally.entries;
        let mut report = ApplyReport::default();
        let mut after: Option<Key> = None;
        loop {
            let scan = Scan { after, limit: PAGE, want: Want::Head, ..Scan::default() };
            let page = self.inner.store.scan(&scan).await?;
            let mut writes: Vec<Write> = Vec::new();
            for record in page.records {
                match record {
                    Ok(record) if record.head.alive => {
                        report.checked += 1;
                        self.plan(&record, &mut writes, &mut report).await?;
                    }
                    Ok(_) => {}
                    Err(_) => report.failed += 1,
                }
            }
            self.restamp(writes, &mut report).await?;
            if let Some(progress) = &progress {
                progress(report.checked, Some(total));
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(report),
            }
        }
    }

    async fn plan(&self, record: &Record, writes: &mut Vec<Write>, report: &mut ApplyReport) -> Result<()> {
        let placement = self.inner.placement(&record.key);
        if placement.kind != record.head.kind && self.convert(&record.key).await? {
            report.converted += 1;
        }
        let timed_alike =
            record.head.origin != ExpiryOrigin::Unjudged && record.head.rule_ttl == placement.rule_ttl;
        if !(places_alike(&placement, &record.head) && timed_alike) {
            writes.push(self.restamping(&record.key));
        }
        Ok(())
    }

    /// Converts the entry to the kind its present rule asks for, where that kind can hold it.
    async fn convert(&self, key: &Key) -> Result<bool> {
        let fetched = self.inner.store.get(std::slice::from_ref(key), Want::Whole).await?;
        let now = self.inner.now(fetched.clock);
        let slot = fetched.slots.into_iter().next().flatten();
        let Some(record) = slot.filter(|record| self.is_visible(key, &record.head, now)) else {
            return Ok(false);
        };
        let placement = self.inner.placement(key);
        let mint = Mint {
            seq: record.head.seq.saturating_add(1),
            stamp: record.head.stamp,
            replica: self.inner.store.info().replica,
            writer: record.head.writer.as_ref(),
            compression: placement.compression,
            max_siblings: u32::MAX,
        };
        let Some(resolved) = convert(&record, &placement.kind, &mint)? else { return Ok(false) };
        let change = Change::Replace {
            kind: placement.kind.clone(),
            body: resolved.body,
            siblings: resolved.siblings,
            stamp: Some(record.head.stamp),
        };
        let kept = Arc::new(Placement { expiry: Expiry::Keep, ..(*placement).clone() });
        let write = Write {
            writer: record.head.writer,
            ..Write::new(key.clone(), Guard::Version(record.head.version), change, kept)
        };
        Ok(matches!(self.apply_one(write, None).await?, Outcome::Applied { .. }))
    }

    async fn restamp(&self, writes: Vec<Write>, report: &mut ApplyReport) -> Result<()> {
        if writes.is_empty() {
            return Ok(());
        }
        for result in self.inner.store.apply(&self.inner.batch(writes, None)).await? {
            match result {
                Ok(Outcome::Applied { .. }) => report.restamped += 1,
                Ok(_) => {}
                Err(error) if error.kind() == crate::ErrorKind::Corrupt => report.failed += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
