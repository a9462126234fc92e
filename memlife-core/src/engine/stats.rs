use super::Memory;
use crate::record::ReclaimClass;
use crate::store::{Cause, Due, Tally, UsageQuery, Want};
use crate::{Key, Result, Timestamp};
use std::collections::BTreeMap;

/// Groups that statistics list at most; totals are exact all the same.
const MAX_GROUPS: usize = 10_000;
/// Due entries that are counted at most; past that a number is a lower bound.
const MAX_DUE: u64 = 10_000;
const PAGE: usize = 1_000;

/// How much there is, and how long it will stay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// Entries that are visible: those stored less those that expired and are not swept yet.
    pub entries: u64,
    /// Everything stored, expired entries too, tombstones not.
    pub stored: Tally,
    /// Entries that expired and are not swept yet.
    pub expired: Count,
    /// Living entries that went, by cause, since the store was created.
    pub removed: BTreeMap<Cause, u64>,
    /// What is stored per rule; the rule of the default is its pattern, too.
    pub rules: BTreeMap<String, Tally>,
    /// What is stored per namespace.
    pub namespaces: BTreeMap<String, Tally>,
    /// Whether rules and namespaces are cut after the first 10,000 groups.
    pub groups_cut: bool,
    /// Entries that expire within the next hour, day and week.
    pub expiring: Expiring,
    /// How many rules the policy has, the default not counted.
    pub policies: usize,
    /// Entries that no rule matches: those under the default.
    pub unmatched: u64,
    /// Whether stored entries were written or applied under another policy than the present one.
    pub policy_pending: bool,
}

/// A number, and whether counting stopped there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// The number.
    pub at_least: u64,
    /// Whether there may be more.
    pub or_more: bool,
}

/// What expires when; each includes the ones before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expiring {
    /// Within an hour.
    pub hour: Count,
    /// Within 24 hours.
    pub day: Count,
    /// Within 7 days.
    pub week: Count,
}

impl Memory {
    /// How much there is. Reads the indexes a store keeps anyway; the cost does not grow with what is stored.
    ///
    /// # Errors
    /// The store's.
    pub async fn stats(&self) -> Result<Stats> {
        self.collect_stats().await.map_err(|error| error.during("stats"))
    }

    async fn collect_stats(&self) -> Result<Stats> {
        let mut stats = self.usage_stats().await?;
        let usage = self.inner.store.usage(&UsageQuery { after: None, limit: 0 }).await?;
        let now = self.inner.now(usage.clock);
        stats.expired = self.count_due(now, Some(&mut stats)).await?;
        stats.entries = stats.stored.entries.saturating_sub(stats.expired.at_least);
        stats.namespaces.retain(|_, tally| tally.entries > 0);
        stats.rules.retain(|_, tally| tally.entries > 0);
        let ahead = async |ms: u64| -> Result<Count> {
            let count = self.count_due(now.plus_ms(ms), None).await?;
            Ok(Count { at_least: count.at_least.saturating_sub(stats.expired.at_least), ..count })
        };
        const HOUR: u64 = 3_600_000;
        stats.expiring = Expiring {
            hour: ahead(HOUR).await?,
            day: ahead(24 * HOUR).await?,
            week: ahead(168 * HOUR).await?,
        };
        let applied = self.applied_policy().await?;
        stats.policy_pending = applied.is_some_and(|applied| applied != self.inner.policy.fingerprint());
        Ok(stats)
    }

    async fn usage_stats(&self) -> Result<Stats> {
        let mut stats =
            Stats { policies: self.inner.policy.rules().len().saturating_sub(1), ..Stats::default() };
        let default = self.inner.policy.rules().last().map(|rule| rule.id().clone());
        let mut after = None;
        let mut groups = 0;
        loop {
            let page = self.inner.store.usage(&UsageQuery { after, limit: PAGE }).await?;
            groups += page.groups.len();
            for (group, tally) in page.groups {
                if default.as_ref() == Some(&group.rule) {
                    stats.unmatched += tally.entries;
                }
                stats.rules.entry(group.rule.to_string()).or_default().add(tally);
                stats.namespaces.entry(group.namespace.to_string()).or_default().add(tally);
            }
            stats.stored = page.totals.tally;
            let removed = Cause::ALL.iter().zip(page.totals.removed);
            stats.removed = removed.map(|(cause, count)| (*cause, count)).collect();
            after = page.next;
            stats.groups_cut = after.is_some() && groups >= MAX_GROUPS;
            if after.is_none() || stats.groups_cut {
                return Ok(stats);
            }
        }
    }

    /// How many entries are expired at `until`; takes them off the groups of `stats`.
    async fn count_due(&self, until: Timestamp, mut stats: Option<&mut Stats>) -> Result<Count> {
        let mut count = Count::default();
        for class in
            [ReclaimClass::Lazy, ReclaimClass::Scheduled, ReclaimClass::Manual, ReclaimClass::Unjudged]
        {
            let mut after = None;
            loop {
                if count.at_least >= MAX_DUE {
                    return Ok(Count { or_more: true, ..count });
                }
                let page = self.inner.store.due(&Due { class, until, after, limit: PAGE }).await?;
                let entries = page.entries.iter().filter(|entry| self.is_due(class, entry, until));
                let keys: Vec<Key> = entries.map(|entry| entry.key.clone()).collect();
                count.at_least += keys.len() as u64;
                if let Some(stats) = stats.as_deref_mut() {
                    self.take_off(&keys, stats).await?;
                }
                after = page.entries.last().map(|last| (last.reclaim_at, last.locator));
                if page.entries.len() < PAGE {
                    break;
                }
            }
        }
        Ok(count)
    }

    async fn take_off(&self, keys: &[Key], stats: &mut Stats) -> Result<()> {
        let fetched = self.inner.store.get(keys, Want::Head).await?;
        for record in fetched.slots.into_iter().flatten().filter(|record| record.head.alive) {
            let tally = Tally::of(&record.head);
            for group in
                [stats.rules.get_mut(&*record.head.rule), stats.namespaces.get_mut(record.key.namespace())]
            {
                group.into_iter().for_each(|sum| sum.subtract(tally));
            }
        }
        Ok(())
    }

    fn is_due(&self, class: ReclaimClass, entry: &crate::store::DueEntry, until: Timestamp) -> bool {
        if entry.key.is_system() {
            return false;
        }
        let rule = self.inner.policy.rule_for(&entry.key);
        class != ReclaimClass::Unjudged
            || rule.ttl.is_some_and(|ttl| entry.reclaim_at.plus_ms(ttl.ms()) <= until)
    }
}
