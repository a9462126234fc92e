//! A store's own check.

use crate::draft::{add, delete, erase, put, touch, ttl};
use crate::{Session, Subject};
use memlife_core::store::{Cause, Cursor, Expiry, Repair, Retouch, Scan};

async fn used(subject: &dyn Subject) -> Session {
    let s = Session::open(subject).await;
    for i in 0..50 {
        let key = format!("k/{i:02}");
        s.apply(put(&key, "1").ttl_ms(1_000 + i)).await;
        match i % 5 {
            0 => drop(s.apply(delete(&key)).await),
            1 => drop(s.apply(erase(&key, Cause::Evicted)).await),
            2 => drop(s.apply(touch(&key, Retouch::Set(Expiry::After(ttl(99_000))))).await),
            3 => drop(s.apply(put(&key, "2").multi_value().rule("other")).await),
            _ => {}
        }
    }
    s.apply(add("n", 5)).await;
    s.apply(put("x", "1").to_system_key("peers")).await;
    s
}

/// An empty store has nothing wrong with it.
pub async fn an_empty_store_is_sound(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let found = s.store().verify(Repair::No).await.unwrap();
    assert_eq!(found.problems, 0, "{:?}", found.findings);
}

/// A store after every sort of write has nothing wrong with it, and every record was looked at.
pub async fn a_used_store_is_sound(subject: &dyn Subject) {
    let s = used(subject).await;
    let found = s.store().verify(Repair::No).await.unwrap();
    assert_eq!(found.problems, 0, "{:?}", found.findings);
    assert!(found.checked >= 41, "{} records were looked at", found.checked);
}

/// Repairing a sound store changes nothing that anybody can see.
pub async fn repairing_a_sound_store_changes_nothing(subject: &dyn Subject) {
    let s = used(subject).await;
    let records = s.scan(Scan::default()).await;
    let (usage, news) = (s.usage().await, s.news(&Cursor::default()).await);
    let found = s.store().verify(Repair::Yes).await.unwrap();
    assert_eq!(found.problems, 0, "{:?}", found.findings);
    assert_eq!(s.scan(Scan::default()).await, records);
    assert_eq!((s.usage().await, s.news(&Cursor::default()).await), (usage, news));
    let next = s.apply(put("next", "1")).await;
    assert!(records.iter().all(|record| record.head.version < next.version));
}
