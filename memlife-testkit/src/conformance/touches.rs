//! Changing the expiry of what is visible, and nothing else.

use crate::draft::{delete, put, touch, ttl};
use crate::{Session, Subject};
use memlife_core::record::ExpiryOrigin;
use memlife_core::store::{Expiry, Retouch};

fn after(ms: u64) -> Expiry {
    Expiry::After(ttl(ms))
}

/// `Set` is exact: it lengthens, shortens and makes permanent.
pub async fn set_is_exact(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").ttl_ms(1_000)).await;
    for ms in [5_000, 20] {
        let touched = s.apply(touch("a", Retouch::Set(after(ms)))).await;
        assert_eq!(touched.expires_at, Some(s.now().plus_ms(ms)));
    }
    assert_eq!(s.apply(touch("a", Retouch::Set(Expiry::Never))).await.expires_at, None);
    let at = s.now().plus_ms(77);
    assert_eq!(s.apply(touch("a", Retouch::Set(Expiry::At(at)))).await.expires_at, Some(at));
    s.pass(77);
    assert_eq!(s.value("a").await, None);
}

/// `Set` to a past instant ends the entry.
pub async fn set_to_the_past_ends_the_entry(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1")).await;
    s.apply(touch("a", Retouch::Set(Expiry::At(s.now())))).await;
    assert_eq!(s.value("a").await, None);
    s.unchanged(touch("a", Retouch::Set(Expiry::Never))).await;
}

/// `Set` makes the expiry the caller's.
pub async fn set_is_the_callers_wish(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").rule_ttl_ms(1_000)).await;
    s.apply(touch("a", Retouch::Set(after(2_000)))).await;
    assert_eq!(s.record("a").await.unwrap().head.origin, ExpiryOrigin::Caller);
}

/// `Extend` acts if it is later.
pub async fn extend_only_lengthens(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").ttl_ms(1_000)).await;
    s.unchanged(touch("a", Retouch::Extend(after(999)))).await;
    s.unchanged(touch("a", Retouch::Extend(after(1_000)))).await;
    let longer = s.apply(touch("a", Retouch::Extend(after(1_001)))).await;
    assert_eq!(longer.expires_at, Some(s.now().plus_ms(1_001)));
    assert_eq!(s.apply(touch("a", Retouch::Extend(Expiry::Never))).await.expires_at, None);
    s.unchanged(touch("a", Retouch::Extend(after(1_000_000)))).await;
}

/// `Shorten` acts if it is earlier; permanent is later than all.
pub async fn shorten_only_shortens(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1")).await;
    let first = s.apply(touch("a", Retouch::Shorten(after(1_000)))).await;
    assert_eq!(first.expires_at, Some(s.now().plus_ms(1_000)));
    s.unchanged(touch("a", Retouch::Shorten(after(1_000)))).await;
    s.unchanged(touch("a", Retouch::Shorten(Expiry::Never))).await;
    let shorter = s.apply(touch("a", Retouch::Shorten(after(999)))).await;
    assert_eq!(shorter.expires_at, Some(s.now().plus_ms(999)));
}

/// A refresh is written only if it adds at least an eighth of the TTL.
pub async fn a_refresh_is_coalesced(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").rule_ttl_ms(8_000)).await;
    let before = s.record("a").await.unwrap();
    s.pass(999);
    s.unchanged(touch("a", Retouch::Refresh(ttl(8_000)))).await;
    assert_eq!(s.record("a").await.unwrap(), before);
    s.pass(1);
    let refreshed = s.apply(touch("a", Retouch::Refresh(ttl(8_000)))).await;
    assert_eq!(refreshed.expires_at, Some(s.now().plus_ms(8_000)));
    assert_eq!(refreshed.version, before.head.version);
}

/// A refresh keeps the epoch and the origin: it is use, not a wish.
pub async fn a_refresh_stays_the_rules(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").rule_ttl_ms(1_000)).await;
    let before = s.record("a").await.unwrap().head;
    s.pass(500);
    s.apply(touch("a", Retouch::Refresh(ttl(1_000)))).await;
    let after = s.record("a").await.unwrap().head;
    assert_eq!((after.life.epoch, after.origin), (before.life.epoch, ExpiryOrigin::Rule));
}

/// A refresh never shortens, and leaves what is permanent.
pub async fn a_refresh_never_shortens(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("long", "1").ttl_ms(100_000)).await;
    s.apply(put("permanent", "1")).await;
    s.pass(1_000);
    s.unchanged(touch("long", Retouch::Refresh(ttl(8_000)))).await;
    s.unchanged(touch("permanent", Retouch::Refresh(ttl(8_000)))).await;
}

/// Even a TTL of one millisecond is refreshed by what adds something, never by nothing.
pub async fn the_shortest_ttl_refreshes_by_a_millisecond(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").rule_ttl_ms(2)).await;
    s.unchanged(touch("a", Retouch::Refresh(ttl(2)))).await;
    s.pass(1);
    s.apply(touch("a", Retouch::Refresh(ttl(2)))).await;
}

/// No touch revives what has expired.
pub async fn nothing_revives_an_expired_entry(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1").ttl_ms(10)).await;
    s.pass(10);
    let before = s.record("a").await;
    for retouch in [
        Retouch::Set(Expiry::Never),
        Retouch::Extend(after(1_000)),
        Retouch::Shorten(after(1)),
        Retouch::Refresh(ttl(1_000)),
    ] {
        s.unchanged(touch("a", retouch)).await;
    }
    assert_eq!(s.record("a").await, before);
}

/// No touch revives what was deleted, and none makes something of nothing.
pub async fn nothing_revives_a_deleted_entry(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1")).await;
    s.apply(delete("a")).await;
    for key in ["a", "nothing"] {
        s.unchanged(touch(key, Retouch::Set(Expiry::Never))).await;
        s.unchanged(touch(key, Retouch::Refresh(ttl(1_000)))).await;
    }
    assert_eq!(s.record("nothing").await, None);
    assert_eq!(s.value("a").await, None);
}

/// A renewal under the version of a claim holds as long as nobody else wrote.
pub async fn a_renewal_keeps_its_token(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let token = s.apply(put("lock", "1").if_absent().ttl_ms(1_000)).await.version;
    for _ in 0..3 {
        s.pass(600);
        let renewed = s.apply(touch("lock", Retouch::Set(after(1_000))).if_version(token)).await;
        assert_eq!(renewed.version, token);
    }
}
