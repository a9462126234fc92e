//! Stored entries get what their present rule says.

use crate::draft::{Draft, delete, put, restamp};
use crate::{Session, Subject};
use memlife_core::record::ReclaimClass;
use memlife_core::store::Anchor;

fn by_new_rule(key: &str) -> Draft {
    restamp(key).rule("new/**").class(ReclaimClass::Lazy).rule_ttl_ms(5_000)
}

/// The expiry is computed from the entry's own stamp, not from now.
pub async fn the_ttl_counts_from_the_original_stamp(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let written = s.apply(put("a", "1").rule_ttl_ms(100_000)).await;
    s.pass(2_000);
    let restamped = s.apply(by_new_rule("a")).await;
    assert_eq!(restamped.expires_at, Some(written.stamp.at().plus_ms(5_000)));
    assert_eq!((restamped.version, restamped.stamp), (written.version, written.stamp));
    assert_eq!(s.value("a").await.as_deref(), Some("1"));
}

/// The rule and the class move with it.
pub async fn rule_and_class_move(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").rule_ttl_ms(100_000)).await;
    s.apply(by_new_rule("a")).await;
    let head = s.record("a").await.unwrap().head;
    assert_eq!((&*head.rule, head.class), ("new/**", ReclaimClass::Lazy));
    assert_eq!(s.due_keys(ReclaimClass::Lazy, s.now().plus_ms(5_000)).await, ["a"]);
    assert!(s.due(ReclaimClass::Scheduled, s.now().plus_ms(200_000)).await.is_empty());
}

/// An expiry that the caller set stays, though the rule and the class move.
pub async fn the_callers_expiry_stays(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let written = s.apply(put("a", "1").ttl_ms(60_000)).await;
    assert_eq!(s.apply(by_new_rule("a")).await.expires_at, written.expires_at);
    assert_eq!(&*s.record("a").await.unwrap().head.rule, "new/**");
}

/// A shorter rule may end an entry at once; a rule without a TTL makes it permanent.
pub async fn the_rule_may_end_or_free_an_entry(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("ends", "1").rule_ttl_ms(100_000)).await;
    s.apply(put("stays", "1").rule_ttl_ms(100_000)).await;
    s.pass(6_000);
    s.apply(by_new_rule("ends")).await;
    assert_eq!(s.value("ends").await, None);
    assert_eq!(s.apply(restamp("stays")).await.expires_at, None);
}

/// Applying the same rule again changes nothing.
pub async fn the_same_rule_changes_nothing(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").rule_ttl_ms(100_000)).await;
    s.apply(by_new_rule("a")).await;
    let before = s.record("a").await;
    s.unchanged(by_new_rule("a")).await;
    assert_eq!(s.record("a").await, before);
}

/// A rule that is applied does not revive what has expired: only the way its bytes go is the rule's.
pub async fn a_rule_does_not_revive(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let written = s.apply(put("a", "1").rule_ttl_ms(10).class(ReclaimClass::Manual)).await;
    s.pass(10);
    let restamped = s.apply(by_new_rule("a")).await;
    assert_eq!((restamped.version, restamped.expires_at), (written.version, written.expires_at));
    assert_eq!(s.value("a").await, None);
    assert_eq!(s.due_keys(ReclaimClass::Lazy, s.now()).await, ["a"]);
    assert!(s.due(ReclaimClass::Manual, s.now()).await.is_empty());
}

/// A rule is not applied to what was deleted or is not there.
pub async fn a_rule_leaves_the_dead_alone(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").rule_ttl_ms(10)).await;
    s.apply(delete("a")).await;
    let before = s.record("a").await;
    s.unchanged(by_new_rule("a")).await;
    s.unchanged(by_new_rule("nothing")).await;
    assert_eq!(s.record("a").await, before);
}

/// A rule that counts from the creation counts from there.
pub async fn a_rule_may_count_from_the_creation(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let born = s.apply(put("a", "1").rule_ttl_ms(100_000)).await.stamp.at();
    s.pass(1_000);
    s.apply(put("a", "2").rule_ttl_ms(100_000)).await;
    let restamped = s.apply(by_new_rule("a").anchor(Anchor::Creation)).await;
    assert_eq!(restamped.expires_at, Some(born.plus_ms(5_000)));
}
