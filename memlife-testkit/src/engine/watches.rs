//! Watches: a snapshot, then what happens.

use super::{Bench, ttl};
use crate::Subject;
use memlife_core::store::{Cause, Cursor, CursorPart};
use memlife_core::{PutOptions, SweepOptions, Watch, WatchOptions, Watched};
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
