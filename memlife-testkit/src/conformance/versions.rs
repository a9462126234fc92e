//! `seq`, versions and stamps only ever rise.

use crate::draft::{add, delete, erase, put, put_at, restamp, touch, ttl};
use crate::{Session, Subject};
use memlife_core::store::{Cause, Expiry, Retouch};

/// Every change of content takes a greater version than any before it, on any key.
pub async fn every_content_write_takes_a_new_version(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let mut last = 0;
    for write in [put("a", "1"), put("b", "1"), put("a", "1"), add("n", 1), add("n", 0), delete("a")] {
        let applied = s.apply(write).await;
        assert!(applied.version > last, "{} after {last}", applied.version);
        last = applied.version;
    }
}

/// A content write's version is its `seq`.
pub async fn the_version_is_the_seq_of_the_content(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let applied = s.apply(put("a", "1")).await;
    let head = s.record("a").await.unwrap().head;
    assert_eq!((head.version, head.seq), (applied.version, applied.version));
    assert_eq!(head.stamp, applied.stamp);
}

/// An entry that is deleted, erased and made anew has a version it never had.
pub async fn versions_never_repeat_after_erasure(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(s.apply(put("a", "1")).await.version);
        seen.push(s.apply(delete("a")).await.version);
        s.apply(erase("a", Cause::Purged)).await;
    }
    assert!(seen.is_sorted_by(|earlier, later| earlier < later), "{seen:?}");
}

/// A touch moves `seq` and leaves version, stamp and value.
pub async fn a_touch_moves_seq_and_keeps_the_version(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").ttl_ms(1_000)).await;
    let before = s.record("a").await.unwrap();
    let touched = s.apply(touch("a", Retouch::Set(Expiry::After(ttl(5_000))))).await;
    let after = s.record("a").await.unwrap();
    assert!(after.head.seq > before.head.seq);
    assert_eq!(touched.version, before.head.version);
    assert_eq!((after.head.version, after.head.stamp), (before.head.version, before.head.stamp));
    assert_eq!(after.body, before.body);
}

/// Stamps rise within one millisecond.
pub async fn stamps_rise_within_one_millisecond(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let mut last = s.apply(put("a", "0")).await.stamp;
    for _ in 0..50 {
        let stamp = s.apply(put("a", "1")).await.stamp;
        assert!(stamp > last, "{stamp} after {last}");
        last = stamp;
    }
}

/// Stamps and versions rise while the wall clock steps back an hour.
pub async fn stamps_rise_while_the_wall_steps_back(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let first = s.apply(put("a", "1")).await;
    s.step_back(3_600_000);
    let second = s.apply(put("a", "2")).await;
    assert!(second.stamp > first.stamp && second.version > first.version);
    assert_eq!(s.value("a").await.as_deref(), Some("2"));
    assert!(s.clock().await >= first.stamp.at());
}

/// Stamps carry the wall clock and the store's replica.
pub async fn stamps_carry_the_wall_and_the_replica(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1")).await;
    s.pass(60_000);
    let stamp = s.apply(put("a", "2")).await.stamp;
    assert_eq!(stamp.at(), s.now());
    assert_eq!(stamp.replica, s.store().info().replica);
}

/// What changes nothing takes no `seq` and leaves nothing in the feed.
pub async fn what_changes_nothing_takes_no_seq(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1")).await;
    let cursor = s.head_cursor().await;
    s.unchanged(delete("nothing")).await;
    s.unchanged(touch("nothing", Retouch::Set(Expiry::Never))).await;
    s.unchanged(touch("a", Retouch::Refresh(ttl(1_000)))).await;
    s.unchanged(restamp("a")).await;
    s.unchanged(erase("nothing", Cause::Purged)).await;
    s.unchanged(put_at("a", "0", s.now().minus_ms(1))).await;
    assert_eq!(s.head_cursor().await, cursor);
}

/// Overwriting keeps the time of creation; making the entry anew does not.
pub async fn creation_time_stays_until_the_entry_ends(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let born = s.apply(put("a", "1")).await.stamp.at();
    s.pass(500);
    s.apply(put("a", "2").ttl_ms(100)).await;
    assert_eq!(s.record("a").await.unwrap().head.created_at, born);
    s.pass(100);
    let reborn = s.apply(put("a", "3")).await.stamp.at();
    assert_eq!(s.record("a").await.unwrap().head.created_at, reborn);
}
