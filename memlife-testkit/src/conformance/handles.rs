//! Two handles on one store are one store.

use crate::draft::{add, delete, erase, put};
use crate::{Session, Subject};
use memlife_core::record::ReclaimClass;
use memlife_core::store::Cause;
use std::sync::Arc;

async fn two(subject: &dyn Subject) -> (Session, Session) {
    (Session::open(subject).await, Session::open(subject).await)
}

/// Both are the same replica and the same incarnation.
pub async fn both_are_the_same_replica(subject: &dyn Subject) {
    let (one, two) = two(subject).await;
    let (one, two) = (one.store().info().clone(), two.store().info().clone());
    assert_eq!((one.replica, one.incarnation), (two.replica, two.incarnation));
}

/// What one writes, deletes or erases the other sees at once.
pub async fn a_write_is_seen_at_once(subject: &dyn Subject) {
    let (one, two) = two(subject).await;
    for round in 0..20 {
        let json = round.to_string();
        one.apply(put("a", &json)).await;
        assert_eq!(two.value("a").await, Some(json));
        assert_eq!(two.keys("").await, ["a"]);
        two.apply(delete("a")).await;
        assert_eq!(one.value("a").await, None);
        one.apply(erase("a", Cause::Purged)).await;
        assert_eq!(two.record("a").await, None);
    }
}

/// Versions and stamps of both rise together.
pub async fn versions_and_stamps_rise_together(subject: &dyn Subject) {
    let (one, two) = two(subject).await;
    two.step_back(5_000);
    let (mut version, mut stamp) = (0, memlife_core::Stamp::default());
    for turn in 0..20 {
        let writer = if turn % 2 == 0 { &one } else { &two };
        let applied = writer.apply(put("a", "1")).await;
        assert!(applied.version > version && applied.stamp > stamp, "turn {turn}");
        (version, stamp) = (applied.version, applied.stamp);
    }
}

/// What one has seen expired stays so for the other, whose wall clock is behind.
pub async fn a_clock_behind_revives_nothing(subject: &dyn Subject) {
    let (one, two) = two(subject).await;
    one.apply(put("a", "1").ttl_ms(1_000)).await;
    one.pass(1_000);
    one.apply(put("other", "1")).await;
    two.step_back(3_600_000);
    assert_eq!(two.value("a").await, None);
    two.refused(put("a", "2").if_visible()).await;
    two.apply(put("a", "3").if_absent()).await;
}

/// A guard sees what the other wrote.
pub async fn a_guard_sees_the_other(subject: &dyn Subject) {
    let (one, two) = two(subject).await;
    let first = one.apply(put("a", "1").if_absent()).await;
    two.refused(put("a", "2").if_absent()).await;
    two.apply(put("a", "2").if_version(first.version)).await;
    one.refused(put("a", "3").if_version(first.version)).await;
}

/// Feed, due list and usage are one for both.
pub async fn the_indexes_are_one(subject: &dyn Subject) {
    let (one, two) = two(subject).await;
    let cursor = two.head_cursor().await;
    one.apply(put("a", "1").ttl_ms(10)).await;
    two.apply(put("b", "1").ttl_ms(10)).await;
    assert_eq!(two.news(&cursor).await, ["a=1", "b=1"]);
    assert_eq!(one.news(&cursor).await, ["a=1", "b=1"]);
    assert_eq!(one.due(ReclaimClass::Scheduled, one.now().plus_ms(10)).await.len(), 2);
    assert_eq!(one.usage().await, two.usage().await);
}

/// Who waits on one handle is woken by a write through the other.
pub async fn a_wait_is_ended_by_the_other(subject: &dyn Subject) {
    let (one, two) = two(subject).await;
    let feed = memlife_core::store::Feed {
        after: Some(one.head_cursor().await),
        limit: 10,
        wait: std::time::Duration::from_secs(30),
        want: memlife_core::store::Want::Whole,
    };
    let store = one.store().clone();
    let waiting = tokio::spawn(async move { store.changes(&feed).await.unwrap() });
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    two.apply(put("a", "1")).await;
    let woken = tokio::time::timeout(std::time::Duration::from_secs(10), waiting).await;
    let answer = woken.expect("woken within 10 s").unwrap();
    assert!(matches!(answer, memlife_core::store::Changes::Page(page) if page.items.len() == 1));
}

/// Tasks that add through both handles at once lose nothing, and no version is given out twice.
pub async fn concurrent_writers_lose_nothing(subject: &dyn Subject) {
    const EACH: u64 = 100;
    let (one, two) = two(subject).await;
    let handles = [Arc::new(one), Arc::new(two)];
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let session = handles[task % 2].clone();
            tokio::spawn(async move {
                let mut versions = Vec::new();
                for i in 0..EACH {
                    versions.push(session.apply(add("n", 1)).await.version);
                    session.apply(put(&format!("k/{task}/{i:03}"), "1")).await;
                }
                versions
            })
        })
        .collect();
    let mut versions = Vec::new();
    for task in tasks {
        versions.extend(task.await.unwrap());
    }
    versions.sort_unstable();
    assert!(versions.is_sorted_by(|earlier, later| earlier < later), "a version was given out twice");
    assert_eq!(handles[0].values("n").await, [(8 * EACH).to_string()]);
    assert_eq!(handles[1].keys("k").await.len(), 8 * EACH as usize);
}
