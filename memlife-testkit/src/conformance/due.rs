//! Entries whose bytes may go, oldest first.

use crate::draft::{delete, erase, put, touch, ttl};
use crate::{Session, Subject};
use memlife_core::KEEP_MS;
use memlife_core::record::ReclaimClass;
use memlife_core::store::{Cause, Expiry, Retouch};

/// Each class is listed apart.
pub async fn classes_are_apart(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let classes = [ReclaimClass::Lazy, ReclaimClass::Scheduled, ReclaimClass::Manual];
    for class in classes {
        s.apply(put(&format!("{class:?}"), "1").class(class).ttl_ms(10)).await;
    }
    let until = s.now().plus_ms(10);
    for class in classes {
        assert_eq!(s.due_keys(class, until).await, [format!("{class:?}")]);
    }
    assert!(s.due(ReclaimClass::Tombstone, until).await.is_empty());
}

/// The oldest comes first, whatever the order of writing.
pub async fn the_oldest_comes_first(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    for (key, ms) in [("c", 30), ("a", 10), ("d", 40), ("b", 20)] {
        s.apply(put(key, "1").until(s.now().plus_ms(ms))).await;
    }
    assert_eq!(s.due_keys(ReclaimClass::Scheduled, s.now().plus_ms(100)).await, ["a", "b", "c", "d"]);
}

/// The instant asked for is included, the millisecond after it is not.
pub async fn until_is_inclusive(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let at = s.now().plus_ms(100);
    s.apply(put("a", "1").until(at)).await;
    assert!(s.due(ReclaimClass::Scheduled, at.minus_ms(1)).await.is_empty());
    let due = s.due(ReclaimClass::Scheduled, at).await;
    assert_eq!((due[0].key.as_str(), due[0].reclaim_at), ("a", at));
}

/// Pages neither skip nor repeat, though all entries are due at one instant.
pub async fn equal_instants_are_paged(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let at = s.now().plus_ms(5);
    let names: Vec<String> = (0..40).map(|i| format!("k/{i:02}")).collect();
    s.batch(names.iter().map(|key| put(key, "1").until(at).build()).collect()).await;
    let mut keys = s.due_keys(ReclaimClass::Scheduled, at).await;
    keys.sort();
    assert_eq!(keys, names);
}

/// A permanent entry is never due.
pub async fn permanent_entries_are_never_due(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    for class in ReclaimClass::ALL.into_iter().filter(|class| *class != ReclaimClass::Unjudged) {
        s.apply(put(&format!("{class:?}"), "1").class(ReclaimClass::Scheduled)).await;
    }
    for class in ReclaimClass::ALL {
        assert!(s.due(class, memlife_core::Timestamp::MAX).await.is_empty(), "{class:?}");
    }
}

/// A tombstone is due after its keep, in a class of its own.
pub async fn tombstones_are_due_after_their_keep(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").class(ReclaimClass::Manual).ttl_ms(10)).await;
    s.apply(delete("a")).await;
    let keep_until = s.record("a").await.unwrap().head.keep_until;
    assert!(keep_until >= s.now().plus_ms(KEEP_MS));
    assert!(s.due(ReclaimClass::Manual, keep_until).await.is_empty());
    assert!(s.due(ReclaimClass::Tombstone, keep_until.minus_ms(1)).await.is_empty());
    assert_eq!(s.due_keys(ReclaimClass::Tombstone, keep_until).await, ["a"]);
    s.refused(erase("a", Cause::Deleted).if_due()).await;
    s.step_to(keep_until);
    s.apply(erase("a", Cause::Deleted).if_due()).await;
    assert!(s.due(ReclaimClass::Tombstone, keep_until).await.is_empty());
}

/// Overwriting, touching and erasing move an entry in the list or take it off.
pub async fn the_list_follows_every_change(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let until = s.now().plus_ms(1_000);
    for key in ["overwritten", "touched", "erased", "stays", "freed"] {
        s.apply(put(key, "1").ttl_ms(10)).await;
    }
    s.apply(put("overwritten", "2").ttl_ms(5_000)).await;
    s.apply(touch("touched", Retouch::Set(Expiry::After(ttl(5_000))))).await;
    s.apply(touch("freed", Retouch::Set(Expiry::Never))).await;
    s.apply(erase("erased", Cause::Purged)).await;
    assert_eq!(s.due_keys(ReclaimClass::Scheduled, until).await, ["stays"]);
    let later = s.due_keys(ReclaimClass::Scheduled, until.plus_ms(10_000)).await;
    assert_eq!(later.len(), 3);
    s.apply(put("stays", "2").class(ReclaimClass::Lazy).ttl_ms(10)).await;
    assert!(s.due(ReclaimClass::Scheduled, until).await.is_empty());
}

/// An entry tells its key and its stored bytes, without being read.
pub async fn an_entry_tells_its_size(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "\"some text\"").ttl_ms(10)).await;
    let entry = s.due(ReclaimClass::Scheduled, s.now().plus_ms(10)).await.remove(0);
    assert_eq!(entry.stored_len, s.record("a").await.unwrap().head.stored_len);
}

/// Nothing is due in an empty store.
pub async fn nothing_is_due_in_an_empty_store(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    for class in ReclaimClass::ALL {
        assert!(s.due(class, memlife_core::Timestamp::MAX).await.is_empty());
    }
}
