//! What memlife keeps about itself in the store, under keys that users never see.

use super::shelf::{Index, Shelf};
use super::{Memory, SweepReport};
use crate::record::{Body, Compression, Kind, ReclaimClass, Record};
use crate::store::{Change, Guard, Op, Outcome, Placement, Scan, Want, Write};
use crate::{Key, Result, Value};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Reports of sweeps that are kept.
const MAX_REPORTS: u64 = 1_000;
/// How often a report is tried again when another sweep took its place.
const REPORT_ATTEMPTS: u32 = 8;

/// The policy that entries were last stored or applied under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Applied {
    fingerprint: u64,
}

impl Memory {
    /// The reports of the last sweeps, oldest first; at most 1,000.
    ///
    /// # Errors
    /// The store's.
    pub async fn sweep_reports(&self) -> Result<Vec<SweepReport>> {
        let within = Key::system("sweeps")?;
        let scan = Scan {
            within: Some(within.as_str().into()),
            limit: MAX_REPORTS as usize,
            want: Want::Whole,
            system: true,
            ..Scan::default()
        };
        let page = self.inner.store.scan(&scan).await?;
        let mut reports: Vec<SweepReport> = Vec::new();
        for record in page.records.into_iter().flatten().filter(|record| record.head.alive) {
            reports.push(record.body()?.value(self.inner.limits.value_bytes)?.parse()?);
        }
        reports.sort_by_key(|report| report.started_at);
        Ok(reports)
    }

    /// Keeps a report in a ring of slots: the newest takes the place of the oldest.
    pub(super) async fn keep_report(&self, report: &SweepReport) -> Result<()> {
        let counter = Key::system("sweep-count")?;
        for _ in 0..REPORT_ATTEMPTS {
            let (count, guard) = match self.system_get::<u64>(&counter).await? {
                Some((count, version)) => (count, Guard::Version(version)),
                None => (0, Guard::Absent),
            };
            let slot = Key::system(&format!("sweeps/{:03}", count % MAX_REPORTS))?;
            let taken = self.system_put(&counter, &(count + 1), guard).await?;
            if taken {
                self.system_put(&slot, report, Guard::Any).await?;
                return Ok(());
            }
        }
        tracing::debug!("other sweeps kept taking the place: a report was left out");
        Ok(())
    }

    /// Once per process, before its first write: notes under which policy the store is filled, and learns which
    /// dictionaries its values are compressed with.
    pub(super) async fn note_policy(&self) {
        if self.inner.fingerprint_checked.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.check_policy().await {
            tracing::debug!(%error, "the policy in force could not be noted");
        }
    }

    async fn check_policy(&self) -> Result<()> {
        let keys = [Key::system("policy")?, Shelf::index_key()?];
        let mut slots = self.inner.store.get(&keys, Want::Whole).await?.slots.into_iter();
        let applied = parsed::<Applied>(slots.next().flatten())?;
        if let Some((index, _)) = parsed::<Index>(slots.next().flatten())? {
            self.inner.store.learn_index(index).await?;
        }
        match applied {
            Some((applied, _)) if applied.fingerprint != self.inner.policy.fingerprint() => {
                tracing::info!(
                    "the policy differs from the one that was applied last: `policy apply` is pending"
                );
                Ok(())
            }
            Some(_) => Ok(()),
            None => self.set_applied_policy(Guard::Absent).await,
        }
    }

    /// The fingerprint of the policy that was applied last; `None` before the first write.
    pub(super) async fn applied_policy(&self) -> Result<Option<u64>> {
        let applied: Option<(Applied, u64)> = self.system_get(&Key::system("policy")?).await?;
        Ok(applied.map(|(applied, _)| applied.fingerprint))
    }

    pub(super) async fn set_applied_policy(&self, guard: Guard) -> Result<()> {
        let applied = Applied { fingerprint: self.inner.policy.fingerprint() };
        self.system_put(&Key::system("policy")?, &applied, guard).await.map(drop)
    }

    pub(super) async fn system_get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<(T, u64)>> {
        let fetched = self.inner.store.get(std::slice::from_ref(key), Want::Whole).await?;
        parsed(fetched.slots.into_iter().next().flatten())
    }

    pub(super) async fn system_put<T: Serialize>(&self, key: &Key, value: &T, guard: Guard) -> Result<bool> {
        self.system_put_value(key, &Value::json(value)?, guard).await
    }

    pub(super) async fn system_put_value(&self, key: &Key, value: &Value, guard: Guard) -> Result<bool> {
        let body = Body::of_value(value, Compression::NONE)?;
        let outcome = self.system_change(key, Change::Op(Op::Put(body)), guard).await?;
        Ok(matches!(outcome, Outcome::Applied { .. }))
    }

    pub(super) async fn system_change(&self, key: &Key, change: Change, guard: Guard) -> Result<Outcome> {
        let placement = Placement { class: ReclaimClass::Manual, ..Placement::permanent("", Kind::Lww) };
        self.apply_one(Write::new(key.clone(), guard, change, Arc::new(placement)), None).await
    }
}

/// What a record of memlife's own holds, and its version; `None` where there is none.
fn parsed<T: DeserializeOwned>(record: Option<Record>) -> Result<Option<(T, u64)>> {
    let record = record.filter(|record| record.head.alive);
    record.map(|record| Ok((record.body()?.value(1 << 20)?.parse()?, record.head.version))).transpose()
}
