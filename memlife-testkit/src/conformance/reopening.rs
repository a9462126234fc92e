//! What outlives the last handle.

use crate::draft::{add, delete, erase, put};
use crate::{START, Session, Subject};
use memlife_core::record::ReclaimClass;
use memlife_core::store::{Cause, Repair, Scan};

/// Fills a store with one of everything and lets go of it.
async fn left_behind(subject: &dyn Subject) -> Session {
    let s = Session::open(subject).await;
    s.apply(put("a/b/c", "{\"x\":1}").writer("ann").rule("r")).await;
    s.apply(put("expiring", "1").ttl_ms(1_000).class(ReclaimClass::Lazy)).await;
    s.apply(add("n", 5)).await;
    s.apply(put("m", "1").multi_value()).await;
    s.apply(put("m", "2").multi_value()).await;
    s.apply(put("deleted", "1")).await;
    s.apply(delete("deleted")).await;
    s.apply(put("erased", "1")).await;
    s.apply(erase("erased", Cause::Evicted)).await;
    s.apply(put("x", "1").to_system_key("peers")).await;
    s
}

/// Records come back as they were, every field of them.
pub async fn records_come_back(subject: &dyn Subject) {
    let s = left_behind(subject).await;
    let before = s.scan(Scan::default()).await;
    let own = s.scan(Scan { system: true, ..Scan::default() }).await;
    drop(s);
    let s = Session::open(subject).await;
    assert_eq!(s.scan(Scan::default()).await, before);
    assert_eq!(s.scan(Scan { system: true, ..Scan::default() }).await, own);
    assert_eq!(s.values("m").await, ["2", "1"]);
    assert_eq!(s.value("erased").await, None);
}

/// The store is the same one: replica and incarnation stay.
pub async fn the_identity_stays(subject: &dyn Subject) {
    let s = left_behind(subject).await;
    let before = s.store().info().clone();
    drop(s);
    let after = Session::open(subject).await.store().info().clone();
    assert_eq!((after.replica, after.incarnation), (before.replica, before.incarnation));
}

/// Stamps and versions go on rising, though the wall clock stepped back meanwhile.
pub async fn stamps_and_versions_go_on(subject: &dyn Subject) {
    let s = left_behind(subject).await;
    let before = s.apply(put("last", "1")).await;
    drop(s);
    let s = Session::open(subject).await;
    s.step_to(START.minus_ms(3_600_000));
    let after = s.apply(put("last", "2")).await;
    assert!(after.version > before.version && after.stamp > before.stamp);
}

/// The highest numbers are kept, though what carried them was erased.
pub async fn numbers_of_erased_entries_are_not_reused(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let before = s.apply(put("a", "1")).await;
    s.pass(10_000);
    s.apply(erase("a", Cause::Purged)).await;
    let clock = s.clock().await;
    drop(s);
    let s = Session::open(subject).await;
    assert_eq!(s.clock().await, clock);
    let after = s.apply(put("a", "1")).await;
    assert!(after.version > before.version + 1, "the removal took a number, too");
    assert!(after.stamp > before.stamp);
}

/// What was seen expired stays expired.
pub async fn the_expired_stay_expired(subject: &dyn Subject) {
    let s = left_behind(subject).await;
    s.pass(1_000);
    s.apply(put("other", "1")).await;
    drop(s);
    let s = Session::open(subject).await;
    assert_eq!(s.value("expiring").await, None);
}

/// Feed and cursors go on, removals included.
pub async fn the_feed_goes_on(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let beginning = s.head_cursor().await;
    drop(s);
    let s = left_behind(subject).await;
    let (head, news) = (s.head_cursor().await, s.news(&beginning).await);
    drop(s);
    let s = Session::open(subject).await;
    assert_eq!(s.news(&beginning).await, news);
    assert!(news.contains(&"erased removed: evicted".to_owned()));
    s.apply(put("later", "1")).await;
    assert_eq!(s.news(&head).await, ["later=1"]);
}

/// Usage, counts by cause and due lists go on.
pub async fn counts_and_due_lists_go_on(subject: &dyn Subject) {
    let s = left_behind(subject).await;
    let usage = s.usage().await;
    let due = s.due(ReclaimClass::Lazy, START.plus_ms(1_000)).await;
    drop(s);
    let s = Session::open(subject).await;
    assert_eq!(s.usage().await, usage);
    assert_eq!(usage.1.removed, [0, 1, 1, 0]);
    assert_eq!(s.due(ReclaimClass::Lazy, START.plus_ms(1_000)).await, due);
    assert_eq!(due.len(), 1);
}

/// Counters and siblings go on from where they were.
pub async fn states_go_on(subject: &dyn Subject) {
    drop(left_behind(subject).await);
    let s = Session::open(subject).await;
    s.apply(add("n", 3)).await;
    s.apply(put("m", "3").multi_value()).await;
    assert_eq!(s.values("n").await, ["8"]);
    assert_eq!(s.values("m").await, ["3", "2", "1"]);
}

/// A store that was reopened ten times has nothing wrong with it.
pub async fn many_openings_leave_a_sound_store(subject: &dyn Subject) {
    for round in 0..10 {
        let s = Session::open(subject).await;
        s.apply(add("n", 1)).await;
        s.apply(put(&format!("k/{round}"), "1")).await;
        drop(s);
    }
    let s = Session::open(subject).await;
    assert_eq!(s.values("n").await, ["10"]);
    let found = s.store().verify(Repair::No).await.unwrap();
    assert_eq!(found.problems, 0, "{:?}", found.findings);
}
