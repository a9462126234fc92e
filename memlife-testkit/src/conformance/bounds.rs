//! What a store keeps is bounded by what is in it, not by what was done to it.

use crate::draft::{delete, erase, put, put_bytes};
use crate::{Session, Subject};
use memlife_core::store::{Cause, Cursor};

/// 10,000 overwrites of 10 keys leave 10 entries and a feed of 10 items.
pub async fn overwrites_leave_nothing_behind(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    for round in 0..100 {
        let writes = (0..100).map(|i| put(&format!("k/{}", i % 10), &(round * 100 + i).to_string()).build());
        s.batch(writes.collect()).await;
    }
    assert_eq!(s.keys("").await.len(), 10);
    assert_eq!(s.feed(&Cursor::default()).await.len(), 10);
    assert_eq!(s.totals().await.tally.entries, 10);
    assert_eq!(s.value("k/9").await.as_deref(), Some("9999"));
    assert!(
        s.due(memlife_core::record::ReclaimClass::Scheduled, memlife_core::Timestamp::MAX).await.is_empty()
    );
}

/// Changing expiries leave one place in the due list.
pub async fn the_due_list_holds_each_entry_once(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    for i in 0..200 {
        s.apply(put("a", "1").ttl_ms(1_000 + i)).await;
    }
    let class = memlife_core::record::ReclaimClass::Scheduled;
    assert_eq!(s.due(class, memlife_core::Timestamp::MAX).await.len(), 1);
}

/// Deleting and making anew leaves one record.
pub async fn deletions_leave_one_record_per_key(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    for _ in 0..50 {
        s.apply(put("a", "1")).await;
        s.apply(delete("a")).await;
    }
    assert_eq!(s.keys("").await, ["a"]);
    assert_eq!(s.feed(&Cursor::default()).await.len(), 1);
}

/// A counter that is added to often stays small, and so does a multi-value register that its writer rewrites.
pub async fn states_stay_small(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    for _ in 0..10 {
        s.batch((0..100).map(|_| crate::draft::add("n", 1).build()).collect()).await;
        s.batch((0..100).map(|_| put("m", "1").multi_value().writer("ann").build()).collect()).await;
    }
    for key in ["n", "m"] {
        let stored = s.record(key).await.unwrap().head.stored_len;
        assert!(stored < 200, "{key} takes {stored} bytes");
    }
}

/// Large values that were overwritten or erased are not counted any more.
pub async fn large_values_are_given_back(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let large = vec![7; 1 << 20];
    for _ in 0..4 {
        s.apply(put_bytes("a", &large)).await;
        s.apply(put_bytes("b", &large)).await;
    }
    s.apply(put("a", "1")).await;
    s.apply(erase("b", Cause::Purged)).await;
    let tally = s.totals().await.tally;
    assert_eq!((tally.entries, tally.raw_bytes), (1, 1));
}
