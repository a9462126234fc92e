//! Code of users that runs inside a verb.

use super::{Bench, text};
use crate::Subject;
use memlife_core::store::Cause;
use std::panic::AssertUnwindSafe;

/// A panic in the closure of an update leaves what was there, and no count moves.
pub async fn a_panic_in_an_update_loses_nothing_and_counts_nothing(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    bench.memory.put("notes/a", "before").await.unwrap();
    let memory = bench.memory.clone();
    let panicked = tokio::spawn(async move {
        memory
            .update("notes/a", |_: Option<String>| -> Option<String> { panic!("a bug of the caller") })
            .await
    });
    assert!(panicked.await.unwrap_err().is_panic());
    assert_eq!(text(&bench.memory, "notes/a").await.as_deref(), Some("before"));
    let stats = bench.memory.stats().await.unwrap();
    assert_eq!(stats.entries, 1);
    assert!(stats.removed.values().all(|count| *count == 0));
    assert_eq!(stats.removed[&Cause::Deleted], 0);
    bench.memory.put("notes/a", "after").await.unwrap();
    assert_eq!(text(&bench.memory, "notes/a").await.as_deref(), Some("after"));
    // A caught panic in this very task leaves the memory usable, too.
    let caught = std::panic::catch_unwind(AssertUnwindSafe(|| drop(bench.memory.clone())));
    assert!(caught.is_ok());
}

/// An update sees what another writer put between its read and its write.
pub async fn an_update_that_loses_the_race_runs_again(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    bench.memory.put("notes/n", &1).await.unwrap();
    let (memory, other) = (bench.memory.clone(), bench.beside().await);
    let mut runs = 0;
    let handle = tokio::runtime::Handle::current();
    let receipt = memory
        .update("notes/n", |n: Option<i64>| {
            runs += 1;
            if runs == 1 {
                let other = other.clone();
                let handle = handle.clone();
                let write = async move { other.put("notes/n", &10).await.unwrap() };
                std::thread::spawn(move || handle.block_on(write)).join().unwrap();
            }
            n.map(|n| n + 1)
        })
        .await
        .unwrap();
    assert!(receipt.is_some());
    assert_eq!(runs, 2);
    assert_eq!(memory.get::<i64>("notes/n").await.unwrap(), Some(11));
}
