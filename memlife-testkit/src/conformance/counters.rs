//! Integers that add up.

use crate::draft::{add, assign, delete, put};
use crate::{Session, Subject};
use memlife_core::ErrorKind;
use memlife_core::record::Kind;
use memlife_core::store::{Outcome, Reply};
use std::sync::Arc;

/// Store 5, store 3, read 8.
pub async fn puts_add_up(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("n", "5").counter()).await;
    s.apply(put("n", "3").counter()).await;
    assert_eq!(s.values("n").await, ["8"]);
}

/// Adding creates, and takes away.
pub async fn additions_create_and_subtract(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(add("n", -7)).await;
    s.apply(add("n", 3)).await;
    assert_eq!(s.values("n").await, ["-4"]);
    s.apply(add("n", 4)).await;
    assert_eq!(s.values("n").await, ["0"]);
}

/// An addition that asks for the record gets the new value in the same round trip.
pub async fn an_addition_hands_back_the_new_value(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(add("n", 5)).await;
    let record = s.apply(add("n", 1).reply(Reply::Whole)).await.record.unwrap();
    assert_eq!(crate::session::held(&record), ["6"]);
}

/// An assignment sets the value, and what follows adds to that.
pub async fn an_assignment_sets(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(add("n", 5)).await;
    s.apply(assign("n", "100")).await;
    assert_eq!(s.values("n").await, ["100"]);
    s.apply(add("n", 1)).await;
    assert_eq!(s.values("n").await, ["101"]);
}

/// After a deletion a counter starts at zero.
pub async fn a_deletion_starts_at_zero(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(add("n", 5)).await;
    s.apply(delete("n")).await;
    assert_eq!(s.value("n").await, None);
    s.apply(add("n", 2)).await;
    assert_eq!(s.values("n").await, ["2"]);
}

/// After its expiry a counter starts at zero.
pub async fn an_expiry_starts_at_zero(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(add("n", 5).ttl_ms(10)).await;
    s.pass(10);
    s.apply(add("n", 2)).await;
    assert_eq!(s.values("n").await, ["2"]);
}

/// An addition that would overflow fails and leaves the value and its neighbours alone.
pub async fn an_overflow_leaves_value_and_neighbours(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    for _ in 0..2 {
        s.apply(add("n", i64::MAX)).await;
    }
    let before = s.record("n").await;
    let writes = vec![put("a", "1").build(), add("n", i64::MAX).build(), put("b", "1").build()];
    let outcomes = s.batch(writes).await;
    assert_eq!(outcomes[1].as_ref().unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(outcomes[1].as_ref().unwrap_err().key().unwrap().as_str(), "n");
    assert!(matches!(
        (&outcomes[0], &outcomes[2]),
        (Ok(Outcome::Applied { .. }), Ok(Outcome::Applied { .. }))
    ));
    assert_eq!(s.record("n").await, before);
    assert_eq!(s.values("n").await, ["18446744073709551614"]);
    assert_eq!((s.value("a").await, s.value("b").await), (Some("1".into()), Some("1".into())));
}

/// A counter takes integers of 64 bits only.
pub async fn what_is_no_integer_is_a_type_mismatch(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(add("n", 5)).await;
    for json in ["\"5\"", "1.5", "[1]", "null", "9223372036854775808"] {
        assert_eq!(s.fails(put("n", json).counter()).await, ErrorKind::TypeMismatch, "{json}");
        assert_eq!(s.fails(assign("n", json).counter()).await, ErrorKind::TypeMismatch, "{json}");
    }
    assert_eq!(s.values("n").await, ["5"]);
}

/// The kind of a living entry stays: a plain put follows it, whatever the rule says now.
pub async fn the_stored_kind_stays(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("n", "5").counter()).await;
    s.apply(put("n", "3")).await;
    assert_eq!(s.values("n").await, ["8"]);
    s.apply(put("a", "5")).await;
    s.apply(put("a", "3").counter()).await;
    assert_eq!(s.values("a").await, ["3"]);
    assert_eq!(s.record("a").await.unwrap().head.kind, Kind::Lww);
}

/// A new entry takes the rule's kind, though one of another kind died there.
pub async fn a_dead_entry_does_not_bind_the_kind(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("n", "\"text\"").ttl_ms(10)).await;
    s.pass(10);
    s.apply(add("n", 2)).await;
    assert_eq!(s.values("n").await, ["2"]);
    assert_eq!(s.record("n").await.unwrap().head.kind, Kind::Counter);
}

/// Additions under a rule's TTL renew it, and never shorten it.
pub async fn additions_renew_the_rules_ttl(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(add("n", 1).rule_ttl_ms(10_000)).await;
    s.pass(4_000);
    let renewed = s.apply(add("n", 1).rule_ttl_ms(10_000)).await;
    assert_eq!(renewed.expires_at, Some(s.now().plus_ms(10_000)));
    let shorter = s.apply(add("n", 1).rule_ttl_ms(1_000)).await;
    assert_eq!(shorter.expires_at, renewed.expires_at);
}

/// 64 tasks that add at once lose nothing.
pub async fn concurrent_additions_lose_nothing(subject: &dyn Subject) {
    const TASKS: usize = 64;
    const EACH: usize = 10;
    let session = Arc::new(Session::open(subject).await);
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let session = session.clone();
            tokio::spawn(async move {
                for _ in 0..EACH {
                    session.apply(add("n", 1)).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(session.values("n").await, [(TASKS * EACH).to_string()]);
}
