use super::indexes::Indexes;
use crate::decide::{Context, Decision, Effect, KEEP_MS, Ledger, decide, needs_body};
use crate::record::Record;
use crate::store::{
    Cause, Cursor, Due, DueEntry, DuePage, Feed, FeedItem, FeedPage, Fetched, Finding, Locator, Outcome,
    Page, Removal, Repair, Scan, StoreInfo, Totals, UsagePage, UsageQuery, Verification, Want, Write,
};
use crate::{Key, Result, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Included, Unbounded};

/// Removals beyond this many go once they are older than [`KEEP_MS`].
const KEEP_REMOVALS: usize = 100_000;
/// System keys begin with U+0001 and no other key begins below U+0020.
const FIRST_USER_KEY: &str = "\u{2}";

/// A record and the number by which the due index finds it.
#[derive(Debug)]
pub(super) struct Slot {
    pub locator: u64,
    pub record: Record,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub ledger: Ledger,
    records: BTreeMap<Key, Slot>,
    indexes: Indexes,
    removals: VecDeque<Removal>,
    /// Removals up to this change number may have been forgotten.
    floor: u64,
    removed: [u64; Cause::ALL.len()],
    last_locator: u64,
}

impl State {
    pub fn get(&self, keys: &[Key], want: Want) -> Fetched {
        let slot = |key| self.records.get(key).map(|slot| shown(&slot.record, want));
        Fetched { slots: keys.iter().map(slot).collect(), clock: self.ledger.clock.at }
    }

    pub fn apply(&mut self, write: &Write, wall: Timestamp, info: &StoreInfo) -> Result<Outcome> {
        let current = self.records.get(&write.key).map(|slot| {
            let want = if needs_body(&slot.record.head, write) { Want::Whole } else { Want::Head };
            shown(&slot.record, want)
        });
        let mut ledger = self.ledger;
        let mut context =
            Context { wall, replica: info.replica, body_limit: info.limits.body_bytes, ledger: &mut ledger };
        let Decision { effect, ended, outcome } = decide(current.as_ref(), write, &mut context)?;
        match effect {
            Effect::None => return Ok(outcome),
            Effect::Put(record) => self.put(*record),
            Effect::Erase { cause, seq } => self.erase(&write.key, cause, seq, context.now()),
        }
        // A failed or idle decision leaves the ledger as it was.
        self.ledger = ledger;
        if let Some(cause) = ended.filter(|_| !write.key.is_system()) {
            self.removed[usize::from(cause.code())] += 1;
        }
        Ok(outcome)
    }

    fn put(&mut self, record: Record) {
        let key = record.key.clone();
        let locator = self.take(&key).map_or_else(|| self.next_locator(), |old| old.locator);
        let slot = Slot { locator, record };
        self.indexes.add(&key, &slot);
        self.records.insert(key, slot);
    }

    fn erase(&mut self, key: &Key, cause: Cause, seq: u64, at: Timestamp) {
        if self.take(key).is_some() && !key.is_system() {
            self.removals.push_back(Removal { seq, key: key.clone(), cause, at });
        }
        self.forget(at);
    }

    /// Drops removals that are both old and many; who has not read them yet is told of the gap.
    fn forget(&mut self, now: Timestamp) {
        while self.removals.len() > KEEP_REMOVALS
            && let Some(oldest) = self.removals.front()
            && now.since(oldest.at) > KEEP_MS
        {
            self.floor = oldest.seq;
            self.removals.pop_front();
        }
    }

    fn take(&mut self, key: &Key) -> Option<Slot> {
        let slot = self.records.remove(key)?;
        self.indexes.remove(key, &slot);
        Some(slot)
    }

    fn next_locator(&mut self) -> u64 {
        self.last_locator += 1;
        self.last_locator
    }

    pub fn scan(&self, query: &Scan) -> Page {
        let mut selected = self.selected(query).peekable();
        let (mut records, mut last, mut bytes) = (Vec::new(), None, 0);
        while records.len() < query.limit.max(1)
            && (query.bytes == 0 || bytes <= query.bytes)
            && let Some(slot) = selected.next()
        {
            let record = shown(&slot.record, query.want);
            bytes += record.body.as_ref().map_or(0, |body| body.as_bytes().len());
            last = Some(record.key.clone());
            records.push(Ok(record));
        }
        let next = last.filter(|_| selected.peek().is_some());
        Page { records, next, clock: self.ledger.clock.at }
    }

    /// The slots that a scan asks for, in key order. Between `a/b` and `a/b/` stand keys such as `a/b-x`, so
    /// the key itself and those below it are two ranges.
    fn selected<'a>(&'a self, query: &'a Scan) -> impl Iterator<Item = &'a Slot> {
        let (from, to) = match query.within.as_deref() {
            Some(prefix) => (format!("{prefix}/"), Some(format!("{prefix}0"))),
            None if query.system => (String::new(), Some(FIRST_USER_KEY.to_owned())),
            None => (FIRST_USER_KEY.to_owned(), None),
        };
        let after = query.after.as_ref();
        let itself = query.within.as_deref().and_then(|prefix| self.records.get_key_value(prefix));
        let lower = match after {
            Some(after) if after.as_str() >= from.as_str() => Excluded(after.as_str()),
            _ => Included(from.as_str()),
        };
        // A range that ends before it starts would panic.
        let is_past_the_end = after.is_some_and(|after| to.as_deref().is_some_and(|to| after.as_str() >= to));
        let below = (!is_past_the_end)
            .then(|| self.records.range::<str, _>((lower, to.as_deref().map_or(Unbounded, Excluded))));
        itself
            .filter(move |(key, _)| after.is_none_or(|after| *key > after))
            .into_iter()
            .chain(below.into_iter().flatten())
            .filter(|(key, _)| key.is_system() == query.system)
            .map(|(_, slot)| slot)
    }

    pub fn due(&self, query: &Due) -> DuePage {
        // Who asks for `until` wants what a guard would let go then, and guards wait for the grace.
        let Some(until) = query.until.ms().checked_sub(self.ledger.grace_ms).map(Timestamp::from_ms) else {
            return DuePage { entries: Vec::new(), clock: self.ledger.clock.at };
        };
        let start = match query.after {
            Some((at, locator)) => Excluded((query.class, at, locator.0)),
            None => Included((query.class, Timestamp::EPOCH, 0)),
        };
        let entries = self
            .indexes
            .due
            .range((start, Unbounded))
            .take_while(|((class, at, _), _)| *class == query.class && *at <= until)
            .take(query.limit.max(1))
            .filter_map(|((_, at, locator), key)| {
                let stored_len = self.records.get(key)?.record.head.stored_len;
                Some(DueEntry { key: key.clone(), reclaim_at: *at, locator: Locator(*locator), stored_len })
            })
            .collect();
        DuePage { entries, clock: self.ledger.clock.at }
    }

    /// Whether everything after `seq` is still known.
    pub fn reaches_back_to(&self, seq: u64) -> bool {
        (self.floor..=self.ledger.seq).contains(&seq)
    }

    pub fn changes(&self, after: u64, query: &Feed, cursor: impl Fn(u64) -> Cursor) -> FeedPage {
        let records = self.indexes.changes.range((Excluded(after), Unbounded)).filter_map(|(seq, key)| {
            let record = shown(&self.records.get(key)?.record, query.want);
            Some((*seq, FeedItem::Record(Box::new(record))))
        });
        let first = self.removals.partition_point(|removal| removal.seq <= after);
        let removals =
            self.removals.range(first..).map(|removal| (removal.seq, FeedItem::Removed(removal.clone())));
        let limit = query.limit.max(1);
        let mut items: Vec<(u64, FeedItem)> = records.take(limit).chain(removals.take(limit)).collect();
        items.sort_by_key(|(seq, _)| *seq);
        items.truncate(limit);
        let reached = match items.last() {
            Some((seq, _)) if items.len() == limit => *seq,
            _ => self.ledger.seq,
        };
        FeedPage {
            items: items.into_iter().map(|(_, item)| item).collect(),
            next: cursor(reached),
            clock: self.ledger.clock.at,
        }
    }

    pub fn usage(&self, query: &UsageQuery) -> UsagePage {
        let start = query.after.clone().map_or(Unbounded, Excluded);
        let mut groups: Vec<_> = self
            .indexes
            .usage
            .range((start, Unbounded))
            .take(query.limit.saturating_add(1))
            .map(|(group, tally)| (group.clone(), *tally))
            .collect();
        let has_more = groups.len() > query.limit;
        groups.truncate(query.limit);
        UsagePage {
            next: groups.last().map(|(group, _)| group.clone()).filter(|_| has_more),
            groups,
            totals: Totals { tally: self.indexes.total(), removed: self.removed },
            clock: self.ledger.clock.at,
        }
    }

    pub fn verify(&mut self, repair: Repair) -> Verification {
        let rebuilt = Indexes::of(self.records.iter());
        let mut verification = Verification { checked: self.records.len() as u64, ..Verification::default() };
        if rebuilt != self.indexes {
            verification.add(Finding {
                key: None,
                place: "indexes".into(),
                problem: "the indexes do not agree with the records".into(),
                repaired: repair == Repair::Yes,
            });
            if repair == Repair::Yes {
                self.indexes = rebuilt;
            }
        }
        verification
    }
}

fn shown(record: &Record, want: Want) -> Record {
    match want {
        Want::Head => record.without_body(),
        Want::Whole => record.clone(),
    }
}
