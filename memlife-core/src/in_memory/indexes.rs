use super::state::Slot;
use crate::record::{Codec, Head, ReclaimClass};
use crate::store::{Group, Tally};
use crate::{Key, Timestamp};
use std::collections::BTreeMap;

/// Everything that follows from the records alone.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes {
    /// Keys by class, the instant their bytes may go, and locator.
    pub due: BTreeMap<(ReclaimClass, Timestamp, u64), Key>,
    /// Users' keys by the number of their latest change.
    pub changes: BTreeMap<u64, Key>,
    /// Users' living entries, counted.
    pub usage: BTreeMap<Group, Tally>,
}

impl Indexes {
    /// The indexes of these records.
    pub fn of<'a>(records: impl Iterator<Item = (&'a Key, &'a Slot)>) -> Self {
        let mut indexes = Indexes::default();
        records.for_each(|(key, slot)| indexes.add(key, slot));
        indexes
    }

    pub fn add(&mut self, key: &Key, slot: &Slot) {
        let head = &slot.record.head;
        if let Some(at) = head.reclaim_at() {
            self.due.insert((head.class, at, slot.locator), key.clone());
        }
        if key.is_system() {
            return;
        }
        self.changes.insert(head.seq, key.clone());
        if head.alive {
            let tally = self.usage.entry(group(key, head)).or_default();
            tally.entries += 1;
            tally.stored_bytes += u64::from(head.stored_len);
            tally.raw_bytes += u64::from(head.raw_len);
            tally.compressed += u64::from(head.codec != Codec::None);
        }
    }

    pub fn remove(&mut self, key: &Key, slot: &Slot) {
        let head = &slot.record.head;
        if let Some(at) = head.reclaim_at() {
            self.due.remove(&(head.class, at, slot.locator));
        }
        if key.is_system() {
            return;
        }
        self.changes.remove(&head.seq);
        if head.alive {
            let group = group(key, head);
            let tally = self.usage.entry(group.clone()).or_default();
            tally.entries -= 1;
            tally.stored_bytes -= u64::from(head.stored_len);
            tally.raw_bytes -= u64::from(head.raw_len);
            tally.compressed -= u64::from(head.codec != Codec::None);
            if tally.entries == 0 {
                self.usage.remove(&group);
            }
        }
    }

    /// The sum of all groups.
    pub fn total(&self) -> Tally {
        self.usage.values().fold(Tally::default(), |sum, tally| Tally {
            entries: sum.entries + tally.entries,
            stored_bytes: sum.stored_bytes + tally.stored_bytes,
            raw_bytes: sum.raw_bytes + tally.raw_bytes,
            compressed: sum.compressed + tally.compressed,
        })
    }
}

fn group(key: &Key, head: &Head) -> Group {
    Group { rule: head.rule.clone(), namespace: key.namespace().into() }
}
