//! Watches: a snapshot, then what happens.

use super::strategies::Longest;
use super::{Bench, ttl};
use crate::{FaultStore, Method, Moment, Subject};
use memlife_core::policy::{ParseOptions, PolicyFile};
use memlife_core::store::{Cause, Cursor, CursorPart};
use memlife_core::{ErrorKind, Events, Memory, PutOptions, SweepOptions, Watch, WatchOptions, Watched};
use std::sync::Arc;
use std::time::Duration;

/// What a watch tells by now, in words.
async fn told(watch: &mut Watch) -> Vec<String> {
    let mut words = Vec::new();
    while let Some(event) = watch.next(Duration::ZERO).await.unwrap() {
        words.push(match event {
            Watched::Put(entry) => format!("{}={}", entry.key, entry.parse::<i64>().unwrap()),
            Watched::Removed { key, cause } => format!("{key}: {cause}"),
            Watched::SnapshotEnd => "end".into(),
            Watched::Gap => "gap".into(),
        });
    }
    words
}

/// Stores of several shards know no order between keys.
fn sorted(mut words: Vec<String>) -> Vec<String> {
    words.sort_unstable();
    words
}

/// Puts and removals are told with their causes, from the start of the watch on.
pub async fn a_watch_tells_what_happens_and_why(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    bench.memory.put("a/before", &0).await.unwrap();
    let mut watch = bench.memory.watch(WatchOptions::new().pattern("a/*").unwrap());
    assert_eq!(told(&mut watch).await, [""; 0]);
    bench.memory.put_with("a/1", &1, PutOptions::new().ttl(ttl("1h"))).await.unwrap();
    bench.memory.put("b/1", &1).await.unwrap();
    bench.memory.delete("a/before").await.unwrap();
    assert_eq!(sorted(told(&mut watch).await), ["a/1=1", "a/before: deleted"]);
    bench.pass("1h");
    bench.memory.sweep(SweepOptions::new()).await.unwrap();
    assert_eq!(told(&mut watch).await, ["a/1: expired"]);
}

/// A snapshot comes first and has an end; what changes while it is read is told after it.
pub async fn a_snapshot_comes_first(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    for n in 1..=3 {
        bench.memory.put(format!("a/{n}").as_str(), &n).await.unwrap();
    }
    let mut watch = bench.memory.watch(WatchOptions::new().snapshot());
    let first = watch.next(Duration::ZERO).await.unwrap();
    assert!(matches!(first, Some(Watched::Put(entry)) if entry.key.as_str() == "a/1"));
    bench.memory.put("a/0", &0).await.unwrap();
    assert_eq!(told(&mut watch).await, ["a/2=2", "a/3=3", "end", "a/0=0"]);
}

/// From the cursor of an earlier watch another one goes on, and misses nothing.
pub async fn a_watch_goes_on_from_a_cursor(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let mut watch = bench.memory.watch(WatchOptions::new());
    assert_eq!(told(&mut watch).await, [""; 0]);
    bench.memory.put("a/1", &1).await.unwrap();
    assert_eq!(told(&mut watch).await, ["a/1=1"]);
    let cursor: Cursor = watch.cursor().unwrap().to_string().parse().unwrap();
    drop(watch);
    bench.memory.put("a/2", &2).await.unwrap();
    bench.memory.delete("a/1").await.unwrap();
    let again = bench.beside().await;
    let mut watch = again.watch(WatchOptions::new().since(cursor));
    assert_eq!(sorted(told(&mut watch).await), ["a/1: deleted", "a/2=2"]);
}

/// A cursor that the store does not know is a gap, after which a snapshot is told anew.
pub async fn an_unknown_cursor_is_a_gap(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    bench.memory.put("a/1", &1).await.unwrap();
    let foreign = Cursor { parts: vec![CursorPart { incarnation: 7, seq: 1 }] };
    let mut watch = bench.memory.watch(WatchOptions::new().since(foreign.clone()));
    assert_eq!(told(&mut watch).await, ["gap"]);
    bench.memory.put("a/2", &2).await.unwrap();
    assert_eq!(told(&mut watch).await, ["a/2=2"]);
    let mut watch = bench.memory.watch(WatchOptions::new().since(foreign).snapshot());
    assert_eq!(told(&mut watch).await, ["gap", "a/1=1", "a/2=2", "end"]);
}

/// A watch that waits is woken by a write.
pub async fn a_write_wakes_a_watch(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let mut watch = bench.memory.watch(WatchOptions::new());
    assert_eq!(told(&mut watch).await, [""; 0]);
    let cause = watch.next(Duration::from_secs(60));
    let write = async { bench.memory.put("a/1", &1).await.unwrap() };
    let (told, _) = tokio::join!(cause, write);
    assert!(matches!(told.unwrap(), Some(Watched::Put(_))));
    bench.memory.delete("a/1").await.unwrap();
    let told = watch.next(Duration::from_secs(60)).await.unwrap();
    assert!(matches!(told, Some(Watched::Removed { cause: Cause::Deleted, .. })));
}

/// Before the end of a snapshot there is no cursor to go on from: whoever stops there would miss the rest of it.
pub async fn a_snapshot_has_no_cursor_before_its_end(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    for n in 1..=3 {
        bench.memory.put(format!("a/{n}").as_str(), &n).await.unwrap();
    }
    let mut watch = bench.memory.watch(WatchOptions::new().snapshot());
    for _ in 1..=3 {
        assert!(matches!(watch.next(Duration::ZERO).await.unwrap(), Some(Watched::Put(_))));
        assert_eq!(watch.cursor(), None);
    }
    assert_eq!(watch.next(Duration::ZERO).await.unwrap(), Some(Watched::SnapshotEnd));
    let cursor = watch.cursor().unwrap().clone();
    bench.memory.put("a/4", &4).await.unwrap();
    // Whoever goes on from a cursor has had the snapshot.
    let mut again = bench.memory.watch(WatchOptions::new().since(cursor).snapshot());
    assert_eq!(told(&mut again).await, ["a/4=4"]);
    let foreign = Cursor { parts: vec![CursorPart { incarnation: 7, seq: 1 }] };
    let mut lost = bench.memory.watch(WatchOptions::new().since(foreign.clone()).snapshot());
    for _ in 0..5 {
        assert!(!matches!(lost.next(Duration::ZERO).await.unwrap(), None | Some(Watched::SnapshotEnd)));
        assert_eq!(lost.cursor(), Some(&foreign));
    }
    assert_eq!(lost.next(Duration::ZERO).await.unwrap(), Some(Watched::SnapshotEnd));
    assert_ne!(lost.cursor(), Some(&foreign));
}

/// A snapshot that could not be read goes on where it failed, and ends when all of it was told.
pub async fn a_snapshot_that_failed_goes_on(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    bench.memory.put("a/1", &1).await.unwrap();
    let store = Arc::new(FaultStore::new(subject.open().await));
    let memory = Memory::builder(store.clone()).clock(bench.clock.clone()).build().unwrap();
    let mut watch = memory.watch(WatchOptions::new().snapshot());
    for _ in 0..2 {
        store.fail_next(Method::Scan, Moment::Before, ErrorKind::Unavailable);
        assert_eq!(watch.next(Duration::ZERO).await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert_eq!(told(&mut watch).await, ["a/1=1", "end"]);
}

/// However much else changes, what matches is told.
pub async fn a_watch_reads_past_what_does_not_match(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let mut watch = bench.memory.watch(WatchOptions::new().pattern("a/*").unwrap());
    assert_eq!(told(&mut watch).await, [""; 0]);
    for n in 0..450 {
        bench.memory.put(format!("b/{n}").as_str(), &n).await.unwrap();
    }
    bench.memory.put("a/1", &1).await.unwrap();
    let first = watch.next(Duration::ZERO).await.unwrap();
    assert!(matches!(first, Some(Watched::Put(entry)) if entry.key.as_str() == "a/1"));
    assert_eq!(told(&mut watch).await, [""; 0]);
}

/// The end of a tombstone is no second removal, but to a watch that was away when the first was told.
pub async fn a_deletion_is_told_once(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    bench.memory.put("a/1", &1).await.unwrap();
    let mut watch = bench.memory.watch(WatchOptions::new());
    assert_eq!(told(&mut watch).await, [""; 0]);
    let away = watch.cursor().unwrap().clone();
    bench.memory.delete("a/1").await.unwrap();
    assert_eq!(told(&mut watch).await, ["a/1: deleted"]);
    bench.pass("24h");
    assert_eq!(bench.memory.sweep(SweepOptions::new()).await.unwrap().tombstones, 1);
    assert_eq!(told(&mut watch).await, [""; 0]);
    let mut late = bench.memory.watch(WatchOptions::new().since(away));
    assert_eq!(told(&mut late).await, ["a/1: purged"]);
}

/// Without a cursor the wait is for what comes next.
pub async fn changes_from_now_on_are_waited_for(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    bench.memory.put("a/before", &0).await.unwrap();
    let writes = async {
        // Again and again: the first may come before the wait has begun.
        for n in 0_u64.. {
            bench.memory.put("a/1", &n).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let events = tokio::select! {
        told = bench.memory.changes(None, 10, Duration::from_secs(60)) => told.unwrap(),
        () = writes => unreachable!(),
    };
    assert!(
        matches!(&events, Events::Page(events, _) if events.len() == 1 && events[0].key().as_str() == "a/1"),
        "{events:?}"
    );
}

/// An entry that cannot be read holds up no other change.
pub async fn a_change_that_cannot_be_read_is_passed_over(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let options = ParseOptions { custom_strategies: vec!["longest".into()] };
    let rules = "namespaces: [{namespace: 'titles/*', conflict_strategy: longest}]";
    let policy = PolicyFile::parse_with(rules, "test", &options).unwrap();
    let builder = Memory::builder(subject.open().await).clock(bench.clock.clone());
    let titled = builder.policy(Arc::new(policy.rules)).resolver(Arc::new(Longest)).build().unwrap();
    let mut watch = bench.memory.watch(WatchOptions::new());
    assert_eq!(told(&mut watch).await, [""; 0]);
    titled.put("titles/t", "abc").await.unwrap();
    bench.memory.put("a/1", &1).await.unwrap();
    assert_eq!(told(&mut watch).await, ["a/1=1"]);
}
