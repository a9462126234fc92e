use super::state::Slot;
use crate::record::{Head, ReclaimClass};
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
            self.usage.entry(group(key, head)).or_default().add(Tally::of(head));
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
            tally.subtract(Tally::of(head));
            if tally.entries == 0 {
                self.usage.remove(&group);
            }
        }
    }

    /// The sum of all groups.
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.usage.values().for_each(|tally| total.add(*tally));
        total
    }
}

fn group(key: &Key, head: &Head) -> Group {
    Group { rule: head.rule.clone(), namespace: key.namespace().into() }
}
