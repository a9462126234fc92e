//! Records from elsewhere: merged, never lost, and quiet when they bring nothing.

use crate::draft::{add, delete, erase, join, put, touch, ttl};
use crate::{START, Session, Subject};
use memlife_core::record::{ReclaimClass, Record};
use memlife_core::resolver::MAX_NATIVE_STATE_BYTES;
use memlife_core::store::{Cause, Retouch};
use memlife_core::{ErrorKind, Hlc, InMemoryStore, MAX_DRIFT_MS, ReplicaId, Stamp};
use std::sync::Arc;

/// Another replica, to take records from.
fn elsewhere() -> Session {
    Session::on(Arc::new(InMemoryStore::with_replica(ReplicaId(0xe15e_8e4e))))
}

async fn from_elsewhere(there: &Session, key: &str) -> Record {
    there.record(key).await.unwrap()
}

/// A record joins into nothing as it is, with this store's own numbers, and under this store's rule.
pub async fn a_record_arrives_as_it_is(subject: &dyn Subject) {
    let (s, there) = (Session::open(subject).await, elsewhere());
    for _ in 0..3 {
        there.apply(put("a", "1").ttl_ms(1_000).writer("ann").rule("theirs")).await;
    }
    let theirs = from_elsewhere(&there, "a").await;
    let applied = s.apply(join(&theirs).rule("ours").class(ReclaimClass::Lazy)).await;
    let ours = s.record("a").await.unwrap();
    assert_eq!((applied.stamp, applied.expires_at), (theirs.head.stamp, theirs.head.life.expires_at));
    assert_eq!((&ours.body, &ours.head.writer), (&theirs.body, &theirs.head.writer));
    assert_eq!((&*ours.head.rule, ours.head.class), ("ours", ReclaimClass::Lazy));
    assert_eq!((ours.head.seq, ours.head.version), (applied.version, applied.version));
}

/// The newer value wins, from wherever it comes.
pub async fn the_newer_value_wins(subject: &dyn Subject) {
    let (s, there) = (Session::open(subject).await, elsewhere());
    there.apply(put("a", "\"older\"")).await;
    let older = from_elsewhere(&there, "a").await;
    s.pass(10);
    s.apply(put("a", "\"ours\"")).await;
    s.unchanged(join(&older)).await;
    assert_eq!(s.value("a").await.as_deref(), Some("\"ours\""));
    there.pass(20);
    there.apply(put("a", "\"newer\"")).await;
    s.pass(10);
    s.apply(join(&from_elsewhere(&there, "a").await)).await;
    assert_eq!(s.value("a").await.as_deref(), Some("\"newer\""));
}

/// The same record a second time changes nothing and takes no `seq`, whatever rule it was sent under.
pub async fn the_same_record_twice_changes_nothing(subject: &dyn Subject) {
    let (s, there) = (Session::open(subject).await, elsewhere());
    there.apply(put("a", "1").ttl_ms(9_000).class(ReclaimClass::Manual).rule("theirs")).await;
    there.apply(add("n", 5)).await;
    there.apply(put("m", "1").multi_value()).await;
    there.apply(put("d", "1")).await;
    there.apply(delete("d")).await;
    for key in ["a", "n", "m", "d"] {
        let theirs = from_elsewhere(&there, key).await;
        s.apply(join(&theirs)).await;
        let (cursor, before) = (s.head_cursor().await, s.record(key).await);
        s.unchanged(join(&theirs)).await;
        assert_eq!((s.head_cursor().await, s.record(key).await), (cursor, before), "{key}");
    }
}

/// A newer deletion from elsewhere deletes, and is counted once.
pub async fn a_deletion_from_elsewhere_deletes(subject: &dyn Subject) {
    let (s, there) = (Session::open(subject).await, elsewhere());
    s.apply(put("a", "1")).await;
    there.pass(10);
    there.apply(put("a", "2")).await;
    there.apply(delete("a")).await;
    s.pass(10);
    let tombstone = from_elsewhere(&there, "a").await;
    s.apply(join(&tombstone)).await;
    s.unchanged(join(&tombstone)).await;
    assert_eq!(s.value("a").await, None);
    assert_eq!(s.removed(Cause::Deleted).await, 1);
    let head = s.record("a").await.unwrap().head;
    assert_eq!((head.alive, head.class), (false, ReclaimClass::Tombstone));
}

/// Counters of two replicas add up, each contribution once.
pub async fn counters_add_up(subject: &dyn Subject) {
    let (s, there) = (Session::open(subject).await, elsewhere());
    s.apply(add("n", 5)).await;
    there.apply(add("n", 3)).await;
    let theirs = from_elsewhere(&there, "n").await;
    s.apply(join(&theirs).counter()).await;
    s.unchanged(join(&theirs).counter()).await;
    assert_eq!(s.values("n").await, ["8"]);
    s.apply(add("n", 1)).await;
    assert_eq!(s.values("n").await, ["9"]);
}

/// An increment that a deletion has not seen survives it alone.
pub async fn an_unseen_increment_survives_a_deletion(subject: &dyn Subject) {
    let (s, there) = (Session::open(subject).await, elsewhere());
    s.apply(add("n", 5)).await;
    there.apply(join(&s.record("n").await.unwrap())).await;
    there.apply(add("n", 2)).await;
    s.apply(delete("n")).await;
    s.apply(join(&from_elsewhere(&there, "n").await)).await;
    assert_eq!(s.values("n").await, ["2"]);
}

/// Values of two replicas stand beside each other.
pub async fn values_of_two_replicas_stand_side_by_side(subject: &dyn Subject) {
    let (s, there) = (Session::open(subject).await, elsewhere());
    s.apply(put("m", "1").multi_value().writer("ann")).await;
    there.pass(5);
    there.apply(put("m", "2").multi_value().writer("ann")).await;
    s.pass(5);
    s.apply(join(&from_elsewhere(&there, "m").await)).await;
    assert_eq!(s.values("m").await, ["2", "1"]);
    assert_eq!(s.record("m").await.unwrap().head.siblings, 2);
}

/// A record from too far in the future is refused, stores nothing and moves no clock.
pub async fn a_record_from_the_far_future_is_invalid(subject: &dyn Subject) {
    let (s, there) = (Session::open(subject).await, elsewhere());
    there.step_to(START.plus_ms(MAX_DRIFT_MS + 1));
    there.apply(put("a", "1")).await;
    s.apply(put("b", "1")).await;
    let clock = s.clock().await;
    assert_eq!(s.fails(join(&from_elsewhere(&there, "a").await)).await, ErrorKind::Invalid);
    assert_eq!((s.record("a").await, s.clock().await), (None, clock));
}

/// What is written here after a join is newer than what was joined.
pub async fn a_join_moves_the_clock(subject: &dyn Subject) {
    let (s, there) = (Session::open(subject).await, elsewhere());
    there.pass(30_000);
    there.apply(put("a", "1")).await;
    let theirs = from_elsewhere(&there, "a").await;
    s.apply(join(&theirs)).await;
    let ours = s.apply(put("a", "2")).await;
    assert!(ours.stamp > theirs.head.stamp);
    assert_eq!(s.value("a").await.as_deref(), Some("2"));
}

/// A state that is too large to be joined under a lock is handed out whole instead.
pub async fn a_large_state_is_left_to_the_engine(subject: &dyn Subject) {
    let (s, there) = (Session::open(subject).await, elsewhere());
    s.apply(put("m", "1").multi_value()).await;
    let text = format!("\"{}\"", "x".repeat(MAX_NATIVE_STATE_BYTES));
    there.apply(put("m", &text).multi_value()).await;
    let current = s.not_native(join(&from_elsewhere(&there, "m").await).multi_value()).await.unwrap();
    assert_eq!(Some(*current), s.record("m").await);
    assert_eq!(s.values("m").await, ["1"]);
}

/// What is over already is not taken in where nothing is.
pub async fn what_is_over_does_not_arrive(subject: &dyn Subject) {
    let (s, there) = (Session::open(subject).await, elsewhere());
    there.apply(put("a", "1").ttl_ms(1_000)).await;
    s.pass(1_000);
    s.unchanged(join(&from_elsewhere(&there, "a").await)).await;
    assert_eq!(s.record("a").await, None);
}

/// A renewal from elsewhere moves the expiry and no version.
pub async fn a_renewal_from_elsewhere_keeps_the_version(subject: &dyn Subject) {
    let (s, there) = (Session::open(subject).await, elsewhere());
    let written = s.apply(put("a", "1").rule_ttl_ms(10_000)).await;
    there.apply(join(&s.record("a").await.unwrap())).await;
    there.pass(5_000);
    let renewed = there.apply(touch("a", Retouch::Refresh(ttl(10_000)))).await;
    s.pass(5_000);
    let joined = s.apply(join(&from_elsewhere(&there, "a").await)).await;
    assert_eq!((joined.version, joined.expires_at), (written.version, renewed.expires_at));
}

/// Of equal stamps with other bytes both replicas keep the same.
pub async fn equal_stamps_end_alike(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let there = elsewhere();
    there.apply(put("a", "\"x\"")).await;
    let mut one = from_elsewhere(&there, "a").await;
    one.head.stamp = Stamp::new(Hlc::new(START), ReplicaId(5));
    let mut other = one.clone();
    other.body = Some(crate::draft::json_body("\"y\""));
    s.apply(join(&one)).await;
    let _ = s.try_write(join(&other)).await.unwrap();
    let mirror = elsewhere();
    mirror.apply(join(&other)).await;
    let _ = mirror.try_write(join(&one)).await.unwrap();
    assert_eq!(s.values("a").await, mirror.values("a").await);
}

/// What comes late counts by the life of both: its own end is past, and the entry was renewed here since.
pub async fn a_late_record_joins_an_entry_that_was_renewed(subject: &dyn Subject) {
    let (s, there) = (Session::open(subject).await, elsewhere());
    s.apply(add("n", 1).rule_ttl_ms(1_000)).await;
    there.apply(join(&s.record("n").await.unwrap())).await;
    there.apply(add("n", 2).rule_ttl_ms(1_000)).await;
    s.apply(touch("n", Retouch::Refresh(ttl(9_000)))).await;
    s.pass(3_000);
    s.apply(join(&from_elsewhere(&there, "n").await)).await;
    assert_eq!(s.values("n").await, ["3"]);
}

/// A store that forgot an entry and takes back a copy from before its own last write gives that write's name to no
/// other: both are there in the end.
pub async fn a_store_that_takes_back_an_old_copy_loses_no_later_write(subject: &dyn Subject) {
    let (s, there) = (Session::open(subject).await, elsewhere());
    s.apply(put("m", "1").multi_value()).await;
    let old = s.record("m").await.unwrap();
    s.apply(put("m", "2").multi_value()).await;
    there.apply(join(&s.record("m").await.unwrap())).await;
    s.apply(erase("m", Cause::Purged)).await;
    s.apply(join(&old).multi_value()).await;
    s.pass(1);
    s.apply(put("m", "3").multi_value()).await;
    there.apply(join(&s.record("m").await.unwrap())).await;
    assert_eq!(there.values("m").await, ["3", "2", "1"]);
    s.apply(join(&from_elsewhere(&there, "m").await).multi_value()).await;
    assert_eq!(s.values("m").await, ["3", "2", "1"]);
}
