//! Removing bytes, and telling why.

use crate::draft::{delete, erase, put, touch, ttl};
use crate::{Session, Subject};
use memlife_core::record::ReclaimClass;
use memlife_core::store::{Cause, Expiry, FeedItem, Guard, Outcome, Retouch};

/// An erasure removes the record and leaves a removal with its cause and its time.
pub async fn an_erasure_leaves_a_removal(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    for cause in Cause::ALL {
        s.apply(put("a", "1")).await;
        let cursor = s.head_cursor().await;
        s.pass(10);
        s.apply(erase("a", cause)).await;
        assert_eq!(s.record("a").await, None);
        let items = s.feed(&cursor).await;
        let [FeedItem::Removed(removal)] = &items[..] else { panic!("one removal, not {items:?}") };
        assert_eq!((removal.key.as_str(), removal.cause, removal.at), ("a", cause, s.now()));
    }
}

/// Erasing nothing changes nothing.
pub async fn erasing_nothing_changes_nothing(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let cursor = s.head_cursor().await;
    s.unchanged(erase("a", Cause::Purged)).await;
    assert!(s.feed(&cursor).await.is_empty());
}

/// Each end of a living entry is counted once, with its cause; erasing a tombstone is no second end.
pub async fn causes_are_counted_once(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("deleted", "1")).await;
    s.apply(delete("deleted")).await;
    s.apply(erase("deleted", Cause::Deleted)).await;
    s.apply(put("expired", "1").ttl_ms(1)).await;
    s.pass(1);
    s.apply(erase("expired", Cause::Expired).if_due()).await;
    s.unchanged(erase("expired", Cause::Expired)).await;
    s.apply(put("evicted", "1")).await;
    s.apply(erase("evicted", Cause::Evicted)).await;
    for key in ["purged-1", "purged-2"] {
        s.apply(put(key, "1")).await;
        s.apply(erase(key, Cause::Purged)).await;
    }
    assert_eq!(s.totals().await.removed, [1, 1, 1, 2]);
}

/// What was overwritten since it was seen due is not erased.
pub async fn what_was_overwritten_is_not_erased(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").ttl_ms(10)).await;
    s.pass(10);
    let entry = s.due(ReclaimClass::Scheduled, s.now()).await.remove(0);
    s.apply(put("a", "2").ttl_ms(10)).await;
    s.refused(erase("a", Cause::Expired).guard(Guard::Due(entry.locator))).await;
    assert_eq!(s.value("a").await.as_deref(), Some("2"));
}

/// What was touched since it was seen due (by a clock that is ahead) is not erased.
pub async fn what_was_touched_is_not_erased(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").ttl_ms(10)).await;
    let entry = s.due(ReclaimClass::Scheduled, s.now().plus_ms(10)).await.remove(0);
    s.apply(touch("a", Retouch::Set(Expiry::After(ttl(1_000))))).await;
    s.pass(500);
    s.refused(erase("a", Cause::Expired).guard(Guard::Due(entry.locator))).await;
    assert_eq!(s.value("a").await.as_deref(), Some("1"));
}

/// A locator that is wrong, or belongs to another entry now, erases nothing that is not due.
pub async fn a_locator_is_a_hint_only(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").ttl_ms(10)).await;
    s.apply(put("b", "1")).await;
    s.pass(10);
    let entry = s.due(ReclaimClass::Scheduled, s.now()).await.remove(0);
    s.refused(erase("b", Cause::Expired).guard(Guard::Due(entry.locator))).await;
    assert_eq!(s.value("b").await.as_deref(), Some("1"));
    let outcome = s.try_write(erase("a", Cause::Expired).if_due()).await.unwrap();
    assert!(matches!(outcome, Outcome::Applied { .. }), "without a hint the key decides: {outcome:?}");
}

/// A page of 1,200 erasures of which every third lives again: each outcome is exact and the living half stays.
pub async fn a_large_page_is_exact(subject: &dyn Subject) {
    const ENTRIES: usize = 1_200;
    let s = Session::open(subject).await;
    let key = |i: usize| format!("page/{i:04}");
    s.batch((0..ENTRIES).map(|i| put(&key(i), "1").ttl_ms(10).build()).collect()).await;
    s.pass(10);
    let due = s.due(ReclaimClass::Scheduled, s.now()).await;
    assert_eq!(due.len(), ENTRIES);
    s.batch((0..ENTRIES).filter(|i| i % 3 == 0).map(|i| put(&key(i), "2").build()).collect()).await;
    let erasures = due
        .iter()
        .map(|entry| erase(entry.key.as_str(), Cause::Expired).guard(Guard::Due(entry.locator)).build());
    let outcomes = s.batch(erasures.collect()).await;
    for (entry, outcome) in due.iter().zip(outcomes) {
        let i: usize = entry.key.as_str()[5..].parse().unwrap();
        match outcome.unwrap() {
            Outcome::Applied { .. } => assert_ne!(i % 3, 0, "{:?} lives", entry.key),
            Outcome::Refused { .. } => assert_eq!(i % 3, 0, "{:?} was due", entry.key),
            other => panic!("{:?}: {other:?}", entry.key),
        }
    }
    assert_eq!(s.keys("page").await.len(), ENTRIES / 3);
    assert_eq!(s.totals().await.tally.entries as usize, ENTRIES / 3);
    assert_eq!(s.removed(Cause::Expired).await as usize, ENTRIES, "a third was ended by the puts");
}

/// The same page among other writes: whatever stands between, each write sees those before it.
pub async fn erasures_among_other_writes_keep_their_order(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").ttl_ms(10)).await;
    s.apply(put("b", "1").ttl_ms(10)).await;
    s.pass(10);
    let outcomes = s
        .batch(vec![
            erase("a", Cause::Expired).if_due().build(),
            put("a", "2").if_absent().build(),
            erase("a", Cause::Expired).if_due().build(),
            put("b", "2").build(),
            erase("b", Cause::Expired).if_due().build(),
        ])
        .await;
    let words: Vec<_> = outcomes.into_iter().map(|outcome| crate::model::word(&outcome)).collect();
    assert_eq!(words, ["applied", "applied", "refused", "applied", "refused"]);
    assert_eq!((s.value("a").await, s.value("b").await), (Some("2".into()), Some("2".into())));
}

/// The same due entry twice in a page is erased and counted once.
pub async fn a_page_erases_each_entry_once(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").ttl_ms(10)).await;
    s.pass(10);
    let entry = s.due(ReclaimClass::Scheduled, s.now()).await.remove(0);
    let twice = vec![erase("a", Cause::Expired).guard(Guard::Due(entry.locator)).build(); 2];
    let words: Vec<_> =
        s.batch(twice).await.into_iter().map(|outcome| crate::model::word(&outcome)).collect();
    assert_eq!(words, ["applied", "refused"]);
    assert_eq!(s.removed(Cause::Expired).await, 1);
}

/// After an erasure a key is free.
pub async fn an_erased_key_can_be_written_again(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1")).await;
    s.apply(erase("a", Cause::Purged)).await;
    s.apply(put("a", "2").if_absent()).await;
    assert_eq!(s.value("a").await.as_deref(), Some("2"));
    assert_eq!(s.keys("").await, ["a"]);
}
