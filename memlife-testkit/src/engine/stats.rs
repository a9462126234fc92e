//! Counting and telling.

use super::{Bench, ttl};
use crate::Subject;
use memlife_core::store::{Cause, Cursor};
use memlife_core::{Count, Event, Events, Memory, PutOptions, Reach, SweepOptions};
use std::time::Duration;

async fn removed(memory: &Memory) -> (u64, u64) {
    let stats = memory.stats().await.unwrap();
    (stats.removed[&Cause::Expired], stats.removed[&Cause::Deleted])
}

/// An end is one end: not counted again by the sweep, by a second delete or by what takes the place.
pub async fn each_removal_is_counted_once_with_its_cause(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    for key in ["coordination/swept", "coordination/replaced", "coordination/deleted"] {
        bench.memory.put(key, "x").await.unwrap();
    }
    bench.memory.delete("coordination/deleted").await.unwrap();
    assert!(!bench.memory.delete("coordination/deleted").await.unwrap());
    assert_eq!(removed(&bench.memory).await, (0, 1));
    bench.pass("1h");
    bench.memory.put("coordination/replaced", "again").await.unwrap();
    assert_eq!(removed(&bench.memory).await, (1, 1));
    assert!(!bench.memory.delete("coordination/swept").await.unwrap(), "it had expired");
    for _ in 0..2 {
        bench.memory.sweep(SweepOptions::new()).await.unwrap();
        assert_eq!(removed(&bench.memory).await, (2, 1));
    }
    bench.pass("30d");
    bench.memory.sweep(SweepOptions::new().reach(Reach::Forced)).await.unwrap();
    assert_eq!(removed(&bench.memory).await, (3, 1), "a tombstone that goes is no second removal");
}

/// Groups add up to the totals and vanish when nothing visible is left in them.
pub async fn groups_and_totals_follow_what_is_visible(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    for key in ["coordination/a/x", "coordination/a/y", "coordination/b/x", "free/key"] {
        bench.memory.put(key, "x").await.unwrap();
    }
    let stats = bench.memory.stats().await.unwrap();
    assert_eq!((stats.entries, stats.unmatched, stats.policies), (4, 1, 5));
    assert_eq!(stats.namespaces["coordination/a"].entries, 2);
    assert_eq!(stats.rules["coordination/*"].entries, 3);
    let sum: u64 = stats.namespaces.values().map(|tally| tally.stored_bytes).sum();
    assert_eq!(sum, stats.stored.stored_bytes);
    bench.memory.delete("coordination/b/x").await.unwrap();
    bench.memory.delete("free/key").await.unwrap();
    let stats = bench.memory.stats().await.unwrap();
    assert_eq!(stats.namespaces.keys().collect::<Vec<_>>(), ["coordination/a"]);
    assert_eq!(stats.unmatched, 0);
}

/// What expires within the hour, the day and the week; each includes the one before.
pub async fn what_expires_when_is_counted(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    for (i, life) in ["10m", "20m", "5h", "2d", "30d"].iter().enumerate() {
        bench.memory.put_with(format!("notes/{i}"), "x", PutOptions::new().ttl(ttl(life))).await.unwrap();
    }
    bench.memory.put("notes/for-ever", "x").await.unwrap();
    let exactly = |at_least: u64| Count { at_least, or_more: false };
    let stats = bench.memory.stats().await.unwrap();
    assert_eq!(stats.expiring.hour, exactly(2));
    assert_eq!(stats.expiring.day, exactly(3));
    assert_eq!(stats.expiring.week, exactly(4));
    bench.pass("15m");
    let stats = bench.memory.stats().await.unwrap();
    assert_eq!((stats.expired, stats.expiring.hour, stats.entries), (exactly(1), exactly(1), 5));
}

/// The feed tells the latest of each key, and why keys went.
pub async fn feeds_tell_puts_deletes_and_expiries(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let start = follow(&bench.memory, None).await.1;
    bench.memory.put("coordination/a", &1).await.unwrap();
    bench.memory.put("coordination/a", &2).await.unwrap();
    bench.memory.put("knowledge/b", "x").await.unwrap();
    bench.memory.delete("knowledge/b").await.unwrap();
    let (events, next) = follow(&bench.memory, Some(start)).await;
    assert_eq!(told(&events), ["put coordination/a", "deleted knowledge/b"]);
    bench.pass("1h");
    bench.memory.sweep(SweepOptions::new()).await.unwrap();
    let (events, next) = follow(&bench.memory, Some(next)).await;
    assert_eq!(told(&events), ["expired coordination/a"]);
    assert!(follow(&bench.memory, Some(next)).await.0.is_empty());
}

async fn follow(memory: &Memory, cursor: Option<Cursor>) -> (Vec<Event>, Cursor) {
    match memory.changes(cursor, 100, Duration::ZERO).await.unwrap() {
        Events::Page(events, next) => (events, next),
        Events::Gap(_) => panic!("nothing was forgotten yet"),
    }
}

fn told(events: &[Event]) -> Vec<String> {
    let tell = |event: &Event| match event {
        Event::Put(entry) => format!("put {}", entry.key),
        Event::Removed { key, cause } => format!("{cause} {key}"),
    };
    events.iter().map(tell).collect()
}
