//! From `expires_at` on an entry is invisible, whatever is left of its bytes.

use crate::draft::{add, delete, put, touch, ttl};
use crate::{START, Session, Subject};
use memlife_core::Timestamp;
use memlife_core::record::{ExpiryOrigin, ReclaimClass};
use memlife_core::store::{Cause, Expiry, Retouch};

/// A permanent entry is there after a thousand years.
pub async fn a_permanent_entry_stays(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let applied = s.apply(put("a", "1")).await;
    assert_eq!(applied.expires_at, None);
    s.pass(1_000 * 365 * 86_400_000);
    assert_eq!(s.value("a").await.as_deref(), Some("1"));
}

/// A TTL counts from the stamp: visible to the last millisecond, invisible from the instant on.
pub async fn an_entry_lives_exactly_its_ttl(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let applied = s.apply(put("a", "1").ttl_ms(1_000)).await;
    assert_eq!(applied.expires_at, Some(applied.stamp.at().plus_ms(1_000)));
    s.pass(999);
    assert_eq!(s.value("a").await.as_deref(), Some("1"));
    s.pass(1);
    assert_eq!(s.value("a").await, None);
}

/// The longest TTL works.
pub async fn the_longest_ttl_works(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let longest = 1_000 * 365 * 86_400_000;
    s.apply(put("a", "1").ttl_ms(longest)).await;
    s.pass(longest - 1);
    assert_eq!(s.value("a").await.as_deref(), Some("1"));
    s.pass(1);
    assert_eq!(s.value("a").await, None);
}

/// An expiry at an instant is kept exactly.
pub async fn an_instant_is_kept_exactly(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let at = s.now().plus_ms(12_345);
    assert_eq!(s.apply(put("a", "1").until(at)).await.expires_at, Some(at));
    let last = Timestamp::MAX;
    assert_eq!(s.apply(put("a", "1").until(last)).await.expires_at, Some(last));
}

/// A deadline that is past is accepted; the entry is not visible and ends as expired.
pub async fn a_past_deadline_is_accepted_and_invisible(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    for past in [s.now(), s.now().minus_ms(1), Timestamp::EPOCH] {
        assert_eq!(s.apply(put("a", "1").until(past)).await.expires_at, Some(past));
        assert_eq!(s.value("a").await, None);
    }
    assert_eq!(s.removed(Cause::Expired).await, 2, "the two that were written over");
    assert_eq!(s.due_keys(ReclaimClass::Scheduled, s.now()).await, ["a"]);
}

/// A put starts the expiry anew: what it says holds, not what was there.
pub async fn a_put_starts_the_expiry_anew(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").ttl_ms(1_000)).await;
    assert_eq!(s.apply(put("a", "2")).await.expires_at, None);
    let short = s.apply(put("a", "3").ttl_ms(10)).await;
    assert_eq!(short.expires_at, Some(s.now().plus_ms(10)));
}

/// Under `keep_ttl` a put leaves the expiry and its origin.
pub async fn keep_leaves_the_expiry(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let first = s.apply(put("a", "1").ttl_ms(1_000)).await;
    s.pass(400);
    let kept = s.apply(put("a", "2").rule_ttl_ms(50_000).keep_ttl()).await;
    assert_eq!(kept.expires_at, first.expires_at);
    assert_eq!(s.record("a").await.unwrap().head.origin, ExpiryOrigin::Caller);
    s.apply(put("b", "1")).await;
    assert_eq!(s.apply(put("b", "2").rule_ttl_ms(50_000).keep_ttl()).await.expires_at, None);
}

/// Under `keep_ttl` an entry that is not there, or has expired, gets what the rule says.
pub async fn keep_without_an_entry_takes_the_rules_ttl(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let new = s.apply(put("a", "1").rule_ttl_ms(500).keep_ttl()).await;
    assert_eq!(new.expires_at, Some(s.now().plus_ms(500)));
    s.pass(500);
    let anew = s.apply(put("a", "2").rule_ttl_ms(700).keep_ttl()).await;
    assert_eq!(anew.expires_at, Some(s.now().plus_ms(700)));
}

/// The origin of an expiry is kept: the rule's or the caller's.
pub async fn the_origin_is_kept(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("rule", "1").rule_ttl_ms(1_000)).await;
    s.apply(put("caller", "1").ttl_ms(1_000)).await;
    s.apply(put("forever", "1").expiry(Expiry::Never)).await;
    for (key, origin) in
        [("rule", ExpiryOrigin::Rule), ("caller", ExpiryOrigin::Caller), ("forever", ExpiryOrigin::Caller)]
    {
        assert_eq!(s.record(key).await.unwrap().head.origin, origin, "{key}");
    }
}

/// A wall clock that steps back revives nothing that a commit has seen expired.
pub async fn a_step_back_revives_nothing(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").ttl_ms(1_000)).await;
    s.pass(1_000);
    s.apply(put("other", "1")).await;
    s.step_back(3_600_000);
    assert_eq!(s.value("a").await, None);
    s.refused(put("a", "2").if_visible()).await;
    s.unchanged(touch("a", Retouch::Set(Expiry::Never))).await;
    s.apply(put("a", "3").if_absent()).await;
}

/// A touch tells the store's clock the time as every commit does.
pub async fn a_step_back_after_a_touch_revives_nothing(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").ttl_ms(1_000)).await;
    s.apply(put("sliding", "1").rule_ttl_ms(10_000)).await;
    s.pass(5_000);
    s.apply(touch("sliding", Retouch::Refresh(ttl(10_000)))).await;
    s.step_to(START);
    assert_eq!(s.value("a").await, None);
}

/// A TTL after a step back counts from the store's clock, so that the entry lives at least that long.
pub async fn a_ttl_after_a_step_back_counts_from_the_stamp(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let before = s.apply(put("other", "1")).await.stamp.at();
    s.step_back(3_600_000);
    let applied = s.apply(put("a", "1").ttl_ms(1_000)).await;
    assert_eq!(applied.expires_at, Some(applied.stamp.at().plus_ms(1_000)));
    assert!(applied.stamp.at() >= before);
    assert_eq!(s.value("a").await.as_deref(), Some("1"));
}

/// Writing over an expired entry ends it: counted as expired, once.
pub async fn a_put_over_an_expired_entry_counts_it_once(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").ttl_ms(10)).await;
    s.pass(10);
    assert_eq!(s.removed(Cause::Expired).await, 0, "not counted before it is ended");
    s.apply(put("a", "2")).await;
    s.apply(put("a", "3")).await;
    assert_eq!(s.removed(Cause::Expired).await, 1);
    s.apply(add("n", 1).ttl_ms(10)).await;
    s.pass(10);
    s.apply(add("n", 1)).await;
    assert_eq!(s.removed(Cause::Expired).await, 2);
    assert_eq!(s.removed(Cause::Deleted).await, 0);
}

/// The store hands out expired entries as they are stored: judging is the engine's.
pub async fn an_expired_entry_is_handed_out_as_stored(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").ttl_ms(10)).await;
    let before = s.record("a").await;
    s.pass(1_000);
    assert_eq!(s.record("a").await, before);
    assert_eq!(s.keys("").await, ["a"]);
}

/// A deletion leaves the expiry as it was, for what is added elsewhere meanwhile.
pub async fn a_deletion_leaves_the_life(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").ttl_ms(1_000)).await;
    let life = s.record("a").await.unwrap().head.life;
    s.apply(delete("a")).await;
    assert_eq!(s.record("a").await.unwrap().head.life, life);
}
