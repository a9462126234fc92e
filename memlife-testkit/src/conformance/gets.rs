//! Reading keys as they are stored.

use crate::draft::{delete, put};
use crate::{Session, Subject};
use memlife_core::Key;
use memlife_core::store::Want;

fn keys(names: &[&str]) -> Vec<Key> {
    names.iter().map(|name| Key::new(name).unwrap()).collect()
}

/// There is one slot per key, in the order asked, for missing and repeated keys too.
pub async fn one_slot_per_key_in_order(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    for key in ["a", "b", "c"] {
        s.apply(put(key, &format!("\"{key}\""))).await;
    }
    let asked = keys(&["c", "missing", "a", "c", "b"]);
    let fetched = s.store().get(&asked, Want::Whole).await.unwrap();
    let found: Vec<Option<&str>> =
        fetched.slots.iter().map(|slot| slot.as_ref().map(|record| record.key.as_str())).collect();
    assert_eq!(found, [Some("c"), None, Some("a"), Some("c"), Some("b")]);
}

/// Asking for nothing gives nothing and the clock.
pub async fn no_keys_give_no_slots(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let stamp = s.apply(put("a", "1")).await.stamp;
    let fetched = s.store().get(&[], Want::Whole).await.unwrap();
    assert!(fetched.slots.is_empty());
    assert_eq!(fetched.clock, stamp.at());
}

/// A head comes without its body and is otherwise the same.
pub async fn heads_come_without_bodies(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").ttl_ms(1_000).writer("ann")).await;
    let whole = s.record("a").await.unwrap();
    let head = s.fetch(&whole.key, Want::Head).await.unwrap();
    assert_eq!(head, whole.without_body());
}

/// A tombstone is handed out as stored.
pub async fn tombstones_are_handed_out(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1")).await;
    s.apply(delete("a")).await;
    assert!(!s.record("a").await.unwrap().head.alive);
}

/// Many keys at once: a thousand, half of them missing.
pub async fn a_thousand_keys_at_once(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let name = |i: usize| format!("many/{i}");
    s.batch((0..1_000).step_by(2).map(|i| put(&name(i), &i.to_string()).build()).collect()).await;
    let asked: Vec<Key> = (0..1_000).map(|i| Key::new(&name(i)).unwrap()).collect();
    let slots = s.store().get(&asked, Want::Whole).await.unwrap().slots;
    assert_eq!(slots.len(), 1_000);
    for (i, slot) in slots.iter().enumerate() {
        let shown = slot.as_ref().map(crate::session::held);
        assert_eq!(shown, (i % 2 == 0).then(|| vec![i.to_string()]), "{i}");
    }
}
