use super::Family;
use super::family::POLICY;
use crate::engine::{all, import, states, ttl};
use crate::{START, Subject};
use memlife_core::policy::{PolicyFile, RuleSet};
use memlife_core::store::Expiry;
use memlife_core::{
    Entry, InMemoryStore, ListContent, ListOptions, ManualClock, Memory, SweepOptions, Timestamp, TouchMode,
};
use std::sync::Arc;

/// The values that an entry shows, and the minutes from the start after which it expires.
pub(super) type Shown = (Vec<String>, Option<u64>);

/// Two stores under one policy and one clock.
pub(super) struct Two {
    pub(super) here: Memory,
    pub(super) there: Memory,
    pub(super) clock: Arc<ManualClock>,
    family: Family,
}

impl Two {
    pub(super) async fn empty(subject: &dyn Subject, family: Family) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let rules: Arc<RuleSet> = Arc::new(PolicyFile::parse(POLICY, "test").unwrap().rules);
        let memory =
            |store| Memory::builder(store).clock(clock.clone()).policy(rules.clone()).build().unwrap();
        let (here, there) = (memory(subject.open().await), memory(Arc::new(InMemoryStore::new().unwrap())));
        Two { here, there, clock, family }
    }

    /// Both hold what a write of 1 left at the start.
    pub(super) async fn sharing(subject: &dyn Subject, family: Family) -> Self {
        let two = Two::empty(subject, family).await;
        two.write(&two.here, 1).await;
        two.exchange().await;
        two
    }

    pub(super) fn pass(&self, time: &str) {
        self.clock.advance(ttl(time).duration());
    }

    /// A write that has seen what is there, and takes a moment.
    pub(super) async fn write(&self, memory: &Memory, number: i64) {
        self.clock.advance(std::time::Duration::from_millis(1));
        self.family.write(memory, number).await;
    }

    pub(super) async fn delete(&self, memory: &Memory) {
        self.clock.advance(std::time::Duration::from_millis(1));
        assert!(memory.delete(self.family.key()).await.unwrap());
    }

    /// Reading renews.
    pub(super) async fn refresh(&self, memory: &Memory) {
        assert!(memory.get_value(self.family.key()).await.unwrap().is_some());
    }

    pub(super) async fn touch(&self, memory: &Memory, to_live: &str) {
        self.clock.advance(std::time::Duration::from_millis(1));
        let expiry = Expiry::After(ttl(to_live));
        memory.touch(self.family.key(), expiry, TouchMode::Set).await.unwrap();
    }

    pub(super) async fn sweep(&self, memory: &Memory) {
        memory.sweep(SweepOptions::new()).await.unwrap();
    }

    /// Each gets what the other has, in both orders and twice, and then both show the same.
    pub(super) async fn exchange(&self) {
        let (here, there) = (states(&self.here).await, states(&self.there).await);
        for _ in 0..2 {
            for (memory, lines) in [(&self.here, &there), (&self.there, &here)] {
                assert_eq!(import(memory, lines).await.rejected, []);
            }
        }
        assert_eq!(self.shown_by(&self.here).await, self.shown_by(&self.there).await);
        assert_eq!(self.created_by(&self.here).await, self.created_by(&self.there).await);
    }

    /// What both show after an exchange.
    pub(super) async fn outcome(&self) -> Shown {
        self.exchange().await;
        self.shown_by(&self.here).await
    }

    async fn entry(&self, memory: &Memory) -> Option<Entry> {
        let options = ListOptions::new().content(ListContent::Values);
        let entries = all(memory, options).await;
        entries.into_iter().find(|entry| entry.key.as_str() == self.family.key())
    }

    /// When the entry came into being there.
    async fn created_by(&self, memory: &Memory) -> Option<Timestamp> {
        self.entry(memory).await.map(|entry| entry.created_at)
    }

    async fn shown_by(&self, memory: &Memory) -> Shown {
        let Some(entry) = self.entry(memory).await else { return (Vec::new(), None) };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let values = entry.values.iter().map(|held| text(&held.value.bytes)).collect();
        (values, entry.expires_at.map(minutes))
    }
}

fn minutes(at: Timestamp) -> u64 {
    (at.since(START) + 30_000) / 60_000
}
