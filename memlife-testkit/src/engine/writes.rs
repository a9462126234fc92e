//! Puts, deletes and their guards.

use super::{Bench, text, ttl};
use crate::Subject;
use memlife_core::store::{Durability, Expiry, Guard, Repair};
use memlife_core::{ErrorKind, ListOptions, PutOptions, Show, TouchMode, Written};

/// Two handles, many tasks, own and shared keys: what was acknowledged is there.
pub async fn every_acknowledged_write_of_two_handles_is_there(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let other = bench.beside().await;
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let memory = if task % 2 == 0 { bench.memory.clone() } else { other.clone() };
            tokio::spawn(async move {
                for i in 0..25 {
                    memory.put(format!("notes/{task}/{i}"), &i).await.unwrap();
                    memory.put("notes/shared", &task).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(bench.keys(ListOptions::new()).await.len(), 8 * 25 + 1);
    assert_eq!(other.stats().await.unwrap().stored.entries, 201);
    assert_eq!(bench.memory.verify(Repair::No).await.unwrap().findings, []);
}

/// Of many that ask for an absent key, one gets it.
pub async fn a_guard_on_absence_lets_one_of_many_win(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let tasks: Vec<_> = (0..12)
        .map(|agent| {
            let memory = bench.memory.clone();
            let claim = PutOptions::new().guard(Guard::Absent).ttl(ttl("10m"));
            tokio::spawn(async move { memory.put_with("task/1", &agent, claim).await.unwrap() })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Written::Applied(_) => won += 1,
            Written::Refused(Some(holder)) => assert_eq!(holder.key.as_str(), "task/1"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(won, 1);
    bench.pass("10m");
    let claim = PutOptions::new().guard(Guard::Absent);
    assert!(matches!(bench.memory.put_with("task/1", "next", claim).await.unwrap(), Written::Applied(_)));
}

/// A write on a version that is gone is refused with what is there.
pub async fn a_guard_on_a_version_refuses_and_shows_what_is_there(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let first = bench.memory.put("notes/a", "1").await.unwrap();
    let second = bench.memory.put("notes/a", "2").await.unwrap();
    let stale = PutOptions::new().guard(Guard::Version(first.version));
    let Written::Refused(Some(there)) = bench.memory.put_with("notes/a", "3", stale).await.unwrap() else {
        panic!("the version is stale")
    };
    assert_eq!((there.version, there.parse::<String>().unwrap().as_str()), (second.version, "2"));
    let refused = bench.memory.delete_if("notes/a", Guard::Version(first.version)).await.unwrap();
    assert!(matches!(refused, Written::Refused(Some(_))));
    let deleted = bench.memory.delete_if("notes/a", Guard::Version(second.version)).await.unwrap();
    assert!(matches!(deleted, Written::Applied(_)));
    let gone = PutOptions::new().guard(Guard::Version(second.version));
    assert_eq!(bench.memory.put_with("notes/a", "4", gone).await.unwrap(), Written::Refused(None));
}

/// Changing when an entry expires leaves the token of those who hold it.
pub async fn a_touch_keeps_the_version(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let put = bench.memory.put("coordination/a", "x").await.unwrap();
    bench.memory.touch("coordination/a", Expiry::After(ttl("5m")), TouchMode::Set).await.unwrap();
    let entry = bench.memory.entry("coordination/a").await.unwrap().unwrap();
    assert_eq!((entry.version, entry.stamp), (put.version, put.stamp));
}

/// Versions rise for ever, also past a delete, a sweep and a new beginning.
pub async fn deleting_and_creating_anew_repeats_no_version(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let mut last = 0;
    for round in 0..3 {
        let version = bench.memory.put("coordination/a", &round).await.unwrap().version;
        assert!(version > last);
        last = version;
        if round == 1 {
            bench.memory.delete("coordination/a").await.unwrap();
        }
        bench.pass("25h");
        bench.memory.sweep(Default::default()).await.unwrap();
        assert!(bench.keys(ListOptions::new().show(Show::Expired)).await.is_empty());
    }
}

/// A write that says it is older than what is there loses, and says so.
pub async fn an_older_timestamp_is_superseded(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let at = |seconds: u64| PutOptions::new().timestamp(crate::START.minus_ms(seconds * 1_000));
    assert!(matches!(bench.memory.put_with("notes/a", "old", at(100)).await.unwrap(), Written::Applied(_)));
    assert!(matches!(bench.memory.put_with("notes/a", "new", at(50)).await.unwrap(), Written::Applied(_)));
    assert_eq!(bench.memory.put_with("notes/a", "older", at(99)).await.unwrap(), Written::Superseded);
    assert_eq!(text(&bench.memory, "notes/a").await.as_deref(), Some("new"));
    let future = PutOptions::new().timestamp(crate::START.plus_ms(61_000));
    let error = bench.memory.put_with("notes/a", "future", future).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    bench.memory.put("notes/a", "plain").await.unwrap();
    assert_eq!(text(&bench.memory, "notes/a").await.as_deref(), Some("plain"));
}

/// Writing the same few keys for long keeps as many entries, and a feed that does not grow.
pub async fn overwriting_ten_keys_for_long_keeps_ten_entries(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    for round in 0..2_000 {
        bench.memory.put(format!("notes/{}", round % 10), &round).await.unwrap();
    }
    let stats = bench.memory.stats().await.unwrap();
    assert_eq!((stats.stored.entries, stats.expired.at_least), (10, 0));
    let mut export = bench.memory.export(ListOptions::new());
    let mut values = Vec::new();
    while let Some(line) = export.next().await.unwrap() {
        values.push(line.value.get().parse::<u32>().unwrap());
    }
    values.sort_unstable();
    assert_eq!(values, (1_990..2_000).collect::<Vec<_>>());
    assert_eq!(bench.memory.verify(Repair::No).await.unwrap().findings, []);
}

/// A durability that the store cannot give is refused, not quietly lowered.
pub async fn durability_beyond_the_stores_is_refused(subject: &dyn Subject) {
    let bench = Bench::open(subject).await;
    let most = bench.memory.store().info().max_durability;
    bench.memory.put_with("notes/a", "x", PutOptions::new().durability(most)).await.unwrap();
    let beyond = PutOptions::new().durability(Durability::Replicated(9));
    let error = bench.memory.put_with("notes/a", "y", beyond).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(text(&bench.memory, "notes/a").await.as_deref(), Some("x"));
}
